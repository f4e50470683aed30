from typing import NamedTuple

from odoo import api, models

from ..tools.rate_steps import STAR, band_of, leading_parts, local
from .billing_rate import BillingRate


class Candidate(NamedTuple):
    """A rate that a number or key could be rated by. `hindrance`: why it is not, empty for the one that is."""

    rate: BillingRate
    hindrance: str  # "", day, hours or shorter


class BillingRatePlan(models.Model):
    """Which rate fits: one number at a time, for people to see. Records are rated by SQL, many at a time."""

    _inherit = "billing.rate.plan"

    @api.private
    def _match(self, number, moment, day=None):
        """The rate of a number (in digits) or key at a moment (in UTC); an empty one where none fits.

        :param day: that of the moment where the client lives; left out, where the plan's hours are meant
        """
        fitting = (one.rate for one in self._candidates(number, moment, day) if not one.hindrance)
        return next(fitting, self.env["billing.rate"])

    @api.private
    def _candidates(self, number, moment, day=None):
        """All rates that a number begins with, or a key has, the one that fits best first, and why others don't."""
        self.ensure_one()
        there = local(moment, self.tz)
        day = day or there.date()
        band = band_of(there, self.peak_from, self.peak_until, self.peak_weekend)
        rates = self.env["billing.rate"].search([("plan_id", "=", self.id), ("prefix", "in", self._fitting(number))])
        # The longest first, the star last; and of one prefix the latest first.
        rates = rates.sorted(lambda rate: (rate.prefix != STAR, len(rate.prefix), rate.date_from or day.min, rate.id))
        candidates, taken = [], False
        for rate in reversed(rates):
            if (rate.date_from and day < rate.date_from) or (rate.date_until and day > rate.date_until):
                hindrance = "day"
            elif rate.band not in ("any", band):
                hindrance = "hours"
            else:
                hindrance = "shorter" if taken else ""
                taken = True
            candidates.append(Candidate(rate, hindrance))
        return candidates

    def _fitting(self, number):
        """The prefixes or keys by which this number or key could be rated."""
        if self.kind == "phone":
            return [*leading_parts(number), STAR]
        self.env["billing.rate"].flush_model(["prefix", "plan_id"])
        self.env.cr.execute(
            "SELECT DISTINCT prefix FROM billing_rate WHERE plan_id = %s AND lower(prefix) = lower(%s)",
            [self.id, number],
        )
        return [prefix for (prefix,) in self.env.cr.fetchall()] + [STAR]
