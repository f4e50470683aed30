from odoo import api, models
from odoo.exceptions import UserError


class AccountPartialReconcile(models.Model):
    _inherit = "account.partial.reconcile"

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
