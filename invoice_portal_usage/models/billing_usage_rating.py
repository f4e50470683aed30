from contextlib import contextmanager

import pytz

from odoo import api, models
from odoo.fields import Domain
from odoo.tools import SQL, ormcache

from ..tools.prefix_ranges import NO_RATE, PLACE_SQL
from ..tools.units import UNITS
from .billing_rate_plan_terms import NO_TERMS

RATED = (
    "account_id", "partner_id", "subscription_id", "day", "rate_plan_id", "plan_revision", "rate_id", "destination_id",
    "billed_quantity", "list_amount", "amount", "allowance_quantity", "unrated_reason",
)  # fmt: skip
# Characters of rates in one statement, some 300,000 rates: what needs more is rated by several.
MOST_IN_STATEMENT = 16_000_000


class BillingUsage(models.Model):
    """What each record costs by itself: whose it is, by which plan, by which rate. One statement for all.

    What depends on the other records of its period (what is included, tiers) is told when they are billed.
    """

    _inherit = "billing.usage"

    @api.model
    def _prepare_staging(self):
        """A place for records that are to be rated, and one for whose they are."""
        self.env.cr.execute(
            """
            CREATE TEMPORARY TABLE IF NOT EXISTS billing_usage_staged (
                id integer, source_id integer, line integer, external_id varchar, account varchar, client varchar,
                subscription varchar, moment timestamp, destination varchar, quantity numeric, attributes jsonb,
                partner_id integer, subscription_id integer
            ) ON COMMIT DROP;
            CREATE TEMPORARY TABLE IF NOT EXISTS billing_usage_owner (
                source_id integer, key varchar, is_named boolean, account_id integer, partner_id integer,
                subscription_id integer, is_phone boolean, begins timestamp, ends timestamp, tz varchar,
                plan_id integer, revision integer, size numeric, measures boolean, plan_tz varchar, peak_from numeric,
                peak_until numeric, peak_weekend boolean
            ) ON COMMIT DROP;
            TRUNCATE billing_usage_staged, billing_usage_owner
            """,
            # Whoever only looked (at a preview) is asked again by Odoo, with a transaction that may do this.
            log_exceptions=False,
        )

    @contextmanager
    def _of_unknown_size(self):
        """For statements about what is staged, of which the database knows too little: it would sort where it can look
        up, compile for longer than it runs, and put on a disk what is in order already."""
        self.env.cr.execute("SET LOCAL enable_mergejoin = off; SET LOCAL jit = off; SET LOCAL work_mem = '64MB'")
        yield
        self.env.cr.execute(
            "SET LOCAL enable_mergejoin TO DEFAULT; SET LOCAL jit TO DEFAULT; SET LOCAL work_mem TO DEFAULT"
        )

    @api.model
    def _find_owners(self, company):
        """Whose each account among the staged records is, and each record that names its client itself; by which plan.

        Few rows, however many records: one for each account, and each time on which all that stays the same.
        """
        with self._of_unknown_size():
            self.env.cr.execute(
                SQL(
                    """
                    WITH named AS (
                        SELECT DISTINCT source_id, account, CASE WHEN account IS NULL THEN partner_id END AS partner_id,
                               CASE WHEN account IS NULL THEN subscription_id END AS subscription_id
                          FROM billing_usage_staged
                    ),
                    parties AS MATERIALIZED (
                        SELECT named.source_id, named.account, account.id AS account_id, COALESCE(
                                   named.account, named.partner_id || '/' || COALESCE(named.subscription_id, 0)
                               ) AS key,
                               client.commercial_partner_id AS partner_id, account.rate_plan_id AS account_plan_id,
                               COALESCE(account.subscription_id, named.subscription_id) AS subscription_id,
                               account.date_from, account.date_until
                          FROM named
                     LEFT JOIN billing_usage_account account
                            ON account.source_id = named.source_id AND account.number = named.account
                          JOIN res_partner client ON client.id = COALESCE(account.partner_id, named.partner_id)
                    ),
                    -- The plan of a subscription's package, from each change of its terms to the next.
                    terms AS MATERIALIZED (
                        SELECT phase.subscription_id, package.rate_plan_id,
                               CASE WHEN lag(phase.id) OVER phases IS NOT NULL THEN phase.date_from END AS date_from,
                               lead(phase.date_from) OVER phases - 1 AS date_until
                          FROM billing_subscription_phase phase
                          JOIN billing_package package ON package.id = phase.package_id
                         WHERE phase.subscription_id IN (SELECT subscription_id FROM parties)
                        WINDOW phases AS (PARTITION BY phase.subscription_id ORDER BY phase.date_from)
                    ),
                    clients AS MATERIALIZED (
                        SELECT client.id, %(client_tz)s AS tz, %(client_plan)s AS rate_plan_id
                          FROM res_partner client
                         WHERE client.id IN (SELECT partner_id FROM parties)
                    )
                    INSERT INTO billing_usage_owner
                    SELECT party.source_id, party.key, party.account IS NULL, party.account_id, party.partner_id,
                           party.subscription_id, source.kind = 'phone', times.begins,
                           -- Where their zones let two have the same moment, who got the number last has it.
                           LEAST(times.ends, min(times.begins) OVER (
                               PARTITION BY party.source_id, party.account IS NULL, party.key
                                   ORDER BY days.first NULLS FIRST, party.account_id
                                    ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
                           )),
                           client.tz, plan.id, plan.revision, %(size)s, %(plan_measure)s = %(source_measure)s,
                           %(plan_tz)s, plan.peak_from, plan.peak_until, plan.peak_weekend
                      FROM parties party
                      JOIN billing_usage_source source ON source.id = party.source_id
                      JOIN clients client ON client.id = party.partner_id
                 LEFT JOIN terms ON terms.subscription_id = party.subscription_id
                 LEFT JOIN billing_rate_plan plan
                        ON plan.id = COALESCE(
                            party.account_plan_id, terms.rate_plan_id, client.rate_plan_id, source.rate_plan_id)
            CROSS JOIN LATERAL (
                        SELECT GREATEST(party.date_from, terms.date_from) AS first,
                               LEAST(party.date_until, terms.date_until) AS last
                       ) days
            CROSS JOIN LATERAL (
                        SELECT days.first::timestamp AT TIME ZONE client.tz AT TIME ZONE 'UTC' AS begins,
                               (days.last + 1)::timestamp AT TIME ZONE client.tz AT TIME ZONE 'UTC' AS ends
                       ) times
                     WHERE days.first IS NULL OR days.last IS NULL OR days.first <= days.last
                    """,
                    size=self._unit_sql("plan", "size"),
                    plan_measure=self._unit_sql("plan", "measure"),
                    source_measure=self._unit_sql("source", "measure"),
                    client_plan=self.env["res.partner"]
                    .with_company(company)
                    ._field_to_sql("client", "billing_rate_plan_id"),
                    client_tz=self._zone_sql("client", company),
                    plan_tz=self._zone_sql("plan", company),
                )
            )

    @api.model
    def _rated_sql(self, company, columns):
        """SELECTs that rate what is staged: each record is in one of them.

        Of a staged record, partner and subscription count where no account is named.

        :param columns: what to select of it before the `RATED` columns
        """
        self._find_owners(company)
        groups, length = [[]], 0
        for terms in self._terms_of_owners():
            length += terms.length
            if groups[-1] and length > MOST_IN_STATEMENT:
                groups.append([])
                length = terms.length
            groups[-1].append(terms)
        return [self._rated_by_sql(company, columns, group, group is groups[0]) for group in groups]

    @api.model
    def _terms_of_owners(self):
        """What the plans of staged records ask at the times of these records."""
        plans = self.env.execute_query(
            SQL("SELECT DISTINCT plan_id, is_phone FROM billing_usage_owner WHERE measures ORDER BY plan_id")
        )
        [(first, last)] = self.env.execute_query(
            SQL("SELECT min(moment)::date - 1, max(moment)::date + 1 FROM billing_usage_staged")
        )
        for plan_id, is_phone in plans:
            yield from self.env["billing.rate.plan"].sudo().browse(plan_id)._terms(is_phone, first, last)

    @api.model
    def _rated_by_sql(self, company, columns, terms, with_unplanned):
        """
        :param terms: what has one of their plans then is rated
        :param with_unplanned: and so is what has no plan, which says why
        """
        # Each OFFSET 0 keeps what is worked out above it from being worked out again wherever it is used.
        return SQL(
            """
            WITH terms (plan_id, is_phone, date_from, date_until, band, starts, rates, words, rest) AS (
                VALUES %(terms)s
            ),
            whose AS (
                SELECT raw.*, owner.account_id AS owner_id, owner.partner_id AS client_id,
                       owner.subscription_id AS contract_id, owner.is_phone, owner.plan_id, owner.revision, owner.size,
                       owner.measures, %(band)s AS band,
                       (raw.moment AT TIME ZONE 'UTC' AT TIME ZONE COALESCE(owner.tz, %(zone)s))::date AS local_day
                  FROM billing_usage_staged raw
             LEFT JOIN billing_usage_owner owner
                    ON owner.source_id = raw.source_id
                   AND owner.key = COALESCE(raw.account, raw.partner_id || '/' || COALESCE(raw.subscription_id, 0))
                   AND owner.is_named = (raw.account IS NULL)
                   AND (owner.begins IS NULL OR owner.begins <= raw.moment)
                   AND (owner.ends IS NULL OR owner.ends > raw.moment)
                OFFSET 0
            ),
            matched AS (
                SELECT whose.*,
                       CASE WHEN NOT whose.is_phone THEN COALESCE((words ->> lower(destination))::int, rest)
                            WHEN destination ~ '^[0-9]+$' THEN
                                NULLIF(rates[width_bucket(%(place)s, starts)], %(no_rate)s)
                            -- What is no telephone number ("anonymous") is not rated as one.
                            ELSE COALESCE(
                                %(word)s, CASE WHEN destination ~ '^[a-z]{2}:[0-9]+$' THEN rest END) END AS matched_id
                  FROM whose
             LEFT JOIN terms
                    ON terms.plan_id = whose.plan_id AND terms.is_phone = whose.is_phone AND whose.measures
                   AND (terms.band IS NULL OR terms.band = whose.band)
                   AND (terms.date_from IS NULL OR terms.date_from <= whose.local_day)
                   AND (terms.date_until IS NULL OR terms.date_until > whose.local_day)
                 WHERE terms.plan_id IS NOT NULL
                    OR %(with_unplanned)s AND (whose.plan_id IS NULL OR NOT whose.measures)
                OFFSET 0
            ),
            measured AS (
                SELECT matched.*, rate.destination_id, COALESCE(rate.price_unit, 0) AS price_unit,
                       COALESCE(rate.connection_fee, 0) AS connection_fee,
                       CASE WHEN matched.matched_id IS NULL THEN NULL
                            WHEN matched.quantity = 0 THEN 0
                            WHEN matched.quantity <= COALESCE(rate.minimum, 0) THEN rate.minimum
                            WHEN COALESCE(rate.step, 0) = 0 THEN matched.quantity
                            ELSE COALESCE(rate.minimum, 0) + rate.step * (
                                div(matched.quantity - COALESCE(rate.minimum, 0), rate.step)
                                + CASE WHEN mod(matched.quantity - COALESCE(rate.minimum, 0), rate.step) > 0
                                       THEN 1 ELSE 0 END
                            ) END AS billable
                  FROM matched
             LEFT JOIN billing_rate rate ON rate.id = matched.matched_id
                OFFSET 0
            ),
            priced AS (
                -- In whole halves of a millionth, of which one goes up: a quotient would have been rounded before.
                SELECT measured.*,
                       CASE WHEN billable = 0 THEN 0
                            ELSE div(2000000 * (connection_fee * size + billable * price_unit) + size, 2 * size)
                                 * 0.000001 END AS price
                  FROM measured
                OFFSET 0
            )
            SELECT %(columns)s,
                   owner_id, client_id, contract_id, local_day, plan_id,
                   CASE WHEN matched_id IS NOT NULL THEN revision END AS revised,
                   matched_id, destination_id, billable, price AS listed, price AS due,
                   CASE WHEN matched_id IS NOT NULL THEN 0 END AS allowance,
                   CASE WHEN client_id IS NULL THEN 'account'
                        WHEN plan_id IS NULL THEN 'plan'
                        WHEN NOT measures THEN 'measure'
                        WHEN matched_id IS NULL THEN 'rate' END AS reason
              FROM priced
            """,
            terms=SQL(", ").join(one.sql for one in terms or [NO_TERMS]),
            zone=self._zone_of(company),
            band=self._band_sql({one.plan_id for one in terms if one.band}),
            place=SQL(PLACE_SQL % {"digits": "destination"}),
            no_rate=NO_RATE,
            word=self._word_sql({length for one in terms for length in one.rates.word_lengths}),
            with_unplanned=with_unplanned,
            columns=columns,
        )

    @api.model
    def _band_sql(self, plan_ids):
        """Whether it is peak hours, by the clocks of the plans; of these plans only, as it takes time."""
        if not plan_ids:
            return SQL("NULL")
        return SQL(
            """
            CASE WHEN owner.plan_id IN %(plans)s THEN (
                SELECT CASE WHEN (owner.peak_weekend OR EXTRACT(isodow FROM there.clock) < 6)
                             AND EXTRACT(epoch FROM there.clock::time) >= round(owner.peak_from * 3600)
                             AND EXTRACT(epoch FROM there.clock::time) < round(owner.peak_until * 3600) THEN 'peak'
                            ELSE 'off_peak' END
                  FROM (SELECT raw.moment AT TIME ZONE 'UTC' AT TIME ZONE owner.plan_tz AS clock OFFSET 0) there
            ) END
            """,
            plans=tuple(plan_ids),
        )

    @api.model
    def _word_sql(self, lengths):
        """The rate of what is dialled and no number, by the longest of the few beginnings that are none."""
        words = [SQL("(words ->> left(destination, %s))::int", length) for length in sorted(lengths, reverse=True)]
        return SQL(", ").join([*words, SQL("NULL")])

    @api.model
    def _unit_sql(self, alias, fact):
        """What is known of the unit of a plan or a source."""
        return SQL(
            "CASE %s %s END",
            SQL.identifier(alias, "unit"),
            SQL(" ").join(SQL("WHEN %s THEN %s", name, getattr(unit, fact)) for name, unit in UNITS.items()),
        )

    @api.model
    def _zone_of(self, company):
        return company.partner_id.tz or "UTC"

    @api.model
    def _zone_sql(self, alias, company):
        """The zone of a partner or a plan, if the database knows it, too."""
        return SQL(
            "CASE WHEN %(tz)s IS NULL OR %(tz)s IN %(unknown)s THEN %(otherwise)s ELSE %(tz)s END",
            tz=SQL.identifier(alias, "tz"),
            unknown=self._zones_unknown_to_database(),
            otherwise=self._zone_of(company),
        )

    @api.model
    @ormcache()
    def _zones_unknown_to_database(self):
        """Zones that Odoo offers and this PostgreSQL lacks: one client in such a zone would fail whole statements."""
        known = {name for (name,) in self.env.execute_query(SQL("SELECT name FROM pg_timezone_names"))}
        # Never empty, as SQL's IN wants it.
        return ("", *(zone for zone in pytz.all_timezones if zone not in known))

    # -- again --------------------------------------------------------------------------------------------------------

    @api.model
    def _rate_again(self, domain=None, everything=False):
        """Rate open records that are not rated, or were rated before their plan changed.

        :param domain: only these
        :param everything: also those that seem up to date: numbers, packages or clients changed
        :return: how many of them are rated now, and how many are not
        """
        rated = unrated = 0
        self.env.flush_all()
        for company in self.env.companies:
            records = self.with_company(company)
            records._prepare_staging()
            wanted = Domain("company_id", "=", company.id) & Domain("bill_id", "=", False) & Domain(domain or [])
            query = records._search(wanted, bypass_access=True, order="id")
            self.env.cr.execute(
                SQL(
                    """
                    INSERT INTO billing_usage_staged (
                        id, source_id, account, partner_id, subscription_id, moment, destination, quantity
                    )
                    SELECT usage.id, usage.source_id, usage.account, usage.partner_id, usage.subscription_id,
                           usage.moment, usage.destination, usage.quantity
                      FROM billing_usage usage
                 LEFT JOIN billing_rate_plan plan ON plan.id = usage.rate_plan_id
                     WHERE usage.id IN %(wanted)s
                       AND (%(everything)s OR usage.unrated_reason IS NOT NULL
                            OR usage.plan_revision IS DISTINCT FROM plan.revision)
                    """,
                    wanted=query.subselect(),
                    everything=everything,
                )
            )
            if not self.env.cr.rowcount:
                continue
            with records._of_unknown_size():
                for select in records._rated_sql(company, SQL("id")):
                    self.env.cr.execute(
                        SQL(
                            """
                            UPDATE billing_usage usage
                               SET (%(columns)s) = (
                                    again.owner_id, again.client_id, again.contract_id, again.local_day, again.plan_id,
                                    again.revised, again.matched_id, again.destination_id, again.billable, again.listed,
                                    again.due, again.allowance, again.reason
                                   )
                              FROM (%(rated)s) again
                             WHERE usage.id = again.id AND usage.bill_id IS NULL
                            """,
                            columns=SQL(", ").join(SQL.identifier(name) for name in RATED),
                            rated=select,
                        )
                    )
            [(done, left)] = self.env.execute_query(
                SQL(
                    """
                    SELECT count(*) FILTER (WHERE usage.unrated_reason IS NULL),
                           count(*) FILTER (WHERE usage.unrated_reason IS NOT NULL)
                      FROM billing_usage_staged staged
                      JOIN billing_usage usage ON usage.id = staged.id
                    """
                )
            )
            rated += done
            unrated += left
        self.env.invalidate_all()
        return rated, unrated
