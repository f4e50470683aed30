import csv
import gzip
import io
import tempfile
from codecs import BOM_UTF8
from contextlib import contextmanager
from decimal import Decimal

from psycopg2 import DataError

from odoo import api, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import SQL

from odoo.addons.invoice_portal.tools.spreadsheet import inert

from ..tools.inert_sql import inert as inert_sql
from ..tools.units import UNITS
from .billing_usage_source import UNIT_NAMES

# What stands in a file for a client. An archive has more behind it, for programs.
CLIENT_COLUMNS = (
    "moment",
    "account",
    "destination",
    "group",
    "quantity",
    "measure",
    "billed",
    "unit",
    "included",
    "price",
    "fee",
    "amount",
    "currency",
    "late",
    "id",
)
ARCHIVE_COLUMNS = (
    "client",
    "source",
    "day",
    "utc",
    "prefix",
    "plan",
    "subscription",
    "list_amount",
    "rate_id",
    "record_id",
    "attributes",
)
# Where an archive says what.
PLACES = {name: place for place, name in enumerate(CLIENT_COLUMNS + ARCHIVE_COLUMNS)}
DAY = PLACES["day"]


class BillingUsage(models.Model):
    """Records as a file: written by PostgreSQL, so that a million rows pass through no memory of ours."""

    _inherit = "billing.usage"

    @api.model
    def _csv_file(self, domain, client=None, extra=False):
        """The records of `domain` that the user may read, as an open file; the oldest first.

        :param client: in whose words and zone; those of the user, or of the client whose user it is
        :param extra: with the columns of an archive
        """
        return self._csv_open([("rows", domain, None)], client=client, extra=extra)

    @api.model
    def _csv_open(self, parts, client=None, with_item=False, extra=False):
        """A file of several parts, one after the other.

        :param parts: `("rows", domain, item)`, `("row", {column: value}, item)`, or `("archive", bill, fits)` where
            `fits` says of a row of cells, as in `PLACES`, whether it belongs there
        :param with_item: the first column names the item of the invoice that the rows belong to
        """
        if not client and self.env.user.share:
            client = self.env.user.partner_id.commercial_partner_id
            speaking = self
        else:
            speaking = self.with_context(lang=(client and client.lang) or self.env.lang)
        file = tempfile.TemporaryFile()  # noqa: SIM115 - it is the caller's, and gone when closed
        file.write(BOM_UTF8)
        names = CLIENT_COLUMNS + (ARCHIVE_COLUMNS if extra else ())
        titles = speaking._csv_titles()
        speaking._csv_write(file, [titles["item"]] * with_item + [titles[name] for name in names])
        with self._csv_zone(client):
            for kind, what, more in parts:
                if kind == "rows":
                    speaking._csv_copy(file, what, names, [more or ""] * with_item)
                elif kind == "row":
                    cells = [more or ""] * with_item + [what.get(name, "") for name in names]
                    speaking._csv_write(file, cells)
                else:
                    what._csv_copy_archive(file, more)
        file.seek(0)
        return file

    def _csv_write(self, file, cells):
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(inert(cell) if isinstance(cell, str) else cell for cell in cells)
        file.write(line.getvalue().encode())

    @api.model
    def _csv_titles(self):
        text = self.env._
        return {
            "item": text("Item"),
            "moment": text("Moment"),
            "account": text("Number or account"),
            "destination": text("Destination"),
            "group": text("Destination group"),
            "quantity": text("Quantity"),
            "measure": text("Quantity in"),
            "billed": text("Billed quantity"),
            "unit": text("Billed in"),
            "included": text("Included"),
            "price": text("Price per unit"),
            "fee": text("Connection fee"),
            "amount": text("Amount"),
            "currency": text("Currency"),
            "late": text("Late"),
            "id": text("ID"),
            "client": text("Client"),
            "source": text("Source"),
            "day": text("Day"),
            "utc": text("Moment (UTC)"),
            "prefix": text("Prefix or key"),
            "plan": text("Rate plan"),
            "subscription": text("Subscription"),
            "list_amount": text("Amount by the rate alone"),
            "rate_id": text("Rate no."),
            "record_id": text("Record no."),
            "attributes": text("Attributes"),
        }

    @contextmanager
    def _csv_zone(self, client=None):
        """PostgreSQL writes moments as they are in the client's zone in here; UTC, where it does not know that one."""
        zone = client.commercial_partner_id.sudo().tz if client else self.env.user.tz
        zone = zone or self.env.company.sudo().partner_id.tz or "UTC"
        self.env.cr.execute("SELECT current_setting('TimeZone')")
        (before,) = self.env.cr.fetchone()
        self.env.flush_all()
        try:
            with self.env.cr.savepoint(flush=False):
                self.env.cr.execute("SELECT set_config('TimeZone', %s, true)", [zone], log_exceptions=False)
        except DataError:
            self.env.cr.execute("SELECT set_config('TimeZone', 'UTC', true)")
        yield
        # Not after an error: then the transaction is over, and the setting with it.
        self.env.cr.execute("SELECT set_config('TimeZone', %s, true)", [before])

    def _csv_copy(self, file, domain, names, before=()):
        """Write the rows of `domain` behind what stands in the file."""
        query = self._search(Domain(domain), order="moment, id")
        if query.is_empty():
            return
        columns = self._csv_columns(query)
        cells = [*(SQL("%s", inert(cell)) for cell in before), *(columns[name] for name in names)]
        select = query.select(*cells)
        self.env.flush_query(select)
        rows = self.env.cr.mogrify(SQL("COPY (%s) TO STDOUT WITH (FORMAT csv, ENCODING 'UTF8')", select))
        self.env.cr.copy_expert(rows.decode(), file)

    def _csv_columns(self, query):
        """`{name: SQL}`, with what they need joined to the query.

        Names of destinations, prices and plans are read past the rules for those: they stand on the client's invoice.
        What was billed is described by what does not change any more: the bill's name of the destination, not the
        plan's; and where tiers or an average made the price, the price that the amount says.
        """
        usage = query.table

        def of(column, table=usage):
            return SQL("%s.%s", SQL.identifier(table), SQL.identifier(column))

        for alias, table, column in (
            ("csv_plan", "billing_rate_plan", "rate_plan_id"),
            ("csv_rate", "billing_rate", "rate_id"),
            ("csv_destination", "billing_rate_destination", "destination_id"),
            ("csv_source", "billing_usage_source", "source_id"),
            ("csv_client", "res_partner", "partner_id"),
        ):
            query.add_join("LEFT JOIN", alias, table, SQL("%s = %s", of("id", alias), of(column)))
        query.add_join(
            "LEFT JOIN",
            "csv_currency",
            "res_currency",
            SQL("%s = %s", of("id", "csv_currency"), of("currency_id", "csv_plan")),
        )
        query.add_join(
            "LEFT JOIN",
            "csv_total",
            SQL(
                "LATERAL (SELECT total.destination_name FROM billing_usage_total total WHERE total.bill_id = %s"
                " AND total.destination_id IS NOT DISTINCT FROM %s LIMIT 1)",
                of("bill_id"),
                of("destination_id"),
            ),
            SQL("TRUE"),
        )
        size = SQL(
            "CASE %s %s END",
            of("unit", "csv_plan"),
            SQL(" ").join(SQL("WHEN %s THEN %s::numeric", name, str(unit.size)) for name, unit in UNITS.items()),
        )
        paid = SQL("(%s - COALESCE(%s, 0))", of("billed_quantity"), of("allowance_quantity"))
        price, amount = SQL("COALESCE(%s, 0)", of("price_unit", "csv_rate")), of("amount")
        fee = SQL("CASE WHEN %s > 0 THEN COALESCE(%s, 0) ELSE 0 END", paid, of("connection_fee", "csv_rate"))
        units = dict(self.env["billing.rate.plan"]._fields["unit"]._description_selection(self.env))
        measures = {name: units[self._base_unit(name)] for name in UNITS}

        def number(sql, digits=6):
            return SQL("trim_scale(round(%s, %s))", sql, digits)

        def word(sql, words):
            whens = SQL(" ").join(SQL("WHEN %s THEN %s", name, inert(words[name])) for name, _label in UNIT_NAMES)
            return SQL("CASE %s %s END", sql, whens)

        unit = SQL("COALESCE(%s, %s)", of("unit", "csv_plan"), of("unit", "csv_source"))
        return {
            "moment": SQL("to_char(%s AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SSTZH:TZM')", of("moment")),
            "account": inert_sql(of("account")),
            "destination": inert_sql(of("destination")),
            "group": inert_sql(
                SQL("COALESCE(%s, %s)", of("destination_name", "csv_total"), of("name", "csv_destination"))
            ),
            "quantity": number(of("quantity")),
            "measure": word(unit, measures),
            "billed": number(SQL("%s / %s", of("billed_quantity"), size)),
            "unit": word(of("unit", "csv_plan"), units),
            "included": number(SQL("COALESCE(%s, 0) / %s", of("allowance_quantity"), size)),
            "price": SQL(
                "CASE WHEN %(amount)s IS NULL THEN NULL WHEN NOT %(paid)s > 0"
                " OR round(%(fee)s + %(paid)s * %(price)s / %(size)s, 6) = %(amount)s"
                " THEN %(shown)s ELSE %(average)s END",
                paid=paid,
                fee=fee,
                price=price,
                size=size,
                amount=amount,
                shown=number(price, 8),
                average=number(SQL("(%s - %s) * %s / NULLIF(%s, 0)", amount, fee, size, paid), 8),
            ),
            "fee": SQL("CASE WHEN %s IS NOT NULL THEN %s END", amount, number(fee, 8)),
            "amount": number(amount),
            "currency": of("name", "csv_currency"),
            "late": SQL("CASE WHEN %s THEN %s END", of("late"), inert(self.env._("Late"))),
            "id": inert_sql(of("external_id")),
            "client": inert_sql(of("name", "csv_client")),
            "source": inert_sql(of("code", "csv_source")),
            "day": of("day"),
            "utc": SQL('to_char(%s, \'YYYY-MM-DD"T"HH24:MI:SS"Z"\')', of("moment")),
            "prefix": inert_sql(of("prefix", "csv_rate")),
            "plan": inert_sql(of("name", "csv_plan")),
            "subscription": of("subscription_id"),
            "list_amount": number(of("list_amount")),
            "rate_id": of("rate_id"),
            "record_id": of("id"),
            "attributes": inert_sql(SQL("%s::text", of("attributes"))),
        }

    @api.model
    def _base_unit(self, unit):
        """In which unit quantities are kept that this one measures, too."""
        measure = UNITS[unit].measure
        return next(name for name, one in UNITS.items() if one.measure == measure and one.size == 1)

    @api.model
    def _csv_sum(self, domain):
        """What the records come to, exactly, and how many they are: `(Decimal, count)`."""
        query = self._search(Domain(domain))
        if query.is_empty():
            return Decimal(0), 0
        amount = SQL("COALESCE(sum(%s), 0)::text", SQL.identifier(query.table, "amount"))
        ((total, count),) = self.env.execute_query(query.select(amount, SQL("count(*)")))
        return Decimal(total), count

    # -- of a client's days -------------------------------------------------------------------------------------------

    @api.model
    def _days_domain(self, client, company, first, last):
        """The client's records of these days. What is billed is found by its bill: only what is open has an index of
        days, for that stays small."""
        days = Domain("day", ">=", first) & Domain("day", "<=", last)
        mine = Domain("partner_id", "=", client.id) & Domain("company_id", "=", company.id) & days
        bills = self._bills_of_days_sudo(client, company, first, last)
        return mine & (Domain("bill_id", "=", False) | Domain("bill_id", "in", bills.ids))

    @api.model
    def _bills_of_days_sudo(self, client, company, first, last):
        """Elevated to find them, as clients may not read bills; what is found is asked for as the user."""
        return (
            self.env["billing.usage.bill"]
            .sudo()
            .search(
                [
                    ("partner_id", "=", client.id),
                    ("company_id", "=", company.id),
                    ("day_from", "<=", last),
                    ("day_until", ">=", first),
                ],
                order="period_start, part, id",
            )
        )

    @api.model
    def _csv_of_days(self, client, company, first, last):
        """The client's records of these days as a file, those that were put away before the others."""
        domain = self._days_domain(client, company, first, last)
        put_away = self._bills_of_days_sudo(client, company, first, last).filtered("archive_id")
        # Whoever may read no records of this client gets none out of an archive either.
        put_away = put_away.sudo(self.env.su)._with_records_to_read()
        parts = [("archive", bill.sudo(), lambda row: str(first) <= row[DAY] <= str(last)) for bill in put_away]
        return self._csv_open([*parts, ("rows", domain, None)], client=client)


