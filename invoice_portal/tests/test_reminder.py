from datetime import date
from unittest.mock import patch

from freezegun import freeze_time
from psycopg2.errors import CheckViolation, UniqueViolation

from odoo import Command
from odoo.exceptions import AccessError, UserError
from odoo.tests import Form, tagged
from odoo.tools import mute_logger

from ..tools.interest import Overdue, interest
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
        self.assertEqual((str(row.date), row.days, row.amount_due), ("2026-03-22", 21, 100))

    def test_nothing_is_said_unless_the_company_wants_it(self):
        self.company.sudo().billing_reminders = False
        self._invoice("2026-03-01")
        self._on("2026-05-01")
        self.assertFalse(self.sink.messages)
        self.assertFalse(self.env["billing.reminder"].search([]))

    @mute_logger("odoo.sql_db")
    def test_levels_stay_within_what_a_calendar_and_a_ledger_hold(self):
        for values in ({"days": -1_000_000}, {"days": 4000}, {"fee": 1e13}, {"interest": 1e9}):
            with self.subTest(values), self.assertRaises(CheckViolation), self.env.cr.savepoint():
                self.last.write(values)
                self.last.flush_recordset()

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
        self.assertEqual(self._states(invoice), {self.first: "passed", self.second: "passed", self.last: "sent"})
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
                patch.object(self.env.registry["billing.reminder"], "_due_letters", lambda *args: (letters, {})),
                mute_logger("odoo.sql_db"),
            ):
                Reminder.with_context(allowed_company_ids=self.company.ids)._remind_batch(self.client.ids)
            self.env.invalidate_all()
        self.assertEqual(len(invoice.billing_reminder_ids), 1)
        self.assertEqual(len(invoice.billing_mail_ids), 1, "the slower one's mail is gone with its transaction")

    def test_what_another_worker_is_at_is_left_to_it(self):
        """Of two connections, one holds the client: the other one passes it by, and does not wait."""
        partner = self.env.ref("base.main_partner")
        worked = []
        with self.registry.cursor() as other:
            other.execute("SELECT 1 FROM res_partner WHERE id = %s FOR NO KEY UPDATE", [partner.id])
            with patch.object(
                self.env.registry["billing.reminder"],
                "_remind",
                lambda _self, _company, clients: worked.append(clients),
            ):
                self.env["billing.reminder"].sudo()._remind_batch([partner.id, self.client.id])
        self.assertEqual(worked, [self.client.sudo()])


