from odoo import fields, models

# Providers that recognise a request they had before, by a key that Odoo derives from the transaction's reference; and
# Odoo's own for trying things out, whose requests go nowhere.
REPEATABLE = ("adyen", "demo", "mercado_pago", "stripe", "worldline")


class PaymentProvider(models.Model):
    _inherit = "payment.provider"

    billing_repeats_safely = fields.Boolean(
        string="Outcome can be asked for",
        compute="_compute_billing_repeats_safely",
        help="A card payment in doubt can be looked up, or asked for again without being taken twice. Without it, "
        "invoices are charged automatically once only, and doubts are resolved by hand.",
    )

    def _compute_billing_repeats_safely(self):
        for provider in self:
            provider.billing_repeats_safely = provider._billing_repeats_safely()

    def _billing_repeats_safely(self):
        """Whether a request for the same transaction takes its money at most once.

        To be extended by an addon that brings such a provider, or one whose outcomes can be asked for (see
        `payment.transaction._billing_ask_outcome`).
        """
        self.ensure_one()
        return self.code in REPEATABLE
