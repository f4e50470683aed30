import csv
import io
import json
import re
from datetime import timedelta
from unittest.mock import patch
from urllib.parse import quote_plus, urlencode, urlsplit

from lxml import html

from odoo import Command, fields
from odoo.exceptions import AccessError
from odoo.tests import HttpCase, tagged
from odoo.tools import mute_logger

from odoo.addons.payment import utils as payment_utils

from .portal import QUIET, PortalCommon
from .test_card import CardCommon


@tagged("post_install", "-at_install")
class TestPortalOverview(PortalCommon):
    def test_it_says_what_is_due_overdue_and_to_the_credit(self):
        self.company.sudo().billing_credit_use = "never"
        late = self._invoice(120)
        self._late(late)
        self._invoice(30)
        self._add_credit(45)
        self._invoice(70)
        void = self._invoice(500)
        void._billing_void("Wrong client")
        self._as(self.user)
        page = self._page("/my/billing")
        self.assertIn(f"To pay {self._money(220)} 3 invoices, the first due", page)
        self.assertIn(f"Overdue {self._money(120)} 1 invoice", page)
        self.assertIn(f"Your credit {self._money(45)}", page)
        self.assertIn(late.name, page)
        self.assertNotIn(void.name, page)
        # Nor does a void invoice count as spent.
        self.assertIn(f"Total {self._money(220)}", page)

    def _late(self, invoice):
        invoice.sudo().line_ids.flush_recordset()
        day = fields.Date.today() - timedelta(days=10)
        self.env.cr.execute("UPDATE account_move SET invoice_date_due = %s WHERE id = %s", [day, invoice.id])
        self.env.cr.execute(
            "UPDATE account_move_line SET date_maturity = %s WHERE move_id = %s AND date_maturity IS NOT NULL",
            [day, invoice.id],
        )
        self.env.invalidate_all()

    def test_nobody_sees_another_s_account_nor_a_draft(self):
        invoice = self._invoice(120)
        self._invoice(77.77, finalize=False)
        self._add_credit(45.67)
        self._as(self.stranger)
        page = self._page("/my/billing")
        for secret in (invoice.name, self._money(120), self._money(45.67), self._money(77.77)):
            self.assertNotIn(secret, page)
        self._as(self.user)
        page = self._page("/my/billing")
        self.assertIn(f"Your credit {self._money(45.67)}", page)
        self.assertNotIn(self._money(77.77), page)
        self._as(self.colleague)
        self.assertIn(invoice.name, self._page("/my/billing"))

    def test_a_visitor_logs_in_first(self):
        self._as(None)
        for path in ("/my/billing", "/my/billing/next", "/my/billing/receipt/1", "/my/invoices/pay"):
            response = self._get(path, allow_redirects=False)
            self.assertEqual(response.status_code, 303, path)
            self.assertIn("/web/login", response.headers["Location"])

    def test_another_company_s_invoices_stay_out(self):
        elsewhere = self._new_company_with_accounts("Elsewhere").sudo()
        foreign = self._foreign_invoice(elsewhere, 333.33)
        self._as(self.user)
        for path in ("/my/billing", "/my/invoices", "/my/invoices/pay"):
            page = self._page(path)
            self.assertNotIn("333.33", page)
            self.assertNotIn(foreign.name, page)

    def _foreign_invoice(self, company, price):
        invoice = (
            self.env["account.move"]
            .sudo()
            .with_company(company)
            .create(
                {
                    "move_type": "out_invoice",
                    "company_id": company.id,
                    "partner_id": self.client.id,
                    "invoice_line_ids": [Command.create({"name": "Elsewhere", "price_unit": price})],
                }
            )
        )
        invoice.action_post()
        return invoice

    def test_the_next_invoice_is_shown_and_not_made(self):
        self._new_charge("Work of this month", 250)
        before = self.env["account.move"].search_count([])
        self._as(self.user)
        page = self._page("/my/billing/next")
        self.assertIn("Work of this month", page)
        self.assertIn(self._money(250), page)
        self.assertEqual(self.env["account.move"].search_count([]), before)
        self._as(self.stranger)
        self.assertNotIn("Work of this month", self._page("/my/billing/next"))
        self.company.sudo().billing_portal_upcoming = False
        self._as(self.user)
        self.assertEqual(self._get("/my/billing/next").status_code, 404)
        self.assertNotIn("/my/billing/next", self._get("/my/billing").text)

    def test_receipts_are_one_s_own(self):
        payment = self._add_credit(45)
        self._as(self.user)
        self.assertIn(f"/my/billing/receipt/{payment.id}", self._get("/my/billing").text)
        response = self._get(f"/my/billing/receipt/{payment.id}")
        self.assertEqual(response.headers["Content-Type"], "application/pdf")
        self.assertIn("attachment", response.headers["Content-Disposition"])
        self._as(self.stranger)
        self.assertEqual(self._get(f"/my/billing/receipt/{payment.id}").status_code, 404)
        self.assertEqual(self._get("/my/billing/receipt/999999999").status_code, 404)


