import logging
import random
from itertools import cycle

from odoo import SUPERUSER_ID, Command
from odoo.exceptions import UserError, ValidationError
from odoo.service.model import call_kw
from odoo.tests import Form, tagged

from .common import BillingCommon

_logger = logging.getLogger(__name__)

SEED = 20260419
INVOICES = 1000
BATCH = 100
SAVED_EVERY = 20
METHODS = ("round_per_line", "round_globally")


class DiscountCommon(BillingCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.taxes = {
            "none": cls.env["account.tax"],
            "21": cls._new_tax("21", amount=21),
            "6": cls._new_tax("6", amount=6),
            "7.7": cls._new_tax("7.7", amount=7.7),
            "zero": cls._new_tax("zero", amount=0),
            "19 included": cls._new_tax("19 included", amount=19, price_include_override="tax_included"),
            "20 division": cls._new_tax("20 division", amount=20, amount_type="division"),
            "0.37 each": cls._new_tax("0.37 each", amount=0.37, amount_type="fixed"),
            "eco": cls._new_tax("eco", amount=1.1, amount_type="fixed", include_base_amount=True, sequence=1),
            "10 on base": cls._new_tax("10 on base", amount=10, include_base_amount=True, sequence=2),
            "withheld": cls._new_tax("withheld", amount=-15, sequence=20),
        }
        group = cls._new_tax("group", amount=0, amount_type="group")
        group.sudo().children_tax_ids = cls.taxes["6"] | cls.taxes["7.7"]
        cls.taxes["group"] = group
        cls.currencies = {cls.company.currency_id.name: cls.company.currency_id}
        for name, rate in (("EUR", 0.9137), ("JPY", 151.37), ("KWD", 0.3071)):
            currency = cls.env.ref(f"base.{name}").sudo()
            currency.active = True
            currency.rate_ids.unlink()
            cls.env["res.currency.rate"].sudo().create(
                {"currency_id": currency.id, "name": "2000-01-01", "rate": rate, "company_id": cls.company.id}
            )
            cls.currencies[name] = currency.with_env(cls.env)

    @classmethod
    def _new_tax(cls, name, **values):
        # A group of its own, so that the totals show each tax alone.
        group = cls.env["account.tax.group"].sudo().create({"name": name, "company_id": cls.company.id})
        return (
            cls.env["account.tax"]
            .sudo()
            .create(
                {"name": name, "type_tax_use": "sale", "company_id": cls.company.id, "tax_group_id": group.id, **values}
            )
            .with_env(cls.env)
        )

    @classmethod
    def _taxes(cls, names):
        return cls.env["account.tax"].union(*(cls.taxes[name] for name in names))

    @classmethod
    def _values(cls, lines, **values):
        """An invoice of `(price, quantity, line discount, names of taxes)`, or of prices with 21 %."""
        return {
            "move_type": "out_invoice",
            "partner_id": cls.client.id,
            "invoice_date": "2026-03-31",
            "invoice_line_ids": [Command.create(cls._line_values(*cls._line(line))) for line in lines],
            **values,
        }

    @classmethod
    def _line(cls, line):
        return line if isinstance(line, tuple) else (line, 1, 0, ("21",))

    @classmethod
    def _line_values(cls, price, quantity=1, discount=0, taxes=("21",)):
        return {
            "name": "Work",
            "price_unit": price,
            "quantity": quantity,
            "discount": discount,
            "tax_ids": [Command.set(cls._taxes(taxes).ids)],
        }

    @classmethod
    def _invoice(cls, lines=(100,), percent=None, fixed=None, **values):
        if percent is not None:
            values.update(billing_discount=percent, billing_discount_type="percent")
        if fixed is not None:
            values.update(billing_discount=fixed, billing_discount_type="fixed")
        return cls.env["account.move"].create(cls._values(lines, **values))

    def _rounding(self, method):
        self.company.sudo().tax_calculation_rounding_method = method

    @staticmethod
    def _discount_lines(move):
        return move.invoice_line_ids.filtered("billing_overall_discount")

    def _rpc(self, records, method, *args, env=None, **context):
        model = (env or self.env)[records._name]
        return call_kw(model, method, [records.ids, *args], {"context": context})

    # -- what Odoo says -----------------------------------------------------------------------------------------------

    def _odoo_says(self, lines, currency, rate, written=()):
        """Odoo's computation of plain lines, without an invoice: total before taxes, and each tax's amount.

        :param written: values of more lines, as they stand in the database
        """
        engine = self.env["account.tax"]
        values_list = [
            {"price_unit": price, "quantity": quantity, "discount": discount, "tax_ids": self._taxes(taxes)}
            for price, quantity, discount, taxes in map(self._line, lines)
        ]
        values_list += [
            {name: values[name] for name in ("price_unit", "quantity", "discount", "extra_tax_data")}
            | {"tax_ids": engine.browse(values["tax_ids"][0][2])}
            for values in written
        ]
        base_lines = [
            engine._prepare_base_line_for_taxes_computation(None, currency_id=currency, rate=rate, **values)
            for values in values_list
        ]
        engine._add_tax_details_in_base_lines(base_lines, self.company)
        engine._round_base_lines_tax_details(base_lines, self.company)
        return self._sums(base_lines), base_lines

    def _sums(self, base_lines):
        untaxed, by_tax = 0.0, {}
        for line in base_lines:
            details = line["tax_details"]
            untaxed += details["total_excluded_currency"] + details["delta_total_excluded_currency"]
            for tax_data in details["taxes_data"]:
                by_tax[tax_data["tax"]] = by_tax.get(tax_data["tax"], 0) + tax_data["tax_amount_currency"]
        return untaxed, by_tax

    def _expected(self, lines, currency, rate, percent=None, fixed=None):
        """What is to come out of it: the total before taxes and what the discount takes off it, and each tax."""
        (untaxed, by_tax), base_lines = self._odoo_says(lines, currency, rate)
        untaxed = currency.round(untaxed)
        # Taxes of an amount per piece are no matter of a discount.
        part = {tax: amount for tax, amount in by_tax.items() if tax.amount_type != "fixed"}
        share = percent / 100 if fixed is None else currency.round(fixed) / untaxed if untaxed else 0
        engine = self.env["account.tax"]
        odoos, odoos_by_tax = self._sums(
            engine._prepare_global_discount_lines(base_lines, self.company, "percent", 100 * share)
        )
        if fixed is None:
            # Odoo rounds the whole, then each tax; what is left is before taxes.
            off = -currency.round(odoos)
            part_untaxed = sum(
                self._sums([line])[0] for line in engine._prepare_discountable_base_lines(base_lines, self.company)
            )
            self.assertAmount(
                off,
                currency.round((part_untaxed + sum(part.values())) * share)
                - sum(currency.round(amount * share) for amount in part.values()),
                currency,
            )
        else:
            off = currency.round(fixed)
        return untaxed, off, {tax: amount + odoos_by_tax.get(tax, 0) for tax, amount in by_tax.items()}

    def assertDiscounted(self, invoice, lines, percent=None, fixed=None):
        """The invoice is that of these lines, less the discount, to the last digit of its currency."""
        currency = invoice.currency_id
        untaxed, off, by_tax = self._expected(lines, currency, invoice.invoice_currency_rate, percent, fixed)
        discount = self._discount_lines(invoice)
        self.assertAmount(-sum(discount.mapped("price_subtotal")), off, currency)
        self.assertAmount(-sum(line.quantity * line.price_unit for line in discount), self._price(discount), currency)
        self.assertAmount(invoice.amount_untaxed, untaxed - off, currency)
        self.assertAmount(invoice.billing_discount_amount, off, currency)
        self.assertAmount(invoice.billing_amount_before_discount, untaxed, currency)
        tax_lines = invoice.line_ids.filtered("tax_line_id")
        for tax, amount in by_tax.items():
            booked = -sum(tax_lines.filtered(lambda line, tax=tax: line.tax_line_id == tax).mapped("amount_currency"))
            self.assertAmount(booked, amount, currency, tax.name)
        self.assertAmount(invoice.amount_tax, sum(by_tax.values()), currency)
        self.assertAmount(invoice.amount_total, invoice.amount_untaxed + invoice.amount_tax, currency)
        self.assertAmount(
            invoice.tax_totals["total_amount_currency"], invoice.amount_total, currency, "what the form shows"
        )
        self.assertAmount(sum(invoice.line_ids.mapped("debit")), sum(invoice.line_ids.mapped("credit")), currency)
        self.assertAmount(sum(invoice.line_ids.mapped("amount_currency")), 0, currency)
        combinations = {tuple(sorted(line.tax_ids.ids)) for line in discount}
        self.assertEqual(len(discount), len(combinations), "one line per combination of taxes")

    def assertWouldBeDiscounted(self, form, lines, percent=None, fixed=None):
        """The same of an invoice as a form holds it before it is saved, and of the lines that saving would write."""
        currency, rate = form.currency_id, form.invoice_currency_rate
        untaxed, off, by_tax = self._expected(lines, currency, rate, percent, fixed)
        written = form._prepare_billing_discount_lines()
        totals = form.tax_totals
        shown_by_tax = {
            self.env["account.tax"].browse(group["involved_tax_ids"]): group["tax_amount_currency"]
            for subtotal in totals["subtotals"]
            for group in subtotal["tax_groups"]
        }
        for odoos_untaxed, odoos_by_tax in (
            (totals["base_amount_currency"], shown_by_tax),
            self._odoo_says(lines, currency, rate, written)[0],
        ):
            self.assertAmount(odoos_untaxed, untaxed - off, currency)
            for tax, amount in by_tax.items():
                self.assertAmount(odoos_by_tax.get(tax, 0), amount, currency, tax.name)
        self.assertAmount(totals["tax_amount_currency"], sum(by_tax.values()), currency)
        self.assertAmount(totals["total_amount_currency"], untaxed - off + sum(by_tax.values()), currency)
        self.assertAmount(form.billing_discount_amount, off, currency)
        self.assertAmount(form.billing_amount_before_discount, untaxed, currency)
        combinations = {tuple(sorted(values["tax_ids"][0][2])) for values in written}
        self.assertEqual(len(written), len(combinations), "one line per combination of taxes")

    def _price(self, lines):
        """What the prices of these lines come to: with the taxes that they include."""
        return -sum(
            line.price_total if set(line.tax_ids.mapped("price_include")) == {True} else line.price_subtotal
            for line in lines
        )

    def assertAmount(self, first, second, currency, message=None):
        self.assertEqual(currency.compare_amounts(first, second), 0, f"{message or ''} {first} != {second}")


@tagged("post_install", "-at_install")
class TestDiscountAmounts(DiscountCommon):
    def test_ten_percent(self):
        invoice = self._invoice([100, 50], percent=10)
        (line,) = self._discount_lines(invoice)
        self.assertRecordValues(
            line,
            [
                {
                    "name": "Discount 10 %",
                    "display_type": "product",
                    "quantity": 1,
                    "price_unit": -15,
                    "price_subtotal": -15,
                    "price_total": -18.15,
                    "tax_ids": self.taxes["21"].ids,
                    "billing_charge_id": False,
                    "account_id": invoice.invoice_line_ids[0].account_id.id,
                }
            ],
        )
        self.assertRecordValues(
            invoice,
            [
                {
                    "amount_untaxed": 135,
                    "amount_tax": 28.35,
                    "amount_total": 163.35,
                    "billing_discount_amount": 15,
                    "billing_amount_before_discount": 150,
                }
            ],
        )

    def test_a_table_of_cases(self):
        cases = {
            "no tax": [(33.33, 1, 0, ("none",)), (66.67, 3, 0, ("none",))],
            "one tax": [33.33, 66.67],
            "several on a line": [(99.99, 3, 0, ("21", "6"))],
            "different ones": [(10.01, 1, 0, ("21",)), (20.02, 1, 0, ("6",)), (30.03, 1, 0, ("none",))],
            "included": [(119, 1, 0, ("19 included",)), (21.53, 2, 0, ("19 included",))],
            "included and not": [(21.53, 1, 0, ("19 included",)), (21.53, 1, 0, ("21",))],
            "an amount per piece": [(10, 7, 0, ("0.37 each", "21"))],
            "per piece, and taxed": [(10, 7, 0, ("eco", "21")), (5, 1, 0, ("21",))],
            "tax on tax": [(33.35, 3, 0, ("10 on base", "21"))],
            "division": [(80.01, 1, 0, ("20 division",))],
            "group": [(77.77, 1, 0, ("group",)), (1.11, 1, 0, ("6",))],
            "withheld": [(1234.56, 1, 0, ("21", "withheld"))],
            "discounts on lines": [(100, 3, 33.33, ("21",)), (7.77, 1, 100, ("6",))],
            "a credit among them": [(100, 1, 0, ("21",)), (-30.05, 1, 0, ("6",)), (12.34, -1, 0, ("21",))],
            "a cent": [0.01],
            "nothing": [0],
        }
        currencies = cycle(self.currencies.values())
        for method in METHODS:
            self._rounding(method)
            for name, lines in cases.items():
                for kind in ("10 %", "33.3333 %", "100 %", "a third", "all"):
                    currency = next(currencies)
                    total = currency.round(self._odoo_says(lines, currency, 1)[0][0])
                    percent = float(kind[:-2]) if kind.endswith("%") else None
                    fixed = None if percent else currency.round(total / (3 if kind == "a third" else 1))
                    with self.subTest(method=method, case=name, currency=currency.name, discount=kind):
                        invoice = self._invoice(lines, percent, fixed, currency_id=currency.id)
                        self.assertDiscounted(invoice, lines, percent, fixed)

    def test_everything_off_leaves_nothing_due(self):
        for method in METHODS:
            self._rounding(method)
            for lines in ([33.33, 66.67], [(21.53, 1, 0, ("19 included",))], [(9.99, 3, 0, ("6", "7.7")), 0.07]):
                for discount in (
                    {"percent": 100},
                    {"fixed": self._odoo_says(lines, self.company.currency_id, 1)[0][0]},
                ):
                    with self.subTest(lines, method=method, **discount):
                        invoice = self._invoice(lines, **discount)
                        self.assertEqual((invoice.amount_untaxed, invoice.amount_tax, invoice.amount_total), (0, 0, 0))

    def test_taxes_of_the_clients_fiscal_position(self):
        position = self.env["account.fiscal.position"].sudo().create({"name": "Abroad", "company_id": self.company.id})
        self.taxes["6"].sudo().write(
            {"fiscal_position_ids": [Command.link(position.id)], "original_tax_ids": self.taxes["21"]}
        )
        product = (
            self.env["product.product"]
            .sudo()
            .create({"name": "Hosting", "list_price": 100, "taxes_id": [Command.set(self.taxes["21"].ids)]})
        )
        invoice = self._invoice([], percent=10, invoice_line_ids=[Command.create({"product_id": product.id})])
        self.assertEqual(self._discount_lines(invoice).tax_ids, self.taxes["21"])
        invoice.fiscal_position_id = position
        invoice.action_update_fpos_values()
        self.assertEqual(invoice.invoice_line_ids.tax_ids, self.taxes["6"])
        self.assertRecordValues(self._discount_lines(invoice), [{"price_unit": -10, "tax_ids": self.taxes["6"].ids}])
        self.assertEqual(invoice.amount_tax, 5.4)

    def test_a_thousand_random_invoices(self):
        """All as a form computes them before saving, with the lines that saving would write; some are saved as well."""
        _logger.info("The dice start from %s", SEED)
        dice = random.Random(SEED)
        env = self.env(su=True, context=dict(self.env.context, tracking_disable=True, mail_create_nolog=True))
        account = self.company_data["default_account_revenue"]
        for start in range(0, INVOICES, BATCH):
            self._rounding(METHODS[start // BATCH % 2])
            to_save = []
            for number in range(start, start + BATCH):
                lines, currency, discount = self._draw(dice)
                ((kind, value),) = discount.items()
                values = self._values(
                    [],
                    currency_id=currency.id,
                    billing_discount=value,
                    billing_discount_type=kind,
                    invoice_line_ids=[
                        Command.create({**self._line_values(*self._line(line)), "account_id": account.id})
                        for line in lines
                    ],
                )
                with self.subTest(number=number, lines=lines, currency=currency.name, **discount):
                    form = env["account.move"].new(values)
                    self.assertWouldBeDiscounted(form, lines, **discount)
                    before = self._odoo_says(lines, currency, form.invoice_currency_rate)[0]
                    self.assertNotBelowZero(form.tax_totals, before, currency)
                if number % SAVED_EVERY == 0:
                    to_save.append((values, number, lines, before, discount))
            invoices = env["account.move"].create([values for values, *_drawn in to_save])
            for invoice, (_values, number, lines, before, discount) in zip(invoices, to_save, strict=True):
                with self.subTest(number=number, lines=lines, saved=True, **discount):
                    self.assertDiscounted(invoice, lines, **discount)
                    self.assertNotBelowZero(invoice.tax_totals, before, invoice.currency_id)
                    self.assertFalse(any(invoice._billing_discount_differences()), "the lines are as they should be")

    def assertNotBelowZero(self, totals, before, currency):
        untaxed, by_tax = before
        for amount_before, amount_after in (
            (untaxed, totals["base_amount_currency"]),
            (untaxed + sum(by_tax.values()), totals["total_amount_currency"]),
        ):
            if currency.compare_amounts(amount_before, 0) >= 0:
                self.assertGreaterEqual(currency.compare_amounts(amount_after, 0), 0)

    def _draw(self, dice):
        currency = dice.choice(list(self.currencies.values()))
        combinations = [("none",), ("21",), ("6",), ("21", "6"), ("19 included",), ("0.37 each", "21"), ("eco", "21")]
        combinations += [("10 on base", "7.7"), ("zero",), ("group",), ("21", "withheld"), ("20 division",)]
        some = dice.sample(combinations, dice.randint(1, 3))
        lines = []
        for _line in range(dice.randint(1, 3)):
            taxes = dice.choice(some)
            lines.append(
                (
                    round(dice.choice([1, 10, 1000]) * dice.uniform(0.01, 10), dice.choice([0, 2, 2, 2, 3])),
                    dice.choice([1, 1, 2, 3, 0.5, 7.25, 1 if {"eco", "0.37 each"} & {*taxes} else -0.1]),
                    dice.choice([0, 0, 0, 5, 12.5]),
                    taxes,
                )
            )
        total = currency.round(self._odoo_says(lines, currency, 1)[0][0])
        if dice.random() < 0.5 and total >= 0:
            return lines, currency, {"fixed": currency.round(total * dice.choice([1, dice.random(), dice.random()]))}
        return lines, currency, {"percent": dice.choice([1, 5, 10, 12.5, 33.33, 100, round(dice.uniform(0, 100), 3)])}


@tagged("post_install", "-at_install")
class TestDiscountKept(DiscountCommon):
    def assertOff(self, invoice, amount, total=None):
        self.assertEqual(invoice.billing_discount_amount, amount)
        self.assertEqual(-sum(self._discount_lines(invoice).mapped("price_subtotal")), amount)
        if total is not None:
            self.assertEqual(invoice.amount_total, total)
        self.assertAlmostEqual(sum(invoice.line_ids.mapped("balance")), 0)

    # -- lines and discount change ------------------------------------------------------------------------------------

    def test_lines_come_and_go(self):
        invoice = self._invoice([100], percent=10)
        self.assertOff(invoice, 10, 108.9)
        invoice.invoice_line_ids = [Command.create(self._line_values(50, taxes=("6",)))]
        self.assertOff(invoice, 15, 156.6)
        self.assertEqual(len(self._discount_lines(invoice)), 2)
        invoice.invoice_line_ids[0].price_unit = 200
        self.assertOff(invoice, 25, 265.5)
        invoice.invoice_line_ids.filtered(lambda line: line.price_unit == 200).unlink()
        self.assertOff(invoice, 5, 47.7)
        invoice.invoice_line_ids[0].tax_ids = self.taxes["21"]
        self.assertOff(invoice, 5, 54.45)
        invoice.invoice_line_ids = [
            Command.delete(invoice.invoice_line_ids[0].id),
            Command.create(self._line_values(1000)),
        ]
        self.assertOff(invoice, 100, 1089)
        self.env["account.move.line"].create(dict(self._line_values(10), move_id=invoice.id))
        self.assertOff(invoice, 101, 1099.89)

    def test_the_discount_changes(self):
        invoice = self._invoice([100])
        self.assertOff(invoice, 0, 121)
        invoice.billing_discount = 10
        self.assertOff(invoice, 10, 108.9)
        invoice.billing_discount_type = "fixed"
        invoice.billing_discount = 33.33
        self.assertOff(invoice, 33.33, 80.67)
        self.assertEqual(self._discount_lines(invoice).name, "Discount")
        invoice.write({"billing_discount": 5, "invoice_line_ids": [Command.create(self._line_values(100))]})
        self.assertOff(invoice, 5, 235.95)
        invoice.billing_discount = 0
        self.assertOff(invoice, 0, 242)
        self.assertFalse(self._discount_lines(invoice))

    def test_currency_and_date_change(self):
        invoice = self._invoice([100], percent=12.5)
        self.env["res.currency.rate"].sudo().create(
            {"currency_id": self.currencies["EUR"].id, "name": "2026-04-01", "rate": 2, "company_id": self.company.id}
        )
        invoice.currency_id = self.currencies["EUR"]
        self.assertOff(invoice, 12.5, 105.87)
        invoice.invoice_date = "2026-04-02"
        self.assertOff(invoice, 12.5, 105.87)
        self.assertEqual(self._discount_lines(invoice).balance, 6.25)

    def test_nothing_is_written_when_nothing_changes(self):
        for discount in ({"percent": 10}, {"fixed": 33.33}):
            invoice = self._invoice([(21.53, 3, 5, ("19 included",)), 33.33, (7.77, 1, 0, ("6",))], **discount)
            self.env.flush_all()
            self.env.invalidate_all()
            lines = self._discount_lines(invoice)
            before = lines.read(["price_unit", "extra_tax_data", "balance", "name", "sequence"])
            invoice.narration = "Thank you"
            invoice.ref = "4711"
            self.assertFalse(any(invoice._billing_discount_differences()))
            self.assertEqual(self._discount_lines(invoice), lines)
            self.assertEqual(lines.read(["price_unit", "extra_tax_data", "balance", "name", "sequence"]), before)

    def test_finalizing_changes_no_amount(self):
        for method in METHODS:
            self._rounding(method)
            invoice = self._invoice([33.33, (21.53, 3, 5, ("19 included",)), (5.05, 3, 0, ("eco", "6"))], percent=7.7)
            before = [(line.display_type, line.balance, line.amount_currency) for line in invoice.line_ids]
            invoice._billing_finalize()
            self.assertEqual(
                before, [(line.display_type, line.balance, line.amount_currency) for line in invoice.line_ids]
            )

    # -- names, accounts, order ---------------------------------------------------------------------------------------

    def test_named_in_the_clients_language(self):
        self.env["res.lang"].sudo()._activate_lang("de_DE")
        self.client.sudo().lang = "de_DE"
        for percent, name in ((12.5, "Discount 12,5 %"), (10, "Discount 10 %"), (33.3333, "Discount 33,3333 %")):
            self.assertEqual(self._discount_lines(self._invoice(percent=percent)).name, name)
        self.assertEqual(self._discount_lines(self._invoice(fixed=10)).name, "Discount")

    def test_the_companys_discount_account(self):
        account = self.company_data["default_account_revenue"].sudo().copy({"name": "Discounts given"})
        invoice = self._invoice(percent=10)
        self.assertEqual(self._discount_lines(invoice).account_id, invoice.invoice_line_ids[0].account_id)
        self.company.sudo().account_discount_expense_allocation_id = account
        self.assertEqual(self._discount_lines(self._invoice(percent=10)).account_id, account)

    def test_it_stands_last(self):
        lines = [Command.create(dict(self._line_values(1), sequence=20000 + number)) for number in range(3)]
        invoice = self._invoice([], percent=10, invoice_line_ids=lines)
        self.assertEqual(invoice.invoice_line_ids.sorted()[-1:], self._discount_lines(invoice))

    def test_a_discount_smaller_than_the_smallest_coin_makes_no_line(self):
        self.assertFalse(self._discount_lines(self._invoice([0.01], percent=10)))

    def test_an_early_payment_discount_beside_it(self):
        term = (
            self.env["account.payment.term"]
            .sudo()
            .create(
                {
                    "name": "2 % early",
                    "early_discount": True,
                    "discount_percentage": 2,
                    "discount_days": 10,
                    "early_pay_discount_computation": "mixed",
                }
            )
        )
        invoice = self._invoice([100], percent=10, invoice_payment_term_id=term.id)
        self.assertRecordValues(invoice, [{"amount_untaxed": 90, "amount_tax": 18.52, "amount_total": 108.52}])

    # -- what is refused ----------------------------------------------------------------------------------------------

    def test_numbers_out_of_bounds(self):
        invoice = self._invoice()
        for values in (
            {"billing_discount": 101},
            {"billing_discount": -5},
            {"billing_discount": float("nan")},
            {"billing_discount": float("inf")},
            {"billing_discount": -5, "billing_discount_type": "fixed"},
            {"billing_discount": float("nan"), "billing_discount_type": "fixed"},
            {"billing_discount": float("inf"), "billing_discount_type": "fixed"},
        ):
            with self.subTest(values):
                with self.assertRaises(ValidationError):
                    self._rpc(invoice, "write", values)
                self.env.invalidate_all()
                with self.assertRaises(ValidationError):
                    self._invoice(**values)
                self.env.invalidate_all()
        self.assertEqual(invoice.amount_total, 121)

    def test_more_than_the_lines_come_to(self):
        message = r"overall discount of .*100\.01.* is more than the lines .*: .*100\.00 before taxes"
        with self.assertRaisesRegex(UserError, message):
            self._invoice([100], fixed=100.01)
        invoice = self._invoice([100], fixed=100)
        self.assertEqual(invoice.amount_total, 0)
        with self.assertRaisesRegex(UserError, message):
            invoice.billing_discount = 100.01

    def test_no_lines_yet(self):
        invoice = self._invoice([], percent=10)
        self.assertOff(invoice, 0, 0)
        invoice.invoice_line_ids = [Command.create(self._line_values(100))]
        self.assertOff(invoice, 10, 108.9)
        with self.assertRaisesRegex(UserError, "is more than the lines"):
            self._invoice([], fixed=10)

    def test_credits_count_against_the_total(self):
        with self.assertRaisesRegex(UserError, "is more than the lines"):
            self._invoice([100, -30], fixed=80)
        self.assertEqual(self._invoice([100, -30], fixed=70).amount_total, 0)

    def test_never_below_zero_by_taxes_per_piece(self):
        lines = [(72, -1, 0, ("eco", "21")), (200, 1, 0, ("none",))]
        with self.assertRaisesRegex(UserError, "does not fall below zero"):
            self._invoice(lines, percent=100)

    def test_only_invoices(self):
        for move_type in ("out_refund", "in_invoice", "out_receipt", "entry"):
            with self.subTest(move_type), self.assertRaises(ValidationError):
                self.env["account.move"].with_user(SUPERUSER_ID).create(
                    {"move_type": move_type, "partner_id": self.client.id, "billing_discount": 10}
                )

    def test_a_charge_is_removed_and_the_fixed_discount_is_too_large(self):
        invoice = self._draft(self._new_charge("Big", 100) | self._new_charge("Small", 10))
        invoice.write({"billing_discount_type": "fixed", "billing_discount": 50})
        big = invoice.invoice_line_ids.filtered(lambda line: line.price_unit == 100)
        message = "overall discount of .*50.00 is more than .*10.00 before taxes"
        with self.assertRaisesRegex(UserError, message), self.env.cr.savepoint():
            big.unlink()
        self.env.invalidate_all()
        self.assertEqual(invoice.billing_charge_count, 2)
        self.assertOff(invoice, 50)
        invoice.action_billing_delete()

    # -- by hand ------------------------------------------------------------------------------------------------------

    def test_a_discount_line_cannot_be_edited(self):
        invoice = self._invoice([100, (50, 1, 0, ("6",))], percent=10)
        wanted = self._rows(invoice)
        for values in (
            {"price_unit": -1},
            {"quantity": 3},
            {"discount": 50},
            {"name": "Gift"},
            {"tax_ids": [Command.clear()]},
            {"tax_ids": [Command.set(self.taxes["7.7"].ids)]},
            {"extra_tax_data": {}},
            {"sequence": 1},
            {"account_id": self.company_data["default_account_expense"].id},
            {"product_id": self.product_a.id},
            {"price_unit": -1, "extra_tax_data": False, "quantity": 2},
            {"amount_currency": 3},
            {"balance": 3},
            {"price_subtotal": 3},
        ):
            with self.subTest(values):
                line = self._discount_lines(invoice)[0]
                self._rpc(line, "write", values)
                self.assertEqual(self._rows(invoice), wanted)
                line = self._discount_lines(invoice)[0]
                self._rpc(invoice, "write", {"invoice_line_ids": [Command.update(line.id, values)]})
                self.assertEqual(self._rows(invoice), wanted)
        self.assertOff(invoice, 15, 156.6)

    def _rows(self, invoice):
        names = (
            "display_type",
            "name",
            "quantity",
            "price_unit",
            "discount",
            "amount_currency",
            "account_id",
            "tax_ids",
        )
        self.env.flush_all()
        self.env.invalidate_all()
        return sorted(str([line[name] for name in names]) for line in invoice.line_ids)

    def test_a_deleted_discount_line_comes_back(self):
        invoice = self._invoice([100, (50, 1, 0, ("6",))], percent=10)
        wanted = self._rows(invoice)
        self._rpc(self._discount_lines(invoice)[0], "unlink")
        self.assertEqual(self._rows(invoice), wanted)
        self._rpc(self._discount_lines(invoice), "unlink")
        self.assertEqual(self._rows(invoice), wanted)
        lines = self._discount_lines(invoice)
        invoice.invoice_line_ids = [Command.delete(line.id) for line in lines]
        self.assertEqual(self._rows(invoice), wanted)

    def test_nobody_makes_or_takes_the_mark(self):
        invoice, plain = self._invoice([100], percent=10), self._invoice([100])
        line = self._discount_lines(invoice)
        for records, values in (
            (line, {"billing_overall_discount": False}),
            (line, {"move_id": plain.id}),
            (line, {"billing_charge_id": self._new_charge().id}),
            (invoice.invoice_line_ids - line, {"billing_overall_discount": True}),
            (plain.invoice_line_ids, {"billing_overall_discount": True}),
        ):
            with self.subTest(values), self.assertRaises(UserError):
                self._rpc(records, "write", values)
        values = dict(self._line_values(-99), billing_overall_discount=True)
        with self.assertRaises(UserError):
            self.env["account.move.line"].create(dict(values, move_id=plain.id))
        with self.assertRaises(UserError):
            self._draft(self._new_charge()).invoice_line_ids = [
                Command.create(dict(values, billing_charge_id=self._new_charge().id))
            ]
        self.env["account.move.line"].create(dict(values, move_id=invoice.id))
        self.assertOff(invoice, 10, 108.9)
        self.assertEqual(len(self._discount_lines(invoice)), 1)

    def test_what_was_changed_behind_odoos_back_is_put_right_on_finalizing(self):
        invoice = self._invoice([100], percent=10)
        self._rpc(self._discount_lines(invoice), "write", {"name": "Gift"}, skip_invoice_sync=True)
        invoice._billing_finalize()
        self.assertEqual(self._discount_lines(invoice).name, "Discount 10 %")
        self.assertOff(invoice, 10, 108.9)

    # -- after the draft ----------------------------------------------------------------------------------------------

    def test_finalized_it_no_longer_changes(self):
        invoice = self._draft(self._new_charge())
        invoice.billing_discount = 10
        invoice._billing_finalize()
        for values in ({"billing_discount": 20}, {"billing_discount_type": "fixed"}, {"billing_discount": 0}):
            with self.subTest(values), self.assertRaisesRegex(UserError, "is finalized and locked"):
                self._rpc(invoice, "write", values)
        with self.assertRaisesRegex(UserError, "is finalized and locked"):
            self._rpc(self._discount_lines(invoice), "unlink")
        self.assertOff(invoice, 10)

    def test_posted_and_not_locked_it_does_not_change_either(self):
        self.company.sudo().billing_lock_invoices = False
        invoice = self._invoice([100], percent=10)
        invoice.action_post()
        self.assertFalse(invoice.billing_locked)
        with self.assertRaisesRegex(UserError, "is no draft: its overall discount does not change"):
            invoice.billing_discount = 20
        invoice.billing_discount = 10
        invoice.button_draft()
        invoice.billing_discount = 20
        self.assertOff(invoice, 20, 96.8)

    def test_void_mirrors_it_exactly(self):
        lines = [
            33.33,
            (21.53, 3, 5, ("19 included",)),
            (5.05, 3, 0, ("eco", "6")),
            (0.35, 7, 0, ("10 on base", "7.7")),
        ]
        currencies = cycle(self.currencies.values())
        for method in METHODS:
            self._rounding(method)
            for discount in ({"percent": 33.33}, {"fixed": 12.34}):
                currency = next(currencies)
                with self.subTest(method=method, currency=currency.name, **discount):
                    invoice = self._invoice(lines, currency_id=currency.id, **discount)
                    invoice._billing_finalize()
                    reversal = invoice._billing_void("Wrong")
                    self.assertEqual(invoice.billing_status, "void")
                    self.assertMirrors(reversal, invoice)

    def assertMirrors(self, credit, invoice):
        self.assertFalse(credit.billing_discount)
        self.assertFalse(self._discount_lines(credit))
        self.assertEqual(len(credit.line_ids), len(invoice.line_ids))

        def rows(move, sign):
            return sorted(
                (line.display_type, line.account_id.id, sign * line.balance, sign * line.amount_currency)
                for line in move.line_ids
            )

        self.assertEqual(rows(credit, -1), rows(invoice, 1))
        self.assertEqual(credit.amount_total, invoice.amount_total)

    def test_a_credit_note_can_be_edited_like_any(self):
        invoice = self._invoice([100, 50], percent=10)
        invoice._billing_finalize()
        credit = invoice._reverse_moves([{"invoice_date": invoice.invoice_date}])
        self.assertMirrors(credit, invoice)
        credit.invoice_line_ids.filtered(lambda line: line.price_unit == -15).unlink()
        self.assertEqual(credit.amount_untaxed, 150)

    def test_a_duplicate_takes_it_along_once(self):
        for discount in ({"percent": 10}, {"fixed": 20}):
            invoice = self._invoice([100, (50, 1, 0, ("6",))], **discount)
            copy = invoice.copy()
            self.assertEqual(copy.billing_discount, invoice.billing_discount)
            self.assertEqual(copy.amount_total, invoice.amount_total)
            self.assertEqual(len(self._discount_lines(copy)), 2)
            copy.invoice_line_ids = [Command.create(self._line_values(100))]
            self.assertOff(copy, 25 if "percent" in discount else 20)

    def test_switched_to_a_credit_note_and_back(self):
        invoice = self._invoice([100], percent=10)
        invoice.action_switch_move_type()
        self.assertEqual((invoice.move_type, invoice.amount_total), ("out_refund", 108.9))
        invoice.action_switch_move_type()
        self.assertOff(invoice, 10, 108.9)
        self.assertEqual(len(self._discount_lines(invoice)), 1)

    # -- in the form --------------------------------------------------------------------------------------------------

    def test_the_form_shows_the_totals_before_saving(self):
        with Form(self.env["account.move"].with_context(default_move_type="out_invoice")) as form:
            form.partner_id = self.client
            with form.invoice_line_ids.new() as line:
                line.name = "Work"
                line.price_unit = 100
                line.tax_ids.clear()
                line.tax_ids.add(self.taxes["21"])
            form.billing_discount = 10
            self.assertEqual(form.tax_totals["total_amount_currency"], 108.9)
            self.assertEqual((form.billing_amount_before_discount, form.billing_discount_amount), (100, 10))
        invoice = form.record
        self.assertOff(invoice, 10, 108.9)
        with Form(invoice) as form:
            with form.invoice_line_ids.edit(0) as line:
                line.price_unit = 200
            self.assertEqual(form.tax_totals["total_amount_currency"], 217.8)
            self.assertEqual((form.billing_amount_before_discount, form.billing_discount_amount), (200, 20))
            form.billing_discount_type = "fixed"
            self.assertEqual(form.tax_totals["total_amount_currency"], 229.9)
            form.billing_discount = 500
            self.assertEqual(form.tax_totals["total_amount_currency"], 242)
            form.billing_discount = 0
            self.assertEqual(form.tax_totals["total_amount_currency"], 242)
            self.assertEqual((form.billing_amount_before_discount, form.billing_discount_amount), (200, 0))
        self.assertOff(invoice, 0, 242)
