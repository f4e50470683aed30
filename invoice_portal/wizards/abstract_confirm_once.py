from odoo import fields, models
from odoo.exceptions import UserError
from odoo.tools import SQL


class BillingConfirmOnce(models.AbstractModel):
    """A dialog that moves money does so once, however often its answer is sent."""

    _name = "billing.confirm.once"
    _description = "Dialog Confirmed Once"

    confirmed = fields.Boolean(readonly=True)

    def _confirm_once(self):
        """Of two that confirm the same dialog, the database lets one through."""
        self.ensure_one()
        self.flush_recordset()
        table = SQL.identifier(self._table)
        won = self.env.execute_query(
            SQL("UPDATE %s SET confirmed = TRUE WHERE id = %s AND confirmed IS NOT TRUE RETURNING id", table, self.id)
        )
        self.invalidate_recordset(["confirmed"])
        if not won:
            raise UserError(self.env._("This was confirmed already. Open the dialog again to do it once more."))
