from urllib.parse import urlencode

from odoo.http import content_disposition, request, route

from odoo.addons.portal.controllers.portal import CustomerPortal

from ..tools.statement_days import PERIODS, day_of, period_days

URL = "/my/billing/statement"
ASKED = {"period", "date_from", "date_to", "company_id"}


class BillingStatementPortal(CustomerPortal):
    """The account of a client from one day to another."""

    @route(URL, type="http", auth="user", methods=["GET"], website=True, readonly=True)
    def billing_statement(self, **asked):
        company, period, date_from, date_to, problem = self._billing_statement_asked(**asked)
        client = request.env.user.partner_id
        frame = self._billing_page_values("statement", request.env._("Statement of Account"))
        chosen = {"date_from": date_from, "date_to": date_to, "company_id": company.id}
        return request.render(
            "invoice_portal.portal_statement",
            {
                **frame,
                "billing_error": problem,
                "companies": request.env.companies,
                "company": company,
                "period": period,
                "periods": self._billing_statement_periods(),
                "date_from": date_from,
                "date_to": date_to,
                "parts": client._billing_own_statement(date_from, date_to, company),
                "file_query": urlencode(chosen),
            },
        )

    @route(f"{URL}/csv", type="http", auth="user", methods=["GET"], website=True, readonly=True)
    def billing_statement_csv(self, **asked):
        return self._billing_statement_file("_billing_own_statement_csv", "text/csv; charset=utf-8", asked)

    @route(f"{URL}/pdf", type="http", auth="user", methods=["GET"], website=True)
    def billing_statement_pdf(self, **asked):
        return self._billing_statement_file("_billing_own_statement_pdf", "application/pdf", asked)

    def _billing_statement_file(self, make, content_type, asked):
        company, _period, date_from, date_to, problem = self._billing_statement_asked(**asked)
        if problem:
            return request.redirect(f"{URL}?{urlencode({key: asked[key] for key in asked.keys() & ASKED})}")
        client = request.env.user.partner_id.with_company(company)
        name, content = getattr(client, make)(date_from, date_to)
        return request.make_response(
            content,
            [
                ("Content-Type", content_type),
                ("Content-Disposition", content_disposition(name)),
                ("Cache-Control", "no-store"),
            ],
        )

    def _billing_statement_asked(self, period=None, date_from=None, date_to=None, company_id=None, **kwargs):
        """Company, period and days, and in words what was wrong with them: then others are shown."""
        companies = request.env.companies
        company = next((each for each in companies if str(each.id) == company_id), request.env.company)
        days = request.env.user.partner_id._billing_statement_today(company)
        period = period if period in PERIODS else None
        if period or not (date_from or date_to):
            period = period or "this_year"
            return company, period, *period_days(period, *days), None
        first, last = day_of(date_from), day_of(date_to)
        if wrong := [text for text, day in ((date_from, first), (date_to, last)) if text and not day]:
            problem = request.env._("“%s” is not a day: this year is shown.", wrong[0][:40])
            return company, "this_year", *period_days("this_year", *days), problem
        default_first, default_last = period_days("this_year", *days)
        first, last = first or min(default_first, last), last or max(default_last, first)
        if first > last:
            return company, None, last, first, request.env._("The first day lies after the last one: they are swapped.")
        return company, None, first, last, None

    def _billing_statement_periods(self):
        labels = (
            request.env._("This month"),
            request.env._("Last month"),
            request.env._("This quarter"),
            request.env._("This year"),
            request.env._("Last year"),
        )
        return dict(zip(PERIODS, labels, strict=True))