@tagged("post_install", "-at_install")
class TestReminderMail(ReminderCommon):
    def test_several_invoices_are_one_mail(self):
        self.client.write({"billing_email_cc": "copy@client.example", "billing_email_bcc": "audit@firm.example"})
        long_ago, lately = self._invoice("2026-02-01", price=300), self._invoice("2026-02-20", price=50)
        younger = self._invoice("2026-02-26", price=7)
        not_due = self._invoice("2026-04-01", price=1000)
        self._on("2026-03-01")
        (taken,) = self.sink.messages
        message = taken["message"]
        self.assertEqual(taken["to"], [self.client.email, "copy@client.example", "audit@firm.example"])
        self.assertEqual(message["Cc"], "copy@client.example")
        self.assertNotIn(b"audit@firm.example", taken["raw"])
        self.assertTrue(message["Subject"].startswith(f"Second reminder: {long_ago.name} and 2 more"))
        body = self._body()
        for invoice in (long_ago, lately, younger):
            self.assertIn(f"/my/invoices/{invoice.id}?access_token={invoice.sudo().access_token}", body)
            self.assertIn(invoice.name, body)
        self.assertIn("357.00", body, "what is due in all")
        self.assertNotIn(not_due.name, body)
        self.assertEqual(self._states(long_ago), {self.first: "passed", self.second: "sent"})
        self.assertEqual(self._states(lately), {self.first: "sent"})
        self.assertEqual(self._states(younger), {}, "listed, but no level is due")
        mail = long_ago.billing_mail_ids
        self.assertEqual((mail.kind, mail.shared_move_ids), ("reminder", lately))
        self.assertEqual(lately.billing_reader_ids, mail.recipient_ids)
        self._on("2026-03-05")
        self.assertEqual(len(self.sink.messages), 2)
        self.assertEqual(self._states(younger), {self.first: "sent"})

    def test_other_readers_and_other_money_get_another_mail(self):
        self.project.sudo().billing_email_to = "team@client.example"
        euro = self.env.ref("base.EUR")
        euro.sudo().active = True
        self._invoice()
        self._invoice(project_id=self.project.id)
        self._invoice(currency_id=euro.id)
        self._invoice(client=self.other_client)
        self._on("2026-03-10")
        self.assertCountEqual(
            [taken["to"] for taken in self.sink.messages],
            [[self.client.email], ["team@client.example"], [self.client.email], [self.other_client.email]],
        )

    def test_in_the_language_of_the_client(self):
        self.env["res.lang"].sudo()._activate_lang("de_DE")
        template = self.first.template_id
        template.with_context(lang="de_DE").subject = "Erinnerung: {{ object._billing_reminder_numbers() }}"
        self.client.sudo().lang = "de_DE"
        invoice = self._invoice(price=1234.5)
        self._on("2026-03-10")
        self.assertEqual(self._subjects(), [f"Erinnerung: {invoice.name}"])
        self.assertIn("1.234,50", self._body())
        self.assertIn("01.03.2026", self._body())

    def test_odoo_may_try_the_texts_on_any_entry(self):
        """It does whenever one is written, also when the addon is installed."""
        draft = self._draft(self._new_charge())
        entries = draft | self._invoice() | draft.sudo().create([{"move_type": "entry"}, {"move_type": "in_invoice"}])
        levels = (self.notice | self.first | self.second | self.last).with_context(active_test=False)
        for template in levels.template_id:
            for entry in entries:
                for field in ("subject", "body_html"):
                    text = template._render_field(field, entry.ids, options={"post_process": True})[entry.id]
                    self.assertTrue(text)
        self.assertFalse(draft.sudo().access_token)

    def test_how_to_pay(self):
        invoice = self._invoice()
        bank = (
            self.env["res.partner.bank"]
            .sudo()
            .create(
                {
                    "acc_number": "NL91 ABNA 0417 1643 00",
                    "partner_id": self.company.partner_id.id,
                    "allow_out_payment": True,
                }
            )
        )
        invoice.sudo().env.cr.execute(
            "UPDATE account_move SET partner_bank_id = %s WHERE id = %s", [bank.id, invoice.id]
        )
        invoice.invalidate_recordset()
        self._on("2026-03-10")
        body = self._body()
        self.assertIn("NL91 ABNA 0417 1643 00", body)
        self.assertIn(invoice.payment_reference, body)
        self.assertIn("View and pay the invoice", body)

    def test_the_conversation_shows_it_to_staff_only(self):
        invoice = self._invoice()
        self._on("2026-03-10")
        message = invoice.message_ids.filtered(lambda message: message.message_type == "email_outgoing")
        self.assertTrue(message.subtype_id.internal)

    def test_paid_before_it_left(self):
        paid, owed = self._invoice("2026-02-01"), self._invoice("2026-02-20", price=50)
        with freeze_time(f"2026-03-01 {MORNING}"):
            self._remind()
            self.assertEqual(set(self._states(paid).values()), {"waiting", "passed"})
            self._pay(paid)
            self._run_job()
        (taken,) = self.sink.messages
        self.assertNotIn(paid.name, self._body())
        self.assertTrue(taken["message"]["Subject"].startswith(f"Reminder: {owed.name}"), "at the level of the rest")
        self.assertEqual(self._states(paid)[self.second], "withdrawn")
        self.assertEqual(self._states(owed), {self.first: "sent"})
        self.assertEqual(owed.billing_mail_ids.move_id, owed)

    def test_all_paid_before_it_left(self):
        invoice = self._invoice()
        with freeze_time(f"2026-03-10 {MORNING}"):
            self._remind()
            self._pay(invoice)
            self._run_job()
            self._remind()
        self.assertFalse(self.sink.messages)
        self.assertEqual(self._states(invoice), {self.first: "withdrawn"})
        self.assertFalse(invoice.billing_undelivered, "nobody has to see to it")

    def test_paid_while_it_was_being_sent(self):
        """Between the text and the server."""
        invoice = self._invoice()
        Mail = self.env.registry["billing.mail"]
        prepare = Mail._prepare_mail_mail
        with freeze_time(f"2026-03-10 {MORNING}"):
            self._remind()

            def paid_now(mail):
                values = prepare(mail)
                if invoice.payment_state == "not_paid":
                    self._pay(invoice)
                    self.env.flush_all()
                return values

            with patch.object(Mail, "_prepare_mail_mail", paid_now), mute_logger(*QUIET):
                self._run_job()
            self._run_job()
        self.assertFalse(self.sink.messages)
        self.assertEqual(self._states(invoice), {self.first: "withdrawn"})

    @mute_logger(*QUIET)
    def test_paid_before_the_next_try(self):
        invoice = self._invoice()
        self.sink.refuse[self.client.email] = "451 greylisted"
        self._on("2026-03-10")
        self.assertEqual(self._states(invoice), {self.first: "waiting"})
        self.sink.refuse.clear()
        self._pay(invoice)
        self._on("2026-03-11")
        self.assertFalse(self.sink.messages)
        self.assertEqual(self._states(invoice), {self.first: "withdrawn"})

    @mute_logger(*QUIET)
    def test_what_was_withdrawn_may_be_said_later(self):
        invoice = self._invoice()
        with freeze_time(f"2026-03-10 {MORNING}"):
            self._remind()
            invoice._billing_reminder_set_pause(self._date("2026-03-12"), "Promised")
            self._run_job()
        self.assertEqual(self._states(invoice), {self.first: "withdrawn"})
        self._on("2026-03-12")
        self.assertFalse(self.sink.messages)
        self._on("2026-03-13")
        self.assertEqual(len(self.sink.messages), 1)
        self.assertEqual(self._states(invoice), {self.first: "sent"})

    @mute_logger(*QUIET)
    def test_who_did_not_get_it_stands_among_what_was_not_delivered(self):
        one, two = self._invoice(), self._invoice(price=50)
        self.sink.refuse[self.client.email] = "550 no such user"
        self._on("2026-03-10")
        self.assertEqual((self._states(one), self._states(two)), ({self.first: "failed"}, {self.first: "failed"}))
        for invoice in (one, two):
            self.assertTrue(invoice.billing_undelivered)
            self.assertIn("no such user", invoice.billing_undelivered_reason)
            self.assertIn(invoice, self.env["account.move"].search([("billing_undelivered", "=", True)]))
        self.assertEqual(one.billing_status, "overdue")
        self._on("2026-03-11")
        self.assertFalse(self.sink.messages, "a person decides")
        recipient = one.billing_mail_ids.recipient_ids or two.billing_mail_ids.recipient_ids
        with freeze_time(f"2026-03-11 {MORNING}"):
            action = recipient.action_send_otherwise()
            with Form(self.env[action["res_model"]].browse(action["res_id"])) as form:
                self.assertIn(self.client.email, form.to)
                form.to = "right@client.example"
            form.record.action_confirm()
        self.assertEqual([taken["to"] for taken in self.sink.messages], [["right@client.example"]])
        self.assertEqual((self._states(one), self._states(two)), ({self.first: "sent"}, {self.first: "sent"}))
        self.assertFalse(one.billing_undelivered or two.billing_undelivered)

    def test_returned_it_was_not_said(self):
        invoice = self._invoice()
        self._on("2026-03-10")
        invoice._message_receive_bounce(self.client.email, self.client)
        self.assertEqual(self._states(invoice), {self.first: "failed"})

    def test_states_are_found_and_grouped(self):
        invoice = self._invoice("2026-01-01")
        self._on("2026-01-25")
        Reminder = self.env["billing.reminder"]
        ours = [("move_id", "=", invoice.id)]
        for state in ("waiting", "sent", "passed", "withdrawn", "failed"):
            found = Reminder.search([*ours, ("state", "=", state)])
            self.assertEqual(found, invoice.billing_reminder_ids.filtered(lambda row, of=state: row.state == of))
        self.assertEqual(Reminder._read_group(ours, ["state"], ["__count"]), [("sent", 1), ("passed", 1)])


