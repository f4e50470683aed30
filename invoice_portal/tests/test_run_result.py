import csv
import io
from codecs import BOM_UTF8
from decimal import Decimal

from freezegun import freeze_time

from odoo import Command
from odoo.exceptions import AccessError
from odoo.tests import BaseCase, HttpCase, tagged

from ..tools.spreadsheet import csv_file, inert, number
from .test_cycle import CycleCommon


@tagged("post_install", "-at_install")
class TestSpreadsheet(BaseCase):
    def test_no_text_is_calculated(self):
        for text, shown in (
            ("Acme", "Acme"),
            ("", ""),
            ("3 - 1 = 2", "3 - 1 = 2"),
            ("=1+1", "'=1+1"),
            ("+49 30 1234", "'+49 30 1234"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "' =1"),
            ("\r=1", "' =1"),
            ("\n=1", "' =1"),
            (" \u200b=1", "' \u200b=1"),
            ("＝1", "'＝1"),
            ("two\nlines\r\n=1", "two lines =1"),
        ):
            with self.subTest(text=text):
                self.assertEqual(inert(text), shown)

    def test_numbers_are_exact(self):
        for amount, digits, shown in (
            (1234567.891, 2, "1234567.89"),
            (0.1 + 0.2, 2, "0.30"),
            (-12.5, 2, "-12.50"),
            (-0.001, 2, "0.00"),
            (1500, 0, "1500"),
            (2.0005, 3, "2.001"),
        ):
            with self.subTest(amount=amount):
                self.assertEqual(str(number(amount, digits)), shown)

    def test_the_file(self):
        self.assertEqual(
            csv_file([["Zoë", 'say "x"', 3, Decimal("-1.50")]]), BOM_UTF8 + '"Zoë","say ""x""",3,-1.50\r\n'.encode()
        )


@tagged("post_install", "-at_install")
class TestRunResult(CycleCommon, HttpCase):
    def setUp(self):
        super().setUp()
        self.client.sudo().write({"name": "=cmd|' /C calc'!A0", "ref": "+1"})
        self._join(self.client | self.other_client)
        self._new_charge("Hosting", price=200, date="2026-02-20")
        self._new_charge("Free", partner_id=self.other_client.id, price=0, date="2026-02-20")
        with freeze_time("2026-03-01 12:00:00"):
            action = self.monthly.with_user(self.biller).action_rehearse()
            self._job("run")
        self.rehearsal = self.env["billing.run"].browse(action["res_id"])
        self.url = self.rehearsal.action_download()["url"]

    def _get(self, login=None, url=None):
        self.authenticate(login, login)
        return self.url_open(url or self.url, allow_redirects=False)

    def _rows(self, response):
        self.assertEqual(response.status_code, 200)
        self.assertTrue(response.content.startswith(BOM_UTF8))
        return list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"), newline="")))

    def test_a_biller_downloads_the_rehearsal(self):
        response = self._get(self.biller.login)
        rows = self._rows(response)
        self.assertEqual(response.headers["Content-Type"], "text/csv; charset=utf-8")
        self.assertRegex(response.headers["Content-Disposition"], r"attachment;.*rehearsal.*2026-03-01\.csv")
        self.assertIn("no-store", response.headers["Cache-Control"])
        self.assertEqual([row["Client"] for row in rows], ["'=cmd|' /C calc'!A0", "Bolt"])
        acme, bolt = rows
        self.assertEqual((acme["Reference"], acme["Amount"], acme["Before"]), ("'+1", "230.00", "0.00"))
        self.assertEqual((acme["Result"], acme["Charges"], acme["Currency"]), ("To Bill", "1", "USD"))
        self.assertEqual((bolt["Result"], bolt["Amount"]), ("Failed", "0.00"))
        self.assertIn("No price", bolt["Reason"])

    def test_the_numbers_have_a_dot_in_every_language(self):
        self.env["res.lang"].sudo()._activate_lang("de_DE")
        self.biller.sudo().lang = "de_DE"
        self.assertIn(b",230.00,", self._get(self.biller.login).content)

    def test_the_run_names_its_invoices(self):
        with freeze_time("2026-03-01 12:00:00"):
            run = self.env["billing.run"].browse(self.rehearsal.action_start_for_real()["res_id"])
            self._job("run")
        run.client_ids.move_ids._billing_finalize()
        rows = self._rows(self._get(self.biller.login, run.action_download()["url"]))
        self.assertEqual([row["Invoices"] for row in rows], [run.client_ids.move_ids.name, ""])
        self.assertEqual([row["Result"] for row in rows], ["Billed", "Failed"])

    def test_who_does_not_bill_here_gets_nothing(self):
        portal = self._new_portal_user(self.client, "patty")
        clerk = self._new_user("clerk", "base.group_user")
        elsewhere = self._new_company("Elsewhere")
        foreign = self._new_user(
            "foreign",
            "invoice_portal.group_billing_user",
            company_id=elsewhere.id,
            company_ids=[Command.set(elsewhere.ids)],
        )
        for user, status in ((portal, 403), (clerk, 403), (foreign, 404)):
            with self.subTest(user=user.login):
                response = self._get(user.login)
                self.assertEqual(response.status_code, status)
                self.assertNotIn("230", response.text)
                self.assertNotIn("calc", response.text)
                with self.assertRaises(AccessError):
                    self.rehearsal.with_user(user).action_download()
        self.assertEqual(
            self._get(foreign.login).status_code,
            self._get(foreign.login, "/billing/run/999999999/result.csv").status_code,
            "another company's looks like none",
        )

    def test_visitors_are_asked_to_log_in(self):
        response = self._get()
        self.assertIn(response.status_code, (302, 303))
        self.assertIn("/web/login", response.headers["Location"])
