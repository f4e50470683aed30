"""Which periods does a subscription consist of, and what share of a price falls on some days of one?

Plain arithmetic of calendar days, no environment. A day is the client's own day, so neither zones nor daylight-saving
time touch what follows: every day belongs to exactly one period, and so does every moment, by the day it falls on.
"""

from calendar import monthrange
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

MONTHS = {"month": 1, "quarter": 3, "year": 12}
DAYS = {"day": 1, "week": 7}
ONE_DAY = timedelta(days=1)


class Grid(NamedTuple):
    """Periods of the same interval in both directions of time; period 0 starts on the anchor."""

    anchor: date
    unit: str
    count: int = 1

    def start(self, number: int) -> date:
        """The first day of period `number`.

        Always counted from the anchor: from the end of January it goes to the end of February, and back to the 31st in
        March, which counting from the period before would not.
        """
        if self.unit in DAYS:
            return self.anchor + timedelta(days=DAYS[self.unit] * self.count * number)
        return add_months(self.anchor, MONTHS[self.unit] * self.count * number)

    def number(self, day: date) -> int:
        """The number of the period that holds `day`."""
        if self.unit in DAYS:
            return (day - self.anchor).days // (DAYS[self.unit] * self.count)
        months = (day.year - self.anchor.year) * 12 + day.month - self.anchor.month
        number = months // (MONTHS[self.unit] * self.count)
        return number if self.start(number) <= day else number - 1

    def period(self, day: date) -> tuple[date, date]:
        """First and last day of the period that holds `day`."""
        number = self.number(day)
        return self.start(number), self.start(number + 1) - ONE_DAY


class Phase(NamedTuple):
    """What is agreed from a day on, until the next phase. Without a grid it is one single period."""

    start: date
    grid: Grid | None
    terms: Any


class Segment(NamedTuple):
    """Days of a period, both included, on which the same is agreed."""

    first: date
    last: date
    terms: Any


class Period(NamedTuple):
    """The days that are billed together, both included, and the whole period of the grid that they are a part of."""

    first: date
    last: date
    whole_first: date
    whole_last: date
    segments: tuple[Segment, ...]

    @property
    def is_whole(self) -> bool:
        return (self.first, self.last) == (self.whole_first, self.whole_last)


def add_months(day: date, months: int) -> date:
    """The same day of the month so many months later, or that month's last day where it is shorter."""
    return _in_month(day.year * 12 + day.month - 1 + months, day.day)


def _in_month(month: int, day_of_month: int) -> date:
    """That day, or the last one, of a month counted from year 0."""
    year, index = divmod(month, 12)
    return date(year, index + 1, min(day_of_month, monthrange(year, index + 1)[1]))


def anchor_before(start: date, day_of_month: int, unit: str = "month", count: int = 1) -> date:
    """An anchor whose grid has a period begin on that day of the month, on `start` or less than a month before.

    An anchor remembers its day, so a month that has that day is looked for, whole intervals back: the 31st is the last
    day of February for February only. Weeks and days know no day of the month: they begin with `start`.
    """
    if unit in DAYS:
        return start
    month = start.year * 12 + start.month - 1
    if _in_month(month, day_of_month) > start:
        month -= 1
    # The 29th of a February that comes once a year may be eight years back; the 30th never comes.
    candidates = [_in_month(month - back * MONTHS[unit] * count, day_of_month) for back in range(9)]
    return max(candidates, key=lambda candidate: candidate.day)


def periods(phases: Iterable[Phase], until: date, end: date | None = None) -> Iterator[Period]:
    """The periods of a subscription that begin on or before `until`, one after the other.

    They cover every day from the start of the first phase, each once, to the end of the last period. A period ends
    where its grid has the next one begin; sooner where a phase with another grid begins, and on the day `end`.

    :param phases: in the order of their starts, no two on the same day
    :param end: the last day of all, included
    """
    phases = [phase for phase in phases if end is None or phase.start <= end]
    runs: list[list[Phase]] = []
    for phase in phases:
        if runs and phase.grid is not None and runs[-1][-1].grid == phase.grid:
            runs[-1].append(phase)
        else:
            runs.append([phase])
    for position, run in enumerate(runs):
        following = runs[position + 1][0].start - ONE_DAY if position + 1 < len(runs) else end
        yield from _periods_of_run(run, until, following)


def _periods_of_run(run: list[Phase], until: date, last: date | None) -> Iterator[Period]:
    """The periods of consecutive phases that share a grid, up to the day `last`."""
    grid, first = run[0].grid, run[0].start
    while first <= until and (last is None or first <= last):
        if grid is not None:
            whole_first, whole_last = grid.period(first)
        elif last is not None:
            whole_first, whole_last = first, last
        else:
            raise ValueError("A phase without a grid needs an end.")
        until_day = whole_last if last is None else min(whole_last, last)
        yield Period(first, until_day, whole_first, whole_last, _segments(run, first, until_day))
        first = until_day + ONE_DAY


def _segments(run: list[Phase], first: date, last: date) -> tuple[Segment, ...]:
    starts = [*(phase.start for phase in run[1:]), None]
    segments: list[Segment] = []
    for phase, following in zip(run, starts, strict=True):
        begin = max(first, phase.start)
        close = last if following is None else min(last, following - ONE_DAY)
        if begin > close:
            continue
        if segments and segments[-1].terms == phase.terms:
            begin = segments.pop().first
        segments.append(Segment(begin, close, phase.terms))
    return tuple(segments)


def share(total, whole_first: date, whole_last: date, first: date, last: date, rounding) -> Decimal:
    """What of `total`, the price of a whole period, falls on the days from `first` to `last`, both included.

    Rounded cumulatively: what is due up to `last` less what is due before `first`. However the period is cut, its parts
    sum up to the whole.

    :param rounding: the smallest amount of the currency
    """
    total, step = exact(total), exact(rounding)
    days = (whole_last - whole_first).days + 1

    def due_before(day: date) -> Decimal:
        return _rounded(Fraction(total) * (day - whole_first).days / days, step)

    return due_before(last + ONE_DAY) - due_before(first)


def exact(number) -> Decimal:
    """The number as it is written: a float of 0.1 means a tenth."""
    return number if isinstance(number, Decimal) else Decimal(str(number))


def _rounded(amount: Fraction, step: Decimal) -> Decimal:
    """Half a step goes away from zero, so that a credit is the mirror of its charge."""
    steps = abs(amount) / Fraction(step)
    whole = int(steps + Fraction(1, 2))
    return Decimal(whole if amount >= 0 else -whole) * step
