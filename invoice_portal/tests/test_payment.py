from unittest.mock import patch

from freezegun import freeze_time

from odoo import Command, fields
from odoo.exceptions import UserError
from odoo.tests import tagged
from odoo.tools import html2plaintext

from ..models.account_move_line_allocate import KEY
from .common import BillingCommon


class PaymentCommon(BillingCommon):
    """Dialogs as somebody fills them in, and a second currency with two rates."""

    @classmethod
    def _on(cls, day):
        return freeze_time(day)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Allocated by hand here: an invoice takes no credit when it is finalized.
        cls.company.sudo().billing_credit_use = "offer"
        cls.euro = cls._new_currency("EUR", {"2026-01-01": 0.8, "2026-02-01": 0.5})
        cls.pound = cls._new_currency("GBP", {"2026-01-01": 0.7, "2026-02-01": 0.9})

    @classmethod
    def _new_currency(cls, code, rates):
        currency = cls.env.ref(f"base.{code}").sudo()
        currency.active = True
        currency.rate_ids.unlink()
        for day, rate in rates.items():
            currency.rate_ids.create(
                {"currency_id": currency.id, "name": day, "rate": rate, "company_id": cls.company.id}
            )
        return currency.with_env(cls.env)

    @classmethod
    def _invoice(cls, amount=100, day="2026-01-10", client=None, **values):
        """A finalized invoice over this amount, without taxes."""
        values = {"tax_ids": [Command.clear()], **values}
        with cls._on(day):
            return cls._finalized(
                cls._new_charge("Work", amount, partner_id=(client or cls.client).id, date=day, **values)
            )

    def _dialog(self, moves, **values):
        context = moves.action_billing_pay()["context"]
        return self.env["account.payment.register"].with_context(**context).create(values)

    def _paid(self, moves, amount=None, day="2026-01-15", **values):
        """What *Mark as Paid* records."""
        if amount is not None:
            values["amount"] = amount
        before = self.env["account.payment"].search([])
        with self._on(day):
            self._dialog(moves, payment_date=day, **values).action_create_payments()
        return self.env["account.payment"].search([]) - before

    def _credit(self, amount, day="2026-01-15", client=None, currency=None):
        """A payment of the client that stands against nothing."""
        payment = self.env["account.payment"].create(
            {
                "payment_type": "inbound",
                "partner_type": "customer",
                "partner_id": (client or self.client).id,
                "amount": amount,
                "date": day,
                "currency_id": (currency or self.company.currency_id).id,
                "journal_id": self.company_data["default_journal_bank"].id,
            }
        )
        payment.action_post()
        return payment

    def _credit_note(self, invoice, amount, day="2026-01-20"):
        with self._on(day):
            note = invoice._reverse_moves([{"invoice_date": day, "date": day}])
            note.invoice_line_ids.price_unit = amount
            note.action_post()
        return note

    def _payments(self, move):
        return self.env["billing.payments"].browse(move.action_billing_payments()["res_id"])

    def _allocate(self, payment, amounts):
        """*Allocate* on a payment or credit note: `{invoice: amount}`."""
        wizard = self.env["billing.allocate"].browse(payment.action_billing_allocate()["res_id"])
        for invoice, amount in amounts.items():
            wizard.invoice_ids.filtered(lambda row, invoice=invoice: row.move_id == invoice).amount = amount
        wizard.action_allocate()

    def _plain(self, html):
        return html2plaintext(html).replace("\n", " ")

    def assertBalanced(self, moves):
        for move in moves:
            self.assertFalse(move.company_currency_id.round(sum(move.line_ids.mapped("balance"))), move.name)


