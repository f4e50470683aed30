from odoo.fields import Domain
from odoo.http import request, route
from odoo.tools import groupby

from odoo.addons.portal.controllers.portal import CustomerPortal, pager

URL = "/my/billing/cases"


class BillingCasePortal(CustomerPortal):
    """The cases of a client's projects, and what was billed for each."""

    @route([URL, f"{URL}/page/<int:page>"], type="http", auth="user", methods=["GET"], website=True, readonly=True)
    def billing_cases(self, page=1, sortby=None, filterby=None, group=None, search=None, **kwargs):
        Case = request.env["project.task"]
        sortings, filters, groups = self._billing_case_choices()
        sortby = sortby if sortby in sortings else "newest"
        filterby = filterby if filterby in filters else "all"
        group = group if group in groups else "none"
        search = (search or "").replace("\0", "").strip()[:100]
        domain = Case._get_billing_own_domain() & self._billing_case_filter(filterby)
        if search:
            domain &= Domain("name", "ilike", search) | Domain("project_id.name", "ilike", search)
        pages = pager(
            url=URL,
            url_args={"sortby": sortby, "filterby": filterby, "group": group, "search": search},
            total=Case.search_count(domain),
            page=page if isinstance(page, int) else 1,
            step=self._items_per_page,
        )
        order = sortings[sortby][1]
        cases = Case.search(
            domain,
            order=f"project_id, {order}" if group == "project" else order,
            limit=self._items_per_page,
            offset=pages["offset"],
        )
        rows = cases._billing_own_rows()
        parts = (
            [(title, part) for (_id, title), part in groupby(rows, lambda row: (row["project_id"], row["project"]))]
            if group == "project"
            else [("", rows)]
        )
        frame = self._billing_page_values("cases", request.env._("Cases"))
        return request.render(
            "invoice_portal.portal_cases",
            {
                **frame,
                "parts": parts if rows else [],
                "pager": pages,
                "default_url": URL,
                "sortings": sortings,
                "filters": filters,
                "groups": groups,
                "sortby": sortby,
                "filterby": filterby,
                "group": group,
                "search": search,
            },
        )

    def _billing_case_choices(self):
        text = request.env._
        sortings = {
            "newest": (text("Newest"), "id desc"),
            "name": (text("Title"), "name, id desc"),
            "state": (text("Status"), "state, id desc"),
            "deadline": (text("Deadline"), "date_deadline, id desc"),
        }
        filters = {"all": text("All"), "billed": text("Billed"), "open": text("Not billed")}
        return sortings, filters, {"none": text("Nothing"), "project": text("Project")}

    def _billing_case_filter(self, filterby):
        if filterby == "all":
            return Domain.TRUE
        billed = request.env["project.task"]._get_billing_own_billed_domain()
        return billed if filterby == "billed" else ~billed
