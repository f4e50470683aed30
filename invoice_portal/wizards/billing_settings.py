from odoo import api, fields, models

from ..models.res_company import CREDIT_USES

# All of the company that whoever configures billing may set. Odoo leaves the rest of it to its own administrator.
COMPANY_FIELDS = [
    "billing_lock_invoices",
    "billing_ready_mail",
    "billing_pdf_engine",
    "display_invoice_amount_total_words",
    "billing_review_threshold",
    "billing_hold_flagged",
    "billing_reminders",
    "billing_reminder_from",
    "billing_reminder_minimum",
    "billing_note",
    "billing_autopay_when",
    "billing_autopay_days",
    "billing_credit_use",
    "billing_credit_most",
    "billing_top_up_daily",
    "billing_receipt_mail",
    "billing_portal_upcoming",
    "billing_portal_partial",
    "billing_dispute_allowed",
    "billing_dispute_days",
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
    billing_portal_upcoming = fields.Boolean(string="Show the next invoice")
    billing_portal_partial = fields.Boolean(string="Payment in part")
    billing_note = fields.Html(string="Notes on Invoices")
    billing_autopay_when = fields.Selection(
        selection=lambda self: self.env["res.company"]._fields["billing_autopay_when"].selection,
        string="Charge cards",
        required=True,
        default="finalized",
    )
    billing_autopay_days = fields.Char(string="Tries on day", required=True, default="0, 3, 5, 7")
    billing_reminders = fields.Boolean(string="Send reminders")
    billing_reminder_from = fields.Date(string="Only what is due from")
    billing_reminder_minimum = fields.Monetary(string="Smallest amount reminded")
    currency_id = fields.Many2one(related="company_id.currency_id")
    billing_credit_use = fields.Selection(CREDIT_USES, string="Use a client's credit", required=True)
    billing_credit_most = fields.Monetary(string="Most credit by card")
    billing_top_up_daily = fields.Integer(string="Top-ups a day")
    billing_receipt_mail = fields.Boolean(string="Mail a receipt")
    billing_dispute_allowed = fields.Boolean(string="Clients object on the portal")
    billing_dispute_days = fields.Integer(string="Days to object")

    @api.model
    def default_get(self, fields):
        self.check_access("create")
        company = self.env.company
        return {
            **super().default_get(fields),
            **{fname: company[fname] for fname in self._company_fields() if fname in fields},
        }

    @api.model
    def _company_fields(self):
        """What of the company is set here. To be extended by what has more to set."""
        return COMPANY_FIELDS

    @api.onchange("billing_reminders")
    def _onchange_billing_reminders(self):
        """Old debts are reminded of only where somebody wants that."""
        if self.billing_reminders and not self.company_id.billing_reminders and not self.billing_reminder_from:
            self.billing_reminder_from = fields.Date.context_today(self)

    def action_reminder_levels(self):
        self.check_access("write")
        return self.env["ir.actions.actions"]._for_xml_id("invoice_portal.action_billing_reminder_levels")

    def action_save(self):
        self.ensure_one()
        self.check_access("write")
        self._save_to_company_sudo()
        return {"type": "ir.actions.act_window_close"}

    def _save_to_company_sudo(self):
        """Write these fields and no others, to a company that the user works in."""
        company = self.company_id & self.env.user.company_ids
        changed = {fname: self[fname] for fname in self._company_fields() if self[fname] != company[fname]}
        # Companies are written by Odoo's administrator only.
        company.sudo().write(changed)
