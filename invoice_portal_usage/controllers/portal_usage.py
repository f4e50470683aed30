from urllib.parse import urlencode

from odoo import http
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.http import content_disposition, request, route
from odoo.tools.date_utils import end_of, start_of

from odoo.addons.invoice_portal.controllers.portal_invoice import BillingPortalInvoices, as_date
from odoo.addons.portal.controllers.portal import pager

URL = "/my/billing/usage"
RECORDS = f"{URL}/records"
LATEST_SHOWN = 5
# A page further back than this is asked for by no person, and costs as much as all pages before it.
MOST_PAGES = 1000
CHUNK = 64 * 1024
# As the file of one period of time is asked for.
SPANS = ("day", "week", "month")


class BillingPortalUsage(BillingPortalInvoices):
    """What the client used, what it will cost, and each record of it."""

    _billing_page_asked = BillingPortalInvoices._billing_page_asked | {"usage"}

    # -- pages --------------------------------------------------------------------------------------------------------

    @route(URL, type="http", auth="user", methods=["GET"], website=True, readonly=True)
    def billing_usage(self, period=None, done=None, **kwargs):
        return self._render_billing_usage(period, billing_done=self._billing_usage_done(done))

    def _billing_usage_done(self, done):
        return {
            "limited": request.env._("Saved. You get a mail when 80 % and when 100 % of it are used."),
            "unlimited": request.env._("You set no limit any more."),
        }.get(done)

    def _render_billing_usage(self, period=None, **values):
        client, Usage = self._billing_client(), request.env["billing.usage"]
        earlier = client._own_usage_earlier_sudo()
        of_bill = client._own_usage_of_bill_sudo(period) if period else None
        latest = (
            Usage.browse()
            if of_bill
            else Usage._own_usage_sudo([], order="day desc, moment desc, id desc", limit=LATEST_SHOWN)
        )
        return request.render(
            "invoice_portal_usage.portal_usage",
            {
                **self._billing_page_values("usage", request.env._("Usage")),
                "period": period if of_bill else None,
                "parts": [of_bill] if of_bill else client._own_usage_so_far_sudo(),
                "earlier": earlier,
                "unrated": 0 if of_bill else client._own_unrated_usage_sudo(),
                "latest": latest._own_explained_sudo(),
                "companies": len(request.env.companies) > 1,
                "limits": client._own_usage_limits_sudo(),
                "notices": client._own_usage_notices_sudo(),
                "currencies": client._own_usage_currencies_sudo(),
                "spans": self._billing_usage_spans(),
                "today": client._billing_today(request.env.company),
                **values,
            },
        )

    @route(
        [RECORDS, f"{RECORDS}/page/<int:page>"], type="http", auth="user", methods=["GET"], website=True, readonly=True
    )
    def billing_usage_records(self, page=1, **asked):
        Usage, client = request.env["billing.usage"], self._billing_client()
        chosen, about, domain = self._billing_usage_asked(asked)
        unknown = self._billing_usage_is_unknown(asked, chosen)
        if unknown:
            domain = Domain.FALSE
        put_away = 0 if unknown else Usage._own_put_away_sudo(**self._billing_usage_put_away(chosen, about))[1]
        count = Usage._own_usage_count_sudo(domain)
        pages = pager(
            url=RECORDS,
            url_args={key: value for key, value in chosen.items() if value},
            total=min(count, MOST_PAGES * self._items_per_page),
            page=min(page, MOST_PAGES) if isinstance(page, int) else 1,
            step=self._items_per_page,
        )
        records = Usage._own_usage_sudo(
            domain, order="day desc, moment desc, id desc", limit=self._items_per_page, offset=pages["offset"]
        )
        return request.render(
            "invoice_portal_usage.portal_usage_records",
            {
                **self._billing_page_values("usage", request.env._("Records of Usage"), billing_below=True),
                "rows": records._own_explained_sudo(),
                "count": count,
                "put_away": put_away,
                "chosen": chosen,
                "about": about,
                "unknown": unknown,
                "numbers": client._own_usage_numbers_sudo(),
                "pager": pages,
                "file_query": urlencode({key: value for key, value in chosen.items() if value}),
            },
        )

    # -- what an address asks for -------------------------------------------------------------------------------------

    def _billing_usage_asked(self, asked):
        """What the address asks for, and nothing that it does not know: `(chosen, what it is about, domain)`.

        `about` is the line of an invoice whose records are asked for, as plain values.
        """
        client = self._billing_client()
        first, last = self._billing_usage_day(asked.get("date_from")), self._billing_usage_day(asked.get("date_to"))
        if first and last and first > last:
            first, last = last, first
        search = (asked.get("search") or "").replace("\0", "").strip()[:100]
        number = self._cast_as_int(asked.get("number")) or 0
        number = number if number in client._own_usage_numbers_sudo() else 0
        domain = Domain.TRUE
        if first:
            domain &= Domain("day", ">=", first)
        if last:
            domain &= Domain("day", "<=", last)
        if search:
            domain &= Domain("destination", "ilike", self._billing_usage_dialled(search)) | Domain(
                "destination_id.name", "ilike", search
            )
        if number:
            domain &= Domain("account_id", "=", number)
        about = request.env["account.move.line"]._own_usage_line_sudo(
            self._cast_as_int(asked.get("line")) or 0, asked.get("group") or ""
        )
        if about:
            domain &= about["domain"]
        chosen = {
            "date_from": first and str(first),
            "date_to": last and str(last),
            "search": search,
            "number": number,
            "line": about and about["line"],
            "group": about and about["group"],
        }
        return chosen, about, domain

    def _billing_usage_dialled(self, search):
        """Numbers are kept in digits, and typed with blanks, signs and zeros before them."""
        digits = "".join(letter for letter in search if letter.isdigit())
        return (digits.lstrip("0") if not any(letter.isalpha() for letter in search) else "") or search

    def _billing_usage_put_away(self, chosen, about):
        """What was chosen, as records are asked for that were put away."""
        search = chosen["search"]
        return {
            "first": chosen["date_from"],
            "last": chosen["date_to"],
            "search": [("destination", self._billing_usage_dialled(search)), ("group", search)] if search else [],
            "number": chosen["number"],
            "behind": about and about["behind"],
        }

    def _billing_usage_is_unknown(self, asked, chosen):
        """Whether it names a line, a part of it, or a number that is not the client's or not there (any more). What was
        to be left out then must not be shown instead."""
        return any(asked.get(key) not in (None, "", "0") and not chosen[key] for key in ("line", "group", "number"))

    def _billing_usage_day(self, text):
        """A day of this age, or nothing: the calendar ends soon behind others."""
        day = as_date(text)
        return day if day and 1990 <= day.year < 2200 else None

    def _billing_usage_spans(self):
        return {"month": request.env._("Month"), "week": request.env._("Week"), "day": request.env._("Day")}

    # -- files --------------------------------------------------------------------------------------------------------

    @route(f"{URL}/csv", type="http", auth="user", methods=["GET"], website=True, readonly=True)
    def billing_usage_csv(self, span=None, day=None, **asked):
        """The records of a day, week or month; or those that a list shows, or that a line of an invoice is for."""
        chosen, about, domain = self._billing_usage_asked(asked)
        if (span and span not in SPANS) or self._billing_usage_is_unknown(asked, chosen):
            raise request.not_found()
        name = ["usage"]
        put_away = self._billing_usage_put_away(chosen, about)
        if span:
            day = self._billing_usage_day(day) or self._billing_client()._billing_today(request.env.company)
            first, last = start_of(day, span), end_of(day, span)
            domain &= Domain("day", ">=", first) & Domain("day", "<=", last)
            put_away["first"] = max(str(first), put_away["first"] or "")
            put_away["last"] = min(str(last), put_away["last"] or str(last))
            name.append({"day": f"{day}", "week": f"{first}-{last}", "month": f"{day:%Y-%m}"}[span])
        elif about:
            name.append(about["name"])
        else:
            name += [chosen["date_from"] or "", chosen["date_to"] or ""]
        return self._billing_usage_file("-".join(filter(None, name)) + ".csv", domain, put_away)

    def _billing_usage_file(self, name, domain, put_away):
        """Streamed: the file of a million records never stands in memory."""
        Usage = request.env["billing.usage"]
        archives, _count = Usage._own_put_away_sudo(**put_away)
        parts = [("archive", bill, fits) for bill, fits in archives]
        # Asked as the user, whose rules hold for each record.
        parts.append(("rows", [("id", "in", Usage._own_usage_query_sudo(domain))], None))
        file = Usage._csv_open(parts)
        size = file.seek(0, 2)
        file.seek(0)

        def chunks():
            with file:
                while chunk := file.read(CHUNK):
                    yield chunk

        return http.Response(
            chunks(),
            headers=[
                ("Content-Type", "text/csv; charset=utf-8"),
                ("Content-Disposition", content_disposition(name.replace("/", "-"))),
                ("Content-Length", str(size)),
                ("Cache-Control", "no-store"),
                ("X-Content-Type-Options", "nosniff"),
            ],
            direct_passthrough=True,
        )

    # -- the client's own limit ---------------------------------------------------------------------------------------

    @route(
        f"{URL}/limit",
        type="http",
        auth="user",
        methods=["POST"],
        website=True,
        billing_form_at=URL,
    )
    def billing_usage_limit(self, amount=None, currency=None, **kwargs):
        client = self._billing_client()
        currencies = client._own_usage_currencies_sudo()
        chosen = currencies.filtered(lambda each: str(each.id) == currency) or currencies[:1]
        typed = (amount or "").strip()
        # What is no number is refused as one that is out of bounds.
        wished = (self._cast_as_float(typed) or 0.0) if typed else None
        try:
            done = client._own_limit_usage_sudo(wished, chosen)
        except UserError as error:
            request.env.cr.rollback()
            return self._render_billing_usage(billing_error=str(error), typed=typed[:20])
        return request.redirect(f"{URL}?done={done}#limit")

    # -- an invoice ---------------------------------------------------------------------------------------------------

    def _invoice_get_page_view_values(self, invoice, access_token, payment=False, amount=None, **kwargs):
        # Before the items are made: they are grouped as asked.
        grouped = invoice.with_context(billing_usage_by=kwargs.get("usage"))
        return super()._invoice_get_page_view_values(grouped, access_token, payment=payment, amount=amount, **kwargs)
