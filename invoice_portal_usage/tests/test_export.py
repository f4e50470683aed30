import contextlib
import csv
import io
import re
from decimal import Decimal

from odoo import SUPERUSER_ID
from odoo.exceptions import AccessError, UserError
from odoo.tests import HttpCase, new_test_user, tagged
from odoo.tools import SQL

from odoo.addons.invoice_portal.tools.grant import granted
from odoo.addons.invoice_portal.tools.spreadsheet import inert

from ..tools.inert_sql import inert as inert_sql
from ..tools.spans import days_of
from .billed import BilledCommon

HOSTILE = [
    "=1+1",
    "+49301000",
    "-2",
    "@x",
    "\t=1",
    "\n=1",
    "\r@SUM(A1)",
    " =1",
    "\u00a0=1",
    "\u3000＝1",
    "＝1",
    "＋1",
    "－1",
    "＠x",
    "\u200b=1",
    "\ufeff=1",
    "\u200e\u200f+1",
    "\x01=1",
    "\x1f-1",
    "\u2028=1",
    "a\nb",
    "a\r\nb",
    "  two  spaces  ",
    'a"b',
    "a,b;c",
    "'=1",
    "\\.",
    "\\N",
    "",
    "'",
    "%s %(x)s",
    "=cmd|' /C calc'!A0",
    "Zürich",
    "٣٤",
    "\u0085=1",
    "\u1680x",
    "x=1",
    "49301000",
]


@tagged("post_install", "-at_install")
class TestInert(BilledCommon):
    def test_postgresql_does_what_python_does(self):
        for text in HOSTILE:
            with self.subTest(text):
                ((cell,),) = self.env.execute_query(SQL("SELECT %s", inert_sql(SQL("%s::text", text))))
                self.assertEqual(cell, inert(text))

    def test_nothing_stays_nothing(self):
        self.assertEqual(self.env.execute_query(SQL("SELECT %s", inert_sql(SQL("NULL::text")))), [(None,)])


@tagged("post_install", "-at_install")
class TestSpans(BilledCommon):
    def test_days_weeks_and_months(self):
        for span, day, week_start, first, last in (
            ("daily", "2026-03-10", 1, "2026-03-10", "2026-03-10"),
            ("weekly", "2026-03-10", 1, "2026-03-09", "2026-03-15"),
            ("weekly", "2026-03-15", 1, "2026-03-09", "2026-03-15"),
            ("weekly", "2026-03-15", 7, "2026-03-15", "2026-03-21"),
            ("monthly", "2028-02-10", 1, "2028-02-01", "2028-02-29"),
        ):
            with self.subTest(span, day=day):
                days = days_of(span, self._date(day), week_start)
                self.assertEqual(days, (self._date(first), self._date(last)))
        with self.assertRaises(ValueError):
            days_of("yearly", self._date("2026-03-10"))


class ExportCommon(BilledCommon):
    def _rows(self, file):
        with file:
            content = file.read()
        self.assertTrue(content.startswith(b"\xef\xbb\xbf"))
        return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))

    def _dicts(self, file):
        title, *rows = self._rows(file)
        return [dict(zip(title, row, strict=True)) for row in rows]

    def _sum(self, rows):
        return sum((Decimal(row["Amount"] or 0) for row in rows), Decimal(0))


