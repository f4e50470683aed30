import base64
import binascii

from odoo import api, fields, models
from odoo.exceptions import UserError


class BillingUsageUpload(models.TransientModel):
    """Which file, and where it comes from. What its columns are is asked when the first rows can be seen."""

    _name = "billing.usage.upload"
    _description = "Upload Usage"

    source_id = fields.Many2one("billing.usage.source", default=lambda self: self._default_source())
    mended_from_id = fields.Many2one("billing.usage.import", string="Mends", readonly=True)
    instead_of_id = fields.Many2one("billing.usage.import", string="Whose File Is Gone", readonly=True)
    # In the row itself until the file is kept with its import: as an attachment, Odoo would index all of its words.
    data = fields.Binary(string="File", attachment=False)
    filename = fields.Char()

    @api.model_create_multi
    def create(self, vals_list):
        uploads = super().create(vals_list)
        uploads.source_id.check_access("read")
        (uploads.mended_from_id | uploads.instead_of_id).check_access("read")
        return uploads

    @api.model
    def _open(self, mended_from=None, instead_of=None):
        values = {}
        if before := mended_from or instead_of:
            values = {"mended_from_id" if mended_from else "instead_of_id": before.id, "source_id": before.source_id.id}
        wizard = self.create(values)
        name = self.env._("Upload Mended Rows") if mended_from else self.env._("Upload Usage")
        return wizard._get_records_action(name=name, target="new")

    @api.model
    def _default_source(self):
        """The one whose file came last; of one alone, that."""
        if not self.env["billing.usage.source"].has_access("read"):
            return False
        last = self.env["billing.usage.import"].search(
            [("kind", "=", "file"), ("create_uid", "=", self.env.uid), ("company_id", "=", self.env.company.id)],
            limit=1,
        )
        sources = self.env["billing.usage.source"].search([("company_id", "=", self.env.company.id)], limit=2)
        return last.source_id.filtered("active") or (sources if len(sources) == 1 else False)

    def action_upload(self):
        """Look at the file, and show how it is understood."""
        self.ensure_one()
        imports = self.env["billing.usage.import"]
        imports._check_staff()
        source = (self.mended_from_id or self.instead_of_id).source_id or self.source_id
        if not source:
            raise UserError(self.env._("Choose the source: it says whose numbers these are, and in which time zone."))
        source.check_access("read")
        (self.mended_from_id | self.instead_of_id).check_access("read")
        if not self.data and not self.filename:
            raise UserError(self.env._("Choose a file."))
        try:
            data = base64.b64decode(self.data or b"")
        except (binascii.Error, ValueError):
            raise UserError(self.env._("The file did not arrive whole. Upload it again.")) from None
        name = " ".join((self.filename or self.env._("Usage")).split())[-200:]
        if self.instead_of_id:
            batch = self.instead_of_id._receive_again(name, data)
        else:
            batch = imports._receive(source, name, data, self.mended_from_id)
        # It is kept with the import now.
        self.data = False
        return {
            **batch._get_records_action(),
            "target": "current",
        }


class BillingUsageTakeBack(models.TransientModel):
    """Asks before the records of an import go."""

    _name = "billing.usage.take.back"
    _description = "Take an Import Back"

    import_id = fields.Many2one("billing.usage.import", required=True, readonly=True, ondelete="cascade")
    record_count = fields.Integer(compute="_compute_record_count")
    duplicate_count = fields.Integer(related="import_id.duplicate_count")

    @api.model_create_multi
    def create(self, vals_list):
        wizards = super().create(vals_list)
        wizards.import_id.check_access("read")
        return wizards

    @api.model
    def _open(self, batch):
        batch._check_take_back()
        wizard = self.create({"import_id": batch.id})
        return wizard._get_records_action(name=self.env._("Take “%s” Back", batch.name), target="new")

    @api.depends("import_id")
    def _compute_record_count(self):
        for wizard in self:
            wizard.record_count = wizard.import_id._count_records()[0]

    def action_take_back(self):
        self.ensure_one()
        self.import_id._take_back()
        return {"type": "ir.actions.act_window_close"}
