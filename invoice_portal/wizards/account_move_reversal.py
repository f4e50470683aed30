from odoo import models
from odoo.exceptions import UserError


class AccountMoveReversal(models.TransientModel):
    _inherit = "account.move.reversal"

    def modify_moves(self):
        """Reversing in full and billing anew is what voiding does, charges included: they would stay billed here."""
        if charged := self.move_ids.filtered("billing_charge_ids"):
            raise UserError(
                self.env._(
                    "%s bills charges. Void it instead (Status ▸ Void): that reverses it and opens its charges again, "
                    "to be billed anew.",
                    charged[0].display_name,
                )
            )
        return super().modify_moves()
