from odoo import api, fields, models
from odoo.exceptions import UserError

from ..tools import addresses

UNDELIVERED = ("refused", "unknown", "bounced")


class BillingMailRecipient(models.Model):
    """One address of an e-mail, and what became of it."""

    _name = "billing.mail.recipient"
    _description = "Recipient of an E-mail About an Invoice"
    _order = "mail_id desc, id"
    _rec_name = "email"

    mail_id = fields.Many2one("billing.mail", string="Message", required=True, index=True, ondelete="cascade")
    move_id = fields.Many2one(related="mail_id.move_id", string="Invoice", store=True, index=True)
    payment_id = fields.Many2one(related="mail_id.payment_id")
    company_id = fields.Many2one(related="mail_id.company_id", store=True)
    partner_id = fields.Many2one(related="mail_id.partner_id", string="Client", store=True)
    mail_kind = fields.Selection(related="mail_id.kind", string="Mail")
    subject = fields.Char(related="mail_id.subject")
    tries = fields.Integer(related="mail_id.tries")
    retry_on = fields.Datetime(related="mail_id.retry_on")
    kind = fields.Selection([("to", "To"), ("cc", "Cc"), ("bcc", "Bcc")], required=True)
    name = fields.Char()
    email = fields.Char(string="E-mail", required=True)
    is_address = fields.Boolean(compute="_compute_is_address")
    state = fields.Selection(
        [
            ("waiting", "Waiting"),
            ("accepted", "Sent"),
            ("refused", "Not delivered"),
            ("bounced", "Returned"),
            ("unknown", "In doubt"),
        ],
        required=True,
        default="waiting",
    )
    reason = fields.Text()
    answered_on = fields.Datetime(string="Answered")
    closed = fields.Boolean(help="Needs no more attention: reached otherwise, or dismissed.")
    undelivered = fields.Boolean(compute="_compute_undelivered")

    _undelivered_idx = models.Index(
        "(company_id, id) WHERE state IN ('refused', 'unknown', 'bounced') AND closed IS NOT TRUE"
    )

    @api.depends("email")
    def _compute_is_address(self):
        for recipient in self:
            recipient.is_address = bool(addresses.normalize(recipient.email or ""))

    @api.depends("state")
    def _compute_undelivered(self):
        for recipient in self:
            recipient.undelivered = recipient.state in UNDELIVERED

    @api.depends("name", "email")
    def _compute_display_name(self):
        for recipient in self:
            recipient.display_name = addresses.Address(recipient.name or "", recipient.email or "").formatted

    def _refuse(self, reason):
        self.write({"state": "refused", "reason": reason, "answered_on": fields.Datetime.now()})

    # -- buttons ------------------------------------------------------------------------------------------------------

    def _check_staff(self):
        self.check_access("read")
        self.move_id._billing_check_staff()
        self.move_id.check_access("write")
        self.payment_id.check_access("write")

    def action_send_again(self):
        """Send it again to those of the same mail who were not reached, and to nobody who was."""
        self._check_staff()
        self.sudo().mail_id._send_again()
        # The mail leaves after this request is committed and before it is answered: read again, the page knows.
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "info",
                "message": self.env._("Tried again. What the mail server said stands beside each address."),
                "next": {"type": "ir.actions.client", "tag": "soft_reload"},
            },
        }

    def action_dismiss(self):
        """Nothing more is to be done about these: take them off the list of what was not delivered."""
        self._check_staff()
        self.sudo().filtered("undelivered").closed = True
        return True

    def action_send_otherwise(self):
        """Open the Send dialog of the invoice, or of its reminder, to send it to another address."""
        self.ensure_one()
        self._check_staff()
        if reminders := self.mail_id.reminder_ids:
            return reminders.action_send_again()
        if not self.move_id:
            raise UserError(self.env._("Correct the e-mail of the client, and send it anew."))
        return self.move_id.action_billing_send_to_others()

    def action_open_invoice(self):
        self.ensure_one()
        return self.move_id._get_records_action(name=self.env._("Invoice"))
