from odoo import fields, http
from odoo.http import Response, content_disposition, request

from odoo.addons.invoice_portal.tools.spreadsheet import csv_file
from odoo.addons.portal.controllers.portal import CustomerPortal

from ..tools.spans import SPANS

CSV = "text/csv; charset=utf-8"
CHUNK = 1 << 16


def as_date(text):
    """The day that an address names, or nothing."""
    try:
        return fields.Date.to_date(text) or None
    except (TypeError, ValueError):
        return None


def file_response(file, name):
    """An open file, handed on piece by piece and closed at the end, whether or not the browser waits for it."""
    size = file.seek(0, 2)
    file.seek(0)

    def pieces():
        while piece := file.read(CHUNK):
            yield piece

    response = Response(
        pieces(),
        headers=[
            ("Content-Type", CSV),
            ("Content-Length", str(size)),
            ("Content-Disposition", content_disposition(name)),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ],
        direct_passthrough=True,
    )
    response.call_on_close(file.close)
    return response


class BillingUsageCsv(CustomerPortal):
    """Usage as files: of a client's days for staff, of an invoice for whoever may see it."""

    @http.route(
        "/billing/usage/<int:partner_id>/<string:span>.csv", type="http", auth="user", methods=["GET"], readonly=True
    )
    def billing_client_usage_csv(self, partner_id, span, date=None, what="usage", company=None, **kwargs):
        """A client's records, or invoice lines, of the day, week or month that holds `date`; today's, where it is
        not named."""
        request.env["account.move"]._billing_check_staff()
        day = as_date(date)
        companies = request.env.user.company_ids
        company = companies.filtered(lambda one: str(one.id) == company) if company else request.env.company
        if span not in SPANS or what not in ("usage", "lines") or date and not day or not company:
            raise request.not_found()
        env = request.env(context={**request.env.context, "allowed_company_ids": company.ids})
        client = env["res.partner"].search([("id", "=", partner_id)]).commercial_partner_id
        if not client:
            # Another company's or nobody's: who asks does not learn which.
            raise request.not_found()
        try:
            first, last = client._billing_usage_days(span, day)
        except OverflowError:
            raise request.not_found() from None
        name = client._billing_usage_file_name(what, first, last)
        if what == "usage":
            return file_response(env["billing.usage"]._csv_of_days(client, company, first, last), name)
        invoices = client._billing_invoices_of_days(company, first, last)
        rows = invoices.with_context(lang=client.lang or env.lang)._billing_csv_lines()
        return request.make_response(
            csv_file(rows),
            [("Content-Type", CSV), ("Content-Disposition", content_disposition(name)), ("Cache-Control", "no-store")],
        )

    @http.route(
        "/my/invoices/<int:invoice_id>/usage.csv",
        type="http",
        auth="public",
        methods=["GET"],
        website=True,
        readonly=True,
    )
    def billing_invoice_usage_csv(self, invoice_id, **kwargs):
        """The records of a finalized invoice, as they were when it was finalized; to whoever may see the invoice.

        The link that is mailed with an invoice is not enough: whom a client called is told to the client alone.
        """
        invoice = self._billing_invoice(invoice_id)
        attachment = invoice._billing_usage_csv_sudo()
        if not attachment:
            raise request.not_found()
        stream = request.env["ir.binary"].sudo()._get_stream_from(attachment)
        return stream.get_response(as_attachment=True, content_security_policy="default-src 'none'")
