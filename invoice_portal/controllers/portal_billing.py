from odoo.http import request, route

from odoo.addons.portal.controllers.portal import CustomerPortal


class BillingPortalPages(CustomerPortal):
    """What the client's pages about billing share, and the overview."""

    def _billing_page_values(self, page, title, **values):
        """The values that the common frame of these pages needs."""
        return {
            **self._prepare_portal_layout_values(),
            "page_name": "billing",
            "billing_page": page,
            "billing_title": title,
            **values,
        }

    @route("/my/billing", type="http", auth="user", methods=["GET"], website=True, readonly=True)
    def billing_overview(self, **kwargs):
        values = self._billing_page_values("overview", request.env._("Billing"))
        return request.render("invoice_portal.portal_overview", values)
