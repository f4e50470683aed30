import smtplib
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import Form, tagged
from odoo.tools import format_datetime, mute_logger

from odoo.addons.base.models.ir_mail_server import IrMail_Server

from .common import BillingCommon
from .smtp_sink import SmtpSink

QUIET = ("odoo.addons.mail.models.mail_mail", "odoo.addons.base.models.ir_mail_server")


class SendCommon(BillingCommon):
    """Mails leave for a real SMTP server on the loopback interface; Odoo's own switch against mails in tests is off."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sink = SmtpSink()
        cls.addClassCleanup(cls.sink.close)
        admin = cls.env(su=True)
        admin["ir.mail_server"].search([]).active = False
        admin["ir.mail_server"].create(
            {"name": "Sink", "smtp_host": "127.0.0.1", "smtp_port": cls.sink.port, "smtp_encryption": "none"}
        )
        cls.startClassPatcher(patch.object(IrMail_Server, "_disable_send", classmethod(lambda _cls: False)))
        # Odoo's tests replace the connection as well, so that nothing leaves by mistake.
        cls.startClassPatcher(patch("smtplib.SMTP", REAL_SMTP))

    def setUp(self):
        super().setUp()
        self.sink.messages.clear()
        self.sink.refuse.clear()
        self.sink.data_reply = None
        self.sink.hang_up_after_data = False

    def _dialog(self, invoice):
        action = invoice.action_send_and_print()
        return Form(self.env[action["res_model"]].with_context(**action["context"], force_report_rendering=True))

    def _send(self, invoice, **lines):
        with self._dialog(invoice) as form:
            if lines:
                form.billing_address_mode = "custom"
            for line, text in lines.items():
                form[f"billing_{line}"] = text
        form.record.action_send_and_print()
        return invoice.billing_mail_ids.sorted("id")[-1:]

    def _states(self, mail):
        return {recipient.email: recipient.state for recipient in mail.recipient_ids}

    def _run_job(self, job="invoice_portal.ir_cron_billing_mail"):
        with self.enter_registry_test_mode():
            self.env.ref(job).sudo().method_direct_trigger()

    def _retry_now(self, mail):
        mail.sudo().retry_on = fields.Datetime.now()
        self._run_job()


REAL_SMTP = smtplib.SMTP


@tagged("post_install", "-at_install")
class TestSendHeaders(SendCommon):
    def test_cc_is_a_header_and_bcc_is_on_the_envelope_only(self):
        mail = self._send(
            self._finalized(),
            to="Ann <ann@client.example>, ben@client.example",
            cc='"Doe, Cleo" <cleo@client.example>',
            bcc="dora@secret.example",
        )
        self.assertEqual(len(self.sink.messages), 1, "one message, not one per reader")
        taken = self.sink.messages[0]
        self.assertCountEqual(
            taken["to"], ["ann@client.example", "ben@client.example", "cleo@client.example", "dora@secret.example"]
        )
        message = taken["message"]
        self.assertEqual(
            [address.addr_spec for address in message["To"].addresses], ["ann@client.example", "ben@client.example"]
        )
        self.assertEqual(len(message.get_all("Cc")), 1)
        self.assertEqual([str(address) for address in message["Cc"].addresses], ['"Doe, Cleo" <cleo@client.example>'])
        self.assertNotIn("Bcc", message)
        self.assertNotIn(b"dora@secret.example", taken["raw"])
        self.assertEqual(set(self._states(mail).values()), {"accepted"})

    def test_the_pdf_is_attached_and_the_link_is_in_it(self):
        invoice = self._finalized()
        self._send(invoice)
        message = self.sink.messages[0]["message"]
        files = {part.get_filename(): part.get_content() for part in message.iter_attachments()}
        self.assertEqual(list(files), [invoice._get_invoice_report_filename()])
        self.assertTrue(next(iter(files.values())).startswith(b"%PDF"))
        body = message.get_body(("html",)).get_content()
        self.assertIn(f"/my/invoices/{invoice.id}?access_token={invoice.sudo().access_token}", body)
        self.assertIn(invoice.name, message["Subject"])

    def test_the_conversation_loads_no_picture_from_elsewhere(self):
        """The mail has it: there the client's mail program asks. The portal's page would just load it."""
        invoice = self._finalized()
        with self._dialog(invoice) as form:
            form.body = '<p>Hello <img src="https://evil.example/x.png"/></p>'
        form.record.action_send_and_print()
        (taken,) = self.sink.messages
        self.assertIn("evil.example", taken["message"].get_body(("html",)).get_content())
        kept = invoice.message_ids.filtered(lambda message: "Hello" in (message.body or ""))
        self.assertEqual(len(kept), 1)
        self.assertNotIn("evil.example", kept.body)

    def test_bcc_is_not_in_what_the_client_reads_on_the_portal(self):
        invoice = self._finalized()
        self._send(invoice, to="ann@client.example", bcc="dora@secret.example")
        message = invoice.message_ids.filtered(lambda message: message.message_type == "email_outgoing")
        self.assertEqual(len(message), 1)
        self.assertFalse(message.sudo().partner_ids | message.sudo().notified_partner_ids)
        self.assertNotIn("dora", str(message.sudo().read()))
        self.assertEqual(message.attachment_ids.res_model, "mail.message")
        portal = self._new_portal_user(self.client, "patty")
        with self.assertRaises(AccessError):
            invoice.with_user(portal).read(["billing_email_bcc"])
        for model in ("billing.mail", "billing.mail.recipient", "billing.mail.batch"):
            with self.assertRaises(AccessError):
                self.env[model].with_user(portal).search([])

    def test_an_address_that_stands_twice_gets_one_copy(self):
        mail = self._send(
            self._finalized(),
            to="ann@client.example, ANN@client.example",
            cc="ann@client.example",
            bcc="ann@client.example",
        )
        self.assertEqual(self.sink.messages[0]["to"], ["ann@client.example"])
        self.assertEqual(len(mail.recipient_ids), 1)


@tagged("post_install", "-at_install")
class TestSendAddresses(SendCommon):
    def test_the_project_s_addresses_are_the_default_and_restored(self):
        self.client.write({"billing_email_to": "office@client.example", "billing_email_bcc": "audit@firm.example"})
        self.project.sudo().write(
            {"billing_email_to": "team@client.example", "billing_email_cc": "lead@client.example"}
        )
        invoice = self._finalized(self._new_charge(project_id=self.project.id))
        with self._dialog(invoice) as form:
            self.assertEqual(form.billing_address_mode, "default")
            self.assertEqual(form.billing_to, "team@client.example")
            self.assertEqual(form.billing_cc, "lead@client.example")
            self.assertEqual(form.billing_bcc, "audit@firm.example", "what the project leaves open is the client's")
            form.billing_to = "else@client.example"
            self.assertEqual(form.billing_address_mode, "custom")
            self.assertEqual(form.billing_to, "else@client.example")
            form.billing_address_mode = "default"
            self.assertEqual(form.billing_to, "team@client.example")
            form.billing_to = "else@client.example"
        wizard = form.record
        wizard.action_billing_restore_default()
        self.assertEqual(wizard.billing_to, "team@client.example")
        self.assertEqual(wizard.billing_cc, "lead@client.example")

    def test_without_any_setting_the_contact_on_the_invoice_gets_it(self):
        self._send(self._finalized())
        self.assertEqual(self.sink.messages[0]["to"], [self.client.email])

    def test_a_contact_with_several_addresses_gets_it_at_all_of_them(self):
        self.client.email = "a@two.example, b@two.example"
        self._send(self._finalized())
        self.assertEqual(self.sink.messages[0]["to"], ["a@two.example", "b@two.example"])

    def test_the_dialog_says_whose_addresses_these_are(self):
        self.project.sudo().billing_email_bcc = "audit@firm.example"
        with self._dialog(self._finalized(self._new_charge(project_id=self.project.id))) as form:
            self.assertEqual(form.billing_default_source, "To of client Acme, Bcc of project Acme website")

    def test_a_subject_of_several_lines_is_one_line(self):
        with self._dialog(self._finalized()) as form:
            form.subject = "One\nBcc: x@evil.example"
        form.record.action_send_and_print()
        self.assertEqual(self.sink.messages[0]["message"]["Subject"], "One Bcc: x@evil.example")
        self.assertEqual(self.sink.messages[0]["to"], [self.client.email])

    def test_a_new_default_counts_for_invoices_made_before(self):
        invoice = self._finalized()
        self.client.billing_email_to = "new@client.example"
        self._send(invoice)
        self.assertEqual(self.sink.messages[0]["to"], ["new@client.example"])

    def test_custom_addresses_stay_with_the_invoice(self):
        invoice = self._finalized()
        self._send(invoice, to="else@client.example", bcc="audit@firm.example")
        self.assertTrue(invoice.billing_email_custom)
        with self._dialog(invoice) as form:
            self.assertEqual(form.billing_to, "else@client.example")
            self.assertEqual(form.billing_bcc, "audit@firm.example")
            self.assertIn("else@client.example", form.billing_sent_before)

    def test_a_wrong_address_is_named_and_nothing_is_sent(self):
        invoice = self._finalized()
        for line, text in (
            ("to", "ann@client.example, bob@"),
            ("cc", "no address"),
            ("bcc", "a@b"),
            ("to", "ann@client.example bob@client.example"),
            ("cc", "Eve\r\nBcc: x@evil.example <eve@client.example>"),
        ):
            with self.subTest(text=text), self._dialog(invoice) as form:
                form.billing_address_mode = "custom"
                form[f"billing_{line}"] = text
                self.assertIn("is not an e-mail address", form.billing_problem)
                wizard = form.save()
                with self.assertRaisesRegex(UserError, "is not an e-mail address"):
                    wizard.action_send_and_print()
        with self._dialog(invoice) as form:
            form.billing_address_mode = "custom"
            form.billing_to = ""
            self.assertIn("no address", form.billing_problem)
        self.assertFalse(self.sink.messages)
        self.assertFalse(invoice.billing_mail_ids)
        self.assertEqual(invoice.billing_status, "finalized")

    def test_the_dialog_stays_and_names_a_wrong_address(self):
        form = self._dialog(self._finalized())
        form.billing_to = "nobody at all"
        wizard = form.save()
        action = wizard.with_context(billing_dialog=True).action_send_and_print()
        self.assertEqual((action["res_model"], action["res_id"]), (wizard._name, wizard.id))
        self.assertIn("nobody at all", wizard.billing_problem)
        self.assertFalse(self.sink.messages)

    def test_which_document_is_asked_where_there_is_a_choice(self):
        invoice = self._finalized()
        self.assertFalse(self._dialog(invoice).display_pdf_report_id)
        ours = self.env.ref("invoice_portal.action_report_invoice").sudo()
        own = ours.copy({"name": "Own letterhead"})
        self.assertTrue(self._dialog(invoice).display_pdf_report_id)
        own.unlink()
        self.client.sudo().invoice_template_pdf_report_id = self.env.ref("account.account_invoices")
        self.assertTrue(self._dialog(invoice).display_pdf_report_id)

    def test_wrong_defaults_are_refused_where_they_are_typed(self):
        for record in (self.client, self.project):
            for line in ("to", "cc", "bcc"):
                with self.subTest(record=record, line=line), self.assertRaisesRegex(ValidationError, "x@"):
                    record.sudo()[f"billing_email_{line}"] = "x@"

    def test_a_draft_is_not_sent(self):
        draft = self._draft(self._new_charge())
        with self.assertRaises(UserError):
            draft.action_send_and_print()
        with self.assertRaises(UserError):
            draft._billing_queue_mails()
        self.assertFalse(self.sink.messages)


@tagged("post_install", "-at_install")
class TestSendOutcome(SendCommon):
    def test_sent_means_that_the_server_took_it(self):
        invoice = self._finalized()
        mail = self._send(invoice)
        self.assertEqual(invoice.billing_status, "sent")
        self.assertTrue(mail.sent_on)
        self.assertIn(invoice, self.env["account.move"].search([("billing_status", "=", "sent")]))

    @mute_logger(*QUIET)
    def test_a_refused_invoice_is_never_sent(self):
        invoice = self._finalized()
        self.sink.refuse["billing@acme.example.com"] = "550 no such user here"
        mail = self._send(invoice)
        self.assertEqual(invoice.billing_status, "finalized")
        self.assertNotIn(invoice, self.env["account.move"].search([("billing_status", "=", "sent")]))
        self.assertIn(invoice, self.env["account.move"].search([("billing_status", "=", "finalized")]))
        self.assertEqual(self._states(mail), {"billing@acme.example.com": "refused"})
        self.assertIn("no such user here", mail.recipient_ids.reason)
        self.assertIn("550", mail.recipient_ids.reason)
        self.assertTrue(invoice.billing_undelivered)
        self.assertIn(invoice, self.env["account.move"].search([("billing_undelivered", "=", True)]))
        self.assertFalse(
            invoice.message_ids.filtered(lambda message: message.message_type == "email_outgoing"),
            "the conversation does not show what nobody got",
        )
        self.assertFalse(self.env["mail.mail"].sudo().search([("billing_mail_id", "=", mail.id)]))

    @mute_logger(*QUIET)
    def test_some_of_several_refused_and_sent_again_to_those_only(self):
        invoice = self._finalized()
        self.sink.refuse["ben@client.example"] = "550 unknown"
        mail = self._send(invoice, to="ann@client.example, ben@client.example", bcc="dora@secret.example")
        self.assertEqual(
            self._states(mail),
            {"ann@client.example": "accepted", "ben@client.example": "refused", "dora@secret.example": "accepted"},
        )
        self.assertEqual(invoice.billing_status, "sent")
        self.assertTrue(invoice.billing_undelivered)
        first = self.sink.messages.pop()
        self.sink.refuse.clear()

        mail.recipient_ids.action_send_again()
        self.assertEqual([taken["to"] for taken in self.sink.messages], [["ben@client.example"]])
        again = self.sink.messages[0]["message"]
        self.assertEqual(again["Message-Id"], first["message"]["Message-Id"])
        self.assertEqual(again["To"], first["message"]["To"], "he sees who else got it")
        self.assertFalse(invoice.billing_undelivered)
        with self.assertRaisesRegex(UserError, "Nobody is left"):
            mail.recipient_ids.action_send_again()
        self.assertEqual(len(self.sink.messages), 1)

    @mute_logger(*QUIET)
    def test_another_address_is_asked_for_those_only_who_got_nothing(self):
        invoice = self._finalized()
        self.sink.refuse["ben@client.example"] = "550 unknown"
        mail = self._send(invoice, to="ann@client.example, ben@client.example", cc="cleo@client.example")
        self.sink.messages.clear()
        failed = mail.recipient_ids.filtered(lambda recipient: recipient.state == "refused")
        action = failed.action_send_otherwise()
        with Form(self.env[action["res_model"]].with_context(**action["context"])) as form:
            self.assertEqual((form.billing_to, form.billing_cc, form.billing_bcc), ("ben@client.example", "", ""))
            form.billing_to = "benedict@client.example"
        form.record.action_send_and_print()
        self.assertEqual([taken["to"] for taken in self.sink.messages], [["benedict@client.example"]])
        self.assertFalse(invoice.billing_undelivered)
        self.assertIn("ann@client.example", invoice.billing_email_to, "for the next time everybody is remembered")

    @mute_logger(*QUIET)
    def test_later_is_tried_later_and_gives_up_at_last(self):
        invoice = self._finalized()
        self.sink.refuse["billing@acme.example.com"] = "451 greylisted, come back"
        mail = self._send(invoice)
        self.assertEqual(mail.state, "waiting")
        self.assertGreater(mail.retry_on, fields.Datetime.now())
        self.assertIn("greylisted", mail.recipient_ids.reason)
        self.assertEqual(invoice.billing_status, "finalized")
        self._run_job()
        self.assertEqual(mail.tries, 1, "not before its time")
        for _try in range(4):
            self._retry_now(mail)
        self.assertEqual(mail.recipient_ids.state, "refused")
        self.assertEqual((mail.state, mail.tries), ("done", 5))

    @mute_logger(*QUIET)
    def test_later_arrives_once(self):
        invoice = self._finalized()
        self.sink.refuse["billing@acme.example.com"] = "451 greylisted, come back"
        mail = self._send(invoice)
        self.sink.refuse.clear()
        self._retry_now(mail)
        self._retry_now(mail)
        self.assertEqual(len(self.sink.messages), 1)
        self.assertEqual(invoice.billing_status, "sent")

    @mute_logger(*QUIET)
    def test_a_message_refused_as_a_whole(self):
        self.sink.data_reply = "552 too large"
        invoice = self._finalized()
        mail = self._send(invoice, to="ann@client.example", cc="ben@client.example")
        self.assertEqual(set(self._states(mail).values()), {"refused"})
        self.assertIn("too large", mail.recipient_ids[0].reason)
        self.assertEqual(invoice.billing_status, "finalized")

    @mute_logger(*QUIET)
    def test_a_server_that_hangs_up_leaves_a_doubt_and_no_second_copy(self):
        self.sink.hang_up_after_data = True
        invoice = self._finalized()
        mail = self._send(invoice)
        self.assertEqual(self._states(mail), {"billing@acme.example.com": "unknown"})
        self.assertEqual(invoice.billing_status, "finalized")
        self.assertTrue(invoice.billing_undelivered)
        self._run_job()
        self.assertEqual(len(self.sink.messages), 1)

        self.sink.hang_up_after_data = False
        mail.recipient_ids.action_send_again()
        self.assertEqual(len(self.sink.messages), 2, "a person decided")
        self.assertEqual(invoice.billing_status, "sent")

    @mute_logger(*QUIET)
    def test_no_server_at_all_is_tried_later(self):
        invoice = self._finalized()
        servers = self.env["ir.mail_server"].sudo().search([])
        servers.smtp_port = 1
        mail = self._send(invoice)
        self.assertEqual(mail.state, "waiting")
        self.assertTrue(mail.recipient_ids.reason)
        self.assertEqual(invoice.billing_status, "finalized")
        self.assertWaits(invoice, "Invoice to billing@acme.example.com", mail.recipient_ids.reason)
        self.assertIn(
            f"Next try: {format_datetime(self.env, mail.retry_on, dt_format='short')}.", invoice.billing_waiting_note
        )
        self.assertIn(
            f"since {format_datetime(self.env, mail.create_date, dt_format='short')}.", invoice.billing_waiting_note
        )
        servers.smtp_port = self.sink.port
        self._retry_now(mail)
        self.assertEqual(invoice.billing_status, "sent")
        self.assertWaitsNoMore(invoice)

    def _is_listed_as_waiting(self, invoice):
        Move = self.env["account.move"].with_context(active_test=False)
        listed = [Move.search([("id", "=", invoice.id), ("billing_waiting", "=", value)]) for value in (True, False)]
        self.assertEqual(listed[0] | listed[1], invoice)
        return bool(listed[0])

    def assertWaits(self, invoice, *said):
        self.assertEqual((invoice.billing_waiting, invoice.billing_mail_state), (True, "waiting"))
        self.assertTrue(self._is_listed_as_waiting(invoice))
        for piece in said:
            self.assertIn(piece, invoice.billing_waiting_note)

    def assertWaitsNoMore(self, invoice):
        self.assertEqual((invoice.billing_waiting, invoice.billing_waiting_note), (False, ""))
        self.assertFalse(self._is_listed_as_waiting(invoice))

    @mute_logger(*QUIET)
    def test_what_waits_for_the_background_says_so_and_a_refusal_goes_before_it(self):
        invoice = self._finalized()
        self.assertWaitsNoMore(invoice)
        self.assertFalse(invoice.billing_mail_state)
        invoice._billing_queue_mails()
        self.assertWaits(invoice, "It leaves in the background.")
        self.assertNotIn("Next try", invoice.billing_waiting_note)
        self.sink.refuse["billing@acme.example.com"] = "550 no such user"
        self._run_job()
        self.assertWaitsNoMore(invoice)
        self.assertEqual(invoice.billing_mail_state, "undelivered")

    @mute_logger(*QUIET)
    def test_a_reminder_about_several_waits_on_each_of_them(self):
        invoices = self._finalized() | self._finalized()
        mail = (
            self.env["billing.mail"]
            .sudo()
            ._queue(
                [
                    {
                        "move_id": invoices[0].id,
                        "shared_move_ids": invoices[1].ids,
                        "kind": "reminder",
                        "subject": "Due",
                        "addresses": {"to": "ann@client.example"},
                    }
                ]
            )
        )
        for invoice in invoices:
            self.assertWaits(invoice, "Reminder to ann@client.example")
        mail._record_failure("Gone")
        for invoice in invoices:
            self.assertWaitsNoMore(invoice)

    def _left_behind(self, state):
        """A mail as a process leaves it that dies in this state."""
        mail = self._send(self._finalized())
        self.sink.messages.clear()
        mail.sudo().write(
            {"state": state, "sent_on": False, "tried_on": fields.Datetime.subtract(fields.Datetime.now(), hours=1)}
        )
        mail.sudo().recipient_ids.state = "waiting"
        return mail

    def test_left_behind_while_being_sent_it_may_have_arrived(self):
        mail = self._left_behind("sending")
        self._run_job()
        self.assertEqual(self._states(mail), {"billing@acme.example.com": "unknown"})
        self.assertIn("may have arrived", mail.recipient_ids.reason)
        self.assertFalse(self.sink.messages)

    def test_left_behind_before_that_it_is_sent(self):
        mail = self._left_behind("taken")
        self._run_job()
        self._run_job()
        self.assertEqual(self._states(mail), {"billing@acme.example.com": "accepted"})
        self.assertEqual(len(self.sink.messages), 1)

    def test_taken_over_by_another_process_it_is_left_to_that_one(self):
        mail = self._left_behind("taken")
        mail.sudo().tried_on = fields.Datetime.now()
        Mail = self.env.registry["billing.mail"]
        prepare = Mail._prepare_mail_mail

        def taken_over(model):
            values = prepare(model)
            self.env.cr.execute("UPDATE billing_mail SET tries = tries + 1 WHERE id = %s", [mail.id])
            return values

        with patch.object(Mail, "_prepare_mail_mail", taken_over), mute_logger(*QUIET):
            mail.sudo()._hand_over()
        self.assertFalse(self.sink.messages)
        self.assertEqual(self._states(mail), {"billing@acme.example.com": "waiting"})

    def test_returned_by_the_other_side(self):
        invoice = self._finalized()
        mail = self._send(invoice)
        invoice._message_receive_bounce("billing@acme.example.com", self.client)
        self.assertEqual(self._states(mail), {"billing@acme.example.com": "bounced"})
        self.assertEqual(invoice.billing_status, "finalized")
        self.assertTrue(invoice.billing_undelivered)

    @mute_logger(*QUIET)
    def test_sent_elsewhere_or_dismissed_leaves_the_list(self):
        invoice = self._finalized()
        self.sink.refuse["billing@acme.example.com"] = "550 unknown"
        self._send(invoice)
        self._send(invoice, to="right@client.example")
        self.assertFalse(invoice.billing_undelivered)
        other = self._finalized(self._new_charge("More"))
        mail = self._send(other)
        self.assertTrue(other.billing_undelivered)
        mail.recipient_ids.action_dismiss()
        self.assertFalse(other.billing_undelivered)
        self.assertEqual(other.billing_status, "finalized", "dismissed is not sent")

    @mute_logger(*QUIET)
    def test_only_staff_sends_again(self):
        invoice = self._finalized()
        self.sink.refuse["billing@acme.example.com"] = "550 unknown"
        mail = self._send(invoice)
        self.sink.refuse.clear()
        clerk = self._new_user("clerk", "base.group_user")
        with self.assertRaises(AccessError):
            mail.recipient_ids.with_user(clerk).action_send_again()
        for values in ({"state": "accepted"}, {"email": "x@evil.example"}):
            with self.assertRaises(AccessError):
                mail.recipient_ids.with_user(self.biller).write(values)
        self.assertFalse(self.sink.messages)


@tagged("post_install", "-at_install")
class TestSendMany(SendCommon):
    def _confirm(self, moves, again=False):
        action = moves.action_send_and_print()
        self.assertEqual(action["res_model"], "billing.send")
        wizard = self.env["billing.send"].browse(action["res_id"])
        wizard.again = again
        return wizard

    def test_in_the_background_with_what_is_left_out_and_why(self):
        draft = self._draft(self._new_charge("Draft"))
        cancelled = self._draft(self._new_charge("Dropped"))
        cancelled.button_cancel()
        silent = self._new_client("Silent", email=False)
        mute = self._finalized(self._new_charge("Mute", partner_id=silent.id))
        sent = self._finalized(self._new_charge("Sent"))
        self._send(sent)
        self.sink.messages.clear()
        ready = self._finalized(self._new_charge("One")) | self._finalized(
            self._new_charge("Two", partner_id=self.other_client.id)
        )
        wizard = self._confirm(ready | sent | mute | draft | cancelled)
        for words in ("Silent", "no address", "sent before"):
            self.assertIn(words, wizard.summary)
        left_out = wizard._sort_out()[2]
        self.assertEqual((left_out["Not finalized"], left_out["Cancelled"]), (draft, cancelled))
        self.assertEqual(wizard.ready_count, 2)
        batch = self.env["billing.mail.batch"].browse(wizard.action_confirm()["res_id"])
        self.assertFalse(self.sink.messages, "nothing before the background job")
        self.assertEqual((batch.state, batch.count_total, batch.count_pending), ("running", 2, 2))

        self._run_job()
        self.assertCountEqual([taken["to"] for taken in self.sink.messages], [[m.partner_id.email] for m in ready])
        self.assertEqual(set(ready.mapped("billing_status")), {"sent"})
        batch.invalidate_recordset()
        self.assertEqual((batch.state, batch.count_done, batch.progress), ("done", 2, 100))
        for taken in self.sink.messages:
            self.assertEqual(len(list(taken["message"].iter_attachments())), 1)

        again = self._confirm(ready)
        self.assertEqual(again.ready_count, 0)
        with self.assertRaises(UserError):
            again.action_confirm()
        again.again = True
        self.assertEqual(again.ready_count, 2)

    def test_sending_works_no_amount_out_again(self):
        """Each note on an invoice would make Odoo look through all its lines."""
        invoice = self._finalized()
        invoice._billing_queue_mails()
        with patch.object(self.env.registry["account.move"], "_sync_dynamic_line") as sync:
            self._run_job()
        sync.assert_not_called()
        self.assertEqual(invoice.billing_status, "sent")

    @mute_logger("odoo.addons.invoice_portal.models.billing_mail", *QUIET)
    def test_one_that_fails_does_not_stop_the_others(self):
        good = self._finalized(self._new_charge("Good"))
        bad = self._finalized(self._new_charge("Bad", partner_id=self.other_client.id))
        batch = (good | bad)._billing_queue_mails()
        Report = self.env.registry["ir.actions.report"]
        original = Report._pre_render_qweb_pdf

        def fail_for_bad(model, report_ref, res_ids=None, data=None):
            if bad.id in (res_ids or []):
                raise ValueError("poison")
            return original(model, report_ref, res_ids=res_ids, data=data)

        with patch.object(Report, "_pre_render_qweb_pdf", fail_for_bad):
            self._run_job()
        self.assertEqual((good.billing_status, bad.billing_status), ("sent", "finalized"))
        self.assertIn("poison", bad.billing_undelivered_reason)
        batch.invalidate_recordset()
        self.assertEqual((batch.state, batch.count_done, batch.count_failed), ("attention", 1, 1))
        bad.action_billing_send_again()
        self.assertEqual(bad.billing_status, "sent")

    def test_voided_before_it_left(self):
        invoice = self._finalized()
        other = self._finalized(self._new_charge("Other"))
        (invoice | other)._billing_queue_mails()
        self.env["billing.void"].browse(invoice.action_billing_void()["res_id"]).write({"reason": "Wrong"})
        self.env["billing.void"].search([("move_id", "=", invoice.id)]).action_void()
        self._run_job()
        self.assertEqual(len(self.sink.messages), 1)
        self.assertIn("void", invoice.billing_undelivered_reason)

    def test_odoo_s_own_way_of_sending_many_uses_our_addresses(self):
        self.client.write({"billing_email_cc": "copy@client.example"})
        invoices = self._finalized() | self._finalized(self._new_charge("More"))
        invoices.sudo().sending_data = {
            "author_user_id": self.biller.id,
            "author_partner_id": self.biller.partner_id.id,
        }
        self._run_job("account.ir_cron_account_move_send")
        self._run_job()
        self.assertEqual(len(self.sink.messages), 2)
        for taken in self.sink.messages:
            self.assertEqual(taken["to"], [self.client.email, "copy@client.example"])
            self.assertIn("copy@client.example", taken["message"]["Cc"])
        self.assertEqual(set(invoices.mapped("billing_status")), {"sent"})

    def test_ready_mails_use_the_defaults_too_and_are_no_sending(self):
        self.company.sudo().billing_ready_mail = True
        self.client.write({"billing_email_to": "office@client.example", "billing_email_bcc": "audit@firm.example"})
        invoice = self._finalized()
        self._run_job()
        self.assertEqual(
            [taken["to"] for taken in self.sink.messages], [["office@client.example", "audit@firm.example"]]
        )
        self.assertEqual(invoice.billing_status, "finalized")
        self.assertEqual(invoice.billing_mail_ids.kind, "notice")


@tagged("post_install", "-at_install")
class TestSendSecurity(SendCommon):
    def test_mails_of_another_company_are_not_seen(self):
        mail = self._send(self._finalized())
        company = self._new_company("Elsewhere")
        stranger = self._new_user(
            "stranger", "invoice_portal.group_billing_user", company_id=company.id, company_ids=[(6, 0, company.ids)]
        )
        for model in ("billing.mail", "billing.mail.recipient"):
            self.assertFalse(self.env[model].with_user(stranger).search([]))
        with self.assertRaises(AccessError):
            mail.recipient_ids.with_user(stranger).action_dismiss()

    def test_staff_cannot_write_mails_by_rpc(self):
        mail = self._send(self._finalized())
        with self.assertRaises(AccessError):
            mail.with_user(self.biller).write({"state": "waiting"})
        with self.assertRaises(AccessError):
            self.env["billing.mail"].with_user(self.biller).create({"move_id": mail.move_id.id})

    def test_only_billing_staff_says_where_invoices_go(self):
        for groups in ("project.group_project_manager,base.group_partner_manager", "base.group_user"):
            user = self._new_user(f"other{len(groups)}", groups)
            for record in (self.client, self.project):
                with self.subTest(groups=groups, record=record):
                    with self.assertRaises(AccessError):
                        record.with_user(user).write({"billing_email_bcc": "me@evil.example"})
                    with self.assertRaises(AccessError):
                        record.with_user(user).read(["billing_email_bcc"])
        contact = self.env["res.partner"].with_user(
            self._new_user("sales", "base.group_user,base.group_partner_manager")
        )
        self.assertTrue(contact.create({"name": "Ann", "parent_id": self.client.id}), "others still edit contacts")

    def test_billing_staff_edits_the_billing_of_a_project_and_nothing_else(self):
        project = self.project.with_user(self.biller)
        project.write({"billing_email_to": "team@client.example", "billing_partner_id": self.client.id})
        with self.assertRaisesRegex(AccessError, "Billing tab"):
            project.name = "Mine"
        self.assertLessEqual(
            {"billing_partner_id", "billing_contact_id", "billing_email_to", "billing_email_cc", "billing_email_bcc"},
            project._track_get_fields(),
            "who sends invoices elsewhere is named in the chatter",
        )

    def test_the_document_that_was_sent_is_not_replaced(self):
        invoice = self._finalized()
        self._send(invoice)
        document = invoice.sudo().invoice_pdf_report_id
        bookkeeper = self._new_user("book", "account.group_account_manager")
        for user in (self.biller, bookkeeper):
            with self.subTest(user=user.login):
                for call in (
                    lambda move: move.write({"invoice_pdf_report_file": "QUFBQQ=="}),
                    lambda move: move.write({"invoice_pdf_report_file": False}),
                    lambda move: move.env["ir.attachment"].browse(document.id).write({"raw": b"AAAA"}),
                    lambda move: move.env["ir.attachment"].browse(document.id).unlink(),
                    lambda move: move.env["ir.attachment"].create(
                        {
                            "name": "x.pdf",
                            "raw": b"AAAA",
                            "res_model": "account.move",
                            "res_id": move.id,
                            "res_field": "invoice_pdf_report_file",
                        }
                    ),
                ):
                    with self.assertRaises(UserError):
                        call(invoice.with_user(user))
        self.assertEqual(invoice.sudo().invoice_pdf_report_id, document)
