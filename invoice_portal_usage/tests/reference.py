"""What usage costs, the slow and obvious way: dictionaries, fractions and loops, for the SQL to be compared with.

Plain Python, no environment, nothing shared with what it checks. Quantities are in base units (seconds, MB, pieces),
moments are naive and in UTC, numbers are `Decimal`. Records of one period are rated in three steps:

    rating = rate_record(record, source)                  # who, which day, plan, rate, billed quantity, list amount
    scope = scope_of(rating)                              # what is billed together: client, plan, period
    bill = rate_period(records, plan, allowances, share)  # allowances and tiers: the exact amount of each record
    shares = largest_remainder(amounts, Decimal("0.01"))  # one rounding, groups add up to it
"""

import re
from calendar import monthrange
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

SIZES = {"second": 1, "minute": 60, "hour": 3600, "mb": 1, "gb": 1000, "piece": 1}
MEASURES = {"second": "time", "minute": "time", "hour": "time", "mb": "data", "gb": "data", "piece": "count"}
MICRO = Decimal("0.000001")
NOTHING = Decimal(0)
ONE_DAY = timedelta(days=1)
# "4989123456", or "de:110" of one country; what else was dialled is no number.
NUMBER = re.compile(r"([a-z]{2}:)?[0-9]+")


# -- what there is ----------------------------------------------------------------------------------------------------


@dataclass
class Rate:
    prefix: str  # digits, a key, or "*"
    price: Decimal  # per unit of the plan
    destination: str = "all"
    minimum: Decimal = NOTHING
    step: Decimal = NOTHING
    fee: Decimal = NOTHING
    first: date | None = None
    last: date | None = None
    band: str = "any"  # any, peak, off_peak
    id: int = 0


@dataclass
class Plan:
    rates: list[Rate]
    unit: str = "minute"
    tz: str = "UTC"
    peak_from: float = 8
    peak_until: float = 18
    peak_weekend: bool = False
    # Destination group -> ("graduated" or "volume", [(above, price), …]), both in the plan's unit.
    tiers: dict[str, tuple[str, list[tuple[Decimal, Decimal]]]] = field(default_factory=dict)
    id: int = 0


@dataclass
class Client:
    tz: str = "UTC"  # the client's own, else the company's
    plan: Plan | None = None
    id: int = 0


@dataclass
class Allowance:
    quantity: Decimal  # per whole period, in the plan's unit
    destinations: frozenset[str] = frozenset()  # none: all of the plan
    sequence: int = 10
    id: int = 0


@dataclass
class Package:
    plan: Plan | None = None
    allowances: list[Allowance] = field(default_factory=list)
    minimum: Decimal = NOTHING
    proration: str = "day"  # day, none
    interval: str = "month"  # month, week
    id: int = 0


@dataclass
class Phase:
    """A package, from a day on."""

    first: date
    package: Package
    anchor: date | None = None  # a day on which a period begins; that of the phase, if none is named

    def period(self, day: date) -> tuple[date, date]:
        """First and last day of the whole period that holds this day."""
        anchor = self.anchor or self.first
        if self.package.interval == "week":
            first = day - timedelta(days=(day - anchor).days % 7)
            return first, first + timedelta(days=6)
        first = day
        while first.day != min(anchor.day, monthrange(first.year, first.month)[1]):
            first -= ONE_DAY
        last = day
        while (last + ONE_DAY).day != min(anchor.day, monthrange((last + ONE_DAY).year, (last + ONE_DAY).month)[1]):
            last += ONE_DAY
        return first, last


@dataclass
class Period:
    """Days that are rated together, and the whole period that they are a part of."""

    first: date
    last: date
    whole_first: date
    whole_last: date
    package: Package  # that of its first day
    trial: bool = False

    @property
    def share(self) -> Fraction:
        if self.trial:
            return Fraction(1)
        return share_of(self.first, self.last, self.whole_first, self.whole_last, self.package.proration)

    @property
    def minimum(self) -> Decimal:
        return NOTHING if self.trial else self.package.minimum


