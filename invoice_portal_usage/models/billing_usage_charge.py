from odoo import models
from odoo.exceptions import UserError
from odoo.tools import format_date


class BillingCharge(models.Model):
    """A charge for usage leads to its records, wherever they are by now."""

    _inherit = "billing.charge"

    def _usage_totals(self):
        """`{charge: {"count", "quantity"}}` of what is behind these charges, also when records were put away."""
        totals = dict.fromkeys(self, {"count": 0, "quantity": 0.0})
        for bill, charges in self.grouped("usage_bill_id").items():
            groups = {row["group"]: row for row in bill.sudo()._regroup(bill.sudo().grouping)} if bill else {}
            for charge in charges:
                if row := groups.get(charge.usage_group):
                    totals[charge] = {"count": row["record_count"], "quantity": row["quantity"]}
        return totals

    def _usage_records(self, limit=None):
        """The records behind this charge, the oldest first."""
        self.ensure_one()
        return self.env["billing.usage"].search(self._usage_domain(), order="moment, id", limit=limit)

    def _usage_behind(self):
        """What `_usage_domain` asks for, of records that were put away: which bills, and which `destination` or `day`
        of them."""
        self.ensure_one()
        bill, group = self.usage_bill_id, self.usage_group or ""
        if group == "minimum":
            return {"bills": []}
        if group.startswith("volume-d"):
            return {"bills": bill._earlier_parts().ids, "destination": int(group[8:])}
        if group == "all":
            return {"bills": bill.ids}
        if group.startswith("d"):
            return {"bills": bill.ids, "destination": int(group[1:]) if group[1:].isdigit() else False}
        return {"bills": bill.ids, "day": group}

    def action_usage(self):
        """Open the records behind these charges, or what says where they are."""
        self.env["account.move"]._billing_check_staff()
        self.check_access("read")
        super().action_usage()
        return self._usage_records_action()

    def _usage_records_action(self):
        bills = self.usage_bill_id
        if not bills:
            raise UserError(self.env._("No usage is billed here."))
        if len(bills) == len(bills.filtered("archive_id")):
            # Nothing is left to list: the bill says where the records are.
            return bills._get_records_action(name=self.env._("Records Put Away"))
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal_usage.action_billing_usage")
        return dict(
            action,
            name=self.display_name if len(self) == 1 else self.env._("Usage Records"),
            domain=list(self._usage_domain()),
            context={},
        )

    def _explain(self):
        facts = super()._explain()
        for bill in self.sudo().usage_bill_id.filtered("archive_id"):
            facts.append(
                (
                    self.env._("Records"),
                    self.env._(
                        "Put away on %(day)s. The file of the invoice has them all.",
                        day=format_date(self.env, bill.archive_id.create_date),
                    ),
                )
            )
        return facts
