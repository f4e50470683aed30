"""The longest prefix of a number by one search in a sorted list, however many prefixes and lengths there are.

All that begins with a prefix lies between two places on a line, as words do in a dictionary. Where prefixes lie within
each other the longest counts, so that the line falls into ranges which have one rate each.

Plain Python, no environment.
"""

from collections.abc import Iterable
from typing import NamedTuple

from .numbers import MOST_DIGITS

# A number's place: its digits, filled up with zeros to the longest, and behind them how many there were, so that "49"
# comes before "490". PLACE_SQL says the same to the database.
LENGTHS = 16
PLACE_SQL = f"rpad(%(digits)s, {MOST_DIGITS}, '0')::bigint * {LENGTHS} + length(%(digits)s)"
NO_RATE = 0


class Ranges(NamedTuple):
    """`starts` rise; what lies from one of them to the next has the rate of the same index, which may be none."""

    starts: list[int]
    rates: list[int]


def place(digits: str) -> int:
    return int(digits.ljust(MOST_DIGITS, "0")) * LENGTHS + len(digits)


def ranges(rates: Iterable[tuple[str, int]], otherwise: int = NO_RATE) -> Ranges:
    """
    :param rates: prefixes of digits, no longer than a number can be, each with its rate
    :param otherwise: the rate of what has no prefix
    """
    found = Ranges([place("")], [otherwise])
    within = []  # the prefixes around the present place: (where it ends, rate)

    def begin(start, rate):
        if found.starts[-1] == start:
            found.rates[-1] = rate
        else:
            found.starts.append(start)
            found.rates.append(rate)

    def end_before(start):
        while within and (start is None or within[-1][0] <= start):
            end, _rate = within.pop()
            begin(end, within[-1][1] if within else otherwise)

    # A prefix stands before those that begin with it.
    for start, prefix, rate in sorted((place(prefix), prefix, rate) for prefix, rate in rates):
        end_before(start)
        begin(start, rate)
        within.append((start - len(prefix) + 10 ** (MOST_DIGITS - len(prefix)) * LENGTHS, rate))
    end_before(None)
    return found
