from odoo import fields
from odoo.tests import HttpCase, tagged
from odoo.tools import html2plaintext

from .common import BillingCommon
from .test_card import CardCommon
from .test_cycle import CycleCommon
from .test_payment import PaymentCommon
from .test_send import SendCommon


@tagged("post_install", "-at_install")
class TestTours(BillingCommon, HttpCase):
    def test_from_charges_to_a_void_invoice(self):
        client = self._new_portal_user(self.client, "acmeclient")
        charges = self._new_charge("Hosting", 100) | self._new_charge("Support", 250)
        self.start_tour("/odoo", "billing_spine_finalize", login=self.biller.login)
        invoice = charges.invoice_id
        self.assertEqual((invoice.billing_status, invoice.amount_untaxed), ("finalized", 350))
        self.start_tour("/my/invoices", "billing_spine_portal", login=client.login)
        self.start_tour("/odoo", "billing_spine_void", login=self.biller.login)
        self.assertEqual(invoice.billing_status, "void")
        self.assertEqual(invoice.billing_void_reason, "Billed to the wrong client")
        self.assertEqual(sorted(charges.mapped("state")), ["discarded", "open"])
        self.authenticate(client.login, client.login)
        listed = self.url_open("/my/invoices").text
        self.assertIn("Void", listed)
        self.assertNotIn("Waiting for Payment", listed)
        page = self.url_open(f"/my/invoices/{invoice.id}").text
        self.assertIn("nothing is due", page)
        self.assertNotIn("Billed to the wrong client", page)

    def test_a_case_gets_a_price_and_becomes_a_charge(self):
        case = self._new_case("Landing page")
        self.start_tour("/odoo", "billing_case_price", login=self.biller.login)
        self.assertEqual(self.env["billing.charge"].search([("task_id", "=", case.id)]).amount, 450)


@tagged("post_install", "-at_install")
class TestBillACase(SendCommon, HttpCase):
    def test_from_project_and_case_to_the_client_s_mailbox(self):
        client = self._new_portal_user(self.client, "acmeclient")
        self.project.sudo().billing_email_to = "team@acme.example"
        old, new = self._new_case("Old work", 80, True), self._new_case("New work", 120, True)
        self._finalized(old.billing_charge_ids)
        self.start_tour("/odoo", "billing_compose", login=self.biller.login)
        invoice = new.billing_invoice_id
        self.assertEqual((invoice.billing_status, invoice.amount_untaxed), ("sent", 150))
        self.assertEqual(invoice.invoice_line_ids.mapped("name"), ["New work", "Courier"])
        self.assertEqual(html2plaintext(invoice.billing_note), "Thank you")
        self.assertEqual(
            [taken["to"] for taken in self.sink.messages],
            [["team@acme.example", "lead@acme.example", "audit@firm.example"]],
        )
        self.assertNotIn(b"audit@firm.example", self.sink.messages[0]["raw"])
        self.authenticate(client.login, client.login)
        self.assertIn(invoice.name, self.url_open("/my/invoices").text)


@tagged("post_install", "-at_install")
class TestMonthEnd(CycleCommon, HttpCase):
    def test_from_the_client_s_cycle_to_finalized_invoices(self):
        last_month = fields.Date.subtract(fields.Date.today().replace(day=1), days=10)
        charge = self._new_charge("Hosting", 100, date=last_month)
        self.start_tour("/odoo", "billing_cycle_choose", login=self.biller.login)
        self.assertEqual(self.client.billing_cycle_id, self.monthly)
        self.client.billing_cycle_start = last_month
        self.start_tour("/odoo", "billing_cycle_rehearse", login=self.biller.login)
        self._job("run")
        self.assertEqual(charge.state, "open")
        self.start_tour("/odoo", "billing_cycle_compare", login=self.biller.login)
        self._job("run")
        self.start_tour("/odoo", "billing_cycle_review", login=self.biller.login)
        self.assertTrue(charge.invoice_id.billing_locked)

    def test_what_was_held_is_reviewed_and_finalized(self):
        self.company.sudo().write({"billing_review_threshold": 20, "billing_hold_flagged": True})
        self.monthly.after = "finalize"
        self._join(self.client | self.other_client, since="2026-01-10")
        for month, price in ((1, 100), (2, 300)):
            self._new_charge(price=price, date=f"2026-0{month}-20")
            self._new_charge(partner_id=self.other_client.id, date=f"2026-0{month}-20")
            self._at(f"2026-0{month + 1}-01 01:00:00")
        run = self._runs()[-1]
        self.start_tour("/odoo", "billing_cycle_held", login=self.biller.login)
        self.env.invalidate_all()
        self.assertEqual(run.state, "done")
        self.assertEqual(run.client_ids.move_ids.mapped("billing_locked"), [True, True])


@tagged("post_install", "-at_install")
class TestPayByCard(CardCommon, HttpCase):
    def test_staff_charges_a_part_and_the_client_pays_the_rest(self):
        client = self._new_portal_user(self.client, "acmeclient")
        self._new_card(partner=client.partner_id)
        invoice = self._finalized()
        url = f"/odoo/action-invoice_portal.action_billing_invoices/{invoice.id}"
        self.start_tour(url, "billing_card_staff", login=self.biller.login)
        self.assertEqual(invoice.billing_status, "partial")
        self.start_tour(f"/my/invoices/{invoice.id}", "billing_card_portal", login=client.login)
        self.env.invalidate_all()
        self.assertEqual(invoice.billing_status, "paid")
        self.assertEqual(invoice.sudo().transaction_ids.mapped("billing_origin"), ["client", "staff"])


@tagged("post_install", "-at_install")
class TestPaidByHand(PaymentCommon, HttpCase):
    def test_marked_as_paid_in_part(self):
        invoice = self._invoice(100)
        self.start_tour("/odoo", "billing_payment_part", login=self.biller.login)
        self.assertEqual((invoice.billing_balance, invoice.reconciled_payment_ids.amount), (80, 20))

    def test_a_part_of_a_payment_is_allocated(self):
        first, second = self._invoice(100), self._invoice(50)
        payment = self._credit(70)
        self.start_tour("/odoo", "billing_payment_allocate", login=self.biller.login)
        self.assertEqual((first.billing_balance, second.billing_balance, payment.billing_open), (55, 50, 25))


@tagged("post_install", "-at_install")
class TestReminderTour(SendCommon, HttpCase):
    def test_a_reminder_and_its_pause(self):
        draft = self._draft(self._new_charge("Hosting", 100))
        week_ago = fields.Date.subtract(fields.Date.today(), days=5)
        draft.write({"invoice_date": week_ago, "invoice_payment_term_id": False, "invoice_date_due": week_ago})
        draft._billing_finalize()
        self.start_tour("/odoo", "billing_reminder_and_pause", login=self.biller.login)
        self.assertEqual([taken["to"] for taken in self.sink.messages], [[self.client.email]])
        self.assertEqual(draft.billing_reminder_ids.mapped("state"), ["sent"])
        self.assertFalse(draft.billing_reminder_paused_until)
