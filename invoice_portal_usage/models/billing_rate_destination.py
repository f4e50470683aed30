from odoo import api, fields, models
from odoo.exceptions import UserError


class BillingRateDestination(models.Model):
    """What the client reads instead of prefixes: several rates of a plan lead to it, and tiers count it together."""

    _name = "billing.rate.destination"
    _description = "Destination Group"
    _order = "plan_id, name, id"

    plan_id = fields.Many2one("billing.rate.plan", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="plan_id.company_id", store=True)
    currency_id = fields.Many2one(related="plan_id.currency_id")
    unit = fields.Selection(related="plan_id.unit", string="Per")
    name = fields.Char(required=True)
    tier_mode = fields.Selection(
        [("none", "By rate"), ("graduated", "Graduated tiers"), ("volume", "Volume tiers")],
        string="Prices",
        required=True,
        default="none",
        help="Graduated: each unit at the price of its tier. Volume: all units of a period at the price of the tier "
        "that their sum reaches. Tiers replace the prices of the rates, not their minimum, steps and connection fee.",
    )
    tier_ids = fields.One2many("billing.rate.tier", "destination_id", string="Tiers", copy=True)
    rate_count = fields.Integer(string="Rates", compute="_compute_rate_count")

    _one_name = models.UniqueIndex("(plan_id, name)", "The plan has a destination group of this name already.")

    def _compute_rate_count(self):
        counts = {}
        if self.ids:
            counts = dict(
                self.env["billing.rate"]._read_group(
                    [("destination_id", "in", self.ids)], ["destination_id"], ["__count"]
                )
            )
        for destination in self:
            destination.rate_count = counts.get(destination._origin, 0)

    @api.model_create_multi
    def create(self, vals_list):
        vals_list = [dict(vals, name=self._normal_name(vals.get("name"))) for vals in vals_list]
        return super().create(vals_list)

    def write(self, vals):
        if "name" in vals:
            vals = dict(vals, name=self._normal_name(vals["name"]))
        if any("plan_id" in vals and destination.plan_id.id != vals["plan_id"] for destination in self):
            raise UserError(self.env._("A destination group stays with its plan. Add another one there instead."))
        result = super().write(vals)
        if "tier_mode" in vals:
            self.plan_id._touch()
        return result

    def unlink(self):
        plans = self.plan_id
        result = super().unlink()
        plans.exists()._touch()
        return result

    @api.ondelete(at_uninstall=False)
    def _unlink_if_unused(self):
        for destination in self:
            if destination.rate_count:
                raise UserError(
                    self.env._(
                        "Rates lead to “%(group)s” (%(count)s): give them another destination group first.",
                        count=destination.rate_count,
                        group=destination.name,
                    )
                )
            # Elevated: only that there is something billed is told.
            totals = self.env["billing.usage.total"].sudo()
            if totals.search_count([("destination_id", "=", destination.id)], limit=1):
                raise UserError(
                    self.env._(
                        "Usage of “%s” was billed: the destination group stays, to explain it.", destination.name
                    )
                )

    @api.model
    def _normal_name(self, name):
        """On one line, and something."""
        normal = " ".join(str(name or "").replace("\0", " ").split())
        if not normal or len(normal) > 200:
            raise UserError(self.env._("A destination group needs a name of at most 200 characters."))
        return normal

    @api.model
    def _by_name(self, names):
        """{(plan's id, name): id} for these pairs; groups that are missing are created."""
        wanted = dict.fromkeys(names)
        plan_ids = {plan_id for plan_id, _name in wanted}
        known = self.search_fetch([("plan_id", "in", list(plan_ids))], ["plan_id", "name"])
        found = {(destination.plan_id.id, destination.name.lower()): destination.id for destination in known}
        missing = {
            (plan_id, name.lower()): {"plan_id": plan_id, "name": name}
            for plan_id, name in wanted
            if (plan_id, name.lower()) not in found
        }
        created = self.create(list(missing.values()))
        found.update(zip(missing, created.ids, strict=True))
        return {(plan_id, name): found[plan_id, name.lower()] for plan_id, name in wanted}

    def action_rates(self):
        self.ensure_one()
        action = self.plan_id._open_list("action_billing_rates", default_destination_id=self.id)
        return dict(action, domain=[("destination_id", "=", self.id)])


class BillingRateTier(models.Model):
    _name = "billing.rate.tier"
    _description = "Tier of a Destination Group"
    _inherit = ["billing.billable.values"]
    _order = "destination_id, above, id"

    destination_id = fields.Many2one("billing.rate.destination", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="destination_id.company_id", store=True)
    above = fields.Float(digits=(16, 6), help="In the plan's unit, per period: the tier begins above so many.")
    price_unit = fields.Float(string="Price", digits=(16, 8), required=True)

    _above = models.Constraint("CHECK (above >= 0 AND above < 1e13)", "A tier begins above zero or more units.")
    _price = models.Constraint("CHECK (price_unit >= 0 AND price_unit < 1e9)", "A price cannot be negative.")
    _one_above = models.UniqueIndex("(destination_id, above)", "Two tiers begin at the same quantity.")

    @api.model_create_multi
    def create(self, vals_list):
        tiers = super().create(vals_list)
        tiers.destination_id.plan_id._touch()
        return tiers

    def write(self, vals):
        if any("destination_id" in vals and tier.destination_id.id != vals["destination_id"] for tier in self):
            raise UserError(self.env._("A tier stays with its destination group. Add another one there instead."))
        result = super().write(vals)
        self.destination_id.plan_id._touch()
        return result

    def unlink(self):
        plans = self.destination_id.plan_id
        result = super().unlink()
        plans._touch()
        return result
