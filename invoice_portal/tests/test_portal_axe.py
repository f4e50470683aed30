import json
import os
import unittest
from datetime import timedelta
from pathlib import Path

from odoo import Command, fields
from odoo.tests import HttpCase, tagged
from odoo.tools import file_open

from ..models.billing_recipient_change import LINES
from .portal import PortalCommon
from .test_card import CardCommon

AXE = os.environ.get("INVOICE_PORTAL_AXE")
WIDTHS = [1280, 360]
IMPACTS = ["serious", "critical"]
ITEMS = "details"

# Path, and what of the page is opened first.
PAGES_OF_A_CLIENT = [
    ("/my", None),
    ("/my/billing", None),
    ("/my/billing/next", None),
    ("/my/invoices", None),
    ("/my/invoices?filterby=invoices", None),
    ("/my/invoices?filterby=unpaid&sortby=balance&groupby=month&search=INV&search_in=number", None),
    ("/my/invoices?groupby=project", ".o_billing_nav ~ div .dropdown-toggle"),
    ("/my/invoices?date_begin=1999-01-01&date_end=1999-01-02", None),
    ("/my/invoices/{open}", ITEMS),
    ("/my/invoices/{open}?done=credit", None),
    ("/my/invoices/{late}", ITEMS),
    ("/my/invoices/{partial}", ITEMS),
    ("/my/invoices/{paid}", ITEMS),
    ("/my/invoices/{void}", ITEMS),
    ("/my/invoices/{credit_note}", ITEMS),
    ("/my/invoices/{open}/part?amount=0", None),
    ("/my/invoices/{open}/part?amount=5", None),
    ("/my/invoices/pay", None),
    ("/my/invoices/pay?invoice={open}&invoice={late}", None),
    ("/my/billing/credit", None),
    ("/my/billing/credit?done=paid", None),
    ("/my/billing/credit/add?amount=5", None),
    ("/my/billing/credit/add?amount=-5", None),
    ("/my/payment_method", None),
    ("/my/payment_method?failed=agree", None),
    ("/my/billing/cases", None),
    ("/my/billing/cases?group=project&filterby=billed", None),
    ("/my/billing/statement", None),
    ("/my/billing/statement?date_from=2026-02-02&date_to=never", None),
    ("/my/billing/preferences", None),
    ("/my/billing/preferences?done=asked", None),
    ("/my/invoices/{open}/object/{line}", None),
    ("/my/invoices/{open}/object/{contested_line}", None),
    ("/my/billing/nonsense", None),
]
PAGES_OF_ANOTHER = [
    ("/my/billing", None),
    ("/my/billing/credit", None),
    ("/my/invoices", None),
    ("/my/invoices/pay", None),
    ("/my/payment_method", None),
    ("/my/billing/cases", None),
    ("/my/billing/statement", None),
    ("/my/billing/preferences", None),
]
PAGES_OF_A_VISITOR = [
    ("/my/invoices/{open}?access_token={token}", ITEMS),
    ("/my/invoices/{paid}?access_token={token_of_paid}", ITEMS),
    ("/my/billing/recipients/{change}", None),
    ("/my/billing/recipients/nonsense", None),
    ("/my/invoices/{open}?access_token=torn", None),
]

# What Odoo draws on its pages and nobody can reach from ours.
NOT_OURS = [
    # its own head and foot of every page
    "header",
    "footer",
]


class AxeMixin:
    """Looks at pages with axe. To be mixed into a test; `named` says what stands for the names in their addresses."""

    named = {}

    def _look(self, pages, user=None):
        self.assertTrue(Path(AXE).is_file(), f"there is no {AXE}")
        with file_open("invoice_portal/static/tests/axe/axe_pages.js") as file:
            walk = file.read()
        script = self.env["ir.attachment"].sudo()
        script = script.create({"name": "axe.txt", "raw": Path(AXE).read_bytes(), "public": True})
        asked = {
            "axe": f"/web/content/{script.id}",
            "pages": [(path.format(**self.named), opened) for path, opened in pages],
            "widths": WIDTHS,
            "impacts": IMPACTS,
            "without": NOT_OURS,
        }
        code = f"window.axePages = {json.dumps(asked)};\n{walk}"
        self.browser_js(pages[0][0].format(**self.named), code, login=user and user.login, timeout=300)


