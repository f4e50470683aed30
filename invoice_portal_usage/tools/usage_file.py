"""Files of usage as people have them: any encoding, delimiter and way of writing dates and numbers.

Plain Python, no environment. A file is read as a stream: what is kept of it does not grow with it. Nothing a file can
hold ends in another exception than these two: `Refused`, about the file as a whole, and `Unfit`, about one of its rows,
which leaves the others as they are. Both carry a code and values; the words are the model's.
"""

import codecs
import csv
import hashlib
import io
import re
import tempfile
import unicodedata
from collections import Counter, deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

# Characters of a line, lines of a row (cells may hold line breaks), columns of a table. Far more than usage needs; what
# is longer is no row, and reading on to the end of it would fill the memory. A row stays below the limit of `csv`.
MAX_LINE = 60_000
MAX_ROW_LINES = 20
MAX_COLUMNS = 200
# What is kept of a line that is no row.
MAX_KEPT = 1_000
# Bytes by which delimiter, heading and formats are guessed, and rows.
HEAD = 262_144
HEAD_ROWS = 200
BLOCK = 1 << 20

DELIMITERS = [",", ";", "\t", "|"]
ENCODINGS = [
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "cp1252",
    "iso8859-15",
    "cp850",
    "mac-roman",
    "cp1250",
    "cp1251",
    "gb18030",
    "shift-jis",
]
BOMS = [
    (codecs.BOM_UTF8, "utf-8-sig"),
    # Before those of UTF-16, with which they begin.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
]
# What is no text, by its first bytes.
MAGIC = [
    (b"PK\x03\x04", "workbook"),
    (b"PK\x05\x06", "zip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "workbook"),
    (b"%PDF", "pdf"),
    (b"{\\rtf", "document"),
    (b"\x1f\x8b", "compressed"),
    (b"\x1f\x9d", "compressed"),
    (b"BZh", "compressed"),
    (b"\xfd7zXZ\x00", "compressed"),
    (b"\x28\xb5\x2f\xfd", "compressed"),
    (b"7z\xbc\xaf\x27\x1c", "compressed"),
    (b"Rar!\x1a\x07", "compressed"),
    (b"\x89PNG", "picture"),
    (b"\xff\xd8\xff", "picture"),
    (b"GIF8", "picture"),
    (b"SQLite format 3\x00", "database"),
    (b"PAR1", "database"),
    (b"\x7fELF", "program"),
    (b"MZ\x90\x00", "program"),
]
# What is text, and no table.
TEXTS = [
    (("<!doctype html", "<html"), "page"),
    (("<?xml", "<!doctype"), "xml"),
    (('{"', "{\n", "{\r", "[{", "[\n", "[["), "json"),
]

ROLES = [
    "id",
    "account",
    "client",
    "subscription",
    "moment",
    "date",
    "time",
    "destination",
    "quantity",
    "unit",
    "attribute",
]
DATES = ["ymd", "dmy", "mdy", "unix", "excel"]

# The beginnings of formulas: in front of them, an apostrophe is the mark of a text.
FORMULA = "=+-@\t\r\n|＝＋－＠"
UNREADABLE = "\ufffd"


class Told(Exception):  # noqa: N818 - not an error of the program: something to tell
    def __init__(self, code, **values):
        super().__init__(code, values)
        self.code = code
        self.values = values


class Refused(Told):
    """The file as a whole cannot be taken, and why."""


class Unfit(Told):
    """A row cannot be taken, and why."""


class Layout(NamedTuple):
    """How the text is cut into cells."""

    encoding: str = "utf-8-sig"
    delimiter: str = ","
    quote: str = '"'
    escape: str = ""
    heading: int = 1  # the line that names the columns; 0: none does


class Line(NamedTuple):
    """A row as it stands in the file; with a problem, as much of it as is worth keeping."""

    number: int
    cells: list
    problem: Unfit | None = None


# -- cutting ----------------------------------------------------------------------------------------------------------


class _Physical(NamedTuple):
    number: int
    text: str
    problem: str = ""


class _Lines:
    """The lines of a text, one at a time; some can be put back."""

    def __init__(self, text):
        self.text = text
        self.number = 0
        self.back = deque()

    def take(self):
        if self.back:
            return self.back.popleft()
        text = self.text.readline(MAX_LINE + 1)
        if not text:
            return None
        self.number += 1
        if len(text) > MAX_LINE and not text.endswith("\n"):
            while (rest := self.text.readline(MAX_LINE)) and not rest.endswith("\n"):
                pass
            return _Physical(self.number, text[:MAX_KEPT], "long")
        if "\x00" in text:
            return _Physical(self.number, text[:MAX_KEPT], "zero")
        return _Physical(self.number, text)

    def put_back(self, lines):
        self.back.extendleft(reversed(lines))


def _decoded(file, encoding):
    # Also old Macintosh's line ends. What cannot be decoded is marked, so that its row can be told from the others.
    return io.TextIOWrapper(file, encoding, errors="replace", newline=None)


def read_lines(file, layout, width=None):
    """Every row of the file after its heading, as `Line`; empty ones are none.

    `width`: how many cells are a row's. Where a quotation mark is not closed, only its own line is lost.
    """
    text = _decoded(file, layout.encoding)
    try:
        lines = _Lines(text)
        for row in _cut(lines, layout, width):
            if row.number > layout.heading:
                yield row
    finally:
        # The file is the caller's.
        text.detach()


def _cut(lines, layout, width=None):
    # `sep=;` tells spreadsheets the delimiter, and is no row.
    first = lines.take()
    if first is not None and not _is_hint(first.text):
        lines.put_back([first])
    delimiter, quote, escape = layout.delimiter, layout.quote, layout.escape
    blank = delimiter + " \t\r\n\xa0\ufeff"
    while (line := lines.take()) is not None:
        if line.problem:
            yield Line(line.number, [_kept(line.text)], Unfit(line.problem))
            continue
        if not line.text.strip(blank):
            continue
        if quote not in line.text and (not escape or escape not in line.text):
            # Nothing is quoted: no need of anything slower.
            cells = line.text.rstrip("\n").split(delimiter)
        else:
            cells = _unquoted(lines, line, layout, width)
            if cells is None:
                yield Line(line.number, [_kept(line.text)], Unfit("quote", quote=quote))
                continue
        if len(cells) > MAX_COLUMNS:
            yield Line(line.number, [_kept(line.text)], Unfit("columns", count=len(cells), limit=MAX_COLUMNS))
            continue
        yield Line(line.number, cells)


def _is_hint(text):
    return bool(re.fullmatch(r"\ufeff?\"?sep=.\"?\s*", text, re.IGNORECASE))


def _unquoted(lines, first, layout, width):
    """The cells of a row that begins with this line; `None` where its quotation marks do not fit together."""
    taken = [first]

    def feed():
        yield first.text
        length = len(first.text)
        while len(taken) < MAX_ROW_LINES and length < MAX_LINE and (more := lines.take()) is not None:
            if more.problem:
                lines.put_back([more])
                break
            taken.append(more)
            length += len(more.text)
            yield more.text

    try:
        cells = next(
            csv.reader(
                feed(),
                delimiter=layout.delimiter,
                quotechar=layout.quote,
                escapechar=layout.escape or None,
                doublequote=not layout.escape,
                strict=True,
            )
        )
    except (csv.Error, StopIteration):
        cells = None
    if len(taken) > 1 and (cells is None or (width and len(cells) != width)):
        # The mark swallowed the rows that follow: they are rows of their own.
        lines.put_back(taken[1:])
        return None
    return cells


def _kept(text):
    return readable(text.rstrip("\n")[:MAX_KEPT])


def readable(text):
    """Without what no database and no page takes."""
    if text.isprintable():
        return text
    return "".join(
        UNREADABLE if unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t" else char for char in text
    )


# -- guessing ---------------------------------------------------------------------------------------------------------


def guess_layout(file, name=""):
    """How this file is written; `Refused` where it is no table of text at all. Reads all of it, block by block."""
    file.seek(0)
    head = file.read(HEAD)
    if not head.strip(b"\x00\t\r\n \xef\xbb\xbf\xff\xfe"):
        raise Refused("empty")
    for magic, kind in MAGIC:
        if head.startswith(magic):
            raise Refused("kind", kind=kind)
    encoding = _guess_encoding(file, head)
    text = head.decode(encoding, "replace")
    if len(head) == HEAD:
        # The last line is cut off.
        text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1] or text
    beginning = text.lstrip("\ufeff \t\r\n")[:100].lower()
    if not beginning:
        raise Refused("empty")
    for starts, kind in TEXTS:
        if beginning.startswith(starts):
            raise Refused("kind", kind=kind)
    controls = sum(char < " " and char not in "\t\r\n" for char in text[:MAX_LINE])
    if controls > len(text[:MAX_LINE]) / 20:
        raise Refused("kind", kind="binary")
    layout = _guess_table(text, Layout(encoding, heading=0))
    return layout._replace(heading=_guess_heading(text, layout))


