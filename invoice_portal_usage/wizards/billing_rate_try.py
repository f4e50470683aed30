from decimal import Decimal

import phonenumbers
from markupsafe import Markup

from odoo import api, fields, models
from odoo.tools.misc import format_date, formatLang

from ..models.billing_usage_source import UNIT_NAMES
from ..tools.rate_steps import (
    STAR,
    band_of,
    billed_quantity,
    exact,
    list_amount,
    local,
    normal_key,
    normal_prefix,
)
from ..tools.units import UNITS

# So many rates that do not fit are told about.
TOLD = 8


class BillingRateTry(models.TransientModel):
    """Says what one use would cost, and why."""

    _name = "billing.rate.try"
    _description = "Try of a Rate Plan"
    _inherit = ["billing.rate.dialog"]

    kind = fields.Selection(related="plan_id.kind")
    number = fields.Char(string="Number or Key")
    moment = fields.Datetime(default=lambda self: fields.Datetime.now())
    quantity = fields.Float(digits=(16, 6), default=1)
    unit = fields.Selection(
        UNIT_NAMES, compute="_compute_unit", store=True, readonly=False, precompute=True, required=True
    )
    rate_id = fields.Many2one("billing.rate", compute="_compute_answer")
    answer = fields.Html(compute="_compute_answer", sanitize=False)

    @api.depends("plan_id")
    def _compute_unit(self):
        for dialog in self:
            dialog.unit = dialog.unit or dialog.plan_id.unit or "minute"

    @api.depends("plan_id", "number", "moment", "quantity", "unit")
    def _compute_answer(self):
        for dialog in self:
            dialog.rate_id, dialog.answer = dialog._explain()

    def _normal_number(self):
        """The number in digits with its country's code: one without is of the company's country."""
        text = (self.number or "").strip()
        if self.plan_id.kind != "phone":
            return normal_key(text)
        if text.startswith("0") and not text.startswith("00") and self.plan_id.company_id.country_id:
            try:
                number = phonenumbers.parse(text, self.plan_id.company_id.country_id.code)
            except phonenumbers.NumberParseException:
                return None
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")
        normal = normal_prefix(text)
        return None if normal == STAR else normal

    def _explain(self):
        """The rate, and the steps to what it costs, as paragraphs."""
        nothing = self.env["billing.rate"]
        if not (self.number or "").strip() or not self.moment:
            return nothing, False
        number = self._normal_number()
        if not number:
            return nothing, _paragraphs(
                [self.env._("“%s” is no number: write it with its country's code.", self.number)]
            )
        plan, moment = self.plan_id, self.moment
        if UNITS[self.unit].measure != UNITS[plan.unit].measure:
            return nothing, _paragraphs(
                [self.env._("The plan measures something else: its prices are per %s.", self._unit(plan.unit))]
            )
        candidates = plan._candidates(number, moment)
        rate = next((one.rate for one in candidates if not one.hindrance), nothing)
        steps = [self._tell_match(rate, number), self._tell_moment(moment)]
        steps += self._tell_price(rate) if rate else []
        others = [one for one in candidates if one.hindrance][:TOLD]
        return rate, _paragraphs(
            steps, self.env._("What else was there"), [self._tell_hindrance(one) for one in others]
        )

    def _tell_match(self, rate, number):
        if not rate:
            return self.env._(
                "No rate fits %s on that day and at that hour: it would not be rated, and hold its client's bill.",
                number,
            )
        if rate.prefix == STAR:
            return self.env._(
                "%(number)s: nothing else fits, so it is rated by * (%(group)s).",
                number=number,
                group=rate.destination_id.name,
            )
        if self.plan_id.kind == "phone":
            return self.env._(
                "%(number)s begins with %(prefix)s (%(group)s), the longest prefix in force.",
                number=number,
                prefix=rate.prefix,
                group=rate.destination_id.name,
            )
        return self.env._(
            "%(number)s has a rate of its own (%(group)s).", number=number, group=rate.destination_id.name
        )

    def _tell_moment(self, moment):
        plan = self.plan_id
        there = local(moment, plan.tz)
        values = {"day": format_date(self.env, there.date()), "time": f"{there:%H:%M:%S}", "zone": plan.tz}
        if band_of(there, plan.peak_from, plan.peak_until, plan.peak_weekend) == "peak":
            return self.env._("%(day)s, %(time)s in %(zone)s: peak.", **values)
        return self.env._("%(day)s, %(time)s in %(zone)s: off-peak.", **values)

    def _tell_price(self, rate):
        plan = self.plan_id
        size, unit = UNITS[plan.unit].size, self._unit(plan.unit)
        quantity = exact(exact(self.quantity, 6) * UNITS[self.unit].size, 6)
        minimum, step = exact(rate.minimum, 6), exact(rate.step, 6)
        price, fee = exact(rate.price_unit, 8), exact(rate.connection_fee, 8)
        if quantity <= 0:
            return [self.env._("A use of nothing costs nothing.")]
        billed = billed_quantity(quantity, minimum, step)
        amount = list_amount(billed, price, fee, size)
        values = {
            "quantity": self._measured(quantity),
            "billed": self._measured(billed),
            "minimum": self._plain(minimum),
            "step": self._plain(step),
        }
        if billed == quantity:
            steps = [self.env._("Billed: %(billed)s, exactly what was used.", **values)]
        elif quantity <= minimum:
            steps = [self.env._("Used: %(quantity)s. Billed: %(billed)s, the minimum.", **values)]
        else:
            steps = [
                self.env._(
                    "Used: %(quantity)s. Billed: %(billed)s, %(minimum)s and steps of %(step)s.",
                    **values,
                )
            ]
        currency = plan.currency_id.name
        steps.append(
            self.env._(
                "%(billed)s at %(price)s %(currency)s for %(unit)s, and %(fee)s %(currency)s once, is "
                "%(amount)s %(currency)s. Amounts are rounded to cents once per bill.",
                price=self._plain(price),
                fee=self._plain(fee),
                amount=self._plain(amount),
                currency=currency,
                unit=unit,
                **values,
            )
            if fee
            else self.env._(
                "%(billed)s at %(price)s %(currency)s for %(unit)s is %(amount)s %(currency)s. Amounts are "
                "rounded to cents once per bill.",
                price=self._plain(price),
                amount=self._plain(amount),
                currency=currency,
                unit=unit,
                **values,
            )
        )
        group = rate.destination_id
        if group.tier_mode != "none" and group.tier_ids:
            steps.append(
                self.env._(
                    "“%s” has tiers: on a bill, the price depends on how much was used in the period.", group.name
                )
            )
        return steps

    def _tell_hindrance(self, candidate):
        rate = candidate.rate
        if candidate.hindrance == "day":
            return self.env._("%s: not in force on that day.", rate._label())
        if candidate.hindrance == "hours":
            hours = dict(rate._fields["band"]._description_selection(self.env))[rate.band]
            return self.env._("%(rate)s: for other hours (%(hours)s).", rate=rate._label(), hours=hours)
        if rate.prefix == STAR:
            return self.env._("%s: for what nothing else fits.", rate._label())
        return self.env._("%s: fits, but less of the number.", rate._label())

    def _unit(self, unit):
        return {
            "second": self.env._("a second"),
            "minute": self.env._("a minute"),
            "hour": self.env._("an hour"),
            "mb": self.env._("an MB"),
            "gb": self.env._("a GB"),
            "piece": self.env._("a piece"),
        }[unit]

    def _measured(self, number):
        """In base units, with their name."""
        measure, number = UNITS[self.plan_id.unit].measure, self._plain(number)
        if number == "1":
            return {
                "time": self.env._("1 second"),
                "data": self.env._("1 MB"),
                "count": self.env._("1 piece"),
            }[measure]
        return {
            "time": self.env._("%s seconds", number),
            "data": self.env._("%s MB", number),
            "count": self.env._("%s pieces", number),
        }[measure]

    def _plain(self, number):
        """All of its digits, as the user writes them, and no zeros behind."""
        normal = Decimal(number).normalize()
        return formatLang(self.env, float(normal), digits=max(-normal.as_tuple().exponent, 0))


def _paragraphs(steps, title=None, others=()):
    html = Markup("<ol>%s</ol>") % Markup("").join(Markup("<li>%s</li>") % step for step in steps)
    if others:
        html += Markup("<p><strong>%s</strong></p><ul>%s</ul>") % (
            title,
            Markup("").join(Markup("<li>%s</li>") % other for other in others),
        )
    return html
