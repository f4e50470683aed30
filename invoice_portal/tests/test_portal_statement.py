from datetime import date

from freezegun import freeze_time

from odoo import Command, fields
from odoo.exceptions import AccessError
from odoo.tests import HttpCase, TransactionCase, tagged
from odoo.tools import mute_logger

from ..tools.statement_days import day_of, period_days
from .test_credit import CreditCommon

URL = "/my/billing/statement"


@tagged("post_install", "-at_install")
class TestStatementDays(TransactionCase):
    def test_periods(self):
        for today, period, first, last in (
            ("2026-05-15", "this_month", "2026-05-01", "2026-05-15"),
            ("2026-01-31", "last_month", "2025-12-01", "2025-12-31"),
            ("2024-03-31", "last_month", "2024-02-01", "2024-02-29"),
            ("2026-12-31", "this_quarter", "2026-10-01", "2026-12-31"),
            ("2026-01-01", "this_quarter", "2026-01-01", "2026-01-01"),
            ("2024-02-29", "this_year", "2024-01-01", "2024-02-29"),
            ("2024-02-29", "last_year", "2023-01-01", "2023-12-31"),
            ("2026-05-15", "nonsense", "2026-01-01", "2026-05-15"),
        ):
            with self.subTest(period, today=today):
                days = period_days(period, date.fromisoformat(today))
                self.assertEqual(days, (date.fromisoformat(first), date.fromisoformat(last)))

    def test_a_period_that_goes_on_may_end_after_today(self):
        today, until = date(2026, 12, 31), date(2027, 1, 1)
        for period, first in (("this_month", 12), ("this_quarter", 10), ("this_year", 1)):
            self.assertEqual(period_days(period, today, until), (date(2026, first, 1), until))
        self.assertEqual(period_days("last_month", today, until)[1], date(2026, 11, 30))

    def test_days(self):
        self.assertEqual(day_of(" 2026-05-15 "), date(2026, 5, 15))
        for wrong in (None, "", "2026-02-30", "0000-01-01", "10000-01-01", "today", "2026-05-15; DROP"):
            self.assertIsNone(day_of(wrong), wrong)


