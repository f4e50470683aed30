from odoo import api, models
from odoo.exceptions import UserError

# What a matching says. Odoo makes and removes matchings, and never edits one.
MATCHED_FIELDS = {"amount", "credit_amount_currency", "credit_move_id", "debit_amount_currency", "debit_move_id"}


class AccountPartialReconcile(models.Model):
    _inherit = "account.partial.reconcile"

    def write(self, vals):
        if vals.keys() & MATCHED_FIELDS:
            moves = (self.debit_move_id | self.credit_move_id).move_id
            if locked := moves.filtered("billing_locked"):
                raise UserError(locked._billing_locked_message())
        return super().write(vals)

    @api.ondelete(at_uninstall=False)
    def _unlink_except_void(self):
        """A void invoice and its reversing entry stay matched, or the client would owe the amount again."""
        for partial in self:
            invoice, reversal = partial.debit_move_id.move_id, partial.credit_move_id.move_id
            if invoice.billing_void_move_id and invoice.billing_void_move_id == reversal:
                raise UserError(
                    self.env._(
                        "%(invoice)s is void: it stays matched with %(reversal)s, or it would be due again.",
                        invoice=invoice.display_name,
                        reversal=reversal.display_name,
                    )
                )
