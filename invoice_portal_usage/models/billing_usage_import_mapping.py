import io
from datetime import datetime
from itertools import islice

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tools import SQL

from ..tools import copy_rows, usage_file
from ..tools.units import UNITS
from ..tools.usage_file import Layout, Refused, RowMaker, Told
from ..tools.usage_row import Unreadable
from .billing_usage_source import UNIT_NAMES

# Rows shown as they are understood.
SHOWN = 10
DELIMITERS = [(",", "Comma ,"), (";", "Semicolon ;"), ("\t", "Tab"), ("|", "Bar |")]
ENCODINGS = [
    ("utf-8-sig", "Unicode (UTF-8)"),
    ("utf-16", "Unicode (UTF-16)"),
    ("utf-16-le", "Unicode (UTF-16, little endian)"),
    ("utf-16-be", "Unicode (UTF-16, big endian)"),
    ("utf-32", "Unicode (UTF-32)"),
    ("cp1252", "Western (Windows-1252, Latin-1)"),
    ("iso8859-15", "Western (Latin-9)"),
    ("cp850", "Western (DOS)"),
    ("mac-roman", "Western (Macintosh)"),
    ("cp1250", "Central European (Windows-1250)"),
    ("cp1251", "Cyrillic (Windows-1251)"),
    ("gb18030", "Chinese (GB 18030)"),
    ("shift-jis", "Japanese (Shift JIS)"),
]
# Which of these it is cannot be told from the bytes: the one chosen last is.
BY_LETTER = {"cp1252", "iso8859-15", "cp850", "mac-roman", "cp1250", "cp1251"}
DATES = [
    ("ymd", "Year first: 2026-03-31 13:05"),
    ("dmy", "Day first: 31.03.2026 13:05, 31/03/2026"),
    ("mdy", "Month first: 03/31/2026 1:05 PM"),
    ("unix", "Seconds or milliseconds since 1970"),
    ("excel", "Days as a spreadsheet counts: 46112.545"),
]
DECIMALS = [("point", "Point: 1,234.5"), ("comma", "Comma: 1.234,5")]
ROLES = [
    ("id", "ID of the record"),
    ("account", "Number or account of the client"),
    ("client", "Client's reference"),
    ("subscription", "Subscription's reference"),
    ("moment", "Moment (date and time)"),
    ("date", "Date"),
    ("time", "Time of day"),
    ("destination", "Destination"),
    ("quantity", "Quantity"),
    ("unit", "Unit"),
    ("attribute", "Keep as it is"),
]


