"""Which days an account is looked at. Plain dates, no environment."""

from datetime import date, timedelta

PERIODS = ("this_month", "last_month", "this_quarter", "this_year", "last_year")


def period_days(period, today, until=None):
    """First and last day of a period; one that goes on ends today, or on `until`; what is unknown is this year."""
    until = until or today
    month = today.replace(day=1)
    if period == "this_month":
        return month, until
    if period == "last_month":
        last = month - timedelta(days=1)
        return last.replace(day=1), last
    if period == "this_quarter":
        return month.replace(month=(month.month - 1) // 3 * 3 + 1), until
    if period == "last_year":
        return date(today.year - 1, 1, 1), date(today.year - 1, 12, 31)
    return date(today.year, 1, 1), until


def day_of(text):
    """The day that `YYYY-MM-DD` names, or nothing."""
    try:
        return date.fromisoformat((text or "").strip())
    except ValueError:
        return None
