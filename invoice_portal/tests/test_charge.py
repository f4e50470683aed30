from odoo.exceptions import UserError
from odoo.tests import tagged

from .common import BillingCommon


@tagged("post_install", "-at_install")
class TestCharge(BillingCommon):
    def test_drafting_bills_each_charge_on_a_line_of_its_own(self):
        charges = self._new_charge("Hosting", 100) | self._new_charge("Support", 50.5, quantity=3, discount=10)
        invoice = self._draft(charges)
        self.assertEqual(invoice.commercial_partner_id, self.client)
        self.assertEqual(invoice.invoice_line_ids.billing_charge_id, charges)
        self.assertEqual(charges.mapped("state"), ["drafted", "drafted"])
        self.assertAlmostEqual(invoice.amount_untaxed, sum(charges.mapped("amount")))
