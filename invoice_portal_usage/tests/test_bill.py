from unittest.mock import patch

from odoo.exceptions import UserError
from odoo.tests import tagged

from odoo.addons.invoice_portal.tools.grant import granted
from odoo.addons.invoice_portal.tools.undone import undone

from .bill_common import BillCommon


@tagged("post_install", "-at_install")
class TestBill(BillCommon):
    def test_usage_becomes_a_bill_and_charges_by_destination(self):
        records = [
            self._used("2026-03-01", 10),
            self._used("2026-03-31", 5, self.mobile),
            self._used("2026-03-12", 2),
        ]
        bill = self._bill("2026-04-01")
        self.assertEqual((bill.record_count, bill.amount, bill.exact_amount), (3, 1.32, 1.32))
        self.assertEqual((bill.period_start, bill.period_end), (self._date("2026-03-01"), self._date("2026-03-31")))
        self.assertEqual((bill.part, bill.late, bill.is_over, bill.kind), (1, False, True, "phone"))
        self._assert_charges(bill, (f"d{self.landline.id}", 0.72), (f"d{self.mobile.id}", 0.6))
        landline = bill.charge_ids.sorted("id")[0]
        self.assertEqual(landline.name, "Germany: 2 records, 12 minutes\n03/01/2026 – 03/31/2026")
        self.assertEqual((landline.origin, landline.usage_amount, landline.quantity), ("usage", 0.72, 1))
        self.assertEqual((landline.product_id, landline.partner_id), (self.usage_product, self.client))
        self.assertEqual(self.env["billing.usage"].search(landline._usage_domain()).ids, [records[2], records[0]])
        self.assertEqual({row[3] for row in self._rows(records).values()}, {bill.id})
        self.assertTrue(self.rates[self.landline].billed)
        self.assertFalse(self.rates[self.world].billed)
        self.assertFalse(self._bill("2026-04-01"), "nothing is left to bill")
        self.assertEqual(len(self.client._billing_usage_make_bills(self.company, "2027-01-01")), 0)

    def test_only_what_is_open_rated_and_before_the_day(self):
        self._used("2026-04-01", 1)
        self._unrated("2026-03-05")
        self._used("2026-03-05", 1, client=self.other_client)
        self.assertFalse(self._bill("2026-04-01"))
        self.assertEqual(self._bill("2026-04-02").period_start, self._date("2026-04-01"))

    def test_other_companies_stay_out(self):
        other = self._new_company("Other")
        self._used("2026-03-05", 1, company_id=other.id)
        self.assertFalse(self._bill("2026-04-01"))

    def test_months_are_billed_apart(self):
        for day in ("2026-01-31", "2026-02-01", "2026-02-28", "2026-03-01"):
            self._used(day, 1)
        bills = self._bill("2026-04-01").sorted("period_start")
        self.assertEqual(
            [(str(bill.period_start), str(bill.period_end), bill.record_count) for bill in bills],
            [("2026-01-01", "2026-01-31", 1), ("2026-02-01", "2026-02-28", 2), ("2026-03-01", "2026-03-31", 1)],
        )

    def test_one_rounding(self):
        """Three times 0.333 is 1.00, not 0.99: the bill rounds once, and its lines add up to it."""
        self.rates[self.landline].price_unit = 0.333
        self.rates[self.mobile].price_unit = 0.333
        self.rates[self.world].write({"price_unit": 0.333, "connection_fee": 0})
        for destination in (self.landline, self.mobile, self.world):
            self._used("2026-03-05", 1, destination)
        bill = self._bill("2026-04-01")
        self.assertEqual((bill.exact_amount, bill.amount), (0.999, 1.0))
        # All lost as much by rounding down: the first in order gets the cent.
        self.assertEqual([charge.amount for charge in bill.charge_ids.sorted("id")], [0.34, 0.33, 0.33])

    def test_half_a_cent_goes_up(self):
        self.rates[self.landline].price_unit = 0.005
        self._used("2026-03-05", 1)
        self.assertEqual(self._bill("2026-04-01").amount, 0.01)

    def test_what_rounds_to_nothing_has_no_charge(self):
        self.rates[self.landline].price_unit = 0.004
        self._used("2026-03-05", 1)
        self._used("2026-03-05", 0, self.mobile)
        bill = self._bill("2026-04-01")
        self.assertEqual((bill.exact_amount, bill.amount), (0.004, 0))
        self.assertFalse(bill.charge_ids)
        self.assertFalse(self._bill("2026-04-01"))

    def test_groupings_have_identical_totals(self):
        client = self.client
        expected = {
            "destination": [(f"d{self.world.id}", 9.05), (f"d{self.landline.id}", 0.18), (f"d{self.mobile.id}", 0.12)],
            "day": [("2026-03-05", 9.17), ("2026-03-06", 0.18)],
            "none": [("all", 9.35)],
        }
        for by, charges in expected.items():
            with self.subTest(by), undone(self.env):
                client.billing_usage_grouping = by
                self._used("2026-03-05", 10, self.world)
                self._used("2026-03-05", 1, self.mobile)
                self._used("2026-03-06", 3)
                bill = self._bill("2026-04-01")
                self._assert_charges(bill, *charges)
                for other in expected:
                    self.assertEqual(round(sum(group["amount"] for group in bill._regroup(other)), 2), 9.35)
        self.company.sudo().billing_usage_grouping = "none"
        self._used("2026-03-05", 1)
        self.assertEqual(self._bill("2026-04-01").charge_ids.usage_group, "all")

    def test_grouping_by_nonsense_is_refused(self):
        self._used("2026-03-05", 1)
        with self.assertRaisesRegex(UserError, "by destination, by day, or not at all"):
            self._bill("2026-04-01")._regroup("id); DROP TABLE res_users; --")

    def test_groups_as_others_read_them(self):
        self._used("2026-03-05", 1.5, self.world)
        (group,) = self._bill("2026-04-01")._regroup("day")
        self.assertEqual(
            group,
            {
                "group": "2026-03-05",
                "label": "03/05/2026",
                "record_count": 1,
                "quantity": 90,
                "billed_quantity": 90,
                "allowance_quantity": 0,
                "list_amount": 1.4,
                "exact_amount": 1.4,
                "amount": 1.4,
            },
        )

    def test_words_of_the_client(self):
        self.env["res.lang"].sudo()._activate_lang("fr_FR")
        self.client.lang = "fr_FR"
        self.client.billing_usage_grouping = "day"
        self.source.kind = "key"
        self._used("2026-03-05", 1234.5)
        charge = self._bill("2026-04-01").charge_ids
        self.assertEqual(charge.name, "Voice, 05/03/2026: 1 use, 1\xa0234,5 minutes")
        self.assertEqual((charge.period_start, charge.period_end), (self._date("2026-03-05"),) * 2)

    def test_two_plans_are_two_bills(self):
        """In different currencies, too."""
        euro = self.env.ref("base.EUR").sudo()
        euro.active = True
        plan = self.env["billing.rate.plan"].create(
            {"name": "Data", "product_id": self.usage_product.id, "unit": "gb", "currency_id": euro.id}
        )
        data = self.env["billing.rate.destination"].create({"plan_id": plan.id, "name": "Roaming"})
        self.rates[data] = self._new_rate("*", data, 2)
        self._used("2026-03-05", 1)
        self._used("2026-03-05", 0.5, data)
        bills = self._bill("2026-04-01")
        by_plan = bills.grouped("rate_plan_id")
        self.assertEqual(len(bills), 2)
        self.assertEqual((by_plan[plan].amount, by_plan[plan].currency_id), (1, euro))
        self.assertEqual(by_plan[plan].charge_ids.name, "Roaming: 1 record, 0.5 GB\n03/01/2026 – 03/31/2026")
        self.assertEqual(by_plan[plan].charge_ids.currency_id, euro)

    def _called(self, *subscriptions):
        """What usage of these is called on the next bills, without how much it is."""
        for subscription in subscriptions:
            self._used("2026-03-05", 10, subscription=subscription)
        bills = self._bill("2026-04-01")
        called = sorted(charge.name.partition(":")[0] for charge in bills.charge_ids)
        bills.action_take_back()
        self.env.cr.execute("DELETE FROM billing_usage WHERE partner_id = %s", [self.client.id])
        self.env.invalidate_all()
        return called

    def test_each_line_says_of_which_subscription_it_is(self):
        """Two of the same package, another one, and what belongs to none, by each grouping."""
        package = self._new_usage_package()
        subscriptions = [self._subscribe(package, reference=reference) for reference in ("Front desk", "Warehouse")]
        subscriptions += [self._subscribe(self._new_usage_package("Roam")), None]
        for by, label, names in (
            ("destination", "Germany", ("", " (Front desk)", " (Roam)", " (Warehouse)")),
            ("none", "Voice", ("", " (Front desk)", " (Roam)", " (Warehouse)")),
        ):
            self.client.billing_usage_grouping = by
            with self.subTest(by):
                self.assertEqual(self._called(*subscriptions), [label + name for name in names])
        self.client.billing_usage_grouping = "day"
        self.assertEqual(
            self._called(*subscriptions),
            [f"Voice{name}, 03/05/2026" for name in (" (Front desk)", " (Roam)", " (Warehouse)", "")],
        )

    def test_the_only_subscription_of_a_client_is_not_named_on_each_line(self):
        self.assertEqual(self._called(self._subscribe(self._new_usage_package("Roam"))), ["Germany"])

    def test_one_of_it_is_no_plural(self):
        base = {"second": 1, "minute": 60, "hour": 3600, "mb": 1, "gb": 1000, "piece": 1}
        self._used("2026-03-05", 1)
        bill = self._bill("2026-04-01")
        for unit, one in base.items():
            self.plan.sudo().flush_recordset()
            self.env.cr.execute("UPDATE billing_rate_plan SET unit = %s WHERE id = %s", [unit, self.plan.id])
            self.plan.invalidate_recordset()
            word = unit.upper() if one == 1000 or unit == "mb" else unit
            many = word if word.isupper() else f"{word}s"
            with self.subTest(unit):
                self.assertEqual(bill._quantity_label(one), f"1 {word}")
                self.assertEqual(bill._quantity_label(2 * one), f"2 {many}")
                self.assertEqual(bill._quantity_label(1.5 * one), f"1.5 {many}")
                self.assertEqual(bill._quantity_label(0), f"0 {many}")

    def test_a_currency_without_cents(self):
        yen = self.env.ref("base.JPY").sudo()
        yen.active = True
        self.plan.currency_id = yen
        self.rates[self.landline].price_unit = 12.4
        self.rates[self.mobile].price_unit = 12.4
        self._used("2026-03-05", 1)
        self._used("2026-03-05", 1, self.mobile)
        bill = self._bill("2026-04-01")
        self.assertEqual(bill.amount, 25)
        self.assertEqual(bill.charge_ids.sorted("id").mapped("amount"), [13, 12])

    def test_what_is_stale_is_rated_first(self):
        asked = []
        self._used("2026-03-05", 1, plan_revision=self.plan.revision - 1)
        with patch.object(
            self.env.registry["billing.usage"], "_rate_again", lambda _self, domain: asked.append(domain), create=True
        ):
            self._bill("2026-04-01")
            self._used("2026-03-05", 1)
            self._bill("2026-04-01")
        self.assertEqual(len(asked), 1)
        self.assertIn(("partner_id", "in", self.client.ids), asked[0])

    def test_from_the_call_to_the_bill(self):
        """Handed in, rated again when the plan changes, billed; and what is billed does not change with the plan."""
        self._hand_in({"quantity": 61}, {"destination": "+491511234567"})
        rate = self.rates[self.landline]
        rate.price_unit = 0.5
        self.plan._touch()
        bill = self._bill("2026-04-01")
        self.assertEqual((bill.amount, bill.record_count), (1.12, 2))
        self.plan._touch()
        self.env["billing.usage"]._rate_again()
        self.assertEqual(self.env["billing.usage"].search([("bill_id", "=", bill.id)]).mapped("amount"), [0.12, 1])

    def test_queries_do_not_grow_with_clients_or_records(self):
        def queries(clients, records):
            for client in clients:
                for number in range(records):
                    self._used(f"2026-03-{number % 28 + 1:02}", 1, client=client)
            self.env.flush_all()
            self.env.invalidate_all()
            before = self.env.cr.sql_log_count
            with patch.object(type(self.env["billing.usage.bill"]), "_create_charges", lambda bills, asked: asked):
                bills = (
                    self.env["res.partner"]
                    .union(*clients)
                    ._billing_usage_make_bills(self.company, self._date("2026-04-01"))
                )
            self.assertEqual(len(bills), len(clients))
            return self.env.cr.sql_log_count - before

        few = queries([self._new_client("One")], 3)
        many = queries([self._new_client(f"Client {number}") for number in range(30)], 40)
        self.assertLessEqual(many, few + 2)


