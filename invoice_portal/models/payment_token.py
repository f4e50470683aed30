from datetime import timedelta

from odoo import api, fields, models

# How long before it expires a card's owner is told.
TOLD_BEFORE = timedelta(days=30)


class PaymentToken(models.Model):
    _inherit = "payment.token"

    billing_expires_on = fields.Date(
        string="Expires On",
        help="The last day on which the card can be charged. Odoo's providers do not say: type it in, or have an addon "
        "for the provider set it.",
    )
    billing_expiry_told_on = fields.Datetime(
        string="Expiry Announced On", readonly=True, copy=False, groups="base.group_user"
    )

    def _billing_is_usable(self, move):
        """Whether this card can be charged for this invoice now."""
        return self._billing_is_chargeable(move.commercial_partner_id, move.company_id, move.currency_id)

    def _billing_is_chargeable(self, client, company, currency):
        """Whether this card can be charged for what this client owes or prepays to the company now."""
        self.ensure_one()
        return (
            self.active
            and not self._billing_is_expired()
            and self.company_id == company
            and self.partner_id.commercial_partner_id == client
            and self.provider_id.state in ("enabled", "test")
            and self.payment_method_id.active
            and self._billing_takes(currency)
        )

    def _billing_is_expired(self):
        self.ensure_one()
        return bool(self.billing_expires_on) and self.billing_expires_on < fields.Date.today()

    @api.model
    def _billing_announce_expiry(self):
        """Tell, once, those whose card is charged by itself and is about to expire."""
        today = fields.Date.today()
        expiring = self.search(
            [
                ("billing_expires_on", ">=", today),
                ("billing_expires_on", "<=", today + TOLD_BEFORE),
                ("billing_expiry_told_on", "=", False),
            ]
        )
        template = self.env.ref("invoice_portal.mail_template_card_expiring", raise_if_not_found=False)
        for token in expiring if template else ():
            client = token.partner_id.commercial_partner_id.with_company(token.company_id)
            if token in client.billing_autopay_card_id | client.billing_top_up_card_id:
                to = client.env["account.move"]._billing_contact_line(token.partner_id)
                template._billing_queue(
                    token,
                    partner_id=client.id,
                    company_id=token.company_id.id,
                    addresses={"to": to} if to else client._billing_addresses(),
                )
                token.billing_expiry_told_on = fields.Datetime.now()

    def _billing_takes(self, currency):
        """Whether provider and method take this currency: those that name none take all."""
        self.ensure_one()
        methods = self.payment_method_id.supported_currency_ids
        providers = self.provider_id.available_currency_ids
        return (not methods or currency in methods) and (not providers or currency in providers)

    def _handle_archiving(self):
        """A card that is gone no longer pays anything by itself."""
        result = super()._handle_archiving()
        for token in self:
            token._billing_forget()
        return result

    def _billing_forget(self):
        """Elevated by Odoo when a card is archived."""
        self.ensure_one()
        Partner = self.env["res.partner"].with_company(self.company_id)
        reason = self.env._("The card %s was removed.", self.display_name)
        for client in Partner.search([("billing_autopay_card_id", "=", self.id)]):
            client._billing_end_autopay(reason)
        for client in Partner.search([("billing_top_up_card_id", "=", self.id)]):
            client._billing_end_top_up(reason)
