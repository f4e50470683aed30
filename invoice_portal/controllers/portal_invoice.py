from collections import OrderedDict
from urllib.parse import urlencode

from odoo import fields
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.fields import Domain
from odoo.http import request, route
from odoo.tools import format_date

from odoo.addons.account_payment.controllers.payment import PaymentPortal
from odoo.addons.account_payment.controllers.portal import PortalAccount
from odoo.addons.payment.utils import generate_access_token

from ..models.account_move_status import SALE_TYPES
from ..tools.spreadsheet import csv_file
from .portal_billing import BillingPortalPages

# One payment for more than that would be hard to read for anybody.
MOST_AT_ONCE = 200
MOST_IN_A_FILE = 10_000


def as_date(text):
    """The day that somebody typed into an address, or nothing."""
    try:
        return fields.Date.to_date(text) or None
    except (TypeError, ValueError):
        return None


class BillingPortalInvoices(PortalAccount, PaymentPortal, BillingPortalPages):
    """The client's invoices: Odoo's list and page, with our statuses, filters, search, files and payment."""

    # What the address of an invoice's page may ask for.
    _billing_page_asked = frozenset(
        ("report_type", "download", "payment", "amount", "payment_token", "pid", "hash", "done")
    )

    # -- the list -----------------------------------------------------------------------------------------------------

    def _get_overdue_invoices_domain(self, partner_id=None):
        """Overdue where the client lives, of the whole client."""
        if partner_id:
            return super()._get_overdue_invoices_domain(partner_id)
        return self._billing_client()._get_billing_own_unpaid_domain() & Domain("billing_status", "=", "overdue")

    def _get_account_searchbar_sortings(self):
        return {
            **super()._get_account_searchbar_sortings(),
            "total": {"label": request.env._("Total"), "order": "amount_total desc"},
            "balance": {"label": request.env._("Balance"), "order": "amount_residual desc"},
        }

    def _get_account_searchbar_filters(self):
        env = request.env
        sold = Domain("move_type", "in", SALE_TYPES)
        unpaid = self._billing_client()._get_billing_own_unpaid_domain()
        return {
            **super()._get_account_searchbar_filters(),
            "unpaid": {"label": env._("Unpaid"), "domain": unpaid},
            "partial": {"label": env._("Partly paid"), "domain": sold & Domain("billing_status", "=", "partial")},
            "paid": {"label": env._("Paid"), "domain": sold & Domain("billing_status", "=", "paid")},
            "void": {"label": env._("Void"), "domain": sold & Domain("billing_status", "=", "void")},
            "refunds": {"label": env._("Credit notes"), "domain": Domain("move_type", "=", "out_refund")},
        }

    def _billing_list_groups(self):
        env = request.env
        return {
            "none": {"label": env._("None")},
            "month": {"label": env._("Month"), "order": "invoice_date desc"},
            "project": {"label": env._("Project"), "order": "billing_project_id"},
        }

    def _billing_list_asked(self):
        """What the address asks the list for, and nothing that it does not know: `(chosen, domain)`."""
        asked = request.params
        begin, end = as_date(asked.get("date_begin")), as_date(asked.get("date_end"))
        project = self._cast_as_int(asked.get("project")) or 0
        search = (asked.get("search") or "").replace("\0", "").strip()[:200]
        search_in = asked.get("search_in") if asked.get("search_in") in self._billing_search_inputs() else "all"
        groupby = asked.get("groupby") if asked.get("groupby") in self._billing_list_groups() else "none"
        domain = Domain.TRUE
        if begin:
            domain &= Domain("invoice_date", ">=", begin)
        if end:
            domain &= Domain("invoice_date", "<=", end)
        if project:
            domain &= Domain("billing_project_id", "=", project)
        if search:
            domain &= self._billing_search_domain(search_in, search)
        chosen = {
            "date_begin": begin and str(begin),
            "date_end": end and str(end),
            "project": project or None,
            "search": search or None,
            "search_in": search_in if search else None,
            "groupby": groupby,
        }
        return chosen, domain

    def _billing_search_inputs(self):
        env = request.env
        return {
            "all": {"input": "all", "label": env._("Search number, reference and items")},
            "number": {"input": "number", "label": env._("Search number")},
            "item": {"input": "item", "label": env._("Search items")},
        }

    def _billing_search_domain(self, search_in, search):
        number = Domain("name", "ilike", search) | Domain("ref", "ilike", search)
        number |= Domain("payment_reference", "ilike", search)
        item = Domain("invoice_line_ids.name", "ilike", search)
        return {"number": number, "item": item}.get(search_in, number | item)

    def _prepare_my_invoices_values(
        self, page, date_begin, date_end, sortby, filterby, domain=None, url="/my/invoices"
    ):
        """Odoo's list, with what else the address asks for. What it does not know falls back instead of failing."""
        chosen, asked = self._billing_list_asked()
        sortings, filters = self._get_account_searchbar_sortings(), self._get_account_searchbar_filters()
        sortby = sortby if sortby in sortings else "date"
        filterby = filterby if filterby in filters else "all"
        domain = Domain(domain or Domain.TRUE) & asked
        values = super()._prepare_my_invoices_values(page, None, None, sortby, filterby, domain=domain, url=url)
        values["pager"]["url_args"] = {
            key: value for key, value in {**chosen, "sortby": sortby, "filterby": filterby}.items() if value
        }
        Move = request.env["account.move"]
        domain &= Domain(filters[filterby]["domain"]) & self._get_invoices_domain()
        groups = self._billing_list_groups()
        order = self._billing_list_order(groups[chosen["groupby"]].get("order"), sortings[sortby]["order"])

        def invoices(offset):
            """As Odoo's route asks for them, once it knows the page."""
            moves = Move.search(domain, order=order, limit=self._items_per_page, offset=offset)
            return self._billing_list_rows(moves, chosen["groupby"])

        values.update(
            invoices=invoices,
            billing_page="invoices",
            billing_title=request.env._("Invoices"),
            billing_chosen=chosen,
            billing_narrowed=filterby not in ("all", "invoices") or asked != Domain.TRUE,
            billing_projects=self._billing_client()._own_projects_sudo(),
            searchbar_filters=OrderedDict(
                (key, filters[key])
                for key in sorted(filters, key=lambda key: (key != "all", key == "bills", filters[key]["label"]))
            ),
            searchbar_groupby=groups,
            groupby=chosen["groupby"],
            searchbar_inputs=self._billing_search_inputs(),
            search_in=chosen["search_in"] or "all",
            search=chosen["search"],
        )
        return values

    def _billing_list_order(self, *orders):
        """These orders one after the other.

        None of these invoices lacks a date. To say where it would stand keeps PostgreSQL from going through the index
        of dates: there, all entries of the firm that have none (payments) come before the client's first invoice.
        """
        parts = [part.strip() for order in (*orders, "id desc") if order for part in order.split(",")]
        return ", ".join(f"{part} nulls last" if part.endswith(" desc") else part for part in parts)

    def _billing_list_rows(self, moves, groupby):
        """As Odoo's list takes them, with the heading of a group on its first row."""
        payable = moves._billing_payable()
        names = moves._own_project_names_sudo()
        rows, heading = [], None
        for move in moves:
            row = move._get_invoice_portal_extra_values()
            row["billing_payable"] = move in payable
            row["billing_project"] = names.get(move.billing_project_id.id, "")
            title = None
            if groupby == "month":
                title = format_date(request.env, move.invoice_date, date_format="MMMM y")
            elif groupby == "project":
                title = row["billing_project"] or request.env._("No project")
            row["billing_group"] = title if title != heading else None
            heading = title
            rows.append(row)
        return rows

    @route("/my/invoices/<string:what>.csv", type="http", auth="user", methods=["GET"], website=True, readonly=True)
    def billing_invoices_csv(self, what, sortby=None, filterby=None, **kwargs):
        """The list as it is filtered, or the items of its invoices, for a spreadsheet."""
        if what not in ("invoices", "items"):
            raise request.not_found()
        _chosen, asked = self._billing_list_asked()
        filters, sortings = self._get_account_searchbar_filters(), self._get_account_searchbar_sortings()
        domain = Domain(filters.get(filterby, filters["all"])["domain"]) & asked
        domain &= self._billing_client()._get_billing_own_domain()
        order = sortings.get(sortby, sortings["date"])["order"]
        order = self._billing_list_order(order)
        moves = request.env["account.move"].search(domain, order=order, limit=MOST_IN_A_FILE)
        rows = moves._billing_csv_rows() if what == "invoices" else moves._billing_csv_lines()
        return self._billing_file(f"{what}.csv", csv_file(rows), "text/csv; charset=utf-8")

    # -- the page of one ----------------------------------------------------------------------------------------------

    def _invoice_get_page_view_values(self, invoice, access_token, payment=False, amount=None, **kwargs):
        told = {}
        if amount and (reason := invoice._billing_why_not_part(self._cast_as_float(amount))):
            told["billing_error"], amount, payment = reason, None, False
        values = super()._invoice_get_page_view_values(invoice, access_token, payment=payment, amount=amount, **kwargs)
        if invoice.move_type in SALE_TYPES:
            user = request.env.user
            values.update(
                billing_invoice=invoice._billing_portal_values(user),
                billing_page="invoices",
                billing_title=invoice.name,
                billing_company=invoice.company_id.sudo().name,
                billing_logged_in=not user._is_public(),
                billing_done=self._billing_done(kwargs.get("done")),
                **told,
            )
        return values

    @route()
    def portal_my_invoice_detail(self, invoice_id, access_token=None, **kw):
        """Who follows a link that holds no more, or asks for what is not there, reads so: Odoo leads to the first page
        without a word."""
        self._billing_invoice(invoice_id, access_token)
        # Odoo would pass on whatever stands in the address: fail where that is a parameter of something else, or say it
        # in our name.
        asked = {key: value for key, value in kw.items() if key in self._billing_page_asked}
        return super().portal_my_invoice_detail(invoice_id, access_token=access_token, **asked)

    @route("/my/invoices/<int:invoice_id>/part", type="http", auth="public", methods=["GET"], website=True)
    def billing_invoice_part(self, invoice_id, amount=None, access_token=None, **kwargs):
        """The amount was typed: Odoo's page takes one that is signed."""
        invoice = self._billing_invoice(invoice_id, access_token)
        asked = self._billing_typed_amount(amount)
        if reason := invoice._billing_why_not_part(asked):
            return self._billing_invoice_again(invoice_id, reason, access_token)
        asked = invoice.currency_id.round(asked)
        query = {"amount": asked, "payment_token": generate_access_token(invoice_id, asked), "payment": True}
        if access_token:
            query["access_token"] = access_token
        return request.redirect(f"/my/invoices/{invoice_id}?{urlencode(query)}")

    def _billing_done(self, key):
        return {
            "credit": request.env._("Your credit was used for this invoice."),
        }.get(key)

    @route(
        "/my/invoices/<int:invoice_id>/items.csv",
        type="http",
        auth="public",
        methods=["GET"],
        website=True,
        readonly=True,
    )
    def billing_invoice_csv(self, invoice_id, access_token=None, **kwargs):
        invoice = self._billing_invoice(invoice_id, access_token)
        name = f"{invoice.name or invoice.id}.csv".replace("/", "-")
        return self._billing_file(name, csv_file(invoice._billing_csv_lines()), "text/csv; charset=utf-8")

    @route(
        "/my/invoices/<int:invoice_id>/credit",
        type="http",
        auth="user",
        methods=["POST"],
        website=True,
        billing_form_at="/my/invoices/{invoice_id}",
    )
    def billing_invoice_credit(self, invoice_id, **kwargs):
        """Pay it from one's credit; what that leaves open is paid on the page that follows."""
        self._billing_invoice(invoice_id)
        invoice = request.env["account.move"].browse(invoice_id)
        try:
            invoice._own_apply_credit_sudo()
        except AccessError as error:
            raise request.not_found() from error
        except UserError as error:
            return self._billing_invoice_again(invoice_id, str(error))
        rest = "" if invoice.currency_id.is_zero(invoice.amount_residual) else "&payment=True"
        return request.redirect(f"/my/invoices/{invoice_id}?done=credit{rest}")

    @route(
        "/my/invoices/<int:invoice_id>/start-over",
        type="http",
        auth="user",
        methods=["POST"],
        website=True,
        billing_form_at="/my/invoices/{invoice_id}",
    )
    def billing_invoice_start_over(self, invoice_id, **kwargs):
        """Whoever began to pay and will not finish that need not wait."""
        self._billing_invoice(invoice_id)
        try:
            request.env["account.move"].browse(invoice_id)._own_start_over_sudo()
        except AccessError as error:
            raise request.not_found() from error
        return request.redirect(f"/my/invoices/{invoice_id}")

    def _billing_invoice_again(self, invoice_id, error, access_token=None):
        """The invoice's page, saying what went wrong. What was begun is taken back."""
        request.env.cr.rollback()
        invoice = self._document_check_access("account.move", invoice_id, access_token)
        values = self._invoice_get_page_view_values(invoice, access_token)
        return request.render("account.portal_invoice_page", {**values, "billing_error": error})

    # -- paying several at once ---------------------------------------------------------------------------------------

    @route("/my/invoices/pay", type="http", auth="user", methods=["GET"], website=True)
    def billing_pay(self, company=None, currency=None, **kwargs):
        """The invoices that were ticked, or all unpaid ones: together where company and currency agree, else apart."""
        asked = [self._cast_as_int(value) for value in request.httprequest.args.getlist("invoice")]
        asked = [number for number in asked if number][:MOST_AT_ONCE]
        domain = self._billing_client()._get_billing_own_unpaid_domain()
        if asked:
            domain &= Domain("id", "in", asked)
        if self._cast_as_int(company):
            domain &= Domain("company_id", "=", self._cast_as_int(company))
        # No text of the database can hold this character, and it asks for none.
        if currency := (currency or "").replace("\0", ""):
            domain &= Domain("currency_id.name", "=", currency)
        invoices = request.env["account.move"].search(domain, limit=MOST_AT_ONCE, order="invoice_date_due, id")
        groups = invoices._billing_payable_together()
        values = self._billing_page_values("invoices", request.env._("Pay Invoices"), groups=groups)
        payable = request.env["account.move"].union(*groups)
        values.update(
            left_out=invoices - payable,
            contested=payable._billing_contested_sudo(),
            # Elevated to read this setting of companies whose invoices the client reads.
            partial_ids=payable.company_id.sudo().filtered("billing_portal_partial").ids,
        )
        if len(groups) == 1:
            values.update(self._billing_pay_form(groups[0]))
        return request.render("invoice_portal.portal_pay", values)

    def _billing_pay_form(self, invoices):
        """What Odoo's payment form needs to pay these invoices by one payment."""
        total = sum(invoices.mapped("amount_residual"))
        numbers = "-".join(str(number) for number in invoices.ids)
        first = invoices[0]
        values = self._get_common_page_view_values(
            invoices_data={
                "partner": request.env.user.partner_id,
                "company": first.company_id.sudo(),
                "total_amount": total,
                "currency": first.currency_id,
                "amount_residual": total,
                "payment_reference": "",
                "landing_route": "/my/invoices?filterby=invoices",
                "transaction_route": f"/my/invoices/pay/{numbers}/transaction",
            }
        )
        return {**values, "amount": total, "currency": first.currency_id}

    @route("/my/invoices/pay/<string:numbers>/transaction", type="jsonrpc", auth="user")
    def billing_pay_transaction(self, numbers, payment_reference=None, **kwargs):
        """Begin one payment for several invoices of one's own; refused where they changed since they were shown."""
        asked = [int(number) for number in numbers.split("-")[:MOST_AT_ONCE] if number.isdecimal()]
        domain = self._billing_client()._get_billing_own_unpaid_domain() & Domain("id", "in", asked)
        invoices = request.env["account.move"].search(domain)
        groups = invoices._billing_payable_together()
        if len(invoices) != len(set(asked)) or len(groups) != 1 or len(groups[0]) != len(invoices):
            raise ValidationError(
                request.env._("One of these invoices has changed. Reload the page to see what is due now.")
            )
        total = sum(invoices.mapped("amount_residual"))
        if invoices.currency_id.compare_amounts(self._cast_as_float(kwargs.get("amount")) or 0, total):
            raise ValidationError(
                request.env._("The amount due has changed to %s. Reload the page.", invoices.currency_id.format(total))
            )
        self._validate_transaction_kwargs(kwargs)
        partner = request.env.user.partner_id
        return self._process_transaction(
            partner.id, invoices.currency_id.id, groups[0].ids, self._billing_pay_reference(groups[0]), **kwargs
        )

    def _billing_pay_reference(self, invoices):
        if len(invoices) == 1:
            return invoices.name
        return invoices[0].company_id.sudo().get_next_batch_payment_communication()

    @route()
    def portal_my_overdue_invoices(self, access_token=None, **kwargs):
        """All that is overdue, whatever the currency: on the page that takes several."""
        if request.env.user._is_public():
            return request.redirect("/web/login?redirect=/my/invoices/overdue")
        overdue = request.env["account.move"].search(self._get_overdue_invoices_domain(), limit=MOST_AT_ONCE)
        if not overdue:
            return request.redirect("/my/invoices")
        return request.redirect("/my/invoices/pay?" + "&".join(f"invoice={number}" for number in overdue.ids))
