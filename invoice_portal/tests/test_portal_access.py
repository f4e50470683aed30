"""Who reaches what from outside. The tables are the map: nothing is reachable that has no row in them.

What another addon of ours adds stands here, too, unless it has a map of its own (`tests/access_map.py`), which a
subclass of these tests names.
"""

import re
from datetime import datetime, timedelta
from inspect import signature
from urllib.parse import urlencode, urlsplit

from lxml import html

from odoo import Command, models
from odoo.http import Request
from odoo.tests import HttpCase, tagged

from odoo.addons.payment import utils as payment_utils

from ..tools.grant import granted
from .portal import PortalCommon, map_of
from .test_card import CardCommon

OUR = "invoice_portal"
MAGIC = {*models.MAGIC_COLUMNS, "display_name"}

# Who asks, in the order of the columns below:
# - own: a contact of the client, logged in; sibling: another one; other: a contact of another client
# - anonym: nobody logged in; wrong, right: the same, with a token that does not, or does, belong to the document
# - elsewh: `own`, for a document of this client in a company that is not the user's
# - staff: an employee who neither bills nor keeps accounts
WHO = ("own", "sibling", "other", "anonym", "wrong", "right", "elsewh", "staff")

# What addresses ask for beside what routes name themselves.
ASKED = (
    *("search", "search_in", "groupby", "project", "invoice", "done", "failed"),
    *("date_from", "date_to", "company_id", "period", "usage", "line", "group", "number"),
)

# What happens:
# - shown: the answer holds what only the record says; empty: a page without any of it
# - login, onward: sent to log in, to the page that goes on with it; never to the first page, which would say nothing
# - none: not found; refused: an error that says no more
# - done: something of the client changed; theirs: it did as asked, to the account of who asked
#
# A heading says the methods, who may ask at all, and what else Odoo is told about the routes below it.
ROUTES = """
GET user readonly
    /my/billing                                       shown   shown   empty   login   login   login   empty   refused
    /my/billing/cases                                 shown   shown   empty   login   login   login   empty   refused
    /my/billing/cases/page/<int:page>                 shown   shown   empty   login   login   login   empty   refused
    /my/billing/credit                                shown   shown   empty   login   login   login   empty   refused
    /my/billing/credit/page/<int:page>                shown   shown   empty   login   login   login   empty   refused
    /my/billing/preferences                           shown   shown   empty   login   login   login   empty   refused
    /my/billing/statement                             shown   shown   empty   login   login   login   empty   refused
    /my/billing/statement/csv                         shown   shown   empty   login   login   login   empty   empty
    /my/invoices/<string:what>.csv                    shown   shown   empty   login   login   login   empty   refused
    /my/invoices/<int:invoice_id>/object/<int:line_id>
                                                      shown   shown   none    login   login   login   none    refused
    /my/invoices/<int:invoice_id>/objections/<int:dispute_id>/files/<int:file_id>
                                                      shown   shown   none    login   login   login   none    refused
    /billing/run/<int:run_id>/result.csv              refused refused refused login   login   login   refused refused
GET user
    /my/billing/next                                  shown   shown   empty   login   login   login   empty   refused
    /my/billing/receipt/<int:payment_id>              shown   shown   none    login   login   login   none    none
    /my/billing/credit/add                            empty   empty   empty   login   login   login   empty   refused
    /my/billing/statement/pdf                         shown   shown   empty   login   login   login   empty   empty
    /my/payment_method                                empty   empty   empty   login   login   login   empty   empty
    /my/invoices/pay                                  shown   shown   empty   login   login   login   empty   refused
ANY user
    /my/invoices                                      shown   shown   empty   login   login   login   empty   refused
    /my/invoices/page/<int:page>                      shown   shown   empty   login   login   login   empty   refused
GET public readonly
    /my/invoices/<int:invoice_id>/items.csv           shown   shown   none    login   none    shown   none    none
GET public
    /my/invoices/overdue                              onward  onward  onward  login   login   login   onward  refused
    /my/billing/recipients/<string:token>             empty   empty   empty   empty   empty   shown   empty   empty
    /my/invoices/<int:invoice_id>/part                onward  onward  none    login   none    onward  none    none
    /payment/pay                                      refused refused refused refused refused shown   refused refused
ANY public
    /my/invoices/<int:invoice_id>                     shown   shown   none    login   none    shown   none    none
POST user
    /my/billing/autopay                               done    done    theirs  login   login   login   done    onward
    /my/billing/top-up                                done    done    theirs  login   login   login   done    refused
    /my/billing/preferences/documents                 done    done    theirs  login   login   login   done    theirs
    /my/billing/preferences/recipients                done    done    theirs  login   login   login   done    theirs
    /my/billing/preferences/recipients/cancel         done    done    theirs  login   login   login   done    refused
    /my/invoices/<int:invoice_id>/credit              done    done    none    login   login   login   none    none
    /my/invoices/<int:invoice_id>/start-over          onward  onward  none    login   login   login   none    none
    /my/invoices/<int:invoice_id>/object/<int:line_id>
                                                      done    done    none    login   login   login   none    refused
    /my/invoices/<int:invoice_id>/objections/<int:dispute_id>/withdraw
                                                      done    done    none    login   login   login   none    refused
POST public
    /my/billing/recipients/<string:token>             empty   empty   empty   empty   empty   done    empty   empty
JSON user
    /my/billing/credit/transaction/<int:currency_id>  done    done    theirs  login   login   login   done    theirs
    /my/invoices/pay/<string:numbers>/transaction     done    done    refused login   login   login   refused refused
JSON public
    /invoice/transaction/<int:invoice_id>             done    done    refused refused refused done    refused refused
    /payment/transaction                              refused refused refused refused refused done    refused refused
"""


