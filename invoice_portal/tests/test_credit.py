from datetime import timedelta
from unittest.mock import patch

from freezegun import freeze_time
from psycopg2 import OperationalError, errors

from odoo import Command, fields
from odoo.exceptions import AccessError, UserError
from odoo.tests import HttpCase, tagged
from odoo.tools import html2plaintext, mute_logger

from .common import BillingCommon
from .test_cycle import CycleCommon


class CreditCommon(BillingCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tax = cls.env["account.tax"]
        cls.company.sudo().account_sale_tax_id = False
        cls.today = fields.Date.today()

    @classmethod
    def _wizard(cls, model, **values):
        return cls.env[model].create({"partner_id": cls.client.id, **values})

    @classmethod
    def _add_credit(cls, amount, client=None, **values):
        wizard = cls._wizard(
            "billing.credit.add", **{"amount": amount, "partner_id": (client or cls.client).id, **values}
        )
        wizard.action_confirm()
        return cls.env["account.payment"].search([("partner_id", "=", wizard.partner_id.id)], order="id desc", limit=1)

    @classmethod
    def _invoice(cls, price, client=None, finalize=True, **values):
        charge = cls._new_charge(price=price, partner_id=(client or cls.client).id, tax_ids=[Command.clear()], **values)
        draft = cls._draft(charge)
        if finalize:
            draft._billing_finalize()
        return draft

    @classmethod
    def _euro(cls, rate=0.5):
        euro = cls.env.ref("base.EUR").sudo()
        euro.active = True
        euro.rate_ids.filtered(lambda each: each.company_id in (cls.company, cls.company.browse())).unlink()
        cls.env["res.currency.rate"].sudo().create(
            {"currency_id": euro.id, "name": "2020-01-01", "rate": rate, "company_id": cls.company.id}
        )
        return euro.with_env(cls.env)

    def _credit(self, client=None, currency=None):
        client = client or self.client
        self.env.invalidate_all()
        return client._billing_credit_amounts().get(client, {}).get(currency or self.company.currency_id, 0)


@tagged("post_install", "-at_install")
class TestCredit(CreditCommon):
    # -- how much -----------------------------------------------------------------------------------------------------

    def test_credit_is_what_stands_open_on_the_receivable_account(self):
        self.assertEqual(self._credit(), 0)
        self.assertFalse(self.client.billing_has_credit)
        payment = self._add_credit(100, reference="Cheque 7", memo="Prepaid")
        self.assertEqual((payment.payment_reference, payment.memo, payment.amount), ("Cheque 7", "Prepaid", 100))
        self.assertEqual(payment.move_id.state, "posted")
        self.assertEqual(self._credit(), 100)
        self.assertEqual(self.client.billing_credit, self.company.currency_id.format(100))
        self.init_invoice("out_refund", partner=self.client, amounts=[30], post=True)
        self.assertEqual(self._credit(), 130)
        self._add_credit(20, currency_id=self._euro().id)
        self.client.invalidate_recordset()
        self.assertEqual(
            self.client.billing_credit, f"{self.company.currency_id.format(130)} + {self._euro().format(20)}"
        )

    def test_a_dialog_that_is_confirmed_twice_moves_money_once(self):
        adding = self._wizard("billing.credit.add", amount=75)
        adding.action_confirm()
        with self.assertRaisesRegex(UserError, "confirmed already"):
            adding.action_confirm()
        self.assertEqual(self._credit(), 75)
        giving = self._wizard("billing.credit.refund", amount=10)
        giving.action_confirm()
        with self.assertRaisesRegex(UserError, "confirmed already"):
            giving.action_confirm()
        self.assertEqual(self._credit(), 65)

    def test_contacts_share_the_credit_of_their_company(self):
        contact = self._new_client("Ann", parent_id=self.client.id, is_company=False)
        payment = self._add_credit(10)
        payment.move_id.line_ids.flush_recordset()
        self.env.cr.execute(
            "UPDATE account_move_line SET partner_id = %s WHERE move_id = %s", [contact.id, payment.move_id.id]
        )
        self.assertEqual(self._credit(), 10)
        self.assertEqual(contact.billing_credit, self.company.currency_id.format(10))

    def test_many_clients_are_one_query(self):
        clients = self.client | self.other_client | self._new_client("Cyan")
        for number, client in enumerate(clients, start=1):
            self._add_credit(number, client)
        self.env.flush_all()
        amounts = clients._billing_credit_amounts()
        with self.assertQueryCount(1):
            self.assertEqual(clients._billing_credit_amounts(), amounts)
        self.assertEqual([[*amounts[client].values()] for client in clients], [[1], [2], [3]])

    def test_what_is_rejected_blocked_or_of_another_company_is_no_credit(self):
        payment = self._add_credit(50)
        payment.action_reject()
        note = self.init_invoice("out_refund", partner=self.client, amounts=[30], post=True)
        note.sudo().payment_state = "blocked"
        self.assertEqual(self._credit(), 0)
        invoice = self._invoice(20)
        self.assertEqual(invoice.amount_residual, 20)
        elsewhere = self._new_company_with_accounts("Elsewhere")
        self.assertFalse(self.client.sudo()._billing_credit_amounts(elsewhere.sudo()))

    def test_the_history_says_where_it_came_from_and_went(self):
        payment = self._add_credit(100, memo="Prepaid")
        invoice = self._invoice(30)
        line = self.env["account.move.line"].search(self.client.action_billing_credit()["domain"])
        self.assertEqual(line.move_id, payment.move_id)
        self.assertEqual((line.billing_credit_amount, line.billing_credit_open), (100, 70))
        self.assertEqual(line.billing_credit_origin, "Payment · Prepaid")
        self.assertEqual(
            line.billing_credit_spent_on, f"{invoice.display_name} ({self.company.currency_id.format(30)})"
        )
        self.assertEqual(line.action_billing_origin()["res_id"], payment.id)

    def test_the_portal_asks_as_the_user(self):
        client, stranger = (
            self._new_portal_user(self.client, "acmeclient"),
            self._new_portal_user(self.other_client, "boltclient"),
        )
        self._add_credit(100)
        self.env.invalidate_all()
        self.assertEqual(
            self.client.with_user(client)._own_credit_sudo(), [(self.company, self.company.currency_id, 100)]
        )
        with self.assertRaises(AccessError):
            self.client.with_user(stranger)._own_credit_sudo()
        with self.assertRaises(AccessError):
            self.client.with_user(self._new_user("employee", "base.group_user"))._own_credit_sudo()

    def test_a_card_payment_without_an_invoice_is_credit(self):
        provider = (
            self.env["payment.provider"].sudo().create({"name": "Demo", "code": "demo", "company_id": self.company.id})
        )
        method = self.env["payment.method"].sudo().search([("active", "in", (True, False))], limit=1)
        journal = (
            self.env["account.journal"]
            .sudo()
            .search([("type", "=", "bank"), ("company_id", "=", self.company.id)], limit=1)
        )
        if not journal.inbound_payment_method_line_ids.filtered("payment_provider_id"):
            journal.inbound_payment_method_line_ids[:1].payment_provider_id = provider
        provider.journal_id = journal
        transaction = (
            self.env["payment.transaction"]
            .sudo()
            .create(
                {
                    "provider_id": provider.id,
                    "payment_method_id": method.id,
                    "amount": 75,
                    "currency_id": self.company.currency_id.id,
                    "partner_id": self.client.id,
                    "reference": "TOP-UP-1",
                }
            )
        )
        transaction._set_done()
        transaction._post_process()
        self.assertEqual(transaction.payment_id.move_id.state, "posted")
        self.assertEqual(self._credit(), 75)

    # -- adding -------------------------------------------------------------------------------------------------------

    def test_nothing_and_less_are_no_credit(self):
        for amount in (0, -5, 0.001):
            with self.assertRaisesRegex(UserError, "above zero"):
                self._add_credit(amount)
        with self.assertRaisesRegex(UserError, "that large"):
            self._add_credit(1e15)

    def test_cards_are_not_typed(self):
        wizard = self._wizard("billing.credit.add", amount=1)
        self.assertFalse(wizard.method_ids.payment_provider_id)
        self.assertIn(wizard.method_id, wizard.method_ids)

    # -- spending -----------------------------------------------------------------------------------------------------

    def test_a_finalized_invoice_is_paid_from_credit(self):
        self._add_credit(100)
        invoice = self._invoice(60)
        self.assertEqual((invoice.amount_residual, invoice.billing_status), (0, "paid"))
        self.assertEqual(self._credit(), 40)
        self.assertIn("Paid from the client's credit", "".join(invoice.message_ids.mapped("body")))
        self.assertEqual(self._invoice(50).amount_residual, 10)
        self.assertEqual(self._credit(), 0)
        self.assertEqual(self._invoice(50).billing_status, "finalized")

    def test_the_oldest_comes_first_and_no_more_than_is_due(self):
        late = self._add_credit(50, date=self.today)
        early = self._add_credit(50, date=self.today - timedelta(days=9))
        middle = self._add_credit(50, date=self.today - timedelta(days=5))
        self._invoice(70)
        self.assertEqual([payment._billing_document_left() for payment in (early, middle, late)], [0, 30, 50])

    def test_what_is_due_first_is_paid_first(self):
        self._add_credit(50)
        late, soon = self._invoice(50, finalize=False), self._invoice(50, finalize=False)
        late.write({"invoice_payment_term_id": False, "invoice_date_due": self.today + timedelta(days=40)})
        soon.write({"invoice_payment_term_id": False, "invoice_date_due": self.today + timedelta(days=4)})
        (late | soon)._billing_finalize()
        self.assertEqual((soon.amount_residual, late.amount_residual), (0, 50))

    def test_another_currency_is_spent_by_hand_only(self):
        euro = self._euro()
        payment = self._add_credit(100, currency_id=euro.id)
        invoice = self._invoice(60)
        self.assertEqual((invoice.amount_residual, invoice.billing_credit_available), (60, 0))
        line = payment.move_id.line_ids.filtered(lambda line: line.account_type == "asset_receivable")
        invoice.js_assign_outstanding_line(line.id)
        self.assertEqual(invoice.amount_residual, 0)
        self.assertEqual(self._credit(currency=euro), 70)

    def test_credit_in_a_foreign_currency_pays_invoices_in_it(self):
        euro = self._euro()
        self._add_credit(100, currency_id=euro.id, date="2020-02-01")
        self.env["res.currency.rate"].sudo().create(
            {"currency_id": euro.id, "name": "2020-03-01", "rate": 0.8, "company_id": self.company.id}
        )
        invoice = self._invoice(60, currency_id=euro.id)
        self.assertEqual((invoice.currency_id, invoice.amount_residual), (euro, 0))
        self.assertEqual(self._credit(currency=euro), 40)
        self.assertNotIn("EXCH", invoice.message_ids[:1].body or "")

    def test_company_and_client_choose(self):
        for company, client, paid, offered in (
            ("automatic", False, True, False),
            ("automatic", "never", False, False),
            ("offer", False, False, True),
            ("offer", "automatic", True, False),
            ("never", "offer", False, True),
            ("never", False, False, False),
        ):
            with self.subTest(company=company, client=client), self.env.cr.savepoint() as savepoint:
                self.company.sudo().billing_credit_use = company
                self.client.sudo().billing_credit_use = client
                self._add_credit(10)
                invoice = self._invoice(10)
                self.assertEqual(invoice.billing_status == "paid", paid)
                self.assertEqual(invoice.billing_credit_available, 10 if offered else 0)
                savepoint.rollback()
                self.env.invalidate_all()

    def test_the_button_applies_what_there_is(self):
        self.client.sudo().billing_credit_use = "offer"
        self._add_credit(30)
        invoice = self._invoice(100)
        self.assertEqual(invoice.billing_credit_available, 30)
        invoice.action_billing_apply_credit()
        self.assertEqual((invoice.amount_residual, invoice.billing_credit_available), (70, 0))
        with self.assertRaisesRegex(UserError, "has no credit in"):
            invoice.action_billing_apply_credit()
        with self.assertRaisesRegex(UserError, "Finalize"):
            self._invoice(5, finalize=False).action_billing_apply_credit()

    def test_a_failure_is_said_and_does_not_stop_finalizing(self):
        self._add_credit(100)
        invoice = self._invoice(60, finalize=False)

        def fail(lines):
            lines.move_id.billing_email_cc = "half@done.example"
            raise UserError("No journal")  # pylint: disable=translation-required

        with patch.object(self.env.registry["account.move.line"], "reconcile", fail):
            invoice._billing_finalize()
        self.assertEqual((invoice.billing_status, invoice.amount_residual), ("finalized", 60))
        self.assertFalse(invoice.billing_email_cc, "what it did is undone")
        self.assertIn("credit was not used: No journal", invoice.message_ids[0].body)
        self.assertEqual(self._credit(), 100)

    def test_a_conflict_is_left_to_who_tries_again(self):
        self._add_credit(100)
        invoice = self._invoice(60, finalize=False)

        def lose(lines):
            raise errors.SerializationFailure("could not serialize access")

        with (
            patch.object(self.env.registry["account.move.line"], "reconcile", lose),
            self.assertRaises(OperationalError),
            mute_logger("odoo.sql_db"),
        ):
            invoice._billing_finalize()

    def test_instalments_are_paid_as_they_fall_due(self):
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
        self._add_credit(60)
        invoice = self._invoice(100, finalize=False)
        invoice.invoice_payment_term_id = term
        invoice._billing_finalize()
        terms = invoice.line_ids.filtered(lambda line: line.display_type == "payment_term").sorted("date_maturity")
        self.assertEqual(terms.mapped("amount_residual"), [0, 40])

    def test_voiding_gives_it_back(self):
        self._add_credit(100)
        invoice = self._invoice(60)
        invoice._billing_void("Wrong")
        self.assertEqual(self._credit(), 100)

    def test_the_ready_mail_says_what_is_left(self):
        self.company.sudo().billing_ready_mail = True
        self._add_credit(40)
        for price, words in ((30, "nothing is left to do"), (30, "is left to pay"), (30, None)):
            mail = self.env["billing.mail"].search([("move_id", "=", self._invoice(price).id), ("kind", "=", "notice")])
            self.assertEqual("from your credit" in mail.body, bool(words))
            self.assertIn(words or "ready for payment", mail.body)

    # -- giving back --------------------------------------------------------------------------------------------------

    def test_the_remainder_goes_back(self):
        self._add_credit(100, date=self.today - timedelta(days=3))
        self._add_credit(50)
        self._invoice(30)
        wizard = self.env["billing.credit.refund"].browse(self.client.action_billing_refund_credit()["res_id"])
        self.assertEqual((wizard.available, wizard.amount), (120, 120))
        wizard.amount = 90
        action = wizard.action_confirm()
        self.assertEqual(action["report_name"], "invoice_portal.report_receipt")
        refund = self.env["account.payment"].browse(action["context"]["active_ids"])
        self.assertEqual((refund.payment_type, refund.amount, refund.move_id.state), ("outbound", 90, "posted"))
        receivable = refund.move_id.line_ids.filtered(lambda line: line.account_type == "asset_receivable")
        self.assertTrue(receivable.reconciled)
        self.assertEqual(sorted(receivable.matched_credit_ids.mapped("amount")), [20, 70])
        self.assertEqual(self._credit(), 30)
        self.assertEqual(self.client.credit, -30)

    def test_not_more_than_the_open_credit(self):
        self._add_credit(10)
        wizard = self._wizard("billing.credit.refund")
        wizard.amount = 10.01
        with self.assertRaisesRegex(UserError, "not more can be given back"):
            wizard.action_confirm()
        wizard.amount = 10
        self._invoice(4)
        with self.assertRaisesRegex(UserError, "not more can be given back"):
            wizard.action_confirm()
        self._invoice(20)
        with self.assertRaisesRegex(UserError, "no credit to give back"):
            self.client.action_billing_refund_credit()

    # -- when it gets low ---------------------------------------------------------------------------------------------

    def _notices(self):
        return self.env["billing.mail"].search(
            [("partner_id", "=", self.client.id), ("move_id", "=", False), ("payment_id", "=", False)]
        )

    def _watch(self):
        self.env.flush_all()
        Partner = self.env["res.partner"].sudo().with_company(self.company)
        Partner.search(Partner._get_billing_watched_domain())._billing_watch_credit()
        return len(self._notices())

    def test_low_credit_is_told_once_per_crossing(self):
        self.client.sudo().billing_credit_threshold = 50
        self._add_credit(80)
        self.assertEqual(self._watch(), 0)
        self._invoice(40)
        self.assertEqual((self._watch(), self._watch()), (1, 1))
        mail = self._notices().sudo()
        self.assertTrue(self.client.sudo().billing_credit_low_on)
        self.assertIn(self.company.currency_id.format(40), html2plaintext(mail.body).replace("\ufeff", ""))
        self.assertEqual(mail.recipient_ids.mapped("email"), [self.client.email])
        self.assertEqual((mail.company_id, mail.state), (self.company, "waiting"))
        self.assertIn("credit is", str(mail._render_layout()))
        self._invoice(10)
        self.assertEqual(self._watch(), 1)
        self._add_credit(100)
        self.assertEqual(self._watch(), 1)
        self.assertFalse(self.client.sudo().billing_credit_low_on)
        self._invoice(100)
        self.assertEqual(self._watch(), 2)

    def test_who_fills_up_is_not_told(self):
        self.client.sudo().billing_credit_threshold = 50
        with patch.object(self.env.registry["res.partner"], "_billing_top_up", lambda client: True):
            self.assertEqual(self._watch(), 0)
        self.assertTrue(self.client.sudo().billing_credit_low_on)
        self.assertFalse(self.client._billing_top_up())

    def test_spending_wakes_the_watch(self):
        cron = self.env.ref("invoice_portal.ir_cron_billing_credit")
        self._add_credit(80)
        triggers = self.env["ir.cron.trigger"].sudo().search([("cron_id", "=", cron.id)])
        triggers.unlink()
        self._invoice(40)
        self.assertTrue(triggers.search([("cron_id", "=", cron.id)]))
        self.client.sudo().billing_credit_threshold = 50
        with self.enter_registry_test_mode():
            cron.sudo().method_direct_trigger()
        self.assertEqual(len(self._notices()), 1)


@tagged("post_install", "-at_install")
class TestCreditInRuns(CreditCommon, CycleCommon):
    def test_a_run_pays_from_credit_too(self):
        cycle = self.monthly.copy({"name": "Own", "after": "finalize"})
        self._join(self.client.sudo(), cycle)
        with freeze_time("2026-02-01"):
            self._add_credit(100)
            self._new_charge(price=40, tax_ids=[Command.clear()], date="2026-01-20")
            self.env.flush_all()
        self._at("2026-02-01 09:00:00")
        invoice = self._runs(cycle).client_ids.move_ids
        self.assertEqual(invoice.mapped("billing_status"), ["paid"])
        self.assertEqual(self._credit(), 60)


@tagged("post_install", "-at_install")
class TestCreditTour(CreditCommon, HttpCase):
    def test_prepay_and_see_the_next_invoice_paid_from_credit(self):
        self.client.sudo().customer_rank = 1
        self.start_tour("/odoo", "billing_credit_prepay", login=self.biller.login)
        self.assertEqual(self._credit(), 120)
        invoice = self._invoice(50, finalize=False)
        self.env.flush_all()
        self.start_tour("/odoo", "billing_credit_spend", login=self.biller.login)
        self.assertEqual((invoice.billing_status, self._credit()), ("paid", 70))
