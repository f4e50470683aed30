"""Rows that are handed in together, made ready for the database. Plain Python, no environment."""

from collections.abc import Iterator

from .copy_rows import written
from .usage_row import Row


class Delivery:
    """Each id once: what comes again with the same contents is counted, what comes with others is not taken in."""

    def __init__(self, source_id: int, rows: list[Row]):
        self.source_id = source_id
        self.rows = rows
        self.repeated: list[int] = []  # lines
        self.changed: list[tuple[int, str]] = []  # (line, external id)
        self.count = 0
        # Written where they are read, which can be beside what the database does.
        self.blocks = written(source_id, self._once())

    def __len__(self):
        return len(self.rows)

    def _once(self) -> Iterator[Row]:
        seen: dict[str, Row] = {}
        for row in self.rows:
            # One look does for nearly all.
            known = seen.setdefault(row.external_id, row)
            if known is row:
                yield row
            elif known[2:] == row[2:]:
                self.repeated.append(row.line)
            else:
                self.changed.append((row.line, row.external_id))
        self.count = len(seen)

    def halves(self) -> tuple["Delivery", "Delivery"]:
        middle = len(self.rows) // 2
        return Delivery(self.source_id, self.rows[:middle]), Delivery(self.source_id, self.rows[middle:])
