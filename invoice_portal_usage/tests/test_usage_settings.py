from odoo.exceptions import AccessError
from odoo.tests import Form, tagged

from .common import UsageCommon


@tagged("post_install", "-at_install")
class TestUsageSettings(UsageCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.manager = cls._new_user("manager", "invoice_portal.group_billing_manager")

    def test_whoever_configures_billing_sets_usage(self):
        with Form(self.env["billing.settings"].with_user(self.manager)) as form:
            self.assertEqual((form.billing_usage_grouping, form.billing_usage_late), ("destination", "next"))
            form.billing_usage_grouping = "day"
            form.billing_usage_late = "correction"
            form.billing_usage_annex_mail = True
            form.billing_usage_keep_months = 24
        form.record.action_save()
        company = self.company.sudo()
        self.assertEqual((company.billing_usage_grouping, company.billing_usage_late), ("day", "correction"))
        self.assertEqual((company.billing_usage_annex_mail, company.billing_usage_keep_months), (True, 24))
        with self.assertRaises(AccessError):
            Form(self.env["billing.settings"])

    def test_odoos_page_has_the_same(self):
        ours = {name for name in self.env["res.config.settings"]._fields if name.startswith("billing_usage_")}
        self.assertLessEqual(ours, set(self.env["billing.settings"]._company_fields()))
        root = self.env(user=self.env.ref("base.user_admin"))
        settings = root["res.config.settings"].create({"billing_usage_keep_months": 12})
        settings.execute()
        self.assertEqual(root.company.billing_usage_keep_months, 12)

    def test_the_clients_numbers_are_edited_on_its_form(self):
        form = Form(self.client.with_user(self.biller), view="base.view_partner_form")
        with form.billing_usage_account_ids.new() as account:
            account.source_id = self.source
            account.key = "+49 30 2000"
        form.billing_usage_grouping = "day"
        form.billing_rate_plan_id = self.plan
        form.save()
        self.assertIn("+49 30 2000", self.client.billing_usage_account_ids.mapped("key"))
        self.assertEqual(self.client.billing_usage_grouping, "day")

    def test_an_employee_opens_a_contact_without_it(self):
        employee = self._new_user("employee", "base.group_user,base.group_partner_manager")
        form = Form(self.client.with_user(employee), view="base.view_partner_form")
        form.phone = "1"
        form.save()
        self.assertEqual(self.client.phone, "1")
