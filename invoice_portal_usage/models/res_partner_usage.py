from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import SQL, formatLang
from odoo.tools.misc import get_lang

from ..tools.spans import days_of
from ..tools.units import UNITS

URL = "/billing/usage"


class ResPartner(models.Model):
    """A client's usage on its form: what was used lately, and files of it."""

    _inherit = "res.partner"

    billing_usage_summary = fields.Html(
        string="Usage Summary",
        compute="_compute_billing_usage_summary",
        sanitize=False,
        groups="invoice_portal.group_billing_user",
    )

    def _billing_usage_days(self, span, day=None):
        """First and last day of the day, week or month that holds this day; today, where the client is."""
        self.ensure_one()
        day = day or self._billing_today(self.env.company)
        return days_of(span, day, int(get_lang(self.env, self.commercial_partner_id.lang).week_start))

    def _billing_usage_spans(self):
        """`{key: (label, first, last)}` of what the summary shows."""
        text = self.env._
        month = self._billing_usage_days("monthly")
        return {
            "day": (text("Today"), *self._billing_usage_days("daily")),
            "week": (text("This week"), *self._billing_usage_days("weekly")),
            "month": (text("This month"), *month),
            "last": (text("Last month"), *self._billing_usage_days("monthly", month[0] - timedelta(days=1))),
        }

    @api.depends_context("company", "lang")
    def _compute_billing_usage_summary(self):
        for partner in self:
            client = partner.commercial_partner_id
            partner.billing_usage_summary = client.id and self.env["ir.qweb"]._render(
                "invoice_portal_usage.usage_summary", client._billing_usage_figures(self.env.company)
            )

    def _billing_usage_figures(self, company):
        """Records, quantity and amount of today, this week, this month and the last one, in one query.

        :return: `{"spans": [label], "rows": [{"name", "cells": [{"count", "quantity", "amount"}]}]}`, a row for each
            kind of quantity and currency
        """
        self.ensure_one()
        spans = self._billing_usage_spans()
        usage = self.env["billing.usage"].with_company(company)
        first = min(span[1] for span in spans.values())
        last = max(span[2] for span in spans.values())
        query = usage._search(usage._days_domain(self, company, first, last))
        of = lambda name: SQL.identifier(query.table, name)  # noqa: E731
        records = query.select(
            SQL("%s AS day", of("day")),
            SQL("%s AS plan_id", of("rate_plan_id")),
            SQL("%s AS source_id", of("source_id")),
            SQL("1 AS records"),
            SQL("%s AS quantity", of("quantity")),
            SQL("%s AS amount", of("amount")),
        )
        put_away = usage._bills_of_days_sudo(self, company, first, last).filtered("archive_id").ids
        totals = SQL(
            "SELECT total.day, bill.rate_plan_id, NULL::int, total.record_count, total.quantity, total.amount"
            " FROM billing_usage_total total JOIN billing_usage_bill bill ON bill.id = total.bill_id"
            " WHERE bill.id IN %s AND total.day BETWEEN %s AND %s",
            tuple(put_away) or (0,),
            first,
            last,
        )
        columns = SQL(", ").join(
            SQL(
                "SUM(records) FILTER (WHERE day BETWEEN %(first)s AND %(last)s),"
                " SUM(quantity) FILTER (WHERE day BETWEEN %(first)s AND %(last)s),"
                " SUM(amount) FILTER (WHERE day BETWEEN %(first)s AND %(last)s)",
                first=begin,
                last=end,
            )
            for _label, begin, end in spans.values()
        )
        self.env.flush_query(records)
        rows = self.env.execute_query(
            SQL(
                "SELECT COALESCE(plan.unit, source.unit), plan.currency_id, %s FROM (%s UNION ALL %s) used"
                " LEFT JOIN billing_rate_plan plan ON plan.id = used.plan_id"
                " LEFT JOIN billing_usage_source source ON source.id = used.source_id"
                " GROUP BY 1, 2",
                columns,
                records,
                totals,
            )
        )
        merged = {}
        for unit, currency_id, *numbers in rows:
            measure = UNITS[unit].measure if unit else "count"
            cells = merged.setdefault((measure, currency_id or 0), [0.0] * len(numbers))
            for position, value in enumerate(numbers):
                cells[position] += float(value or 0)
        return {
            "spans": [label for label, _first, _last in spans.values()],
            "rows": [
                {"name": self._billing_usage_kind(*key), "cells": self._billing_usage_cells(*key, cells)}
                for key, cells in sorted(merged.items())
            ],
        }

    def _billing_usage_kind(self, measure, currency_id):
        names = {"time": self.env._("Time"), "data": self.env._("Data"), "count": self.env._("Pieces")}
        currency = self.env["res.currency"].browse(currency_id)
        return f"{names[measure]}, {currency.name if currency else self.env._('not rated')}"

    def _billing_usage_cells(self, measure, currency_id, numbers):
        usage, currency = self.env["billing.usage"], self.env["res.currency"].browse(currency_id)
        return [
            {
                "count": formatLang(self.env, count, digits=0),
                "quantity": usage._in_words(quantity, measure),
                "amount": currency.format(amount) if currency else "",
            }
            for count, quantity, amount in zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
        ]

    # -- files --------------------------------------------------------------------------------------------------------

    def _billing_usage_file_name(self, what, first, last):
        self.ensure_one()
        speaking = self.with_context(lang=self.lang or self.env.lang)
        title = speaking.env._("Usage") if what == "usage" else speaking.env._("Invoice lines")
        days = str(first) if first == last else f"{first} {last}"
        return f"{title} {self.display_name} {days}.csv".replace("/", "-").replace("\\", "-")

    def _billing_invoices_of_days(self, company, first, last):
        """The client's finalized invoices and credit notes of these days."""
        domain = (
            Domain("commercial_partner_id", "=", self.commercial_partner_id.id)
            & Domain("company_id", "=", company.id)
            & Domain("state", "=", "posted")
            & Domain("move_type", "in", ("out_invoice", "out_refund", "out_receipt"))
            & Domain("invoice_date", ">=", first)
            & Domain("invoice_date", "<=", last)
        )
        return self.env["account.move"].search(domain, order="invoice_date, name, id")

    def _billing_usage_download(self, span, what="usage", day=None):
        client = self.commercial_partner_id
        if len(client) != 1:
            raise UserError(self.env._("Choose one client."))
        self._billing_check_staff()
        query = f"company={self.env.company.id}&what={what}" + (f"&date={day}" if day else "")
        return {"type": "ir.actions.act_url", "url": f"{URL}/{client.id}/{span}.csv?{query}", "target": "download"}

    def action_billing_usage_daily(self):
        return self._billing_usage_download("daily")

    def action_billing_usage_weekly(self):
        return self._billing_usage_download("weekly")

    def action_billing_usage_monthly(self):
        return self._billing_usage_download("monthly")

    def action_billing_lines_daily(self):
        return self._billing_usage_download("daily", "lines")

    def action_billing_lines_weekly(self):
        return self._billing_usage_download("weekly", "lines")

    def action_billing_lines_monthly(self):
        return self._billing_usage_download("monthly", "lines")

    def action_billing_usage_choose(self):
        """Choose another day, and what of it."""
        self.ensure_one()
        self._billing_check_staff()
        wizard = self.env["billing.usage.download"].create({"partner_id": self.commercial_partner_id.id})
        return wizard._get_records_action(name=self.env._("Download CSV"), target="new")

    def action_billing_usage_records(self):
        """The client's records."""
        self.ensure_one()
        self._billing_check_staff()
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal_usage.action_billing_usage")
        return dict(action, domain=[("partner_id", "=", self.commercial_partner_id.id)], context={})
