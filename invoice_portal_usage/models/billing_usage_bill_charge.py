from collections import Counter
from decimal import Decimal

from odoo import api, fields, models
from odoo.tools import SQL

from odoo.addons.invoice_portal.tools.grant import granted
from odoo.addons.invoice_portal.tools.periods import exact

from ..tools.shares import rounded
from .billing_usage_bill_price import WIDE


class BillingUsageBill(models.Model):
    """How a bill becomes charges: one for each group of its usage, and for what its period has to make up for."""

    _inherit = "billing.usage.bill"

    is_one_of_several = fields.Boolean(
        compute="_compute_is_one_of_several",
        help="The client was also billed usage of another subscription, or of none.",
    )

    def _charge_usage(self, company, scopes):
        """:param scopes: of these bills, numbered by their ids"""
        asked = []
        for by, bills in self.grouped("grouping").items():
            groups = bills._regroup_each(by)
            for bill in bills:
                bill = bill._for_client()
                asked += [
                    bill._prepare_usage_charge(by, group)
                    for group in bill._named_for_client(by, groups[bill.id])
                    if bill._is_charged(group)
                ]
        again = [scope for scope in scopes if self.browse(scope.number).part > 1]
        return self._create_charges(asked + (self._prepare_volume_charges(company, again) if again else []))

    def _charge_minimum(self):
        return self._create_charges([bill._for_client()._prepare_minimum_charge() for bill in self])

    @api.model
    def _create_charges(self, asked):
        # What made them stands on each; a note that it was created would be one more row for each.
        return granted(self.env["billing.charge"]).with_context(mail_create_nolog=True).create(asked).with_env(self.env)

    def _for_client(self):
        """In the words that the client reads."""
        return self.with_context(lang=self.partner_id.lang or self.env.lang)

    def _named_for_client(self, by, groups):
        if by != "day":
            return groups
        # Days are written otherwise in each language.
        return [dict(group, label=self._group_label(by, self._day_of(group), None)) for group in groups]

    @api.model
    def _day_of(self, group):
        return fields.Date.to_date(group["group"])

    def _is_charged(self, group):
        """What costs something, and what would without an allowance: the client sees what was included."""
        return bool(group["amount"] or self._list_price(group))

    def _list_price(self, group):
        return float(rounded(exact(group["list_amount"]), self._step()))

    # -- values -------------------------------------------------------------------------------------------------------

    def _prepare_usage_charge(self, by, group):
        values = {"price_unit": group["amount"]}
        if not group["amount"]:
            # Zero would mean that nobody has named a price.
            values = {"price_unit": self._list_price(group), "discount": 100}
        if by == "day":
            first = last = self._day_of(group)
        else:
            first, last = self._days_charged()
        return self._prepare_charge(
            group["group"],
            group["amount"],
            self._usage_label(by, group, first, last),
            first,
            last,
            date=last if by == "day" else self.day_until,
            **values,
        )

    def _days_charged(self):
        """For which days the client pays: the whole period, or what of it is billed now."""
        first = self.period_start if self.part == 1 else self.day_from
        return first, self.period_end if self.is_over and not self.late else self.day_until

    def _prepare_minimum_charge(self):
        name = self._subscription_label()
        if self.minimum_amount > 0:
            label = self.env._("%s: up to the minimum spend for usage", name)
        else:
            label = self.env._("%s: of the minimum spend, used since", name)
        return self._prepare_charge(
            "minimum",
            self.minimum_amount,
            f"{label}\n{self._period_label()}",
            self.period_start,
            self.period_end,
            date=self.period_end,
            price_unit=self.minimum_amount,
        )

    def _prepare_charge(self, group, amount, name, first, last, **values):
        """To be extended by what has more to say on a charge."""
        self.ensure_one()
        project = self.subscription_id.project_id
        if project.billing_currency_id and project.billing_currency_id != self.currency_id:
            # Invoices of that project are in another currency.
            project = project.browse()
        return {
            "origin": "usage",
            "company_id": self.company_id.id,
            "partner_id": self.partner_id.id,
            "project_id": project.id,
            "currency_id": self.currency_id.id,
            "product_id": self.rate_plan_id.product_id.id,
            "package_id": False,
            "name": name,
            "quantity": 1,
            "discount": 0,
            "period_start": first,
            "period_end": last,
            "usage_bill_id": self.id,
            "usage_group": group,
            "usage_amount": amount,
            **values,
        }

    def _prepare_volume_charge(self, destination_id, name, amount):
        return self._prepare_charge(
            f"volume-d{destination_id}",
            amount,
            self.env._("%s: another tier is reached, for usage billed before", self._of_subscription(name))
            + f"\n{self._period_label()}",
            self.period_start,
            self.period_end,
            date=self.day_until,
            price_unit=amount,
        )

    # -- words --------------------------------------------------------------------------------------------------------

    def _usage_label(self, by, group, first, last):
        """What, how often, how much, and when."""
        if by == "day":
            label = f"{self._of_subscription(self.rate_plan_id.name)}, {group['label']}"
        else:
            label = self._of_subscription(group["label"])
        facts = [self._count_label(group["record_count"]), self._quantity_label(group["billed_quantity"])]
        if group["allowance_quantity"]:
            facts.append(self._included_label(group))
        lines = [f"{label}: {', '.join(facts)}"]
        if by != "day":
            lines.append(self._period_label(first, last))
        if self.late:
            lines.append(self._late_label())
        return "\n".join(lines)

    def _included_label(self, group):
        if not group["amount"] and exact(group["allowance_quantity"]) == exact(group["billed_quantity"]):
            return self.env._("all of it included")
        return self.env._("%s of it included", self._quantity_label(group["allowance_quantity"]))

    @api.depends("partner_id", "company_id")
    def _compute_is_one_of_several(self):
        """Asked at once for all bills that are being charged."""
        pairs = self._read_group(
            [("partner_id", "in", self.partner_id.ids), ("company_id", "in", self.company_id.ids)],
            ["company_id", "partner_id", "subscription_id"],
        )
        counts = Counter((company, client) for company, client, _subscription in pairs)
        for bill in self:
            bill.is_one_of_several = counts[bill.company_id, bill.partner_id] > 1

    def _of_subscription(self, label):
        """Usage of several subscriptions stands on one invoice: each line says of which it is. By its reference, which
        is short; else by its package, where the client uses something beside it."""
        name = self.subscription_id.reference
        if not name and self.subscription_id and self.is_one_of_several:
            name = self._subscription_label()
        return f"{label} ({name})" if name else label

    def _reference_label(self, label):
        """A client with several subscriptions to a package tells them apart by their references."""
        return ", ".join(filter(None, (label, self.subscription_id.reference)))

    def _subscription_label(self):
        """By the package in force when the period began."""
        package = self.subscription_id._phase_on(self.period_start).package_id
        return self._reference_label(package._label(self.env.lang).partition("\n")[0])

    # -- volume tiers -------------------------------------------------------------------------------------------------

    @api.model
    def _prepare_volume_charges(self, company, scopes):
        """Where the sum of a period reaches another tier, what was billed of it before costs that price, too.

        Worked out from the totals, which stay; what such charges asked for before counts, discarded or not, lest they
        come back.
        """
        destinations = self.env["billing.rate.destination"].search_count(
            [("plan_id", "in", [scope.plan for scope in scopes]), ("tier_mode", "=", "volume")], limit=1
        )
        if not destinations:
            return []
        self.env["billing.charge"].flush_model()
        rows = self.env.execute_query(
            SQL(
                """
                WITH scope AS MATERIALIZED %(scopes)s,
                earlier AS (%(earlier)s),
                tier AS (%(tier)s),
                added AS (
                    SELECT total.bill_id, total.destination_id, destination.name,
                           SUM(total.billed_quantity - total.allowance_quantity) AS uncovered
                      FROM billing_usage_total total
                      JOIN scope ON scope.number = total.bill_id
                      JOIN billing_rate_destination destination
                        ON destination.id = total.destination_id AND destination.tier_mode = 'volume'
                  GROUP BY 1, 2, 3
                )
                SELECT added.bill_id, added.destination_id, added.name,
                       ((earlier.uncovered * reached.price_unit)::%(wide)s / scope.size - earlier.priced
                        - adjusted.amount)::text
                  FROM added
                  JOIN scope ON scope.number = added.bill_id
                  JOIN earlier ON earlier.number = added.bill_id AND earlier.destination_id = added.destination_id
            CROSS JOIN LATERAL (
                    SELECT tier.price_unit, tier.lower
                      FROM tier
                     WHERE tier.number = added.bill_id AND tier.destination_id = added.destination_id
                       AND tier.lower < earlier.uncovered + added.uncovered
                  ORDER BY tier.lower DESC
                     LIMIT 1
                  ) reached
            CROSS JOIN LATERAL (
                    SELECT COALESCE(SUM(charge.usage_amount), 0) AS amount
                      FROM billing_usage_bill bill
                      JOIN billing_charge charge ON charge.usage_bill_id = bill.id
                       AND charge.usage_group = 'volume-d' || added.destination_id
                     WHERE bill.partner_id = scope.partner_id AND bill.company_id = %(company)s
                       AND bill.rate_plan_id = scope.rate_plan_id AND bill.period_start = scope.period_start
                       AND COALESCE(bill.subscription_id, 0) = scope.subscription_id
                  ) adjusted
                 WHERE reached.lower >= earlier.uncovered AND earlier.uncovered > 0
              ORDER BY 1, 3
                """,
                scopes=self._scope_rows(scopes),
                earlier=self._earlier_sql(company),
                tier=self._tier_sql(),
                wide=WIDE,
                company=company.id,
            )
        )
        asked = []
        for bill_id, destination_id, name, difference in rows:
            bill = self.browse(bill_id)._for_client()
            if amount := rounded(Decimal(difference), bill._step()):
                asked.append(bill._prepare_volume_charge(destination_id, name, float(amount)))
        return asked
