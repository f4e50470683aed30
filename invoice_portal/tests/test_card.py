import os
from datetime import timedelta
from unittest.mock import patch

from freezegun import freeze_time

from odoo import Command, fields
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import HttpCase, tagged
from odoo.tools import html2plaintext, mute_logger

from odoo.addons.payment.utils import generate_access_token

from ..tools import outside
from .card_desk import CardDesk
from .common import BillingCommon

TRANSACTION = "odoo.addons.invoice_portal.models.payment_transaction"
MOVE = "odoo.addons.invoice_portal.models.account_move_card"


class CardCommon(BillingCommon):
    """A client with a saved card of Odoo's own test provider, and one of a desk that can misbehave."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Odoo logs as an error what a provider refuses.
        cls.enterClassContext(mute_logger("odoo.addons.payment.models.payment_provider"))
        demo = cls.env.ref("payment.payment_provider_demo").sudo()
        cls.method = demo.payment_method_ids[:1]
        cls.method.active = True
        cls.demo_provider = cls._new_provider("Demo")
        cls.desk_provider = cls._new_provider("Desk")
        cls.desk = CardDesk()
        cls.addClassCleanup(cls.desk.close)
        cls.enterClassContext(cls.desk.serving(cls.desk_provider))
        cls.card = cls._new_card()

    @classmethod
    def _new_provider(cls, name, **values):
        demo = cls.env.ref("payment.payment_provider_demo").sudo()
        provider = demo.copy(
            {
                "name": name,
                "company_id": cls.company.id,
                "state": "test",
                "allow_tokenization": True,
                "is_published": True,
                "payment_method_ids": [Command.set(cls.method.ids)],
                **values,
            }
        )
        provider.journal_id = cls.company_data["default_journal_bank"]
        return provider

    @classmethod
    def _new_card(cls, provider=None, state="done", partner=None, **values):
        return (
            cls.env["payment.token"]
            .sudo()
            .create(
                {
                    "provider_id": (provider or cls.demo_provider).id,
                    "payment_method_id": cls.method.id,
                    "payment_details": "4242",
                    "partner_id": (partner or cls.client).id,
                    "provider_ref": "card",
                    "demo_simulated_state": state,
                    **values,
                }
            )
        )

    def setUp(self):
        super().setUp()
        self.desk.mood, self.desk.remembers, self.desk.reason = "take", True, "Insufficient funds"
        self.desk.taken.clear()
        self.desk.captures.clear()
        self.desk._answers.clear()

    def _charge(self, invoice, card=None, amount=None, origin="staff"):
        return invoice._billing_charge_card_sudo(card or self.card, amount or invoice.amount_residual, origin)

    def _desk_card(self, **values):
        return self._new_card(self.desk_provider, **values)


@tagged("post_install", "-at_install")
class TestCharge(CardCommon):
    def test_a_saved_card_pays_the_invoice(self):
        invoice = self._finalized()
        attempt = self._charge(invoice)
        self.assertEqual(attempt.state, "done")
        self.assertFalse(attempt.billing_doubt_since)
        self.assertEqual(invoice.billing_status, "paid")
        self.assertEqual(attempt.payment_id.amount, invoice.amount_total)

    def test_a_part_is_paid(self):
        invoice = self._finalized()
        total = invoice.amount_total
        self._charge(invoice, amount=40)
        self.assertEqual(invoice.billing_status, "partial")
        self.assertEqual(invoice.billing_balance, total - 40)

    def test_the_job_and_the_client_date_a_payment_alike(self):
        self.company.sudo().partner_id.tz = "America/Los_Angeles"
        dates = []
        with freeze_time("2026-03-02 03:00:00"):
            for zone in (False, "Asia/Tokyo"):
                attempt = self._charge(self._finalized(self._new_charge(str(zone))).with_context(tz=zone))
                dates.append(str(attempt.payment_id.date))
        self.assertEqual(dates, ["2026-03-01", "2026-03-01"], "the company's day")

    def test_the_button_is_there_exactly_with_a_card_that_can_be_charged(self):
        invoice = self._finalized()
        self.assertTrue(invoice.billing_card_ready)
        self.assertEqual(invoice.billing_card_id, self.card.with_env(self.env))
        draft = self._draft(self._new_charge("Draft"))
        self.assertFalse(draft.billing_card_ready)
        elsewhere = self._finalized(self._new_charge(partner_id=self.other_client.id))
        self.assertFalse(elsewhere.billing_card_ready)
        self._charge(invoice)
        self.assertFalse(invoice.billing_card_ready)
        another = self._finalized(self._new_charge("Another"))
        self.card.active = False
        another.invalidate_recordset()
        self.assertFalse(another.billing_card_ready)

    def test_cards_of_others_who_work_there_are_not_charged(self):
        colleague = self.env["res.partner"].create({"name": "Colleague", "parent_id": self.client.id})
        self.card.active = False
        self._new_card(partner=colleague)
        self.assertFalse(self._finalized().billing_card_ready)

    def test_the_dialog_charges_and_says_so(self):
        invoice = self._finalized()
        action = invoice.action_billing_charge_card()
        wizard = self.env[action["res_model"]].browse(action["res_id"])
        self.assertEqual((wizard.amount, wizard.card_id.id), (invoice.amount_total, self.card.id))
        notice = wizard.action_charge()
        self.assertEqual(notice["params"]["type"], "success")
        self.assertIn(invoice.currency_id.format(invoice.amount_total), notice["params"]["message"])
        self.assertEqual(invoice.billing_status, "paid")

    def test_a_dialog_that_is_sent_twice_charges_once(self):
        invoice = self._finalized()
        action = invoice.action_billing_charge_card()
        wizard = self.env[action["res_model"]].browse(action["res_id"])
        wizard.amount = 10
        wizard.action_charge()
        with self.assertRaisesRegex(UserError, "confirmed already"):
            wizard.action_charge()
        self.assertEqual(len(invoice.sudo().transaction_ids), 1)

    def test_amounts_out_of_bounds_are_refused(self):
        invoice = self._finalized()
        card = self._desk_card()
        zero, more = "above zero", "[Mm]ore than the"
        for amount, text in (
            (-1, zero),
            (0.001, zero),
            (float("nan"), zero),
            (float("inf"), more),
            (1e308, more),
            (invoice.amount_residual + 0.01, more),
        ):
            with self.subTest(amount=amount), self.assertRaisesRegex(UserError, text):
                self._charge(invoice, card, amount)
        self.assertFalse(self.desk.captures)

    def test_a_refusal_keeps_its_reason_and_may_be_tried_again(self):
        invoice, card = self._finalized(), self._desk_card()
        self.desk.mood = "decline"
        attempt = self._charge(invoice, card)
        self.assertEqual(attempt.state, "error")
        self.assertIn("Insufficient funds", attempt.state_message)
        self.assertFalse(attempt.billing_doubt_since)
        kind, text = attempt._billing_outcome()
        self.assertEqual(kind, "danger")
        self.assertIn("Insufficient funds", text)
        self.desk.mood = "take"
        self.assertEqual(self._charge(invoice, card).state, "done")
        self.assertEqual(invoice.billing_status, "paid")

    def test_a_foreign_card_is_refused(self):
        stranger = self._new_card(partner=self.other_client)
        with self.assertRaises(UserError):
            self._charge(self._finalized(), stranger)

    def test_void_and_draft_are_not_charged(self):
        draft = self._draft(self._new_charge())
        with self.assertRaises(UserError):
            self._charge(draft, amount=10)
        invoice = self._finalized(self._new_charge("Void"))
        invoice._billing_void("Wrong")
        with self.assertRaises(UserError):
            self._charge(invoice, amount=10)


@tagged("post_install", "-at_install")
class TestDoubt(CardCommon):
    def setUp(self):
        super().setUp()
        self.invoice = self._finalized()
        self.desk_card = self._desk_card()

    def _doubtful(self, mood="reset"):
        self.desk.mood = mood
        attempt = self._charge(self.invoice, self.desk_card)
        self.desk.mood = "take"
        return attempt

    def test_no_clear_answer_is_no_failure(self):
        for mood in ("reset", "trouble", "dead", "busy"):
            with self.subTest(mood):
                invoice = self._finalized(self._new_charge(mood))
                self.desk.mood = mood
                attempt = self._charge(invoice, self.desk_card)
                self.assertTrue(attempt.billing_doubt_since)
                self.assertEqual(attempt.state, "pending")
                self.assertTrue(attempt.billing_doubt_reason)
                self.assertEqual(invoice.billing_card_doubt_id.id, attempt.id)
                self.assertFalse(invoice.billing_card_ready)

    @mute_logger(TRANSACTION)
    def test_whatever_breaks_on_the_way_leaves_it_in_doubt(self):
        Transaction = self.env.registry["payment.transaction"]
        with patch.object(Transaction, "_process", side_effect=KeyError("odd")):
            attempt = self._charge(self.invoice, self.desk_card)
        self.assertTrue(attempt.billing_doubt_since)
        self.assertIn("odd", attempt.billing_doubt_reason)
        self.assertEqual(sum(self.desk.captures.values()), 1)

    def test_silence_is_doubt(self):
        attempt = self._doubtful("silent")
        self.assertTrue(attempt.billing_doubt_since)

    def test_another_amount_is_doubt(self):
        attempt = self._doubtful("short")
        self.assertTrue(attempt.billing_doubt_since)
        self.assertFalse(self.invoice.billing_card_ready)
        attempt.with_env(self.env)._billing_resolve(False, "Dashboard: taken by mistake, given back")
        self.assertTrue(self.invoice.billing_card_ready)

    def test_in_doubt_nothing_else_is_tried(self):
        self._doubtful()
        with self.assertRaisesRegex(UserError, "under way"):
            self._charge(self.invoice, self.card)
        self.assertEqual(self.invoice._billing_why_not_charge(1, self.invoice.currency_id) is None, False)
        self.assertFalse(self.invoice._has_to_be_paid())
        self.assertIn("under way", self.invoice._billing_why_not("void"))
        self.assertEqual(sum(self.desk.captures.values()), 1)

    def test_asking_again_takes_nothing_twice(self):
        attempt = self._doubtful()
        attempt.with_env(self.env).action_billing_ask()
        self.assertEqual(attempt.state, "done")
        self.assertFalse(attempt.billing_doubt_since)
        self.assertEqual(self.invoice.billing_status, "paid")
        self.assertEqual(self.desk.captures[attempt.reference], 1)

    def test_captured_and_timed_out_are_each_taken_once_and_resolved(self):
        count = int(os.environ.get("BILLING_DOUBTS", "15"))
        invoices = [self._finalized(self._new_charge(f"Case {n}")) for n in range(count)]
        attempts = self.env["payment.transaction"].sudo()
        for number, invoice in enumerate(invoices):
            self.desk.mood = "reset" if number % 2 else "trouble"
            attempts |= self._charge(invoice, self.desk_card)
            with self.assertRaises(UserError):
                self._charge(invoice, self.desk_card)
        self.assertEqual(len(attempts.filtered("billing_doubt_since")), count)
        self.desk.mood = "take"
        attempts.billing_doubt_since = fields.Datetime.now() - timedelta(minutes=5)
        with self.enter_registry_test_mode():
            self.env.ref("invoice_portal.ir_cron_billing_settle").sudo().method_direct_trigger()
        attempts.invalidate_recordset()
        self.assertEqual(set(attempts.mapped("state")), {"done"})
        self.assertFalse(attempts.filtered("billing_doubt_since"))
        self.assertEqual(set(self.desk.captures.values()), {1})
        self.assertEqual(len(self.desk.captures), count)
        self.assertEqual({invoice.billing_status for invoice in invoices}, {"paid"})

    def test_asked_again_it_may_turn_out_refused(self):
        attempt = self._doubtful("busy")
        self.desk.mood = "decline"
        attempt.with_env(self.env).action_billing_ask()
        self.assertEqual(attempt.state, "error")
        self.assertFalse(attempt.billing_doubt_since)
        self.assertTrue(self.invoice.billing_card_ready)

    def test_told_later_that_it_failed(self):
        attempt = self._doubtful("busy")
        attempt._set_error("Declined after all")
        self.assertFalse(attempt.billing_doubt_since)
        self.assertTrue(self.invoice.billing_card_ready)

    def test_asked_in_vain_it_stays_in_doubt(self):
        attempt = self._doubtful("busy")
        self.desk.mood = "busy"
        notice = attempt.with_env(self.env).action_billing_ask()
        self.assertEqual(notice["params"]["type"], "warning")
        self.assertTrue(attempt.billing_doubt_since)
        self.assertEqual(attempt.state, "pending")

    def test_a_provider_that_forgets_is_not_asked_again(self):
        attempt = self._doubtful()
        self.desk.remembers = False
        attempt.billing_doubt_since = fields.Datetime.now() - timedelta(hours=30)
        with self.assertRaisesRegex(UserError, "no longer recognises"):
            attempt.with_env(self.env).action_billing_ask()
        Provider = self.env.registry["payment.provider"]
        attempt.billing_doubt_since = fields.Datetime.now() - timedelta(minutes=30)
        with (
            patch.object(Provider, "_billing_repeats_safely", lambda self: False),
            self.assertRaisesRegex(UserError, "cannot be asked"),
        ):
            attempt.with_env(self.env).action_billing_ask()
        self.assertEqual(sum(self.desk.captures.values()), 1)

    def test_what_was_paid_meanwhile_is_not_asked_for_again(self):
        attempt = self._doubtful("dead")
        self._pay(self.invoice)
        with self.assertRaisesRegex(UserError, "paid meanwhile"):
            attempt.with_env(self.env).action_billing_ask()
        self.assertFalse(self.desk.captures)

    def test_staff_with_proof_settles_it(self):
        attempt = self._doubtful("reset").with_env(self.env)
        action = attempt.action_billing_resolve()
        wizard = self.env[action["res_model"]].browse(action["res_id"])
        wizard.outcome = "taken"
        with self.assertRaisesRegex(UserError, "how you know"):
            wizard.action_confirm()
        wizard.proof = "Dashboard: succeeded"
        wizard.action_confirm()
        self.assertEqual(attempt.state, "done")
        self.assertEqual(self.invoice.billing_status, "paid")
        self.assertEqual(attempt.billing_resolver_id, self.biller)
        self.assertIn("Dashboard: succeeded", str(self.invoice.message_ids.mapped("body")))

    def test_what_somebody_found_is_kept_before_it_is_booked(self):
        attempt = self._doubtful("reset").with_env(self.env)
        Transaction = self.env.registry["payment.transaction"]
        kept = []

        def keep(_env):
            kept.append((attempt.state, attempt.billing_proof, attempt.billing_resolver_id))

        with (
            patch.object(outside, "commit", keep),
            patch.object(Transaction, "_post_process", side_effect=lambda *_: kept.append("booked")),
        ):
            attempt._billing_resolve(True, "Dashboard: succeeded")
        self.assertEqual(kept[:2], [("done", "Dashboard: succeeded", self.biller), "booked"])

    def test_whoever_marks_it_as_paid_is_told(self):
        attempt = self._doubtful("reset")
        action = self.invoice.action_billing_move("paid")
        dialog = self.env["account.payment.register"].with_context(**action["context"]).create({})
        self.assertIn(f"not known whether card payment {attempt.reference}", html2plaintext(dialog.billing_plan))

    def test_what_is_known_of_it_is_not_typed(self):
        attempt = self._doubtful("reset")
        accountant = self._new_user("books", "account.group_account_invoice")
        for user in (accountant, self.biller):
            typed = attempt.with_user(user).sudo(False)
            for values in (
                {"billing_doubt_since": False},
                {"billing_proof": "I say so", "billing_resolver_id": self.biller.id},
                {"state": "draft"},
            ):
                with self.subTest(user.login, values=values), self.assertRaises(AccessError):
                    typed.write(values)
        with self.assertRaises(AccessError):
            self.env["payment.transaction"].with_user(accountant).create(
                {"provider_id": self.desk_provider.id, "billing_proof": "x"}
            )
        self.assertTrue(attempt.billing_doubt_since)

    def test_not_taken_lets_the_next_attempt_through(self):
        attempt = self._doubtful("dead").with_env(self.env)
        attempt._billing_resolve(False, "Dashboard: no such payment")
        self.assertEqual(attempt.state, "cancel")
        self.assertEqual(self._charge(self.invoice, self.desk_card).state, "done")
        self.assertEqual(sum(self.desk.captures.values()), 1)

    def test_money_that_comes_after_all_becomes_credit(self):
        attempt = self._doubtful("reset").with_env(self.env)
        attempt._billing_resolve(False, "Dashboard: no such payment")
        self._pay(self.invoice)
        attempt.sudo()._set_done()
        attempt.sudo()._post_process()
        self.assertEqual(attempt.state, "done")
        line = attempt.sudo().payment_id.move_id.line_ids.filtered(
            lambda line: line.account_id.account_type == "asset_receivable"
        )
        self.assertEqual(-line.amount_residual, self.invoice.amount_total)

    def test_an_answer_on_another_way_settles_it_once(self):
        attempt = self._doubtful("reset")
        for _again in range(3):
            attempt._process(attempt.provider_code, {"reference": attempt.reference, "state": "done"})
            attempt._billing_book()
        self.assertFalse(attempt.billing_doubt_since)
        self.assertEqual(self.invoice.billing_status, "paid")
        payments = self.env["account.payment"].search([("payment_transaction_id", "=", attempt.id)])
        self.assertEqual(len(payments), 1)

    def test_after_an_hour_a_person_is_called_once(self):
        attempt = self._doubtful("dead")
        attempt.write({"billing_doubt_since": fields.Datetime.now() - timedelta(minutes=70), "billing_asked": 4})
        for _twice in range(2):
            with self.enter_registry_test_mode():
                self.env.ref("invoice_portal.ir_cron_billing_settle").sudo().method_direct_trigger()
        self.invoice.invalidate_recordset()
        activity = self.invoice.activity_ids
        self.assertEqual(len(activity), 1)
        self.assertIn(attempt.reference, activity.summary)

    @mute_logger(TRANSACTION)
    def test_taken_but_not_booked_calls_a_person(self):
        Transaction = self.env.registry["payment.transaction"]
        with patch.object(Transaction, "_create_payment", side_effect=UserError("The period is locked.")):
            attempt = self._charge(self.invoice, self.desk_card)
        self.assertEqual((attempt.state, attempt.is_post_processed), ("done", False))
        with self.assertRaisesRegex(UserError, "under way"):
            self._charge(self.invoice, self.desk_card)
        attempt.last_state_change = fields.Datetime.now() - timedelta(hours=2)
        with self.enter_registry_test_mode():
            self.env.ref("invoice_portal.ir_cron_billing_settle").sudo().method_direct_trigger()
        self.assertIn("could not be booked", self.invoice.activity_ids.summary)
        found = self.env["payment.transaction"].search(
            [("state", "=", "done"), ("is_post_processed", "=", False), ("id", "=", attempt.id)]
        )
        self.assertTrue(found)

    def test_only_billing_staff_settles(self):
        attempt = self._doubtful()
        for user in (
            self._new_user("employee", "base.group_user"),
            self._new_portal_user(self.client, "portal"),
        ):
            with self.assertRaises(AccessError):
                attempt.with_user(user).action_billing_ask()
            with self.assertRaises(AccessError):
                attempt.with_user(user)._billing_resolve(True, "Because")


@tagged("post_install", "-at_install")
class TestAutopay(CardCommon):
    def setUp(self):
        super().setUp()
        self.desk_card = self._desk_card()

    def _agree(self, card=None):
        self.client._billing_agree_autopay(card or self.desk_card, "On the phone")

    def _job(self):
        with self.enter_registry_test_mode():
            self.env.ref("invoice_portal.ir_cron_billing_autopay").sudo().method_direct_trigger()
        self.env.invalidate_all()

    def test_finalized_is_charged_by_itself(self):
        self._agree()
        invoice = self._finalized()
        self.assertEqual(invoice.billing_autopay_date, fields.Date.today())
        self._job()
        self.assertEqual(invoice.billing_status, "paid")
        self.assertEqual(sum(self.desk.captures.values()), 1)
        self.assertEqual(invoice.transaction_ids.billing_origin, "automatic")
        self._job()
        self.assertEqual(sum(self.desk.captures.values()), 1)

    def test_without_consent_nothing_is_charged(self):
        invoice = self._finalized()
        self._job()
        self.assertFalse(invoice.billing_autopay_date)
        self.assertFalse(self.desk.captures)
        for values in ({"billing_autopay_card_id": self.desk_card.id}, {"billing_autopay_consent": "Trust me"}):
            with self.assertRaises(UserError):
                self.client.write(values)

    def test_consent_is_recorded_by_whom(self):
        action = self.client.action_billing_autopay()
        wizard = self.env[action["res_model"]].browse(action["res_id"])
        wizard.card_id = self.desk_card
        with self.assertRaisesRegex(UserError, "who agreed"):
            wizard.action_agree()
        wizard.consent = "Mrs. Miller, by phone"
        wizard.action_agree()
        self.assertEqual(self.client.billing_autopay_card_id.id, self.desk_card.id)
        self.assertIn("Mrs. Miller", self.client.billing_autopay_consent)
        self.assertIn(self.biller.name, self.client.billing_autopay_consent)
        self.assertIn("Mrs. Miller", str(self.client.message_ids.mapped("body")))

    def test_on_the_due_date_where_the_company_says_so(self):
        self.company.sudo().billing_autopay_when = "due"
        self._agree()
        invoice = self._draft(self._new_charge())
        invoice.invoice_payment_term_id = False
        invoice.invoice_date_due = fields.Date.today() + timedelta(days=10)
        invoice._billing_finalize()
        self.assertEqual(invoice.billing_autopay_date, invoice.invoice_date_due)
        self._job()
        self.assertFalse(self.desk.captures)

    def test_refusals_are_tried_again_on_their_days_and_then_left(self):
        self._agree()
        self.desk.mood = "decline"
        invoice = self._finalized()
        start, tries = fields.Date.today(), []
        for day in range(12):
            with patch.object(fields.Datetime, "now", lambda d=day: self._moment(start + timedelta(days=d))):
                before = len(invoice.transaction_ids)
                self._job()
                if len(invoice.transaction_ids) > before:
                    tries.append(day)
        self.assertEqual(tries, [0, 3, 5, 7])
        self.assertIn("Stopped", invoice.billing_autopay_note)
        self.assertTrue(invoice.activity_ids)
        mails = invoice.billing_mail_ids.mapped("subject")
        self.assertEqual(len([subject for subject in mails if "could not be charged for invoice" in subject]), 3)
        self.assertEqual(len([subject for subject in mails if "Please pay" in subject]), 1)

    @staticmethod
    def _moment(day):
        return fields.Datetime.to_datetime(day) + timedelta(hours=12)

    def test_a_final_refusal_ends_it_at_once(self):
        self._agree()
        self.desk.mood, self.desk.reason = "decline", "stolen_card"
        invoice = self._finalized()
        self._job()
        self.assertFalse(invoice.billing_autopay_date)
        self.assertIn("stolen_card", invoice.billing_autopay_note)

    def test_after_a_final_refusal_no_other_invoice_tries_the_card(self):
        self._agree()
        self.desk.mood, self.desk.reason = "decline", "stolen_card"
        first, second = self._finalized(), self._finalized(self._new_charge("second"))
        self._job()
        attempts = (first | second).sudo().transaction_ids
        self.assertEqual(len(attempts), 1, "the second would only have tried the same card")
        self.assertFalse((first | second).filtered("billing_autopay_date"))
        self.assertFalse(self.client.billing_autopay_card_id)
        third = self._finalized(self._new_charge("third"))
        self.assertFalse(third.billing_autopay_date)

    def test_a_provider_without_memory_is_tried_once(self):
        self._agree()
        self.desk.mood = "decline"
        invoice = self._finalized()
        Provider = self.env.registry["payment.provider"]
        with patch.object(Provider, "_billing_repeats_safely", lambda self: False):
            self._job()
        self.assertFalse(invoice.billing_autopay_date)
        self.assertIn("not tried again", invoice.billing_autopay_note)

    def test_in_doubt_it_waits(self):
        self._agree()
        self.desk.mood = "reset"
        invoice = self._finalized()
        self._job()
        self._job()
        self.assertTrue(invoice.billing_card_doubt_id)
        self.assertEqual(sum(self.desk.captures.values()), 1)

    def test_a_cycle_charges_at_once_whatever_the_company_does(self):
        self.company.sudo().billing_autopay_when = "due"
        monthly = self.env.ref("invoice_portal.billing_cycle_monthly").sudo()
        monthly.after = "charge"
        self._agree()
        self.client.write({"billing_cycle_id": monthly.id, "billing_cycle_start": "2026-01-10"})
        charge = self._new_charge(date="2026-02-20")
        with freeze_time("2026-03-01 12:00:00"):
            for job in ("cycle", "run", "autopay"):
                with self.enter_registry_test_mode():
                    self.env.ref(f"invoice_portal.ir_cron_billing_{job}").sudo().method_direct_trigger()
        self.env.invalidate_all()
        self.assertEqual(charge.invoice_id.billing_status, "paid")
        self.assertTrue(charge.invoice_id.billing_mail_ids)
        self.assertEqual(sum(self.desk.captures.values()), 1)

    def test_what_was_paid_is_not_charged(self):
        self._agree()
        invoice = self._finalized()
        self._pay(invoice)
        self._job()
        self.assertFalse(self.desk.captures)
        self.assertFalse(invoice.billing_autopay_date)

    def test_one_that_breaks_stops_nobody(self):
        self._agree()
        first, second = self._finalized(), self._finalized(self._new_charge("Second"))
        Move = self.env.registry["account.move"]
        original = Move._billing_charge_card_sudo

        def broken(move, *args):
            if move.id == first.id:
                raise ValueError("broken")
            return original(move, *args)

        with patch.object(Move, "_billing_charge_card_sudo", broken), mute_logger(MOVE):
            self._job()
        self.assertEqual(second.billing_status, "paid")
        self.assertNotEqual(first.billing_status, "paid")
        self.assertIn("broken", first.billing_autopay_note or "")

    def test_a_removed_card_ends_it(self):
        self._agree()
        invoice = self._finalized()
        self.desk_card.active = False
        self.assertFalse(self.client.billing_autopay_card_id)
        self.assertFalse(invoice.billing_autopay_date)
        self._job()
        self.assertFalse(self.desk.captures)

    def test_an_expiring_card_is_announced_once(self):
        self._agree()
        self.desk_card.billing_expires_on = fields.Date.today() + timedelta(days=20)
        for _twice in range(2):
            self._job()
        mail = self.env["billing.mail"].sudo().search([("subject", "ilike", "expires soon")])
        self.assertEqual(len(mail), 1)
        self.assertEqual(mail.recipient_ids.mapped("email"), [self.desk_card.partner_id.email])
        self.assertIn("/my/payment_method", mail._render_layout())
        self.desk_card.billing_expires_on = fields.Date.today() - timedelta(days=1)
        invoice = self._finalized()
        self.assertEqual(invoice._billing_cards_sudo()[invoice], self.card)

    def test_days_of_tries_are_checked(self):
        for days in ("", "1, 2", "0, 5, 3", "0, x", "0, 200"):
            with self.subTest(days), self.assertRaises(ValidationError):
                self.company.sudo().billing_autopay_days = days


@tagged("post_install", "-at_install")
class TestPortalPayment(CardCommon, HttpCase):
    """Odoo's own routes, closed where they would take more, take it twice, or use somebody else's card."""

    def setUp(self):
        super().setUp()
        self.portal = self._new_portal_user(self.client, "payer")
        self.own_card = self._new_card(partner=self.portal.partner_id)
        self.invoice = self._finalized()
        self.authenticate("payer", "payer")

    def _answer(self, amount=None, token=None, flow="token", invoice=None, **values):
        invoice = invoice or self.invoice
        params = {
            "access_token": invoice._portal_ensure_token(),
            "provider_id": self.demo_provider.id,
            "payment_method_id": self.method.id,
            "token_id": (token or self.own_card).id if flow == "token" else None,
            "amount": invoice.amount_residual if amount is None else amount,
            "flow": flow,
            "tokenization_requested": False,
            "landing_route": "/my/invoices",
            **values,
        }
        self.env.flush_all()
        answer = self.url_open(f"/invoice/transaction/{invoice.id}", json={"params": params}).json()
        self.env.invalidate_all()
        return answer

    def _ask(self, **values):
        answer = self._answer(**values)
        self.assertNotIn("error", answer)
        return answer["result"]

    def _refused(self, **values):
        with mute_logger("odoo.http"):
            answer = self._answer(**values)
        self.assertIn("error", answer)
        return answer["error"]["data"]["message"]

    def test_ones_own_card_pays(self):
        self._ask()
        attempt = self.invoice.sudo().transaction_ids
        self.assertEqual((attempt.state, attempt.billing_origin), ("done", "client"))

    def test_no_more_than_is_due(self):
        for amount in (self.invoice.amount_residual + 0.01, -5, 0, "NaN", "inf", 1e308):
            with self.subTest(amount=amount):
                self._refused(amount=amount)
        self.assertFalse(self.invoice.sudo().transaction_ids)

    def test_cards_of_colleagues_are_not_ones_own(self):
        colleague = self._new_portal_user(self.client, "colleague")
        theirs = self._new_card(partner=colleague.partner_id)
        self._refused(token=theirs)
        self.assertFalse(self.invoice.sudo().transaction_ids)

    def test_a_link_pays_by_no_saved_card(self):
        self.authenticate(None, None)
        self._refused(token=self.card)
        self.assertFalse(self.invoice.sudo().transaction_ids)

    def test_a_link_shows_no_saved_card(self):
        url = f"{self.invoice.access_url}?access_token={self.invoice._portal_ensure_token()}"
        self.card.payment_details = self.own_card.payment_details = "9876"
        self.assertIn("9876", self.url_open(url).text)
        self.authenticate(None, None)
        page = self.url_open(url).text
        self.assertIn(self.invoice.name, page)
        self.assertNotIn("9876", page)
        link = self.invoice.sudo()._get_portal_payment_link()
        self.assertNotIn("9876", self.url_open(link).text)

    def test_two_tabs_are_one_payment(self):
        first, second = self._ask(flow="direct"), self._ask(flow="direct")
        self.assertEqual(first["reference"], second["reference"])
        self.assertEqual(len(self.invoice.sudo().transaction_ids), 1)
        self.assertIn("begun a moment ago", self._refused(flow="direct", amount=10))
        self.assertIn("begun a moment ago", self._refused())
        with self.assertRaisesRegex(UserError, "begun a moment ago"):
            self._charge(self.invoice)

    def test_paid_once_is_paid(self):
        self._ask()
        self.assertIn("paid already", self._refused())
        self.assertEqual(len(self.invoice.sudo().transaction_ids), 1)

    def test_the_same_part_is_not_paid_again_at_once(self):
        self._ask(amount=10)
        self.assertIn("paid a moment ago", self._refused(amount=10))
        attempts = self.invoice.sudo().transaction_ids
        self.assertEqual(len(attempts), 1)
        self._ask(amount=11)
        self.env.cr.execute("UPDATE payment_transaction SET last_state_change = last_state_change - interval '2 min'")
        self.env.invalidate_all()
        self._ask(amount=10)
        self.assertEqual(self.invoice.amount_total - self.invoice.amount_residual, 31)

    def test_the_reference_is_not_the_client_s_to_choose(self):
        for typed in ("INV/2026/00098", "x" * 3000, f"{self.invoice.name}-1<b>"):
            self._ask(amount=10, name_next_installment=typed)
            reference = self.invoice.sudo().transaction_ids.sorted("id")[-1].reference
            self.assertRegex(reference, f"^{self.invoice.name}(-[0-9]+)?$")
            self.env.cr.execute(
                "UPDATE payment_transaction SET last_state_change = last_state_change - interval '2 min'"
            )
            self.env.invalidate_all()

    def _pay_for_nothing(self, amount=50.0, token=None, partner=None, as_text=False):
        """As Odoo's page `/payment/pay` asks for it."""
        partner = partner or self.portal.partner_id
        partner_id = f"{partner.id}" if as_text else partner.id
        currency = self.company.currency_id
        params = {
            "access_token": generate_access_token(partner.id, amount, currency.id, env=self.env(su=True)),
            "partner_id": partner_id,
            "currency_id": currency.id,
            "amount": amount,
            "provider_id": self.demo_provider.id,
            "payment_method_id": self.method.id,
            "token_id": (token or self.own_card).id,
            "flow": "token",
            "tokenization_requested": False,
            "landing_route": "/payment/confirmation",
        }
        with mute_logger("odoo.http"):
            return self.url_open("/payment/transaction", json={"params": params}).json()

    def test_what_is_paid_for_nothing_is_credit_by_its_rules(self):
        answer = self._pay_for_nothing()
        self.assertNotIn("error", answer)
        attempt = self.env["payment.transaction"].sudo().search([("partner_id", "=", self.portal.partner_id.id)])
        self.assertEqual(attempt.reference, answer["result"]["reference"])
        self.assertEqual((attempt.billing_credit_client_id, attempt.billing_origin), (self.client, "client"))
        self.assertIn("access_token=", attempt.landing_route)
        self.assertIn("paid a moment ago", str(self._pay_for_nothing()["error"]))
        for as_text in (False, True):
            self.assertIn("At most", str(self._pay_for_nothing(amount=250_000.0, as_text=as_text)["error"]))

    def test_what_is_paid_for_nothing_is_paid_by_one_s_own_card(self):
        colleague = self._new_portal_user(self.client, "colleague")
        theirs = self._new_card(partner=colleague.partner_id)
        for token in (theirs, self.card):
            self.assertIn("error", self._pay_for_nothing(token=token))
            self.assertIn("error", self._pay_for_nothing(token=token, partner=self.client), "by a link to the company")
        self.authenticate(None, None)
        self.assertIn("error", self._pay_for_nothing(token=self.card, partner=self.client), "nor by who has the link")
        self.assertFalse(self.env["payment.transaction"].sudo().search([("token_id", "in", (theirs | self.card).ids)]))

    def test_an_invoice_of_somebody_else_is_not_paid(self):
        theirs = self._finalized(self._new_charge(partner_id=self.other_client.id))
        self._refused(invoice=theirs, access_token="wrong")  # noqa: S106
        self.assertFalse(theirs.sudo().transaction_ids)