@tagged("post_install", "-at_install")
class TestReminderDue(ReminderCommon):
    def test_midnight_is_the_client_s(self):
        east = self._invoice("2026-03-01", client=self._new_client("East", tz="Pacific/Auckland"))
        west = self._invoice("2026-03-01", client=self._new_client("West", tz="America/Los_Angeles"))
        Reminder = self.env["billing.reminder"].sudo()
        # It is the 8th in Auckland from the 7th, 11:00 UTC on; in Los Angeles from the 8th, 08:00 UTC on.
        for moment, due in (
            ("2026-03-07 10:59:59", []),
            ("2026-03-07 11:00:00", [east]),
            ("2026-03-08 07:59:59", [east]),
            ("2026-03-08 08:00:00", [east, west]),
        ):
            with self.subTest(moment), freeze_time(moment):
                self.env.invalidate_all()
                letters, _left_out = Reminder._due_letters(self.company)
                self.assertEqual([item.move for letter in letters for item in letter.items], due)

    def test_it_is_said_in_the_daytime_of_the_client(self):
        self._invoice("2026-03-01", client=self._new_client("East", tz="Pacific/Auckland"))
        self._on("2026-03-07", "18:59:59")  # 07:59 on the 8th
        self.assertFalse(self.sink.messages)
        self._on("2026-03-08", "05:00:00")  # 18:00
        self.assertFalse(self.sink.messages)
        self._on("2026-03-08", "19:00:00")  # 08:00 on the 9th
        self.assertEqual(len(self.sink.messages), 1)

    def test_a_notice_comes_before_the_due_date_or_not_at_all(self):
        self.notice.active = True
        soon, missed = self._invoice("2026-03-04"), self._invoice("2026-02-27", client=self.other_client)
        self._on("2026-03-01")
        self.assertEqual(self._states(soon), {self.notice: "sent"})
        self.assertEqual(self._states(missed), {})
        self.assertIn("will soon be due", self._body())
        self._on("2026-03-10")
        self.assertEqual(self._states(missed), {self.notice: "passed", self.first: "sent"})
        self.assertEqual(self._states(soon), {self.notice: "sent"})
        self._on("2026-03-11")
        self.assertEqual(self._states(soon), {self.notice: "sent", self.first: "sent"})

    def test_instalments_fall_due_one_by_one(self):
        term = (
            self.env["account.payment.term"]
            .sudo()
            .create(
                {
                    "name": "Thirds",
                    "line_ids": [
                        Command.create({"value": "percent", "value_amount": share, "nb_days": days})
                        for share, days in ((30, 0), (30, 10), (40, 60))
                    ],
                }
            )
        )
        draft = self._draft(self._new_charge(price=1000, tax_ids=False))
        draft.write({"invoice_date": "2026-03-01", "invoice_payment_term_id": term.id})
        draft._billing_finalize()
        self._on("2026-03-08")
        row = draft.billing_reminder_ids
        self.assertEqual((row.level_id, row.amount_due), (self.first, 300))
        self.assertIn("300.00", self._body())
        self.assertIn("700.00", self._body(), "the rest is due later")
        self._on("2026-03-22")
        row = draft.billing_reminder_ids.filtered(lambda row: row.level_id == self.second)
        self.assertEqual((row.days, row.amount_due), (21, 600))
        self._pay(draft, 600)
        self._on("2026-04-20")
        self.assertEqual(len(self.sink.messages), 2, "nothing is overdue")
        self._on("2026-06-04")
        row = draft.billing_reminder_ids.filtered(lambda row: row.level_id == self.last)
        self.assertEqual((row.days, row.amount_due), (35, 400))

    def test_who_is_not_reminded(self):
        draft = self._draft(self._new_charge("Draft"))
        paid, void, disputed, excluded = (self._invoice(name=name) for name in ("Paid", "Void", "Disputed", "Excluded"))
        self._pay(paid)
        void._billing_void("Wrong")
        disputed.action_toggle_block_payment()
        self.assertEqual(disputed.payment_state, "blocked")
        excluded.sudo().no_followup = True
        credit = void.billing_void_move_id
        self._on("2026-03-20")
        self.assertFalse(self.sink.messages)
        self.assertFalse((draft | paid | void | disputed | excluded | credit).billing_reminder_ids)
        self.assertIn("dispute", disputed.billing_reminder_next)

    def test_not_while_a_payment_is_under_way(self):
        invoice = self._invoice()
        provider = self.env["payment.provider"].sudo().search([("code", "=", "none")], limit=1)
        tx = (
            self.env["payment.transaction"]
            .sudo()
            .create(
                {
                    "provider_id": provider.id,
                    "payment_method_id": self.env["payment.method"].sudo().search([], limit=1).id,
                    "amount": 100,
                    "currency_id": invoice.currency_id.id,
                    "partner_id": self.client.id,
                    "reference": "TX-1",
                    "invoice_ids": [Command.set(invoice.ids)],
                    "state": "pending",
                }
            )
        )
        with patch.object(
            self.env.registry["account.move"],
            "_billing_transactions_under_way_sudo",
            lambda move: move.sudo().transaction_ids.filtered(lambda one: one.state == "pending"),
        ):
            self._on("2026-03-10")
            self.assertFalse(self.sink.messages)
            self.assertIn("TX-1", invoice._billing_reminder_hold_reason())
            tx.state = "cancel"
            self._on("2026-03-11")
        self.assertEqual(len(self.sink.messages), 1)

    def test_another_company_minds_its_own(self):
        other = self._new_company_with_accounts("Elsewhere")
        other.sudo().billing_reminders = True
        self.first.copy({"company_id": other.id, "name": "Of the others", "days": 1})
        invoice = self._invoice()
        self._on("2026-03-03")
        self.assertFalse(self.sink.messages)
        self._on("2026-03-10")
        self.assertEqual(self._states(invoice), {self.first: "sent"})
        stranger = self._new_user(
            "stranger",
            "invoice_portal.group_billing_user",
            company_id=other.id,
            company_ids=[Command.set(other.ids)],
        )
        self.assertFalse(self.env["billing.reminder"].with_user(stranger).search([]))
        levels = self.env["billing.reminder.level"]
        self.assertIn("Of the others", levels.with_user(stranger).search([]).mapped("name"))
        self.assertNotIn("Of the others", levels.search([]).mapped("name"))

    def test_no_query_per_invoice(self):
        Reminder = self.env["billing.reminder"].sudo()

        def queries():
            self.env.flush_all()
            self.env.invalidate_all()
            before = self.cr.sql_log_count
            with freeze_time(f"2026-03-10 {MORNING}"):
                letters, _left_out = Reminder._due_letters(self.company)
            return self.cr.sql_log_count - before, sum(len(letter.items) for letter in letters)

        for number in range(3):
            self._invoice(name=f"Few {number}")
        queries()
        few = queries()
        for number in range(9):
            self._invoice(name=f"Many {number}")
        many = queries()
        self.assertEqual((few[1], many[1]), (3, 12))
        self.assertLessEqual(many[0], few[0])