# What clients (portal) and visitors (public) may do with records of models that are ours or that we extend: the
# operations; the rules that limit them; whose they are and of which company, by the path to it.
MODELS = {
    "account.move": (
        ("portal read",),
        ("account.account_invoice_rule_portal", "account.account_move_comp_rule"),
        ("commercial_partner_id", "company_id"),
    ),
    "account.move.line": (
        ("portal read",),
        ("account.account_invoice_line_rule_portal", "account.account_move_line_comp_rule"),
        ("move_id.commercial_partner_id", "company_id"),
    ),
    "billing.dispute": (
        ("portal read",),
        ("invoice_portal.rule_billing_dispute_portal", "invoice_portal.rule_billing_dispute_company"),
        ("partner_id", "company_id"),
    ),
    "billing.recipient.change": (
        ("portal read",),
        ("invoice_portal.rule_billing_recipient_change_portal", "invoice_portal.rule_billing_recipient_change_company"),
        ("partner_id", "company_id"),
    ),
    # Names of kinds of messages, the same for all.
    "mail.message.subtype": (("portal read", "public read"), (), None),
    "payment.token": (
        ("portal read", "public read"),
        ("payment.payment_token_user_rule", "payment.payment_token_company_rule"),
        ("partner_id.commercial_partner_id", "company_id"),
    ),
    "project.project": (
        ("portal read",),
        ("project.project_project_rule_portal", "project.project_comp_rule"),
        ("partner_id.commercial_partner_id", "company_id"),
    ),
    "project.task": (
        ("portal read",),
        ("project.project_task_rule_portal", "project.task_comp_rule"),
        ("partner_id.commercial_partner_id", "company_id"),
    ),
    # The company's own entry: name and address, as on its invoices.
    "res.company": (
        ("portal read", "public read"),
        ("base.res_company_rule_portal", "base.res_company_rule_public"),
        None,
    ),
    "res.partner": (
        ("portal read", "public read"),
        ("base.res_partner_portal_public_rule", "base.res_partner_rule"),
        ("commercial_partner_id", "company_id"),
    ),
}