@tagged("post_install", "-at_install")
class TestExport(ExportCommon):
    def _export(self, domain=None, client=None, **kwargs):
        return self._dicts(
            self.env["billing.usage"]._csv_file(domain or self._open_domain(), client=client or self.client, **kwargs)
        )

    def test_each_column_says_what_it_says(self):
        self.client.sudo().tz = "Europe/Berlin"
        self._record(31, "18005550100", late=True, external_id="x1")
        (row,) = self._export()
        self.assertEqual(
            row,
            {
                "Moment": "2026-03-10T13:00:00+01:00",
                "Number or account": "49301000",
                "Destination": "18005550100",
                "Destination group": "Elsewhere",
                "Quantity": "31",
                "Quantity in": "Seconds",
                "Billed quantity": "0.6",
                "Billed in": "Minutes",
                "Included": "0",
                "Price per unit": "0.9",
                "Connection fee": "0.05",
                "Amount": "0.59",
                "Currency": self.plan.currency_id.name,
                "Late": "Late",
                "ID": "x1",
            },
        )

    def test_moments_follow_the_zone_through_summer_time(self):
        self.client.sudo().tz = "Europe/Berlin"
        self._record(moment="2026-03-29 00:30:00")
        self._record(moment="2026-03-29 01:30:00")
        self._record(moment="2026-07-01 12:00:00")
        moments = [row["Moment"] for row in self._export()]
        self.assertEqual(
            moments, ["2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00", "2026-07-01T14:00:00+02:00"]
        )
        self.client.sudo().tz = "America/St_Johns"
        self.assertEqual(self._export()[-1]["Moment"], "2026-07-01T09:30:00-02:30")

    def test_the_zone_of_the_connection_stays_what_it_was(self):
        self.client.sudo().tz = "Asia/Tokyo"
        self._record()
        self.env.cr.execute("SELECT current_setting('TimeZone')")
        before = self.env.cr.fetchone()
        self._export()
        self.env.cr.execute("SELECT current_setting('TimeZone')")
        self.assertEqual(self.env.cr.fetchone(), before)

    def test_a_zone_that_nobody_knows_is_utc(self):
        self.env.cr.execute("UPDATE res_partner SET tz = 'Mars/Olympus' WHERE id = %s", [self.client.id])
        self.client.invalidate_recordset()
        self._record()
        self.assertEqual(self._export()[0]["Moment"], "2026-03-10T12:00:00+00:00")

    def test_no_cell_is_a_formula(self):
        for text in filter(None, HOSTILE):
            self._record(account=text, destination=text, external_id=text)
        for name in ("Number or account", "Destination", "ID"):
            with self.subTest(name):
                cells = sorted(row[name] for row in self._export())
                self.assertEqual(cells, sorted(inert(text) for text in filter(None, HOSTILE)))

    def test_the_name_of_a_destination_is_no_formula(self):
        self.landline.name = "=HYPERLINK(1)"
        self._record()
        self.assertEqual(self._export()[0]["Destination group"], "'=HYPERLINK(1)")

    def test_a_line_is_a_line(self):
        self._record(account="a\nb\r\nc", destination="x\u2028y")
        with self.env["billing.usage"]._csv_file(self._open_domain(), client=self.client) as file:
            self.assertEqual(file.read().count(b"\n"), 2)

    def test_amounts_are_exact(self):
        self._new_rate("33", self._new_destination("France"), 0.00000123, minimum=1, step=0)
        self._record(12345.678901, "33123")
        row = self._export()[0]
        self.assertEqual(
            (row["Quantity"], row["Price per unit"], row["Amount"]), ("12345.678901", "0.00000123", "0.000253")
        )

    def test_what_tiers_made_dearer_says_its_own_price(self):
        self._record(180, amount=Decimal("0.15"))
        row = self._export()[0]
        self.assertEqual((row["Billed quantity"], row["Price per unit"], row["Amount"]), ("3", "0.05", "0.15"))

    def test_what_is_included_costs_nothing(self):
        self._record(31, "18005550100", allowance_quantity=36, amount=0)
        row = self._export()[0]
        self.assertEqual((row["Included"], row["Connection fee"], row["Amount"]), ("0.6", "0", "0"))

    def test_the_order_is_always_the_same(self):
        for _number in range(5):
            self._record(moment="2026-03-10 12:00:00")
        self._record(moment="2026-03-09 12:00:00", external_id="first")
        self.assertEqual(self._export()[0]["ID"], "first")
        ids = [row["ID"] for row in self._export()[1:]]
        self.assertEqual(ids, sorted(ids, key=lambda name: int(name[1:])))
        self.assertEqual(self._export(), self._export())

    def test_it_is_in_the_clients_words(self):
        self.env["res.lang"].sudo()._activate_lang("de_DE")
        self.client.sudo().lang = "de_DE"
        self._record()
        self.assertTrue(self._export())

    def test_what_is_not_rated_has_no_amount(self):
        self._record(unrated_reason="rate")
        row = self._export()[0]
        self.assertEqual((row["Quantity"], row["Amount"], row["Price per unit"]), ("60", "", ""))

    def test_it_asks_as_the_user(self):
        self._record()
        employee = self._new_user("employee", "base.group_user")
        with self.assertRaises(AccessError):
            self.env["billing.usage"].with_user(employee)._csv_file(self._open_domain())
        # Whether clients may read records at all, or none of others: nothing comes out.
        stranger = self._new_portal_user(self.other_client, "stranger")
        with contextlib.suppress(AccessError):
            rows = self._rows(self.env["billing.usage"].with_user(stranger)._csv_file(self._open_domain()))
            self.assertEqual(len(rows), 1)

    def test_another_company_sees_nothing(self):
        other = self._new_company("Elsewhere")
        self._record(company_id=other.id)
        self.assertEqual(self._export(), [])

    def test_a_hostile_domain_is_a_domain(self):
        self._record(destination="'; DROP TABLE billing_usage; --")
        rows = self._export([("destination", "=", "'; DROP TABLE billing_usage; --")])
        self.assertEqual(len(rows), 1)
        self.assertEqual(self._export([("destination", "=", "%s %(x)s %")]), [])

    def test_an_empty_domain_is_a_heading(self):
        self.assertEqual(
            len(self._rows(self.env["billing.usage"]._csv_file([("id", "in", [])], client=self.client))), 1
        )