@tagged("post_install", "-at_install")
class TestPortalInvoices(PortalCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company.sudo().billing_credit_use = "never"
        cls.open_one, cls.other = cls._invoice(120), cls._invoice(30)

    def test_what_the_list_does_not_know_falls_back(self):
        self._as(self.user)
        for query in (
            "sortby=nonsense",
            "filterby=nonsense",
            "groupby=nonsense",
            "page=999",
            "date_begin=yesterday&date_end=2026-99-99",
            "project=x",
            "project=99999999999999999999",
            "search=%25_'%5C&search_in=nonsense",
            "search=" + "x" * 5000,
            "search=%00",
            "sortby=balance&groupby=month",
            "groupby=project&filterby=unpaid",
        ):
            self.assertEqual(self._get(f"/my/invoices?{query}").status_code, 200, query)

    def test_a_state_is_called_the_same_wherever_it_stands(self):
        self._as(self.user)
        for path in ("/my/billing", "/my/invoices", "/my/invoices/pay", f"/my/invoices/{self.open_one.id}"):
            page = html.fromstring(self._get(path).text)
            badges = {
                " ".join(badge.text_content().split()) for badge in page.xpath("//main//*[contains(@class, 'badge')]")
            }
            self.assertIn("Waiting for Payment", badges, path)
            self.assertNotIn("Open", badges, path)

    def test_filters_search_and_period(self):
        void = self._invoice(500)
        void._billing_void("Wrong client")
        self._as(self.user)

        def listed(query):
            text = self._get(f"/my/invoices?{query}").text
            return {move for move in (self.open_one, self.other, void) if re.search(rf">\s*{move.name}\s*<", text)}

        self.assertEqual(listed("filterby=unpaid"), {self.open_one, self.other})
        self.assertEqual(listed("filterby=void"), {void})
        self.assertEqual(listed("filterby=paid"), set())
        self.assertEqual(listed(f"search={self.other.name}&search_in=number"), {self.other})
        self.assertEqual(listed("date_end=2001-01-01"), set())
        self.assertEqual(listed(f"date_begin={fields.Date.today()}"), {self.open_one, self.other, void})

    def test_the_project_is_named_and_found_though_it_is_not_shared(self):
        name = self.project.name
        self.project.sudo().privacy_visibility = "followers"
        work = self._invoice(77, project_id=self.project.id)
        self.assertEqual(work.billing_project_id, self.project)
        self._as(self.user)
        page = self._get(f"/my/invoices?project={self.project.id}").text
        self.assertIn(work.name, page)
        self.assertIn(name, page)
        self.assertNotIn(self.other.name, page)
        self._as(self.stranger)
        self.assertNotIn(name, self._get("/my/invoices").text)

    def test_the_files_hold_what_the_list_shows(self):
        draft = self._invoice(99, finalize=False)
        self._as(self.user)
        rows = self._csv("/my/invoices/invoices.csv?filterby=unpaid")
        self.assertEqual({row[0] for row in rows[1:]}, {self.open_one.name, self.other.name})
        self.assertEqual(sum(float(row[8]) for row in rows[1:]), 150)
        items = self._csv("/my/invoices/items.csv")
        self.assertEqual(sum(float(row[9]) for row in items[1:]), 150)
        self.assertNotIn(draft.invoice_line_ids[:1].name + "99", str(items))
        self.assertEqual(self._get("/my/invoices/secrets.csv").status_code, 404)
        self._as(self.stranger)
        self.assertEqual(len(self._csv("/my/invoices/invoices.csv")), 1)

    def test_a_formula_in_a_file_is_text(self):
        self._finalized(self._new_charge("=HYPERLINK(1)", 10))
        self._as(self.user)
        self.assertIn("'=HYPERLINK(1)", [row[2] for row in self._csv("/my/invoices/items.csv")])

    def _csv(self, path):
        response = self._get(path)
        self.assertEqual(response.status_code, 200, path)
        self.assertIn("no-store", response.headers["Cache-Control"])
        return list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))

    def test_without_scripts_the_list_is_searched_sorted_and_downloaded(self):
        invoice = self._invoice(10)
        self._as(self.user)
        page = html.fromstring(self._get(f"/my/invoices?filterby=unpaid&search={invoice.name}").text)
        (form,) = page.findall(".//noscript//form")
        self.assertEqual(form.get("action"), "/my/invoices")
        self.assertEqual(form.xpath(".//option[@selected]/@value"), ["unpaid", "date"])
        self.assertEqual(form.xpath(".//input[@type='search']/@value"), [invoice.name])
        self.assertTrue({"balance", "total"} <= set(form.xpath(".//option/@value")))
        files = page.xpath(".//noscript//a/@href")
        self.assertEqual([invoice.name in self._get(path).text for path in files], [True, True])

    def test_queries_do_not_grow_with_the_history(self):
        self._history(1)
        self._as(self.user)
        paths = (
            "/my/billing",
            "/my/invoices",
            "/my/invoices?groupby=project",
            "/my/invoices?filterby=unpaid&sortby=balance",
            "/my/invoices?filterby=overdue_invoices",
            "/my/invoices?search=INV",
            "/my/invoices/pay",
            "/my/billing/credit",
        )
        few = {path: self._queries(path) for path in paths}
        self._history(3)
        for path in paths:
            self.assertLessEqual(self._queries(path), few[path] + 2, path)

    def _history(self, count):
        """So many invoices of each kind, a project and a payment of its own each."""
        for _number in range(count):
            project = self._new_project("Site")
            paid, partial, late, void, _open = (self._invoice(price, project_id=project.id) for price in range(10, 15))
            self._pay(paid)
            self._pay(partial, 5)
            late.sudo().line_ids.flush_recordset()
            self.env.cr.execute(
                "UPDATE account_move_line SET date_maturity = '2001-01-01'"
                " WHERE move_id = %s AND date_maturity IS NOT NULL",
                [late.id],
            )
            self.env.invalidate_all()
            void._billing_void("Wrong client")
            self._add_credit(7)

    def _queries(self, path):
        self.env.flush_all()
        self.env.invalidate_all()
        self.env.registry.clear_all_caches()
        self._get(path)
        self.env.invalidate_all()
        before = self.env.cr.sql_log_count
        self._get(path)
        return self.env.cr.sql_log_count - before


