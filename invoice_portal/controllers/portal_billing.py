import math
import re

from werkzeug.exceptions import abort

from odoo.exceptions import AccessError, MissingError
from odoo.http import content_disposition, request, route

from odoo.addons.portal.controllers.portal import CustomerPortal


class BillingPortalPages(CustomerPortal):
    """What the client's pages about billing share; the overview, and what it leads to."""

    def _billing_page_values(self, page, title, **values):
        """The values that the common frame of these pages needs. None of them shows anything to an employee who may not
        see invoices, so that is said on each."""
        request.env["account.move"].check_access("read")
        return {
            **self._prepare_portal_layout_values(),
            "page_name": "billing",
            "billing_page": page,
            "billing_title": title,
            **values,
        }

    def _billing_client(self):
        """The client that the user belongs to, as the user."""
        return request.env["res.partner"].browse(request.env.user.partner_id.commercial_partner_id.id)

    def _billing_invoice(self, invoice_id, access_token=None):
        """The invoice, for whoever may see it; elevated. Whether there is another's, or a draft, is not said."""
        try:
            return self._document_check_access("account.move", invoice_id, access_token)
        except (AccessError, MissingError) as error:
            if request.env.user._is_public() and not access_token:
                abort(request.redirect_query("/web/login", {"redirect": request.httprequest.path}))
            raise request.not_found() from error

    def _billing_typed_amount(self, text):
        """What was typed as a number, with a comma or a point; what is none is refused by whoever asks for one.

        Groups of three digits are as the language writes them: "1,000" is a thousand where it does so.
        """
        text = (text or "").strip()
        group = request.env["res.lang"]._get_data(code=request.env.lang).thousands_sep
        if group and re.fullmatch(rf"\d{{1,3}}({re.escape(group)}\d{{3}})+([.,]\d*)?", text):
            text = text.replace(group, "")
        try:
            return float(text.replace(",", "."))
        except ValueError:
            return math.nan

    def _billing_file(self, name, content, kind):
        """A download that no cache keeps."""
        return request.make_response(
            content,
            [
                ("Content-Type", kind),
                ("Content-Disposition", content_disposition(name)),
                ("Cache-Control", "no-store"),
                ("X-Content-Type-Options", "nosniff"),
            ],
        )

    @route("/my/billing", type="http", auth="user", methods=["GET"], website=True, readonly=True)
    def billing_overview(self, **kwargs):
        overview = self._billing_client()._billing_own_overview()
        values = self._billing_page_values("overview", request.env._("Billing"), **overview)
        return request.render("invoice_portal.portal_overview", values)

    # Not read-only: what is shown is made, and undone.
    @route("/my/billing/next", type="http", auth="user", methods=["GET"], website=True)
    def billing_next(self, **kwargs):
        client = self._billing_client()
        facts = client._own_facts_sudo()
        if not facts["shows_next"]:
            raise request.not_found()
        values = self._billing_page_values(
            "overview",
            request.env._("Next Invoice"),
            next_date=facts["next_date"],
            upcoming=client._own_upcoming_sudo(),
            billing_below=True,
        )
        return request.render("invoice_portal.portal_next", values)

    @route("/my/billing/receipt/<int:payment_id>", type="http", auth="user", methods=["GET"], website=True)
    def billing_receipt(self, payment_id, **kwargs):
        try:
            name, content = request.env["account.payment"].browse(payment_id)._billing_own_receipt()
        except AccessError as error:
            # Whether there is such a payment is not said.
            raise request.not_found() from error
        return self._billing_file(name, content, "application/pdf")
