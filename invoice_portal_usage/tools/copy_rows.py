"""Rows as PostgreSQL's COPY reads them, made while it reads. Plain Python, no environment."""

from collections.abc import Iterable
from itertools import islice

from .usage_row import Row

# Texts come checked, and have no control characters: of all that COPY would take for something else, only the
# backslash is left.
NOTHING = "\x01"
LINES_AT_ONCE = 500
COLUMNS = ("source_id", *Row._fields)


class CopyRows:
    """A file to read from, with `COLUMNS` of each row; `NOTHING` stands for what is not there."""

    def __init__(self, source_id: int, rows: Iterable[Row]):
        self._lines = self._written(source_id, rows)

    @staticmethod
    def _written(source_id, rows):
        for line, external_id, account, client, subscription, moment, destination, quantity, attributes in rows:
            text = (
                f"{source_id}\t{line}\t{external_id}\t{NOTHING if account is None else account}"
                f"\t{NOTHING if client is None else client}\t{NOTHING if subscription is None else subscription}"
                f"\t{moment}\t{destination}\t{quantity}\t{NOTHING if attributes is None else attributes}\n"
            )
            yield text.replace("\\", "\\\\") if "\\" in text else text

    def _some(self, _size: int = -1) -> str:
        """The next lines, however long they are; none at the end."""
        return "".join(islice(self._lines, LINES_AT_ONCE))

    # By this name the database's client asks, and sends all that it gets.
    read = _some