@tagged("post_install", "-at_install")
class TestPortalInvoicePage(PortalCommon):
    def test_each_line_says_what_is_behind_it(self):
        case = self._new_case("Broken form", 150, done=True)
        invoice = self._finalized(case.billing_charge_ids | self._new_charge("Courier", 20, discount=50))
        self._as(self.user)
        page = self._page(f"/my/invoices/{invoice.id}")
        self.assertIn(f"Case Broken form ({case.id})", page)
        self.assertIn(f"Project {self.project.name}", page)
        self.assertIn(f"Before discount {self._money(20)}", page)
        self.assertNotIn(f"/my/tasks/{case.id}", self._get(f"/my/invoices/{invoice.id}").text)
        self.project.sudo().privacy_visibility = "portal"
        case.sudo().message_subscribe(self.user.partner_id.ids)
        self.assertIn(f"/my/tasks/{case.id}", self._get(f"/my/invoices/{invoice.id}").text)

    def test_the_address_neither_fails_the_page_nor_speaks_for_us(self):
        invoice = self._invoice(120)
        self._pay(invoice)
        self._as(self.user)
        for name in ("error", "warning", "success", "company_id", "currency_id", "invoice", "values"):
            response = self._get(f"/my/invoices/{invoice.id}?{name}=pay_invoice")
            self.assertEqual(response.status_code, 200, name)
            self.assertNotIn("successfully processed", response.text, name)

    def test_who_sees_it(self):
        invoice = self._invoice(120)
        path = f"/my/invoices/{invoice.id}"
        for user in (self.user, self.colleague):
            self._as(user)
            self.assertIn(invoice.name, self._page(path))
        for user in (self.stranger, None):
            self._as(user)
            for way in (path, f"{path}?access_token=nonsense", f"{path}/items.csv"):
                self.assertNotIn(invoice.name, self._get(way).text)
        token = invoice._portal_ensure_token()
        self._as(None)
        text = self._get(f"{path}?access_token={token}").text
        self.assertIn(invoice.name, text)
        self.assertNotIn("of credit", text)
        self.assertIn(invoice.name, self._get(f"{path}/items.csv?access_token={token}").text)

    def test_amounts_in_the_address_are_looked_at(self):
        invoice = self._invoice(120)
        self._as(self.user)
        path = f"/my/invoices/{invoice.id}"
        # Odoo's page takes signed amounts only.
        self.assertNotIn(invoice.name, self._get(f"{path}?amount=50&payment=True").text)
        for amount in ("nonsense", "nan", "-5", "0", "0.001", ""):
            self.assertIn("Type an amount above zero", self._page(f"{path}/part?amount={amount}"), amount)
        self.assertIn("is more than the", self._page(f"{path}/part?amount=121"))
        for amount in ("1e308", "1e400", "inf"):
            self.assertIn("More than the", self._page(f"{path}/part?amount={amount}"), amount)
        self.assertIn("amount=5.5&", self._get(f"{path}/part?amount=5,5").url)
        response = self._get(f"{path}/part?amount=50")
        self.assertIn("payment_token", response.url)
        self.assertIn("50.00", response.text)
        self.company.sudo().billing_portal_partial = False
        page = self._page(f"{path}/part?amount=50")
        self.assertIn(f"Please pay the whole {self._money(120)}", page)
        self.assertNotIn("Pay a part", page)
        self.assertFalse(invoice._billing_why_not_part(120))
        self._as(self.stranger)
        self.assertNotIn(invoice.name, self._get(f"{path}/part?amount=50").text)

    def test_credit_pays_and_what_is_left_is_said_beforehand(self):
        self.company.sudo().billing_credit_use = "offer"
        self._add_credit(50)
        invoice = self._invoice(120)
        self.assertEqual(invoice.amount_residual, 120)
        self._as(self.user)
        path = f"/my/invoices/{invoice.id}"
        page = self._page(path)
        self.assertIn(f"From your credit {self._money(50)} Then by card or transfer {self._money(70)}", page)
        response = self._post(f"{path}/credit", path)
        self.assertIn("payment=True", response.url)
        self.env.invalidate_all()
        self.assertEqual(invoice.amount_residual, 70)
        self.assertEqual(self._credit(), 0)
        # A second click finds nothing to spend, and says so.
        response = self._post(f"{path}/credit", path)
        self.assertIn("There is no credit that could pay this invoice.", response.text)
        self.assertEqual(invoice.amount_residual, 70)

    def test_nobody_spends_another_s_credit(self):
        self.company.sudo().billing_credit_use = "offer"
        self._add_credit(50)
        self._add_credit(60, self.other_client)
        invoice = self._invoice(120)
        path = f"/my/invoices/{invoice.id}/credit"
        self._as(self.stranger)
        self._post(path, "/my/invoices/pay")
        self._as(None)
        self._get(path, data={"csrf_token": "x"})
        self._as(self.user)
        # Without the form's token nothing happens.
        self._get(path, data={"csrf_token": "x"})
        self.env.invalidate_all()
        self.assertEqual(invoice.amount_residual, 120)
        self.assertEqual((self._credit(), self._credit(self.other_client)), (50, 60))

    def test_where_credit_is_never_used_none_is_offered(self):
        self.company.sudo().billing_credit_use = "never"
        self._add_credit(50)
        invoice = self._invoice(120)
        self._as(self.user)
        path = f"/my/invoices/{invoice.id}"
        self.assertNotIn("of credit", self._get(path).text)
        self.assertIn("There is no credit", self._post(f"{path}/credit", "/my/account").text)
        self.assertEqual(invoice.amount_residual, 120)

    def test_a_void_invoice_takes_no_credit(self):
        self.company.sudo().billing_credit_use = "offer"
        invoice = self._invoice(120)
        invoice._billing_void("Wrong client")
        self._add_credit(50)
        self._as(self.user)
        page = self._page(f"/my/invoices/{invoice.id}")
        self.assertIn("nothing is due", page)
        self.assertNotIn("of credit", page)
        self.assertNotIn("Pay by bank transfer", page)