class BillingUsageImport(models.Model):
    """How a file is read: guessed, chosen by a person, remembered on its source, and shown on its first rows."""

    _inherit = "billing.usage.import"

    encoding = fields.Selection(ENCODINGS, string="Letters", default="utf-8-sig")
    delimiter = fields.Selection(DELIMITERS, string="Columns Divided by", default=",")
    quote = fields.Char(readonly=True, default='"')
    escape = fields.Char(readonly=True)
    heading_line = fields.Integer(
        string="Headings in Line", default=1, help="What stands above is skipped. Zero: the columns have no names."
    )
    dates = fields.Selection(DATES, default="ymd")
    decimal = fields.Selection(DECIMALS, string="Decimal Sign", default="point")
    unit = fields.Selection(
        UNIT_NAMES,
        string="Quantities in",
        help="What a quantity counts where its row names no unit. A time such as 1:02:03 needs none.",
    )
    column_ids = fields.One2many("billing.usage.import.column", "import_id", string="Columns")
    preview = fields.Html(compute="_compute_preview", sanitize=False)
    hint = fields.Text(compute="_compute_preview", help="What to look at before it is started.")
    is_file_gone = fields.Boolean(compute="_compute_is_file_gone", help="There is nothing left to read.")

    # -- upload -------------------------------------------------------------------------------------------------------

    @api.model
    def _receive(self, source, name, data, mended_from=None):
        """An import of this file, to be checked; refused with a plain reason where it is no table of text."""
        self._check_staff()
        source.check_access("read")
        layout = self._look_at(data)
        # Elevated: nobody creates imports but by handing in a file.
        batch = self.sudo().create(
            {
                "name": name,
                "source_id": source.id,
                "mended_from_id": mended_from and mended_from.id,
                "unit": source.unit,
                **self._layout_values(layout),
            }
        )
        batch._keep_file(name, data)
        return batch.with_env(self.env)

    def _receive_again(self, name, data):
        """The file of this import once more, where it is gone: what is to be checked now.

        Where a part of it was taken in, that stays as it is, and the file is an import of its own, which knows it.
        """
        self.ensure_one()
        self._check_staff()
        self.lock_for_update()
        if not self.is_file_gone:
            raise UserError(self.env._("The file of “%s” is there.", self.name))
        if self._has_records() or self._count_put_away():
            return self._receive(self.source_id, name, data, self.mended_from_id)
        layout = self._look_at(data)
        # Elevated, as nobody writes imports but these methods.
        batch = self.sudo()
        batch._begin_anew()
        batch.write({"name": name, **self._layout_values(layout)})
        batch._keep_file(name, data)
        return self

    def _keep_file(self, name, data):
        self.attachment_id = self.env["ir.attachment"].create(
            {
                "name": name,
                "raw": data,
                "res_model": self._name,
                "res_id": self.id,
                # Neither shown as a page, nor searched for words, whatever its name says.
                "mimetype": "application/csv",
            }
        )
        self._guess_columns()

    @api.model
    def _look_at(self, data):
        try:
            return usage_file.guess_layout(io.BytesIO(data))
        except Refused as error:
            raise UserError(self._in_words(error)) from None

    @api.model
    def _layout_values(self, layout):
        return {
            "encoding": layout.encoding,
            "delimiter": layout.delimiter,
            "quote": layout.quote,
            "escape": layout.escape,
            "heading_line": layout.heading,
        }

    def _layout(self):
        return Layout(
            self.encoding or "utf-8-sig",
            self.delimiter or ",",
            self.quote or '"',
            self.escape or "",
            max(self.heading_line, 0),
        )

    def _open_file(self):
        """The file, to read its bytes as they are needed."""
        attachment = self.attachment_id.sudo()
        # Only what was handed in for this very import.
        if (attachment.res_model, attachment.res_id) != (self._name, (self._origin or self).id):
            raise Refused("gone")
        if not attachment.store_fname:
            data = attachment.raw
            if not data:
                raise Refused("gone")
            return io.BytesIO(data)
        try:
            return open(attachment._full_path(attachment.store_fname), "rb")
        except OSError as error:
            raise Refused("gone") from error

    @api.depends("state", "kind", "attachment_id")
    def _compute_is_file_gone(self):
        """Asked where the file may still be read."""
        for batch in self:
            batch.is_file_gone = False
            if batch.kind == "file" and batch.state in ("draft", "failed", "undone") and batch._origin:
                try:
                    batch._open_file().close()
                except Refused:
                    batch.is_file_gone = True

    def _refuse_without_file(self):
        if self.is_file_gone:
            raise UserError(self._in_words(Refused("gone")))

    def _first_rows(self, layout, count):
        """The headings, and the first rows."""
        with self._open_file() as file:
            head = io.BytesIO(file.read(usage_file.HEAD))
        headings = []
        if layout.heading:
            above = usage_file.read_lines(head, layout._replace(heading=0))
            headings = next((line.cells for line in above if line.number >= layout.heading), [])
            head.seek(0)
        rows = list(islice(usage_file.read_lines(head, layout, len(headings) or None), count))
        return [usage_file.clean(cell) for cell in headings], rows

    # -- columns ------------------------------------------------------------------------------------------------------

    def _guess_columns(self):
        """Fill in columns and formats: as chosen last for files like this, else by names and contents."""
        known = self._known_mapping()
        if known and self.encoding in BY_LETTER and known.get("encoding") in BY_LETTER:
            self.encoding = known["encoding"]
        headings, rows = self._first_rows(self._layout(), usage_file.HEAD_ROWS)
        rows = [row for row in rows if not row.problem]
        width = len(headings) or max((len(row.cells) for row in rows), default=0)
        headings += [""] * (width - len(headings))
        roles = self._known_roles(known, headings) or usage_file.guess_roles(headings, [row.cells for row in rows[:20]])
        samples = {
            role: [usage_file.clean(row.cells[place]) for row in rows if place < len(row.cells)]
            for place, role in enumerate(roles)
            if role
        }
        samples = {role: [cell for cell in cells if cell] for role, cells in samples.items()}
        known = known or {}
        month_first = self.source_id.country_id.code in ("US", "PH", "FM", "MH")
        dates, _sure = usage_file.guess_dates(samples.get("moment") or samples.get("date") or [], month_first)
        decimal, _sure = usage_file.guess_decimal(samples.get("quantity") or [], self.delimiter)
        if dates in ("dmy", "mdy", None) and known.get("dates") and (not dates or not _sure):
            dates = known["dates"]
        unit = known.get("unit") or (
            "quantity" in roles and usage_file.unit_of_heading(headings[roles.index("quantity")])
        )
        if not unit or UNITS[unit].measure != self.source_id._measure():
            unit = self.source_id.unit
        self.write(
            {
                "dates": dates or "ymd",
                "decimal": decimal or known.get("decimal") or "point",
                "unit": unit,
                "column_ids": [
                    Command.clear(),
                    *(
                        Command.create(
                            {
                                "position": place,
                                "name": (heading or self.env._("Column %s", place + 1))[:200],
                                "example": self._example(rows, place),
                                "role": roles[place],
                            }
                        )
                        for place, heading in enumerate(headings)
                    ),
                ],
            }
        )

    @api.model
    def _example(self, rows, place):
        """The first few things that stand in a column."""
        cells = (usage_file.clean(row.cells[place]) for row in rows if place < len(row.cells))
        different = list(dict.fromkeys(usage_file.readable(cell)[:40] for cell in cells if cell))
        return " · ".join(different[:3])

    def _known_mapping(self):
        """The mapping of the import whose rows these are, mended; else that which its source remembers."""
        if self.mended_from_id.mapping:
            return self.mended_from_id.mapping
        return self.source_id.mapping or {}

    def _known_roles(self, known, headings):
        """What was chosen for columns like these, else `None`."""
        if not known.get("roles"):
            return None
        names = [usage_file._plain(heading) for heading in headings]
        before = [usage_file._plain(heading) for heading in known["headings"]]
        roles = known["roles"]
        if not any(names):
            return list(roles) if len(roles) == len(names) else None
        if names == before:
            return list(roles)
        # Rejected rows were handed out behind two columns of ours.
        if self.mended_from_id and names[2:] == before:
            return [None, None, *roles]
        by_name = dict(zip(before, roles, strict=False))
        found = [by_name.pop(name, None) if name else None for name in names]
        # All that was named has to be there.
        return found if set(filter(None, roles)) <= set(filter(None, found)) else None

    def _own_columns(self):
        """Of rows that were mended: the columns that they had before, in that order."""
        parent = self.mended_from_id.mapping
        if not parent:
            return None
        columns = self.column_ids.sorted("position")
        names = [usage_file._plain(column.name) for column in columns]
        before = [usage_file._plain(heading) for heading in parent["headings"]]
        own = parent.get("own") or list(range(len(before)))
        if names[2:] == before:
            return [place + 2 for place in own]
        places = {name: place for place, name in reversed(list(enumerate(names)))}
        found = [places.get(before[place]) for place in own]
        return None if None in found else found

    def _chosen_mapping(self):
        columns = self.column_ids.sorted("position")
        return {
            **self._layout()._asdict(),
            "headings": columns.mapped("name"),
            "roles": [column.role or None for column in columns],
            "own": self._own_columns(),
            "dates": self.dates or "ymd",
            "decimal": self.decimal or "point",
            "unit": self.unit or self.source_id.unit,
        }

    def _remember(self, mapping):
        """So that the next file of this source needs no choosing. Mended rows are no example: they came from here."""
        source = self.source_id.sudo()
        if not self.mended_from_id and source.mapping != mapping:
            source.mapping = mapping

    @api.onchange("encoding", "delimiter", "heading_line")
    def _onchange_layout(self):
        if self.state == "draft" and self.attachment_id:
            try:
                self._guess_columns_again()
            except Told as error:
                return {"warning": {"title": self.env._("This does not fit"), "message": self._in_words(error)}}

    def _guess_columns_again(self):
        """As a person said how it is cut: the columns are others now."""
        encoding = self.encoding
        self._guess_columns()
        self.encoding = encoding

    # -- what is missing, and what is understood ----------------------------------------------------------------------

    def _what_is_missing(self):
        """Why it cannot be started, in words."""
        self.ensure_one()
        roles = [role for role in self.column_ids.mapped("role") if role and role != "attribute"]
        names = dict(self.env["billing.usage.import.column"]._fields["role"]._description_selection(self.env))
        if twice := next((role for role in roles if roles.count(role) > 1), None):
            return self.env._("Two columns are chosen as “%s”. Choose one.", names[twice])
        if not {"account", "client", "subscription"} & set(roles):
            return self.env._(
                "Choose the column that says whose usage it is: number or account, client, or subscription."
            )
        if not {"moment", "date"} & set(roles):
            return self.env._("Choose the column that says when it was.")
        unit = self.unit or self.source_id.unit
        if UNITS[unit].measure != self.source_id._measure():
            return self.env._(
                "“%(name)s” measures something else than %(unit)s.",
                name=self.source_id.name,
                unit=dict(self._fields["unit"]._description_selection(self.env))[unit],
            )
        if "quantity" not in roles and UNITS[unit].measure != "count":
            return self.env._("Choose the column that says how much it was.")
        return ""

    @api.depends(
        "state", "encoding", "delimiter", "heading_line", "dates", "decimal", "unit", "column_ids.role", "source_id"
    )
    @api.depends_context("lang", "uid")
    def _compute_preview(self):
        for batch in self:
            if batch.state != "draft" or not (batch.attachment_id or batch.is_file_gone):
                batch.preview = batch.hint = False
                continue
            try:
                batch._show_first_rows()
            except Told as error:
                batch.preview, batch.hint = False, self._in_words(error)

    def _show_first_rows(self):
        if self.is_file_gone:
            raise Refused("gone")
        missing = self._what_is_missing()
        _headings, lines = self._first_rows(self._layout(), SHOWN)
        rows = self._understood(lines)
        good = sum(not row["reason"] for row in rows)
        self.preview = self.env["ir.qweb"]._render(
            "invoice_portal_usage.import_preview",
            {"rows": rows, "good": good, "tz": self.source_id.tz, "amounts": any(row.get("amount") for row in rows)},
        )
        self.hint = missing or (self.env._("There are no rows below the headings.") if not lines else self._doubt())

    def _doubt(self):
        """What can be read in two ways."""
        columns = self.column_ids.sorted("position")
        _headings, lines = self._first_rows(self._layout(), usage_file.HEAD_ROWS)

        def cells(*roles):
            for place, column in enumerate(columns):
                if column.role in roles:
                    return [usage_file.clean(line.cells[place]) for line in lines if place < len(line.cells)]
            return []

        doubts = []
        dates, sure = usage_file.guess_dates(cells("moment", "date"))
        if dates and not sure:
            doubts.append(self.env._("Day or month first? The dates of the first rows can be read either way."))
        decimal, sure = usage_file.guess_decimal(cells("quantity"), self.delimiter)
        if decimal and not sure:
            doubts.append(
                self.env._(
                    "A thousand or a decimal? Quantities such as 1,234 can be read either way: check them below."
                )
            )
        if self.column_ids and "id" not in self.column_ids.mapped("role"):
            doubts.append(
                self.env._(
                    "No column is the ID: a row is then known by all that stands in it, and equal rows are rejected."
                )
            )
        return "\n".join(doubts)

    def _understood(self, lines):
        """What becomes of these rows when they are taken in, in texts; nothing is written."""
        maker, reader = RowMaker(self._chosen_mapping()), self.source_id._reader()
        shown, taken = [], []
        for line in lines:
            entry = {"line": line.number, "cells": " | ".join(usage_file.readable(cell) for cell in line.cells)[:200]}
            try:
                if line.problem:
                    raise line.problem
                row = reader.row(maker.raw(line.cells), line.number)
            except (Told, Unreadable) as error:
                entry["reason"] = self._in_words(error)
            else:
                entry["reason"] = False
                taken.append((entry, row))
            shown.append(entry)
        for entry, row, rated in self._rated(taken):
            entry.update(self._row_in_words(row, rated))
        return shown

    def _rated(self, taken):
        """Entry, row and what rating says of it, for those whose client is named rightly."""
        by_line = {row.line: (entry, row) for entry, row in taken}
        if not by_line:
            return []
        for model in ("billing.usage.account", "billing.usage", "billing.rate", "billing.rate.plan", "res.partner"):
            self.env[model].flush_model()
        company = self.source_id.company_id
        usage = self.env["billing.usage"].with_company(company)
        for line, _external_id, reason in usage._stage(
            self.source_id, copy_rows.written(self.source_id.id, (row for _entry, row in taken))
        ):
            entry, _row = by_line.pop(line)
            entry["reason"] = reason
        rows = self.env.execute_query_dict(
            SQL(
                """
                SELECT rated.*, trim_scale(rated.due)::text AS price,
                       known.id IS NOT NULL OR EXISTS (
                           SELECT FROM billing_usage_known away
                            WHERE away.source_id = rated.source_id AND away.external_id = %(away)s
                       ) AS known,
                       destination.name AS destination_name, currency.name AS currency
                  FROM (%(rated)s) rated
             LEFT JOIN billing_usage known
                    ON known.source_id = rated.source_id AND known.external_id = rated.external_id
             LEFT JOIN billing_rate_destination destination ON destination.id = rated.destination_id
             LEFT JOIN billing_rate_plan plan ON plan.id = rated.plan_id
             LEFT JOIN res_currency currency ON currency.id = plan.currency_id
              ORDER BY rated.line
                """,
                away=self.env["billing.usage.known"]._id_sql("rated"),
                rated=SQL(" UNION ALL ").join(
                    SQL("(%s)", select) for select in usage._rated_sql(company, SQL("line, source_id, external_id"))
                ),
            )
        )
        return [(*by_line[row["line"]], row) for row in rows]

    def _row_in_words(self, row, rated):
        usage = self.env["billing.usage"]
        moment = fields.Datetime.context_timestamp(
            self.with_context(tz=self.source_id.tz), datetime.fromisoformat(row.moment)
        )
        unit = {"time": "second", "data": "mb", "count": "piece"}[self.source_id._measure()]
        unit_name = dict(self._fields["unit"]._description_selection(self.env))[unit].lower()
        reasons = dict(usage._fields["unrated_reason"]._description_selection(self.env))
        if rated["known"]:
            remark = self.env._("Known already")
        else:
            remark = reasons.get(rated["reason"], "")
        # Elevated for the name alone: who is billed may be told to who bills.
        client = self.env["res.partner"].sudo().browse(rated["client_id"]).display_name
        return {
            "client": client or "",
            "account": row.account or row.client or row.subscription,
            # The month as a word: day and month cannot be taken for each other.
            "moment": moment.strftime("%-d %b %Y %H:%M:%S"),
            "destination": row.destination or "",
            "destination_name": rated["destination_name"] or "",
            "quantity": f"{row.quantity} {unit_name}",
            "amount": " ".join(filter(None, (rated["price"], rated["currency"]))) if rated["price"] else "",
            "remark": remark,
        }

    # -- in words -----------------------------------------------------------------------------------------------------

    def _in_words(self, error):
        """Why a file or a row is not taken, for whoever has to mend it."""
        if isinstance(error, Unreadable):
            return self.source_id._why_unreadable(error)
        kinds = {
            "workbook": self.env._("This is a workbook (Excel). Save it as CSV there, and upload that."),
            "zip": self.env._("This is a compressed folder. Unpack it, and upload the CSV files one by one."),
            "compressed": self.env._("This file is compressed. Unpack it, and upload the CSV file that is inside."),
            "pdf": self.env._("This is a PDF. Ask for the same list as a CSV file."),
            "document": self.env._("This is a text document. Save the table as CSV, and upload that."),
            "picture": self.env._("This is a picture. Upload a CSV file."),
            "database": self.env._("This is a database. Export the table as CSV, and upload that."),
            "program": self.env._("This is a program. Upload a CSV file."),
            "page": self.env._(
                "This is a web page, perhaps the login page of the system it was to come from. Upload a CSV file."
            ),
            "xml": self.env._("This is an XML file. Upload a CSV file, or hand in the records by the API."),
            "json": self.env._("This is a JSON file. Upload a CSV file, or hand in the records by the API."),
            "binary": self.env._("This is no text. Upload a CSV file."),
        }
        orders = dict(self._fields["dates"]._description_selection(self.env))
        values = dict(error.values, order=orders.get(error.values.get("order")))
        values["sign"] = "1.234,5" if values.get("decimal") == "comma" else "1,234.5"
        words = {
            "empty": self.env._("This file is empty."),
            "kind": kinds.get(values.get("kind"), ""),
            "gone": self.env._("The file is no longer there. Upload it again."),
            "rejects": self.env._(
                "%(count)s rows were rejected, so the file is read no further: see the reasons, and whether the "
                "columns are chosen rightly."
            ),
            "long": self.env._("This line is too long to be a row of usage."),
            "zero": self.env._("This line has bytes that no text has (NUL)."),
            "quote": self.env._("A quotation mark (%(quote)s) is not closed, or stands in the middle of a cell."),
            "columns": self.env._("%(count)s cells are more than any row of usage has (%(limit)s)."),
            "more": self.env._(
                "This row has more cells than the file has columns: %(count)s, not %(width)s. Is the sign that divides "
                "the columns part of a cell?"
            ),
            "fewer": self.env._("This row has fewer cells than the file has columns: %(count)s, not %(width)s."),
            "letters": self.env._("“%(value)s” has letters that cannot be read: they are written in another way."),
            "shortened": self.env._(
                "“%(value)s” was shortened by a spreadsheet, and its digits are lost. Export it as text."
            ),
            "no_moment": self.env._("It does not say when it was."),
            "no_quantity": self.env._("It does not say how much it was."),
            "moment": self.env._("“%(value)s” is not a moment as chosen (%(order)s)."),
            "number": self.env._("“%(value)s” is not a number, as %(sign)s is."),
            "duration": self.env._("“%(value)s” is not a duration, as 1:02:03 is."),
            "unit": self.env._("“%(value)s” is not a unit that is known here."),
            "twice": self.env._(
                "An equal row stands above in this file. Without a column with an ID, nobody can tell whether it is "
                "the same use twice. Give them IDs, or leave this row out."
            ),
            "unexpected": self.env._("It could not be taken in: %(error)s"),
        }
        return words[error.code] % values


class BillingUsageImportColumn(models.Model):
    """A column of a file, and what it is taken for."""

    _name = "billing.usage.import.column"
    _description = "Column of a Usage File"
    _order = "import_id, position, id"

    import_id = fields.Many2one("billing.usage.import", required=True, index=True, ondelete="cascade")
    position = fields.Integer(readonly=True)
    name = fields.Char(string="Column", readonly=True)
    example = fields.Char(string="For Example", readonly=True)
    role = fields.Selection(ROLES, string="Is")
