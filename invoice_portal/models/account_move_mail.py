from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Domain

from ..tools import addresses
from .billing_mail_recipient import UNDELIVERED

# The three lines of addresses: on clients, projects and invoices alike.
LINES = ("to", "cc", "bcc")


class AccountMove(models.Model):
    """To whom an invoice is mailed, and what became of it."""

    _inherit = "account.move"

    billing_email_custom = fields.Boolean(
        string="Custom e-mail",
        copy=False,
        groups="base.group_user",
        help="Send this invoice to other addresses than those of its project or client.",
    )
    billing_email_to = fields.Char(string="To", copy=False, groups="base.group_user")
    billing_email_cc = fields.Char(string="Cc", copy=False, groups="base.group_user")
    billing_email_bcc = fields.Char(string="Bcc", copy=False, groups="base.group_user")
    billing_email_default = fields.Char(
        string="Goes to", compute="_compute_billing_email_default", groups="base.group_user"
    )
    billing_mail_ids = fields.One2many("billing.mail", "move_id", string="E-mails", groups="base.group_user")
    billing_shared_mail_ids = fields.Many2many(
        "billing.mail",
        "billing_mail_shared_move_rel",
        "move_id",
        "mail_id",
        string="E-mails About Several Invoices",
        copy=False,
        groups="invoice_portal.group_billing_user",
    )
    billing_recipient_ids = fields.One2many(
        "billing.mail.recipient",
        "move_id",
        string="Sent To",
        readonly=True,
        groups="invoice_portal.group_billing_user",
    )
    billing_reader_ids = fields.Many2many(
        "billing.mail.recipient",
        string="Readers",
        compute="_compute_billing_reader_ids",
        groups="invoice_portal.group_billing_user",
        help="Of all mails about this invoice, those about several included.",
    )
    billing_undelivered = fields.Boolean(
        string="Not Delivered",
        compute="_compute_billing_undelivered",
        search="_search_billing_undelivered",
        groups="invoice_portal.group_billing_user",
        help="Somebody this invoice was sent to did not get it.",
    )
    billing_undelivered_reason = fields.Text(
        compute="_compute_billing_undelivered", groups="invoice_portal.group_billing_user"
    )

    billing_waiting = fields.Boolean(
        string="Waiting to Be Sent",
        compute="_compute_billing_waiting",
        search="_search_billing_waiting",
        groups="invoice_portal.group_billing_user",
        help="An e-mail about this invoice has not left yet.",
    )
    billing_waiting_note = fields.Text(
        compute="_compute_billing_waiting",
        groups="invoice_portal.group_billing_user",
        help="What waits, since when and why, and when it is tried again.",
    )
    billing_mail_state = fields.Selection(
        [("waiting", "E-mail waiting"), ("undelivered", "Not delivered")],
        string="E-mail",
        compute="_compute_billing_mail_state",
        groups="invoice_portal.group_billing_user",
    )

    # -- to whom ------------------------------------------------------------------------------------------------------

    def _billing_addresses(self):
        """`{"to": text, "cc": text, "bcc": text}`: typed on the invoice, else its project's, else its client's."""
        self.ensure_one()
        if self.billing_email_custom:
            return {line: self[f"billing_email_{line}"] or "" for line in LINES}
        return self._billing_default_addresses()

    def _billing_reminder_addresses(self):
        """Typed on the invoice, else what the client has for reminders, else where the invoice goes."""
        self.ensure_one()
        own = {} if self.billing_email_custom else self.commercial_partner_id._billing_own_lines("reminder")
        return {**self._billing_addresses(), **own}

    def _billing_default_addresses(self):
        self.ensure_one()
        return {line: text for line, (text, _source) in self._billing_default_lines().items()}

    def _billing_default_lines(self):
        """`{line: (text, whose it is in words)}`. Elevated: whoever sends need not be allowed to edit these."""
        project, client = self.billing_project_id.sudo(), self.commercial_partner_id.sudo()
        lines = {}
        for line in LINES:
            if project[f"billing_email_{line}"]:
                lines[line] = project[f"billing_email_{line}"], self.env._("project %s", project.name)
            else:
                text = client[f"billing_email_{line}"] or ""
                lines[line] = text, self.env._("client %s", client.display_name or "")
        if not lines["to"][0]:
            contact = self.partner_id if self.partner_id.email else client
            lines["to"] = self._billing_contact_line(contact), lines["to"][1]
        return lines

    @api.model
    def _billing_contact_line(self, contact):
        """The address of a contact; Odoo lets people type several into the one field."""
        good, wrong = addresses.parse(contact.email)
        named = [addresses.Address(address.name or contact.name or "", address.email) for address in good]
        return ", ".join(filter(None, [addresses.joined(named), *wrong]))

    def _billing_default_source(self):
        """Whose addresses the default ones are, in words."""
        self.ensure_one()
        sources = {}
        for line, (text, source) in self._billing_default_lines().items():
            if text:
                sources.setdefault(source, []).append(line.capitalize())
        if len(sources) == 1:
            return next(iter(sources))
        return ", ".join(
            self.env._("%(lines)s of %(owner)s", lines="/".join(lines), owner=source)
            for source, lines in sources.items()
        )

    @api.depends("billing_project_id", "partner_id", "commercial_partner_id")
    def _compute_billing_email_default(self):
        for move in self:
            lines = move._billing_default_addresses()
            labels = {"to": "", "cc": self.env._("Cc: "), "bcc": self.env._("Bcc: ")}
            move.billing_email_default = " · ".join(f"{labels[line]}{lines[line]}" for line in LINES if lines[line])

    @api.onchange("billing_email_custom")
    def _onchange_billing_email_custom(self):
        """Custom addresses start from the default ones."""
        for move in self:
            lines = move._billing_default_addresses() if move.billing_email_custom else dict.fromkeys(LINES, False)
            move.update({f"billing_email_{line}": lines[line] for line in LINES})

    @api.onchange("billing_email_to", "billing_email_cc", "billing_email_bcc")
    def _onchange_billing_emails(self):
        if problem := self._billing_address_problem({line: self[f"billing_email_{line}"] for line in LINES}, False):
            return {"warning": {"title": self.env._("E-mail address"), "message": problem, "type": "notification"}}
        return None

    @api.constrains("billing_email_to", "billing_email_cc", "billing_email_bcc", "billing_email_custom")
    def _check_billing_emails(self):
        for move in self.filtered("billing_email_custom"):
            if problem := self._billing_address_problem(move._billing_addresses()):
                raise ValidationError(problem)

    @api.model
    def _billing_address_problem(self, lines, required=True):
        """What is wrong with these lines of addresses, in words, or nothing."""
        for line in LINES:
            _good, wrong = addresses.parse(lines[line])
            if wrong:
                return self.env._(
                    "“%(piece)s” in %(line)s is not an e-mail address. Separate several by commas.",
                    piece=wrong[0],
                    line=line.capitalize(),
                )
        if required and not addresses.parse(lines["to"])[0]:
            return self.env._("There is no address to send to: type one in To.")
        return None

    # -- sending ------------------------------------------------------------------------------------------------------

    def action_send_and_print(self):
        """Odoo's Send: several customer invoices are sent in the background, after a question that counts."""
        # A client may read its invoice, and Odoo asks no more than that.
        self.check_access("write")
        if len(self) > 1 and all(move.is_sale_document(include_receipts=True) for move in self):
            return self.env["billing.send"]._open(self)
        return dict(super().action_send_and_print(), name=self.env._("Send Invoice"))

    def _billing_queue_mails(self):
        """Send these invoices in the background, each to its own addresses. Returns the batch."""
        for move in self:
            move._billing_check_move("sent")
        batch = self.env["billing.mail.batch"].sudo().create({"user_id": self.env.uid})
        self.env["billing.mail"].sudo()._queue(
            [
                {
                    "move_id": move.id,
                    "batch_id": batch.id,
                    "user_id": self.env.uid,
                    "state": "queued",
                    "subject": move._billing_label(),
                    "addresses": move._billing_addresses(),
                }
                for move in self
            ]
        )
        self.env["billing.mail"]._wake()
        return batch.sudo(False)

    def _billing_queue_where_possible(self):
        """Send what a mail can reach, and note on the others why not: nobody is asked in a run."""
        ready = self.browse()
        for move in self:
            method = move.commercial_partner_id.with_company(move.company_id).invoice_sending_method or "email"
            if method == "email" and not self._billing_address_problem(move._billing_addresses()):
                ready |= move
            elif method == "email":
                move.message_post(body=self.env._("Not sent: there is no address to send it to."))
        return ready._billing_queue_mails() if ready else self.env["billing.mail.batch"]

    def _billing_queue_notices(self, template, copy_to=""):
        """Mail a notice about each of these invoices to its addresses, after the commit.

        :param copy_to: who reads it, too; or alone, where the invoice has no addresses
        """
        langs = template._render_lang(self.ids)
        texts = {
            field: template._render_field(field, self.ids, compute_lang=True, options={"post_process": True})
            for field in ("subject", "body_html", "email_from")
        }
        queue = []
        for move in self:
            author_id, email_from = move._message_compute_author(email_from=texts["email_from"][move.id] or None)
            queue.append(
                {
                    "move_id": move.id,
                    "kind": "notice",
                    "subject": texts["subject"][move.id],
                    "body": texts["body_html"][move.id],
                    "lang": langs[move.id],
                    "author_id": author_id,
                    "email_from": email_from,
                    "mail_server_id": template.mail_server_id.id,
                    "addresses": self._billing_with_copy(move._billing_addresses(), copy_to),
                }
            )
        self.env["billing.mail"].sudo()._queue(queue)
        self.env["billing.mail"]._wake()

    @api.model
    def _billing_with_copy(self, lines, copy_to):
        line = "cc" if lines["to"] else "to"
        return {**lines, line: ", ".join(filter(None, [lines[line], copy_to]))}

    def _billing_is_being_sent(self):
        return any(mail.kind == "invoice" and mail.state != "done" for mail in self.billing_mail_ids)

    # -- what became of it --------------------------------------------------------------------------------------------

    def _get_billing_undelivered_domain(self):
        return [("state", "in", UNDELIVERED), ("closed", "=", False)]

    @api.depends("billing_recipient_ids", "billing_shared_mail_ids.recipient_ids")
    def _compute_billing_reader_ids(self):
        for move in self:
            move.billing_reader_ids = (move.billing_recipient_ids | move.billing_shared_mail_ids.recipient_ids).sorted()

    def _billing_not_reached(self):
        return self.billing_reader_ids.filtered(
            lambda recipient: recipient.state in UNDELIVERED and not recipient.closed
        )

    @api.depends(
        "billing_recipient_ids.state",
        "billing_recipient_ids.closed",
        "billing_shared_mail_ids.recipient_ids.state",
        "billing_shared_mail_ids.recipient_ids.closed",
    )
    def _compute_billing_undelivered(self):
        for move in self:
            failed = move._billing_not_reached()
            move.billing_undelivered = bool(failed)
            move.billing_undelivered_reason = "\n".join(f"{item.email}: {item.reason or ''}" for item in failed)

    def _search_billing_undelivered(self, operator, value):
        if operator != "in":
            return NotImplemented
        failed = self._get_billing_undelivered_domain()
        found = Domain("billing_recipient_ids", "any", failed) | Domain(
            "billing_shared_mail_ids.recipient_ids", "any", failed
        )
        return found if True in value else ~found

    def _get_billing_waiting_domain(self):
        return [("state", "!=", "done")]

    @api.depends(
        "billing_mail_ids.state",
        "billing_mail_ids.retry_on",
        "billing_mail_ids.recipient_ids.reason",
        "billing_shared_mail_ids.state",
        "billing_shared_mail_ids.retry_on",
        "billing_shared_mail_ids.recipient_ids.reason",
    )
    def _compute_billing_waiting(self):
        for move in self:
            waiting = (move.billing_mail_ids | move.billing_shared_mail_ids).filtered_domain(
                self._get_billing_waiting_domain()
            )
            move.billing_waiting = bool(waiting)
            move.billing_waiting_note = "\n".join(mail._waiting_note() for mail in waiting.sorted("id"))

    def _search_billing_waiting(self, operator, value):
        if operator != "in":
            return NotImplemented
        waiting = self._get_billing_waiting_domain()
        found = Domain("billing_mail_ids", "any", waiting) | Domain("billing_shared_mail_ids", "any", waiting)
        return found if True in value else ~found

    @api.depends("billing_waiting", "billing_undelivered")
    def _compute_billing_mail_state(self):
        for move in self:
            # What failed needs somebody; what waits goes on by itself.
            undelivered = move.billing_undelivered and "undelivered"
            move.billing_mail_state = undelivered or (move.billing_waiting and "waiting")

    def _message_receive_bounce(self, email, partner):
        """A mail that the server took and then returned was not delivered after all."""
        result = super()._message_receive_bounce(email, partner)
        returned = self.sudo().billing_recipient_ids.filtered(
            lambda recipient: recipient.email == email and recipient.state == "accepted"
        )
        returned.mail_id._record_bounce(email)
        return result

    def action_billing_send_again(self):
        """Send again to those who were not reached."""
        self._billing_check_staff()
        failed = self._billing_not_reached()
        if not failed:
            raise UserError(self.env._("Everybody was reached."))
        return failed.action_send_again()

    def action_billing_send_to_others(self):
        """Open the Send dialog for those only who did not get it, to correct their addresses."""
        self.ensure_one()
        self._billing_check_staff()
        not_reached = self._billing_not_reached()
        failed = not_reached.filtered(lambda recipient: recipient.mail_kind != "reminder")
        if not_reached and not failed:
            return not_reached.mail_id.reminder_ids.action_send_again()
        lines = {
            line: addresses.joined(
                addresses.Address(item.name or "", item.email)
                for item in failed.filtered(lambda r, k=line: r.kind == k)
            )
            for line in LINES
        }
        if not lines["to"]:
            # Somebody has to be addressed: who should have got a copy gets the mail.
            lines.update({"to": lines["cc"] or lines["bcc"], "cc": "", "bcc": lines["bcc"] if lines["cc"] else ""})
        action = self.action_send_and_print()
        context = {f"default_billing_{line}": text for line, text in lines.items()}
        return dict(
            action,
            context={**action["context"], **context, "default_billing_address_mode": "custom", "billing_once": True},
        )