@tagged("post_install", "-at_install")
class TestPortalPaySeveral(CardCommon, PortalCommon, HttpCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company.sudo().billing_credit_use = "never"
        cls.first, cls.second = cls._invoice(120), cls._invoice(30)

    def _begin(self, invoices, **values):
        numbers = "-".join(map(str, invoices.ids))
        params = {
            "provider_id": self.demo_provider.id,
            "payment_method_id": self.method.id,
            "token_id": None,
            "flow": "direct",
            "tokenization_requested": False,
            "landing_route": "/my/invoices",
            "amount": sum(invoices.mapped("amount_residual")),
            **values,
        }
        response = self._get(
            f"/my/invoices/pay/{numbers}/transaction",
            json={"jsonrpc": "2.0", "id": 0, "method": "call", "params": params},
        )
        return json.loads(response.text)

    def test_several_are_one_payment(self):
        self._as(self.user)
        page = self._page(f"/my/invoices/pay?invoice={self.first.id}&invoice={self.second.id}")
        self.assertIn(f"Total {self._money(150)}", page)
        answer = self._begin(self.first | self.second)
        attempt = self.env["payment.transaction"].sudo().search([("reference", "=", answer["result"]["reference"])])
        self.assertEqual((attempt.amount, attempt.invoice_ids), (150, self.first | self.second))
        self.assertEqual(attempt.partner_id, self.user.partner_id)
        attempt._set_done()
        attempt._post_process()
        self.env.invalidate_all()
        self.assertEqual((self.first.amount_residual, self.second.amount_residual), (0, 0))

    def test_currencies_are_paid_apart(self):
        euro = self._euro()
        in_euro = self._invoice(40, currency_id=euro.id)
        self._as(self.user)
        page = self._page("/my/invoices/pay")
        self.assertIn("by one payment each", page)
        self.assertIn(f"Pay {self._money(150)}", page)
        self.assertIn("Pay " + " ".join(euro.format(in_euro.amount_residual).split()), page)
        self.assertIn("error", self._begin(self.first | in_euro))

    def test_only_one_s_own_and_only_what_is_due(self):
        foreign = self._invoice(10, self.other_client)
        draft = self._invoice(11, finalize=False)
        self._as(self.user)
        for invoices in (self.first | foreign, foreign, self.first | draft):
            self.assertIn("error", self._begin(invoices))
        for amount in (149.99, 151, -1, 0, float("1e308")):
            self.assertIn("error", self._begin(self.first | self.second, amount=amount))
        self._as(None)
        self.assertIn("error", self._begin(self.first))
        self.assertFalse(self.env["payment.transaction"].sudo().search([("invoice_ids", "in", self.first.ids)]))

    def test_what_is_under_way_is_left_out(self):
        self.desk.mood = "silent"
        self._charge(self.first, self._new_card(self.desk_provider))
        self._as(self.user)
        page = self._page("/my/invoices/pay")
        self.assertIn(f"Left out, as a payment for it is under way: {self.first.name}", page)
        self.assertIn("error", self._begin(self.first | self.second))

    def test_hostile_addresses(self):
        self._as(self.user)
        for query in ("invoice=x", "invoice=-1", "invoice=99999999999999999999", "company=x", "currency='"):
            self.assertEqual(self._get(f"/my/invoices/pay?{query}").status_code, 200, query)

    def test_what_was_begun_and_left_is_started_over(self):
        """Also when a stranger with the link began it: the client need not wait until it is forgotten."""
        token = self.first._portal_ensure_token()
        self._as(None)
        params = {
            "access_token": token,
            "provider_id": self.demo_provider.id,
            "payment_method_id": self.method.id,
            "token_id": None,
            "amount": 0.01,
            "flow": "direct",
            "tokenization_requested": False,
            "landing_route": "/my/invoices",
        }
        self._get(f"/invoice/transaction/{self.first.id}", json={"params": params})
        begun = self.env["payment.transaction"].sudo().search([("invoice_ids", "in", self.first.ids)])
        self.assertEqual((begun.state, begun.amount), ("draft", 0.01))
        path = f"/my/invoices/{self.first.id}"
        # By the link nobody gives up what another began.
        self.assertNotIn("Start over", self._get(f"{path}?access_token={token}").text)
        self._as(self.stranger)
        self._post(f"{path}/start-over", "/my/invoices/pay")
        self.env.invalidate_all()
        self.assertFalse(begun.billing_given_up_on)
        self._as(self.user)
        self.assertIn("error", self._begin(self.first))
        self.assertIn(begun.reference, self._page(path))
        self._post(f"{path}/start-over", path)
        self.assertNotIn("Start over", self._get(path).text)
        answer = self._begin(self.first)
        paid = self.env["payment.transaction"].sudo().search([("reference", "=", answer["result"]["reference"])])
        for attempt in (paid, begun):
            attempt._set_done()
            attempt._post_process()
        # Finished all the same, it is the client's.
        self.env.invalidate_all()
        self.assertEqual(self.first.amount_residual, 0)
        self.assertEqual(self._credit(), 0.01)


@tagged("post_install", "-at_install")
class TestLinks(CardCommon, PortalCommon, HttpCase):
    """What a link opens to somebody without a login, or with another one, and until when."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.invoice = cls._invoice(120)
        cls.path = f"/my/invoices/{cls.invoice.id}"

    def _signed(self, *what):
        return payment_utils.generate_access_token(*what, env=self.env)

    def _payment_link(self, **values):
        """As Odoo made them before they led to the page of the invoice."""
        move = self.invoice
        asked = {"invoice_id": move.id, "amount": move.amount_residual, "currency_id": move.currency_id.id}
        asked["access_token"] = self._signed(move.partner_id.id, move.amount_residual, move.currency_id.id)
        return f"/payment/pay?{urlencode({**asked, **values})}"

    def _mailed(self):
        """Every link to this invoice that a mail, its PDF, or somebody whom it was sent to may have."""
        move, client = self.invoice, self.invoice.partner_id
        token = move._portal_ensure_token()
        file = self.env["ir.attachment"].sudo().create({"name": "invoice.pdf", "raw": b"%PDF " + move.name.encode()})
        kept = file.copy({"res_model": "account.move", "res_id": move.id, "res_field": "invoice_pdf_report_file"})
        move.sudo().message_post(body="Your invoice", attachment_ids=file.ids)
        files = [(each.generate_access_token()[0], each.id) for each in file | kept]
        move.sudo().flush_recordset()
        part = urlencode({"amount": "50.0", "payment_token": self._signed(move.id, "50.0"), "access_token": token})
        return {
            "page": move.get_portal_url(),
            "page for a reader": f"{self.path}?access_token={token}&pid={client.id}&hash={move._sign_token(client.id)}",
            "PDF": move.get_portal_url(report_type="pdf", download=True),
            "items": f"{self.path}/items.csv?access_token={token}",
            "part": f"{self.path}/part?amount=50&access_token={token}",
            "signed part": f"{self.path}?{part}",
            "code in the PDF": urlsplit(move._get_portal_payment_link())._replace(scheme="", netloc="").geturl(),
            "notification": f"/mail/view?model=account.move&res_id={move.id}&access_token={token}",
            "payment": self._payment_link(),
            **{f"large file {id_}": f"/web/content/{id_}?access_token={mark}" for mark, id_ in files},
        }

    def test_links_that_were_mailed_are_revoked(self):
        for action in ("action_billing_revoke_links", "action_billing_confirm_revoke_links"):
            with self.assertRaises(AccessError):
                getattr(self.invoice.with_user(self.user), action)()
        old = self._mailed()
        self._as(None)
        for name, link in old.items():
            with self.subTest(name):
                self.assertIn(self.invoice.name, self._get(link).text)
        menu = self.env.ref("invoice_portal.action_billing_revoke_links").with_user(self.biller)
        draft = self._invoice(10, finalize=False)
        asked = menu.with_context(active_model="account.move", active_ids=(self.invoice | draft).ids).run()
        wizard = self.env[asked["res_model"]].browse(asked["res_id"])
        self.assertEqual((asked["target"], wizard.count), ("new", 1))
        for words in (self.invoice.name, "cannot be undone", "Left out"):
            self.assertIn(words, wizard.summary)
        self.assertFalse(self.invoice.billing_links_revoked_on, "It only asks")
        self.assertIn(self.invoice.name, self._get(old["page"]).text)
        told = wizard.action_confirm()
        self.assertFalse(draft.billing_links_revoked_on)
        arch = self.env["account.move"].get_view(self.env.ref("account.view_move_form").id)["arch"]
        self.assertIn('name="billing_links_revoked_on"', arch)
        self.assertIn(self.invoice.name, told["params"]["message"])
        token = self.invoice._portal_ensure_token()
        for user in (None, self.stranger):
            self._as(user)
            for name, link in old.items():
                with self.subTest(name, by=user):
                    response = self._get(link)
                    self.assertNotIn(self.invoice.name, response.text)
                    self.assertNotIn(token, response.text + response.url)
                    self.assertLess(response.status_code, 500)
        self._as(None)
        for name, link in self._mailed().items():
            if name != "payment":
                with self.subTest(name, mailed="afterwards"):
                    self.assertIn(self.invoice.name, self._get(link).text)
        self._as(self.user)
        self.assertIn(self.invoice.name, self._page(self.path))
        self.assertIn(self.invoice.name, self._get(self._payment_link()).text)

    def test_who_had_the_link_says_nothing_any_more(self):
        """The conversation below the invoice, too, is closed to who has a revoked link."""
        token = self.invoice._portal_ensure_token()
        params = {"thread_model": "account.move", "thread_id": self.invoice.id, "token": token}
        params["post_data"] = {"body": "Hello", "message_type": "comment", "subtype_xmlid": "mail.mt_comment"}
        self._as(None)
        self.assertIn("result", self._get("/mail/message/post", json={"params": params}).json())
        self.invoice.action_billing_revoke_links()
        answer = self._get("/mail/message/post", json={"params": params}).json()
        self.assertEqual(answer["error"]["data"]["name"], "werkzeug.exceptions.NotFound")

    def test_a_link_that_holds_no_more_says_so(self):
        self._as(None)
        response = self._get(f"{self.path}?access_token=torn")
        self.assertEqual(response.status_code, 404)
        self.assertIn("no longer valid", response.text)
        self.assertIn(f"/web/login?redirect={quote_plus(self.path)}", response.text)
        missing = self._get("/my/invoices/999999999?access_token=torn")
        self.assertEqual(missing.status_code, 404, "whether there is such an invoice is not said")
        for path in (self.path, f"{self.path}/items.csv", "/my/invoices/999999999"):
            self.assertTrue(self._get(path).url.endswith(f"/web/login?{urlencode({'redirect': path})}"), path)


@tagged("post_install", "-at_install")
class TestErrorPages(CardCommon, PortalCommon, HttpCase):
    def _error(self, path, status):
        response = self._get(path)
        self.assertEqual(response.status_code, status, path)
        self.assertNotIn("account.move", response.text)
        self.assertNotIn("Traceback", response.text)
        self.assertEqual(html.fromstring(response.text).findtext(".//title"), self.company.name)
        return response.text

    def test_an_employee_who_sees_no_invoices_reads_for_whom_they_are(self):
        self._as(self._new_user("clerk", "base.group_user"))
        for path in ("billing", "billing/credit", "billing/statement", "billing/cases", "billing/next", "invoices"):
            self.assertIn("These pages are for clients", self._error(f"/my/{path}", 403))
        self.assertNotIn("for clients", self._get("/my/nonsense").text, "elsewhere Odoo's pages stay")

    def test_what_is_not_there_leads_on(self):
        self._as(self.user)
        for path in ("/my/billing/nonsense", "/my/billing/receipt/0", "/my/invoices/0/object/0"):
            page = self._error(path, 404)
            self.assertIn("nothing here for you to see", page)
            self.assertIn('href="/my/invoices?filterby=invoices"', page)

    def test_what_is_another_s_a_draft_or_missing_reads_the_same(self):
        foreign, draft = self._invoice(10), self._invoice(10, finalize=False)
        told = set()
        for user, number in ((self.stranger, foreign.id), (self.user, draft.id), (self.user, 999999999)):
            self._as(user)
            for below in ("", "/items.csv", "/part?amount=5", "?report_type=pdf", "?access_token=torn"):
                page = self._error(f"/my/invoices/{number}{below}", 404)
                self.assertIn('href="/my/invoices?filterby=invoices"', page)
                words = " ".join(" ".join(html.fromstring(page).find(".//main").itertext()).split())
                told.add(words.replace(user.name, ""))
        self.assertEqual(len(told), 1)
        self.assertIn("nothing here for you to see", told.pop())

    def test_a_form_that_is_too_old_and_a_wrong_address(self):
        self._as(self.user)
        with mute_logger(*QUIET):
            response = self.url_open("/my/billing/autopay", data={"stop": 1, "csrf_token": "old"})
        self.assertEqual(response.status_code, 400)
        self.assertIn("Open it again", response.text)
        invoice = self._invoice(10)
        self.assertIn("That did not work", self._error(f"/payment/pay?invoice_id={invoice.id}&amount=10", 422))

    def test_a_failure_is_said_and_shows_nothing_of_itself(self):
        self._as(self.user)
        with patch.object(
            type(self.env["res.partner"]), "_billing_own_overview", side_effect=ZeroDivisionError("secret")
        ):
            page = self._error("/my/billing", 500)
        self.assertIn("went wrong on our side", page)
        self.assertNotIn("secret", page)