@tagged("post_install", "-at_install")
class TestMarkAsPaid(PaymentCommon):
    def test_the_balance_is_suggested(self):
        invoice = self._invoice(100)
        dialog = self._dialog(invoice)
        self.assertEqual((dialog.amount, dialog.currency_id), (100, self.company.currency_id))
        dialog.action_create_payments()
        self.assertEqual((invoice.billing_status, invoice.billing_balance, invoice.billing_paid), ("paid", 0, 100))
        self.assertFalse(invoice.billing_moves and "paid" in [move["target"] for move in invoice.billing_moves])

    def test_the_status_dropdown_leads_to_the_same_dialog(self):
        action = self._invoice().action_billing_move("paid")
        self.assertEqual((action["res_model"], action["name"]), ("account.payment.register", "Mark as Paid"))
        self.assertTrue(action["context"]["default_billing_by_hand"])

    def test_a_part_is_paid_and_the_dialog_says_what_stays_due(self):
        invoice = self._invoice(100)
        dialog = self._dialog(invoice, amount=20, payment_date="2026-01-15", billing_reference="Transfer 77")
        dialog.communication = "First part"
        self.assertIn(f"{self.company.currency_id.format(80)} stays due", self._plain(dialog.billing_plan))
        dialog.action_create_payments()
        payment = invoice.reconciled_payment_ids
        self.assertEqual((payment.amount, payment.date), (20, fields.Date.to_date("2026-01-15")))
        self.assertEqual((payment.payment_reference, payment.memo), ("Transfer 77", "First part"))
        self.assertEqual((invoice.billing_balance, invoice.billing_paid), (80, 20))
        self.assertEqual(invoice.payment_state, "partial")
        # What is paid is deducted: no alarm that it might be paid twice.
        self.assertFalse(self._dialog(invoice).actionable_errors)
        self._paid(invoice, 30)
        self.assertEqual(invoice.billing_balance, 50)
        self._paid(invoice)
        self.assertEqual((invoice.billing_balance, invoice.billing_status), (0, "paid"))

    def test_no_payment_is_beyond_what_can_be_added_up(self):
        invoice = self._invoice(100)
        for amount in (1e13, 1e15, 1e18):
            with self.subTest(amount), self.assertRaisesRegex(UserError, "that large"):
                self._dialog(invoice, amount=amount).action_create_payments()
        self.assertFalse(invoice.reconciled_payment_ids)

    def test_accountants_without_billing_pay_by_odoo_s_dialog(self):
        accountant = self._new_user("books", "account.group_account_invoice")
        moves = self._invoice(100) | self._invoice(50, client=self.other_client)
        dialog = (
            self.env["account.payment.register"]
            .with_user(accountant)
            .with_context(active_model="account.move", active_ids=moves.ids)
            .create({})
        )
        dialog.action_create_payments()
        self.assertEqual(moves.mapped("billing_balance"), [0, 0])

    def test_too_much_becomes_the_client_s_credit(self):
        invoice = self._invoice(100)
        dialog = self._dialog(invoice, amount=120)
        self.assertIn("more than is due: becomes credit of", dialog.billing_plan)
        self.assertIn(self.company.currency_id.format(20), dialog.billing_plan)
        dialog.action_create_payments()
        payment = invoice.reconciled_payment_ids
        self.assertEqual((invoice.billing_status, payment.billing_open), ("paid", 20))
        other = self._invoice(50)
        self.assertEqual(self._payments(other).credit_ids.mapped("open_amount"), [20])

    def test_nothing_and_less_are_refused(self):
        invoice = self._invoice(100)
        for amount in (0, -5):
            with self.assertRaisesRegex(UserError, "zero"):
                self._paid(invoice, amount)
        self.assertFalse(invoice.reconciled_payment_ids)

    def test_one_message_names_all_that_cannot_be_paid(self):
        good, void, paid = self._invoice(), self._invoice(), self._invoice()
        draft = self._draft(self._new_charge("Draft"))
        void._billing_void("Test")
        self._paid(paid)
        with self.assertRaises(UserError) as caught:
            (good | void | paid | draft).action_billing_pay()
        for text in (void.name, paid.name, "Draft of", "Finalize"):
            self.assertIn(text, str(caught.exception))
        self.assertNotIn(good.name, str(caught.exception))
        # Odoo's own dialog opens on drafts; it records nothing there.
        action = draft.action_force_register_payment()
        with self.assertRaisesRegex(UserError, "Finalize Draft of"):
            self.env["account.payment.register"].with_context(**action["context"]).create({})._create_payments()

    def test_many_invoices_make_one_payment_per_client_and_currency(self):
        mine = self._invoice(100) | self._invoice(50)
        euros = self._invoice(80, currency_id=self.euro.id)
        others = self._invoice(30, client=self.other_client)
        everything = mine | euros | others
        dialog = self._dialog(everything)
        self.assertEqual(len(dialog._billing_payments()), 3)
        self.assertIn("3</strong> payments will be recorded", str(dialog.billing_plan))
        payments = self._paid(everything)
        self.assertEqual(
            sorted((payment.partner_id.name, payment.currency_id.name, payment.amount) for payment in payments),
            [("Acme", "EUR", 80), ("Acme", "USD", 150), ("Bolt", "USD", 30)],
        )
        self.assertEqual(set(everything.mapped("billing_status")), {"paid"})
        self.assertBalanced(payments.move_id)

    def test_one_payment_per_invoice_where_that_is_chosen(self):
        invoices = self._invoice(100) | self._invoice(50) | self._invoice(30, client=self.other_client)
        self.assertEqual(len(self._paid(invoices, group_payment=False)), 3)
        self.assertEqual(set(invoices.mapped("billing_status")), {"paid"})

    def test_a_sum_over_two_invoices_of_a_client_settles_the_older_first(self):
        older, newer = self._invoice(100, "2026-01-05"), self._invoice(100, "2026-01-20")
        self._paid(newer | older, 130, "2026-01-25")
        self.assertEqual((older.billing_balance, newer.billing_balance), (0, 70))

    def _in_instalments(self, amount=100):
        term = (
            self.env["account.payment.term"]
            .sudo()
            .create(
                {
                    "name": "Thirds",
                    "line_ids": [
                        Command.create({"value": "percent", "value_amount": 30, "nb_days": 10}),
                        Command.create({"value": "percent", "value_amount": 30, "nb_days": 40}),
                        Command.create({"value": "percent", "value_amount": 40, "nb_days": 70}),
                    ],
                }
            )
        )
        self.client.sudo().property_payment_term_id = term
        return self._invoice(amount)

    def test_instalments_are_paid_oldest_first_and_the_balance_is_suggested(self):
        invoice = self._in_instalments()
        terms = invoice._billing_terms()
        self.assertEqual(terms.mapped("amount_currency"), [30, 30, 40])
        self.assertEqual(self._dialog(invoice).amount, 100)
        self._paid(invoice, 45)
        self.assertEqual(terms.mapped("amount_residual_currency"), [0, 15, 40])
        self._paid(invoice, 15)
        self.assertEqual(terms.mapped("amount_residual_currency"), [0, 0, 40])
        self._paid(invoice)
        self.assertEqual(invoice.billing_status, "paid")

    def test_an_allocation_fills_the_oldest_instalment_first(self):
        invoice = self._in_instalments()
        payment = self._credit(70)
        self._allocate(payment, {invoice: 40})
        self.assertEqual(invoice._billing_terms().mapped("amount_residual_currency"), [0, 20, 40])
        self.assertEqual(payment.billing_open, 30)
        self._allocate(payment, {invoice: 30})
        self.assertEqual(invoice._billing_terms().mapped("amount_residual_currency"), [0, 0, 30])

    def test_the_second_of_two_open_dialogs_is_told_what_changed(self):
        invoice = self._invoice(100)
        first, second = self._dialog(invoice), self._dialog(invoice)
        first.amount = 40
        first.action_create_payments()
        with self.assertRaisesRegex(UserError, f"{invoice.name} has changed.*60.00 is due, it was .*100.00.*by biller"):
            second.action_create_payments()
        self.assertEqual(len(invoice.reconciled_payment_ids), 1)
        with self.assertRaisesRegex(UserError, "has changed"):
            first.action_create_payments()
        self.assertEqual(invoice.billing_balance, 60)

    def test_whoever_pays_takes_the_invoice_by_writing_to_it(self):
        """A lock would not do: the one who waited for it would still see what was due before."""
        invoice = self._invoice(100)
        self.env.cr.execute("SELECT xmin::text, ctid::text FROM account_move WHERE id = %s", invoice.ids)
        before = self.env.cr.fetchone()
        self.env.flush_all()
        invoice._billing_hold()
        self.env.cr.execute("SELECT xmin::text, ctid::text FROM account_move WHERE id = %s", invoice.ids)
        self.assertNotEqual(self.env.cr.fetchone()[1], before[1])

    def test_where_payments_need_no_entry_this_one_has_one(self):
        """As with the accountant's edition: a payment method without an outstanding account, and no fallback."""
        invoice, other = self._invoice(100), self._invoice(100)
        method = self.company_data["default_journal_bank"].inbound_payment_method_line_ids[:1].sudo()
        method.payment_account_id = False
        with patch.object(type(invoice), "_get_invoice_in_payment_state", lambda move: "in_payment"):
            payment = self._paid(invoice, 40)
            self.assertTrue(payment.move_id)
            self.assertEqual((invoice.billing_balance, invoice.payment_state), (60, "partial"))
            over = self._paid(invoice, 70)
            self.assertEqual(
                (invoice.billing_status, invoice.payment_state, over.billing_open), ("paid", "in_payment", 10)
            )
            over._billing_undo("Test")
            self.assertEqual((invoice.billing_balance, invoice.payment_state), (60, "partial"))
            # What Odoo's own dialog records there has none. It is listed, and can be undone.
            self._pay(other)
            bare = other.matched_payment_ids
            self.assertFalse(bare.move_id)
            self.assertEqual(other.billing_status, "paid")
            row = self._payments(other).item_ids
            self.assertEqual((row.payment_id, row.may_release, row.may_undo), (bare, False, True))
            bare._billing_undo("Test")
            self.assertEqual((bare.state, other.billing_balance), ("canceled", 100))
            self.assertNotEqual(other.billing_status, "paid")

    def test_a_credit_note_is_paid_out(self):
        invoice = self._invoice(100)
        self._paid(invoice)
        note = self._credit_note(invoice, 30)
        payment = self._paid(note)
        self.assertEqual((payment.payment_type, payment.amount, note.billing_status), ("outbound", 30, "paid"))

    def test_a_foreign_invoice_paid_in_the_company_s_currency(self):
        invoice = self._invoice(80, currency_id=self.euro.id)
        payment = self._paid(invoice, 50, currency_id=self.company.currency_id.id)
        self.assertEqual((invoice.billing_balance, payment.billing_open), (40, 0))
        self._paid(invoice, day="2026-02-10")
        self.assertEqual(invoice.billing_status, "paid")

    def test_the_list_groups_by_nothing_but_sorts_by_what_is_paid(self):
        little, much = self._invoice(100), self._invoice(100)
        self._paid(much, 90)
        self._paid(little, 10)
        found = self.env["account.move"].search([("id", "in", (little | much).ids)], order="billing_paid desc")
        self.assertEqual(found, much | little)


