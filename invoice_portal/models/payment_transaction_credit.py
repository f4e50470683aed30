from odoo import api, fields, models
from odoo.fields import Domain


class PaymentTransaction(models.Model):
    """Card payments of no invoice: the client's credit, guarded like those of invoices."""

    _inherit = "payment.transaction"

    billing_credit_client_id = fields.Many2one(
        "res.partner",
        string="Credit Of",
        readonly=True,
        copy=False,
        index="btree_not_null",
        help="The client to whose credit the money goes.",
    )

    def _billing_credit_client(self):
        """The client, in the company whose provider takes the money."""
        return self.billing_credit_client_id.with_company(self.company_id)

    @api.model
    def _compute_reference_prefix(self, separator, **values):
        if client_id := values.get("billing_credit_client_id"):
            return f"CREDIT{separator}{client_id}"
        return super()._compute_reference_prefix(separator, **values)

    @api.model
    def _get_billing_guarded_domain(self):
        return super()._get_billing_guarded_domain() | Domain("billing_credit_client_id", "!=", False)

    def _billing_is_guarded(self):
        return super()._billing_is_guarded() or bool(self.billing_credit_client_id)

    def _billing_why_not_now(self):
        if client := self._billing_credit_client():
            return client._billing_credit_why_not_pay(self.amount, self.currency_id, beside=self)
        return super()._billing_why_not_now()

    def _billing_claim(self):
        if client := self._billing_credit_client():
            return client._billing_credit_claim()
        return super()._billing_claim()

    def _billing_why_no_longer(self):
        if client := self._billing_credit_client():
            if self.billing_origin == "automatic" and client.billing_top_up_card_id != self.token_id:
                return self.env._(
                    "Automatic top-up has ended meanwhile: asking again might take the money now. Look up %s at the "
                    "provider's, and set the outcome.",
                    self.reference,
                )
            return None
        return super()._billing_why_no_longer()

    def _billing_follow_up(self):
        if client := self._billing_credit_client():
            return client._billing_after_credit_attempt(self)
        return super()._billing_follow_up()

    def _billing_call_person(self, summary, note):
        if client := self._billing_credit_client():
            return client._billing_call_person(summary, note)
        return super()._billing_call_person(summary, note)

    def _log_message_on_linked_documents(self, message):
        result = super()._log_message_on_linked_documents(message)
        if client := self._billing_credit_client():
            client.message_post(body=message)
        return result
