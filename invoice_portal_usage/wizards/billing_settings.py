from odoo import api, fields, models

from ..models.res_company import GROUPINGS, LATE_RULES

COMPANY_FIELDS = [
    "billing_usage_grouping",
    "billing_usage_late",
    "billing_usage_annex_mail",
    "billing_usage_keep_months",
]


class BillingSettings(models.TransientModel):
    _inherit = "billing.settings"

    billing_usage_grouping = fields.Selection(
        GROUPINGS, string="Usage on invoices", required=True, default="destination"
    )
    billing_usage_late = fields.Selection(LATE_RULES, string="Usage that comes late", required=True, default="next")
    billing_usage_annex_mail = fields.Boolean(string="Mail usage records")
    billing_usage_keep_months = fields.Integer(string="Keep records for")

    @api.model
    def _company_fields(self):
        return [*super()._company_fields(), *COMPANY_FIELDS]
