from typing import NamedTuple

from odoo import api, models
from odoo.tools import SQL

# What has more digits than this before it is rounded to six cannot be told from what it stands for: a quotient by 3600
# is further from the middle between two roundings.
WIDE = SQL("numeric(70, 30)")


class Scope(NamedTuple):
    """What is billed together: usage of a client by one plan, of one subscription or none, in one period."""

    number: int  # the bill's id to be
    partner: int
    plan: int
    subscription: int  # 0: none
    first: object
    last: object
    days: int  # What the period is of a whole one, as a fraction.
    of_days: int
    size: object  # of the plan's unit, in base units


class Span(NamedTuple):
    """Which records belong to a scope: those of a subscription on these days."""

    number: int
    partner: int
    plan: int
    subscription: int  # of the records; 0: none
    first: object
    last: object


class Grant(NamedTuple):
    """What of an allowance is left to a scope, in base units, and in which turn."""

    number: int
    rank: int
    allowance: int
    everywhere: bool
    granted: object
    left: object


def rows(alias, columns, values):
    """The values as a table of the statement. They travel as one array for each column."""
    values = list(zip(*values, strict=True)) or [()] * len(columns)
    return SQL(
        "(SELECT * FROM unnest(%s) AS %s(%s))",
        SQL(", ").join(
            SQL("%s::%s[]", list(column), SQL(kind)) for column, kind in zip(values, columns.values(), strict=True)
        ),
        SQL.identifier(alias),
        SQL(", ").join(map(SQL.identifier, columns)),
    )