@dataclass
class Subscription:
    """Packages one after the other."""

    client: Client
    phases: list[Phase]
    end: date | None = None  # the last day, included
    trial_end: date | None = None
    id: int = 0

    def phase_on(self, day: date) -> Phase:
        """The terms of that day. Those before the start are the first, those after the end the last ones."""
        began = [phase for phase in self.phases if phase.first <= day]
        return began[-1] if began else self.phases[0]

    def period(self, day: date) -> Period | None:
        """The one that holds this day, if any does: they are gone through from the start on."""
        first = self.phases[0].first
        while first <= day and (self.end is None or first <= self.end):
            phase = self.phase_on(first)
            trial = self.trial_end is not None and first <= self.trial_end
            whole_first, whole_last = (first, self.trial_end) if trial else phase.period(first)
            last = whole_last
            if self.end:
                last = min(last, self.end)
            if not trial:
                # Another interval begins at once; another package with the same one waits for the next period.
                for later in self.phases:
                    if first < later.first <= last and later.package.interval != phase.package.interval:
                        last = later.first - ONE_DAY
                        break
            if day <= last:
                return Period(first, last, whole_first, whole_last, phase.package, trial)
            first = last + ONE_DAY
        return None


@dataclass
class Account:
    number: str
    client: Client
    subscription: Subscription | None = None
    plan: Plan | None = None
    first: date | None = None
    last: date | None = None
    id: int = 0


@dataclass
class Source:
    kind: str = "phone"  # phone or key
    unit: str = "second"  # only its measure matters here: records are in base units
    plan: Plan | None = None
    accounts: list[Account] = field(default_factory=list)
    tz: str = "UTC"  # the company's: where nobody's usage is
    id: int = 0


@dataclass
class Record:
    id: int
    moment: datetime  # naive, UTC
    destination: str
    quantity: Decimal
    number: str | None = None  # by which its client is found
    client: Client | None = None  # named by the record itself
    subscription: Subscription | None = None


@dataclass
class Rating:
    """What the record level makes of a record. `unrated` is the reason, empty where it is rated."""

    unrated: str = ""
    client: Client | None = None
    account: Account | None = None
    subscription: Subscription | None = None
    day: date | None = None
    plan: Plan | None = None
    rate: Rate | None = None
    billed_quantity: Decimal = NOTHING
    list_amount: Decimal = NOTHING


# -- the record level -------------------------------------------------------------------------------------------------


def rate_record(record: Record, source: Source) -> Rating:
    """Whose it is, on which day, by which plan and rate, and what that is without allowances and tiers."""
    account = None
    client, subscription = record.client, record.subscription
    if subscription:
        client = subscription.client
    if client is None:
        account = find_account(source.accounts, record.number, record.moment)
        if account is None:
            return Rating("account", day=local(record.moment, source.tz).date())
        client, subscription = account.client, account.subscription
    day = local(record.moment, client.tz).date()
    found = Rating("", client, account, subscription, day)
    found.plan = find_plan(account, subscription, client, source, day)
    if found.plan is None:
        found.unrated = "plan"
    elif MEASURES[found.plan.unit] != MEASURES[source.unit]:
        found.unrated = "measure"
    else:
        found.rate = find_rate(found.plan, source.kind, record.destination, record.moment, day)
        if found.rate is None:
            found.unrated = "rate"
        else:
            found.billed_quantity = billed_quantity(record.quantity, found.rate.minimum, found.rate.step)
            found.list_amount = list_amount(found.billed_quantity, found.rate, found.plan.unit)
    return found


def local(moment: datetime, tz: str) -> datetime:
    """What clocks in this zone show at a moment."""
    return moment.replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(tz)).replace(tzinfo=None)


def find_account(accounts: list[Account], number: str | None, moment: datetime) -> Account | None:
    """Who had this number on the day that it was at this client's. Of several, who got it last."""
    having = [
        account
        for account in accounts
        if number is not None
        and account.number.lower() == number.lower()
        and within(local(moment, account.client.tz).date(), account.first, account.last)
    ]
    return max(having, key=lambda account: account.first or date.min, default=None)


