from odoo import api, fields, models


class BillingCreditAdd(models.TransientModel):
    """Money that came in without an invoice: a payment, whose entry is the client's credit."""

    _name = "billing.credit.add"
    _description = "Add Credit"
    _inherit = ["billing.credit.wizard"]
    _payment_type = "inbound"

    receipt = fields.Boolean(string="Mail a receipt", compute="_compute_receipt", readonly=False, store=True)

    @api.depends("partner_id", "company_id")
    def _compute_receipt(self):
        for wizard in self:
            wizard.receipt = wizard.partner_id._billing_wants_receipt(wizard.company_id)

    @api.model
    def _open(self, client):
        wizard = self.create({"partner_id": client.id})
        return wizard._get_records_action(name=self.env._("Add Credit for %s", client.display_name), target="new")

    def action_confirm(self):
        """Post the payment."""
        self.ensure_one()
        self._check_staff()
        self._check_amount()
        self._confirm_once()
        payment = self._create_payment()
        # Said here for this one payment, whatever is set for all.
        payment.with_context(billing_receipt=self.receipt).action_post()
        return self._done(payment, self.env._("Credit of %(amount)s added.", amount=self._amount_in_words()))
