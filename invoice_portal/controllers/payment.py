from werkzeug.exceptions import Forbidden

from odoo.exceptions import AccessError, ValidationError
from odoo.http import request, route

from odoo.addons.account_payment.controllers.payment import PaymentPortal
from odoo.addons.account_payment.controllers.portal import PortalAccount
from odoo.addons.payment.utils import check_access_token


class BillingPaymentPortal(PaymentPortal):
    @route()
    def payment_pay(self, *args, invoice_id=None, **kwargs):
        """A payment link opens an invoice only once it is finalized, and until the links to it are revoked.

        The link is signed for client, amount and currency, so one for an invoice fits a draft over the same amount,
        and the form would hand out the draft's own token.
        """
        invoice = request.env["account.move"].sudo().browse(self._cast_as_int(invoice_id)).exists()
        user = request.env.user
        if invoice and (invoice._billing_hidden_from(user) or invoice._billing_is_revoked_for(user)):
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
            if begun.invoice_ids != invoices or not self._is_same_payment(begun, partner_id, amount, kwargs):
                raise ValidationError(invoices._billing_why_not_begin(begun))
            return begun._get_processing_values()
        partner = request.env["res.partner"].browse(partner_id)
        if reason := invoices._billing_paid_just_now_sudo(partner, amount, currency)._billing_why_not_again():
            raise ValidationError(reason)
        # The name of an instalment becomes the reference under which the provider knows the payment.
        if not self._is_instalment_of(invoices, kwargs.get("name_next_installment")):
            kwargs.pop("name_next_installment", None)
        return super()._process_transaction(partner_id, currency_id, invoice_ids, payment_reference, **kwargs)

    def _is_instalment_of(self, invoices, name):
        number = str(name or "").removeprefix(f"{invoices.name}-") if len(invoices) == 1 else ""
        return number.isascii() and number.isdigit() and len(number) < 4

    @route()
    def payment_transaction(self, amount, currency_id, partner_id, access_token, **kwargs):
        """What a client pays for nothing in particular becomes its credit, and is paid as that: within the bounds, one
        payment at a time, by one's own card."""
        user = request.env.user
        of_user = self._cast_as_int(partner_id) == user.partner_id.id
        if kwargs.get("is_validation") or not user._is_portal() or not of_user:
            return super().payment_transaction(amount, currency_id, partner_id, access_token, **kwargs)
        amount = self._cast_as_float(amount)
        if not check_access_token(access_token, partner_id, amount, currency_id):
            raise Forbidden
        self._validate_transaction_kwargs(kwargs, additional_allowed_keys=("reference_prefix",))
        kwargs.pop("reference_prefix", None)
        begun = self._begin_credit(amount, self._cast_as_int(currency_id), **kwargs)
        if "access_token" not in begun.landing_route:
            self._update_landing_route(begun, access_token)
        return begun._get_processing_values()

    @route("/my/billing/credit/transaction/<int:currency_id>", type="jsonrpc", auth="user")
    def billing_credit_transaction(self, currency_id, access_token=None, is_validation=False, **kwargs):
        """Begin to pay credit, for oneself and by one's own card. As invoices are paid: one payment at a time."""
        self._validate_transaction_kwargs(kwargs)
        amount = self._cast_as_float(kwargs.pop("amount", None))
        return self._begin_credit(amount, currency_id, **kwargs)._get_processing_values()

    def _begin_credit(self, amount, currency_id, is_validation=False, **kwargs):
        """The payment of credit that the user begins, or began."""
        partner = request.env.user.partner_id
        # Elevated for the user's own client, of whose invoices it needs the currencies.
        client = partner.commercial_partner_id.sudo()
        currency = request.env["res.currency"].browse(currency_id).exists()
        if reason := client._billing_credit_why_not_pay(amount, currency):
            raise ValidationError(reason)
        if self._cast_as_int(kwargs.get("provider_id")) not in self._credit_providers_sudo(amount, currency).ids:
            raise ValidationError(request.env._("Credit cannot be paid this way."))
        client._billing_credit_claim()
        if begun := client._billing_credit_begun_sudo(currency):
            if not self._is_same_payment(begun, partner.id, amount, kwargs):
                raise ValidationError(request.env["account.move"].sudo()._billing_why_not_begin(begun))
            return begun
        if reason := client._billing_credit_paid_just_now_sudo(partner, amount, currency)._billing_why_not_again():
            raise ValidationError(reason)
        return self._create_transaction(
            amount=amount,
            currency_id=currency.id,
            partner_id=partner.id,
            custom_create_values={"billing_credit_client_id": client.id},
            **kwargs,
        )

    def _credit_providers_sudo(self, amount, currency, **kwargs):
        return (
            request.env["payment.provider"]
            .sudo()
            ._get_compatible_providers(
                request.env.company.id, request.env.user.partner_id.id, amount, currency_id=currency.id, **kwargs
            )
        )

    def _billing_credit_form_values(self, amount, currency, landing_route):
        """What Odoo's `payment.form` needs to pay credit. Elevated as there: to read providers, and the user's own
        cards; those of colleagues are not among them."""
        partner, report = request.env.user.partner_id, {}
        providers = self._credit_providers_sudo(amount, currency, report=report)
        methods = (
            request.env["payment.method"]
            .sudo()
            ._get_compatible_payment_methods(providers.ids, partner.id, currency_id=currency.id, report=report)
        )
        return {
            "mode": "payment",
            "amount": amount,
            "currency": currency,
            "partner_id": partner.id,
            "providers_sudo": providers,
            "payment_methods_sudo": methods,
            "tokens_sudo": request.env["payment.token"].sudo()._get_available_tokens(providers.ids, partner.id),
            "availability_report": report,
            "show_tokenize_input_mapping": self._compute_show_tokenize_input_mapping(providers),
            "transaction_route": f"/my/billing/credit/transaction/{currency.id}",
            "landing_route": landing_route,
            "access_token": False,
        }

    def _is_same_payment(self, begun, partner_id, amount, asked):
        return (
            begun.partner_id.id == partner_id
            and begun.currency_id.compare_amounts(begun.amount, amount) == 0
            and begun.provider_id.id == self._cast_as_int(asked.get("provider_id"))
            and begun.payment_method_id.id == self._cast_as_int(asked.get("payment_method_id"))
            and begun.operation == f"online_{asked.get('flow')}"
            and begun.tokenize == bool(asked.get("tokenization_requested"))
        )

    def _create_transaction(
        self, *args, token_id=None, flow=None, is_validation=False, custom_create_values=None, **kwargs
    ):
        """Invoices and credit, and what is for nothing in particular, are paid by one's own cards: not by those of
        others who work for the same client, nor by a link."""
        values = custom_create_values or {}
        is_ours = bool({"invoice_ids", "billing_credit_client_id"} & values.keys())
        if is_ours:
            custom_create_values = {"billing_origin": "client", **values}
        if flow == "token" and (is_ours or not values) and not self._is_own_card(token_id, kwargs.get("provider_id")):
            raise AccessError(request.env._("This card cannot be used here."))
        return super()._create_transaction(
            *args,
            token_id=token_id,
            flow=flow,
            is_validation=is_validation,
            custom_create_values=custom_create_values,
            **kwargs,
        )

    def _is_own_card(self, token_id, provider_id):
        user = request.env.user
        card = request.env["payment.token"].sudo().browse(self._cast_as_int(token_id)).exists()
        return (
            not user._is_public()
            and card.active
            and card.partner_id == user.partner_id
            and card.provider_id.id == self._cast_as_int(provider_id)
        )


class BillingPortalAccount(PortalAccount):
    def _get_common_page_view_values(self, invoices_data, access_token=None, **kwargs):
        """Who has only the link to an invoice is offered none of the client's saved cards."""
        values = super()._get_common_page_view_values(invoices_data, access_token=access_token, **kwargs)
        if request.env.user._is_public():
            values["tokens_sudo"] = request.env["payment.token"]
        return values
