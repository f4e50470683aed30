from odoo import Command
from odoo.exceptions import UserError
from odoo.tests import Form, tagged
from odoo.tools import html2plaintext

from .common import BillingCommon


@tagged("post_install", "-at_install")
class TestTexts(BillingCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["res.lang"].sudo()._activate_lang("de_DE")
        cls.other_client.sudo().lang = "de_DE"
        cls.company.sudo().billing_note = "<p>Thank you</p>"
        cls.company.sudo().update_field_translations("billing_note", {"de_DE": {"Thank you": "Vielen Dank"}})

    def _use_company_terms(self):
        self.env["ir.config_parameter"].sudo().set_param("account.use_invoice_terms", True)
        self.company.sudo().write({"terms_type": "plain", "invoice_terms": "<p>Thirty days</p>"})
        german = {"de_DE": {"Thirty days": "Dreißig Tage"}}
        self.company.sudo().update_field_translations("invoice_terms", german)

    def _new_invoice(self, **values):
        return self.env["account.move"].create({"move_type": "out_invoice", "partner_id": self.client.id, **values})

    def _texts(self, invoice):
        return tuple(html2plaintext(invoice[fname] or "").strip() for fname in ("billing_note", "narration"))

    def test_company_texts_come_in_the_clients_language(self):
        self._use_company_terms()
        self.assertEqual(self._texts(self._new_invoice()), ("Thank you", "Thirty days"))
        invoice = self._new_invoice(partner_id=self.other_client.id)
        self.assertEqual(self._texts(invoice), ("Vielen Dank", "Dreißig Tage"))

    def test_a_clients_own_texts_come_first_also_for_its_contacts(self):
        self._use_company_terms()
        self.client.sudo().write({"billing_note": "<p>Dear Acme</p>", "billing_terms": "<p>Prepaid</p>"})
        contact = self.env["res.partner"].sudo().create({"name": "Accounts", "parent_id": self.client.id})
        self.assertEqual(self._texts(self._new_invoice(partner_id=contact.id)), ("Dear Acme", "Prepaid"))
        self.assertEqual(html2plaintext(contact.billing_note), "Dear Acme")

    def test_drafts_of_charges_get_the_texts_too(self):
        self.client.sudo().write({"billing_note": "<p>Dear Acme</p>", "billing_terms": "<p>Prepaid</p>"})
        self.assertEqual(self._texts(self._draft(self._new_charge())), ("Dear Acme", "Prepaid"))

    def test_texts_follow_the_client_until_they_are_typed(self):
        self.client.sudo().write({"billing_note": "<p>Dear Acme</p>", "billing_terms": "<p>Prepaid</p>"})
        form = Form(self.env["account.move"].with_context(default_move_type="out_invoice"))
        form.partner_id = self.client
        self.assertIn("Dear Acme", form.billing_note)
        form.partner_id = self.other_client
        self.assertIn("Vielen Dank", form.billing_note)
        self.assertFalse(form.narration)
        form.partner_id = self.client
        form.billing_note = "<p>Just for you</p>"
        form.partner_id = self.other_client
        self.assertIn("Just for you", form.billing_note)
        self.assertFalse(form.narration)

    def test_a_form_that_sends_the_default_does_not_count_as_typing(self):
        self.client.sudo().write({"billing_note": "<p>Dear <b>Acme</b></p>", "billing_terms": "<p>Prepaid</p>"})
        form = Form(self.env["account.move"].with_context(default_move_type="out_invoice"))
        form.partner_id = self.client
        invoice = form.save()
        self.assertFalse(invoice.billing_note_typed or invoice.billing_terms_typed)
        invoice.partner_id = self.other_client
        self.assertEqual(self._texts(invoice), ("Vielen Dank", ""))

    def test_typed_texts_survive_another_client_and_a_cleared_one_stays_empty(self):
        self._use_company_terms()
        typed = self._new_invoice(billing_note="<p>Once</p>", narration="<p>Special</p>")
        cleared = self._new_invoice()
        cleared.write({"billing_note": False, "narration": False})
        (typed | cleared).partner_id = self.other_client
        self.assertEqual(self._texts(typed), ("Once", "Special"))
        self.assertEqual(self._texts(cleared), ("", ""))

    def test_companies_agree_on_their_own_texts_with_a_client(self):
        other = self._new_company_with_accounts("Other")
        self.client.sudo().with_company(other).billing_note = "<p>From the other</p>"
        self.assertEqual(self._texts(self._new_invoice())[0], "Thank you")
        theirs = self.env["account.move"].sudo().with_company(other)
        theirs = theirs.create({"move_type": "out_invoice", "partner_id": self.client.id})
        self.assertEqual(self._texts(theirs)[0], "From the other")

    def test_a_finalized_invoice_keeps_its_texts(self):
        self._use_company_terms()
        invoice = self._finalized()
        with self.assertRaisesRegex(UserError, "locked"):
            invoice.billing_note = "<p>Changed</p>"
        self.client.sudo().lang = "de_DE"
        self.env.flush_all()
        invoice.invalidate_recordset()
        self.assertEqual(self._texts(invoice), ("Thank you", "Thirty days"))

    def test_scripts_are_taken_out(self):
        hostile = "<p>Hi<script>alert(1)</script><img src='x' onerror='alert(1)'/></p>"
        self.client.sudo().billing_note = hostile
        invoice = self._new_invoice(narration=hostile)
        for text in (self.client.billing_note, invoice.billing_note, invoice.narration):
            self.assertNotRegex(text, "script|onerror")

    def test_bills_have_no_note(self):
        self._use_company_terms()
        bill = self.env["account.move"].create({"move_type": "in_invoice", "partner_id": self.client.id})
        self.assertEqual(self._texts(bill), ("", ""))

    def test_the_documents_show_the_note_above_the_terms(self):
        self._use_company_terms()
        invoice = self._finalized()
        for report in ("invoice_portal.report_invoice", "account.report_invoice_with_payments"):
            with self.subTest(report):
                html = self.env["ir.actions.report"]._render_qweb_html(report, invoice.ids)[0].decode()
                self.assertLess(0, html.find("Thank you"))
                self.assertLess(html.find("Thank you"), html.find("Thirty days"))

    def test_a_duplicate_keeps_its_texts(self):
        invoice = self._new_invoice(billing_note="<p>Once</p>")
        invoice.invoice_line_ids = [Command.create({"name": "Typed", "price_unit": 10})]
        self.assertEqual(self._texts(invoice.copy())[0], "Once")
