from odoo import models


class AccountPayment(models.Model):
    _inherit = "account.payment"

    def action_post(self):
        result = super().action_post()
        if any(payment.partner_type == "customer" for payment in self):
            # Credit may have risen: a client that was told it is low is to be told again the next time.
            self.env["res.partner"]._billing_wake_credit()
        return result


class PaymentTransaction(models.Model):
    _inherit = "payment.transaction"

    def _create_payment(self, **extra_create_values):
        """Money without an invoice is the client's credit: it needs an entry to stand in the books, also where payments
        have none until the bank statement comes."""
        if not self.invoice_ids:
            self = self.with_context(force_payment_move=True)  # noqa: PLW0642
        return super()._create_payment(**extra_create_values)
