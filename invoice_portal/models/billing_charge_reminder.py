from odoo import api, fields, models
from odoo.exceptions import UserError

from ..tools.grant import is_granted

REMINDER_FIELDS = {"reminder_id", "reminder_part"}


class BillingCharge(models.Model):
    """Fee and interest of a reminder: each once, and with the next invoice. The one that is late does not change."""

    _inherit = "billing.charge"

    origin = fields.Selection(selection_add=[("reminder", "Reminder")], ondelete={"reminder": "set default"})
    reminder_id = fields.Many2one(
        "billing.reminder", readonly=True, copy=False, ondelete="set null", help="The reminder that costs this."
    )
    reminder_part = fields.Selection([("fee", "Fee"), ("interest", "Interest")], readonly=True, copy=False)

    # Discarded ones count, too: somebody decided that this is not to be billed.
    _one_per_reminder = models.UniqueIndex(
        "(reminder_id, reminder_part) WHERE reminder_id IS NOT NULL", "This reminder is charged already."
    )

    @api.model_create_multi
    def create(self, vals_list):
        if is_granted(self.env):
            return super().create(vals_list)
        if any(vals.keys() & REMINDER_FIELDS for vals in vals_list):
            raise UserError(self._only_reminders_message())
        # Named, so that no default of a context says otherwise.
        start = dict.fromkeys(REMINDER_FIELDS, False)
        return super().create([{**start, **vals} for vals in vals_list])

    def write(self, vals):
        if vals.keys() & REMINDER_FIELDS and not is_granted(self.env):
            raise UserError(self._only_reminders_message())
        return super().write(vals)

    def _only_reminders_message(self):
        return self.env._("Only a reminder says what it costs. Discard its charge instead.")
