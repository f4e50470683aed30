from odoo import api, fields, models
from odoo.tools import format_date


class BillingUsageDownload(models.TransientModel):
    """Which days of a client's usage, or invoice lines, are wanted as a file."""

    _name = "billing.usage.download"
    _description = "Download Usage"

    partner_id = fields.Many2one("res.partner", string="Client", required=True, readonly=True)
    company_id = fields.Many2one("res.company", required=True, readonly=True, default=lambda self: self.env.company)
    what = fields.Selection(
        [("usage", "Usage records"), ("lines", "Invoice lines")], string="Of", required=True, default="usage"
    )
    span = fields.Selection(
        [("daily", "A day"), ("weekly", "A week"), ("monthly", "A month")],
        string="For",
        required=True,
        default="monthly",
    )
    date = fields.Date(
        string="With the Day",
        required=True,
        compute="_compute_date",
        store=True,
        readonly=False,
        precompute=True,
        help="Any day of the week or the month.",
    )
    days = fields.Char(compute="_compute_days")

    @api.depends("partner_id", "company_id")
    def _compute_date(self):
        for wizard in self:
            wizard.date = wizard.date or wizard.partner_id._billing_today(wizard.company_id)

    @api.depends("partner_id", "span", "date")
    def _compute_days(self):
        for wizard in self:
            if not wizard.date or not wizard.span:
                wizard.days = False
                continue
            first, last = wizard.partner_id._billing_usage_days(wizard.span, wizard.date)
            wizard.days = " – ".join(dict.fromkeys(format_date(self.env, day) for day in (first, last)))

    def action_download(self):
        self.ensure_one()
        self.check_access("write")
        client = self.partner_id.with_company(self.company_id)
        return {**client._billing_usage_download(self.span, self.what, self.date), "close": True}
