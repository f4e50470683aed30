from odoo import models

from .account_move_mail import LINES


class ResPartner(models.Model):
    """Mails about a client rather than about one invoice."""

    _inherit = "res.partner"

    def _billing_addresses(self):
        """`{"to": text, "cc": text, "bcc": text}`. Elevated: whoever sends need not be allowed to edit these."""
        self.ensure_one()
        client = self.commercial_partner_id.sudo()
        lines = {line: client[f"billing_email_{line}"] or "" for line in LINES}
        if not lines["to"]:
            contact = client.browse(client.address_get(["invoice"])["invoice"])
            lines["to"] = self.env["account.move"]._billing_contact_line(contact if contact.email else client)
        return lines

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
