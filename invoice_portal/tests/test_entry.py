import json
import logging
import os
import random
import time
from unittest.mock import patch

from odoo import Command
from odoo.tests import tagged

from ..models import account_move_entry
from ..tools.entry import KEY, is_complete
from ..tools.undone import undone
from .common import BillingCommon

_logger = logging.getLogger(__name__)

# Who and when differ by nature; which draft and which line are told apart by their place.
ASIDE = {"id", "move_id", "create_date", "write_date", "access_token"}
# More than the suite needs: BILLING_ENTRY_ROUNDS=50 ./dev/test invoice_portal/tests/test_entry.py
ROUNDS = int(os.environ.get("BILLING_ENTRY_ROUNDS", "1"))
SEED = int(os.environ.get("BILLING_ENTRY_SEED") or time.time())


@tagged("post_install", "-at_install")
class TestEntry(BillingCommon):
    """Drafts whose entries are computed beforehand are those that Odoo's `create` makes, to the last stored field."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        su = cls.env(su=True)
        cls.euro, cls.yen = su.ref("base.EUR"), su.ref("base.JPY")
        (cls.euro + cls.yen).active = True
        su["res.currency.rate"].create(
            [
                {"currency_id": currency.id, "company_id": cls.company.id, "name": day, "rate": rate}
                for currency, rate in ((cls.euro, 0.8137), (cls.yen, 147.31))
                for day in ("2020-01-01", "2024-03-01")
            ]
        )
        cls.currencies = cls.company.currency_id + cls.euro + cls.yen
        cls.all_taxes = cls._new_taxes(su)
        cls.products = cls._new_products(su)
        cls.terms = cls._new_terms(su)
        cls.positions = cls._new_positions(su)
        cls._new_analytic_models(su)

    @classmethod
    def _new_taxes(cls, su):
        def tax(name, amount, **values):
            return su["account.tax"].create(
                {"name": name, "amount": amount, "company_id": cls.company.id, "type_tax_use": "sale", **values}
            )

        tags = su["account.account.tag"].create(
            [{"name": f"tag {name}", "applicability": "taxes"} for name in ("base", "tax", "other")]
        )
        reported = tax("reported", 19)
        base, part = reported.invoice_repartition_line_ids
        base.tag_ids, part.tag_ids = tags[0], tags[1] + tags[2]
        split = tax(
            "split over accounts",
            7.5,
            invoice_repartition_line_ids=[
                Command.create({"repartition_type": "base"}),
                Command.create(
                    {
                        "repartition_type": "tax",
                        "factor_percent": 60,
                        "account_id": cls.company_data["default_account_tax_sale"].id,
                        "use_in_tax_closing": True,
                    }
                ),
                Command.create({"repartition_type": "tax", "factor_percent": 40, "tag_ids": [Command.set(tags.ids)]}),
            ],
            refund_repartition_line_ids=[
                Command.create({"repartition_type": "base"}),
                Command.create({"repartition_type": "tax", "factor_percent": 60}),
                Command.create({"repartition_type": "tax", "factor_percent": 40}),
            ],
        )
        reverse = tax(
            "reverse charge",
            21,
            invoice_repartition_line_ids=[
                Command.create({"repartition_type": "base"}),
                Command.create({"repartition_type": "tax", "factor_percent": 100}),
                Command.create({"repartition_type": "tax", "factor_percent": -100}),
            ],
            refund_repartition_line_ids=[
                Command.create({"repartition_type": "base"}),
                Command.create({"repartition_type": "tax", "factor_percent": 100}),
                Command.create({"repartition_type": "tax", "factor_percent": -100}),
            ],
        )
        children = tax("child 1", 8.2, type_tax_use="none") + tax("child 2", 1.55, type_tax_use="none")
        return [
            cls.tax_sale_a,
            reported,
            split,
            reverse,
            tax("included", 13.7, price_include_override="tax_included"),
            tax("included, too", 5, price_include_override="tax_included"),
            tax("grouped", 0, amount_type="group", children_tax_ids=[Command.set(children.ids)]),
            tax("fixed", 0.37, amount_type="fixed", sequence=5),
            tax("on tax", 4, include_base_amount=True, sequence=2),
            tax("not on tax", 3, is_base_affected=False, sequence=8),
            tax("division", 6, amount_type="division", price_include_override="tax_included"),
            tax("withheld", -9.1, sequence=20),
            tax("by analytic account", 11, analytic=True),
            tax("nothing", 0),
        ]

    @classmethod
    def _new_products(cls, su):
        income = cls.company_data["default_account_revenue"]
        other = income.sudo().copy({"name": "Other income", "code": "409999"})
        category = su["product.category"].create({"name": "Own account", "property_account_income_categ_id": other.id})
        hours = su.ref("uom.product_uom_hour")
        return su["product.product"].create(
            [
                {"name": "Plain", "list_price": 10},
                {"name": "Hours", "list_price": 20, "uom_id": hours.id, "type": "service"},
                {"name": "Own account", "property_account_income_id": other.id},
                {"name": "Of its category", "categ_id": category.id},
            ]
        )

    @classmethod
    def _new_terms(cls, su):
        def term(name, *lines, **values):
            return su["account.payment.term"].create(
                {"name": name, "line_ids": [Command.create(line) for line in lines], **values}
            )

        def part(percent, days):
            return {"value": "percent", "value_amount": percent, "nb_days": days}

        return [
            su["account.payment.term"],
            term("30 days", part(100, 30)),
            term("three instalments", part(33.33, 0), part(33.33, 30), part(33.34, 60)),
            term("two on one day", part(45, 15), part(55, 15)),
            term("fixed first", {"value": "fixed", "value_amount": 25, "nb_days": 3}, part(100, 10)),
            *(
                term(
                    f"2 % discount, {computation}",
                    part(100, 30),
                    early_discount=True,
                    discount_percentage=2,
                    discount_days=7,
                    early_pay_discount_computation=computation,
                )
                for computation in ("included", "excluded", "mixed")
            ),
        ]

    @classmethod
    def _new_positions(cls, su):
        position = su["account.fiscal.position"].create(
            {
                "name": "Elsewhere",
                "company_id": cls.company.id,
                "account_ids": [
                    Command.create(
                        {
                            "account_src_id": cls.company_data["default_account_revenue"].id,
                            "account_dest_id": cls.company_data["default_account_revenue"]
                            .sudo()
                            .copy({"name": "Elsewhere", "code": "409998"})
                            .id,
                        }
                    ),
                    Command.create(
                        {
                            "account_src_id": cls.company_data["default_account_receivable"].id,
                            "account_dest_id": cls.company_data["default_account_receivable"]
                            .sudo()
                            .copy({"name": "Due elsewhere", "code": "129998"})
                            .id,
                        }
                    ),
                ],
            }
        )
        return [su["account.fiscal.position"], position]

    @classmethod
    def _new_analytic_models(cls, su):
        plans = su["account.analytic.plan"].create([{"name": "Departments"}, {"name": "Regions"}])
        accounts = su["account.analytic.account"].create(
            [{"name": name, "plan_id": plan.id} for plan in plans for name in ("One", "Two")]
        )
        cls.category = su["res.partner.category"].create({"name": "Key account"})
        su["account.analytic.distribution.model"].create(
            [
                {
                    "product_id": cls.products[0].id,
                    "analytic_distribution": {accounts[0].id: 33.33, accounts[1].id: 66.67},
                },
                {"partner_category_id": cls.category.id, "analytic_distribution": {accounts[2].id: 100}},
                {"account_prefix": "4099", "analytic_distribution": {f"{accounts[0].id},{accounts[3].id}": 50}},
            ]
        )

    # -- two ways to the same drafts ----------------------------------------------------------------------------------

    def _random_charges(self, dice, clients=4):
        charges = self.env["billing.charge"]
        for number in range(clients):
            client = self._new_client(
                f"Client {dice.random()}",
                property_payment_term_id=dice.choice(self.terms[:-1]).id,
                property_account_position_id=dice.choice(self.positions).id,
                category_id=[Command.set(self.category.ids if dice.random() < 0.3 else [])],
                lang=dice.choice(["en_US", False]),
            )
            if dice.random() < 0.3:
                self.env["res.partner"].sudo().create(
                    {"name": "Bills", "type": "invoice", "parent_id": client.id, "email": "bills@example.com"}
                )
            currency = dice.choice(self.currencies)
            values = [self._random_charge(dice, client, currency, number) for _ in range(dice.randint(1, 7))]
            # An invoice does not come to less than nothing.
            taken_back = -sum(line["price_unit"] * line["quantity"] for line in values if line["quantity"] < 0)
            values.append({**values[0], "quantity": 1, "price_unit": 10 + 2 * taken_back, "discount": 0})
            charges += charges.create(values)
        return charges

    def _random_charge(self, dice, client, currency, number):
        taxes = dice.sample(self.all_taxes, dice.choice([0, 1, 1, 1, 2, 3]))
        return {
            "name": f"Charge {number}",
            "partner_id": client.id,
            "currency_id": currency.id,
            "product_id": dice.choice([*self.products.ids, False]),
            "quantity": dice.choice([1, 1, 2, 2.5, 12.12, -1]),
            "price_unit": dice.choice([100, 12.12, 21.53, 0.35, 33.333, dice.uniform(0.01, 5000)]),
            "discount": dice.choice([0, 0, 10, 33.33, 100]),
            "tax_ids": [Command.set([tax.id for tax in taxes])],
            "date": "2024-01-15",
            **({"period_start": "2024-01-01", "period_end": "2024-01-31"} if dice.random() < 0.5 else {}),
        }

    def _plainly(self):
        """The same calls, by Odoo's `create`."""
        return patch.multiple(
            self.registry["account.move"],
            _billing_create_entries=lambda self, vals_list: self.create(vals_list),
            _billing_date_today=lambda self: None,
        )

    def _results(self, charges, finalize="action_post"):
        """Everything that drafting and finalizing these charges stores, once per step; and nothing is kept."""
        with undone(self.env):
            moves = self._draft(charges)
            # With some lines Odoo computes the due date of a draft while what is due is still unknown, and leaves it at
            # today, beside a due line that says otherwise. Asked once more, it says what it will say when finalizing.
            self.env.add_to_compute(moves._fields["invoice_date_due"], moves)
            steps = [self._stored(moves)]
            getattr(moves, finalize)()
            steps.append(self._stored(moves))
        return steps

    def _stored(self, moves):
        self.env.flush_all()
        self.env.cr.precommit.run()
        return [
            {
                "move": self._rows("account_move", "id", move)[0],
                "lines": self._rows("account_move_line", "move_id", move),
                "messages": self._rows(
                    "mail_message", "model = 'account.move' AND res_id", move, ("body", "subtype_id", "author_id")
                ),
                "followers": self._rows(
                    "mail_followers", "res_model = 'account.move' AND res_id", move, ("partner_id",)
                ),
                "charges": [[line.billing_charge_id.id for line in move.line_ids.sorted("id")]],
                "relations": [
                    [
                        [sorted(line.tax_ids.ids), sorted(line.tax_tag_ids.ids), line.billing_charge_id.state]
                        for line in move.line_ids.sorted("id")
                    ]
                ],
            }
            for move in moves
        ]

    def _rows(self, table, column, move, names=None):
        self.env.cr.execute(f"SELECT to_jsonb(t) FROM {table} t WHERE {column} = %s ORDER BY id", [move.id])  # pylint: disable=sql-injection
        return [
            {name: value for name, value in row.items() if (name in names if names else name not in ASIDE)}
            for (row,) in self.env.cr.fetchall()
        ]

    def _assert_same(self, charges):
        with self._plainly():
            expected = self._results(charges)
        actual = self._results(charges, finalize="_billing_finalize")
        for step, theirs, ours in zip(("draft", "posted"), expected, actual, strict=True):
            self.assertEqual(len(theirs), len(ours))
            for one, other in zip(theirs, ours, strict=True):
                self._assert_equal_entry(step, one, other)

    def _assert_equal_entry(self, step, theirs, ours):
        found = [
            f"{step} {part} {place} {name}: {row[name]!r} by Odoo, {other[name]!r} here"
            for part in ("lines", "messages", "followers")
            for place, (row, other) in enumerate(zip(theirs[part], ours[part], strict=False))
            for name in row
            if row[name] != other[name]
        ]
        found += [
            f"{step} invoice {name}: {theirs['move'][name]!r} by Odoo, {ours['move'][name]!r} here"
            for name in theirs["move"]
            if theirs["move"][name] != ours["move"][name]
        ]
        shown = {name: ours["move"][name] for name in ("amount_total", "invoice_payment_term_id", "currency_id")}
        shown = f"{shown} {[line['amount_currency'] for line in ours['lines']]}"
        self.assertFalse(found, "\n".join(found) + f"\n{shown}\nSeed {SEED}")
        self.assertEqual(json.dumps(theirs, sort_keys=True), json.dumps(ours, sort_keys=True), f"Seed {SEED}")

    # -- tests --------------------------------------------------------------------------------------------------------

    def test_nothing_here_is_unforeseen(self):
        self.assertFalse(self.env["account.move"]._billing_unforeseen())

    def test_an_addon_that_nobody_looked_at_takes_the_long_way(self):
        self.assertTrue(self.env["account.move"]._billing_fast_path_covers(self._invoice_values()))
        known = account_move_entry.KNOWN_ADDONS - {"sale"}
        with patch.object(account_move_entry, "KNOWN_ADDONS", known):
            self.env.registry.clear_cache()
            self.assertIn("sale: account.move.line._related_analytic_distribution", self._unforeseen())
            self.assertFalse(self.env["account.move"]._billing_fast_path_covers(self._invoice_values()))
        self.env.registry.clear_cache()

    def _unforeseen(self):
        return self.env["account.move"]._billing_unforeseen()

    def _invoice_values(self, **values):
        charge = self._new_charge(product_id=self.products[0].id)
        ((key, charges),) = charge._draft_plan()[0].items()
        return {**self.env["account.move"]._prepare_billing_invoice(key, charges), **values}

    def test_what_is_not_covered(self):
        moves = self.env["account.move"]
        for name, value in (
            ("billing_discount", 10),
            ("invoice_cash_rounding_id", 1),
            ("move_type", "out_refund"),
            ("invoice_payment_term_id", self.terms[-1].id),
            ("something_of_another_addon", 1),
        ):
            with self.subTest(name):
                self.assertFalse(moves._billing_fast_path_covers(self._invoice_values(**{name: value})))
        for key in ("project_id", "default_narration"):
            self.assertFalse(moves.with_context(**{key: 1})._billing_fast_path_covers(self._invoice_values()))
        values = self._invoice_values()
        values["invoice_line_ids"][0][2]["account_id"] = 1
        self.assertFalse(moves._billing_fast_path_covers(values))
        self.company.sudo().account_discount_expense_allocation_id = self.company_data["default_account_expense"]
        self.assertFalse(moves._billing_fast_path_covers(self._invoice_values()))

    def test_an_entry_that_turns_out_otherwise_is_made_the_long_way(self):
        values = self._invoice_values()
        with patch.object(
            self.registry["account.move"], "_billing_entry", side_effect=account_move_entry.NotForeseen
        ) as tried:
            (move,) = self.env["account.move"]._billing_create_drafts([values])
        self.assertTrue(tried.called)
        self.assertEqual(move.amount_untaxed, 100)
        self.assertFalse(move.env.context.get("skip_invoice_sync"))

    def test_a_draft_made_the_short_way_is_a_draft_like_any_other(self):
        move = self._draft(self._new_charge(tax_ids=[Command.set(self.tax.ids)]))
        self.assertFalse(move.env.context.get("skip_invoice_sync"))
        move.invoice_line_ids.price_unit = 200
        self.assertEqual(move.amount_untaxed, 200)
        self.assertEqual(move.amount_tax, 30)
        self.assertEqual(sum(move.line_ids.mapped("balance")), 0)

    def test_the_context_key_alone_opens_nothing(self):
        context = {KEY: True, "skip_invoice_sync": False}
        move = self.env["account.move"].with_context(**context)._billing_create_drafts([self._invoice_values()])
        self.assertFalse(is_complete(self.env["account.move"].with_context(**context).env))
        self.assertEqual(move.amount_untaxed, 100)

    def test_same_entries(self):
        _logger.info("Seed %s: BILLING_ENTRY_SEED=%s repeats it", SEED, SEED)
        dice = random.Random(SEED)
        for number in range(ROUNDS):
            for method in ("round_per_line", "round_globally"):
                self.company.sudo().tax_calculation_rounding_method = method
                with self.subTest(seed=SEED, number=number, method=method):
                    self._assert_same(self._random_charges(dice))
