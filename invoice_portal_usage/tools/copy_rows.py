"""Rows as PostgreSQL's COPY reads them. Plain Python, no environment."""

from collections.abc import Iterable

from .usage_row import Row

# Texts come checked, and have no control characters: of all that COPY would take for something else, only the
# backslash is left.
NOTHING = "\x01"
# Whoever hands over a block waits for the interpreter, where another thread uses it, too: few blocks, not one per line.
LINES_IN_BLOCK = 5_000
COLUMNS = ("source_id", *Row._fields)


class Blocks:
    """A file to read from, with rows as `COLUMNS`; `NOTHING` stands for what is not there."""

    def __init__(self, blocks: Iterable[str]):
        following = iter(blocks)
        # What the database's client asks, and all that it gets it sends, however long.
        self.read = lambda _size=-1: next(following, "")


def written(source_id: int, rows: Iterable[Row]) -> list[str]:
    blocks, lines = [], []
    for line, external_id, account, client, subscription, moment, destination, quantity, attributes in rows:
        text = (
            f"{source_id}\t{line}\t{external_id}\t{NOTHING if account is None else account}"
            f"\t{NOTHING if client is None else client}\t{NOTHING if subscription is None else subscription}"
            f"\t{moment}\t{destination}\t{quantity}\t{NOTHING if attributes is None else attributes}\n"
        )
        lines.append(text.replace("\\", "\\\\") if "\\" in text else text)
        if len(lines) == LINES_IN_BLOCK:
            blocks.append("".join(lines))
            lines.clear()
    blocks.append("".join(lines))
    return [block for block in blocks if block]
