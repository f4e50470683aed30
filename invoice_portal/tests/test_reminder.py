from datetime import date
from unittest.mock import patch

from freezegun import freeze_time
from psycopg2.errors import CheckViolation, UniqueViolation

from odoo import Command, fields
from odoo.exceptions import AccessError, UserError
from odoo.tests import Form, tagged
from odoo.tools import mute_logger

from ..tools.interest import Overdue, interest
from .common import BillingCommon
from .test_send import QUIET, SendCommon

LOGGER = "odoo.addons.invoice_portal.models.billing_reminder"
MORNING = "09:30:00"


class ReminderCommon(SendCommon):
    """Three levels, 7, 21 and 35 days after the due date, and a company that reminds."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        admin = cls.env(su=True)
        admin["res.company"].search([]).billing_reminders = False
        cls.company.sudo().write({"billing_reminders": True})
        cls.first, cls.second, cls.last = (
            cls.env.ref(f"invoice_portal.billing_reminder_level_{name}").sudo() for name in ("first", "second", "last")
        )
        cls.notice = cls.env.ref("invoice_portal.billing_reminder_level_notice").sudo()

    def setUp(self):
        super().setUp()
        # Of the demo business, nobody is reminded here.
        self.env["account.move"].sudo().search(
            [("company_id", "=", self.company.id), ("state", "=", "posted"), ("create_uid", "!=", self.env.uid)]
        )

    @classmethod
    def _invoice(cls, due="2026-03-01", name="Support", price=100, client=None, **values):
        draft = cls._draft(cls._new_charge(name, price, tax_ids=False, partner_id=(client or cls.client).id, **values))
        draft.write({"invoice_date": due, "invoice_payment_term_id": False, "invoice_date_due": due})
        draft._billing_finalize()
        return draft

    def _remind(self):
        self._run_job("invoice_portal.ir_cron_billing_reminder")
        self.env.invalidate_all()

    def _on(self, day, hour=MORNING):
        """The jobs as they find the world that day: what is due is written down, leaves, and has its consequences."""
        with freeze_time(f"{day} {hour}"):
            self._remind()
            self._run_job()
            self._remind()

    def _states(self, invoice):
        rows = self.env["billing.reminder"].search([("move_id", "=", invoice.id)])
        return {row.level_id: row.state for row in rows}

    def _subjects(self):
        return [taken["message"]["Subject"] for taken in self.sink.messages]

    def _body(self, number=0):
        return self.sink.messages[number]["message"].get_body(("html",)).get_content()

    def _charges(self, invoice):
        return self.env["billing.charge"].search([("reminder_id.move_id", "=", invoice.id)], order="id")


@tagged("post_install", "-at_install")
class TestReminder(ReminderCommon):
    def test_each_level_on_its_day_and_once(self):
        invoice = self._invoice("2026-03-01")
        for day, said in (
            ("2026-03-07", 0),
            ("2026-03-08", 1),
            ("2026-03-09", 1),
            ("2026-03-21", 1),
            ("2026-03-22", 2),
            ("2026-04-05", 3),
            ("2026-04-06", 3),
            ("2027-04-06", 3),
        ):
            with self.subTest(day):
                self._on(day)
                self._on(day)
                self.assertEqual(len(self.sink.messages), said)
        self.assertEqual(self._states(invoice), dict.fromkeys(self.first | self.second | self.last, "sent"))
        self.assertEqual([taken["to"] for taken in self.sink.messages], [[self.client.email]] * 3)
        for subject, start in zip(self._subjects(), ("Reminder", "Second reminder", "Last reminder"), strict=True):
            self.assertTrue(subject.startswith(f"{start}: {invoice.name}"), subject)
        row = invoice.billing_reminder_ids.filtered(lambda row: row.level_id == self.second)
        self.assertEqual((str(row.date), row.days, row.amount_due, row.partner_id), ("2026-03-22", 21, 100, self.client))

    def test_nothing_is_said_unless_the_company_wants_it(self):
        self.company.sudo().billing_reminders = False
        self._invoice("2026-03-01")
        self._on("2026-05-01")
        self.assertFalse(self.sink.messages)
        self.assertFalse(self.env["billing.reminder"].search([]))

    def test_installed_it_is_off(self):
        self.assertFalse(self._new_company("Fresh").sudo().billing_reminders)

    def test_what_is_long_overdue_gets_its_highest_level_only(self):
        invoice = self._invoice("2026-01-01")
        self._on("2026-01-25")
        self.assertEqual(self._states(invoice), {self.first: "passed", self.second: "sent"})
        self._on("2026-01-26")
        self.assertEqual(len(self.sink.messages), 1)
        self._on("2026-02-07")
        self.assertEqual(len(self.sink.messages), 1, "the client has as long as between the two levels")
        self._on("2026-02-08")
        self.assertEqual(self._states(invoice)[self.last], "sent")

    def test_a_level_that_was_missed_never_goes_out_later(self):
        invoice = self._invoice("2026-01-01")
        self._on("2026-02-20")
        self.assertEqual(
            self._states(invoice), {self.first: "passed", self.second: "passed", self.last: "sent"}
        )
        new = self.second.copy({"name": "In between", "days": 30})
        self._on("2026-02-21")
        self.assertEqual(len(self.sink.messages), 1)
        self.assertNotIn(new, self._states(invoice))

    def test_older_debts_are_left_out(self):
        self.company.sudo().billing_reminder_from = "2026-01-15"
        old, new = self._invoice("2026-01-14"), self._invoice("2026-01-15")
        self._on("2026-01-25")
        self.assertFalse(self._states(old))
        self.assertEqual(self._states(new), {self.first: "sent"})
        self.assertIn(old.name, self._body(), "but the client reads all that is overdue")

    def test_trifles_are_left_out(self):
        self.company.sudo().billing_reminder_minimum = 10
        trifle, debt = self._invoice(price=9.99), self._invoice(price=10, client=self.other_client)
        self._on("2026-03-10")
        self.assertEqual((self._states(trifle), self._states(debt)), ({}, {self.first: "sent"}))

    def test_the_database_knows_each_level_once(self):
        invoice = self._invoice()
        self._on("2026-03-10")
        with self.assertRaises(UniqueViolation), mute_logger("odoo.sql_db"), self.env.cr.savepoint():
            invoice.billing_reminder_ids.sudo().copy()

    def test_whoever_is_slower_finds_that_it_was_said(self):
        """Of two workers the second one plans by what it saw before the first one committed."""
        invoice = self._invoice()
        with freeze_time(f"2026-03-10 {MORNING}"):
            Reminder = self.env["billing.reminder"].sudo()
            letters, _left_out = Reminder._due_letters(self.company)
            Reminder._say(letters)
            self.env.flush_all()
            blind = patch.object(self.env.registry["billing.reminder"], "search", lambda self, *a, **k: self.browse())
            with (
                blind,
                patch.object(
                    self.env.registry["billing.reminder"], "_due_letters", lambda *args: (letters, {})
                ),
                mute_logger("odoo.sql_db"),
            ):
                Reminder.with_context(allowed_company_ids=self.company.ids)._remind_batch(self.client.ids)
            self.env.invalidate_all()
        self.assertEqual(len(invoice.billing_reminder_ids), 1)
        self.assertEqual(len(invoice.billing_mail_ids), 1, "the slower one's mail is gone with its transaction")
