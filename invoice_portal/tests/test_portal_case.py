from odoo.tests import HttpCase, tagged
from odoo.tools import mute_logger

from .common import BillingCommon

URL = "/my/billing/cases"


@tagged("post_install", "-at_install")
class TestPortalCases(BillingCommon, HttpCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ann = cls._new_portal_user(cls.client, "ann")
        cls.ben = cls._new_portal_user(cls.client, "ben")
        cls.stranger = cls._new_portal_user(cls.other_client, "stranger")
        cls._share(cls.project)
        cls.billed = cls._new_shared("Landing page", price=120, done=True)
        cls.invoice = cls._finalized(cls.billed.billing_charge_ids)
        cls.open = cls._new_shared("Contact form", price=777.77, done=True)

    @classmethod
    def _share(cls, project):
        project.sudo().privacy_visibility = "portal"
        project.sudo().message_subscribe(partner_ids=project.partner_id.ids)

    @classmethod
    def _new_shared(cls, name, partner=None, **values):
        case = cls._new_case(name, **values)
        case.sudo().message_subscribe(partner_ids=(partner or cls.client).ids)
        return case

    def _page(self, user, query=""):
        self.authenticate(user and user.login, user and user.login)
        with mute_logger("odoo.http"):
            return self.url_open(f"{URL}{query}", timeout=60)

    def test_the_client_sees_its_cases_and_what_was_billed(self):
        for user in (self.ann, self.ben):
            page = self._page(user).text
            self.assertIn("Landing page", page)
            self.assertIn(f'href="/my/tasks/{self.billed.id}"', page)
            self.assertIn(f'href="/my/invoices/{self.invoice.id}"', page)
            self.assertIn("120.00", page)
            self.assertIn("Acme website", page)
            self.assertIn("Contact form", page)
            self.assertNotIn("777.77", page, "a price is not shown before it is billed")
            self.assertIn("Not billed", page)

    def test_others_see_nothing_and_nobody_goes_to_login(self):
        page = self._page(self.stranger)
        self.assertEqual(page.status_code, 200)
        self.assertIn("There are no cases yet", page.text)
        for secret in ("Landing page", "120.00", self.invoice.name):
            self.assertNotIn(secret, page.text)
        self.assertIn("/web/login", self._page(None).url)

    def test_a_draft_and_a_void_invoice_bill_nothing(self):
        draft = self._draft(self.open.billing_charge_ids)
        self.assertNotIn("777.77", self._page(self.ann).text)
        draft._billing_finalize()
        self.assertIn("777.77", self._page(self.ann).text)
        draft._billing_void("Wrong")
        self.assertNotIn("777.77", self._page(self.ann).text)

    def test_a_collaborator_of_another_client_does_not_see_the_invoice(self):
        self.billed.sudo().message_subscribe(partner_ids=self.other_client.ids)
        page = self._page(self.stranger).text
        self.assertIn("Landing page", page)
        self.assertNotIn("120.00", page)
        self.assertNotIn(self.invoice.name, page)
        self.assertNotIn("Landing page", self._page(self.stranger, "?filterby=billed").text)

    def test_another_company_is_not_shown(self):
        elsewhere = self._new_company("Elsewhere")
        project = self._new_project("Acme elsewhere", company_id=elsewhere.id)
        self._share(project)
        case = self.env["project.task"].sudo().create({"name": "Far away", "project_id": project.id})
        case.message_subscribe(partner_ids=self.client.ids)
        self.assertNotIn("Far away", self._page(self.ann).text)

    def test_filter_search_sort_and_group(self):
        for query, seen, unseen in (
            ("?filterby=billed", "Landing page", "Contact form"),
            ("?filterby=open", "Contact form", "Landing page"),
            ("?search=landing", "Landing page", "Contact form"),
            ("?search=nothing-like-it", "No case fits", "Landing page"),
        ):
            page = self._page(self.ann, query).text
            self.assertIn(seen, page, query)
            self.assertNotIn(unseen, page, query)
        page = self._page(self.ann, "?sortby=name").text
        self.assertLess(page.index("Contact form"), page.index("Landing page"))
        second = self._new_project("Beta")
        self._share(second)
        self._new_shared("Logo", project_id=second.id)
        page = self._page(self.ann, "?group=project").text
        for title in ("Acme website", "Beta"):
            self.assertRegex(page, f'<h2 class="h5 mt-4">{title}</h2>')

    def test_unknown_values_fall_back(self):
        for query in (
            "?sortby=password&filterby=x&group=company_id",
            "?page=abc",
            "?page=-3",
            "/page/0",
            "/page/99999",
            "?search=%25%27%22%3B--&sortby=id%20desc%3B",
            "?search=" + "x" * 3000,
            "?filterby=billed&filterby=open&search=%00",
        ):
            with self.subTest(query[:40]):
                self.assertEqual(self._page(self.ann, query).status_code, 200)
        self.assertIn("Landing page", self._page(self.ann, "/page/99999").text)

    def test_pages(self):
        for number in range(85):
            self._new_shared(f"Small {number:02}")
        first, second = (self._page(self.ann, f"{page}?sortby=name").text for page in ("", "/page/2"))
        self.assertIn("Small 00", first)
        self.assertNotIn("Small 84", first)
        self.assertIn("Small 84", second)
        self.assertIn(f"{URL}/page/2", first)

    def _queries(self):
        self.env.flush_all()
        self.env.invalidate_all()
        before = self.cr.sql_log_count
        Case = self.env["project.task"].with_user(self.ann)
        rows = Case.search(Case._get_billing_own_domain())._billing_own_rows()
        return self.cr.sql_log_count - before, len(rows)

    def test_queries_do_not_grow_with_the_cases(self):
        self._queries()
        few, shown = self._queries()
        for number in range(12):
            project = self._new_project(f"Project {number}")
            self._share(project)
            case = self._new_shared(f"Case {number}", price=10, done=True, project_id=project.id)
            self._finalized(case.billing_charge_ids)
        many, more = self._queries()
        self.assertEqual(more, shown + 12)
        self.assertEqual(many, few)