@tagged("post_install", "-at_install")
class TestPortalStatement(CreditCommon, HttpCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ann = cls._new_portal_user(cls.client, "ann")
        cls.ben = cls._new_portal_user(cls.client, "ben")
        cls.stranger = cls._new_portal_user(cls.other_client, "stranger")

    def _page(self, user, path=""):
        self.authenticate(user and user.login, user and user.login)
        with mute_logger("odoo.http"):
            return self.url_open(f"{URL}{path}", timeout=120)

    def test_the_client_sees_its_account(self):
        invoice = self._invoice(123.45)
        self._pay(invoice, 23.45)
        for user in (self.ann, self.ben):
            page = self._page(user).text
            self.assertIn(f'href="/my/invoices/{invoice.id}"', page)
            for words in ("Opening balance", "123.45", "23.45", "Closing balance", "100.00", "Over 90 days"):
                self.assertIn(words, page)
        self.assertIn("/web/login", self._page(None).url)
        for path in ("", "/csv", "/pdf"):
            page = self._page(self.stranger, path)
            self.assertNotIn(b"123.45", page.content)
            self.assertNotIn(invoice.name.encode(), page.content)

    def test_the_invoice_of_nobody_s_portal_has_no_link(self):
        """An entry by hand stands in the account and has no page."""
        invoice = self._invoice(50)
        parts = self.client.with_user(self.ann)._billing_own_statement(date(2000, 1, 1), date(2100, 1, 1), self.company)
        rows = {row["move_id"]: row["url"] for part in parts for row in part["rows"]}
        self.assertEqual(rows, {invoice.id: f"/my/invoices/{invoice.id}"})

    def test_any_days(self):
        today = fields.Date.today()
        invoice = self._invoice(60)
        for query, seen in (
            ("", True),
            ("?period=this_month", True),
            ("?period=last_year", False),
            ("?period=nonsense", True),
            (f"?date_from={today}&date_to={today}", True),
            (f"?date_from={today}", True),
            (f"?date_to={today}", True),
            ("?date_from=2001-01-01&date_to=2001-12-31", False),
            ("?date_from=0001-01-01&date_to=9999-12-31", True),
            ("?date_from=9999-12-31&date_to=0001-01-01", True),
            ("?date_from=9999-12-31", False),
            ("?date_to=0001-01-01", False),
        ):
            with self.subTest(query):
                page = self._page(self.ann, query)
                self.assertEqual(page.status_code, 200)
                self.assertEqual(invoice.name in page.text, seen)

    def test_what_was_paid_this_evening_stands_in_the_year_that_goes_on(self):
        self.client.sudo().tz = "America/Los_Angeles"
        with freeze_time("2027-01-01 03:00:00"):
            self._add_credit(45.67, date="2027-01-01")
            self.env.flush_all()
            for query in ("", "?period=this_month", "?date_from=2026-12-01"):
                page = self._page(self.ann, query).text
                self.assertIn("45.67", page)
                self.assertIn('name="date_to" value="2027-01-01"', page)
            self.assertIn('name="date_from" value="2026-01-01"', self._page(self.ann).text)
            for path in ("/csv", "/pdf"):
                self.assertIn("45.67", self._page(self.ann, path).text)
            self.assertNotIn("45.67", self._page(self.ann, "?period=last_month").text)

    def test_wrong_days_are_told(self):
        self._invoice(60)
        for query, words in (
            ("?date_from=2026-02-30", "“2026-02-30” is not a day"),
            ("?date_from=%3Cscript%3E&date_to=x", "is not a day"),
            ("?date_from=2026-12-31&date_to=2026-01-01", "they are swapped"),
        ):
            for path in ("", "/csv", "/pdf"):
                page = self._page(self.ann, path + query)
                self.assertEqual(page.status_code, 200)
                self.assertIn(words, page.text)
                self.assertIn('role="alert"', page.text)
                self.assertNotIn("<script>x", page.text)

    def test_files(self):
        invoice = self._invoice(60)
        csv = self._page(self.ann, "/csv?date_from=0001-01-01&date_to=9999-12-31")
        self.assertIn("text/csv", csv.headers["Content-Type"])
        self.assertIn("attachment", csv.headers["Content-Disposition"])
        self.assertIn(invoice.name, csv.content.decode("utf-8-sig"))
        self.assertFalse(self.env["billing.statement"].sudo().search([]), "nothing is kept for it")
        pdf = self._page(self.ann, "/pdf?period=this_year")
        self.assertEqual(pdf.headers["Content-Type"], "application/pdf")

    def test_companies_of_the_user_only(self):
        elsewhere = self._new_company("Elsewhere Ltd")
        self._invoice(60)
        page = self._page(self.ann, f"?company_id={elsewhere.id}").text
        self.assertNotIn("Elsewhere Ltd", page)
        self.assertIn("60.00", page)
        for wrong in ("abc", "-1", "0", "1e9", "%00"):
            self.assertEqual(self._page(self.ann, f"?company_id={wrong}").status_code, 200)
        with self.assertRaises(AccessError):
            self.client.with_user(self.ann).with_context(allowed_company_ids=elsewhere.ids)._billing_own_statement_csv(
                date(2026, 1, 1), date(2026, 12, 31)
            )
        self.ann.sudo().company_ids = [Command.link(elsewhere.id)]
        page = self._page(self.ann, f"?company_id={elsewhere.id}").text
        self.assertRegex(page, r'<option value="\d+" selected="[^"]*">\s*Elsewhere Ltd')
        self.assertNotIn("60.00", page)

    def test_queries_do_not_grow_with_the_account(self):
        def queries():
            self.env.flush_all()
            self.env.invalidate_all()
            before = self.cr.sql_log_count
            self.client.with_user(self.ann)._billing_own_statement(date(2000, 1, 1), date(2100, 1, 1), self.company)
            return self.cr.sql_log_count - before

        self._invoice(10)
        queries()
        few = queries()
        for _number in range(10):
            self._invoice(10)
        self.assertEqual(queries(), few)
