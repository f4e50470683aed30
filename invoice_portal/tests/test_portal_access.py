"""Who reaches what from outside. The tables are the map: nothing is reachable that has no row in them."""

import json
import re
from datetime import datetime, timedelta
from urllib.parse import urlencode, urlsplit

from odoo import Command
from odoo.http import Request
from odoo.tests import HttpCase, tagged
from odoo.tools import mute_logger

from odoo.addons.payment import utils as payment_utils

from .portal import QUIET, PortalCommon
from .test_card import CardCommon

OURS = "odoo.addons.invoice_portal"

# Who asks, in the order of the columns below:
# - own: a contact of the client, logged in; sibling: another one; other: a contact of another client
# - anonym: nobody logged in; wrong, right: the same, with a token that does not, or does, belong to the document
# - elsewh: `own`, for a document of this client in a company that is not the user's
# - staff: an employee who neither bills nor keeps accounts
WHO = ("own", "sibling", "other", "anonym", "wrong", "right", "elsewh", "staff")

# What happens:
# - shown: the answer holds what only the record says; empty: a page without any of it
# - login, home: sent there; none: not found; refused: an error that says no more
# - done: the form was accepted; begun: a payment was; onward: sent to the page that goes on with it
#
# A heading says the methods, who may ask at all, and what else Odoo is told about the routes below it.
ROUTES = """
GET user readonly
    /my/billing                                      shown   shown   empty   login   login   login   empty   empty
    /my/billing/credit                               shown   shown   empty   login   login   login   empty   empty
    /my/billing/credit/page/<int:page>               shown   shown   empty   login   login   login   empty   empty
    /my/invoices/<string:what>.csv                   shown   shown   empty   login   login   login   empty   empty
    /billing/run/<int:run_id>/result.csv             refused refused refused login   login   login   refused refused
GET user
    /my/billing/next                                 shown   shown   empty   login   login   login   empty   empty
    /my/billing/receipt/<int:payment_id>             shown   shown   none    login   login   login   none    none
    /my/billing/credit/add                           empty   empty   empty   login   login   login   empty   empty
    /my/invoices/pay                                 shown   shown   empty   login   login   login   empty   empty
ANY user
    /my/invoices                                     shown   shown   empty   login   login   login   empty   empty
    /my/invoices/page/<int:page>                     shown   shown   empty   login   login   login   empty   empty
    /my/payment_method                               empty   empty   empty   login   login   login   empty   empty
GET public readonly
    /my/invoices/overdue                             onward  onward  onward  login   login   login   onward  onward
GET public
    /my/invoices/<int:invoice_id>/part               onward  onward  home    home    home    onward  home    home
    /my/invoices/<int:invoice_id>/items.csv          shown   shown   home    home    home    shown   home    home
    /payment/pay                                     none    none    none    none    none    shown   none    none
ANY public
    /my/invoices/<int:invoice_id>                    shown   shown   home    home    home    shown   home    home
POST user
    /my/billing/autopay                              done    done    done    login   login   login   done    onward
    /my/billing/top-up                               done    done    done    login   login   login   done    empty
    /my/invoices/<int:invoice_id>/credit             done    done    onward  login   login   login   onward  onward
JSON user
    /my/billing/credit/transaction/<int:currency_id> begun   begun   begun   login   login   login   begun   begun
    /my/invoices/pay/<string:numbers>/transaction    begun   begun   refused login   login   login   refused refused
JSON public
    /invoice/transaction/<int:invoice_id>            begun   begun   refused refused refused begun   refused refused
"""


def table(text):
    """`{path: (heading, {who: outcome})}`"""
    rows, heading = {}, None
    for line in filter(str.strip, text.splitlines()):
        if not line.startswith(" "):
            heading = line.strip()
            continue
        path, *outcomes = line.split()
        rows[path] = heading, dict(zip(WHO, outcomes, strict=True))
    return rows


