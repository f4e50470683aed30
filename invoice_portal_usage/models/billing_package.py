from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.tools import SQL


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
        tracking=True,
        help="Per period, for usage, in the currency of the rate plan. What is used for less is made up for.",
    )
    usage_currency_id = fields.Many2one(related="rate_plan_id.currency_id", string="Currency of Usage")
    usage_unit = fields.Selection(related="rate_plan_id.unit", string="Unit of Usage")

    _usage_minimum = models.Constraint(
        "CHECK (usage_minimum IS NULL OR usage_minimum BETWEEN 0 AND 1e12)", "A minimum spend cannot be negative."
    )

    def write(self, vals):
        result = super().write(vals)
        if "rate_plan_id" in vals:
            self._rate_usage_later()
        return result

    def _rate_usage_later(self):
        """What is not billed yet is rated again before it is: also what had the plan of its client or source so far.
        Who may change a package may have that done.
        """
        phases = self.env["billing.subscription.phase"]
        phases.flush_model(["package_id", "subscription_id"])
        self.env["billing.subscription"].flush_model(["partner_id"])
        self.env.cr.execute(
            SQL(
                """
                UPDATE billing_usage usage
                   SET plan_revision = NULL
                  FROM billing_subscription subscription
                 WHERE usage.partner_id = subscription.partner_id AND usage.subscription_id = subscription.id
                   AND usage.bill_id IS NULL AND usage.plan_revision IS NOT NULL
                   AND subscription.id IN (
                        SELECT subscription_id FROM billing_subscription_phase WHERE package_id IN %s
                   )
                """,
                self._ids or (None,),
            )
        )
        self.env["billing.usage"].invalidate_model(["plan_revision"])

    @api.constrains("rate_plan_id", "allowance_ids")
    def _check_allowance_destinations(self):
        self.allowance_ids._check_destinations()


class BillingPackageAllowance(models.Model):
    """Usage that the price of a package includes. It is changed by whoever may change the package."""

    _name = "billing.package.allowance"
    _description = "Usage Included in a Package"
    _inherit = ["billing.billable.values"]
    _order = "package_id, sequence, id"

    package_id = fields.Many2one("billing.package", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="package_id.company_id", store=True)
    rate_plan_id = fields.Many2one(related="package_id.rate_plan_id")
    usage_unit = fields.Selection(related="package_id.rate_plan_id.unit", string="Unit")
    sequence = fields.Integer(default=10, help="Where several fit, the first is used up first.")
    name = fields.Char(required=True, translate=True, help="What the client reads: “500 minutes to landlines”.")
    quantity = fields.Float(digits=(16, 6), required=True, help="Per period, in the unit of the rate plan.")
    destination_ids = fields.Many2many(
        "billing.rate.destination", string="Destinations", help="Shared over these. Empty: over all of the plan."
    )

    _quantity = models.Constraint("CHECK (quantity > 0 AND quantity < 1e12)", "Something is included, not nothing.")

    @api.constrains("destination_ids", "package_id")
    def _check_destinations(self):
        for allowance in self:
            plan = allowance.package_id.rate_plan_id
            if foreign := allowance.destination_ids.filtered(lambda group, plan=plan: group.plan_id != plan):
                raise ValidationError(
                    self.env._(
                        "“%(allowance)s” is shared over “%(group)s”, which is no destination group of the package's "
                        "rate plan. Choose its destinations anew, or none: then it is for all.",
                        allowance=allowance.name,
                        group=foreign[0].name,
                    )
                )

    @api.model_create_multi
    def create(self, vals_list):
        self.env["billing.package"].browse(
            {vals["package_id"] for vals in vals_list if vals.get("package_id")}
        )._check_may_change()
        return super().create(vals_list)

    def write(self, vals):
        self.package_id._check_may_change()
        if "package_id" in vals and any(allowance.package_id.id != vals["package_id"] for allowance in self):
            raise UserError(self.env._("Included usage stays with its package. List it anew in the other one."))
        return super().write(vals)

    def unlink(self):
        self.package_id._check_may_change()
        return super().unlink()
