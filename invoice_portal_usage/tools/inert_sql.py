"""What `invoice_portal.tools.spreadsheet.inert` does to a text, done by PostgreSQL: a million rows never pass here."""

from odoo.tools import SQL

from odoo.addons.invoice_portal.tools.spreadsheet import FORMULA as FORMULA_IN_PYTHON

# What Python takes for white space. PostgreSQL's own class depends on the locale of the database.
SPACES = r"\u0009-\u000d\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
UNSEEN = rf"[{SPACES}\u0001-\u001f\u200b-\u200f\ufeff]*"
FORMULA = rf"^{UNSEEN}[=+\-@\uff1d\uff0b\uff0d\uff20]"
# Most cells, and telephone numbers as many switches write them: for these, a look is enough.
HARMLESS = "^[A-Za-z0-9][A-Za-z0-9._:/-]*$"
NUMBER = "^[+][0-9]+$"


def inert(text):
    """The SQL of a cell: on one line, with the mark of a text where a spreadsheet would calculate."""
    return SQL(
        "CASE WHEN %(text)s ~ %(harmless)s THEN %(text)s WHEN %(text)s ~ %(number)s THEN '''' || %(text)s"
        " ELSE btrim(regexp_replace(CASE WHEN %(text)s ~ %(formula)s THEN '''' || %(text)s ELSE %(text)s END,"
        " %(spaces)s, ' ', 'g')) END",
        text=text,
        harmless=HARMLESS,
        number=NUMBER,
        formula=FORMULA,
        spaces=f"[{SPACES}]+",
    )


def as_it_was(cell):
    """A cell of a file of ours without that mark."""
    return cell[1:] if cell.startswith("'") and FORMULA_IN_PYTHON.match(cell[1:]) else cell
