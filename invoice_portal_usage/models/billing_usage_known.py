import csv
import io
from itertools import islice

from odoo import api, fields, models
from odoo.tools import SQL

from ..tools.digest import Digest
from ..tools.inert_sql import as_it_was
from ..tools.loose import LooseMany2one
from .billing_usage_export import ARCHIVE_COLUMNS, CLIENT_COLUMNS

# Rows of an archive that are noted by one statement.
AT_ONCE = 10_000


class BillingUsageKnown(models.Model):
    """What is left of a record that was put away: enough to know it when it comes again.

    Written and read by set-based SQL alone.
    """

    _name = "billing.usage.known"
    _description = "Usage That Was Put Away"
    _log_access = False

    source_id = LooseMany2one("billing.usage.source", required=True, readonly=True)
    external_id = Digest(required=True, readonly=True)
    contents = Digest(required=True, readonly=True)

    _one_external_id = models.UniqueIndex("(source_id, external_id)", "This record is known already.")

    @api.model
    def _id_sql(self, alias):
        return SQL("md5(%s)::uuid", SQL.identifier(alias, "external_id"))

    @api.model
    def _contents_sql(self, alias):
        """All that a record is compared by. Client and subscription where it names them itself: they stand on finalized
        invoices by then, and are merged with no other."""
        return SQL(
            "md5(ROW(%(row)s.account, to_char(%(row)s.moment, 'YYYYMMDDHH24MISSUS'), %(row)s.destination,"
            " trim_scale(%(row)s.quantity), %(row)s.attributes, CASE WHEN %(row)s.account IS NULL"
            " THEN ROW(%(row)s.partner_id, %(row)s.subscription_id)::text END)::text)::uuid",
            row=SQL.identifier(alias),
        )

    @api.model
    def _keep_sql(self, alias, rows):
        """Note these rows, which have the columns of records."""
        return SQL(
            """
            INSERT INTO billing_usage_known (source_id, external_id, contents)
                 SELECT %(alias)s.source_id, %(id)s, %(contents)s
                   FROM %(rows)s
            """,
            alias=SQL.identifier(alias),
            id=self._id_sql(alias),
            contents=self._contents_sql(alias),
            rows=rows,
        )

    @api.model
    def _keep_of_bill(self, bill):
        """Note the records of this bill, which are about to go; how many they are."""
        # A source that is written to here stops those who are taking in its records and do not see yet what is put
        # away: they begin anew. See `_take_out_known`.
        self.env.cr.execute(
            SQL(
                "UPDATE billing_usage_source SET put_away_on = %s"
                " WHERE id IN (SELECT source_id FROM billing_usage WHERE bill_id = %s)",
                fields.Datetime.now(),
                bill.id,
            )
        )
        self.env.cr.execute(self._keep_sql("usage", SQL("billing_usage usage WHERE usage.bill_id = %s", bill.id)))
        count = self.env.cr.rowcount
        self.env["billing.usage.source"].invalidate_model(["put_away_on"])
        return count

    @api.model
    def _take_out_known(self, source):
        """Take out of what is staged what was put away.

        :return: `[(line, external id, whether it is the same)]`
        """
        # Shared among those who take in, and waited for by whoever puts away: so nothing is put away unseen meanwhile.
        [(any_known,)] = self.env.execute_query(
            SQL("SELECT put_away_on IS NOT NULL FROM billing_usage_source WHERE id = %s FOR SHARE", source.id)
        )
        if not any_known:
            return []
        with self.env["billing.usage"]._of_unknown_size():
            return self.env.execute_query(
                SQL(
                    """
                    WITH found AS MATERIALIZED (
                        SELECT staged.ctid AS place, known.contents = %(contents)s AS is_same
                          FROM billing_usage_staged staged
                          -- Looked up each by each: much more was put away than comes in.
                    CROSS JOIN LATERAL (
                                SELECT known.*
                                  FROM billing_usage_known known
                                 WHERE known.source_id = staged.source_id AND known.external_id = %(id)s
                                OFFSET 0
                               ) known
                    )
                    DELETE FROM billing_usage_staged staged
                          USING found
                          WHERE staged.ctid = found.place
                      RETURNING staged.line, staged.external_id, found.is_same
                    """,
                    id=self._id_sql("staged"),
                    contents=self._contents_sql("staged"),
                )
            )

    @api.model
    def _keep_of_archive(self, bill):
        """Note what is in the file of a bill, as far as a file says it: texts stand there on one line each, and sources
        by their code. How many are noted now."""
        columns = [*CLIENT_COLUMNS, *ARCHIVE_COLUMNS]
        sources = {
            source.code: source.id
            for source in self.env["billing.usage.source"]
            .with_context(active_test=False)
            .search([("company_id", "=", bill.company_id.id)])
        }
        count = 0
        with bill._open_archive() as archive:
            rows = csv.reader(io.TextIOWrapper(archive, encoding="utf-8-sig", newline=""))
            next(rows, None)
            facts = (dict(zip(columns, row, strict=True)) for row in rows)
            while some := list(islice(facts, AT_ONCE)):
                values = [
                    (
                        sources[as_it_was(one["source"])],
                        as_it_was(one["id"]),
                        as_it_was(one["account"]) or None,
                        bill.partner_id.id,
                        int(one["subscription"]) if one["subscription"] else None,
                        one["utc"].rstrip("Z"),
                        as_it_was(one["destination"]),
                        one["quantity"],
                        as_it_was(one["attributes"]) or None,
                    )
                    for one in some
                    if as_it_was(one["source"]) in sources
                ]
                if not values:
                    continue
                rows_sql = SQL(
                    "(SELECT source_id::int, external_id::varchar, account::varchar, partner_id::int,"
                    " subscription_id::int, moment::timestamp, destination::varchar, quantity::numeric,"
                    " attributes::jsonb FROM (VALUES %s) cells (source_id, external_id, account, partner_id,"
                    " subscription_id, moment, destination, quantity, attributes)) old",
                    SQL(", ").join(SQL("%s", value) for value in values),
                )
                self.env.cr.execute(SQL("%s ON CONFLICT DO NOTHING", self._keep_sql("old", rows_sql)))
                count += self.env.cr.rowcount
                self.env.cr.execute(
                    SQL(
                        "UPDATE billing_usage_source SET put_away_on = %s WHERE id IN %s AND put_away_on IS NULL",
                        fields.Datetime.now(),
                        tuple({value[0] for value in values}),
                    )
                )
        self.env["billing.usage.source"].invalidate_model(["put_away_on"])
        return count