@tagged("post_install", "-at_install")
class TestChargeExport(ExportCommon):
    def test_rows_add_up_to_the_charge_to_the_cent(self):
        for grouping in ("destination", "day", "none"):
            bill = self._bill(self._month_of_calls(), grouping)
            total = Decimal(0)
            for charge in bill.charge_ids:
                with self.subTest(grouping, charge=charge.usage_group):
                    rows = self._dicts(charge._usage_csv_file())
                    self.assertEqual(rows[-1]["Destination group"], "Rounding")
                    self.assertEqual(self._sum(rows), Decimal(str(charge.amount)))
                    self.assertEqual(len(rows) - 1, self.env["billing.usage"].search_count(charge._usage_domain()))
                    self.assertLess(abs(Decimal(rows[-1]["Amount"])), Decimal("0.01"))
                    total += self._sum(rows)
            self.assertEqual(total, Decimal(str(bill.amount)))

    def test_what_somebody_changed_on_the_charge_is_said(self):
        charge = self._bill(self._month_of_calls()).charge_ids[0]
        charge.sudo().price_unit += 5
        rows = self._dicts(charge._usage_csv_file())
        self.assertEqual([row["Destination group"] for row in rows[-2:]], ["Rounding", "Changed by hand"])
        self.assertEqual(rows[-1]["Amount"], "5")
        self.assertEqual(self._sum(rows), Decimal(str(charge.amount)))

    def test_the_minimum_spend_has_no_records(self):
        bill = self._bill(self._month_of_calls())
        charge = granted(bill.charge_ids[0].sudo()).copy(
            {
                "origin": "usage",
                "usage_bill_id": bill.id,
                "usage_group": "minimum",
                "usage_amount": 3,
                "price_unit": 3,
            }
        )
        (row,) = self._dicts(charge.with_env(self.env)._usage_csv_file())
        self.assertEqual((row["Destination group"], row["Amount"]), ("Up to the minimum spend", "3"))

    def test_a_tier_for_what_was_billed_before_has_none_of_its_own(self):
        bill = self._bill(self._record())
        charge = bill.charge_ids[0].sudo()
        charge = granted(charge).copy(
            {
                "origin": "usage",
                "usage_bill_id": bill.id,
                "usage_group": f"volume-d{self.landline.id}",
                "usage_amount": -2,
                "price_unit": -2,
            }
        )
        (row,) = self._dicts(charge.with_env(self.env)._usage_csv_file())
        self.assertEqual(
            (row["Destination group"], row["Amount"]), ("Tier by volume, for what was billed before", "-2")
        )

    def test_nothing_changes_when_the_plan_does(self):
        charges = self._bill(self._month_of_calls()).charge_ids
        before = [self._rows(charge._usage_csv_file()) for charge in charges]
        self.env["billing.rate.tier"].create({"destination_id": self.landline.id, "above": 0, "price_unit": 9})
        self.landline.write({"name": "Changed", "tier_mode": "volume"})
        self.mobile.name = "Changed, too"
        self.plan.name = "Changed"
        self.assertEqual([self._rows(charge._usage_csv_file()) for charge in charges], before)

    def test_a_discount_for_what_is_wholly_included(self):
        record = self._record(60, allowance_quantity=60, amount=0)
        bill = self._bill(record)
        charge = granted(self.env["billing.charge"].sudo()).create(
            {
                "name": "Germany",
                "origin": "usage",
                "partner_id": self.client.id,
                "usage_bill_id": bill.id,
                "usage_group": f"d{self.landline.id}",
                "price_unit": 0.06,
                "discount": 100,
                "usage_amount": 0,
            }
        )
        rows = self._dicts(charge.with_env(self.env)._usage_csv_file())
        self.assertEqual((len(rows), self._sum(rows)), (2, 0))

    def test_given_away_by_hand_is_no_rounding(self):
        charge = self._bill(self._record(60)).charge_ids
        charge.discount = 100
        rows = self._dicts(charge._usage_csv_file())
        self.assertEqual(
            [(row["Destination group"], row["Amount"]) for row in rows[1:]],
            [("Rounding", "0"), ("Changed by hand", "-0.06")],
        )