@tagged("post_install", "-at_install")
class TestReminderPause(ReminderCommon):
    def _pause(self, records, until, reason="Promised to pay"):
        action = records.action_billing_reminder_pause()
        with Form(self.env[action["res_model"]].browse(action["res_id"])) as form:
            form.until = until
            form.reason = reason
        form.record.action_confirm()

    def test_an_invoice_is_paused_and_resumed_without_a_burst(self):
        paused, other = self._invoice(), self._invoice(client=self.other_client)
        with freeze_time(f"2026-03-05 {MORNING}"):
            self._pause(paused, "2026-04-30")
            self.assertIn("Promised to pay", paused.billing_reminder_next)
        self._on("2026-03-10")
        self._on("2026-03-24")
        self.assertEqual([taken["to"] for taken in self.sink.messages], [[self.other_client.email]] * 2)
        with freeze_time(f"2026-03-25 {MORNING}"):
            paused.action_billing_reminder_resume()
        self._on("2026-03-25")
        self.assertEqual(self._states(paused), {self.first: "passed", self.second: "sent"})
        self.assertEqual(len(self.sink.messages), 3)
        self.assertTrue(other.billing_reminder_ids)

    def test_a_client_is_paused_until_a_day(self):
        invoice = self._invoice()
        with freeze_time(f"2026-03-05 {MORNING}"):
            self._pause(self.client, "2026-03-22")
        self._on("2026-03-22")
        self.assertFalse(self.sink.messages)
        self._on("2026-03-23")
        self.assertEqual(self._states(invoice), {self.first: "passed", self.second: "sent"})

    def test_a_pause_has_a_reason_and_an_end(self):
        invoice = self._invoice()
        with self.assertRaisesRegex(UserError, "Say why"):
            self._pause(invoice, "2999-01-01", " ")
        with self.assertRaisesRegex(UserError, "over already"):
            self._pause(invoice, "2026-01-01")
        self._pause(invoice, "2999-01-01")
        self.assertIn("Promised to pay", invoice.message_ids[0].body)

    def test_held_ones_are_named_and_not_sent_by_hand_either(self):
        invoice = self._invoice()
        with freeze_time(f"2026-03-10 {MORNING}"):
            self._pause(invoice, "2026-04-30")
            wizard = self.env["billing.reminder.send"].browse(invoice.action_billing_remind()["res_id"])
            self.assertIn("Promised to pay", wizard.summary)
            with self.assertRaisesRegex(UserError, "Promised to pay"):
                wizard.action_confirm()


