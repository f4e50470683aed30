"""HTML to PDF with WeasyPrint, and nothing from outside. Plain Python, no environment.

The HTML carries words that clients and staff typed. So it is made self-contained first: every image becomes a `data:`
URI or goes, and whatever else could load something goes. Neither engine then has a reason to open a file or a
connection, and WeasyPrint is told to refuse if it should find one.
"""

import base64
import copy
import io
import logging
import re
import threading
import unicodedata
from functools import lru_cache

import lxml.html

from odoo.tools.pdf import OdooPdfFileReader, OdooPdfFileWriter

# Elements that load or run something, and are of no use on paper.
LOADING = (
    "applet|audio|base|button|embed|feimage|form|frame|frameset|iframe|image|input|link|math|meta|noscript|object|"
    "picture|portal|script|select|source|svg|template|textarea|track|use|video"
).split("|")
# Without content, says HTML, but the parser puts what follows into them.
VOID = ("embed", "source", "track")
# Attributes that name something to load. `href` stays: it is a link that a reader may follow.
LOADING_ATTRIBUTES = ("background", "cite", "data", "dynsrc", "longdesc", "lowsrc", "ping", "poster", "srcset", "src")
IMAGE = re.compile(r"data:image/(png|jpe?g|gif|webp|svg\+xml)[;,]", re.IGNORECASE)
LINK = re.compile(r"(https?:|mailto:|tel:|#)", re.IGNORECASE)
# `url(`, `image-set(`, `@import`, and the escapes by which they could be written otherwise.
LOADING_STYLE = re.compile(r"url|image|src|import|\\|@|/\*", re.IGNORECASE)

# What holds only rows, cells and columns; what begins a line of its own; what the editor wants to know.
ROWS = ("colgroup", "table", "tbody", "tfoot", "thead", "tr")
BLOCKS = ("div", "h1", "ol", "p", "table", "ul")
_EDITOR = ("data-oe-expression", "data-oe-type")

PAGE_NUMBER_FONT = "BillingPageNumber"

# WeasyPrint shares fontconfig and Pango's maps between threads, and is busy with Python all the time: one at a time
# costs nothing.
_lock = threading.Lock()


class EngineMissing(Exception):
    """WeasyPrint, or a library that it needs, is not installed."""


@lru_cache(1)
def _weasyprint():
    """The package, or what keeps it from loading. Imported when first needed: it takes a third of a second."""
    for name, level in (("weasyprint", logging.ERROR), ("fontTools", logging.WARNING)):
        logging.getLogger(name).setLevel(level)
    try:
        import weasyprint  # noqa: PLC0415
    except (ImportError, OSError) as error:  # OSError: Pango is missing
        return None, str(error)
    return weasyprint, None


def why_not():
    """What keeps WeasyPrint from working here, in a few words, or nothing."""
    return _weasyprint()[1]


def refuse(url, *args, **kwargs):
    """WeasyPrint's way to the outside: only what a `data:` URI holds."""
    weasyprint = _weasyprint()[0]
    if not url.lower().startswith("data:"):
        raise ValueError(f"not fetched: {url[:200]}")
    fetcher = getattr(weasyprint.urls, "URLFetcher", None)
    if fetcher:
        return fetcher(allowed_protocols=["data"]).fetch(url)
    return weasyprint.default_url_fetcher(url)  # before 68


@lru_cache(8)
def _stylesheet(css):
    """The style sheet, parsed, with the fonts that it brings along: the same for many documents."""
    weasyprint = _weasyprint()[0]
    from weasyprint.text.fonts import FontConfiguration  # noqa: PLC0415

    fonts = FontConfiguration()
    return weasyprint.CSS(string=css, font_config=fonts, url_fetcher=refuse), fonts


def render(html, css="", variant="pdf/a-3b"):
    """The PDF of one self-contained document.

    :param css: the style sheet; kept parsed, so it pays not to put it into each document
    :param variant: PDF/A-3 is made to be archived, and may carry an e-invoice
    """
    weasyprint, problem = _weasyprint()
    if problem:
        raise EngineMissing(problem)
    with _lock:
        stylesheet, fonts = _stylesheet(css)
        document = weasyprint.HTML(string=html, url_fetcher=refuse)
        return document.write_pdf(stylesheets=[stylesheet], font_config=fonts, pdf_variant=variant)


def direction(text):
    """The direction of a text by its first letter, as `dir="auto"` does, which paper does not know; or nothing."""
    for character in text or "":
        kind = unicodedata.bidirectional(character)
        if kind in ("L", "R", "AL"):
            return "ltr" if kind == "L" else "rtl"
    return None


def data_uri(content, mimetype):
    return f"data:{mimetype};base64,{base64.b64encode(content).decode()}"


