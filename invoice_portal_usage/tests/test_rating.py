from unittest.mock import patch

from odoo.exceptions import AccessError
from odoo.tests import tagged

from ..models import billing_usage_rating
from .common import UsageCommon


@tagged("post_install", "-at_install")
class TestRating(UsageCommon):
    def _rate(self, destination, quantity, moment="2026-03-10T12:00:00Z"):
        self._hand_in(
            {
                "id": f"{destination}/{quantity}/{moment}",
                "destination": destination,
                "quantity": quantity,
                "moment": moment,
            }
        )
        return self._usage(f"{destination}/{quantity}/{moment}")

    def test_the_longest_prefix(self):
        self.assertEqual(self._rate("+4930111", 60).destination_id, self.landline)
        self.assertEqual(self._rate("+4915111", 60).destination_id, self.mobile)
        self.assertEqual(self._rate("+33111", 60).destination_id, self.world)

    def test_minimum_steps_and_fee(self):
        for destination, quantity, billed, amount in (
            ("+4930", 0, 0, 0),
            ("+4930", 1, 60, 0.06),
            ("+4930", 60, 60, 0.06),
            ("+4930", "60.000001", 120, 0.12),
            ("+4915", 1, 1, 0.002),
            ("+4915", 61, 61, 0.122),
            ("+33", 0, 0, 0),
            ("+33", 29, 30, 0.5),
            ("+33", 31, 36, 0.59),
            ("+33", 36, 36, 0.59),
            ("+33", 37, 42, 0.68),
        ):
            with self.subTest(destination=destination, quantity=quantity):
                usage = self._rate(destination, quantity)
                self.assertEqual((usage.billed_quantity, usage.amount), (billed, amount))

    def test_half_of_a_millionth_goes_up(self):
        rate = self._new_rate("44", self.world, 0.00003, minimum=1, step=1)
        self.plan._touch()
        self.assertEqual(self._rate("+441", 1).amount, 0.000001)
        self.assertEqual(rate.price_unit, 0.00003)

    def test_from_and_until(self):
        self._new_rate("44", self.world, 1, date_until="2026-03-10")
        self._new_rate("44", self.world, 2, date_from="2026-03-11")
        self.plan._touch()
        self.assertEqual(self._rate("+441", 60, "2026-03-10T23:00:00Z").amount, 1)
        self.assertEqual(self._rate("+441", 60, "2026-03-11T00:00:00Z").amount, 2)

    def test_peak_hours_are_the_plans(self):
        self._new_rate("44", self.world, 1, band="peak")
        self._new_rate("44", self.world, 0.5, band="off_peak")
        self.plan.tz = "Europe/Berlin"
        self.plan._touch()
        for moment, amount in (
            ("2026-03-10T06:59:59Z", 0.5),
            ("2026-03-10T07:00:00Z", 1),
            ("2026-03-10T16:59:59Z", 1),
            ("2026-03-10T17:00:00Z", 0.5),
            ("2026-03-14T12:00:00Z", 0.5),
        ):
            self.assertEqual(self._rate("+441", 60, moment).amount, amount, moment)

    def test_peak_begins_with_the_second_that_is_meant(self):
        """Twenty past has no exact number of hours."""
        self._new_rate("44", self.world, 1, band="peak")
        self._new_rate("44", self.world, 0.5, band="off_peak")
        for minute in (10, 20, 40, 50):
            self.plan.peak_from = 8 + minute / 60
            self.assertEqual(self._rate("+441", 60, f"2026-03-10T08:{minute - 1:02}:59Z").amount, 0.5, minute)
            self.assertEqual(self._rate("+441", 60, f"2026-03-10T08:{minute}:00Z").amount, 1, minute)

    def test_whose_plan(self):
        def plan(price):
            plan = self._new_plan(f"At {price}")
            group = self.env["billing.rate.destination"].create({"plan_id": plan.id, "name": "All"})
            self._new_rate("*", group, price)
            plan._touch()
            return plan

        self.assertEqual(self._rate("+33", 60).rate_plan_id, self.plan)
        self.client.billing_rate_plan_id = plan(2)
        self.assertEqual(self._rate("+33", 61).rate_plan_id, self.client.billing_rate_plan_id)
        package = self.env["billing.package"].create(
            {"name": "Phone", "product_id": self.usage_product.id, "price_unit": 5, "rate_plan_id": plan(3).id}
        )
        self.account.subscription_id = self.env["billing.subscription"].create(
            {"partner_id": self.client.id, "package_id": package.id, "date_start": "2026-01-01", "quantity": 1}
        )
        usage = self._rate("+33", 62)
        self.assertEqual(
            (usage.rate_plan_id, usage.subscription_id), (package.rate_plan_id, self.account.subscription_id)
        )
        self.account.rate_plan_id = plan(4)
        self.assertEqual(self._rate("+33", 63).rate_plan_id, self.account.rate_plan_id)

    def test_what_cannot_be_rated_says_why(self):
        self._hand_in({"id": "nobody", "account": "+49301001"})
        self.assertEqual(self._usage("nobody").unrated_reason, "account")
        self.source.rate_plan_id = False
        self.assertEqual(self._rate("+4930", 1).unrated_reason, "plan")
        self.source.rate_plan_id = self.plan
        self.plan.unit = "gb"
        self.assertEqual(self._rate("+4930", 2).unrated_reason, "measure")
        self.plan.unit = "minute"
        self.env["billing.rate"].search([("plan_id", "=", self.plan.id), ("prefix", "=", "*")]).unlink()
        self.assertEqual(self._rate("+33", 3).unrated_reason, "rate")
        self.assertFalse(self._usage("+33/3/2026-03-10T12:00:00Z").amount)

    def test_in_several_statements(self):
        """What would make one statement too long is told by several, each record by one of them."""
        other = self._new_plan("Other")
        group = self.env["billing.rate.destination"].create({"plan_id": other.id, "name": "All"})
        self._new_rate("*", group, 3)
        self._new_rate("44", self.world, 1, date_until="2026-03-10")
        self._new_rate("44", self.world, 2, date_from="2026-03-11")
        self.env["billing.usage.account"].create(
            {"source_id": self.source.id, "key": "1", "partner_id": self.client.id, "rate_plan_id": other.id}
        )
        self.patch(billing_usage_rating, "MOST_IN_STATEMENT", 1)
        usage = type(self.env["billing.usage"])
        with patch.object(usage, "_rated_by_sql", autospec=True, side_effect=usage._rated_by_sql) as made:
            answer = self._hand_in(
                {"id": "a", "destination": "+441", "moment": "2026-03-10T12:00:00Z"},
                {"id": "b", "destination": "+441", "moment": "2026-03-11T12:00:00Z"},
                {"id": "c", "account": "1"},
                {"id": "d", "account": "2"},
            )
        self.assertEqual(made.call_count, 3)
        self.assertEqual((answer["accepted"], answer["unrated"]), (4, 1))
        self.assertEqual(self._usage("a", "b", "c", "d").mapped("amount"), [1, 2, 3, 0])
        self.assertEqual(self._usage("d").unrated_reason, "account")

    def test_what_was_taken_back_is_not_remembered(self):
        """Rates are remembered from one statement to the next, but not those of a change that was undone."""
        self.assertEqual(self._rate("+33", 60).amount, 0.95)
        with self.assertRaises(ZeroDivisionError), self.env.cr.savepoint():
            self._new_rate("33", self.world, 5)
            self.assertEqual(self._rate("+33", 61).amount, 5.083333)
            raise ZeroDivisionError
        self.assertEqual(self._rate("+33", 60, "2026-03-11T12:00:00Z").amount, 0.95)
        self._new_rate("33", self.world, 4)
        self.assertEqual(self._rate("+33", 60, "2026-03-12T12:00:00Z").amount, 4)

    def test_a_copied_plan_rates(self):
        self.source.rate_plan_id = self.plan.copy()
        usage = self._rate("+4915", 60)
        self.assertEqual((usage.rate_plan_id, usage.amount), (self.source.rate_plan_id, 0.12))

    def test_rated_again(self):
        self._hand_in({"id": "nobody", "account": "+49301001"}, {"id": "fine"})
        self.assertEqual(self.env["billing.usage"]._rate_again(), (0, 1))
        self.env["billing.usage.account"].create(
            {"source_id": self.source.id, "key": "030 1001", "partner_id": self.other_client.id}
        )
        self.assertEqual(self._usage("nobody").partner_id, self.other_client, "As soon as it is somebody's")
        self.assertEqual(self.env["billing.usage"]._rate_again(), (0, 0))

    def test_a_changed_plan_makes_what_is_open_stale(self):
        self._hand_in({"id": "open"}, {"id": "billed"})
        self.env.cr.execute("UPDATE billing_usage SET bill_id = 1 WHERE external_id = 'billed'")
        self.env["billing.rate"].search([("plan_id", "=", self.plan.id), ("prefix", "=", "49")]).price_unit = 0.6
        self.plan._touch()
        self.assertEqual(self.env["billing.usage"]._rate_again(), (1, 0))
        billed, still_open = self._usage("open", "billed")
        self.assertEqual((billed.amount, still_open.amount), (0.06, 0.6))

    def test_what_has_the_price_of_before_says_so(self):
        """Until it is rated again: by its own button, or that of its plan."""
        usage, other = self._rate("+4989123456", 60), self._rate("+4989123456", 120)
        self.assertFalse(usage.is_stale)
        rate = usage.rate_id
        for price, mend in ((0.5, usage.action_rate_again), (0.7, self.plan.action_rate_again)):
            rate.price_unit = price
            usage.invalidate_recordset()
            self.assertTrue(usage.is_stale)
            self.assertIn("the amount is that of before", usage.explanation)
            mend()
            self.env.invalidate_all()
            self.assertEqual((usage.amount, usage.is_stale), (price, False))
            self.assertIn("× ", usage.explanation)
        self.assertEqual((other.amount, other.is_stale), (1.4, False))
        usage.flush_recordset()
        self.env.cr.execute("UPDATE billing_rate_plan SET revision = revision + 1")
        self.env.invalidate_all()
        with self.assertRaises(AccessError):
            self.plan.with_user(self._new_user("nobody", "base.group_user")).action_rate_again()
        self.assertTrue(usage.is_stale)

    def test_what_has_no_rate_has_no_rounding(self):
        usage = self._rate("+4989123456", 60, moment="2026-03-11T12:00:00Z")
        self.env.cr.execute(
            "UPDATE billing_usage SET rate_id = NULL, unrated_reason = 'rate' WHERE id = %s", [usage.id]
        )
        self.env.invalidate_all()
        self.assertFalse(usage.rounding_text)
        self.assertFalse(usage.is_stale)

    def test_a_short_number_is_no_foreign_one(self):
        self._new_rate("1", self.world, 5)
        emergency = self._new_destination("Emergency")
        self._new_rate("de:11", emergency, 0)
        self.plan._touch()
        for number in ("110", "112", "116117"):
            usage = self._rate(number, 60)
            self.assertEqual((usage.destination, usage.destination_id), (f"de:{number}", emergency))
        self.assertEqual(self._rate("030 116117", 60).destination, "4930116117")
        self.assertEqual(self._rate("+1202555", 60).amount, 5)
        self.assertEqual(self._rate("anonymous", 60).unrated_reason, "rate", "No number: no guess at its price")

    def test_a_service_code_is_no_number(self):
        """Though it begins with a star, as the rate for all the rest does."""
        self._new_rate("1", self.world, 5)
        self.assertEqual(self._rate("*21#", 60).unrated_reason, "rate")

    def test_a_number_that_changes_hands_across_zones(self):
        """A moment on the last day of the one and on the first of the other: who got it last has it."""
        self.client.sudo().tz, self.other_client.sudo().tz = "America/New_York", "Asia/Tokyo"
        before = {"source_id": self.source.id, "partner_id": self.client.id, "date_until": "2026-03-10"}
        after = {"source_id": self.source.id, "partner_id": self.other_client.id, "date_from": "2026-03-11"}
        accounts = self.env["billing.usage.account"]
        accounts.create([{**before, "key": "030 2001"}, {**after, "key": "030 2001"}])
        accounts.create([{**after, "key": "030 2002"}, {**before, "key": "030 2002"}])
        for number in ("030 2001", "030 2002"):
            for moment, client in (
                ("2026-03-10T14:59:59Z", self.client),
                ("2026-03-10T15:00:00Z", self.other_client),
                ("2026-03-11T04:00:00Z", self.other_client),
            ):
                with self.subTest(number=number, moment=moment):
                    name = f"{number}/{moment}"
                    self._hand_in({"id": name, "account": number, "moment": moment})
                    self.assertEqual(self._usage(name).partner_id, client)
                    self.env["billing.usage"]._rate_again(everything=True)
                    self.assertEqual(self._usage(name).partner_id, client, "Again")

    def test_keys_are_compared_whatever_their_case(self):
        plan = self._new_plan("Work", unit="hour")
        group = self.env["billing.rate.destination"].create({"plan_id": plan.id, "name": "Senior"})
        self._new_rate("senior", group, 120, step=900)
        plan._touch()
        source = self.env["billing.usage.source"].create(
            {"name": "Sheets", "code": "sheets", "kind": "key", "unit": "hour", "tz": "UTC", "rate_plan_id": plan.id}
        )
        self.env["billing.usage.account"].create({"source_id": source.id, "key": "ACME", "partner_id": self.client.id})
        self._hand_in({"id": "day", "account": "Acme", "destination": "Senior", "quantity": "1.1"}, source=source)
        usage = self._usage("day")
        self.assertEqual((usage.quantity, usage.billed_quantity, usage.amount), (3960, 4500, 150))
        self._hand_in({"id": "other", "account": "Acme", "destination": "Senior 2", "quantity": 1}, source=source)
        self.assertEqual(self._usage("other").unrated_reason, "rate")

    def test_merged_clients_keep_their_usage(self):
        self._hand_in({"id": "call"})
        merge = self.env["base.partner.merge.automatic.wizard"].sudo().create({})
        merge._merge((self.client | self.other_client).ids, self.other_client)
        self.env.invalidate_all()
        self.assertEqual(self._usage("call").partner_id, self.other_client)

    def test_open_usage_goes_with_its_number(self):
        self._hand_in({"id": "open"}, {"id": "billed"})
        self.env.cr.execute("UPDATE billing_usage SET bill_id = 1 WHERE external_id = 'billed'")
        self.env.invalidate_all()
        self.account.partner_id = self.other_client
        billed, still_open = self._usage("billed", "open")
        self.assertEqual((billed.partner_id, still_open.partner_id), (self.client, self.other_client))
        self.account.date_until = "2026-03-09"
        self.assertEqual((self._usage("open").partner_id.id, self._usage("open").unrated_reason), (False, "account"))
        self.env["billing.usage.account"].create(
            {
                "source_id": self.source.id,
                "key": self.account.key,
                "partner_id": self.client.id,
                "date_from": "2026-03-10",
            }
        )
        self.assertEqual(self._usage("open").partner_id, self.client)
        self.env["billing.usage.account"].search([("source_id", "=", self.source.id)]).unlink()
        self.assertEqual(self._usage("open").unrated_reason, "account")
        self.assertEqual(self._usage("billed").partner_id, self.client)

    def test_open_usage_follows_the_plan(self):
        self._hand_in({"id": "open"})
        plan = self._new_plan("Dear")
        group = self.env["billing.rate.destination"].create({"plan_id": plan.id, "name": "All"})
        self._new_rate("*", group, 6)
        self.client.billing_rate_plan_id = plan
        self.assertEqual(self._usage("open").amount, 6)
        self.client.billing_rate_plan_id = False
        self.assertEqual(self._usage("open").amount, 0.06)
        self.source.rate_plan_id = plan
        self.assertEqual(self._usage("open").amount, 6)

    def test_open_usage_follows_the_plan_of_its_package(self):
        def plan(price):
            plan = self._new_plan(f"At {price}")
            group = self.env["billing.rate.destination"].create({"plan_id": plan.id, "name": "All"})
            self._new_rate("*", group, price)
            return plan

        package = self._new_package("Phone")
        self.account.subscription_id = self.env["billing.subscription"].create(
            {"partner_id": self.client.id, "package_id": package.id, "date_start": "2026-01-01"}
        )
        self._hand_in({"id": "open"}, {"id": "billed"})
        self.env.cr.execute("UPDATE billing_usage SET bill_id = 1 WHERE external_id = 'billed'")
        self.assertEqual(self._usage("open").amount, 0.06, "By the plan of the source, as the package has none")
        for price, of_package in ((6, plan(6)), (7, plan(7)), (0.06, self.plan.browse())):
            package.rate_plan_id = of_package
            self.assertEqual(self.env["billing.usage"]._rate_again(), (1, 0))
            self.assertEqual(self._usage("billed", "open").mapped("amount"), [0.06, price])

    def test_the_day_of_who_has_no_zone_is_the_companys(self):
        self.client.sudo().tz = False
        self.company.partner_id.sudo().tz = "UTC"
        evening = {"moment": "2026-03-10T20:00:00Z"}
        self._hand_in({"id": "open", **evening}, {"id": "nobody", "account": "+49301001", **evening})
        for zone, day in (("Asia/Tokyo", "2026-03-11"), ("UTC", "2026-03-10")):
            self.company.partner_id.sudo().tz = zone
            self.assertEqual([str(usage.day) for usage in self._usage("open", "nobody")], [day, day])
