from odoo import fields, models


class BillingPackage(models.Model):
    """A package can include usage, and say what is beyond costs."""

    _inherit = "billing.package"

    rate_plan_id = fields.Many2one(
        "billing.rate.plan",
        index="btree_not_null",
        check_company=True,
        ondelete="restrict",
        tracking=True,
        help="For the usage of whoever subscribes to this package.",
    )
    allowance_ids = fields.One2many("billing.package.allowance", "package_id", string="Included Usage", copy=True)
    usage_minimum = fields.Float(
        string="Minimum Spend",
        digits="Product Price",
        help="Per period, for usage, in the currency of the rate plan. What is used for less is made up for.",
    )

    _usage_minimum = models.Constraint(
        "CHECK (usage_minimum IS NULL OR usage_minimum BETWEEN 0 AND 1e12)", "A minimum spend cannot be negative."
    )


class BillingPackageAllowance(models.Model):
    _name = "billing.package.allowance"
    _description = "Usage Included in a Package"
    _order = "package_id, sequence, id"

    package_id = fields.Many2one("billing.package", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="package_id.company_id", store=True)
    sequence = fields.Integer(default=10, help="Where several fit, the first is used up first.")
    name = fields.Char(required=True, translate=True, help="What the client reads: “500 minutes to landlines”.")
    quantity = fields.Float(digits=(16, 6), required=True, help="Per period, in the unit of the rate plan.")
    destination_ids = fields.Many2many(
        "billing.rate.destination", string="Destinations", help="Shared over these. Empty: over all of the plan."
    )

    _quantity = models.Constraint("CHECK (quantity > 0 AND quantity < 1e12)", "Something is included, not nothing.")