def _guess_encoding(file, head):
    for bom, encoding in BOMS:
        if head.startswith(bom):
            return encoding
    zeros = head.count(0)
    if zeros > len(head) / 5:
        # Latin letters in UTF-16 without its mark: every other byte is zero.
        odd = head[1::2].count(0)
        if odd > 0.9 * zeros:
            return "utf-16-le"
        if odd < 0.1 * zeros:
            return "utf-16-be"
        raise Refused("kind", kind="binary")
    # All of it: the only letter beyond ASCII may be in the last row.
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    good = bad = 0
    file.seek(0)
    while block := file.read(BLOCK):
        if block.isascii():
            continue
        text = decoder.decode(block)
        wrong = sum("\udc80" <= char <= "\udcff" for char in text)
        bad += wrong
        good += sum(char > "\x7f" for char in text) - wrong
    # A few broken letters in UTF-8 are just that.
    return "utf-8-sig" if bad == 0 or good > 2 * bad else "cp1252"


def _first_lines(text, layout, count=HEAD_ROWS):
    lines = []
    for line in _cut(_Lines(io.StringIO(text, newline=None)), layout):
        lines.append(line)
        if len(lines) == count:
            break
    return lines


def _usual_width(lines):
    """How many cells most rows have, and the share of those."""
    counts = Counter(len(line.cells) for line in lines if not line.problem)
    if not counts:
        return 0, 0.0
    width, count = max(counts.items(), key=lambda item: (item[1], item[0]))
    return width, count / len(lines)


