from odoo.tests import HttpCase, tagged

from .common import LeadCommon


@tagged("post_install", "-at_install")
class TestTours(LeadCommon, HttpCase):
    def test_from_an_opportunity_to_a_draft_invoice(self):
        lead = self._new_lead(partner_id=False, partner_name="Fresh Ltd", products=[("Logo", 250)])
        self.start_tour(f"/odoo/crm.lead/{lead.id}", "billing_lead_invoice", login=self.closer.login)
        invoice = lead.billing_invoice_ids
        self.assertEqual((invoice.state, invoice.amount_untaxed), ("draft", 320))
        self.assertEqual(invoice.partner_id.name, "Fresh Ltd")
        self.assertEqual(lead.expected_revenue, 320)