# Our fields that clients read on records they may read, and why; all others are for staff.
FIELDS = {
    "account.move": {
        "stands on the invoice": {
            "billing_amount_before_discount",
            "billing_discount",
            "billing_discount_amount",
            "billing_discount_type",
            "billing_note",
            "billing_project_id",
        },
        "how it stands, as the pages say": {
            "billing_balance",
            "billing_locked",
            "billing_paid",
            "billing_status",
            "billing_void_move_id",
        },
    },
    "account.move.line": {
        "stands on the invoice": {"billing_overall_discount", "billing_period_end", "billing_period_start"},
    },
    "payment.token": {"of their own card": {"billing_expires_on"}},
}
# Of models that are ours: all that clients may read, Odoo's own `id` and the like left out.
FIELDS |= {
    "billing.dispute": {
        "what they said themselves": {"amount", "author_id", "date", "item", "kind", "line_id", "move_id", "words"},
        "whose it is": {"company_id", "currency_id", "partner_id"},
        "how it stands": {"answer", "answered_on", "state"},
    },
    "billing.recipient.change": {
        "what they wished themselves": {"after", "before", "user_id"},
        "whose it is": {"company_id", "partner_id"},
        "how it stands": {"confirm_to", "expires_on", "state"},
    },
}


def table(text):
    """`{(method, path): (heading, {who: outcome})}`"""
    rows, heading, words = {}, None, []
    for line in text.splitlines():
        if not line.startswith(" "):
            heading = line.strip()
            continue
        words += line.split()
        # A long path has a line of its own.
        if len(words) > 1:
            path, *outcomes = words
            rows[heading.split()[0], path] = heading, dict(zip(WHO, outcomes, strict=True))
            words = []
    return rows


class AccessCommon(CardCommon, PortalCommon, HttpCase):
    """Something of each kind: of a client, and of the same client in a company that its users are not in."""

    # Whose map this is, and its tables.
    addon, routes, models, fields = OUR, ROUTES, MODELS, FIELDS

    def _is_on_this_map(self, addon):
        return addon.startswith(OUR) and self.addon == (addon if map_of(addon) else OUR)

    def _is_defined_here(self, cls):
        prefix, addons, addon = (*cls.__module__.split("."), "", "", "")[:3]
        return (prefix, addons) == ("odoo", "addons") and self._is_on_this_map(addon)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company.sudo().billing_credit_use = "offer"
        cls.employee = cls._new_user("employee", "base.group_user")
        cls.cards = {user: cls._new_card(partner=user.partner_id) for user in (cls.user, cls.colleague, cls.stranger)}
        charges = [
            cls._new_charge(name, price, tax_ids=[Command.clear()])
            for name, price in (("Airship", 1234.56), ("Mooring", 11))
        ]
        cls.invoice = cls._finalized(charges[0] | charges[1])
        cls.payment = cls._add_credit(45.67)
        cls._new_charge("Zeppelin", 987.65)
        cls._share_case(cls.project, "Rigging")
        cls.client.sudo().billing_email_to = "books@acme.example.com"
        cls.change = (
            cls.env["billing.recipient.change"]
            .with_user(cls.user)
            ._ask(cls.client.with_user(cls.user), {"billing_email_to": "new@acme.example.com"})
        )
        cls.foreign_invoice, cls.foreign_payment = cls._in_another_company()
        run = cls.env["billing.run"].sudo().create({"company_id": cls.company.id})
        cls.records = {
            **cls._disputed(cls.invoice),
            "page": 1,
            "what": "invoices",
            "run_id": run.id,
            "currency_id": cls.company.currency_id.id,
            "payment_id": cls.payment.id,
        }
        cls.records_elsewhere = {
            **cls.records,
            **cls._disputed(cls.foreign_invoice),
            "payment_id": cls.foreign_payment.id,
        }
        cls.secrets = (
            *("1,234.56", "1234.56", "Airship", "Mooring", "45.67", "Zeppelin", "987.65", "Rigging", "ballast"),
            *(cls.invoice.name, cls.payment.name, "books@acme", "new@acme"),
        )
        cls.secrets_elsewhere = ("333.33", "Balloon", "22.22", "ballast")

    @classmethod
    def _share_case(cls, project, name):
        project.sudo().write({"privacy_visibility": "portal"})
        case = cls.env["project.task"].sudo().create({"name": name, "project_id": project.id})
        for user in (cls.user, cls.colleague):
            project.sudo().message_subscribe(user.partner_id.ids)
            case.message_subscribe(user.partner_id.ids)

    @classmethod
    def _disputed(cls, invoice):
        """An item that nobody contested, and an objection to another one, with a file."""
        free, contested = invoice.invoice_line_ids.sorted("price_unit", reverse=True)
        dispute = granted(cls.env["billing.dispute"].sudo()).create(
            {
                "line_id": contested.id,
                "author_id": cls.user.partner_id.id,
                "amount": 1,
                "kind": "other",
                "words": "Not that much ballast.",
            }
        )
        dispute.sudo()._attach([("proof.pdf", b"%PDF-1.4 ballast")])
        return {
            "invoice_id": invoice.id,
            "numbers": invoice.id,
            "line_id": free.id,
            "dispute_id": dispute.id,
            "file_id": dispute.sudo().attachment_ids.id,
        }

    @classmethod
    def _in_another_company(cls):
        company = cls._new_company_with_accounts("Elsewhere").sudo()
        env = cls.env(su=True, context={"allowed_company_ids": company.ids})
        invoice = env["account.move"].create(
            {
                "move_type": "out_invoice",
                "partner_id": cls.client.id,
                "invoice_line_ids": [
                    Command.create({"name": "Balloon", "price_unit": 333.33, "tax_ids": []}),
                    Command.create({"name": "Balloon rope", "price_unit": 7, "tax_ids": []}),
                ],
            }
        )
        invoice.action_post()
        env["billing.credit.add"].create({"partner_id": cls.client.id, "amount": 22.22}).action_confirm()
        cls._share_case(cls._new_project("Balloon site", company_id=company.id), "Balloon case")
        return invoice, env["account.payment"].search([("company_id", "=", company.id)])


