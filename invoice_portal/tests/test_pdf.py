import base64
import io

import lxml.html

from odoo.tests import BaseCase, tagged
from odoo.tools import file_path
from odoo.tools.pdf import PdfFileReader

from ..tools import pdf

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
FONT = "web/static/fonts/lato/Lato-Reg-webfont.ttf"
OUTSIDE = (
    '<img src="file:///etc/passwd">',
    '<img src="http://169.254.169.254/latest/meta-data">',
    '<img src="//evil.example/x.png">',
    '<img src="ftp://evil.example/x.png">',
    '<img src=" JaVaScRiPt:alert(1)">',
    '<img srcset="http://evil.example/x.png 2x">',
    '<img src="data:text/html,evil.example">',
    '<iframe src="file:///etc/passwd"></iframe>',
    '<object data="file:///etc/passwd"></object>',
    '<embed src="file:///etc/passwd">',
    '<link rel="stylesheet" href="http://evil.example/x.css">',
    '<link rel="attachment" href="file:///etc/passwd">',
    '<meta http-equiv="refresh" content="0; url=http://evil.example">',
    '<base href="http://evil.example/">',
    "<style>@import url(http://evil.example/x.css);</style>",
    '<p style="background: url(http://evil.example/x.png)">x</p>',
    '<p style="background: \\75rl(http://evil.example/x.png)">x</p>',
    '<p style="background: u/**/rl(http://evil.example/x.png)">x</p>',
    "<p style=\"list-style-image: image-set('http://evil.example/x.png')\">x</p>",
    '<table background="http://evil.example/x.png"><tr><td>x</td></tr></table>',
    '<svg><image href="file:///etc/passwd"/></svg>',
    '<svg><image xlink:href="file:///etc/passwd"/></svg>',
    '<video poster="http://evil.example/x.png"></video>',
    '<script src="http://evil.example/x.js"></script>',
    '<p onclick="evil.example">x</p>',
    '<a href="file:///etc/passwd">x</a>',
    "<a href=\"javascript:alert('evil.example')\">x</a>",
    '<input type="image" src="http://evil.example/x.png">',
)


def cleaned(html, fetch=None):
    element = lxml.html.fromstring(f"<div>before {html} after</div>")
    return lxml.html.tostring(pdf.self_contained(element, fetch), encoding="unicode")


def simplified(html, direction="ltr"):
    article = lxml.html.fromstring(f'<div dir="{direction}">{html}</div>')
    pdf.simplify(article)
    return lxml.html.tostring(article, encoding="unicode").partition(">")[2].removesuffix("</div>")


@tagged("post_install", "-at_install")
class TestSimplify(BaseCase):
    def test_spans_that_say_nothing_go(self):
        for html in (
            '<td><span dir="ltr">5 h</span> a day</td>',
            '<td><span dir="ltr" data-oe-type="monetary">$ <span class="oe_currency_value">5</span></span> a day</td>',
        ):
            with self.subTest(html):
                table = f"<table><tr>{html}</tr></table>"
                self.assertNotIn("span", simplified(table))
                self.assertIn("5", simplified(table))
                self.assertIn("a day", simplified(table))

    def test_spans_that_say_something_stay(self):
        for html in (
            '<p><span style="color: red">x</span></p>',
            '<p><span class="page-number"></span></p>',
            '<p><span dir="rtl">x</span></p>',
            '<p>שלום <span dir="ltr">5</span></p>',
            '<p dir="rtl"><span dir="ltr">x</span></p>',
        ):
            with self.subTest(html):
                self.assertEqual(simplified(html), html)
        self.assertIn("span", simplified('<p><span dir="ltr">x</span></p>', direction="rtl"))

    def test_blanks_between_blocks_go_and_those_between_words_stay(self):
        html = "<table>\n <tbody>\n <tr>\n <td>\n <div>a</div>\n <p>b</p>\n </td>\n </tr>\n </tbody>\n </table>"
        self.assertEqual(simplified(html), html.replace("\n ", ""))
        for html in (
            "<p><b>one</b> <i>two</i></p>",
            "<div>one <p>two</p> three</div>",
            '<div style="white-space: pre">\n<p>one</p>\n</div>',
            "<pre><div>one</div>\n<div>two</div></pre>",
        ):
            with self.subTest(html):
                self.assertEqual(simplified(html), html)