@tagged("post_install", "-at_install")
class TestUndoPayment(PaymentCommon):
    def test_the_balance_and_the_status_are_back(self):
        invoice = self._invoice(100)
        before = invoice.billing_status
        payment = self._paid(invoice, 100)
        name = payment.name
        wizard = self.env["billing.payment.undo"].browse(payment.action_billing_undo()["res_id"])
        self.assertIn("is due again", wizard.plan)
        self.assertIn("kept with its number", wizard.plan)
        wizard.reason = "Booked for the wrong client"
        wizard.action_undo()
        self.assertEqual((invoice.billing_balance, invoice.billing_status), (100, before))
        self.assertEqual((payment.state, payment.move_id.state, payment.name), ("canceled", "cancel", name))
        for record in (payment, invoice):
            self.assertIn("Booked for the wrong client", record.message_ids[0].body)
            self.assertIn("100.00", record.message_ids[0].body)
        row = self._payments(invoice).item_ids
        self.assertEqual((row.payment_id, row.amount, row.may_undo), (payment, 0, False))
        self.assertIn("undone", row.reference)

    def test_a_reason_is_asked_for(self):
        payment = self._paid(self._invoice())
        for reason in (False, "  "):
            with self.assertRaisesRegex(UserError, f"Say why {payment.name} is undone"):
                payment._billing_undo(reason)
        self.assertEqual(payment.reconciled_invoice_ids.billing_balance, 0)

    def test_nothing_is_undone_twice(self):
        payment = self._paid(self._invoice())
        payment._billing_undo("Test")
        with self.assertRaisesRegex(UserError, "nothing to undo"):
            payment.action_billing_undo()
        with self.assertRaisesRegex(UserError, "nothing to undo"):
            payment._billing_undo("Again")

    def test_in_a_locked_period_an_entry_reverses_it(self):
        invoice = self._invoice(100)
        payment = self._paid(invoice, day="2026-01-15")
        self.company.sudo().fiscalyear_lock_date = "2026-01-31"
        with freeze_time("2026-02-20"):
            wizard = self.env["billing.payment.undo"].browse(payment.action_billing_undo()["res_id"])
            self.assertIn("locked", wizard.plan)
            reversal = payment._billing_undo("Test")
        self.assertEqual(reversal.date, fields.Date.to_date("2026-02-20"))
        self.assertEqual((payment.state, payment.move_id.state), ("canceled", "posted"))
        self.assertEqual((invoice.billing_balance, payment.billing_open), (100, 0))
        self.assertBalanced(payment.move_id | reversal)
        self.assertTrue(all((payment.move_id | reversal)._billing_terms().mapped("reconciled")))
        self.assertFalse(self._payments(invoice).credit_ids)

    def test_where_today_is_locked_it_is_the_first_open_day(self):
        payment = self._paid(self._invoice(), day="2026-01-15")
        self.company.sudo().fiscalyear_lock_date = "2026-02-28"
        with freeze_time("2026-02-20"):
            self.assertEqual(payment._billing_undo("Test").date, fields.Date.to_date("2026-03-01"))

    def test_a_hashed_entry_is_reversed(self):
        invoice = self._invoice(100)
        self.company_data["default_journal_bank"].sudo().restrict_mode_hash_table = True
        payment = self._paid(invoice)
        self.assertTrue(payment.move_id.inalterable_hash)
        reversal = payment._billing_undo("Test")
        self.assertTrue(reversal)
        self.assertEqual((invoice.billing_balance, payment.state), (100, "canceled"))

    def test_exchange_differences_go_with_it(self):
        invoice = self._invoice(80, currency_id=self.euro.id)
        payment = self._paid(invoice, day="2026-02-10")
        self.assertTrue(invoice._billing_terms().matched_credit_ids.exchange_move_id)
        payment._billing_undo("Test")
        self.assertEqual((invoice.billing_balance, sum(invoice._billing_terms().mapped("amount_residual"))), (80, 100))

    def test_refused_when_the_bank_says_it_came(self):
        payment = self._paid(self._invoice(100))
        liquidity = payment._seek_for_lines()[0]
        statement = (
            self.env["account.bank.statement.line"]
            .sudo()
            .create(
                {
                    "journal_id": payment.journal_id.id,
                    "payment_ref": "ACME TRANSFER",
                    "amount": 100,
                    "date": "2026-01-16",
                    "partner_id": self.client.id,
                }
            )
        )
        suspense = statement._seek_for_lines()[1]
        suspense.account_id = liquidity.account_id
        (suspense | liquidity).reconcile()
        with self.assertRaisesRegex(UserError, "bank statement line “ACME TRANSFER”.*Unmatch it there first"):
            payment.action_billing_undo()
        with self.assertRaisesRegex(UserError, "Unmatch"):
            payment._billing_undo("Test")

    def test_refused_when_a_provider_captured_it(self):
        payment = self._paid(self._invoice(100))
        provider = self.env["payment.provider"].sudo().search([("code", "=", "demo")], limit=1)
        provider = provider or self.env["payment.provider"].sudo().create({"name": "Demo", "code": "demo"})
        transaction = (
            self.env["payment.transaction"]
            .sudo()
            .create(
                {
                    "provider_id": provider.id,
                    "payment_method_id": self.env["payment.method"]
                    .sudo()
                    .search([("active", "in", (True, False))], limit=1)
                    .id,
                    "amount": 100,
                    "currency_id": payment.currency_id.id,
                    "partner_id": self.client.id,
                    "reference": "CARD-1",
                    "state": "done",
                }
            )
        )
        payment.sudo().payment_transaction_id = transaction
        with self.assertRaisesRegex(UserError, "captured .*Refund"):
            payment._billing_undo("Test")
        transaction.state = "pending"
        with self.assertRaisesRegex(UserError, "under way"):
            payment._billing_undo("Test")
        transaction.state = "cancel"
        payment._billing_undo("Test")

    def test_what_goes_to_a_vendor_is_left_to_accounting(self):
        payment = self._credit(10)
        payment.sudo().partner_type = "supplier"
        with self.assertRaisesRegex(UserError, "Accounting"):
            payment._billing_undo("Test")


