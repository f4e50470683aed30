import logging
import smtplib
from datetime import timedelta

import lxml.html
from markupsafe import Markup
from psycopg2 import OperationalError, errors

from odoo import SUPERUSER_ID, api, fields, models, modules
from odoo.exceptions import UserError
from odoo.fields import Command, Domain
from odoo.modules.registry import Registry
from odoo.tools import SQL, format_datetime
from odoo.tools.mail import generate_tracking_message_id

from ..tools import addresses, outside, pdf
from ..tools.smtp import is_temporary

_logger = logging.getLogger(__name__)

# Mails per transaction of the background job.
BATCH = 20
# Rounds that a batch may lose to a conflict with somebody else's transaction before the job leaves it to the next time.
CONFLICT_ROUNDS = 8
# Minutes until the next try after a server said “later”, or was not there. After the last one a person decides.
PAUSES = (5, 30, 120, 480)
# After so long a mail that is still being sent was left behind by a process that died. One that only hangs finds out
# that its mails were taken over, and leaves them.
LEFT_BEHIND = timedelta(minutes=15)
LAYOUT = "mail.mail_notification_layout_with_responsible_signature"


class BillingMail(models.Model):
    """One e-mail about an invoice: what goes to whom, and what the mail server said to each of them.

    It is one message with real Cc and Bcc. That it is being sent is committed before the server hears of it: a process
    that dies in between leaves a mail that may have arrived, and such a mail is sent again by a person only.
    """

    _name = "billing.mail"
    _description = "E-mail About an Invoice"
    _order = "id desc"
    _rec_name = "subject"

    move_id = fields.Many2one("account.move", string="Invoice", ondelete="cascade")
    shared_move_ids = fields.Many2many(
        "account.move",
        "billing_mail_shared_move_rel",
        "mail_id",
        "move_id",
        string="Other Invoices",
        help="Of the same client, which this mail is about, too.",
    )
    payment_id = fields.Many2one("account.payment", index="btree_not_null", ondelete="cascade")
    company_id = fields.Many2one("res.company", compute="_compute_about", store=True, readonly=False, precompute=True)
    partner_id = fields.Many2one(
        "res.partner", string="Client", compute="_compute_about", store=True, readonly=False, precompute=True
    )
    kind = fields.Selection(
        [
            ("invoice", "Invoice"),
            ("notice", "Notice"),
            ("reminder", "Reminder"),
            ("receipt", "Receipt"),
            ("statement", "Statement"),
        ],
        required=True,
        default="invoice",
        help="The invoice itself with its PDF, a notice about it, a reminder that it is due, the receipt of a payment, "
        "or a statement of account.",
    )
    batch_id = fields.Many2one("billing.mail.batch", index="btree_not_null", ondelete="set null")
    user_id = fields.Many2one("res.users", string="Sent By", required=True, default=lambda self: self.env.user)
    recipient_ids = fields.One2many("billing.mail.recipient", "mail_id", string="Recipients")
    state = fields.Selection(
        [
            ("queued", "Document to be made"),
            ("waiting", "Waiting"),
            ("taken", "Next"),
            ("sending", "Being sent"),
            ("done", "Done"),
        ],
        required=True,
        default="waiting",
    )
    sent_on = fields.Datetime(help="When the mail server first took it for somebody.")
    tries = fields.Integer()
    tried_on = fields.Datetime()
    retry_on = fields.Datetime(string="Next Try")

    subject = fields.Char()
    body = fields.Html(sanitize="email_outgoing")
    lang = fields.Char()
    author_id = fields.Many2one("res.partner")
    email_from = fields.Char()
    mail_server_id = fields.Many2one("ir.mail_server", groups="base.group_system")
    message_id = fields.Char(
        default=lambda self: generate_tracking_message_id("billing"),
        help="The same at every try, so that mailboxes recognise a copy.",
    )
    attachment_ids = fields.Many2many("ir.attachment")

    _of_invoice_idx = models.Index("(move_id, kind)")
    _one_receipt = models.UniqueIndex(
        "(payment_id) WHERE kind = 'receipt'", "The receipt of this payment is on its way already."
    )
    _to_send_idx = models.Index("(retry_on, id) WHERE state != 'done'")

    @api.depends("move_id", "payment_id")
    def _compute_about(self):
        for mail in self:
            record = mail.move_id or mail.payment_id
            if record:
                mail.company_id = record.company_id
                mail.partner_id = record.partner_id.commercial_partner_id

    def _about(self):
        """The invoice, payment or client that this mail is about."""
        self.ensure_one()
        return self.move_id or self.payment_id or self.partner_id

    # -- queueing -----------------------------------------------------------------------------------------------------

    @api.model
    def _queue(self, vals_list):
        """Create mails with their recipients, from `addresses`: `{"to": text, "cc": text, "bcc": text}`.

        What is no address becomes a recipient that was not reached: it stands among what was not delivered, and stops
        nobody else's mail.
        """
        prepared = []
        for vals in vals_list:
            vals = dict(vals)
            lines = vals.pop("addresses")
            seen, recipients = set(), []
            for kind in ("to", "cc", "bcc"):
                good, wrong = addresses.parse(lines.get(kind))
                recipients += [
                    Command.create({"kind": kind, "name": address.name, "email": address.email})
                    for address in good
                    if address.email not in seen
                ]
                recipients += [
                    Command.create({"kind": kind, "email": piece, "state": "refused", "reason": self._why_wrong(piece)})
                    for piece in wrong
                ]
                seen.update(address.email for address in good)
            vals["recipient_ids"] = recipients
            vals["subject"] = self._one_line(vals.get("subject"))
            prepared.append(vals)
        mails = self.create(prepared)
        mails._own_attachments()
        mails.filtered(lambda mail: not mail._pending()).state = "done"
        return mails

    def _fill(self, values):
        """Take over text and attachments of a mail that was queued before they were made."""
        self.ensure_one()
        self.write({**values, "subject": self._one_line(values["subject"]), "state": "waiting"})
        self._own_attachments()

    @api.model
    def _one_line(self, subject):
        """A header has no line breaks; a server would refuse the mail for ever."""
        return " ".join((subject or "").split())

    def _own_attachments(self):
        for mail in self:
            mail.attachment_ids.write({"res_model": mail._name, "res_id": mail.id})

    @api.model
    def _why_wrong(self, piece):
        return self.env._("“%s” is not an e-mail address.", piece)

    def _pending(self):
        """Those the server has not answered for yet."""
        return self.recipient_ids.filtered(lambda recipient: recipient.state == "waiting")

    def _waiting_note(self):
        """What waits here, since when, why, and when it is tried again; for people."""
        self.ensure_one()
        pending = self._pending()
        reason = next(filter(None, pending.mapped("reason")), "")
        if reason and self.retry_on and self.state == "waiting":
            following = self.env._("Next try: %s.", self._at(self.retry_on))
        else:
            following = self.env._("It leaves in the background.")
        return self.env._(
            "%(kind)s to %(readers)s, since %(since)s. %(reason)s %(following)s",
            kind=dict(self._fields["kind"]._description_selection(self.env))[self.kind],
            readers=", ".join(pending.mapped("email")),
            since=self._at(self.create_date),
            reason=reason,
            following=following,
        ).replace("  ", " ")

    def _at(self, moment):
        return format_datetime(self.env, moment, dt_format="short")

    def _addresses(self, kind):
        return addresses.joined(
            addresses.Address(recipient.name or "", recipient.email)
            for recipient in self.recipient_ids
            if recipient.kind == kind and recipient.is_address
        )

    # -- sending ------------------------------------------------------------------------------------------------------

    def _send_after_commit(self):
        """Send as soon as what they are about is committed; what fails is left to the background job."""
        self._wake()
        if modules.module.current_test:
            self._send()
            return
        ids, dbname = self.ids, self.env.cr.dbname

        @self.env.cr.postcommit.add
        def send():
            try:
                with Registry(dbname).cursor() as cr:
                    api.Environment(cr, SUPERUSER_ID, {})["billing.mail"].browse(ids).exists()._send()
            except Exception:  # noqa: BLE001 - what it follows is committed: no error may reach the user as if it were not
                _logger.info("Invoices: could not send at once, leaving it to the job", exc_info=True)

    @api.model
    def _wake(self, at=None):
        self.env.ref("invoice_portal.ir_cron_billing_mail").sudo()._trigger(at)

    def _get_due_domain(self):
        """What is to be sent now, and what a process left behind."""
        now = fields.Datetime.now()
        return Domain("state", "in", ("queued", "waiting")) & (
            Domain("retry_on", "=", False) | Domain("retry_on", "<=", now)
        ) | Domain("state", "in", ("taken", "sending")) & Domain("tried_on", "<", now - LEFT_BEHIND)

    @api.model
    def _cron_send(self):
        """Send what is due, batch by batch, until nothing is left or the time is up."""
        conflicts = 0
        while True:
            due = self.search(self._get_due_domain(), order="retry_on NULLS FIRST, id", limit=10 * BATCH)
            try:
                taken = due._send(limit=BATCH)
            except (errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable):
                self.env.cr.rollback()
                conflicts += 1
                if conflicts > CONFLICT_ROUNDS:
                    _logger.info("Invoices: too many conflicts with other work, going on next time")
                    self._wake()
                    break
                continue
            conflicts = 0
            seconds_left = self.env["ir.cron"]._commit_progress(len(taken), remaining=len(due) - len(taken))
            if not taken or not seconds_left:
                break

    def _send(self, limit=None):
        """Hand these to the mail server: those that nobody else is at, and that are due. Returns what was taken."""
        if self.env["ir.mail_server"]._disable_send():
            return self.browse()
        taken = self._take(limit)
        taken.filtered(lambda mail: mail.state == "taken")._hand_over()
        return taken

    def _take(self, limit=None):
        """Take what is due for this process alone, with its documents made, and commit that."""
        taken = self.try_lock_for_update(limit=limit).filtered_domain(self._get_due_domain())
        taken.filtered(lambda mail: mail.state in ("taken", "sending"))._settle_left_behind()
        taken._to_make()._make_documents()
        for mail in taken.filtered(lambda mail: mail.state == "waiting"):
            mail.write({"state": "taken", "tries": mail.tries + 1, "tried_on": fields.Datetime.now()})
        self._commit()
        return taken

    def _begin(self):
        """The server is about to hear of it. False where it is no longer this process's to send."""
        self.ensure_one()
        self.flush_recordset()
        begun = self.env.execute_query(
            SQL(
                "UPDATE billing_mail SET state = 'sending', tried_on = %s"
                " WHERE id = %s AND state = 'taken' AND tries = %s RETURNING id",
                fields.Datetime.now(),
                self.id,
                self.tries,
            )
        )
        self.invalidate_recordset(["state", "tried_on"])
        self._commit()
        return bool(begun)

    @api.model
    def _commit(self):
        """Intent before the outside world: see the class."""
        outside.commit(self.env)

    def _hand_over(self):
        """Talk to the mail server. Its answers come back through `mail.mail`, message by message."""
        outgoing = self.env["mail.mail"].create([mail._prepare_mail_mail() for mail in self])
        answers = {}
        try:
            outgoing.with_context(billing_answers=answers).send(auto_commit=not modules.module.current_test)
        except smtplib.SMTPServerDisconnected as error:
            _logger.info("Invoices: the mail server hung up: %s", error)
        for mail in self:
            answer = answers.get(mail.message_id)
            if answer and answer.withdrawn:
                continue
            if mail.state == "taken":
                mail._put_back()
            elif mail.state == "sending" and answer and answer.handed_over:
                mail._settle_unknown(
                    self.env._("The mail server hung up while taking the message: it may have arrived.")
                )
            elif mail.state == "sending":
                mail._record_failure(self.env._("The mail server hung up."), temporary=True)
        outgoing.exists()._discard_unsent()

    def _prepare_mail_mail(self):
        """The outgoing mail: one message, with everybody it was meant for in its headers."""
        self.ensure_one()
        record = self._about()
        bcc = self._addresses("bcc")
        return {
            "billing_mail_id": self.id,
            # Whoever may see a contact reads its conversation: what is about the account stays out of there.
            "model": record._name if record != self.partner_id else False,
            "res_id": record.id if record != self.partner_id else False,
            "message_type": "email_outgoing",
            "subtype_id": self.env.ref("mail.mt_comment").id,
            "author_id": self.author_id.id,
            "email_from": self.email_from,
            "email_to": self._addresses("to"),
            "email_cc": self._addresses("cc"),
            # The header becomes part of the envelope and is taken off the message.
            "headers": repr({"Bcc": bcc}) if bcc else False,
            "subject": self.subject,
            "body": self._body_to_keep(),
            "body_html": self._render_layout(),
            "message_id": self.message_id,
            "attachment_ids": [Command.set(self.attachment_ids.ids)],
            "mail_server_id": self.mail_server_id.id,
            "record_alias_domain_id": self.company_id.alias_domain_id.id,
            "record_company_id": self.company_id.id,
            # Odoo's own queue lets it be; this process sends it now.
            "scheduled_date": fields.Datetime.now() + timedelta(days=1),
            # The message stays in the conversation when the outgoing mail has done its duty.
            "is_notification": True,
            "auto_delete": True,
        }

    def _body_to_keep(self):
        """What stays in the conversation, which clients read on the portal: there nobody asks them before a picture is
        loaded from elsewhere, as mail programs do."""
        if not self.body:
            return self.body
        root = lxml.html.fragment_fromstring(self.body, create_parent="div")
        own = self.env["ir.actions.report"]._billing_document_image_address
        return Markup(lxml.html.tostring(pdf.without_remote_images(root, own), encoding="unicode"))  # noqa: S704

    def _render_layout(self):
        self.ensure_one()
        return self._render_in_layout(
            self._about(), self.body, self.lang, with_button=self.kind == "invoice", company=self.company_id
        )

    @api.model
    def _render_in_layout(self, record, body, lang, with_button=True, company=None):
        """The mail as it arrives: company, text, signature, and a button to the invoice on the portal."""
        # The link may need a token, which is written on the invoice and moves none of its amounts.
        record = record.with_context(lang=lang or self.env.lang, skip_invoice_sync=True)
        return (
            self.env["mail.template"]
            .with_context(lang=lang or self.env.lang)
            ._render_encapsulate(
                LAYOUT,
                body,
                add_context={
                    "company": (company or record.company_id).sudo(),
                    "model_description": record.type_name if with_button else "",
                    "has_button_access": with_button,
                    "button_access": {
                        "url": f"{record.get_base_url()}{record.get_portal_url()}",
                        "title": record.env._("View %s", record.type_name),
                    }
                    if with_button
                    else {},
                    "email_notification_allow_header": with_button,
                    "email_notification_force_header": False,
                    "email_notification_allow_footer": True,
                    "email_notification_force_footer": False,
                },
                context_record=record,
            )
        )

    # -- the document -------------------------------------------------------------------------------------------------

    def _to_make(self):
        """Those of which document and text are made before they leave. To be extended by what is made anew."""
        return self.filtered(lambda mail: mail.state == "queued")

    def _make_documents(self):
        """Make PDF, text and, where asked for, the electronic invoice; a client whose document fails is parked."""
        for company, mails in self.grouped("company_id").items():
            try:
                with self.env.cr.savepoint():
                    mails.with_company(company)._make()
            except OperationalError:
                raise
            except Exception:  # noqa: BLE001 - whatever it is, it is somebody's; the next lines find whose
                self.env.invalidate_all()
                for mail in mails:
                    mail.with_company(company)._make_or_park()

    def _make_or_park(self):
        try:
            with self.env.cr.savepoint():
                self._make()
        except OperationalError:
            raise
        except UserError as error:
            self.env.invalidate_all()
            self._record_failure(str(error))
        except Exception as error:
            _logger.exception("Invoices: making the document of mail %s failed", self.id)
            self.env.invalidate_all()
            self._record_failure(self.env._("Unexpected: %(kind)s: %(error)s", kind=type(error).__name__, error=error))

    def _make(self):
        receipts = self.filtered(lambda mail: mail.kind == "receipt")
        for mail in receipts:
            mail._fill(mail.payment_id.with_user(mail.user_id)._prepare_billing_receipt())
        for user, mails in (self - receipts).grouped("user_id").items():
            moves = mails.move_id
            for move in moves:
                move._billing_check_move("sent")
            self.env["account.move.send"].with_user(user)._generate_and_send_invoices(
                # What sending notes on an invoice moves none of its amounts: Odoo need not work them out each time.
                moves.with_user(user).with_context(skip_invoice_sync=True),
                sending_methods=["email"],
                billing_mails={mail.move_id.id: mail for mail in mails},
            )

    # -- answers ------------------------------------------------------------------------------------------------------

    def _record_answer(self, answer):
        """What the server said of this message, recipient by recipient."""
        self.ensure_one()
        later = {}
        for recipient in self._pending():
            refusal = answer and answer.refusal(recipient.email)
            if not refusal:
                recipient.write({"state": "accepted", "reason": False, "answered_on": fields.Datetime.now()})
                continue
            code, text = refusal
            reason = self.env._("The mail server refused it (%(code)s): %(text)s", code=code, text=text)
            if is_temporary(code):
                later[recipient] = reason
            else:
                recipient._refuse(reason)
        self._settle(later)

    def _record_failure(self, reason, temporary=False):
        """It went to nobody."""
        self.ensure_one()
        pending = self._pending()
        if temporary:
            self._settle(dict.fromkeys(pending, reason))
        else:
            pending._refuse(reason)
            self._settle({})

    def _record_bounce(self, email):
        """It came back from the recipient's own server, after ours had taken it."""
        for mail in self:
            mail.recipient_ids.filtered(lambda recipient, of=email: recipient.email == of).write(
                {
                    "state": "bounced",
                    "reason": self.env._("Returned by the recipient's mail server."),
                    "answered_on": fields.Datetime.now(),
                }
            )
            accepted = mail.recipient_ids.filtered(lambda recipient: recipient.state == "accepted")
            mail.sent_on = min(accepted.mapped("answered_on"), default=False)

    def _settle_unknown(self, reason):
        self.ensure_one()
        self._pending().write({"state": "unknown", "reason": reason, "answered_on": fields.Datetime.now()})
        self._settle({})

    def _settle_left_behind(self):
        """What a process that died had taken goes back in line; what it was sending may have arrived."""
        self.env["mail.mail"].search([("billing_mail_id", "in", self.ids)])._discard_unsent()
        for mail in self:
            if mail.state == "taken":
                mail._put_back()
            else:
                mail._settle_unknown(self.env._("The sending was interrupted: the message may have arrived."))

    def _put_back(self):
        self.write({"state": "waiting", "tries": self.tries - 1})

    def _settle(self, later):
        """Keep for another try those to whom the server said “later”, and close the mail for all others."""
        self.ensure_one()
        values = {"state": "done", "retry_on": False}
        if later and self.tries <= len(PAUSES):
            retry_on = fields.Datetime.now() + timedelta(minutes=PAUSES[self.tries - 1])
            for recipient, reason in later.items():
                recipient.reason = reason
            values = {"state": "waiting", "retry_on": retry_on}
            self._wake(retry_on)
        else:
            for recipient, reason in later.items():
                recipient._refuse(reason)
        accepted = self.recipient_ids.filtered(lambda recipient: recipient.state == "accepted")
        values["sent_on"] = min(accepted.mapped("answered_on"), default=False)
        self.write(values)
        if len(accepted) == len(self.recipient_ids):
            self._close_earlier_failures()

    def _close_earlier_failures(self):
        """Who was not reached by an earlier mail about the same needs no more attention once another one arrived."""
        earlier = self._earlier().recipient_ids
        earlier.filtered(lambda recipient: recipient.undelivered).closed = True

    def _earlier(self):
        return self.search(
            [
                ("partner_id", "=", self.partner_id.id),
                ("move_id", "=", self.move_id.id),
                ("payment_id", "=", self.payment_id.id),
                ("kind", "=", self.kind),
                ("id", "<", self.id),
            ]
        )

    # -- buttons ------------------------------------------------------------------------------------------------------

    def _send_again(self):
        """Try those again who were not reached; whoever got it gets no second one."""
        for mail in self:
            again = mail.recipient_ids.filtered(lambda recipient: recipient.undelivered and recipient.is_address)
            if not again:
                raise UserError(
                    self.env._(
                        "Nobody is left to send “%s” to: correct the address and use *Send*.", mail.subject or ""
                    )
                )
            again.write({"state": "waiting", "reason": False, "closed": False})
            mail.write({"state": "waiting" if mail.body else "queued", "tries": 0, "retry_on": False})
        self._send_after_commit()
