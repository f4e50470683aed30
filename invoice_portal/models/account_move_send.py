import base64

from odoo import api, models
from odoo.fields import Command
from odoo.tools import file_open

from .account_move_status import SALE_TYPES


class AccountMoveSend(models.AbstractModel):
    """Customer invoices leave as one message with real Cc and Bcc, whichever of Odoo's ways sends them."""

    _inherit = "account.move.send"

    @api.model
    def _get_default_sending_settings(self, move, from_cron=False, **custom_settings):
        settings = super()._get_default_sending_settings(move, from_cron=from_cron, **custom_settings)
        if move.move_type in SALE_TYPES and "email" in settings["sending_methods"]:
            mail = custom_settings.get("billing_mails", {}).get(move.id)
            settings["billing_mail"] = mail
            settings["billing_addresses"] = custom_settings.get("billing_addresses") or move.sudo()._billing_addresses()
        return settings

    @api.model
    def _get_alerts(self, moves, moves_data):
        alerts = super()._get_alerts(moves, moves_data)
        # Odoo looks at contacts; ours go to addresses, and the dialog checks those as they are typed.
        if "account_missing_email" in alerts and all(move.move_type in SALE_TYPES for move in moves):
            without = moves.filtered(
                lambda move: "email" in moves_data[move]["sending_methods"] and not move._billing_addresses()["to"]
            )
            if len(moves) == 1 or not without:
                del alerts["account_missing_email"]
        return alerts

    @api.model
    def _is_applicable_to_move(self, method, move, **move_data):
        if method == "email" and "billing_addresses" in move_data:
            return bool(move_data["billing_mail"] or move_data["billing_addresses"]["to"])
        return super()._is_applicable_to_move(method, move, **move_data)

    @api.model
    def _send_mails(self, moves_data):
        ours = {move: data for move, data in moves_data.items() if "billing_addresses" in data}
        result = super()._send_mails({move: data for move, data in moves_data.items() if move not in ours})
        self._generate_dynamic_reports(ours)
        Mail = self.env["billing.mail"].sudo()
        queue = []
        for move, data in ours.items():
            values = self._prepare_billing_mail(move, data)
            if mail := data["billing_mail"]:
                mail.sudo()._fill(values)
            else:
                queue.append({**values, "move_id": move.id, "addresses": data["billing_addresses"]})
        if queue:
            Mail._queue(queue)._send_after_commit()
        return result

    @api.model
    def _prepare_billing_mail(self, move, data):
        """What is in the mail: text, author and attachments, as dialog, template and Odoo's own settings say."""
        template = data["mail_template"]
        params = self._get_mail_params(move, data)
        files = params["attachments"]
        if proforma := data.get("proforma_pdf_attachment"):
            files = [*files, (proforma.name, proforma.raw)]
        email_from = self._get_mail_default_field_value_from_template(template, data["mail_lang"], move, "email_from")
        author_id, email_from = move._message_compute_author(
            author_id=None if email_from else params["author_id"], email_from=email_from or None
        )
        return {
            "subject": params["subject"],
            "body": params["body"],
            "lang": data["mail_lang"],
            "author_id": author_id,
            "email_from": email_from,
            "mail_server_id": template.mail_server_id.id,
            "attachment_ids": [
                Command.create({"name": name, "raw": content, "thumbnail": self._billing_file_icon(name)})
                for name, content in files
            ],
        }

    @api.model
    def _billing_file_icon(self, name):
        """A sign for the conversation. Without one, browsers draw the first page of this file and of the same one on
        the invoice, upload both pictures in the same moment, and the filestore takes that for a collision."""
        if not name.lower().endswith(".pdf"):
            return False
        with file_open("web/static/img/mimetypes/pdf.svg", "rb") as icon:
            return base64.b64encode(icon.read())
