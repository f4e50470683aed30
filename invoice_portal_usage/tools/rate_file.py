"""Rates in a CSV file as suppliers and spreadsheets write them, read row by row.

Plain Python, no environment. A row that cannot be read is a `Refusal` with its line and a reason, never an exception.
"""

import csv
import io
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from typing import NamedTuple

from odoo.addons.invoice_portal.tools.spreadsheet import FORMULA

COLUMNS = ("prefix", "destination", "price", "minimum", "step", "connection_fee", "from", "until", "band")
# What else the columns are called, in lower case and with one underscore for anything between words.
ALSO = {
    "prefix": {"code", "dial_code", "dialcode", "area_code", "key", "prefix_or_key", "vorwahl", "rufnummernpräfix"},
    "destination": {"destination_group", "name", "description", "zone", "country", "ziel", "land"},
    "price": {"rate", "price_unit", "price_per_minute", "amount", "preis", "minutenpreis"},
    "minimum": {"min", "minimum_duration", "initial", "first_interval", "mindestdauer"},
    "step": {"increment", "interval", "next_interval", "billing_increment", "takt", "schritt"},
    "connection_fee": {"fee", "setup", "setup_fee", "connect_fee", "verbindungsgebühr"},
    "from": {"date_from", "valid_from", "effective_date", "effective_from", "start", "von", "gültig_ab"},
    "until": {"date_until", "valid_until", "valid_to", "to", "end", "end_date", "bis", "gültig_bis"},
    "band": {"hours", "time", "time_band", "zeit"},
}
BANDS = {
    "": "any",
    "any": "any",
    "always": "any",
    "all": "any",
    "peak": "peak",
    "off_peak": "off_peak",
    "off-peak": "off_peak",
    "off peak": "off_peak",
    "offpeak": "off_peak",
}
DATES = ("%Y-%m-%d", "%d.%m.%Y", "%Y/%m/%d", "%Y%m%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")
YEARS = range(1970, 3000)
LIMIT = Decimal(10) ** 9
PLACES = {"price": 8, "connection_fee": 8, "minimum": 6, "step": 6}
LONGEST_NAME = 200
LONGEST_FIELD = 10_000


class RateRow(NamedTuple):
    line: int
    prefix: str
    destination: str
    price: Decimal
    minimum: Decimal
    step: Decimal
    fee: Decimal
    first: date | None
    last: date | None
    band: str


class Refusal(NamedTuple):
    line: int
    text: str  # the row as it was, shortened
    reason: str  # a key for whoever puts it in words
    value: str = ""
    prefix: str = ""


class UnreadableFile(Exception):
    """Nothing of the file can be read; the argument is a key for whoever puts it in words."""


def inert(text):
    """`text` with the mark of a text where a spreadsheet would calculate; `plain` takes exactly that mark off."""
    return f"'{text}" if FORMULA.match(text.lstrip("'")) else text


def plain(text):
    return text[1:] if text.startswith("'") and FORMULA.match(text.lstrip("'")) else text


def read(data: bytes, normal: Callable[[str], str | None]) -> Iterator[RateRow | Refusal]:
    """Each row of the file, read or refused.

    :param normal: makes of a prefix what the plan keeps, or None
    """
    text = _text(data)
    head = text.readline()
    while head and not head.strip("\ufeff \t\r\n"):
        head = text.readline()
    delimiter = max(";,\t|", key=head.count)
    text.seek(0)
    # Strict: a quotation mark that is never closed must not swallow the rest.
    rows = csv.reader(text, delimiter=delimiter, strict=True)
    places = None
    while True:
        line = rows.line_num + 1
        try:
            cells = next(rows)
        except StopIteration:
            break
        except (csv.Error, UnicodeError) as error:
            # Where it goes on after an unfinished quote or broken characters, nobody knows.
            raise UnreadableFile("broken", str(line)) from error
        if not any(cell.strip("\ufeff \t\0") for cell in cells):
            continue
        if places is None:
            places = _places(cells)
        else:
            yield _row(line, cells, places, normal)
    if places is None:
        raise UnreadableFile("empty")


