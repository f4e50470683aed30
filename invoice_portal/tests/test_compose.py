from freezegun import freeze_time

from odoo import Command
from odoo.exceptions import UserError
from odoo.tests import Form, tagged
from odoo.tools import html2plaintext

from .common import BillingCommon


@tagged("post_install", "-at_install")
class TestCompose(BillingCommon):
    def _new_invoice(self, project=None):
        return self.env["account.move"].create(
            {
                "move_type": "out_invoice",
                "partner_id": self.client.id,
                "billing_project_id": (project or self.project).id,
            }
        )

    def _attach(self, invoice, *cases):
        wizard = self.env["billing.cases"].browse(invoice.action_billing_cases()["res_id"])
        wizard.line_ids.filtered(lambda line: line.task_id.id in [case.id for case in cases]).chosen = True
        wizard.action_attach()
        return wizard

    def test_choosing_a_project_fills_client_contact_and_currency(self):
        euro = self.env.ref("base.EUR").sudo()
        euro.active = True
        contact = self.env["res.partner"].sudo().create({"name": "Accounts", "parent_id": self.client.id})
        self.project.sudo().write({"billing_contact_id": contact.id, "billing_currency_id": euro.id})
        terms = self.env["account.payment.term"].sudo().create({"name": "Ten days"})
        self.client.sudo().property_payment_term_id = terms
        with Form(self.env["account.move"].with_context(default_move_type="out_invoice")) as form:
            form.billing_project_id = self.project
        invoice = form.save()
        self.assertEqual((invoice.partner_id, invoice.currency_id), (contact, euro))
        self.assertEqual(invoice.invoice_payment_term_id, terms)

    @freeze_time("2026-03-10 12:34:56")
    def test_the_corner_shows_the_expected_number_and_the_moment_of_creation(self):
        form = Form(self.env["account.move"].with_context(default_move_type="out_invoice"))
        form.partner_id = self.client
        self.assertEqual(str(form.billing_created), "2026-03-10 12:34:56")
        expected = form.billing_expected_number
        invoice = form.save()
        invoice.write({"invoice_line_ids": [(0, 0, {"name": "Typed", "price_unit": 10})]})
        invoice._billing_finalize()
        self.assertEqual(invoice.name, expected)
        following = self._draft(self._new_charge())
        self.assertEqual(following.billing_expected_number, expected[:-1] + str(int(expected[-1]) + 1))

    def test_cases_are_attached_as_charges_with_their_price(self):
        done, unfinished, unpriced = (
            self._new_case("Done", 100, True),
            self._new_case("Unfinished", 50),
            self._new_case("Unpriced"),
        )
        invoice = self._new_invoice()
        self._attach(invoice, done, unfinished, unpriced)
        lines = {line.name: line for line in invoice.invoice_line_ids}
        self.assertEqual(
            {name: line.price_unit for name, line in lines.items()}, {"Done": 100, "Unfinished": 50, "Unpriced": 0}
        )
        self.assertEqual(lines["Done"].billing_charge_id.task_id, done)
        self.assertEqual({done.billing_state, unfinished.billing_state, unpriced.billing_state}, {"drafted"})
        with self.assertRaisesRegex(UserError, "“Unpriced” on .* has no amount"):
            invoice._billing_finalize()
        lines["Unpriced"].price_unit = 20
        invoice._billing_finalize()
        self.assertEqual(invoice.amount_untaxed, 170)

    def test_billed_cases_are_marked_and_cannot_be_attached(self):
        billed, free = self._new_case("Billed", 10, True), self._new_case("Free", 10, True)
        other = self._finalized(billed.billing_charge_ids)
        invoice = self._new_invoice()
        wizard = self.env["billing.cases"].browse(invoice.action_billing_cases()["res_id"])
        by_case = {line.task_id: line for line in wizard.line_ids}
        self.assertEqual((by_case[billed].attachable, by_case[billed].invoice_id), (False, other))
        self.assertTrue(by_case[free].attachable)
        self.assertEqual(wizard.attachable_count, 1)
        by_case[billed].chosen = True
        with self.assertRaisesRegex(UserError, f"“Billed” is already billed on .*{other.name}"):
            wizard.action_attach()

    def test_where_nothing_can_be_chosen_no_button_offers_to_attach(self):
        billed = self._new_case("Billed", 10, True)
        self._finalized(billed.billing_charge_ids)
        invoice = self._new_invoice()
        wizard = self.env["billing.cases"].browse(invoice.action_billing_cases()["res_id"])
        self.assertEqual((wizard.line_ids.task_id, wizard.attachable_count), (billed, 0))
        self._new_case("New", 10)
        wizard = self.env["billing.cases"].browse(invoice.action_billing_cases()["res_id"])
        self.assertEqual(wizard.attachable_count, 1)

    def test_a_case_attached_elsewhere_in_the_meantime_is_refused(self):
        case = self._new_case("Wanted", 10, True)
        invoice = self._new_invoice()
        wizard = self.env["billing.cases"].browse(invoice.action_billing_cases()["res_id"])
        wizard.line_ids.chosen = True
        self._attach(self._new_invoice(), case)
        wizard.line_ids.invalidate_recordset()
        with self.assertRaisesRegex(UserError, "“Wanted” is already billed on"):
            wizard.action_attach()

    def test_deleting_the_draft_opens_the_cases_again(self):
        unfinished = self._new_case("Unfinished", 50)
        invoice = self._new_invoice()
        self._attach(invoice, unfinished)
        invoice.action_billing_delete()
        self.assertEqual(unfinished.billing_state, "to_bill")
        unfinished.name = "Unfinished still"
        self.assertEqual(unfinished.billing_state, "to_bill")

    def test_a_case_of_another_project_is_refused(self):
        other = self._new_case("Elsewhere", 10, project_id=self._new_project("Other").id)
        with self.assertRaisesRegex(UserError, "“Elsewhere” does not belong to Acme website"):
            self._new_invoice()._billing_attach_cases(other)

    def test_cases_need_a_project(self):
        invoice = self.env["account.move"].create({"move_type": "out_invoice", "partner_id": self.client.id})
        with self.assertRaisesRegex(UserError, "Choose a project first"):
            invoice.action_billing_cases()

    def test_change_project_says_and_does_what_happens_to_attached_cases(self):
        case = self._new_case("Logo", 10, True)
        project = self._new_project("Bolt shop", self.other_client)
        invoice = self._new_invoice()
        invoice.write({"invoice_line_ids": [(0, 0, {"name": "Typed", "price_unit": 5})]})
        self._attach(invoice, case)
        wizard = self.env["billing.change.project"].browse(invoice.action_billing_change_project()["res_id"])
        wizard.project_id = project
        self.assertIn("Logo", wizard.plan)
        self.assertIn("Bolt", wizard.plan)
        wizard.action_change()
        self.assertEqual((invoice.billing_project_id, invoice.partner_id), (project, self.other_client))
        self.assertEqual(invoice.invoice_line_ids.mapped("name"), ["Typed"])
        self.assertEqual(case.billing_state, "to_bill")

    def test_a_finalized_invoice_keeps_project_and_cases(self):
        invoice = self._finalized(self._new_case("Logo", 10, True).billing_charge_ids)
        with self.assertRaisesRegex(UserError, "already finalized"):
            invoice.action_billing_change_project()
        with self.assertRaisesRegex(UserError, "already finalized"):
            invoice.action_billing_cases()
        with self.assertRaisesRegex(UserError, "Only a draft"):
            invoice._billing_change_project(self.project)


