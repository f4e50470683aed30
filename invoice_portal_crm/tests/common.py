from odoo import Command

from odoo.addons.invoice_portal.tests.common import BillingCommon


class LeadCommon(BillingCommon):
    """Somebody who sells and bills, somebody who only sells, and opportunities."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.closer = cls._new_user(
            "closer", "invoice_portal.group_billing_user,sales_team.group_sale_salesman_all_leads"
        )
        cls.seller = cls._new_user("seller", "sales_team.group_sale_salesman")
        cls.env = cls.env(user=cls.closer)
        cls.client, cls.other_client = cls.client.with_env(cls.env), cls.other_client.with_env(cls.env)
        cls.company = cls.company.with_env(cls.env)

    @classmethod
    def _new_lead(cls, name="Website", products=(), **values):
        """An opportunity with these products, each a name and a price, or a dictionary."""
        return cls.env["crm.lead"].create(
            {
                "name": name,
                "type": "opportunity",
                "partner_id": cls.client.id,
                "user_id": cls.closer.id,
                "company_id": cls.company.id,
                "billing_product_ids": [
                    Command.create(
                        product if isinstance(product, dict) else {"name": product[0], "price_unit": product[1]}
                    )
                    for product in products
                ],
                **values,
            }
        )

    @classmethod
    def _ask(cls, lead):
        """The dialog that *Create Invoice* opens."""
        return cls.env["billing.lead.draft"].browse(lead.action_billing_create_invoice()["res_id"])

    @classmethod
    def _invoice(cls, lead):
        """What *Create Invoice*, *Confirm* makes."""
        before = lead.billing_invoice_ids
        cls._ask(lead).action_confirm()
        lead.invalidate_recordset(["billing_invoice_ids"])
        return lead.billing_invoice_ids - before
