from odoo.exceptions import UserError
from odoo.http import request, route

from odoo.addons.portal.controllers.portal import CustomerPortal

from ..models.billing_recipient_change import LINES

URL = "/my/billing/preferences"


class BillingPreferencePortal(CustomerPortal):
    """Who receives what, in which language, and whether on paper."""

    @route(URL, type="http", auth="user", methods=["GET"], website=True, readonly=True)
    def billing_preferences(self, done=None, **kwargs):
        return self._render_billing_preferences(billing_done=self._billing_preference_done(done))

    @route(
        f"{URL}/recipients",
        type="http",
        auth="user",
        methods=["POST"],
        website=True,
        billing_form_at=URL,
    )
    def billing_preference_recipients(self, **typed):
        wished = {fname: typed.get(fname) or "" for fname in LINES}
        try:
            request.env["billing.recipient.change"]._ask(request.env.user.partner_id, wished)
        except UserError as error:
            return self._render_billing_preferences(billing_error=str(error), typed=wished)
        return request.redirect(f"{URL}?done=asked")

    @route(
        f"{URL}/recipients/cancel",
        type="http",
        auth="user",
        methods=["POST"],
        website=True,
        billing_form_at=URL,
    )
    def billing_preference_cancel(self, **kwargs):
        change = self._billing_pending_change()
        if change:
            change._cancel()
        return request.redirect(f"{URL}?done=cancelled")

    @route(
        f"{URL}/documents",
        type="http",
        auth="user",
        methods=["POST"],
        website=True,
        billing_form_at=URL,
    )
    def billing_preference_documents(self, lang=None, paper=None, **kwargs):
        changed = request.env.user.partner_id._billing_choose_own(lang, paper == "post")
        return request.redirect(f"{URL}?done={'chosen' if changed else 'same'}")

    @route("/my/billing/recipients/<string:token>", type="http", auth="public", methods=["GET"], website=True)
    def billing_recipients_look(self, token, **kwargs):
        """The link of the mail: it shows and changes nothing, for programs that look at mails open it, too."""
        return self._render_billing_recipients(token)

    @route("/my/billing/recipients/<string:token>", type="http", auth="public", methods=["POST"], website=True)
    def billing_recipients_answer(self, token, answer=None, **kwargs):
        if answer in ("agree", "refuse"):
            request.env["billing.recipient.change"]._answer(token, answer == "agree")
        return self._render_billing_recipients(token)

    # -- pages --------------------------------------------------------------------------------------------------------

    def _billing_pending_change(self):
        return request.env["billing.recipient.change"]._pending_of(request.env.user.partner_id)

    def _billing_preference_done(self, done):
        return {
            "asked": request.env._("Almost done: we sent a mail to confirm it. Nothing changes until then."),
            "cancelled": request.env._("Taken back: the mails go where they went before."),
            "chosen": request.env._("Saved. A mail tells those who get your invoices."),
            "same": request.env._("Nothing has changed."),
        }.get(done)

    def _render_billing_preferences(self, typed=None, **values):
        chosen = request.env.user.partner_id._billing_own_preferences()
        frame = self._billing_page_values("preferences", request.env._("Preferences"))
        return request.render(
            "invoice_portal.portal_preferences",
            {
                **frame,
                "chosen": chosen,
                "lines": typed or chosen["lines"],
                "langs": request.env["res.lang"].get_installed(),
                "change": self._billing_pending_change(),
                **values,
            },
        )

    def _render_billing_recipients(self, token):
        change = request.env["billing.recipient.change"]._describe(token)
        response = request.render(
            "invoice_portal.portal_recipients_confirm",
            {
                "change": change,
                "no_header": False,
                "billing_title": request.env._("Who receives mails about billing"),
                "billing_company": change and change["company"],
            },
        )
        # Who has the address of this page can agree: it is told to nobody, and kept nowhere.
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Robots-Tag"] = "noindex"
        return response