@tagged("post_install", "-at_install")
class TestDuplicate(BillingCommon):
    """*Duplicate* bills again what was typed, and nothing that a charge asked for."""

    def _mixed(self, **values):
        """An invoice of two charges and two typed items, under headings."""
        invoice = self._draft(self._new_charge("Hosting") | self._new_charge("Support", 50))
        for sequence, line in enumerate(invoice.invoice_line_ids):
            line.sequence = 11 + sequence
        invoice.write(
            {
                "invoice_line_ids": [
                    Command.create({"display_type": kind, "name": name, "sequence": sequence})
                    for sequence, kind, name in (
                        (10, "line_section", "Services"),
                        (20, "line_section", "Goods"),
                        (23, "line_note", "Sold as seen"),
                    )
                ]
                + [
                    Command.create({"name": name, "price_unit": 30, "sequence": sequence, "tax_ids": self.tax.ids})
                    for sequence, name in ((21, "Chair"), (22, "Table"))
                ],
                **values,
            }
        )
        return invoice

    def _note(self, copied):
        return " ".join(html2plaintext(body) for body in copied.message_ids.mapped("body"))

    def test_lines_that_bill_charges_stay_behind_and_are_named(self):
        invoice = self._mixed()
        for state in ("draft", "posted"):
            with self.subTest(state):
                copied = invoice.copy()
                self.assertEqual(
                    [(line.name, line.price_unit) for line in copied.invoice_line_ids.sorted("sequence")],
                    [("Goods", 0), ("Chair", 30), ("Table", 30), ("Sold as seen", 0)],
                )
                self.assertEqual((copied.amount_untaxed, copied.amount_tax), (60, 60 * self.tax.amount / 100))
                note = self._note(copied)
                for said in ("duplicated from", "Left out, because these lines bill charges", "Hosting", "Support"):
                    self.assertIn(said, note)
                self.assertNotIn("Chair", note)
                copied.invoice_line_ids[0].unlink()
            if invoice.state == "draft":
                invoice._billing_finalize()

    def test_of_charges_alone_an_empty_draft_is_left(self):
        for invoice in (self._draft(self._new_charge("Hosting")), self._finalized(self._new_charge("Hosting"))):
            copied = invoice.copy()
            self.assertFalse(copied.line_ids)
            self.assertEqual((copied.partner_id, copied.amount_total), (invoice.partner_id, 0))
            self.assertIn("Hosting", self._note(copied))

    def test_what_was_opened_again_by_a_void_is_not_copied_either(self):
        charge = self._new_charge("Hosting")
        invoice = self._finalized(charge)
        invoice._billing_void("Wrong")
        self.assertEqual(charge.state, "open")
        self.assertFalse(invoice.copy().invoice_line_ids)

    def test_without_charges_everything_is_copied_and_nothing_said(self):
        invoice = self.env["account.move"].create(
            {
                "move_type": "out_invoice",
                "partner_id": self.client.id,
                "invoice_line_ids": [Command.create({"name": "Chair", "price_unit": 30})],
            }
        )
        copied = invoice.copy()
        self.assertEqual(copied.invoice_line_ids.name, "Chair")
        self.assertNotIn("Left out", self._note(copied))

    def test_a_percentage_goes_along_and_a_fixed_discount_does_not(self):
        copied = self._mixed(billing_discount=10).copy()
        self.assertEqual((copied.billing_discount, copied.amount_untaxed), (10, 54))
        copied = self._mixed(billing_discount_type="fixed", billing_discount=100).copy()
        self.assertEqual((copied.billing_discount, copied.amount_untaxed), (0, 60))
        self.assertIn("overall discount, a fixed amount, was left out", self._note(copied))

    def test_a_credit_note_takes_the_lines_of_charges_along(self):
        invoice = self._mixed()
        invoice._billing_finalize()
        note = invoice._reverse_moves([{"invoice_date": invoice.invoice_date}])
        self.assertEqual(note.amount_total, invoice.amount_total)
        self.assertNotIn("Left out", self._note(note))
