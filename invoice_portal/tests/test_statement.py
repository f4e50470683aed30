import csv
import io
import random
from datetime import date, timedelta

from freezegun import freeze_time

from odoo import Command
from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged
from odoo.tools import html2plaintext
from odoo.tools.pdf import OdooPdfFileReader

from ..tools import csv_text, pdf
from .test_credit import CreditCommon


@tagged("post_install", "-at_install")
class TestStatement(CreditCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company.sudo().billing_credit_use = "never"

    def _on(self, day, price, **values):
        with freeze_time(day):
            draft = self._invoice(price, finalize=False, **values)
            draft.write({"invoice_date": day, "invoice_payment_term_id": False, "invoice_date_due": day})
            draft._billing_finalize()
        return draft

    def _statement(self, date_from, date_to, client=None):
        self.env.flush_all()
        return (client or self.client)._billing_statement(self._date(date_from), self._date(date_to))

    def _receivable(self, move):
        return move.line_ids.filtered(lambda line: line.account_type == "asset_receivable")

    # -- by hand ------------------------------------------------------------------------------------------------------

    def test_opening_movements_and_closing(self):
        before = self._on("2026-01-10", 100)
        with freeze_time("2026-01-20"):
            self._pay(before, 30)
        invoice = self._on("2026-02-05", 50)
        payment = self._add_credit(80, date="2026-02-10", memo="Cheque 9")
        with freeze_time("2026-02-12"):
            note = self.init_invoice(
                "out_refund", partner=self.client, amounts=[20], invoice_date="2026-02-12", post=True
            )
        void = self._on("2026-02-15", 7)
        with freeze_time("2026-02-16"):
            reversal = void._billing_void("Wrong")
        wizard = self._wizard("billing.credit.refund", date="2026-02-20")
        wizard.amount = 10
        wizard.action_confirm()
        self._on("2026-03-03", 1000)
        (part,) = self._statement("2026-02-01", "2026-02-28")
        self.assertEqual((part["opening"], part["closing"]), (70, 70 + 50 - 80 - 20 + 7 - 7 + 10))
        self.assertEqual(
            [(row["kind"], row["amount"], row["balance"]) for row in part["rows"]],
            [
                ("invoice", 50, 120),
                ("payment", -80, 40),
                ("credit_note", -20, 20),
                ("invoice", 7, 27),
                ("credit_note", -7, 20),
                ("refund", 10, 30),
            ],
        )
        labels = [row["label"] for row in part["rows"]]
        self.assertEqual(labels[0], f"Invoice {invoice.name}")
        self.assertEqual(labels[2], f"Credit note {note.name}")
        self.assertEqual(labels[4], f"Void of {void.name}")
        self.assertEqual(part["rows"][4]["move_id"], reversal.id)
        self.assertEqual((part["rows"][1]["reference"], part["rows"][0]["due"]), ("Cheque 9", date(2026, 2, 5)))
        self.assertIn(payment.name, labels[1])
        ages = {key: amount for key, _label, amount in part["ageing"] if amount}
        self.assertEqual(ages, {"days_30": 50, "days_60": 70, "credit": -90})

    def test_a_day_on_which_nothing_happened(self):
        (part,) = self._statement("2026-02-01", "2026-02-28", self._new_client("Nobody"))
        self.assertEqual((part["opening"], part["rows"], part["closing"]), (0, [], 0))
        self.assertEqual(part["currency"], self.company.currency_id)

    def test_a_matching_between_currencies_moves_the_balance(self):
        euro = self._euro(0.5)
        invoice = self._on("2026-02-05", 60, currency_id=euro.id)
        payment = self._add_credit(50, date="2026-02-10")
        with freeze_time("2026-02-10"):
            invoice.js_assign_outstanding_line(self._receivable(payment.move_id).id)
        self.assertEqual((invoice.amount_residual, payment._billing_document_left()), (35, 0))
        dollars, euros = self._statement("2026-02-01", "2026-02-28")
        self.assertEqual((dollars["closing"], euros["closing"]), (0, 35))
        self.assertEqual(
            [(row["kind"], row["label"], row["amount"]) for row in euros["rows"]],
            [("invoice", f"Invoice {invoice.name}", 60), ("matched", f"Paid by {payment.name}", -25)],
        )
        self.assertEqual(dollars["rows"][1]["label"], f"Spent on {invoice.name}")

    # -- by brute force -----------------------------------------------------------------------------------------------

    def _brute(self, client, day):
        """What is open on this day, item by item, as the books have it: `[(currency, due, amount)]`."""
        lines = self.env["account.move.line"].search(
            [
                ("partner_id.commercial_partner_id", "=", client.id),
                ("account_type", "=", "asset_receivable"),
                ("parent_state", "=", "posted"),
                ("date", "<=", day),
            ]
        )
        items = []
        for line in lines:
            taken = sum(p.debit_amount_currency for p in line.matched_credit_ids if p.max_date <= day)
            given = sum(p.credit_amount_currency for p in line.matched_debit_ids if p.max_date <= day)
            items.append((line.currency_id, line.date_maturity or line.date, line.amount_currency - taken + given))
        return items

    def _assert_as_brute_force(self, client, first, last):
        parts = {part["currency"]: part for part in self._statement(str(first), str(last), client)}
        opening, closing = self._brute(client, first - timedelta(days=1)), self._brute(client, last)
        for currency in {item[0] for item in opening + closing} | set(parts):
            part = parts.get(currency)
            want = [
                currency.round(sum(item[2] for item in items if item[0] == currency)) for items in (opening, closing)
            ]
            if not part:
                self.assertEqual(want, [0, 0])
                continue
            self.assertEqual([part["opening"], part["closing"]], want, (currency.name, first, last))
            running = part["opening"]
            for row in part["rows"]:
                running = currency.round(running + row["amount"])
                self.assertEqual(row["balance"], running)
                self.assertTrue(first <= row["date"] <= last)
            self.assertEqual(running, part["closing"])
            ages = {}
            for each, due, amount in closing:
                if each == currency and not currency.is_zero(amount):
                    days = (last - due).days
                    key = (
                        "credit"
                        if amount < 0
                        else "current"
                        if days <= 0
                        else "days_30"
                        if days <= 30
                        else "days_60"
                        if days <= 60
                        else "days_90"
                        if days <= 90
                        else "older"
                    )
                    ages[key] = currency.round(ages.get(key, 0) + amount)
            self.assertEqual({key: amount for key, _label, amount in part["ageing"] if amount}, ages)

    def test_as_brute_force_has_it(self):
        euro, chance = self._euro(0.5), random.Random(11)
        self.env["res.currency.rate"].sudo().create(
            {"currency_id": euro.id, "name": "2026-03-01", "rate": 0.8, "company_id": self.company.id}
        )
        days = [date(2026, 1, 1) + timedelta(days=13 * number) for number in range(12)]
        clients = self.client | self.other_client
        invoices, payments = self.env["account.move"], self.env["account.payment"]
        for day in days:
            client, currency = chance.choice(clients), chance.choice((euro, self.company.currency_id))
            invoices |= self._on(day, chance.randint(100, 9999) / 100, client=client, currency_id=currency.id)
            client, currency = chance.choice(clients), chance.choice((euro, self.company.currency_id))
            payments |= self._add_credit(
                chance.randint(100, 9999) / 100, client, date=day + timedelta(days=6), currency_id=currency.id
            )
        # Matched across currencies, and once across clients, most of them in part.
        for number, payment in enumerate(payments):
            for invoice in chance.sample(list(invoices), 4):
                line = self._receivable(payment.move_id)
                same = invoice.commercial_partner_id == payment.partner_id
                if line.reconciled or not invoice.amount_residual or not (same or number == 3):
                    continue
                invoice.js_assign_outstanding_line(line.id)
        partials = self._receivable(payments.move_id).matched_debit_ids
        self.assertTrue(partials.filtered(lambda p: p.debit_currency_id != p.credit_currency_id))
        self.assertTrue(partials.exchange_move_id)
        for client in clients:
            for first, last in (
                (days[0], days[-1]),
                (days[3], days[7]),
                (days[5], days[5]),
                (days[6], days[-1] + timedelta(days=90)),
            ):
                self._assert_as_brute_force(client, first, last)

    def test_it_is_two_queries_however_long_it_is(self):
        """One for the client's contacts, so that the other one finds their entries by an index."""
        for _more in range(2):
            self._on("2026-02-05", 60)
            self._add_credit(10, date="2026-02-07")
            self._statement("2026-01-01", "2026-02-28")
            with self.assertQueryCount(2):
                self._statement("2026-01-01", "2026-02-28")

    # -- who may ------------------------------------------------------------------------------------------------------

    def test_a_client_sees_its_own(self):
        client = self._new_portal_user(self.client, "acmeclient")
        stranger = self._new_portal_user(self.other_client, "boltclient")
        self._on("2026-02-05", 60)
        self._add_credit(10, date="2026-02-07")
        self.env.invalidate_all()
        (part,) = self.client.with_user(client)._billing_statement(date(2026, 1, 1), date(2026, 2, 28))
        self.assertEqual((part["closing"], len(part["rows"])), (50, 2))
        rendering = self.client.with_user(client).with_context(force_report_rendering=True)
        name, content = rendering._billing_own_statement_pdf(date(2026, 1, 1), date(2026, 2, 28))
        self.assertTrue(pdf.is_pdf(content), name)
        for user in (stranger, self._new_user("employee", "base.group_user")):
            for ask in ("_billing_statement", "_billing_own_statement_pdf"):
                with self.assertRaises(AccessError):
                    getattr(self.client.with_user(user), ask)(date(2026, 1, 1), date(2026, 2, 28))
        elsewhere = self._new_company("Elsewhere")
        with self.assertRaises(AccessError):
            self.client._billing_statement(date(2026, 1, 1), date(2026, 2, 28), elsewhere)

    # -- the dialog ---------------------------------------------------------------------------------------------------

    def _dialog(self):
        return self.env["billing.statement"].browse(self.client.action_billing_statement()["res_id"])

    def test_days_are_the_client_s(self):
        self.client.sudo().tz = "Pacific/Auckland"
        with freeze_time("2026-03-31 12:30:00"):
            dialog = self._dialog()
        self.assertEqual((dialog.date_from, dialog.date_to), (date(2026, 1, 1), date(2026, 4, 1)))

    def test_what_is_dated_by_a_day_that_the_client_has_not_yet_is_in_it(self):
        self.client.sudo().tz = "America/Los_Angeles"
        self.company.sudo().partner_id.tz = "Europe/Berlin"
        evening = "2026-04-01 03:00:00"

        def last_day():
            with freeze_time(evening):
                return self._dialog().date_to

        self._on("2026-03-01", 60)
        self._add_credit(20, date="2026-04-02")
        self.assertEqual(last_day(), date(2026, 3, 31), "Nowhere is it the second")
        self._add_credit(10, date="2026-04-01")
        self.assertEqual(last_day(), date(2026, 4, 1))
        with freeze_time(evening):
            self.assertEqual(self.other_client._billing_statement_today(self.company)[1], date(2026, 4, 1))
        self.other_client.sudo().tz = "America/Los_Angeles"
        with freeze_time(evening):
            self.assertEqual(self.other_client._billing_statement_today(self.company)[1], date(2026, 3, 31))

    def test_screen_pdf_and_csv_say_the_same(self):
        self._on("2026-02-05", 1234.5)
        self._add_credit(10, date="2026-02-07", memo='=HYPERLINK("http://evil.example";"Pay")')
        dialog = self._dialog()
        dialog.write({"date_from": "2026-02-01", "date_to": "2026-02-28"})
        shown = html2plaintext(dialog.preview)
        self.assertIn("1,224.50", shown)
        rows = list(csv.reader(io.StringIO(dialog._csv().decode("utf-8-sig"))))
        self.assertEqual(rows[0][0], "Currency")
        self.assertEqual([row[-1] for row in rows[1:]], ["0.0", "1234.5", "1224.5", "1224.5"])
        self.assertEqual(rows[3][3], '\'=HYPERLINK("http://evil.example";"Pay")')
        content = dialog.with_context(force_report_rendering=True)._pdf()
        text = "".join(page.extractText() for page in OdooPdfFileReader(io.BytesIO(content)).pages)
        self.assertIn("1,224.50", text)
        self.assertEqual(dialog.action_pdf()["report_name"], "invoice_portal.report_statement")
        self.assertIn("/csv_file/", dialog.action_csv()["url"])
        dialog.date_from = "2026-03-01"
        with self.assertRaisesRegex(UserError, "lies after"):
            dialog.action_pdf()

    def test_formulas_stay_text(self):
        for text in ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "  =1", "\r=1", "＝1"):
            self.assertTrue(csv_text.inert(text).startswith("'"), repr(text))
        self.assertEqual((csv_text.inert(-5.25), csv_text.inert("A=1"), csv_text.inert(None)), (-5.25, "A=1", ""))

    def test_it_is_mailed_to_the_client(self):
        self._on("2026-02-05", 60)
        dialog = self._dialog()
        self.assertIn(self.client.email, dialog.email_to)
        dialog.email_to = "nonsense"
        with self.assertRaisesRegex(UserError, "not an e-mail address"):
            dialog.action_send()
        dialog.email_to = "books@acme.example"
        dialog.action_send()
        mail = self.env["billing.mail"].search([("partner_id", "=", self.client.id), ("kind", "=", "statement")])
        self.assertEqual(mail.recipient_ids.mapped("email"), ["books@acme.example"])
        self.assertEqual((mail.company_id, len(mail.attachment_ids)), (self.company, 1))
        # Colleagues who see the contact do not see its account.
        self.assertFalse(self.client.message_ids.attachment_ids)

    def test_contacts_and_children_are_one_account(self):
        contact = self._new_client("Ann", parent_id=self.client.id, is_company=False)
        self._on("2026-02-05", 60)
        (part,) = self._statement("2026-02-01", "2026-02-28", contact)
        self.assertEqual(part["closing"], 60)

    def test_instalments_are_one_movement_and_two_ages(self):
        term = (
            self.env["account.payment.term"]
            .sudo()
            .create(
                {
                    "name": "Halves",
                    "line_ids": [
                        Command.create({"value": "percent", "value_amount": 50, "nb_days": days}) for days in (10, 60)
                    ],
                }
            )
        )
        with freeze_time("2026-03-01"):
            invoice = self._invoice(100, finalize=False)
            invoice.write({"invoice_date": "2026-03-01", "invoice_payment_term_id": term.id})
            invoice._billing_finalize()
        (part,) = self._statement("2026-03-01", "2026-03-15")
        self.assertEqual([(row["amount"], row["due"]) for row in part["rows"]], [(100, date(2026, 3, 11))])
        self.assertEqual(
            {key: amount for key, _label, amount in part["ageing"] if amount}, {"current": 50, "days_30": 50}
        )
