from odoo import fields, models


class BillingPackage(models.Model):
    _inherit = "billing.package"

    usage_minimum_from = fields.Date(
        string="Minimum Spend Since",
        readonly=True,
        copy=False,
        help="Periods that ended before are not asked for a minimum: none was agreed then. Empty: all are.",
    )

    def write(self, vals):
        """A minimum that is agreed later is not asked of periods that are over."""
        begins = self.browse()
        if vals.get("usage_minimum") and "usage_minimum_from" not in vals:
            begins = self.filtered(lambda package: not package.usage_minimum and package.subscription_count)
        result = super().write(vals)
        if begins:
            super(BillingPackage, begins).write({"usage_minimum_from": fields.Date.context_today(self)})
        return result
