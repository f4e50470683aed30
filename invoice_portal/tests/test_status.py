from datetime import date, datetime

from freezegun import freeze_time

from odoo import Command
from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from ..models.account_move_status import STATUSES
from ..tools.local_time import local_date, zones_off_utc_date
from .common import BillingCommon


@tagged("post_install", "-at_install")
class TestStatus(BillingCommon):
    def _assert_status(self, invoice, status):
        """Shown, found, grouped: three ways to ask, one answer."""
        invoice.invalidate_recordset(["billing_status"])
        self.assertEqual(invoice.billing_status, status)
        for other, _label in STATUSES:
            found = invoice.search([("billing_status", "=", other), ("id", "=", invoice.id)])
            self.assertEqual(bool(found), other == status, other)
        self.assertEqual(invoice.search_count([("billing_status", "!=", status), ("id", "=", invoice.id)]), 0)
        self.assertEqual(invoice._read_group([("id", "=", invoice.id)], ["billing_status"], ["__count"]), [(status, 1)])

    def _due(self, day, **values):
        """An invoice that is due on this day."""
        invoice = self._draft(self._new_charge(**values))
        invoice.invoice_date = "2026-03-01"
        invoice.write({"invoice_payment_term_id": False, "invoice_date_due": day})
        invoice._billing_finalize()
        return invoice

    @freeze_time("2026-03-10 12:00:00")
    def test_the_whole_life(self):
        invoice = self._draft(self._new_charge(price=100))
        self._assert_status(invoice, "draft")
        invoice.button_cancel()
        self._assert_status(invoice, "cancelled")
        invoice.button_draft()
        invoice.write({"invoice_payment_term_id": False, "invoice_date_due": "2026-03-20"})
        invoice._billing_finalize()
        self._assert_status(invoice, "finalized")
        invoice.is_move_sent = True
        self._assert_status(invoice, "sent")
        self._pay(invoice, 10)
        self._assert_status(invoice, "partial")
        with freeze_time("2026-03-20 23:59:59"):
            self._assert_status(invoice, "partial")
        with freeze_time("2026-03-21 00:00:00"):
            self._assert_status(invoice, "overdue")
            self._pay(invoice)
            self._assert_status(invoice, "paid")
            invoice._billing_void("Test")
            self._assert_status(invoice, "void")

    def test_overdue_comes_at_midnight_where_the_client_lives(self):
        for zone, moment in (
            ("UTC", "2026-03-21 00:00:00"),
            ("Pacific/Auckland", "2026-03-20 11:00:00"),
            ("America/Los_Angeles", "2026-03-21 07:00:00"),
            ("Asia/Kathmandu", "2026-03-20 18:15:00"),
            ("Pacific/Kiritimati", "2026-03-20 10:00:00"),
            ("Etc/GMT+12", "2026-03-21 12:00:00"),
        ):
            client = self._new_client(zone, tz=zone)
            with freeze_time("2026-03-02"):
                invoice = self._due("2026-03-20", partner_id=client.id)
            at = datetime.fromisoformat(moment)
            with freeze_time(
                at.replace(hour=at.hour - 1 if at.hour else 0) if at.hour else datetime(2026, 3, 20, 23, 59)
            ):
                self._assert_status(invoice, "finalized")
            with freeze_time(at):
                self._assert_status(invoice, "overdue")

    def test_the_company_decides_for_a_client_without_a_zone(self):
        self.company.sudo().partner_id.tz = "Pacific/Auckland"
        client = self._new_client("Nowhere", tz=False)
        with freeze_time("2026-03-02"):
            invoice = self._due("2026-03-20", partner_id=client.id)
        with freeze_time("2026-03-20 10:59:00"):
            self._assert_status(invoice, "finalized")
        with freeze_time("2026-03-20 11:00:00"):
            self._assert_status(invoice, "overdue")

    def test_a_zone_that_nobody_knows_counts_as_utc(self):
        self.assertEqual(local_date(datetime(2026, 3, 20, 23, 59), "Mars/Olympus"), date(2026, 3, 20))
        self.assertEqual(local_date(datetime(2026, 3, 20, 23, 59), None), date(2026, 3, 20))
        with freeze_time("2026-03-02"):
            invoice = self._due("2026-03-20")
        self.env.cr.execute("UPDATE res_partner SET tz = 'Mars/Olympus' WHERE id = %s", [self.client.id])
        self.client.invalidate_recordset()
        with freeze_time("2026-03-21 00:00:00"):
            self._assert_status(invoice, "overdue")

    def test_zones_are_off_by_a_day_as_their_clocks_say(self):
        for hour in range(0, 24, 3):
            now = datetime(2026, 7, 1, hour, 20)
            behind, ahead = zones_off_utc_date(now)
            for zone in ("Pacific/Auckland", "America/New_York", "Asia/Tokyo", "Europe/Berlin", "Pacific/Pago_Pago"):
                day = local_date(now, zone)
                self.assertEqual(zone in behind, day < now.date())
                self.assertEqual(zone in ahead, day > now.date())

    @freeze_time("2026-03-10 12:00:00")
    def test_the_first_unpaid_instalment_makes_it_overdue(self):
        term = (
            self.env["account.payment.term"]
            .sudo()
            .create(
                {
                    "name": "Half and half",
                    "line_ids": [
                        Command.create({"value": "percent", "value_amount": 50, "nb_days": 10}),
                        Command.create({"value": "percent", "value_amount": 50, "nb_days": 60}),
                    ],
                }
            )
        )
        invoice = self._draft(self._new_charge(price=100))
        invoice.write({"invoice_date": "2026-03-01", "invoice_payment_term_id": term.id})
        invoice._billing_finalize()
        self._assert_status(invoice, "finalized")
        with freeze_time("2026-03-12 00:00:00"):
            self._assert_status(invoice, "overdue")
            self._pay(invoice, invoice.amount_total / 2)
            self._assert_status(invoice, "partial")

    def test_invoices_that_others_made_have_a_status_too(self):
        invoice = self.init_invoice("out_invoice", partner=self.client, amounts=[10])
        self._assert_status(invoice, "draft")
        invoice.action_post()
        self._assert_status(invoice, "finalized" if invoice.invoice_date_due >= date.today() else "overdue")
        credit = invoice._reverse_moves(cancel=True)
        self._assert_status(invoice, "void")
        self._assert_status(credit, "paid")

    def test_an_invoice_over_nothing_is_paid(self):
        self._assert_status(self._finalized(self._new_charge(price=10, discount=100)), "paid")

    def test_entries_that_are_no_customer_invoices_have_no_status(self):
        bill = self.init_invoice("in_invoice", partner=self.client, amounts=[10])
        self.assertFalse(bill.billing_status)
        self.assertFalse(bill.billing_moves)
        self.assertIn(bill, bill.search([("billing_status", "=", False), ("id", "=", bill.id)]))
        self.assertFalse(bill.search([("billing_status", "in", [s for s, _l in STATUSES]), ("id", "=", bill.id)]))

    def test_groups_and_rows_come_in_the_order_of_the_life(self):
        with freeze_time("2026-03-10"):
            void, overdue, paid, sent, finalized = (self._due(f"2026-03-{day}") for day in (20, 11, 20, 20, 20))
            void._billing_void("Test")
            self._pay(paid)
            sent.is_move_sent = True
            cancelled, draft = self._draft(self._new_charge()), self._draft(self._new_charge())
            cancelled.button_cancel()
        in_order = draft | finalized | sent | overdue | paid | cancelled | void
        domain = [("id", "in", in_order.ids)]
        life = [status for status, _label in STATUSES if status != "partial"]
        with freeze_time("2026-03-15"):
            groups = self.env["account.move"].web_read_group(domain, ["billing_status"], ["__count"])["groups"]
            self.assertEqual([group["billing_status"] for group in groups], sorted(life, key=life.index))
            by_client = self.env["account.move"].formatted_read_group(
                domain, ["billing_status", "partner_id"], ["__count"], order="billing_status desc, partner_id"
            )
            self.assertEqual([group["billing_status"] for group in by_client], sorted(life, key=life.index)[::-1])
            pivot = self.env["account.move"].formatted_read_grouping_sets(domain, [[], ["billing_status"]], ["__count"])
            self.assertEqual([group["billing_status"] for group in pivot[1]], sorted(life, key=life.index))
            found = self.env["account.move"].search(domain, order="billing_status, id")
            self.assertEqual(found.mapped("billing_status"), life)

    def test_nothing_is_due_of_what_was_cancelled(self):
        draft, cancelled = self._draft(self._new_charge(price=100)), self._draft(self._new_charge(price=50))
        credit_note = self.init_invoice("out_refund", partner=self.client, amounts=[10], post=True)
        cancelled.button_cancel()
        moves = draft | cancelled | credit_note
        self.assertEqual(cancelled.billing_balance, 0)
        self.assertEqual(draft.billing_balance, draft.amount_total)
        self.assertEqual(credit_note.billing_balance, -credit_note.amount_total)
        self.assertEqual(
            moves._read_group([("id", "in", moves.ids)], [], ["billing_balance:sum"]),
            [(sum(moves.mapped("billing_balance")),)],
        )
        cancelled.button_draft()
        self.assertEqual(cancelled.billing_balance, cancelled.amount_total)

    # -- the Status dropdown ------------------------------------------------------------------------------------------

    def test_the_dropdown_offers_exactly_what_is_allowed(self):
        def offered():
            invoice.invalidate_recordset(["billing_moves", "billing_status"])
            return [move["target"] for move in invoice.billing_moves or []]

        invoice = self._draft(self._new_charge())
        self.assertEqual(offered(), ["finalized", "cancelled", "deleted"])
        questions = {move["target"]: move["confirm"] for move in invoice.billing_moves}
        self.assertRegex(questions["deleted"], "Delete Draft of .* for Acme")
        self.assertRegex(questions["cancelled"], "Cancel Draft of .* for Acme")
        invoice.action_billing_move("cancelled")
        self.assertEqual(offered(), ["draft", "deleted"])
        invoice.action_billing_move("draft")
        self.assertEqual(invoice.action_billing_move("finalized")["res_model"], "billing.finalize")
        self.assertEqual(invoice.state, "draft")
        invoice._billing_finalize()
        self.assertEqual(offered(), ["sent", "paid", "void"])
        self.assertEqual(invoice.action_billing_move("paid")["res_model"], "account.payment.register")
        for target in ("sent", "paid", "void"):
            self.assertTrue(invoice.action_billing_move(target)["views"], target)
        self._pay(invoice)
        self.assertEqual(offered(), ["sent", "void"])
        self.assertEqual(invoice.action_billing_move("void")["res_model"], "billing.void")
        invoice._billing_void("Test")
        self.assertEqual(offered(), [])

    def test_impossible_moves_are_refused_with_the_reason(self):
        invoice = self._draft(self._new_charge())
        for target, reason in (
            ("sent", "Finalize"),
            ("paid", "Finalize"),
            ("void", "Finalize"),
            ("draft", "draft already"),
        ):
            with self.assertRaisesRegex(UserError, reason):
                invoice.action_billing_move(target)
        invoice._billing_finalize()
        for target, reason in (
            ("finalized", "already finalized"),
            ("cancelled", "can be voided, but neither cancelled nor deleted"),
            ("deleted", "can be voided"),
            ("draft", "locked"),
        ):
            with self.assertRaisesRegex(UserError, reason):
                invoice.action_billing_move(target)
        with self.assertRaisesRegex(UserError, "no status “nonsense”"):
            invoice.action_billing_move("nonsense")
        with self.assertRaisesRegex(UserError, "no status “nonsense”"):
            self.init_invoice("in_invoice", partner=self.client, amounts=[10]).action_billing_move("nonsense")
        invoice._billing_void("Test")
        for target in ("sent", "paid"):
            with self.assertRaisesRegex(UserError, "nothing is due"):
                invoice.action_billing_move(target)

    def test_the_dropdown_is_for_billing_staff(self):
        bookkeeper = self._new_user("bookkeeper", "account.group_account_invoice")
        invoice = self._draft(self._new_charge()).with_user(bookkeeper)
        self.assertFalse(invoice.billing_moves)
        with self.assertRaises(AccessError):
            invoice.action_billing_move("cancelled")

    # -- finalize -----------------------------------------------------------------------------------------------------

    def test_finalizing_asks_first_with_count_and_total(self):
        drafts = self._draft(self._new_charge(price=100) | self._new_charge(price=50, partner_id=self.other_client.id))
        done = self._finalized()
        wizard = self.env["billing.finalize"].browse((drafts | done).action_billing_finalize()["res_id"])
        self.assertEqual(wizard.ready_count, 2)
        self.assertIn(self.company.currency_id.format(sum(drafts.mapped("amount_total"))), wizard.summary)
        self.assertIn("already finalized", wizard.summary)
        wizard.action_confirm()
        self.assertEqual(drafts.mapped("billing_status"), ["finalized", "finalized"])
        self.assertTrue(all(drafts.mapped("billing_locked")))

    def test_a_line_without_amount_stops_finalizing_and_is_named(self):
        invoice = self._draft(self._new_charge("Logo"))
        invoice.invoice_line_ids.price_unit = 0
        with self.assertRaisesRegex(UserError, "“Logo” on Draft of .* for Acme has no amount"):
            invoice._billing_finalize()
        invoice.invoice_line_ids.discount = 100
        invoice._billing_finalize()

    def test_what_odoo_would_refuse_is_said_beforehand(self):
        empty = self.env["account.move"].create({"move_type": "out_invoice", "partner_id": self.client.id})
        negative = self._draft(self._new_charge(price=10))
        negative.invoice_line_ids.price_unit = -10
        cancelled = self._draft(self._new_charge(partner_id=self.other_client.id))
        cancelled.button_cancel()
        wizard = self.env["billing.finalize"].browse((empty | negative | cancelled).action_billing_finalize()["res_id"])
        self.assertEqual(wizard.ready_count, 0)
        self.assertRegex(wizard.summary, "Draft of .* for Acme has no lines")
        self.assertIn("credits exceed charges", wizard.summary)
        self.assertRegex(wizard.summary, "Draft of .* for Bolt is cancelled")

    def test_one_that_cannot_be_finalized_does_not_hold_up_the_others(self):
        good = self._draft(self._new_charge())
        bad = self._draft(self._new_charge("Logo", partner_id=self.other_client.id))
        bad.invoice_line_ids.price_unit = 0
        wizard = self.env["billing.finalize"].browse((good | bad).action_billing_finalize()["res_id"])
        wizard.action_confirm()
        self.assertEqual((good.state, bad.state), ("posted", "draft"))
        self.assertIn("“Logo”", wizard.report)

    # -- ready for payment --------------------------------------------------------------------------------------------

    def _ready_mails(self, invoice):
        return self.env["billing.mail"].search([("move_id", "=", invoice.id), ("kind", "=", "notice")])

    def test_the_ready_mail_goes_out_where_it_is_wished(self):
        for company, client, sent in (
            (False, False, False),
            (True, False, True),
            (False, "yes", True),
            (True, "no", False),
        ):
            self.company.sudo().billing_ready_mail = company
            self.client.sudo().billing_ready_mail = client
            invoice = self._finalized()
            mails = self._ready_mails(invoice)
            self.assertEqual(len(mails), int(sent), (company, client))
            if sent:
                self.assertEqual(mails.state, "waiting", "it leaves after the commit")
                self.assertIn(invoice.name, mails.subject)
                self.assertEqual(mails.recipient_ids.mapped("email"), [invoice.partner_id.email])
                sent_body = mails.sudo()._render_layout()
                self.assertNotIn("Journal Entry", sent_body)
                self.assertEqual(sent_body.count(f"/my/invoices/{invoice.id}?access_token={invoice.access_token}"), 1)

    def test_a_client_without_address_holds_nothing_up(self):
        self.company.sudo().billing_ready_mail = True
        self.client.sudo().email = False
        invoice = self._finalized()
        self.assertFalse(self._ready_mails(invoice))
        self.assertIn("has no e-mail address", "".join(invoice.message_ids.mapped("body")))
