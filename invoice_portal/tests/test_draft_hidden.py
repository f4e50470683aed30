import json
from datetime import datetime, timedelta

from odoo import SUPERUSER_ID, Command
from odoo.exceptions import AccessError
from odoo.http import Request
from odoo.tests import HttpCase, tagged
from odoo.tools import mute_logger

from odoo.addons.payment import utils as payment_utils

from .common import BillingCommon
from .portal import map_of

# What only the draft says. Its total is 1,419.74 with 15 % tax.
SECRETS = ("Zeppelin", "1,234.56", "1234.56", "1,419.74", "1419.74")

PAGES = {
    "page": "/my/invoices/{id}",
    "print preview": "/my/invoices/{id}?report_type=html",
    "print": "/my/invoices/{id}?report_type=pdf",
    "text": "/my/invoices/{id}?report_type=text",
    "download": "/my/invoices/{id}?report_type=pdf&download=true",
    "payment": "/my/invoices/{id}?payment=True",
    "link in a mail": "/mail/view?model=account.move&res_id={id}",
    "report": "/report/html/account.report_invoice/{id}",
    "report with payments": "/report/html/account.report_invoice_with_payments/{id}",
    "PDF report": "/report/pdf/account.report_invoice/{id}",
    "text report": "/report/text/account.report_invoice/{id}",
    "documents": "/account/download_invoice_documents/{id}/all",
    "document": "/account/download_invoice_documents/{id}/pdf",
    "back office": "/odoo/customer-invoices/{id}",
    "field": "/web/content/account.move/{id}/narration",
    "stored PDF": "/web/content/account.move/{id}/invoice_pdf_report_file",
}
# Those of them that show a finalized invoice to its client: the others are not made for clients at all.
SHOWN = ("page", "print preview", "print", "text", "download", "payment", "link in a mail")

# What clients write themselves, they read: their own, which `test_portal_access` looks at. Other addons name theirs on
# maps of their own.
OWN_OF_CLIENTS = {"billing.dispute", "billing.recipient.change"}


