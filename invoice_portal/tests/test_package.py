from psycopg2 import IntegrityError

from odoo import Command
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import Form, tagged
from odoo.tools import mute_logger

from .common import BillingCommon


@tagged("post_install", "-at_install")
class TestPackage(BillingCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.euro = cls.env.ref("base.EUR").sudo()
        cls.euro.active = True
        cls.package = cls._new_package(
            quantity=3,
            tax_ids=[Command.set(cls.tax_sale_b.ids)],
            interval_unit="quarter",
            price_ids=[Command.create({"currency_id": cls.euro.id, "price_unit": 80, "setup_fee": 7})],
        )

    def _fiscal_position(self):
        position = self.env["account.fiscal.position"].sudo().create({"name": "Abroad", "company_id": self.company.id})
        self.abroad_tax = self.tax_sale_b.sudo().copy(
            {
                "name": "Abroad",
                "fiscal_position_ids": [Command.link(position.id)],
                "original_tax_ids": [Command.set(self.tax_sale_b.ids)],
            }
        )
        return position

    def test_how_often_in_words(self):
        for count, unit, words in (
            (1, "month", "Every month"),
            (2, "week", "Every 2 weeks"),
            (3, "quarter", "Every 3 quarters"),
        ):
            self.assertEqual(self._new_package(interval_count=count, interval_unit=unit).interval, words)
        self.assertEqual(self.env.ref("invoice_portal.billing_cycle_quarterly").interval, "Every 3 months")
        self.assertEqual(self.env.ref("invoice_portal.billing_cycle_weekly").interval, "Every week")

    # -- an invoice line ----------------------------------------------------------------------------------------------

    def test_a_line_is_filled_and_stays_editable(self):
        with Form(self.env["account.move"].with_context(default_move_type="out_invoice")) as form:
            form.partner_id = self.client
            form.invoice_date = "2026-01-31"
            with form.invoice_line_ids.new() as line:
                line.billing_package_id = self.package
                self.assertEqual(line.product_id, self.product_a)
                self.assertEqual((line.name, line.quantity, line.price_unit), ("Hosting", 3, 100))
                self.assertEqual(line.tax_ids.ids, self.tax_sale_b.ids)
                self.assertEqual(str(line.billing_period_start), "2026-01-31")
                self.assertEqual(str(line.billing_period_end), "2026-04-29")
            with form.invoice_line_ids.new() as line:
                line.billing_package_id = self.package
                line.name, line.quantity, line.price_unit = "Hosting, special", 2, 90
                line.billing_period_end = "2026-03-30"
        invoice = form.save()
        first, second = invoice.invoice_line_ids
        self.assertEqual((first.price_subtotal, first.tax_ids), (300, self.tax_sale_b))
        self.assertEqual((second.name, second.price_subtotal), ("Hosting, special", 180))
        self.assertEqual(second.billing_period_end, self._date("2026-03-30"))

    def test_a_line_in_another_currency_and_with_other_taxes(self):
        self.client.sudo().property_account_position_id = self._fiscal_position()
        with Form(self.env["account.move"].with_context(default_move_type="out_invoice")) as form:
            form.partner_id = self.client
            form.currency_id = self.euro
            with form.invoice_line_ids.new() as line:
                line.billing_package_id = self.package
        line = form.save().invoice_line_ids
        self.assertEqual((line.price_unit, line.tax_ids), (80, self.abroad_tax))

    def test_a_line_by_call_is_filled_where_it_says_nothing(self):
        invoice = self.env["account.move"].create(
            {
                "move_type": "out_invoice",
                "partner_id": self.client.id,
                "invoice_date": "2026-02-01",
                "invoice_line_ids": [Command.create({"billing_package_id": self.package.id, "price_unit": 5})],
            }
        )
        line = invoice.invoice_line_ids
        self.assertEqual((line.name, line.quantity, line.price_unit), ("Hosting", 3, 5))
        self.assertEqual(line.tax_ids, self.tax_sale_b)
        self.assertEqual(line.billing_period_end, self._date("2026-04-30"))

    # -- a charge -----------------------------------------------------------------------------------------------------

    def test_period_columns_show_where_a_line_has_a_period(self):
        invoice = self._draft(self._new_charge())
        self.assertFalse(invoice.billing_has_periods)
        with Form(invoice) as form, form.invoice_line_ids.edit(0) as line:
            line.billing_package_id = self.package
        self.assertTrue(invoice.billing_has_periods)

    def test_a_charge_is_filled_and_its_line_knows_the_package(self):
        with Form(self.env["billing.charge"]) as form:
            form.partner_id = self.client
            form.date = "2026-01-31"
            form.package_id = self.package
            self.assertEqual((form.name, form.quantity, form.price_unit), ("Hosting", 3, 100))
            form.quantity = 4
        charge = form.save()
        self.assertEqual((charge.amount, charge.product_id, charge.tax_ids), (400, self.product_a, self.tax_sale_b))
        self.assertEqual(charge.period_end, self._date("2026-04-29"))
        line = self._draft(charge).invoice_line_ids
        self.assertEqual((line.billing_package_id, line.quantity), (self.package, 4))

    def test_a_charge_by_call_is_filled_where_it_says_nothing(self):
        charge = self.env["billing.charge"].create(
            {
                "partner_id": self.client.id,
                "package_id": self.package.id,
                "currency_id": self.euro.id,
                "quantity": 1,
                "date": "2026-01-01",
            }
        )
        self.assertEqual((charge.name, charge.quantity, charge.price_unit), ("Hosting", 1, 80))
        self.assertEqual(charge.period_end, self._date("2026-03-31"))

    def test_a_charge_gets_the_taxes_of_the_clients_place(self):
        position = self._fiscal_position()
        abroad = self._new_client("Far", property_account_position_id=position.id)
        charge = self.env["billing.charge"].create({"partner_id": abroad.id, "package_id": self.package.id})
        self.assertEqual(charge.tax_ids, self.abroad_tax)

    # -- prices -------------------------------------------------------------------------------------------------------

    def test_a_currency_that_is_not_listed_is_converted(self):
        pound = self.env.ref("base.GBP").sudo()
        pound.active = True
        pound.rate_ids.unlink()
        self.env["res.currency.rate"].sudo().create(
            {"currency_id": pound.id, "name": "2020-01-01", "rate": 0.5, "company_id": self.company.id}
        )
        day = self._date("2026-01-01")
        self.assertEqual(self.package._prices(self.euro, self.company, day), (80, 7))
        self.assertEqual(self.package._prices(pound, self.company, day)[0], 50)
        self.assertEqual(self.package._prices(self.package.currency_id, self.company, day)[0], 100)

    def test_one_price_per_currency(self):
        with mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError), self.env.cr.savepoint():
            self.package.price_ids.copy({"package_id": self.package.id})
        with self.assertRaisesRegex(ValidationError, "list other currencies only"):
            self.package.price_ids = [Command.create({"currency_id": self.package.currency_id.id, "price_unit": 1})]

    def test_the_description_is_in_the_clients_language(self):
        self.env["res.lang"].sudo()._activate_lang("fr_FR")
        self.package.description = "Managed hosting"
        self.package.with_context(lang="fr_FR").description = "Hébergement"
        client = self._new_client("Lyon", lang="fr_FR")
        charge = self.env["billing.charge"].create({"partner_id": client.id, "package_id": self.package.id})
        self.assertEqual(charge.name, "Hébergement")

    # -- who may ------------------------------------------------------------------------------------------------------

    def test_who_may_see_packages(self):
        self.package.with_user(self._new_user("seller", "account.group_account_invoice")).read(["name", "price_unit"])
        portal = self._new_portal_user(self.client, "anna")
        for user in (portal, self._new_user("clerk", "base.group_user")):
            with self.assertRaises(AccessError):
                self.package.with_user(user).read(["name"])

    def test_a_package_of_another_company_is_not_seen(self):
        other = self._new_company("Elsewhere")
        theirs = (
            self.env["billing.package"]
            .sudo()
            .create({"name": "Theirs", "product_id": self.product_a.id, "company_id": other.id})
        )
        self.assertNotIn(theirs.id, self.env["billing.package"].search([]).ids)
        with self.assertRaises(AccessError):
            theirs.with_env(self.env).read(["name"])

    def test_a_package_is_its_companys_unless_shared_on_purpose(self):
        self.assertEqual(self.package.company_id, self.company)
        with self.assertRaisesRegex(AccessError, "Choose a company"):
            self._new_package(company_id=False)
        with self.assertRaisesRegex(AccessError, "Choose a company"):
            self.package.company_id = False
        with self.assertRaises(AccessError):
            self.env["billing.package"].with_context(default_company_id=False).create(
                {"name": "x", "product_id": self.product_a.id}
            )

    def test_only_an_administrator_changes_what_every_company_has(self):
        self.package.sudo().company_id = False
        shared, price = self.package, self.package.price_ids
        changes = {
            "priced": lambda: shared.write({"price_unit": 1}),
            "archived": lambda: shared.action_archive(),
            "claimed": lambda: shared.write({"company_id": self.company.id}),
            "deleted": lambda: shared.unlink(),
            "priced elsewhere": lambda: price.write({"price_unit": 1}),
            "priced elsewhere no more": lambda: price.unlink(),
            "priced in more currencies": lambda: price.create({"package_id": shared.id, "currency_id": 3}),
            "by its form": lambda: shared.write({"price_ids": [Command.clear()]}),
        }
        for what, change in changes.items():
            with self.subTest(what), self.assertRaisesRegex(AccessError, "only Billing / Administrator changes it"):
                change()
        # What passes by these methods meets the record rules.
        with self.assertRaises(AccessError):
            shared.update_field_translations("name", {"en_US": "Mine"})
        for records in (shared, price):
            self.assertFalse(records.has_access("write") or records.has_access("unlink"))
            self.assertTrue(records.has_access("read"))
        self.assertEqual(shared.copy().company_id, self.company)
        self.assertEqual(shared.action_subscriptions()["domain"], [("package_id", "=", shared.id)])
        manager = self._new_user("chief", "invoice_portal.group_billing_manager")
        shared.with_user(manager).write(
            {"price_unit": 101, "price_ids": [Command.update(price.id, {"price_unit": 81})]}
        )
        self.assertEqual((shared.price_unit, price.price_unit), (101, 81))

    def test_a_price_stays_with_its_package(self):
        other = self._new_package("Other")
        with self.assertRaisesRegex(UserError, "stays with its package"):
            self.package.price_ids.package_id = other

    def test_no_company_takes_a_package_away_from_another(self):
        self.package.sudo().company_id = False
        shared = self.package.with_user(self._new_user("chief", "invoice_portal.group_billing_manager"))
        elsewhere = self._new_company("Elsewhere")
        values = {"partner_id": self.client.id, "company_id": elsewhere.id, "package_id": shared.id}
        theirs = self.env["billing.subscription"].sudo().create([values, values])
        theirs[0]._make_charges(theirs[0].date_start)
        with self.assertRaisesRegex(UserError, "in 2 subscriptions, 1 charges and 0 invoice lines"):
            shared.company_id = self.company
        with self.assertRaisesRegex(UserError, "is used in 2 subscriptions.*Archive it"):
            shared.unlink()
        theirs[0].charge_ids.sudo()._release(discard=True)
        with self.assertRaisesRegex(UserError, "in 2 subscriptions, 1 charges"):
            shared.company_id = self.company
        own = self._new_package("Own").sudo()
        own.company_id = False
        self.env["billing.subscription"].create({"partner_id": self.client.id, "package_id": own.id})
        own.with_user(shared.env.user).company_id = self.company
        self.assertEqual(own.company_id, self.company)

    def test_a_package_has_no_negative_price(self):
        for record in (self.package, self.package.price_ids):
            with self.subTest(str(record)), mute_logger("odoo.sql_db"):
                with self.assertRaisesRegex(IntegrityError, "price"), self.env.cr.savepoint():
                    record.write({"price_unit": -5})

    def test_numbers_that_cannot_be_billed_are_refused(self):
        nan, much = float("nan"), 1e14
        price = self.package.price_ids
        for record, values in (
            *(
                (self.package, {fname: value})
                for fname in ("quantity", "price_unit", "setup_fee")
                for value in (nan, much)
            ),
            *((price, {fname: value}) for fname in ("price_unit", "setup_fee") for value in (nan, much)),
        ):
            with self.subTest(str(record), values=values), mute_logger("odoo.sql_db"):
                with self.assertRaisesRegex(UserError, "more than can be billed"):
                    record.write(values)