def within(day: date, first: date | None, last: date | None) -> bool:
    return (first is None or first <= day) and (last is None or day <= last)


def find_plan(account, subscription, client, source, day) -> Plan | None:
    """The number's own plan, else that of the package, else of the client, else of the source."""
    plans = [
        account.plan if account else None,
        subscription.phase_on(day).package.plan if subscription else None,
        client.plan,
        source.plan,
    ]
    return next((plan for plan in plans if plan), None)


def find_rate(plan: Plan, kind: str, destination: str, moment: datetime, day: date) -> Rate | None:
    """Of the rates in force on that day and at that hour: the one with the longest prefix, or with that key; else the
    one with a star, unless it was a call of what is no number.

    A prefix whose rate is for other hours or days only is as good as not there: a shorter one is taken.
    """
    band = band_of(plan, moment)
    in_force = [rate for rate in plan.rates if within(day, rate.first, rate.last) and rate.band in ("any", band)]
    wanted = destination.lower()
    if kind == "phone":
        fitting = [rate for rate in in_force if rate.prefix != "*" and wanted.startswith(rate.prefix.lower())]
    else:
        fitting = [rate for rate in in_force if rate.prefix != "*" and rate.prefix.lower() == wanted]
    if not fitting and (kind != "phone" or NUMBER.fullmatch(destination)):
        fitting = [rate for rate in in_force if rate.prefix == "*"]
    # Rates of one prefix do not overlap, so that the length decides alone.
    return max(fitting, key=lambda rate: len(rate.prefix), default=None)


def band_of(plan: Plan, moment: datetime) -> str:
    """Peak from the first moment of its hours to just before their last, in whole seconds of the clock there."""
    there = local(moment, plan.tz)
    if there.weekday() >= 5 and not plan.peak_weekend:
        return "off_peak"
    second = there.hour * 3600 + there.minute * 60 + there.second
    # Hours like 8:20 have no exact number: they mean the nearest second.
    first, until = round(plan.peak_from * 3600), round(plan.peak_until * 3600)
    return "peak" if first <= second < until else "off_peak"


