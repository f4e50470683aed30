from datetime import date

from freezegun import freeze_time

from odoo import Command
from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from .common import BillingCommon


@tagged("post_install", "-at_install")
class TestVoid(BillingCommon):
    def _plan(self, invoice):
        return self.env["billing.void"].browse(invoice.action_billing_void()["res_id"])

    def _credit(self):
        """What the client has to its credit on the receivable account."""
        lines = self.env["account.move.line"].search(
            [
                ("partner_id", "=", self.client.id),
                ("account_type", "=", "asset_receivable"),
                ("parent_state", "=", "posted"),
            ]
        )
        return -sum(lines.mapped("amount_residual_currency"))

    def test_voiding_leaves_nothing_due_and_erases_nothing(self):
        invoice = self._finalized(self._new_charge(price=100))
        before = {line: (line.balance, line.name) for line in invoice.line_ids}
        reversal = invoice._billing_void("Wrong client")
        self.assertEqual((invoice.amount_residual, invoice.billing_status, invoice.state), (0, "void", "posted"))
        self.assertEqual({line: (line.balance, line.name) for line in invoice.line_ids}, before)
        self.assertEqual((reversal.state, reversal.move_type), ("posted", "out_refund"))
        self.assertEqual(reversal.amount_total, invoice.amount_total)
        self.assertTrue(reversal.billing_locked)
        for account, lines in (invoice | reversal).line_ids.grouped("account_id").items():
            self.assertFalse(account.company_ids.currency_id.round(sum(lines.mapped("balance"))))
        self.assertEqual(invoice.billing_void_reason, "Wrong client")
        self.assertIn("Wrong client", invoice.message_ids[0].body)

    def test_the_reason_is_for_staff(self):
        client = self._new_portal_user(self.client, "acmeclient")
        invoice = self._finalized()
        reversal = invoice._billing_void("Difficult client")
        self.assertNotIn("Difficult", f"{reversal.ref} {reversal.narration} {reversal.payment_reference}")
        seen = invoice.with_user(client)
        self.assertEqual(seen.billing_status, "void")
        for fname in ("billing_void_reason", "billing_void_date", "billing_charge_ids"):
            with self.assertRaises(AccessError):
                seen.read([fname])
        with self.assertRaises(AccessError):
            seen.search([("billing_void_reason", "ilike", "difficult")])
        with self.assertRaises(AccessError):
            seen.invoice_line_ids.read(["billing_charge_id"])

    def test_the_plan_names_the_overall_discount(self):
        money = self.company.currency_id.format
        self.assertNotIn("overall discount", self._plan(self._finalized()).plan)
        draft = self._draft(self._new_charge(price=200))
        draft.billing_discount = 10
        draft._billing_finalize()
        plan = self._plan(draft).plan
        self.assertIn("overall discount", plan)
        self.assertIn(money(200), plan)
        self.assertIn(money(20), plan)

    def test_charges_are_opened_or_discarded_as_chosen(self):
        charges = self._new_charge("Again") | self._new_charge("Never")
        invoice = self._finalized(charges)
        wizard = self._plan(invoice)
        self.assertEqual(wizard.line_ids.charge_id, charges)
        wizard.line_ids.filtered(lambda line: line.charge_id == charges[1]).bill_again = False
        wizard.reason = "Half of it was free"
        wizard.action_void()
        self.assertEqual(charges.mapped("state"), ["open", "discarded"])
        again = self._draft(charges)
        self.assertEqual(again.invoice_line_ids.billing_charge_id, charges[0])
        self.assertEqual(charges[0].line_ids.move_id, invoice | again)

    def test_received_money_becomes_the_clients_credit(self):
        invoice = self._finalized(self._new_charge(price=100))
        total = invoice.amount_total
        payment = self._pay(invoice, 40)
        wizard = self._plan(invoice)
        self.assertIn(payment.move_id.name or payment.name, wizard.plan)
        self.assertIn(self.company.currency_id.format(40), wizard.plan)
        self.assertIn(self.company.currency_id.format(total - 40), wizard.plan)
        wizard.reason = "Test"
        wizard.action_void()
        self.assertEqual(invoice.amount_residual, 0)
        self.assertAlmostEqual(self._credit(), 40)
        self.assertEqual(payment.state, "paid" if payment.state == "paid" else "in_process")

    def test_a_void_invoice_in_a_foreign_currency_cancels_to_the_cent(self):
        euro = self.env.ref("base.EUR").sudo()
        euro.active = True
        rates = self.env["res.currency.rate"].sudo()
        rates.search([("currency_id", "=", euro.id)]).unlink()
        for day, rate in (("2026-01-01", 0.9137), ("2026-02-01", 0.8211)):
            rates.create({"currency_id": euro.id, "name": day, "rate": rate, "company_id": self.company.id})
        with freeze_time("2026-01-10"):
            invoice = self._finalized(self._new_charge(price=33.33, quantity=3, currency_id=euro.id))
        with freeze_time("2026-02-10"):
            reversal = invoice._billing_void("Test")
        self.assertEqual(reversal.date, date(2026, 2, 10))
        self.assertEqual(sum((invoice | reversal).line_ids.mapped("balance")), 0)
        receivable = (invoice | reversal).line_ids.filtered(lambda line: line.account_type == "asset_receivable")
        self.assertEqual(sum(receivable.mapped("balance")), 0)
        self.assertFalse(receivable.matched_debit_ids.exchange_move_id | receivable.matched_credit_ids.exchange_move_id)

    def test_lock_dates_move_the_reversing_entry_not_the_invoice(self):
        with freeze_time("2026-01-10"):
            invoice = self._finalized()
        self.company.sudo().fiscalyear_lock_date = "2026-02-28"
        with freeze_time("2026-02-20"):
            wizard = self._plan(invoice)
            self.assertIn("locked period", wizard.plan)
            promised = invoice._billing_void_entry_date()
            reversal = invoice._billing_void("Test")
        self.assertGreater(reversal.date, date(2026, 2, 28))
        self.assertEqual(reversal.date, promised)
        self.assertEqual(invoice.date, date(2026, 1, 10))
        self.assertEqual(invoice.amount_residual, 0)

    def test_a_reason_is_asked_for(self):
        wizard = self._plan(self._finalized())
        wizard.reason = "  "
        with self.assertRaisesRegex(UserError, "Say why INV/.* is voided"):
            wizard.action_void()

    def test_a_second_time_is_refused(self):
        invoice = self._finalized()
        reversal = invoice._billing_void("Once")
        with self.assertRaisesRegex(UserError, f"is void already, by .*{reversal.name}"):
            invoice._billing_void("Twice")

    def test_a_void_invoice_still_names_its_charges_and_is_not_to_be_sent(self):
        charges = self._new_charge("Again") | self._new_charge("Never")
        invoice = self._finalized(charges)
        self.assertTrue(invoice.display_send_button)
        invoice._billing_void("Test", charges[1])
        self._draft(charges[0])
        invoice.invalidate_recordset()
        self.assertEqual((invoice.billing_charge_count, invoice.billing_charge_ids.ids), (2, []))
        self.assertEqual(invoice.action_billing_charges()["domain"], [("id", "in", charges.ids)])
        self.assertFalse(invoice.display_send_button)

    def test_a_draft_and_a_credit_note_are_refused(self):
        with self.assertRaisesRegex(UserError, "Finalize .* first"):
            self._draft(self._new_charge())._billing_void("Test")
        credit_note = self.init_invoice("out_refund", partner=self.client, amounts=[10], post=True)
        with self.assertRaisesRegex(UserError, "is a credit note"):
            credit_note._billing_void("Test")

    def test_a_partly_credited_invoice_is_refused_and_says_what_to_do(self):
        invoice = self._finalized(self._new_charge(price=100))
        note = invoice._reverse_moves([{"invoice_date": invoice.invoice_date}])
        note.invoice_line_ids.price_unit = 30
        note.action_post()
        with self.assertRaisesRegex(UserError, f"already corrected by {note.name}.*another credit note"):
            invoice._billing_void("Test")

    def test_a_card_payment_under_way_is_refused(self):
        invoice = self._finalized()
        provider = self.env["payment.provider"].sudo().search([("code", "=", "demo")], limit=1)
        provider = provider or self.env["payment.provider"].sudo().create({"name": "Demo", "code": "demo"})
        method = self.env["payment.method"].sudo().search([("active", "in", (True, False))], limit=1)
        transaction = (
            self.env["payment.transaction"]
            .sudo()
            .create(
                {
                    "provider_id": provider.id,
                    "payment_method_id": method.id,
                    "amount": invoice.amount_total,
                    "currency_id": invoice.currency_id.id,
                    "partner_id": self.client.id,
                    "reference": "IN-DOUBT-1",
                    "invoice_ids": [Command.set(invoice.ids)],
                    "state": "pending",
                }
            )
        )
        with self.assertRaisesRegex(UserError, "under way .*IN-DOUBT-1"):
            invoice._billing_void("Test")
        transaction.state = "draft"
        self.assertIn("IN-DOUBT-1", self._plan(invoice).plan)
        invoice._billing_void("Test")

    def test_only_billing_staff_void(self):
        invoice = self._finalized()
        bookkeeper = self._new_user("bookkeeper", "account.group_account_invoice")
        with self.assertRaises(AccessError):
            invoice.with_user(bookkeeper)._billing_void("Test")
        with self.assertRaises(AccessError):
            invoice.with_user(bookkeeper).action_billing_void()

    def test_nothing_is_half_void(self):
        """Where the reversing entry cannot be posted, payments and charges stay as they were."""
        charge = self._new_charge(price=100)
        invoice = self._finalized(charge)
        self._pay(invoice, 40)
        invoice.journal_id.sudo().active = False
        with self.assertRaises(UserError), self.env.cr.savepoint():
            invoice._billing_void("Test")
        self.env.invalidate_all()
        self.assertEqual(invoice.amount_residual, invoice.amount_total - 40)
        self.assertEqual(charge.state, "invoiced")
        self.assertFalse(invoice.billing_void_move_id)
