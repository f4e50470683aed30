"""Files as they should not be, and as they are all the same: each with what is to become of it.

Every file that can be read has at least one good row, which has to be taken whatever stands around it.
"""

import bz2
import gzip
import io
import lzma
import struct
import zipfile
import zlib
from typing import NamedTuple

HEADINGS = "id,account,start,destination,duration"


class Case(NamedTuple):
    name: str
    data: bytes
    accepted: int = 0
    rejected: int = 0
    refused: str = ""  # words of the reason why the file as a whole is not taken
    reason: str = ""  # words of the reason of some rejected row


def good(number=1, **values):
    row = {
        "id": f"c{number}",
        "account": "+49301000",
        "start": "2026-03-10T12:00:00Z",
        "destination": "+4989123456",
        "duration": "60",
        **values,
    }
    return ",".join(row.values())


def table(*rows, headings=HEADINGS, end="\n"):
    return end.join([headings, *rows]) + end


def text(*rows, **options):
    return table(*rows, **options).encode()


def workbook():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return file.getvalue()


def bomb():
    """A gigabyte of rows, in a megabyte."""
    squeezed = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = (good() + "\n").encode() * 20_000
    return b"".join(squeezed.compress(block) for _ in range(20)) + squeezed.flush()


def euro(row):
    return row.replace(",", ";")


ODD = good(2)

