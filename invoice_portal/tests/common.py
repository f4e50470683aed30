from odoo import SUPERUSER_ID, Command, fields
from odoo.tests import new_test_user

from odoo.addons.account.tests.common import AccountTestInvoicingCommon


class BillingCommon(AccountTestInvoicingCommon):
    """A company with a client, a project and staff, and factories for what is billed."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company = cls.env.company
        cls.biller = cls._new_user("biller", "invoice_portal.group_billing_user")
        cls.env = cls.env(user=cls.biller)
        cls.client = cls._new_client("Acme")
        cls.other_client = cls._new_client("Bolt")
        cls.project = cls._new_project("Acme website")
        cls.tax = cls.tax_sale_a

    @classmethod
    def _new_user(cls, login, groups, **values):
        return new_test_user(
            cls.env(su=True),
            login=login,
            groups=groups,
            **{
                "company_id": cls.company.id,
                "company_ids": [Command.set(cls.company.ids)],
                "email": f"{login}@staff.example.com",
                "tz": "UTC",
                **values,
            },
        )

    @classmethod
    def _new_client(cls, name, **values):
        return (
            cls.env["res.partner"]
            .sudo()
            .create(
                {
                    "name": name,
                    "is_company": True,
                    "email": f"billing@{name.lower().replace(' ', '')}.example.com",
                    "tz": "UTC",
                    "invoice_sending_method": "email",
                    **values,
                }
            )
            .with_env(cls.env)
        )

    @classmethod
    def _new_company(cls, name):
        """A company that the biller does not work in: Odoo gives a new company to whoever creates it."""
        return cls.env["res.company"].with_user(SUPERUSER_ID).create({"name": name}).with_env(cls.env)

    @classmethod
    def _new_company_with_accounts(cls, name):
        """One that can invoice, and that the biller does not work in."""
        company = cls._new_company(name).sudo()
        cls.env["account.chart.template"].with_user(SUPERUSER_ID).try_loading(
            cls.company.chart_template, company=company, install_demo=False
        )
        return company.with_env(cls.env)

    @classmethod
    def _new_portal_user(cls, partner, login):
        """A login for a contact of this client."""
        contact = (
            cls.env["res.partner"]
            .sudo()
            .create(
                {
                    "name": login.title(),
                    "parent_id": partner.id,
                    "email": f"{login}@client.example.com",
                }
            )
        )
        return new_test_user(
            cls.env(su=True),
            login=login,
            groups="base.group_portal",
            partner_id=contact.id,
            company_id=cls.company.id,
            company_ids=[Command.set(cls.company.ids)],
        )

    @classmethod
    def _new_project(cls, name, client=None, **values):
        return (
            cls.env["project.project"]
            .sudo()
            .create(
                {
                    "name": name,
                    "partner_id": (client or cls.client).id,
                    "company_id": cls.company.id,
                    **values,
                }
            )
            .with_env(cls.env)
        )

    @classmethod
    def _new_case(cls, name="Case", price=0.0, done=False, **values):
        return cls.env["project.task"].create(
            {
                "name": name,
                "project_id": cls.project.id,
                "billing_price": price,
                "state": "1_done" if done else "01_in_progress",
                **values,
            }
        )

    @classmethod
    def _new_charge(cls, name="Support", price=100.0, **values):
        return cls.env["billing.charge"].create(
            {"name": name, "partner_id": cls.client.id, "price_unit": price, **values}
        )

    @classmethod
    def _new_package(cls, name="Hosting", price=100.0, **values):
        return cls.env["billing.package"].create(
            {"name": name, "product_id": cls.product_a.id, "price_unit": price, **values}
        )

    @classmethod
    def _draft(cls, charges):
        """The drafts that these charges make."""
        plan, _left_out = charges._draft_plan()
        return cls.env["account.move"].union(*cls.env["account.move"]._billing_create_from_charges(plan).values())

    @classmethod
    def _finalized(cls, charges=None):
        invoice = cls._draft(charges or cls._new_charge())
        invoice._billing_finalize()
        return invoice

    @classmethod
    def _pay(cls, invoice, amount=None):
        register = cls.env["account.payment.register"].with_context(active_model="account.move", active_ids=invoice.ids)
        return register.create(
            {
                "amount": amount or invoice.amount_residual,
                "payment_date": fields.Date.today(),
            }
        )._create_payments()

    @classmethod
    def _date(cls, text):
        return fields.Date.to_date(text)
