from odoo import fields, models


class BillingRateDestination(models.Model):
    """What the client reads instead of prefixes: several rates of a plan lead to it, and tiers count it together."""

    _name = "billing.rate.destination"
    _description = "Destination Group"
    _order = "plan_id, name, id"

    plan_id = fields.Many2one("billing.rate.plan", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="plan_id.company_id", store=True)
    currency_id = fields.Many2one(related="plan_id.currency_id")
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

    _one_name = models.UniqueIndex("(plan_id, name)", "The plan has a destination group of this name already.")


class BillingRateTier(models.Model):
    _name = "billing.rate.tier"
    _description = "Tier of a Destination Group"
    _order = "destination_id, above, id"

    destination_id = fields.Many2one("billing.rate.destination", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="destination_id.company_id", store=True)
    above = fields.Float(digits=(16, 6), help="In the plan's unit, per period: the tier begins above so many.")
    price_unit = fields.Float(string="Price", digits=(16, 8), required=True)

    _above = models.Constraint("CHECK (above >= 0 AND above < 1e13)", "A tier begins above zero or more units.")
    _price = models.Constraint("CHECK (price_unit >= 0 AND price_unit < 1e9)", "A price cannot be negative.")
    _one_above = models.UniqueIndex("(destination_id, above)", "Two tiers begin at the same quantity.")
