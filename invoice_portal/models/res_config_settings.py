from odoo import api, fields, models


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    billing_lock_invoices = fields.Boolean(related="company_id.billing_lock_invoices", readonly=False)
    billing_ready_mail = fields.Boolean(related="company_id.billing_ready_mail", readonly=False)
    billing_portal_upcoming = fields.Boolean(related="company_id.billing_portal_upcoming", readonly=False)
    billing_portal_partial = fields.Boolean(related="company_id.billing_portal_partial", readonly=False)
    billing_note = fields.Html(related="company_id.billing_note", readonly=False)
    billing_pdf_engine = fields.Selection(related="company_id.billing_pdf_engine", required=True, readonly=False)
    billing_review_threshold = fields.Float(related="company_id.billing_review_threshold", readonly=False)
    billing_hold_flagged = fields.Boolean(related="company_id.billing_hold_flagged", readonly=False)
    billing_autopay_when = fields.Selection(related="company_id.billing_autopay_when", required=True, readonly=False)
    billing_autopay_days = fields.Char(related="company_id.billing_autopay_days", required=True, readonly=False)
    billing_credit_use = fields.Selection(related="company_id.billing_credit_use", required=True, readonly=False)
    billing_credit_most = fields.Monetary(
        related="company_id.billing_credit_most", currency_field="currency_id", readonly=False
    )
    billing_top_up_daily = fields.Integer(related="company_id.billing_top_up_daily", readonly=False)
    billing_receipt_mail = fields.Boolean(related="company_id.billing_receipt_mail", readonly=False)
    billing_reminders = fields.Boolean(related="company_id.billing_reminders", readonly=False)
    billing_reminder_from = fields.Date(related="company_id.billing_reminder_from", readonly=False)
    billing_reminder_minimum = fields.Monetary(
        related="company_id.billing_reminder_minimum", currency_field="currency_id", readonly=False
    )

    billing_dispute_allowed = fields.Boolean(related="company_id.billing_dispute_allowed", readonly=False)
    billing_dispute_days = fields.Integer(related="company_id.billing_dispute_days", readonly=False)

    @api.onchange("billing_reminders")
    def _onchange_billing_reminders(self):
        """Old debts are reminded of only where somebody wants that."""
        if self.billing_reminders and not self.company_id.billing_reminders and not self.billing_reminder_from:
            self.billing_reminder_from = fields.Date.context_today(self)
