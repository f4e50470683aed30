from odoo import fields, models
from odoo.fields import Domain
from odoo.tools import SQL, format_date, format_time

from odoo.addons.invoice_portal.tools.local_time import local_moment

from ..tools.inert_sql import as_it_was
from ..tools.loose import LooseMany2one
from ..tools.usage_words import exact_money, quantity_text, unit_text
from .billing_usage_export import PLACES

TOP = 3
# Of a bill of more records, its lines name none: to find the dearest ones takes a look at all.
MOST_RANKED = 20_000


class BillingUsage(models.Model):
    """What a record of usage says to the client it is of."""

    _inherit = "billing.usage"

    # What a source says of its own workings, and which of them it was, is not the client's to read.
    source_id = LooseMany2one(groups="base.group_user")
    attributes = fields.Json(groups="base.group_user")

    def _own_explained_sudo(self):
        """What stands on the lists of these records, in plain values, and how each came to its amount.

        Elevated for the one rate by which each of these was priced: clients may read their usage, but not list rates
        and plans. That the user may read these records is asked first.
        """
        self.check_access("read")
        names = self.sudo()._names_on_bills()
        rows = []
        for usage in self.sudo():
            plan, rate = usage.rate_plan_id, usage.rate_id
            unit = plan.unit or usage.source_id.unit
            currency = plan.currency_id or usage.company_id.currency_id
            moment = local_moment(usage.moment, usage.partner_id.tz or usage.company_id.partner_id.tz)
            day = format_date(self.env, moment.date())
            rows.append(
                {
                    "id": usage.id,
                    "day": day,
                    "time": format_time(self.env, moment.time(), time_format="medium"),
                    "account": usage.account or "",
                    "destination": usage.destination or "",
                    "group": names.get((usage.bill_id.id, usage.destination_id.id), usage.destination_id.name) or "",
                    "quantity": quantity_text(self.env, usage.quantity, unit),
                    "rated": bool(rate) and not usage.unrated_reason,
                    "amount": exact_money(self.env, currency, usage.amount),
                    "late": usage.late,
                    "facts": usage._own_facts(unit, currency, rate),
                }
            )
        return rows

    def _names_on_bills(self):
        """`{(bill id, destination group id): name}` of those of these that are billed, as their bills call them."""
        totals = self.env["billing.usage.total"]._read_group(
            [("bill_id", "in", self.bill_id.ids), ("destination_id", "in", self.destination_id.ids)],
            ["bill_id", "destination_id"],
            ["destination_name:max"],
        )
        return {(bill.id, destination.id): name for bill, destination, name in totals if name}

    def _own_facts(self, unit, currency, rate):
        """`[(label, text)]`: by which rate, how rounded, what was included. For its own client and staff."""
        self.ensure_one()
        if not rate or self.unrated_reason:
            return [(self.env._("Price"), self.env._("Not known yet"))]

        def quantity(number):
            return quantity_text(self.env, number, unit)

        def money(amount):
            return exact_money(self.env, currency, amount, most=8)

        any_prefix = rate.prefix == "*"
        facts = [
            (self.env._("Matched by"), self.env._("everything else") if any_prefix else rate.prefix),
            (self.env._("Price"), f"{money(rate.price_unit)} {unit_text(self.env, unit)}"),
            (self.env._("Connection fee"), rate.connection_fee and money(rate.connection_fee)),
            (
                self.env._("Hours"),
                rate.band != "any" and dict(rate._fields["band"]._description_selection(self.env))[rate.band],
            ),
            (self.env._("Rounding"), self._own_rounding(rate, quantity)),
            (self.env._("Billed"), quantity(self.billed_quantity)),
            (self.env._("Of it included"), self.allowance_quantity and quantity(self.allowance_quantity)),
        ]
        if self.amount != self.list_amount:
            facts.append((self.env._("By this price alone"), exact_money(self.env, currency, self.list_amount)))
            if self.destination_id.tier_mode != "none":
                facts.append((self.env._("Tier"), self.env._("The price depends on how much was used in the period")))
        facts += [
            (self.env._("Amount"), exact_money(self.env, currency, self.amount)),
            (self.env._("Late"), self.late and self.env._("It reached us when its period was billed already")),
            (
                self.env._("Prices changed"),
                not self.bill_id
                and self.plan_revision != self.rate_plan_id.revision
                and self.env._("They changed after this amount was worked out: that is done again when it is billed"),
            ),
        ]
        return [(label, text) for label, text in facts if text]

    def _own_rounding(self, rate, quantity):
        if not self.quantity:
            return ""
        if rate.minimum and rate.step:
            return self.env._(
                "At least %(least)s, then steps of %(step)s", least=quantity(rate.minimum), step=quantity(rate.step)
            )
        if rate.step:
            return self.env._("Steps of %s", quantity(rate.step))
        if rate.minimum:
            return self.env._("At least %s, then exactly", quantity(rate.minimum))
        return self.env._("None: exactly what was used")

    def _own_usage_sudo(self, domain, **kwargs):
        """The records of the user's own client that fit, as the user, who then reads each by its rules.

        Elevated to look by what clients may not read: by which number they came, and with what they were billed. That
        they are the client's own is part of what is asked.
        """
        return self.sudo().search(self._get_own_usage_domain() & Domain(domain), **kwargs).with_env(self.env)

    def _own_usage_count_sudo(self, domain, limit=None):
        """How many `_own_usage_sudo` would find; elevated as that."""
        return self.sudo().search_count(self._get_own_usage_domain() & Domain(domain), limit=limit)

    def _own_usage_query_sudo(self, domain):
        """The ids that `_own_usage_sudo` would find, as a query for a domain of the user's; elevated as that."""
        return self.sudo()._search(self._get_own_usage_domain() & Domain(domain), order="id")

    def _own_put_away_sudo(self, first=None, last=None, search=(), number=0, behind=None):
        """Of the user's own client, what was put away and fits: `[(bill, fits)]` for `_csv_open`, and how many records
        there are before `search` and `number` are looked for.

        Elevated for bills, their totals and files, which clients may not read; that they are the client's own is part
        of what is asked, as for `_own_usage_sudo`. The rows are handed out as those of records are.

        :param search: `[(column, text)]`, of which one is in what fits
        :param number: the id of a number or account
        :param behind: what a line of an invoice is for, as `billing.charge._usage_behind` says
        """
        client = self.env.user.partner_id.commercial_partner_id
        domain = (
            Domain("partner_id", "=", client.id)
            & Domain("company_id", "in", self.env.companies.ids)
            & Domain("archive_id", "!=", False)
        )
        if first:
            domain &= Domain("day_until", ">=", first)
        if last:
            domain &= Domain("day_from", "<=", last)
        behind = behind or {}
        if "bills" in behind:
            domain &= Domain("id", "in", behind["bills"])
        bills = self.env["billing.usage.bill"].sudo().search(domain, order="period_start, part, id")
        if not bills:
            return [], 0
        account = self.env["billing.usage.account"].sudo().browse(number)
        in_total = Domain("bill_id", "in", bills.ids)
        rates = None
        if first:
            in_total &= Domain("day", ">=", first)
        if last:
            in_total &= Domain("day", "<=", last)
        if "day" in behind:
            in_total &= Domain("day", "=", behind["day"])
        if "destination" in behind:
            in_total &= Domain("destination_id", "=", behind["destination"])
            # A rate by which usage was billed keeps its group, whatever that is called by now.
            of_group = [("plan_id", "in", bills.rate_plan_id.ids), ("destination_id", "=", behind["destination"])]
            every = self.env["billing.rate"].sudo().with_context(active_test=False).search(of_group)
            rates = {str(rate_id) for rate_id in every.ids}
        count = sum(self.env["billing.usage.total"].sudo().search(in_total).mapped("record_count"))

        def fits(row):
            def cell(name):
                return as_it_was(row[PLACES[name]])

            day = row[PLACES["day"]]
            return (
                (not first or str(first) <= day)
                and (not last or day <= str(last))
                and behind.get("day", day) == day
                and (rates is None or row[PLACES["rate_id"]] in rates)
                and (not search or any(text.lower() in cell(name).lower() for name, text in search))
                and (not account or (account.number == cell("account") and account._is_in_force(day)))
            )

        return [(bill, fits) for bill in bills], count

    def _get_own_usage_domain(self):
        client = self.env.user.partner_id.commercial_partner_id
        return Domain("partner_id", "=", client.id) & Domain("company_id", "in", self.env.companies.ids)


