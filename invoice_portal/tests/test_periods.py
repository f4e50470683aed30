from datetime import date, datetime, timedelta
from decimal import Decimal

import pytz
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from odoo.tests import BaseCase, tagged

from ..tools.local_time import local_date
from ..tools.periods import DAYS, MONTHS, Grid, Phase, anchor_before, periods, share

DAY = timedelta(days=1)
# The same examples on every run: a failure is a failure for everybody.
settings.register_profile("billing", derandomize=True, deadline=None, max_examples=300, database=None)
settings.load_profile("billing")

days = st.dates(date(1990, 1, 1), date(2080, 12, 31))
grids = st.builds(Grid, days, st.sampled_from([*DAYS, *MONTHS]), st.integers(1, 5))
amounts = st.decimals(-100000, 100000, places=3)
roundings = st.sampled_from([0.01, 0.05, 1.0, 0.001])


@st.composite
def agreements(draw):
    """Phases, and the last day: grids and terms change, or come back, or only seem to change."""
    choice = draw(st.lists(grids, min_size=1, max_size=3))
    starts = sorted(draw(st.sets(st.integers(0, 900), max_size=6)) | {0})
    begin = draw(days)
    phases = [
        Phase(begin + start * DAY, draw(st.sampled_from(choice)), draw(st.sampled_from("abc"))) for start in starts
    ]
    end = draw(st.none() | st.integers(0, 1500).map(lambda number: begin + number * DAY))
    return phases, begin + draw(st.integers(0, 1500)) * DAY, end


