"""Which days are the day, the week, the month of a day? Plain Python, no environment."""

from calendar import monthrange
from datetime import date, timedelta

SPANS = ("daily", "weekly", "monthly")


def days_of(span: str, day: date, week_start: int = 1) -> tuple[date, date]:
    """The first and the last day of the day, week or month that holds `day`.

    :param week_start: the day on which weeks begin, 1 for Monday to 7 for Sunday
    """
    if span == "daily":
        return day, day
    if span == "weekly":
        first = day - timedelta(days=(day.isoweekday() - week_start) % 7)
        return first, first + timedelta(days=6)
    if span == "monthly":
        return day.replace(day=1), day.replace(day=monthrange(day.year, day.month)[1])
    raise ValueError(f"{span} is none of {', '.join(SPANS)}")
