from datetime import timedelta

from odoo import models
from odoo.fields import Domain
from odoo.tools import format_date

from odoo.addons.invoice_portal.tools.periods import exact

from ..tools.shares import shares
from ..tools.usage_words import quantity_text

# Of a longer period, the days without usage are left out.
MOST_DAYS = 62
EARLIER_SHOWN = 36
NUMBERS_SHOWN = 200
NOTICES_SHOWN = 5
MOST_UNRATED = 10_000


class ResPartner(models.Model):
    """What a client sees of its usage on the portal.

    All is asked for the user's own client. What a client may not read (bills, totals, plans, limits) comes from the
    methods named `_own…_sudo`: they ask who it is first, and return plain values, never records.
    """

    _inherit = "res.partner"

    def _billing_has_own_usage(self):
        """Whether the user's client ever used something here: else its pages do not mention usage."""
        user = self.env.user
        if user._is_public() or not self.env["billing.usage"].has_access("read"):
            return False
        client = user.partner_id.commercial_partner_id
        # Counted, not searched: sorted by moment, PostgreSQL could go through everybody's records for the first one.
        return (
            bool(self.env["billing.usage"].search_count([("partner_id", "=", client.id)], limit=1))
            or client._own_was_billed_usage_sudo()
        )

    def _own_was_billed_usage_sudo(self):
        """Whether usage of this client stands on an invoice, whose records may be put away. Elevated to ask bills."""
        self._billing_check_own()
        return bool(self.env["billing.usage.bill"].sudo().search_count(self._get_own_usage_bill_domain(), limit=1))

    def _billing_own_overview(self):
        overview = super()._billing_own_overview()
        shown = self._billing_has_own_usage()
        overview["usage"] = self._own_usage_so_far_sudo() if shown else None
        return overview

    # -- so far -------------------------------------------------------------------------------------------------------

    def _own_usage_so_far_sudo(self):
        """What was used and is not billed yet, in parts that will be billed apart: as `_usage_part` describes them.

        Elevated to have it worked out by the very code that bills, which reads plans and packages.
        """
        self._billing_check_own()
        client = self.commercial_partner_id.sudo()
        parts = []
        for company in self.env.companies.sudo():
            parts += [
                self._usage_part(
                    {
                        "title": part["subscription"]._usage_title() if part["subscription"] else "",
                        "company": company.name,
                        "currency": part["currency"],
                        "unit": part["rate_plan"].unit,
                        "first": part["period_start"],
                        "last": part["period_end"],
                        "today": client._billing_today(company),
                        "amount": part["amount"],
                        "usage": part["amount"],
                        "minimum": part["minimum"],
                        "allowances": part["allowances"],
                    },
                    part["totals"],
                )
                for part in client.with_company(company)._billing_usage_open()
            ]
        return parts

    def _usage_part(self, part, totals):
        """`part` with what its page shows: `days` and `destinations`, each with bars, and `allowances`.

        Both add up to its `usage`, by the shares that lines of an invoice are made of.
        """
        unit, currency = part["unit"], part["currency"]
        part["currency"] = self.env["res.currency"].browse(currency.id)
        part["period"] = self.env._(
            "%(first)s – %(last)s",
            first=format_date(self.env, part["first"]),
            last=format_date(self.env, part["last"]),
        )
        groups, days = {}, {}
        for total in totals:
            for key, name, sums in (
                (total["destination_id"], total["destination_name"], groups),
                (total["day"], "", days),
            ):
                row = sums.setdefault(
                    key, {"key": key, "name": name, "count": 0, "quantity": 0, "included": 0, "amount": 0}
                )
                row["count"] += total["record_count"]
                row["quantity"] += total["quantity"]
                row["included"] += total["allowance_quantity"]
                row["amount"] += exact(total["amount"])
        # In the order of a bill's groups, by which equal ones get their share.
        self._usage_share([days[day] for day in sorted(days)], part)
        self._usage_share(sorted(groups.values(), key=lambda row: (row["name"] or "", row["key"] or 0)), part)
        part["count"] = sum(row["count"] for row in groups.values())
        part["quantity"] = quantity_text(self.env, sum(row["quantity"] for row in groups.values()), unit)
        part["destinations"] = self._usage_bars(
            sorted(groups.values(), key=lambda row: (-row["amount"], -row["quantity"], row["name"] or "")), unit
        )
        part["days"] = self._usage_bars(self._usage_days(days, part), unit)
        for row in part["days"]:
            row["name"] = format_date(self.env, row["key"], date_format="d MMM")
        part["allowances"] = [self._usage_allowance(allowance, unit) for allowance in part["allowances"]]
        return part

    def _usage_share(self, rows, part):
        """Make of the exact amounts of rows what can be paid, so that they add up."""
        step = self.env["billing.usage.bill"]._step_of(part["currency"])
        amounts = shares([row["amount"] for row in rows], step, exact(part["usage"]))
        for row, amount in zip(rows, amounts, strict=True):
            row["amount"] = float(amount)

    def _usage_days(self, days, part):
        """Every day of the period up to today, with nothing where nothing was used; only those with, of a long one."""
        last = max([min(part["last"], part["today"]), *days]) if days else part["first"]
        first = min([part["first"], *days])
        if not days or (last - first).days >= MOST_DAYS:
            return [days[day] for day in sorted(days)]
        empty = {"name": "", "count": 0, "quantity": 0, "included": 0, "amount": 0}
        every = (first + timedelta(days=number) for number in range((last - first).days + 1))
        return [days.get(day) or {**empty, "key": day} for day in every]

    def _usage_bars(self, rows, unit):
        """Each row with its texts, and the length of its bar: of the amounts, or where all is included, quantities."""
        measure = "amount" if any(row["amount"] for row in rows) else "quantity"
        most = max((row[measure] for row in rows), default=0) or 1
        for row in rows:
            row["share"] = round(100 * max(0, row[measure]) / most)
            row["text"] = quantity_text(self.env, row["quantity"], unit)
            row["included_text"] = quantity_text(self.env, row["included"], unit) if row["included"] else ""
        return rows

    def _usage_allowance(self, allowance, unit):
        included, used = allowance["included"], min(allowance["used"], allowance["included"])
        return {
            "name": allowance["name"],
            "included": quantity_text(self.env, included, unit),
            "used": quantity_text(self.env, used, unit),
            "left": quantity_text(self.env, included - used, unit),
            "percent": round(100 * used / included) if included else 100,
        }

    # -- earlier ------------------------------------------------------------------------------------------------------

    def _get_own_usage_bill_domain(self):
        """Bills that stand on invoices, and nothing of them on a draft or still to be billed."""
        return (
            Domain("partner_id", "=", self.commercial_partner_id.id)
            & Domain("company_id", "in", self.env.companies.ids)
            & Domain("charge_ids", "any", [("invoice_line_id.move_id.state", "=", "posted")])
            & Domain(
                "charge_ids",
                "not any",
                [
                    ("discarded", "=", False),
                    "|",
                    ("invoice_line_id", "=", False),
                    ("invoice_line_id.move_id.state", "!=", "posted"),
                ],
            )
        )

    def _own_usage_bills_sudo(self):
        """The bills of this client whose invoices the user may read, the newest first: `[(bill, invoices)]`.

        Elevated to list bills; for the methods below, which tell plain values of them.
        """
        self._billing_check_own()
        found = []
        for bill in (
            self.env["billing.usage.bill"].sudo().search(self._get_own_usage_bill_domain(), limit=EARLIER_SHOWN)
        ):
            invoices = bill.charge_ids.invoice_line_id.move_id.with_env(self.env)
            if invoices and invoices._filtered_access("read") == invoices:
                found.append((bill, invoices))
        return found

    def _own_usage_earlier_sudo(self):
        """Earlier periods, the newest first: `[{"key", "label", "amount", "currency", "invoices": [(id, number)]}]`.

        Elevated as `_own_usage_bills_sudo`.
        """
        rows = []
        for bill, invoices in self._own_usage_bills_sudo():
            lines = bill.charge_ids.invoice_line_id
            rows.append(
                {
                    "key": str(bill.id),
                    "label": self.env._(
                        "%(first)s – %(last)s",
                        first=format_date(self.env, bill.period_start),
                        last=format_date(self.env, bill.period_end),
                    ),
                    "title": bill.subscription_id._usage_title() if bill.subscription_id else "",
                    "late": bill.late,
                    "count": bill.record_count,
                    "amount": sum(lines.mapped("price_subtotal")),
                    "currency": self.env["res.currency"].browse(bill.currency_id.id),
                    "invoices": [(move.id, move.name) for move in invoices],
                }
            )
        return rows

    def _own_usage_of_bill_sudo(self, key):
        """What one of the earlier periods was made of, as `_usage_part` describes it; nothing where it is no own one.

        Elevated to read the totals of the bill, which stay when its records are put away.
        """
        bill = next((bill for bill, _invoices in self._own_usage_bills_sudo() if str(bill.id) == key), None)
        if not bill:
            return None
        totals = [
            {
                "destination_id": total.destination_id.id,
                "destination_name": total.destination_name,
                **{
                    fname: total[fname]
                    for fname in ("day", "record_count", "quantity", "billed_quantity", "allowance_quantity", "amount")
                },
            }
            for total in bill.total_ids
        ]
        return self._usage_part(
            {
                "title": bill.subscription_id._usage_title() if bill.subscription_id else "",
                "company": bill.company_id.name,
                "currency": bill.currency_id,
                "unit": bill.rate_plan_id.unit,
                "first": bill.period_start,
                "last": bill.period_end,
                "today": bill.period_end,
                "amount": sum(bill.charge_ids.invoice_line_id.mapped("price_subtotal")),
                "usage": bill.amount,
                "minimum": bill.minimum_amount,
                "allowances": [],
            },
            totals,
        )

    # -- numbers, limits, notices -------------------------------------------------------------------------------------

    def _own_usage_numbers_sudo(self):
        """`{id: number or account}` of this client. Elevated to read them, for their names alone."""
        self._billing_check_own()
        accounts = self.env["billing.usage.account"].sudo()
        own = [("partner_id", "=", self.commercial_partner_id.id), ("company_id", "in", self.env.companies.ids)]
        return {account.id: account.key for account in accounts.search(own, order="key", limit=NUMBERS_SHOWN)}

    def _own_usage_limits_sudo(self):
        """The limits of this client: `[{"amount", "used", "percent", "own", "stops", "stopped", "currency"}]`.

        Elevated to read limits, which clients only see here.
        """
        self._billing_check_own()
        client = self.commercial_partner_id.sudo().with_company(self.env.company)
        limits = client.env["billing.usage.limit"].search(
            [("partner_id", "=", client.id), ("company_id", "=", self.env.company.id)], order="by_client, id"
        )
        spent = client._billing_usage_spent() if limits else {}
        return [
            {
                "amount": limit.amount,
                "used": (used := spent.get(limit.currency_id.id, 0)),
                "percent": round(100 * used / limit.amount),
                "own": limit.by_client,
                "stops": limit.stops,
                "stopped": bool(limit.stopped_from),
                "currency": self.env["res.currency"].browse(limit.currency_id.id),
            }
            for limit in limits
        ]

    def _own_usage_notices_sudo(self):
        """What this client was told of its usage of late: `[(day, text)]`. Elevated to list notices."""
        self._billing_check_own()
        notices = (
            self.env["billing.usage.notice"]
            .sudo()
            .search(
                [("partner_id", "=", self.commercial_partner_id.id), ("company_id", "in", self.env.companies.ids)],
                limit=NOTICES_SHOWN,
            )
        )
        return [(format_date(self.env, notice.create_date), notice._text()) for notice in notices]

    def _own_usage_currencies_sudo(self):
        """In which it can limit its usage: those of what it uses, else the company's. Elevated to ask plans."""
        self._billing_check_own()
        client = self.commercial_partner_id.sudo()
        parts = client.with_company(self.env.company)._billing_usage_open()
        ids = {part["currency"].id: None for part in parts} or {self.env.company.sudo().currency_id.id: None}
        return self.env["res.currency"].browse(ids)

    def _own_unrated_usage_sudo(self):
        """How many records of this client have no price yet. Elevated to tell those that are billed from the others."""
        self._billing_check_own()
        return self.env["billing.usage"]._own_usage_count_sudo(
            [("bill_id", "=", False), ("unrated_reason", "!=", False)], limit=MOST_UNRATED
        )

    def _own_limit_usage_sudo(self, amount, currency):
        """The client limits its own usage to `amount` a month, or with nothing, no longer. Elevated to keep that limit.

        What staff agreed with it stays as it is.
        """
        self._billing_check_own_client()
        client = self.commercial_partner_id.sudo().with_company(self.env.company)
        return client._billing_limit_usage_by_client(amount, currency)


class BillingSubscription(models.Model):
    _inherit = "billing.subscription"

    def _usage_title(self):
        """What the client calls it: the package, and what it is for."""
        self.ensure_one()
        return self._package_label(self._phase_on(self._today()).package_id or self.package_id).partition("\n")[0]