@tagged("post_install", "-at_install")
class TestAllocate(PaymentCommon):
    def test_typed_amounts_of_several_payments(self):
        invoice = self._invoice(100)
        first, second = self._credit(40), self._credit(90)
        wizard = self._payments(invoice)
        self.assertEqual(wizard.credit_ids.mapped("open_amount"), [40, 90])
        wizard.credit_ids[0].amount = 25
        wizard.credit_ids[1].amount = 50
        self.assertEqual(wizard.stays_due, 25)
        wizard.action_allocate()
        self.assertEqual((invoice.billing_balance, first.billing_open, second.billing_open), (25, 15, 40))
        wizard = self._payments(invoice)
        self.assertEqual(sorted(wizard.item_ids.mapped("amount")), [25, 50])
        self.assertEqual(wizard.item_ids.user_id, self.biller)
        self.assertEqual((wizard.total, wizard.paid, wizard.balance), (100, 75, 25))

    def test_a_dialog_that_is_sent_twice_allocates_once(self):
        invoice = self._invoice(100)
        payment = self._credit(80)
        of_invoice = self._payments(invoice)
        of_invoice.credit_ids.amount = 10
        of_payment = self.env["billing.allocate"].browse(payment.action_billing_allocate()["res_id"])
        of_payment.invoice_ids.amount = 20
        for wizard in (of_invoice, of_payment):
            wizard.action_allocate()
            with self.assertRaisesRegex(UserError, "confirmed already"):
                wizard.action_allocate()
        self.assertEqual((invoice.billing_balance, payment.billing_open), (70, 50))

    def test_choosing_suggests_what_is_open_and_still_due(self):
        invoice = self._invoice(100)
        self._credit(40)
        self._credit(90)
        first, second = self._payments(invoice).credit_ids
        first.chosen = True
        first._onchange_chosen()
        self.assertEqual(first.amount, 40)
        second.chosen = True
        second._onchange_chosen()
        self.assertEqual(second.amount, 60)
        second.chosen = False
        second._onchange_chosen()
        self.assertEqual(second.amount, 0)

    def test_one_payment_over_several_invoices(self):
        first, second, third = self._invoice(100), self._invoice(50), self._invoice(70)
        payment = self._credit(120)
        self._allocate(payment, {first: 30, second: 50})
        self.assertEqual([move.billing_balance for move in (first, second, third)], [70, 0, 70])
        self.assertEqual(payment.billing_open, 40)
        wizard = self.env["billing.allocate"].browse(payment.action_billing_allocate()["res_id"])
        self.assertEqual(wizard.invoice_ids.move_id, first | third)
        for row in wizard.invoice_ids:
            row.chosen = True
            row._onchange_chosen()
        self.assertEqual(wizard.invoice_ids.mapped("amount"), [40, 0])
        self.assertEqual(wizard.stays_open, 0)

    def test_more_than_is_due_or_open_is_refused(self):
        invoice, payment = self._invoice(100), self._credit(40)
        for amount, text in (
            (101, "more than the .*100.00 that is due"),
            (41, "covers .*40.00 of"),
            (-1, "more than nothing"),
        ):
            with self.assertRaisesRegex(UserError, text), self.env.cr.savepoint():
                self._allocate(payment, {invoice: amount})
        with self.assertRaisesRegex(UserError, "Choose an invoice"):
            self._allocate(payment, {})
        self.assertEqual((invoice.billing_balance, payment.billing_open), (100, 40))

    def test_nothing_is_half_allocated(self):
        invoice = self._invoice(100)
        self._credit(40)
        self._credit(90)
        wizard = self._payments(invoice)
        wizard.credit_ids[0].amount = 40
        wizard.credit_ids[1].amount = 70
        with self.assertRaises(UserError), self.env.cr.savepoint():
            wizard.action_allocate()
        self.env.invalidate_all()
        self.assertEqual(invoice.billing_balance, 100)

    def test_what_is_listed_is_this_client_s_in_this_company(self):
        invoice = self._invoice(100)
        contact = self.env["res.partner"].sudo().create({"name": "Cashier", "parent_id": self.client.id})
        self._credit(10, client=contact)
        self._credit(20, currency=self.euro)
        self._credit(30, client=self.other_client)
        self.assertEqual(self._payments(invoice).credit_ids.mapped("open_amount"), [10, 20])
        stranger = self._credit(30, client=self.other_client)
        with self.assertRaisesRegex(UserError, "covers"):
            invoice._billing_allocate(stranger._billing_open_lines(), 10)

    def test_a_release_makes_it_due_and_credit_again(self):
        invoice = self._invoice(100)
        payment = self._paid(invoice, 60)
        wizard = self._payments(invoice)
        wizard.item_ids.action_release()
        self.assertEqual((invoice.billing_balance, payment.billing_open, payment.state), (100, 60, "in_process"))
        self.assertIn("released", invoice.message_ids[0].body)
        self.assertFalse(self._payments(invoice).item_ids)
        with self.assertRaisesRegex(UserError, "no longer allocated"):
            wizard.item_ids.action_release()
        self._allocate(payment, {invoice: 60})
        self.assertEqual(invoice.billing_balance, 40)

    def test_a_void_is_not_released(self):
        invoice = self._invoice(100)
        invoice._billing_void("Test")
        row = self._payments(invoice).item_ids
        self.assertEqual((row.kind, row.may_release), ("Void", False))
        with self.assertRaisesRegex(UserError, "is void"):
            row.action_release()

    def test_a_credit_note_as_the_credit(self):
        note = self._credit_note(self._paid_invoice(), 30)
        invoice = self._invoice(100)
        self.assertEqual(self._payments(invoice).credit_ids.kind, "Credit note")
        self._allocate(note, {invoice: 12})
        self.assertEqual((invoice.billing_balance, note.amount_residual), (88, 18))
        self.assertEqual(self._payments(invoice).item_ids.kind, "Credit note")
        self.assertEqual(self._payments(note).item_ids.kind, "Invoice")

    def _paid_invoice(self, amount=100, **values):
        invoice = self._invoice(amount, **values)
        self._paid(invoice)
        return invoice

    def _check_typed(self, invoice, payment, amount, opened):
        """The invoice goes down by exactly what was typed, the payment by what that is worth, and books balance."""
        before = self.env["account.move"].search([])
        self._allocate(payment, {invoice: amount})
        self.assertAlmostEqual(invoice.billing_balance, invoice.amount_total - amount, 2)
        self.assertAlmostEqual(payment.billing_open, opened, 2)
        exchange = self.env["account.move"].search([]) - before
        self.assertBalanced(exchange)
        return exchange

    def test_both_foreign_in_one_currency(self):
        # 80 EUR were 100 USD, and are paid when they are 160.
        invoice, payment = (
            self._invoice(80, currency_id=self.euro.id),
            self._credit(60, "2026-02-10", currency=self.euro),
        )
        exchange = self._check_typed(invoice, payment, 20, 40)
        term = invoice._billing_terms()
        self.assertEqual(term.amount_residual, 75)
        self.assertEqual(payment._billing_open_lines().amount_residual, -80)
        self.assertEqual(sum(exchange.line_ids.mapped("debit")), 15)
        self.assertIn("Exchange difference", self._payments(invoice).item_ids.mapped("kind"))

    def test_a_foreign_invoice_and_money_of_the_company(self):
        invoice, payment = self._invoice(80, currency_id=self.euro.id), self._credit(100, "2026-02-10")
        # 0.5 EUR to the USD on the day of the payment
        self._check_typed(invoice, payment, 20, 60)

    def test_an_invoice_of_the_company_and_foreign_money(self):
        invoice, payment = self._invoice(100), self._credit(60, "2026-02-10", currency=self.euro)
        # 60 EUR were 120 USD on the day they came
        self._check_typed(invoice, payment, 30, 45)

    def test_two_foreign_currencies(self):
        invoice, payment = self._invoice(80, currency_id=self.euro.id), self._credit(70, currency=self.pound)
        # 70 GBP and 80 EUR were both 100 USD
        self._check_typed(invoice, payment, 20, 52.5)
        self.assertAlmostEqual(self._payments(invoice).credit_ids.worth, 60, 2)

    def test_a_foreign_credit_note_on_an_invoice_of_the_company(self):
        note = self._credit_note(self._paid_invoice(80, currency_id=self.euro.id), 40, "2026-02-10")
        invoice = self._invoice(100)
        worth = self._payments(invoice).credit_ids.worth
        self._allocate(note, {invoice: 10})
        self.assertEqual(invoice.billing_balance, 90)
        self.assertAlmostEqual(note.amount_residual, 40 - 40 * 10 / worth, 2)

    def test_odd_amounts_and_rates_come_out_to_the_cent(self):
        self.euro.sudo().rate_ids.filtered(lambda rate: rate.name.month == 1).rate = 0.9137
        self.euro.sudo().rate_ids.filtered(lambda rate: rate.name.month == 2).rate = 0.8211
        for invoice_currency, payment_currency in (
            (self.euro, self.euro),
            (self.euro, self.company.currency_id),
            (self.company.currency_id, self.euro),
            (self.euro, self.pound),
        ):
            with self.subTest(f"{invoice_currency.name} by {payment_currency.name}"):
                invoice = self._invoice(33.33, currency_id=invoice_currency.id)
                payment = self._credit(777.77, "2026-02-10", currency=payment_currency)
                for amount in (0.01, 7.77, 11.11, 0.03):
                    before = invoice.billing_balance
                    self._allocate(payment, {invoice: amount})
                    self.assertAlmostEqual(before - invoice.billing_balance, amount, 2)
                self._allocate(payment, {invoice: invoice.billing_balance})
                self.assertEqual((invoice.billing_balance, invoice.billing_status), (0, "paid"))
                self.assertFalse(sum(invoice._billing_terms().mapped("amount_residual")))
                self.assertGreater(payment.billing_open, 0)

    def test_cash_rounding(self):
        rounding = (
            self.env["account.cash.rounding"]
            .sudo()
            .create(
                {
                    "name": "To five cents",
                    "rounding": 0.05,
                    "strategy": "add_invoice_line",
                    "rounding_method": "HALF-UP",
                    "profit_account_id": self.company_data["default_account_revenue"].id,
                    "loss_account_id": self.company_data["default_account_expense"].id,
                }
            )
        )
        draft = self._draft(self._new_charge("Work", 99.98, tax_ids=[Command.clear()]))
        draft.invoice_cash_rounding_id = rounding
        draft._billing_finalize()
        self.assertEqual(draft.amount_total, 100)
        payment = self._credit(150)
        self._allocate(payment, {draft: 33.33})
        self._allocate(payment, {draft: 66.67})
        self.assertEqual((draft.billing_status, payment.billing_open), ("paid", 50))

    def test_cash_basis_taxes_follow_what_was_typed(self):
        company = self.company.sudo()
        company.tax_exigibility = True
        company.tax_cash_basis_journal_id = self.company_data["default_journal_misc"]
        transition = (
            self.env["account.account"]
            .sudo()
            .create({"name": "Transition", "code": "TRANS", "account_type": "liability_current", "reconcile": True})
        )
        tax = self.tax.sudo().copy(
            {
                "name": "On payment",
                "tax_exigibility": "on_payment",
                "cash_basis_transition_account_id": transition.id,
            }
        )
        invoice = self._invoice(100, tax_ids=[Command.set(tax.ids)])
        self.assertEqual(invoice.amount_total, 115)
        payment = self._credit(200)
        self._allocate(payment, {invoice: 46})
        entry = self.env["account.move"].search([("tax_cash_basis_origin_move_id", "=", invoice.id)])
        self.assertEqual(sum(entry.line_ids.filtered("tax_repartition_line_id").mapped("credit")), 6)
        self._payments(invoice).item_ids.action_release()
        entries = self.env["account.move"].search(
            ["|", ("id", "=", entry.id), ("reversed_entry_id", "=", entry.id), ("state", "=", "posted")]
        )
        self.assertFalse(sum(entries.line_ids.filtered("tax_repartition_line_id").mapped("balance")))

    def test_no_context_from_outside_says_how_much_is_matched(self):
        invoice, payment = self._invoice(100), self._credit(100)
        lines = invoice._billing_terms() | payment._billing_open_lines()
        lines.with_context(**{KEY: [invoice._billing_terms().id, payment._billing_open_lines().id, 10]}).reconcile()
        self.assertEqual(invoice.billing_balance, 0)

    def test_nothing_is_written_to_find_out_what_a_credit_is_worth(self):
        invoice, payment = (
            self._invoice(80, currency_id=self.euro.id),
            self._credit(60, "2026-02-10", currency=self.euro),
        )
        self.env.flush_all()
        before = self.env["account.move"].search_count([])
        self.assertEqual(invoice._billing_terms()._billing_worth(payment._billing_open_lines()), 60)
        self.assertEqual((invoice.billing_balance, payment.billing_open), (80, 60))
        self.assertEqual(self.env["account.move"].search_count([]), before)