@tagged("post_install", "-at_install")
class TestBillAllowance(BillCommon):
    def test_covered_in_order_of_time(self):
        """31 minutes included: 20 + 11 of the second; the third is paid."""
        self.subscription = self._subscribe(self._new_usage_package(allowances=[(31, None)]))
        of = {"subscription": self.subscription}
        last, first, second = (
            self._used("2026-03-20", 5, **of),
            self._used("2026-03-02", 20, **of),
            self._used("2026-03-03", 15, self.mobile, **of),
        )
        bill = self._bill("2026-04-01")
        self._assert_amounts([first, second, last], "0", "0.48", "0.3")
        rows = self._rows([first, second, last])
        self.assertEqual([rows[one][1] for one in (first, second, last)], [1200, 660, 0])
        self.assertEqual(bill.subscription_id, self.subscription)
        self.assertEqual(bill.amount, 0.78)
        self.assertEqual(bill.allowance_ids.quantity, 31 * 60)
        self.assertIn("included", bill.charge_ids.filtered(lambda one: one.usage_group == f"d{self.mobile.id}").name)

    def test_fee_is_charged_unless_covered_wholly(self):
        subscription = self._subscribe(self._new_usage_package(allowances=[(15, None)]))
        records = [self._used(f"2026-03-0{day}", 10, self.world, subscription=subscription) for day in (1, 2)]
        self._bill("2026-04-01")
        # 5 of the second are beyond: 0.05 + 5 × 0.90
        self._assert_amounts(records, "0", "4.55")

    def test_wholly_covered_is_shown_for_nothing(self):
        subscription = self._subscribe(self._new_usage_package(allowances=[(100, None)]))
        self._used("2026-03-05", 10, subscription=subscription)
        charge = self._bill("2026-04-01").charge_ids
        self.assertEqual((charge.price_unit, charge.discount, charge.amount, charge.usage_amount), (0.6, 100, 0, 0))
        self.assertEqual(charge.name, "Germany: 1 record, 10 minutes, all of it included\n03/01/2026 – 03/31/2026")

    def test_several_allowances_in_turn(self):
        """First 10 minutes to mobiles, then 10 to anywhere."""
        subscription = self._subscribe(self._new_usage_package(allowances=[(10, self.mobile), (10, None)]))
        records = [
            self._used("2026-03-01", 4, subscription=subscription),
            self._used("2026-03-02", 14, self.mobile, subscription=subscription),
            self._used("2026-03-03", 6, self.mobile, subscription=subscription),
            self._used("2026-03-04", 1, subscription=subscription),
        ]
        bill = self._bill("2026-04-01")
        # 4 of the second pot; 10 of the first and 4 of the second; 2 of the second left, 4 paid; 1 paid.
        self._assert_amounts(records, "0", "0", "0.48", "0.06")
        self.assertEqual(bill.allowance_ids.sorted("id").mapped("quantity"), [600, 600])

    def test_another_plans_destinations_are_not_covered(self):
        plan = self.env["billing.rate.plan"].create(
            {"name": "Other", "product_id": self.usage_product.id, "unit": "minute"}
        )
        other = self.env["billing.rate.destination"].create({"plan_id": plan.id, "name": "Other"})
        self.rates[other] = self._new_rate("*", other, 1)
        subscription = self._subscribe(self._new_usage_package(allowances=[(10, None)]))
        records = [
            self._used("2026-03-01", 1, other, subscription=subscription),
            self._used("2026-03-01", 1, subscription=subscription),
        ]
        self._bill("2026-04-01")
        self._assert_amounts(records, "1", "0")

    def test_second_part_goes_on_from_the_first(self):
        subscription = self._subscribe(self._new_usage_package(allowances=[(31, None)]))
        self._used("2026-03-02", 20, subscription=subscription)
        first = self._bill("2026-03-10")
        self.assertEqual((first.is_over, first.part, first.amount), (False, 1, 0))
        self.assertEqual(first.charge_ids.period_end, self._date("2026-03-02"))
        # Earlier than what was billed, but later on the bill: what was billed stays.
        records = [self._used(f"2026-03-{day}", 10, subscription=subscription) for day in ("01", "15")]
        second = self._bill("2026-04-01")
        self._assert_amounts(records, "0", "0.54")
        self.assertEqual((second.part, second.late, second.is_over), (2, False, True))

    def test_prorated_like_the_package(self):
        """17 of 31 days: 31 × 15/31 minutes."""
        package = self._new_usage_package(allowances=[(31, None)])
        subscription = self._subscribe(package, "2026-03-17", anchor_day=1)
        self._used("2026-03-17", 20, subscription=subscription)
        bill = self._bill("2026-04-01")
        self.assertEqual((bill.period_start, bill.period_end), (self._date("2026-03-17"), self._date("2026-03-31")))
        self.assertEqual(bill.amount, 0.3)
        package.proration = "none"
        whole = self._subscribe(package, "2026-03-17", anchor_day=1)
        self._used("2026-03-17", 40, subscription=whole)
        self.assertEqual(self._bill("2026-04-01").amount, 0.54)

    def test_each_period_has_its_own(self):
        subscription = self._subscribe(self._new_usage_package(allowances=[(10, None)]), "2026-01-15")
        records = [
            self._used(day, 10, subscription=subscription)
            for day in ("2026-01-15", "2026-02-14", "2026-02-15", "2026-03-14")
        ]
        bills = self._bill("2026-03-15").sorted("period_start")
        self._assert_amounts(records, "0", "0.6", "0", "0.6")
        self.assertEqual([str(bill.period_start) for bill in bills], ["2026-01-15", "2026-02-15"])

    def test_outside_of_the_subscription_is_a_month_of_its_own(self):
        subscription = self._subscribe(
            self._new_usage_package(allowances=[(100, None)]), "2026-02-10", date_end="2026-03-09"
        )
        records = [
            self._used(day, 10, subscription=subscription)
            for day in ("2026-02-09", "2026-02-10", "2026-03-09", "2026-03-10")
        ]
        loose = self._used("2026-02-03", 1)
        bills = self._bill("2026-04-01")
        self._assert_amounts([*records, loose], "0.6", "0", "0", "0.6", "0.06")
        found = sorted((str(bill.period_start), bool(bill.subscription_id), bill.record_count) for bill in bills)
        self.assertEqual(found, [("2026-02-01", False, 2), ("2026-02-10", True, 2), ("2026-03-01", False, 1)])

    def test_package_of_the_first_day_decides(self):
        small, large = (self._new_usage_package(name, allowances=[(n, None)]) for name, n in (("S", 10), ("L", 100)))
        subscription = self._subscribe(small)
        granted(self.env["billing.subscription.phase"]).create(
            {
                "subscription_id": subscription.id,
                "date_from": "2026-03-15",
                "package_id": large.id,
                "anchor_date": "2026-01-01",
            }
        )
        march, april = (self._used(day, 50, subscription=subscription) for day in ("2026-03-20", "2026-04-20"))
        self._bill("2026-05-01")
        self._assert_amounts([march, april], "2.4", "0")