class BillingUsageBill(models.Model):
    _inherit = "billing.usage.bill"

    def _billing_top_records(self, by=None):
        """`{(bill id, group): the dearest records, explained}`, for the user, by the rules for usage.

        By the grouping `by`, else by that of each bill.
        """
        ids = {}
        for bill in self:
            key = {"destination": "'d' || destination_id", "day": "day::text"}.get(by or bill.grouping, "'all'")
            if bill.record_count > MOST_RANKED or bill.archive_id:
                continue
            rows = self.env.execute_query(
                SQL(
                    """
                    SELECT id, key
                      FROM (SELECT id, %(key)s AS key,
                                   ROW_NUMBER() OVER (PARTITION BY %(key)s ORDER BY amount DESC, id) AS place
                              FROM billing_usage WHERE bill_id = %(bill)s) ranked
                     WHERE place <= %(top)s
                  ORDER BY key, place
                    """,
                    key=SQL(key),
                    bill=bill.id,
                    top=TOP,
                )
            )
            ids.update({usage_id: (bill.id, group) for usage_id, group in rows})
        # As the user who asks, whose rules say which of them are its own.
        readable = self.env["billing.usage"].sudo(False).browse(ids)._filtered_access("read")
        found = {}
        for row in readable._own_explained_sudo():
            found.setdefault(ids[row["id"]], []).append(row)
        return found
