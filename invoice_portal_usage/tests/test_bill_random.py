import random
from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from odoo.tests import tagged

from . import reference as ref
from .bill_common import BillCommon

D = Decimal
MODES = ("none", "graduated", "volume")


@tagged("post_install", "-at_install")
class TestBillRandom(BillCommon):
    """Some thousand records of clients with all sorts of plans and packages, billed in three parts and compared with
    the slow and obvious way, record by record, to the last decimal."""

    CLIENTS = 24
    RECORDS = 3600

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.random = random.Random(20260331)
        cls.plans = [cls._random_plan(unit) for unit in ("second", "minute", "hour")]
        cls.worlds = [cls._random_client(number) for number in range(cls.CLIENTS)]

    @classmethod
    def _price(cls):
        return D(cls.random.randrange(0, 3_000_000)).scaleb(-8)

    @classmethod
    def _random_plan(cls, unit):
        plan = cls.env["billing.rate.plan"].create(
            {"name": f"Random {unit}", "product_id": cls.usage_product.id, "unit": unit, "tz": "UTC"}
        )
        size = ref.SIZES[unit]
        known = ref.Plan([], unit=unit)
        plan_of = {"plan": plan, "ref": known, "rates": []}
        for number in range(5):
            mode = cls.random.choice(MODES)
            destination = cls.env["billing.rate.destination"].create(
                {"plan_id": plan.id, "name": f"{unit} {number}", "tier_mode": mode}
            )
            bounds = sorted(cls.random.sample(range(0, 400), cls.random.randint(0, 3)))
            tiers = [((D(bound) * 60 / size).quantize(D("0.000001")), cls._price()) for bound in bounds]
            cls.env["billing.rate.tier"].create(
                [
                    {"destination_id": destination.id, "above": float(above), "price_unit": float(price)}
                    for above, price in tiers
                ]
            )
            known.tiers[str(destination.id)] = (mode, tiers)
            rate = ref.Rate(f"49{number}", cls._price(), str(destination.id), fee=cls._price())
            record = cls._new_rate(rate.prefix, destination, float(rate.price), connection_fee=float(rate.fee))
            rate.id = record.id
            plan_of["rates"].append(rate)
        return plan_of

    @classmethod
    def _random_client(cls, number):
        plan = cls.random.choice(cls.plans)
        client = cls._new_client(f"Random {number}")
        world = {"client": client, "plan": plan, "subscription": None, "allowances": [], "start": None}
        if number % 3:
            allowances = []
            for sequence in range(cls.random.randint(0, 3)):
                destinations = cls.random.sample(plan["rates"], cls.random.choice((0, 1, 3)))
                quantity = (D(cls.random.randrange(1, 60_000)) / ref.SIZES[plan["ref"].unit]).quantize(D("0.000001"))
                allowances.append(
                    ref.Allowance(quantity, frozenset(rate.destination for rate in destinations), sequence)
                )
            package = cls._new_package(
                f"Random {number}",
                rate_plan_id=plan["plan"].id,
                proration=cls.random.choice(("day", "none")),
                usage_minimum=cls.random.choice((0, 0, 5, 50)),
            )
            for allowance in allowances:
                allowance.id = (
                    cls.env["billing.package.allowance"]
                    .create(
                        {
                            "package_id": package.id,
                            "name": "Included",
                            "sequence": allowance.sequence,
                            "quantity": float(allowance.quantity),
                            "destination_ids": [(6, 0, [int(one) for one in allowance.destinations])],
                        }
                    )
                    .id
                )
            start = date(2026, 3, cls.random.choice((1, 1, 2, 11, 17)))
            world |= {
                "subscription": cls._subscribe(package, start.isoformat(), client=client, anchor_day=1),
                "allowances": allowances,
                "start": start,
                "package": package,
            }
        return world

    def _random_records(self, part, count, first, last):
        """Inserted as rated; the last ones of a client at moments that others have, too."""
        found = defaultdict(list)
        span = (last - first).days * 86400 + 86399
        for number in range(count):
            world = self.random.choice(self.worlds)
            rate = self.random.choice(world["plan"]["rates"])
            moment = datetime.combine(first, datetime.min.time()) + timedelta(
                seconds=self.random.randint(0, span) // 600 * 600
            )
            quantity = D(self.random.choice(("0", "1", "30", "60", "61", "90", "600", "1234.567891", "4000")))
            plan = world["plan"]["ref"]
            listed = ref.list_amount(quantity, rate, plan.unit)
            in_force = world["start"] and world["start"] <= moment.date()
            self.env.cr.execute(
                """
                INSERT INTO billing_usage (
                    company_id, source_id, external_id, partner_id, subscription_id, moment, day, quantity,
                    billed_quantity, rate_plan_id, plan_revision, rate_id, destination_id, list_amount, amount
                ) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id
                """,
                [
                    self.company.id,
                    self.source.id,
                    f"random-{part}-{number}",
                    world["client"].id,
                    world["subscription"].id if world["subscription"] else None,
                    moment,
                    moment.date(),
                    quantity,
                    quantity,
                    world["plan"]["plan"].id,
                    world["plan"]["plan"].revision,
                    rate.id,
                    int(rate.destination),
                    listed,
                    listed,
                ],
            )
            rating = ref.Rating(rate=rate, billed_quantity=quantity, list_amount=listed)
            record = ref.PeriodRecord(self.env.cr.fetchone()[0], moment, rating)
            # Before the subscription began, a calendar month of its own without allowances.
            found[self.worlds.index(world), bool(in_force)].append(record)
        return found

    def test_as_the_reference_says(self):
        everybody = self.env["res.partner"].union(*(world["client"] for world in self.worlds))
        seen, billed, minimums = defaultdict(list), defaultdict(Decimal), defaultdict(Decimal)
        compared = adjusted = included = 0
        for part, (first, last, until) in enumerate(
            (
                (date(2026, 3, 1), date(2026, 3, 12), "2026-03-13"),
                (date(2026, 3, 5), date(2026, 3, 31), "2026-04-01"),
                (date(2026, 3, 1), date(2026, 3, 31), "2026-04-02"),
            )
        ):
            new = self._random_records(part, self.RECORDS // 3, first, last)
            bills = self._bill(until, everybody)
            by_scope = {(bill.partner_id, bool(bill.subscription_id)): bill for bill in bills}
            self.assertEqual(len(bills), len(by_scope))
            for key in sorted({*new, *seen}):
                world, in_force = self.worlds[key[0]], key[1]
                share, allowances = Fraction(1), []
                if in_force:
                    share = ref.share_of(
                        world["start"],
                        date(2026, 3, 31),
                        date(2026, 3, 1),
                        date(2026, 3, 31),
                        world["package"].proration,
                    )
                    allowances = world["allowances"]
                expected = ref.rate_period(seen[key] + new.get(key, []), world["plan"]["ref"], allowances, share)
                rows = self._rows(expected.amounts) if expected.amounts else {}
                for one, amount in expected.amounts.items():
                    compared += 1
                    included += bool(expected.covered[one])
                    self.assertEqual(rows[one][:2], (amount, expected.covered[one]), (part, key))
                    self.assertEqual(rows[one][2], part == 2 and self._was_billed(key, seen))
                bill = by_scope.get((world["client"], in_force), self.env["billing.usage.bill"])
                self.assertEqual(D(str(bill.amount)), ref.bill_total(list(expected.amounts.values())), (part, key))
                charged = defaultdict(Decimal)
                for charge in bill.charge_ids:
                    charged[charge.usage_group] = D(str(charge.usage_amount))
                for destination, amount in expected.adjustments.items():
                    # What was settled before counts; and each settling rounds to the cent.
                    settled = billed.pop((key, destination), Decimal(0))
                    now = charged.pop(f"volume-d{destination}", Decimal(0))
                    self.assertLessEqual(abs(amount - settled - now), D("0.011"), (part, key, destination))
                    billed[key, destination] = settled + now
                    billed[key] += now
                    adjusted += bool(now)
                billed[key] += D(str(bill.amount))
                minimum = charged.pop("minimum", Decimal(0))
                minimums[key] += minimum
                if in_force and part and (bill or part == 1):
                    owed = ref.up_to_minimum(D(str(world["package"].usage_minimum)), share, billed[key])
                    self.assertEqual(minimums[key], owed, (part, key))
                groups = bill._regroup("destination") if bill else []
                shares = {group["group"]: D(str(group["amount"])) for group in groups}
                self.assertEqual({g: a for g, a in charged.items() if a}, {g: a for g, a in shares.items() if a})
                self.assertEqual(sum(shares.values(), D(0)), D(str(bill.amount)))
                for record in new.get(key, []):
                    record.part, record.amount = part, expected.amounts[record.id]
                    seen[key].append(record)
        self.assertEqual(compared, self.RECORDS)
        self.assertGreater(included, 200)
        self.assertGreater(adjusted, 5)

    def _was_billed(self, key, seen):
        return any(record.part == 1 for record in seen[key])
