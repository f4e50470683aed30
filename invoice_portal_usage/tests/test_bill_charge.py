import random
from contextlib import closing
from decimal import Decimal
from fractions import Fraction

from psycopg2.errors import SerializationFailure

from odoo import SUPERUSER_ID, api
from odoo.exceptions import AccessError, UserError
from odoo.tests import TransactionCase, tagged
from odoo.tools import mute_logger

from odoo.addons.invoice_portal.tools.grant import KEY
from odoo.addons.invoice_portal.tools.undone import undone

from ..tools.shares import rounded, shares
from .bill_common import BillCommon

D = Decimal


@tagged("post_install", "-at_install")
class TestShares(TransactionCase):
    def test_cases(self):
        for amounts, step, expected in (
            (["0.333", "0.333", "0.333"], "0.01", ["0.34", "0.33", "0.33"]),
            (["0.005"], "0.01", ["0.01"]),
            (["-0.005"], "0.01", ["-0.01"]),
            (["12.4", "12.4"], "1", ["13", "12"]),
            (["0.004", "0.004", "0"], "0.01", ["0.01", "0", "0"]),
            (["1.239", "-0.016", "0"], "0.01", ["1.24", "-0.02", "0"]),
            (["0.12", "0.13"], "0.05", ["0.10", "0.15"]),
            ([], "0.01", []),
        ):
            with self.subTest(amounts=amounts):
                self.assertEqual(shares([D(one) for one in amounts], D(step)), [D(one) for one in expected])

    def test_properties(self):
        """They add up to the total; nobody is off by a whole step; who has nothing gets nothing; order is kept."""
        dice = random.Random(7)
        for _turn in range(3000):
            step = D(dice.choice(("0.01", "1", "0.001", "0.05")))
            amounts = [D(dice.randrange(-200_000, 3_000_000)).scaleb(-6) for _one in range(dice.randint(1, 12))]
            amounts += [D(0)] * dice.randint(0, 2)
            parts = shares(amounts, step)
            self.assertEqual(sum(parts), rounded(sum(amounts), step))
            for amount, part in zip(amounts, parts, strict=True):
                self.assertLess(abs(Fraction(part) - Fraction(amount)), Fraction(step))
                self.assertEqual(Fraction(part) % Fraction(step), 0)
                self.assertTrue(amount or not part)

    def test_another_total_is_shared_by_all(self):
        for total in ("0.10", "-0.03", "7"):
            parts = shares([D("0.333")] * 3, D("0.01"), D(total))
            self.assertEqual(sum(parts), D(total))
            self.assertLessEqual(max(parts) - min(parts), D("0.01"))


