import json

from odoo import Command
from odoo.exceptions import AccessError
from odoo.tests import tagged
from odoo.tools import mute_logger

from odoo.addons.invoice_portal.tests.test_portal_access import AccessCommon, TestModels, TestRoutes

from . import access_map
from .portal_usage import UsagePortalCommon

URL = "/my/billing/usage"
CLOSED = (
    "billing.package.allowance",
    "billing.rate",
    "billing.rate.destination",
    "billing.rate.plan",
    "billing.rate.tier",
    "billing.usage.account",
    "billing.usage.bill",
    "billing.usage.import",
    "billing.usage.limit",
    "billing.usage.notice",
    "billing.usage.source",
    "billing.usage.total",
)


class UsageAccessCommon(UsagePortalCommon, AccessCommon):
    """Usage of a client: open, on an invoice, on a draft, and in a company that its users are not in."""

    # The tests of the core, with these tables.
    allow_inherited_tests_method = True
    addon, routes, models, fields = "invoice_portal_usage", access_map.ROUTES, access_map.MODELS, access_map.FIELDS

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.calls = cls._calls_of_last_month()
        cls.usage_invoice, cls.usage_bill = cls._invoiced(cls.calls)
        cls.open_call = cls._used(destination="4930777777")
        elsewhere = cls.foreign_invoice.company_id
        cls.foreign_call = cls._used(destination="4930888888", company_id=elsewhere.id)
        cls.their_call = cls._used(destination="4930999999", client=cls.other_client)
        cls.invoice = cls.usage_invoice
        batch = cls.env["billing.usage.import"].sudo().create({"name": "Gondola.csv", "source_id": cls.source.id})
        more = {"partner_id": cls.client.id, "span": "month", "import_id": batch.id, "plan": cls.plan.id}
        cls.records = {**cls.records, **more, "invoice_id": cls.invoice.id}
        cls.records_elsewhere = {**cls.records_elsewhere, **more}
        cls.secrets = ("4930777777", "49151444444")
        cls.secrets_elsewhere = ("4930888888",)


@tagged("post_install", "-at_install")
class TestUsageRoutes(UsageAccessCommon, TestRoutes):
    def _sent(self, path, who, user):
        if path == f"{URL}/limit":
            return {"amount": 50}
        return {}

    def _of_the_client(self):
        limits = self.env["billing.usage.limit"].sudo().search_read([("partner_id", "=", self.client.id)], ["amount"])
        return *super()._of_the_client(), limits

    def test_an_invoice_s_usage_by_whoever_asks(self):
        """Beside the table: what the core's page of an invoice shows of usage, and the lists that it leads to."""
        line = self.usage_invoice.invoice_line_ids.filtered(lambda line: line.name.startswith("Germany mobile"))
        token = self.usage_invoice._portal_ensure_token()
        page = f"/my/invoices/{self.usage_invoice.id}?usage=day"
        for user, shown, switched in (
            (self.user, True, True),
            (self.colleague, True, True),
            (self.stranger, False, False),
            (None, False, False),
        ):
            self._as(user)
            login = user.login if user else "nobody"
            with self.subTest("records", by=login):
                for path in (f"{URL}/records?line={line.id}", f"{URL}/csv?line={line.id}"):
                    text = self._get(path).text
                    self.assertEqual("49151444444" in text, shown)
                    self.assertNotIn("4930111111", text)
            for access in ("", f"&access_token={'0' * 36}"):
                with self.subTest("page", by=login, access=access):
                    text = self._get(page + access).text
                    self.assertEqual("Both ways usage comes to" in text, switched)
                    self.assertEqual("49151555555" in text, shown)
            with self.subTest("by its link", by=login):
                text = self._get(f"{page}&access_token={token}").text
                self.assertIn("Both ways usage comes to", text)
                self.assertEqual("49151555555" in text, shown)


