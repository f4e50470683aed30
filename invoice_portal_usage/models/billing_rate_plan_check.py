from typing import NamedTuple

from odoo import api, fields, models
from odoo.tools.misc import format_date

from ..tools.rate_steps import leading_parts
from .billing_rate import OVERLAP

# As many of a kind are shown one by one; what is more is counted.
SHOWN = 100


class Finding(NamedTuple):
    """Something about a plan that somebody should look at."""

    level: str  # error: usage is not rated, or not as meant; warning: likely a slip; note: for tidying up
    text: str
    rate_id: int | None = None
    destination_id: int | None = None


class BillingRatePlan(models.Model):
    """What is wrong with a plan: a few statements over all of its rates, however many."""

    _inherit = "billing.rate.plan"

    @api.private
    def _findings(self, day=None):
        """What to look at, worst first, on this day."""
        self.ensure_one()
        self.env.flush_all()
        day = day or fields.Date.context_today(self)
        with self._set_by_set():
            found = [
                *self._find_fallback(day),
                *self._find_overlaps(),
                *self._find_hours(day),
                *self._find_gaps(day),
                *self._find_tiers(),
                *self._find_unreachable(),
                *self._find_needless(day),
                *self._find_groups(),
            ]
        return sorted(found, key=lambda finding: ("error", "warning", "note").index(finding.level))

    def _rows(self, query, **values):
        self.env.cr.execute(query, {"plan": self.id, **values})
        return self.env.cr.dictfetchall()

    def _told(self, rows, level, say, more):
        """A finding for each of these rows, up to as many as anybody reads."""
        for row in rows[:SHOWN]:
            yield Finding(level, say(row), row.get("id"), row.get("destination_id"))
        if len(rows) > SHOWN:
            yield Finding(level, more(len(rows) - SHOWN))

    def _find_fallback(self, day):
        rows = self._rows(
            f"SELECT band FROM billing_rate rate WHERE plan_id = %(plan)s AND prefix = '*' AND {IN_FORCE}", day=day
        )
        bands = {row["band"] for row in rows}
        if not self.rate_count:
            yield Finding("error", self.env._("The plan has no rates: no usage is rated by it."))
        elif not bands:
            yield Finding(
                "warning",
                self.env._(
                    "Nothing is for all the rest: what no other rate fits is not rated, and holds its client's bill. "
                    "Add a rate for * if all the rest has a price."
                ),
            )
        elif not ("any" in bands or bands >= {"peak", "off_peak"}):
            yield Finding(
                "warning", self.env._("The rate for * is not for all hours: at others, the rest is not rated.")
            )

    def _find_overlaps(self):
        rows = self._rows(
            f"""
            SELECT rate.id, other.id AS other_id
              FROM billing_rate rate
              JOIN billing_rate other ON other.plan_id = rate.plan_id AND other.id > rate.id AND {OVERLAP}
             WHERE rate.plan_id = %(plan)s
             ORDER BY rate.prefix, rate.id
            """
        )
        rates = self.env["billing.rate"]
        yield from self._told(
            rows,
            "error",
            lambda row: self.env._(
                "Two prices at the same time: %(one)s, and %(other)s.",
                one=rates.browse(row["id"])._label(),
                other=rates.browse(row["other_id"])._label(),
            ),
            lambda count: self.env._("%s more pairs have two prices at the same time.", count),
        )

    def _find_hours(self, day):
        rows = self._rows(
            f"""
            SELECT min(id) AS id, min(prefix) AS prefix, min(band) AS band
              FROM billing_rate rate
             WHERE plan_id = %(plan)s AND prefix != '*' AND {IN_FORCE}
             GROUP BY lower(prefix)
            HAVING count(DISTINCT band) = 1 AND min(band) != 'any'
             ORDER BY 2
            """,
            day=day,
        )

        def say(row):
            if row["band"] == "peak":
                return self.env._(
                    "“%s” has a rate for peak hours only: off-peak, a shorter one is taken.", row["prefix"]
                )
            return self.env._(
                "“%s” has a rate for off-peak hours only: at peak, a shorter one is taken.", row["prefix"]
            )

        yield from self._told(
            rows, "warning", say, lambda count: self.env._("%s more prefixes have a rate for some hours only.", count)
        )

    def _find_gaps(self, day):
        """Where a rate ends and none follows, or a later one only; for each of peak and off-peak."""
        rows = self._rows(
            """
            WITH timed AS (
                SELECT rate.id, rate.prefix, hours.band, rate.date_until,
                       lead(rate.date_from) OVER following AS next_from,
                       lead(rate.id) OVER following AS next_id
                  FROM billing_rate rate
                  JOIN (VALUES ('peak'), ('off_peak')) hours(band) ON rate.band IN ('any', hours.band)
                 WHERE rate.plan_id = %(plan)s
                WINDOW following AS (
                    PARTITION BY lower(rate.prefix), hours.band ORDER BY rate.date_from NULLS FIRST, rate.id
                )
            )
            SELECT id, min(prefix) AS prefix, min(date_until) AS date_until, min(next_from) AS next_from
              FROM timed
             WHERE date_until IS NOT NULL AND (next_id IS NULL OR next_from > date_until + 1)
             GROUP BY id
             ORDER BY min(date_until) DESC, 2
            """
        )
        gaps = [row for row in rows if row["next_from"]]
        yield from self._told(
            gaps,
            "warning",
            lambda row: self.env._(
                "“%(prefix)s” has no rate from %(first)s until %(last)s.",
                prefix=row["prefix"],
                first=format_date(self.env, fields.Date.add(row["date_until"], days=1)),
                last=format_date(self.env, fields.Date.subtract(row["next_from"], days=1)),
            ),
            lambda count: self.env._("%s more prefixes have days without a rate.", count),
        )
        ending = [row for row in rows if not row["next_from"] and row["date_until"] >= day]
        yield from self._told(
            ending,
            "warning",
            lambda row: self.env._(
                "“%(prefix)s” ends on %(day)s, and nothing follows.",
                prefix=row["prefix"],
                day=format_date(self.env, row["date_until"]),
            ),
            lambda count: self.env._("%s more prefixes end, and nothing follows.", count),
        )
        if ended := [row for row in rows if not row["next_from"] and row["date_until"] < day]:
            yield Finding(
                "note",
                self.env._(
                    "Prefixes that ended in the past, and nothing followed: %(count)s (“%(example)s” on %(day)s, for "
                    "one).",
                    count=len(ended),
                    example=ended[0]["prefix"],
                    day=format_date(self.env, ended[0]["date_until"]),
                ),
                ended[0]["id"],
            )

    def _find_tiers(self):
        rows = self._rows(
            """
            SELECT destination.id AS destination_id, name, tier_mode, count(tier.id) AS tiers, min(above) AS first
              FROM billing_rate_destination destination
              LEFT JOIN billing_rate_tier tier ON tier.destination_id = destination.id
             WHERE plan_id = %(plan)s
             GROUP BY destination.id
            HAVING (tier_mode = 'none') = (count(tier.id) > 0) OR min(above) > 0
             ORDER BY name
            """
        )

        def say(row):
            if row["tier_mode"] == "none":
                return self.env._("“%s” has tiers that nobody uses: its prices go by rate.", row["name"])
            if not row["tiers"]:
                return self.env._("“%s” goes by tiers, and has none: the prices of its rates are taken.", row["name"])
            return self.env._(
                "The first tier of “%s” begins above zero: up to there, the prices of its rates are taken.", row["name"]
            )

        yield from self._told(
            rows, "note", say, lambda count: self.env._("%s more destination groups have such tiers.", count)
        )

    def _find_unreachable(self):
        """A prefix is for nothing when all ten that are one digit longer have rates, at all hours and for ever."""
        if self.kind != "phone":
            return
        rows = self._rows(
            """
            SELECT rate.id, rate.prefix
              FROM billing_rate rate
              JOIN (SELECT left(prefix, -1) AS prefix
                      FROM billing_rate
                     WHERE plan_id = %(plan)s AND band = 'any' AND date_from IS NULL AND date_until IS NULL
                     GROUP BY 1
                    HAVING count(DISTINCT prefix) = 10) longer ON longer.prefix = rate.prefix
             WHERE rate.plan_id = %(plan)s
             ORDER BY rate.prefix
            """
        )
        yield from self._told(
            rows,
            "note",
            lambda row: self.env._(
                "“%s” is never reached: longer prefixes have rates for all that follows.", row["prefix"]
            ),
            lambda count: self.env._("%s more prefixes are never reached.", count),
        )

    def _find_needless(self, day):
        """What costs the same as the next shorter prefix, in the same group, could as well not be there."""
        if self.kind != "phone":
            return
        self.env.cr.execute(
            f"""
            SELECT id, prefix, (destination_id, price_unit, minimum, step, connection_fee, date_from, date_until)::text
              FROM billing_rate rate
             WHERE plan_id = %(plan)s AND band = 'any' AND prefix != '*' AND {IN_FORCE}
             ORDER BY prefix
            """,
            {"plan": self.id, "day": day},
        )
        rates = {prefix: (rate_id, terms) for rate_id, prefix, terms in self.env.cr.fetchall()}
        needless = []
        for prefix, (rate_id, terms) in rates.items():
            shorter = next((part for part in leading_parts(prefix)[1:] if part in rates), None)
            if shorter and rates[shorter][1] == terms:
                needless.append((rate_id, prefix, shorter))
        if needless:
            rate_id, prefix, shorter = needless[0]
            yield Finding(
                "note",
                self.env._(
                    "Prefixes that cost what the next shorter one does, in the same group: %(count)s (“%(prefix)s” as "
                    "“%(shorter)s”, for one). They do no harm.",
                    count=len(needless),
                    prefix=prefix,
                    shorter=shorter,
                ),
                rate_id,
            )

    def _find_groups(self):
        rows = self._rows(
            """
            SELECT id AS destination_id, name
              FROM billing_rate_destination destination
             WHERE plan_id = %(plan)s
               AND NOT EXISTS (SELECT FROM billing_rate WHERE destination_id = destination.id)
             ORDER BY name
            """
        )
        yield from (
            Finding("note", finding.text, None, finding.destination_id)
            for finding in self._told(
                rows,
                "note",
                lambda row: self.env._("No rate leads to the destination group “%s”.", row["name"]),
                lambda count: self.env._("To %s more destination groups, no rate leads.", count),
            )
        )


IN_FORCE = """
    COALESCE(rate.date_from, '-infinity') <= %(day)s AND COALESCE(rate.date_until, 'infinity') >= %(day)s
"""
