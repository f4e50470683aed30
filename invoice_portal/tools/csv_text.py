"""CSV that a spreadsheet shows and does not run. Plain Python, no environment."""

import csv
import io

# What a spreadsheet takes for the beginning of a formula, some of them also behind white space.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "＝", "＋", "－", "＠")


def inert(value):
    """A cell: numbers as they are, and text that starts like a formula behind an apostrophe."""
    if isinstance(value, (int, float)):
        return value
    text = "" if value is None or value is False else str(value)
    return f"'{text}" if text.startswith(FORMULA) or text.lstrip().startswith(FORMULA) else text


def table(rows):
    """The rows as CSV, in UTF-8 with the mark by which spreadsheets know it."""
    file = io.StringIO()
    csv.writer(file).writerows([inert(cell) for cell in row] for row in rows)
    return file.getvalue().encode("utf-8-sig")
