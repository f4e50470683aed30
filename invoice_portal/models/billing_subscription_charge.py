from datetime import date, timedelta
from typing import Any, NamedTuple

from psycopg2.errors import UniqueViolation

from odoo import api, models
from odoo.tools import SQL, format_date
from odoo.tools.misc import formatLang

from ..tools.grant import granted
from ..tools.periods import ONE_DAY, Phase, Segment, periods, share

# The number of the setup fee among the charges of the first period; those of the period itself count from 0.
SETUP = -1
# The index by which the database refuses a second charge for a period.
ONE_PER_PERIOD = "billing_charge_one_per_period"
# A pause may have no end: what comes later than that is not looked for.
LOOK_AHEAD = timedelta(days=3660)


class Terms(NamedTuple):
    """What decides the price of a day."""

    package: Any
    quantity: float
    price: float
    discount: float
    paused: bool
    timing: str
    proration: str


class Asked(NamedTuple):
    """What a period costs from one day to another."""

    segment: Segment
    amount: float
    is_whole: bool
    price: float


class Before(NamedTuple):
    """What the charges of a period asked for already for one package, and what became of that."""

    stands: float
    billed: float
    waived: float


class Waived(NamedTuple):
    """Days of a period, both included, whose charge was discarded, and what it asked for."""

    first: date
    last: date
    amount: float


class Charged(NamedTuple):
    """What was charged of a period: per package, the number of the next charge, and days that are not billed."""

    packages: dict
    next_part: int
    setup: bool
    waived: tuple