def _text(data: bytes) -> io.TextIOBase:
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        encoding = "utf-16"
    elif data.startswith(BOM_UTF8):
        encoding = "utf-8-sig"
    else:
        try:
            data.decode()
            encoding = "utf-8"
        except UnicodeDecodeError:
            encoding = "cp1252"
    # What no such encoding has is shown as a question mark, for a person to see.
    return io.TextIOWrapper(io.BytesIO(data), encoding, errors="replace", newline="")


def _places(cells: list[str]) -> dict[str, int]:
    """Which column is where, by the first row."""
    places: dict[str, int] = {}
    for place, cell in enumerate(cells):
        name = re.sub(r"[\W_]+", "_", cell.strip().lower()).strip("_")
        column = next((one for one in COLUMNS if name == one or name in ALSO[one]), None)
        if column:
            if column in places:
                raise UnreadableFile("twice", column)
            places[column] = place
    if missing := [column for column in ("prefix", "price") if column not in places]:
        raise UnreadableFile("columns", ", ".join(missing))
    return places


def _row(line: int, cells: list[str], places: dict[str, int], normal: Callable[[str], str | None]):
    shown = " | ".join(cells)[:200].replace("\0", " ")

    prefix = ""

    def refuse(reason, value=""):
        return Refusal(line, shown, reason, str(value)[:50].replace("\0", " "), prefix)

    if any(len(cell) > LONGEST_FIELD or "\0" in cell for cell in cells):
        return refuse("cell")
    given = {column: plain(cells[place].strip()) if place < len(cells) else "" for column, place in places.items()}
    prefix = normal(given["prefix"]) or ""
    if not prefix:
        return refuse("prefix", given["prefix"])
    destination = " ".join(given.get("destination", "").split())
    if len(destination) > LONGEST_NAME:
        return refuse("destination")
    numbers = {}
    for column, digits in PLACES.items():
        text = given.get(column, "")
        if column == "price" and not text:
            return refuse("price_missing")
        numbers[column] = number = _number(text)
        if number is None:
            return refuse("number", text)
        # What is sent that fine must not become another price, or none.
        if number != (kept := number.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)):
            return refuse("digits_price" if digits == PLACES["price"] else "digits_quantity", text)
        numbers[column] = kept
    days = {}
    for column in ("from", "until"):
        text = given.get(column, "")
        days[column] = _day(text) if text else None
        if text and days[column] is None:
            return refuse("day", text)
    if days["from"] and days["until"] and days["until"] < days["from"]:
        return refuse("order")
    band = BANDS.get(given.get("band", "").lower())
    if not band:
        return refuse("band", given["band"])
    return RateRow(
        line,
        prefix,
        destination,
        numbers["price"],
        numbers["minimum"],
        numbers["step"],
        numbers["connection_fee"],
        days["from"],
        days["until"],
        band,
    )


@lru_cache(maxsize=100_000)
def _number(text: str) -> Decimal | None:
    """A number that can be billed, with a point or a comma for its decimals; None for all else.

    Where there are both, the last one is for the decimals. One alone is: prices of a thousand a minute are not sent.
    """
    text = re.sub(r"[\s'’\u00a0\u202f]", "", text)
    if not text:
        return Decimal(0)
    if "," in text and "." in text:
        thousands = "." if text.rindex(",") > text.rindex(".") else ","
        if not re.fullmatch(rf"\d{{1,3}}(\{thousands}\d{{3}})+[.,]\d*", text):
            return None
        text = text.replace(thousands, "")
    text = text.replace(",", ".")
    if not re.fullmatch(r"\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?", text, re.ASCII):
        return None
    try:
        number = Decimal(text)
        return number if 0 <= number <= LIMIT else None
    except InvalidOperation:
        return None


@lru_cache(maxsize=10_000)
def _day(text: str) -> date | None:
    for form in DATES:
        try:
            day = datetime.strptime(text, form).date()
        except ValueError:
            continue
        return day if day.year in YEARS else None
    return None
