import json
from itertools import pairwise
from typing import NamedTuple

from odoo import models
from odoo.tools import SQL
from odoo.tools.lru import LRU

from ..tools.numbers import MOST_DIGITS
from ..tools.prefix_ranges import NO_RATE, ranges
from ..tools.rate_steps import STAR

# By the key of a plan's rates, so that nothing here grows old. Of rates only few, as they may take megabytes.
_borders = LRU(512)
_rates = LRU(32)


class Rates(NamedTuple):
    """The rates of a plan at one time, written as the database looks them up."""

    starts: str = "{}"  # of ranges of telephone numbers, see tools.prefix_ranges
    rates: str = "{}"
    words: str = "{}"  # JSON: what is looked up as it is
    rest: int | None = None  # for all the rest
    word_lengths: tuple[int, ...] = ()


class Terms(NamedTuple):
    """What a plan asks while it asks the same: from a day to another (excluded), at all hours or some of them."""

    plan_id: int | None
    is_phone: bool | None
    date_from: object
    date_until: object
    band: str | None
    rates: Rates

    @property
    def length(self):
        return sum(map(len, self.rates[:3]))

    @property
    def sql(self):
        return SQL(
            "(%s::int, %s::boolean, %s::date, %s::date, %s::varchar, %s::bigint[], %s::int[], %s::jsonb, %s::int)",
            *self[:5],
            *self.rates[:4],
        )


NO_TERMS = Terms(None, None, None, None, None, Rates())


class BillingRatePlan(models.Model):
    """Its rates as rating looks them up: by one search for each record, however many rates there are."""

    _inherit = "billing.rate.plan"

    def _terms(self, is_phone, first, last):
        """What this plan asks from the first to the last day, of telephone numbers or of keys."""
        self.ensure_one()
        self.env["billing.rate"].flush_model(["plan_id", "prefix", "band", "date_from", "date_until"])
        borders, has_bands = self._remember(_borders, (), self._read_borders)
        since = max((day for day in borders if day <= first), default=None)
        begins = [since, *(day for day in borders if first < day <= last)]
        for date_from, date_until in pairwise([*begins, None]):
            for band in ("peak", "off_peak") if has_bands else (None,):
                facts = (is_phone, date_from, band)
                rates = self._remember(_rates, facts, lambda facts=facts: self._read_rates(*facts))
                yield Terms(self.id, is_phone, date_from, date_until, band, rates)

    def _remember(self, memory, facts, read):
        if not self.rates_key:
            return read()
        key = (self.rates_key, *facts)
        found = memory.get(key)
        if found is None:
            found = memory[key] = read()
        return found

    def _read_borders(self):
        """On which days its rates change, and whether some are for peak or off-peak hours."""
        rows = self.env.execute_query(
            SQL(
                "SELECT DISTINCT date_from, date_until + 1, band <> 'any' FROM billing_rate WHERE plan_id = %s", self.id
            )
        )
        days = {day for row in rows for day in row[:2] if day}
        return sorted(days), any(of_band for _from, _until, of_band in rows)

    def _read_rates(self, is_phone, day, band):
        """
        :param day: None: before the first day on which its rates change
        """
        rows = self.env.execute_query(
            SQL(
                """
                SELECT lower(prefix), id
                  FROM billing_rate
                 WHERE plan_id = %s
                   AND (date_from IS NULL OR date_from <= %s)
                   AND (date_until IS NULL OR date_until >= %s)
                   AND band IN ('any', %s)
              ORDER BY id
                """,
                self.id,
                day or "-infinity",
                day or "-infinity",
                band or "any",
            )
        )
        found = dict(rows)
        rest = found.pop(STAR, None)
        if not is_phone:
            return Rates(words=json.dumps(found), rest=rest)
        numbers, words = [], {}
        for prefix, rate in found.items():
            if not (prefix.isascii() and prefix.isdigit()):
                words[prefix] = rate
            elif len(prefix) <= MOST_DIGITS:
                numbers.append((prefix, rate))
        starts, rates = ranges(numbers, rest or NO_RATE)
        return Rates(
            "{%s}" % ",".join(map(str, starts)),
            "{%s}" % ",".join(map(str, rates)),
            json.dumps(words),
            rest,
            tuple({len(word) for word in words}),
        )