@tagged("post_install", "-at_install")
class TestSelfContained(BaseCase):
    def test_nothing_outside_is_left_to_load(self):
        for html in OUTSIDE:
            with self.subTest(html):
                result = cleaned(html)
                self.assertNotRegex(result, r"evil|passwd|169\.254|//")
                self.assertIn("before", result)
                self.assertIn("after", result)

    def test_words_links_and_inline_images_stay(self):
        html = '<b>Bold</b> <a href="https://example.com/terms">terms</a> <p style="color: red">x</p>'
        self.assertIn(html, cleaned(html))
        image = f'<img src="{pdf.data_uri(PIXEL, "image/png")}">'
        self.assertIn(image, cleaned(image))

    def test_images_of_ours_are_put_in(self):
        result = cleaned('<img src="/web/image/5">', {"/web/image/5": (PIXEL, "image/png")}.get)
        self.assertIn(f'src="{pdf.data_uri(PIXEL, "image/png")}"', result)

    def test_only_paths_on_this_server_are_ours(self):
        base = "https://odoo.example.com"
        self.assertEqual(pdf.own_path("/web/image/5?unique=1", base), "/web/image/5")
        self.assertEqual(pdf.own_path(f"{base}/web/image/5", base), "/web/image/5")
        for url in (
            "//evil.example/a",
            "/\\evil.example/a",
            "/\t/evil.example/a",
            f"{base}.evil.example/a",
            "http://evil.example/a",
            "a.png",
        ):
            self.assertFalse(pdf.own_path(url, base), url)

    def test_a_static_image_is_an_image_in_a_static_folder(self):
        self.assertEqual(pdf.static_image("/web/static/img/logo.png"), "web/static/img/logo.png")
        for path in (
            "/web/static/../../etc/passwd.png",
            "/web/static/img/../../models/x.png",
            "/web/__manifest__.py",
            "/web/static/src/main.js",
            "/etc/logo.png",
        ):
            self.assertFalse(pdf.static_image(path), path)

    def test_a_text_has_the_direction_of_its_first_letter(self):
        for text, direction in (
            ("8000 Marina Blvd", "ltr"),
            ("١٢ شارع", "rtl"),
            ("12 רחוב", "rtl"),
            ("2026-01-01", None),
            ("", None),
            (None, None),
        ):
            self.assertEqual(pdf.direction(text), direction, text)

    def test_each_direction_gets_an_element_of_its_own(self):
        for html, expected in (
            ("<p>one 2</p>", "<p>one 2</p>"),
            ("<p>א 12</p>", '<p><span class="run">א</span> <span class="run">12</span></p>'),
            ("<p>א</p>", "<p>א</p>"),
            ("<p>א <b>1</b></p>", '<p><span class="run">א</span> <b>1</b></p>'),
            ("<p>a <b>א 1</b> ב 2</p>", None),
        ):
            element = lxml.html.fromstring(html)
            text = element.text_content()
            pdf.separate_runs(element)
            self.assertEqual(element.text_content(), text)
            if expected:
                self.assertEqual(lxml.html.tostring(element, encoding="unicode"), expected)

    def test_a_line_from_right_to_left_is_cut_into_words(self):
        """A full stop behind them is enough to print letters beside the page."""
        for text, words in (
            ("שלום.", ["שלום", "."]),
            (" שלום עולם", None),
            ("שלום (עולם) ב", ["שלום", "(", "עולם", ")", "ב"]),
            ("מחיר: -5% Second item, v2.0", ["מחיר", ":", "-5% Second item, v2.0"]),
            ("Second item.", None),
            ("שָׁלוֹם!", ["שָׁלוֹם", "!"]),
        ):
            element = lxml.html.fromstring(f'<div dir="rtl"><p>{text}</p></div>')
            pdf.separate_runs(element)
            self.assertEqual(element.text_content(), text)
            self.assertEqual(element.xpath(".//span[@class='run']/text()"), words or [])
        element = lxml.html.fromstring('<div dir="rtl"><p dir="ltr">a א ב.</p></div>')
        pdf.separate_runs(element)
        self.assertEqual(
            element.xpath(".//span/text()"), ["a", "א ב."], "words keep their order in their own direction"
        )

    def test_rows_become_blocks_in_order(self):
        rows = "<tr><td>1</td></tr><tr><td>2</td></tr>"
        table = f'<table class="items"><colgroup><col></colgroup><tbody>{rows}</tbody></table>'
        element = lxml.html.fromstring(f"<div>{table}</div>")
        pdf.rows_as_blocks(element)
        self.assertEqual(element.xpath("./div[@class='keep']/table[@class='items']/tbody/tr/td/text()"), ["1", "2"])
        self.assertEqual(len(element.xpath("./div/table/colgroup/col")), 2)


