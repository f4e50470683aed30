"""Interest on what is overdue. Plain arithmetic of days, no environment."""

from collections.abc import Iterable
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

DAYS_OF_A_YEAR = 365


class Overdue(NamedTuple):
    """An amount, and the day after which interest on it begins: its due date, or the last day that was charged."""

    amount: float
    since: date


def interest(parts: Iterable[Overdue], percent: float, until: date, rounding: float) -> Decimal:
    """Simple interest of `percent` a year up to and including the day `until`.

    The sum of amount × percent ÷ 100 × days ÷ 365 over all parts is exact, and rounded once, half up.
    """
    step = Decimal(repr(rounding))
    exact = sum(
        (Decimal(repr(part.amount)) * max((until - part.since).days, 0) for part in parts), start=Decimal(0)
    ) * Decimal(repr(percent))
    return (exact / (100 * DAYS_OF_A_YEAR) / step).quantize(Decimal(1), ROUND_HALF_UP) * step
