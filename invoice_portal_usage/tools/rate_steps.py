"""How a rate makes a price of a quantity, step by step: for explaining it. Rating itself is done in SQL.

Plain Python, no environment. Numbers are `Decimal`, quantities in base units.
"""

import re
import unicodedata
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal, localcontext

from odoo.addons.invoice_portal.tools.local_time import local_moment

MICRO = Decimal("0.000001")
STAR = "*"
LONGEST_NUMBER = 20
LONGEST_KEY = 200
# What people write between the digits of a telephone number.
_BETWEEN = re.compile(r"[\s()./\-\u2010-\u2015]+")
# A spreadsheet's idea of the prefix 49.
_AS_NUMBER = re.compile(r"(\d+)[.,]0+")


def exact(number, digits) -> Decimal:
    """The number as it is written and stored: a float of 0.1 means a tenth."""
    return Decimal(str(number or 0)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


OF_ONE_COUNTRY = re.compile(r"[A-Za-z]{2}:[0-9]{1,15}")


def normal_prefix(text) -> str | None:
    """The beginning of telephone numbers in digits, with the country's code; None if it is no such thing."""
    text = unicodedata.normalize("NFKC", str(text or "")).strip()
    if text == STAR:
        return STAR
    # What only its own country knows: "de:110".
    if OF_ONE_COUNTRY.fullmatch(text):
        return text.lower()
    if whole := _AS_NUMBER.fullmatch(text):
        text = whole[1]
    digits = _BETWEEN.sub("", text)
    # "+49" and "0049" are the same; no country's code begins with zero.
    digits = digits.removeprefix("+") if digits.startswith("+") else digits.removeprefix("00")
    if digits.isascii() and digits.isdigit() and digits[0] != "0" and len(digits) <= LONGEST_NUMBER:
        return digits
    return None


def normal_key(text) -> str | None:
    """A key as it is kept: on one line, without what surrounds it."""
    key = " ".join(str(text or "").replace("\0", " ").split())
    return key if 0 < len(key) <= LONGEST_KEY else None


def leading_parts(number: str) -> list[str]:
    """All that a number begins with, the longest first."""
    return [number[:length] for length in range(min(len(number), LONGEST_NUMBER), 0, -1)]


def local(moment: datetime, tz: str) -> datetime:
    """What clocks in this zone show at a moment given in UTC."""
    return local_moment(moment, tz).replace(tzinfo=None)


def band_of(there: datetime, peak_from: float, peak_until: float, peak_weekend: bool) -> str:
    """Peak or off-peak, by the clock of the plan. Hours mean the nearest second: 8:20 has no exact number."""
    if there.weekday() >= 5 and not peak_weekend:
        return "off_peak"
    second = there.hour * 3600 + there.minute * 60 + there.second
    return "peak" if round(peak_from * 3600) <= second < round(peak_until * 3600) else "off_peak"


def billed_quantity(quantity: Decimal, minimum: Decimal, step: Decimal) -> Decimal:
    """Nothing for nothing; else the minimum at least, and beyond it whole steps."""
    if not quantity:
        return Decimal(0)
    if quantity <= minimum:
        return minimum
    if not step:
        return quantity
    with localcontext(prec=60):
        steps = ((quantity - minimum) / step).to_integral_value(ROUND_CEILING)
        return (minimum + steps * step).quantize(MICRO, ROUND_HALF_UP)


def list_amount(billed: Decimal, price: Decimal, fee: Decimal, size: Decimal) -> Decimal:
    """Rounded half away from zero to 6 decimals; nothing costs nothing."""
    if not billed:
        return Decimal(0)
    with localcontext(prec=60):
        return (fee + billed * price / size).quantize(MICRO, ROUND_HALF_UP)
