from odoo import models

from ..tools.grant import granted


class AccountMoveSendBatchWizard(models.TransientModel):
    """Odoo's sending of many notes on each invoice who sends it, and leaves the rest to its job."""

    _inherit = "account.move.send.batch.wizard"

    def action_send_and_print(self, force_synchronous=False, allow_fallback_pdf=False):
        wizard = self if force_synchronous else granted(self)
        return super(AccountMoveSendBatchWizard, wizard).action_send_and_print(
            force_synchronous=force_synchronous, allow_fallback_pdf=allow_fallback_pdf
        )