def _guess_table(text, layout):
    first = text.split("\n", 1)[0]
    hint = first.strip().strip('"\ufeff')[4:5] if _is_hint(first) else ""
    best, best_score = layout, -1.0
    single = len(re.findall(r"(?:^|[,;\t|])'", text[:20_000])) > 4 * text[:20_000].count('"') + 4
    for delimiter in [hint] if hint in DELIMITERS else DELIMITERS:
        for quote in "'\"" if single else '"':
            escape = "\\" if f"\\{quote}" in text and f"{quote}{quote}" not in text.replace(f"\\{quote}", "") else ""
            candidate = layout._replace(delimiter=delimiter, quote=quote, escape=escape)
            width, share = _usual_width(_first_lines(text, candidate))
            score = share * min(width, MAX_COLUMNS) if width > 1 else 0
            if score > best_score:
                best, best_score = candidate, score
    if not best_score:
        for delimiter in DELIMITERS:
            for line in _first_lines(text, layout._replace(delimiter=delimiter)):
                if line.problem and line.problem.code == "columns":
                    raise Refused("columns", **line.problem.values)
    return best


def _guess_heading(text, layout):
    """The line that names the columns, which may stand below a title; 0 where there is none."""
    lines = _first_lines(text, layout)
    width, _share = _usual_width(lines)
    for place, line in enumerate(lines):
        if line.problem or len(line.cells) != width:
            continue
        cells = [clean(cell) for cell in line.cells]
        below = lines[place + 1 : place + 6]
        if any(_is_value(cell) for cell in cells):
            return 0
        known = sum(role_of(cell) is not None for cell in cells)
        values = any(_is_value(clean(cell)) for other in below for cell in other.cells)
        return line.number if known or values or not below else 0
    return 0


def _is_value(cell):
    """Whether this is data rather than a name: mostly digits."""
    digits = sum(char.isdigit() for char in cell)
    return digits > 0 and digits >= len(cell.replace(" ", "")) / 2


