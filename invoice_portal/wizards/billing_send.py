from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command

# So many mails are sent at once without a page that shows how far it is.
NAMED = 5


class BillingSend(models.TransientModel):
    """Asks before several invoices are mailed in the background: how many, to whom, and what is left out."""

    _name = "billing.send"
    _description = "Send Invoices"

    move_ids = fields.Many2many("account.move", string="Invoices", readonly=True)
    again = fields.Boolean(
        string="Send again what was sent already", help="Otherwise only those go out that no mail server has taken yet."
    )
    sent_count = fields.Integer(compute="_compute_summary")
    ready_count = fields.Integer(compute="_compute_summary")
    summary = fields.Html(compute="_compute_summary", sanitize=False)

    @api.model
    def _open(self, moves):
        moves.check_access("write")
        moves._billing_check_staff()
        wizard = self.create({"move_ids": [Command.set(moves.ids)]})
        return wizard._get_records_action(name=self.env._("Send Invoices"), target="new")

    @api.depends("move_ids", "again")
    def _compute_summary(self):
        for wizard in self:
            ready, sent, left_out = wizard._sort_out()
            wizard.ready_count = len(ready)
            wizard.sent_count = len(sent)
            wizard.summary = self.env["ir.qweb"]._render(
                "invoice_portal.send_summary",
                {"ready": ready, "sent": sent, "again": wizard.again, "left_out": left_out, "named": NAMED},
            )

    def _sort_out(self):
        """What goes out, what went out before, and `{reason: invoices}` of what does not."""
        ready, sent, left_out = self.move_ids.browse(), self.move_ids.browse(), {}
        labels = dict(self.env["res.partner"]._fields["invoice_sending_method"]._description_selection(self.env))
        for move in self.move_ids:
            if reason := self._why_left_out(move, labels):
                left_out[reason] = left_out.get(reason, move.browse()) | move
            elif move._billing_is_sent():
                sent |= move
            else:
                ready |= move
        return (ready | sent if self.again else ready), sent, left_out

    def _why_left_out(self, move, labels):
        if move.billing_status == "draft":
            return self.env._("Not finalized")
        if move.billing_status == "cancelled":
            return self.env._("Cancelled")
        if move.billing_status == "void":
            return self.env._("Void")
        if reason := move._billing_why_not("sent"):
            return reason
        method = move.commercial_partner_id.with_company(move.company_id).invoice_sending_method or "email"
        if method != "email":
            return self.env._("Client wants it otherwise: %s", labels.get(method, method))
        if move._billing_is_being_sent():
            return self.env._("Being sent already")
        if problem := move._billing_address_problem(move._billing_addresses()):
            return self.env._("%(client)s: %(problem)s", client=move.partner_id.display_name, problem=problem)
        return None

    def action_confirm(self):
        """Send what can be sent; the batch shows how far it is."""
        self.ensure_one()
        ready, _sent, _left_out = self._sort_out()
        if not ready:
            raise UserError(self.env._("There is nothing to send."))
        batch = ready._billing_queue_mails()
        return batch._get_records_action(name=batch.name)
