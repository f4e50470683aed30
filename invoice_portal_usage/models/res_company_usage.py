from odoo import api, fields, models
from odoo.exceptions import ValidationError


class ResCompany(models.Model):
    _inherit = "res.company"

    billing_usage_annex_mail = fields.Boolean(
        string="Mail usage records",
        help="With the invoice go its usage records: in print, and as a file where it is small enough.",
        groups="base.group_user",
    )

    @api.constrains("billing_usage_keep_months")
    def _check_billing_usage_keep_months(self):
        for company in self:
            if not 0 <= company.billing_usage_keep_months <= 1200:
                raise ValidationError(
                    self.env._("Usage records are kept for 1 to 1200 months, or for ever where it says 0.")
                )
