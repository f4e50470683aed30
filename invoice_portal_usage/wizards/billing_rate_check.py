from odoo import Command, api, fields, models


class BillingRateCheck(models.TransientModel):
    """What is to look at in a plan."""

    _name = "billing.rate.check"
    _description = "Check of a Rate Plan"
    _inherit = ["billing.rate.dialog"]

    day = fields.Date(
        required=True, default=fields.Date.context_today, help="What is in force on this day is looked at."
    )
    line_ids = fields.One2many("billing.rate.check.line", "check_id", string="Found", readonly=True)

    @api.model_create_multi
    def create(self, vals_list):
        checks = super().create(vals_list)
        for check in checks:
            check.line_ids = [
                Command.create(
                    {
                        "sequence": position,
                        "level": finding.level,
                        "name": finding.text,
                        "rate_id": finding.rate_id,
                        "destination_id": finding.destination_id,
                    }
                )
                for position, finding in enumerate(check.plan_id._findings(check.day))
            ]
        return checks


class BillingRateCheckLine(models.TransientModel):
    _name = "billing.rate.check.line"
    _description = "Finding in a Rate Plan"
    _order = "sequence, id"

    check_id = fields.Many2one("billing.rate.check", required=True, ondelete="cascade")
    sequence = fields.Integer()
    level = fields.Selection([("error", "Wrong"), ("warning", "To check"), ("note", "Note")], required=True)
    name = fields.Char(string="What", required=True)
    rate_id = fields.Many2one("billing.rate", ondelete="cascade")
    destination_id = fields.Many2one("billing.rate.destination", ondelete="cascade")

    def action_open(self):
        """The rates of the prefix it is about, or the group."""
        self.ensure_one()
        plan = self.check_id.plan_id
        if self.destination_id:
            action = plan._open_list("action_billing_rate_destinations")
            return dict(action, views=[(False, "form")], res_id=self.destination_id.id)
        action = plan._open_list("action_billing_rates", search_default_in_force=0)
        domain = [("plan_id", "=", plan.id)]
        if self.rate_id:
            domain.append(
                ("prefix", "=ilike", self.rate_id.prefix.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%"))
            )
        return dict(action, domain=domain)
