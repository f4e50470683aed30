from odoo import api, fields, models
from odoo.exceptions import UserError


class BillingReminderDue(models.TransientModel):
    """What the job would say today, worked out by its own code; nothing is written but this list."""

    _name = "billing.reminder.due"
    _description = "Reminder Due Today"
    _order = "reason desc, partner_id, id"

    move_id = fields.Many2one("account.move", string="Invoice", readonly=True)
    partner_id = fields.Many2one("res.partner", string="Client", readonly=True)
    level_id = fields.Many2one("billing.reminder.level", readonly=True)
    company_id = fields.Many2one("res.company", readonly=True)
    currency_id = fields.Many2one("res.currency", readonly=True)
    date_due = fields.Date(string="Due Date", readonly=True)
    days = fields.Integer(string="Days Overdue", readonly=True, aggregator=None)
    amount = fields.Monetary(string="Overdue", readonly=True, aggregator=None)
    costs = fields.Monetary(string="Fee and Interest", readonly=True, aggregator=None)
    recipients = fields.Char(string="Goes to", readonly=True)
    reason = fields.Char(string="Held Because", readonly=True)

    def action_open(self):
        """Reminders Due: work the list out and show it."""
        self.env["account.move"]._billing_check_staff()
        Reminder, found = self.env["billing.reminder"], self.browse()
        for company in self.env.companies:
            letters, left_out = Reminder._due_letters(company)
            found |= self.create(
                [self._prepare(item, letter=letter) for letter in letters for item in letter.items]
                + [self._prepare(item, reason=reason) for item, reason in left_out.items()]
            )
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal.action_billing_reminder_due_list")
        name = action["name"]
        if not any(self.env.companies.mapped("billing_reminders")):
            name = self.env._("%s (sending is turned off in the settings)", name)
        return dict(action, name=name, display_name=name, domain=[("id", "in", found.ids)])

    @api.model
    def _prepare(self, item, letter=None, reason=None):
        move, level, standing = item.move, item.level, item.standing
        return {
            "move_id": move.id,
            "partner_id": move.commercial_partner_id.id,
            "level_id": level.id,
            "company_id": move.company_id.id,
            "currency_id": move.currency_id.id,
            "date_due": standing.due,
            "days": standing.days,
            "amount": standing.amount,
            "costs": sum(self.env["billing.reminder"]._costs(move, level, standing)),
            "recipients": ", ".join(filter(None, letter.addresses.values())) if letter else False,
            "reason": (letter.problem if letter else reason) or False,
        }

    def action_send(self):
        """Remind of these now, after a question."""
        self.move_id._billing_check_staff()
        self.check_access("read")
        ready = self.filtered(lambda line: not line.reason)
        if not ready:
            raise UserError(self.env._("These are held: see why beside each."))
        return self.env["billing.reminder.send"]._open(ready.move_id)