class BillingUsageBill(models.Model):
    """What usage costs in its period: allowances first, tiers on what is left. One statement, whatever the number of
    records; it only reads, so that what is shown beforehand is what will be billed.
    """

    _inherit = "billing.usage.bill"

    @api.model
    def _price_sql(self, company, scopes, spans, grants, until):
        """CTEs, of which `priced` has a row per open record: its id, scope, and what it is charged."""
        # Compiling so long a statement takes PostgreSQL seconds, many times what it saves.
        self.env.cr.execute("SET LOCAL jit = off")
        ranks = max((grant.rank for grant in grants), default=0)
        plans = tuple({scope.plan for scope in scopes}) or (None,)
        tiered = self.env["billing.rate.destination"].search_count(
            [("plan_id", "in", plans), ("tier_mode", "!=", "none")], limit=1
        )
        parts = [
            SQL("scope AS MATERIALIZED %s", self._scope_rows(scopes)),
            SQL("span AS MATERIALIZED %s", self._span_rows(spans)),
            SQL("allowance AS MATERIALIZED %s", self._grant_rows(grants)),
            SQL("open_0 AS (%s)", self._open_records_sql(company, until)),
            *(
                SQL("%s AS (%s)", SQL.identifier(f"open_{rank}"), self._covered_sql(rank))
                for rank in range(1, ranks + 1)
            ),
            # Read twice, from here on.
            SQL("uncovered AS MATERIALIZED (SELECT * FROM %s)", SQL.identifier(f"open_{ranks}")),
        ]
        if tiered:
            parts += [
                SQL("earlier AS (%s)", self._earlier_sql(company)),
                SQL("tier AS (%s)", self._tier_sql()),
                SQL("in_tiers AS (%s)", self._in_tiers_sql()),
                SQL("cost AS (%s)", self._tier_cost_sql()),
            ]
        else:
            parts.append(SQL("cost AS (SELECT NULL::bigint AS id, NULL::numeric AS cost WHERE FALSE)"))
        parts.append(SQL("priced AS (%s)", self._priced_sql()))
        return SQL(", ").join(parts)

    @api.model
    def _scope_rows(self, scopes):
        columns = {
            "number": "int",
            "partner_id": "int",
            "rate_plan_id": "int",
            "subscription_id": "int",
            "period_start": "date",
            "period_end": "date",
            "days": "numeric",
            "of_days": "numeric",
            "size": "numeric",
        }
        return rows("scope", columns, scopes)

    @api.model
    def _span_rows(self, spans):
        columns = {
            "number": "int",
            "partner_id": "int",
            "rate_plan_id": "int",
            "subscription_id": "int",
            "first_day": "date",
            "last_day": "date",
        }
        return rows("span", columns, spans)

    @api.model
    def _grant_rows(self, grants):
        columns = {
            "number": "int",
            "rank": "int",
            "allowance_id": "int",
            "everywhere": "bool",
            "granted": "numeric",
            "available": "numeric",
        }
        return rows("allowance", columns, grants)

    @api.model
    def _open_records_sql(self, company, until):
        return SQL(
            """
            SELECT usage.id, span.number, usage.moment, usage.day, usage.source_id, usage.rate_id,
                   usage.destination_id, usage.quantity, usage.billed_quantity, usage.list_amount,
                   COALESCE(rate.price_unit, 0) AS price, COALESCE(rate.connection_fee, 0) AS fee,
                   usage.billed_quantity AS uncovered
              FROM span
              -- Each span looks up its own, by client and day: however little the database knows of records that came
              -- a moment ago, it does not compare each of them with each span, nor expect but one row in all.
        CROSS JOIN LATERAL (
                SELECT *
                  FROM billing_usage
                 WHERE partner_id = span.partner_id AND bill_id IS NULL
                   AND day BETWEEN span.first_day AND LEAST(span.last_day, %(until)s::date - 1)
                   AND company_id = %(company)s AND unrated_reason IS NULL
                   AND rate_plan_id = span.rate_plan_id AND COALESCE(subscription_id, 0) = span.subscription_id
                OFFSET 0
              ) usage
         LEFT JOIN billing_rate rate ON rate.id = usage.rate_id
            """,
            company=company.id,
            until=until,
        )

    @api.model
    def _covered_sql(self, rank):
        """Each record takes from the allowance what those before it left, as far as the allowance is for it."""
        return SQL(
            """
            SELECT id, number, moment, day, source_id, rate_id, destination_id, quantity, billed_quantity, list_amount,
                   price, fee,
                   CASE WHEN fits THEN uncovered - GREATEST(0, LEAST(uncovered, available - before)) ELSE uncovered
                   END AS uncovered
                   %(kept)s, uncovered AS %(own)s
              FROM (
                SELECT record.*, allowance.available, fitting.fits,
                       COALESCE(SUM(CASE WHEN fitting.fits THEN record.uncovered END) OVER (
                           PARTITION BY record.number ORDER BY record.moment, record.id
                           ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                       ), 0) AS before
                  FROM %(previous)s record
             LEFT JOIN allowance ON allowance.number = record.number AND allowance.rank = %(rank)s
             LEFT JOIN billing_package_allowance_billing_rate_destination_rel rel
                    ON rel.billing_package_allowance_id = allowance.allowance_id
                   AND rel.billing_rate_destination_id = record.destination_id
            CROSS JOIN LATERAL (
                    SELECT COALESCE(allowance.everywhere OR rel.billing_rate_destination_id IS NOT NULL, FALSE) AS fits
                  ) fitting
              ) counted
            """,
            previous=SQL.identifier(f"open_{rank - 1}"),
            rank=rank,
            own=SQL.identifier(f"before_{rank}"),
            kept=SQL("").join(SQL(", %s", SQL.identifier(f"before_{other}")) for other in range(1, rank)),
        )

    @api.model
    def _earlier_sql(self, company):
        """What was billed of these periods before and not included, by destination group."""
        return SQL(
            """
            SELECT scope.number, total.destination_id,
                   SUM(total.billed_quantity - COALESCE(total.allowance_quantity, 0)) AS uncovered,
                   SUM(total.amount - COALESCE(total.fee_amount, 0)) AS priced
              FROM scope
              JOIN billing_usage_bill bill ON bill.partner_id = scope.partner_id AND bill.company_id = %s
               AND bill.rate_plan_id = scope.rate_plan_id AND COALESCE(bill.subscription_id, 0) = scope.subscription_id
               AND bill.period_start = scope.period_start AND bill.id <> scope.number
              JOIN billing_usage_total total ON total.bill_id = bill.id
          GROUP BY scope.number, total.destination_id
            """,
            company.id,
        )

    @api.model
    def _tier_sql(self):
        """Where each tier begins in this period, in base units."""
        return SQL(
            """
            SELECT number, destination_id, price_unit, lower, LEAD(lower) OVER (
                       PARTITION BY number, destination_id ORDER BY above
                   ) AS upper
              FROM (
                SELECT scope.number, tier.destination_id, tier.price_unit, tier.above,
                       ROUND((tier.above * scope.size * scope.days)::%s / scope.of_days, 6) AS lower
                  FROM scope
                  JOIN billing_rate_destination destination
                    ON destination.plan_id = scope.rate_plan_id AND destination.tier_mode <> 'none'
                  JOIN billing_rate_tier tier ON tier.destination_id = destination.id
              ) bounds
            """,
            WIDE,
        )

    @api.model
    def _in_tiers_sql(self):
        return SQL(
            """
            SELECT record.id, record.number, record.destination_id, record.price, record.uncovered,
                   destination.tier_mode,
                   COALESCE(earlier.uncovered, 0) - record.uncovered + SUM(record.uncovered) OVER (
                       PARTITION BY record.number, record.destination_id ORDER BY record.moment, record.id
                       ROWS UNBOUNDED PRECEDING
                   ) AS before,
                   COALESCE(earlier.uncovered, 0) + SUM(record.uncovered) OVER (
                       PARTITION BY record.number, record.destination_id
                   ) AS whole
              FROM uncovered record
              JOIN billing_rate_destination destination
                ON destination.id = record.destination_id AND destination.tier_mode <> 'none'
         LEFT JOIN earlier ON earlier.number = record.number AND earlier.destination_id = record.destination_id
            """
        )

    @api.model
    def _tier_cost_sql(self):
        """Below the first tier, the rate's own price goes on."""
        return SQL(
            """
            SELECT record.id, CASE record.tier_mode
                       WHEN 'graduated' THEN
                           record.price * GREATEST(0, LEAST(record.uncovered, MIN(tier.lower) - record.before))
                           + COALESCE(SUM(tier.price_unit * GREATEST(
                               0,
                               LEAST(record.before + record.uncovered, tier.upper)
                               - GREATEST(record.before, tier.lower)
                           )), 0)
                       ELSE record.uncovered * COALESCE(
                           (ARRAY_AGG(tier.price_unit ORDER BY tier.lower DESC, tier.price_unit)
                            FILTER (WHERE tier.lower < record.whole))[1],
                           record.price
                       )
                   END AS cost
              FROM in_tiers record
         LEFT JOIN tier ON tier.number = record.number AND tier.destination_id = record.destination_id
          GROUP BY record.id, record.tier_mode, record.price, record.uncovered, record.before, record.whole
            """
        )

    @api.model
    def _priced_sql(self):
        return SQL(
            """
            SELECT record.*, record.billed_quantity - record.uncovered AS covered,
                   CASE WHEN record.uncovered > 0 THEN record.fee ELSE 0 END AS fee_charged,
                   CASE WHEN record.uncovered = 0 THEN 0
                        WHEN cost.id IS NULL AND record.uncovered = record.billed_quantity THEN record.list_amount
                        ELSE ROUND(
                            record.fee + COALESCE(cost.cost, record.uncovered * record.price)::%s / scope.size, 6
                        )
                   END AS charged
              FROM uncovered record
              JOIN scope ON scope.number = record.number
         LEFT JOIN cost ON cost.id = record.id
            """,
            WIDE,
        )
