from psycopg2 import IntegrityError

from odoo import Command
from odoo.exceptions import AccessError, UserError
from odoo.tests import Form, tagged
from odoo.tools import mute_logger
from odoo.tools.safe_eval import safe_eval

from .common import BillingCommon


@tagged("post_install", "-at_install")
class TestCharge(BillingCommon):
    # -- what a charge asks for ---------------------------------------------------------------------------------------

    def test_the_amount_is_not_typed_in(self):
        charge = self._new_charge(price=100)
        for attempt in (
            lambda: charge.write({"amount": 5000}),
            lambda: self._new_charge(amount=500),
        ):
            with self.assertRaisesRegex(UserError, "not typed in"):
                attempt()
        self.assertEqual(charge.amount, 100)

    def test_nothing_is_given_to_a_company_out_of_sight(self):
        elsewhere = self._new_company("Elsewhere")
        package = self._new_package(company_id=self.company.id)
        for record in (self._new_charge(), package):
            with self.subTest(record._name), self.assertRaises(AccessError):
                record.write({"company_id": elsewhere.id})

    def test_how_a_client_is_billed_is_agreed_by_billing_staff(self):
        clerk = self._new_user("clerk", "base.group_user,base.group_partner_manager")
        client = self.client.with_user(clerk)
        cycle = self.env.ref("invoice_portal.billing_cycle_monthly")
        self.client.write({"billing_per_project": True, "billing_note": "<p>Thanks</p>"})
        for values in (
            {"billing_cycle_id": cycle.id},
            {"billing_blocked": True},
            {"billing_per_project": False},
            {"billing_note": "<p>Pay me instead</p>"},
            {"billing_terms": "<p>None</p>"},
        ):
            with self.subTest(values), self.assertRaises(AccessError):
                client.write(values)
            with self.subTest(values, new=True), self.assertRaises(AccessError):
                client.create({"name": "New", "billing_blocked": True})
        client.write({"phone": "+1 555 0100", "billing_per_project": True})
        contact = client.create({"name": "Contact", "parent_id": client.id})
        self.assertTrue(contact.sudo().billing_per_project)
        client.write({"name": "Acme & Sons"})

    def test_a_client_on_hold_is_named_to_whoever_bills_by_hand(self):
        draft = self._draft(self._new_charge())
        self.assertFalse(draft.billing_hold_reason)
        self.client.write({"billing_blocked": True, "billing_blocked_reason": "Two invoices unpaid"})
        draft.invalidate_recordset()
        self.assertEqual(draft.billing_hold_reason, "Two invoices unpaid")
        action = draft.action_billing_finalize()
        self.assertIn("Two invoices unpaid", self.env[action["res_model"]].browse(action["res_id"]).summary)

    def test_a_typed_item_without_amount_is_not_finalized(self):
        invoice = self._draft(self._new_charge())
        invoice.invoice_line_ids = [Command.create({"name": "Courier", "price_unit": 0})]
        with self.assertRaisesRegex(UserError, "Courier"):
            invoice._billing_finalize()

    def test_a_contact_stands_for_its_company(self):
        contact = self.env["res.partner"].sudo().create({"name": "Desk", "parent_id": self.client.id})
        charge = self._new_charge(partner_id=contact.id)
        self.assertEqual(charge.partner_id, self.client)
        charge.partner_id = self.env["res.partner"].sudo().create({"name": "Office", "parent_id": self.other_client.id})
        self.assertEqual(charge.partner_id, self.other_client)

    def test_the_amount_is_rounded_to_the_currency_once(self):
        charge = self._new_charge(price=0.35, quantity=3, discount=10)
        self.assertEqual(charge.amount, 0.95)
        yen = self.env.ref("base.JPY").sudo()
        yen.active = True
        self.assertEqual(self._new_charge(price=99.5, quantity=3, currency_id=yen.id).amount, 299)

    def test_absurd_numbers_are_refused_in_words(self):
        nan = float("nan")
        for price, quantity in ((1e300, 1e300), (1e300, -1e300), (1e9, 1e9), (nan, 1), (1, float("inf"))):
            with self.subTest(price=price, quantity=quantity), self.assertRaisesRegex(UserError, "more than can be"):
                self._new_charge("Gold", price, quantity=quantity)
        charge = self._new_charge()
        with self.assertRaisesRegex(UserError, "Quantity: 1e\\+300 is more than can be billed"):
            charge.quantity = 1e300

    def test_a_discount_is_neither_more_than_all_nor_an_absurd_surcharge(self):
        self.assertEqual(self._new_charge(discount=-50).amount, 150)
        for discount in (101, -1001, -1e12):
            with self.subTest(discount=discount), mute_logger("odoo.sql_db"):
                with self.assertRaisesRegex(IntegrityError, "billing_charge_discount"), self.env.cr.savepoint():
                    self._new_charge(discount=discount, price=1)
        with self.assertRaisesRegex(UserError, "Discount .*more than can be billed"):
            self._new_charge(discount=float("nan"))

    def test_a_product_fills_description_price_and_taxes_of_the_client(self):
        position = self.env["account.fiscal.position"].sudo().create({"name": "Abroad", "company_id": self.company.id})
        self.tax_sale_b.sudo().write(
            {
                "fiscal_position_ids": [Command.link(position.id)],
                "original_tax_ids": self.tax,
            }
        )
        abroad = self._new_client("Far", property_account_position_id=position.id)
        with Form(self.env["billing.charge"]) as form:
            form.partner_id = abroad
            form.product_id = self.product_a
        charge = form.save()
        self.assertEqual(charge.price_unit, self.product_a.lst_price)
        self.assertIn(self.product_a.name, charge.name)
        self.assertEqual(charge.tax_ids, position.map_tax(self.product_a.taxes_id))
        self.assertEqual(charge.tax_ids, self.tax_sale_b)

    def test_a_period_does_not_end_before_it_starts(self):
        with (
            mute_logger("odoo.sql_db"),
            self.assertRaises(IntegrityError),
            self.env.cr.savepoint(),
        ):
            self._new_charge(period_start="2026-02-01", period_end="2026-01-31")

    def test_charges_are_imported_with_odoos_import(self):
        result = (
            self.env["billing.charge"]
            .with_context(import_file=True)
            .load(
                ["name", "partner_id", "price_unit"],
                [["Domain", "Acme", "12.5"], ["Domain", "Bolt", "13.5"]],
            )
        )
        self.assertFalse(result["messages"])
        charges = self.env["billing.charge"].browse(result["ids"])
        self.assertEqual(charges.mapped("origin"), ["import", "import"])
        self.assertEqual(sum(charges.mapped("amount")), 26)

    def test_what_a_charge_came_from_is_not_typed_in(self):
        charge = self._new_charge()
        for origin in ("case", "subscription"):
            with self.subTest(origin), self.assertRaisesRegex(UserError, "not typed in"):
                charge.origin = origin
            with self.subTest(origin), self.assertRaisesRegex(UserError, "not typed in"):
                self._new_charge(origin=origin)
            named = self.env["billing.charge"].with_context(default_origin=origin)
            self.assertEqual(
                named.create({"name": "Named", "partner_id": self.client.id, "price_unit": 1}).origin, "manual"
            )
        charge.write({"origin": "manual"})

    def test_project_and_case_are_narrowed_to_the_client_and_never_swapped(self):
        theirs = self._new_project("Bolt shop", self.other_client)
        billed_here = self._new_project(
            "Elsewhere, billed to Acme", self.other_client, billing_partner_id=self.client.id
        )
        nobodys = self._new_project("Nobody's", partner_id=False)
        case, foreign = self._new_case("Ours"), self._new_case("Theirs", project_id=theirs.id)
        fields = self.env["billing.charge"].fields_get(["project_id", "task_id"], ["domain"])

        def offered(fname, model, **values):
            charge = {"partner_id": False, "project_id": False, "company_id": self.company.id, **values}
            domain = safe_eval(fields[fname]["domain"], charge)
            return self.env[model].search([*domain, ("id", "in", candidates[model].ids)])

        candidates = {
            "project.project": self.project | theirs | billed_here | nobodys,
            "project.task": case | foreign,
        }
        self.assertEqual(len(offered("project_id", "project.project")), 4)
        self.assertEqual(
            offered("project_id", "project.project", partner_id=self.client.id), self.project | billed_here | nobodys
        )
        self.assertEqual(offered("project_id", "project.project", partner_id=self.other_client.id), theirs | nobodys)
        self.assertEqual(len(offered("task_id", "project.task")), 2)
        self.assertEqual(offered("task_id", "project.task", partner_id=self.client.id), case)
        self.assertEqual(
            offered("task_id", "project.task", partner_id=self.client.id, project_id=theirs.id),
            foreign,
        )
        with Form(self.env["billing.charge"]) as form:
            form.partner_id = self.client
            form.task_id = case
            self.assertEqual(form.project_id, self.project)
            form.project_id = billed_here
            self.assertFalse(form.task_id)
            form.partner_id = self.other_client
            self.assertFalse(form.project_id)
            contact = self.env["res.partner"].sudo().create({"name": "Desk", "parent_id": self.client.id})
            form.partner_id = contact
            self.assertEqual(form.partner_id, self.client)
            form.name = "Typed"

    # -- drafting -----------------------------------------------------------------------------------------------------

    def test_drafting_bills_each_charge_on_a_line_of_its_own(self):
        charges = self._new_charge("Hosting", 100) | self._new_charge("Support", 50.5, quantity=3, discount=10)
        invoice = self._draft(charges)
        self.assertEqual(invoice.commercial_partner_id, self.client)
        self.assertEqual(invoice.invoice_line_ids.billing_charge_id, charges)
        self.assertEqual(charges.mapped("state"), ["drafted", "drafted"])
        self.assertAlmostEqual(invoice.amount_untaxed, sum(charges.mapped("amount")))
        self.assertEqual(invoice.invoice_line_ids.tax_ids, charges.tax_ids)

    def test_one_draft_per_client_company_and_currency(self):
        euro = self.env.ref("base.EUR").sudo()
        euro.active = True
        charges = (
            self._new_charge()
            | self._new_charge()
            | self._new_charge(currency_id=euro.id)
            | self._new_charge(partner_id=self.other_client.id)
        )
        drafts = self._draft(charges)
        self.assertEqual(len(drafts), 3)
        self.assertEqual(sorted(drafts.mapped("billing_charge_count")), [1, 1, 2])

    def test_one_draft_per_project_where_the_client_wants_it(self):
        shop = self._new_project("Acme shop")
        charges = self._new_charge(project_id=self.project.id) | self._new_charge(project_id=shop.id)
        self.assertEqual(len(charges._draft_plan()[0]), 1)
        self.client.billing_per_project = True
        self.assertEqual(self._draft(charges).billing_project_id, self.project | shop)

    def test_the_billing_contact_of_the_project_gets_its_invoices(self):
        contact = self.env["res.partner"].sudo().create({"name": "Accounts", "parent_id": self.client.id})
        self.project.sudo().billing_contact_id = contact
        self.assertEqual(
            self._draft(self._new_charge(project_id=self.project.id)).partner_id,
            contact,
        )
        self.assertEqual(self._draft(self._new_charge()).partner_id, self.client)

    def test_what_is_left_out_is_named(self):
        euro = self.env.ref("base.EUR").sudo()
        euro.active = False
        archived = self._new_client("Gone")
        held = self._new_client("Held", billing_blocked=True, billing_blocked_reason="Disputed")
        silent = self._new_client("Silent", billing_blocked=True)
        expected = {
            "Already on a draft": self._new_charge("a"),
            "Already invoiced": self._new_charge("b"),
            "Discarded": self._new_charge("c"),
            "No price": self._new_charge("d", price=0),
            "Archived client (Gone)": self._new_charge("e", partner_id=archived.id),
            "Billing on hold for Held (Disputed)": self._new_charge("f", partner_id=held.id),
            "Billing on hold for Silent (no reason given)": self._new_charge("i", partner_id=silent.id),
            "Credits exceed charges: add charges, or issue a credit note": self._new_charge(
                "g", price=-5, partner_id=self.other_client.id
            ),
            "Currency EUR is not active": self._new_charge("h", currency_id=euro.id),
        }
        archived.sudo().active = False
        self._draft(expected["Already on a draft"])
        self._finalized(expected["Already invoiced"])
        expected["Discarded"].action_discard()
        good = self._new_charge("good")
        plan, left_out = self.env["billing.charge"].union(good, *expected.values())._draft_plan()
        self.assertEqual(list(plan.values()), [good])
        self.assertEqual(left_out, expected)

    def test_the_confirmation_counts_names_and_drafts(self):
        charges = self._new_charge("One", 10) | self._new_charge("Two", 20) | self._new_charge("Free", 0)
        action = charges.action_draft_invoice()
        wizard = self.env["billing.draft"].browse(action["res_id"])
        self.assertEqual(wizard.draft_count, 1)
        self.assertRegex(wizard.summary, r"<strong>2</strong>\s+charges:")
        self.assertIn("Acme", wizard.summary)
        self.assertIn("30.00", wizard.summary)
        self.assertIn("No price", wizard.summary)
        action = wizard.action_confirm()
        invoice = self.env["account.move"].browse(action["res_id"])
        self.assertEqual(invoice.billing_charge_ids, charges[:2])
        self.assertEqual(charges[2].state, "open")

    def test_the_confirmation_speaks_of_one_charge(self):
        action = self._new_charge("One", 10).action_draft_invoice()
        self.assertRegex(self.env["billing.draft"].browse(action["res_id"]).summary, r"<strong>1</strong>\s+charge:")

    def test_drafts_made_together_are_found_again_by_one_of_them(self):
        earlier = self._draft(self._new_charge())
        self.env.cr.execute("UPDATE account_move SET create_date = '2026-01-01' WHERE id = %s", [earlier.id])
        earlier.invalidate_recordset()
        charges = self._new_charge() | self._new_charge(partner_id=self.other_client.id)
        wizard = self.env["billing.draft"].browse(charges.action_draft_invoice()["res_id"])
        action = wizard.action_confirm()
        drafts = charges.invoice_id
        domain = safe_eval(action["domain"], {"active_id": action["context"]["active_id"]})
        self.assertEqual(earlier.search(domain), drafts.sorted(lambda draft: -draft.id))
        self.assertFalse(earlier.search([("billing_drafted_with", "=", False)]))

    def test_draft_an_invoice_takes_all_open_charges_of_the_client(self):
        charges = self._new_charge() | self._new_charge()
        self._new_charge(partner_id=self.other_client.id)
        wizard = self.env["billing.draft"].browse(self.client.action_billing_draft()["res_id"])
        self.assertEqual(wizard.charge_ids, charges)
        self.assertEqual(self.client.billing_open_count, 2)
        wizard.action_confirm()
        self.client.invalidate_recordset()
        self.assertEqual(self.client.billing_open_count, 0)

    def test_charges_of_a_company_that_is_not_selected_are_left_out_and_named(self):
        branch = self._new_company("Second")
        self.biller.sudo().company_ids = [Command.link(branch.id)]
        both = self.env(context={"allowed_company_ids": [self.company.id, branch.id]})
        self._new_charge("Here")
        both["billing.charge"].create(
            {
                "name": "There",
                "partner_id": self.client.id,
                "price_unit": 7,
                "company_id": branch.id,
            }
        )
        here = self.client.with_context(allowed_company_ids=self.company.ids)
        wizard = here.env["billing.draft"].browse(here.action_billing_draft()["res_id"])
        self.assertIn(f"Other company ({branch.name})", wizard.summary)
        self.assertEqual(wizard.draft_count, 1)

    def test_nothing_to_draft_says_why(self):
        wizard = self.env["billing.draft"].browse(self._new_charge(price=0).action_draft_invoice()["res_id"])
        with self.assertRaisesRegex(UserError, "nothing to draft.*\n• No price: 1"):
            wizard.action_confirm()

    def test_a_draft_has_a_project_when_all_of_it_belongs_there(self):
        with_project, without = self._new_charge(project_id=self.project.id), self._new_charge()
        self.assertEqual(self._draft(with_project).billing_project_id, self.project)
        mixed = self._draft(self._new_charge(project_id=self.project.id) | without)
        self.assertEqual((len(mixed), mixed.billing_project_id.ids, mixed.invoice_origin), (1, [], False))

    def test_a_client_is_put_on_hold_with_a_reason(self):
        with self.assertRaisesRegex(AssertionError, "billing_blocked_reason is a required field"):
            with Form(self.client) as form:
                form.billing_blocked = True
        with Form(self.client) as form:
            form.billing_blocked = True
            form.billing_blocked_reason = "Disputed"
        self.assertTrue(self.client.billing_blocked)

    # -- nothing is billed twice --------------------------------------------------------------------------------------

    def test_a_charge_on_a_draft_cannot_go_on_another(self):
        charge = self._new_charge("Hosting")
        invoice = self._draft(charge)
        with self.assertRaisesRegex(UserError, "“Hosting” already stands on Draft of .* for Acme"):
            self.env["account.move"].create(
                self.env["account.move"]._prepare_billing_invoice(charge._draft_key(), charge)
            )
        self.assertEqual(charge.invoice_id, invoice)

    def test_a_charge_cannot_be_put_on_two_lines_at_once(self):
        charge = self._new_charge()
        values = self.env["account.move"]._prepare_billing_invoice(charge._draft_key(), charge)
        values["invoice_line_ids"] *= 2
        with self.assertRaisesRegex(UserError, "more than one invoice line"):
            self.env["account.move"].create(values)

    def test_the_database_refuses_two_charges_for_one_case(self):
        case = self._new_case(price=10, done=True)
        with (
            mute_logger("odoo.sql_db"),
            self.assertRaises(IntegrityError),
            self.env.cr.savepoint(),
        ):
            self._new_charge(task_id=case.id)

    def test_the_database_refuses_two_charges_on_one_line(self):
        charge, other = self._new_charge(), self._new_charge()
        line = self._draft(charge).invoice_line_ids
        with (
            mute_logger("odoo.sql_db"),
            self.assertRaises(IntegrityError),
            self.env.cr.savepoint(),
        ):
            self.env.cr.execute(
                "UPDATE billing_charge SET invoice_line_id = %s WHERE id = %s",
                [line.id, other.id],
            )

    def test_a_line_keeps_the_charge_it_was_made_from(self):
        line = self._draft(self._new_charge()).invoice_line_ids
        with self.assertRaisesRegex(UserError, "was made from"):
            line.billing_charge_id = self._new_charge()
        with self.assertRaisesRegex(UserError, "was made from"):
            line.billing_charge_id = False

    def test_a_line_with_a_charge_stays_on_its_invoice(self):
        line, other = self._draft(self._new_charge()).invoice_line_ids, self._draft(self._new_charge())
        with self.assertRaisesRegex(UserError, "stays on its invoice"):
            line.move_id = other

    def test_a_charge_is_billed_to_its_own_client_and_in_its_currency(self):
        invoice = self._draft(self._new_charge("Hosting"))
        with self.assertRaisesRegex(UserError, "“Hosting” belongs on an invoice of .* to Acme"):
            invoice.partner_id = self.other_client
        euro = self.env.ref("base.EUR").sudo()
        euro.active = True
        with self.assertRaisesRegex(UserError, "“Hosting” belongs"):
            invoice.currency_id = euro
        with self.assertRaisesRegex(UserError, "only be put on a draft customer invoice"):
            invoice.action_switch_move_type()

    def test_what_became_of_a_charge_cannot_be_set_by_hand(self):
        charge, line = (
            self._new_charge(),
            self._draft(self._new_charge()).invoice_line_ids,
        )
        for values in ({"invoice_line_id": line.id}, {"discarded": True}):
            with self.assertRaises(UserError):
                charge.write(values)
            with self.assertRaises(UserError):
                self._new_charge(**values)

    # -- drafts that go away ------------------------------------------------------------------------------------------

    def test_removing_a_line_opens_its_charge(self):
        charges = self._new_charge("Stays") | self._new_charge("Goes")
        invoice = self._draft(charges)
        line = charges[1].invoice_line_id
        invoice.write({"invoice_line_ids": [Command.delete(line.id)]})
        self.assertEqual(charges.mapped("state"), ["drafted", "open"])
        self.assertEqual(self._draft(charges[1]).amount_untaxed, 100)

    def test_deleting_a_draft_opens_its_charges_and_changes_nothing_else(self):
        charges = self._new_charge() | self._new_charge(quantity=2, discount=5, period_start="2026-01-01")
        before = charges.read(["name", "amount", "quantity", "price_unit", "tax_ids", "period_start"])
        self._draft(charges).action_billing_delete()
        self.assertEqual(charges.mapped("state"), ["open", "open"])
        self.assertEqual(
            charges.read(["name", "amount", "quantity", "price_unit", "tax_ids", "period_start"]),
            before,
        )

    def test_cancelling_a_draft_opens_its_charges_and_reviving_takes_them_back(self):
        charge = self._new_charge("Hosting")
        invoice = self._draft(charge)
        invoice.button_cancel()
        self.assertEqual(charge.state, "open")
        invoice.button_draft()
        self.assertEqual((charge.state, charge.invoice_id), ("drafted", invoice))

    def test_a_cancelled_draft_is_not_revived_when_its_charges_are_billed_elsewhere(
        self,
    ):
        charge = self._new_charge("Hosting")
        invoice = self._draft(charge)
        invoice.button_cancel()
        other = self._draft(charge)
        with self.assertRaisesRegex(UserError, "“Hosting” already stands on"):
            invoice.button_draft()
        self.assertEqual(charge.invoice_id, other)

    def test_a_cancelled_draft_is_deleted_directly_wherever_its_charges_are_by_now(self):
        charge = self._new_charge("Hosting")
        cancelled = self._draft(charge)
        cancelled.button_cancel()
        other = self._draft(charge)
        self.assertEqual(cancelled.billing_charge_count, 1)
        cancelled.action_billing_move("deleted")
        self.assertFalse(cancelled.exists())
        self.assertEqual((charge.invoice_id, charge.state), (other, "drafted"))

    def test_what_was_posted_once_is_not_deleted(self):
        self.company.sudo().billing_lock_invoices = False
        invoice = self.init_invoice("out_invoice", partner=self.client, amounts=[10], post=True)
        invoice.button_draft()
        invoice.button_cancel()
        with self.assertRaisesRegex(UserError, f"{invoice.name} .*had been posted"):
            invoice.action_billing_delete()

    def test_deleting_asks_first_with_clients_count_and_total(self):
        drafts = self._draft(self._new_charge(price=100) | self._new_charge(price=50, partner_id=self.other_client.id))
        done = self._finalized()
        wizard = self.env["billing.delete"].browse((drafts | done).action_billing_confirm_delete()["res_id"])
        self.assertEqual(wizard.count, 2)
        for said in (
            "Acme",
            "Bolt",
            self.company.currency_id.format(sum(drafts.mapped("amount_total"))),
            f"{done.name} is finalized",
        ):
            self.assertIn(said, wizard.summary)
        charges = drafts.billing_charge_ids
        wizard.action_confirm()
        self.assertFalse(drafts.exists())
        self.assertEqual((set(charges.mapped("state")), done.state), ({"open"}, "posted"))
        wizard = self.env["billing.delete"].browse(done.action_billing_confirm_delete()["res_id"])
        with self.assertRaisesRegex(UserError, "can be voided, but neither cancelled nor deleted"):
            wizard.action_confirm()

    def test_a_duplicated_draft_bills_no_charge(self):
        charge = self._new_charge()
        invoice = self._draft(charge)
        copied = invoice.copy()
        self.assertFalse(copied.invoice_line_ids)
        self.assertEqual(charge.invoice_id, invoice)

    # -- editing ------------------------------------------------------------------------------------------------------

    def test_a_line_edited_on_the_draft_stands_beside_what_was_asked(self):
        charge = self._new_charge(price=100)
        self._draft(charge).invoice_line_ids.price_unit = 80
        self.assertEqual((charge.amount, charge.amount_billed), (100, 80))

    def test_a_charge_is_edited_while_open_only(self):
        charge = self._new_charge("Hosting")
        charge.price_unit = 90
        invoice = self._draft(charge)
        with self.assertRaisesRegex(UserError, "Edit the line there"):
            charge.price_unit = 80
        invoice._billing_finalize()
        with self.assertRaisesRegex(UserError, "can no longer be edited"):
            charge.name = "Something else"
        with self.assertRaisesRegex(UserError, "can no longer be edited"):
            charge.unlink()
        with self.assertRaisesRegex(UserError, "can no longer be edited"):
            charge.action_discard()

    def test_a_discarded_charge_can_be_reopened(self):
        charge = self._new_charge()
        charge.action_discard()
        self.assertEqual(charge.state, "discarded")
        self.assertFalse(charge._draft_plan()[0])
        charge.action_reopen()
        self.assertEqual(charge.state, "open")

    # -- lists --------------------------------------------------------------------------------------------------------

    def test_state_is_found_grouped_and_shown_alike(self):
        charges = self.env["billing.charge"].union(*(self._new_charge(str(n)) for n in range(6)))
        self._draft(charges[:2])
        self._finalized(charges[2:4])
        charges[4].action_discard()
        shown = {state: charges.filtered(lambda c, s=state: c.state == s) for state in charges.mapped("state")}
        self.assertEqual(
            {state: len(found) for state, found in shown.items()},
            {"drafted": 2, "invoiced": 2, "discarded": 1, "open": 1},
        )
        domain = [("id", "in", charges.ids)]
        for state, found in shown.items():
            self.assertEqual(
                charges.search([("state", "=", state), *domain]),
                found.sorted(lambda c: -c.id),
            )
            self.assertEqual(charges.search_count([("state", "!=", state), *domain]), 6 - len(found))
        grouped = charges._read_group(domain, ["state"], ["__count"])
        self.assertEqual(grouped, [("open", 1), ("drafted", 2), ("invoiced", 2), ("discarded", 1)])
        in_order = charges.search(domain, order="state desc").mapped("state")
        self.assertEqual(in_order, ["discarded"] + 2 * ["invoiced"] + 2 * ["drafted"] + ["open"])

    def test_the_list_reads_without_a_query_per_row(self):
        many = self.env["billing.charge"].union(
            *(self._new_charge(str(n), partner_id=self._new_client(f"Client {n}").id) for n in range(30))
        )
        few = many[:3]
        self._draft(many)
        fnames = {
            "name": {},
            "partner_id": {"fields": {"display_name": {}}},
            "amount": {},
            "state": {},
            "amount_billed": {},
            "invoice_id": {"fields": {"display_name": {}}},
            "tax_ids": {},
        }
        counts = []
        for charges in (few, few, many):  # the first round fills what is cached for good
            self.env.flush_all()
            self.env.invalidate_all()
            before = self.env.cr.sql_log_count
            import logging

            logging.getLogger("odoo.sql_db").setLevel(10)
            charges.web_read(fnames)
            logging.getLogger("odoo.sql_db").setLevel(20)
            counts.append(self.env.cr.sql_log_count - before)
        self.assertEqual(counts[1], counts[2])

    # -- who may ------------------------------------------------------------------------------------------------------

    def test_only_billing_staff_see_charges(self):
        charge = self._new_charge()
        for groups in (
            "base.group_user",
            "account.group_account_invoice",
            "project.group_project_manager",
        ):
            user = self._new_user("u" + groups[-6:], groups)
            with self.assertRaises(AccessError):
                charge.with_user(user).read(["name"])
            with self.assertRaises(AccessError):
                charge.with_user(user).search([])

    def test_charges_of_another_company_are_not_seen(self):
        branch = self._new_company("Second")
        charge = self._new_charge().sudo().copy({"company_id": branch.id, "tax_ids": False})
        self.assertNotIn(charge.id, self.env["billing.charge"].search([]).ids)
        with self.assertRaises(AccessError):
            charge.sudo(False).read(["name"])
