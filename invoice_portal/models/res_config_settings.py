from odoo import fields, models


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    billing_lock_invoices = fields.Boolean(related="company_id.billing_lock_invoices", readonly=False)
    billing_ready_mail = fields.Boolean(related="company_id.billing_ready_mail", readonly=False)
