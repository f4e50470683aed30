"""One record of usage, checked: what a switch, a file or a person wrote becomes what the database can take.

Plain Python, no environment. Called for each of millions of records: what can be known beforehand is in `Reader`.
"""

import json
import math
import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, NamedTuple

import pytz

from .numbers import MOST_DIGITS, NotANumber, digits
from .units import UNITS

LONGEST_TEXT = 200
LONGEST_ATTRIBUTES = 4000
LONGEST_NUMBER = 40
TOO_MUCH = Decimal(10) ** 13
EXACT = Decimal("0.000001")
EARLIEST = datetime(1990, 1, 1)
# A clock may be ahead; a record of next week is a mistake.
AHEAD = timedelta(days=1)
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
DAY = r"(\d{4}-\d\d-\d\d)"
CLOCK = r"((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)"
WITH_COUNTRY = rf"((?!00)\d{{1,{MOST_DIGITS}}})"
UNIT_WORDS = {
    "s": "second", "sec": "second", "secs": "second", "seconds": "second",
    "m": "minute", "min": "minute", "mins": "minute", "minutes": "minute",
    "h": "hour", "hr": "hour", "hrs": "hour", "hours": "hour",
    "megabyte": "mb", "megabytes": "mb", "gigabyte": "gb", "gigabytes": "gb",
    "pc": "piece", "pcs": "piece", "pieces": "piece", "unit": "piece", "units": "piece",
}  # fmt: skip

# A row is made by it directly: naming its fields takes longer than all the rest.
new_tuple = tuple.__new__


class Row(NamedTuple):
    """A record that can be taken in. Texts have no control characters; `attributes` is JSON."""

    line: int
    external_id: str
    account: str | None
    client: str | None
    subscription: str | None
    moment: str
    destination: str
    quantity: str
    attributes: str | None


class Unreadable(ValueError):
    """A record that cannot be taken in. `code` and `values` say why, in a form that can be translated."""

    def __init__(self, code: str, **values: Any):
        super().__init__(code)
        self.code = code
        self.values = values


