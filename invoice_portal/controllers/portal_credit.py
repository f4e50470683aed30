from odoo.exceptions import AccessError, UserError
from odoo.http import request, route

from odoo.addons.portal.controllers.portal import pager as portal_pager

from .payment import BillingPaymentPortal
from .portal_billing import BillingPortalPages

ENTRIES_PER_PAGE = 20


class BillingPortalCredit(BillingPaymentPortal, BillingPortalPages):
    """The client's credit, the cards that are charged by themselves, and the consent to it."""

    @route(
        ["/my/billing/credit", "/my/billing/credit/page/<int:page>"],
        type="http",
        auth="user",
        methods=["GET"],
        website=True,
        readonly=True,
    )
    def billing_credit(self, page=1, done=None, **kwargs):
        return self._billing_credit_page(page, billing_done=self._billing_credit_done(done))

    def _billing_credit_done(self, key):
        return {
            "top_up": request.env._("Your credit is filled up by itself from now on."),
            "top_up_end": request.env._("Your credit is no longer filled up by itself."),
            "paid": request.env._("Thank you. Your payment is booked as credit as soon as it is confirmed."),
        }.get(key)

    def _billing_credit_page(self, page=1, **values):
        client = self._billing_client()
        total = client._own_credit_entry_count_sudo()
        pager = portal_pager("/my/billing/credit", total, page=page, step=ENTRIES_PER_PAGE)
        values = self._billing_page_values(
            "credit",
            request.env._("Credit"),
            credits=client._own_credit_sudo(),
            entries=client._own_credit_entries_sudo(ENTRIES_PER_PAGE, pager["offset"]),
            choices=client._own_credit_choices_sudo(),
            top_up=client._own_top_up_sudo(),
            cards=client._own_cards_sudo(),
            pager=pager,
            own_currency=request.env.company.sudo().currency_id,
            **values,
        )
        return request.render("invoice_portal.portal_credit", values)

    @route("/my/billing/credit/add", type="http", auth="user", methods=["GET"], website=True)
    def billing_credit_add(self, amount=None, currency=None, **kwargs):
        """The amount was typed: show it again, with Odoo's form to pay it."""
        client = self._billing_client()
        asked = self._billing_typed_amount(amount)
        choices = client._own_credit_choices_sudo()
        chosen = next((choice for choice in choices if choice.name == currency), choices[:1])
        if not chosen:
            return request.redirect("/my/billing/credit")
        if reason := client._own_credit_why_not_sudo(asked, chosen):
            return self._billing_credit_page(billing_error=reason, typed=amount)
        asked = chosen.round(asked)
        values = self._billing_page_values("credit", request.env._("Add Credit"), billing_below=True)
        values.update(self._billing_credit_form_values(asked, chosen, "/my/billing/credit?done=paid"))
        return request.render("invoice_portal.portal_credit_add", values)

    @route(
        "/my/billing/top-up",
        type="http",
        auth="user",
        methods=["POST"],
        website=True,
        billing_form_at="/my/billing/credit",
    )
    def billing_top_up(self, card=None, below=None, amount=None, agreed=None, stop=None, **kwargs):
        """Agree that one's card fills up the credit, or withdraw that."""
        client = self._billing_client()
        try:
            if stop:
                client._billing_credit_end_top_up()
                return request.redirect("/my/billing/credit?done=top_up_end")
            if not agreed:
                raise UserError(request.env._("Tick that you agree, or leave it as it is."))
            client._billing_credit_agree_top_up(
                self._cast_as_int(card), self._cast_as_float(below) or 0, self._cast_as_float(amount) or 0
            )
        except (AccessError, UserError) as error:
            request.env.cr.rollback()
            return self._billing_credit_page(billing_error=str(error))
        return request.redirect("/my/billing/credit?done=top_up")

    # -- cards --------------------------------------------------------------------------------------------------------

    @route()
    def payment_method(self, **kwargs):
        """Odoo would pass on whatever stands in the address, and fail where that is a parameter of something else."""
        return super().payment_method()

    def _get_extra_payment_form_values(self, **kwargs):
        """Odoo's page of saved cards says, too, which one is charged by itself."""
        values = super()._get_extra_payment_form_values(**kwargs)
        if request.httprequest.path == "/my/payment_method":
            client = self._billing_client()
            values.update(
                billing_page="cards",
                billing_title=request.env._("Cards"),
                autopay=client._own_facts_sudo()["autopay"],
                cards=client._own_cards_sudo(),
                billing_company=request.env.company.sudo().name,
                billing_done={
                    "on": request.env._("Your invoices are paid by themselves from now on."),
                    "off": request.env._("Your invoices are no longer paid by themselves."),
                }.get(request.params.get("done")),
                billing_error={
                    "agree": request.env._("Tick that you agree, or leave it as it is."),
                    "card": request.env._("This card cannot be used for automatic payment."),
                }.get(request.params.get("failed")),
            )
        return values

    @route(
        "/my/billing/autopay",
        type="http",
        auth="user",
        methods=["POST"],
        website=True,
        billing_form_at="/my/payment_method",
    )
    def billing_autopay(self, card=None, agreed=None, stop=None, **kwargs):
        """Agree that one's invoices are charged to one's card, or withdraw that."""
        client = self._billing_client()
        if stop:
            client._own_end_autopay_sudo()
            return request.redirect("/my/payment_method?done=off")
        if not agreed:
            return request.redirect("/my/payment_method?failed=agree")
        try:
            client._own_agree_autopay_sudo(self._cast_as_int(card))
        except (AccessError, UserError):
            request.env.cr.rollback()
            return request.redirect("/my/payment_method?failed=card")
        return request.redirect("/my/payment_method?done=on")
