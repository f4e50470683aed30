from odoo import api, fields, models


class BillingRateDialog(models.AbstractModel):
    """A question about a rate plan."""

    _name = "billing.rate.dialog"
    _description = "Dialog About a Rate Plan"

    plan_id = fields.Many2one("billing.rate.plan", required=True, ondelete="cascade")

    @api.model_create_multi
    def create(self, vals_list):
        """About a plan that the user sees: what follows asks the database outright."""
        dialogs = super().create(vals_list)
        dialogs.plan_id.check_access("read")
        return dialogs

    def write(self, vals):
        result = super().write(vals)
        self.plan_id.check_access("read")
        return result

    def _show(self, name):
        self.ensure_one()
        return {
            "type": "ir.actions.act_window",
            "name": name,
            "res_model": self._name,
            "res_id": self.id,
            "view_mode": "form",
            "target": "new",
        }