@tagged("post_install", "-at_install")
class TestUsageCharge(BillCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.record = cls._used("2026-03-05", 10)
        cls.bill = cls._bill("2026-04-01")
        cls.charge = cls.bill.charge_ids

    def test_nobody_types_usage(self):
        for env in (self.env, self.env(su=True), self.env(context={KEY: True})):
            for values in (
                {"usage_bill_id": self.bill.id},
                {"usage_group": "all"},
                {"usage_amount": 1},
                {"origin": "usage"},
            ):
                with self.subTest(**values):
                    with self.assertRaises(UserError):
                        env["billing.charge"].with_user(self.biller).create(
                            {"name": "Mine", "partner_id": self.client.id, "price_unit": 1, **values}
                        )
                    if "origin" not in values:
                        with self.assertRaises(UserError):
                            self.charge.with_env(env).write(values)
        manual = self._new_charge()
        with self.assertRaises(UserError):
            manual.write({"usage_bill_id": self.bill.id})
        with self.assertRaises(UserError):
            manual.write({"origin": "usage"})

    def test_it_stays_with_its_client(self):
        for values in (
            {"partner_id": self.other_client.id},
            {"currency_id": self.env.ref("base.CHF").id},
            {"origin": "manual"},
            {"company_id": self._new_company("Other").id},
        ):
            with self.subTest(**values), self.assertRaises(UserError):
                self.charge.write(values)
        self.charge.write({"partner_id": self.client.id, "price_unit": 0.5})
        self.assertEqual((self.charge.amount, self.charge.usage_amount), (0.5, 0.6), "less may be asked for")

    def test_it_is_discarded_not_deleted(self):
        with self.assertRaisesRegex(UserError, "discard it instead"):
            self.charge.unlink()
        self.charge.action_discard()
        self.assertFalse(self._bill("2026-04-01"), "discarded usage does not come back")

    def test_a_copy_is_no_usage(self):
        copy = self.charge.copy()
        self.assertEqual((copy.origin, copy.usage_bill_id.id, copy.usage_group), ("manual", False, False))

    def test_the_bill_is_nobodys_to_write(self):
        for values in ({"amount": 0}, {"partner_id": self.other_client.id}):
            with self.assertRaises(AccessError):
                self.bill.write(values)
        with self.assertRaises(AccessError):
            self.bill.unlink()
        with self.assertRaises(AccessError):
            self.bill.total_ids.write({"amount": 0})
        with self.assertRaises(AccessError):
            self.env["billing.usage.bill"].create({"partner_id": self.client.id})

    def test_a_deleted_draft_opens_it_again(self):
        draft = self._draft(self.charge)
        self.assertEqual(self.charge.state, "drafted")
        draft.action_billing_delete()
        self.assertEqual(self.charge.state, "open")
        self.assertFalse(self._bill("2026-05-01"))

    def test_what_it_explains(self):
        facts = dict(self.charge._explain())
        self.assertEqual(facts["Rate plan"], "Voice")
        self.assertEqual(facts["Period"], "03/01/2026 – 03/31/2026")
        self.assertEqual(facts["Count"], "1 record")
        self.assertEqual((facts["Used"], facts["Billed quantity"]), ("10 minutes", "10 minutes"))
        self.assertEqual((facts["Exact sum"], facts["Rounding"]), ("0.600000", "0.000000"))
        self.assertNotIn("Included", facts)
        self.assertNotIn("Late", facts)

    def test_what_is_made_up_for_explains_itself(self):
        """To the client, too, who reads neither plans nor bills."""
        subscription = self._subscribe(
            self._new_usage_package(allowances=[(5, None)], usage_minimum=20), "2026-03-01", reference="4711"
        )
        self._used("2026-03-05", 10, subscription=subscription)
        bill = self._bill("2026-04-01")
        usage, minimum = bill.charge_ids.sorted("id")
        portal = self._new_portal_user(self.client, "paul")
        facts = dict(usage.sudo().with_user(portal).sudo()._explain())
        self.assertEqual((facts["Included"], facts["Subscription"]), ("5 minutes", "Talk, 4711"))
        facts = dict(minimum._explain())
        self.assertIn("0.30", facts["Usage in the period"])
        self.assertIn("19.70", facts["Up to the minimum"])
        self._tiers(self.mobile, "volume", (0, 0.1), (10, 0.05))
        for day in ("2026-05-01", "2026-05-02"):
            self._used(day, 10, self.mobile)
            volume = self._bill(self.env["billing.charge"]._fields["date"].to_date(day).replace(day=20 + int(day[-1])))
        self.assertIn("another tier", dict(volume.charge_ids.sorted("id")[-1]._explain())["Why"])

    def test_its_records(self):
        action = self.charge.action_usage()
        self.assertEqual(self.env["billing.usage"].search(action["domain"]).ids, [self.record])
        self.assertFalse(self.env["billing.usage"].search(self._new_charge()._usage_domain()))
        self.assertFalse(self.env["billing.usage"].search(self.env["billing.charge"]._usage_domain()))
        for by, group in (("day", "2026-03-05"), ("none", "all")):
            self.client.billing_usage_grouping = by
            record = self._used("2026-04-05", 1) if by == "none" else self._used("2026-03-05", 1)
            charge = self._bill("2026-05-01").charge_ids
            self.assertIn(charge.usage_group, (group, "2026-04-05", "all"))
            self.assertEqual(self.env["billing.usage"].search(charge._usage_domain()).ids, [record])


@tagged("post_install", "-at_install")
class TestTakeBack(BillCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.package = cls._new_usage_package(allowances=[(5, None)])
        cls.subscription = cls._subscribe()
        cls.record = cls._used("2026-03-05", 10, subscription=cls.subscription)
        cls.bill = cls._bill("2026-03-10")
        cls.charge = cls.bill.charge_ids

    def test_as_if_it_had_not_been(self):
        action = self.bill.action_take_back()
        self.assertEqual(action["params"]["message"], "Taken back: 1 bill. Its usage is open again.")
        self.assertFalse(self.bill.exists() | self.env["billing.usage.bill"].search([]))
        self.assertFalse(self.charge.exists())
        self.assertFalse(self.env["billing.usage.total"].search([]))
        self.assertFalse(self.env["billing.usage.bill.allowance"].search([]))
        self.assertEqual(self._rows([self.record])[self.record], (D("0.6"), D(0), False, None))
        again = self._bill("2026-03-10")
        self.assertEqual((again.part, again.amount), (1, 0.3))

    def test_what_is_on_an_invoice_stays(self):
        draft = self._draft(self.charge)
        with self.assertRaisesRegex(UserError, "Delete that draft first"):
            self.bill.action_take_back()
        draft._billing_finalize()
        with self.assertRaisesRegex(UserError, f"stands on {draft.name}"):
            self.bill.action_take_back()
        draft._billing_void("Wrong")
        self.assertEqual(self.charge.state, "open")
        with self.assertRaisesRegex(UserError, f"stands on .*{draft.name}.*, and stays"):
            self.bill.action_take_back()

    def test_later_parts_go_first(self):
        self._used("2026-03-12", 10, subscription=self.subscription)
        second = self._bill("2026-04-01")
        with self.assertRaisesRegex(UserError, "Take both back together"):
            self.bill.action_take_back()
        (self.bill | second).action_take_back()
        self.assertFalse(self.env["billing.usage.bill"].search([]))

    def test_who_may(self):
        for user in (self._new_user("clerk", "base.group_user"), self._new_portal_user(self.client, "paul")):
            for name in ("action_take_back", "action_charges", "action_records"):
                with self.subTest(name, user=user.login), self.assertRaises(AccessError):
                    getattr(self.bill.with_user(user), name)()
        self.assertTrue(self.bill.exists())

    def test_rate_again_takes_back_what_it_can(self):
        self._used("2026-03-12", 10, subscription=self.subscription)
        second = self._bill("2026-04-01")
        draft = self._draft(second.charge_ids)
        rate = self.rates[self.landline]
        self.client.action_billing_usage_rate_again()
        self.assertTrue(rate.billed)
        self.assertEqual(self.env["billing.usage.bill"].search([]), self.bill | second, "the first is under the second")
        draft.action_billing_delete()
        other = self._used("2026-03-12", 1, client=self.other_client)
        elsewhere = self._bill("2026-04-01", self.other_client)
        self.client.action_billing_usage_rate_again()
        self.assertEqual(self.env["billing.usage.bill"].search([]), elsewhere)
        self.assertTrue(rate.billed, "another client was billed by it")
        elsewhere.action_take_back()
        self.assertFalse(rate.billed)
        rate.price_unit = 0.6
        self.other_client.action_billing_usage_rate_again()
        self.assertEqual(self._rows([other])[other][3], None)


@tagged("post_install", "-at_install")
class TestBillFlow(BillCommon):
    """Through the wizard that the button on the client opens."""

    def _wizard(self, until="2026-04-01"):
        return self.env["billing.generate"].create({"partner_id": self.client.id, "draft": True, "until": until})

    def test_packages_and_usage_in_one_action(self):
        self._subscribe(self._new_usage_package(allowances=[(5, None)]), "2026-03-01")
        self._used("2026-03-05", 10)
        record = self._used("2026-03-05", 10, subscription=self.client.env["billing.subscription"].search([], limit=1))
        wizard = self._wizard()
        self.assertIn("Germany", wizard.summary)
        # Shown, and nothing kept; any number of times in one transaction.
        for _time in range(3):
            upcoming, _left_out = self.client._billing_upcoming(self._date("2026-04-01"))
            self.assertEqual(len(upcoming[0]["lines"]), 4)
        self.assertFalse(self.env["billing.usage.bill"].search([]))
        self.assertEqual(self._rows([record])[record][3], None)
        draft = self.env["account.move"].browse(wizard.action_confirm()["res_id"])
        self.assertEqual(sorted(draft.invoice_line_ids.mapped("price_subtotal")), [0.3, 0.6, 10, 10])
        with self.assertRaisesRegex(UserError, "nothing to bill"):
            self._wizard().action_confirm()

    def test_undone_in_a_savepoint_it_can_be_made_again(self):
        self._used("2026-03-05", 10)
        for _time in range(2):
            with undone(self.env):
                self.assertEqual(self._bill("2026-04-01").amount, 0.6)
        self.assertEqual(self._bill("2026-04-01").amount, 0.6)

    def test_void_and_bill_again(self):
        self._used("2026-03-05", 10)
        charge = self._bill("2026-04-01").charge_ids
        invoice = self._finalized(charge)
        invoice._billing_void("Wrong")
        self.assertEqual(charge.state, "open")
        self.assertFalse(self._bill("2026-04-01"))
        self.assertEqual(self._finalized(charge).amount_untaxed, 0.6)

    def test_open_totals_are_what_will_be_billed(self):
        subscription = self._subscribe(self._new_usage_package(allowances=[(15, None)]), "2026-03-01")
        self._used("2026-03-05", 10, subscription=subscription)
        self._bill("2026-03-06")
        self._used("2026-03-06", 10, subscription=subscription)
        self._used("2026-03-07", 10, self.mobile, subscription=subscription)
        self._used("2026-02-07", 10)
        before = self.env.cr.sql_log_count
        (totals,) = self.env["billing.usage"]._open_totals(self.client, self.company, self._date("2026-03-20"))
        self.assertLess(self.env.cr.sql_log_count - before, 40)
        self.assertEqual(totals["period_start"], self._date("2026-03-01"))
        self.assertEqual(totals["subscription_id"], subscription.id)
        self.assertEqual(
            [(row["destination_name"], str(row["day"]), row["amount"]) for row in totals["rows"]],
            [("Germany", "2026-03-06", 0.3), ("Germany mobile", "2026-03-07", 1.2)],
        )
        self.assertEqual(
            [(one["name"], one["granted"], one["used"]) for one in totals["allowances"]], [("15 included", 900, 900)]
        )
        portal = self._new_portal_user(self.client, "paul")
        again = (
            self.env["billing.usage"]
            .with_user(portal)
            ._open_totals(self.client.with_user(portal), self.company.with_user(portal), self._date("2026-03-20"))
        )
        self.assertEqual(again, [totals])
        bill = self._bill("2026-04-01").filtered("subscription_id")
        self.assertEqual(bill.exact_amount, sum(row["amount"] for row in totals["rows"]))

    def test_open_totals_without_any_use(self):
        self.assertEqual(self.env["billing.usage"]._open_totals(self.client, self.company), [])
        self._subscribe(self._new_usage_package(allowances=[(15, None)]), "2026-03-01")
        (totals,) = self.env["billing.usage"]._open_totals(self.client, self.company, self._date("2026-05-20"))
        self.assertEqual((totals["rows"], totals["allowances"][0]["used"]), ([], 0))
        self.assertEqual(str(totals["period_start"]), "2026-05-01")


@tagged("post_install", "-at_install")
class TestBillTogether(TransactionCase):
    """Of two connections that bill the same client at the same time, one bills it."""

    def setUp(self):
        super().setUp()
        with self.registry.cursor() as cr:
            env = api.Environment(cr, SUPERUSER_ID, {})
            company = env.ref("base.main_company")
            self.company_id = company.id
            client = env["res.partner"].create({"name": "Billed by two", "is_company": True})
            product = env["product.product"].create({"name": "Calls by two", "type": "service", "taxes_id": []})
            plan = env["billing.rate.plan"].create(
                {"name": "By two", "product_id": product.id, "unit": "minute", "company_id": company.id, "tz": "UTC"}
            )
            destination = env["billing.rate.destination"].create({"plan_id": plan.id, "name": "Anywhere"})
            rate = env["billing.rate"].create(
                {"plan_id": plan.id, "prefix": "*", "destination_id": destination.id, "price_unit": 1}
            )
            source = env["billing.usage.source"].create(
                {"name": "By two", "code": "by-two", "kind": "key", "tz": "UTC", "company_id": company.id}
            )
            env.flush_all()
            cr.execute(
                """
                INSERT INTO billing_usage (
                    company_id, source_id, external_id, partner_id, moment, day, quantity, billed_quantity,
                    rate_plan_id, plan_revision, rate_id, destination_id, list_amount, amount
                ) VALUES (%s, %s, 'one', %s, '2026-03-05', '2026-03-05', 60, 60, %s, %s, %s, %s, 1, 1)
                """,
                [company.id, source.id, client.id, plan.id, plan.revision, rate.id, destination.id],
            )
            self.made = {
                "res_partner": client.id,
                "product_product": product.id,
                "product_template": product.product_tmpl_id.id,
                "billing_rate_plan": plan.id,
                "billing_rate_destination": destination.id,
                "billing_rate": rate.id,
                "billing_usage_source": source.id,
            }
        self.addCleanup(self._clean_up)

    def _clean_up(self):
        made = self.made
        with self.registry.cursor() as cr:
            for query, record in (
                ("DELETE FROM billing_charge WHERE partner_id = %s", "res_partner"),
                ("DELETE FROM billing_usage WHERE source_id = %s", "billing_usage_source"),
                ("DELETE FROM billing_usage_bill WHERE partner_id = %s", "res_partner"),
                ("DELETE FROM billing_usage_source WHERE id = %s", "billing_usage_source"),
                ("DELETE FROM billing_rate WHERE id = %s", "billing_rate"),
                ("DELETE FROM billing_rate_destination WHERE id = %s", "billing_rate_destination"),
                ("DELETE FROM billing_rate_plan WHERE id = %s", "billing_rate_plan"),
                ("DELETE FROM product_product WHERE id = %s", "product_product"),
                ("DELETE FROM product_template WHERE id = %s", "product_template"),
                ("DELETE FROM mail_message WHERE model = 'res.partner' AND res_id = %s", "res_partner"),
                ("DELETE FROM mail_message WHERE model = 'billing.rate.plan' AND res_id = %s", "billing_rate_plan"),
                ("DELETE FROM res_partner WHERE id = %s", "res_partner"),
            ):
                cr.execute(query, [made[record]])

    def _make(self, cr):
        env = api.Environment(cr, SUPERUSER_ID, {})
        client = env["res.partner"].browse(self.made["res_partner"])
        company = env["res.company"].browse(self.company_id)
        bills = client._billing_usage_make_bills(company, "2026-04-01")
        env.flush_all()
        return len(bills)

    def test_nobody_is_billed_twice(self):
        with closing(self.registry.cursor()) as fast, closing(self.registry.cursor()) as slow:
            # Both have seen the record open.
            slow.execute("SELECT count(*) FROM billing_usage WHERE bill_id IS NULL")
            self.assertEqual(self._make(fast), 1)
            fast.commit()
            with mute_logger("odoo.sql_db"), self.assertRaises(SerializationFailure):
                self._make(slow)
            slow.rollback()
            self.assertEqual(self._make(slow), 0, "tried again, it finds nothing")
            slow.rollback()
        with self.registry.cursor() as cr:
            cr.execute("SELECT count(*) FROM billing_charge WHERE partner_id = %s", [self.made["res_partner"]])
            self.assertEqual(cr.fetchone(), (1,))