class Reader:
    """Reads the records of one source.

    :param kind: "phone" or "key": what destinations and accounts are
    :param region: the country of telephone numbers that name none, as two letters
    :param with_country: numbers begin with the country's code always
    :param zone: of moments that name none
    :param unit: of quantities that name none
    :param now: naive UTC; what lies further ahead is refused
    """

    def __init__(self, kind, region, with_country, zone, unit, now):
        self._is_phone = kind == "phone"
        self._region = region
        self._with_country = with_country
        self._zone = pytz.timezone(zone)
        self._is_utc = zone in ("UTC", "Etc/UTC")
        self._unit = unit
        self._measure = UNITS[unit].measure
        self._latest = now + AHEAD
        self._quantity = lru_cache(maxsize=1 << 16)(self._read_quantity)
        self._is_whole_day = lru_cache(maxsize=1 << 12)(self._lies_within)
        number = ("\\+?" if with_country else "\\+") + WITH_COUNTRY
        zulu = "Z?" if self._is_utc else "Z"
        self._plain = re.compile(
            rf"([!-~]{{1,{LONGEST_TEXT}}})\t{number}\t{number}\t{DAY}[T ]{CLOCK}{zulu}", re.ASCII
        ).fullmatch

    def row(self, raw: dict, line: int) -> Row:
        """:raises Unreadable: with the first reason found"""
        try:
            get = raw.get
        except AttributeError:
            raise Unreadable("record") from None
        external_id = get("id")
        # Nearly every record of a switch is written like this, and needs nothing but to be looked at.
        if type(external_id) is str and self._is_phone:
            plain = self._plain(f"{external_id}\t{get('account')}\t{get('destination')}\t{get('moment')}")
            if plain:
                external_id, account, destination, day, clock = plain.groups()
                if self._is_whole_day(day):
                    quantity, attributes = get("quantity"), get("attributes")
                    return new_tuple(
                        Row,
                        (
                            line,
                            external_id,
                            account,
                            self._text(raw, "client") if "client" in raw else None,
                            self._text(raw, "subscription") if "subscription" in raw else None,
                            f"{day} {clock}",
                            destination,
                            self._quantity_of(quantity, self._text(raw, "unit"))
                            if "unit" in raw or type(quantity) is not str or len(quantity) > LONGEST_NUMBER
                            else self._quantity(quantity, None),
                            self._attributes(attributes) if attributes else None,
                        ),
                    )
        return self._row(raw, line)

    def _row(self, raw, line):
        external_id, account, destination = (self._text(raw, what) or "" for what in ("id", "account", "destination"))
        if not external_id:
            raise Unreadable("missing", what="id")
        if self._is_phone and not destination:
            # The price for all the rest would be anybody's guess.
            raise Unreadable("missing", what="destination")
        client, subscription = self._text(raw, "client"), self._text(raw, "subscription")
        if not (account or client or subscription):
            raise Unreadable("nobody")
        return Row(
            line,
            external_id,
            self._place(account) if account else None,
            client,
            subscription,
            self._moment(raw.get("moment")),
            # A key is shown as it was written, and looked up whatever its case.
            self._place(destination) if self._is_phone else destination,
            self._quantity_of(raw.get("quantity"), self._text(raw, "unit")),
            self._attributes(raw.get("attributes")),
        )

    def place(self, text: str) -> str:
        """A number or key as it is looked up."""
        return self._place(text)

    @staticmethod
    def _text(raw, what):
        value = raw.get(what)
        if value is None or value is False:
            return None
        if not isinstance(value, str):
            if isinstance(value, bool) or not isinstance(value, int):
                raise Unreadable("text", what=what)
            value = str(value)
        if len(value) > LONGEST_TEXT:
            raise Unreadable("long", what=what, most=LONGEST_TEXT)
        if not value.isprintable():
            # No text for the database, or one that nobody sees: a line break, a NUL, half of a character.
            if CONTROL.search(value) or any("\ud800" <= sign <= "\udfff" for sign in value):
                raise Unreadable("control", what=what)
        return value.strip() or None

    def _place(self, text):
        if not self._is_phone:
            return text.lower()
        try:
            return digits(text, self._region, self._with_country)
        except NotANumber as error:
            raise Unreadable("number_" + str(error), text=text[:40]) from None

    def _lies_within(self, day):
        """There is such a day, and all of it is neither too early nor too late."""
        try:
            begin = datetime.fromisoformat(day)
        except ValueError:
            return False
        return EARLIEST <= begin and begin + timedelta(days=1) <= self._latest

    def _moment(self, value):
        moment = value
        if not isinstance(value, datetime):
            if not isinstance(value, str) or not value.strip():
                raise Unreadable("missing", what="moment")
            try:
                moment = datetime.fromisoformat(value.strip())
            except ValueError:
                raise Unreadable("moment", text=value[:40]) from None
        try:
            if moment.tzinfo is None:
                # In the hour that comes twice, the second one; in the one that is left out, as if it were not.
                moment = self._zone.localize(moment)
            moment = moment.astimezone(UTC).replace(tzinfo=None)
        except OverflowError:
            raise Unreadable("moment", text=str(value)[:40]) from None
        if moment > self._latest:
            raise Unreadable("future", text=str(value)[:40])
        if moment < EARLIEST:
            raise Unreadable("past", text=str(value)[:40])
        return moment.isoformat(" ", "seconds")

    def _quantity_of(self, value, unit):
        if isinstance(value, bool) or value is None or not isinstance(value, (str, int, float, Decimal)):
            raise Unreadable("missing", what="quantity")
        if isinstance(value, float) and not math.isfinite(value):
            raise Unreadable("quantity", text=str(value))
        text = value if isinstance(value, str) else str(value)
        if len(text) > LONGEST_NUMBER:
            raise Unreadable("quantity", text=text[:LONGEST_NUMBER])
        return self._quantity(text, unit)

    def _read_quantity(self, text, unit):
        try:
            quantity = Decimal(text.strip())
        except InvalidOperation:
            raise Unreadable("quantity", text=text) from None
        if not quantity.is_finite() or abs(quantity) >= TOO_MUCH:
            raise Unreadable("quantity", text=text)
        if quantity < 0:
            raise Unreadable("negative", text=text)
        word = unit.strip().lower() if unit else self._unit
        word = UNIT_WORDS.get(word, word)
        if word not in UNITS:
            raise Unreadable("unit", text=unit)
        if UNITS[word].measure != self._measure:
            raise Unreadable("measure", text=unit, unit=self._unit)
        quantity = (quantity * UNITS[word].size).quantize(EXACT, ROUND_HALF_UP)
        if quantity >= TOO_MUCH:
            raise Unreadable("quantity", text=text)
        return f"{quantity.normalize():f}"

    @staticmethod
    def _attributes(value):
        if not value:
            return None
        if not isinstance(value, dict):
            raise Unreadable("attributes")
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True)
            # Half of a character is not written, either.
            text.encode()
        except (TypeError, ValueError, RecursionError):
            raise Unreadable("attributes") from None
        # Nor does the database keep a NUL in a text.
        if len(text) > LONGEST_ATTRIBUTES or "\\u0000" in text:
            raise Unreadable("attributes")
        return text
