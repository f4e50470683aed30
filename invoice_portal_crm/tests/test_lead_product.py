from psycopg2 import IntegrityError

from odoo import Command
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import Form, tagged
from odoo.tools import mute_logger

from odoo.addons.invoice_portal.tools.grant import granted

from .common import LeadCommon


@tagged("post_install", "-at_install")
class TestLeadProduct(LeadCommon):
    # -- what is sold -------------------------------------------------------------------------------------------------

    def test_a_product_fills_description_and_price_and_can_be_changed(self):
        self.product_a.sudo().lst_price = 80
        lead = self._new_lead()
        with Form(lead) as form, form.billing_product_ids.new() as line:
            line.product_id = self.product_a
            self.assertEqual(line.price_unit, 80)
            line.quantity = 2
            line.price_unit = 75
        product = lead.billing_product_ids
        self.assertIn(self.product_a.name, product.name)
        self.assertEqual(product.amount, 150)
        self.assertEqual(product.currency_id, self.company.currency_id)

    def test_a_discount_is_at_most_everything(self):
        with mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError), self.env.cr.savepoint():
            self._new_lead(products=[{"name": "Logo", "price_unit": 5, "discount": 101}])

    def test_an_agreed_price_survives_a_change_of_company(self):
        lead = self._new_lead(products=[{"product_id": self.product_a.id, "price_unit": 1.5}])
        lead.sudo().write({"company_id": False, "team_id": False})
        lead.sudo().company_id = self.company
        self.assertEqual(lead.billing_product_ids.price_unit, 1.5)

    def test_a_copy_of_an_opportunity_has_its_products_and_none_of_its_charges(self):
        lead = self._new_lead(products=[("Logo", 250)])
        self._invoice(lead)
        copy = lead.copy()
        self.assertEqual(copy.billing_product_ids.mapped("billing_state"), ["none"])
        self.assertFalse(copy.billing_charge_ids | copy.billing_invoice_ids.billing_charge_ids)

    # -- expected revenue ---------------------------------------------------------------------------------------------

    def test_expected_revenue_is_typed_unless_it_follows_the_products(self):
        lead = self._new_lead(products=[("Logo", 250)], expected_revenue=7)
        self.assertEqual(lead.expected_revenue, 7)
        lead.billing_product_ids.price_unit = 260
        self.assertEqual(lead.expected_revenue, 7)
        lead.billing_revenue_from_products = True
        self.assertEqual(lead.expected_revenue, 260)
        lead.billing_product_ids = [Command.create({"name": "Banner", "price_unit": 70, "quantity": 2})]
        self.assertEqual(lead.expected_revenue, 400)
        lead.billing_product_ids[0].unlink()
        self.assertEqual(lead.expected_revenue, 140)
        lead.billing_revenue_from_products = False
        lead.expected_revenue = 8
        lead.billing_product_ids.unlink()
        self.assertEqual(lead.expected_revenue, 8)

    def test_whoever_writes_it_expected_revenue_follows_the_products(self):
        lead = self._new_lead(products=[("Logo", 250)], billing_revenue_from_products=True, expected_revenue=7)
        self.assertEqual(lead.expected_revenue, 250)
        lead.write({"expected_revenue": 9})
        self.assertEqual(lead.expected_revenue, 250)
        lead.flush_recordset()
        self.env.cr.execute("SELECT expected_revenue FROM crm_lead WHERE id = %s", [lead.id])
        self.assertEqual(self.env.cr.fetchone(), (250,))

    def test_the_form_sums_up_while_typing(self):
        with Form(self._new_lead(expected_revenue=5)) as form:
            with form.billing_product_ids.new() as line:
                line.name = "Logo"
                line.price_unit = 250
            self.assertEqual(form.expected_revenue, 5)
            form.billing_revenue_from_products = True
            self.assertEqual(form.expected_revenue, 250)

    def test_products_in_another_currency_are_summed_up_in_that_of_the_company(self):
        euro = self.env.ref("base.EUR").sudo()
        euro.active = True
        self.env["res.currency.rate"].sudo().search([("currency_id", "=", euro.id)]).unlink()
        self.env["res.currency.rate"].sudo().create(
            {"name": "2020-01-01", "currency_id": euro.id, "rate": 2, "company_id": self.company.id}
        )
        lead = self._new_lead(
            products=[("Here", 10), {"name": "There", "price_unit": 20, "currency_id": euro.id}],
            billing_revenue_from_products=True,
        )
        self.assertEqual((lead.expected_revenue, lead.billing_product_total), (20, 20))

    # -- once it is billed --------------------------------------------------------------------------------------------

    def test_a_product_on_a_draft_or_invoice_cannot_be_changed_or_removed(self):
        lead = self._new_lead(products=[{"product_id": self.product_a.id, "price_unit": 10}])
        product = lead.billing_product_ids
        invoice = self._invoice(lead)
        changes = {
            "price_unit": 11,
            "quantity": 2,
            "discount": 5,
            "product_id": self.product_b.id,
            "name": "Other",
            "lead_id": self._new_lead().id,
        }
        for word in (invoice._billing_label(), "finalized"):
            for fname, value in changes.items():
                with self.assertRaises(UserError) as refused:
                    product.write({fname: value})
                self.assertIn(word, str(refused.exception))
            with self.assertRaises(UserError), self.env.cr.savepoint():
                product.unlink()
            with self.assertRaises(UserError), self.env.cr.savepoint():
                lead.billing_product_ids = [Command.clear()]
            product.write({"price_unit": 10, "product_id": self.product_a.id, "sequence": 3})
            invoice.invalidate_recordset()
            if invoice.state == "draft":
                invoice._billing_finalize()
        self.assertEqual(product.price_unit, 10)

    def test_after_the_draft_is_deleted_it_can_be_changed_and_removed(self):
        lead = self._new_lead(products=[("Logo", 10)])
        self._invoice(lead).action_billing_delete()
        lead.billing_product_ids.write({"quantity": 3, "discount": 50, "name": "Logos"})
        charge = lead.billing_charge_ids
        self.assertEqual((charge.amount, charge.name), (15, "Logos"))
        lead.billing_product_ids.unlink()
        self.assertFalse(charge.exists())

    def test_removing_what_a_void_invoice_billed_keeps_the_charge_that_explains_it(self):
        lead = self._new_lead(products=[("Logo", 10), ("Banner", 20)])
        invoice = self._invoice(lead)
        invoice._billing_finalize()
        invoice._billing_void("Wrong", self.env["billing.charge"])
        charge = lead.billing_product_ids[0]._billing_charge()
        lead.billing_product_ids[0].unlink()
        self.assertEqual(charge.state, "discarded")
        charge.action_reopen()
        self.assertEqual((charge.state, charge.lead_id.id), ("open", False))
        self.assertEqual(self._invoice(lead).amount_untaxed, 20)

    def test_what_was_edited_on_the_open_charge_stays(self):
        lead = self._new_lead(products=[("Logo", 10)])
        self._invoice(lead).action_billing_delete()
        lead.billing_charge_ids.name = "Logo, three drafts"
        lead.billing_product_ids.price_unit = 12
        self.assertEqual((lead.billing_charge_ids.name, lead.billing_charge_ids.amount), ("Logo, three drafts", 12))

    def test_a_billed_opportunity_is_archived_and_not_deleted(self):
        lead = self._new_lead(products=[("Logo", 10)])
        invoice = self._invoice(lead)
        with self.assertRaisesRegex(UserError, "Archive"), self.env.cr.savepoint():
            lead.sudo().unlink()
        self.assertTrue(lead.billing_charge_ids)
        invoice.action_billing_delete()
        charge = lead.billing_charge_ids
        lead.sudo().unlink()
        self.assertFalse(charge.exists())

    def test_the_opportunity_of_a_billed_charge_is_fixed(self):
        lead, other = self._new_lead(products=[("Logo", 10)]), self._new_lead()
        self._invoice(lead)
        with self.assertRaisesRegex(UserError, "stands on"):
            lead.billing_charge_ids.write({"lead_id": other.id})
        with self.assertRaises(UserError):
            lead.billing_charge_ids.write({"lead_line_id": False})

    def test_a_product_is_billed_for_its_own_opportunity_only(self):
        values = self._new_lead(products=[("Logo", 10)]).billing_product_ids._prepare_billing_charge()
        with self.assertRaisesRegex(ValidationError, "another opportunity"):
            granted(self.env["billing.charge"]).create(dict(values, lead_id=self._new_lead().id))

    # -- who may ------------------------------------------------------------------------------------------------------

    def test_a_salesperson_edits_the_products_of_own_opportunities_and_open_charges_follow(self):
        lead = self._new_lead(user_id=self.seller.id, products=[("Logo", 10)])
        self._invoice(lead).action_billing_delete()
        theirs = lead.with_user(self.seller)
        theirs.billing_product_ids.price_unit = 12
        theirs.billing_product_ids = [Command.create({"name": "Banner", "price_unit": 5})]
        self.assertEqual(lead.billing_charge_ids.amount, 12)
        self.assertEqual(theirs.billing_product_ids.mapped("billing_state"), ["open", "none"])
        theirs.billing_product_ids.unlink()
        self.assertFalse(lead.billing_charge_ids)

    def test_a_salesperson_is_told_why_a_billed_product_cannot_be_changed(self):
        lead = self._new_lead(user_id=self.seller.id, products=[("Logo", 10)])
        self._invoice(lead)
        with self.assertRaisesRegex(UserError, "stands on"):
            lead.with_user(self.seller).billing_product_ids.price_unit = 12

    def test_a_salesperson_sees_no_products_of_others_opportunities(self):
        product = self._new_lead(products=[("Logo", 10)]).billing_product_ids
        theirs = product.with_user(self.seller)
        self.assertFalse(theirs.search([("id", "=", product.id)]))
        for call in (
            lambda: theirs.read(["price_unit"]),
            lambda: theirs.write({"price_unit": 1}),
            theirs.unlink,
            lambda: theirs.create({"lead_id": product.lead_id.id, "name": "Sneaked in"}),
            lambda: theirs.create({"lead_id": self._new_lead(user_id=self.seller.id).id, "name": "x"}).write(
                {"lead_id": product.lead_id.id}
            ),
        ):
            with self.assertRaises(AccessError), self.env.cr.savepoint():
                call()

    def test_products_of_other_companies_are_out_of_reach(self):
        other = self._new_company("Elsewhere")
        lead = self._new_lead(products=[("Logo", 10)], user_id=False)
        lead.sudo().write({"company_id": other.id, "team_id": False})
        product = lead.billing_product_ids
        self.assertFalse(product.search([("id", "=", product.id)]))
        with self.assertRaises(AccessError):
            product.write({"price_unit": 1})

    def test_the_company_of_the_opportunity_bills_else_the_present_one(self):
        other = self._new_company("Elsewhere")
        lead = self._new_lead(company_id=False, user_id=False).sudo()
        lead.write({"team_id": False, "company_id": False})
        self.assertEqual(lead._billing_company(), self.company)
        team = self.env["crm.team"].sudo().create({"name": "There", "company_id": other.id})
        lead.team_id = team
        self.assertEqual(lead._billing_company(), other)


