import math
from decimal import ROUND_HALF_UP, Decimal

from odoo import fields
from odoo.fields import Domain

from odoo.addons.invoice_portal.tools.grant import granted

from .common import UsageCommon

SIX = Decimal("0.000001")


class BilledCommon(UsageCommon):
    """Records as rating leaves them, bills and charges as billing does: written here, so that what goes out is tested
    by itself."""

    numbers = 0

    @classmethod
    def _rate_of(cls, destination):
        rates = cls.env["billing.rate"].search([("plan_id", "=", cls.plan.id)])
        fits = [rate for rate in rates if rate.prefix == "*" or (destination or "").startswith(rate.prefix)]
        return max(fits, key=lambda rate: len(rate.prefix) - (rate.prefix == "*"))

    @classmethod
    def _record(cls, quantity=60, destination="4989123456", moment="2026-03-10 12:00:00", **values):
        """One record, rated by the plan unless told otherwise."""
        BilledCommon.numbers += 1
        rate = cls._rate_of(destination)
        minimum, step = Decimal(str(rate.minimum)), Decimal(str(rate.step))
        used = Decimal(str(quantity))
        beyond = max(used - minimum, Decimal(0))
        billed = minimum + (math.ceil(beyond / step) * step if step else beyond) if used else Decimal(0)
        amount = (
            Decimal(str(rate.connection_fee)) + billed * Decimal(str(rate.price_unit)) / 60 if used else Decimal(0)
        ).quantize(SIX, ROUND_HALF_UP)
        row = {
            "company_id": cls.company.id,
            "source_id": cls.source.id,
            "external_id": f"r{BilledCommon.numbers}",
            "account": "49301000",
            "account_id": cls.account.id,
            "partner_id": cls.client.id,
            "moment": moment,
            "day": str(moment)[:10],
            "destination": destination,
            "quantity": used,
            "rate_plan_id": cls.plan.id,
            "plan_revision": cls.plan.revision,
            "rate_id": rate.id,
            "destination_id": rate.destination_id.id,
            "billed_quantity": billed,
            "allowance_quantity": 0,
            "list_amount": amount,
            "amount": amount,
            **values,
        }
        if row.get("unrated_reason"):
            row.update(rate_id=None, destination_id=None, billed_quantity=None, list_amount=None, amount=None)
        cls.env.cr.execute(
            "INSERT INTO billing_usage (%s) VALUES (%s) RETURNING id" % (", ".join(row), ", ".join(["%s"] * len(row))),  # noqa: UP031 - names of columns from right here
            list(row.values()),
        )
        return cls.env["billing.usage"].browse(cls.env.cr.fetchone()[0])

    @classmethod
    def _bill(cls, records, grouping="destination", client=None):
        """The bill of these records with its totals and charges."""
        env = cls.env(su=True)
        client = client or cls.client
        days = [record.day for record in records]
        exact = sum((Decimal(str(record.amount)) for record in records), Decimal(0))
        start = min(days).replace(day=1)
        bill = env["billing.usage.bill"].create(
            {
                "company_id": cls.company.id,
                "partner_id": client.id,
                "rate_plan_id": cls.plan.id,
                "currency_id": cls.plan.currency_id.id,
                "period_start": start,
                "period_end": fields.Date.subtract(fields.Date.add(start, months=1), days=1),
                "part": 1 + env["billing.usage.bill"].search_count([("partner_id", "=", client.id)]),
                "day_from": min(days),
                "day_until": max(days),
                "grouping": grouping,
                "record_count": len(records),
                "exact_amount": float(exact),
                "amount": float(exact.quantize(Decimal("0.01"), ROUND_HALF_UP)),
            }
        )
        env.cr.execute("UPDATE billing_usage SET bill_id = %s WHERE id IN %s", [bill.id, records._ids])
        records.invalidate_recordset()
        env.cr.execute(
            """
            INSERT INTO billing_usage_total (bill_id, destination_id, destination_name, day, record_count, quantity,
                                             billed_quantity, allowance_quantity, list_amount, amount)
                 SELECT bill_id, destination_id, destination.name, day, count(*), sum(quantity), sum(billed_quantity),
                        sum(allowance_quantity), sum(list_amount), sum(amount)
                   FROM billing_usage JOIN billing_rate_destination destination ON destination.id = destination_id
                  WHERE bill_id = %s GROUP BY bill_id, destination_id, destination.name, day
            """,
            [bill.id],
        )
        bill.invalidate_recordset(["total_ids"])
        cls._charge_groups(bill)
        return bill.with_env(cls.env)

    @classmethod
    def _charge_groups(cls, bill):
        """Charges by largest remainder, so that they add up to the bill."""
        env = cls.env(su=True)
        groups = {}
        for total in bill.total_ids:
            key = {"destination": f"d{total.destination_id.id}", "day": str(total.day), "none": "all"}[bill.grouping]
            label = {"destination": total.destination_name, "day": str(total.day), "none": "Calls"}[bill.grouping]
            groups.setdefault(key, [label, Decimal(0)])[1] += Decimal(str(total.amount))
        cents = {key: int(amount * 100) for key, (_label, amount) in groups.items()}
        left = round(bill.amount * 100) - sum(cents.values())
        for key in sorted(groups, key=lambda key: cents[key] - groups[key][1] * 100)[:left]:
            cents[key] += 1
        for key, (label, _amount) in groups.items():
            if cents[key]:
                granted(env["billing.charge"]).create(
                    {
                        "name": f"{label}\n{bill.record_count} calls",
                        "origin": "usage",
                        "company_id": cls.company.id,
                        "partner_id": bill.partner_id.id,
                        "product_id": cls.usage_product.id,
                        "date": bill.period_end,
                        "period_start": bill.period_start,
                        "period_end": bill.period_end,
                        "currency_id": bill.currency_id.id,
                        "price_unit": cents[key] / 100,
                        "usage_amount": cents[key] / 100,
                        "usage_bill_id": bill.id,
                        "usage_group": key,
                        "tax_ids": [fields.Command.set(cls.tax.ids)],
                    }
                )

    @classmethod
    def _month_of_calls(cls):
        """Three destinations, a call without a price, and one whose account is a formula."""
        records = cls.env["billing.usage"]
        for number in range(7):
            records |= cls._record(61 + number, moment=f"2026-03-{10 + number} 22:30:00")
            records |= cls._record(7 + number, "4915112345", moment=f"2026-03-{10 + number} 09:00:00")
        records |= cls._record(31, "18005550100", account="=1+1")
        records |= cls._record(0, "18005550100")
        return records

    @classmethod
    def _open_domain(cls):
        return Domain("partner_id", "=", cls.client.id)