@tagged("post_install", "-at_install")
class TestSummary(ExportCommon):
    def test_figures_of_today_week_month_and_last_month(self):
        today = self.client._billing_today(self.company)
        last = today.replace(day=1).fromordinal(today.replace(day=1).toordinal() - 1)
        self._record(60, moment=f"{today} 00:00:00")
        self._record(120, moment=f"{today} 00:00:01")
        self._record(60, moment=f"{last} 00:00:00")
        self._record(60, moment=f"{today} 00:00:00", partner_id=self.other_client.id)
        with self.assertQueryCount(20):
            figures = self.client._billing_usage_figures(self.company)
        (row,) = figures["rows"]
        cells = row["cells"]
        self.assertEqual((cells[0]["count"], cells[0]["quantity"]), ("2", "3:00"))
        self.assertIn("0.18", cells[0]["amount"])
        self.assertEqual((cells[2]["count"], cells[3]["count"]), ("2", "1"))
        self.assertIn("0.18", str(self.client.billing_usage_summary))

    def test_what_was_put_away_still_counts(self):
        today = self.client._billing_today(self.company)
        bill = self._bill(self._record(60, moment=f"{today} 00:00:00"))
        before = self.client._billing_usage_figures(self.company)
        bill.sudo().archive_id = self.env["ir.attachment"].sudo().create({"name": "x", "raw": b"x"})
        self.env.cr.execute("DELETE FROM billing_usage WHERE bill_id = %s", [bill.id])
        self.assertEqual(self.client._billing_usage_figures(self.company), before)

    def test_nobody_used_anything(self):
        self.assertEqual(self.client._billing_usage_figures(self.company)["rows"], [])
        self.assertIn("Nothing was used", str(self.client.billing_usage_summary))

    def test_the_dialog_names_the_days(self):
        action = self.client.action_billing_usage_choose()
        wizard = self.env["billing.usage.download"].browse(action["res_id"])
        wizard.write({"span": "weekly", "date": "2026-03-12"})
        self.assertIn("03/08/2026 – 03/14/2026", wizard.days)
        url = wizard.action_download()["url"]
        self.assertIn(f"/billing/usage/{self.client.id}/weekly.csv?company={self.company.id}", url)
        self.assertIn("date=2026-03-12", url)


