from datetime import timedelta
from unittest.mock import patch

from freezegun import freeze_time

from odoo import fields
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import HttpCase, tagged
from odoo.tools import html2plaintext, mute_logger

from .test_card import TRANSACTION, CardCommon
from .test_credit import CreditCommon

TOP_UP = "odoo.addons.invoice_portal.models.res_partner_top_up"


class TopUpCommon(CardCommon, CreditCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company.sudo().write({"billing_credit_most": 1000, "billing_top_up_daily": 3})
        cls.desk_card = cls._new_card(cls.desk_provider)

    def _agree(self, below=50, amount=80, card=None, client=None):
        client = (client or self.client).sudo().with_company(self.company)
        client._billing_agree_top_up(card or self.desk_card, below, amount, "By phone")

    def _run(self):
        with self.enter_registry_test_mode():
            self.env.ref("invoice_portal.ir_cron_billing_top_up").sudo().method_direct_trigger()
        self.env.invalidate_all()

    def _attempts(self, client=None):
        return (
            self.env["payment.transaction"]
            .sudo()
            .search([("billing_credit_client_id", "=", (client or self.client).id)], order="id")
        )

    def _notices(self):
        template = self.env.ref("invoice_portal.mail_template_top_up_failed")
        subject = template.sudo()._render_field("subject", self.client.ids)[self.client.id]
        return self.env["billing.mail"].sudo().search([("partner_id", "=", self.client.id), ("subject", "=", subject)])

    def _notes(self):
        return html2plaintext(" ".join(map(str, self.client.sudo().message_ids.mapped("body"))))


@tagged("post_install", "-at_install")
class TestTopUp(TopUpCommon):
    def test_low_credit_is_filled_up_from_the_card(self):
        self._agree()
        self._run()
        attempt = self._attempts()
        self.assertEqual((attempt.state, attempt.billing_origin, attempt.amount), ("done", "automatic", 80))
        self.assertTrue(attempt.reference.startswith(f"CREDIT-{self.client.id}"))
        self.assertEqual(self.desk.taken, {attempt.reference: 80})
        self.assertEqual(attempt.payment_id.move_id.state, "posted")
        self.assertEqual(attempt.payment_id.partner_id.id, self.client.id)
        self.assertEqual(self._credit(), 80)
        self.assertIn("80.00 charged to", self.client.sudo().billing_top_up_note)
        self._run()
        self.assertEqual(len(self._attempts()), 1)
        for step in ("Automatic top-up agreed", "By phone", attempt.reference, "has been confirmed"):
            self.assertIn(step, self._notes())

    def test_spending_it_fills_it_up_again(self):
        self._agree()
        self._run()
        self._invoice(60)
        self.assertEqual(self._credit(), 20)
        self._run()
        self.assertEqual(self._credit(), 100)

    def test_nothing_is_charged_without_consent_or_need(self):
        self._run()
        self._add_credit(50)
        self._agree()
        self._run()
        self.assertFalse(self._attempts())
        self._invoice(1)
        self.client.sudo()._billing_end_top_up("changed its mind")
        self._run()
        self.assertFalse(self.desk.captures)
        self.assertIn("changed its mind", self._notes())

    def test_credit_in_another_currency_does_not_count(self):
        self._add_credit(500, currency_id=self._euro().id)
        self._agree()
        self._run()
        self.assertEqual(self._credit(), 80)

    def test_not_more_often_than_allowed(self):
        self._agree(below=500, amount=10)
        for _again in range(5):
            self._run()
        self.assertEqual(len(self._attempts()), 3)
        self.assertIn("as many top-ups as allowed", self.client.sudo().billing_top_up_note)
        with freeze_time(fields.Datetime.now() + timedelta(hours=25)):
            self._run()
        self.assertEqual(len(self._attempts()), 4)

    def test_in_doubt_nothing_more_is_charged(self):
        self._agree(below=500)
        self.desk.mood = "reset"
        self._run()
        self.desk.mood = "take"
        attempt = self._attempts()
        self.assertTrue(attempt.billing_doubt_since)
        self.assertIn("It is not known whether", self._notes())
        self._run()
        self.assertEqual(self._attempts(), attempt)
        with self.assertRaisesRegex(UserError, "under way"):
            self.client._billing_charge_credit_sudo(self.desk_card, 10, "staff")
        attempt._billing_ask()
        self.assertEqual((attempt.state, self._credit()), ("done", 80))
        self.assertEqual(self.desk.captures, {attempt.reference: 1})

    def test_captured_and_timed_out_is_each_taken_once(self):
        self.company.sudo().billing_top_up_daily = 100
        self._agree(below=900, amount=10)
        for number in range(12):
            self.desk.mood = ("reset", "trouble", "take")[number % 3]
            self._run()
            self.desk.mood = "take"
            for attempt in self._attempts().filtered("billing_doubt_since"):
                attempt._billing_ask()
        self.assertEqual(set(self.desk.captures.values()), {1})
        self.assertEqual((len(self._attempts()), self._credit()), (12, 120))

    def test_staff_settles_a_doubt(self):
        self._agree()
        self.desk.mood = "dead"
        self._run()
        self.desk.mood = "take"
        attempt = self._attempts().with_env(self.env)
        attempt._billing_resolve(True, "Dashboard: succeeded")
        self.assertEqual(self._credit(), 80)
        self.assertIn("Dashboard: succeeded", self._notes())

    def test_after_an_hour_a_person_is_called(self):
        self._agree()
        self.desk.mood = "dead"
        self._run()
        self._attempts().write({"billing_doubt_since": fields.Datetime.now() - timedelta(minutes=70)})
        self._attempts().billing_asked = 4
        for _twice in range(2):
            with self.enter_registry_test_mode():
                self.env.ref("invoice_portal.ir_cron_billing_settle").sudo().method_direct_trigger()
        self.env.invalidate_all()
        activity = self.client.sudo().activity_ids
        self.assertEqual(len(activity), 1)
        self.assertIn(self._attempts().reference, activity.summary)

    @mute_logger(TRANSACTION)
    def test_taken_but_not_booked_blocks_and_calls_a_person(self):
        self._agree()
        Transaction = self.env.registry["payment.transaction"]
        with patch.object(Transaction, "_create_payment", side_effect=UserError("The period is locked.")):
            self._run()
        self._run()
        attempt = self._attempts()
        self.assertEqual((len(attempt), attempt.state, self._credit()), (1, "done", 0))
        attempt.last_state_change = fields.Datetime.now() - timedelta(hours=2)
        with self.enter_registry_test_mode():
            self.env.ref("invoice_portal.ir_cron_billing_settle").sudo().method_direct_trigger()
        self.assertIn("could not be booked", self.client.sudo().activity_ids.summary)
        attempt._post_process()
        self.assertEqual(self._credit(), 80)

    def test_an_ended_agreement_is_not_asked_for_again(self):
        self._agree()
        self.desk.mood = "dead"
        self._run()
        self.desk.mood = "take"
        self.client.sudo()._billing_end_top_up("withdrawn")
        with self.assertRaisesRegex(UserError, "has ended meanwhile"):
            self._attempts().with_env(self.env).action_billing_ask()
        self.assertFalse(self.desk.captures)

    def test_a_refusal_is_tried_again_on_its_days_and_then_left(self):
        self.company.sudo().billing_autopay_days = "0, 3, 5"
        self.desk.mood = "decline"
        start = fields.Datetime.now().replace(hour=12)
        tried = []
        with freeze_time(start):
            self._agree()
        for day in range(9):
            with freeze_time(start + timedelta(days=day)):
                before = len(self._attempts())
                self._run()
                self._run()
                if len(self._attempts()) > before:
                    tried.append(day)
        self.assertEqual(tried, [0, 3, 5])
        self.assertEqual(len(self._notices()), 3)
        client = self.client.sudo()
        self.assertFalse(client.billing_top_up_card_id)
        self.assertIn("Insufficient funds", client.billing_top_up_note)
        self.assertIn("has stopped", client.activity_ids.summary)
        texts = self._notices().sorted("id").mapped(lambda mail: html2plaintext(mail.body))
        self.assertEqual(["try again on" in text for text in texts], [True, True, False])

    def test_a_final_refusal_ends_it_at_once(self):
        self.desk.mood, self.desk.reason = "decline", "Card reported stolen"
        self._agree()
        self._run()
        self.assertFalse(self.client.sudo().billing_top_up_card_id)
        self.assertEqual((len(self._attempts()), len(self._notices())), (1, 1))

    def test_a_provider_without_memory_is_tried_once(self):
        self._agree()
        self.desk.mood = "decline"
        with patch.object(self.env.registry["payment.provider"], "_billing_repeats_safely", lambda _self: False):
            self._run()
        self.assertFalse(self.client.sudo().billing_top_up_card_id)
        self.assertIn("not tried again", self._notes())

    def test_a_card_that_is_gone_ends_it(self):
        self._agree()
        self.desk_card.active = False
        self.assertFalse(self.client.sudo().billing_top_up_card_id)
        self._agree(card=self.card)
        self.card.billing_expires_on = fields.Date.today() - timedelta(days=1)
        self._run()
        self.assertFalse(self.client.sudo().billing_top_up_card_id)
        self.assertFalse(self._attempts())
        self.assertEqual(len(self._notices()), 1)

    @mute_logger(TOP_UP)
    def test_one_that_breaks_stops_nobody(self):
        their_card = self._new_card(self.desk_provider, partner=self.other_client)
        self._agree()
        self._agree(client=self.other_client, card=their_card)
        charge = self.env.registry["res.partner"]._billing_charge_credit_sudo

        def broken(client, *args):
            if client == self.client:
                raise KeyError("odd")
            return charge(client, *args)

        with patch.object(self.env.registry["res.partner"], "_billing_charge_credit_sudo", broken):
            self._run()
        self.assertEqual(self._credit(self.other_client), 80)
        self.assertFalse(self.client.sudo().billing_top_up_card_id)

    def test_who_is_filled_up_is_not_told_that_credit_is_low(self):
        self.client.sudo().billing_credit_threshold = 60
        self._agree(below=50)
        with self.enter_registry_test_mode():
            self.env.ref("invoice_portal.ir_cron_billing_credit").sudo().method_direct_trigger()
        self.env.invalidate_all()
        self.assertFalse(self.env["billing.mail"].search([("partner_id", "=", self.client.id)]))
        top_up = self.env.ref("invoice_portal.ir_cron_billing_top_up")
        self.assertTrue(self.env["ir.cron.trigger"].sudo().search([("cron_id", "=", top_up.id)]))

    # -- the agreement ------------------------------------------------------------------------------------------------

    def _dialog(self, **values):
        action = self.client.action_billing_top_up()
        wizard = self.env[action["res_model"]].browse(action["res_id"])
        wizard.write(values)
        return wizard

    def test_staff_records_who_agreed(self):
        with self.assertRaisesRegex(UserError, "who agreed"):
            self._dialog(below=50, amount=80).action_agree()
        self._dialog(below=50, amount=80, consent="Mrs. Miller, by phone", card_id=self.desk_card.id).action_agree()
        client = self.client.sudo()
        self.assertEqual((client.billing_top_up_card_id, client.billing_top_up_below), (self.desk_card, 50))
        self.assertIn("Mrs. Miller, by phone (recorded by", client.billing_top_up_consent)
        again = self._dialog()
        self.assertEqual((again.amount, again.card_id.id), (80, self.desk_card.id))
        again.action_end()
        self.assertFalse(client.billing_top_up_card_id)

    def test_amounts_out_of_bounds_are_not_agreed(self):
        for below, amount in ((0, 10), (10, 0), (-5, 10), (10, 1000.01), (10, float("nan")), (float("inf"), 10)):
            with self.subTest(below=below, amount=amount), self.assertRaises(UserError):
                self._agree(below, amount)

    def test_it_is_not_typed_in(self):
        with self.assertRaisesRegex(UserError, "with the consent"):
            self.client.sudo().billing_top_up_card_id = self.desk_card
        with self.assertRaisesRegex(UserError, "with the consent"):
            self.client.sudo().billing_top_up_amount = 500
        stranger = self._new_card(partner=self.other_client)
        with self.assertRaisesRegex(UserError, "no card of this client"):
            self._agree(card=stranger)

    def test_a_client_agrees_by_itself_with_its_own_card(self):
        user = self._new_portal_user(self.client, "payer")
        own = self._new_card(self.desk_provider, partner=user.partner_id)
        client = self.client.with_user(user)
        for theirs in (self.desk_card, self._new_card(partner=self.other_client)):
            with self.assertRaises(AccessError):
                client._billing_credit_agree_top_up(theirs.id, 50, 80)
        with self.assertRaises(AccessError):
            self.other_client.with_user(user)._billing_credit_agree_top_up(own.id, 50, 80)
        expired = self._new_card(self.desk_provider, partner=user.partner_id)
        expired.sudo().billing_expires_on = fields.Date.today() - timedelta(days=1)
        with self.assertRaisesRegex(AccessError, "cannot be used here"):
            client._billing_credit_agree_top_up(expired.id, 50, 80)
        client._billing_credit_agree_top_up(own.id, 50, 80)
        self.assertEqual(self.client.sudo().billing_top_up_card_id, own)
        self.assertIn("By payer", self.client.sudo().billing_top_up_consent)
        stranger = self._new_portal_user(self.other_client, "stranger")
        with self.assertRaises(AccessError):
            self.client.with_user(stranger)._billing_credit_end_top_up()
        client._billing_credit_end_top_up()
        self.assertFalse(self.client.sudo().billing_top_up_card_id)


@tagged("post_install", "-at_install")
class TestCreditByCard(TopUpCommon, HttpCase):
    """A client pays credit in on the portal."""

    def setUp(self):
        super().setUp()
        self.portal = self._new_portal_user(self.client, "payer")
        self.own_card = self._new_card(self.desk_provider, partner=self.portal.partner_id)
        self.authenticate("payer", "payer")

    def _answer(self, amount=100, token=None, flow="token", currency=None, **values):
        token = token or self.own_card
        params = {
            "provider_id": token.provider_id.id,
            "payment_method_id": self.method.id,
            "token_id": token.id if flow == "token" else None,
            "amount": amount,
            "flow": flow,
            "tokenization_requested": False,
            "landing_route": "/my/billing/credit",
            "access_token": "",
            "is_validation": False,
            **values,
        }
        self.env.flush_all()
        currency = currency or self.company.currency_id
        route = f"/my/billing/credit/transaction/{currency.id}"
        answer = self.url_open(route, json={"params": params}).json()
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

    def test_ones_own_card_becomes_credit(self):
        self._ask()
        attempt = self._attempts()
        self.assertEqual((attempt.state, attempt.billing_origin), ("done", "client"))
        self.assertEqual(attempt.partner_id, self.portal.partner_id)
        self.assertEqual(self._credit(), 100)
        attempt._post_process()
        self.assertEqual(self._credit(), 100)
        self.assertEqual(self.env["account.payment"].search_count([("partner_id", "=", self.client.id)]), 1)

    def test_amounts_out_of_bounds_are_refused(self):
        for amount in (0, -5, 0.001, 1000.01, "NaN", "inf", 1e308, None, "x"):
            with self.subTest(amount=amount):
                self._refused(amount=amount)
        self.company.sudo().billing_credit_most = 0
        self.assertIn("cannot be paid by card", self._refused())
        self.assertFalse(self._attempts())

    def test_nothing_is_smuggled_in(self):
        self.assertIn("whitelisted", self._refused(partner_id=self.other_client.id))
        self.assertIn("whitelisted", self._refused(custom_create_values={"billing_credit_client_id": 1}))
        self.assertIn("cannot be paid in", self._refused(currency=self._euro()))
        elsewhere = self.demo_provider.copy({"company_id": self._new_company("Elsewhere").id, "state": "test"})
        self.assertIn("this way", self._refused(flow="direct", provider_id=elsewhere.id))
        self.assertFalse(self._attempts())

    def test_cards_of_others_are_not_ones_own(self):
        colleague = self._new_portal_user(self.client, "colleague")
        for token in (self.desk_card, self._new_card(self.desk_provider, partner=colleague.partner_id)):
            self.assertIn("cannot be used here", self._refused(token=token))
        self.assertIn("cannot be used here", self._refused(provider_id=self.demo_provider.id))
        self.assertFalse(self.desk.captures)

    def test_who_is_not_logged_in_pays_none(self):
        self.authenticate(None, None)
        self._refused()
        self.assertFalse(self._attempts())

    def test_two_tabs_are_one_payment(self):
        first, second = self._ask(flow="direct"), self._ask(flow="direct")
        self.assertEqual(first["reference"], second["reference"])
        self.assertIn("begun a moment ago", self._refused(flow="direct", amount=10))
        self._agree()
        self._run()
        self.assertEqual(len(self._attempts()), 1)
        attempt = self._attempts()
        attempt._set_done()
        for _again in range(3):
            attempt._post_process()
        self.assertEqual(self._credit(), 100)

    def test_in_doubt_no_other_is_let_through(self):
        self.desk.mood = "reset"
        with mute_logger("odoo.addons.payment.models.payment_provider"):
            self._ask()
        self.desk.mood = "take"
        self.assertTrue(self._attempts().billing_doubt_since)
        self.assertIn("under way", self._refused())
        self._attempts()._billing_ask()
        self._ask(amount=20)
        self.assertEqual((self._credit(), set(self.desk.captures.values())), (120, {1}))

    def test_it_is_paid_in_what_one_is_billed_in(self):
        euro = self._euro()
        charge = self._new_charge(currency_id=euro.id)
        self._finalized(charge)
        self._ask(currency=euro, amount=30)
        self.assertEqual(self._credit(currency=euro), 30)

    def test_two_that_begin_at_once_meet_in_the_database(self):
        client = self.client.sudo()
        before = client.billing_credit_begun_on
        client._billing_credit_claim()
        self.assertNotEqual(client.billing_credit_begun_on, before)
        with self.assertRaises(ValidationError):
            self._ask_twice_at_the_model()

    def _ask_twice_at_the_model(self):
        """As if the second had passed the check before the first was there."""
        values = {
            "provider_id": self.desk_provider.id,
            "payment_method_id": self.method.id,
            "token_id": self.own_card.id,
            "amount": 10,
            "currency_id": self.company.currency_id.id,
            "partner_id": self.portal.partner_id.id,
            "operation": "offline",
            "billing_credit_client_id": self.client.id,
        }
        first, second = (self.env["payment.transaction"].sudo().create({**values}) for _twice in range(2))
        self.assertNotEqual(first.reference, second.reference)
        self.desk.mood = "reset"
        first._charge_with_token()
        second._charge_with_token()
