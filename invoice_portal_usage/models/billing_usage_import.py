from odoo import fields, models


class BillingUsageImport(models.Model):
    """What was handed in together: a file, or the records of one call."""

    _name = "billing.usage.import"
    _description = "Usage Import"
    _inherit = ["mail.thread"]
    _order = "id desc"
    _check_company_auto = True

    name = fields.Char(required=True, readonly=True)
    source_id = fields.Many2one(
        "billing.usage.source", required=True, index=True, check_company=True, ondelete="restrict"
    )
    company_id = fields.Many2one(related="source_id.company_id", store=True, index=True)
    kind = fields.Selection([("file", "File"), ("api", "API")], required=True, default="file", readonly=True)
    attachment_id = fields.Many2one("ir.attachment", string="File", readonly=True, copy=False)
    mapping = fields.Json(help="Which column is what, and how the file is written.")
    state = fields.Selection(
        [
            ("draft", "To Check"),
            ("waiting", "Waiting"),
            ("running", "Being Read"),
            ("done", "Done"),
            ("failed", "Failed"),
        ],
        required=True,
        default="draft",
        readonly=True,
        tracking=True,
    )
    reason = fields.Text(readonly=True, help="Why it failed as a whole.")
    row_count = fields.Integer(string="Rows", readonly=True, help="Rows read so far.")
    accepted_count = fields.Integer(string="Accepted", readonly=True, help="New records and duplicates.")
    duplicate_count = fields.Integer(string="Duplicates", readonly=True, help="Of the accepted: known already.")
    rejected_count = fields.Integer(string="Rejected", readonly=True)
    reject_ids = fields.One2many("billing.usage.reject", "import_id", string="Rejected Rows", readonly=True)
    mended_from_id = fields.Many2one("billing.usage.import", string="Mends", readonly=True, copy=False)

    _adds_up = models.Constraint(
        "CHECK (row_count = accepted_count + rejected_count AND duplicate_count <= accepted_count)",
        "Every row is accepted or rejected.",
    )
    _waiting_idx = models.Index("(id) WHERE state IN ('waiting', 'running')")


class BillingUsageReject(models.Model):
    """A row that could not be taken in, and why."""

    _name = "billing.usage.reject"
    _description = "Rejected Row of Usage"
    _order = "import_id, line, id"

    import_id = fields.Many2one("billing.usage.import", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="import_id.company_id", store=True)
    line = fields.Integer(readonly=True, help="Its line in the file, or its place in the call, counted from 1.")
    external_id = fields.Char(readonly=True)
    cells = fields.Json(readonly=True, help="The row as it was.")
    reason = fields.Text(readonly=True)