@tagged("post_install", "-at_install")
class TestRecord(ExportCommon):
    def test_a_price_explains_itself(self):
        record = self._record(61, "4989123456")
        self.assertIn("Billed: 2:00 (begun 1:00)", record.explanation)
        self.assertIn("2 minutes × 0.06 = 0.12", record.explanation)
        record = self._record(31, "18005550100")
        self.assertIn("at least 0:30, then begun 0:06", record.explanation)
        self.assertIn("0.6 minutes × 0.9 = 0.54, connection 0.05", record.explanation)
        self.assertIn("Amount: 0.59", record.explanation)

    def test_tiers_allowances_and_reasons_are_told(self):
        record = self._record(180, amount=Decimal("0.15"))
        self.assertIn("by the tiers of “Germany”: 0.15", record.explanation)
        record = self._record(180, allowance_quantity=60, amount=Decimal("0.12"))
        self.assertIn("Included in the package: 1:00", record.explanation)
        self.assertIn("2 minutes × 0.06 = 0.12", record.explanation)
        for reason in ("account", "plan", "measure", "rate"):
            self.assertIn("rate again", self._record(unrated_reason=reason).explanation)

    def test_quantities_are_read_as_on_a_clock(self):
        in_words = self.env["billing.usage"]._in_words
        for quantity, text in ((0, "0:00"), (5, "0:05"), (65.5, "1:05.5"), (3661, "1:01:01"), (360000, "100:00:00")):
            self.assertEqual(in_words(quantity, "time"), text)
        self.assertEqual(in_words(12.5, "data"), "12.5 MB")
        self.assertEqual(in_words(1500, "data"), "1.5 GB")
        self.assertEqual(in_words(3, "count"), "3")

    def test_a_record_leads_to_its_charge_and_invoice(self):
        records = self._month_of_calls()
        bill = self._bill(records)
        for record in records:
            self.assertEqual(record.charge_id.usage_group, f"d{record.destination_id.id}")
        invoice = self._finalized(bill.charge_ids)
        records.invalidate_recordset(["invoice_id"])
        self.assertEqual(records.invoice_id, invoice)
        action = bill.charge_ids[0].action_usage()
        self.assertEqual(
            self.env["billing.usage"].search(action["domain"]),
            self.env["billing.usage"].search(bill.charge_ids[0]._usage_domain()),
        )
        everything = self.env["billing.usage"].search(invoice.action_billing_usage_records()["domain"])
        self.assertEqual(everything, self.env["billing.usage"].search([("bill_id", "=", bill.id)]))
        self.assertEqual(invoice.billing_usage_count, len(records))

    def test_a_line_without_usage_says_so(self):
        invoice = self._draft(self._new_charge())
        with self.assertRaises(UserError):
            invoice.invoice_line_ids.action_billing_usage_records()
        self.assertFalse(invoice.invoice_line_ids.billing_has_usage)

    def test_only_staff_opens_them(self):
        record = self._record()
        bill = self._bill(record)
        invoice = self._draft(bill.charge_ids)
        employee = self._new_user("employee", "base.group_user")
        portal = self._new_portal_user(self.client, "ann")
        for user in (employee, portal):
            for call in (
                record.with_user(user).action_rate_again,
                record.with_user(user).action_open_bill,
                bill.with_user(user).action_take_back,
                bill.with_user(user).action_download_archive,
                bill.charge_ids.with_user(user).action_usage,
                invoice.with_user(user).action_billing_usage_records,
                invoice.with_user(user).action_billing_usage_csv,
                invoice.with_user(user).action_billing_usage_annex,
                self.client.with_user(user).action_billing_usage_records,
                self.client.with_user(user).action_billing_usage_daily,
                self.client.with_user(user).action_billing_lines_monthly,
                self.client.with_user(user).action_billing_usage_choose,
            ):
                with self.subTest(call.__name__, by=user.login), self.assertRaises(AccessError):
                    call()


