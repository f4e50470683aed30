"""A table as a CSV file that a spreadsheet shows, and does not calculate."""

import csv
import io
import re
from codecs import BOM_UTF8
from decimal import Decimal

# What spreadsheets take for the beginning of a formula, also full width or behind what nobody sees.
FORMULA = re.compile(r"[\s\x00-\x1f\u200b-\u200f\ufeff]*[=+\-@＝＋－＠]")


def inert(text):
    """`text` on one line, with the mark of a text where it would be calculated."""
    marked = f"'{text}" if FORMULA.match(text) else text
    return " ".join(marked.split())


def number(amount, digits):
    """Exactly so many digits; what is nothing has no sign."""
    return Decimal(f"{round(amount, digits) or 0.0:.{digits}f}")


def csv_file(rows):
    """The bytes of a file with these rows of texts and numbers; numbers have a dot, whatever the language."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC)
    for row in rows:
        writer.writerow(inert(cell) if isinstance(cell, str) else cell for cell in row)
    return BOM_UTF8 + out.getvalue().encode()