@tagged("post_install", "-at_install")
class TestReminderNow(ReminderCommon):
    def _wizard(self, records):
        return self.env["billing.reminder.send"].browse(records.action_billing_remind()["res_id"])

    def test_the_next_level_before_its_day(self):
        invoice = self._invoice("2026-03-01")
        with freeze_time(f"2026-03-03 {MORNING}"):
            self.assertEqual(invoice.billing_reminder_next, "Friendly reminder on 03/08/2026")
            wizard = self._wizard(invoice)
            self.assertIn("Friendly reminder", wizard.summary)
            self.assertIn("perhaps it slipped your mind", wizard.preview)
            self.assertFalse(invoice.billing_reminder_ids, "asking writes nothing")
            wizard.action_confirm()
            self.assertEqual(self._states(invoice), {self.first: "sent"})
            invoice.invalidate_recordset()
            self.assertEqual(invoice.billing_reminder_next, "Second reminder on 03/22/2026")
        self._on("2026-03-08")
        self.assertEqual(len(self.sink.messages), 1)
        self._on("2026-03-22")
        self.assertEqual(len(self.sink.messages), 2)

    def test_a_second_click_does_not_send_the_next_level(self):
        invoice = self._invoice()
        with freeze_time(f"2026-03-10 {MORNING}"):
            wizard = self._wizard(invoice)
            wizard.action_confirm()
            with self.assertRaisesRegex(UserError, "has changed"):
                wizard.action_confirm()
        self.assertEqual(self._states(invoice), {self.first: "sent"})

    def test_the_outlook_says_what_is_left_to_a_person(self):
        invoice = self._invoice(price=5)
        with freeze_time(f"2026-03-03 {MORNING}"):
            for values, words in (
                ({"billing_reminder_minimum": 10}, "Friendly reminder on 03/08/2026, if somebody sends it: less than"),
                ({"billing_reminder_from": "2026-03-02"}, "it was due before 03/02/2026"),
                ({"billing_reminders": False}, "reminders are turned off"),
            ):
                self.company.sudo().write(values)
                self.env.invalidate_all()
                self.assertIn(words, invoice.billing_reminder_next)

    def test_nobody_is_late_before_the_due_date(self):
        invoice = self._invoice("2026-03-10")
        with freeze_time(f"2026-03-10 {MORNING}"), self.assertRaisesRegex(UserError, "Not overdue"):
            self._wizard(invoice).action_confirm()

    def test_paid_while_the_question_was_open(self):
        invoice = self._invoice()
        with freeze_time(f"2026-03-10 {MORNING}"):
            wizard = self._wizard(invoice)
            self._pay(invoice)
            self.env.invalidate_all()
            with self.assertRaisesRegex(UserError, "nothing to say"):
                wizard.action_confirm()
        self.assertFalse(self.sink.messages)

    def test_of_a_client_all_that_is_overdue(self):
        self._invoice("2026-02-01")
        self._invoice("2026-02-20")
        with freeze_time(f"2026-03-10 {MORNING}"):
            self._wizard(self.client).action_confirm()
        self.assertEqual(len(self.sink.messages), 1)
        with self.assertRaisesRegex(UserError, "Nothing is overdue"):
            self.other_client.action_billing_remind()

    def test_what_would_be_said_today_is_what_is_said(self):
        self.client.sudo().email = False
        mute = self._invoice()
        ready = self._invoice(client=self.other_client)
        paused = self._invoice(client=self._new_client("Paused"))
        paused._billing_reminder_set_pause(self._date("2999-01-01"), "Agreed")
        with freeze_time("2026-03-10 02:00:00"):
            action = self.env["billing.reminder.due"].action_open()
        lines = {line.move_id: line for line in self.env["billing.reminder.due"].search(action["domain"])}
        self.assertEqual(lines.keys(), {mute, ready, paused})
        self.assertFalse(lines[ready].reason)
        self.assertIn("no address", lines[mute].reason)
        self.assertIn("Agreed", lines[paused].reason)
        self.assertFalse(self.env["billing.reminder"].search([]), "looking writes nothing")
        self._on("2026-03-10")
        self.assertEqual([taken["to"] for taken in self.sink.messages], [[self.other_client.email]])
        self.assertEqual(self._states(mute), {self.first: "failed"})
        self.assertIn("no address", mute.billing_reminder_ids.reason)
        self.client.sudo().email = "now@client.example"
        self._on("2026-03-11")
        self.assertEqual(self._states(mute), {self.first: "sent"})

    def test_one_client_that_fails_stops_nobody(self):
        bad, good = self._invoice(), self._invoice(client=self.other_client)
        original = self.env.registry["account.move"]._billing_reminder_hold_reason

        def poisoned(move):
            if move == bad:
                raise ZeroDivisionError("oops")
            return original(move)

        with (
            patch.object(self.env.registry["account.move"], "_billing_reminder_hold_reason", poisoned),
            mute_logger(LOGGER),
        ):
            self._on("2026-03-10")
        self.assertEqual(self._states(good), {self.first: "sent"})
        self.assertEqual(self._states(bad), {self.first: "failed"})
        self.assertIn("ZeroDivisionError: oops", bad.billing_reminder_ids.reason)
        self._on("2026-03-11")
        self.assertEqual(self._states(bad), {self.first: "sent"})