def self_contained(element, fetch=None):
    """Take out of this HTML, in place, all that would be loaded from somewhere, and put images in.

    :param element: an lxml element
    :param fetch: `fetch(url)` returns an image of ours as `(bytes, mimetype)`, or its address where a browser is to
        load it, or nothing
    """
    for node in list(element.iter()):
        if not isinstance(node.tag, str) or node.tag.lower().rpartition("}")[2].rpartition(":")[2] in LOADING:
            _drop(node)
            continue
        if node.tag == "style":
            _drop(node)
            continue
        source = node.get("src") if node.tag == "img" else None
        for name in list(node.attrib):
            local = name.lower().rpartition("}")[2].rpartition(":")[2]
            if local in LOADING_ATTRIBUTES or local.startswith("on"):
                del node.attrib[name]
            elif local == "href" and not (node.tag == "a" and LINK.match(node.get(name).strip())):
                del node.attrib[name]
            elif local == "style" and LOADING_STYLE.search(node.get(name)):
                del node.attrib[name]
        if node.tag == "img":
            source = _image(source, fetch)
            if source:
                node.set("src", source)
            else:
                _drop(node)
    return element


def simplify(article):
    """Take out, in place, what says nothing on paper: blanks between blocks, spans that set no direction of their own.

    WeasyPrint takes its time for each box, and such spans are a fifth of an invoice's. Where a text runs from right to
    left everything stays: there they keep the order of what stands side by side.
    """
    for node in [node for node in article.iter("span") if _says_nothing(node)]:
        node.drop_tag()
    for node in article.iter():
        if node.tag in ROWS or len(node) and all(child.tag in BLOCKS for child in node) and not _blank_matters(node):
            node.text = node.text if (node.text or "").strip() else None
            for child in node:
                child.tail = child.tail if (child.tail or "").strip() else None


def _says_nothing(span):
    # What Odoo's widgets leave behind for the editor: the class of an amount without its currency.
    if (
        set(span.attrib) - {"dir", "class"} - set(_EDITOR)
        or span.get("class", "oe_currency_value") != "oe_currency_value"
    ):
        return False
    around = next((above.get("dir") for above in span.iterancestors() if above.get("dir")), "ltr")
    return span.get("dir", around) == around == "ltr" and "R" not in map(_side, span.getparent().text_content())


def _blank_matters(node):
    return any(above.tag == "pre" or "white-space" in above.get("style", "") for above in (node, *node.iterancestors()))


def without_remote_images(element, own):
    """Take out of this HTML, in place, what a browser would load from elsewhere to show it: pictures, backgrounds.

    Whoever serves them learns when, where and by whom the page is read.

    :param own: `own(url)` tells the address of an image that may stay, or nothing
    """
    for node in [node for node in element.iter() if isinstance(node.tag, str)]:
        for name in [name for name in node.attrib if name in ("background", "dynsrc", "lowsrc", "poster", "srcset")]:
            del node.attrib[name]
        if LOADING_STYLE.search(node.get("style", "")):
            del node.attrib["style"]
        if node.tag == "img" and not _image(node.get("src"), own):
            _drop(node)
    return element


def _runs(text):
    """The text in pieces of one direction each; what has none goes with what stands before it."""
    runs, now = [], None
    for character in text:
        kind = unicodedata.bidirectional(character)
        side = "R" if kind in ("R", "AL") else "L" if kind in ("L", "EN", "AN") else now
        if side != now and runs and now:
            runs.append("")
        now = side
        if not runs:
            runs.append("")
        runs[-1] += character
    return runs


# By the sides of its characters: what runs to the right stays together, with the sign or the unit of a number; what
# runs to the left is cut into words; punctuation stands alone.
_WORD = re.compile(r"#?L(?:[L#N ]*L)?#?|R+|[#N]+")


def _words(text):
    """The text in the pieces that make up a line from right to left, each with the space behind it."""
    sides = "".join(map(_side, text))
    ends = [match.start() for match in _WORD.finditer(sides)][1:]
    return [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]


def _side(character):
    kind = unicodedata.bidirectional(character)
    if kind in ("R", "AL", "NSM"):
        return "R"
    if kind in ("L", "EN", "AN"):
        return "L"
    return " " if character.isspace() else "#" if character in "+-#%$€£¥" else "N"


def separate_runs(element):
    """Give each direction within a text an element of its own, in place.

    Unpatched and patched Qt alike print a text over itself, or beside the page, where it begins from right to left and
    changes direction, as an address with a number does. On a line from right to left, a full stop is enough for that.
    """
    for node in [node for node in element.iter() if isinstance(node.tag, str)]:
        for text, parent, position in ((node.text, node, 0), (node.tail, node.getparent(), None)):
            if not (text or "").strip() or node is element and position is None:
                continue
            from_right = next((above.get("dir") for above in (parent, *parent.iterancestors()) if above.get("dir")), "")
            runs = _runs(text)
            # A text of one direction matters only beside another one, or with punctuation.
            if (
                len(runs) < 2
                and (direction(text) != "rtl" or not len(parent))
                and not (from_right == "rtl" and {"R", "N"} <= set(map(_side, text)))
            ):
                continue
            if from_right == "rtl":
                runs = _words(text)
            if position is None:
                position = parent.index(node) + 1
                node.tail = None
            else:
                node.text = None
            blank = text[: len(text) - len(text.lstrip())]
            if blank:
                runs[0] = runs[0].lstrip()
                if position:
                    parent[position - 1].tail = blank
                else:
                    parent.text = blank
            for run in reversed(runs):
                span = lxml.html.Element("span", {"class": "run"})
                span.text = run.rstrip()
                span.tail = run[len(span.text) :]
                parent.insert(position, span)


