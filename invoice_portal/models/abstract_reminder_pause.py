from odoo import api, models
from odoo.tools import format_date


class BillingReminderPausable(models.AbstractModel):
    """What reminders can be paused for: one invoice, or a client with all of them.

    Each keeps `billing_reminder_paused_until` and `billing_reminder_pause_reason`; a client, one per company.
    """

    _name = "billing.reminder.pausable"
    _description = "Reminders That Can Be Paused"

    def _billing_reminder_pausable(self):
        """The records that keep the pause of these."""
        return self

    def action_billing_reminder_pause(self):
        self._billing_check_staff()
        return self.env["billing.reminder.pause"]._open(self._billing_reminder_pausable())

    def action_billing_reminder_resume(self):
        """Remind again. What fell due in the meantime is said once, at its highest level."""
        self._billing_check_staff()
        paused = self._billing_reminder_pausable()
        paused.check_access("write")
        paused._billing_reminder_set_pause(False, False)

    @api.private
    def _billing_reminder_set_pause(self, until, reason):
        self.write({"billing_reminder_paused_until": until, "billing_reminder_pause_reason": reason})
        day = format_date(self.env, until)
        note = (
            self.env._("Reminders are paused until %(day)s: %(reason)s", day=day, reason=reason)
            if until
            else self.env._("Reminders go on.")
        )
        for record in self:
            record.message_post(body=note, subtype_xmlid="mail.mt_note")
