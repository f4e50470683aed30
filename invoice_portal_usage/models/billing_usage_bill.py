from decimal import Decimal

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import SQL, format_date
from odoo.tools.misc import formatLang

from odoo.addons.invoice_portal.tools.grant import granted
from odoo.addons.invoice_portal.tools.periods import exact

from ..tools.shares import shares
from ..tools.units import UNITS
from ..tools.usage_words import trimmed
from .billing_usage_source import KINDS
from .res_company import GROUPINGS


class BillingUsageBill(models.Model):
    """Usage of a client's period that was billed together. Its charges are groups of it and add up to it."""

    _name = "billing.usage.bill"
    _description = "Billed Usage"
    _order = "period_start desc, id desc"
    _check_company_auto = True

    company_id = fields.Many2one("res.company", required=True, readonly=True, index=True)
    partner_id = fields.Many2one(
        "res.partner", string="Client", required=True, readonly=True, index=True, ondelete="restrict"
    )
    subscription_id = fields.Many2one(
        "billing.subscription", readonly=True, index="btree_not_null", ondelete="restrict", check_company=True
    )
    rate_plan_id = fields.Many2one("billing.rate.plan", required=True, readonly=True, ondelete="restrict")
    currency_id = fields.Many2one("res.currency", required=True, readonly=True)
    period_start = fields.Date(required=True, readonly=True)
    period_end = fields.Date(required=True, readonly=True, help="The last day of the rating period, included.")
    part = fields.Integer(required=True, readonly=True, help="Bills of one period are told apart by it.")
    day_from = fields.Date(readonly=True, help="The first day with usage on this bill.")
    day_until = fields.Date(readonly=True)
    late = fields.Boolean(readonly=True, help="Usage that came when its period was billed already.")
    is_over = fields.Boolean(
        string="Period Over", readonly=True, help="It was over when this was billed: what comes afterwards is late."
    )
    kind = fields.Selection(KINDS, readonly=True, help="What its records lead to.")
    grouping = fields.Selection(GROUPINGS, required=True, readonly=True)
    record_count = fields.Integer(string="Records", readonly=True)
    billed_quantity = fields.Float(digits=(16, 6), readonly=True)
    exact_amount = fields.Float(digits=(20, 6), readonly=True, help="The sum before rounding.")
    amount = fields.Monetary(readonly=True, help="The sum, rounded once.")
    minimum_amount = fields.Monetary(string="Up to the Minimum", readonly=True)
    charge_ids = fields.One2many("billing.charge", "usage_bill_id", string="Charges", readonly=True)
    total_ids = fields.One2many("billing.usage.total", "bill_id", string="Totals", readonly=True)
    allowance_ids = fields.One2many(
        "billing.usage.bill.allowance", "bill_id", string="Included Usage", readonly=True, help="What was used up."
    )
    archive_id = fields.Many2one(
        "ir.attachment", string="Archived Records", readonly=True, copy=False, help="When the records were put away."
    )

    _one_part = models.UniqueIndex(
        "(partner_id, company_id, rate_plan_id, COALESCE(subscription_id, 0), period_start, part)",
        "This usage is being billed by somebody else just now. Try again.",
    )

    @api.depends("partner_id", "rate_plan_id", "period_start", "period_end", "part")
    def _compute_display_name(self):
        for bill in self:
            parts = [bill.rate_plan_id.name, bill.partner_id.name, bill._period_label()]
            if bill.part > 1:
                parts.append(self.env._("part %s", bill.part))
            bill.display_name = ", ".join(filter(None, parts))

    def _step(self):
        """What amounts are rounded to: the currency's smallest coin, or what a price can hold where that is more."""
        return self._step_of(self.currency_id)

    @api.model
    def _step_of(self, currency):
        digits = self.env["decimal.precision"].precision_get("Product Price")
        return max(exact(currency.rounding), Decimal(1).scaleb(-digits))

    # -- grouping -----------------------------------------------------------------------------------------------------

    def _regroup(self, by):
        """The usage of this bill by destination, by day or as a whole, from its totals: whatever the records became.

        :param by: "destination", "day" or "none"
        :return: `[{"group", "label", "record_count", "quantity", "billed_quantity", "allowance_quantity",
            "list_amount", "exact_amount", "amount"}]`, where the amounts add up to that of the bill
        """
        self.ensure_one()
        return self._regroup_each(by)[self.id]

    def _regroup_each(self, by):
        """`{bill id: groups}`, see `_regroup`."""
        if by not in dict(GROUPINGS):
            raise UserError(self.env._("Usage is grouped by destination, by day, or not at all."))
        self.env["billing.usage.total"].flush_model()
        rows = self.env.execute_query(
            SQL(
                """
                SELECT bill_id, %(key)s, max(destination_name), sum(record_count), sum(quantity)::text,
                       sum(billed_quantity)::text, sum(allowance_quantity)::text, sum(list_amount)::text,
                       sum(amount)::text
                  FROM billing_usage_total
                 WHERE bill_id IN %(bills)s
              GROUP BY bill_id, %(key)s
                """,
                key=SQL({"destination": "destination_id", "day": "day", "none": "NULL::integer"}[by]),
                bills=tuple(self.ids) or (None,),
            )
        )
        by_bill = {}
        for bill_id, key, name, count, *sums in rows:
            by_bill.setdefault(bill_id, []).append((key, name, count, [Decimal(number) for number in sums]))
        return {bill.id: bill._named_groups(by, by_bill.get(bill.id, [])) for bill in self}

    def _named_groups(self, by, rows):
        if by == "day":
            rows.sort(key=lambda row: row[0])
        else:
            rows.sort(key=lambda row: (row[1] or "", row[0] or 0))
        parts = shares([sums[-1] for *_key, sums in rows], self._step(), exact(self.amount))
        return [
            {
                "group": {"destination": f"d{key}", "day": str(key), "none": "all"}[by],
                "label": self._group_label(by, key, name),
                "record_count": count,
                "quantity": float(quantity),
                "billed_quantity": float(billed),
                "allowance_quantity": float(included),
                "list_amount": float(listed),
                "exact_amount": float(amount),
                "amount": float(part),
            }
            for (key, name, count, (quantity, billed, included, listed, amount)), part in zip(rows, parts, strict=True)
        ]

    def _group_label(self, by, key, name):
        if by == "destination":
            return name or self.env._("Other usage")
        return format_date(self.env, key) if by == "day" else self.rate_plan_id.name

    def _group_of(self, key):
        """The facts of one group, or nothing."""
        return next((group for group in self._regroup(self.grouping) if group["group"] == key), None)

    def _spent_in_period(self):
        """What the period came to up to this bill, before it was made up to its minimum."""
        bills = self | self._earlier_parts()
        volume = bills.charge_ids.filtered(lambda charge: charge.usage_group.startswith("volume-"))
        return sum(bills.mapped("amount")) + sum(volume.mapped("usage_amount"))

    # -- words --------------------------------------------------------------------------------------------------------

    def _period_label(self, first=None, last=None):
        first, last = first or self.period_start, last or self.period_end
        if first == last:
            return format_date(self.env, first)
        return f"{format_date(self.env, first)} – {format_date(self.env, last)}"

    def _late_label(self):
        """Of which period: by its month where it lies in one."""
        first, last = self.period_start, self.period_end
        if (first.year, first.month) == (last.year, last.month):
            return self.env._("late: %s", format_date(self.env, first, date_format="LLLL y"))
        return self.env._("late: %s", self._period_label())

    def _count_label(self, count):
        if self.kind == "key":
            return self.env._("1 use") if count == 1 else self.env._("%s uses", formatLang(self.env, count, digits=0))
        if count == 1:
            return self.env._("1 record")
        return self.env._("%s records", formatLang(self.env, count, digits=0))

    def _quantity_label(self, quantity):
        """In the plan's unit, of what is in base units."""
        unit = self.rate_plan_id.unit
        number = exact(quantity) / UNITS[unit].size
        if number == 1:
            return {
                "second": self.env._("1 second"),
                "minute": self.env._("1 minute"),
                "hour": self.env._("1 hour"),
                "mb": self.env._("1 MB"),
                "gb": self.env._("1 GB"),
                "piece": self.env._("1 piece"),
            }[unit]
        if number == number.to_integral_value():
            text = formatLang(self.env, float(number), digits=0)
        else:
            text = trimmed(self.env, number, most=2 if abs(number) >= 1 else 6)
        return {
            "second": self.env._("%s seconds", text),
            "minute": self.env._("%s minutes", text),
            "hour": self.env._("%s hours", text),
            "mb": self.env._("%s MB", text),
            "gb": self.env._("%s GB", text),
            "piece": self.env._("%s pieces", text),
        }[unit]

    # -- taking back --------------------------------------------------------------------------------------------------

    def action_take_back(self):
        """Undo what is on no invoice: the records are open again and will be billed anew."""
        self._check_staff()
        self._refuse_to_take_back()
        count = len(self)
        self._take_back()
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "success",
                "message": self.env._("Taken back: 1 bill. Its usage is open again.")
                if count == 1
                else self.env._("Taken back: %s bills. Their usage is open again.", count),
                "next": {"type": "ir.actions.act_window_close"},
            },
        }

    def action_charges(self):
        self._check_staff()
        return self.charge_ids._get_records_action(name=self.env._("Charges"))

    def action_records(self):
        self._check_staff()
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Usage"),
            "res_model": "billing.usage",
            "view_mode": "list,form",
            "domain": [("bill_id", "in", self.ids)],
        }

    def _check_staff(self):
        self.env["account.move"]._billing_check_staff()
        self.check_access("read")
        self.charge_ids.check_access("write")

    def _refuse_to_take_back(self):
        if reasons := [reason for bill in self if (reason := bill._why_not_taken_back(self))]:
            raise UserError("\n".join(reasons))

    def _why_not_taken_back(self, together):
        """Why this bill stays, in words, or nothing. What was put on an invoice explains that, void or not."""
        self.ensure_one()
        if lines := self.charge_ids.line_ids.filtered(lambda line: line.parent_state == "posted"):
            return self.env._(
                "“%(bill)s” stands on %(invoice)s, and stays. Void the invoice to correct it, or credit it.",
                bill=self.display_name,
                invoice=lines[0].move_id._billing_label(),
            )
        if billed := self.charge_ids.filtered("invoice_line_id"):
            return self.env._(
                "“%(bill)s” stands on %(invoice)s. Delete that draft first.",
                bill=self.display_name,
                invoice=billed[0].invoice_id._billing_label(),
            )
        if self.archive_id:
            return self.env._("“%s” stays: its records have been put away.", self.display_name)
        if later := self._later_parts() - together:
            return self.env._(
                "“%(bill)s” stays as long as “%(later)s” does, which was billed after it: allowances and tiers of "
                "that one count what is on this one. Take both back together.",
                bill=self.display_name,
                later=later[0].display_name,
            )
        return None

    def _of_same_period(self):
        self.ensure_one()
        return self.search(
            [
                ("partner_id", "=", self.partner_id.id),
                ("company_id", "=", self.company_id.id),
                ("rate_plan_id", "=", self.rate_plan_id.id),
                ("subscription_id", "=", self.subscription_id.id),
                ("period_start", "=", self.period_start),
            ]
        )

    def _later_parts(self):
        return self._of_same_period().filtered(lambda bill: bill.part > self.part)

    def _earlier_parts(self):
        return self._of_same_period().filtered(lambda bill: bill.part < self.part)

    def _those_that_can_be_taken_back(self):
        """Without those that are on an invoice, and without what came before them in the same period."""
        taken, before = self, None
        while taken != before:
            before = taken
            stays = {bill for bill in taken if bill._why_not_taken_back(taken)}
            taken = taken.filtered(lambda bill, stays=stays: bill not in stays)
        return taken

    def _take_back(self):
        """Elevated, as nobody writes bills and records but these methods; whether it may be, is asked before."""
        bills = self.sudo()
        granted(bills.charge_ids).unlink()
        self.env.flush_all()
        # A rate that nothing is billed by any more may change again. What was put away was billed by unknown rates.
        self.env.cr.execute(
            SQL(
                """
                WITH opened AS (
                    UPDATE billing_usage
                       SET bill_id = NULL, late = FALSE, allowance_quantity = 0, amount = list_amount
                     WHERE bill_id IN %(bills)s
                 RETURNING rate_id
                ),
                freed AS (SELECT DISTINCT rate_id FROM opened)
                UPDATE billing_rate rate
                   SET billed = FALSE
                  FROM freed
                 WHERE rate.id = freed.rate_id
                   AND NOT EXISTS (
                        SELECT 1
                          FROM billing_usage usage
                         WHERE usage.rate_id = rate.id AND usage.bill_id IS NOT NULL AND usage.bill_id NOT IN %(bills)s
                   )
                   AND NOT EXISTS (
                        SELECT 1
                          FROM billing_usage_bill bill
                         WHERE bill.rate_plan_id = rate.plan_id AND bill.archive_id IS NOT NULL
                   )
                """,
                bills=tuple(bills.ids) or (None,),
            )
        )
        bills.unlink()
        for name in ("billing.usage", "billing.rate"):
            self.env[name].invalidate_model()


