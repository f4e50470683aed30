from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import format_date, formatLang

from odoo.addons.invoice_portal.tools.grant import is_granted

# What a bill says on its charges: that it was billed, and for how much.
USAGE_FIELDS = {"usage_bill_id", "usage_group", "usage_amount"}


class BillingCharge(models.Model):
    """A charge can be for a group of usage."""

    _inherit = "billing.charge"

    origin = fields.Selection(selection_add=[("usage", "Usage")], ondelete={"usage": "set default"})
    usage_bill_id = fields.Many2one(
        "billing.usage.bill",
        string="Billed Usage",
        readonly=True,
        copy=False,
        index="btree_not_null",
        check_company=True,
        ondelete="restrict",
    )
    usage_group = fields.Char(
        readonly=True, copy=False, help="The destination group's id, the day, or what else this line of usage is."
    )
    usage_amount = fields.Monetary(
        string="Usage Came To",
        readonly=True,
        copy=False,
        help="What the usage came to, whatever the charge was edited to.",
    )

    _one_per_group = models.UniqueIndex(
        "(usage_bill_id, usage_group) WHERE usage_bill_id IS NOT NULL", "This usage is charged already."
    )

    # -- what was said by whom ----------------------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        if any(vals.keys() & USAGE_FIELDS for vals in vals_list) and not is_granted(self.env):
            raise UserError(self._only_bills_message())
        # Named, so that no default of a context says otherwise.
        start = {} if is_granted(self.env) else dict.fromkeys(USAGE_FIELDS, False)
        return super().create([{**start, **vals} for vals in vals_list])

    def write(self, vals):
        if not is_granted(self.env):
            if vals.keys() & USAGE_FIELDS:
                raise UserError(self._only_bills_message())
            if vals.keys() & {"partner_id", "company_id", "currency_id", "origin", "task_id"} and self.filtered(
                lambda charge: charge.usage_bill_id and charge._usage_would_move(vals)
            ):
                raise UserError(
                    self.env._(
                        "Charged usage stays with its client, in its currency. Discard the charge and type a new one "
                        "instead."
                    )
                )
        return super().write(vals)

    def _usage_would_move(self, vals):
        """Whether this writes another value than it has: forms send back what they read."""
        fixed = vals.keys() & {"partner_id", "company_id", "currency_id", "origin", "task_id"}
        return any(self._usage_differs(vals, fname) for fname in fixed)

    def _usage_differs(self, vals, fname):
        field = self._fields[fname]
        return field.convert_to_cache(vals[fname], self) != field.convert_to_cache(self[fname], self)

    def _only_bills_message(self):
        return self.env._("What usage was charged follows from its records: it is not typed in.")

    @api.ondelete(at_uninstall=False)
    def _unlink_except_of_usage(self):
        if (known := self.filtered("usage_bill_id")) and not is_granted(self.env):
            raise UserError(
                self.env._(
                    "“%(charge)s” is what usage came to, and would be forgotten: discard it instead. To bill its "
                    "records anew, take back “%(bill)s”.",
                    charge=known[0].display_name,
                    bill=known[0].usage_bill_id.display_name,
                )
            )

    # -- what is behind it --------------------------------------------------------------------------------------------

    def _usage_domain(self):
        """The domain of the records that these charges are for. What makes up for a minimum has none."""
        return Domain.OR(charge._usage_domain_of_one() for charge in self)

    def _usage_domain_of_one(self):
        bill, group = self.usage_bill_id, self.usage_group or ""
        if not bill or group == "minimum":
            return Domain.FALSE
        if group.startswith("volume-d"):
            before = bill._earlier_parts()
            return Domain("bill_id", "in", before.ids) & Domain("destination_id", "=", int(group[8:]))
        domain = Domain("bill_id", "=", bill.id)
        if group == "all":
            return domain
        if group.startswith("d"):
            destination = group[1:]
            return domain & Domain("destination_id", "=", int(destination) if destination.isdigit() else False)
        return domain & Domain("day", "=", group)

    def action_usage(self):
        """The records behind these charges."""
        self.check_access("read")
        self.env["billing.usage"].check_access("read")
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Usage"),
            "res_model": "billing.usage",
            "view_mode": "list,form",
            "domain": list(self._usage_domain()),
        }

    def _explain(self):
        facts = super()._explain()
        for charge in self.filtered("usage_bill_id"):
            facts += [(label, text) for label, text in charge._explain_usage() if text]
        return facts

    def _explain_usage(self):
        # Elevated to read what the client may not list: only its own bill, and only what is named here.
        bill = self.usage_bill_id.sudo().with_env(self.env(su=True))
        facts = [
            (self.env._("Rate plan"), bill.rate_plan_id.name),
            (self.env._("Subscription"), bill.subscription_id and bill._subscription_label()),
            (self.env._("Period"), bill._period_label()),
            (self.env._("Late"), bill.late and self.env._("It came when its period was billed already.")),
        ]
        if self.usage_group == "minimum":
            spent = bill._spent_in_period()
            return [
                *facts,
                (self.env._("Usage in the period"), bill.currency_id.format(spent)),
                (self.env._("Up to the minimum"), bill.currency_id.format(bill.minimum_amount)),
            ]
        if (self.usage_group or "").startswith("volume-d"):
            return [*facts, (self.env._("Why"), self.env._("The usage of the period reached another tier."))]
        group = bill._group_of(self.usage_group)
        if not group:
            return facts
        rounding = self.usage_amount - group["exact_amount"]
        return [
            *facts,
            (self.env._("Day"), bill.grouping == "day" and format_date(self.env, self.usage_group)),
            (self.env._("Count"), bill._count_label(group["record_count"])),
            (self.env._("Used"), bill._quantity_label(group["quantity"])),
            (self.env._("Billed quantity"), bill._quantity_label(group["billed_quantity"])),
            (
                self.env._("Included"),
                group["allowance_quantity"] and bill._quantity_label(group["allowance_quantity"]),
            ),
            (self.env._("Exact sum"), formatLang(self.env, group["exact_amount"], digits=6)),
            (self.env._("Rounding"), formatLang(self.env, rounding, digits=6)),
        ]
