from odoo import fields, models


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    billing_usage_grouping = fields.Selection(
        related="company_id.billing_usage_grouping", required=True, readonly=False
    )
    billing_usage_late = fields.Selection(related="company_id.billing_usage_late", required=True, readonly=False)
    billing_usage_annex_mail = fields.Boolean(related="company_id.billing_usage_annex_mail", readonly=False)
    billing_usage_keep_months = fields.Integer(related="company_id.billing_usage_keep_months", readonly=False)
