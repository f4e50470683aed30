from decimal import Decimal

from odoo import models
from odoo.fields import Domain
from odoo.tools.misc import formatLang

from ..tools.shares import shares
from ..tools.usage_words import quantity_text

# Usage that was agreed, not used: these lines have no records, and stay as they are however the others are grouped.
NOT_GROUPED = ("minimum", "volume-")
REGROUPED = ("destination", "day")


class AccountMove(models.Model):
    """What a client sees of the usage on an invoice: what is behind its lines, and the same by another grouping.

    Whether the user may see the invoice is asked before, as for the rest of its page. Nothing of this changes it.
    """

    _inherit = "account.move"

    def _billing_portal_values(self, user):
        values = super()._billing_portal_values(user)
        values["usage"] = self._billing_usage_switch()
        return values

    def _billing_portal_rows(self, user):
        rows, discounts = super()._billing_portal_rows(user)
        bills = self._billing_usage_bills_sudo()
        if not bills:
            return rows, discounts
        by = self._billing_usage_by()
        shows_records = self._billing_is_of(user) and self.state == "posted"
        tops = bills._billing_top_records(by) if shows_records else {}
        grouped, done = [], set()
        for row in rows:
            line = row.get("line")
            charge = line.sudo().billing_charge_id if line else self.env["billing.charge"].sudo()
            bill = charge.usage_bill_id
            if not bill or charge.usage_group.startswith(NOT_GROUPED):
                grouped.append(row)
            elif by and by != bill.grouping and bill in self._billing_usage_regroupable_sudo():
                if bill not in done:
                    done.add(bill)
                    grouped += self._billing_usage_regrouped(bill, by, line, tops, shows_records)
            else:
                if shows_records:
                    row["usage"] = self._billing_usage_behind(bill, line, charge.usage_group, tops)
                grouped.append(row)
        return grouped, discounts

    def _billing_usage_by(self):
        """How the page was asked to group usage, or nothing: as on the invoice."""
        by = self.env.context.get("billing_usage_by")
        return by if by in REGROUPED else None

    def _billing_usage_lines_sudo(self):
        """The lines of this invoice that are usage, by bill. Elevated to read charges and bills, which clients may not.

        What was agreed and not used is left out.
        """
        lines = self.invoice_line_ids.sudo().filtered(
            lambda line: (
                line.billing_charge_id.usage_bill_id
                and not (line.billing_charge_id.usage_group or "").startswith(NOT_GROUPED)
            )
        )
        return lines.grouped(lambda line: line.billing_charge_id.usage_bill_id)

    def _billing_usage_bills_sudo(self):
        """The bills of usage that stand on this invoice; elevated as above."""
        return self.env["billing.usage.bill"].sudo().union(*self._billing_usage_lines_sudo())

    def _billing_usage_regroupable_sudo(self):
        """Those of which all usage stands on this finalized invoice, and can be shown by another grouping. As above."""
        bills = self.env["billing.usage.bill"].sudo()
        if self.state != "posted" or self.move_type != "out_invoice":
            return bills
        for bill, lines in self._billing_usage_lines_sudo().items():
            here = lines.billing_charge_id
            elsewhere = bill.charge_ids.filtered(
                lambda charge: not charge.discarded and not (charge.usage_group or "").startswith(NOT_GROUPED)
            )
            if elsewhere <= here:
                bills |= bill
        return bills

    def _billing_usage_switch(self):
        """How the usage of this invoice can be grouped, and what it comes to however it is; or nothing."""
        bills = self._billing_usage_regroupable_sudo()
        if not bills:
            return {}
        groupings = set(bills.mapped("grouping"))
        asked = self._billing_usage_by()
        current = asked or (groupings.pop() if len(groupings) == 1 else None)
        lines = self._billing_usage_lines_sudo()
        return {
            "by": current,
            "changed": asked if asked and any(bill.grouping != asked for bill in bills) else None,
            "labels": {"destination": self.env._("By destination"), "day": self.env._("By day")},
            "total": self.currency_id.format(
                sum(self._billing_usage_shown(line) for bill in bills for line in lines[bill])
            ),
        }

    def _billing_usage_shown(self, line):
        """The amount that stands behind this line on the page."""
        return line.price_total if self.company_price_include == "tax_included" else line.price_subtotal

    def _billing_usage_regrouped(self, bill, by, line, tops, shows_records):
        """The rows of a bill by another grouping. They add up to its lines on this invoice, to the cent."""
        groups = bill.with_context(lang=self.env.lang)._regroup(by)
        currency = self.currency_id
        lines = self._billing_usage_lines_sudo()[bill]
        shown = sum(self._billing_usage_shown(each) for each in lines)
        amounts = [group["amount"] for group in groups]
        if self.company_price_include == "tax_included":
            amounts = self._billing_usage_shared(amounts, sum(lines.mapped("price_subtotal")), shown)
        # Where usage of several subscriptions stands on one invoice, each has its own days.
        several = len(self._billing_usage_lines_sudo()) > 1
        title = bill.subscription_id._usage_title() if several and bill.subscription_id else ""
        rows = []
        for group, amount in zip(groups, amounts, strict=True):
            rows.append(
                {
                    "kind": "item",
                    "name": group["label"],
                    "case": title,
                    "period": self._billing_usage_in_short(bill, group),
                    "amount": currency.format(amount),
                    "more": self._billing_usage_facts(bill, group),
                    "usage": shows_records and self._billing_usage_behind(bill, line, group["group"], tops, group),
                }
            )
        rest = currency.round(shown - sum(amounts))
        if not currency.is_zero(rest):
            # Somebody changed a line before the invoice was finalized.
            rows.append(
                {"kind": "item", "name": self.env._("As changed on the invoice"), "amount": currency.format(rest)}
            )
        return rows

    def _billing_usage_shared(self, amounts, untaxed, shown):
        """These amounts without taxes as what they are of `shown`, which is with taxes. They add up as before."""
        if not untaxed:
            return amounts
        step = Decimal(str(self.currency_id.rounding))
        whole = [Decimal(str(amount)) * Decimal(str(shown)) / Decimal(str(untaxed)) for amount in amounts]
        total = self.currency_id.round(sum(float(amount) for amount in whole))
        return [float(part) for part in shares(whole, step, Decimal(str(total)))]

    def _billing_usage_in_short(self, bill, group):
        count = formatLang(self.env, group["record_count"], digits=0)
        quantity = quantity_text(self.env, group["billed_quantity"], bill.rate_plan_id.unit)
        if group["record_count"] == 1:
            return self.env._("1 record, %s", quantity)
        return self.env._("%(count)s records, %(quantity)s", count=count, quantity=quantity)

    def _billing_usage_facts(self, bill, group):
        unit = bill.rate_plan_id.unit
        facts = [
            (self.env._("Records"), formatLang(self.env, group["record_count"], digits=0)),
            (self.env._("Used"), quantity_text(self.env, group["quantity"], unit)),
            (self.env._("Billed quantity"), quantity_text(self.env, group["billed_quantity"], unit)),
        ]
        if included := group.get("allowance_quantity"):
            facts.append((self.env._("Of it included"), quantity_text(self.env, included, unit)))
        return facts

    def _billing_usage_behind(self, bill, line, key, tops, group=None):
        """Where the records behind a line, or a row that stands for some of them, are; and the dearest of them."""
        query = f"line={line.id}" + (f"&group={key}" if group else "")
        return {
            "url": f"/my/billing/usage/records?{query}",
            "file": f"/my/billing/usage/csv?{query}",
            "top": tops.get((bill.id, key), []),
            "archived": bool(bill.archive_id),
        }


