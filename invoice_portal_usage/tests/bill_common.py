from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from odoo.addons.invoice_portal.tools.periods import exact

from ..tools.shares import MICRO, rounded
from ..tools.units import UNITS
from .common import UsageCommon


class BillCommon(UsageCommon):
    """Records that are rated already, put where the rating puts them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["decimal.precision"].sudo().search([("name", "=", "Product Price")]).digits = 2
        # One rate for each group, so that amounts are easy to follow: 0.06 and 0.12 a minute; elsewhere 0.90 and a fee.
        cls.rates = {rate.destination_id: rate for rate in cls.plan.rate_ids}
        cls.number = 0

    @classmethod
    def _used(cls, day, quantity, destination=None, client=None, subscription=None, **values):
        """A rated record: `quantity` in the plan's unit, as billed already. Returns its id."""
        cls.env.flush_all()
        destination = destination or cls.landline
        rate = cls.rates[destination]
        plan = destination.plan_id
        billed = Fraction(exact(quantity)) * Fraction(UNITS[plan.unit].size)
        amount = Fraction(exact(rate.connection_fee)) + billed * Fraction(exact(rate.price_unit)) / Fraction(
            UNITS[plan.unit].size
        )
        cls.number += 1
        moment = (
            day
            if isinstance(day, datetime)
            else datetime.fromisoformat(f"{day}T12:00:00") + timedelta(seconds=cls.number)
        )
        listed = rounded(amount, MICRO) if billed else Decimal(0)
        values = {
            "company_id": cls.company.id,
            "source_id": cls.source.id,
            "external_id": f"sql-{cls.number}",
            "partner_id": (client or cls.client).id,
            "subscription_id": subscription.id if subscription else None,
            "moment": moment,
            "day": moment.date(),
            "destination": rate.prefix,
            "quantity": rounded(billed, MICRO),
            "billed_quantity": rounded(billed, MICRO),
            "rate_plan_id": plan.id,
            "plan_revision": plan.revision,
            "rate_id": rate.id,
            "destination_id": destination.id,
            "list_amount": listed,
            "amount": listed,
            "allowance_quantity": 0,
            "late": False,
            **values,
        }
        cls.env.cr.execute(
            "INSERT INTO billing_usage ({}) VALUES ({}) RETURNING id".format(
                ", ".join(values), ", ".join(["%s"] * len(values))
            ),
            list(values.values()),
        )
        return cls.env.cr.fetchone()[0]

    @classmethod
    def _unrated(cls, day, reason="rate", **values):
        return cls._used(
            day, 1, unrated_reason=reason, rate_id=None, destination_id=None, list_amount=0, amount=0, **values
        )

    @classmethod
    def _bill(cls, until, clients=None):
        return (clients or cls.client)._billing_usage_make_bills(cls.company, cls._date(until))

    def _late_job(self):
        with self.enter_registry_test_mode():
            self.env.ref("invoice_portal_usage.ir_cron_usage_late").sudo().method_direct_trigger()
        self.env.invalidate_all()

    @classmethod
    def _subscribe(cls, package=None, start="2026-01-01", client=None, **values):
        return cls.env["billing.subscription"].create(
            {
                "partner_id": (client or cls.client).id,
                "package_id": (package or cls.package).id,
                "date_start": start,
                **values,
            }
        )

    @classmethod
    def _new_usage_package(cls, name="Talk", price=10.0, allowances=(), **values):
        """:param allowances: `(quantity, destinations)`"""
        package = cls._new_package(name, price, rate_plan_id=cls.plan.id, **values)
        for sequence, (quantity, destinations) in enumerate(allowances):
            cls.env["billing.package.allowance"].create(
                {
                    "package_id": package.id,
                    "sequence": sequence,
                    "name": f"{quantity} included",
                    "quantity": quantity,
                    "destination_ids": [(6, 0, destinations.ids if destinations else [])],
                }
            )
        return package

    @classmethod
    def _tiers(cls, destination, mode, *tiers):
        destination.tier_mode = mode
        cls.env["billing.rate.tier"].create(
            [{"destination_id": destination.id, "above": above, "price_unit": price} for above, price in tiers]
        )

    @classmethod
    def _rows(cls, ids):
        cls.env.flush_all()
        cls.env.cr.execute(
            "SELECT id, amount::text, allowance_quantity::text, late, bill_id FROM billing_usage WHERE id IN %s",
            [tuple(ids)],
        )
        return {row[0]: (Decimal(row[1]), Decimal(row[2]), *row[3:]) for row in cls.env.cr.fetchall()}

    def _assert_amounts(self, ids, *amounts):
        rows = self._rows(ids)
        self.assertEqual([rows[one][0] for one in ids], [Decimal(amount) for amount in amounts])

    def _assert_charges(self, bills, *expected):
        """:param expected: `(group, amount)`, in the order of the charges"""
        found = [(charge.usage_group, charge.amount) for charge in bills.charge_ids.sorted("id")]
        self.assertEqual(found, list(expected))