CASES = [
    # -- no table of text at all
    Case("empty", b"", refused="empty"),
    Case("blank", b" \r\n \n\t\n", refused="empty"),
    Case("a mark and nothing else", b"\xef\xbb\xbf", refused="empty"),
    Case("a mark of UTF-16 and nothing else", b"\xff\xfe", refused="empty"),
    Case("zeros", b"\0" * 100_000, refused="empty"),
    Case("a workbook named csv", workbook(), refused="Excel"),
    Case("an old workbook", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 512, refused="Excel"),
    Case("an empty archive", b"PK\x05\x06" + b"\0" * 18, refused="compressed folder"),
    Case("compressed", gzip.compress(text(good())), refused="compressed"),
    Case("compressed to burst", bomb(), refused="compressed"),
    Case("compressed otherwise", bz2.compress(text(good())), refused="compressed"),
    Case("compressed in a third way", lzma.compress(text(good())), refused="compressed"),
    Case("a PDF", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", refused="PDF"),
    Case("a picture", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", refused="picture"),
    Case("a photograph", b"\xff\xd8\xff\xe0\0\x10JFIF", refused="picture"),
    Case("a program", b"\x7fELF\x02\x01\x01" + b"\0" * 60, refused="program"),
    Case("a database", b"SQLite format 3\0" + b"\x10\0\x01\x01" * 20, refused="database"),
    Case("a page to log in", b"<!DOCTYPE html>\n<html><body>Log in</body></html>", refused="web page"),
    Case("XML", b'<?xml version="1.0"?>\n<calls><call id="1"/></calls>', refused="XML"),
    Case("JSON", b'[{"id": 1, "account": "+49301000"}]', refused="JSON"),
    Case("numbers in binary", struct.pack("<2000d", *range(2000)), refused="no text"),
    Case("noise", bytes((n * 7919 + n // 3) % 256 for n in range(5000)), refused="no text"),
    Case("rich text", b"{\\rtf1\\ansi id,account\\par}", refused="text document"),
    # -- encodings
    Case("UTF-8 with its mark", b"\xef\xbb\xbf" + text(good()), 1),
    Case("UTF-16, little end first", b"\xff\xfe" + table(good()).encode("utf-16-le"), 1),
    Case("UTF-16, big end first", b"\xfe\xff" + table(good()).encode("utf-16-be"), 1),
    Case("UTF-16 without its mark", table(good()).encode("utf-16-le"), 1),
    Case("UTF-16, cut in the middle of a letter", b"\xff\xfe" + table(good(), ODD).encode("utf-16-le")[:-3], 1, 1),
    Case("UTF-32", table(good()).encode("utf-32"), 1),
    Case("Windows-1252", table(good(), headings="id,account,start,destination,duration,Straße").encode("cp1252"), 1),
    Case(
        "one letter of another encoding, far below",
        text(*(good(n) for n in range(3000))) + good(3000, id="Jäger").encode("cp1252") + b"\n",
        3001,
    ),
    Case(
        "a broken letter among right ones",
        table(good(1, id="Jäger"), good(2, id="Müller"), good(3, id="Größe")).encode()
        + b"M\xfcller2,+49301000,2026-03-10T12:00:00Z,+4989123456,60\n",
        3,
        1,
        reason="letters",
    ),
    Case("bytes that are no letter in any", text(good()) + b"\x81\x8d\x9d" + good(2).encode() + b"\n", 1, 1),
    Case("mark in the middle", text(good()) + "\ufeff".encode() + good(2).encode() + b"\n", 2),
    # -- line ends
    Case("Windows's line ends", text(good(), good(2), end="\r\n"), 2),
    Case("old Macintosh's line ends", text(good(), good(2), end="\r"), 2),
    Case("all kinds of line ends", text(good(), good(2), end="\r\n") + good(3).encode() + b"\r" + good(4).encode(), 4),
    Case("no line end at the end", text(good()).rstrip(), 1),
    Case("empty lines in between", text(good(), "", " ", ",,,,", good(2)), 2),
    Case("a page break at the end", text(good()) + b"\x1a", 1, 1),
    # -- delimiters and headings
    Case("semicolons", euro(table(good())).encode(), 1),
    Case("tabs", table(good()).replace(",", "\t").encode(), 1),
    Case("bars", table(good()).replace(",", "|").encode(), 1),
    Case("a hint for spreadsheets", b"sep=;\r\n" + euro(table(good())).encode(), 1),
    Case("a title above", b"Calls of March\n\n" + text(good(), good(2)), 2),
    Case("a total below", text(good(), good(2), "Total,,,,120"), 2, 1),
    Case("the headings again, half way", text(good(), HEADINGS, good(2)), 2, 1),
    Case("headings alone", text(), 0, 0),
    Case(
        "headings with blanks and quotation marks", text(good(), headings='" ID ",Account , "Start",dest,Duration'), 1
    ),
    Case("two columns of one name", text(f"{good()},60", headings=f"{HEADINGS},duration"), 1),
    Case("columns without a name", text(f"{good()},,x", headings=f"{HEADINGS},,"), 1),
    Case(
        "three hundred columns", text(good() + ",x" * 300, headings=HEADINGS + ",x" * 300), refused="more than any row"
    ),
    Case("a row of three hundred columns", text(good() + ",x" * 300, good(2)), 1, 1, reason="more than any row"),
    # -- quotation marks
    Case(
        "everything quoted", ('"' + table(good()).strip().replace(",", '","').replace("\n", '"\n"') + '"').encode(), 1
    ),
    Case("a line break in a cell", text(f'{good()},"two\nlines"', good(2) + ",one", headings=f"{HEADINGS},note"), 2),
    Case(
        "an open quotation mark", text('x,"+49301000,2026-03-10T12:00:00Z,+4989,60', good(2)), 1, 1, reason="quotation"
    ),
    Case("every row opens one", text(*(good(n, account='"+49301000') for n in range(40)), good(99)), 1, 40),
    Case("a quotation mark in the middle", text(good(1, destination='"+49"89123456'), good(2)), 1, 1),
    Case("inches", text(good(1) + ',19" rack', good(2) + ",plain", headings=f"{HEADINGS},note"), 2),
    Case("a quotation mark and the end", text(good(), '"').rstrip(), 1, 1),
    Case("a delimiter in a quoted cell", text(f'{good()},"a,b"', headings=f"{HEADINGS},note"), 1),
    Case("quotation marks escaped by backslash", text(f'{good()},"a \\"b\\""', headings=f"{HEADINGS},note"), 1),
    # -- rows
    Case("a cell too many", text(good(), good(2) + ",x"), 1, 1, reason="cells"),
    Case("a cell too few", text(good(), "c2,+49301000,2026-03-10T12:00:00Z"), 1, 1, reason="cells"),
    Case("one empty cell too many", text(good(), good(2) + ","), 2),
    Case("a decimal comma among commas", text(good(), good(2) + ",5"), 1, 1),
    Case("zero bytes in a row", text(good(), good(2, destination="+49\0" + "89"), good(3)), 2, 1, reason="NUL"),
    Case("control characters in an ID", text(good(), good(2, id="c\x07\x1b[31m2"), good(3)), 2, 1),
    Case("a line of a million letters", text(good(), "x" * 1_000_000, good(2)), 2, 1, reason="too long"),
    Case("a quoted cell of a million letters", text(good(), good(2, id='"' + "x" * 1_000_000 + '"'), good(3)), 2, 1),
    Case("a cell of a thousand letters", text(good(), good(2, id="x" * 1000), good(3)), 2, 1, reason="Longer"),
    Case("fifty thousand delimiters", text(good(), "," * 50_000 + "x", good(2)), 2, 1, reason="cells"),
    Case("no ID", text(good(), good(2, id="")), 1, 1, reason="ID"),
    Case("no account", text(good(), good(2, account="")), 1, 1),
    Case("no moment", text(good(), good(2, start="")), 1, 1, reason="when"),
    Case("no quantity", text(good(), good(2, duration="")), 1, 1, reason="how much"),
    Case("a day that is none", text(good(), good(2, start="2026-02-30T12:00:00Z")), 1, 1),
    Case("a moment far ahead", text(good(), good(2, start="2999-01-01T00:00:00Z")), 1, 1, reason="future"),
    Case("a moment before all", text(good(), good(2, start="0001-01-01T00:00:00+14:00")), 1, 1),
    Case("a moment with many digits", text(good(), good(2, start="9" * 50)), 1, 1),
    Case("less than nothing", text(good(), good(2, duration="-60")), 1, 1, reason="less than nothing"),
    Case(
        "not a number", text(good(), *(good(n, duration=what) for n, what in enumerate(("NaN", "inf", "1e999")))), 1, 3
    ),
    Case("digits of other scripts", text(good(), good(2, duration="١٢٣")), 1, 1),
    Case("a hundred digits", text(good(), good(2, duration="9" * 100)), 1, 1),
    Case("a number that a spreadsheet shortened", text(good(), good(2, account="4.93E+11")), 1, 1, reason="shortened"),
    Case("another measure", text(good(), good(2, duration="5 GB")), 1, 1, reason="measures"),
    Case("an unknown unit", text(good(), good(2, duration="5 parsecs")), 1, 1, reason="unit"),
    Case("formulas", text(good(), good(2, id="=cmd|'/c calc'!A1"), good(3, start='=HYPERLINK("x")')), 2, 1),
    Case("words of SQL", text(good(), good(2, id="'; DROP TABLE billing_usage; --")), 2),
    Case("words of HTML", text(good(), good(2, id="<script>alert(1)</script>", start="<b>soon</b>")), 1, 1),
    Case("backslashes", text(good(1, id="a\\b"), good(2, id="\\."), good(3, id="\\N")), 3),
    Case("percent signs", text(good(1, id="%s"), good(2, id="%(x)s", start="%s %(y)s")), 1, 1),
    Case("letters that turn the line around", text(good(1, id="a\u202eb"), good(2)), 2),
    Case("half of a letter pair", table(good()).encode() + b"\xed\xa0\x80" + good(2).encode() + b"\n", 2),
    Case("a row twice", text(good(), good()), 2),
    Case("an ID twice, with other contents", text(good(), good(1, duration="61")), 1, 1, reason="other contents"),
    Case(
        "letters of a lute",
        "🪕,+49301000,2026-03-10T12:00:00Z,+4989123456,60\n".join([HEADINGS + "\n", ""]).encode(),
        1,
    ),
]