@tagged("post_install", "-at_install")
class TestRoutes(AccessCommon):
    # -- what there is ------------------------------------------------------------------------------------------------

    def _routes(self):
        """`{(method, path): (heading, whether an addon of ours defines it or opens it again)}`"""
        routes = {}
        for rule in self.env["ir.http"].routing_map().iter_rules():
            method, routing = rule.endpoint.func, rule.endpoint.routing
            ours = any(
                self._is_defined_here(cls) and method.__name__ in vars(cls) for cls in type(method.__self__).mro()
            )
            methods = "JSON" if routing["type"] == "jsonrpc" else ",".join(routing["methods"] or ["ANY"])
            heading = [methods, routing["auth"]]
            if routing.get("readonly"):
                heading.append("readonly")
            if routing["type"] == "http" and routing.get("csrf") is False:
                heading.append("no-csrf")
            if routing.get("cors"):
                heading.append("cors")
            routes[methods, rule.rule] = " ".join(heading), ours
        return routes

    def test_each_route_has_a_row_and_each_row_a_route(self):
        routes, rows = self._routes(), table(self.routes)
        self.assertEqual([key for key, (_heading, ours) in routes.items() if ours and key not in rows], [])
        self.assertEqual([key for key in rows if key not in routes], [])
        for key, (heading, _outcomes) in rows.items():
            with self.subTest(key):
                self.assertEqual(routes[key][0], heading)

    # -- how to ask ---------------------------------------------------------------------------------------------------

    def _address(self, path, who):
        token = self.change.sudo()._token() if who == "right" else "0" * 64
        records = {**(self.records_elsewhere if who == "elsewh" else self.records), "token": token}
        return re.sub(r"<[\w.'()]+:(\w+)>", lambda match: str(records[match.group(1)]), path)

    def _sent(self, path, who, user):
        """What the form of this route sends, beside its address."""
        card = self.cards.get(user)
        invoice = self.foreign_invoice if who == "elsewh" else self.invoice
        payment = {
            "provider_id": self.demo_provider.id,
            "payment_method_id": self.method.id,
            "token_id": None,
            "flow": "direct",
            "tokenization_requested": False,
            "landing_route": "/my",
        }
        due = invoice.amount_residual
        return {
            "/my/billing/autopay": {"card": card and card.id, "agreed": 1},
            "/my/billing/top-up": {"card": card and card.id, "agreed": 1, "below": 20, "amount": 50},
            "/my/billing/credit/add": {"amount": 25},
            "/my/billing/preferences/documents": {"paper": "post"},
            "/my/billing/preferences/recipients": {"billing_email_to": "other@acme.example.com"},
            "/my/billing/recipients/<string:token>": {"answer": "agree"},
            **dict.fromkeys(
                ("/my/billing/statement", "/my/billing/statement/csv", "/my/billing/statement/pdf"),
                {"company_id": invoice.company_id.id},
            ),
            "/my/invoices/<int:invoice_id>/object/<int:line_id>": {"kind": "other", "words": "No.", "amount": 2},
            "/my/billing/credit/transaction/<int:currency_id>": {**payment, "amount": 25},
            "/my/invoices/<int:invoice_id>/part": {"amount": 100},
            "/my/invoices/pay/<string:numbers>/transaction": {**payment, "amount": due},
            "/invoice/transaction/<int:invoice_id>": {**payment, "amount": due},
            "/payment/pay": {"invoice_id": invoice.id, "amount": due},
            "/payment/transaction": {
                **payment,
                "amount": due,
                "currency_id": invoice.currency_id.id,
                "partner_id": invoice.partner_id.id,
            },
        }.get(path, {})

    def _token(self, path, who):
        if who == "wrong":
            return "0" * 36
        if who == "right" and path in ("/payment/pay", "/payment/transaction"):
            move = self.invoice
            return payment_utils.generate_access_token(
                move.partner_id.id, move.amount_residual, move.currency_id.id, env=self.env
            )
        return self.invoice._portal_ensure_token() if who == "right" else None

    def _asked(self, method, path, who, user, **typed):
        address, sent = self._address(path, who), {**self._sent(path, who, user), **typed}
        if token := self._token(path, who):
            sent["access_token"] = token
        if method == "JSON":
            return self._get(address, json={"jsonrpc": "2.0", "id": 0, "method": "call", "params": sent})
        if method == "POST":
            return self._get(address, data={"csrf_token": Request.csrf_token(self), **sent}, allow_redirects=False)
        return self._get(f"{address}?{urlencode(sent)}" if sent else address, allow_redirects=False)

    def _what_happens(self, response, told, changed):
        if response.headers["Content-Type"].startswith("application/json"):
            answer = response.json()
            if "error" in answer:
                names = {"odoo.http.SessionExpiredException": "login", "werkzeug.exceptions.NotFound": "none"}
                return names.get(answer["error"]["data"]["name"], "refused")
            return "done" if changed else "theirs"
        if changed:
            return "done"
        if response.is_redirect:
            to = response.headers["Location"]
            if "/web/login" in to:
                return "login"
            return "theirs" if "done=" in to else "home" if urlsplit(to).path in ("/my", "/my/") else "onward"
        outcomes = {404: "none", 403: "refused", 400: "refused", 422: "refused", 200: "shown" if told else "empty"}
        return outcomes.get(response.status_code, str(response.status_code))

    def _of_the_client(self):
        """Whatever these routes can do to the client."""
        self.env.invalidate_all()
        client = self.client.sudo()
        client_ids = ("partner_id", "child_of", client.ids)
        return (
            (self.invoice | self.foreign_invoice).sudo().mapped("amount_residual"),
            self.env["payment.transaction"].sudo().search([client_ids]).ids,
            self.env["billing.dispute"].sudo().search_read([client_ids], ["state"]),
            self.env["billing.recipient.change"].sudo().search_read([client_ids], ["state"]),
            *client.read(
                ["lang", "billing_paper", "billing_email_to", "billing_autopay_card_id", "billing_top_up_card_id"]
            ),
        )

    def test_each_route_answers_each_as_the_table_says(self):
        users = {"sibling": self.colleague, "other": self.stranger, "staff": self.employee}
        users.update(dict.fromkeys(("own", "elsewh"), self.user))
        for who in WHO:
            user = users.get(who)
            self._as(user)
            for (method, path), (_heading, outcomes) in table(self.routes).items():
                with self.subTest(f"{method} {path}", who=who):
                    self._check_route(method, path, who, user, outcomes[who])

    def test_whoever_opens_the_address_of_a_form_is_led_to_its_page(self):
        """As the browser does after a login: it was logged out when the form was sent."""
        rows = table(self.routes)
        pages = {path for method, path in {**rows, **table(ROUTES)} if method in ("GET", "ANY")}
        forms = [path for method, path in rows if method == "POST" and path not in pages]
        self.assertTrue(forms)
        before = self._of_the_client()
        for user in (self.user, None):
            self._as(user)
            for path in forms:
                with self.subTest(path, by=user and user.login):
                    query = urlencode(self._sent(path, "own", user or self.user))
                    response = self._get(f"{self._address(path, 'own')}?{query}", allow_redirects=False)
                    self.assertEqual(response.status_code, 303)
                    to = response.headers["Location"]
                    self.assertIn(urlsplit(to).path, {self._address(page, "own") for page in pages})
                    self.assertFalse(urlsplit(to).query)
                    self.assertEqual(self._get(to).status_code, 200)
        self.assertEqual(self._of_the_client(), before)

    def test_each_page_has_a_title(self):
        pages = [path for method, path in table(self.routes) if method in ("GET", "ANY")]
        for user, who in ((self.user, "own"), (None, "right")):
            self._as(user)
            titles = {}
            for path in pages:
                response = self._asked("GET", path, who, user)
                kind, told = response.headers.get("Content-Type", ""), response.headers.get("Content-Disposition")
                # Tests are served the HTML of a PDF; the page of Odoo's old payment links is Odoo's.
                if told or path.endswith("/pdf") or path == "/payment/pay":
                    continue
                if response.status_code != 200 or not kind.startswith("text/html"):
                    continue
                with self.subTest(path, by=who):
                    title = html.fromstring(response.text).findtext(".//title")
                    self.assertIn(self.company.name, title)
                    titles[path] = title
            page = "/my/invoices/<int:invoice_id>"
            if page in titles:
                self.assertEqual(titles[page], f"{self.invoice.name} | {self.company.name}")
            # An addon may have no page for who is not logged in.
            self.assertTrue(titles or not user)
            first = {path: title for path, title in titles.items() if "/page/" not in path}
            self.assertEqual(len(set(first.values())), len(first), first)

    def test_text_that_no_database_can_hold_fails_nowhere(self):
        self._as(self.user)
        rows = table(self.routes)
        for rule in self.env["ir.http"].routing_map().iter_rules():
            methods = ",".join(rule.endpoint.routing["methods"] or ["ANY"])
            if (methods, rule.rule) not in rows or "<model" in rule.rule:
                continue
            named = {*signature(rule.endpoint.func).parameters, *self._sent(rule.rule, "own", self.user)}
            named -= {*rule.arguments, "args", "kwargs", "kw", "typed", "asked"}
            # Each by itself, and all at once: the first that is refused may hide the others.
            for names in ({*named, *ASKED}, *({name} for name in sorted(named))):
                with self.subTest(f"{methods} {rule.rule}", names=names):
                    savepoint = self.env.cr.savepoint()
                    response = self._asked(methods, rule.rule, "own", self.user, **dict.fromkeys(names, "\0"))
                    savepoint.close(rollback=True)
                    self.env.invalidate_all()
                    self.assertLess(response.status_code, 500)

    def _check_route(self, method, path, who, user, outcome):
        before = self._of_the_client()
        savepoint = self.env.cr.savepoint()
        try:
            response = self._asked(method, path, who, user)
            changed = self._of_the_client() != before
        finally:
            savepoint.close(rollback=True)
            self.env.invalidate_all()
        # Tests are served the HTML of a PDF.
        text = " ".join((response.text, *response.headers.values()))
        told = [secret for secret in (self.secrets_elsewhere if who == "elsewh" else self.secrets) if secret in text]
        self.assertEqual(self._what_happens(response, told, changed), outcome, (told, response.text[:500]))
        if method in ("GET", "ANY"):
            self.assertFalse(changed)
        if outcome not in ("shown", "done", "onward"):
            self.assertFalse(told)