@tagged("post_install", "-at_install")
class TestPeriods(BaseCase):
    # -- one grid -----------------------------------------------------------------------------------------------------

    def assertStarts(self, grid, first, *starts):
        self.assertEqual([grid.start(first + n).isoformat() for n in range(len(starts))], list(starts))

    def test_the_31st_is_the_last_day_of_short_months_and_the_31st_after(self):
        grid = Grid(date(2026, 1, 31), "month")
        self.assertStarts(grid, -2, "2025-11-30", "2025-12-31", "2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30")
        self.assertStarts(Grid(date(2024, 1, 31), "month"), 0, "2024-01-31", "2024-02-29", "2024-03-31")
        self.assertStarts(Grid(date(2023, 12, 30), "month"), 1, "2024-01-30", "2024-02-29", "2024-03-30")

    def test_quarters_weeks_days_and_years(self):
        self.assertStarts(Grid(date(2025, 11, 30), "quarter"), 0, "2025-11-30", "2026-02-28", "2026-05-30")
        self.assertStarts(Grid(date(2026, 1, 1), "month", 2), -1, "2025-11-01", "2026-01-01", "2026-03-01")
        self.assertStarts(Grid(date(2026, 12, 21), "week", 2), 0, "2026-12-21", "2027-01-04")
        self.assertStarts(Grid(date(2024, 2, 27), "day", 2), 0, "2024-02-27", "2024-02-29", "2024-03-02")

    def test_a_year_from_the_29th_of_february_comes_back_to_it(self):
        self.assertStarts(
            Grid(date(2024, 2, 29), "year"), 0, "2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"
        )
        self.assertEqual(
            Grid(date(2024, 2, 29), "year").period(date(2028, 2, 28)), (date(2027, 2, 28), date(2028, 2, 28))
        )

    @given(grids, days)
    @example(Grid(date(2026, 1, 31), "month"), date(2026, 2, 28))
    def test_every_day_lies_in_the_period_that_is_found_for_it(self, grid, day):
        first, last = grid.period(day)
        self.assertTrue(first <= day <= last)
        self.assertEqual(grid.start(grid.number(day)), first)

    @given(grids, st.integers(-40, 40))
    def test_periods_follow_each_other_without_gap_or_overlap(self, grid, number):
        first, last = grid.period(grid.start(number))
        self.assertEqual(first, grid.start(number))
        self.assertEqual(last + DAY, grid.start(number + 1))
        self.assertLess(grid.start(number), grid.start(number + 1))
        self.assertEqual((grid.number(first), grid.number(last)), (number, number))

    @given(grids, st.integers(-40, 40))
    def test_months_begin_on_the_anchors_day_or_on_their_last(self, grid, number):
        assume(grid.unit in MONTHS)
        start = grid.start(number)
        self.assertTrue(start.day == grid.anchor.day or (start.day < grid.anchor.day and (start + DAY).day == 1))

    @given(days, st.integers(1, 31), st.sampled_from([*MONTHS]), st.integers(1, 4))
    def test_a_chosen_day_of_the_month_is_a_boundary(self, start, day, unit, count):
        grid = Grid(anchor_before(start, day, unit, count), unit, count)
        first, _last = grid.period(start)
        self.assertTrue(0 <= (start - first).days < 31)
        self.assertTrue(first.day == day or (first + DAY).day == 1)
        following = grid.start(grid.number(start) + 1)
        # A February that comes once a year has no 30th to remember.
        if grid.anchor.day == day:
            self.assertTrue(following.day == day or (following + DAY).day == 1)

    def test_an_anchor_is_looked_for_where_the_month_has_that_day(self):
        self.assertEqual(anchor_before(date(2026, 2, 28), 31), date(2026, 1, 31))
        self.assertEqual(anchor_before(date(2026, 2, 28), 31, "quarter"), date(2025, 8, 31))
        self.assertEqual(anchor_before(date(2026, 3, 5), 1), date(2026, 3, 1))
        self.assertEqual(anchor_before(date(2026, 3, 5), 15), date(2026, 2, 15))
        self.assertEqual(anchor_before(date(2026, 2, 28), 29, "year"), date(2024, 2, 29))
        self.assertEqual(anchor_before(date(2026, 3, 5), 15, "week"), date(2026, 3, 5))

    @settings(max_examples=1500)
    @given(
        st.sampled_from(pytz.common_timezones),
        st.datetimes(datetime(1995, 1, 1), datetime(2035, 1, 1)),
        grids,
        st.booleans(),
    )
    def test_every_moment_lies_in_one_period_in_every_zone(self, name, moment, grid, at_change):
        """Around changes of the clock, too, where a day has 23 or 25 hours, or is left out."""
        zone = pytz.timezone(name)
        changes = [at for at in getattr(zone, "_utc_transition_times", ()) if 1995 <= at.year < 2035]
        if at_change and changes:
            moment = min(changes, key=lambda at: abs(at - moment))
        for seconds in (-3600, -1, 0, 1, 3600):
            day = local_date(moment + timedelta(seconds=seconds), name)
            number = grid.number(day)
            holding = [n for n in (number - 1, number, number + 1) if grid.start(n) <= day <= grid.start(n + 1) - DAY]
            self.assertEqual(holding, [number])

    # -- phases -------------------------------------------------------------------------------------------------------

    @given(agreements())
    def test_periods_and_their_segments_cover_each_day_once(self, agreement):
        phases, until, end = agreement
        day = phases[0].start
        for period in periods(phases, until, end):
            self.assertEqual(period.first, day)
            self.assertLessEqual(period.first, until)
            self.assertTrue(period.whole_first <= period.first <= period.last <= period.whole_last)
            self.assertEqual(period.segments[0].first, period.first)
            self.assertEqual(period.segments[-1].last, period.last)
            for before, after in zip(period.segments, period.segments[1:], strict=False):
                self.assertEqual(before.last + DAY, after.first)
                self.assertNotEqual(before.terms, after.terms)
            for segment in period.segments:
                self.assertLessEqual(segment.first, segment.last)
                for when in (segment.first, segment.last):
                    in_force = [phase for phase in phases if phase.start <= when][-1]
                    self.assertEqual(in_force.terms, segment.terms)
                    self.assertEqual(in_force.grid.period(when), (period.whole_first, period.whole_last))
            day = period.last + DAY
        self.assertGreater(day, until if end is None else min(until, end))
        if end is not None:
            self.assertLessEqual(day, max(end + DAY, phases[0].start))

    @given(agreements(), st.integers(0, 1500))
    def test_looking_further_changes_nothing_before(self, agreement, more):
        phases, until, end = agreement
        near, far = list(periods(phases, until, end)), list(periods(phases, until + more * DAY, end))
        self.assertEqual(near, far[: len(near)])

    def test_another_grid_cuts_the_period(self):
        month, year = Grid(date(2026, 1, 1), "month"), Grid(date(2026, 2, 11), "year")
        found = list(
            periods([Phase(date(2026, 1, 10), month, "a"), Phase(date(2026, 2, 11), year, "b")], date(2026, 3, 1))
        )
        self.assertEqual(
            [(period.first, period.last) for period in found],
            [
                (date(2026, 1, 10), date(2026, 1, 31)),
                (date(2026, 2, 1), date(2026, 2, 10)),
                (date(2026, 2, 11), date(2027, 2, 10)),
            ],
        )
        self.assertEqual([period.is_whole for period in found], [False, False, True])

    def test_a_phase_without_a_grid_is_one_period(self):
        month = Grid(date(2026, 1, 15), "month")
        trial, paid = periods([Phase(date(2026, 1, 1), None, 0), Phase(date(2026, 1, 15), month, 1)], date(2026, 1, 20))
        self.assertEqual((trial.first, trial.last), (date(2026, 1, 1), date(2026, 1, 14)))
        self.assertEqual((paid.first, paid.last), (date(2026, 1, 15), date(2026, 2, 14)))
        with self.assertRaises(ValueError):
            list(periods([Phase(date(2026, 1, 1), None, 0)], date(2026, 1, 20)))

    # -- shares -------------------------------------------------------------------------------------------------------

    @given(grids, days, amounts, roundings, st.lists(st.integers(1, 2000), max_size=6))
    def test_the_parts_of_a_period_sum_up_to_the_whole(self, grid, day, total, rounding, cuts):
        first, last = grid.period(day)
        starts = sorted({first, *(first + cut * DAY for cut in cuts if first + cut * DAY <= last)})
        parts = [
            share(total, first, last, start, following - DAY, rounding)
            for start, following in zip(starts, [*starts[1:], last + DAY], strict=True)
        ]
        whole = share(total, first, last, first, last, rounding)
        self.assertEqual(sum(parts), whole)
        step = Decimal(str(rounding))
        self.assertLessEqual(abs(whole - total), step / 2)
        self.assertTrue(all(part % step == 0 for part in [*parts, whole]))

    @given(grids, days, amounts, roundings, st.integers(0, 2000), st.integers(0, 2000))
    def test_a_part_is_its_days_to_a_cent_and_a_credit_mirrors_it(self, grid, day, total, rounding, skip, length):
        first, last = grid.period(day)
        begin = min(first + skip * DAY, last)
        close = min(begin + length * DAY, last)
        part = share(total, first, last, begin, close, rounding)
        exact = total * ((close - begin).days + 1) / ((last - first).days + 1)
        self.assertLessEqual(abs(part - exact), Decimal(str(rounding)) + Decimal("1e-9"))
        self.assertEqual(share(-total, first, last, begin, close, rounding), -part)

    def test_shares_of_a_month(self):
        january = date(2026, 1, 1), date(2026, 1, 31)
        self.assertEqual(share(100, *january, date(2026, 1, 1), date(2026, 1, 10), 0.01), Decimal("32.26"))
        self.assertEqual(share(100, *january, date(2026, 1, 11), date(2026, 1, 31), 0.01), Decimal("67.74"))
        self.assertEqual(share(0.1 + 0.2, *january, *january, 0.01), Decimal("0.30"))
        self.assertEqual(share(1000, *january, date(2026, 1, 2), date(2026, 1, 2), 1.0), Decimal(33))
