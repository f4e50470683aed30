from lxml import etree

from odoo.exceptions import AccessError
from odoo.tests import Form, tagged

from .common import BillingCommon


@tagged("post_install", "-at_install")
class TestSettings(BillingCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.manager = cls._new_user("manager", "invoice_portal.group_billing_manager")
        cls.company.sudo().write({"billing_note": "<p>Thanks</p>", "billing_review_threshold": 10})

    def _settings(self, user):
        return Form(self.env["billing.settings"].with_user(user))

    def test_whoever_configures_billing_needs_no_rights_on_companies(self):
        with self.assertRaises(AccessError):
            self.company.with_user(self.manager).billing_lock_invoices = False
        with self._settings(self.manager) as form:
            self.assertEqual((form.billing_note, form.billing_review_threshold), ("<p>Thanks</p>", 10))
            form.billing_lock_invoices = False
            form.billing_review_threshold = 25
            form.display_invoice_amount_total_words = True
            form.billing_note = "<p>Cheers</p>"
        form.record.action_save()
        company = self.company.sudo()
        self.assertFalse(company.billing_lock_invoices)
        self.assertEqual(company.billing_review_threshold, 25)
        self.assertTrue(company.display_invoice_amount_total_words)
        self.assertEqual(company.billing_note, "<p>Cheers</p>")

    def test_they_find_the_menu(self):
        menu = self.env.ref("invoice_portal.menu_billing_settings").sudo()
        for user, finds in ((self.manager, True), (self.biller, False)):
            visible = self.env["ir.ui.menu"].with_user(user)._visible_menu_ids()
            with self.subTest(user.login):
                self.assertEqual(menu.id in visible, finds)

    def test_nobody_else_changes_them(self):
        with self.assertRaises(AccessError):
            self._settings(self.biller)
        settings = self._settings(self.manager).save()
        with self.assertRaises(AccessError):
            settings.with_user(self.biller).action_save()

    def test_a_company_of_others_is_out_of_reach(self):
        other = self._new_company("Elsewhere").sudo()
        settings = (
            self.env["billing.settings"]
            .with_user(self.manager)
            .create({"company_id": other.id, "billing_pdf_engine": "automatic", "billing_lock_invoices": False})
        )
        settings.action_save()
        self.assertTrue(other.billing_lock_invoices)

    def test_each_setting_is_a_setting_of_the_company(self):
        """What is added to Odoo's page of settings has its place here, too."""
        ours = {
            name
            for name, field in self.env["res.config.settings"]._fields.items()
            if name.startswith("billing_") and field.related
        }
        self.assertEqual(ours - self.env["billing.settings"]._fields.keys(), set())

    def test_each_setting_says_what_it_is(self):
        """Odoo takes the label of a setting from the field right below it, or from its own words."""
        view = self.env.ref("invoice_portal.res_config_settings_view_form").sudo()
        settings = etree.fromstring(view.arch).findall(".//setting")
        self.assertTrue(settings)
        for setting in settings:
            first = next((child for child in setting if isinstance(child.tag, str)), None)
            named = setting.get("string") or (first is not None and first.tag == "field")
            self.assertTrue(named, etree.tostring(setting))