@tagged("post_install", "-at_install")
class TestReminderCosts(ReminderCommon):
    def test_interest_is_exact_and_rounded_once(self):
        day = date(2026, 3, 1)
        for parts, percent, until, rounding, result in (
            ([(1000, day)], 9, date(2026, 3, 31), 0.01, "7.40"),  # 1000 × 9 % × 30 ÷ 365 = 7.397…
            ([(1000, day)], 9, day, 0.01, "0.00"),
            ([(1000, date(2026, 4, 1))], 9, date(2026, 3, 31), 0.01, "0.00"),
            ([(365, day)], 10, date(2026, 3, 2), 0.01, "0.10"),
            ([(18.25, day)] * 2, 10, date(2026, 3, 2), 0.01, "0.01"),  # twice half a cent
            ([(1000, day)], 9, date(2026, 3, 31), 1.0, "7.0"),
            ([(1000, day)], 9, date(2026, 3, 31), 0.05, "7.40"),
        ):
            with self.subTest(parts=parts, rounding=rounding):
                due = interest([Overdue(*part) for part in parts], percent, until, rounding)
                self.assertEqual(f"{due:f}", result)

    def test_the_fee_is_charged_once_and_with_the_next_invoice(self):
        self.second.write({"fee": 15})
        invoice = self._invoice("2026-03-01")
        locked = invoice.amount_residual
        self._on("2026-03-08")
        self.assertFalse(self._charges(invoice), "the first reminder costs nothing")
        self._on("2026-03-22")
        self._on("2026-03-23")
        charge = self._charges(invoice)
        self.assertEqual((len(charge), charge.amount, charge.origin, charge.state), (1, 15, "reminder", "open"))
        self.assertIn(invoice.name, charge.name)
        self.assertIn("15.00", self._body(1))
        self.assertEqual((invoice.amount_residual, invoice.billing_locked), (locked, True))
        following = self._finalized(charge | self._new_charge("More"))
        self.assertEqual(charge.invoice_id, following)
        with self.assertRaises(UniqueViolation), mute_logger("odoo.sql_db"), self.env.cr.savepoint():
            invoice.billing_reminder_ids.sudo().filtered("fee")._follow()

    def test_staff_waives_it(self):
        self.first.fee = 5
        invoice = self._invoice()
        self._on("2026-03-10")
        charge = self._charges(invoice)
        charge.action_discard()
        self._on("2026-03-11")
        self.assertEqual((self._charges(invoice), charge.state), (charge, "discarded"))
        for values in ({"reminder_id": False}, {"reminder_part": "interest"}):
            with self.assertRaisesRegex(UserError, "Only a reminder"):
                charge.write(values)
        with self.assertRaisesRegex(UserError, "Only a reminder"):
            self._new_charge(reminder_id=invoice.billing_reminder_ids.id)

    def test_said_again_it_costs_no_more(self):
        self.first.fee = 5
        invoice = self._invoice()
        self._on("2026-03-10")
        invoice._message_receive_bounce(self.client.email, self.client)
        with freeze_time(f"2026-03-12 {MORNING}"):
            action = invoice.billing_reminder_ids.action_send_again()
            self.env["billing.reminder.send"].browse(action["res_id"]).action_confirm()
        self._on("2026-03-12")
        self.assertEqual((len(self.sink.messages), len(self._charges(invoice))), (2, 1))
        self.assertFalse(self.env["billing.reminder"].search(self.env["billing.reminder"]._get_to_follow_domain()))

    @mute_logger(*QUIET)
    def test_what_did_not_arrive_costs_nothing(self):
        self.first.fee = 5
        invoice = self._invoice()
        self.sink.refuse[self.client.email] = "550 no such user"
        self._on("2026-03-10")
        self.assertFalse(self._charges(invoice))

    def test_interest_from_the_due_date_and_then_from_the_last_charged_day(self):
        (self.first | self.second).interest = 9
        invoice = self._invoice("2026-03-01", price=10000)
        self._on("2026-03-08")
        self.assertEqual(self._charges(invoice).amount, 17.26)  # 10000 × 9 % × 7 ÷ 365
        self._pay(invoice, 4000)
        self._on("2026-03-22")
        self.assertEqual(self._charges(invoice).mapped("amount"), [17.26, 20.71])  # 6000 × 9 % × 14 ÷ 365
        self.assertIn("20.71", self._body(1))

    def test_a_fee_in_the_money_of_the_invoice(self):
        euro = self.env.ref("base.EUR")
        euro.sudo().write(
            {"active": True, "rate_ids": [Command.clear(), Command.create({"name": "2020-01-01", "rate": 2})]}
        )
        self.first.write({"fee": 5, "currency_id": self.company.currency_id.id})
        invoice = self._invoice(currency_id=euro.id)
        self._on("2026-03-10")
        charge = self._charges(invoice)
        self.assertEqual((charge.currency_id, charge.amount), (euro, 10))

    def test_a_notice_costs_nothing(self):
        for values in ({"fee": 5}, {"interest": 5}, {"stops_services": True}):
            with self.assertRaises(CheckViolation), mute_logger("odoo.sql_db"), self.env.cr.savepoint():
                self.notice.write(values)
                self.notice.flush_recordset()

    def test_somebody_calls_the_client(self):
        kind = self.env.ref("mail.mail_activity_data_call")
        self.first.write({"activity_type_id": kind.id, "activity_user_id": self.biller.id})
        invoice = self._invoice()
        self._on("2026-03-10")
        self._on("2026-03-11")
        activity = invoice.activity_ids
        self.assertEqual((activity.activity_type_id, activity.user_id), (kind, self.biller))

    def test_services_stop_until_it_is_paid(self):
        self.second.stops_services = True
        invoice = self._invoice()
        self._on("2026-03-10")
        self.assertFalse(self.client.billing_services_stopped)
        self._on("2026-03-25")
        self.env.invalidate_all()
        with freeze_time(f"2026-03-25 {MORNING}"):
            self.assertTrue(self.client.billing_services_stopped)
            self.assertEqual(self.env["res.partner"].search([("billing_services_stopped", "=", True)]), self.client)
            clerk = self._new_user("clerk", "base.group_user")
            self.assertTrue(self.client.with_user(clerk).billing_services_stopped)
            invoice._billing_reminder_set_pause(self._date("2026-04-30"), "Pays in parts")
            self.env.invalidate_all()
            self.assertFalse(self.client.billing_services_stopped)
            invoice._billing_reminder_set_pause(False, False)
            self._pay(invoice)
            self.env.invalidate_all()
            self.assertFalse(self.client.billing_services_stopped)