# What columns are called, without accents and what is no letter. The first that fits: the more exact ones first.
HEADINGS = [
    ("id", "id uid uuid guid externalid recordid callid cdrid uniqueid eventid sequence reference ref nr no kennung"),
    ("subscription", "subscription subscriptionid contract contractid vertrag vertragsnummer abonnement abo"),
    ("client", "client customer customerid customernumber customerno clientid kunde kundennummer kundennr cliente"),
    (
        "account",
        "account accountid accountnumber number from caller callingnumber callingparty source src anumber msisdn origin"
        " clid cli user username login extension phone telephone telefon rufnummer anrufer von nummer konto key apikey"
        " device meter meterid zaehler sim iccid imsi appelant origen numero",
    ),
    (
        "destination",
        "destination dest dst to called callee callednumber calledparty bnumber dialed dialled dialednumber recipient"
        " receiver target ziel zielnummer nach gerufener empfaenger destino appele task activity service product type"
        " kind region endpoint taetigkeit leistung",
    ),
    (
        "moment",
        "moment timestamp datetime dateandtime datetimeutc starttime start started startedat startdate begin beginn"
        " connecttime answertime createdat created calldate calldatetime eventtime when zeitstempel zeitpunkt datumzeit"
        " startzeit horodatage fechahora utc",
    ),
    ("date", "date day datum tag fecha jour data"),
    ("time", "time timeofday uhrzeit zeit heure hora clock"),
    (
        "quantity",
        "quantity qty amount units count duration billsec billableseconds billedduration seconds secs sec minutes mins"
        " min hours hrs volume usage used value total bytes mb gb megabytes gigabytes dauer menge anzahl sekunden"
        " minuten stunden verbrauch duree quantite duracion cantidad length talktime",
    ),
    ("unit", "unit uom unitofmeasure einheit unite unidad measure"),
]
ROLE_OF = {word: role for role, words in reversed(HEADINGS) for word in words.split()}
UNIT_WORDS = {
    "second": "second seconds sec secs s sekunde sekunden sek seconde secondes segundo segundos billsec",
    "minute": "minute minutes min mins m minuten minuto minutos",
    "hour": "hour hours h hr hrs std stunde stunden heure heures hora horas",
    "mb": "mb megabyte megabytes mbyte mo",
    "gb": "gb gigabyte gigabytes gbyte go",
    "piece": "piece pieces pc pcs unit units count item items sms message messages stk st stueck stck anzahl",
}
UNIT_OF = {word: unit for unit, words in UNIT_WORDS.items() for word in words.split()}
# Units that are kept in another one.
SCALED = {
    "ms": ("second", Decimal("0.001")),
    "millisecond": ("second", Decimal("0.001")),
    "milliseconds": ("second", Decimal("0.001")),
    "b": ("mb", Decimal("0.000001")),
    "byte": ("mb", Decimal("0.000001")),
    "bytes": ("mb", Decimal("0.000001")),
    "kb": ("mb", Decimal("0.001")),
    "kilobyte": ("mb", Decimal("0.001")),
    "kilobytes": ("mb", Decimal("0.001")),
    "tb": ("gb", Decimal(1000)),
    "terabyte": ("gb", Decimal(1000)),
    "terabytes": ("gb", Decimal(1000)),
    "day": ("hour", Decimal(24)),
    "days": ("hour", Decimal(24)),
}


def _plain(text):
    """Letters and digits alone, in lower case, without accents."""
    text = text.lower().replace("ä", "ae").replace("ö", "oe").replace("ü", "ue").replace("ß", "ss")
    decomposed = unicodedata.normalize("NFKD", text)
    return re.sub(r"[^a-z0-9]", "", decomposed)


def role_of(heading):
    """What a column of this name holds, or `None`."""
    if role := ROLE_OF.get(_plain(heading)):
        return role
    # "Duration (sec)", "start_time [UTC]"
    bare = re.sub(r"[(\[].*?[)\]]", "", heading)
    return ROLE_OF.get(_plain(bare)) if bare.strip() else None


def unit_of_heading(heading):
    """The unit that a column's name tells: "Duration (min)", "minutes"."""
    for word in re.findall(r"[^\W\d_]+", heading)[::-1]:
        if (plain := _plain(word)) in UNIT_OF and plain not in (
            "m",
            "s",
            "h",
            "st",
            "unit",
            "units",
            "count",
            "anzahl",
        ):
            return UNIT_OF[plain]
    return None


def guess_roles(headings, samples):
    """What each column holds: by its name, else by what stands in it. `samples`: rows of cells."""
    roles = []
    for heading in headings:
        role = role_of(heading) if heading else None
        # One column of each; what is called alike is something else.
        roles.append(None if role in roles else role)
    if "moment" in roles and "date" in roles and "time" not in roles:
        # "start" beside "date": the start is a time of day.
        place = roles.index("moment")
        if samples and all(
            re.fullmatch(r"\d{1,2}[:.]\d{2}.*", clean(row[place])) for row in samples if place < len(row)
        ):
            roles[place] = "time"
    if not {"moment", "date", "time"} & set(roles):
        for place, role in enumerate(roles):
            cells = [clean(row[place]) for row in samples if place < len(row)]
            if role is None and cells and all(_looks_like_date(cell) for cell in cells):
                roles[place] = "moment"
                break
    elif "time" in roles and not {"moment", "date"} & set(roles):
        # "time" alone is the whole of it.
        roles[roles.index("time")] = "moment"
    return roles


