import pytz

from odoo import api, fields, models
from odoo.fields import Domain
from odoo.tools import SQL, ormcache

from ..tools.units import UNITS

RATED = (
    "account_id", "partner_id", "subscription_id", "day", "rate_plan_id", "plan_revision", "rate_id", "destination_id",
    "billed_quantity", "list_amount", "amount", "allowance_quantity", "unrated_reason",
)  # fmt: skip
# Digits that a quotient has before it is rounded: far more than any price and quantity can ask for.
QUOTIENT = SQL("0.%s" % ("0" * 30))


class BillingUsage(models.Model):
    """What each record costs by itself: whose it is, by which plan, by which rate. One statement for all.

    What depends on the other records of its period (what is included, tiers) is told when they are billed.
    """

    _inherit = "billing.usage"

    @api.model
    def _expect_long_statement(self):
        """Compiling these statements takes the database longer than running them, which it expects to be the other way
        round."""
        self.env.cr.execute("SET LOCAL jit = off")

    @api.model
    def _rated_sql(self, raw, company, columns):
        """A SELECT that rates the rows of a table.

        :param raw: the table, with columns `source_id, account, partner_id, subscription_id, moment, destination,
            quantity`; partner and subscription count where no account is named
        :param columns: what to select of it before the `RATED` columns
        """
        partner = self.env["res.partner"].with_company(company)
        zone = company.partner_id.tz or "UTC"
        return SQL(
            """
            WITH measures (unit, measure, size) AS (VALUES %(units)s),
            named AS MATERIALIZED (
                SELECT DISTINCT source_id, account, CASE WHEN account IS NULL THEN partner_id END AS partner_id,
                       CASE WHEN account IS NULL THEN subscription_id END AS subscription_id
                  FROM %(raw)s
            ),
            -- Whose each account is, and each record that names its client itself: few rows, however many records.
            parties AS MATERIALIZED (
                SELECT named.source_id, named.account, named.partner_id AS named_partner_id,
                       named.subscription_id AS named_subscription_id, account.id AS account_id,
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
            -- All that is the same for the records of one account, over days on which it stays the same.
            owners AS MATERIALIZED (
                SELECT party.source_id,
                       COALESCE(
                           party.account, party.named_partner_id || '/' || COALESCE(party.named_subscription_id, 0)
                       ) AS key, party.account IS NULL AS is_named,
                       party.account_id, party.partner_id, party.subscription_id, source.kind,
                       GREATEST(party.date_from, terms.date_from) AS date_from,
                       LEAST(party.date_until, terms.date_until) AS date_until,
                       %(client_tz)s AS tz, plan.id AS plan_id, plan.revision, plan_measure.size,
                       plan_measure.measure = source_measure.measure AS measures,
                       plan.has_bands, %(plan_tz)s AS plan_tz, plan.peak_from, plan.peak_until, plan.peak_weekend
                  FROM parties party
                  JOIN billing_usage_source source ON source.id = party.source_id
                  JOIN measures source_measure ON source_measure.unit = source.unit
                  JOIN res_partner client ON client.id = party.partner_id
             LEFT JOIN terms ON terms.subscription_id = party.subscription_id
             LEFT JOIN billing_rate_plan plan
                    ON plan.id = COALESCE(
                        party.account_plan_id, terms.rate_plan_id, %(client_plan)s, source.rate_plan_id)
             LEFT JOIN measures plan_measure ON plan_measure.unit = plan.unit
                 WHERE COALESCE(party.date_from, terms.date_from, '-infinity')
                       <= COALESCE(terms.date_until, party.date_until, 'infinity')
            ),
            whose AS (
                SELECT raw.*, owner.account_id AS owner_id, owner.partner_id AS client_id,
                       owner.subscription_id AS contract_id, owner.kind, owner.plan_id, owner.revision, owner.size,
                       owner.measures, owner.has_bands, owner.peak_from, owner.peak_until, owner.peak_weekend,
                       (raw.moment AT TIME ZONE 'UTC' AT TIME ZONE COALESCE(owner.tz, %(zone)s))::date AS local_day,
                       CASE WHEN owner.has_bands THEN raw.moment AT TIME ZONE 'UTC' AT TIME ZONE owner.plan_tz END
                           AS plan_clock
                  FROM %(raw)s raw
             LEFT JOIN owners owner
                    ON owner.source_id = raw.source_id
                   AND owner.key = COALESCE(raw.account, raw.partner_id || '/' || COALESCE(raw.subscription_id, 0))
                   AND owner.is_named = (raw.account IS NULL)
                   AND (owner.date_from IS NULL
                        OR owner.date_from <= (raw.moment AT TIME ZONE 'UTC' AT TIME ZONE owner.tz)::date)
                   AND (owner.date_until IS NULL
                        OR owner.date_until >= (raw.moment AT TIME ZONE 'UTC' AT TIME ZONE owner.tz)::date)
                -- Each OFFSET 0 keeps what is worked out above it from being worked out again wherever it is used.
                OFFSET 0
            ),
            planned AS (
                SELECT whose.*,
                       CASE WHEN plan_clock IS NULL THEN 'any'
                            WHEN (peak_weekend OR EXTRACT(isodow FROM plan_clock) < 6)
                             AND EXTRACT(epoch FROM plan_clock::time) >= round(peak_from * 3600)
                             AND EXTRACT(epoch FROM plan_clock::time) < round(peak_until * 3600) THEN 'peak'
                            ELSE 'off_peak' END AS band
                  FROM whose
            ),
            matched AS (
                SELECT planned.*, COALESCE(%(candidates)s) AS matched_id
                  FROM planned
                  %(lookups)s
                OFFSET 0
            ),
            measured AS (
                SELECT matched.*, rate.destination_id, rate.price_unit, rate.connection_fee,
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
                SELECT measured.*,
                       CASE WHEN quantity = 0 AND matched_id IS NOT NULL THEN 0
                            ELSE round(
                                COALESCE(connection_fee, 0)
                                + (billable * COALESCE(price_unit, 0) + %(quotient)s) / size, 6
                            ) END AS price
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
            units=SQL(", ").join(SQL("(%s, %s, %s)", name, unit.measure, unit.size) for name, unit in UNITS.items()),
            raw=raw,
            client_plan=partner._field_to_sql("client", "billing_rate_plan_id"),
            client_tz=self._zone_sql("client", zone),
            plan_tz=self._zone_sql("plan", zone),
            zone=zone,
            quotient=QUOTIENT,
            columns=columns,
            **self._lookups_sql(company),
        )

    @api.model
    def _zone_sql(self, alias, otherwise):
        """The zone of a partner or a plan, if the database knows it, too."""
        tz = SQL.identifier(alias, "tz")
        return SQL(
            "CASE WHEN %(tz)s IS NULL OR %(tz)s IN %(unknown)s THEN %(otherwise)s ELSE %(tz)s END",
            tz=tz,
            unknown=self._zones_unknown_to_database(),
            otherwise=otherwise,
        )

    @api.model
    @ormcache()
    def _zones_unknown_to_database(self):
        """Zones that Odoo offers and this PostgreSQL lacks: one client in such a zone would fail whole statements."""
        known = {name for (name,) in self.env.execute_query(SQL("SELECT name FROM pg_timezone_names"))}
        # Never empty, as SQL's IN wants it.
        return ("", *(zone for zone in pytz.all_timezones if zone not in known))

    @api.model
    def _lookups_sql(self, company):
        """One join per length of prefix, the longest first: each is a look into a table of hashes."""
        self.env["billing.rate.plan"].flush_model(["rate_lengths", "has_bands"])
        lengths = sorted(
            {
                length
                for (of_plan,) in self.env.execute_query(
                    SQL("SELECT rate_lengths FROM billing_rate_plan WHERE company_id = %s", company.id)
                )
                for length in of_plan or ()
            },
            reverse=True,
        )
        aliases = [
            (
                SQL.identifier(f"rate_{length}"),
                SQL(
                    "CASE WHEN planned.kind = 'phone' THEN left(planned.destination, %s)"
                    " ELSE lower(planned.destination) END",
                    length,
                ),
                length,
            )
            for length in lengths
        ]
        # The rate for all the rest is for telephone numbers, too; what is none ("anonymous") is not rated.
        rest = SQL("CASE WHEN planned.kind <> 'phone' OR planned.destination ~ '^([a-z]{2}:)?[0-9]+$' THEN '*' END")
        aliases.append((SQL.identifier("rate_rest"), rest, 1))
        lookups = [
            SQL(
                """
                LEFT JOIN billing_rate %(name)s
                       ON %(name)s.plan_id = planned.plan_id AND planned.measures AND lower(%(name)s.prefix) = %(key)s
                      AND length(%(name)s.prefix) = %(length)s
                      AND (%(name)s.date_from IS NULL OR %(name)s.date_from <= planned.local_day)
                      AND (%(name)s.date_until IS NULL OR %(name)s.date_until >= planned.local_day)
                      AND (%(name)s.band = 'any' OR %(name)s.band = planned.band)
                """,
                name=name,
                key=key,
                length=length,
            )
            for name, key, length in aliases
        ]
        return {
            "lookups": SQL(" ").join(lookups),
            "candidates": SQL(", ").join(SQL("%s.id", name) for name, _key, _length in aliases),
        }

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
            records._expect_long_statement()
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
                    rated=records._rated_sql(SQL("billing_usage_staged"), company, SQL("id")),
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


class BillingRatePlan(models.Model):
    """What rating has to know of a plan before it looks into its rates."""

    _inherit = "billing.rate.plan"

    rate_lengths = fields.Json(readonly=True, copy=False, help="How long the prefixes of its rates are.")
    has_bands = fields.Boolean(readonly=True, copy=False, help="Some of its rates are for peak or off-peak hours.")

    def _touch(self):
        result = super()._touch()
        if self:
            self.env["billing.rate"].flush_model(["plan_id", "prefix", "band"])
            self.env.cr.execute(
                SQL(
                    """
                    UPDATE billing_rate_plan plan
                       SET rate_lengths = facts.lengths, has_bands = COALESCE(facts.has_bands, FALSE)
                      FROM billing_rate_plan known
                 LEFT JOIN (
                            SELECT plan_id, jsonb_agg(DISTINCT length(prefix)) FILTER (WHERE prefix <> '*') AS lengths,
                                   bool_or(band <> 'any') AS has_bands
                              FROM billing_rate
                             WHERE plan_id IN %(plans)s
                          GROUP BY plan_id
                           ) facts ON facts.plan_id = known.id
                     WHERE known.id = plan.id AND plan.id IN %(plans)s
                    """,
                    plans=self._ids,
                )
            )
            self.invalidate_recordset(["rate_lengths", "has_bands"])
        return result
