"""Which day is it for a client? Plain arithmetic, no environment."""

from datetime import date, datetime, timedelta
from functools import lru_cache

import pytz


def local_moment(moment: datetime, zone: str | None) -> datetime:
    """What clock and calendar in `zone` show at `moment` (naive UTC, as Odoo keeps it); UTC where it is unknown."""
    try:
        timezone = pytz.timezone(zone or "UTC")
    except pytz.UnknownTimeZoneError:
        timezone = pytz.utc
    return pytz.utc.localize(moment).astimezone(timezone)


def local_date(moment: datetime, zone: str | None) -> date:
    """The calendar day at `moment` in `zone`."""
    return local_moment(moment, zone).date()


@lru_cache(maxsize=64)
def _zones_off_utc_date(hour: datetime) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Zones whose day is the one before, and the one after, UTC's day.

    Kept per quarter of an hour: no zone changes its day in between, all offsets being multiples of 15 minutes.
    """
    today = hour.date()
    behind, ahead = [], []
    for zone in pytz.all_timezones:
        day = local_date(hour, zone)
        if day < today:
            behind.append(zone)
        elif day > today:
            ahead.append(zone)
    return tuple(behind), tuple(ahead)


def zones_off_utc_date(moment: datetime) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """See `_zones_off_utc_date`; what SQL needs to compare a date with each client's own day.

    PostgreSQL's `AT TIME ZONE` would do it too, but it raises on a zone that its own tables lack, and one such client
    would break every list; and it cannot be given a "now".
    """
    quarter = moment.replace(minute=moment.minute - moment.minute % 15, second=0, microsecond=0)
    return _zones_off_utc_date(quarter)


def day_bounds(moment: datetime) -> tuple[date, date]:
    """The earliest and the latest calendar day anywhere on earth at `moment`."""
    return moment.date() - timedelta(days=1), moment.date() + timedelta(days=1)
