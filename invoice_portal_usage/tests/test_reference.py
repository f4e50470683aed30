from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction

from odoo.tests import BaseCase, tagged

from . import reference as ref
from .reference import (
    Account,
    Allowance,
    Client,
    Package,
    PeriodRecord,
    Phase,
    Plan,
    Rate,
    Rating,
    Record,
    Source,
    Subscription,
)

D = Decimal
NOON = datetime(2026, 3, 10, 12)  # a Tuesday


@tagged("post_install", "-at_install")
class TestReference(BaseCase):
    """What all else is compared with, by examples worked out by hand."""

    def _rate(self, rates, destination="4989123456", moment=NOON, day=None, kind="phone", **plan):
        return ref.find_rate(Plan(rates, **plan), kind, destination, moment, day or moment.date())

    def test_longest_prefix(self):
        rates = [Rate("*", D(9)), Rate("49", D(1)), Rate("4915", D(2)), Rate("49151", D(3))]
        for number, price in [("4989", 1), ("4915", 2), ("49152", 2), ("491511", 3), ("49", 1), ("4", 9), ("331", 9)]:
            self.assertEqual(self._rate(rates, number).price, price, number)
        self.assertIsNone(self._rate(rates[1:], "331"), "nothing fits, and there is no star")

    def test_keys_are_whole_and_in_any_case(self):
        rates = [Rate("Support", D(1)), Rate("*", D(9))]
        for key, price in [("Support", 1), ("SUPPORT", 1), ("support2", 9), ("supp", 9)]:
            self.assertEqual(self._rate(rates, key, kind="key").price, price, key)

    def test_a_word_is_no_number(self):
        rates = [Rate("*", D(9)), Rate("de:11", D(1)), Rate("1", D(2))]
        for number, price in [("de:110", 1), ("de:99", 9), ("110", 2), ("7", 9)]:
            self.assertEqual(self._rate(rates, number).price, price, number)
        for word in ("anonymous", "*21#", "*", "49 30", "+49", ""):
            self.assertIsNone(self._rate(rates, word), word)
        self.assertEqual(self._rate(rates, "anonymous", kind="key").price, 9)

    def test_validity_includes_both_days(self):
        rates = [
            Rate("49", D(1), last=date(2026, 3, 9)),
            Rate("49", D(2), first=date(2026, 3, 10), last=date(2026, 3, 10)),
            Rate("49", D(3), first=date(2026, 3, 11)),
        ]
        for day, price in [(9, 1), (10, 2), (11, 3)]:
            self.assertEqual(self._rate(rates, day=date(2026, 3, day)).price, price)

    def test_what_is_not_in_force_gives_way_to_a_shorter_prefix(self):
        rates = [Rate("49", D(1)), Rate("4989", D(2), last=date(2025, 12, 31)), Rate("498", D(3), band="off_peak")]
        self.assertEqual(self._rate(rates).price, 1)
        self.assertEqual(self._rate(rates, moment=datetime(2026, 3, 10, 20)).price, 3)

    def test_hours(self):
        plan = Plan([], tz="Europe/Berlin", peak_from=8 + 20 / 60, peak_until=18)
        for text, band in [
            ("2026-03-10 07:19:59", "off_peak"),
            ("2026-03-10 07:20:00", "peak"),  # 8:20 in Berlin, in winter
            ("2026-07-14 06:20:00", "peak"),  # in summer
            ("2026-03-10 16:59:59", "peak"),
            ("2026-03-10 17:00:00", "off_peak"),
            ("2026-03-14 12:00:00", "off_peak"),  # a Saturday
            ("2026-03-13 23:30:00", "off_peak"),
        ]:
            self.assertEqual(ref.band_of(plan, datetime.fromisoformat(text)), band, text)
        plan.peak_weekend = True
        self.assertEqual(ref.band_of(plan, datetime(2026, 3, 14, 12)), "peak")
        plan.peak_until = 24
        self.assertEqual(ref.band_of(plan, datetime(2026, 3, 14, 22, 59, 59)), "peak")

    def test_billed_quantity(self):
        for quantity, minimum, step, billed in [
            ("0", "60", "60", "0"),
            ("0.000001", "60", "60", "60"),
            ("1", "60", "60", "60"),
            ("60", "60", "60", "60"),
            ("61", "60", "60", "120"),
            ("29", "30", "6", "30"),
            ("30.1", "30", "6", "36"),
            ("37", "30", "6", "42"),
            ("7", "1", "1", "7"),
            ("7.5", "0", "0", "7.5"),
            ("7.5", "10", "0", "10"),
            ("7.5", "0", "2", "8"),
            ("1", "0", "0.3", "1.2"),
        ]:
            self.assertEqual(
                ref.billed_quantity(D(quantity), D(minimum), D(step)), D(billed), (quantity, minimum, step)
            )

    def test_list_amount(self):
        for billed, price, fee, unit, amount in [
            ("60", "0.06", "0", "minute", "0.06"),
            ("61", "0.06", "0.05", "minute", "0.111"),
            ("1", "0.01", "0", "minute", "0.000167"),
            ("3", "0.00000150", "0", "piece", "0.000005"),  # 0.0000045: half goes up
            ("0", "1", "1", "minute", "0"),
            ("90", "120", "0", "hour", "3"),
            ("1500", "2", "0", "gb", "3"),
        ]:
            self.assertEqual(ref.list_amount(D(billed), Rate("49", D(price), fee=D(fee)), unit), D(amount))

    def test_half_goes_away_from_zero(self):
        for number, rounded in [("0.0000005", "0.000001"), ("-0.0000005", "-0.000001"), ("0.00000049", "0")]:
            self.assertEqual(ref.to_micro(Fraction(number)), D(rounded))

    def test_whose_it_is(self):
        tokyo, plan = Client("Asia/Tokyo"), Plan([Rate("*", D(1))])
        before, after = (
            Account("4930", tokyo, last=date(2026, 3, 10)),
            Account("4930", tokyo, first=date(2026, 3, 11), plan=plan),
        )
        source = Source(accounts=[before, after])
        late = Record(1, datetime(2026, 3, 10, 16), "331", D(60), number="4930")  # one in the morning in Tokyo
        rating = ref.rate_record(late, source)
        self.assertIs(rating.account, after)
        self.assertEqual((rating.day, rating.unrated), (date(2026, 3, 11), ""))
        rating = ref.rate_record(Record(1, NOON, "331", D(60), number="4930"), source)
        self.assertEqual((rating.account, rating.unrated), (before, "plan"))
        self.assertEqual(ref.rate_record(Record(1, NOON, "331", D(60), number="1"), source).unrated, "account")

    def test_whose_plan_it_is(self):
        plans = [Plan([Rate("*", D(number))]) for number in range(4)]
        client = Client(plan=plans[2])
        subscription = Subscription(
            client, [Phase(date(2026, 3, 1), Package(plans[1])), Phase(date(2026, 4, 1), Package())]
        )
        account = Account("4930", client, subscription, plans[0])
        source = Source(accounts=[account], plan=plans[3])
        record = Record(1, NOON, "331", D(60), number="4930")
        self.assertIs(ref.rate_record(record, source).plan, plans[0])
        account.plan = None
        self.assertIs(ref.rate_record(record, source).plan, plans[1])
        record.moment = datetime(2026, 4, 2)
        self.assertIs(ref.rate_record(record, source).plan, plans[2], "the package of April has no plan")
        record.moment = datetime(2026, 2, 28)
        self.assertIs(ref.rate_record(record, source).plan, plans[1], "before it begins, it is the first one")
        subscription.phases.pop()
        subscription.end = date(2026, 3, 9)
        record.moment = NOON
        self.assertIs(ref.rate_record(record, source).plan, plans[1], "after its end, it is the last one")
        subscription.phases[0].package.plan = client.plan = None
        self.assertIs(ref.rate_record(record, source).plan, plans[3])
        source.unit = "mb"
        self.assertEqual(ref.rate_record(record, source).unrated, "measure")
        source.unit, plans[3].rates = "hour", []
        self.assertEqual(ref.rate_record(record, source).unrated, "rate")

    # -- the period level ---------------------------------------------------------------------------------------------

    def _period(self, *quantities, price="0.06", fee="0", parts=None, **values):
        """Records of these many minutes, one an hour: the exact amounts, and what was included."""
        tiers = values.pop("tiers", {})
        records = []
        for number, quantity in enumerate(quantities):
            destination, quantity = quantity if isinstance(quantity, tuple) else ("all", quantity)
            rate = Rate("49", D(price), destination, fee=D(fee))
            rating = Rating(rate=rate, billed_quantity=D(quantity) * 60)
            records.append(PeriodRecord(number, NOON.replace(hour=number), rating, *(parts or {}).get(number, ())))
        return ref.rate_period(records, Plan([], tiers=tiers), **values)

    def _assert_amounts(self, result, *amounts):
        self.assertEqual(list(result.amounts.values()), [D(amount) for amount in amounts])

    def test_allowance_covers_what_came_first(self):
        result = self._period(2, 2, 2, fee="0.01", allowances=[Allowance(D(3))])
        self._assert_amounts(result, "0", "0.07", "0.13")
        self.assertEqual(list(result.covered.values()), [D(120), D(60), D(0)])

    def test_allowances_in_turn_and_shared(self):
        allowances = [
            Allowance(D(1), frozenset({"a", "b"}), sequence=20),
            Allowance(D(1), frozenset({"a"}), sequence=10),
        ]
        result = self._period(("b", 1), ("a", 2), ("c", 1), allowances=allowances)
        self._assert_amounts(result, "0", "0.06", "0.06")
        result = self._period(("a", 2), ("b", 1), allowances=allowances)
        self._assert_amounts(result, "0", "0.06")

    def test_allowances_are_prorated(self):
        share = ref.share_of(date(2026, 3, 17), date(2026, 3, 31), date(2026, 3, 1), date(2026, 3, 31), "day")
        self.assertEqual(share, Fraction(15, 31))
        self._assert_amounts(self._period(20, allowances=[Allowance(D(31))], share=share), "0.3")
        days = (date(2026, 3, 17), date(2026, 3, 31), date(2026, 3, 1), date(2026, 3, 31))
        self.assertEqual(ref.share_of(*days, "none"), 1)

    def test_nothing_costs_nothing(self):
        self._assert_amounts(self._period(0, fee="1"), "0")

    def test_graduated_tiers(self):
        tiers = {"all": ("graduated", [(D(0), D("0.05")), (D(10), D("0.03"))])}
        self._assert_amounts(self._period(8, 4, 1, tiers=tiers), "0.4", "0.16", "0.03")
        tiers = {"all": ("graduated", [(D(10), D("0.03"))])}
        self._assert_amounts(self._period(8, 4, fee="0.01", tiers=tiers), "0.49", "0.19")
        # What is included does not count; bounds are prorated.
        result = self._period(8, 4, tiers=tiers, share=Fraction(1, 2), allowances=[Allowance(D(6))])
        self._assert_amounts(result, "0.3", "0.12")

    def test_volume_tiers(self):
        tiers = {"all": ("volume", [(D(0), D("0.05")), (D(10), D("0.03"))])}
        self._assert_amounts(self._period(8, 2, tiers=tiers), "0.4", "0.1")
        self._assert_amounts(self._period(8, 3, tiers=tiers), "0.24", "0.09")

    def test_what_was_billed_before_is_first_and_stays(self):
        result = self._period(2, 2, parts={1: (1, D(0))}, allowances=[Allowance(D(2))])
        self.assertEqual(result.amounts, {0: D("0.12")})
        tiers = {"all": ("graduated", [(D(0), D("0.05")), (D(10), D("0.03"))])}
        self.assertEqual(self._period(4, 8, parts={1: (1, D("0.4"))}, tiers=tiers).amounts, {0: D("0.16")})

    def test_volume_reached_later_is_settled(self):
        tiers = {"all": ("volume", [(D(0), D("0.05")), (D(10), D("0.03"))])}
        result = self._period(8, 3, parts={0: (1, D("0.4"))}, tiers=tiers)
        self.assertEqual(result.amounts, {1: D("0.09")})
        self.assertEqual(result.adjustments, {"all": Fraction("-0.16")})
        settled = {"all": D("-0.1")}
        result = self._period(8, 3, parts={0: (1, D("0.4"))}, tiers=tiers, settled=settled)
        self.assertEqual(result.adjustments, {"all": Fraction("-0.06")})
        result = self._period(8, 2, parts={0: (1, D("0.4"))}, tiers=tiers)
        self.assertEqual(result.adjustments, {}, "No other tier is reached")

    # -- periods ------------------------------------------------------------------------------------------------------

    def _periods(self, phases, *days, **values):
        subscription = Subscription(Client(), phases, **values)
        return [
            period and (period.first.isoformat()[5:], period.last.isoformat()[5:], period.share)
            for period in (subscription.period(date.fromisoformat(f"2026-{day}")) for day in days)
        ]

    def test_periods(self):
        monthly, weekly = Package(proration="day"), Package(proration="day", interval="week")
        phases = [Phase(date(2026, 1, 20), monthly, date(2025, 12, 31))]
        found = self._periods(phases, "01-19", "01-20", "02-15", "02-28", "03-31", "04-02", end=date(2026, 4, 1))
        self.assertEqual(
            found,
            [
                None,
                ("01-20", "01-30", Fraction(11, 31)),
                ("01-31", "02-27", 1),
                ("02-28", "03-30", 1),
                ("03-31", "04-01", Fraction(2, 30)),
                None,
            ],
        )
        phases = [Phase(date(2026, 3, 2), monthly), Phase(date(2026, 3, 17), weekly), Phase(date(2026, 3, 20), monthly)]
        phases[2].anchor = date(2026, 3, 2)
        self.assertEqual(
            self._periods(phases, "03-16", "03-18", "03-20"),
            [
                ("03-02", "03-16", Fraction(15, 31)),
                ("03-17", "03-19", Fraction(3, 7)),
                ("03-20", "04-01", Fraction(13, 31)),
            ],
        )
        other = Package(proration="day")
        phases = [Phase(date(2026, 3, 1), monthly), Phase(date(2026, 3, 17), other, date(2026, 3, 1))]
        self.assertEqual(self._periods(phases, "03-20"), [("03-01", "03-31", 1)])
        self.assertIs(Subscription(Client(), phases).period(date(2026, 3, 20)).package, monthly)
        phases = [Phase(date(2026, 3, 1), monthly, date(2026, 3, 11))]
        self.assertEqual(
            self._periods(phases, "03-10", "03-11", trial_end=date(2026, 3, 10)),
            [("03-01", "03-10", 1), ("03-11", "04-10", 1)],
        )

    def test_what_is_billed_together(self):
        plan, client = Plan([]), Client()
        package = Package(plan, [Allowance(D(1))])
        subscription = Subscription(client, [Phase(date(2026, 3, 11), package, date(2026, 3, 1))])
        rating = Rating(client=client, plan=plan, subscription=subscription, day=date(2026, 3, 11))
        scope = ref.scope_of(rating)
        self.assertEqual((scope.first, scope.last, scope.share), (rating.day, date(2026, 3, 31), Fraction(21, 31)))
        self.assertEqual(scope.allowances, package.allowances)
        rating.plan = Plan([])
        self.assertEqual(ref.scope_of(rating).allowances, [], "They are in minutes of another plan")
        rating.day = date(2026, 3, 10)
        scope = ref.scope_of(rating)
        self.assertEqual((scope.subscription, scope.first, scope.last), (None, date(2026, 3, 1), date(2026, 3, 31)))
        self.assertEqual((scope.allowances, scope.share), ([], 1))

    # -- one rounding -------------------------------------------------------------------------------------------------

    def test_groups_add_up(self):
        for amounts, shares in [
            (["0.333333", "0.333333", "0.333334"], ["0.33", "0.33", "0.34"]),
            (["0.005", "0.005"], ["0.01", "0"]),
            (["0.004", "0.004"], ["0.01", "0"]),
            (["0.004", "0"], ["0", "0"]),
            (["0.005"], ["0.01"]),
            (["-0.005"], ["-0.01"]),
            (["1.239", "-0.016", "0"], ["1.24", "-0.02", "0"]),
            ([], []),
        ]:
            found = ref.largest_remainder([D(amount) for amount in amounts])
            self.assertEqual(found, [D(share) for share in shares], amounts)
            self.assertEqual(sum(found), ref.bill_total([D(amount) for amount in amounts]))
        self.assertEqual(ref.largest_remainder([D("12.4"), D("12.4")], D("1")), [13, 12], "a currency without cents")

    def test_minimum(self):
        for share, billed, missing in [
            (1, "12.5", "7.5"),
            (1, "20", "0"),
            (1, "30", "0"),
            (Fraction(1, 3), "5", "1.67"),
        ]:
            self.assertEqual(ref.up_to_minimum(D(20), Fraction(share), D(billed)), D(missing))

    def test_months(self):
        self.assertEqual(ref.calendar_month(date(2028, 2, 9)), (date(2028, 2, 1), date(2028, 2, 29)))
        self.assertEqual(ref.calendar_month(date(2026, 12, 31)), (date(2026, 12, 1), date(2026, 12, 31)))