def rows_as_blocks(article):
    """Make each row of the item tables a table of its own, in place: unpatched Qt cuts through rows, not blocks."""
    for table in article.xpath(".//table[contains(concat(' ', @class, ' '), ' items ')]"):
        columns = table.find("colgroup")
        for row in reversed(table.xpath("./tbody/tr")):
            block = lxml.html.Element("div", {"class": "keep"})
            single = lxml.html.Element("table", dict(table.attrib))
            body = lxml.html.Element("tbody")
            if columns is not None:
                single.append(copy.deepcopy(columns))
            body.append(row)
            single.append(body)
            block.append(single)
            table.addnext(block)


def _image(source, fetch):
    source = (source or "").strip()
    if IMAGE.match(source):
        return source
    found = source and fetch and fetch(source)
    return data_uri(*found) if isinstance(found, tuple) else found or None


def _drop(node):
    """Remove the element with its content, not the text behind it."""
    if node.tag in VOID:
        node.drop_tag()
    elif node.getparent() is not None:
        node.drop_tree() if isinstance(node, lxml.html.HtmlElement) else node.getparent().remove(node)


def is_pdf(content):
    return content.startswith(b"%PDF-")


def with_page_numbers(content, font_path, left=False):
    """The same PDF with "1 / 2" at the foot of each page, for an engine that cannot number them itself.

    :param font_path: a TrueType font; it is embedded, as PDF/A wants it
    :param left: at the left side, as pages read from right to left have it
    """
    from reportlab.lib.units import mm  # noqa: PLC0415
    from reportlab.pdfbase import pdfmetrics  # noqa: PLC0415
    from reportlab.pdfbase.ttfonts import TTFont  # noqa: PLC0415
    from reportlab.pdfgen.canvas import Canvas  # noqa: PLC0415

    if PAGE_NUMBER_FONT not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(TTFont(PAGE_NUMBER_FONT, font_path))
    reader = OdooPdfFileReader(io.BytesIO(content), strict=False)
    numbers, pages = io.BytesIO(), reader.getNumPages()
    canvas = Canvas(numbers)
    for number in range(pages):
        box = reader.getPage(number).mediaBox
        width, height = float(box.getWidth()), float(box.getHeight())
        canvas.setPageSize((width, height))
        canvas.setFont(PAGE_NUMBER_FONT, 7.5)
        canvas.setFillColorRGB(0.4, 0.44, 0.49)
        draw = canvas.drawString if left else canvas.drawRightString
        draw(16 * mm if left else width - 16 * mm, 9 * mm, f"{number + 1} / {pages}")
        canvas.showPage()
    canvas.save()
    stamps, writer = OdooPdfFileReader(numbers, strict=False), OdooPdfFileWriter()
    for number in range(pages):
        page = reader.getPage(number)
        page.mergePage(stamps.getPage(number))
        page.compressContentStreams()
        writer.addPage(page)
    result = io.BytesIO()
    writer.write(result)
    return result.getvalue()


def with_metadata(content, xmp):
    """The same PDF/A with other metadata in XMP."""
    reader = OdooPdfFileReader(io.BytesIO(content), strict=False)
    writer = OdooPdfFileWriter()
    writer.cloneReaderDocumentRoot(reader)
    writer.add_file_metadata(xmp.encode())
    result = io.BytesIO()
    writer.write(result)
    return result.getvalue()


# -- which images are ours ---------------------------------------------------------------------------------------------

IMAGE_TYPES = {
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
}
_COLOR = re.compile(r"#[0-9a-fA-F]{3}(?:[0-9a-fA-F]{3})?")
_STATIC = re.compile(r"/(\w+/static/(?:[\w-][\w.-]*/)*[\w-][\w.-]*\.(?:gif|jpe?g|png|svg|webp))")
_ATTACHMENT = re.compile(r"/web/image/(\d+)(?:-\w+)?(?:/[^/]*)*")


def is_color(text):
    return bool(_COLOR.fullmatch(text))


def own_path(url, base_url):
    """The path of an address on this server, or nothing."""
    # As browsers do: `/<tab>/elsewhere` is another server.
    url = re.sub(r"[\t\r\n]", "", url)
    if url.startswith(base_url.rstrip("/") + "/"):
        url = url[len(base_url.rstrip("/")) :]
    return url.partition("?")[0].partition("#")[0] if re.match(r"/[^/\\]", url) else None


def static_image(path):
    """The file within the addons that a static address names, or nothing."""
    match = _STATIC.fullmatch(path)
    return match and match[1]


def attachment_id(path):
    match = _ATTACHMENT.fullmatch(path)
    return match and int(match[1])