class BillingUsageTotal(models.Model):
    """What the records of a bill come to, by destination and day. They stay when the records are put away."""

    _name = "billing.usage.total"
    _description = "Total of Billed Usage"
    _order = "bill_id, day, id"
    _log_access = False

    bill_id = fields.Many2one("billing.usage.bill", required=True, readonly=True, index=True, ondelete="cascade")
    destination_id = fields.Many2one("billing.rate.destination", readonly=True, ondelete="restrict")
    destination_name = fields.Char(readonly=True, help="As it was called when it was billed.")
    day = fields.Date(readonly=True)
    record_count = fields.Integer(readonly=True)
    quantity = fields.Float(digits=(16, 6), readonly=True)
    billed_quantity = fields.Float(digits=(16, 6), readonly=True)
    allowance_quantity = fields.Float(digits=(16, 6), readonly=True)
    list_amount = fields.Float(digits=(20, 6), readonly=True)
    fee_amount = fields.Float(digits=(20, 6), readonly=True, help="Of the amount, connection fees.")
    amount = fields.Float(digits=(20, 6), readonly=True)


class BillingUsageBillAllowance(models.Model):
    """What of an allowance a bill used up: the next bill of the period goes on from there."""

    _name = "billing.usage.bill.allowance"
    _description = "Included Usage on a Bill"
    _order = "bill_id, id"
    _log_access = False

    bill_id = fields.Many2one("billing.usage.bill", required=True, readonly=True, index=True, ondelete="cascade")
    allowance_id = fields.Many2one(
        "billing.package.allowance", readonly=True, index="btree_not_null", ondelete="set null"
    )
    granted_quantity = fields.Float(digits=(16, 6), readonly=True, help="In the period, in base units.")
    quantity = fields.Float(string="Used", digits=(16, 6), readonly=True, help="On this bill, in base units.")