@tagged("post_install", "-at_install")
class TestReminderAccess(ReminderCommon):
    def test_levels_are_the_administrators_and_the_log_is_nobody_s(self):
        self._invoice()
        self._on("2026-03-10")
        row = self.env["billing.reminder"].search([])
        level = self.first.with_user(self.biller)
        with self.assertRaises(AccessError):
            level.days = 1
        manager = self._new_user("manager", "invoice_portal.group_billing_manager")
        level.with_user(manager).days = 8
        for user in (self.biller, manager):
            for call in (
                lambda rows: rows.write({"fate": "failed"}),
                lambda rows: rows.unlink(),
                lambda rows: rows.create({"move_id": row.move_id.id, "level_id": row.level_id.id}),
            ):
                with self.assertRaises(AccessError):
                    call(row.with_user(user))

    def test_clients_and_employees_see_nothing(self):
        invoice = self._invoice()
        self._on("2026-03-10")
        row = self.env["billing.reminder"].search([])
        for user in (self._new_portal_user(self.client, "patty"), self._new_user("clerk", "base.group_user")):
            with self.subTest(user.login):
                for records in (row, self.first):
                    with self.assertRaises(AccessError):
                        records.with_user(user).read(["display_name"])
                with self.assertRaises(AccessError):
                    invoice.with_user(user).read(["billing_reminder_next"])
                with self.assertRaises(AccessError):
                    self.client.with_user(user).read(["billing_reminder_paused_until"])
