from odoo import api, models
from odoo.exceptions import UserError


class IrAttachment(models.Model):
    """The documents of a finalized invoice are what the client was given: nobody replaces them from outside."""

    _inherit = "ir.attachment"

    @api.model_create_multi
    def create(self, vals_list):
        attachments = super().create(vals_list)
        attachments._billing_refuse_locked()
        return attachments

    def write(self, vals):
        self._billing_refuse_locked()
        result = super().write(vals)
        if vals.keys() & {"res_model", "res_id", "res_field"}:
            self._billing_refuse_locked()
        return result

    @api.ondelete(at_uninstall=False)
    def _unlink_except_locked_documents(self):
        self._billing_refuse_locked()

    def _billing_refuse_locked(self):
        # Odoo makes these documents itself, elevated; a caller from outside is not.
        if self.env.su:
            return
        ids = {
            attachment.res_id
            for attachment in self.sudo()
            if attachment.res_model == "account.move" and attachment.res_field and attachment.res_id
        }
        moves = self.env["account.move"].sudo().browse(ids).exists()
        if locked := moves.filtered("billing_locked"):
            raise UserError(locked._billing_locked_message())
