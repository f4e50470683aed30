from odoo import models
from odoo.fields import Domain


class BillingCharge(models.Model):
    _inherit = "billing.charge"

    def _usage_domain(self):
        mine = Domain("bill_id", "=", self.usage_bill_id.id)
        group = self.usage_group or ""
        if group.startswith("d"):
            return mine & Domain("destination_id", "=", int(group[1:]))
        if group == "all":
            return mine
        return mine & Domain("day", "=", group) if group[:1].isdigit() else Domain.FALSE


class BillingUsageBill(models.Model):
    _inherit = "billing.usage.bill"

    def _regroup(self, by):
        rows = {}
        for total in self.total_ids:
            key = {"destination": f"d{total.destination_id.id}", "day": str(total.day), "none": "all"}[by]
            row = rows.setdefault(key, {"group": key, "label": key, "record_count": 0, "quantity": 0.0, "amount": 0.0})
            row["record_count"] += total.record_count
            row["quantity"] += total.quantity
            row["amount"] += total.amount
        return list(rows.values())
