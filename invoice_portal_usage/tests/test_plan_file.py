import base64
import csv
import io
import logging
import os
import time
from datetime import date

from odoo.exceptions import AccessError, UserError
from odoo.tests import HttpCase, tagged

from ..tools import rate_file
from ..tools.rate_file import RateRow, Refusal, UnreadableFile
from ..tools.rate_steps import normal_prefix
from .common import UsageCommon

# Set to 100,000 to see what a large plan takes.
MANY = int(os.environ.get("BILLING_RATES", 2000))
_logger = logging.getLogger(__name__)

HEAD = "prefix,destination,price,minimum,step,connection_fee,from,until,band\n"
FACTS = [
    "prefix",
    "destination_id",
    "price_unit",
    "minimum",
    "step",
    "connection_fee",
    "date_from",
    "date_until",
    "band",
]


@tagged("post_install", "-at_install")
class TestPlanFile(UsageCommon):
    """Rates from files and back, by what becomes of each."""

    def _import(self, text, valid_from=None, missing="keep", write=True, plan=None):
        data = text if isinstance(text, bytes) else text.encode()
        return (plan or self.plan)._import_rates(
            data, date.fromisoformat(valid_from) if valid_from else None, missing == "end", write
        )

    def _export(self, plan=None):
        file = io.BytesIO()
        (plan or self.plan)._write_rates(file)
        return file.getvalue()

    def _facts(self, plan=None):
        rates = (plan or self.plan).rate_ids.sorted(lambda rate: (rate.prefix, rate.date_from or date.min, rate.band))
        return [tuple(rate[fname] for fname in FACTS) for rate in rates]

    def _of(self, prefix):
        """The prices of a prefix: from, until, band, price."""
        rates = self.plan.rate_ids.filtered(lambda rate: rate.prefix == prefix)
        return sorted(
            (str(rate.date_from or ""), str(rate.date_until or ""), rate.band, rate.price_unit) for rate in rates
        )

    def _counts(self, outcome):
        return {name: value for name, value in outcome._asdict().items() if name != "refusals" and value}

    def _mark_billed(self, *prefixes):
        self.env.flush_all()
        self.env.cr.execute("UPDATE billing_rate SET billed = TRUE WHERE prefix = ANY(%s)", [list(prefixes)])
        self.env["billing.rate"].invalidate_model()

    # -- what becomes of a row ----------------------------------------------------------------------------------------

    def test_new_rates_and_groups(self):
        outcome = self._import(HEAD + '+33,France,0.1,60,60,0.05,,,\n0034,spain,"0,2",,,,,,\n3491,Spain,.3,,,,,,peak\n')
        self.assertEqual(self._counts(outcome), {"new": 3, "groups": 2})
        rates = self.plan.rate_ids.filtered(lambda rate: rate.prefix.startswith("3"))
        self.assertEqual(rates.mapped("prefix"), ["33", "34", "3491"])
        self.assertEqual(rates.mapped("price_unit"), [0.1, 0.2, 0.3])
        self.assertEqual(rates.destination_id.mapped("name"), ["France", "spain"])
        self.assertEqual((rates[0].minimum, rates[0].step, rates[0].connection_fee), (60, 60, 0.05))
        self.assertEqual(rates[2].band, "peak")
        self.assertEqual(rates.company_id, self.company)
        self.assertEqual(rates.create_uid, self.biller)

    def test_a_preview_changes_nothing(self):
        before, revision = self._facts(), self.plan.revision
        outcome = self._import("prefix,price\n49,9\n33,1\n", "2026-04-01", "end", write=False)
        self.assertEqual(self._counts(outcome), {"new": 1, "changed": 1, "ended": 2, "groups": 1})
        self.env.invalidate_all()
        self.assertEqual((self._facts(), self.plan.revision), (before, revision))

    def test_a_new_price_from_a_day(self):
        outcome = self._import("prefix,price,minimum,step\n49,0.07,60,60\n4915,0.12,1,1\n", "2026-04-01")
        self.assertEqual(self._counts(outcome), {"changed": 1, "unchanged": 1})
        self.assertEqual(self._of("49"), [("", "2026-03-31", "any", 0.06), ("2026-04-01", "", "any", 0.07)])
        self.assertEqual(self._of("4915"), [("", "", "any", 0.12)])
        self.assertEqual(self.plan.rate_ids.filtered(lambda rate: rate.prefix == "49").destination_id, self.landline)

    def test_all_at_once_is_one_change(self):
        before = self.plan.revision
        self._import("prefix,price\n49,9\n33,1\n34,1\n", "2026-04-01", "end")
        self.assertEqual(self.plan.revision, before + 1)

    def test_a_rate_that_was_billed_gets_an_end(self):
        self._mark_billed("49")
        self._import("prefix,price\n49,0.07\n", "2026-04-01")
        self.assertEqual(self._of("49"), [("", "2026-03-31", "any", 0.06), ("2026-04-01", "", "any", 0.07)])

    def test_a_rate_of_the_same_day_is_corrected(self):
        self._import("prefix,price\n49,0.07\n", "2026-04-01")
        outcome = self._import("prefix,price,until\n49,0.08,2026-12-31\n", "2026-04-01")
        self.assertEqual(self._counts(outcome), {"changed": 1})
        self.assertEqual(self._of("49"), [("", "2026-03-31", "any", 0.06), ("2026-04-01", "2026-12-31", "any", 0.08)])

    def test_unless_it_was_billed(self):
        self._import("prefix,price\n49,0.07\n", "2026-04-01")
        self._mark_billed("49")
        before = self._facts()
        outcome = self._import("prefix,price\n49,0.08\n", "2026-04-01", "end")
        self.assertEqual((outcome.refused, outcome.refusals[0].reason), (1, "billed"))
        self.assertIn("choose a later day", self.plan._say_refusal(outcome.refusals[0]))
        self.assertEqual([facts for facts in self._facts() if facts[0] == "49"], before[1:3])

    def test_what_begins_later_is_in_the_way(self):
        self._import("prefix,price\n49,0.07\n", "2026-04-01")
        before = self._facts()
        for day in (None, "2026-03-01"):
            outcome = self._import("prefix,price\n49,0.08\n", day)
            self.assertEqual((outcome.refused, outcome.refusals[0].reason), (1, "later"))
            self.assertIn("04/01/2026", self.plan._say_refusal(outcome.refusals[0]))
        self.assertEqual(self._facts(), before)

    def test_peak_and_off_peak_instead_of_always(self):
        outcome = self._import("prefix,price,band\n49,0.08,peak\n49,0.04,off-peak\n", "2026-04-01")
        self.assertEqual(self._counts(outcome), {"changed": 2})
        self.assertEqual(
            self._of("49"),
            [
                ("", "2026-03-31", "any", 0.06),
                ("2026-04-01", "", "off_peak", 0.04),
                ("2026-04-01", "", "peak", 0.08),
            ],
        )
        # On the very day, they are taken back.
        self._import("prefix,price\n49,0.05\n", "2026-04-01")
        self.assertEqual(self._of("49"), [("", "2026-03-31", "any", 0.06), ("2026-04-01", "", "any", 0.05)])

    def test_a_rate_that_is_interrupted_goes_on(self):
        text = "prefix,price,minimum,step,from,until\n49,0.01,60,60,2026-04-01,2026-04-30\n49,0.06,60,60,2026-05-01,\n"
        self.assertEqual(self._counts(self._import(text)), {"changed": 2})
        self.assertEqual(
            self._of("49"),
            [
                ("", "2026-03-31", "any", 0.06),
                ("2026-04-01", "2026-04-30", "any", 0.01),
                ("2026-05-01", "", "any", 0.06),
            ],
        )

    def test_what_the_file_does_not_name(self):
        self._new_rate("33", self.world, 1, date_from="2026-05-01")
        self._new_rate("34", self.world, 1, date_from="2026-05-01")
        self._new_rate("35", self.world, 1, date_until="2026-03-31")
        self._new_rate("36", self.world, 1, date_from="2026-04-01")
        self._mark_billed("34")
        # A row that cannot be read says at least that its prefix is not missing.
        outcome = self._import("prefix,price\n49,0.06\n4915,x\n", "2026-04-01", "end")
        self.assertEqual(self._counts(outcome), {"changed": 1, "ended": 1, "removed": 2, "kept": 1, "refused": 1})
        self.assertEqual(self._of("*"), [("", "2026-03-31", "any", 0.9)])
        self.assertEqual(self._of("4915"), [("", "", "any", 0.12)])
        self.assertEqual(self._of("35"), [("", "2026-03-31", "any", 1)])
        self.assertEqual(self._of("33") + self._of("36"), [])
        self.assertEqual(self._of("34"), [("2026-05-01", "", "any", 1)])

    def test_missing_rates_end_on_a_day(self):
        with self.assertRaisesRegex(UserError, "Name the day"):
            self._import("prefix,price\n49,1\n", missing="end")

    def test_the_first_of_two_rows_counts(self):
        outcome = self._import(
            "prefix,price,from,until,band\n33,1,,2026-01-31,\n33,2,2026-01-31,,\n+33,3,2026-02-01,,peak\n33,4,2026-02-01,,\n"
        )
        self.assertEqual(
            [(refusal.line, refusal.reason, refusal.value) for refusal in outcome.refusals],
            [(3, "twice", "2"), (4, "twice", "3"), (5, "twice", "3")],
        )
        self.assertEqual(self._of("33"), [("", "2026-01-31", "any", 1)])

    def test_names_come_from_the_prefix(self):
        self._import("prefix,price\n491512,1\n3491,1\n*,0.8\n49,0.5\n", "2026-04-01")
        names = {rate.prefix: rate.destination_id.name for rate in self.plan.rate_ids}
        self.assertEqual(names["491512"], "Germany mobile")
        self.assertEqual(names["3491"], "Spain, Madrid")
        self.assertEqual((names["*"], names["49"]), ("Elsewhere", "Germany"))

    # -- out and in again ---------------------------------------------------------------------------------------------

    def _interesting(self):
        self._new_destination('=HYPERLINK("http://x","y")')
        for position, name in enumerate(
            ["+1 Caribbean", "'=quoted", "''-x", 'a "b", c;', "  wide   name ", "Ünï ☎", "@x"]
        ):
            self._new_rate(f"90{position}", self._new_destination(name), 0.00000001 * (position + 1))
        group = self.plan.destination_ids.filtered(lambda one: one.name.startswith("=HYP"))
        self._new_rate(
            "910", group, 123456.12345678, minimum=0.000001, step=0.3, date_from="2026-01-01", date_until="2026-01-31"
        )
        self._new_rate("910", group, 1, date_from="2026-02-01", date_until="2026-02-28")
        self._new_rate("910", group, 1, date_from="2026-03-01")
        self._new_rate("911", group, 0, band="peak")
        self._new_rate("911", group, 0, band="off_peak", date_until="2026-12-31")

    def test_what_goes_out_comes_in_unchanged(self):
        self._interesting()
        before, groups = self._facts(), self.plan.destination_ids
        for day in (None, "2026-04-01", "2020-01-01"):
            outcome = self._import(self._export(), day)
            # From the day named, rates without a beginning begin: then or since for ever is the same.
            self.assertEqual(self._counts(outcome), {"unchanged": len(before)}, day)
        outcome = self._import(self._export(), "2020-01-01", "end")
        self.assertEqual(self._counts(outcome), {"unchanged": len(before)})
        self.assertEqual((self._facts(), self.plan.destination_ids), (before, groups))

    def test_what_goes_out_makes_the_same_plan(self):
        self._interesting()
        copy = self.env["billing.rate.plan"].create({"name": "New", "product_id": self.usage_product.id, "tz": "UTC"})
        outcome = self._import(self._export(), plan=copy)
        self.assertEqual(outcome.new, len(self.plan.rate_ids))
        self.assertEqual(self._export(copy), self._export())

    def test_what_goes_out_is_no_formula(self):
        self._interesting()
        rows = list(csv.reader(io.StringIO(self._export().decode("utf-8-sig"))))
        self.assertEqual(tuple(rows[0]), rate_file.COLUMNS)
        for row in rows[1:]:
            for cell in row:
                self.assertNotIn(cell[:1], tuple("=+-@"), row)
        cells = {row[0]: row for row in rows}
        self.assertEqual(cells["900"][2], "0.00000001")
        self.assertEqual(cells["49"][2:], ["0.06", "60", "60", "0", "", "", "any"])

    def test_keys_go_out_and_in(self):
        plan = self.env["billing.rate.plan"].create(
            {"name": "Hours", "product_id": self.usage_product.id, "unit": "hour", "tz": "UTC"}
        )
        self._import("key,price\n=1+1,90\nSupport,100\n'@x,1\n", plan=plan)
        self.assertEqual(plan.rate_ids.mapped("prefix"), ["=1+1", "@x", "Support"])
        self.assertEqual(self._import(self._export(plan), plan=plan).unchanged, 3)
        self.assertEqual(self._import("key,price\nSUPPORT,100\n", plan=plan).unchanged, 1)

    # -- files as they come -------------------------------------------------------------------------------------------

    def test_all_sorts_of_files(self):
        text = (
            '\ufeffVorwahl;Ziel;Preis;gültig ab\r\n33;Île;1.234,5;31.12.2026\r\n\r\n;;;\r\n34;"Mehr\nZeilen";0,5;\r\n'
        )
        for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252"):
            data = text.lstrip("\ufeff").encode(encoding) if encoding != "utf-8" else text.encode()
            rows = list(rate_file.read(data, normal_prefix))
            self.assertEqual(
                [(row.prefix, row.destination, str(row.price)) for row in rows][0], ("33", "Île", "1234.50000000")
            )
            self.assertEqual((rows[0].first, rows[1].destination), (date(2026, 12, 31), "Mehr Zeilen"))
        for delimiter in ",;|\t":
            rows = list(
                rate_file.read(
                    delimiter.join(["Prefix", "Price"]).encode() + b"\n33" + delimiter.encode() + b"1\n", normal_prefix
                )
            )
            self.assertEqual(rows[0].prefix, "33")

    def test_zeros_behind_what_is_kept_are_no_digits(self):
        self._import(HEAD + "33,F,0.123456780000,60.000000000,0.0000010,0.0500000000,,,\n")
        rate = self.plan.rate_ids.filtered(lambda rate: rate.prefix == "33")
        self.assertEqual(
            (rate.price_unit, rate.minimum, rate.step, rate.connection_fee), (0.12345678, 60, 0.000001, 0.05)
        )

    def test_rows_that_are_refused(self):
        rows = {
            "x,F,1,,,,,,": "prefix",
            ",F,1,,,,,,": "prefix",
            "030,F,1,,,,,,": "prefix",
            "4.93E+10,F,1,,,,,,": "prefix",
            "33,F,,,,,,,": "price_missing",
            "33": "price_missing",
            "33,F,-1,,,,,,": "number",
            "33,F,nan,,,,,,": "number",
            "33,F,inf,,,,,,": "number",
            "33,F,1e99,,,,,,": "number",
            "33,F,1e10,,,,,,": "number",
            "33,F,1 €,,,,,,": "number",
            '33,F,"1,2,3",,,,,,': "number",
            '33,F,"1.2,3.4",,,,,,': "number",
            "33,F,٣,,,,,,": "number",
            "33,F,=1+1,,,,,,": "number",
            "33,F,1,-1,,,,,": "number",
            "33,F,0.00000000001,,,,,,": "digits_price",
            "33,F,1e-9,,,,,,": "digits_price",
            "33,F,0.123456785,,,,,,": "digits_price",
            "33,F,1,,,0.000000001,,,": "digits_price",
            "33,F,1,0.0000001,,,,,": "digits_quantity",
            "33,F,1,,60.0000001,,,,": "digits_quantity",
            "33,F,1,,x,,,,": "number",
            "33,F,1,,,x,,,": "number",
            "33,F,1,,,,30.02.2026,,": "day",
            "33,F,1,,,,,0001-01-01,": "day",
            "33,F,1,,,,2026-02-01,2026-01-01,": "order",
            "33,F,1,,,,,,lunch": "band",
            "33," + "F" * 201 + ",1,,,,,,": "destination",
            "33," + "F" * 10_001 + ",1,,,,,,": "cell",
            "33,F\0,1,,,,,,": "cell",
        }
        outcome = self._import(HEAD + "\n".join(rows) + "\n35,OK,1\n")
        self.assertEqual([refusal.reason for refusal in outcome.refusals], list(rows.values()))
        self.assertEqual([refusal.line for refusal in outcome.refusals], list(range(2, len(rows) + 2)))
        self.assertEqual((outcome.refused, outcome.new), (len(rows), 1))
        for refusal in outcome.refusals:
            self.assertTrue(self.plan._say_refusal(refusal))
        self.assertEqual(len(self.plan.rate_ids), 4)

    def test_files_that_are_none(self):
        for data, words in [
            (b"", "empty"),
            (b"\xef\xbb\xbf\n\n", "empty"),
            (b"\x00\x00\x00", "empty|columns"),
            (b"price\n1\n", "not found.*prefix"),
            (b"prefix;destination\n49;x\n", "not found.*price"),
            (b"prefix,price,rate\n49,1,2\n", "same: price"),
            (b"PK\x03\x04" + bytes(range(256)) * 50, "not found|cannot be read"),
            (HEAD.encode() + b'33,F,1\n49,"' + b"x" * 200_000 + b"\n", "cannot be read from line 3 on"),
            (HEAD.encode() + b'33,F,1\n34,"F,1\n35,F,1\n', "cannot be read from line 3 on"),
            ("\ufeffprefix".encode("utf-16-le")[:-1], "not found|cannot be read"),
        ]:
            with self.subTest(data[:20]), self.assertRaisesRegex(UserError, words):
                self._import(data)
        with self.assertRaises(UnreadableFile):
            list(rate_file.read(b"", normal_prefix))
        self.assertEqual(len(self.plan.rate_ids), 3)

    def test_only_headers(self):
        self.assertEqual(self._counts(self._import(HEAD)), {})
        self.assertEqual(self._counts(self._import(HEAD, "2026-04-01", "end")), {"ended": 3})

    def test_rows_and_refusals_are_told_apart(self):
        rows = list(rate_file.read(b"prefix,price\n49,1\nx,1\n", normal_prefix))
        self.assertIsInstance(rows[0], RateRow)
        self.assertIsInstance(rows[1], Refusal)

    # -- the dialog ---------------------------------------------------------------------------------------------------

    def _dialog(self, text, **values):
        return self.env["billing.rate.import"].create(
            {"plan_id": self.plan.id, "data": base64.b64encode(text.encode()), "filename": "new.csv", **values}
        )

    def test_look_then_import(self):
        dialog = self._dialog("prefix,price\n49,0.07\nx,1\n33,2\n", valid_from="2026-04-01")
        dialog.action_preview()
        self.assertEqual(
            (dialog.state, dialog.new_count, dialog.changed_count, dialog.refused_count), ("preview", 1, 1, 1)
        )
        self.assertEqual((dialog.refused_ids.line, dialog.refused_ids.name), (3, "x | 1"))
        self.assertIn("no prefix", dialog.refused_ids.reason)
        self.assertEqual(len(self.plan.rate_ids), 3)
        dialog.action_import()
        self.assertEqual((dialog.state, len(self.plan.rate_ids)), ("done", 5))
        self.assertIn("new.csv: 1 new, 1 changed", self.plan.message_ids[0].body)
        with self.assertRaisesRegex(UserError, "look at it again"):
            dialog.action_import()

    def test_what_was_looked_at_is_what_is_done(self):
        dialog = self._dialog("prefix,price\n49,0.07\n", valid_from="2026-04-01")
        with self.assertRaisesRegex(UserError, "look at it again"):
            dialog.action_import()
        dialog.action_preview()
        dialog.missing = "end"
        with self.assertRaisesRegex(UserError, "look at it again"):
            dialog.action_import()
        dialog.action_preview()
        self._new_rate("33", self.world, 1)
        with self.assertRaisesRegex(UserError, "look at it again"):
            dialog.action_import()

    def test_no_file(self):
        dialog = self.env["billing.rate.import"].create({"plan_id": self.plan.id})
        with self.assertRaisesRegex(UserError, "Choose a CSV file"):
            dialog.action_preview()

    # -- many ---------------------------------------------------------------------------------------------------------

    def test_many(self):
        """Nothing is done rate by rate: as many statements for thousands as for a few."""
        data = (
            HEAD + "\n".join(f"{2 * 10**6 + number},Zone {number % 50},0.01,60,60,,,," for number in range(MANY))
        ).encode()
        _logger.info("%s rates:", MANY)
        self.assertEqual(self._timed("preview", self._import, data, write=False).new, MANY)
        self.assertEqual(self._timed("import", self._import, data).groups, 50)
        exported = self._timed("export", self._export)
        self.assertEqual(self._timed("same again", self._import, exported).unchanged, MANY + 3)
        changed = data.replace(b",60,60,", b",30,6,")
        self.assertEqual(self._timed("new prices", self._import, changed, "2026-04-01", "end").changed, MANY)
        self._timed("check", self.plan._findings)
        copy = self._timed("copy", self.plan.copy)
        self.assertEqual(copy.rate_count, 2 * MANY + 3)
        self._timed("delete", copy.unlink)

    def _timed(self, name, act, *args, **kwargs):
        start, queries = time.monotonic(), self.env.cr.sql_log_count
        result = act(*args, **kwargs)
        _logger.info("%s: %.1f s", name, time.monotonic() - start)
        self.assertLess(self.env.cr.sql_log_count - queries, 400)
        return result


@tagged("post_install", "-at_install")
class TestPlanDownload(UsageCommon, HttpCase):
    def test_download(self):
        url = self.plan.action_export()["url"]
        self.authenticate("biller", "biller")
        response = self.url_open(url)
        self.assertEqual(response.status_code, 200)
        self.assertIn("Voice.csv", response.headers["Content-Disposition"])
        self.assertEqual(response.content.decode("utf-8-sig").count("\n"), 4)
        self._new_user("plain", "base.group_user")
        self.authenticate("plain", "plain")
        self.assertEqual(self.url_open(url).status_code, 403)
        self.authenticate(None, None)
        self.assertNotIn("prefix,destination", self.url_open(url).text)

    def test_of_another_company(self):
        company = self._new_company("Other")
        foreign = (
            self.env["billing.rate.plan"]
            .sudo()
            .create({"name": "Theirs", "product_id": self.usage_product.id, "company_id": company.id})
        )
        self.authenticate("biller", "biller")
        self.assertIn(self.url_open(f"/billing/rate-plan/{foreign.id}/rates.csv").status_code, (403, 404))
        with self.assertRaises(AccessError):
            foreign.with_env(self.env)._write_rates(io.BytesIO())
