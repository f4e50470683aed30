from random import Random
from unittest.mock import patch

from freezegun import freeze_time
from psycopg2 import IntegrityError

from odoo import Command
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import Form, tagged
from odoo.tools import mute_logger

from ..tools.periods import ONE_DAY
from .common import BillingCommon


class SubscriptionCommon(BillingCommon):
    """A client that has 3 × Hosting at 31.00 a month, prorated by day."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.package = cls._new_package(price=31.0, quantity=3)
        cls.bigger = cls._new_package("Big hosting", price=62.0)

    @classmethod
    def _subscribe(cls, start="2026-01-01", package=None, **values):
        package = package or cls.package
        return cls.env["billing.subscription"].create(
            {
                "partner_id": cls.client.id,
                "date_start": start,
                "package_id": package.id,
                "quantity": package.quantity,
                "price_unit": package.price_unit,
                **values,
            }
        )

    def _charge(self, subscription, until):
        return subscription._make_charges(self._date(until))

    def assertCharges(self, charges, *expected):
        """:param expected: amount, first and last day, in the order of the days"""
        found = [
            (charge.amount, str(charge.period_start), str(charge.period_end))
            for charge in charges.sorted(lambda charge: (charge.period_start, charge.subscription_part, charge.id))
        ]
        self.assertEqual(found, list(expected))

    def assertAsked(self, subscription, amount):
        """All that was ever charged."""
        self.assertAlmostEqual(sum(subscription.charge_ids.mapped("subscription_amount")), amount, 2)


@tagged("post_install", "-at_install")
@freeze_time("2026-01-15 12:00:00")
class TestSubscription(SubscriptionCommon):
    # -- what is due --------------------------------------------------------------------------------------------------

    def test_in_advance_a_period_is_charged_when_it_begins(self):
        subscription = self._subscribe()
        self.assertFalse(self._charge(subscription, "2025-12-31"))
        charge = self._charge(subscription, "2026-01-01")
        self.assertCharges(charge, (93, "2026-01-01", "2026-01-31"))
        self.assertEqual((charge.quantity, charge.price_unit, charge.origin), (3, 31, "subscription"))
        self.assertEqual(charge.name, "Hosting\n01/01/2026 – 01/31/2026")
        self.assertEqual((charge.product_id, charge.tax_ids), (self.product_a, self.tax_sale_a))
        self.assertFalse(self._charge(subscription, "2026-01-31"))
        self.assertCharges(
            self._charge(subscription, "2026-03-01"), (93, "2026-02-01", "2026-02-28"), (93, "2026-03-01", "2026-03-31")
        )

    def test_in_arrears_a_period_is_charged_when_it_is_over(self):
        subscription = self._subscribe(package=self._new_package(timing="arrears"))
        self.assertFalse(self._charge(subscription, "2026-01-31"))
        charge = self._charge(subscription, "2026-02-01")
        self.assertCharges(charge, (100, "2026-01-01", "2026-01-31"))
        self.assertEqual(charge.date, self._date("2026-01-31"))

    def test_running_twice_charges_once(self):
        subscription = self._subscribe(setup_fee=10)
        self.assertEqual(len(self._charge(subscription, "2026-03-15")), 4)
        for until in ("2026-03-15", "2026-01-01", "2026-03-31"):
            self.assertFalse(self._charge(subscription, until))

    def test_the_preview_is_what_is_made(self):
        subscription = self._subscribe(setup_fee=10)
        until = self._date("2026-02-20")
        preview = subscription._preview_charges(until)
        self.assertFalse(subscription.charge_ids)
        made = subscription._make_charges(until)
        self.assertEqual(
            [(values["name"], values["subscription_amount"]) for values in preview],
            [(charge.name, charge.amount) for charge in made],
        )

    def test_many_subscriptions_cost_few_queries(self):
        def queries(number):
            subscriptions = self.env["billing.subscription"].union(*(self._subscribe() for _ in range(number)))
            self.env.flush_all()
            self.env.invalidate_all()
            before = self.env.cr.sql_log_count
            subscriptions._preview_charges(self._date("2026-06-01"))
            return self.env.cr.sql_log_count - before

        queries(1)
        self.assertLessEqual(queries(30), queries(2))

    def test_an_unbilled_end_and_a_stub_at_the_start_are_prorated(self):
        subscription = self._subscribe("2026-01-22", anchor_day=1, date_end="2026-02-14")
        charges = self._charge(subscription, "2026-03-01")
        self.assertCharges(charges, (30, "2026-01-22", "2026-01-31"), (46.5, "2026-02-01", "2026-02-14"))
        stub = charges.sorted("period_start")[0]
        self.assertEqual((stub.quantity, stub.price_unit), (1, 30))
        self.assertEqual(stub.name, "3 × Hosting, 10 of 31 days\n01/22/2026 – 01/31/2026")

    def test_without_proration_a_part_costs_the_whole(self):
        subscription = self._subscribe(
            "2026-01-22", package=self._new_package(proration="none"), anchor_day=1, date_end="2026-02-14"
        )
        self.assertCharges(
            self._charge(subscription, "2026-03-01"),
            (100, "2026-01-22", "2026-01-31"),
            (100, "2026-02-01", "2026-02-14"),
        )

    def test_the_31st(self):
        subscription = self._subscribe("2026-01-31")
        charges = self._charge(subscription, "2026-03-31")
        self.assertEqual(
            [str(day) for day in charges.mapped("period_start")], ["2026-01-31", "2026-02-28", "2026-03-31"]
        )

    def test_a_billing_day_of_the_client_is_a_hook(self):
        with patch.object(
            type(self.env["billing.subscription"]), "_prepare_anchor", lambda self, partner, start: start.replace(day=5)
        ):
            subscription = self._subscribe("2026-01-22")
        self.assertEqual(subscription.phase_ids.anchor_date, self._date("2026-01-05"))
        self.assertEqual(self._charge(subscription, "2026-01-22").period_end, self._date("2026-02-04"))

    # -- trial, setup fee ---------------------------------------------------------------------------------------------

    def test_a_trial_is_free_and_periods_begin_after_it(self):
        package = self._new_package(trial_days=14, setup_fee=25)
        with Form(self.env["billing.subscription"]) as form:
            form.partner_id = self.client
            form.date_start = "2026-01-10"
            form.package_id = package
            self.assertEqual((str(form.trial_end), form.setup_fee), ("2026-01-23", 25))
        subscription = form.save()
        self.assertEqual(subscription.state, "trial")
        fee = self._charge(subscription, "2026-01-23")
        self.assertEqual((fee.amount, fee.subscription_part, fee.name), (25, -1, "Hosting, setup"))
        self.assertCharges(self._charge(subscription, "2026-02-20"), (100, "2026-01-24", "2026-02-23"))
        self.assertFalse(self._charge(subscription, "2026-02-20"))

    def test_the_setup_fee_comes_once_whatever_becomes_of_it(self):
        subscription = self._subscribe(setup_fee=25)
        fee = self._charge(subscription, "2026-01-01").filtered(lambda charge: charge.subscription_part == -1)
        fee.action_discard()
        self._charge(subscription, "2026-05-01")
        self.assertEqual(len(subscription.charge_ids.filtered(lambda charge: charge.subscription_part == -1)), 1)

    def test_cancelled_before_the_start_nothing_is_charged(self):
        subscription = self._subscribe("2026-02-01", setup_fee=25)
        subscription._cancel(self._date("2026-01-15"))
        self.assertFalse(self._charge(subscription, "2026-04-01"))

    # -- changes ------------------------------------------------------------------------------------------------------

    def _change(self, subscription, day, **values):
        phase = subscription._phase_on(self._date(day))
        return subscription._change(
            self._date(day),
            values.get("package", phase.package_id),
            values.get("quantity", phase.quantity),
            values.get("price", phase.price_unit),
            values.get("discount", phase.discount),
        )

    def test_more_in_the_middle_of_a_charged_period_costs_the_difference(self):
        subscription = self._subscribe()
        self._charge(subscription, "2026-01-01")
        self._change(subscription, "2026-01-22", quantity=5)
        correction = self._charge(subscription, "2026-01-15")
        self.assertCharges(correction, (20, "2026-01-01", "2026-01-31"))
        self.assertIn("5 × Hosting", correction.name)
        self.assertFalse(self._charge(subscription, "2026-01-31"))
        self.assertCharges(self._charge(subscription, "2026-02-01"), (155, "2026-02-01", "2026-02-28"))

    def test_less_in_the_middle_of_a_charged_period_gives_the_difference_back(self):
        subscription = self._subscribe()
        self._charge(subscription, "2026-01-01")
        self._change(subscription, "2026-01-22", quantity=1)
        self.assertCharges(self._charge(subscription, "2026-01-15"), (-20, "2026-01-01", "2026-01-31"))

    def test_a_change_before_charging_splits_the_period(self):
        subscription = self._subscribe()
        self._change(subscription, "2026-01-22", quantity=5)
        self.assertCharges(
            self._charge(subscription, "2026-01-22"), (63, "2026-01-01", "2026-01-21"), (50, "2026-01-22", "2026-01-31")
        )

    def test_without_proration_a_change_waits_for_the_next_period(self):
        subscription = self._subscribe(package=self._new_package(proration="none"))
        self._charge(subscription, "2026-01-01")
        self._change(subscription, "2026-01-22", quantity=5)
        self.assertFalse(self._charge(subscription, "2026-01-31"))
        self.assertCharges(self._charge(subscription, "2026-02-01"), (500, "2026-02-01", "2026-02-28"))

    def test_another_package_gives_back_the_one_and_charges_the_other(self):
        subscription = self._subscribe()
        self._charge(subscription, "2026-01-01")
        self._change(subscription, "2026-01-22", package=self.bigger, quantity=1, price=62)
        corrections = self._charge(subscription, "2026-01-15")
        self.assertEqual(
            {charge.package_id: charge.amount for charge in corrections}, {self.package: -30, self.bigger: 20}
        )
        self.assertFalse(self._charge(subscription, "2026-01-15"))

    def test_another_interval_cuts_the_period_and_each_day_is_billed_once(self):
        subscription = self._subscribe()
        self._charge(subscription, "2026-01-01")
        yearly = self._new_package("Yearly", price=365, interval_unit="year")
        self._change(subscription, "2026-01-11", package=yearly, quantity=1, price=365)
        charges = self._charge(subscription, "2026-01-15")
        self.assertCharges(charges, (-63, "2026-01-01", "2026-01-10"), (365, "2026-01-11", "2027-01-10"))
        self.assertFalse(self._charge(subscription, "2027-01-10"))
        self.assertAsked(subscription, 30 + 365)
        days = [
            period.first + number * ONE_DAY
            for period in subscription._periods(self._date("2028-01-01"))
            for number in range((period.last - period.first).days + 1)
        ]
        self.assertEqual(len(days), len(set(days)))
        self.assertEqual(days[-1] - days[0], (len(days) - 1) * ONE_DAY)

    def test_a_change_of_the_past_takes_back_periods_that_are_no_more(self):
        subscription = self._subscribe("2025-11-01")
        self._charge(subscription, "2026-01-15")
        weekly = self._new_package("Weekly", price=7, interval_unit="week")
        self._change(subscription, "2025-12-11", package=weekly, quantity=1, price=7)
        self._charge(subscription, "2026-01-15")
        # November whole, ten days of December, and each of the weeks that began since.
        self.assertAsked(subscription, 93 + 30 + 6 * 7)
        self.assertFalse(self._charge(subscription, "2026-01-15"))

    def test_a_pause_gives_back_its_days_and_resuming_charges_the_rest(self):
        subscription = self._subscribe()
        self._charge(subscription, "2026-01-01")
        subscription._pause(self._date("2026-01-22"))
        self.assertCharges(self._charge(subscription, "2026-01-15"), (-30, "2026-01-01", "2026-01-31"))
        self.assertFalse(self._charge(subscription, "2026-02-20"))
        subscription._resume(self._date("2026-02-15"))
        self.assertCharges(self._charge(subscription, "2026-02-20"), (46.5, "2026-02-15", "2026-02-28"))
        self.assertCharges(self._charge(subscription, "2026-03-01"), (93, "2026-03-01", "2026-03-31"))

    def test_without_proration_a_pause_frees_the_periods_that_begin_in_it(self):
        subscription = self._subscribe(package=self._new_package(proration="none"))
        self._charge(subscription, "2026-01-01")
        subscription._pause(self._date("2026-01-22"))
        subscription._resume(self._date("2026-02-15"))
        self.assertCharges(self._charge(subscription, "2026-03-01"), (100, "2026-03-01", "2026-03-31"))

    def test_cancelling_now_gives_back_the_rest(self):
        subscription = self._subscribe()
        self._charge(subscription, "2026-01-01")
        subscription._cancel(self._date("2026-01-21"))
        credit = self._charge(subscription, "2026-01-21")
        self.assertCharges(credit, (-30, "2026-01-01", "2026-01-21"))
        self.assertIn("ended on 01/21/2026", credit.name)
        self.assertFalse(self._charge(subscription, "2026-06-01"))

    def test_cancelling_takes_back_what_was_charged_ahead(self):
        subscription = self._subscribe()
        self._charge(subscription, "2026-03-01")
        subscription._cancel(self._date("2026-01-31"))
        self._charge(subscription, "2026-01-15")
        self.assertAsked(subscription, 93)
        self.assertFalse(self._charge(subscription, "2026-06-01"))

    def test_planned_changes_follow_up_to_their_own(self):
        subscription = self._subscribe()
        subscription._pause(self._date("2026-03-01"))
        subscription._resume(self._date("2026-04-01"))
        self._change(subscription, "2026-02-01", quantity=5)
        self.assertEqual(subscription.phase_ids.sorted("date_from").mapped("quantity"), [3, 5, 5, 5])
        self._change(subscription, "2026-05-01", quantity=8)
        self._change(subscription, "2026-02-15", quantity=6)
        self.assertEqual(subscription.phase_ids.sorted("date_from").mapped("quantity"), [3, 5, 6, 6, 6, 8])
        self.assertEqual(
            subscription.phase_ids.sorted("date_from").mapped("paused"), [False, False, False, True, False, False]
        )
        # Paused sooner, it is resumed on the day on which it was to be resumed.
        subscription._pause(self._date("2026-02-20"))
        self.assertEqual(
            subscription.phase_ids.sorted("date_from").mapped("paused"),
            [False, False, False, True, True, False, False],
        )

    def test_a_price_rises_by_percent_and_what_is_planned_with_it(self):
        subscription = self._subscribe()
        self._change(subscription, "2026-03-01", price=40)
        subscription._raise_price(10, self._date("2026-02-01"))
        self.assertEqual(subscription.phase_ids.sorted("date_from").mapped("price_unit"), [31, 34.1, 44])
        self.assertIn("+10 % from 02/01/2026", subscription.message_ids[0].body)

    def test_editing_the_package_changes_no_subscription(self):
        subscription = self._subscribe()
        self._charge(subscription, "2026-01-01")
        self.package.write({"price_unit": 1, "interval_unit": "year", "proration": "none", "timing": "arrears"})
        self.assertCharges(self._charge(subscription, "2026-02-01"), (93, "2026-02-01", "2026-02-28"))

    def test_terms_change_by_the_button_and_never_before_the_start_or_after_the_end(self):
        subscription = self._subscribe(date_end="2026-02-28")
        with self.assertRaisesRegex(UserError, "use the button"):
            subscription.quantity = 7
            subscription.flush_recordset()
        with self.assertRaisesRegex(UserError, "cannot change before"):
            subscription._pause(self._date("2025-12-31"))
        with self.assertRaisesRegex(UserError, "nothing changes after"):
            subscription._pause(self._date("2026-03-01"))
        with self.assertRaisesRegex(UserError, "not paused"):
            subscription._resume(self._date("2026-02-01"))

    def test_the_start_moves_until_something_is_charged(self):
        subscription = self._subscribe()
        subscription.date_start = "2026-01-08"
        self.assertEqual(subscription.phase_ids.date_from, self._date("2026-01-08"))
        self.assertCharges(self._charge(subscription, "2026-01-08"), (93, "2026-01-08", "2026-02-07"))
        with self.assertRaisesRegex(UserError, "has charges already"):
            subscription.date_start = "2026-01-01"
        with self.assertRaisesRegex(UserError, "Cancel it instead"):
            subscription.unlink()

    def test_whatever_changes_when_it_is_charged_once(self):
        """Random changes, charged in between at random: in the end all that was asked for is what the terms say."""
        packages = [
            self.package,
            self.bigger,
            self._new_package("Weekly", price=9.99, interval_unit="week"),
            self._new_package("Afterwards", price=77.77, timing="arrears", interval_count=2),
            self._new_package("Whole", price=50, proration="none"),
        ]
        for seed in range(12):
            chance = Random(seed)
            subscription = self._subscribe(
                package=chance.choice(packages), anchor_day=chance.choice([0, 1, 17, 31]), setup_fee=5
            )
            latest = self._date("2026-01-01")
            for _step in range(8):
                day = self._date("2026-01-01") + chance.randrange(150) * ONE_DAY
                what = chance.choice(["terms", "terms", "package", "pause", "resume", "cancel", "charge", "charge"])
                phase = subscription._phase_on(day)
                if what == "charge":
                    latest = max(latest, day)
                    subscription._make_charges(day)
                elif what == "cancel":
                    subscription.date_end = chance.choice([day, False])
                elif subscription.date_end and day > subscription.date_end:
                    continue
                elif what in ("pause", "resume"):
                    if phase.paused == (what == "resume"):
                        (subscription._pause if what == "pause" else subscription._resume)(day)
                else:
                    package = chance.choice(packages) if what == "package" else phase.package_id
                    subscription._change(day, package, chance.randrange(1, 9), chance.randrange(1, 9999) / 100, 0)
            with self.subTest(seed=seed):
                subscription._make_charges(latest)
                self.assertFalse(subscription._make_charges(latest))
                charged = {charge.subscription_period for charge in subscription.charge_ids}
                periods = list(subscription._periods(max(charged | {latest})))
                asked = sum(
                    part.amount
                    for period in periods
                    if subscription._is_due(period, latest) or period.first in charged
                    for part in subscription._asked_for(period)
                )
                self.assertAsked(subscription, asked + 5)

    # -- its charges --------------------------------------------------------------------------------------------------

    def test_what_was_discarded_does_not_come_back(self):
        subscription = self._subscribe()
        charge = self._charge(subscription, "2026-01-01")
        with self.assertRaisesRegex(UserError, "discard it instead"):
            charge.unlink()
        charge.action_discard()
        self.assertFalse(self._charge(subscription, "2026-01-31"))

    def test_nothing_is_given_back_of_a_period_that_was_discarded(self):
        def cut(day="2026-01-21"):
            return lambda subscription: subscription._cancel(self._date(day))

        changes = {
            "shortened": cut(),
            "cancelled from its first day": cut("2025-12-31"),
            "fewer": lambda subscription: self._change(subscription, "2026-01-11", quantity=1),
            "paused": lambda subscription: subscription._pause(self._date("2026-01-11")),
            "cheaper": lambda subscription: self._change(
                subscription, "2026-01-11", package=self.bigger, quantity=1, price=62
            ),
        }
        for what, change in changes.items():
            with self.subTest(what):
                subscription = self._subscribe()
                charge = self._charge(subscription, "2026-01-01")
                charge.action_discard()
                change(subscription)
                self.assertFalse(self._charge(subscription, "2026-01-31"))
                # Billed after all, it is corrected like any other.
                charge.action_reopen()
                corrections = self._charge(subscription, "2026-01-31")
                self.assertTrue(corrections)
                self.assertLess(sum(corrections.mapped("amount")), 0)
                self.assertFalse(self._charge(subscription, "2026-01-31"))

    def test_nothing_is_given_back_of_an_invoice_that_was_voided_for_good(self):
        subscription = self._subscribe()
        charge = self._charge(subscription, "2026-01-01")
        self._finalized(charge)._billing_void("Never agreed", charge)
        self.assertEqual(charge.state, "discarded")
        subscription._cancel(self._date("2026-01-21"))
        self.assertFalse(self._charge(subscription, "2026-01-31"))

    def test_what_was_given_back_of_a_charge_that_is_then_discarded_is_taken_back(self):
        subscription = self._subscribe()
        charge = self._charge(subscription, "2026-01-01")
        subscription._cancel(self._date("2026-01-21"))
        credit = self._charge(subscription, "2026-01-15")
        self.assertEqual(credit.amount, -30)
        self._finalized(charge)._billing_void("Never agreed", charge)
        self.assertEqual(self._charge(subscription, "2026-01-15").amount, 30)
        self.assertFalse(self._charge(subscription, "2026-01-15"))

    def test_an_open_charge_and_what_is_given_back_of_it_make_what_is_due(self):
        subscription = self._subscribe()
        charge = self._charge(subscription, "2026-01-01")
        subscription._cancel(self._date("2026-01-21"))
        charge |= self._charge(subscription, "2026-01-15")
        self.assertEqual(self._draft(charge).amount_untaxed, 63)

    def test_more_than_was_discarded_is_charged(self):
        subscription = self._subscribe()
        self._charge(subscription, "2026-01-01").action_discard()
        self._change(subscription, "2026-01-22", quantity=5)
        self.assertEqual(self._charge(subscription, "2026-01-31").amount, 20)
        self._change(subscription, "2026-01-22", quantity=3)
        self.assertEqual(self._charge(subscription, "2026-01-31").amount, -20)
        self._change(subscription, "2026-01-22", quantity=1)
        self.assertFalse(self._charge(subscription, "2026-01-31"))

    def test_of_a_divided_period_only_the_days_that_were_billed_are_given_back(self):
        for discarded, last, expected in (
            (0, "2026-01-26", -25),
            (0, "2026-01-10", -50),
            (1, "2026-01-26", 0),
            (1, "2026-01-10", -33),
        ):
            with self.subTest(discarded=discarded, last=last):
                subscription = self._subscribe()
                self._change(subscription, "2026-01-22", quantity=5)
                charges = self._charge(subscription, "2026-01-22").sorted("subscription_part")
                self.assertEqual(charges.mapped("amount"), [63, 50])
                charges[discarded].action_discard()
                subscription._cancel(self._date(last))
                self.assertEqual(sum(self._charge(subscription, "2026-01-31").mapped("amount")), expected)
                self.assertFalse(self._charge(subscription, "2026-01-31"))

    def test_a_pause_in_the_billed_part_of_a_period_is_given_back(self):
        subscription = self._subscribe()
        self._change(subscription, "2026-01-22", quantity=5)
        charges = self._charge(subscription, "2026-01-22").sorted("subscription_part")
        charges[1].action_discard()
        subscription._pause(self._date("2026-01-12"))
        subscription._resume(self._date("2026-01-22"))
        self.assertEqual(self._charge(subscription, "2026-01-31").amount, -30)

    def test_a_correction_that_was_discarded_stays_so(self):
        subscription = self._subscribe()
        self._charge(subscription, "2026-01-01")
        subscription._cancel(self._date("2026-01-21"))
        self._charge(subscription, "2026-01-15").action_discard()
        self.assertFalse(self._charge(subscription, "2026-01-15"))
        subscription.date_end = False
        self.assertFalse(self._charge(subscription, "2026-01-15"))
        subscription._cancel(self._date("2026-01-11"))
        # What was kept of the first time is kept; the ten days more are given back.
        self.assertEqual(self._charge(subscription, "2026-01-15").amount, -30)

    def test_of_a_charge_that_was_edited_to_less_as_much_less_is_given_back(self):
        for until, expected in (("2026-01-21", -12.9), ("2025-12-31", -40)):
            with self.subTest(until):
                subscription = self._subscribe()
                charge = self._charge(subscription, "2026-01-01")
                charge.write({"quantity": 2, "price_unit": 20})
                subscription._cancel(self._date(until))
                self.assertEqual(self._charge(subscription, "2026-01-31").amount, expected)
                self.assertFalse(self._charge(subscription, "2026-01-31"))

    def test_of_a_line_that_was_edited_to_nothing_nothing_is_given_back(self):
        subscription = self._subscribe()
        invoice = self._draft(self._charge(subscription, "2026-01-01"))
        invoice.invoice_line_ids.price_unit = 0
        subscription._cancel(self._date("2026-01-21"))
        self.assertFalse(self._charge(subscription, "2026-01-31"))

    def test_an_edited_charge_stays_as_it_is(self):
        subscription = self._subscribe()
        charge = self._charge(subscription, "2026-01-01")
        charge.write({"quantity": 2, "price_unit": 20, "name": "Agreed by phone"})
        self.assertFalse(self._charge(subscription, "2026-01-31"))
        self._change(subscription, "2026-01-22", quantity=5)
        self.assertEqual(self._charge(subscription, "2026-01-31").amount, 20)
        self.assertEqual(charge.amount, 40)
        with self.assertRaisesRegex(UserError, "stays with its package"):
            charge.package_id = self.bigger

    def test_only_a_subscription_says_what_it_charged(self):
        subscription = self._subscribe()
        charge = self._charge(subscription, "2026-01-01")
        for values in ({"subscription_amount": 0}, {"subscription_period": "2026-02-01"}, {"subscription_id": False}):
            with self.assertRaisesRegex(UserError, "Only a subscription"):
                charge.write(values)
            with self.assertRaisesRegex(UserError, "Only a subscription"):
                self._new_charge(**values)

    def test_the_database_refuses_a_second_charge_for_a_period(self):
        charge = self._charge(self._subscribe(), "2026-01-01")
        charge.action_discard()
        with mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError), self.env.cr.savepoint():
            self.env.cr.execute(
                """
                INSERT INTO billing_charge (name, company_id, partner_id, currency_id, date, origin, subscription_id,
                                            subscription_period, subscription_part, subscription_amount)
                SELECT name, company_id, partner_id, currency_id, date, origin, subscription_id,
                       subscription_period, subscription_part, 1
                  FROM billing_charge WHERE id = %s
                """,
                [charge.id],
            )

    def test_losing_a_race_is_no_error(self):
        """Somebody else charged one of them after we looked."""
        lost, won = self._subscribe(), self._subscribe()
        asked = (lost + won)._preview_charges(self._date("2026-01-01"))
        self._charge(lost, "2026-01-01")
        with mute_logger("odoo.sql_db"), patch.object(type(lost), "_preview_charges", lambda self, until: asked):
            made = (lost + won)._make_charges(self._date("2026-01-01"))
        self.assertEqual(made.subscription_id, won)
        self.assertEqual((lost.charge_count, won.charge_count), (1, 1))

    def test_charges_are_drafted_like_any_other(self):
        subscription = self._subscribe(project_id=self.project.id, reference="shop.example")
        invoice = self._draft(self._charge(subscription, "2026-02-01"))
        self.assertEqual(invoice.amount_untaxed, 186)
        self.assertEqual(invoice.billing_project_id, self.project)
        self.assertTrue(invoice.invoice_line_ids[0].name.startswith("Hosting, shop.example\n"))

    def test_two_currencies_and_the_taxes_of_the_clients_place(self):
        euro = self.env.ref("base.EUR").sudo()
        euro.active = True
        self.package.price_ids = [Command.create({"currency_id": euro.id, "price_unit": 28})]
        position = self.env["account.fiscal.position"].sudo().create({"name": "Abroad", "company_id": self.company.id})
        self.tax_sale_b.sudo().write(
            {"fiscal_position_ids": [Command.link(position.id)], "original_tax_ids": self.tax_sale_a}
        )
        abroad = self._new_client("Far", property_account_position_id=position.id)
        with Form(self.env["billing.subscription"].with_context(default_currency_id=euro.id)) as form:
            form.partner_id = abroad
            form.date_start = "2026-01-01"
            form.package_id = self.package
            self.assertEqual(form.price_unit, 28)
        in_euro = form.save()
        charges = (in_euro + self._subscribe())._make_charges(self._date("2026-01-01"))
        self.assertEqual(
            {(charge.currency_id, charge.amount, charge.tax_ids) for charge in charges},
            {(euro, 84, self.tax_sale_b), (self.company.currency_id, 93, self.tax_sale_a)},
        )

    def test_the_period_is_written_as_the_client_writes_dates(self):
        self.env["res.lang"].sudo()._activate_lang("fr_FR")
        self.package.with_context(lang="fr_FR").name = "Hébergement"
        client = self._new_client("Lyon", lang="fr_FR")
        charge = self._charge(self._subscribe(partner_id=client.id), "2026-01-01")
        self.assertEqual(charge.name, "Hébergement\n01/01/2026 – 31/01/2026")
        line = self._draft(charge).invoice_line_ids
        # The document does not say it a second time.
        self.assertEqual(line.with_context(lang="fr_FR")._billing_document_period(), "")

    # -- states -------------------------------------------------------------------------------------------------------

    def test_states_are_found_and_grouped_as_computed(self):
        subscriptions = {
            "upcoming": self._subscribe("2026-02-01"),
            "trial": self._subscribe("2026-01-10", trial_end="2026-01-20"),
            "running": self._subscribe("2025-12-01"),
            "paused": self._subscribe("2025-12-01"),
            "ended": self._subscribe("2025-12-01", date_end="2026-01-14"),
        }
        subscriptions["paused"]._pause(self._date("2026-01-10"))
        subscriptions["running"]._pause(self._date("2026-02-10"))
        self._change(subscriptions["running"], "2026-01-12", package=self.bigger)
        model, ours = self.env["billing.subscription"], ("partner_id", "=", self.client.id)
        for state, subscription in subscriptions.items():
            with self.subTest(state):
                self.assertEqual(subscription.state, state)
                self.assertEqual(model.search([ours, ("state", "=", state)]), subscription)
        groups = model._read_group([ours], ["state"], ["__count"])
        self.assertEqual(groups, [(state, 1) for state in subscriptions])
        self.assertEqual(model.search([ours, ("package_id", "=", self.bigger.id)]), subscriptions["running"])
        packages = model.formatted_read_group([ours], ["package_id"], ["__count"])
        self.assertEqual(sorted(group["__count"] for group in packages), [1, 4])

    def test_the_day_is_the_clients(self):
        self._new_client("Auckland", tz="Pacific/Auckland")
        far = self._new_client("Kiritimati", tz="Pacific/Kiritimati")
        subscription = self._subscribe("2026-01-16", partner_id=far.id)
        self.assertEqual(subscription.state, "running")
        self.assertEqual(
            self.env["billing.subscription"].search([("state", "=", "running"), ("partner_id", "=", far.id)]),
            subscription,
        )

    def test_amounts_per_period_and_per_month(self):
        yearly = self._new_package("Yearly", price=120, interval_unit="year")
        subscription = self._subscribe(package=yearly, discount=10)
        self.assertEqual((subscription.amount, subscription.amount_monthly), (108, 9))

    # -- who and where ------------------------------------------------------------------------------------------------

    def test_a_project_of_another_client_is_refused(self):
        with self.assertRaisesRegex(ValidationError, "is billed to"):
            self._subscribe(project_id=self._new_project("Bolt shop", self.other_client).id)

    def test_who_may(self):
        subscription = self._subscribe()
        portal = self._new_portal_user(self.client, "anna")
        for user in (portal, self._new_user("clerk", "account.group_account_invoice")):
            for record in (subscription, subscription.phase_ids):
                with self.assertRaises(AccessError):
                    record.with_user(user).read(["display_name"])

    def test_another_companys_subscription_is_not_seen(self):
        other = self._new_company("Elsewhere")
        self.package.sudo().company_id = False
        theirs = (
            self.env["billing.subscription"]
            .sudo()
            .create({"partner_id": self.client.id, "company_id": other.id, "package_id": self.package.id})
        )
        self.assertNotIn(theirs.id, self.env["billing.subscription"].search([]).ids)
        with self.assertRaises(AccessError):
            theirs.with_env(self.env).read(["state"])
        self.assertEqual(theirs._make_charges(theirs.date_start).company_id, other)

    def test_a_contact_stands_for_its_company(self):
        contact = self.env["res.partner"].sudo().create({"name": "Desk", "parent_id": self.client.id})
        self.assertEqual(self._subscribe(partner_id=contact.id).partner_id, self.client)


@tagged("post_install", "-at_install")
@freeze_time("2026-01-15 12:00:00")
class TestSubscriptionWizards(SubscriptionCommon):
    def _wizard(self, action, **values):
        wizard = self.env[action["res_model"]].browse(action["res_id"])
        wizard.write(values)
        wizard.action_confirm()

    def test_a_simple_subscription_in_the_form(self):
        with Form(self.env["billing.subscription"]) as form:
            self.assertFalse(form.interval)
            form.partner_id = self.client
            form.package_id = self.package
            self.assertEqual(form.interval, "Every month")
            self.assertEqual((form.quantity, form.price_unit, form.amount), (3, 31, 93))
            form.quantity = 4
        subscription = form.save()
        self.assertEqual(subscription.phase_ids.date_from, self._date("2026-01-15"))
        self.assertEqual((subscription.quantity, subscription.price_unit, subscription.amount), (4, 31, 124))
        self.assertEqual((subscription.interval, subscription.state), ("Every month", "running"))

    def test_a_change_at_the_next_period_or_from_a_day_on(self):
        subscription = self._subscribe()
        with Form(self.env["billing.subscription.change"].browse(subscription.action_change()["res_id"])) as form:
            self.assertEqual(str(form.date), "2026-02-01")
            form.package_id = self.bigger
            self.assertEqual(form.price_unit, 62)
            form.package_id = self.package
            self.assertEqual(form.price_unit, 31)
            form.quantity = 5
        form.save().action_confirm()
        self.assertEqual(
            [(str(phase.date_from), phase.quantity) for phase in subscription.phase_ids.sorted("date_from")],
            [("2026-01-01", 3), ("2026-02-01", 5)],
        )
        self.assertIn("From 02/01/2026: 5 × Hosting", subscription.message_ids[0].body)
        self.assertEqual(subscription.quantity, 3)
        self._wizard(subscription.action_change(), when="date", date="2026-01-20", quantity=9)
        self.assertEqual(subscription.phase_ids.sorted("date_from").mapped("quantity"), [3, 9, 5])

    def test_the_summary_says_what_becomes_of_the_period(self):
        subscription = self._subscribe()
        wizard = self.env["billing.subscription.change"].browse(subscription.action_change()["res_id"])
        self.assertNotIn("divided by days", wizard.summary)
        wizard.write({"when": "date", "date": "2026-01-20"})
        self.assertIn("The period 01/01/2026 – 01/31/2026 is divided by days", " ".join(wizard.summary.split()))
        self.assertNotIn("is charged already", wizard.summary)
        self._charge(subscription, "2026-01-01")
        wizard.invalidate_recordset(["summary"])
        self.assertIn("The period 01/01/2026 – 01/31/2026 is charged already", " ".join(wizard.summary.split()))

    def test_pause_resume_and_cancel(self):
        subscription = self._subscribe()
        self._wizard(subscription.action_pause(), when="now")
        self.assertEqual(subscription.state, "paused")
        self._wizard(subscription.action_resume(), when="date", date="2026-01-20")
        self.assertEqual(
            [(str(phase.date_from), phase.paused) for phase in subscription.phase_ids.sorted("date_from")],
            [("2026-01-01", False), ("2026-01-15", True), ("2026-01-20", False)],
        )
        for when, last in (("period", "2026-01-31"), ("now", "2026-01-15")):
            self._wizard(subscription.action_cancel(), when=when)
            self.assertEqual(str(subscription.date_end), last)
        self._wizard(subscription.action_cancel(), when="date", date="2026-03-10")
        self.assertEqual(str(subscription.date_end), "2026-03-10")
        self.assertIn("03/10/2026 is the last day", "".join(subscription.message_ids.mapped("body")))

    def test_prices_of_many_rise_and_the_clients_are_told(self):
        self.client.sudo().billing_email_to = "accounts@acme.example"
        subscriptions = self._subscribe() + self._subscribe("2026-01-10", partner_id=self.other_client.id)
        self._wizard(subscriptions.action_raise_price(), percent=10, notify=True)
        self.assertEqual(
            [(str(phase.date_from), phase.price_unit) for phase in subscriptions.phase_ids.sorted("date_from")],
            [("2026-01-01", 31), ("2026-01-10", 31), ("2026-02-01", 34.1), ("2026-02-10", 34.1)],
        )
        mails = self.env["mail.mail"].sudo().search([("model", "=", "billing.subscription")])
        self.assertEqual(set(mails.mapped("state")), {"outgoing"})
        self.assertEqual(
            sorted(mails.mapped("email_to")), ['"Bolt" <billing@bolt.example.com>', "accounts@acme.example"]
        )
        body = mails.filtered(lambda mail: "acme" in mail.email_to).body_html
        for text in ("02/01/2026", "34.10", "31.00", "Hosting"):
            self.assertIn(text, body)

    def test_what_has_ended_is_not_cancelled_again(self):
        subscription = self._subscribe("2025-12-01", date_end="2026-01-10")
        with self.assertRaisesRegex(UserError, "ended on 01/10/2026 already"):
            self._wizard(subscription.action_cancel(), when="now")

    def test_a_planned_change_can_be_withdrawn(self):
        subscription = self._subscribe()
        subscription._pause(self._date("2026-02-01"))
        first, planned = subscription.phase_ids.sorted("date_from")
        self.assertEqual((first.is_planned, planned.is_planned), (False, True))
        planned.action_withdraw()
        self.assertEqual(subscription.phase_ids, first)
        with self.assertRaisesRegex(UserError, "planned for a later day"):
            first.action_withdraw()
        with self.assertRaisesRegex(UserError, "Terms change from a day on"):
            first.unlink()

    def test_next_charges_are_shown(self):
        subscription = self._subscribe("2026-02-01")
        self.assertEqual(str(subscription.next_charge_date), "2026-02-01")
        self.assertIn("93.00", subscription.upcoming)
        self.assertEqual(subscription.action_make_charges()["tag"], "display_notification")
        running = self._subscribe()
        action = running.action_make_charges()
        self.assertEqual(self.env["billing.charge"].browse(action["res_id"]), running.charge_ids)
        self.assertEqual(str(running.next_charge_date), "2026-02-01")
        running._cancel(self._date("2026-01-31"))
        self.assertFalse(running.next_charge_date)
        self.assertIs(running.upcoming, False, "anything else would be shown as a text")

    def test_the_client_shows_its_subscriptions(self):
        self._subscribe()
        self._subscribe(date_end="2026-01-10")
        self.assertEqual(self.client.billing_subscription_count, 1)
        action = self.client.action_billing_subscriptions()
        self.assertEqual(self.env["billing.subscription"].search_count(action["domain"]), 2)

    def test_no_context_smuggles_a_charged_period_in(self):
        subscription = self._subscribe()
        smuggle = {
            "default_subscription_id": subscription.id,
            "default_subscription_period": "2026-01-01",
            "default_subscription_part": 0,
            "default_subscription_amount": 93,
            "default_discarded": True,
            "default_run_client_id": 1,
        }
        charge = (
            self.env["billing.charge"]
            .with_context(**smuggle)
            .create({"name": "x", "partner_id": self.client.id, "price_unit": 0.01})
        )
        self.assertFalse(charge.subscription_id or charge.discarded or charge.run_client_id)

    def test_what_was_charged_and_agreed_stays_with_its_subscription(self):
        subscription, other = self._subscribe(), self._subscribe()
        charge = subscription._make_charges(self._date("2026-01-01"))
        for values in ({"partner_id": self.other_client.id}, {"origin": "manual"}):
            with self.assertRaisesRegex(UserError, "stays with its client"):
                charge.write(values)
        for values in ({"subscription_id": other.id}, {"company_id": self.company.id}):
            with self.assertRaisesRegex(UserError, "Terms change from a day on"):
                subscription.phase_ids.write(values)

    def test_terms_are_not_rewritten_past_the_history(self):
        subscription = self._subscribe()
        phase = subscription.phase_ids
        context = {"billing_grant": True, "default_subscription_id": subscription.id}
        for values in (
            {"price_unit": 1},
            {"quantity": 1},
            {"discount": 50},
            {"anchor_date": "2026-01-05"},
            {"interval_count": 2},
            {"timing": "arrears"},
            {"proration": "none"},
            {"paused": True},
            {"date_from": "2026-01-02"},
        ):
            with self.subTest(values), self.assertRaisesRegex(UserError, "Terms change from a day on"):
                phase.with_context(**context).write(values)
        for command in (
            Command.update(phase.id, {"price_unit": 1}),
            Command.delete(phase.id),
            Command.clear(),
            Command.create({"date_from": "2026-01-10", "package_id": self.package.id}),
        ):
            with self.subTest(command), self.assertRaisesRegex(UserError, "Terms change from a day on"):
                subscription.with_context(**context).phase_ids = [command]
        with self.assertRaisesRegex(UserError, "Terms change from a day on"):
            phase.copy({"date_from": "2026-01-10"})
        self.assertEqual((phase.price_unit, phase.quantity, subscription.phase_ids), (31, 3, phase))

    def test_a_subscription_comes_with_its_terms_and_no_others(self):
        other = self._subscribe().phase_ids
        first = {"date_from": "2026-01-01", "package_id": self.package.id, "price_unit": 5}
        later = {"date_from": "2026-03-01", "package_id": self.bigger.id}

        def subscribe(phase_ids=None, **values):
            values = {"partner_id": self.client.id, "date_start": "2026-01-01", **values}
            return self.env["billing.subscription"].create(
                values if phase_ids is None else {**values, "phase_ids": phase_ids}
            )

        subscription = subscribe([Command.create(later), Command.create(first)])
        self.assertEqual(subscription.phase_ids.sorted("date_from").mapped("price_unit"), [5, 62])
        for refused in (
            None,
            [],
            [Command.clear()],
            [Command.set([])],
            [Command.link(other.id)],
            [Command.set(other.ids)],
        ):
            with self.subTest(refused), self.assertRaisesRegex(UserError, "Choose the package"):
                subscribe(refused)
        with self.assertRaisesRegex(ValidationError, "begin on the day on which it starts"):
            subscribe([Command.create(later)])
        self.assertTrue(other.subscription_id)
        # Terms that are created with it open no way to what it charged.
        with self.assertRaisesRegex(UserError, "Only a subscription"):
            charge = {
                "name": "x",
                "subscription_period": "2026-01-01",
                "subscription_part": 0,
                "subscription_amount": 9,
            }
            subscribe([Command.create(first)], charge_ids=[Command.create(charge)])

    def test_a_copy_has_the_same_terms(self):
        subscription = self._subscribe()
        subscription._pause(self._date("2026-02-01"))
        copy = subscription.copy()
        self.assertEqual(copy.phase_ids.sorted("date_from").mapped("paused"), [False, True])
        self.assertEqual(copy.price_unit, 31)

    def test_the_setup_fee_stays_once_there_are_charges(self):
        subscription = self._subscribe(setup_fee=25)
        subscription.setup_fee = 20
        self._charge(subscription, "2026-01-01")
        subscription.setup_fee = 20
        with self.assertRaisesRegex(UserError, "its setup fee stays"):
            subscription.setup_fee = 40

    def test_cancelled_before_its_start_it_has_ended(self):
        subscription = self._subscribe("2026-02-01")
        self._wizard(subscription.action_cancel(), when="now")
        self.assertEqual(subscription.state, "ended")
        ended = self.env["billing.subscription"].search([("state", "=", "ended"), ("partner_id", "=", self.client.id)])
        self.assertEqual(ended, subscription)
        with self.assertRaisesRegex(UserError, "was cancelled before it started"):
            self._wizard(subscription.action_cancel(), when="now")
        subscription.date_end = False
        self.assertEqual(subscription.state, "upcoming")

    def test_a_raise_shows_old_and_new_prices_before_it_is_made(self):
        subscription, ended = self._subscribe(), self._subscribe("2025-12-01", date_end="2026-01-10")
        subscription._change(self._date("2026-03-01"), self.package, 3, 40, 0)
        with Form(
            self.env["billing.subscription.increase"].browse(subscription.action_raise_price()["res_id"])
        ) as form:
            self.assertFalse(form.preview)
            form.percent = 10
            text = " ".join(form.preview.split())
        self.assertRegex(text, "02/01/2026.*31.00 → <strong>[^<]*34.10.*03/01/2026.*40.00 → <strong>[^<]*44.00")
        self.assertNotIn("Acme", text)
        wizard = self.env["billing.subscription.increase"].browse((subscription + ended).action_raise_price()["res_id"])
        wizard.percent = -10
        text = " ".join(wizard.preview.split())
        self.assertRegex(text, "Hosting, Acme.*27.90.*36.00.*ends on 01/10/2026: nothing changes after that")
        with self.assertRaisesRegex(UserError, "nothing changes after"):
            wizard.action_confirm()

    def test_questions_without_an_answer_are_asked_again(self):
        subscription = self._subscribe()
        with self.assertRaisesRegex(UserError, "Which subscription"):
            self.env["billing.subscription.change"].create({})
        for action, expected in (
            (subscription.action_pause(), "On which day"),
            (subscription.action_raise_price(), "From which day on"),
        ):
            values = {"percent": 5} if "percent" in self.env[action["res_model"]]._fields else {}
            with self.subTest(expected), self.assertRaisesRegex(UserError, expected):
                self._wizard(action, when="date", date=False, **values)

    def test_asking_about_another_companys_subscription_tells_nothing(self):
        other = self._new_company("Elsewhere")
        shared = self.package.sudo().copy({"company_id": False})
        theirs = (
            self.env["billing.subscription"]
            .sudo()
            .create({"partner_id": self.client.id, "company_id": other.id, "package_id": shared.id, "price_unit": 777})
        )
        self.env.flush_all()
        self.env.invalidate_all()
        wizards = self.env["billing.subscription.change"]
        values = {"subscription_id": theirs.id, "package_id": shared.id, "quantity": 1}
        with self.assertRaises(AccessError):
            wizards.create(values)
        own = wizards.browse(self._subscribe().action_change()["res_id"])
        with self.assertRaisesRegex(UserError, "about one subscription"):
            own.subscription_id = theirs.id
        spec = {
            f: {}
            for f in ("subscription_id", "company_id", "currency_id", "date", "package_id", "price_unit", "summary")
        }
        with self.assertRaises(AccessError):
            wizards.onchange(values, ["subscription_id"], spec)
        for model in ("billing.subscription.stop", "billing.subscription.increase"):
            values = {"subscription_ids": [Command.set(theirs.ids)], "kind": "cancel", "percent": 5}
            with self.subTest(model), self.assertRaises(AccessError):
                self.env[model].create({f: v for f, v in values.items() if f in self.env[model]._fields})
        self.assertFalse(theirs.date_end)

    def test_numbers_that_cannot_be_billed_are_refused(self):
        subscription = self._subscribe()
        for number in (float("nan"), float("inf"), 1e14, "nan", 10**400):
            for fname in ("quantity", "price_unit", "discount", "setup_fee"):
                with self.subTest(fname, number=str(number)[:9]), self.assertRaisesRegex(UserError, "can be billed"):
                    self._subscribe(**{fname: number})
            with self.assertRaisesRegex(UserError, "can be billed"):
                subscription.write({"setup_fee": number})
            for action, fname in (
                (subscription.action_raise_price(), "percent"),
                (subscription.action_change(), "price_unit"),
                (subscription.action_change(), "quantity"),
            ):
                with self.assertRaisesRegex(UserError, "can be billed"):
                    self._wizard(action, **{fname: number})

    def test_what_cannot_be_agreed_is_refused_by_the_database(self):
        for values in (
            {"quantity": -1},
            {"quantity": 0},
            {"price_unit": -5},
            {"price_unit": 9e12, "quantity": 9e12},
            {"discount": 101},
            {"discount": -1e6},
            {"setup_fee": -1},
            {"date_end": "2025-06-01"},
            {"anchor_day": 32},
        ):
            with self.subTest(values), mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError):
                with self.env.cr.savepoint():
                    self._subscribe(**values)
                    self.env.flush_all()

    def test_days_that_nobody_means_are_refused(self):
        subscription = self._subscribe()
        for day in ("0206-01-15", "9999-12-31", self._date("0001-01-01")):
            for fname in ("date_start", "date_end", "trial_end"):
                with self.subTest(fname, day=day), self.assertRaisesRegex(UserError, "Check the year"):
                    self._subscribe(**{fname: day})
                with self.subTest(fname, day=day), self.assertRaisesRegex(UserError, "Check the year"):
                    subscription.write({fname: day})
            for action in ("change", "pause", "resume", "cancel", "raise_price"):
                with self.subTest(action, day=day), self.assertRaisesRegex(UserError, "Check the year"):
                    self._wizard(getattr(subscription, f"action_{action}")(), when="date", date=day)

    def test_one_subscription_is_changed_at_a_time(self):
        with self.assertRaisesRegex(UserError, "one subscription at a time"):
            (self._subscribe() + self._subscribe()).action_change()

    def test_the_notice_is_about_the_subscription_and_nothing_else(self):
        """A template of another model would be filled from a record that happens to have the same number."""
        partner = self.env["ir.model"].sudo()._get("res.partner")
        template = self.env["mail.template"].sudo().create({"name": "Secret", "model_id": partner.id, "subject": "x"})
        action = self._subscribe().action_raise_price()
        with self.assertRaisesRegex(UserError, "is not about subscriptions"):
            self._wizard(action, percent=5, notify=True, template_id=template.id)
