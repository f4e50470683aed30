from typing import NamedTuple

from psycopg2.errors import UniqueViolation

from odoo import api, models
from odoo.exceptions import AccessError, UserError
from odoo.tools import SQL

from ..tools.copy_rows import COLUMNS, NOTHING, Blocks
from ..tools.delivery import Delivery
from ..tools.usage_row import Unreadable
from .billing_usage_rating import RATED

# What a record comes with, and what rating adds.
INGESTED = (
    "company_id", "source_id", "import_id", "external_id", "account", "moment", "destination", "quantity",
    "attributes", *RATED,
)  # fmt: skip
# Records in one call of the API: as many as one transaction takes in well within a second.
MOST_RECORDS = 10_000


class Taken(NamedTuple):
    """What became of rows that were handed in: each is new, known, or refused."""

    new: int
    duplicates: int
    refused: list  # (line, external id, reason)
    repeated: list  # lines of those duplicates that the same import brought before
    changed: list  # external ids of those refused because they are known with other contents


class BillingUsage(models.Model):
    """How usage comes in: copied into a table of its own, and from there, rated, to the others, in one statement."""

    _inherit = "billing.usage"

    # -- the API ------------------------------------------------------------------------------------------------------

    @api.model
    def ingest(self, code, records):
        """Take in records of the source with this code; handing in the same ones again changes nothing.

        :param records: up to 10,000 of `{"id", "account" | "client" | "subscription", "moment", "destination",
            "quantity", "unit", "attributes"}`
        :return: `{"accepted", "duplicates", "changed", "rejected", "unrated", "import_id"}`. Duplicates are accepted,
            too; what is known with other contents is rejected and listed in `changed`. Each of `rejected` has the place
            in the list (from 0), the id and the reason.
        """
        source = self._source_sudo(code)
        if not isinstance(records, (list, tuple)):
            raise UserError(self.env._("Hand in a list of records."))
        if len(records) > MOST_RECORDS:
            raise UserError(
                self.env._(
                    "%(count)s records in one call are too many: hand in up to %(most)s at once.",
                    count=f"{len(records):,}",
                    most=f"{MOST_RECORDS:,}",
                )
            )
        reader = source._reader()
        rows, rejected = [], []
        for line, record in enumerate(records, start=1):
            try:
                rows.append(reader.row(record, line))
            except Unreadable as error:
                rejected.append((line, self._shown_id(record), source._why_unreadable(error)))
        batch = source.env["billing.usage.import"].create(
            {"name": self.env._("API"), "source_id": source.id, "kind": "api", "state": "done"}
        )
        taken = source.env["billing.usage"]._ingest(source, batch, Delivery(source.id, rows))
        rejected = sorted([*rejected, *taken.refused])
        batch._note_result(len(records), taken.duplicates, rejected)
        return {
            "accepted": taken.new + taken.duplicates,
            "duplicates": taken.duplicates,
            "changed": taken.changed,
            "rejected": [
                {"index": line - 1, "id": external_id, "reason": reason} for line, external_id, reason in rejected
            ],
            "unrated": source.env["billing.usage"].search_count(
                [("import_id", "=", batch.id), ("unrated_reason", "!=", False)]
            ),
            "import_id": batch.id,
        }

    @api.model
    def _shown_id(self, record):
        """The id of what may be no record at all, as far as it can be shown."""
        external_id = record.get("id") if isinstance(record, dict) else None
        return "".join(sign for sign in str(external_id or "")[:200] if sign.isprintable()) or False

    @api.model
    def _source_sudo(self, code):
        """The source with this code in the user's companies, elevated: whoever may hand in usage sees none of it.

        The one door for technical users; nothing is returned but how many records were taken, and which were not.
        """
        user = self.env.user
        if not (
            self.env.su
            or user.has_group("invoice_portal_usage.group_billing_usage_feed")
            or user.has_group("invoice_portal.group_billing_user")
        ):
            raise AccessError(self.env._("You are not allowed to hand in usage. Ask for the right “Hand in usage”."))
        sources = self.env["billing.usage.source"].sudo()
        found = isinstance(code, str) and sources.search(
            [("code", "=", code.strip()), ("company_id", "in", self.env.companies.ids)]
        )
        if not found:
            raise UserError(self.env._("There is no usage source with the code “%s”.", str(code)[:100]))
        if len(found) > 1:
            raise UserError(self.env._("Several companies have a source with the code “%s”: say which company.", code))
        return found.with_company(found.company_id)

    # -- rows ---------------------------------------------------------------------------------------------------------

    @api.model
    def _ingest(self, source, batch, delivery):
        """Take in rows that were read.

        :param delivery: `tools.delivery.Delivery`
        :return: `Taken`
        """
        source.ensure_one()
        again, repeated = len(delivery.repeated), list(delivery.repeated)
        changed = [external_id for _line, external_id in delivery.changed]
        refused = [(line, external_id, source._why_changed()) for line, external_id in delivery.changed]
        self.env.flush_all()
        refused += self._stage(source, delivery.blocks)
        put_away = self.env["billing.usage.known"].sudo()._take_out_known(source)
        for line, external_id, is_same in put_away:
            if is_same:
                again += 1
            else:
                changed.append(external_id)
                refused.append((line, external_id, source._why_changed()))
        cr = self.env.cr
        cr.execute("SELECT nextval(pg_get_serial_sequence('billing_usage', 'id'))")
        [last_before] = cr.fetchone()
        rated = self._rated_staged(source, batch)
        # Looking for each whether it is known takes as long as writing it: done where some are.
        new = None if batch.duplicate_count else self._insert_if_all_new(rated)
        if new is None:
            new = self._insert(rated, SQL("ON CONFLICT (source_id, external_id) DO NOTHING"))
        if new + len(put_away) + len(refused) - len(changed) < delivery.count:
            known_again, of_same_import, other = self._compare_with_known(batch, last_before)
            again += known_again
            repeated += of_same_import
            for line, external_id in other:
                changed.append(external_id)
                refused.append((line, external_id, source._why_changed()))
        self.env.invalidate_all()
        self._wake_after_ingest()
        return Taken(new, again, refused, repeated, changed)

    @api.model
    def _stage(self, source, blocks):
        """Put rows where they are rated, each with its client or subscription if it names one.

        :param blocks: as `tools.copy_rows` writes them
        :return: `[(line, external id, reason)]` of those that name nobody, which are not there
        """
        self._prepare_staging()
        self.env.cr.copy_expert(
            f"COPY billing_usage_staged ({', '.join(COLUMNS)}) FROM STDIN WITH (NULL '{NOTHING}')",
            Blocks(blocks),
        )
        return self._resolve_parties(source)

    @api.model
    def _rated_staged(self, source, batch):
        """What is staged, rated: SELECTs with the columns of `INGESTED`."""
        company = source.company_id
        return self.with_company(company)._rated_sql(
            company,
            SQL(
                "%s::int AS company_id, source_id, %s::int AS import_id, external_id, account, moment, destination,"
                " quantity, attributes",
                company.id,
                batch.id,
            ),
        )

    @api.model
    def _insert_if_all_new(self, rated):
        """How many there are; None: some are known, and none was written."""
        try:
            with self.env.cr.savepoint(flush=False):
                return self._insert(rated, SQL())
        except UniqueViolation:
            return None

    @api.model
    def _insert(self, rated, otherwise):
        """How many were written."""
        columns = SQL(", ").join(map(SQL.identifier, INGESTED))
        count = 0
        with self._of_unknown_size():
            for select in rated:
                # In the order they came in, by which those of one second are billed.
                statement = SQL("INSERT INTO billing_usage (%s) %s ORDER BY line %s", columns, select, otherwise)
                self.env.cr.execute(statement, log_exceptions=False)
                count += self.env.cr.rowcount
        return count

    @api.model
    def _resolve_parties(self, source):
        """Find the clients and subscriptions that staged records name, and compare them with their accounts'.

        :return: `[(line, external id, reason)]` of those that name nobody, which are no longer staged
        """
        named = self.env.execute_query(
            SQL(
                "SELECT DISTINCT client, subscription FROM billing_usage_staged"
                " WHERE client IS NOT NULL OR subscription IS NOT NULL"
            )
        )
        if not named:
            return []
        of_company = [("company_id", "in", (False, source.company_id.id))]
        clients = self._by_reference("res.partner", "ref", {client for client, _s in named if client}, of_company)
        subscriptions = self._by_reference(
            "billing.subscription", "reference", {one for _c, one in named if one}, of_company
        )
        found, nobody = [], {}
        for client, subscription in named:
            party = clients.get(client, self.env["res.partner"]).commercial_partner_id
            contract = subscriptions.get(subscription, self.env["billing.subscription"])
            if (client and len(party) != 1) or (subscription and len(contract) != 1):
                wrong = (
                    ("client", client, party)
                    if client and len(party) != 1
                    else ("subscription", subscription, contract)
                )
                nobody[client, subscription] = source._why_nobody(wrong[0], wrong[1], len(wrong[2]))
            elif client and subscription and contract.partner_id != party:
                nobody[client, subscription] = source._why_nobody("both", f"{client}, {subscription}", 0)
            else:
                found.append((client, subscription, (party or contract.partner_id).id, contract.id or None))
        if found:
            self.env.cr.execute_values(
                """
                UPDATE billing_usage_staged staged
                   SET partner_id = found.partner_id::int, subscription_id = found.subscription_id::int
                  FROM (VALUES %s) found (client, subscription, partner_id, subscription_id)
                 WHERE staged.client IS NOT DISTINCT FROM found.client
                   AND staged.subscription IS NOT DISTINCT FROM found.subscription
                """,
                found,
            )
        refused = []
        if nobody:
            rows = self.env.execute_query(
                SQL(
                    "DELETE FROM billing_usage_staged WHERE partner_id IS NULL"
                    " AND (client IS NOT NULL OR subscription IS NOT NULL)"
                    " RETURNING line, external_id, client, subscription"
                )
            )
            refused += [
                (line, external_id, nobody[client, subscription]) for line, external_id, client, subscription in rows
            ]
        rows = self.env.execute_query(
            SQL(
                """
                DELETE FROM billing_usage_staged staged
                      USING billing_usage_account account
                       JOIN res_partner owner ON owner.id = account.partner_id
                      WHERE account.source_id = staged.source_id AND account.number = staged.account
                        AND daterange(account.date_from, account.date_until, '[]') @> staged.moment::date
                        AND (owner.commercial_partner_id <> staged.partner_id
                             OR staged.subscription_id IS NOT NULL
                                AND staged.subscription_id IS DISTINCT FROM account.subscription_id)
                  RETURNING staged.line, staged.external_id
                """
            )
        )
        return refused + [(line, external_id, source._why_nobody("account", "", 0)) for line, external_id in rows]

    @api.model
    def _by_reference(self, model, fname, words, domain):
        """Records by their reference; else by the number that Odoo gave them."""
        records = self.env[model].sudo()
        by_word = records.search([(fname, "in", list(words)), *domain]).grouped(fname)
        numbers = {
            word: int(word) for word in words - by_word.keys() if word.isascii() and word.isdigit() and len(word) < 10
        }
        by_id = records.search([("id", "in", list(numbers.values())), *domain]).grouped("id")
        return by_word | {word: by_id[number] for word, number in numbers.items() if number in by_id}

    @api.model
    def _compare_with_known(self, batch, last_before):
        """Of the staged records that were there before: how many are the same, and which are not."""
        rows = self.env.execute_query(
            SQL(
                """
                SELECT staged.line, staged.external_id, known.import_id = %s,
                       known.account IS NOT DISTINCT FROM staged.account
                       AND (staged.account IS NOT NULL
                            OR (known.partner_id, known.subscription_id)
                               IS NOT DISTINCT FROM (staged.partner_id, staged.subscription_id))
                       AND known.moment = staged.moment
                       AND known.destination = staged.destination
                       AND known.quantity = staged.quantity
                       AND known.attributes IS NOT DISTINCT FROM staged.attributes
                  FROM billing_usage_staged staged
                  JOIN billing_usage known
                    ON known.source_id = staged.source_id AND known.external_id = staged.external_id
                 WHERE known.id <= %s
                """,
                batch.id,
                last_before,
            )
        )
        same = [(line, of_batch) for line, _id, of_batch, is_same in rows if is_same]
        other = [(line, external_id) for line, external_id, _of_batch, is_same in rows if not is_same]
        return len(same), [line for line, of_batch in same if of_batch], other

    @api.model
    def _wake_after_ingest(self):
        """Whoever has to look at what came in does so soon."""
        for name in ("ir_cron_usage_late", "ir_cron_usage_notice"):
            cron = self.env.ref(f"invoice_portal_usage.{name}", raise_if_not_found=False)
            if cron:
                cron.sudo()._trigger()


class BillingUsageImport(models.Model):
    _inherit = "billing.usage.import"

    def _note_result(self, rows, duplicates, refused):
        """Add what became of so many more rows."""
        self.ensure_one()
        self.env["billing.usage.reject"].create(
            [
                {"import_id": self.id, "line": line, "external_id": external_id, "reason": reason}
                for line, external_id, reason in refused
            ]
        )
        self.write(
            {
                "row_count": self.row_count + rows,
                "accepted_count": self.accepted_count + rows - len(refused),
                "duplicate_count": self.duplicate_count + duplicates,
                "rejected_count": self.rejected_count + len(refused),
            }
        )
