from odoo import api, fields, models
from odoo.exceptions import ValidationError

from .account_move_mail import LINES

# What may go to others than those who get the invoices.
OWN_KINDS = ("receipt", "reminder")


class ResPartner(models.Model):
    """Mails about a client rather than about one invoice."""

    _inherit = "res.partner"

    billing_email_receipt_to = fields.Char(
        string="Receipts To",
        tracking=True,
        groups="invoice_portal.group_billing_user",
        help="Addresses, separated by commas. Empty: where invoices go.",
    )
    billing_email_receipt_cc = fields.Char(
        string="Receipts Cc", tracking=True, groups="invoice_portal.group_billing_user"
    )
    billing_email_reminder_to = fields.Char(
        string="Reminders To",
        tracking=True,
        groups="invoice_portal.group_billing_user",
        help="Addresses, separated by commas. Empty: where invoices go.",
    )
    billing_email_reminder_cc = fields.Char(
        string="Reminders Cc", tracking=True, groups="invoice_portal.group_billing_user"
    )

    @api.constrains(
        "billing_email_receipt_to", "billing_email_receipt_cc", "billing_email_reminder_to", "billing_email_reminder_cc"
    )
    def _check_billing_own_emails(self):
        for partner in self:
            lines = {
                kind: {line: partner[f"billing_email_{kind}_{line}"] or "" for line in ("to", "cc")}
                for kind in OWN_KINDS
            }
            if problem := self._billing_own_lines_problem(lines):
                raise ValidationError(problem)

    @api.model
    def _billing_own_lines_problem(self, lines):
        """What is wrong with `{kind: {"to": text, "cc": text}}` of receipts and reminders, in words, or nothing."""
        for own in lines.values():
            if problem := self.env["account.move"]._billing_address_problem({**own, "bcc": ""}, required=False):
                return problem
            if own["cc"] and not own["to"]:
                return self.env._("Who is to get a copy is there, and nobody who is to get the mail: fill in To.")
        return None

    def _billing_own_lines(self, kind):
        """To and Cc that the client has for receipts or reminders alone; nothing where they go where invoices go.

        Elevated: whoever sends need not be allowed to edit these.
        """
        client = self.commercial_partner_id.sudo()
        to = kind in OWN_KINDS and client[f"billing_email_{kind}_to"]
        return {"to": to, "cc": client[f"billing_email_{kind}_cc"] or ""} if to else {}

    def _billing_addresses(self, kind="invoice"):
        """`{"to": text, "cc": text, "bcc": text}`. Elevated: whoever sends need not be allowed to edit these.

        :param kind: `receipt` or `reminder`, for which a client may have addresses of their own
        """
        self.ensure_one()
        client = self.commercial_partner_id.sudo()
        lines = {line: client[f"billing_email_{line}"] or "" for line in LINES}
        if not lines["to"]:
            contact = client.browse(client.address_get(["invoice"])["invoice"])
            lines["to"] = self.env["account.move"]._billing_contact_line(contact if contact.email else client)
        return {**lines, **self._billing_own_lines(kind)}

    def _billing_queue_notice(self, template, **values):
        """Mail this to the client, after the commit; in the company of the environment."""
        self.ensure_one()
        return template._billing_queue(
            self,
            partner_id=self.commercial_partner_id.id,
            company_id=self.env.company.id,
            **{"addresses": self._billing_addresses(), **values},
        )


class MailTemplate(models.Model):
    _inherit = "mail.template"

    def _billing_texts(self, record):
        """What this template says about a record, as `billing.mail` takes it."""
        self.ensure_one()
        texts = {
            field: self._render_field(field, record.ids, compute_lang=True, options={"post_process": True})[record.id]
            for field in ("subject", "body_html", "email_from")
        }
        author_id, email_from = self.env["res.partner"]._message_compute_author(email_from=texts["email_from"] or None)
        return {
            "subject": texts["subject"],
            "body": texts["body_html"],
            "lang": self._render_lang(record.ids)[record.id],
            "author_id": author_id,
            "email_from": email_from,
            "mail_server_id": self.sudo().mail_server_id.id,
        }

    def _billing_queue(self, record, **values):
        """Put this template's text about a record into the queue of billing mails, which leave after the commit.

        :param values: of the `billing.mail`; `addresses` where it goes elsewhere than to the client
        """
        Mail = self.env["billing.mail"].sudo()
        mail = Mail._queue([{"kind": "notice", **self._billing_texts(record), **values}])
        Mail._wake()
        return mail
