import random
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal

from odoo import Command
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import new_test_user, tagged
from odoo.tools import mute_logger

from ..tools import country_names, rate_steps
from . import reference
from .common import UsageCommon


@tagged("post_install", "-at_install")
class TestPlan(UsageCommon):
    """Rates, groups and tiers: what may be said, what may change, and that usage is rated again."""

    def _rate(self, prefix="33", destination=None, price=0.1, **values):
        return self._new_rate(prefix, destination or self.world, price, **values)

    @contextmanager
    def _refuses(self, words, exception=UserError):
        """Refused in these words, and nothing of it stays."""
        with self.assertRaisesRegex(exception, words), self.cr.savepoint():
            yield
        self.env.invalidate_all()

    def _billed(self, rate):
        """As billing marks it."""
        self.env.flush_all()
        self.env.cr.execute("UPDATE billing_rate SET billed = TRUE WHERE id = %s", [rate.id])
        rate.invalidate_recordset()
        return rate

    def _bill(self):
        return (
            self.env["billing.usage.bill"]
            .sudo()
            .create(
                {
                    "company_id": self.company.id,
                    "partner_id": self.client.id,
                    "rate_plan_id": self.plan.id,
                    "currency_id": self.plan.currency_id.id,
                    "period_start": "2026-03-01",
                    "period_end": "2026-03-31",
                    "part": 1,
                    "grouping": "none",
                }
            )
        )

    # -- prefixes -----------------------------------------------------------------------------------------------------

    def test_prefixes_are_kept_in_digits(self):
        for number, (typed, kept) in enumerate(
            [
                ("+34 91", "3491"),
                ("0034 (93)", "3493"),
                (" 34-95 ", "3495"),
                ("34.96.1", "34961"),
                ("３４９７", "3497"),
                ("3498.0", "3498"),
            ]
        ):
            rate = self._rate(typed, price=number)
            self.assertEqual(rate.prefix, kept)
        rate.prefix = "+34 99"
        self.assertEqual(rate.prefix, "3499")

    def test_what_is_no_prefix_is_refused(self):
        for typed in ["", " ", "030", "+", "49x", "4.9E+10", "**", "4*", "1" * 21, False, "000", "49\n=1", "٤٩x"]:
            with self._refuses("no beginning of a telephone number"):
                self._rate(typed)
        with self._refuses("no beginning of a telephone number"):
            self.plan.rate_ids[:1].prefix = "abc"

    def test_keys_are_kept_as_written_and_found_in_any_case(self):
        plan = self.env["billing.rate.plan"].create(
            {"name": "Hours", "product_id": self.usage_product.id, "unit": "hour", "tz": "UTC"}
        )
        self.assertEqual(plan.kind, "key")
        rate = self.env["billing.rate"].create({"plan_id": plan.id, "prefix": "  Support  2024-01 ", "price_unit": 90})
        self.assertEqual((rate.prefix, rate.destination_id.name), ("Support 2024-01", "Support 2024-01"))
        self.assertEqual(plan._match("SUPPORT 2024-01", datetime(2026, 3, 10)), rate)
        self.assertFalse(plan._match("Support", datetime(2026, 3, 10)))
        with self._refuses("at the same time", ValidationError):
            rate.copy({"prefix": "support 2024-01"})
        with self._refuses("at most 200"):
            rate.prefix = "x" * 201
        with self._refuses("has rates already"):
            plan.kind = "phone"

    # -- names of destinations ----------------------------------------------------------------------------------------

    def test_groups_are_named_after_country_and_region(self):
        rates = self.env["billing.rate"].create(
            [
                {"plan_id": self.plan.id, "prefix": prefix, "price_unit": 1}
                for prefix in ("33", "334", "336", "3367", "1242", "4930", "881")
            ]
        )
        self.assertEqual(
            [rate.destination_id.name for rate in rates],
            ["France", "France", "France mobile", "France mobile", "Bahamas", "Germany, Berlin", "881"],
        )
        self.assertEqual(rates[2].destination_id, rates[3].destination_id)
        # In any case, a group is not made twice.
        self.plan.destination_ids.filtered(lambda group: group.name == "France").name = "FRANCE"
        again = self.env["billing.rate"].create({"plan_id": self.plan.id, "prefix": "330"})
        self.assertEqual(again.destination_id, rates[0].destination_id)

    def test_names_of_all_sorts_of_prefixes(self):
        for prefix, lang, name in [
            ("49", "de_DE", "Deutschland"),
            ("4989", "de_DE", "Deutschland, München"),
            ("4989", "zz_ZZ", "Germany, Munich"),
            ("4915", None, "Germany mobile"),
            ("1", "en_US", "United States"),
            ("77", "en_US", "Kazakhstan"),
            ("390", "en_US", "Italy"),
            ("49000000000000000000", "en_US", "Germany"),
            ("", "en_US", None),
            ("*", "en_US", None),
            ("999", "en_US", None),
        ]:
            self.assertEqual(country_names.name_of_prefix(prefix, lang), name, prefix)

    # -- one price at a time ------------------------------------------------------------------------------------------

    def test_overlaps_are_refused_by_both_names(self):
        self._rate("33", date_from="2026-01-01", date_until="2026-06-30")
        for values in [
            {},
            {"date_from": "2026-06-30"},
            {"date_until": "2026-01-01"},
            {"date_from": "2026-02-01", "date_until": "2026-02-02", "band": "peak"},
        ]:
            with self._refuses(r"“33” \(Elsewhere\) from .*“33” \(Elsewhere\)", ValidationError):
                self._rate("33", **values)
        self._rate("33", date_from="2026-07-01", band="peak")
        self._rate("33", date_from="2026-07-01", band="off_peak")
        later = self._rate("33", date_until="2025-12-31")
        with self._refuses("at the same time", ValidationError):
            later.date_until = "2026-01-01"

    def test_overlaps_within_one_create(self):
        values = {"plan_id": self.plan.id, "prefix": "+33", "destination_id": self.world.id}
        with self._refuses("at the same time", ValidationError):
            self.env["billing.rate"].create([values, dict(values, prefix="0033", band="peak")])

    def test_many_are_asked_about_at_once(self):
        values = [{"plan_id": self.plan.id, "prefix": f"99{n}", "destination_id": self.world.id} for n in range(200)]
        with self.assertQueryCount(30):
            self.env["billing.rate"].create(values)

    # -- numbers and days ---------------------------------------------------------------------------------------------

    @mute_logger("odoo.sql_db")
    def test_numbers_that_are_none(self):
        rate = self._rate()
        for value in (float("nan"), float("inf"), -float("inf"), 1e300, "nan"):
            for fname in ("price_unit", "minimum", "step", "connection_fee"):
                with self._refuses("more than can be billed"):
                    rate.write({fname: value})
                with self._refuses("more than can be billed"):
                    self._rate("34", **{fname: value} if fname != "price_unit" else {"price": value})
            with self._refuses("more than can be billed"):
                self.plan.write({"peak_from": value})
            with self._refuses("more than can be billed"):
                self.world.tier_ids = [Command.create({"above": value, "price_unit": 1})]
            with self._refuses("more than can be billed"):
                self._new_package(
                    rate_plan_id=self.plan.id, allowance_ids=[Command.create({"name": "Some", "quantity": value})]
                )
        for year in ("0001", "9999"):
            with self._refuses("Check the year"):
                rate.date_from = f"{year}-01-01"

    @mute_logger("odoo.sql_db")
    def test_numbers_below_zero(self):
        for fname in ("price_unit", "minimum", "step", "connection_fee"):
            with self.subTest(fname), self.assertRaises(Exception) as caught, self.cr.savepoint():
                rate = self._rate("34")
                rate[fname] = -1
                rate.flush_recordset()
            self.assertIn("billing_rate_numbers", str(caught.exception))

    def test_zones_are_known(self):
        for zone in ("Mars/Olympus", "../UTC", "CEST"):
            with self._refuses("no time zone", ValidationError):
                self.plan.tz = zone

    # -- what was billed ----------------------------------------------------------------------------------------------

    def test_a_billed_rate_keeps_what_explains_it(self):
        rate = self._billed(self._rate(date_from="2026-01-01"))
        for values in [
            {"prefix": "34"},
            {"price_unit": 0.2},
            {"minimum": 1},
            {"step": 1},
            {"connection_fee": 1},
            {"band": "peak"},
            {"destination_id": self.landline.id},
            {"date_from": "2025-01-01"},
            {"date_from": False},
            {"date_until": "2026-12-31", "price_unit": 9},
        ]:
            with self._refuses("add a new rate"):
                rate.write(values)
        rate.write({"price_unit": 0.1, "prefix": "+33", "date_until": "2026-06-30"})
        self._rate(price=0.2, date_from="2026-07-01")
        with self._refuses("the rate stays"):
            rate.unlink()

    def test_nobody_says_what_was_billed(self):
        rate = self._billed(self._rate())
        with self._refuses("nobody sets it", AccessError):
            rate.billed = False
        with self._refuses("nobody sets it", AccessError):
            self._rate("34", billed=True)
        self.assertFalse(rate.copy({"prefix": "35"}).billed)

    def test_a_billed_plan_keeps_its_unit_and_currency(self):
        self._bill()
        self.plan.write({"unit": "minute", "name": "Voice, old", "peak_from": 7})
        with self._refuses("Duplicate the plan"):
            self.plan.unit = "second"
        with self._refuses("Duplicate the plan"):
            self.plan.currency_id = self._other_currency()
        with self._refuses("Archive it"):
            self.plan.unlink()

    def _other_currency(self):
        return self.env["res.currency"].sudo().search([("id", "!=", self.plan.currency_id.id)], limit=1)

    def test_a_used_group_is_not_deleted(self):
        with self._refuses("Rates lead to “Elsewhere” \\(1\\)"):
            self.world.unlink()
        empty = self._new_destination("Empty")
        bill = self._bill()
        total = self.env["billing.usage.total"].sudo().create({"bill_id": bill.id, "destination_id": empty.id})
        with self._refuses("was billed"):
            empty.unlink()
        total.unlink()
        empty.unlink()

    def test_a_plan_without_use_is_deleted_with_all_it_has(self):
        self.source.rate_plan_id = False
        self.world.tier_ids = [Command.create({"above": 0, "price_unit": 1})]
        plan, rates, groups = self.plan, self.plan.rate_ids, self.plan.destination_ids
        plan.unlink()
        self.assertFalse(plan.exists() or rates.exists() or groups.exists())

    def test_a_used_plan_is_not_deleted(self):
        with self._refuses("usage sources"):
            self.plan.unlink()
        self.source.rate_plan_id = False
        self.client.billing_rate_plan_id = self.plan
        with self._refuses("clients"):
            self.plan.unlink()

    def test_things_stay_where_they_are(self):
        other = self.plan.copy()
        with self._refuses("stays with its plan"):
            self.plan.rate_ids[:1].plan_id = other
        with self._refuses("stays with its plan"):
            self.world.plan_id = other
        with self._refuses("stays with its company"):
            self.plan.company_id = self._new_company("Other")

    # -- rated again --------------------------------------------------------------------------------------------------

    def _touches(self, change, times=1):
        before = self.plan.revision
        change()
        self.assertEqual(self.plan.revision - before, times)

    def test_each_change_counts_once(self):
        values = [{"plan_id": self.plan.id, "prefix": f"99{n}", "destination_id": self.world.id} for n in range(5)]
        created = []
        self._touches(lambda: created.append(self.env["billing.rate"].create(values)))
        self._touches(lambda: created[0].write({"price_unit": 2}))
        self._touches(lambda: created[0].unlink())
        self._touches(lambda: self.world.write({"tier_mode": "graduated"}))
        self._touches(lambda: self.world.write({"name": "World"}), 0)
        tiers = [{"destination_id": self.world.id, "above": n, "price_unit": n} for n in range(3)]
        self._touches(lambda: created.append(self.env["billing.rate.tier"].create(tiers)))
        self._touches(lambda: created[1].write({"price_unit": 9}))
        self._touches(lambda: created[1].unlink())
        for values in ({"unit": "second"}, {"tz": "Asia/Tokyo"}, {"peak_from": 1}, {"peak_weekend": True}):
            self._touches(lambda values=values: self.plan.write(values))
        self._touches(lambda: self.plan.write({"name": "Calls"}), 0)
        self._touches(lambda: self._new_destination("Empty").unlink())

    def test_nobody_sets_the_revision(self):
        with self._refuses("nobody sets it", AccessError):
            self.plan.revision = 1
        with self._refuses("nobody sets it", AccessError):
            self.plan.copy({"revision": 7})

    # -- copies -------------------------------------------------------------------------------------------------------

    def test_a_copy_has_all_rates_and_tiers(self):
        self.world.write({"tier_mode": "volume", "tier_ids": [Command.create({"above": 10, "price_unit": 0.5})]})
        self._billed(self.plan.rate_ids[:1])
        copy = self.plan.copy()
        self.assertEqual(copy.name, "Voice (copy)")
        self.assertEqual(copy.rate_ids.mapped("prefix"), self.plan.rate_ids.mapped("prefix"))
        self.assertEqual(copy.rate_ids.destination_id.plan_id, copy)
        self.assertFalse(any(copy.rate_ids.mapped("billed")))
        self.assertEqual(copy.destination_ids.tier_ids.mapped("price_unit"), [0.5])
        self.assertEqual(copy.rate_ids.company_id, self.company)

    # -- who may ------------------------------------------------------------------------------------------------------

    def test_groups_of_others_are_no_destination(self):
        other = self.plan.copy()
        with self._refuses("belongs to another plan", ValidationError):
            self._rate("34").destination_id = other.destination_ids[:1]
        company = self._new_company("Other")
        foreign = (
            self.env["billing.rate.plan"]
            .sudo()
            .create({"name": "Theirs", "product_id": self.usage_product.id, "company_id": company.id})
        )
        group = self.env["billing.rate.destination"].sudo().create({"name": "Theirs", "plan_id": foreign.id})
        with self._refuses("belongs to another plan|not allowed|access", (ValidationError, AccessError)):
            self.env["billing.rate"].create(
                {"plan_id": self.plan.id, "prefix": "34", "destination_id": group.with_env(self.env).id}
            ).flush_recordset()

    def test_who_may_not(self):
        company = self._new_company("Other")
        foreign = (
            self.env["billing.rate.plan"]
            .sudo()
            .create({"name": "Theirs", "product_id": self.usage_product.id, "company_id": company.id})
        )
        plan = foreign.with_env(self.env)
        for act in (
            lambda: plan.read(["name"]),
            lambda: plan.write({"name": "Ours"}),
            lambda: plan.unlink(),
            lambda: plan.copy(),
            lambda: plan.action_check(),
            lambda: plan.action_try(),
            lambda: plan.action_import(),
            lambda: plan.action_export(),
            lambda: plan._import_rates(b"prefix,price\n34,1\n", write=True),
            lambda: self.env["billing.rate"].create({"plan_id": foreign.id, "prefix": "34"}),
        ):
            with self._refuses("", AccessError):
                act()
        employee = new_test_user(self.env(su=True), "employee", groups="base.group_user", company_id=self.company.id)
        for record in (self.plan, self.plan.rate_ids, self.world, self.env["billing.rate.import"]):
            with self.assertRaises(AccessError), self.cr.savepoint():
                record.with_user(employee).search_read([], ["id"])
        with self.assertRaises(AccessError), self.cr.savepoint():
            self.plan.with_user(employee)._import_rates(b"prefix,price\n34,1\n", write=True)

    # -- packages -----------------------------------------------------------------------------------------------------

    def test_included_usage_is_of_the_plan_and_copied(self):
        package = self._new_package(
            rate_plan_id=self.plan.id,
            usage_minimum=20,
            allowance_ids=[
                Command.create(
                    {"name": "500 minutes", "quantity": 500, "destination_ids": [Command.set(self.landline.ids)]}
                )
            ],
        )
        copy = package.copy()
        self.assertEqual((copy.rate_plan_id, copy.usage_minimum), (self.plan, 20))
        self.assertEqual(copy.allowance_ids.destination_ids, self.landline)
        self.assertEqual((copy.allowance_ids.name, copy.allowance_ids.quantity), ("500 minutes", 500))
        self.assertNotEqual(copy.allowance_ids, package.allowance_ids)
        other = self.plan.copy()
        with self._refuses("no destination group of the package's rate plan", ValidationError):
            package.allowance_ids.destination_ids = other.destination_ids[:1]
        with self._refuses("no destination group of the package's rate plan", ValidationError):
            package.rate_plan_id = other
        with self._refuses("stays with its package"):
            package.allowance_ids.package_id = copy

    def test_packages_of_every_company_are_changed_by_administrators(self):
        allowance = {"name": "All", "quantity": 1}
        package = self._new_package()
        shared = (
            self.env["billing.package"]
            .sudo()
            .create(
                {
                    "name": "Shared",
                    "product_id": self.product_a.id,
                    "company_id": False,
                    "allowance_ids": [Command.create(allowance)],
                }
            )
            .with_env(self.env)
        )
        for act in (
            lambda: self.env["billing.package.allowance"].create(dict(allowance, package_id=shared.id)),
            lambda: shared.allowance_ids.write({"quantity": 2}),
            lambda: shared.allowance_ids.unlink(),
            lambda: shared.write({"usage_minimum": 5}),
            lambda: shared.write({"allowance_ids": [Command.create(allowance)]}),
        ):
            with self._refuses("only Billing / Administrator", AccessError):
                act()
        package.allowance_ids = [Command.create(allowance)]
        package.allowance_ids.quantity = 3

    # -- which rate fits ----------------------------------------------------------------------------------------------

    def test_match_and_price_as_the_reference_has_them(self):
        """Thousands of small cases beside the slow implementation that shares nothing with this one."""
        chance = random.Random(7)
        self._rate("4989", price=0.2, date_from="2026-03-01", date_until="2026-03-31")
        self._rate("49891", price=0.3, band="peak")
        self._rate("49891", price=0.4, band="off_peak", date_from="2026-03-05")
        self.plan.write({"tz": "Europe/Berlin", "peak_from": 8 + 20 / 60})
        rates = {rate.id: rate for rate in self.plan.rate_ids}
        plan = reference.Plan(
            [
                reference.Rate(
                    rate.prefix,
                    Decimal(0),
                    first=rate.date_from or None,
                    last=rate.date_until or None,
                    band=rate.band,
                    id=rate.id,
                )
                for rate in rates.values()
            ],
            tz="Europe/Berlin",
            peak_from=8 + 20 / 60,
        )
        for _n in range(300):
            number = chance.choice(["49", "4989", "49891", "4915", "331", "1"]) + str(chance.randrange(1000))
            moment = datetime(2026, chance.choice([2, 3, 4]), chance.randrange(1, 29), chance.randrange(24), 20)
            day = date(2026, moment.month, moment.day)
            fits = reference.find_rate(plan, "phone", number, moment, day)
            self.assertEqual(self.plan._match(number, moment, day).id, fits.id, (number, moment))
        for _n in range(3000):
            quantity, minimum, step = (Decimal(chance.randrange(0, 4000)) / chance.choice([1, 8, 1000]) for _i in "qms")
            price, fee = (Decimal(chance.randrange(10**9)) / 10**8 for _i in "pf")
            billed = rate_steps.billed_quantity(quantity, minimum, step)
            self.assertEqual(billed, reference.billed_quantity(quantity, minimum, step))
            rate = reference.Rate("1", price, fee=fee)
            expected = reference.list_amount(billed, rate, "minute")
            self.assertEqual(rate_steps.list_amount(billed, price, fee, Decimal(60)), expected)

    def _try(self, number, quantity=61, **values):
        return self.env["billing.rate.try"].create(
            {"plan_id": self.plan.id, "number": number, "quantity": quantity, "unit": "second", **values}
        )

    def test_trying_a_number(self):
        self.company.sudo().country_id = self.env.ref("base.de")
        for number in ("+49 89 123456", "0049 89 123456", "089 123456", "4989123456"):
            tried = self._try(number, moment="2026-03-10 12:00:00")
            self.assertEqual(tried.rate_id.prefix, "49", number)
            self.assertIn("Billed: 120 seconds", tried.answer)
            self.assertIn("is 0.12", tried.answer)
        self._rate("4989", date_until="2020-01-01")
        self.assertIn("not in force on that day", self._try("4989123456").answer)
        self._rate("4930", price=0.06, minimum=0, step=1)
        self.assertIn("Billed: 1 second, exactly", self._try("4930123", 1).answer)
        star = self._try("33123", 10)
        self.assertIn("nothing else fits", star.answer)
        self.assertIn("0.5 ", star.answer)
        self.assertIn("costs nothing", self._try("33123", 0).answer)
        self.assertIn("measures something else", self._try("33123", 1, unit="gb").answer)
        for number in ("abc", "<img src=x>", "*", "0"):
            tried = self._try(number)
            self.assertFalse(tried.rate_id)
            self.assertNotIn("<img", tried.answer)
        self.plan.rate_ids.filtered(lambda rate: rate.prefix == "*").unlink()
        self.assertIn("No rate fits", self._try("33123").answer)
        self.assertFalse(self._try(" ").answer)

    # -- what is wrong ------------------------------------------------------------------------------------------------

    def _findings(self, day="2026-03-10"):
        return [finding.text for finding in self.plan._findings(date.fromisoformat(day))]

    def test_a_plan_in_order(self):
        self.assertEqual(self._findings(), [])
        action = self.plan.action_check()
        self.assertFalse(self.env["billing.rate.check"].browse(action["res_id"]).line_ids)

    def test_what_is_found(self):
        self.plan.rate_ids.filtered(lambda rate: rate.prefix == "*").unlink()
        self._rate("33", date_until="2026-02-28")
        self._rate("33", date_from="2026-03-05")
        self._rate("34", date_until="2026-12-31")
        self._rate("35", date_until="2025-12-31")
        self._rate("36", band="peak")
        self._rate("4930", self.landline, 0.06, minimum=60, step=60)
        for digit in range(10):
            self._rate(f"7{digit}")
        self._rate("7")
        self.landline.tier_mode = "graduated"
        self.mobile.tier_ids = [Command.create({"above": 5, "price_unit": 1})]
        self._new_destination("Unused")
        found = "\n".join(self._findings())
        for words in [
            "Nothing is for all the rest",
            "“33” has no rate from 03/01/2026 until 03/04/2026",
            "“34” ends on 12/31/2026, and nothing follows",
            "ended in the past, and nothing followed: 1 (“35”",
            "“36” has a rate for peak hours only",
            "“7” is never reached",
            "“4930” as “49”",
            "“Germany” goes by tiers, and has none",
            "“Germany mobile” has tiers that nobody uses",
            "No rate leads to the destination group “Unused”",
        ]:
            self.assertIn(words, found)
        self.assertNotIn("Two prices", found)

    def test_overlaps_that_came_past_the_orm_are_found(self):
        self.env.flush_all()
        self.env.cr.execute(
            "INSERT INTO billing_rate (plan_id, company_id, prefix, destination_id, price_unit, band)"
            " SELECT plan_id, company_id, '49', destination_id, 1, 'peak' FROM billing_rate WHERE prefix = '*'"
        )
        self.assertIn("Two prices at the same time: “49” (Germany), and “49” (Elsewhere) Peak", self._findings()[0])

    def test_many_findings_are_counted(self):
        self.env["billing.rate"].create(
            [
                {"plan_id": self.plan.id, "prefix": f"99{n}", "destination_id": self.world.id, "band": "peak"}
                for n in range(150)
            ]
        )
        check = self.env["billing.rate.check"].create({"plan_id": self.plan.id})
        self.assertEqual(len(check.line_ids), 101)
        self.assertIn("50 more prefixes", check.line_ids[-1].name)
        action = check.line_ids[0].action_open()
        self.assertEqual(self.env["billing.rate"].search(action["domain"]), check.line_ids[0].rate_id)

    def test_a_plan_without_rates(self):
        self.plan.rate_ids.unlink()
        self.assertIn("The plan has no rates", self._findings()[0])
