"""What usage is measured in. Records are kept in the base unit of their measure; prices name a unit of the same one.

Plain Python, no environment.
"""

from decimal import Decimal
from typing import NamedTuple


class Unit(NamedTuple):
    measure: str
    size: Decimal  # in base units


UNITS = {
    "second": Unit("time", Decimal(1)),
    "minute": Unit("time", Decimal(60)),
    "hour": Unit("time", Decimal(3600)),
    "mb": Unit("data", Decimal(1)),
    "gb": Unit("data", Decimal(1000)),
    "piece": Unit("count", Decimal(1)),
}