def _looks_like_date(cell):
    return bool(
        re.match(r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/. ](\d{1,2}|[A-Za-z]{3,9})[-/. ]\d{2,4})(?!\d)", cell)
    )


def guess_dates(cells, month_first=False):
    """How dates are written, and whether that is sure."""
    votes = Counter()
    for cell in cells:
        if re.match(r"\d{4}[-/.]?\d{1,2}[-/.]?\d{1,2}(\D|\d{6}$|$)", cell):
            votes["ymd"] += 1
        elif re.fullmatch(r"\d{9,16}(\.\d+)?", cell):
            votes["unix"] += 1
        elif re.fullmatch(r"\d{5}([.,]\d+)?", cell):
            votes["excel"] += 1
        elif found := re.match(r"(\d{1,2})([-/. ])(\d{1,2})\2\d{2,4}", cell):
            first, second = int(found[1]), int(found[3])
            if first > 12 >= second:
                votes["dmy"] += 100
            elif second > 12 >= first:
                votes["mdy"] += 100
            elif found[2] == ".":
                votes["dmy"] += 100
            else:
                votes["unsure"] += 1
        elif re.match(r"[A-Za-z]{3,9}\.? \d{1,2},? \d{4}|\d{1,2}[-/. ]+[A-Za-z]{3,9}", cell):
            votes["dmy"] += 1
    if not votes:
        return None, True
    best = votes.most_common(1)[0][0]
    if best == "unsure":
        return ("mdy" if month_first else "dmy"), False
    return best, True


def guess_decimal(cells, delimiter=","):
    """Which sign stands before the decimals, `None` where there are none, and whether that is sure: "1,234" is not."""
    comma = point = either = 0
    for cell in cells:
        if re.search(r"\.\d*,\d*$", cell) or re.search(r",(\d{1,2}|\d{4,})$", cell) or re.search(r"^0?,\d+$", cell):
            comma += 1
        elif re.search(r",\d*\.\d*$", cell) or re.search(r"\.(\d{1,2}|\d{4,})$", cell) or re.search(r"^0?\.\d+$", cell):
            point += 1
        elif found := re.search(r"([.,])\d{3}$", cell):
            either += 1 if found[1] == "," else -1
    if comma or point:
        return ("comma" if comma > point else "point"), True
    if not either:
        return None, True
    # Who writes decimals with a comma delimits with something else.
    return ("comma" if either > 0 and delimiter != "," else "point"), False


# -- cells ------------------------------------------------------------------------------------------------------------


def clean(cell):
    """A cell without what nobody sees around it, and without the mark of a text in a spreadsheet."""
    cell = cell.strip()
    if not cell.isascii():
        cell = cell.strip("\ufeff\u200b\u200e\u200f\u2060 \xa0")
    if len(cell) > 1 and cell[0] == "'" and cell[1] in FORMULA:
        return cell[1:]
    return cell


