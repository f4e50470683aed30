from datetime import timedelta
from unittest.mock import patch

from freezegun import freeze_time
from lxml import html
from psycopg2.errors import UniqueViolation

from odoo import Command, fields
from odoo.exceptions import AccessError, ConcurrencyError, UserError
from odoo.http import Request
from odoo.tests import HttpCase, tagged
from odoo.tools import format_date, mute_logger

from ..models.account_move_reminder import Instalment
from ..models.billing_dispute import GRACE_DAYS, MOST_BYTES, MOST_FILES, MOST_WORDS
from .test_card import CardCommon
from .test_reminder import ReminderCommon

STAFF_FIELDS = ("attachment_ids", "credit_note_id", "answered_by_id", "activity_id", "charge_held", "resume_on")
PDF = b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n"


class DisputeMixin:
    """A client who objects, a sibling who works there, and a stranger."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client_user = cls._new_portal_user(cls.client, "acmeclient")
        cls.sibling = cls._new_portal_user(cls.client, "acmesibling")
        cls.stranger = cls._new_portal_user(cls.other_client, "boltclient")

    @classmethod
    def _billed(cls, *prices, **values):
        """An invoice with a line per price; its lines in that order."""
        charges = cls.env["billing.charge"]
        for number, price in enumerate(prices or (100,), start=1):
            charges |= cls._new_charge(f"Item {number}", price, **values)
        return cls._finalized(charges)

    def _lines(self, invoice):
        return invoice.invoice_line_ids.filtered(lambda line: line.display_type == "product").sorted(
            lambda line: (line.sequence, line.id)
        )

    def _object(self, line, amount=None, user=None, kind="amount", words="It was less", files=()):
        user = user or self.client_user
        line = line.with_user(user)
        amount = line.sudo()._billing_contestable() if amount is None else amount
        # As in a request, nothing was read before as somebody else.
        self.env.flush_all()
        dispute = self.env(user=user)["billing.dispute"]._object_sudo(line, kind, words, amount, files)
        self.env.invalidate_all()
        return dispute.with_env(self.env)

    def _credit(self, dispute):
        """Staff accepts, and confirms the draft."""
        action = dispute.action_accept()
        note = self.env["account.move"].browse(action["res_id"])
        note.action_post()
        self.env.invalidate_all()
        return note


@tagged("post_install", "-at_install")
class TestDispute(DisputeMixin, CardCommon):
    def test_a_client_objects_and_staff_sees_it(self):
        invoice = self._billed(100, 200)
        line = self._lines(invoice)[0]
        dispute = self._object(line, 40, files=[("proof.pdf", PDF)])
        self.assertEqual((dispute.state, dispute.amount, dispute.author_id), ("open", 40, self.client_user.partner_id))
        self.assertEqual(
            (dispute.move_id, dispute.partner_id, dispute.company_id), (invoice, self.client, self.company)
        )
        self.assertEqual((invoice.billing_contested, invoice.billing_dispute_count), (40, 1))
        self.assertEqual(dispute.attachment_ids.mapped("name"), ["proof.pdf"])
        self.assertFalse(dispute.attachment_ids.public)
        activity = invoice.activity_ids
        self.assertEqual(activity.user_id, self.biller)
        self.assertIn("40", activity.summary)
        note = invoice.message_ids.filtered(lambda message: "It was less" in (message.body or ""))
        self.assertTrue(all(message.subtype_id.internal for message in note[-1:]), "for staff")
        mail = invoice.billing_mail_ids
        self.assertEqual(mail.kind, "notice")
        self.assertIn(invoice.name, mail.subject)
        self.assertIn("It was less", mail.body)
        self.assertEqual(
            {(one.kind, one.email) for one in mail.recipient_ids},
            {("to", self.client.email), ("cc", self.client_user.email)},
        )

    def test_the_client_reads_it_and_nothing_of_the_staff_s(self):
        invoice = self._billed()
        dispute = self._object(self._lines(invoice), files=[("proof.pdf", PDF)])
        dispute.action_accept()
        for user, reads in ((self.client_user, True), (self.sibling, True), (self.stranger, False)):
            with self.subTest(user.login):
                seen = self.env(user=user)["billing.dispute"].search([("id", "=", dispute.id)])
                self.assertEqual(bool(seen), reads)
                self.env.invalidate_all()
                if not reads:
                    with self.assertRaises(AccessError):
                        dispute.with_user(user).read(["words"])
                    with self.assertRaises(AccessError):
                        dispute.attachment_ids.with_user(user).read(["raw"])
                    continue
                self.assertEqual(seen.words, "It was less")
                self.assertEqual([name for _id, name in seen._portal_files()], ["proof.pdf"])
                for fname in (
                    "attachment_ids",
                    "credit_note_id",
                    "answered_by_id",
                    "activity_id",
                    "charge_held",
                    "resume_on",
                ):
                    with self.assertRaises(AccessError):
                        seen.read([fname])

    def test_employees_who_do_not_bill_read_nothing(self):
        dispute = self._object(self._lines(self._billed()), files=[("proof.pdf", PDF)])
        employee = self._new_user("employee", "base.group_user")
        with self.assertRaises(AccessError):
            dispute.with_user(employee).read(["words"])
        with self.assertRaises(AccessError):
            dispute.attachment_ids.with_user(employee).read(["raw"])

    def test_nobody_writes_it_by_hand(self):
        dispute = self._object(self._lines(self._billed()))
        manager = self._new_user("manager", "invoice_portal.group_billing_manager,base.group_system")
        for user in (self.client_user, self.biller, manager):
            with self.subTest(user.login):
                mine = dispute.with_user(user)
                for operation in ("write", "create", "unlink"):
                    self.assertFalse(mine.has_access(operation))
                for values in ({"state": "accepted"}, {"amount": 1}, {"answer": "Yes"}):
                    with self.assertRaises(UserError):
                        mine.write(values)
                with self.assertRaises(AccessError):
                    mine.unlink()
                with self.assertRaises(UserError):
                    mine.create({"line_id": dispute.line_id.id, "amount": 1, "kind": "other", "words": "x"})
        for forged in (dispute.sudo(), dispute.sudo().with_context(billing_grant=True)):
            with self.assertRaises(UserError):
                forged.write({"state": "accepted"})
        self.assertEqual(dispute.state, "open")

    def test_who_may_object(self):
        invoice = self._billed(100, 100)
        first, second = self._lines(invoice)
        self._object(first, user=self.sibling)
        for user in (self.stranger, self.biller, self._new_user("clerk", "account.group_account_invoice")):
            with self.subTest(user.login), self.assertRaises(UserError):
                self._object(second, 10, user=user)
        self.assertEqual(len(invoice.billing_dispute_ids), 1)

    def test_a_line_of_another_invoice_is_refused_with_it(self):
        other = self._finalized(self._new_charge(partner_id=self.other_client.id))
        with self.assertRaises(AccessError):
            self._object(self._lines(other), 10)
        mine, foreign = self._billed(), self._lines(other)
        self.assertIn("no such item", mine.with_user(self.client_user)._billing_why_not_object(foreign))

    def test_what_is_refused(self):
        line = self._lines(self._billed())
        whole = line._billing_contestable()
        self.assertEqual(whole, line.price_total)
        for problem, values in (
            ("zero", {"amount": 0}),
            ("below zero", {"amount": -5}),
            ("next to nothing", {"amount": 0.001}),
            ("no number", {"amount": float("nan")}),
            ("infinite", {"amount": float("inf")}),
            ("huge", {"amount": 1e300}),
            ("too much", {"amount": whole + 0.01}),
            ("text", {"amount": "10"}),
            ("no words", {"words": "  "}),
            ("too many words", {"words": "x" * (MOST_WORDS + 1)}),
            ("a null character", {"words": "a\0b"}),
            ("no reason", {"kind": ""}),
            ("an unknown reason", {"kind": "because"}),
            ("too many files", {"files": [("a.pdf", PDF)] * (MOST_FILES + 1)}),
            ("a large file", {"files": [("a.pdf", PDF + b"0" * MOST_BYTES)]}),
            ("an empty file", {"files": [("a.pdf", b"")]}),
            ("a page under another name", {"files": [("a.pdf", b"<html><script>alert(1)</script></html>")]}),
            ("a drawing with a script", {"files": [("a.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>')]}),
        ):
            with self.subTest(problem), self.assertRaises(UserError):
                self._object(line, **{"amount": 10, **values})
        self.assertFalse(line.billing_dispute_ids)

    def test_file_names_are_tame(self):
        dispute = self._object(self._lines(self._billed()), files=[('../"x\n' + "y" * 300 + ".exe", PDF)])
        name = dispute.attachment_ids.name
        self.assertTrue(name.endswith(".pdf") and len(name) <= 84 and not set(name) & set('/"\n'), name)

    def test_one_open_objection_per_line(self):
        line = self._lines(self._billed())
        dispute = self._object(line, 10)
        with self.assertRaisesRegex(UserError, "already"):
            self._object(line, 10)
        with self.assertRaises(UniqueViolation), mute_logger("odoo.sql_db"), self.env.cr.savepoint():
            self.env.cr.execute(
                "INSERT INTO billing_dispute (line_id, author_id, date, amount, kind, words, state)"
                " VALUES (%s, %s, now(), 1, 'other', 'x', 'open')",
                (line.id, self.client.id),
            )
        dispute.with_user(self.client_user)._withdraw_sudo()
        self.env.invalidate_all()
        self._object(line, 10)

    def test_no_more_than_the_item_comes_to_in_all(self):
        line = self._lines(self._billed())
        total = line.price_total
        self._object(line, 40)._decline("No")
        self.assertEqual(line._billing_contestable(), total - 40)
        note = self._credit(self._object(line, 30))
        self.assertEqual(note.amount_total, 30)
        self.assertEqual(line._billing_contestable(), total - 70)
        self._object(line, total - 70)._decline("No")
        with self.assertRaisesRegex(UserError, "answered already"):
            self._object(line, 1)

    def test_an_overall_discount_is_taken_off(self):
        draft = self._draft(self._new_charge("One", 100) | self._new_charge("Two", 300))
        draft.billing_discount = 10
        draft._billing_finalize()
        items = self._lines(draft).filtered(lambda line: line.price_total > 0)
        self.assertEqual(items[0]._billing_contestable(), draft.currency_id.round(items[0].price_total * 0.9))
        discount = self._lines(draft) - items
        with self.assertRaisesRegex(UserError, "no such item"):
            self._object(discount, 1)

    def test_drafts_and_void_invoices_are_not_contested(self):
        invoice = self._billed()
        line = self._lines(invoice)
        invoice._billing_void("Wrong")
        with self.assertRaisesRegex(UserError, "void"):
            self._object(line, 10)
        draft = self._draft(self._new_charge("Draft"))
        with self.assertRaises(AccessError):
            self._object(self._lines(draft), 10)

    def test_the_company_s_settings(self):
        invoice = self._billed()
        line = self._lines(invoice)
        company = self.company.sudo()
        company.billing_dispute_allowed = False
        with self.assertRaisesRegex(UserError, "contact us"):
            self._object(line, 10)
        company.billing_dispute_allowed = True
        with freeze_time(fields.Date.add(invoice.invoice_date, days=61)):
            with self.assertRaisesRegex(UserError, "60 days"):
                self._object(line, 10)
            company.billing_dispute_days = 0
            self._object(line, 10)
        self.assertTrue(line.billing_dispute_ids)

    # -- answers ------------------------------------------------------------------------------------------------------

    def test_accepted_by_a_credit_note_to_the_cent(self):
        invoice = self._billed(100, 200)
        line = self._lines(invoice)[0]
        dispute = self._object(line, 33.33)
        action = dispute.action_accept()
        note = self.env["account.move"].browse(action["res_id"])
        self.assertEqual((note.state, note.move_type, note.reversed_entry_id), ("draft", "out_refund", invoice))
        self.assertEqual(note.amount_total, 33.33)
        self.assertEqual(note.invoice_line_ids.tax_ids, line.tax_ids)
        self.assertEqual((dispute.state, invoice.billing_contested), ("open", 33.33), "until it is confirmed")
        self.assertEqual(dispute.action_accept()["res_id"], note.id, "a second click opens the same")
        before = invoice.amount_residual
        note.action_post()
        self.assertEqual((dispute.state, dispute.credit_note_id), ("accepted", note))
        self.assertEqual((invoice.billing_contested, invoice.amount_residual), (0, before - 33.33))
        self.assertFalse(invoice.activity_ids)
        mail = invoice.billing_mail_ids[0]
        self.assertIn("accepted", mail.subject)
        self.assertIn(note.name, mail.body)
        seen = dispute.with_user(self.client_user)
        self.assertEqual(seen._portal_credit_note().id, note.id)
        self.assertEqual(dispute.answered_by_id, self.biller)

    def test_every_amount_is_credited_exactly(self):
        included = self.tax.copy({"name": "Included", "amount": 21, "price_include_override": "tax_included"})
        for taxes in (
            self.env["account.tax"],
            self.tax,
            included,
            self.tax | self.tax.copy({"name": "7", "amount": 7}),
        ):
            invoice = self._finalized(
                self._new_charge("Item", 99.99, quantity=3, discount=7, tax_ids=[Command.set(taxes.ids)])
            )
            line = self._lines(invoice)
            for amount in (0.01, 0.07, 1.11, 33.33, 66.67, line.price_total):
                with self.subTest(taxes=taxes.mapped("name"), amount=amount):
                    self.assertEqual(line._billing_draft_credit_note(amount).amount_total, amount)

    def test_the_draft_credit_note_is_hidden_and_can_be_deleted(self):
        invoice = self._billed()
        dispute = self._object(self._lines(invoice))
        note = self.env["account.move"].browse(dispute.action_accept()["res_id"])
        self.assertFalse(dispute.with_user(self.client_user)._portal_credit_note())
        with self.assertRaisesRegex(UserError, "drafted"):
            invoice._billing_void("Wrong")
        note.unlink()
        self.env.invalidate_all()
        self.assertEqual((dispute.state, dispute.credit_note_waits, dispute.standing), ("open", False, "Open"))
        self._credit(dispute)
        self.assertEqual(dispute.state, "accepted")

    def test_what_was_paid_becomes_credit(self):
        invoice = self._billed()
        self._pay(invoice)
        dispute = self._object(self._lines(invoice), 40)
        self.assertEqual(invoice.billing_contested, 0, "nothing is due that could wait")
        note = self._credit(dispute)
        self.assertEqual((dispute.state, note.amount_residual), ("accepted", 40))

    def test_voiding_accepts(self):
        invoice = self._billed()
        dispute = self._object(self._lines(invoice))
        reversal = invoice._billing_void("Wrong")
        self.assertEqual((dispute.state, dispute.credit_note_id), ("accepted", reversal))

    def test_credited_by_another_way_it_is_not_credited_twice(self):
        invoice = self._billed()
        dispute = self._object(self._lines(invoice))
        wizard = (
            self.env["account.move.reversal"]
            .with_context(active_model="account.move", active_ids=invoice.ids)
            .create({"journal_id": invoice.journal_id.id})
        )
        wizard.refund_moves()
        note = wizard.new_move_ids
        note.action_post()
        self.assertEqual(dispute.action_accept()["res_id"], note.id)
        self.assertEqual((dispute.state, dispute.credit_note_id), ("accepted", note))

    def test_declined_with_words(self):
        invoice = self._billed()
        dispute = self._object(self._lines(invoice), 40)
        wizard = self.env["billing.dispute.decline"].browse(dispute.action_decline()["res_id"])
        for answer in (False, " ", "x" * (MOST_WORDS + 1)):
            wizard.answer = answer
            with self.assertRaises(UserError):
                wizard.action_confirm()
        wizard.answer = "Agreed with <b>Mr. Miller</b>"
        wizard.action_confirm()
        self.assertEqual((dispute.state, dispute.answer), ("declined", "Agreed with <b>Mr. Miller</b>"))
        self.assertFalse(invoice.activity_ids)
        self.assertIn("Agreed with &lt;b&gt;Mr. Miller&lt;/b&gt;", invoice.billing_mail_ids[0].body)
        for again in (dispute.action_accept, dispute.action_decline, wizard.action_confirm):
            with self.assertRaisesRegex(UserError, "already"):
                again()
        with self.assertRaisesRegex(UserError, "already"):
            dispute.with_user(self.client_user)._withdraw_sudo()

    def test_withdrawn_by_the_client_only(self):
        invoice = self._billed()
        dispute = self._object(self._lines(invoice))
        for user in (self.stranger, self.biller):
            with self.subTest(user.login), self.assertRaises(UserError):
                dispute.with_user(user)._withdraw_sudo()
        dispute.with_user(self.sibling)._withdraw_sudo()
        self.env.invalidate_all()
        self.assertEqual((dispute.state, invoice.billing_contested), ("withdrawn", 0))
        self.assertFalse(dispute.answered_by_id)
        self.assertFalse(invoice.activity_ids)

    def test_in_the_client_s_language(self):
        self.env["res.lang"].sudo()._activate_lang("fr_FR")
        self.client.sudo().lang = "fr_FR"
        template = self.env.ref("invoice_portal.mail_template_dispute_received").sudo()
        template.with_context(lang="fr_FR").subject = "Contestation de {{ object.name }}"
        invoice = self._billed()
        self._object(self._lines(invoice))
        self.assertEqual(invoice.billing_mail_ids.subject, f"Contestation de {invoice.name}")
        note = invoice.message_ids.filtered(lambda message: "Objection to" in (message.body or ""))
        self.assertTrue(note, "and in the staff's for the staff")

    # -- only what is contested waits ---------------------------------------------------------------------------------

    def _agree(self):
        client = self.client.with_company(self.company)
        client._billing_agree_autopay(self.card, "Agreed")

    def _autopay(self, day=None):
        with freeze_time(f"{day or fields.Date.today()} 12:00:00"), self.enter_registry_test_mode():
            self.env.ref("invoice_portal.ir_cron_billing_autopay").sudo().method_direct_trigger()
        self.env.invalidate_all()

    def _taken(self, invoice):
        return sorted(invoice.sudo().transaction_ids.filtered(lambda tx: tx.state == "done").mapped("amount"))

    def test_the_card_is_charged_for_the_rest(self):
        self._agree()
        invoice = self._billed(100, 200)
        total, part = invoice.amount_total, self._lines(invoice)[0].price_total
        dispute = self._object(self._lines(invoice)[0])
        self._autopay()
        self.assertEqual(self._taken(invoice), [total - part])
        self._autopay()
        self.assertEqual(len(self._taken(invoice)), 1)
        dispute._decline("No")
        resume = fields.Date.add(fields.Date.today(), days=GRACE_DAYS)
        self.assertEqual(invoice.billing_autopay_date, resume)
        self.assertEqual(invoice.billing_contested, part, "the client has a few days")
        self._autopay(fields.Date.subtract(resume, days=1))
        self.assertEqual(len(self._taken(invoice)), 1)
        self._autopay(resume)
        self.assertEqual(self._taken(invoice), [part, total - part])
        self.assertEqual(invoice.billing_status, "paid")

    def test_wholly_contested_the_invoice_waits(self):
        self._agree()
        invoice = self._billed()
        dispute = self._object(self._lines(invoice))
        self._autopay()
        self.assertFalse(invoice.sudo().transaction_ids)
        self.assertFalse(invoice.billing_autopay_date)
        dispute.with_user(self.client_user)._withdraw_sudo()
        self._autopay()
        self.assertEqual(self._taken(invoice), [invoice.amount_total])

    def test_what_was_not_charged_by_itself_is_not_after_an_answer(self):
        invoice = self._billed()
        self._agree()
        dispute = self._object(self._lines(invoice))
        dispute._decline("No")
        self.assertFalse(invoice.billing_autopay_date)

    def test_a_charge_that_looked_before_meets_the_objection(self):
        """Both change the row of the invoice, so that the database refuses one of them."""
        invoice = self._billed()
        before = self._written(invoice)
        self._object(self._lines(invoice), 10)
        self.assertNotEqual(self._written(invoice), before)

    def _written(self, invoice):
        self.env.cr.execute("SELECT xmin, ctid, write_date FROM account_move WHERE id = %s", (invoice.id,))
        return self.env.cr.fetchone()

    def test_staff_who_charges_is_told_and_may(self):
        invoice = self._billed(100, 200)
        part = self._lines(invoice)[0].price_total
        self._object(self._lines(invoice)[0])
        wizard = self.env["billing.card.charge"].browse(invoice.action_billing_charge_card()["res_id"])
        self.assertEqual((wizard.contested, wizard.amount), (part, invoice.amount_total - part))
        wizard.amount = invoice.amount_total
        wizard.action_charge()
        self.assertEqual(invoice.billing_status, "paid")


@tagged("post_install", "-at_install")
class TestDisputedReminder(DisputeMixin, ReminderCommon):
    def _billed_due(self, due, *prices):
        draft = self._draft(
            self.env["billing.charge"].union(
                *(self._new_charge(f"Item {price}", price, tax_ids=False) for price in prices)
            )
        )
        draft.write({"invoice_date": due, "invoice_payment_term_id": False, "invoice_date_due": due})
        draft._billing_finalize()
        return draft

    def test_only_the_rest_is_reminded_of(self):
        invoice = self._billed_due("2026-03-01", 100, 60)
        self.first.write({"fee": 5, "interest": 10})
        with freeze_time("2026-03-05 09:00:00"):
            self._object(self._lines(invoice)[1], 60)
            self._run_job()
        self.sink.messages.clear()
        self._on("2026-03-08")
        row = invoice.billing_reminder_ids
        self.assertEqual(row.amount_due, 100)
        self.assertEqual(row.interest, self.company.currency_id.round(100 * 0.10 * 7 / 365))
        body = self._body()
        self.assertIn("100.00", body)
        self.assertIn("that is contested", body)

    def test_wholly_contested_nothing_is_said_until_it_is_declined(self):
        invoice = self._billed_due("2026-03-01", 100)
        with freeze_time("2026-03-05 09:00:00"):
            dispute = self._object(self._lines(invoice))
            self._run_job()
        self.sink.messages.clear()
        for day in ("2026-03-08", "2026-03-22"):
            self._on(day)
        self.assertFalse(self.sink.messages)
        self.assertFalse(invoice.billing_reminder_ids)
        with freeze_time("2026-03-22 09:00:00"):
            self.assertIn("contested", invoice.billing_reminder_next)
            dispute._decline("No")
            self._run_job()
        self.sink.messages.clear()
        self._on("2026-03-26")
        self.assertFalse(self.sink.messages, "the client has a few days")
        self._on("2026-03-27")
        self._on("2026-03-28")
        self.assertEqual(len(self.sink.messages), 1, "and no burst of what was missed")
        self.assertEqual(self._states(invoice), {self.first: "passed", self.second: "sent"})

    def test_a_reminder_on_its_way_is_withdrawn(self):
        invoice = self._billed_due("2026-03-01", 100)
        with freeze_time("2026-03-08 09:30:00"):
            self._remind()
            self.assertEqual(invoice.billing_reminder_ids.state, "waiting")
            self._object(self._lines(invoice))
            self._run_job()
        self.env.invalidate_all()
        self.assertEqual(invoice.billing_reminder_ids.state, "withdrawn")
        self.assertIn("contested", invoice.billing_reminder_ids.reason)

    def test_the_first_instalments_are_freed_first(self):
        invoice = self._billed_due("2026-03-01", 100)
        parts = [self._part("2026-03-01", 30), self._part("2026-04-01", 70)]
        for amount, left in ((0, [30, 70]), (20, [10, 70]), (30, [70]), (50, [50]), (100, []), (200, [])):
            with self.subTest(amount):
                self.assertEqual([part.amount for part in invoice._billing_less(parts, amount)], left)

    def _part(self, day, amount):
        return Instalment(self._date(day), amount, amount)


@tagged("post_install", "-at_install")
class TestDisputePortal(DisputeMixin, ReminderCommon, HttpCase):
    def setUp(self):
        super().setUp()
        self.invoice = self._billed(100, 200)
        self.line = self._lines(self.invoice)[0]
        self.url = f"/my/invoices/{self.invoice.id}/object/{self.line.id}"

    def _login(self, user):
        self.authenticate(user.login, user.login)

    def _send(self, url=None, csrf=True, files=(), **values):
        data = {"kind": "amount", "words": "It was less", "amount": "40", **values}
        if csrf:
            data["csrf_token"] = Request.csrf_token(self)
        self.env.flush_all()
        response = self.url_open(
            url or self.url, data=data, files=[("files", file) for file in files], allow_redirects=False
        )
        self.env.invalidate_all()
        return response

    def _disputes(self):
        return self.env["billing.dispute"].search([("move_id", "=", self.invoice.id)])

    def test_object_and_withdraw(self):
        self._login(self.client_user)
        page = self.url_open(self.url).text
        self.assertIn(self.invoice.name, page)
        self.assertIn("Item 1", page)
        self.assertIn("115.00", page)
        answer = self._send(files=[("proof.pdf", PDF, "text/html")])
        self.assertEqual(answer.status_code, 303)
        dispute = self._disputes()
        self.assertEqual((dispute.amount, dispute.kind, dispute.words), (40, "amount", "It was less"))
        self.assertEqual(dispute.attachment_ids.mimetype, "application/pdf")
        again = self._send(words="Once more")
        self.assertEqual((again.status_code, self._disputes()), (303, dispute), "a second click is harmless")
        self.assertIn("already", self.url_open(self.url).text)
        base = f"/my/invoices/{self.invoice.id}/objections/{dispute.id}"
        file = self.url_open(f"{base}/files/{dispute.attachment_ids.id}")
        self.assertEqual(file.content, PDF)
        self.assertIn("attachment", file.headers["Content-Disposition"])
        for _click in range(2):
            self.assertEqual(self._send(f"{base}/withdraw").status_code, 303)
            self.assertEqual(dispute.state, "withdrawn")

    def test_tried_again_by_the_database_the_files_are_sent_again(self):
        self._login(self.client_user)
        first = []
        genuine = type(self.env["billing.dispute"])._object_sudo

        def once_in_conflict(records, *args):
            if not first:
                first.append(True)
                raise ConcurrencyError
            return genuine(records, *args)

        with (
            patch.object(type(self.env["billing.dispute"]), "_object_sudo", once_in_conflict),
            mute_logger("odoo.service.model"),
        ):
            files = [("a.pdf", PDF, "application/pdf"), ("b.pdf", PDF, "application/pdf")]
            self.assertEqual(self._send(files=files).status_code, 303)
        self.assertEqual(len(self._disputes().attachment_ids), 2)

    def test_mistakes_are_said_and_what_was_typed_is_kept(self):
        self._login(self.client_user)
        for values, said in (
            ({"amount": "115.01"}, "At most"),
            ({"amount": "nan"}, "above zero"),
            ({"amount": "much"}, "above zero"),
            ({"amount": "1e400"}, "above zero"),
            ({"words": ""}, "few words"),
            ({"kind": "x"}, "reason"),
            ({"words": "<script>alert(1)</script>" + "x" * 2000}, "characters long"),
        ):
            with self.subTest(values):
                answer = self._send(**values)
                self.assertEqual(answer.status_code, 422)
                self.assertIn(said, answer.text)
                self.assertIn(values.get("words", "It was less")[25:60], answer.text)
                self.assertNotIn("<script>alert(1)", answer.text)
        answer = self._send(files=[("page.pdf", b"<html/>", "application/pdf")])
        self.assertIn("neither a PDF", answer.text)
        self.assertEqual(self._send(amount="12,5").status_code, 303)
        self.assertEqual(self._disputes().amount, 12.5)

    def test_who_reaches_the_routes(self):
        dispute = self._object(self.line, 10, files=[("proof.pdf", PDF)])
        base = f"/my/invoices/{self.invoice.id}"
        file = f"{base}/objections/{dispute.id}/files/{dispute.attachment_ids.id}"
        withdraw = f"{base}/objections/{dispute.id}/withdraw"
        elsewhere = self._new_company("Elsewhere")
        expelled = self._new_portal_user(self.client, "acmeelsewhere")
        expelled.sudo().write({"company_id": elsewhere.id, "company_ids": [Command.set(elsewhere.ids)]})
        token = self.invoice.sudo()._portal_ensure_token()
        self.env.flush_all()
        for user, form, download in (
            (self.client_user, 200, 200),
            (self.sibling, 200, 200),
            (self.stranger, 404, 404),
            (expelled, 404, 404),
            (None, 303, 303),
        ):
            with self.subTest(user and user.login):
                self.authenticate(*(user.login, user.login) if user else (None, None))
                for suffix in ("", f"?access_token={token}"):
                    page = self.url_open(self.url + suffix, allow_redirects=False)
                    self.assertEqual(page.status_code, form)
                    if not user:
                        self.assertIn("/web/login", page.headers["Location"])
                self.assertEqual(self.url_open(file, allow_redirects=False).status_code, download)
                if form != 200:
                    second = self._lines(self.invoice)[1]
                    for url in (
                        withdraw,
                        f"{base}/object/{second.id}",
                        f"{base}/object/{second.id}?access_token={token}",
                    ):
                        self.assertEqual(self._send(url).status_code, form, url)
                    self.assertEqual((self._disputes(), dispute.state), (dispute, "open"))
        self._login(self.sibling)
        self.assertEqual(self._send(withdraw).status_code, 303)
        self.assertEqual(dispute.state, "withdrawn")

    def test_what_does_not_belong_together_is_not_found(self):
        self._login(self.client_user)
        other = self._billed(50)
        dispute = self._object(self.line, 10, files=[("proof.pdf", PDF)])
        foreign = self._finalized(self._new_charge(partner_id=self.other_client.id))
        draft = self._draft(self._new_charge("Draft"))
        mail_file = self.env["ir.attachment"].sudo().create({"name": "x", "raw": b"x"})
        base = f"/my/invoices/{self.invoice.id}"
        self.env.flush_all()
        for url in (
            f"/my/invoices/{other.id}/object/{self.line.id}",
            f"{base}/object/{self._lines(foreign).id}",
            f"/my/invoices/{foreign.id}/object/{self._lines(foreign).id}",
            f"/my/invoices/{draft.id}/object/{self._lines(draft).id}",
            f"{base}/object/0",
            f"/my/invoices/{other.id}/objections/{dispute.id}/files/{dispute.attachment_ids.id}",
            f"{base}/objections/{dispute.id}/files/{mail_file.id}",
            f"/web/content/{dispute.attachment_ids.id}",
        ):
            with self.subTest(url):
                self.assertEqual(self.url_open(url, allow_redirects=False).status_code, 404)
        for url in (
            f"/my/invoices/{other.id}/objections/{dispute.id}/withdraw",
            f"/my/invoices/{other.id}/object/{self.line.id}",
        ):
            self.assertEqual(self._send(url).status_code, 404)
        self.assertEqual(dispute.state, "open")

    def test_the_page_of_the_invoice_shows_each_step(self):
        url = f"/my/invoices/{self.invoice.id}"
        offer = f"/my/invoices/{self.invoice.id}/object/{self.line.id}"
        token = self.invoice.sudo()._portal_ensure_token()
        self.env.flush_all()
        self.assertIn(offer, self.url_open(f"{url}?access_token={token}").text)
        self._login(self.client_user)
        self.assertIn(offer, self.url_open(url).text)
        self._send()
        for user, reads in ((self.sibling, True), (None, False), (self.biller, False)):
            with self.subTest(user and user.login):
                self.authenticate(*(user.login, user.login) if user else (None, None))
                page = self.url_open(f"{url}?access_token={token}").text
                self.assertIn(self.invoice.name, page)
                self.assertEqual("It was less" in page, reads)
                self.assertEqual("/withdraw" in page, reads)
        self._login(self.client_user)
        page = self.url_open(url).text
        self.assertIn("We look into it", page)
        self.assertNotIn(offer, page)
        dispute = self._disputes()
        note = self.env["account.move"].browse(dispute.action_accept()["res_id"])
        self.env.flush_all()
        page = self.url_open(url).text
        self.assertNotIn(f"/my/invoices/{note.id}", page, "a draft stays hidden")
        self.assertIn("Being credited", page)
        self.assertIn("Until you have it", page)
        self.assertNotIn("We look into it", page)
        self.assertRegex(self._overview(self.client_user), r"Item 1 Being credited \$ 40.00")
        self.assertEqual(dispute.standing, "Being credited", "for staff, too")
        note.action_post()
        self.env.flush_all()
        page = self.url_open(url).text
        self.assertIn(f"/my/invoices/{note.id}", page)
        self.assertIn(note.name, page)
        self.assertNotIn("We look into it", page)

    def _overview(self, user):
        return self._read(user, "/my/billing")

    def _read(self, user, path):
        self._login(user)
        self.env.flush_all()
        main = html.fromstring(self.url_open(path).text).find(".//main")
        return " ".join(" ".join(main.itertext()).split())

    def test_the_overview_says_what_need_not_be_paid_for_now(self):
        other = self._billed(100)
        self.assertNotIn("contested", self._overview(self.client_user))
        dispute = self._object(self.line, 40)
        for user in (self.client_user, self.sibling):
            page = self._overview(user)
            self.assertRegex(page, r"To pay \$ 460.00 2 invoices")
            self.assertRegex(page, r"\$ 40.00 of it is contested, and need not be paid")
            self.assertRegex(page, rf"Your objections .*{self.invoice.name} Item 1 Open \$ 40.00")
            self.assertNotIn("of it is contested. Your credit", page)
            self.assertNotIn(f"{other.name} Item", page)
        self.assertIn(
            f'href="/my/invoices/{self.invoice.id}#objections-{self.line.id}"', self.url_open("/my/billing").text
        )
        page = self._overview(self.stranger)
        self.assertNotIn("contested", page)
        self.assertNotIn(self.invoice.name, page)
        self._object(self._lines(other)[0])
        with freeze_time(fields.Datetime.now() + timedelta(days=90)):
            page = self._overview(self.client_user)
            self.assertRegex(page, r"Overdue \$ 460.00 2 invoices \$ 155.00 of it is contested")
        dispute._decline("As agreed")
        page = self._overview(self.client_user)
        self.assertRegex(page, r"\$ 155.00 of it is contested", "nobody presses the client for it yet")
        self.assertRegex(page, r"Item 1 Declined \$ 40.00")
        with freeze_time(fields.Datetime.now() + timedelta(days=GRACE_DAYS + 3)):
            page = self._overview(self.client_user)
            self.assertRegex(page, r"\$ 115.00 of it is contested")
            self.assertNotIn("Declined", page)

    def test_the_page_to_pay_says_what_need_not_be_paid_for_now(self):
        self.env["ir.config_parameter"].sudo().set_param("account_payment.enable_portal_payment", "True")
        self.company.sudo().billing_portal_partial = False
        other = self._billed(100)
        self.assertNotIn("contested", self._read(self.client_user, "/my/invoices/pay"))
        self._object(self.line, 40)
        page = self._read(self.client_user, "/my/invoices/pay")
        self.assertRegex(page, rf"{self.invoice.name} \$ 40.00 of it is contested, and need not be paid for now")
        self.assertRegex(page, r"Total \$ 460.00 Of it contested \$ 40.00 \$ 40.00 of the total is contested")
        self.assertNotIn(f"{other.name} $", page)
        self.assertNotIn("paid in part", page)
        self.company.sudo().billing_portal_partial = True
        self.assertIn("paid in part", self._read(self.client_user, "/my/invoices/pay"))
        (without,) = html.fromstring(self.url_open("/my/invoices/pay").text).xpath(
            "//a[contains(., 'with objections')]/@href"
        )
        page = self._read(self.client_user, without)
        self.assertRegex(page, r"Total \$ 115.00")
        self.assertNotIn(self.invoice.name, page)
        page = self._read(self.client_user, f"/my/invoices/pay?invoice={self.invoice.id}")
        self.assertIn("40.00 of the total is contested", page)
        self.assertNotIn("with objections", page, "There is none without")

    def test_what_is_contested_of_a_paid_invoice_waits_for_an_answer_only(self):
        self._pay(self.invoice)
        self._object(self.line, 40)
        page = self._overview(self.client_user)
        self.assertNotIn("of it is contested", page)
        self.assertRegex(page, r"Item 1 Open \$ 40.00")

    def test_the_overview_asks_no_more_of_the_database_for_more_objections(self):
        counts = []
        for line in self._lines(self.invoice):
            self._object(line, 10)
            self._overview(self.client_user)
            before = self.env.cr.sql_log_count
            self.url_open("/my/billing")
            counts.append(self.env.cr.sql_log_count - before)
        self.assertLessEqual(counts[1], counts[0] + 1)

    def test_the_page_asks_no_more_of_the_database_for_more_objections(self):
        self._login(self.client_user)
        url = f"/my/invoices/{self.invoice.id}"
        self.url_open(url)
        counts = []
        for line in self._lines(self.invoice):
            self._object(line, 10)
            self.env.flush_all()
            before = self.env.cr.sql_log_count
            self.url_open(url)
            counts.append(self.env.cr.sql_log_count - before)
        self.assertLessEqual(counts[1], counts[0] + 1)

    def test_forged_forms_are_refused(self):
        self._login(self.client_user)
        with mute_logger("odoo.http"):
            self.assertEqual(self._send(csrf=False).status_code, 400)
        self.assertFalse(self._disputes())
        dispute = self._object(self.line, 10)
        with mute_logger("odoo.http"):
            url = f"/my/invoices/{self.invoice.id}/objections/{dispute.id}/withdraw"
            self.assertEqual(self._send(url, csrf=False).status_code, 400)
        self.assertEqual(dispute.state, "open")

    def test_staff_does_not_object_for_a_client(self):
        self._login(self.biller)
        self.assertIn("Only the client", self.url_open(self.url).text)
        self.assertEqual(self._send().status_code, 422)
        self.assertFalse(self._disputes())

    def test_after_the_days_or_where_it_is_off_the_page_says_so(self):
        self._login(self.client_user)
        self.company.sudo().billing_dispute_allowed = False
        self.env.flush_all()
        page = self.url_open(self.url).text
        self.assertIn("contact us", page)
        self.assertNotIn("objection_words", page)
        self.assertEqual(self._send().status_code, 422)

    def test_after_the_days_each_item_says_until_when_it_could_be_contested(self):
        self.company.sudo().billing_dispute_days = 30
        path, words = f"/my/invoices/{self.invoice.id}", "Could be objected to until"
        token = self.invoice._portal_ensure_token()
        self.assertNotIn(words, self._read(self.client_user, path))
        self._object(self._lines(self.invoice)[1])
        until = format_date(self.env, self.invoice.invoice_date + timedelta(days=30))
        with freeze_time(fields.Datetime.now() + timedelta(days=40)):
            page = self._read(self.client_user, path)
            self.assertEqual(page.count(f"{words} {until}"), 1, "The other one is contested")
            self.assertNotIn("Object to this item", page)
            self.authenticate(None, None)
            self.assertEqual(self.url_open(f"{path}?access_token={token}").text.count(words), 2)
        self.company.sudo().billing_dispute_allowed = False
        with freeze_time(fields.Datetime.now() + timedelta(days=40)):
            self.assertNotIn(words, self._read(self.client_user, path))


@tagged("post_install", "-at_install")
class TestDisputeTour(DisputeMixin, ReminderCommon, HttpCase):
    def test_objected_declined_and_read(self):
        invoice = self._billed(100, 200)
        url = f"/my/invoices/{invoice.id}"
        line = self._lines(invoice)[0]
        self.start_tour(url, "billing_dispute_object", login=self.client_user.login)
        dispute = self.env["billing.dispute"].search([("line_id", "=", line.id)])
        self.assertEqual((dispute.amount, dispute.state), (15, "open"))
        self.start_tour(
            f"/odoo/action-invoice_portal.action_billing_invoices/{invoice.id}",
            "billing_dispute_decline",
            login=self.biller.login,
        )
        self.env.invalidate_all()
        self.assertEqual((dispute.state, dispute.answer), ("declined", "Agreed on the phone"))
        self.start_tour(url, "billing_dispute_answer", login=self.client_user.login)