class AccountMoveLine(models.Model):
    _inherit = "account.move.line"

    def _own_usage_line_sudo(self, line_id, group=""):
        """What a line of an invoice of the user's own client is for: `{"line", "group", "name", "label", "domain"}`.

        Nothing where it is no such line. Elevated to read charge and bill, after the invoice was read as the user.
        """
        line = self.browse(line_id).exists()._filtered_access("read") if 0 < line_id < 2**31 else self
        if not line or not line.move_id._filtered_access("read") or not line.move_id._billing_is_of(self.env.user):
            return None
        charge = line.sudo().billing_charge_id
        bill = charge.usage_bill_id
        if not bill or line.move_id.state != "posted":
            return None
        label, domain, asked = line.name or "", Domain(charge._usage_domain()), None
        behind = charge._usage_behind()
        if group:
            by = "destination" if group.startswith("d") else "day"
            asked = next((each for each in bill._regroup(by) if each["group"] == group), None)
            if not asked:
                return None
            value = int(group[1:]) if group[1:].isdecimal() and by == "destination" else group
            behind = {"bills": bill.ids, by: value}
            label = asked["label"]
            domain = Domain("bill_id", "=", bill.id) & Domain(
                "destination_id" if by == "destination" else "day", "=", value
            )
        return {
            "line": line.id,
            "group": group if asked else "",
            "invoice": line.move_id.id,
            "name": f"{line.move_id.name}-{line.id}" + (f"-{group}" if asked else ""),
            "number": line.move_id.name,
            "label": label,
            "domain": domain,
            "behind": behind,
        }
