"""Rows as PostgreSQL's COPY reads them, made while it reads. Plain Python, no environment."""

from collections.abc import Iterable

# Texts come checked: of all that COPY would take for something else, only the backslash is left.
NOTHING = "\\N"


class CopyText:
    """A file to read from, made of rows of texts without control characters, numbers and None."""

    def __init__(self, rows: Iterable[tuple]):
        self._lines = self._written(rows)
        self._rest = ""

    @staticmethod
    def _written(rows):
        for row in rows:
            line = "\t".join([NOTHING if cell is None else str(cell) for cell in row])
            if line.count("\\") != row.count(None):
                line = "\t".join([NOTHING if cell is None else str(cell).replace("\\", "\\\\") for cell in row])
            yield line

    def _text(self, size: int = -1) -> str:
        parts, length = [self._rest], len(self._rest)
        for line in self._lines:
            parts.append(line)
            parts.append("\n")
            length += len(line) + 1
            if 0 <= size <= length:
                break
        text = "".join(parts)
        if size < 0:
            size = len(text)
        self._rest = text[size:]
        return text[:size]

    # By this name the database's client asks.
    read = _text
