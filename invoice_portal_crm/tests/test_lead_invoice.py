from psycopg2 import IntegrityError

from odoo import Command
from odoo.exceptions import AccessError, UserError
from odoo.tests import Form, tagged
from odoo.tools import mute_logger

from odoo.addons.invoice_portal.tools.grant import granted

from .common import LeadCommon


@tagged("post_install", "-at_install")
class TestLeadInvoice(LeadCommon):
    def test_products_become_lines_of_one_draft_linked_both_ways(self):
        self.product_a.sudo().lst_price = 80
        lead = self._new_lead(
            products=[
                {"product_id": self.product_a.id, "quantity": 3, "discount": 10},
                ("Support", 50),
            ]
        )
        invoice = self._invoice(lead)
        self.assertEqual((invoice.state, invoice.commercial_partner_id), ("draft", self.client))
        self.assertEqual(invoice.billing_lead_id, lead)
        self.assertEqual(lead.billing_invoice_ids, invoice)
        self.assertEqual(invoice.invoice_line_ids.mapped("price_unit"), [80, 50])
        self.assertEqual(invoice.invoice_line_ids.product_id, self.product_a)
        self.assertEqual(invoice.amount_untaxed, 266)
        self.assertEqual(invoice.invoice_line_ids.billing_charge_id.lead_line_id, lead.billing_product_ids)
        self.assertEqual(set(lead.billing_charge_ids.mapped("origin")), {"opportunity"})
        self.assertEqual(lead.billing_product_ids.mapped("billing_state"), ["drafted", "drafted"])

    def test_without_products_the_expected_revenue_is_one_line(self):
        lead = self._new_lead("Rebranding", expected_revenue=1200)
        invoice = self._invoice(lead)
        line = invoice.invoice_line_ids
        self.assertEqual((line.name, line.price_unit, line.quantity), ("Rebranding", 1200, 1))
        self.assertEqual(line.tax_ids, self.company.account_sale_tax_id)
        self.assertFalse(line.billing_charge_id.lead_line_id)

    def test_nothing_is_created_before_confirm(self):
        lead = self._new_lead(partner_id=False, partner_name="Fresh Ltd", products=[("One", 10)])
        counted = ["billing.charge", "account.move", "res.partner"]
        before = [self.env[model].search_count([]) for model in counted]
        draft = self._ask(lead)
        self.assertEqual(draft.chosen_count, 1)
        self.assertEqual([self.env[model].search_count([]) for model in counted], before)

    def test_the_dialog_says_for_whom_how_much_and_what_is_left_out(self):
        contact = self._new_client("Ada", is_company=False, parent_id=self.client.id)
        lead = self._new_lead(partner_id=contact.id, products=[("Logo", 250), ("Gift", 0)])
        draft = self._ask(lead)
        self.assertIn("Acme", draft.summary)
        self.assertIn("Ada", draft.summary)
        self.assertIn("250.00", draft.summary)
        self.assertEqual(draft.line_ids.mapped("reason"), [False, "No price"])
        self.assertEqual(draft.line_ids.mapped("chosen"), [True, False])
        draft.action_confirm()
        self.assertEqual(lead.billing_product_ids.mapped("billing_state"), ["drafted", "none"])

    def test_the_contact_of_the_opportunity_gets_the_invoice_unless_the_client_has_an_invoice_address(self):
        contact = self._new_client("Ada", is_company=False, parent_id=self.client.id)
        lead = self._new_lead(partner_id=contact.id, expected_revenue=5)
        self.assertEqual(self._invoice(lead).partner_id, contact)
        accounts = self._new_client("Accounts", is_company=False, parent_id=self.client.id, type="invoice")
        lead = self._new_lead(partner_id=contact.id, expected_revenue=5)
        invoice = self._invoice(lead)
        self.assertEqual((invoice.partner_id, invoice.commercial_partner_id), (accounts, self.client))

    def test_the_draft_can_be_edited_and_the_charge_keeps_what_was_asked(self):
        lead = self._new_lead(products=[("Logo", 250)])
        invoice = self._invoice(lead)
        with Form(invoice) as form, form.invoice_line_ids.edit(0) as line:
            line.price_unit = 200
        self.assertEqual(lead.billing_charge_ids.amount, 250)
        self.assertEqual(lead.billing_charge_ids.amount_billed, 200)
        self.assertEqual(lead.billing_product_ids.amount, 250)

    def test_a_choice_of_products_is_billed_and_the_rest_later(self):
        lead = self._new_lead(products=[("First half", 50), ("Second half", 60)])
        draft = self._ask(lead)
        with Form(draft) as form, form.line_ids.edit(1) as line:
            line.chosen = False
        draft.action_confirm()
        self.assertEqual(lead.billing_invoice_ids.amount_untaxed, 50)
        self.assertEqual(self._invoice(lead).amount_untaxed, 60)

    def test_a_second_click_bills_nothing_again_and_names_the_invoice(self):
        lead = self._new_lead(products=[("Logo", 250)])
        first = self._ask(lead)
        second = self._ask(lead)
        first.action_confirm()
        self.env.invalidate_all()  # the second click is another request
        with self.assertRaisesRegex(UserError, "On Draft of"):
            second.action_confirm()
        third = self._ask(lead)
        self.assertEqual(third.chosen_count, 0)
        self.assertIn("is billed. To bill more", third.summary)
        self.assertIn(lead.billing_invoice_ids._billing_label(), third.summary)
        with self.assertRaisesRegex(UserError, "nothing to invoice"):
            third.action_confirm()
        self.assertEqual(len(lead.billing_charge_ids), 1)

    def test_what_comes_later_is_billed_alone(self):
        lead = self._new_lead(products=[("Logo", 250)])
        first = self._invoice(lead)
        lead.billing_product_ids = [Command.create({"name": "Banner", "price_unit": 70})]
        draft = self._ask(lead)
        self.assertIn(first._billing_label(), draft.summary)
        self.assertEqual(draft.line_ids.mapped("chosen"), [False, True])
        second = self._invoice(lead)
        self.assertEqual(second.amount_untaxed, 70)
        self.assertEqual(lead.billing_invoice_count, 2)

    def test_two_at_once_and_the_database_refuses_the_second(self):
        lead = self._new_lead(products=[("Logo", 250)])
        # As the method does that makes them; by hand the origin is refused before.
        charges = granted(self.env["billing.charge"])
        values = lead.billing_product_ids._prepare_billing_charge()
        charges.create(values)
        with mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError), self.env.cr.savepoint():
            charges.create(values)
        whole = self._new_lead(expected_revenue=10)._prepare_billing_charge_whole()
        charges.create(whole)
        with mute_logger("odoo.sql_db"), self.assertRaises(IntegrityError), self.env.cr.savepoint():
            charges.create(whole)

    def test_a_deleted_or_cancelled_draft_is_billed_again_from_the_same_charges(self):
        lead = self._new_lead(products=[("Logo", 250)])
        invoice = self._invoice(lead)
        charge = lead.billing_charge_ids
        invoice.action_billing_delete()
        self.assertEqual(lead.billing_product_ids.billing_state, "open")
        second = self._invoice(lead)
        second.button_cancel()
        self.assertEqual(charge.state, "open")
        lead.billing_product_ids.price_unit = 300
        self.assertEqual(charge.amount, 300)
        third = self._invoice(lead)
        self.assertEqual(third.amount_untaxed, 300)
        self.assertEqual(lead.billing_charge_ids, charge)

    def test_a_void_invoice_is_billed_again_unless_it_was_decided_otherwise(self):
        lead = self._new_lead(products=[("Logo", 250), ("Banner", 70)])
        invoice = self._invoice(lead)
        invoice._billing_finalize()
        self.assertEqual(lead.billing_total, 320)
        invoice._billing_void("Wrong", lead.billing_charge_ids.filtered(lambda charge: charge.name == "Banner"))
        lead.invalidate_recordset()
        self.assertEqual(lead.billing_total, 0)
        self.assertEqual(lead.billing_product_ids.mapped("billing_state"), ["open", "discarded"])
        draft = self._ask(lead)
        self.assertEqual(draft.line_ids.mapped("reason"), [False, "Discarded"])
        self.assertEqual(self._invoice(lead).amount_untaxed, 250)

    def test_products_added_after_the_whole_was_billed_are_not_chosen_by_themselves(self):
        lead = self._new_lead(expected_revenue=1000)
        invoice = self._invoice(lead)
        lead.billing_product_ids = [Command.create({"name": "Extra", "price_unit": 70})]
        draft = self._ask(lead)
        self.assertEqual(draft.chosen_count, 0)
        self.assertIn("billed as a whole", draft.summary)
        self.assertIn(invoice._billing_label(), draft.summary)
        draft.line_ids.filtered("lead_line_id").chosen = True
        draft.action_confirm()
        lead.invalidate_recordset()
        self.assertEqual(sum(lead.billing_invoice_ids.mapped("amount_untaxed")), 1070)

    def test_products_replace_an_open_charge_for_the_whole(self):
        lead = self._new_lead(expected_revenue=1000)
        self._invoice(lead).action_billing_delete()
        self.assertEqual(lead.billing_charge_ids.amount, 1000)
        lead.expected_revenue = 900
        self.assertEqual(lead.billing_charge_ids.amount, 900)
        lead.billing_product_ids = [Command.create({"name": "Logo", "price_unit": 70})]
        self.assertFalse(lead.billing_charge_ids)
        self.assertEqual(self._invoice(lead).amount_untaxed, 70)

    def test_products_that_come_while_the_dialog_is_open_are_not_billed_with_the_whole(self):
        lead = self._new_lead(expected_revenue=1000)
        draft = self._ask(lead)
        lead.billing_product_ids = [Command.create({"name": "Logo", "price_unit": 1000})]
        self.env.invalidate_all()
        with self.assertRaisesRegex(UserError, "Billed by its products"):
            draft.action_confirm()

    def test_a_product_of_another_opportunity_cannot_be_slipped_in(self):
        other = self._new_lead(products=[("Logo", 250)])
        draft = self._ask(self._new_lead(products=[("Banner", 0)]))
        draft.line_ids = [Command.create({"lead_line_id": other.billing_product_ids.id, "chosen": True})]
        with self.assertRaisesRegex(UserError, "No longer a product"):
            draft.action_confirm()
        self.assertFalse(other.billing_charge_ids)

    def test_changing_the_project_takes_no_product_of_the_opportunity_away(self):
        draft = self._invoice(self._new_lead(products=[("Logo", 250)]))
        self.assertFalse(draft.billing_has_project_lines)
        bookkeeper = self._new_user("bookkeeper", "account.group_account_invoice")
        draft.invalidate_recordset()
        self.assertFalse(draft.with_user(bookkeeper).billing_has_project_lines)
        case = self._new_case("Case", 10, True)
        draft.billing_project_id = self.project
        draft._billing_attach_cases(case)
        self.assertTrue(draft.billing_has_project_lines)
        draft._billing_change_project(self._new_project("Acme shop"))
        self.assertEqual(draft.invoice_line_ids.mapped("name"), ["Logo"])
        self.assertFalse(draft.billing_has_project_lines)

    def test_one_draft_per_currency(self):
        euro = self.env.ref("base.EUR").sudo()
        euro.active = True
        lead = self._new_lead(products=[("Here", 10), {"name": "There", "price_unit": 20, "currency_id": euro.id}])
        drafts = self._invoice(lead)
        self.assertEqual(drafts.currency_id, self.company.currency_id | euro)

    def test_a_client_on_hold_is_not_billed_and_the_dialog_says_so(self):
        lead = self._new_lead(products=[("Logo", 250)])
        self.client.billing_blocked = True
        draft = self._ask(lead)
        self.assertEqual(draft.line_ids.reason, "Billing on hold for Acme (no reason given)")
        with self.assertRaisesRegex(UserError, "on hold"):
            draft.action_confirm()
        self.assertFalse(lead.billing_charge_ids)

    def test_credits_that_exceed_charges_make_no_draft_and_leave_nothing_behind(self):
        lead = self._new_lead(products=[("Logo", 10), ("Rebate", -50)])
        with self.assertRaisesRegex(UserError, "Credits exceed charges"), self.env.cr.savepoint():
            self._ask(lead).action_confirm()
        self.assertFalse(lead.billing_charge_ids)

    def test_nothing_to_bill_is_said(self):
        draft = self._ask(self._new_lead())
        self.assertIn("nothing to invoice", draft.summary)
        self.assertEqual(draft.line_ids.reason, "No price")

    def test_a_lead_is_converted_first(self):
        with self.assertRaisesRegex(UserError, "Convert it"):
            self._new_lead(type="lead").action_billing_create_invoice()

    # -- the client -------------------------------------------------------------------------------------------------

    def test_company_and_contact_are_created_from_the_details(self):
        lead = self._new_lead(
            partner_id=False,
            partner_name="Fresh Ltd",
            contact_name="Grace",
            email_from="grace@fresh.example.com",
            street="1 New Street",
            city="Newtown",
            expected_revenue=99,
        )
        draft = self._ask(lead)
        for word in ("Fresh Ltd", "Grace", "will be created", "Newtown"):
            self.assertIn(word, draft.summary)
        draft.action_confirm()
        self.assertEqual(lead.partner_id.name, "Grace")
        self.assertEqual(lead.partner_id.commercial_partner_id.name, "Fresh Ltd")
        self.assertEqual(lead.partner_id.parent_id.city, "Newtown")
        self.assertEqual(lead.billing_charge_ids.partner_id.name, "Fresh Ltd")
        self.assertEqual(lead.billing_invoice_ids.partner_id.name, "Grace")

    def test_a_company_known_by_name_is_not_created_again(self):
        lead = self._new_lead(partner_id=False, partner_name="Acme", contact_name="Grace", expected_revenue=99)
        self.assertIn("is known by this name", self._ask(lead).summary)
        self._invoice(lead)
        self.assertEqual(lead.partner_id.commercial_partner_id, self.client)

    def test_a_client_known_by_mail_is_proposed_and_another_can_be_chosen(self):
        lead = self._new_lead(partner_id=False, email_from=self.client.email, expected_revenue=99)
        draft = self._ask(lead)
        self.assertEqual(draft.partner_id, self.client)
        draft.partner_id = self.other_client
        draft.action_confirm()
        self.assertEqual(lead.partner_id, self.other_client)
        self.assertEqual(lead.billing_invoice_ids.partner_id, self.other_client)

    def test_an_opportunity_that_names_nobody_asks_for_a_client(self):
        lead = self._new_lead(partner_id=False, expected_revenue=99)
        with self.assertRaisesRegex(UserError, "names nobody to bill"):
            self._ask(lead).action_confirm()

    def test_open_charges_follow_the_client_of_the_opportunity(self):
        lead = self._new_lead(products=[("Logo", 250)])
        self._invoice(lead).action_billing_delete()
        lead.partner_id = self.other_client
        self.assertEqual(lead.billing_charge_ids.partner_id, self.other_client)
        self.assertEqual(self._invoice(lead).partner_id, self.other_client)

    # -- the invoice ------------------------------------------------------------------------------------------------

    def test_a_standalone_invoice_can_be_linked_by_hand_until_it_is_finalized_or_later(self):
        lead = self._new_lead()
        invoice = self._finalized(self._new_charge())
        invoice.billing_lead_id = lead
        self.assertEqual(lead.billing_invoice_ids, invoice)
        self.assertEqual(lead.billing_total, 100)

    def test_a_charge_drafted_from_the_list_links_its_invoice_too(self):
        lead = self._new_lead(products=[("Logo", 250)])
        self._invoice(lead).action_billing_delete()
        biller = self.biller
        charges = lead.billing_charge_ids.with_user(biller)
        plan, _left_out = charges._draft_plan()
        (draft,) = charges.env["account.move"]._billing_create_from_charges(plan).values()
        self.assertEqual(draft.sudo().billing_lead_id, lead)

    def test_on_a_draft_with_other_charges_the_opportunity_still_finds_its_invoice(self):
        lead = self._new_lead(products=[("Logo", 250)])
        self._invoice(lead).action_billing_delete()
        draft = self._draft(lead.billing_charge_ids | self._new_charge())
        self.assertFalse(draft.billing_lead_id)
        lead.invalidate_recordset()
        self.assertEqual(lead.billing_invoice_ids, draft)

    def test_the_salesperson_of_the_opportunity_is_on_the_invoice(self):
        self.assertEqual(
            self._invoice(self._new_lead(user_id=self.seller.id, expected_revenue=5)).invoice_user_id, self.seller
        )

    # -- who may ----------------------------------------------------------------------------------------------------

    def test_who_does_not_bill_cannot_create_an_invoice(self):
        lead = self._new_lead(user_id=self.seller.id, products=[("Logo", 250)]).with_user(self.seller)
        with self.assertRaises(AccessError):
            lead.action_billing_create_invoice()
        with self.assertRaises(AccessError):
            self.env["billing.lead.draft"].with_user(self.seller).create({"lead_id": lead.id})
        with self.assertRaises(AccessError):
            lead.read(["billing_invoice_ids"])

    def test_who_does_not_sell_bills_no_opportunity(self):
        lead = self._new_lead(products=[("Logo", 250)])
        with self.assertRaises(AccessError):
            lead.with_user(self.biller).action_billing_create_invoice()

    def test_a_portal_user_reaches_nothing_of_it(self):
        portal = self._new_portal_user(self.client, "ada")
        lead = self._new_lead("Squeeze Acme", products=[("Logo", 250)])
        invoice = self._invoice(lead)
        invoice._billing_finalize()
        for model in ("crm.lead", "crm.lead.product", "billing.lead.draft", "billing.lead.draft.line"):
            with self.assertRaises(AccessError):
                self.env[model].with_user(portal).search([])
        theirs = invoice.with_user(portal)
        self.assertTrue(theirs.read(["amount_total"]))
        self.assertNotIn("billing_lead_id", theirs.fields_get())
        with self.assertRaises(AccessError):
            theirs.read(["billing_lead_id"])

    def test_another_company_is_left_out_and_named(self):
        other = self._new_company("Elsewhere")
        self.closer.sudo().company_ids = [Command.link(other.id)]
        lead = self._new_lead(products=[("Logo", 250)])
        lead.sudo().write({"company_id": other.id, "team_id": False})
        env = self.env(context=dict(self.env.context, allowed_company_ids=[self.company.id, other.id]))
        draft = self._ask(lead.with_env(env))
        here = draft.with_context(allowed_company_ids=self.company.ids)
        self.assertIn("Elsewhere", here.sudo().line_ids.reason)
