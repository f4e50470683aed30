from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from psycopg2.errors import UniqueViolation

from odoo import api, models
from odoo.fields import Domain
from odoo.tools import SQL

from odoo.addons.invoice_portal.tools.periods import ONE_DAY, add_months, exact

from ..tools.shares import MICRO, rounded
from ..tools.units import UNITS
from .billing_usage_bill_price import Grant, Scope, Span, rows

# The index by which the database refuses to bill a part of a period twice.
ONE_PART = "billing_usage_bill_one_part"


class Terms(NamedTuple):
    """A period of a subscription, what of a whole one it is, and the package in force on its first day."""

    first: Any
    last: Any
    share: Fraction
    package: Any
    minimum: float


class Known(NamedTuple):
    """What was billed of a period already."""

    parts: int
    amount: Decimal
    minimum: Decimal


class Spent(NamedTuple):
    """What the bills of a period come to by now, what was asked for up to its minimum, and what of that stands.

    Usage that was waived is spent, or the minimum would ask for it again.
    """

    amount: Decimal
    asked: Decimal
    stands: Decimal

    def missing(self, owed):
        """To the minimum, or what was made up for and is not missing any more: never more than what stands of that."""
        return max(max(owed - self.amount, Decimal(0)) - self.asked, min(-self.stands, Decimal(0)))


class Planned(NamedTuple):
    """What could be billed now. The scopes are numbered from 1; which of them hold anything, is not known yet."""

    scopes: list
    spans: list
    terms: dict
    known: dict
    closed: set
    settled: set

    def is_closed(self, scope):
        return (scope.partner, scope.subscription, scope.first) in self.closed

    def is_settled(self, scope):
        return (scope.partner, scope.plan, scope.subscription, scope.first) in self.settled

    def known_of(self, scope):
        key = scope.partner, scope.plan, scope.subscription, scope.first
        return self.known.get(key) or Known(0, Decimal(0), Decimal(0))


