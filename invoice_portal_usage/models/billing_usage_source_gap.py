from collections import defaultdict
from typing import NamedTuple

from odoo import api, fields, models
from odoo.tools import SQL


class Unrated(NamedTuple):
    """How many records are not rated, and the number of the last one that came."""

    count: int
    last: int


class ClientGaps(NamedTuple):
    """Of some clients: how much is not rated, `{client: [(day, reason, count, last)]}`, and which feeds of theirs are
    silent, `{client: source ids}`."""

    unrated: dict
    silent: dict

    def unrated_before(self, client, until):
        """`{reason: Unrated}`"""
        found = {}
        for day, reason, count, last in self.unrated.get(client, ()):
            if not day or day < until:
                before = found.get(reason, Unrated(0, 0))
                found[reason] = Unrated(before.count + count, max(before.last, last))
        return found


class BillingUsageSource(models.Model):
    """Whose usage may be missing."""

    _inherit = "billing.usage.source"

    @api.model
    def _gaps(self, company, client_ids):
        """Of these clients: what is not rated, and which of the sources that know a number of theirs are silent."""
        self.env["billing.usage.account"].flush_model()
        clients = tuple(client_ids) or (None,)
        unrated = defaultdict(list)
        for client, *row in self.env.execute_query(
            SQL(
                """
                SELECT partner_id, day, unrated_reason, COUNT(*), MAX(id)
                  FROM billing_usage
                 WHERE bill_id IS NULL AND unrated_reason IS NOT NULL AND partner_id IN %s AND company_id = %s
              GROUP BY 1, 2, 3
                """,
                clients,
                company.id,
            )
        ):
            unrated[client].append(row)
        return ClientGaps(unrated, self._silent_of(company, clients))

    @api.model
    def _silent_of(self, company, clients):
        """`{client: source ids}`: numbers that were given back before it fell silent are not missed."""
        silent = defaultdict(set)
        if sources := self._silent_now(company):
            since = [(source.last_received or source.create_date).date() for source in sources]
            for client, source in self.env.execute_query(
                SQL(
                    """
                    SELECT DISTINCT COALESCE(partner.commercial_partner_id, partner.id), account.source_id
                      FROM billing_usage_account account
                      JOIN unnest(%(sources)s::int[], %(since)s::date[]) AS source(id, since)
                        ON source.id = account.source_id
                      JOIN res_partner partner ON partner.id = account.partner_id
                     WHERE COALESCE(partner.commercial_partner_id, partner.id) IN %(clients)s
                       AND (account.date_from IS NULL OR account.date_from <= %(today)s)
                       AND (account.date_until IS NULL OR account.date_until >= source.since)
                    """,
                    sources=list(sources.ids),
                    since=since,
                    clients=clients,
                    today=fields.Date.today(),
                )
            ):
                silent[client].add(source)
        return {client: frozenset(found) for client, found in silent.items()}

    @api.model
    def _silent_now(self, company):
        """Sources that should have delivered by now and did not. Elevated: which, is all that is told."""
        return self.sudo().search([("company_id", "=", company.id), ("silent", "=", True)])

    @api.model
    def _silent_on_bills(self, company, bills):
        """`{bill id: source ids}`: usage of sources that are silent now, whoever's number it came by."""
        sources = bills and self._silent_now(company)
        if not sources:
            return {}
        found = defaultdict(set)
        for bill, source in self.env.execute_query(
            SQL(
                "SELECT DISTINCT bill_id, source_id FROM billing_usage WHERE bill_id IN %s AND source_id IN %s",
                tuple(bills.ids),
                tuple(sources.ids),
            )
        ):
            found[bill].add(source)
        return found
