from psycopg2 import IntegrityError

from odoo import Command
from odoo.exceptions import AccessError, ValidationError
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
