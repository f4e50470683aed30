from odoo.exceptions import UserError
from odoo.tests import tagged

from .common import BillingCommon


@tagged("post_install", "-at_install")
class TestMerge(BillingCommon):
    """Merging contacts is no way to give a finalized invoice another client."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.invoice = cls._finalized()
        cls.clerk = cls._new_user("clerk", "base.group_user,base.group_partner_manager")
        cls.twin = cls._new_client("Acme", email=cls.client.email)

    def _merge(self, source, destination, user=None):
        partners = source | destination
        wizard = self.env["base.partner.merge.automatic.wizard"].with_user(user or self.clerk)
        wizard.create({"partner_ids": partners.ids, "dst_partner_id": destination.id}).action_merge()

    def test_the_client_of_a_finalized_invoice_is_not_merged_away(self):
        for user in (self.clerk, self.biller, self.env.ref("base.user_admin")):
            with self.subTest(user.login), self.assertRaisesRegex(UserError, "“Acme” stands on a finalized invoice"):
                self._merge(self.client, self.twin, user)
        self.assertEqual(self.invoice.partner_id, self.client)
        self.assertEqual(self.invoice.line_ids.partner_id, self.client)

    def test_its_contact_and_its_delivery_address_are_not_either(self):
        contacts = self.env["res.partner"].create(
            [{"name": name, "parent_id": self.client.id, "email": "x@example.com"} for name in ("Ann", "Bea", "Cy")]
        )
        invoice = self._draft(self._new_charge())
        invoice.write({"partner_id": contacts[0].id})
        invoice.write({"partner_shipping_id": contacts[1].id})
        invoice._billing_finalize()
        for contact in contacts[:2]:
            with self.subTest(contact.name), self.assertRaisesRegex(UserError, "finalized invoice"):
                self._merge(contact, contacts[2])

    def test_others_are_merged_into_it(self):
        draft = self._draft(self._new_charge(partner_id=self.twin.id))
        self._merge(self.twin, self.client)
        self.assertFalse(self.twin.exists())
        self.assertEqual(draft.partner_id, self.client)
        self.assertEqual(self.invoice.partner_id, self.client)