@tagged("post_install", "-at_install")
class TestUsageModels(UsageAccessCommon, TestModels):
    def test_what_explains_usage_is_read_by_no_call(self):
        for user in (self.user, self.stranger):
            self._as(user)
            for way, call in self._calls(user).items():
                for name in CLOSED:
                    for method, params in (
                        ("search_read", {"domain": [], "fields": ["id"]}),
                        ("read_group", {"domain": [], "fields": ["id"], "groupby": ["id"]}),
                        ("web_search_read", {"domain": [], "specification": {"display_name": {}}}),
                        ("name_search", {"name": ""}),
                    ):
                        with self.subTest(name, method=method, way=way), mute_logger("odoo.http"):
                            self.assertFalse(call(name, method, **params))

    def test_hidden_columns_are_neither_read_nor_asked_for(self):
        self._as(self.user)
        hidden = ("bill_id", "rate_id", "rate_plan_id", "source_id", "attributes", "import_id", "account_id")
        for way, call in self._calls(self.user).items():
            for fname in hidden:
                with self.subTest(fname, way=way), mute_logger("odoo.http"):
                    self.assertFalse(call("billing.usage", "search_read", domain=[], fields=[fname]))
                    self.assertFalse(call("billing.usage", "search_read", domain=[(fname, "=", 1)], fields=["id"]))
                    self.assertFalse(
                        call("billing.usage", "formatted_read_group", domain=[], groupby=[fname], aggregates=[])
                    )
            with self.subTest("through the group", way=way), mute_logger("odoo.http"):
                domain = [("destination_id.plan_id.rate_ids.price_unit", ">", 0)]
                self.assertFalse(call("billing.usage", "search_read", domain=domain, fields=["id"]))

    def test_nobody_writes_usage_from_outside(self):
        self._as(self.user)
        for way, call in self._calls(self.user).items():
            with self.subTest(way), mute_logger("odoo.http", "odoo.sql_db"):
                self.assertFalse(call("billing.usage", "write", ids=self.calls.ids, vals={"amount": 0}))
                self.assertFalse(call("billing.usage", "unlink", ids=self.calls.ids))
                self.assertFalse(call("billing.usage", "create", vals_list=[{"external_id": "x"}]))
                self.assertFalse(call("billing.usage.limit", "create", vals_list=[{"amount": 1}]))
        self.env.invalidate_all()
        self.assertEqual(round(sum(self.calls.mapped("amount")), 6), 1.000002)

    def test_explaining_asks_whose_it_is(self):
        usage = self.open_call | self.their_call
        for user, allowed in ((self.user, self.open_call), (self.stranger, self.their_call)):
            asked = self.env["billing.usage"].with_user(user)
            with self.assertRaises(AccessError):
                asked.browse(usage.ids)._own_explained_sudo()
            self.assertEqual([row["id"] for row in asked.browse(allowed.ids)._own_explained_sudo()], allowed.ids)
            self.assertEqual(asked._own_usage_sudo([("id", "in", usage.ids)]).ids, allowed.ids)
        for user in (self.employee, self.env.ref("base.public_user").sudo()):
            with self.assertRaises(AccessError):
                self.open_call.with_user(user)._own_explained_sudo()

    def test_a_client_asks_for_itself_alone(self):
        client = self.client.with_user(self.stranger)
        for method, args in (
            ("_own_usage_so_far_sudo", ()),
            ("_own_usage_earlier_sudo", ()),
            ("_own_usage_of_bill_sudo", (str(self.usage_bill.id),)),
            ("_own_usage_numbers_sudo", ()),
            ("_own_usage_limits_sudo", ()),
            ("_own_usage_notices_sudo", ()),
            ("_own_usage_currencies_sudo", ()),
            ("_own_unrated_usage_sudo", ()),
            ("_own_was_billed_usage_sudo", ()),
            ("_own_limit_usage_sudo", (5.0, self.company.currency_id)),
        ):
            with self.subTest(method), self.assertRaises(AccessError):
                getattr(client, method)(*args)
        # What staff agrees with the client, it says in its own name.
        with self.assertRaises(AccessError):
            self.client.with_user(self.biller)._own_limit_usage_sudo(5.0, self.company.currency_id)

    def test_methods_of_ours_are_not_called_from_outside(self):
        self._as(self.user)
        for model, method in (
            ("billing.usage", "_own_explained_sudo"),
            ("billing.usage", "_own_usage_sudo"),
            ("billing.usage.notice", "_cron_notify"),
            ("res.partner", "_billing_watch_usage"),
        ):
            request = {"params": {"model": model, "method": method, "args": [[1]], "kwargs": {}}}
            with self.subTest(method):
                answer = self._get(f"/web/dataset/call_kw/{model}/{method}", json=request).json()
                self.assertIn("error", answer, json.dumps(answer)[:200])

    def test_records_of_another_company_stay_there(self):
        both = self.foreign_invoice.company_id | self.company
        self._as(self.user)
        self.assertNotIn("4930888888", self._get(f"{URL}/records").text)
        self.user.sudo().company_ids = [Command.set(both.ids)]
        self.env.flush_all()
        allowed = self.env["billing.usage"].with_user(self.user).with_context(allowed_company_ids=both.ids)
        self.assertIn(self.foreign_call, allowed._own_usage_sudo([]))
        self.assertNotIn(
            self.foreign_call, allowed.with_context(allowed_company_ids=self.company.ids)._own_usage_sudo([])
        )
