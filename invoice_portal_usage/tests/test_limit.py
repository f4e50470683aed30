import math
from datetime import timedelta
from urllib.parse import urlsplit

from freezegun import freeze_time
from psycopg2 import IntegrityError

from odoo import Command, fields
from odoo.exceptions import UserError
from odoo.tests import tagged
from odoo.tools import format_date, mute_logger

from odoo.addons.invoice_portal.tests.test_send import SendCommon

from .portal_usage import UsagePortalCommon

URL = "/my/billing/usage"


class LimitCommon(UsagePortalCommon):
    def _limit(self, amount=100, **values):
        return self.env["billing.usage.limit"].create({"partner_id": self.client.id, "amount": amount, **values})

    def _look(self):
        self.env.flush_all()
        with self.enter_registry_test_mode():
            self.env.ref("invoice_portal_usage.ir_cron_usage_notice").sudo().method_direct_trigger()
        self.env.invalidate_all()

    def _mails(self):
        clients = self.client | self.other_client
        return self.env["billing.mail"].sudo().search([("partner_id", "in", clients.ids)], order="id")

    def _subscribed(self, minutes=100, **values):
        package = self._new_package(
            "Talk",
            10,
            rate_plan_id=self.plan.id,
            allowance_ids=[Command.create({"name": f"{minutes} minutes", "quantity": minutes, **values})],
        )
        return self.env["billing.subscription"].create(
            {"partner_id": self.client.id, "package_id": package.id, "date_start": self.last_month}
        )


