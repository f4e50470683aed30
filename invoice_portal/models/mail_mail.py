from odoo import fields, models

from ..tools.smtp import ListeningSession


class MailMail(models.Model):
    """Brings what the mail server said back to the e-mails about invoices."""

    _inherit = "mail.mail"

    billing_mail_id = fields.Many2one("billing.mail", index="btree_not_null", ondelete="set null")

    def _prepare_outgoing_list(self, mail_server=False, doc_to_followers=None):
        """Everybody stands in the headers; delivered to are those only who have not got it yet, Bcc among them."""
        emails = super()._prepare_outgoing_list(mail_server=mail_server, doc_to_followers=doc_to_followers)
        if self.billing_mail_id:
            for email in emails:
                email["email_to_normalized"] = self.sudo().billing_mail_id._pending().mapped("email")
        return emails

    def _send(self, *args, smtp_session=None, **kwargs):
        if not self.billing_mail_id or not smtp_session:
            return super()._send(*args, smtp_session=smtp_session, **kwargs)
        ours = {mail.message_id: mail.sudo().billing_mail_id for mail in self if mail.billing_mail_id}

        def begin(message_id):
            return message_id not in ours or ours[message_id]._begin()

        answers = self.env.context.get("billing_answers", {})
        mails = self.with_context(billing_answers=answers)
        session = ListeningSession(smtp_session, answers, begin)
        return super(MailMail, mails)._send(*args, smtp_session=session, **kwargs)

    def _postprocess_sent_message(self, success_pids, success_emails, failure_reason=False, failure_type=None):
        # In the transaction that keeps the mail's own state, and before it may be deleted.
        answers = self.env.context.get("billing_answers", {})
        for mail in self.sudo().filtered("billing_mail_id"):
            answer = answers.get(mail.message_id)
            if answer and answer.withdrawn:
                continue
            if mail.state == "sent":
                mail.attachment_ids.filtered(lambda file: file.res_model == "billing.mail").write(
                    {"res_model": "mail.message", "res_id": mail.mail_message_id.id}
                )
                mail.billing_mail_id._record_answer(answer)
            elif answer and (answer.refused or answer.error):
                mail.billing_mail_id._record_answer(answer)
            else:
                mail.billing_mail_id._record_failure(
                    failure_reason or mail.failure_reason or "", temporary=failure_type == "mail_smtp"
                )
        return super()._postprocess_sent_message(
            success_pids, success_emails, failure_reason=failure_reason, failure_type=failure_type
        )

    def _discard_unsent(self):
        """The conversation on the invoice shows what was sent, and nothing else."""
        self.filtered(lambda mail: mail.state != "sent").mail_message_id.unlink()
