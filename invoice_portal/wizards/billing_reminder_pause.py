from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command


class BillingReminderPause(models.TransientModel):
    """Until when is nobody reminded, and why?"""

    _name = "billing.reminder.pause"
    _description = "Pause Reminders"

    move_ids = fields.Many2many("account.move", string="Invoices", readonly=True)
    partner_ids = fields.Many2many("res.partner", string="Clients", readonly=True)
    what = fields.Char(compute="_compute_what")
    until = fields.Date(
        required=True,
        default=lambda self: fields.Date.add(fields.Date.context_today(self), days=14),
        help="The last day without reminders.",
    )
    reason = fields.Char(help="For staff: the client does not see it.")

    @api.model
    def _open(self, records):
        """:param records: invoices, or clients"""
        records.check_access("write")
        fname = "move_ids" if records._name == "account.move" else "partner_ids"
        wizard = self.create({fname: [Command.set(records.ids)]})
        return wizard._get_records_action(name=self.env._("Pause Reminders"), target="new")

    @api.depends("move_ids", "partner_ids")
    def _compute_what(self):
        for wizard in self:
            wizard.what = ", ".join((wizard.move_ids or wizard.partner_ids).mapped("display_name"))

    def action_confirm(self):
        self.ensure_one()
        self.check_access("write")
        if not (self.reason or "").strip():
            raise UserError(self.env._("Say why nobody is to be reminded."))
        if self.until < fields.Date.context_today(self):
            raise UserError(self.env._("The pause would be over already."))
        for records in (self.move_ids, self.partner_ids):
            records.check_access("write")
            records._billing_reminder_set_pause(self.until, self.reason.strip())
        return {"type": "ir.actions.act_window_close"}
