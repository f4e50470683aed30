"""A world of usage that chance made up: in the database, and beside it as the reference knows it."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from odoo import Command

from . import reference as ref

D = Decimal
NOTHING = D(0)
MICRO = D("0.000001")
UTC = ZoneInfo("UTC")
ONE_SECOND = timedelta(seconds=1)
BANDS = (*[("any",)] * 5, ("peak", "off_peak"), ("peak", "off_peak"), ("peak",), ("off_peak",))
# Far east and west of each other, half and quarter hours, summer time that begins in other weeks, or by half an hour.
ZONES = (
    "UTC",
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/St_Johns",
    "America/Los_Angeles",
    "Asia/Tokyo",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
)
FIRST, LAST = date(2026, 2, 20), date(2026, 4, 5)
# The nights in which clocks change in some of these zones.
NIGHTS = (date(2026, 3, 8), date(2026, 3, 29), date(2026, 4, 5))
ROOTS = ("1", "12", "44", "49", "4930", "81", "886", "de:11", "de:110", "us:9")
KEYS = ("Support", "support plus", "SENIOR", "Junior", "api.call", "GB-EU", "disk", "49", "de:110")
WORDS = ("anonymous", "un known", "de:110x", "supporting", "*21#")
UNITS = {"time": ("second", "minute", "hour"), "data": ("mb", "gb"), "count": ("piece",)}
BASES = {"time": "second", "data": "mb", "count": "piece"}


class World:
    """:param dice: an instance of `random.Random`: the same seed makes the same world"""

    PLANS = 32
    CLIENTS = 40
    PACKAGES = 26
    NUMBERS = 90

    def __init__(self, env, product, dice):
        self.env, self.product, self.dice = env, product, dice
        self.company = env.company
        self.company_tz = dice.choice(ZONES)
        self.company.partner_id.sudo().tz = self.company_tz
        self.currencies = self.company.currency_id | self._currency("EUR") | self._currency("JPY")
        self.handed_in = 0
        self.destination_names = {}
        self.plans = self._make_plans()
        self._make_rates(self.plans)
        self.sources = self._make_sources()
        self.clients = self._make_clients()
        self.packages = self._make_packages()
        self.subscriptions = self._make_subscriptions()
        self._make_accounts()

    def _currency(self, name):
        currency = self.env.ref(f"base.{name}")
        currency.sudo().active = True
        return currency

    # -- chance -------------------------------------------------------------------------------------------------------

    def often(self, share):
        return self.dice.random() < share

    def day(self):
        return FIRST + timedelta(days=self.dice.randint(0, (LAST - FIRST).days))

    def price(self):
        return self.dice.choice(
            (
                D(0),
                D("0.000005"),
                D("0.00003"),
                D(self.dice.randrange(10_000)).scaleb(-2),
                D(self.dice.randrange(3_000_000)).scaleb(-8),
                D(self.dice.randrange(300_000_000)).scaleb(-8),
            )
        )

    def length(self, even):
        """A minimum or a step."""
        if even:
            return D(60 * self.dice.randint(0, 3))
        return self.dice.choice(
            (D(0), D(0), D(1), D(6), D(30), D(60), D("0.3"), D("0.7"), D("17.5"), D("1.000001"), self.fraction(100))
        )

    def fraction(self, most):
        return D(self.dice.randrange(1, most * 1_000_000)).scaleb(-6)

    # -- plans --------------------------------------------------------------------------------------------------------

    def _make_plans(self):
        plans = []
        for _number in range(self.PLANS):
            measure = self.dice.choice(("time",) * 6 + ("data", "count"))
            half_hours = sorted(self.dice.sample(range(49), 2))
            borders = self.dice.choice(
                ([8, 18], [0, 24], [half / 2 for half in half_hours], [8 + self.dice.randrange(1, 60) / 60, 20])
            )
            plan = ref.Plan(
                [],
                self.dice.choice(UNITS[measure]),
                self.dice.choice(ZONES),
                float(borders[0]),
                float(borders[1]),
                self.often(0.3),
            )
            plan.kind = "phone" if measure == "time" and self.often(0.7) else "key"
            plan.even = self.often(0.4)
            plan.currency = self.dice.choice(self.currencies)
            plans.append(plan)
        records = self.env["billing.rate.plan"].create(
            [
                {
                    "name": f"Plan {number}",
                    "product_id": self.product.id,
                    "kind": plan.kind,
                    "currency_id": plan.currency.id,
                    **self._plan_values(plan),
                }
                for number, plan in enumerate(plans)
            ]
        )
        for plan, record in zip(plans, records, strict=True):
            plan.id = record.id
        self._make_groups(plans)
        return plans

    @staticmethod
    def _plan_values(plan):
        return {fname: getattr(plan, fname) for fname in ("unit", "tz", "peak_from", "peak_until", "peak_weekend")}

    def _make_groups(self, plans):
        vals_list, tiers = [], []
        for plan in plans:
            for number in range(self.dice.randint(2, 5)):
                mode = self.dice.choice(("none", "graduated", "volume"))
                bounds = self.dice.sample(range(self.dice.choice((60, 400))), self.dice.randint(0, 4))
                above = [D(bound) * 60 if plan.even else D(bound) * 60 + self.fraction(60) for bound in bounds]
                size = ref.SIZES[plan.unit]
                tiers.append((plan, mode, [((one / size).quantize(MICRO), self.price()) for one in above]))
                # Names in no order, lest the order of groups be that of their ids.
                name = f"{self.dice.randrange(100)} of {number}"
                vals_list.append({"plan_id": plan.id, "name": name, "tier_mode": mode})
        groups = self.env["billing.rate.destination"].create(vals_list)
        self.env["billing.rate.tier"].create(
            [
                {"destination_id": group.id, "above": float(above), "price_unit": float(price)}
                for group, (_plan, _mode, of_group) in zip(groups, tiers, strict=True)
                for above, price in of_group
            ]
        )
        for group, (plan, mode, of_group) in zip(groups, tiers, strict=True):
            plan.tiers[str(group.id)] = (mode, of_group)
            self.destination_names[str(group.id)] = group.name

    def _make_rates(self, plans, count=24):
        """So many prefixes or keys for each, in force on days and at hours with gaps between them."""
        made = []
        for plan in plans:
            known = {rate.prefix.lower() for rate in plan.rates}
            for prefix in sorted(one for one in self._prefixes(plan, count) if one.lower() not in known):
                for first, last in self._days():
                    for band in self.dice.choice(BANDS):
                        rate = ref.Rate(prefix, self.price(), self.dice.choice(list(plan.tiers)))
                        rate.fee = self.dice.choice((D(0), self.price()))
                        rate.minimum, rate.step = self.length(plan.even), self.length(plan.even)
                        if plan.even:
                            rate.step = rate.step or D(60)
                        rate.first, rate.last, rate.band = first, last, band
                        made.append((plan, rate))
        records = self.env["billing.rate"].create(
            [
                dict(self._rate_values(rate), plan_id=plan.id, destination_id=int(rate.destination))
                for plan, rate in made
            ]
        )
        for (plan, rate), record in zip(made, records, strict=True):
            rate.id = record.id
            plan.rates.append(rate)

    @staticmethod
    def _rate_values(rate):
        return {
            "prefix": rate.prefix,
            "price_unit": float(rate.price),
            "connection_fee": float(rate.fee),
            "minimum": float(rate.minimum),
            "step": float(rate.step),
            "date_from": rate.first or False,
            "date_until": rate.last or False,
            "band": rate.band,
        }

    def _prefixes(self, plan, count):
        """Some of which are the beginning of others."""
        if plan.kind == "key":
            found = set(self.dice.sample(KEYS, min(count, self.dice.randint(3, len(KEYS)))))
        else:
            found = set(self.dice.sample(ROOTS, self.dice.randint(1, 5)))
            while len(found) < count:
                before = self.dice.choice(sorted(found))
                found.add(before[:12] + "".join(self.dice.choices("0123456789", k=self.dice.choice((1, 1, 2, 3)))))
        if self.often(0.85):
            found.add("*")
        return found

    def _days(self):
        """Days from and until, one after the other, with a gap where the next one begins later than the day after."""
        spans = []
        first = None if self.often(0.8) else self.day()
        for border in sorted({self.day() for _number in range(self.dice.choice((0, 0, 1, 2)))}):
            if first is None or first <= border:
                spans.append((first, border))
                first = border + timedelta(days=self.dice.choice((1, 1, 1, 2, 5)))
        if self.often(0.8):
            spans.append((first, None))
        return [span for span in spans if self.often(0.95)]

    # -- who ----------------------------------------------------------------------------------------------------------

    def _plan_or_none(self, share, measure="time", kind="phone"):
        """Mostly one for what is asked for."""
        fitting = [plan for plan in self.plans if (ref.MEASURES[plan.unit], plan.kind) == (measure, kind)]
        return self.dice.choice(fitting if fitting and self.often(0.93) else self.plans) if self.often(share) else None

    def _subscription_or_none(self, client, measure):
        fitting = [
            one
            for one in client.subscriptions
            if self.often(0.1)
            or all(not phase.package.plan or ref.MEASURES[phase.package.plan.unit] == measure for phase in one.phases)
        ]
        return self.dice.choice(fitting) if fitting and self.often(0.9) else None

    def _make_sources(self):
        sources = []
        for number, (kind, unit, tz, country, with_country) in enumerate(
            (
                ("phone", "second", "Europe/Berlin", "de", False),
                ("phone", "minute", "UTC", "us", True),
                ("key", "hour", "America/New_York", "de", False),
                ("key", "gb", "UTC", "de", False),
                ("key", "piece", "Asia/Tokyo", "de", False),
            )
        ):
            measure = ref.MEASURES[unit]
            # Who calls by the second one has a plan, or is not rated.
            plan = self._plan_or_none(0.0 if number == 1 else 0.9, measure, kind)
            source = ref.Source(kind, unit, plan, tz=self.company_tz)
            source.reads_tz, source.with_country, source.country, source.measure = tz, with_country, country, measure
            source.record = self.env["billing.usage.source"].create(
                {
                    "name": f"Source {number}",
                    "code": f"random-{number}",
                    "kind": kind,
                    "unit": unit,
                    "tz": tz,
                    "country_id": self.env.ref(f"base.{country}").id,
                    "with_country": with_country,
                    "rate_plan_id": source.plan.id if source.plan else False,
                }
            )
            source.id = source.record.id
            sources.append(source)
        return sources

    def _make_clients(self):
        zones = [None if self.often(0.2) else self.dice.choice(ZONES) for _number in range(self.CLIENTS)]
        clients = [ref.Client(tz or self.company_tz, self._plan_or_none(0.4)) for tz in zones]
        partners = (
            self.env["res.partner"]
            .sudo()
            .create(
                [
                    {
                        "name": f"Client {number}",
                        "is_company": True,
                        "ref": f"C-{number}",
                        "tz": tz or False,
                        "billing_rate_plan_id": client.plan.id if client.plan else False,
                        "billing_usage_grouping": self.dice.choice((False, "destination", "day", "none")),
                    }
                    for number, (client, tz) in enumerate(zip(clients, zones, strict=True))
                ]
            )
        )
        people = self.env["res.partner"].sudo().create([{"name": "Jo", "parent_id": one.id} for one in partners])
        for client, partner, person, tz in zip(clients, partners, people, zones, strict=True):
            client.id, client.partner, client.has_tz = partner.id, partner.with_env(self.env), bool(tz)
            client.names = (partner.ref, str(partner.id), str(person.id))
            client.subscriptions = []
        return clients

    def _make_packages(self):
        packages = []
        for _number in range(self.PACKAGES):
            package = ref.Package(self._plan_or_none(0.85))
            package.proration = self.dice.choice(("day", "none"))
            package.interval = self.dice.choice(("month", "month", "week"))
            if package.plan:
                package.minimum = D(self.dice.choice((0, 0, 5, 33, 1000)))
                package.allowances = [self._allowance(package.plan) for _one in range(self.dice.choice((0, 1, 2, 3)))]
            packages.append(package)
        records = self.env["billing.package"].create(
            [
                {
                    "name": f"Package {number}",
                    "product_id": self.product.id,
                    "price_unit": 1,
                    "rate_plan_id": package.plan.id if package.plan else False,
                    "proration": package.proration,
                    "interval_unit": package.interval,
                    "usage_minimum": float(package.minimum),
                }
                for number, package in enumerate(packages)
            ]
        )
        pairs = [
            (package, record, one)
            for package, record in zip(packages, records, strict=True)
            for one in package.allowances
        ]
        allowances = self.env["billing.package.allowance"].create(
            [
                {
                    "package_id": record.id,
                    "name": "Included",
                    "sequence": one.sequence,
                    "quantity": float(one.quantity),
                    "destination_ids": [Command.set([int(group) for group in one.destinations])],
                }
                for _package, record, one in pairs
            ]
        )
        for package, record in zip(packages, records, strict=True):
            package.id = record.id
        for (_package, _record, one), allowance in zip(pairs, allowances, strict=True):
            one.id = allowance.id
        return packages

    def _allowance(self, plan):
        base = D(60 * self.dice.randint(1, 200)) if plan.even else self.fraction(9000)
        quantity = max((base / ref.SIZES[plan.unit]).quantize(MICRO), MICRO)
        groups = self.dice.sample(list(plan.tiers), self.dice.choice((0, 1, 1, 2)))
        return ref.Allowance(quantity, frozenset(groups), self.dice.choice((1, 2, 10)))

    def _make_subscriptions(self):
        subscriptions, vals_list = [], []
        for number in range(self.CLIENTS):
            client = self.dice.choice(self.clients)
            start = self.dice.choice((date(2026, 1, 15), date(2026, 2, 1), self.day(), self.day()))
            days = sorted({start} | {start + timedelta(days=self.dice.randint(1, 60)) for _n in range(2)})
            anchors = {"month": date(2025, 12, self.dice.choice((1, 1, 15, 31))), "week": start}
            trial_end = start + timedelta(days=self.dice.randint(0, 20)) if self.often(0.15) else None
            end = max(start, self.day()) if self.often(0.2) else None
            phases = []
            for day in days[: self.dice.choice((1, 1, 2, 3))]:
                package = self.dice.choice(self.packages)
                phases.append(ref.Phase(day, package, anchors[package.interval]))
            subscription = ref.Subscription(client, phases, end, trial_end)
            subscriptions.append(subscription)
            client.subscriptions.append(subscription)
            vals_list.append(
                {
                    "partner_id": client.id,
                    "reference": f"S-{number}",
                    "date_start": start,
                    "date_end": end or False,
                    "trial_end": trial_end or False,
                    "phase_ids": [
                        Command.create(
                            {"date_from": phase.first, "package_id": phase.package.id, "anchor_date": phase.anchor}
                        )
                        for phase in phases
                    ],
                }
            )
        records = self.env["billing.subscription"].create(vals_list)
        for subscription, record in zip(subscriptions, records, strict=True):
            subscription.id = record.id
            subscription.names = (record.reference, str(record.id))
        return subscriptions

    def _make_accounts(self):
        """Numbers that change hands, some of them to nobody for a while."""
        made, self.numbers = [], {source.id: [] for source in self.sources}
        for number in range(self.NUMBERS):
            source = self._source()
            key = f"4930{number:07}" if source.kind == "phone" else f"Key-{number}"
            self.numbers[source.id].append(key)
            for first, last in self._days() or [(None, None)]:
                account = self._account(source, key, first, last)
                source.accounts.append(account)
                made.append((source, account))
        records = self.env["billing.usage.account"].create(
            [self._account_values(source, account) for source, account in made]
        )
        for (_source, account), record in zip(made, records, strict=True):
            account.id = record.id

    def _account(self, source, number, first, last):
        client = self.dice.choice(self.clients)
        subscription = self._subscription_or_none(client, source.measure)
        # Clients and packages have plans for calls, mostly.
        plan = self._plan_or_none(0.2 if source.kind == "phone" else 0.7, source.measure, source.kind)
        return ref.Account(number, client, subscription, plan, first, last)

    @staticmethod
    def _account_values(source, account):
        return {
            "source_id": source.id,
            "key": f"+{account.number}" if source.kind == "phone" else account.number,
            "partner_id": account.client.id,
            "subscription_id": account.subscription.id if account.subscription else False,
            "rate_plan_id": account.plan.id if account.plan else False,
            "date_from": account.first or False,
            "date_until": account.last or False,
        }

    # -- usage --------------------------------------------------------------------------------------------------------

    def hand_in(self, count):
        """So many records by the API. Returns them as the reference knows them: `[(source, record)]`."""
        batches, found = {}, {}
        for _number in range(count):
            source = self._source()
            record = self._record(source)
            self.handed_in += 1
            name = f"r{self.handed_in}"
            batches.setdefault(source.record, []).append(dict(self._raw(source, record), id=name))
            found[source.id, name] = source, record
        for source, rows in batches.items():
            for first in range(0, len(rows), 10_000):
                answer = self.env["billing.usage"].ingest(source.code, rows[first : first + 10_000])
                if answer["rejected"] or answer["duplicates"]:
                    raise AssertionError(f"Not taken in: {answer['rejected'][:5]}")
        self.env.cr.execute(
            "SELECT id, source_id, external_id FROM billing_usage WHERE source_id IN %s", [tuple(self._source_ids())]
        )
        known = self.env.cr.fetchall()
        # Within this transaction nobody else tells the planner how many there are.
        self.env.cr.execute("ANALYZE billing_usage, billing_rate, billing_usage_account")
        for id_, source_id, name in known:
            if (source_id, name) in found:
                found[source_id, name][1].id = id_
        return list(found.values())

    def _source(self):
        return self.dice.choices(self.sources, (4, 3, 3, 1, 1))[0]

    def _source_ids(self):
        return [source.id for source in self.sources]

    def _record(self, source):
        record = ref.Record(0, None, "", NOTHING)
        account, subscription, client = None, None, None
        way = self.dice.random()
        if way < 0.84:
            # Some use much more than others: their periods reach one tier after the other.
            account = self.dice.choice(source.accounts[: 4 if self.often(0.3) else None])
            record.number, client, subscription = account.number, account.client, account.subscription
        elif way < 0.86:
            record.number = f"4940{self.dice.randrange(10)}"
        elif way < 0.93:
            record.client = client = self.dice.choice(self.clients)
        else:
            client = self.dice.choice(self.clients)
            record.subscription = subscription = self._subscription_or_none(client, source.measure)
            record.client = None if subscription else client
        packages = [phase.package.plan for phase in subscription.phases] if subscription else []
        plans = [account and account.plan, *packages, client and client.plan, source.plan]
        plans = [plan for plan in plans if plan] or self.plans
        # That which probably counts, or one that would if it had a say.
        plan = plans[0] if self.often(0.8) else self.dice.choice(plans)
        rate = self.dice.choice(plan.rates) if plan.rates else None
        record.moment = self._moment(source, account, client, plan, rate)
        record.destination = self._destination(source, rate)
        record.quantity = self._quantity(plan, rate)
        return record

    def _moment(self, source, account, client, plan, rate):
        """Half of them at random, half where it matters: midnight, peak hours, the first and last day of something."""
        of_number = [one for one in source.accounts if account and one.number == account.number]
        if self.often(0.5):
            first = max(account.first or FIRST, FIRST) if account else FIRST
            last = max(first, min(account.last or LAST, LAST)) if account else LAST
            seconds = self.dice.randrange(((last - first).days + 1) * 86400)
            moment = datetime.combine(first, time()) + timedelta(seconds=seconds)
            # Several at the same moment.
            return moment.replace(minute=moment.minute // 20 * 20, second=0) if self.often(0.3) else moment
        days = [self.day(), self.dice.choice(NIGHTS)]
        days += [day for one in of_number for day in (one.first, one.last) if day]
        days += [day for day in (rate.first, rate.last) if day] if rate else []
        second = self.dice.choice((0, 86399, 7200, round(plan.peak_from * 3600), round(plan.peak_until * 3600)))
        local = datetime.combine(self.dice.choice(days), time()) + timedelta(seconds=second)
        local -= self.dice.choice((0, 0, 1)) * ONE_SECOND
        zone = ZoneInfo(self.dice.choice((client.tz if client else "UTC", plan.tz, self.company_tz)))
        return local.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None)

    def _destination(self, source, rate):
        if self.often(0.03):
            return self.dice.choice(WORDS)
        if source.kind == "key":
            key = rate.prefix if rate and rate.prefix != "*" and self.often(0.9) else self.dice.choice((*KEYS, ""))
            return self.dice.choice((key, key.upper(), key.lower()))
        prefix = rate.prefix if rate else "*"
        if not ref.NUMBER.fullmatch(prefix) or self.often(0.1):
            prefix = self.dice.choice(ROOTS)
        if ":" in prefix:
            # Only these are known to be numbers of that country alone, and not the beginning of others.
            return self.dice.choice(("de:110", "de:112")) if source.country == "de" else "1202555"
        more = self.dice.choice((-1, 0, 0, 1, 2, 5))
        number = prefix[:more] if more < 0 else prefix + "".join(self.dice.choices("0123456789", k=more))
        return number[:15] or prefix

    def _quantity(self, plan, rate):
        if rate is None or self.often(0.2):
            return self.dice.choice((D(0), MICRO, D(1), D(60), D(self.dice.randrange(1, 4000)), self.fraction(3000)))
        steps = rate.minimum + self.dice.randrange(4) * (rate.step or 1)
        quantity = steps + self.dice.choice((NOTHING, NOTHING, MICRO, -MICRO, self.fraction(90)))
        return max(quantity, NOTHING)

    # -- as somebody would write it -----------------------------------------------------------------------------------

    def _raw(self, source, record):
        raw = {"moment": self._written_moment(source, record.moment), "destination": record.destination}
        if source.kind == "phone" and record.destination not in WORDS:
            raw["destination"] = self._written_number(source, record.destination)
        if record.number:
            raw["account"] = record.number
            if source.kind == "phone":
                raw["account"] = self._written_number(source, record.number)
            elif self.often(0.5):
                raw["account"] = record.number.upper()
        if record.client:
            raw["client"] = self.dice.choice(record.client.names)
        if record.subscription:
            raw["subscription"] = self.dice.choice(record.subscription.names)
        unit = self.dice.choice(UNITS[source.measure])
        quantity = record.quantity / ref.SIZES[unit]
        if quantity * ref.SIZES[unit] != record.quantity or -quantity.as_tuple().exponent > 20:
            unit, quantity = BASES[source.measure], record.quantity
        raw["quantity"] = int(quantity) if quantity == int(quantity) else str(quantity)
        if unit != source.unit or self.often(0.2):
            raw["unit"] = unit
        return raw

    def _written_number(self, source, number):
        if ":" in number:
            return number.partition(":")[2]
        ways = ["+" + number, "00" + number, f"+{number[:2]} {number[2:]}"]
        if source.with_country:
            ways.append(number)
        elif number.startswith("4930") and len(number) == 11:
            ways.append("0" + number[2:])
        return self.dice.choice(ways)

    def _written_moment(self, source, moment):
        ways = [f"{moment.isoformat()}Z"]
        there = moment.replace(tzinfo=UTC).astimezone(ZoneInfo(self.dice.choice(ZONES)))
        ways.append(there.isoformat())
        # Without a zone it is the source's; of the hour that comes twice, the second one.
        local = moment.replace(tzinfo=UTC).astimezone(ZoneInfo(source.reads_tz)).replace(tzinfo=None)
        meant = local.replace(tzinfo=ZoneInfo(source.reads_tz), fold=1).astimezone(UTC).replace(tzinfo=None)
        if meant == moment:
            ways.append(local.isoformat(self.dice.choice("T ")))
        return self.dice.choice(ways)

    # -- other plans, numbers and zones -------------------------------------------------------------------------------

    def change(self, billed_rates=(), billed_plans=()):
        """Change some of everything, as people do. What was billed by a rate or plan, by their ids, keeps its terms."""
        self._change_rates([rate for plan in self.plans for rate in plan.rates if rate.id not in billed_rates])
        self._make_rates(self.dice.sample(self.plans, 6), count=6)
        self._change_plans([plan for plan in self.plans if plan.id not in billed_plans])
        for client in self.dice.sample(self.clients, 3):
            client.plan = self._plan_or_none(0.7)
            values = {"billing_rate_plan_id": client.plan.id if client.plan else False}
            if client.has_tz:
                client.tz = values["tz"] = self.dice.choice(ZONES)
            client.partner.sudo().write(values)
        self._change_accounts()
        self._change_packages()
        self._change_company_zone()
        source = self.dice.choice(self.sources)
        source.plan = self._plan_or_none(0.8, source.measure, source.kind)
        source.record.rate_plan_id = source.plan.id if source.plan else False

    def _change_packages(self):
        """Another plan for one that includes nothing of the plan that it has."""
        free = [one for one in self.packages if not one.allowances and not one.minimum]
        for package in self.dice.sample(free, min(1, len(free))):
            package.plan = None if package.plan and self.often(0.3) else self.dice.choice(self.plans)
            self.env["billing.package"].browse(package.id).rate_plan_id = package.plan.id if package.plan else False

    def _change_company_zone(self):
        self.company_tz = self.company.partner_id.sudo().tz = self.dice.choice(ZONES)
        for source in self.sources:
            source.tz = self.company_tz
        for client in self.clients:
            if not client.has_tz:
                client.tz = self.company_tz

    def _change_rates(self, rates):
        all_rates = self.env["billing.rate"]
        for number, rate in enumerate(self.dice.sample(rates, min(12, len(rates)))):
            record = all_rates.browse(rate.id)
            if number < 3:
                next(plan for plan in self.plans if rate in plan.rates).rates.remove(rate)
                record.unlink()
                continue
            if number < 6:
                rate.last = max(rate.first or FIRST, min(rate.last or LAST, self.day()))
            elif number < 9 and rate.band == "any":
                rate.band = self.dice.choice(("peak", "off_peak"))
            else:
                rate.price, rate.fee, rate.step = self.price(), self.price(), self.length(False)
            record.write({k: v for k, v in self._rate_values(rate).items() if k != "prefix"})

    def _change_plans(self, unbilled):
        for plan in self.dice.sample(self.plans, 3):
            plan.tz, plan.peak_weekend = self.dice.choice(ZONES), not plan.peak_weekend
            plan.peak_from, plan.peak_until = float(self.dice.randrange(8)), 8 + self.dice.randrange(33) / 2
            self.env["billing.rate.plan"].browse(plan.id).write(self._plan_values(plan))
        if unbilled:
            # Of another measure, or not: there may be nothing to rate by it any more.
            plan = self.dice.choice(unbilled)
            plan.unit = self.dice.choice(("second", "minute", "gb", "piece"))
            self.env["billing.rate.plan"].browse(plan.id).unit = plan.unit

    def _change_accounts(self):
        """Somebody else's, given back, taken away altogether; and what was nobody's becomes somebody's."""
        accounts = self.env["billing.usage.account"]
        pairs = [(source, account) for source in self.sources for account in source.accounts]
        for number, (source, account) in enumerate(self.dice.sample(pairs, 6)):
            if number == 0:
                accounts.browse(account.id).unlink()
                source.accounts.remove(account)
                continue
            if number < 3:
                account.last = max(account.first or FIRST, min(account.last or LAST, self.day()))
            else:
                other = self._account(source, account.number, account.first, account.last)
                account.client, account.subscription, account.plan = other.client, other.subscription, other.plan
            accounts.browse(account.id).write(self._account_values(source, account))
        source = self.dice.choice(self.sources)
        account = self._account(source, f"4940{self.dice.randrange(10)}", None, None)
        if all(other.number != account.number for other in source.accounts):
            account.id = accounts.create(self._account_values(source, account)).id
            source.accounts.append(account)