@tagged("post_install", "-at_install")
class TestModels(AccessCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.askers = {"portal": cls.user, "public": cls.env.ref("base.public_user").sudo()}
        # What an addon extends has its row where it comes from.
        cls.known = MODELS | cls.models

    def _ours(self):
        """The models that our addons define or extend."""
        return [
            name for name in self.env.registry if any(self._is_defined_here(cls) for cls in type(self.env[name]).mro())
        ]

    def test_each_model_that_is_reachable_has_a_row(self):
        models = self._ours()
        self.assertIn("billing.charge", models)
        self.assertLessEqual(self.models.keys(), set(models))
        for name in models:
            allowed = self.known.get(name, ((),))[0]
            for who, user in self.askers.items():
                for operation in ("read", "write", "create", "unlink"):
                    with self.subTest(name, who=who, operation=operation):
                        self.assertEqual(
                            self.env[name].with_user(user).has_access(operation), f"{who} {operation}" in allowed
                        )

    def test_each_reachable_model_is_limited_by_its_rules(self):
        everybody = self.env["res.groups"]
        for name, (_operations, xmlids, _paths) in self.models.items():
            for xmlid in xmlids:
                with self.subTest(name, rule=xmlid):
                    rule = self.env.ref(xmlid).sudo()
                    self.assertEqual(rule.model_id.model, name)
                    self.assertTrue(rule.active and rule.perm_read)
                    outside = self.askers["portal"].all_group_ids | self.askers["public"].all_group_ids
                    self.assertTrue(rule.groups == everybody or rule.groups & outside)

    def test_each_field_that_is_readable_has_a_row(self):
        for name, model in self.env.registry.items():
            records = self.env[name]
            ours = model._original_module.startswith(OUR)
            allowed = set().union(*self.fields.get(name, {}).values())
            for who, user in self.askers.items():
                asked = records.with_user(user)
                if records._abstract or not asked.has_access("read"):
                    continue
                readable = {
                    fname
                    for fname, field in records._fields.items()
                    if asked._has_field_access(field, "read")
                    and (
                        field.base_field._modules
                        and all(module.startswith(OUR) for module in field.base_field._modules)
                        and any(self._is_on_this_map(module) for module in field.base_field._modules)
                    )
                    and not (ours and fname in MAGIC)
                }
                with self.subTest(name, who=who):
                    if who == "portal":
                        self.assertEqual(readable, allowed)
                    else:
                        self.assertLessEqual(readable, allowed)

    # -- what calls from outside get ----------------------------------------------------------------------------------

    def _calls(self, user):
        """`{way: function(model, method, **params) -> answer}`, as this user."""
        key = (
            self.env["res.users.apikeys"].with_user(user)._generate("rpc", "test", datetime.now() + timedelta(hours=1))
        )

        def by_web_client(model, method, **params):
            call = {"model": model, "method": method, "args": [], "kwargs": params}
            request = {"jsonrpc": "2.0", "id": 0, "method": "call", "params": call}
            return self._get(f"/web/dataset/call_kw/{model}/{method}", json=request).json().get("result")

        def by_key(model, method, **params):
            headers = {"Authorization": f"Bearer {key}"}
            response = self._get(f"/json/2/{model}/{method}", json=params, headers=headers)
            return response.json() if response.status_code == 200 else None

        return {"web client": by_web_client, "API key": by_key}

    def test_calls_from_outside_read_one_s_own_alone(self):
        for user in (self.user, self.colleague, self.stranger):
            self._as(user)
            client = user.partner_id.commercial_partner_id
            for way, call in self._calls(user).items():
                for name, (_operations, _rules, paths) in self.models.items():
                    if not paths:
                        continue
                    with self.subTest(name, by=user.login, way=way):
                        rows = call(name, "search_read", domain=[], fields=["id"])
                        records = self.env[name].sudo().browse([row["id"] for row in rows])
                        of_client, of_company = paths
                        self.assertLessEqual(records.mapped(of_client), client)
                        self.assertLessEqual(records.mapped(of_company), self.company)
                        if user == self.user:
                            self.assertTrue(records)

    def test_calls_from_outside_get_nothing_of_what_has_no_row(self):
        self._as(self.user)
        for way, call in self._calls(self.user).items():
            for name in self._ours():
                if name not in self.known and not self.env[name]._abstract:
                    with self.subTest(name, way=way):
                        self.assertFalse(call(name, "search_read", domain=[], fields=["id"]))
