"""One total, divided so that the parts add up to it. Plain Python, no environment."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

MICRO = Decimal("0.000001")


def rounded(amount: Decimal | Fraction, step: Decimal) -> Decimal:
    """To a multiple of `step`; half a step goes away from zero, so that a credit is the mirror of its charge."""
    steps = abs(Fraction(amount)) / Fraction(step)
    whole = int(steps + Fraction(1, 2))
    return (whole if amount >= 0 else -whole) * step


def shares(amounts: Sequence[Decimal], step: Decimal, total: Decimal | None = None) -> list[Decimal]:
    """A multiple of `step` for each of these exact amounts, in their order; together they are `total`.

    Each amount is rounded down, and the steps that are then missing go one by one to those that lost most by it: nobody
    is off by a whole step, and who has nothing gets nothing. Of equal ones the first comes first.

    :param total: the sum of the amounts, rounded, unless it was rounded by another step then
    """
    if not amounts:
        return []
    if total is None:
        total = rounded(sum(amounts, Decimal(0)), step)
    unit = Fraction(step)
    steps = [Fraction(amount) // unit for amount in amounts]
    lost = [Fraction(amount) / unit - whole for amount, whole in zip(amounts, steps, strict=True)]
    missing = round(Fraction(total) / unit - sum(steps))
    each = 0
    if not 0 <= missing <= len(amounts):
        each, missing = divmod(missing, len(amounts))
    favoured = set(sorted(range(len(amounts)), key=lambda at: (-lost[at], at))[:missing])
    return [(int(whole) + each + (at in favoured)) * step for at, whole in enumerate(steps)]
