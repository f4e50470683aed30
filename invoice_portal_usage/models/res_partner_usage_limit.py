import math
from decimal import Decimal

from odoo import fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import format_date
from odoo.tools.date_utils import end_of, start_of

from odoo.addons.invoice_portal.tools.periods import exact

from ..tools.usage_words import quantity_text
from .billing_usage_limit import MOST, THRESHOLDS

# Periods that are over and not billed yet, of which the client is still told.
MOST_PERIODS_BEFORE = 12


class ResPartner(models.Model):
    """How far a client's usage has come, and telling it."""

    _inherit = "res.partner"

    billing_usage_limit_ids = fields.One2many(
        "billing.usage.limit", "partner_id", string="Spending Limits", groups="invoice_portal.group_billing_user"
    )

    def _billing_usage_open(self):
        """What of this client's usage is open, in parts that will be billed apart, in the company of the environment.

        By the code that bills, for the present periods, and for those before of which something is not billed yet:
        `[{"subscription", "rate_plan", "currency", "period_start", "period_end", "amount", "minimum", "totals",
        "allowances"}]`. Elevated, as it reads plans and packages; who asks has asked whose it is.
        """
        self.ensure_one()
        company, client = self.env.company.sudo(), self.sudo()
        Usage = self.env["billing.usage"].sudo()
        found = Usage._open_totals(client, company)
        open_days = Domain("partner_id", "=", client.id) & Domain("company_id", "=", company.id)
        open_days &= Domain("bill_id", "=", False) & Domain("unrated_reason", "=", False)
        first = min((part["period_start"] for part in found), default=client._billing_today(company))
        for _period in range(MOST_PERIODS_BEFORE):
            ((last,),) = Usage._read_group(open_days & Domain("day", "<", first), [], ["day:max"])
            if not last:
                break
            before = Usage._open_totals(client, company, day=last)
            seen = {(part["rate_plan_id"], part["subscription_id"], part["period_start"]) for part in found}
            found += [
                part
                for part in before
                if (part["rate_plan_id"], part["subscription_id"], part["period_start"]) not in seen
            ]
            first = min([last, *(part["period_start"] for part in before)])
        return [client._billing_usage_open_part(part) for part in found if part["rows"] or part["allowances"]]

    def _billing_usage_open_part(self, part):
        subscription = self.env["billing.subscription"].browse(part["subscription_id"] or ())
        package = subscription and subscription._phase_on(part["period_start"]).package_id
        currency = self.env["res.currency"].browse(part["currency_id"])
        return {
            "subscription": subscription,
            "rate_plan": self.env["billing.rate.plan"].browse(part["rate_plan_id"]),
            "currency": currency,
            "period_start": part["period_start"],
            "period_end": part["period_end"],
            "amount": currency.round(float(sum(Decimal(str(row["amount"])) for row in part["rows"]))),
            "minimum": package.usage_minimum if package else 0,
            "totals": [
                {
                    **row,
                    **{
                        fname: float(row[fname])
                        for fname in ("quantity", "billed_quantity", "allowance_quantity", "list_amount", "amount")
                    },
                }
                for row in part["rows"]
            ],
            "allowances": [
                {
                    "allowance": self.env["billing.package.allowance"].browse(allowance["allowance_id"]),
                    "name": allowance["name"],
                    "included": float(allowance["granted"]),
                    "used": float(allowance["used"]),
                }
                for allowance in part["allowances"]
            ],
        }

    def _billing_usage_spent(self, parts=None):
        """`{currency id: amount}`: what this client's usage of the calendar month came to, in the company of the
        environment: what is billed of it and what is open."""
        self.ensure_one()
        company = self.env.company
        first = start_of(self._billing_today(company), "month")
        spent = {}
        # Elevated, as it is asked for clients, too, who read neither totals nor plans.
        groups = (
            self.env["billing.usage.total"]
            .sudo()
            ._read_group(
                [("bill_id.partner_id", "=", self.id), ("bill_id.company_id", "=", company.id), ("day", ">=", first)],
                ["bill_id.currency_id"],
                ["amount:sum"],
            )
        )
        for currency, amount in groups:
            spent[currency.id] = amount
        if parts is None:
            parts = self._billing_usage_open()
        for part in parts:
            open_amount = sum(total["amount"] for total in part["totals"] if total["day"] >= first)
            spent[part["currency"].id] = spent.get(part["currency"].id, 0) + open_amount
        return {
            currency_id: self.env["res.currency"].browse(currency_id).round(amount)
            for currency_id, amount in spent.items()
        }

    def _billing_watch_usage(self):
        """Tell these clients what they have come to since they were looked at last, in the company of the environment.

        The database decides who says it: only who notes it first. The mail is queued in the same transaction.
        """
        company = self.env.company
        limits_of = (
            self.env["billing.usage.limit"]
            .sudo()
            .search([("partner_id", "in", self.ids), ("company_id", "=", company.id)])
            .grouped("partner_id")
        )
        # Elevated: it works for the clients of whoever set a limit, or of the job.
        for client in self.sudo():
            # In the client's language: it is for its mail.
            client = client.with_context(lang=client.lang or self.env.lang)
            parts = client._billing_usage_open()
            told = client._billing_notice_limits(limits_of.get(client, []), parts)
            told += client._billing_notice_allowances(parts)
            if told:
                client._billing_notify_usage(told)

    def _billing_notice_limits(self, limits, parts):
        month = start_of(self._billing_today(self.env.company), "month")
        spent = self._billing_usage_spent(parts) if limits else {}
        told = []
        for limit in limits:
            used = spent.get(limit.currency_id.id, 0)
            won = self._billing_win_notices(
                [percent for percent in THRESHOLDS if limit._is_reached(used, percent)],
                limit_id=limit.id,
                period_start=month,
            )
            if limit._is_reached(used, 100) and not limit.stopped_from:
                # Not only when it is said: staff may have it stop after that.
                limit._stop(month)
            if not won:
                continue
            if won == 100:
                limit._ask_to_look()
            money = limit.currency_id.with_env(self.env).format
            told.append(
                {
                    "percent": won,
                    "share": self._billing_share(used, limit.amount),
                    "name": self.env._("your limit of %s a month", money(limit.amount)),
                    "used": money(used),
                    "of": money(limit.amount),
                    "so_far": self.env._(
                        "%(used)s of %(all)s, before taxes", used=money(used), all=money(limit.amount)
                    ),
                    "until": format_date(self.env, end_of(month, "month")),
                    "stops": limit.stops and won == 100,
                    "then": self._billing_after_limit(limit, won),
                }
            )
        return told

    def _billing_notice_allowances(self, parts):
        told = []
        for part in parts:
            for allowance in part["allowances"]:
                included, used = allowance["included"], allowance["used"]
                if not included:
                    continue
                won = self._billing_win_notices(
                    [percent for percent in THRESHOLDS if used * 100 >= included * percent],
                    subscription_id=part["subscription"].id or None,
                    allowance_id=allowance["allowance"].id,
                    period_start=part["period_start"],
                )
                if won:
                    unit = part["rate_plan"].unit
                    told.append(
                        {
                            "percent": won,
                            "share": self._billing_share(min(used, included), included),
                            "name": self._billing_allowance_label(part, allowance),
                            "used": quantity_text(self.env, min(used, included), unit),
                            "of": quantity_text(self.env, included, unit),
                            "so_far": self.env._(
                                "%(used)s of %(all)s",
                                used=quantity_text(self.env, min(used, included), unit),
                                all=quantity_text(self.env, included, unit),
                            ),
                            "until": format_date(self.env, part["period_end"]),
                            "stops": False,
                            "then": self.env._("What is used beyond it is billed at its price."),
                        }
                    )
        return told

    def _billing_share(self, used, whole):
        """How much of it that is, in percent, and never more than it is."""
        return int(exact(used) * 100 / exact(whole))

    def _billing_allowance_label(self, part, allowance):
        """What is included, and in which package: the same may be in several."""
        name = allowance["allowance"].with_env(self.env).name
        title = part["subscription"].with_env(self.env)._usage_title() if part["subscription"] else ""
        return f"{name} ({title})" if title else name

    def _billing_after_limit(self, limit, percent):
        """What happens to the client at this limit."""
        if not limit.stops:
            return self.env._("It stops nothing: what is used beyond it is billed, too.")
        if percent < 100:
            return self.env._("When it is reached, usage is stopped for the rest of the month.")
        return self.env._("Usage is stopped until then, or until we raise the limit.")

    def _billing_win_notices(self, percents, **values):
        """The highest of these thresholds that was not said before, after noting all of them; or 0."""
        notices = self.env["billing.usage.notice"]
        values = {"company_id": self.env.company.id, "partner_id": self.id, **values}
        won = [percent for percent in percents if notices._win({**values, "percent": percent})]
        # Whoever was told of 100 % is not told of 80 % after it.
        return max(won) if won and max(won) == max(percents) else 0

    def _billing_notify_usage(self, told):
        template = self.env.ref("invoice_portal_usage.mail_template_usage_notice", raise_if_not_found=False)
        if template:
            self._billing_queue_notice(
                template.with_context(billing_notices=told, billing_most=max(told, key=lambda each: each["percent"]))
            )

    # -- the client's own limit ---------------------------------------------------------------------------------------

    def _billing_limit_usage_by_client(self, amount, currency):
        """Set, change or (with nothing) take away the limit that the client itself set. Returns what was done."""
        self.ensure_one()
        limit = self.env["billing.usage.limit"].search(
            [
                ("partner_id", "=", self.id),
                ("company_id", "=", self.env.company.id),
                ("currency_id", "=", currency.id),
                ("by_client", "=", True),
            ]
        )
        if amount is None:
            limit.unlink()
            return "unlimited"
        # What is not a number compares with nothing, and is refused with the rest.
        if not (isinstance(amount, float) and math.isfinite(amount) and currency.rounding <= amount < MOST):
            raise UserError(
                self.env._(
                    "Type an amount from %(least)s to %(most)s, or nothing for no limit.",
                    least=currency.format(currency.rounding),
                    most=currency.format(MOST - 1),
                )
            )
        amount = currency.round(amount)
        if limit:
            limit.amount = amount
        else:
            limit.create({"partner_id": self.id, "currency_id": currency.id, "amount": amount, "by_client": True})
        return "limited"