@tagged("post_install", "-at_install")
class TestLimit(LimitCommon):
    # -- telling ------------------------------------------------------------------------------------------------------

    def test_a_client_is_told_at_80_and_at_100_percent_once_each(self):
        self._limit(10)
        for amount, subjects in (
            (7.99, []),
            (0.01, ["80 % used"]),
            (0.5, ["80 % used"]),
            (2, ["80 % used", "100 % used"]),
            (50, ["80 % used", "100 % used"]),
        ):
            with self.subTest(amount):
                self._used(amount=amount)
                self._look()
                self._look()
                mails = self._mails()
                self.assertEqual([mail.subject.partition(":")[0] for mail in mails], subjects)
        self.assertEqual(mails.recipient_ids.mapped("email"), [self.client.email] * 2)
        self.assertEqual(mails.mapped("kind"), ["notice"] * 2)
        self.assertEqual(mails.partner_id, self.client)
        self.assertIn("10.50", mails[1].body)

    def test_who_leaps_over_both_thresholds_is_told_of_the_higher_one(self):
        self._limit(10)
        self._used(amount=25)
        self._look()
        self.assertEqual([mail.subject.partition(" ")[0] for mail in self._mails()], ["100"])
        notices = self.env["billing.usage.notice"].search([("partner_id", "=", self.client.id)])
        self.assertEqual(sorted(notices.mapped("percent")), [80, 100])

    def test_what_is_included_is_told_too(self):
        subscription = self._subscribed()
        self._used(quantity=79 * 60, subscription_id=subscription.id)
        self._look()
        self.assertFalse(self._mails())
        self._used(quantity=60, subscription_id=subscription.id)
        self._look()
        self._used(quantity=90 * 60, subscription_id=subscription.id)
        self._look()
        self.assertEqual(
            self._mails().mapped("subject"), ["80 % used: 100 minutes (Talk)", "100 % used: 100 minutes (Talk)"]
        )

    def test_what_is_billed_of_the_month_counts(self):
        self._limit(10)
        self._invoiced(self._used(amount=9))
        self._look()
        self.assertFalse(self._mails(), "Nothing new was used")
        self._used(amount=1)
        self._look()
        self.assertEqual([mail.subject.partition(" ")[0] for mail in self._mails()], ["100"])

    def test_last_month_and_other_clients_do_not_count(self):
        self._limit(10)
        self._used(amount=50, day=self.last_month)
        self._used(amount=50, client=self.other_client)
        self._look()
        self.assertFalse(self._mails())

    def test_the_mail_speaks_the_client_s_language(self):
        self.env["res.lang"].sudo()._activate_lang("fr_FR")
        self.client.sudo().lang = "fr_FR"
        template = self.env.ref("invoice_portal_usage.mail_template_usage_notice").sudo()
        template.with_context(lang="fr_FR").subject = "Consommé : {{ ctx.get('billing_most', {}).get('percent') }} %"
        self._limit(10)
        self._used(amount=10)
        self._look()
        self.assertEqual((self._mails().subject, self._mails().lang), ("Consommé : 100 %", "fr_FR"))

    def test_the_database_lets_one_say_it(self):
        notices = self.env["billing.usage.notice"].sudo()
        said = {
            "company_id": self.company.id,
            "partner_id": self.client.id,
            "limit_id": self._limit().id,
            "period_start": self.month,
            "percent": 80,
        }
        self.assertEqual([notices._win(said), notices._win(said)], [True, False])
        self.assertTrue(notices._win({**said, "percent": 100}))
        self.assertTrue(notices._win({**said, "period_start": self.last_month}))

    def test_only_who_may_have_come_to_it_is_looked_at(self):
        others = self.env["res.partner"].union(*(self._new_client(f"Client {number}") for number in range(5)))
        for client in others:
            self._used(amount=5, client=client)
        self._limit(100, partner_id=others[0].id)
        self._limit(6, partner_id=others[1].id)
        self.env.flush_all()
        _last, found = self.env["billing.usage.notice"].sudo()._to_look_at()
        ours = [clients for company, clients in found if company == self.company]
        self.assertEqual(ours, [[others[1].id]], "5 of 6 are 80 %, 5 of 100 are not")

    def test_whom_to_look_at_is_one_question_however_many_there_are(self):
        counts = []
        for _round in range(3):
            for number in range(10):
                self._limit(10, partner_id=(client := self._new_client(f"Client {number}")).id)
                self._used(client=client, amount=9)
            self.env.flush_all()
            start = self.env.cr.sql_log_count
            self.env["billing.usage.notice"].sudo()._to_look_at()
            counts.append(self.env.cr.sql_log_count - start)
        self.assertEqual(counts[1], counts[2])

    # -- stopping -----------------------------------------------------------------------------------------------------

    def _stopped(self):
        self.env.invalidate_all()
        return self.client.with_company(self.company).billing_usage_stopped

    def _notes(self):
        return " ".join(self.client.message_ids.mapped("body"))

    def test_a_limit_of_staff_stops_and_asks_somebody_to_look(self):
        self._limit(10, stops=True, user_id=self.biller.id)
        self._used(amount=9)
        self._look()
        self.assertFalse(self._stopped())
        self._used(amount=1)
        self._look()
        self._look()
        self.assertTrue(self._stopped())
        self.assertIn("marked as stopped", self._notes())
        self.assertEqual(self.client.sudo().activity_ids.user_id, self.biller)
        self.assertEqual(len(self.client.sudo().activity_ids), 1)
        self.assertIn("Usage is stopped until then", self._mails()[-1].body)

    def test_raising_the_limit_lets_go_on(self):
        limit = self._limit(10, stops=True)
        self._used(amount=11)
        self._look()
        limit.amount = 11
        self.assertTrue(self._stopped(), "It is reached as well")
        limit.amount = 20
        self.assertFalse(self._stopped())
        self.assertIn("no longer marked as stopped", self._notes())
        self._used(amount=6)
        self._look()
        self.assertEqual(self._mails()[-1].subject.partition(" ")[0], "80", "Of the new limit it is told anew")

    def test_a_new_month_lets_go_on(self):
        self._limit(10, stops=True)
        self._used(amount=11)
        self._look()
        self.assertTrue(self._stopped())
        with freeze_time(fields.Date.end_of(self.today, "month") + timedelta(days=2)):
            self._look()
            self.assertFalse(self._stopped())
            self.assertIn("A new month has begun", self._notes())

    def test_a_limit_that_goes_lets_go_on(self):
        limit = self._limit(10, stops=True)
        self._used(amount=11)
        self._look()
        limit.unlink()
        self.assertFalse(self._stopped())

    def test_what_staff_stopped_by_hand_stays_stopped(self):
        self.client.sudo().billing_usage_stopped = True
        limit = self._limit(10)
        limit.unlink()
        self.assertTrue(self._stopped())

    def test_a_limit_that_is_reached_when_it_is_set_says_so_at_once(self):
        self._used(amount=11)
        self._limit(10, stops=True)
        self.assertTrue(self._stopped())
        self.assertEqual(len(self._mails()), 1)

    def test_whose_limit_it_is(self):
        limit = self._limit(10, partner_id=self.user.partner_id.id)
        self.assertEqual(limit.partner_id, self.client, "A contact's is its company's")
        with self.assertRaises(UserError):
            limit.partner_id = self.other_client
        refusals = {0: IntegrityError, -5: IntegrityError, 1e12: IntegrityError}
        refusals |= {float("inf"): UserError, float("nan"): UserError}
        for amount, refusal in refusals.items():
            with (
                self.subTest(amount),
                mute_logger("odoo.sql_db"),
                self.assertRaises(refusal),
                self.env.cr.savepoint(),
            ):
                self._limit(amount, partner_id=self.other_client.id)

    # -- the client's own ---------------------------------------------------------------------------------------------

    def _own(self):
        self.env.invalidate_all()
        return self.env["billing.usage.limit"].search([("partner_id", "=", self.client.id), ("by_client", "=", True)])

    def test_a_client_limits_itself_and_no_longer(self):
        self._used(amount=4)
        self._as(self.user)
        page = self._post(f"{URL}/limit", URL, amount="50").text
        self.assertIn("Saved.", page)
        self.assertEqual(self._own().amount, 50)
        self.assertIn('value="50"', self._get(URL).text)
        self.assertIn("of $ 50.00 this month (8 %)".replace("$ 50.00", self._money(50)), self._page(URL))
        self._as(self.colleague)
        self._post(f"{URL}/limit", URL, amount="4.5")
        self.assertEqual(self._own().amount, 4.5)
        self.assertEqual([mail.subject.partition(" ")[0] for mail in self._mails()], ["80"])
        self.assertIn("80 % of the limit of", self._page(URL))
        self._post(f"{URL}/limit", URL, amount=" ")
        self.assertFalse(self._own())

    def test_what_is_no_limit_is_refused_in_words(self):
        self._used()
        self._as(self.user)
        for typed in ("0", "-1", "nan", "inf", "-inf", "1e400", "1e12", "0.001", "x", "1;DROP", "٣٣٣x", "9" * 400):
            with self.subTest(typed[:20]):
                response = self._post(f"{URL}/limit", URL, amount=typed)
                self.assertEqual(response.status_code, 200)
                self.assertIn("Type an amount from", response.text)
                self.assertFalse(self._own())
        for currency in ("0", "-1", "x", str(self.env.ref("base.KRW").id)):
            self._post(f"{URL}/limit", URL, amount="5", currency=currency)
            self.assertEqual(self._own().currency_id, self.plan.currency_id, "Only what it uses is limited")

    def test_a_form_of_another_site_sets_nothing(self):
        self._used()
        self._as(self.user)
        self.assertEqual(self._get(f"{URL}/limit", data={"amount": "5"}).status_code, 400)
        self.assertEqual(urlsplit(self._get(f"{URL}/limit?amount=5").url).path, URL)
        self.assertFalse(self._own())

    def test_a_limit_that_is_no_amount(self):
        limits = self.env["billing.usage.limit"]
        values = {"partner_id": self.client.id, "currency_id": self.company.currency_id.id}
        limit = limits.create({**values, "amount": 10})
        for amount in (math.nan, math.inf, -math.inf, "nan", "much", [1], 10**400):
            with self.subTest(amount=str(amount)[:9]):
                with self.assertRaisesRegex(UserError, "a number, and more than zero"):
                    limit.write({"amount": amount})
                with self.assertRaisesRegex(UserError, "a number, and more than zero"):
                    limits.create({**values, "partner_id": self.other_client.id, "amount": amount})
        self.assertEqual(limit.amount, 10)

    def test_the_client_s_own_limit_leaves_that_of_staff(self):
        limit = self._limit(10, stops=True)
        self._used(amount=1)
        self._as(self.user)
        self._post(f"{URL}/limit", URL, amount="5")
        self._post(f"{URL}/limit", URL, amount="")
        self.assertEqual((limit.exists().amount, limit.stops), (10, True))
        page = self._page(URL)
        self.assertIn("Agreed with us", page)
        self.assertIn("usage is stopped for the rest of the month", page)

    def test_a_client_s_limit_stops_nothing(self):
        self._used(amount=9)
        self._as(self.user)
        self._post(f"{URL}/limit", URL, amount="5")
        self.assertFalse(self._stopped())
        self.assertFalse(self.client.sudo().activity_ids)
        self.assertEqual([mail.subject.partition(" ")[0] for mail in self._mails()], ["100"])