_TIME = (
    r"(?P<h>\d{1,2})[:.h](?P<m>\d{2})(?:[:.m](?P<s>\d{2})s?(?:[.,](?P<f>\d{1,9}))?)?\s*(?P<ap>[AaPp]\.?[Mm]\.?)?"
    r"|(?P<ch>\d{2})(?P<cm>\d{2})(?P<cs>\d{2})"
    r"|(?P<oh>\d{1,2})\s*(?P<oap>[AaPp]\.?[Mm]\.?)"
)
_ZONE = r"\s*(?P<zone>Z|z|UTC|GMT|WET|CET|CEST|MEZ|MESZ|(?:UTC|GMT)?[+-]\d{2}:?(?:\d{2})?)?(?:\[[\w/+-]+\])?"
_REST = rf"(?:[T,\s]+(?:{_TIME})(?:\s+Uhr)?{_ZONE})?\s*$"
_WEEKDAY = r"(?:[A-Za-z]{2,9}\.?,?\s+)?"
_YMD = re.compile(rf"{_WEEKDAY}(?P<y>\d{{4}})(?P<sep>[-/.])(?P<mo>\d{{1,2}})(?P=sep)(?P<d>\d{{1,2}}){_REST}", re.ASCII)
_COMPACT = re.compile(rf"(?P<y>\d{{4}})(?P<mo>\d{{2}})(?P<d>\d{{2}}){_REST.replace('[T,', '[T_,')}", re.ASCII)
# Without anything in between: 20260310120000
_DIGITS = re.compile(
    rf"(?P<y>\d{{4}})(?P<mo>\d{{2}})(?P<d>\d{{2}})(?P<h>\d{{2}})(?P<m>\d{{2}})(?P<s>\d{{2}}){_ZONE}\s*$", re.ASCII
)
_PARTS = re.compile(
    rf"{_WEEKDAY}(?P<a>\d{{1,2}})(?P<sep>[-/.])\s?(?P<b>\d{{1,2}})(?P=sep)\s?(?P<y>\d{{4}}|\d{{2}}){_REST}", re.ASCII
)
_NAMED = re.compile(
    rf"{_WEEKDAY}(?:(?P<d>\d{{1,2}})\.?[-/\s]*(?P<name>[A-Za-zä]{{3,9}})\.?"
    rf"|(?P<name2>[A-Za-zä]{{3,9}})\.?\s(?P<d2>\d{{1,2}})),?"
    rf"[-/\s]*(?P<y>\d{{4}}|\d{{2}}){_REST}",
    re.ASCII,
)
_MONTHS = {
    name: number
    for number, names in enumerate(
        [
            "jan januar",
            "feb februar",
            "mar mär mrz märz",
            "apr",
            "may mai",
            "jun juni",
            "jul juli",
            "aug",
            "sep sept",
            "oct okt oktober",
            "nov",
            "dec dez dezember",
        ],
        1,
    )
    for name in names.split()
}
_MONTHS.update(
    {
        name: number
        for number, name in enumerate(
            "january february march april may june july august september october november december".split(), 1
        )
    }
)
_OFFSETS = {"Z": "+00:00", "UTC": "+00:00", "GMT": "+00:00", "WET": "+00:00", "CET": "+01:00", "MEZ": "+01:00"}
_OFFSETS.update({"CEST": "+02:00", "MESZ": "+02:00"})


def moment_text(text, order):
    """A moment as ISO writes it; with its offset where it names one."""
    # What ISO writes needs no help, whichever order was chosen: the year comes first.
    if text[4:5] == "-" and len(text) >= 16 and _is_iso(text):
        return text
    try:
        if order == "unix":
            return _from_unix(text)
        if order == "excel":
            return _from_excel(text)
        return _from_parts(text, order)
    except (ValueError, OverflowError, InvalidOperation, ArithmeticError) as error:
        raise Unfit("moment", value=text[:60], order=order) from error


def _is_iso(text):
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _from_unix(text):
    if not re.fullmatch(r"\d{1,19}(\.\d{1,9})?", text, re.ASCII):
        raise ValueError
    seconds = Decimal(text)
    # Milliseconds, microseconds and nanoseconds have so many digits that seconds would be in a far future.
    while seconds >= 100_000_000_000:
        seconds /= 1000
    if seconds < 1_000_000:
        # Rather a number of something.
        raise ValueError
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(seconds * 1_000_000))
    return moment.isoformat()


def _from_excel(text):
    if not re.fullmatch(r"\d{1,6}([.,]\d{1,17})?", text, re.ASCII):
        raise ValueError
    days = Decimal(text.replace(",", "."))
    # To the second: a day's fraction has no more to give.
    moment = datetime(1899, 12, 30) + timedelta(seconds=round(days * 86_400))
    return moment.isoformat()


def _from_parts(text, order):
    if found := _YMD.match(text) or _COMPACT.match(text) or _DIGITS.match(text):
        parts = found.groupdict()
        year, month, day = parts["y"], parts["mo"], parts["d"]
    elif found := _PARTS.match(text):
        parts = found.groupdict()
        year, month, day = parts["y"], parts["b"], parts["a"]
        if order == "mdy":
            month, day = day, month
        elif order != "dmy":
            raise ValueError
    elif found := _NAMED.match(text):
        parts = found.groupdict()
        year, day = parts["y"], parts["d"] or parts["d2"]
        month = _MONTHS.get((parts["name"] or parts["name2"]).lower())
        if not month:
            raise ValueError
    else:
        raise ValueError
    year = int(year) + (2000 if len(year) == 2 else 0)
    hour = parts.get("h") or parts.get("ch") or parts.get("oh") or 0
    minute = parts.get("m") or parts.get("cm") or 0
    second = parts.get("s") or parts.get("cs") or 0
    hour = int(hour)
    if half := parts.get("ap") or parts.get("oap"):
        if not 1 <= hour <= 12:
            raise ValueError
        hour = hour % 12 + (12 if half[0] in "pP" else 0)
    fraction = int((parts.get("f") or "0").ljust(6, "0")[:6])
    moment = datetime(year, int(month), int(day), hour, int(minute), int(second), fraction)
    return moment.isoformat() + _offset(parts.get("zone"))