@tagged("post_install", "-at_install")
class TestRoutes(CardCommon, PortalCommon, HttpCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company.sudo().billing_credit_use = "offer"
        cls.employee = cls._new_user("employee", "base.group_user")
        cls.cards = {
            user: cls._new_card(partner=user.partner_id) for user in (cls.user, cls.colleague, cls.stranger)
        }
        cls.invoice = cls._invoice(1234.56)
        cls.payment = cls._add_credit(45.67)
        cls._new_charge("Zeppelin", 987.65)
        cls.foreign_invoice, cls.foreign_payment = cls._in_another_company()
        run = cls.env["billing.run"].sudo().create({"company_id": cls.company.id})
        cls.records = {
            "page": 1,
            "what": "invoices",
            "run_id": run.id,
            "currency_id": cls.company.currency_id.id,
            "invoice_id": cls.invoice.id,
            "numbers": cls.invoice.id,
            "payment_id": cls.payment.id,
        }
        cls.records_elsewhere = {
            **cls.records,
            "invoice_id": cls.foreign_invoice.id,
            "numbers": cls.foreign_invoice.id,
            "payment_id": cls.foreign_payment.id,
        }
        cls.secrets = (cls.invoice.name, cls.payment.name, "1,234.56", "1234.56", "45.67", "Zeppelin", "987.65")
        cls.secrets_elsewhere = ("333.33", "Balloon", "22.22")

    @classmethod
    def _in_another_company(cls):
        company = cls._new_company_with_accounts("Elsewhere").sudo()
        env = cls.env(su=True, context={"allowed_company_ids": company.ids})
        invoice = env["account.move"].create(
            {
                "move_type": "out_invoice",
                "partner_id": cls.client.id,
                "invoice_line_ids": [Command.create({"name": "Balloon", "price_unit": 333.33, "tax_ids": []})],
            }
        )
        invoice.action_post()
        wizard = env["billing.credit.add"].create({"partner_id": cls.client.id, "amount": 22.22})
        wizard.action_confirm()
        payment = env["account.payment"].search([("company_id", "=", company.id)])
        return invoice, payment

    # -- what there is ------------------------------------------------------------------------------------------------

    def _routes(self):
        """`{path: (heading, whether an addon of ours defines it or opens it again)}`"""
        routes = {}
        for rule in self.env["ir.http"].routing_map().iter_rules():
            method, routing = rule.endpoint.func, rule.endpoint.routing
            ours = any(
                cls.__module__.startswith(OURS) and method.__name__ in vars(cls) for cls in type(method.__self__).mro()
            )
            methods = "JSON" if routing["type"] == "jsonrpc" else ",".join(sorted(routing["methods"] or ["ANY"]))
            heading = [methods, routing["auth"]]
            if routing.get("readonly"):
                heading.append("readonly")
            if routing["type"] == "http" and routing.get("csrf") is False:
                heading.append("no-csrf")
            if routing.get("cors"):
                heading.append("cors")
            routes[rule.rule] = " ".join(heading), ours
        return routes

    def test_each_route_has_a_row_and_each_row_a_route(self):
        routes, rows = self._routes(), table(ROUTES)
        self.assertEqual([path for path, (_heading, ours) in routes.items() if ours and path not in rows], [])
        self.assertEqual([path for path in rows if path not in routes], [])
        for path, (heading, _outcomes) in rows.items():
            with self.subTest(path):
                self.assertEqual(routes[path][0], heading)

    # -- how to ask ---------------------------------------------------------------------------------------------------

    def _address(self, path, who):
        records = self.records_elsewhere if who == "elsewh" else self.records
        return re.sub(r"<\w+:(\w+)>", lambda match: str(records[match.group(1)]), path)

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
            "/my/billing/credit/transaction/<int:currency_id>": {**payment, "amount": 25},
            "/my/invoices/<int:invoice_id>/part": {"amount": 100},
            "/my/invoices/pay/<string:numbers>/transaction": {**payment, "amount": due},
            "/invoice/transaction/<int:invoice_id>": {**payment, "amount": due},
            "/payment/pay": {"invoice_id": invoice.id, "amount": due},
        }.get(path, {})

    def _token(self, path, who):
        if who == "wrong":
            return "0" * 36
        if who == "right" and path == "/payment/pay":
            move = self.invoice
            return payment_utils.generate_access_token(
                move.partner_id.id, move.amount_residual, move.currency_id.id, env=self.env
            )
        return self.invoice._portal_ensure_token() if who == "right" else None

    def _asked(self, heading, path, who, user):
        address, sent = self._address(path, who), self._sent(path, who, user)
        if token := self._token(path, who):
            sent["access_token"] = token
        kind = heading.split()[0]
        if kind == "JSON":
            return self._get(address, json={"jsonrpc": "2.0", "id": 0, "method": "call", "params": sent})
        if kind == "POST":
            return self._get(address, data={"csrf_token": Request.csrf_token(self), **sent}, allow_redirects=False)
        return self._get(f"{address}?{urlencode(sent)}" if sent else address, allow_redirects=False)

    def _what_happens(self, response, shown):
        if response.headers["Content-Type"].startswith("application/json"):
            answer = response.json()
            names = {"odoo.http.SessionExpiredException": "login", "werkzeug.exceptions.NotFound": "none"}
            return names.get(answer["error"]["data"]["name"], "refused") if "error" in answer else "begun"
        if response.is_redirect:
            to = response.headers["Location"]
            if "/web/login" in to:
                return "login"
            return "done" if "done=" in to else "home" if urlsplit(to).path in ("/my", "/my/") else "onward"
        outcomes = {404: "none", 403: "refused", 400: "refused", 200: "shown" if shown else "empty"}
        return outcomes.get(response.status_code, str(response.status_code))

    def _changeable(self):
        """Whatever somebody could do to the client by these routes."""
        self.env.invalidate_all()
        client = self.client.sudo()
        attempts = self.env["payment.transaction"].sudo().search([("partner_id", "child_of", client.ids)])
        return (
            (self.invoice | self.foreign_invoice).sudo().mapped("amount_residual"),
            attempts.ids,
            client.billing_autopay_card_id,
            client.billing_top_up_card_id,
        )

    def test_each_route_answers_each_as_the_table_says(self):
        users = {"sibling": self.colleague, "other": self.stranger, "staff": self.employee}
        users.update(dict.fromkeys(("own", "elsewh"), self.user))
        for who in WHO:
            user = users.get(who)
            self._as(user)
            for path, (heading, outcomes) in table(ROUTES).items():
                with self.subTest(path, who=who):
                    before = self._changeable()
                    savepoint = self.env.cr.savepoint()
                    try:
                        response = self._asked(heading, path, who, user)
                        after = self._changeable()
                    finally:
                        savepoint.close(rollback=True)
                        self.env.invalidate_all()
                    secrets = self.secrets_elsewhere if who == "elsewh" else self.secrets
                    file = response.headers["Content-Type"] == "application/pdf"
                    text = " ".join((response.text, *response.headers.values()))
                    told = [secret for secret in secrets if secret in text]
                    outcome = self._what_happens(response, file or told)
                    self.assertEqual(outcome, outcomes[who], response.text[:500])
                    if outcome not in ("shown", "begun", "onward"):
                        self.assertFalse(file or told)
                    if who in ("other", "anonym", "wrong", "staff") or outcome not in ("done", "begun"):
                        self.assertEqual(after, before)
                    else:
                        self.assertNotEqual(after, before)