def billed_quantity(quantity: Decimal, minimum: Decimal, step: Decimal) -> Decimal:
    """Nothing for nothing; the minimum at least; beyond it whole steps, or exactly what it was where there are none."""
    if not quantity:
        return NOTHING
    if quantity <= minimum:
        return minimum
    if not step:
        return quantity
    beyond = Fraction(quantity) - Fraction(minimum)
    steps = -((-beyond) // Fraction(step))  # rounded up
    return to_micro(Fraction(minimum) + steps * Fraction(step))


def list_amount(billed: Decimal, rate: Rate, unit: str) -> Decimal:
    """By the rate alone. A record of nothing costs nothing: nothing was connected."""
    if not billed:
        return NOTHING
    return to_micro(Fraction(rate.fee) + Fraction(billed) * Fraction(rate.price) / SIZES[unit])


def round_half_away(number: Fraction, step: Decimal) -> Decimal:
    steps = abs(Fraction(number)) / Fraction(step)
    whole = int(steps + Fraction(1, 2))
    return (whole if number >= 0 else -whole) * step


def to_micro(number: Fraction) -> Decimal:
    """To 6 decimals, half away from zero."""
    return round_half_away(number, MICRO)


# -- the period level -------------------------------------------------------------------------------------------------


@dataclass
class Scope:
    """What is billed together: usage of a client by one plan, of one subscription or none, in one period."""

    client: Client
    plan: Plan
    subscription: Subscription | None
    first: date
    last: date
    period: Period | None = None  # of the subscription; none: a calendar month

    @property
    def key(self):
        return self.client.id, self.plan.id, self.subscription.id if self.subscription else None, self.first

    @property
    def share(self) -> Fraction:
        return self.period.share if self.period else Fraction(1)

    @property
    def allowances(self) -> list[Allowance]:
        """They are counted in the units, and lead to destinations, of the package's own plan."""
        return self.period.package.allowances if self.period and self.period.package.plan is self.plan else []


def scope_of(rating: Rating) -> Scope:
    """Usage of a subscription before it begins or when it is over is rated like that of none."""
    period = rating.subscription.period(rating.day) if rating.subscription else None
    if period:
        return Scope(rating.client, rating.plan, rating.subscription, period.first, period.last, period)
    return Scope(rating.client, rating.plan, None, *calendar_month(rating.day))


@dataclass
class PeriodRecord:
    """A rated record of one client, plan, subscription and period. `part`: of which earlier bill it is, else None;
    `amount`: what it was billed then.
    """

    id: int
    moment: datetime
    rating: Rating
    part: int | None = None
    amount: Decimal = NOTHING

    def fee(self, uncovered: Decimal) -> Decimal:
        """Covered wholly, nothing is left to pay; and a record of nothing has nothing left, either."""
        return self.rating.rate.fee if uncovered else NOTHING


@dataclass
class PeriodResult:
    """Exact amounts and what of each record was included, by the records' ids; only of what is not billed yet.

    `adjustments`: by destination group whose sum reaches another tier now, what that price makes of all that was billed
    earlier, less what was billed and settled for it.
    """

    amounts: dict[int, Decimal]
    covered: dict[int, Decimal]
    fees: dict[int, Decimal]
    adjustments: dict[str, Fraction]


def share_of(first: date, last: date, whole_first: date, whole_last: date, proration: str) -> Fraction:
    """What of a package's period this one is: all of it, unless it is shorter and the package goes by days."""
    if proration != "day":
        return Fraction(1)
    return Fraction((last - first).days + 1, (whole_last - whole_first).days + 1)


def rate_period(
    records: list[PeriodRecord],
    plan: Plan,
    allowances: list[Allowance] = (),
    share: Fraction = Fraction(1),
    settled: dict[str, Decimal] | None = None,
) -> PeriodResult:
    """What each record costs after allowances and tiers.

    :param allowances: of the package in force on the first day of the period
    :param share: what of a whole period this one is, see `share_of`
    :param settled: what was asked for already, by destination group, as its sum reached another tier
    """
    size = SIZES[plan.unit]
    # What was billed before was first, bill by bill; then time decides, and among equals who was known first.
    ordered = sorted(records, key=lambda one: (one.part is None, one.part or 0, one.moment, one.id))
    in_turn = sorted(allowances, key=lambda allowance: (allowance.sequence, allowance.id))
    left = [to_micro(Fraction(allowance.quantity) * size * share) for allowance in in_turn]
    uncovered, covered = {}, {}
    for record in ordered:
        need = record.rating.billed_quantity
        for position, allowance in enumerate(in_turn):
            if not allowance.destinations or record.rating.rate.destination in allowance.destinations:
                taken = min(need, left[position])
                left[position] -= taken
                need -= taken
        uncovered[record.id] = need
        covered[record.id] = record.rating.billed_quantity - need

    amounts, fees = {}, {}
    used = {}  # of each destination group, what came before in this period and was not included
    whole = {}  # of each destination group, all that was not included
    before = {}  # of that, what was billed earlier
    for record in ordered:
        group = record.rating.rate.destination
        whole[group] = whole.get(group, NOTHING) + uncovered[record.id]
        if record.part is not None:
            before[group] = whole[group]
    bounds = {
        group: [(to_micro(Fraction(above) * size * share), price) for above, price in sorted(tiers)]
        for group, (_mode, tiers) in plan.tiers.items()
    }
    for record in ordered:
        rate = record.rating.rate
        group = rate.destination
        mode = plan.tiers[group][0] if group in plan.tiers else "none"
        quantity = uncovered[record.id]
        if mode == "graduated":
            cost = graduated(used.get(group, NOTHING), quantity, bounds[group], rate.price)
        elif mode == "volume":
            cost = Fraction(quantity) * Fraction(volume_price(whole[group], bounds[group], rate.price))
        else:
            cost = Fraction(quantity) * Fraction(rate.price)
        used[group] = used.get(group, NOTHING) + quantity
        if record.part is None:
            fees[record.id] = record.fee(quantity)
            amounts[record.id] = to_micro(Fraction(fees[record.id]) + cost / size)

    adjustments = {}
    for group, sum_before in before.items():
        mode = plan.tiers[group][0] if group in plan.tiers else "none"
        if mode != "volume" or not sum_before:
            continue
        if tiers_reached(sum_before, bounds[group]) == tiers_reached(whole[group], bounds[group]):
            continue
        earlier = [one for one in ordered if one.part is not None and one.rating.rate.destination == group]
        was = sum((one.amount - one.fee(uncovered[one.id]) for one in earlier), NOTHING) + (settled or {}).get(group, 0)
        price = volume_price(whole[group], bounds[group], NOTHING)
        adjustments[group] = Fraction(sum_before) * Fraction(price) / size - Fraction(was)
    return PeriodResult(amounts, {one: covered[one] for one in amounts}, fees, adjustments)


def graduated(before: Decimal, quantity: Decimal, bounds: list[tuple[Decimal, Decimal]], price: Decimal) -> Fraction:
    """Each part of what follows `before` at the price of its tier; below the first tier, at the rate's own price."""
    total = Fraction(0)
    edges = [(NOTHING, price), *bounds]
    for position, (above, tier_price) in enumerate(edges):
        upper = edges[position + 1][0] if position + 1 < len(edges) else None
        first = max(before, above)
        last = before + quantity if upper is None else min(before + quantity, upper)
        if last > first:
            total += Fraction(last - first) * Fraction(tier_price)
    return total


def volume_price(whole: Decimal, bounds: list[tuple[Decimal, Decimal]], price: Decimal) -> Decimal:
    """The price of the last tier that begins below the sum: exactly on a bound is not above it yet. Below the first
    tier, the rate's own price.
    """
    reached = tiers_reached(whole, bounds)
    return bounds[reached - 1][1] if reached else price


def tiers_reached(whole: Decimal, bounds: list[tuple[Decimal, Decimal]]) -> int:
    return len([above for above, _price in bounds if whole > above])


# -- one rounding -----------------------------------------------------------------------------------------------------


def bill_total(amounts: list[Decimal], rounding: Decimal = Decimal("0.01")) -> Decimal:
    """The exact amounts, summed up and then rounded, once, half away from zero."""
    return round_half_away(Fraction(sum(amounts, NOTHING)), rounding)


def largest_remainder(amounts: list[Decimal], rounding: Decimal = Decimal("0.01")) -> list[Decimal]:
    """A share of `bill_total` for each of these amounts, in their order, none further off than one smallest coin.

    Each is rounded down (towards minus infinity); the coins that are then missing go to the largest remainders, among
    equals to the first.
    """
    total = bill_total(amounts, rounding)
    coins = [Fraction(amount) // Fraction(rounding) for amount in amounts]
    missing = Fraction(total) / Fraction(rounding) - sum(coins)
    remainders = [Fraction(amount) / Fraction(rounding) - coin for amount, coin in zip(amounts, coins, strict=True)]
    by_remainder = sorted(range(len(amounts)), key=lambda position: (-remainders[position], position))
    for position in by_remainder[: int(missing)]:
        coins[position] += 1
    return [coin * rounding for coin in coins]


def up_to_minimum(minimum: Decimal, share: Fraction, billed: Decimal, rounding: Decimal = Decimal("0.01")) -> Decimal:
    """What is missing to the minimum spend of a period that is over. `billed`: the rounded total of its bills."""
    return max(round_half_away(Fraction(minimum) * share, rounding) - billed, NOTHING)


def calendar_month(day: date) -> tuple[date, date]:
    """The rating period of usage without a subscription."""
    first = day.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)