@tagged("post_install", "-at_install")
class TestBillTiers(BillCommon):
    def test_graduated(self):
        """8 at 0.05; 2 at 0.05 and 2 at 0.03; 1 at 0.03."""
        self._tiers(self.landline, "graduated", (0, 0.05), (10, 0.03))
        records = [self._used(f"2026-03-0{day}", quantity) for day, quantity in ((1, 8), (2, 4), (3, 1))]
        self._bill("2026-04-01")
        self._assert_amounts(records, "0.4", "0.16", "0.03")

    def test_graduated_below_the_first_tier_and_with_fee(self):
        self._tiers(self.world, "graduated", (10, 0.5))
        records = [self._used(f"2026-03-0{day}", quantity, self.world) for day, quantity in ((1, 8), (2, 4))]
        self._bill("2026-04-01")
        # 0.05 + 8 × 0.90; 0.05 + 2 × 0.90 + 2 × 0.50
        self._assert_amounts(records, "7.25", "2.85")

    def test_graduated_goes_on_in_the_second_part(self):
        self._tiers(self.landline, "graduated", (0, 0.05), (10, 0.03))
        self._used("2026-03-01", 8)
        self._bill("2026-03-05")
        record = self._used("2026-03-06", 4)
        self._bill("2026-04-01")
        self._assert_amounts([record], "0.16")

    def test_volume(self):
        """On the bound it is not above it yet."""
        self._tiers(self.landline, "volume", (0, 0.05), (10, 0.03))
        records = [self._used(f"2026-03-0{day}", quantity) for day, quantity in ((1, 8), (2, 2))]
        self._bill("2026-04-01")
        self._assert_amounts(records, "0.4", "0.1")
        records = [self._used(f"2026-04-0{day}", quantity) for day, quantity in ((1, 8), (2, 3))]
        self._bill("2026-05-01")
        self._assert_amounts(records, "0.24", "0.09")

    def test_volume_reached_later_is_settled_once(self):
        self._tiers(self.landline, "volume", (0, 0.05), (10, 0.03), (100, 0.01))
        self._used("2026-03-01", 8)
        self._bill("2026-03-05")
        self._used("2026-03-06", 3)
        second = self._bill("2026-03-10")
        self._assert_charges(second, (f"d{self.landline.id}", 0.09), (f"volume-d{self.landline.id}", -0.16))
        self.assertEqual(second.amount, 0.09)
        self._used("2026-03-11", 1)
        third = self._bill("2026-03-20")
        self._assert_charges(third, (f"d{self.landline.id}", 0.03))
        self._used("2026-03-21", 100)
        fourth = self._bill("2026-04-01")
        # 12 before, at 0.03 by now: 12 × 0.02 less
        self._assert_charges(fourth, (f"d{self.landline.id}", 1), (f"volume-d{self.landline.id}", -0.24))
        volume = fourth.charge_ids.sorted("id")[1]
        self.assertEqual(self.env["billing.usage"].search_count(volume._usage_domain()), 3)
        self.assertIn("another tier is reached", volume.name)

    def test_tiers_count_what_is_not_included_and_are_prorated(self):
        """15 of 30 days: the tier begins above 5, after 6 × 15/30 included."""
        self._tiers(self.landline, "graduated", (0, 0.05), (10, 0.03))
        package = self._new_usage_package(allowances=[(6, None)])
        subscription = self._subscribe(package, "2026-04-16", anchor_day=1)
        records = [
            self._used(f"2026-04-{day}", quantity, subscription=subscription) for day, quantity in ((16, 8), (17, 4))
        ]
        self._bill("2026-05-01")
        self._assert_amounts(records, "0.25", "0.12")