class HiddenCommon(BillingCommon, HttpCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.contact = cls._new_portal_user(cls.client, "client_contact")
        cls.stranger = cls._new_portal_user(cls.other_client, "other_contact")
        cls.invoice = cls._draft(cls._new_charge("Zeppelin repair", 1234.56))
        cls.invoice.narration = "Zeppelin terms"
        cls.token = cls.invoice._portal_ensure_token()
        cls.env.flush_all()

    # -- who asks -----------------------------------------------------------------------------------------------------

    def _log_in(self, user):
        if user:
            self.authenticate(user.login, user.login)
        else:
            self.authenticate(None, None)

    def _each_client(self):
        """Everybody outside: the client, another client, somebody without a login; each without and with the link."""
        for name, user in (("client", self.contact), ("other client", self.stranger), ("anonymous", None)):
            self._log_in(user)
            for token in (None, self.token):
                with self.subTest(by=name, link=bool(token)):
                    yield user, token

    # -- how ----------------------------------------------------------------------------------------------------------

    def _open(self, path, token=None):
        """The page that a browser ends up on, with everything it was sent on the way."""
        if token:
            path += ("&" if "?" in path else "?") + f"access_token={token}"
        with mute_logger("odoo.http", "odoo.addons.base.models.ir_rule", "odoo.addons.http_routing.models.ir_http"):
            response = self.url_open(path.format(id=self.invoice.id), timeout=60)
        return response.content.decode(errors="replace")

    def _json(self, route, **params):
        """The answer to a call, or the error, as text."""
        request = {"jsonrpc": "2.0", "id": 0, "method": "call", "params": params}
        with mute_logger("odoo.http", "odoo.addons.base.models.ir_rule", "py.warnings"):
            return self.url_open(route, json=request, timeout=60).text

    def _call(self, model, method, *args, **kwargs):
        return self._json(
            f"/web/dataset/call_kw/{model}/{method}", model=model, method=method, args=args, kwargs=kwargs
        )

    def _searches(self):
        """Calls by which a client could read an invoice and its lines."""
        move, lines = self.invoice.id, self.invoice.line_ids.ids
        of_move, of_lines = [("id", "=", move)], [("move_id", "=", move)]
        return {
            "search_read": ("account.move", "search_read", of_move, ["invoice_line_ids", "amount_total", "narration"]),
            "web_search_read": (
                "account.move",
                "web_search_read",
                of_move,
                {"amount_total": {}, "narration": {}, "invoice_line_ids": {"fields": {"name": {}}}},
            ),
            "read": ("account.move", "read", [move], ["amount_total", "narration"]),
            "web_read": ("account.move", "web_read", [move], {"amount_total": {}, "narration": {}}),
            "sum": ("account.move", "formatted_read_group", of_move, [], ["amount_total:sum"]),
            "groups": ("account.move", "formatted_read_group", of_move, ["amount_total"], ["__count"]),
            "read_group": ("account.move", "read_group", of_move, ["amount_total:sum"], []),
            "export": ("account.move", "export_data", [move], ["amount_total", "invoice_line_ids/name"]),
            "lines": ("account.move.line", "search_read", of_lines, ["name", "price_unit", "price_total"]),
            "read lines": ("account.move.line", "read", lines, ["name", "price_unit", "price_total"]),
            "lines by name": ("account.move.line", "search_read", [("name", "ilike", "zeppelin")], ["name"]),
            "line names": ("account.move.line", "name_search", "Zeppelin"),
            "sum of lines": ("account.move.line", "formatted_read_group", of_lines, ["name"], ["price_unit:sum"]),
            "export lines": ("account.move.line", "export_data", lines, ["name", "price_unit"]),
            "by partner": ("res.partner", "read", [self.client.id], ["invoice_ids", "display_name"]),
        }

    def assertHidden(self, text):
        for secret in SECRETS:
            self.assertNotIn(secret, text)

    def assertShown(self, text):
        self.assertTrue(any(secret in text for secret in SECRETS), text)


@tagged("post_install", "-at_install")
class TestDraftHidden(HiddenCommon):
    """A draft is invisible to its client in every way: by login, by link, and by both."""

    # -- pages --------------------------------------------------------------------------------------------------------

    def test_no_page_report_or_download_shows_a_draft(self):
        for _user, token in self._each_client():
            for name, path in PAGES.items():
                with self.subTest(name):
                    self.assertHidden(self._open(path, token))

    def test_no_page_report_or_download_shows_a_cancelled_draft(self):
        self.invoice.button_cancel()
        for user in (self.contact, None):
            self._log_in(user)
            for name in SHOWN:
                with self.subTest(name, by=user and user.login):
                    self.assertHidden(self._open(PAGES[name], self.token))

    def test_an_employee_without_accounting_rights_does_not_open_it_by_its_link(self):
        employee = self._new_user("employee", "base.group_user")
        self._payment_provider()
        message = self.invoice.message_post(body="Zeppelin discount?", subtype_xmlid="mail.mt_comment")
        self._log_in(employee)
        for name, path in PAGES.items():
            with self.subTest(name):
                self.assertHidden(self._open(path, self.token))
        for name, (route, params) in self._conversations(self.token, message).items():
            with self.subTest(name):
                self.assertHidden(self._json(route, **params))
        self.assertNotIn(self.token, self._open(self._payment_link(self.invoice.amount_total)))
        self.invoice._billing_finalize()
        self.assertShown(self._open(PAGES["page"], self.token))

    def test_staff_see_how_a_draft_will_look(self):
        accountant = self._new_user("accountant", "account.group_account_invoice")
        auditor = self._new_user("auditor", "account.group_account_readonly")
        for user in (self.biller, accountant, auditor):
            with self.subTest(by=user.login):
                self._log_in(user)
                for token in (None, self.token):
                    self.assertShown(self._open(PAGES["print preview"], token))

    def test_the_list_of_invoices_and_its_counters_leave_a_draft_out(self):
        counters = ["invoice_count", "overdue_invoice_count"]
        self.invoice.invoice_date_due = "2020-01-01"
        self._log_in(self.contact)
        self.assertIn("No invoice fits", self._open("/my/invoices"))
        self.assertNotIn(f"/my/invoices/{self.invoice.id}", self._open("/my/invoices?filterby=invoices&sortby=state"))
        self.assertEqual(self.make_jsonrpc_request("/my/counters", {"counters": counters}), dict.fromkeys(counters, 0))
        self.assertHidden(self._open("/my/invoices/overdue"))
        self.invoice._billing_finalize()
        self.assertIn(f"/my/invoices/{self.invoice.id}", self._open("/my/invoices"))
        self.assertEqual(self.make_jsonrpc_request("/my/counters", {"counters": counters})["invoice_count"], 1)

    # -- calls --------------------------------------------------------------------------------------------------------

    def test_no_call_of_the_web_client_reads_a_draft(self):
        for user in (self.contact, self.stranger):
            self._log_in(user)
            for name, call in self._searches().items():
                with self.subTest(name, by=user.login):
                    answer = self._call(*call)
                    self.assertHidden(answer)
                    if name == "by partner" and user == self.contact:
                        self.assertNotIn(
                            str(self.invoice.id), json.dumps(json.loads(answer)["result"][0]["invoice_ids"])
                        )

    def test_no_search_tells_by_its_count_that_there_is_a_draft(self):
        """Neither directly nor by way of a record that the client may read."""
        self._log_in(self.contact)
        for model, domain in (
            ("account.move", [("id", "=", self.invoice.id)]),
            ("account.move", [("amount_total", ">", 1)]),
            ("account.move", [("state", "=", "draft")]),
            ("account.move.line", [("move_id", "=", self.invoice.id)]),
            ("account.move.line", [("move_id.amount_total", ">", 1)]),
            ("res.partner", [("id", "=", self.client.id), ("invoice_ids.state", "=", "draft")]),
            ("res.partner", [("id", "=", self.client.id), ("invoice_ids.amount_total", ">", 1)]),
            ("mail.message", [("model", "=", "account.move")]),
            ("ir.attachment", [("res_model", "=", "account.move")]),
        ):
            with self.subTest(model, domain=domain):
                self.assertEqual(json.loads(self._call(model, "search_count", domain)).get("result", 0), 0)

    def test_no_call_with_an_api_key_reads_a_draft(self):
        for user in (self.contact, self.stranger):
            key = (
                self.env["res.users.apikeys"]
                .with_user(user)
                ._generate("rpc", "hostile", datetime.now() + timedelta(hours=1))
            )
            headers = {"Authorization": f"Bearer {key}"}
            for model, fnames, domain in (
                ("account.move", ["amount_total", "narration"], [("id", "=", self.invoice.id)]),
                ("account.move.line", ["name", "price_total"], [("move_id", "=", self.invoice.id)]),
            ):
                records = self.invoice if model == "account.move" else self.invoice.line_ids
                for method, params in (
                    ("search_read", {"domain": domain, "fields": fnames}),
                    ("search_count", {"domain": domain}),
                    ("read", {"ids": records.ids, "fields": fnames}),
                    ("formatted_read_group", {"domain": domain, "groupby": fnames[:1], "aggregates": ["__count"]}),
                    ("export_data", {"ids": records.ids, "fields_to_export": fnames}),
                ):
                    with self.subTest(model, method=method, by=user.login):
                        with mute_logger("odoo.http", "odoo.addons.base.models.ir_rule"):
                            response = self.url_open(f"/json/2/{model}/{method}", json=params, headers=headers)
                        self.assertHidden(response.text)
                        if method.startswith("search"):
                            self.assertEqual(
                                (response.status_code, response.json()), (200, 0 if "count" in method else [])
                            )
                        elif method == "read":
                            self.assertEqual(response.status_code, 403)

    def test_a_client_does_not_change_a_draft(self):
        before = self.invoice.read(["state", "narration", "amount_total", "access_token"])
        self._log_in(self.contact)
        for method, args in (
            ("write", [{"narration": "Ours"}]),
            ("unlink", []),
            ("copy", []),
            ("action_post", []),
            ("button_cancel", []),
            ("action_billing_finalize", []),
            ("action_billing_delete", []),
            ("message_post", []),
        ):
            with self.subTest(method):
                self.assertIn("error", json.loads(self._call("account.move", method, [self.invoice.id], *args)))
        self._call("account.move", "message_subscribe", [self.invoice.id], [self.contact.partner_id.id])
        self.invoice.invalidate_recordset()
        self.assertEqual(self.invoice.read(["state", "narration", "amount_total", "access_token"]), before)
        self.assertNotIn(self.contact.partner_id, self.invoice.message_partner_ids)

    def test_nothing_of_billing_itself_is_open_to_clients(self):
        """Charges, runs and dialogs, and whatever model of ours comes later."""
        models = [
            name for name, model in self.env.registry.items() if name.startswith("billing.") and not model._abstract
        ]
        self.assertIn("billing.charge", models)
        public = self.env.ref("base.public_user").sudo()
        own_of_clients = OWN_OF_CLIENTS.union(
            *(getattr(map_of(addon), "MODELS", ()) for addon in {self.env[name]._original_module for name in models})
        )
        for name in models:
            for user in (self.contact, public):
                own = name in own_of_clients and user == self.contact
                for operation in ("read", "write", "create", "unlink"):
                    with self.subTest(name, by=user.login, operation=operation):
                        allowed = own and operation == "read"
                        self.assertEqual(self.env[name].with_user(user).has_access(operation), allowed)
                with self.subTest(name, by=user.login):
                    if own:
                        self.assertFalse(self.env[name].with_user(user).search([]))
                        continue
                    with self.assertRaises(AccessError):
                        self.env[name].with_user(user).search_read([], ["id"])
        self._log_in(self.contact)
        self.assertIn("AccessError", self._call("billing.charge", "search_read", [], ["name"]))

    # -- files --------------------------------------------------------------------------------------------------------

    def test_files_of_a_draft_are_not_opened(self):
        attachment = self.env["ir.attachment"].create(
            {"name": "Plan.txt", "raw": b"Zeppelin plan", "res_model": "account.move", "res_id": self.invoice.id}
        )
        for _user, token in self._each_client():
            for path in (f"/web/content/{attachment.id}", f"/web/image/{attachment.id}"):
                self.assertHidden(self._open(path, token))
            self.assertHidden(self._open(f"/account/download_invoice_attachments/{attachment.id}", token))
            self.assertHidden(
                self._call("ir.attachment", "search_read", [("res_id", "=", self.invoice.id)], ["name", "raw"])
            )
            self.assertNotIn("Plan.txt", self._call("ir.attachment", "search_read", [], ["name"]))
            self.assertIn("error", json.loads(self._call("ir.attachment", "read", [attachment.id], ["name", "raw"])))

    def _upload(self, token):
        """Send a file to the invoice; what it has then."""
        with mute_logger("odoo.http"):
            self.url_open(
                "/mail/attachment/upload",
                data={
                    "thread_model": "account.move",
                    "thread_id": self.invoice.id,
                    "csrf_token": Request.csrf_token(self),
                    **({"token": token} if token else {}),
                },
                files={"ufile": ("evil.txt", b"evil")},
            )
        files = self.env["ir.attachment"].sudo()
        return files.search([("name", "=", "evil.txt"), ("res_model", "=", "account.move")])

    def test_nobody_outside_adds_a_file_to_a_draft(self):
        for _user, token in self._each_client():
            self.assertFalse(self._upload(token))
        self.invoice._billing_finalize()
        self._log_in(self.contact)
        self.assertEqual(self._upload(self.token).res_id, self.invoice.id)

    # -- conversation -------------------------------------------------------------------------------------------------

    def _conversations(self, token, message):
        thread = {"thread_model": "account.move", "thread_id": self.invoice.id}
        link = {"token": token} if token else {}
        hash_ = self.invoice._sign_token(self.client.id)
        return {
            "messages": ("/mail/thread/messages", thread),
            "portal messages": ("/mail/chatter_fetch", {**thread, **link}),
            "portal thread": ("/portal/chatter_init", {**thread, **link}),
            "portal thread by hash": ("/portal/chatter_init", {**thread, "hash": hash_, "pid": self.client.id}),
            "store": (
                "/mail/data",
                {"fetch_params": [["mail.thread", {**thread, "request_list": ["messages"], **link}]]},
            ),
            "recipients": ("/mail/thread/recipients", thread),
            "edit": ("/mail/message/update_content", {"message_id": message.id, "update_data": {"body": "x"}, **link}),
            "react": ("/mail/message/reaction", {"message_id": message.id, "content": "!", "action": "add", **link}),
        }

    def test_the_conversation_on_a_draft_is_not_opened(self):
        message = self.invoice.message_post(
            body="Zeppelin discount?", message_type="comment", subtype_xmlid="mail.mt_comment"
        )
        for _user, token in self._each_client():
            for name, (route, params) in self._conversations(token, message).items():
                with self.subTest(name):
                    self.assertHidden(self._json(route, **params))
            self.assertHidden(
                self._call("mail.message", "search_read", [("model", "=", "account.move")], ["body", "record_name"])
            )
            self.assertHidden(self._call("mail.message", "read", [message.id], ["body", "record_name"]))
            self.assertHidden(self._open(f"/mail/message/{message.id}", token))
        self.assertIn("Zeppelin discount?", message.body)
        self.assertFalse(message.sudo().reaction_ids)

    def test_once_finalized_its_client_reads_the_conversation(self):
        message = self.invoice.message_post(
            body="Zeppelin discount?", message_type="comment", subtype_xmlid="mail.mt_comment"
        )
        self.invoice._billing_finalize()
        for user, token in ((self.contact, None), (None, self.token)):
            self._log_in(user)
            route, params = self._conversations(token, message)["portal messages"]
            self.assertShown(self._json(route, **params))

    def test_nobody_outside_posts_on_a_draft(self):
        before = self.invoice.message_ids
        for _user, token in self._each_client():
            answer = self._json(
                "/mail/message/post",
                thread_model="account.move",
                thread_id=self.invoice.id,
                post_data={"body": "Hello?"},
                **({"token": token} if token else {}),
            )
            self.assertIn("error", json.loads(answer))
        self.invoice.invalidate_recordset()
        self.assertEqual(self.invoice.message_ids, before)

    def _mails_of_a_message(self):
        """What staff, and the client as a follower and as a contact, get of a message on the invoice."""
        self.invoice.message_subscribe((self.client | self.contact.partner_id).ids)
        message = self.invoice.with_context(mail_notify_force_send=False).message_post(
            body="We are still working on it.",
            subtype_xmlid="mail.mt_comment",
            partner_ids=self.client.ids,
            email_layout_xmlid="mail.mail_notification_layout_with_responsible_signature",
        )
        mails = self.env["mail.mail"].sudo().search([("mail_message_id", "=", message.id)])
        self.assertLessEqual(self.client | self.contact.partner_id, mails.recipient_ids)
        return mails.filtered(lambda mail: mail.recipient_ids & (self.client | self.contact.partner_id))

    def test_a_mail_about_a_draft_has_no_link_to_it(self):
        for mail in self._mails_of_a_message():
            self.assertIn("We are still working on it.", mail.body_html)
            for link in ("/mail/view", "/my/invoices", "access_token", self.token):
                self.assertNotIn(link, mail.body_html)

    def test_a_mail_about_a_draft_does_not_tell_its_amount(self):
        for mail in self._mails_of_a_message():
            self.assertHidden(mail.body_html + mail.subject)

    def test_a_mail_about_a_finalized_invoice_has_the_link(self):
        self.invoice._billing_finalize()
        for mail in self._mails_of_a_message():
            self.assertIn("/mail/view", mail.body_html)

    # -- payment ------------------------------------------------------------------------------------------------------

    def _payment_provider(self):
        """A provider and a method with which everybody could pay."""
        method = self.env["payment.method"].sudo().create({"name": "Dummy", "code": "dummy", "active": True})
        provider = (
            self.env["payment.provider"]
            .sudo()
            .create(
                {
                    "name": "Dummy",
                    "code": "none",
                    "state": "test",
                    "is_published": True,
                    "company_id": self.company.id,
                    "payment_method_ids": [Command.set(method.ids)],
                }
            )
        )
        return provider, method

    def _payment_call(self, token):
        provider, method = self._payment_provider()
        return f"/invoice/transaction/{self.invoice.id}", {
            "access_token": token,
            "amount": 10,
            "provider_id": provider.id,
            "payment_method_id": method.id,
            "token_id": None,
            "flow": "direct",
            "tokenization_requested": False,
            "landing_route": "/",
        }

    def test_no_payment_is_started_for_a_draft(self):
        transactions = self.env["payment.transaction"].sudo()
        before = transactions.search_count([])
        route, params = self._payment_call(self.token)
        for _user, token in self._each_client():
            answer = self._json(route, **dict(params, access_token=token))
            self.assertIn("The access token is invalid", answer)
        self.assertEqual(transactions.search_count([]), before)

    def test_once_finalized_the_same_call_starts_one(self):
        self.invoice._billing_finalize()
        route, params = self._payment_call(self.token)
        self._log_in(None)
        self.assertIn("result", json.loads(self._json(route, **params)))
        self.assertEqual(self.invoice.sudo().transaction_ids.amount, 10)

    def _payment_link(self, amount):
        values = (self.invoice.partner_id.id, amount, self.invoice.currency_id.id)
        access = payment_utils.generate_access_token(*values, env=self.env)
        return f"/payment/pay?invoice_id={self.invoice.id}&amount={amount}&access_token={access}"

    def test_no_payment_link_opens_a_draft(self):
        """A link is signed for client, amount and currency: one for an invoice fits any other of the same amount."""
        self._payment_provider()
        for name, user in (("client", self.contact), ("other client", self.stranger), ("anonymous", None)):
            self._log_in(user)
            with self.subTest(by=name):
                page = self._open(self._payment_link(self.invoice.amount_total))
                self.assertHidden(page)
                self.assertNotIn("o_payment_form", page)
                self.assertNotIn(self.token, page)
                self.assertNotIn(f"/invoice/transaction/{self.invoice.id}", page)

    def test_once_finalized_its_payment_link_opens(self):
        self._payment_provider()
        self.invoice._billing_finalize()
        self._log_in(None)
        page = self._open(self._payment_link(self.invoice.amount_total))
        self.assertIn(f"/invoice/transaction/{self.invoice.id}", page)


@tagged("post_install", "-at_install")
class TestFinalizedShown(HiddenCommon):
    """And once it is finalized, its client sees it: the tests above would pass as well if nobody ever saw anything."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.invoice._billing_finalize()
        cls.env.flush_all()

    def test_its_client_sees_number_and_amount(self):
        self._log_in(self.contact)
        page = self._open(PAGES["page"])
        self.assertIn(self.invoice.name, page)
        self.assertIn("1,419.74", page)
        self.assertShown(self._open(PAGES["print preview"]))

    def test_its_link_shows_number_and_amount_to_whoever_has_it(self):
        for user in (None, self.contact, self.stranger):
            self._log_in(user)
            with self.subTest(by=user and user.login):
                page = self._open(PAGES["page"], self.token)
                self.assertIn(self.invoice.name, page)
                self.assertIn("1,419.74", page)

    def test_its_client_opens_every_page_made_for_clients(self):
        self._log_in(self.contact)
        for name in SHOWN:
            with self.subTest(name):
                self.assertShown(self._open(PAGES[name]))

    def test_its_client_reads_it_by_calls(self):
        self._log_in(self.contact)
        for name in ("search_read", "web_search_read", "read", "lines", "read lines"):
            with self.subTest(name):
                answer = self._call(*self._searches()[name])
                self.assertTrue(any(secret in answer for secret in SECRETS), answer)

    def test_another_client_and_the_public_do_not_see_it(self):
        for user in (self.stranger, None):
            self._log_in(user)
            with self.subTest(by=user and user.login):
                for name, path in PAGES.items():
                    with self.subTest(name):
                        self.assertHidden(self._open(path))
                        self.assertHidden(self._open(path, "0" * len(self.token)))
                if user:
                    for name, call in self._searches().items():
                        with self.subTest(name):
                            self.assertHidden(self._call(*call))

    def test_the_token_of_another_invoice_does_not_open_it(self):
        other = self._finalized(self._new_charge("Balloon", partner_id=self.other_client.id))
        token = other._portal_ensure_token()
        self._log_in(self.stranger)
        self.assertHidden(self._open(PAGES["page"], token))
        self.assertIn("Balloon", self._open(f"/my/invoices/{other.id}?report_type=html", token))

    def test_a_colleague_in_the_same_company_sees_it(self):
        colleague = self._new_portal_user(self.client, "colleague")
        self._log_in(colleague)
        self.assertShown(self._open(PAGES["page"]))
        self.assertIn(self.invoice.name, self._open("/my/invoices"))

    def test_a_client_of_another_company_of_the_same_odoo_does_not_see_it(self):
        second = self.env["res.company"].with_user(SUPERUSER_ID).create({"name": "Second"})
        client = self._new_client("Cork", company_id=second.id)
        foreigner = self._new_portal_user(client, "foreigner")
        foreigner.sudo().write({"company_ids": [Command.set(second.ids)], "company_id": second.id})
        self._log_in(foreigner)
        for name in SHOWN:
            with self.subTest(name):
                self.assertHidden(self._open(PAGES[name]))
        self.assertNotIn(self.invoice.name, self._open("/my/invoices"))
        for name, call in self._searches().items():
            with self.subTest(name):
                self.assertHidden(self._call(*call))

    def test_back_in_draft_it_is_hidden_again(self):
        """Where the lock is off, an invoice can go back to draft: its client, who knows the link, sees it no more."""
        self.company.sudo().billing_lock_invoices = False
        self.invoice = self.env["account.move"].create(
            {
                "move_type": "out_invoice",
                "partner_id": self.client.id,
                "invoice_line_ids": [Command.create({"name": "Zeppelin by hand", "price_unit": 5})],
            }
        )
        self.invoice.action_post()
        token = self.invoice._portal_ensure_token()
        self._log_in(None)
        self.assertIn("Zeppelin by hand", self._open(PAGES["print preview"], token))
        self.invoice.button_draft()
        for user in (self.contact, None):
            self._log_in(user)
            for name in SHOWN:
                with self.subTest(name, by=user and user.login):
                    self.assertHidden(self._open(PAGES[name], token))

    def test_once_void_its_client_still_reads_it(self):
        self.invoice._billing_void("Wrong amount")
        self._log_in(self.contact)
        self.assertIn(self.invoice.name, self._open(PAGES["page"]))
