from odoo.exceptions import AccessError, ValidationError
from odoo.http import request, route

from odoo.addons.account_payment.controllers.payment import PaymentPortal
from odoo.addons.account_payment.controllers.portal import PortalAccount


class BillingPaymentPortal(PaymentPortal):
    @route()
    def payment_pay(self, *args, invoice_id=None, **kwargs):
        """A payment link opens an invoice only once it is finalized.

        The link is signed for client, amount and currency, so one for an invoice fits a draft over the same amount,
        and the form would hand out the draft's own token.
        """
        invoice = request.env["account.move"].sudo().browse(self._cast_as_int(invoice_id)).exists()
        if invoice and invoice._billing_hidden_from(request.env.user):
            raise request.not_found()
        return super().payment_pay(*args, invoice_id=invoice_id, **kwargs)

    @route()
    def invoice_transaction(self, invoice_id, access_token=None, **kwargs):
        """Whoever is logged in needs no token; Odoo's own page sends none then, and would fail."""
        return super().invoice_transaction(invoice_id, access_token, **kwargs)

    def _get_extra_payment_form_values(self, invoice_id=None, **kwargs):
        """Who has only the link is offered none of the client's saved cards."""
        values = super()._get_extra_payment_form_values(invoice_id=invoice_id, **kwargs)
        if self._cast_as_int(invoice_id) and request.env.user._is_public():
            values["tokens_sudo"] = request.env["payment.token"]
        return values

    def _process_transaction(self, partner_id, currency_id, invoice_ids, payment_reference, **kwargs):
        """One payment at a time, for no more than is due.

        Somebody who starts the same payment again, in another tab or after a second click, goes on with the first one:
        the provider sees one reference, and takes the money once.
        """
        invoices = request.env["account.move"].sudo().browse(invoice_ids)
        currency = request.env["res.currency"].browse(currency_id)
        amount = self._cast_as_float(kwargs.get("amount"))
        if reason := invoices._billing_why_not_charge(amount, currency):
            raise ValidationError(reason)
        if len(invoices) == 1 and (reason := invoices._billing_why_not_part(amount)):
            raise ValidationError(reason)
        invoices._billing_claim_for_payment()
        if begun := invoices._billing_begun_payment_sudo():
            if not self._is_same_payment(begun, partner_id, invoices, amount, kwargs):
                raise ValidationError(invoices._billing_why_not_begin(begun))
            return begun._get_processing_values()
        return super()._process_transaction(partner_id, currency_id, invoice_ids, payment_reference, **kwargs)

    def _is_same_payment(self, begun, partner_id, invoices, amount, asked):
        return (
            begun.partner_id.id == partner_id
            and begun.invoice_ids == invoices
            and begun.currency_id.compare_amounts(begun.amount, amount) == 0
            and begun.provider_id.id == self._cast_as_int(asked.get("provider_id"))
            and begun.payment_method_id.id == self._cast_as_int(asked.get("payment_method_id"))
            and begun.operation == f"online_{asked.get('flow')}"
            and begun.tokenize == bool(asked.get("tokenization_requested"))
        )

    def _create_transaction(self, *args, token_id=None, flow=None, custom_create_values=None, **kwargs):
        """Invoices are paid by one's own cards: not by those of others who work for the same client, nor by a link."""
        if (custom_create_values or {}).get("invoice_ids"):
            custom_create_values = {"billing_origin": "client", **custom_create_values}
            if flow == "token":
                card = request.env["payment.token"].sudo().browse(token_id).exists()
                user = request.env.user
                if user._is_public() or not card.active or card.partner_id != user.partner_id:
                    raise AccessError(request.env._("This card cannot be used here."))
        return super()._create_transaction(
            *args, token_id=token_id, flow=flow, custom_create_values=custom_create_values, **kwargs
        )


class BillingPortalAccount(PortalAccount):
    def _get_common_page_view_values(self, invoices_data, access_token=None, **kwargs):
        """Who has only the link to an invoice is offered none of the client's saved cards."""
        values = super()._get_common_page_view_values(invoices_data, access_token=access_token, **kwargs)
        if request.env.user._is_public():
            values["tokens_sudo"] = request.env["payment.token"]
        return values