def _offset(zone):
    if not zone:
        return ""
    zone = zone.upper()
    if zone in _OFFSETS:
        return _OFFSETS[zone]
    sign, digits = re.fullmatch(r"(?:UTC|GMT)?([+-])([\d:]+)", zone).groups()
    digits = digits.replace(":", "").ljust(4, "0")
    if int(digits[:2]) > 14 or int(digits[2:]) > 59:
        raise ValueError
    return f"{sign}{digits[:2]}:{digits[2:]}"


_NUMBER = {
    "point": re.compile(r"([+-]?)(\d{1,3}(?:([, '’\xa0\u2009\u202f_])\d{3})(?:\3\d{3})*|\d*)(?:\.(\d*))?", re.ASCII),
    "comma": re.compile(r"([+-]?)(\d{1,3}(?:([. '’\xa0\u2009\u202f_])\d{3})(?:\3\d{3})*|\d*)(?:,(\d*))?", re.ASCII),
}


def number_text(text, decimal):
    """A number in digits with a point."""
    if text.isascii() and text.isdigit():
        return text
    if re.fullmatch(r"[+-]?\d+(?:[.,]\d+)?[eE][+-]?\d{1,2}", text, re.ASCII):
        return format(Decimal(text.replace(",", ".")), "f")
    found = _NUMBER[decimal].fullmatch(text)
    if not found or not (found[2] or found[4]):
        raise Unfit("number", value=text[:60], decimal=decimal)
    whole = re.sub(r"\D", "", found[2]) or "0"
    return f"{'-' if found[1] == '-' else ''}{whole}{'.' + found[4] if found[4] else ''}"


_CLOCK = re.compile(r"(?:(\d{1,5}):)?(\d{1,5}):(\d{2})(?:[.,](\d{1,6}))?", re.ASCII)
_SPOKEN = re.compile(
    r"(?:P)?(?:(\d{1,4})\s*d(?:ays?)?,?\s*)?T?(?:(\d{1,5})\s*h(?:ours?|rs?)?,?\s*)?(?:(\d{1,6})\s*m(?:in(?:ute)?s?)?,?\s*)?"
    r"(?:(\d{1,8})(?:[.,](\d{1,6}))?\s*s(?:ec(?:ond)?s?)?)?",
    re.ASCII | re.IGNORECASE,
)
_WITH_UNIT = re.compile(r"([+-]?[\d.,' \xa0’\u2009\u202f]*\d)\s*([^\W\d_]+)\.?")


def quantity_text(text, decimal, unit):
    """A quantity in digits, and the unit that it names itself, or `None`.

    What has colons is a time: 1:02:03 hours, minutes and seconds; 2:03 hours and minutes where hours are counted, else
    minutes and seconds.
    """
    if text.isascii() and text.isdigit():
        return text, None
    if ":" in text:
        found = _CLOCK.fullmatch(text)
        if not found or int(found[3]) > 59 or (found[1] and int(found[2]) > 59):
            raise Unfit("duration", value=text[:60])
        first, second, third = int(found[1] or 0), int(found[2]), int(found[3])
        if found[1] is None and unit == "hour":
            first, second, third = second, third, 0
        fraction = f".{found[4]}" if found[4] else ""
        return f"{3600 * first + 60 * second + third}{fraction}", "second"
    if text[-1:].isalpha() or text[-2:-1].isalpha():
        if found := _WITH_UNIT.fullmatch(text):
            number, word = number_text(found[1].strip(), decimal), _plain(found[2])
            return scaled(number, word, found[2])
        found = _SPOKEN.fullmatch(text)
        if found and any(found.groups()):
            days, hours, minutes, seconds = (int(part or 0) for part in found.groups()[:4])
            fraction = f".{found[5]}" if found[5] else ""
            return f"{86_400 * days + 3600 * hours + 60 * minutes + seconds}{fraction}", "second"
    return number_text(text, decimal), None


def scaled(number, word, written):
    """A number with the unit that this word names."""
    if word in UNIT_OF:
        return number, UNIT_OF[word]
    if word in SCALED:
        unit, factor = SCALED[word]
        return format(Decimal(number) * factor, "f"), unit
    raise Unfit("unit", value=written[:60])


_SHORTENED = re.compile(r"\d[.,]?\d*E\+\d+", re.ASCII | re.IGNORECASE)


