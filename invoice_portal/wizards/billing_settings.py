from odoo import api, fields, models

# All of the company that whoever configures billing may set. Odoo leaves the rest of it to its own administrator.
COMPANY_FIELDS = [
    "billing_lock_invoices",
    "billing_ready_mail",
    "billing_pdf_engine",
    "display_invoice_amount_total_words",
    "billing_review_threshold",
    "billing_hold_flagged",
    "billing_note",
    "billing_autopay_when",
    "billing_autopay_days",
]


class BillingSettings(models.TransientModel):
    """The billing settings of one company, for those who configure billing but not the whole of Odoo."""

    _name = "billing.settings"
    _description = "Billing Settings"

    company_id = fields.Many2one("res.company", required=True, readonly=True, default=lambda self: self.env.company)
    billing_lock_invoices = fields.Boolean(string="Lock every finalized invoice")
    billing_ready_mail = fields.Boolean(string="Invoice ready for payment")
    billing_pdf_engine = fields.Selection(
        selection=lambda self: self.env["res.company"]._fields["billing_pdf_engine"].selection,
        string="PDF engine",
        required=True,
    )
    display_invoice_amount_total_words = fields.Boolean(string="Total in words")
    billing_review_threshold = fields.Float(string="Unusual from")
    billing_hold_flagged = fields.Boolean(string="Hold what is unusual")
    billing_note = fields.Html(string="Notes on Invoices")
    billing_autopay_when = fields.Selection(
        selection=lambda self: self.env["res.company"]._fields["billing_autopay_when"].selection,
        string="Charge cards",
        required=True,
        default="finalized",
    )
    billing_autopay_days = fields.Char(string="Tries on day", required=True, default="0, 3, 5, 7")

    @api.model
    def default_get(self, fields):
        company = self.env.company
        return {
            **super().default_get(fields),
            **{fname: company[fname] for fname in COMPANY_FIELDS if fname in fields},
        }

    def action_save(self):
        self.ensure_one()
        self.check_access("write")
        self._save_to_company_sudo()
        return {"type": "ir.actions.act_window_close"}

    def _save_to_company_sudo(self):
        """Write these fields and no others, to a company that the user works in."""
        company = self.company_id & self.env.user.company_ids
        changed = {fname: self[fname] for fname in COMPANY_FIELDS if self[fname] != company[fname]}
        # Companies are written by Odoo's administrator only.
        company.sudo().write(changed)