@tagged("post_install", "-at_install")
class TestLeadMerge(LeadCommon):
    def _merge(self, survivor, other):
        """Odoo keeps the one that is further on."""
        survivor.probability, other.probability = 90, 10
        self.assertEqual((survivor | other).merge_opportunity(), survivor)
        self.assertFalse(other.exists())
        survivor.invalidate_recordset()

    def test_products_charges_and_invoices_go_with_the_survivor(self):
        survivor = self._new_lead("Big", products=[("Logo", 10)])
        other = self._new_lead("Small", products=[("Banner", 20), ("Flyer", 30), ("Sign", 40)])
        draft = self._ask(other)
        draft.line_ids.filtered(lambda line: line.name != "Banner").chosen = False
        draft.action_confirm()
        other.invalidate_recordset()
        invoice = other.billing_invoice_ids
        invoice._billing_finalize()
        draft = self._ask(other)
        draft.line_ids.filtered(lambda line: line.name == "Sign").chosen = False
        draft.action_confirm()
        other.invalidate_recordset()
        (other.billing_invoice_ids - invoice).action_billing_delete()
        self._merge(survivor, other)
        self.assertEqual(sorted(survivor.billing_product_ids.mapped("name")), ["Banner", "Flyer", "Logo", "Sign"])
        states = {line.name: line.billing_state for line in survivor.billing_product_ids}
        self.assertEqual(states, {"Logo": "none", "Banner": "invoiced", "Flyer": "open", "Sign": "none"})
        self.assertEqual(survivor.billing_invoice_ids, invoice)
        self.assertEqual(invoice.billing_lead_id, survivor)
        self.assertEqual(self._invoice(survivor).amount_untaxed, 80)
        self.assertEqual(survivor.billing_charge_ids.lead_line_id, survivor.billing_product_ids)

    def test_a_salesperson_without_billing_rights_merges_billed_opportunities(self):
        survivor = self._new_lead("Big", user_id=self.seller.id, products=[("Logo", 10)])
        other = self._new_lead("Small", user_id=self.seller.id, products=[("Banner", 20)])
        invoice = self._invoice(other)
        self._merge(survivor.with_user(self.seller), other.with_user(self.seller))
        self.assertEqual(survivor.billing_invoice_ids, invoice)
        self.assertEqual(survivor.billing_product_ids.mapped("billing_state").count("drafted"), 1)

    def test_the_sum_of_products_drives_the_revenue_of_the_survivor(self):
        survivor = self._new_lead("Big", products=[("Logo", 10)], billing_revenue_from_products=True)
        other = self._new_lead("Small", products=[("Banner", 20)], expected_revenue=5)
        self._merge(survivor, other)
        self.assertEqual(survivor.expected_revenue, 30)

    def test_an_open_charge_for_a_whole_gives_way_to_one_that_is_billed(self):
        survivor = self._new_lead("Big", expected_revenue=100)
        self._invoice(survivor).action_billing_delete()
        other = self._new_lead("Small", expected_revenue=20)
        invoice = self._invoice(other)
        self._merge(survivor, other)
        self.assertEqual(survivor.billing_charge_ids.invoice_id, invoice)
        self.assertEqual(len(survivor.billing_charge_ids), 1)

    def test_of_two_open_charges_for_a_whole_the_survivors_stays(self):
        survivor = self._new_lead("Big", expected_revenue=100)
        other = self._new_lead("Small", expected_revenue=20)
        for lead in (survivor, other):
            self._invoice(lead).action_billing_delete()
        self._merge(survivor, other)
        self.assertEqual(survivor.billing_charge_ids.amount, 100)

    def test_two_that_were_billed_as_a_whole_keep_both_invoices(self):
        survivor = self._new_lead("Big", expected_revenue=100)
        other = self._new_lead("Small", expected_revenue=20)
        invoices = self._invoice(survivor) | self._invoice(other)
        invoices._billing_finalize()
        self._merge(survivor, other)
        self.assertEqual(survivor.billing_invoice_ids, invoices)
        self.assertEqual(survivor.billing_total, 120)
        self.assertEqual(invoices.billing_charge_ids.mapped("state"), ["invoiced", "invoiced"])
        self.assertEqual(self._ask(survivor).chosen_count, 0)

    def test_products_meet_an_opportunity_that_was_billed_as_a_whole(self):
        survivor = self._new_lead("Big", products=[("Logo", 10)])
        other = self._new_lead("Small", expected_revenue=20)
        self._invoice(other)
        self._merge(survivor, other)
        draft = self._ask(survivor)
        self.assertEqual(draft.chosen_count, 0)
        self.assertIn("billed as a whole", draft.summary)
