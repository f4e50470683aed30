"""Clients who used something, for tests of their pages: records are written as they stand when they are rated."""

import json
from datetime import datetime, time, timedelta
from decimal import Decimal

from odoo import fields

from odoo.addons.invoice_portal.tests.portal import PortalCommon
from odoo.addons.invoice_portal.tools.grant import granted

from .common import UsageCommon

NUMBERS = ("quantity", "billed_quantity", "list_amount", "allowance_quantity", "amount")


class UsagePortalCommon(UsageCommon, PortalCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.today = fields.Date.today()
        cls.month = cls.today.replace(day=1)
        cls.last_month = (cls.month - timedelta(days=1)).replace(day=1)
        cls.rates = {rate.destination_id: rate for rate in cls.plan.rate_ids}

    @classmethod
    def _used(cls, group=None, quantity=60, amount=0.06, day=None, client=None, **values):
        """A record as it is after rating; nothing of it is worked out here."""
        client = client or cls.client
        group = group or cls.landline
        day = day or cls.today
        count = cls._used_count = getattr(cls, "_used_count", 0) + 1
        row = {
            "company_id": cls.company.id,
            "source_id": cls.source.id,
            "external_id": f"record-{count}",
            "account": "+49 30 1000",
            "account_id": cls.account.id if client == cls.client else None,
            "partner_id": client.id,
            "moment": datetime.combine(day, time(10, 0, count % 60)),
            "day": day,
            "destination": "4989123456",
            "quantity": quantity,
            "rate_plan_id": cls.plan.id,
            "plan_revision": cls.plan.revision,
            "rate_id": cls.rates[group].id,
            "destination_id": group.id,
            "billed_quantity": quantity,
            "list_amount": amount,
            "allowance_quantity": 0,
            "amount": amount,
            "attributes": json.dumps({"trunk": "Gondola trunk"}),
            **values,
        }
        cls.env.flush_all()
        columns = ", ".join(row)
        marks = ", ".join(["%s"] * len(row))
        cls.env.cr.execute(
            f"INSERT INTO billing_usage ({columns}) VALUES ({marks}) RETURNING id",  # noqa: S608 - names of ours
            list(row.values()),
        )
        usage = cls.env["billing.usage"].browse(cls.env.cr.fetchone()[0])
        cls.env.invalidate_all()
        return usage

    @classmethod
    def _bill(cls, records, grouping="destination", client=None):
        """A bill of these records with its totals and charges, as billing leaves it."""
        cls.env.flush_all()
        days = records.mapped("day")
        total = sum(Decimal(str(record.amount)) for record in records)
        first = min(days).replace(day=1)
        bill = (
            granted(cls.env["billing.usage.bill"].sudo())
            .create(
                {
                    "company_id": cls.company.id,
                    "partner_id": (client or cls.client).id,
                    "rate_plan_id": cls.plan.id,
                    "currency_id": cls.plan.currency_id.id,
                    "period_start": first,
                    "period_end": fields.Date.end_of(first, "month"),
                    "part": 1,
                    "day_from": min(days),
                    "day_until": max(days),
                    "grouping": grouping,
                    "record_count": len(records),
                    "billed_quantity": sum(records.mapped("billed_quantity")),
                    "exact_amount": float(total),
                    "amount": cls.plan.currency_id.round(float(total)),
                }
            )
            .with_env(cls.env)
        )
        cls.env.flush_all()
        cls.env.cr.execute("UPDATE billing_usage SET bill_id = %s WHERE id IN %s", [bill.id, tuple(records.ids)])
        cls.env.cr.execute(
            """
            INSERT INTO billing_usage_total (bill_id, destination_id, destination_name, day, record_count, quantity,
                                             billed_quantity, allowance_quantity, list_amount, amount)
                 SELECT bill_id, destination_id, MAX(destination.name), day, COUNT(*), SUM(quantity),
                        SUM(billed_quantity), SUM(allowance_quantity), SUM(list_amount), SUM(amount)
                   FROM billing_usage
                   JOIN billing_rate_destination destination ON destination.id = destination_id
                  WHERE bill_id = %s
               GROUP BY bill_id, destination_id, day
            """,
            [bill.id],
        )
        cls.env.invalidate_all()
        charges = cls.env["billing.charge"]
        for group in bill._regroup(grouping):
            charges |= (
                granted(cls.env["billing.charge"].sudo())
                .create(
                    {
                        "name": group["label"],
                        "origin": "usage",
                        "partner_id": bill.partner_id.id,
                        "company_id": cls.company.id,
                        "currency_id": bill.currency_id.id,
                        "product_id": cls.usage_product.id,
                        "date": bill.period_end,
                        "quantity": 1,
                        "price_unit": group["amount"],
                        "tax_ids": False,
                        "usage_bill_id": bill.id,
                        "usage_group": group["group"],
                        "usage_amount": group["amount"],
                    }
                )
                .with_env(cls.env)
            )
        return bill, charges

    @classmethod
    def _invoiced(cls, records, grouping="destination", client=None):
        """A finalized invoice with these records: `(invoice, bill)`."""
        bill, charges = cls._bill(records, grouping, client)
        return cls._finalized(charges), bill

    @classmethod
    def _calls_of_last_month(cls, client=None):
        """Five calls of two days to two destinations, which come to 1.000002: fractions that round up and down."""
        first, second = cls.last_month, cls.last_month + timedelta(days=1)
        return cls.env["billing.usage"].union(
            cls._used(cls.landline, 65, 0.333334, first, client, destination="4930111111"),
            cls._used(cls.landline, 125, 0.333334, second, client, destination="4930222222"),
            cls._used(cls.mobile, 30, 0.111111, first, client, destination="49151333333"),
            cls._used(cls.mobile, 31, 0.111111, first, client, destination="49151444444"),
            cls._used(cls.mobile, 32, 0.111112, second, client, destination="49151555555"),
        )