@tagged("post_install", "-at_install")
class TestLimitMail(LimitCommon, SendCommon):
    """What the client's mail server is given."""

    def _arrives(self):
        """`(message, its text in one line)` of the only mail that leaves now."""
        self.sink.messages.clear()
        self._look()
        self._run_job()
        (taken,) = self.sink.messages
        self.assertEqual(taken["to"], [self.client.email])
        message = taken["message"]
        self.assertEqual([address.addr_spec for address in message["To"].addresses], [self.client.email])
        self.assertEqual([address.addr_spec for address in message["From"].addresses], [self.company.email])
        self.assertIn(f'href="{self.client.get_base_url()}{URL}"', message.get_body(("html",)).get_content())
        return message["Subject"], " ".join(message.get_body(("plain",)).get_content().replace("*", "").split())

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company.sudo().email = "bills@us.example"
        cls.until = format_date(cls.env, fields.Date.end_of(cls.today, "month"))

    def test_of_what_is_included(self):
        """Two subscriptions to one package: the mail says which."""
        desk = self._subscribed(name="100 minutes")
        desk.reference = "Front desk"
        desk.copy({"reference": "Warehouse"})
        for minutes, share, so_far in ((95, 95, "1:35:00 h of 1:40:00 h"), (30, 100, "1:40:00 h of 1:40:00 h")):
            self._used(quantity=minutes * 60, subscription_id=desk.id)
            subject, text = self._arrives()
            self.assertEqual(subject, f"{80 if share < 100 else 100} % used: 100 minutes (Talk, Front desk)")
            self.assertIn(
                f"{share} % of 100 minutes (Talk, Front desk) is used: {so_far}, in the period until {self.until}. "
                "What is used beyond it is billed at its price. You see",
                text,
            )

    def _of_limit(self, *steps):
        for amount, share, then in steps:
            self._used(amount=amount)
            used = sum(one for one, *_rest in steps[: steps.index((amount, share, then)) + 1])
            subject, text = self._arrives()
            limit = f"your limit of {self._money(10)} a month"
            self.assertEqual(subject, f"{80 if share < 100 else 100} % used: {limit}")
            self.assertIn(
                f"{share} % of {limit} is used: {self._money(used)} of {self._money(10)}, before taxes, in the period "
                f"until {self.until}. {then} You see",
                text,
            )

    def test_of_a_limit_that_staff_set(self):
        self._limit(10, stops=True)
        self._of_limit(
            (9.5, 95, "When it is reached, usage is stopped for the rest of the month."),
            (2.5, 120, "Usage is stopped until then, or until we raise the limit."),
        )

    def test_of_a_limit_that_the_client_set(self):
        self.client._billing_limit_usage_by_client(10.0, self.company.currency_id)
        nothing = "It stops nothing: what is used beyond it is billed, too."
        self._of_limit((8.0, 80, nothing), (2.0, 100, nothing))