class BillingSubscription(models.Model):
    """Which charges a subscription makes: for each period what its terms ask for, less what was asked for before."""

    _inherit = "billing.subscription"

    def _make_charges(self, until):
        """Charge all periods that are due by the day `until`, and the difference where terms changed since.

        What was charged is read from the charges themselves, so calling it again charges nothing again. Who does it at
        the same moment as somebody else loses against the database's unique index, and leaves it to them.

        :return: the new charges
        """
        asked = self._preview_charges(until)
        charges = self._insert_charges(asked)
        if charges is None:
            charges = self.env["billing.charge"]
            by_subscription = {}
            for values in asked:
                by_subscription.setdefault(values["subscription_id"], []).append(values)
            for of_one in by_subscription.values():
                charges += self._insert_charges(of_one) or charges.browse()
        return charges

    @api.model
    def _insert_charges(self, asked):
        """All of these; or none of them, and nothing returned, where somebody else charged one of the periods."""
        try:
            with self.env.cr.savepoint():
                return granted(self.env["billing.charge"]).create(asked).with_env(self.env)
        except UniqueViolation as error:
            if error.diag.constraint_name != ONE_PER_PERIOD:
                raise
        self.env.invalidate_all()
        return None

    def _preview_charges(self, until):
        """The values of all charges that `_make_charges` would make now. Reads only."""
        charged = self._charged()
        return [
            values
            for subscription in self.with_context(active_test=False)
            for values in subscription._prepare_charges(until, charged.get(subscription._origin.id, {}))
        ]

    def _charged(self):
        """What was charged, by subscription and first day of the period, and what became of it.

        Discarded ones, those of void invoices included, count as asked for, lest they come back; but not as standing.
        """
        self.env["billing.charge"].flush_model()
        self.env["account.move.line"].flush_model(["quantity", "price_unit", "discount"])
        rows = self.env.execute_query(
            SQL(
                """
                SELECT charge.subscription_id, charge.subscription_period, charge.package_id, charge.subscription_part,
                       charge.subscription_amount, charge.discarded, charge.subscription_from,
                       charge.subscription_until,
                       CASE WHEN line.id IS NULL THEN charge.amount
                            ELSE line.quantity * line.price_unit * (1 - COALESCE(line.discount, 0) / 100) END
                  FROM billing_charge charge
             LEFT JOIN account_move_line line ON line.id = charge.invoice_line_id
                 WHERE charge.subscription_id IN %s
              ORDER BY charge.id
                """,
                tuple(self._origin.ids) or (None,),
            )
        )
        charged = {}
        for subscription, first, *charge in rows:
            periods_of_one = charged.setdefault(subscription, {})
            periods_of_one[first] = self._with_charge(periods_of_one.get(first) or Charged({}, 0, False, ()), *charge)
        return charged

    @api.model
    def _with_charge(self, charged, package, part, amount, discarded, first, last, billed):
        if part == SETUP:
            return charged._replace(setup=True)
        before = charged.packages.get(package) or Before(0, 0, 0)
        waived = charged.waived
        if not discarded:
            before = before._replace(stands=before.stands + amount, billed=before.billed + (billed or 0))
        elif first:
            waived += (Waived(first, last, amount),)
        else:
            before = before._replace(waived=before.waived + amount)
        return charged._replace(
            packages={**charged.packages, package: before},
            next_part=max(charged.next_part, part + 1),
            waived=waived,
        )

    # -- what comes next ----------------------------------------------------------------------------------------------

    @api.depends("charge_ids", "date_end", "phase_ids.date_from", "phase_ids.paused")
    def _compute_next_charge_date(self):
        charged = self._charged()
        for subscription in self:
            subscription.next_charge_date = subscription._next_due_day(charged.get(subscription._origin.id, {}))

    def _next_due_day(self, charged):
        if not self.phase_ids.ids:
            return False
        for period in self._periods(max(self._today(), self.date_start) + LOOK_AHEAD):
            before = charged.get(period.first)
            if not (before and before.next_part) and self._asked_for(period):
                in_advance = period.segments[0].terms.timing == "advance"
                return period.first if in_advance else period.last + ONE_DAY
        return False

    @api.depends("next_charge_date")
    def _compute_upcoming(self):
        for subscription in self:
            asked = subscription.ids and subscription._preview_charges(
                max(subscription._today(), subscription.next_charge_date or subscription._today())
            )
            # False, not an empty list: the form would show that one as a text.
            subscription.upcoming = bool(asked) and self.env["ir.qweb"]._render(
                "invoice_portal.subscription_upcoming", {"charges": asked, "currency": subscription.currency_id}
            )

    # -- what is asked for --------------------------------------------------------------------------------------------

    def _prepare_charges(self, until, charged):
        self.ensure_one()
        subscription = self.with_company(self.company_id).with_context(lang=self.partner_id.lang or self.env.lang)
        prepared = subscription._prepare_setup_charge(until, charged)
        # Periods charged ahead of `until` are looked at, too: what changed in them is corrected as soon as possible.
        horizon = max(until, *charged) if charged else until
        gone = dict(charged)
        for period in subscription._periods(horizon):
            before = gone.pop(period.first, None)
            if before and before.next_part:
                prepared += subscription._prepare_corrections(until, period.first, period, before)
            elif subscription._is_due(period, until):
                prepared += subscription._prepare_period(period)
        for first, before in gone.items():
            prepared += subscription._prepare_corrections(until, first, None, before)
        return prepared

    def _periods(self, until):
        """The periods that begin by `until`. The trial is a period of its own, for which nothing is agreed."""
        phases = [
            Phase(
                phase.date_from,
                phase._grid(),
                Terms(
                    phase.package_id,
                    phase.quantity,
                    phase.price_unit,
                    phase.discount,
                    phase.paused,
                    phase.timing,
                    phase.proration,
                ),
            )
            for phase in self.phase_ids.sorted("date_from")
        ]
        paid = self._first_paid_day()
        if paid != self.date_start:
            in_force = [phase for phase in phases if phase.start <= paid][-1]
            phases = [
                Phase(self.date_start, None, None),
                in_force._replace(start=paid),
                *(phase for phase in phases if phase.start > paid),
            ]
        return periods(phases, until, self.date_end or None)

    def _is_due(self, period, until):
        """Terms on the first day decide for the whole period."""
        terms = period.segments[0].terms
        if terms is None:
            return False
        return period.first <= until if terms.timing == "advance" else period.last < until

    def _asked_for(self, period):
        """What a period costs by the terms as they are now, part by part. Pauses and trials cost nothing."""
        lead = period.segments[0].terms
        if lead is None:
            return []
        segments = period.segments
        if lead.proration == "none":
            segments = [Segment(period.first, period.last, lead)]
        asked = []
        for segment in segments:
            terms = segment.terms
            if terms.paused or not terms.price:
                continue
            price = total = self.currency_id.round(terms.quantity * terms.price * (1 - terms.discount / 100))
            whole = lead.proration == "none" or (segment.first, segment.last) == (period.whole_first, period.whole_last)
            if not whole:
                total = self._share(price, period, segment.first, segment.last)
            asked.append(Asked(segment, total, whole, price))
        return asked

    def _share(self, price, period, first, last):
        """What of the price of a whole period falls on these days of it."""
        return float(share(price, period.whole_first, period.whole_last, first, last, self.currency_id.rounding))

    def _asked_per_package(self, period, waived):
        """What a period costs by now, less what was discarded for the same days: only what is more than that counts."""
        amounts = {}
        left = {days: days.amount for days in waived}
        for asked in self._asked_for(period):
            amount = asked.amount
            for days in waived:
                first, last = max(asked.segment.first, days.first), min(asked.segment.last, days.last)
                if first <= last:
                    by_day = period.segments[0].terms.proration == "day"
                    free = self._share(asked.price, period, first, last) if by_day else asked.amount
                    free = min(free, left[days], amount)
                    left[days] -= free
                    amount -= free
            package = asked.segment.terms.package.id
            amounts[package] = amounts.get(package, 0) + amount
        return amounts

    def _difference(self, amount, before):
        """What is asked for now and neither stands nor was waived, a credit below zero.

        A correction that was discarded does not come back. Where the terms went back since, it is not undone either: it
        never moved anything.
        """
        missing = self.currency_id.round(amount - before.stands)
        changed = self.currency_id.round(missing - before.waived)
        return max(min(changed, max(missing, 0)), min(missing, 0))

    # -- values -------------------------------------------------------------------------------------------------------

    def _prepare_setup_charge(self, until, charged):
        ends_unused = self.date_end and self.date_end < self.date_start
        done = any(of_period.setup for of_period in charged.values())
        if not self.setup_fee or ends_unused or self.date_start > until or done:
            return []
        package = self._phase_on(self.date_start).package_id
        return [
            self._prepare_charge(
                package,
                self.date_start,
                SETUP,
                self.currency_id.round(self.setup_fee),
                name=self.env._("%s, setup", self._package_label(package)),
                date=self.date_start,
            )
        ]

    def _prepare_period(self, period):
        return [self._prepare_segment(period, asked, part) for part, asked in enumerate(self._asked_for(period))]

    def _prepare_segment(self, period, asked, part):
        first, last, terms = asked.segment
        label = self._package_label(terms.package)
        values = {"quantity": terms.quantity, "price_unit": terms.price, "discount": terms.discount}
        if not asked.is_whole:
            values = {"quantity": 1, "price_unit": asked.amount}
            label = self.env._(
                "%(what)s, %(days)s of %(all)s days",
                what=self._times(terms),
                days=(last - first).days + 1,
                all=(period.whole_last - period.whole_first).days + 1,
            )
        return self._prepare_charge(
            terms.package,
            period.first,
            part,
            asked.amount,
            name=f"{label}\n{terms.package._period_label(first, last)}",
            date=first if terms.timing == "advance" else last,
            period_start=first,
            period_end=last,
            subscription_from=first,
            subscription_until=last,
            **values,
        )

    def _prepare_corrections(self, until, first, period, before):
        """One charge per package over what is asked for now and was not before. It may be a credit."""
        amounts = self._asked_per_package(period, before.waived) if period else {}
        prepared = []
        for package_id in (*before.packages, *(package for package in amounts if package not in before.packages)):
            charged = before.packages.get(package_id) or Before(0, 0, 0)
            difference = self._difference(amounts.get(package_id, 0), charged)
            price = self._given_back(difference, charged)
            if self.currency_id.is_zero(price):
                continue
            package = self.env["billing.package"].browse(package_id)
            prepared.append(
                self._prepare_charge(
                    package,
                    first,
                    before.next_part + len(prepared),
                    difference,
                    name=self._correction_label(package, first, period),
                    price_unit=price,
                    date=min(until, self._today()) if until >= first else first,
                    period_start=first,
                    period_end=period.last if period else first,
                )
            )
        return prepared

    def _given_back(self, difference, before):
        """Of a charge that was edited to less, or whose line was, as much less is given back."""
        if difference > 0 or before.billed >= before.stands:
            return difference
        return self.currency_id.round(difference * max(before.billed, 0) / before.stands)

    def _prepare_charge(self, package, first, part, amount, **values):
        """To be extended by what has more to say on a charge."""
        self.ensure_one()
        return {
            "origin": "subscription",
            "company_id": self.company_id.id,
            "partner_id": self.partner_id.id,
            "project_id": self.project_id.id,
            "currency_id": self.currency_id.id,
            "package_id": package.id,
            "product_id": package.product_id.id,
            "quantity": 1,
            "price_unit": amount,
            "discount": 0,
            "period_start": False,
            "period_end": False,
            "subscription_id": self.id,
            "subscription_period": first,
            "subscription_part": part,
            "subscription_amount": amount,
            "subscription_from": False,
            "subscription_until": False,
            **values,
        }

    # -- words --------------------------------------------------------------------------------------------------------

    def _package_label(self, package):
        label, newline, more = package._label(self.env.lang).partition("\n")
        return ", ".join(filter(None, (label, self.reference))) + newline + more

    def _times(self, terms):
        label = self._package_label(terms.package)
        if terms.quantity == 1:
            return label
        return f"{self._quantity_label(terms.quantity)} × {label}"

    def _quantity_label(self, quantity):
        return str(int(quantity)) if quantity == int(quantity) else formatLang(self.env, quantity, dp="Product Unit")

    def _day_label(self, day):
        return format_date(self.env, day)

    def _correction_label(self, package, first, period):
        """What is corrected, and why: how the period looks by now."""
        label = self.env._("Adjustment: %s", self._package_label(package))
        if not period:
            return "\n".join((label, self.env._("no longer billed from %s", self._day_label(first))))
        parts = []
        for segment in period.segments:
            days = package._period_label(segment.first, segment.last)
            if segment.terms is None:
                parts.append(self.env._("%s free", days))
            elif segment.terms.paused:
                parts.append(self.env._("%s paused", days))
            else:
                parts.append(f"{days} {self._terms_label(segment.terms)}")
        if period.last != period.whole_last:
            parts.append(self.env._("ended on %s", self._day_label(period.last)))
        return "\n".join((label, "; ".join(parts)))

    def _terms_label(self, terms):
        price = self.currency_id.format(terms.price * (1 - terms.discount / 100))
        label = terms.package._label(self.env.lang).partition("\n")[0]
        return f"{self._quantity_label(terms.quantity)} × {label}, {price}"