@tagged("post_install", "-at_install")
class TestBillMinimum(BillCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.package = cls._new_usage_package(usage_minimum=20)
        cls.subscription = cls._subscribe(start="2026-03-01")

    def test_made_up_when_the_period_is_over(self):
        self._used("2026-03-02", 10, subscription=self.subscription)
        self.assertEqual(self._bill("2026-03-31").minimum_amount, 0)
        self._used("2026-03-31", 10, subscription=self.subscription)
        bill = self._bill("2026-04-01")
        self._assert_charges(bill, (f"d{self.landline.id}", 0.6), ("minimum", 18.8))
        self.assertEqual(bill.minimum_amount, 18.8)
        minimum = bill.charge_ids.sorted("id")[1]
        self.assertEqual(minimum.name, "Talk: up to the minimum spend for usage\n03/01/2026 – 03/31/2026")
        self.assertFalse(self.env["billing.usage"].search(minimum._usage_domain()))
        self.assertFalse(self._bill("2026-04-01"))

    def test_without_any_usage(self):
        bill = self._bill("2026-05-01")
        self.assertEqual(bill.mapped("amount"), [0, 0])
        self.assertEqual(bill.charge_ids.mapped("amount"), [20, 20])
        self.assertFalse(self._bill("2026-05-01"))

    def test_reached_is_not_asked_for(self):
        self._used("2026-03-02", 400, subscription=self.subscription)
        bill = self._bill("2026-04-01")
        self._assert_charges(bill, (f"d{self.landline.id}", 24))
        self.assertFalse(self._bill("2026-04-01"))

    def test_prorated(self):
        subscription = self._subscribe(start="2026-04-16", client=self.other_client, anchor_day=1)
        bill = self._bill("2026-05-01", self.other_client)
        self.assertEqual((bill.subscription_id, bill.charge_ids.amount), (subscription, 10))

    def test_what_comes_late_is_part_of_it(self):
        """What is paid in all does not depend on what came first."""
        self._used("2026-03-02", 100, subscription=self.subscription)
        self._assert_charges(self._bill("2026-04-01"), (f"d{self.landline.id}", 6), ("minimum", 14))
        self._used("2026-03-03", 100, subscription=self.subscription)
        late = self._bill("2026-04-02")
        self._assert_charges(late, (f"d{self.landline.id}", 6), ("minimum", -6))
        self.assertTrue(late.late)
        self._used("2026-03-04", 200, subscription=self.subscription)
        self._assert_charges(self._bill("2026-04-03"), (f"d{self.landline.id}", 12), ("minimum", -8))

    def test_what_comes_late_by_another_plan_is_part_of_it(self):
        """A number may have a plan of its own: the minimum is for all that the subscription uses."""
        other = self._new_plan("Other")
        group = self.env["billing.rate.destination"].create({"plan_id": other.id, "name": "All"})
        self.rates[group] = self._new_rate("*", group, 0.1)
        self._used("2026-03-02", 100, subscription=self.subscription)
        self._assert_charges(self._bill("2026-04-01"), (f"d{self.landline.id}", 6), ("minimum", 14))
        self._used("2026-03-03", 50, group, subscription=self.subscription)
        self._assert_charges(self._bill("2026-04-02"), (f"d{group.id}", 5), ("minimum", -5))
        self._used("2026-03-03", 20, group, subscription=self.subscription)
        self._used("2026-03-03", 50, subscription=self.subscription)
        bills = self._bill("2026-04-03")
        self.assertEqual(sorted(bills.charge_ids.mapped("amount")), [-5, 2, 3])

    def test_what_was_waived_is_not_given_back(self):
        bill = self._bill("2026-04-01")
        bill.charge_ids.action_discard()
        self._used("2026-03-03", 100, subscription=self.subscription)
        self._assert_charges(self._bill("2026-04-02"), (f"d{self.landline.id}", 6))

    def test_what_was_billed_does_not_change_with_the_package(self):
        self._bill("2026-04-01")
        self.package.usage_minimum = 100
        self._used("2026-03-03", 1, subscription=self.subscription)
        self._assert_charges(self._bill("2026-04-02"), (f"d{self.landline.id}", 0.06), ("minimum", -0.06))

    def test_agreed_later_is_not_asked_of_what_is_over(self):
        package = self._new_usage_package("Later")
        self._subscribe(package, client=self.other_client)
        package.usage_minimum = 5
        self.assertTrue(package.usage_minimum_from)
        self.assertFalse(self._bill("2026-04-01", self.other_client))

    def test_not_in_a_trial(self):
        subscription = self._subscribe(client=self.other_client, start="2026-04-01", trial_end="2026-04-30")
        self.assertTrue(subscription)
        self.assertFalse(self._bill("2026-05-01", self.other_client))
        self.assertEqual(self._bill("2026-06-01", self.other_client).charge_ids.amount, 20)


@tagged("post_install", "-at_install")
class TestBillLate(BillCommon):
    def test_on_the_next_invoice_and_marked(self):
        self._used("2026-03-02", 10)
        first = self._bill("2026-04-01")
        late, on_time = self._used("2026-03-30", 10), self._used("2026-04-02", 10)
        bills = self._bill("2026-05-01").sorted("period_start")
        self.assertEqual([(bill.late, bill.part) for bill in bills], [(True, 2), (False, 1)])
        rows = self._rows([late, on_time])
        self.assertEqual((rows[late][2], rows[on_time][2]), (True, False))
        self.assertEqual(bills[0].charge_ids.name, "Germany: 1 record, 10 minutes\n03/30/2026\nlate: March 2026")
        self.assertEqual(first.amount, 0.6, "what was billed stays")

    def test_on_a_draft_of_its_own(self):
        self.company.sudo().billing_usage_late = "correction"
        self._used("2026-03-02", 10)
        self._used("2026-03-02", 10, client=self.other_client)
        self._bill("2026-04-01", self.client | self.other_client)
        self._used("2026-03-30", 10)
        self._used("2026-04-02", 10)
        self.assertEqual(self._bill("2026-05-01").period_start, self._date("2026-04-01"), "late is left to the job")
        self._late_job()
        late = self.env["billing.usage.bill"].search([("late", "=", True)])
        self.assertEqual((late.partner_id, late.amount), (self.client, 0.6))
        draft = late.charge_ids.invoice_id
        self.assertEqual((draft.state, draft.amount_untaxed, len(draft.invoice_line_ids)), ("draft", 0.6, 1))
        self.assertIn("late: March 2026", draft.invoice_line_ids.name)
        self._late_job()
        self.assertEqual(self.env["billing.usage.bill"].search([("late", "=", True)]), late)

    def test_the_job_does_nothing_where_late_goes_on_the_next_invoice(self):
        self._used("2026-03-02", 10)
        self._bill("2026-04-01")
        self._used("2026-03-30", 10)
        self._late_job()
        self.assertFalse(self.env["billing.usage.bill"].search([("late", "=", True)]))

    def test_a_client_on_hold_gets_no_draft(self):
        self.company.sudo().billing_usage_late = "correction"
        self._used("2026-03-02", 10)
        self._bill("2026-04-01")
        self._used("2026-03-30", 10)
        self.client.write({"billing_blocked": True, "billing_blocked_reason": "Dispute"})
        self._late_job()
        late = self.env["billing.usage.bill"].search([("late", "=", True)])
        self.assertEqual(late.charge_ids.state, "open", "it is on the next invoice")