class BillingUsageBill(models.Model):
    """How rated usage becomes bills. Statements over all clients and records at once; each record goes on one bill."""

    _inherit = "billing.usage.bill"

    @api.model
    def _make(self, clients, company, until, only_late=False):
        """Bill what these clients used before the day `until` and was not billed yet, and return the bills.

        Who does it at the same moment as somebody else loses, against the records that the other one took or against
        the unique index, and leaves it to them.
        """
        self._rate_what_is_stale(clients, company, until)
        planned = self._plan(clients, company, until, only_late)
        if not planned.scopes:
            return self.browse()
        try:
            with self.env.cr.savepoint():
                bills, scopes = self._claim(company, planned, until)
                bills._charge_usage(company, scopes)
                minimums = self._bill_minimums(company, planned, until, bills)
                minimums._charge_minimum()
        except UniqueViolation as error:
            if error.diag.constraint_name != ONE_PART:
                raise
            self.env.invalidate_all()
            return self.browse()
        return bills | minimums

    @api.model
    def _rate_what_is_stale(self, clients, company, until):
        """By the plans as they are now, also what no rate fitted then."""
        self._flush_what_is_read()
        stale = self.env.execute_query(
            SQL(
                """
                SELECT 1
                  FROM billing_usage usage
                  JOIN billing_rate_plan plan ON plan.id = usage.rate_plan_id
                 WHERE usage.bill_id IS NULL AND usage.partner_id IN %s AND usage.company_id = %s AND usage.day < %s
                   AND usage.plan_revision IS DISTINCT FROM plan.revision
                 LIMIT 1
                """,
                tuple(clients.ids) or (None,),
                company.id,
                until,
            )
        )
        if stale:
            self.env["billing.usage"]._rate_again(
                [
                    ("partner_id", "in", clients.ids),
                    ("company_id", "=", company.id),
                    ("day", "<", until),
                    ("bill_id", "=", False),
                ]
            )

    @api.model
    def _flush_what_is_read(self):
        for name in (
            "billing.charge",
            "billing.package",
            "billing.package.allowance",
            "billing.rate",
            "billing.rate.destination",
            "billing.rate.plan",
            "billing.rate.tier",
            "billing.usage.bill",
            "billing.usage.bill.allowance",
            "billing.usage.source",
            "billing.usage.total",
        ):
            self.env[name].flush_model()

    # -- which periods ------------------------------------------------------------------------------------------------

    @api.model
    def _plan(self, clients, company, until, only_late=False, running_on=None):
        """
        :param only_late: what came when its period was billed as over
        :param running_on: also periods of subscriptions that hold this day, whether anything was used or not
        """
        found = self._open_days(clients, company, until)
        subscriptions = self.env["billing.subscription"].browse({row[2] for row in found if row[2]}).exists()
        others = subscriptions.browse() if only_late else self._with_minimum(clients, company, running_on)
        terms = self._terms_of(subscriptions | others, until)
        known, closed, settled = self._known(clients, company)
        planned = Planned([], [], {}, known, closed, settled)
        numbers = {}

        def scope_of(partner, plan, subscription, first, last, of=None):
            key = partner, plan, subscription, first
            if key not in numbers:
                numbers[key] = len(planned.scopes) + 1
                share = of.share if of else Fraction(1)
                planned.scopes.append(Scope(numbers[key], *key, last, share.numerator, share.denominator, sizes[plan]))
                planned.terms[numbers[key]] = of
            return numbers[key]

        unused = [
            (subscription, of, of.package.rate_plan_id.id)
            for subscription in others
            for of in terms[subscription.id]
            if of.package.rate_plan_id
            and (of.first <= running_on <= of.last if running_on else of.minimum and of.last < until)
        ]
        plans = self.env["billing.rate.plan"].browse({row[1] for row in found} | {plan for *_of, plan in unused})
        sizes = {plan.id: UNITS[plan.unit].size for plan in plans}
        for partner, plan, subscription, low, high in found:
            for of, first, last in self._cut(terms.get(subscription, []), low, high):
                if of:
                    key = partner, plan, subscription, of.first, of.last, of
                else:
                    month = first.replace(day=1)
                    key = partner, plan, 0, month, add_months(month, 1) - ONE_DAY
                is_late = (partner, *key[2:4]) in closed
                if is_late if only_late else not (is_late and company.billing_usage_late == "correction"):
                    planned.spans.append(Span(scope_of(*key), partner, plan, subscription, first, last))
        for subscription, of, plan in unused:
            key = subscription.partner_id.id, plan, subscription.id, of.first
            if key not in settled:
                scope_of(*key, of.last, of)
        return planned

    @api.model
    def _open_days(self, clients, company, until):
        """From when to when there is rated usage to bill: `[(client, plan, subscription or 0, first, last)]`."""
        return self.env.execute_query(
            SQL(
                """
                SELECT partner_id, rate_plan_id, COALESCE(subscription_id, 0), MIN(day), MAX(day)
                  FROM billing_usage
                 WHERE bill_id IS NULL AND partner_id IN %s AND company_id = %s AND unrated_reason IS NULL
                   AND day < %s AND rate_plan_id IS NOT NULL
              GROUP BY 1, 2, 3
              ORDER BY 1, 2, 3
                """,
                tuple(clients.ids) or (None,),
                company.id,
                until,
            )
        )

    @api.model
    def _with_minimum(self, clients, company, running_on=None):
        """Subscriptions that cost something, or include something, though nothing may have been used."""
        domain = Domain("partner_id", "in", clients.ids) & Domain("company_id", "=", company.id)
        if running_on:
            domain &= Domain("phase_ids.package_id.rate_plan_id", "!=", False)
        else:
            domain &= Domain("phase_ids.package_id.usage_minimum", ">", 0)
        return self.env["billing.subscription"].with_context(active_test=False).search(domain)

    @api.model
    def _terms_of(self, subscriptions, until):
        """`{subscription id: periods that begin before the day}`."""
        return {
            subscription.id: [
                self._terms_of_period(subscription, period) for period in subscription._periods(until - ONE_DAY)
            ]
            for subscription in subscriptions.with_context(active_test=False)
        }

    @api.model
    def _terms_of_period(self, subscription, period):
        lead = period.segments[0].terms
        # In a trial, nothing is agreed to pay, and what is included is used already.
        package = lead.package if lead else subscription._phase_on(period.first).package_id
        share = Fraction(1)
        if lead and lead.proration == "day":
            share = Fraction((period.last - period.first).days + 1, (period.whole_last - period.whole_first).days + 1)
        owes = (
            lead and not lead.paused and (not package.usage_minimum_from or package.usage_minimum_from <= period.last)
        )
        return Terms(period.first, period.last, share, package, package.usage_minimum if owes else 0)

    @api.model
    def _cut(self, periods, low, high):
        """These days by the periods that hold them, else by calendar months: `(terms or None, first, last)`."""
        day = low
        holding = iter([of for of in periods if of.last >= low and of.first <= high])
        following = next(holding, None)
        while day <= high:
            if following and following.first <= day:
                yield following, day, min(following.last, high)
                day = following.last + ONE_DAY
                following = next(holding, None)
            else:
                last = add_months(day.replace(day=1), 1) - ONE_DAY
                if following:
                    last = min(last, following.first - ONE_DAY)
                yield None, day, min(last, high)
                day = last + ONE_DAY

    @api.model
    def _known(self, clients, company):
        """What was billed before, and which periods were over then: of the client, and by each plan."""
        known, closed, settled = {}, set(), set()
        for partner, plan, subscription, first, parts, amount, minimum, is_over in self.env.execute_query(
            SQL(
                """
                SELECT partner_id, rate_plan_id, COALESCE(subscription_id, 0), period_start, MAX(part),
                       SUM(COALESCE(amount, 0))::text, SUM(COALESCE(minimum_amount, 0))::text,
                       BOOL_OR(COALESCE(is_over, FALSE))
                  FROM billing_usage_bill
                 WHERE partner_id IN %s AND company_id = %s
              GROUP BY 1, 2, 3, 4
                """,
                tuple(clients.ids) or (None,),
                company.id,
            )
        ):
            known[partner, plan, subscription, first] = Known(parts, Decimal(amount), Decimal(minimum))
            if is_over:
                closed.add((partner, subscription, first))
                settled.add((partner, plan, subscription, first))
        return known, closed, settled

    # -- allowances ---------------------------------------------------------------------------------------------------

    @api.model
    def _grants(self, company, planned):
        """What is left of the allowances of each scope, in the turn in which they are used up."""
        packages = self.env["billing.package"].union(*(of.package for of in planned.terms.values() if of))
        if not packages.allowance_ids:
            return []
        used = self._used_before(company, planned)
        grants = []
        for scope in planned.scopes:
            of = planned.terms[scope.number]
            if not of:
                continue
            rank = 0
            for allowance in of.package.allowance_ids.sorted(lambda one: (one.sequence, one.id)):
                everywhere = not allowance.destination_ids
                if everywhere and of.package.rate_plan_id and of.package.rate_plan_id.id != scope.plan:
                    # It is in that plan's units, and over all of that plan.
                    continue
                rank += 1
                whole = rounded(Fraction(exact(allowance.quantity)) * Fraction(scope.size) * of.share, MICRO)
                left = max(whole - used.get((scope.number, allowance.id), 0), Decimal(0))
                grants.append(Grant(scope.number, rank, allowance.id, everywhere, whole, left))
        return grants

    @api.model
    def _used_before(self, company, planned):
        return {
            (number, allowance): Decimal(quantity)
            for number, allowance, quantity in self.env.execute_query(
                SQL(
                    """
                    SELECT scope.number, used.allowance_id, SUM(used.quantity)::text
                      FROM %s
                      JOIN billing_usage_bill bill ON bill.partner_id = scope.partner_id AND bill.company_id = %s
                       AND bill.rate_plan_id = scope.rate_plan_id AND bill.period_start = scope.period_start
                       AND COALESCE(bill.subscription_id, 0) = scope.subscription_id
                      JOIN billing_usage_bill_allowance used ON used.bill_id = bill.id
                  GROUP BY 1, 2
                    """,
                    SQL("%s scope", self._scope_rows(planned.scopes)),
                    company.id,
                )
            )
        }

    # -- taking the records -------------------------------------------------------------------------------------------

    @api.model
    def _claim(self, company, planned, until):
        """Price the open records, put each on its bill, and write the bills and their totals: one statement.

        The condition on the records decides: of two transactions that want the same one, the second fails or finds it
        taken.
        """
        ids = [
            id_
            for (id_,) in self.env.execute_query(
                SQL("SELECT nextval('billing_usage_bill_id_seq')::int FROM generate_series(1, %s)", len(planned.scopes))
            )
        ]
        numbers = {scope.number: id_ for scope, id_ in zip(planned.scopes, ids, strict=True)}
        scopes = [scope._replace(number=numbers[scope.number]) for scope in planned.scopes]
        spans = [span._replace(number=numbers[span.number]) for span in planned.spans]
        grants = [grant._replace(number=numbers[grant.number]) for grant in self._grants(company, planned)]
        if not spans:
            return self.browse(), []
        groupings = self._groupings_of({scope.partner for scope in planned.scopes}, company)
        facts = [
            (
                numbers[scope.number],
                planned.known_of(scope).parts + 1,
                planned.is_closed(scope),
                scope.last < until,
                groupings[scope.partner],
                self._step_of(self.env["billing.rate.plan"].browse(scope.plan).currency_id),
            )
            for scope in planned.scopes
        ]
        made = self.env.execute_query(self._claim_sql(company, scopes, spans, grants, facts, until))
        for name in ("billing.usage", "billing.rate", "billing.usage.bill", "billing.usage.total"):
            self.env[name].invalidate_model()
        bills = self.browse(sorted(id_ for (id_,) in made))
        return bills, [scope for scope in scopes if scope.number in bills._ids]

    @api.model
    def _groupings_of(self, partner_ids, company):
        """Of many clients at once."""
        return {
            client.id: client.billing_usage_grouping or company.billing_usage_grouping
            for client in self.env["res.partner"].with_company(company).browse(partner_ids)
        }

    @api.model
    def _claim_sql(self, company, scopes, spans, grants, facts, until):
        columns = {
            "bill_id": "int",
            "part": "int",
            "late": "bool",
            "is_over": "bool",
            "grouping_by": "text",
            "step": "numeric",
        }
        return SQL(
            """
            WITH %(price)s,
            fact AS MATERIALIZED %(facts)s,
            claimed AS (
                UPDATE billing_usage taken
                   SET bill_id = priced.number, late = fact.late, allowance_quantity = priced.covered,
                       amount = priced.charged
                  FROM priced
                  JOIN fact ON fact.bill_id = priced.number
                 WHERE taken.id = priced.id AND taken.bill_id IS NULL
             RETURNING priced.*
            ),
            used AS (%(used)s),
            marked AS (
                UPDATE billing_rate SET billed = TRUE
                 WHERE billed IS NOT TRUE AND id IN (SELECT rate_id FROM claimed)
            ),
            total AS (
                INSERT INTO billing_usage_total (
                    bill_id, destination_id, destination_name, day, record_count, quantity, billed_quantity,
                    allowance_quantity, list_amount, fee_amount, amount
                )
                SELECT claimed.number, claimed.destination_id, MAX(destination.name), claimed.day, COUNT(*),
                       SUM(claimed.quantity), SUM(claimed.billed_quantity), SUM(claimed.covered),
                       SUM(claimed.list_amount), SUM(claimed.fee_charged), SUM(claimed.charged)
                  FROM claimed
             LEFT JOIN billing_rate_destination destination ON destination.id = claimed.destination_id
              GROUP BY claimed.number, claimed.destination_id, claimed.day
             RETURNING bill_id, day, record_count, billed_quantity, amount
            )
            INSERT INTO billing_usage_bill (
                id, company_id, partner_id, subscription_id, rate_plan_id, currency_id, period_start, period_end, part,
                day_from, day_until, late, is_over, kind, "grouping", record_count, billed_quantity, exact_amount,
                amount, minimum_amount, create_uid, create_date, write_uid, write_date
            )
            SELECT scope.number, %(company)s, scope.partner_id, NULLIF(scope.subscription_id, 0), scope.rate_plan_id,
                   plan.currency_id, scope.period_start, scope.period_end, fact.part, summed.day_from,
                   summed.day_until, fact.late, fact.is_over, kinds.kind, fact.grouping_by, summed.record_count,
                   summed.billed_quantity, summed.amount, ROUND(summed.amount / fact.step) * fact.step, 0,
                   %(uid)s, %(now)s, %(uid)s, %(now)s
              FROM scope
              JOIN fact ON fact.bill_id = scope.number
              JOIN billing_rate_plan plan ON plan.id = scope.rate_plan_id
              JOIN (
                SELECT bill_id, MIN(day) AS day_from, MAX(day) AS day_until, SUM(record_count) AS record_count,
                       SUM(billed_quantity) AS billed_quantity, SUM(amount) AS amount
                  FROM total
              GROUP BY bill_id
              ) summed ON summed.bill_id = scope.number
              JOIN (
                SELECT sources.number, CASE WHEN BOOL_AND(source.kind = 'phone') THEN 'phone' ELSE 'key' END AS kind
                  FROM (SELECT DISTINCT number, source_id FROM claimed) sources
             LEFT JOIN billing_usage_source source ON source.id = sources.source_id
              GROUP BY sources.number
              ) kinds ON kinds.number = scope.number
         RETURNING id
            """,
            price=self._price_sql(company, scopes, spans, grants, until),
            facts=rows("fact", columns, facts),
            used=self._used_sql(grants),
            company=company.id,
            uid=self.env.uid,
            now=self.env.cr.now(),
        )

    @api.model
    def _used_sql(self, grants):
        """What each allowance gave, for the next part of the period."""
        ranks = max((grant.rank for grant in grants), default=0)
        if not ranks:
            return SQL("SELECT 1")
        return SQL(
            """
            INSERT INTO billing_usage_bill_allowance (bill_id, allowance_id, granted_quantity, quantity)
            SELECT taken.number, allowance.allowance_id, allowance.granted, SUM(taken.quantity)
              FROM (%s) taken
              JOIN allowance ON allowance.number = taken.number AND allowance.rank = taken.rank
          GROUP BY 1, 2, 3
            HAVING SUM(taken.quantity) > 0
            """,
            SQL(" UNION ALL ").join(
                SQL(
                    "SELECT number, %s AS rank, %s - %s AS quantity FROM claimed",
                    rank,
                    SQL.identifier(before),
                    SQL.identifier(after),
                )
                for rank, (before, after) in enumerate(self._steps_of_allowances(ranks), start=1)
            ),
        )

    @api.model
    def _steps_of_allowances(self, ranks):
        """What was uncovered before and after each of them."""
        columns = [*(f"before_{rank}" for rank in range(1, ranks + 1)), "uncovered"]
        return list(zip(columns[:-1], columns[1:], strict=True))

    # -- minimum spend ------------------------------------------------------------------------------------------------

    @api.model
    def _bill_minimums(self, company, planned, until, bills):
        """What is missing to the minimum of periods that are over, over all their bills. Returns the bills that hold
        nothing else.

        What was made up for before and is not missing any more, as usage came late, is given back, as far as it was
        not waived: how much is paid does not depend on what came first.
        """
        periods = {}
        for scope in planned.scopes:
            of = planned.terms[scope.number]
            if of and of.last < until:
                currency = self.env["billing.rate.plan"].browse(scope.plan).currency_id
                periods.setdefault((scope.partner, scope.subscription, scope.first, currency.id), []).append(scope)
        if not periods:
            return self.browse()
        spent = self._spent(company, [scope for scopes in periods.values() for scope in scopes])
        by_key = {
            (bill.partner_id.id, bill.rate_plan_id.id, bill.subscription_id.id, bill.period_start): bill
            for bill in bills
        }
        groupings = self._groupings_of({scope.partner for scopes in periods.values() for scope in scopes}, company)
        missing, bare = {}, []
        for key, scopes in periods.items():
            of = planned.terms[scopes[0].number]
            # The package's own plan has the minimum; what is used by others in its currency counts, too.
            scopes.sort(key=lambda scope, of=of: scope.plan != of.package.rate_plan_id.id)
            lead, currency = scopes[0], self.env["res.currency"].browse(key[-1])
            now = self.browse().concat(
                *(by_key.get((one.partner, one.plan, one.subscription, one.first)) or self.browse() for one in scopes)
            )
            of_period = spent.get(key) or Spent(Decimal(0), Decimal(0), Decimal(0))
            if of.minimum and lead.plan == of.package.rate_plan_id.id and not planned.is_settled(lead):
                owed = rounded(Fraction(exact(of.minimum)) * of.share, self._step_of(currency))
            elif of_period.asked:
                # What was agreed then, whatever the package says by now.
                owed = of_period.asked + of_period.amount - sum((bill._came_to() for bill in now), Decimal(0))
            else:
                continue
            amount = of_period.missing(owed)
            if not amount:
                continue
            if now:
                missing[now[0].id] = amount
            elif amount > 0:
                bare.append(
                    {
                        "company_id": company.id,
                        "partner_id": lead.partner,
                        "subscription_id": lead.subscription,
                        "rate_plan_id": lead.plan,
                        "currency_id": currency.id,
                        "period_start": lead.first,
                        "period_end": lead.last,
                        "part": planned.known_of(lead).parts + 1,
                        "is_over": True,
                        "grouping": groupings[lead.partner],
                        "minimum_amount": float(amount),
                    }
                )
        # Elevated, as nobody writes bills but these methods.
        for bill in self.sudo().browse(missing):
            bill.minimum_amount = float(missing[bill.id])
        made = self.sudo().create(bare).with_env(self.env)
        made.flush_recordset()
        return self.browse(missing) + made

    def _came_to(self):
        """Of a bill just made, and nothing of one that was not."""
        volume = self.charge_ids.filtered(lambda charge: charge.usage_group.startswith("volume-"))
        return sum(map(exact, [*self.mapped("amount"), *volume.mapped("usage_amount")]), Decimal(0))

    @api.model
    def _spent(self, company, scopes):
        """`{(client, subscription, first day of the period, currency): Spent}`, over all bills of the period."""
        self.flush_model()
        self.env["billing.charge"].flush_model()
        found = self.env.execute_query(
            SQL(
                """
                SELECT bill.partner_id, bill.subscription_id, bill.period_start, bill.currency_id,
                       (SUM(COALESCE(bill.amount, 0)) + SUM(COALESCE(charged.volume, 0)))::text,
                       SUM(COALESCE(bill.minimum_amount, 0))::text, SUM(COALESCE(charged.minimum, 0))::text
                  FROM billing_usage_bill bill
             LEFT JOIN LATERAL (
                    SELECT SUM(usage_amount) FILTER (WHERE starts_with(usage_group, 'volume-')) AS volume,
                           SUM(usage_amount) FILTER (WHERE usage_group = 'minimum' AND discarded IS NOT TRUE) AS minimum
                      FROM billing_charge
                     WHERE usage_bill_id = bill.id
                  ) charged ON TRUE
                 WHERE bill.company_id = %s AND bill.subscription_id IN %s AND bill.partner_id IN %s
              GROUP BY 1, 2, 3, 4
                """,
                company.id,
                tuple({scope.subscription for scope in scopes}),
                tuple({scope.partner for scope in scopes}),
            )
        )
        return {tuple(key): Spent(*map(Decimal, amounts)) for *key, amounts in ((*r[:4], r[4:]) for r in found)}