@tagged("post_install", "-at_install")
class TestDownload(ExportCommon, HttpCase):
    def setUp(self):
        super().setUp()
        self._record(61, moment="2026-03-10 12:00:00", external_id="tuesday")
        self._record(61, moment="2026-03-12 12:00:00", external_id="thursday")
        self._record(61, moment="2026-03-25 12:00:00", external_id="later")
        self._record(61, moment="2026-03-10 12:00:00", external_id="theirs", partner_id=self.other_client.id)
        self.env.flush_all()

    def _get(self, span="daily", client=None, user="biller", **query):
        self.authenticate(user, user)
        text = "&".join(f"{key}={value}" for key, value in query.items())
        return self.url_open(f"/billing/usage/{(client or self.client).id}/{span}.csv?{text}", allow_redirects=False)

    def _ids(self, response):
        self.assertEqual(response.status_code, 200)
        rows = list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"))))
        return [row["ID"] for row in rows]

    def test_a_day_a_week_and_a_month(self):
        for span, ids in (
            ("daily", ["tuesday"]),
            ("weekly", ["tuesday", "thursday"]),
            ("monthly", ["tuesday", "thursday", "later"]),
        ):
            with self.subTest(span):
                response = self._get(span, date="2026-03-10")
                self.assertEqual(self._ids(response), ids)
                self.assertEqual(response.headers["Content-Type"], "text/csv; charset=utf-8")
                self.assertEqual(response.headers["Cache-Control"], "no-store")
                self.assertIn("Acme", response.headers["Content-Disposition"])
                self.assertTrue(re.search("2026-03", response.headers["Content-Disposition"]))

    def test_billed_and_open_records_alike(self):
        self._bill(self.env["billing.usage"].search([("external_id", "=", "tuesday")]))
        self.assertEqual(self._ids(self._get("monthly", date="2026-03-10")), ["tuesday", "thursday", "later"])

    def test_without_a_day_it_is_today(self):
        today = self.client._billing_today(self.company)
        self._record(61, moment=f"{today} 00:00:00", external_id="today")
        self.env.flush_all()
        self.assertEqual(self._ids(self._get("daily")), ["today"])

    def test_invoice_lines_of_the_same_days(self):
        draft = self._draft(self._new_charge("=Hosting", 50))
        draft.invoice_date = "2026-03-11"
        draft._billing_finalize()
        self._draft(self._new_charge("Draft", 50)).invoice_date = "2026-03-11"
        self.env.flush_all()
        for span, lines in (("daily", 0), ("weekly", 1), ("monthly", 1)):
            response = self._get(span, date="2026-03-10", what="lines")
            rows = list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"))))
            self.assertEqual(len(rows), lines)
        self.assertEqual((rows[0]["Item"], rows[0]["Amount"]), ("'=Hosting", "50.00"))

    def test_nonsense_is_not_found(self):
        for span, query in (
            ("yearly", {}),
            ("daily", {"date": "yesterday"}),
            ("daily", {"date": "2026-02-30"}),
            ("monthly", {"date": "9999-12-31", "what": "all"}),
            ("daily", {"what": "users"}),
            ("daily", {"company": "0"}),
            ("daily", {"company": "x"}),
        ):
            with self.subTest(span, **query):
                self.assertEqual(self._get(span, **query).status_code, 404)
        self.assertEqual(self._get("weekly", date="9999-12-31").status_code, 404)
        self.assertEqual(self._get("monthly", date="0001-01-01").status_code, 200)

    def test_others_are_refused(self):
        self._new_user("employee", "base.group_user")
        self._new_portal_user(self.client, "ann")
        for login in ("employee", "ann"):
            with self.subTest(login):
                self.assertEqual(self._get(user=login, date="2026-03-10").status_code, 403)
        self.authenticate(None, None)
        response = self.url_open(f"/billing/usage/{self.client.id}/daily.csv", allow_redirects=False)
        self.assertEqual(response.status_code, 303)

    def test_only_own_companies(self):
        other = self._new_company("Elsewhere")
        self._record(company_id=other.id, external_id="elsewhere")
        secret = self.env["res.partner"].with_user(SUPERUSER_ID).create({"name": "Secret", "company_id": other.id})
        self.env.flush_all()
        self.assertEqual(self._get(company=other.id).status_code, 404)
        self.assertEqual(self._get(client=secret).status_code, 404)
        self.assertNotIn("elsewhere", self._ids(self._get("monthly", date="2026-03-10")))
        new_test_user(
            self.env(su=True),
            login="both",
            groups="invoice_portal.group_billing_user",
            company_id=self.company.id,
            company_ids=[(6, 0, [self.company.id, other.id])],
        )
        self.assertEqual(
            self._ids(self._get("monthly", user="both", date="2026-03-10", company=other.id)), ["elsewhere"]
        )
