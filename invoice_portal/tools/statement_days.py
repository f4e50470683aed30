"""Which days an account is looked at. Plain dates, no environment."""

from datetime import date, timedelta

PERIODS = ("this_month", "last_month", "this_quarter", "this_year", "last_year")


def period_days(period, today):
    """First and last day of a period around today; what is unknown is this year."""
    month = today.replace(day=1)
    if period == "this_month":
        return month, _last_of_month(month)
    if period == "last_month":
        last = month - timedelta(days=1)
        return last.replace(day=1), last
    if period == "this_quarter":
        first = month.replace(month=(month.month - 1) // 3 * 3 + 1)
        return first, _last_of_month(first.replace(month=first.month + 2))
    year = today.year - (period == "last_year")
    return date(year, 1, 1), date(year, 12, 31)


def _last_of_month(day):
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


def day_of(text):
    """The day that `YYYY-MM-DD` names, or nothing."""
    try:
        return date.fromisoformat((text or "").strip())
    except ValueError:
        return None