class BillingUsageBill(models.Model):
    _inherit = "billing.usage.bill"

    def _with_records_to_read(self):
        """Those whose records the user might read, if there were any left: staff of the company."""
        return self._filtered_access("read")

    def _csv_copy_archive(self, file, fits):
        """Write the rows that fit out of the archive, as they were put away."""
        for bill in self:
            with bill._open_archive() as archive:
                rows = csv.reader(io.TextIOWrapper(archive, encoding="utf-8-sig", newline=""))
                next(rows, None)
                # Read as they were written: what is inert stays so, and numbers are not touched.
                writer_file = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
                writer = csv.writer(writer_file, lineterminator="\n")
                for row in rows:
                    if fits(row):
                        writer.writerow(row[: len(CLIENT_COLUMNS)])
                writer_file.detach()

    def _open_archive(self):
        """The rows that were put away, unpacked while they are read."""
        self.ensure_one()
        attachment = self.archive_id
        if attachment.store_fname:
            return gzip.open(attachment._full_path(attachment.store_fname), "rb")
        return gzip.open(io.BytesIO(attachment.raw), "rb")


class BillingCharge(models.Model):
    _inherit = "billing.charge"

    def _usage_csv_file(self):
        """The records behind one charge, and what makes them the amount that is billed."""
        self.ensure_one()
        self._refuse_archived_usage()
        return self.env["billing.usage"]._csv_open(self._usage_csv_parts(), client=self.partner_id)

    def _refuse_archived_usage(self):
        if archive := self.sudo().usage_bill_id.archive_id:
            raise UserError(
                self.env._(
                    "These records were put away: they are in %s, which can be downloaded from the billed usage.",
                    archive.name,
                )
            )

    def _usage_csv_parts(self, item=None, billed=None):
        """Rows, and what is between them and the amount: rounding, and what somebody changed on the draft.

        :param billed: what stands on the line; what the charge asks, unless told otherwise
        """
        self.ensure_one()
        speaking = self.with_context(lang=self.partner_id.lang or self.env.lang)
        text = speaking.env._
        domain = Domain.FALSE if self._is_usage_without_records() else self._usage_domain()
        total, count = self.env["billing.usage"]._csv_sum(domain)
        currency = self.currency_id
        billed = self._exactly(currency, self.amount if billed is None else billed)
        asked = self._exactly(currency, self.usage_amount)
        if not self._is_edited(billed, asked):
            asked = billed
        label = text("Rounding")
        if self._is_usage_without_records():
            minimum = self.usage_group == "minimum"
            label = text("Up to the minimum spend") if minimum else text("Tier by volume, for what was billed before")
        parts = [("rows", domain, item)] if count else []
        rest = [(label, asked - total)]
        if asked != billed:
            rest.append((text("Changed by hand"), billed - asked))
        return parts + [
            ("row", {"group": words, "amount": Decimal(f"{amount.normalize():f}"), "currency": currency.name}, item)
            for words, amount in rest
        ]

    def _is_usage_without_records(self):
        """Whether it is for no records of its own: up to the minimum spend, or what another tier means for records
        that an earlier charge is for."""
        return (self.usage_group or "").startswith(("minimum", "volume-"))

    def _is_edited(self, billed, asked):
        return self.currency_id.compare_amounts(float(billed), float(asked)) != 0

    @staticmethod
    def _exactly(currency, amount):
        return Decimal(f"{currency.round(amount):.{currency.decimal_places}f}")