@unittest.skipUnless(AXE, "INVOICE_PORTAL_AXE does not name axe-core's file; ./dev/test fetches it where npm is there")
@tagged("post_install", "-at_install")
class TestPortalAxe(AxeMixin, CardCommon, PortalCommon, HttpCase):
    """All can be read and used without a mouse, by a screen reader and on a narrow telephone, as far as axe knows."""

    browser_size = "1366x900"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company.sudo().write({"billing_credit_use": "never", "qr_code": True})
        bank = cls.company_data["default_journal_bank"].sudo()
        bank.bank_account_id = (
            cls.env["res.partner.bank"]
            .sudo()
            .create(
                {
                    "acc_number": "BE15001559627230",
                    "partner_id": cls.company.partner_id.id,
                    "allow_out_payment": True,
                }
            )
        )
        case = cls._new_case("Broken form", 150, done=True)
        case.sudo().message_subscribe(cls.user.partner_id.ids)
        cls.project.sudo().privacy_visibility = "portal"
        case.billing_charge_ids.write({"tax_ids": [Command.set(cls.tax_sale_a.ids)]})
        draft = cls._draft(case.billing_charge_ids | cls._new_charge("Courier\nby bicycle", 20, discount=50))
        draft.write(
            {
                "billing_note": "Thank you",
                "invoice_line_ids": [
                    Command.create({"display_type": "line_section", "name": "Work"}),
                    Command.create({"display_type": "line_note", "name": "As agreed"}),
                ],
            }
        )
        draft._billing_finalize()
        paid, late, partial, void = (cls._invoice(price) for price in (30, 40, 50, 60))
        cls._pay(paid)
        cls._pay(partial, 20)
        void._billing_void("Wrong client")
        day = fields.Date.today() - timedelta(days=10)
        late.sudo().line_ids.flush_recordset()
        cls.env.cr.execute("UPDATE account_move SET invoice_date_due = %s WHERE id = %s", [day, late.id])
        cls.env.cr.execute(
            "UPDATE account_move_line SET date_maturity = %s WHERE move_id = %s AND date_maturity IS NOT NULL",
            [day, late.id],
        )
        cls.env.invalidate_all()
        reversal = (
            cls.env["account.move.reversal"]
            .with_context(active_model="account.move", active_ids=paid.ids)
            .create({"journal_id": paid.journal_id.id, "reason": "Too much"})
        )
        credit_note = cls.env["account.move"].browse(reversal.refund_moves()["res_id"])
        credit_note.action_post()
        cls._add_credit(45)
        cls._new_charge("Work of this month", 250)
        cls.company.sudo().billing_credit_use = "offer"
        line, contested_line = draft.invoice_line_ids.filtered(lambda line: line.display_type == "product")
        cls._object(contested_line, 5)
        cls._object(partial.invoice_line_ids, 10)._decline("As agreed by telephone")
        cls._object(late.invoice_line_ids, 10).with_user(cls.user)._withdraw_sudo()
        asked = {**dict.fromkeys(LINES, ""), "billing_email_to": "new@acme.example"}
        cls.env(user=cls.user)["billing.recipient.change"]._ask(cls.user.partner_id, asked)
        change = cls.env["billing.recipient.change"].sudo().search([("partner_id", "=", cls.client.id)])
        card = cls._new_card(partner=cls.user.partner_id)
        cls.client.sudo()._billing_agree_autopay(card, "On the phone")
        invoices = {
            "open": draft,
            "late": late,
            "partial": partial,
            "paid": paid,
            "void": void,
            "credit_note": credit_note,
        }
        cls.named = {name: move.id for name, move in invoices.items()}
        cls.named |= {
            "line": line.id,
            "contested_line": contested_line.id,
            "change": change._token(),
            "token": draft._portal_ensure_token(),
            "token_of_paid": paid._portal_ensure_token(),
        }

    @classmethod
    def _object(cls, line, amount):
        cls.env.flush_all()
        objections = cls.env(user=cls.user)["billing.dispute"]
        dispute = objections._object_sudo(line.with_user(cls.user), "amount", "It was less", amount)
        cls.env.invalidate_all()
        return dispute.with_env(cls.env)

    def test_a_client_s_pages(self):
        self._look(PAGES_OF_A_CLIENT, self.user)

    def test_pages_of_one_who_has_nothing(self):
        self._look(PAGES_OF_ANOTHER, self.stranger)

    def test_an_invoice_by_its_link(self):
        self._look(PAGES_OF_A_VISITOR)