# -- rows -------------------------------------------------------------------------------------------------------------


class RowMaker:
    """Turns the cells of a row into the texts that `read_row` takes, by a mapping:

    - `roles`: what each column holds, `None` what is of no interest,
    - `headings`: what the columns are called,
    - `own`: the columns that make a row, where it has no ID (all, where not named),
    - `dates`, `decimal`, `unit`: how these are written; `unit` names the unit of what names none.
    """

    def __init__(self, mapping):
        roles = mapping["roles"]
        self.width = len(roles)
        self.dates, self.decimal, self.unit = mapping["dates"], mapping["decimal"], mapping.get("unit") or None
        self.place = {role: place for place, role in enumerate(roles) if role and role != "attribute"}
        self.needed = max(self.place.values(), default=-1) + 1
        self.own = mapping.get("own") or list(range(self.width))
        self.attributes = []
        for place, role in enumerate(roles):
            if role == "attribute":
                self.attributes.append((place, mapping["headings"][place][:64] or f"column {place + 1}"))

    def raw(self, cells):
        """`{id, account, client, subscription, moment, destination, quantity, unit, attributes}`, all texts."""
        if len(cells) > self.width:
            if any(cell.strip() for cell in cells[self.width :]):
                raise Unfit("more", count=len(cells), width=self.width)
        elif len(cells) < self.needed:
            raise Unfit("fewer", count=len(cells), width=self.width)
        raw = {role: clean(cells[place]) for role, place in self.place.items()}
        for role, text in raw.items():
            if UNREADABLE in text:
                raise Unfit("letters", value=text[:60])
            if role in ("id", "account", "destination", "client", "subscription") and _SHORTENED.fullmatch(text):
                raise Unfit("shortened", value=text)
        if "id" not in raw:
            raw["id"] = self.identity(cells)
        self._add_moment(raw)
        self._add_quantity(raw)
        raw["attributes"] = {
            name: readable(text)
            for place, name in self.attributes
            if place < len(cells) and (text := clean(cells[place]))
        } or None
        return raw

    def _add_moment(self, raw):
        date, time = raw.pop("date", None), raw.pop("time", None)
        text = raw.get("moment") or (f"{date} {time}" if date and time else date)
        if "moment" in raw and raw["moment"] and time:
            text = f"{text} {time}"
        if not text:
            raise Unfit("no_moment")
        raw["moment"] = moment_text(text, self.dates)

    def _add_quantity(self, raw):
        unit, written = self.unit, raw.get("unit")
        if "quantity" not in raw:
            # Every row is one.
            raw["quantity"] = "1"
        else:
            if not raw["quantity"]:
                raise Unfit("no_quantity")
            raw["quantity"], named = quantity_text(raw["quantity"], self.decimal, unit)
            if named:
                raw["unit"] = named
                return
        if written:
            raw["quantity"], unit = scaled(raw["quantity"], _plain(written), written)
        raw["unit"] = unit

    def shown_id(self, cells):
        """The ID of a row that may be no row, as far as it can be told."""
        place = self.place.get("id")
        return readable(clean(cells[place]))[:200] if place is not None and place < len(cells) else ""

    def identity(self, cells):
        """What tells a row without an ID: all of it."""
        count = len(cells)
        text = "\x1f".join(clean(cells[place]) if place < count else "" for place in self.own)
        return "row-" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def repeated(file, layout, maker):
    """Which rows, counted from 0, equal one above: a bit each. Memory: a bit per row, and a small part of their sums.

    The sums are sorted into files by their beginnings, so that one file at a time is enough to find equal ones.
    """
    # What is written between two flushes stays in small buffers of these files.
    buckets = [tempfile.TemporaryFile(buffering=4096) for _ in range(64)]  # noqa: SIM115 - closed below
    try:
        count = 0
        for line in read_lines(file, layout, maker.width):
            if not line.problem:
                key = bytes.fromhex(maker.identity(line.cells)[4:])
                buckets[key[0] % 64].write(key + count.to_bytes(8, "big"))
            count += 1
        bits = bytearray(count // 8 + 1)
        for bucket in buckets:
            bucket.seek(0)
            seen = set()
            while entry := bucket.read(24):
                key = entry[:16]
                if key in seen:
                    place = int.from_bytes(entry[16:], "big")
                    bits[place // 8] |= 1 << place % 8
                seen.add(key)
        return bits
    finally:
        for bucket in buckets:
            bucket.close()


def is_repeated(bits, place):
    return bool(bits[place // 8] & 1 << place % 8)
