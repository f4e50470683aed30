from odoo import api, fields, models
from odoo.exceptions import UserError

from ..tools.grant import granted, is_granted
from ..tools.periods import Grid
from .abstract_billable_values import SURCHARGE, TOO_MUCH
from .billing_package import PRORATIONS, TIMINGS, UNITS

# Taken over from the package when the phase begins: editing the package later changes no subscription.
FROM_PACKAGE = ("interval_unit", "interval_count", "timing", "proration")


class BillingSubscriptionPhase(models.Model):
    """What is agreed from a day on, until the next phase of the subscription."""

    _name = "billing.subscription.phase"
    _description = "Terms of a Subscription"
    _inherit = ["billing.billable.values"]
    _order = "subscription_id, date_from"
    _rec_name = "date_from"
    _check_company_auto = True

    subscription_id = fields.Many2one("billing.subscription", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="subscription_id.company_id", store=True)
    currency_id = fields.Many2one(related="subscription_id.currency_id")
    date_from = fields.Date(string="From", required=True)
    package_id = fields.Many2one("billing.package", required=True, check_company=True, index=True, ondelete="restrict")
    quantity = fields.Float(digits="Product Unit", required=True)
    price_unit = fields.Float(string="Unit Price", digits="Product Price", required=True)
    discount = fields.Float(string="Discount (%)", digits="Discount")
    paused = fields.Boolean()
    interval_unit = fields.Selection(UNITS, required=True)
    interval_count = fields.Integer(required=True)
    timing = fields.Selection(TIMINGS, required=True)
    proration = fields.Selection(PRORATIONS, required=True)
    anchor_date = fields.Date(required=True, help="A day on which a period begins; all others are counted from it.")
    interval = fields.Char(compute="_compute_interval")
    is_planned = fields.Boolean(compute="_compute_is_planned")

    _one_per_day = models.UniqueIndex(
        "(subscription_id, date_from)", "The terms of a subscription change once a day at most."
    )
    # What is not a number is above all numbers for the database: the upper bounds keep it out, too.
    _quantity = models.Constraint(
        f"CHECK (quantity > 0 AND quantity < {TOO_MUCH:.0f})",
        "The quantity of a subscription is more than zero, and a number that can be billed.",
    )
    _price = models.Constraint(
        f"CHECK (price_unit >= 0 AND price_unit * quantity < {TOO_MUCH:.0f})",
        "The price of a subscription cannot be negative, nor come to more than can be billed.",
    )
    _discount = models.Constraint(
        f"CHECK (discount IS NULL OR discount BETWEEN -{SURCHARGE} AND 100)",
        "A discount cannot exceed 100 %, nor a surcharge 1000 %.",
    )
    _interval = models.Constraint("CHECK (interval_count BETWEEN 1 AND 100)", "An interval is from 1 to 100 long.")

    @api.model_create_multi
    def create(self, vals_list):
        self.check_access("create")
        self._check_agreed_by_a_method_of_ours()
        phases = super().create([self._filled_from_package(vals) for vals in vals_list])
        return phases.with_env(self.env)

    def write(self, vals):
        self.check_access("write")
        self._check_agreed_by_a_method_of_ours()
        return super().write(vals)

    @api.ondelete(at_uninstall=False)
    def _unlink_by_a_method_of_ours(self):
        self._check_agreed_by_a_method_of_ours()

    def _check_agreed_by_a_method_of_ours(self):
        """What was charged follows from the terms: each change of them starts on a day, and is told in the history."""
        if not is_granted(self.env):
            raise UserError(
                self.env._(
                    "Terms change from a day on, and are told in the subscription's history: use “Change”, “Pause”, "
                    "“Resume”, “Change Price by Percent” or “Withdraw”."
                )
            )

    def _filled_from_package(self, vals):
        """What is not said is as the package says, at the time at which the phase is agreed."""
        subscription = self.env["billing.subscription"].browse(vals.get("subscription_id"))
        package = self.env["billing.package"].browse(vals.get("package_id"))
        day = fields.Date.to_date(vals.get("date_from"))
        if not (subscription and package and day):
            return vals
        filled = {fname: package[fname] for fname in ("quantity", *FROM_PACKAGE)}
        filled["price_unit"] = package._prices(subscription.currency_id, subscription.company_id, day)[0]
        filled.update(vals)
        if not filled.get("anchor_date"):
            filled["anchor_date"] = subscription._anchor_on(day, filled["interval_unit"], filled["interval_count"])
        return filled

    def _has_interval_of(self, other):
        return (self.interval_unit, self.interval_count) == (other.interval_unit, other.interval_count)

    @api.depends("interval_unit", "interval_count")
    def _compute_interval(self):
        for phase in self:
            phase.interval = phase.package_id._interval_label(phase)

    def _compute_is_planned(self):
        for phase in self:
            subscription = phase.subscription_id
            phase.is_planned = phase.date_from > max(subscription._today(), subscription.date_start)

    @api.constrains("date_from")
    def _check_first(self):
        self.subscription_id._check_phases()

    def _grid(self):
        self.ensure_one()
        return Grid(self.anchor_date, self.interval_unit, self.interval_count)

    def action_withdraw(self):
        """What was planned from a day on does not happen."""
        self.check_access("write")
        for phase in self:
            if not phase.is_planned:
                raise UserError(self.env._("Only what is planned for a later day can be withdrawn."))
            phase.subscription_id._note(
                self.env._(
                    "Withdrawn: what was planned from %(day)s", day=phase.subscription_id._day_label(phase.date_from)
                )
            )
        granted(self).unlink()