@tagged("post_install", "-at_install")
class TestPageNumbers(BaseCase):
    def test_each_page_says_which_of_how_many(self):
        from reportlab.pdfgen.canvas import Canvas  # noqa: PLC0415

        content = io.BytesIO()
        canvas = Canvas(content)
        for word in ("First", "Second"):
            canvas.drawString(100, 500, word)
            canvas.showPage()
        canvas.save()
        for left in (False, True):
            numbered = pdf.with_page_numbers(content.getvalue(), file_path(FONT), left=left)
            pages = [page.extractText() for page in PdfFileReader(io.BytesIO(numbered)).pages]
            self.assertEqual(len(pages), 2)
            for page, words in zip(pages, (("First", "1 / 2"), ("Second", "2 / 2")), strict=True):
                for word in words:
                    self.assertIn(word, page)


@tagged("post_install", "-at_install")
class TestWeasyPrint(BaseCase):
    def setUp(self):
        super().setUp()
        if problem := pdf.why_not():
            self.skipTest(f"WeasyPrint does not work here: {problem}")

    def test_it_refuses_everything_but_data(self):
        for url in ("file:///etc/passwd", "http://127.0.0.1/", "https://example.com/", "ftp://x/", "FILE:/etc/passwd"):
            with self.assertRaises(ValueError, msg=url):
                pdf.refuse(url)
        self.assertEqual(pdf.refuse(pdf.data_uri(b"x", "text/plain")).read(), b"x")

    def test_what_slips_through_is_not_fetched_either(self):
        """The second line of defence: HTML that nobody cleaned."""
        fetched = []
        self.patch(pdf, "refuse", lambda url, *args, **kwargs: fetched.append(url) or self.fail(url))
        with self.assertLogs("weasyprint", "ERROR"):
            content = pdf.render(f"<html><body>{OUTSIDE[0]}text</body></html>", "@page { size: A5 }")
        self.assertEqual(fetched, ["file:///etc/passwd"])
        self.assertTrue(pdf.is_pdf(content))

    def test_it_makes_pdf_a(self):
        content = pdf.render("<html><body>text</body></html>", "@page { size: A4 }")
        root = PdfFileReader(io.BytesIO(content)).trailer["/Root"]
        self.assertIn(b'pdfaid:part="3"', root["/Metadata"].getData())

    def test_metadata_can_be_replaced(self):
        content = pdf.with_metadata(pdf.render("<html><body>text</body></html>"), "<x>Factur-X</x>")
        root = PdfFileReader(io.BytesIO(content)).trailer["/Root"]
        self.assertIn(b"Factur-X", root["/Metadata"].getData())
