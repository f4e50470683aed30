import logging
import os
import random
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal

from odoo.tests import tagged

from . import reference as ref
from .common import UsageCommon
from .random_world import World

_logger = logging.getLogger(__name__)

D = Decimal
NOTHING = D(0)
SHOWN = 5


@tagged("post_install", "-at_install")
class TestRandom(UsageCommon):
    """Records of random plans, rated and billed by the addon and by the slow and obvious way: the same, to the last
    decimal.

    `BILLING_USAGE_SEED=7` repeats what a failure has printed, `BILLING_USAGE_RECORDS=200000` compares more.
    """

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["decimal.precision"].sudo().search([("name", "=", "Product Price")]).digits = 2

    def test_as_the_reference_says(self):
        count = int(os.environ.get("BILLING_USAGE_RECORDS", 20_000))
        seed = int(os.environ.get("BILLING_USAGE_SEED") or random.SystemRandom().randrange(10**6))
        _logger.info("Usage: %s random records, seed %s", count, seed)
        self._begin()
        try:
            self.world = World(self.env, self.usage_product, random.Random(seed))
            self._walk(count)
        except Exception:
            _logger.error("BILLING_USAGE_SEED=%s BILLING_USAGE_RECORDS=%s repeats this", seed, count)
            raise
        _logger.info("Usage: %s", dict(self.facts))
        self._assert_that_enough_happened(count)

    def _begin(self):
        self.records, self.frozen, self.ratings = [], {}, {}
        self.seen, self.settled = defaultdict(list), defaultdict(lambda: defaultdict(Decimal))
        self.came_to, self.parts = defaultdict(Decimal), defaultdict(int)
        self.closed, self.reached = set(), set()
        self.scopes, self.facts = {}, defaultdict(int)

    def _walk(self, count):
        self._hand_in_and_compare(count * 7 // 10)
        self.world.change()
        self._rate_again_and_compare()
        self._bill_and_compare(date(2026, 3, 17))
        # Of periods that are over, too.
        self._hand_in_and_compare(count * 2 // 10)
        self.world.change(
            {self.ratings[id_].rate.id for id_ in self.frozen},
            {self.ratings[id_].plan.id for id_ in self.frozen},
        )
        self._rate_again_and_compare()
        self._bill_and_compare(date(2026, 4, 2))
        self._hand_in_and_compare(count - len(self.records))
        self._bill_and_compare(date(2026, 4, 30))

    def _assert_that_enough_happened(self, count):
        """Chance may leave one thing out; what it never brings, is not tested."""
        self.assertEqual(len(self.records), count)
        if count < 10_000:
            return
        for fact in ("rated", "account", "plan", "measure", "rate", "included", "settled", "late", "minimum"):
            self.assertTrue(self.facts[fact], fact)
        self.assertGreater(self.facts["rated"], count / 3)
        self.assertGreater(self.facts["billed"], count / 3)

    # -- record by record ---------------------------------------------------------------------------------------------

    def _hand_in_and_compare(self, count):
        new = self.world.hand_in(count)
        self.records += new
        self._compare_records(new)

    def _rate_again_and_compare(self):
        before = dict(self.ratings)
        self.env["billing.usage"]._rate_again()
        self._compare_records(self.records)
        self.facts["rated otherwise"] += sum(self.ratings[id_] != rating for id_, rating in before.items())

    def _compare_records(self, records):
        self.env.cr.execute("SELECT id, revision FROM billing_rate_plan")
        revisions = dict(self.env.cr.fetchall())
        rows = self._rows()
        differences = []
        for source, record in records:
            if record.id in self.frozen:
                wanted = self.frozen[record.id]
            else:
                rating = self.ratings[record.id] = ref.rate_record(record, source)
                wanted = self._wanted(record, rating, revisions)
                self.facts[rating.unrated or "rated"] += 1
            if rows[record.id] != wanted:
                differences.append(f"{source.kind}, {record}: {self._other(rows[record.id], wanted)}")
        self.assertFalse(differences[:SHOWN], f"{len(differences)} records are not (found, wanted)")

    @staticmethod
    def _other(found, wanted):
        return {name: (found[name], wanted[name]) for name in wanted if found[name] != wanted[name]}

    def _wanted(self, record, rating, revisions):
        id_of = lambda one: one.id if one else None  # noqa: E731
        return {
            "moment": record.moment,
            "destination": record.destination,
            "quantity": record.quantity,
            "account_id": id_of(rating.account),
            "partner_id": id_of(rating.client),
            "subscription_id": id_of(rating.subscription),
            "day": rating.day,
            "rate_plan_id": id_of(rating.plan),
            "rate_id": id_of(rating.rate),
            "destination_id": int(rating.rate.destination) if rating.rate else None,
            "plan_revision": revisions[rating.plan.id] if rating.rate else None,
            "unrated_reason": rating.unrated or None,
            "billed_quantity": rating.billed_quantity,
            "list_amount": rating.list_amount,
            "amount": rating.list_amount,
            "allowance_quantity": NOTHING,
            "late": False,
            "bill_id": None,
        }

    def _rows(self):
        """`{id: facts}` of all records, the numbers as they are in the database."""
        numbers = ("quantity", "billed_quantity", "list_amount", "amount", "allowance_quantity")
        wanted = self._wanted(self.records[0][1], ref.Rating(), {})
        names = [name for name in wanted if name not in (*numbers, "late")]
        self.env.flush_all()
        self.env.cr.execute(
            "SELECT id, {}, {}, COALESCE(late, FALSE) AS late FROM billing_usage WHERE source_id IN %s".format(
                ", ".join(names), ", ".join(f"COALESCE({name}, 0)::text AS {name}" for name in numbers)
            ),
            [tuple(source.id for source in self.world.sources)],
        )
        return {
            row.pop("id"): {name: D(value) if name in numbers else value for name, value in row.items()}
            for row in self.env.cr.dictfetchall()
        }

    # -- period by period ---------------------------------------------------------------------------------------------

    def _bill_and_compare(self, until):
        new = defaultdict(list)
        for _source, record in self.records:
            rating = self.ratings[record.id]
            if record.id not in self.frozen and not rating.unrated and rating.day < until:
                scope = ref.scope_of(rating)
                self.scopes[scope.key] = scope
                new[scope.key].append(ref.PeriodRecord(record.id, record.moment, rating))
        clients = self.env["res.partner"].union(*(client.partner for client in self.world.clients))
        before = self._bills(clients)
        clients._billing_usage_make_bills(self.company, until)
        bills = {key: bill for key, bill in self._bills(clients).items() if key not in before}
        rows = self._rows()
        made = self.env["billing.usage.bill"].browse(bill["id"] for bill in bills.values())
        groups = {by: made._regroup_each(by) for by in ("destination", "day", "none")}
        charges = made.charge_ids.grouped("usage_bill_id")
        with_usage = set()
        for key in sorted(new, key=str):
            self.parts[key] += 1
            bill = bills[key, self.parts[key]]
            bill["groups"] = {by: of_bills[bill["id"]] for by, of_bills in groups.items()}
            bill["charges"] = charges.get(made.browse(bill["id"]), self.env["billing.charge"])
            with_usage.add((key, self.parts[key]))
            self._compare_bill(self.scopes[key], bill, new[key], rows, until)
        # All others were made for a minimum alone.
        bare = [bill for key, bill in bills.items() if key not in with_usage]
        self.assertFalse(
            [bill for bill in bare if bill["record_count"] or bill["amount"] or not bill["minimum_amount"]]
        )
        for bill in bare:
            self.parts[bill["key"]] = bill["part"]
        self.closed |= {bill["key"][:1] + bill["key"][2:] for bill in bills.values() if bill["is_over"]}
        self._compare_minimums(self._bills(clients), until)

    def _bills(self, clients):
        """`{(key of the scope, part): facts}`, the numbers as they are in the database."""
        self.env.flush_all()
        self.env.cr.execute(
            """
            SELECT id, partner_id, rate_plan_id, subscription_id, period_start, period_end, part, currency_id,
                   COALESCE(late, FALSE) AS late, COALESCE(is_over, FALSE) AS is_over, "grouping",
                   COALESCE(record_count, 0) AS record_count, COALESCE(billed_quantity, 0)::text AS billed_quantity,
                   COALESCE(exact_amount, 0)::text AS exact_amount, COALESCE(amount, 0)::text AS amount,
                   COALESCE(minimum_amount, 0)::text AS minimum_amount
              FROM billing_usage_bill
             WHERE partner_id IN %s
            """,
            [tuple(clients.ids)],
        )
        bills = {}
        for bill in self.env.cr.dictfetchall():
            for name in ("billed_quantity", "exact_amount", "amount", "minimum_amount"):
                bill[name] = D(bill[name])
            bill["key"] = bill["partner_id"], bill["rate_plan_id"], bill["subscription_id"], bill["period_start"]
            bills[bill["key"], bill["part"]] = bill
        return bills

    def _compare_bill(self, scope, bill, records, rows, until):
        key, said = scope.key, (scope.key, bill["part"])
        result = ref.rate_period(self.seen[key] + records, scope.plan, scope.allowances, scope.share, self.settled[key])
        is_late = (scope.client.id, key[2], scope.first) in self.closed
        amounts = list(result.amounts.values())
        step = self._step(scope.plan)
        wanted = {
            "period_end": scope.last,
            "currency_id": scope.plan.currency.id,
            "late": is_late,
            "is_over": scope.last < until,
            "record_count": len(records),
            "billed_quantity": sum((one.rating.billed_quantity for one in records), NOTHING),
            "exact_amount": sum(amounts, NOTHING),
            "amount": ref.bill_total(amounts, step),
        }
        differences = []
        for one in records:
            facts = dict(
                rows[one.id],
                amount=result.amounts[one.id],
                allowance_quantity=result.covered[one.id],
                late=is_late,
                bill_id=bill["id"],
            )
            if facts != rows[one.id]:
                differences.append((one, self._other(rows[one.id], facts)))
            one.part, one.amount = bill["part"], result.amounts[one.id]
            self.seen[key].append(one)
            self.frozen[one.id] = facts
            self.facts["included"] += bool(result.covered[one.id])
        self.assertFalse(differences[:SHOWN], f"{said}: {len(differences)} of {len(records)} records")
        self.assertEqual({name: bill[name] for name in wanted}, wanted, said)
        self.facts["bills"] += 1
        self.facts["billed"] += len(records)
        self.facts["late"] += is_late
        self._compare_groups(scope, bill, records, result, step)
        self.came_to[key] += bill["amount"] + self._compare_settlements(key, bill, result, step)

    @staticmethod
    def _step(plan):
        return max(D(str(plan.currency.rounding)), D("0.01"))

    def _compare_groups(self, scope, bill, records, result, step):
        """The same sum however it is grouped, and the charges are those of one grouping."""
        names = self.world.destination_names
        groupings = {
            "destination": lambda one: one.rating.rate.destination,
            "day": lambda one: one.rating.day,
            "none": lambda one: "all",
        }
        for by, group_of in groupings.items():
            groups = defaultdict(list)
            for one in records:
                groups[group_of(one)].append(one)
            in_order = sorted(groups, key=lambda one: (names[one], int(one)) if by == "destination" else one)
            sums = [sum((result.amounts[one.id] for one in groups[group]), NOTHING) for group in in_order]
            listed = [sum((one.rating.list_amount for one in groups[group]), NOTHING) for group in in_order]
            shares = ref.largest_remainder(sums, step)
            prefix = "d" if by == "destination" else ""
            found = [(group["group"], D(str(group["amount"]))) for group in bill["groups"][by]]
            self.assertEqual(
                found, [(f"{prefix}{group}", share) for group, share in zip(in_order, shares, strict=True)]
            )
            if by == bill["grouping"]:
                wanted = {}
                for group, share, whole in zip(in_order, shares, listed, strict=True):
                    price = ref.bill_total([whole], step)
                    if share or price:
                        wanted[f"{prefix}{group}"] = (share, share or price, D(0 if share else 100))
                found = {
                    charge.usage_group: tuple(
                        D(str(charge[name])) for name in ("usage_amount", "price_unit", "discount")
                    )
                    for charge in bill["charges"]
                    if charge.usage_group in wanted or not charge.usage_group.startswith(("volume-", "minimum"))
                }
                self.assertEqual(found, wanted, (scope.key, bill["part"]))
                self.facts["charges"] += len(wanted)

    def _compare_settlements(self, key, bill, result, step):
        """What reaching another tier made of what was billed before: asked for at once, and rounded."""
        found = {
            charge.usage_group.removeprefix("volume-d"): D(str(charge.usage_amount))
            for charge in bill["charges"]
            if charge.usage_group.startswith("volume-")
        }
        wanted = {group: ref.round_half_away(amount, step) for group, amount in result.adjustments.items()}
        wanted = {group: amount for group, amount in wanted.items() if amount}
        self.assertEqual(found, wanted, (key, bill["part"]))
        for group, amount in wanted.items():
            self.settled[key][group] += amount
        self.facts["settled"] += len(wanted)
        return sum(wanted.values(), NOTHING)

    def _compare_minimums(self, bills, until):
        """Of all periods that are over: what their bills are short of, whatever was billed when. A minimum that was
        reached once is not asked for any more.
        """
        asked = defaultdict(Decimal)
        settled = {bill["key"] for bill in bills.values() if bill["is_over"]}
        for bill in bills.values():
            asked[bill["subscription_id"], bill["period_start"]] += bill["minimum_amount"]
        for subscription in self.world.subscriptions:
            day = subscription.phases[0].first
            while (period := subscription.period(day)) and period.last < until:
                plan = period.package.plan
                owed = NOTHING
                if plan and period.minimum:
                    spent = sum(
                        amount
                        for key, amount in self.came_to.items()
                        if key[2:] == (subscription.id, period.first)
                        and self.scopes[key].plan.currency == plan.currency
                    )
                    owed = ref.up_to_minimum(period.minimum, period.share, spent, self._step(plan))
                    key = subscription.client.id, plan.id, subscription.id, period.first
                    if key in self.reached:
                        owed = NOTHING
                    elif not owed and key in settled:
                        self.reached.add(key)
                self.assertEqual(asked.pop((subscription.id, period.first), NOTHING), owed, (subscription, period))
                self.facts["minimum"] += bool(owed)
                day = period.last + timedelta(days=1)
        self.assertFalse({key: amount for key, amount in asked.items() if amount})
