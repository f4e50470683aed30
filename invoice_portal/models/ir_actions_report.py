from collections import OrderedDict
from functools import lru_cache
from pathlib import Path

import lxml.html
from markupsafe import Markup

from odoo import api, fields, models
from odoo.tools import file_open, file_path, html2plaintext

from odoo.addons.base.models.ir_actions_report import _wkhtml

from ..tools import pdf

STYLES = "invoice_portal/reports/billing_document.css"
# Where Odoo keeps the fonts that a company can choose. Tajawal has Arabic, which most of the others lack.
FONTS = "web/static/fonts"
NUMBER_FONT = f"{FONTS}/lato/Lato-Reg-webfont.ttf"
# Margins of our documents on wkhtmltopdf, in millimetres; on WeasyPrint the style sheet has them.
MARGINS = {"margin_top": 14, "margin_bottom": 18, "margin_left": 16, "margin_right": 16}
PAGE = Markup(
    '<!DOCTYPE html><html lang="{lang}" dir="{direction}"><head><meta charset="utf-8"/><title>{title}</title>'
    '<style>{styles}</style></head><body class="{engine}">{body}</body></html>'
)
ACCENT = "#17566f"
ARTICLES = "//div[contains(concat(' ', normalize-space(@class), ' '), ' article ')]"
# In the context: the engine that renders now.
ENGINE = "billing_pdf_engine"
# In the context: whatever is rendered now is to become part of a document of ours.
IN_DOCUMENT = "billing_in_document"


@lru_cache(32)
def _font_faces(font, as_data):
    """`@font-face` rules of one of Odoo's fonts; with its files inside, or with addresses for a browser.

    Not for wkhtmltopdf: it would draw each letter, so that nobody can search, copy or read aloud.
    """
    faces = []
    for weight, style, google, lato in (
        (400, "normal", "Regular", "Reg"),
        (700, "normal", "Bold", "Bol"),
        (400, "italic", "Italic", "RegIta"),
    ):
        path = (
            f"{FONTS}/lato/Lato-{lato}-webfont.ttf" if font == "Lato" else f"{FONTS}/google/{font}/{font}-{google}.ttf"
        )
        try:
            full_path = file_path(path)
        except FileNotFoundError:
            continue
        url = pdf.data_uri(Path(full_path).read_bytes(), "font/ttf") if as_data else f"/{path}"
        faces.append(
            f"@font-face {{ font-family: '{font}'; font-weight: {weight}; font-style: {style}; src: url('{url}'); }}"
        )
    return "\n".join(faces)


@lru_cache(32)
def _styles(engine, font, accent, page_size):
    """The style sheet of our documents in a company's font and colour."""
    with file_open(STYLES) as file:
        styles = file.read().replace("var(--font)", f"'{font}'").replace("var(--accent)", accent)
    if engine == "wkhtmltopdf":
        return styles
    faces = [_font_faces(name, engine == "weasyprint") for name in dict.fromkeys((font, "Tajawal"))]
    return "\n".join((*faces, styles, f"@page {{ size: {page_size}; }}"))


class IrActionsReport(models.Model):
    """Our documents are rendered by WeasyPrint, or by wkhtmltopdf where that is chosen or all there is.

    Everything else about reports stays Odoo's: other addons may add to our documents, or embed an e-invoice in them.
    """

    _inherit = "ir.actions.report"

    is_billing_document = fields.Boolean(
        string="Billing document",
        copy=True,
        help="Rendered by the PDF engine that is chosen in the Billing settings.",
    )

    def _pre_render_qweb_pdf(self, report_ref, res_ids=None, data=None):
        if self._get_report(report_ref).is_billing_document:
            self = self.with_context(**{IN_DOCUMENT: True})  # noqa: PLW0642
        return super()._pre_render_qweb_pdf(report_ref, res_ids=res_ids, data=data)

    def _render_qweb_pdf_prepare_streams(self, report_ref, data, res_ids=None):
        """One document at a time: Debian's wkhtmltopdf takes no more, and each has its own page numbers."""
        report = self._get_report(report_ref)
        if not report.is_billing_document or not res_ids:
            # What other addons render in the course of ours (a Swiss QR bill) knows only wkhtmltopdf. Without it ours
            # goes without, and shows the code itself.
            if self.env.context.get(IN_DOCUMENT) and not self._billing_document_slips():
                return OrderedDict()
            self = self.with_context(**{ENGINE: None}) if self.env.context.get(ENGINE) else self  # noqa: PLW0642
            return super()._render_qweb_pdf_prepare_streams(report_ref, data, res_ids=res_ids)
        if isinstance(report_ref, models.Model):
            report_ref = report.id
        streams = OrderedDict()
        records = self.env[report.model].browse(dict.fromkeys(res_ids))
        records._billing_document_prefetch()
        for record in records:
            company = record.company_id
            rendering = self.with_company(company).with_context(**{ENGINE: company._billing_pdf_engine()})
            streams.update(
                super(IrActionsReport, rendering)._render_qweb_pdf_prepare_streams(
                    report_ref, dict(data or {}), res_ids=record.ids
                )
            )
        return streams

    def get_wkhtmltopdf_state(self):
        """Odoo asks before it renders; WeasyPrint needs none."""
        return "ok" if self.env.context.get(ENGINE) == "weasyprint" else super().get_wkhtmltopdf_state()

    def _get_rendering_context(self, report, docids, data):
        # Odoo's portal calls everything proforma that was not sent yet; only a failed e-invoice says so by itself.
        proforma = bool((data or {}).get("proforma"))
        values = super()._get_rendering_context(report, docids, data)
        if report.is_billing_document:
            values["billing_proforma"] = proforma
            values["direction"] = pdf.direction
            values["html2text"] = html2plaintext
            values["billing_engine"] = self.env.context.get(ENGINE)
            values["billing_slips"] = self._billing_document_slips()
            if values.get("report_type") == "html":
                company = values["docs"][:1].company_id or self.env.company
                values["billing_styles"] = Markup(report._billing_document_styles("browser", company))  # noqa: S704
        return values

    def _render_qweb_html(self, report_ref, docids, data=None):
        """On the page, too, an invoice loads nothing from elsewhere: it is the client's browser that would tell."""
        html, kind = super()._render_qweb_html(report_ref, docids, data=data)
        report = self._get_report(report_ref)
        ours_or_odoos = report.is_billing_document or self._is_invoice_report(report_ref)
        if (data or {}).get("report_type") == "pdf" or not ours_or_odoos:
            return html, kind
        root = lxml.html.document_fromstring(html, parser=lxml.html.HTMLParser(encoding="utf-8"))
        if report.is_billing_document:
            for article in root.xpath(ARTICLES):
                pdf.self_contained(article, self._billing_document_image_address)
        else:
            for main in root.iter("main"):
                pdf.without_remote_images(main, self._billing_document_image_address)
        return lxml.html.tostring(root, encoding="utf-8", doctype="<!DOCTYPE html>"), kind

    @api.model
    def _billing_document_slips(self):
        """How other addons' payment slips come on our documents: on the last page, or "alone" on one, or not at all.

        They are made by wkhtmltopdf, and unpatched Qt paints over the whole page.
        """
        wkhtmltopdf = _wkhtml()
        return wkhtmltopdf.state != "install" and ("below" if wkhtmltopdf.is_patched_qt else "alone")

    def _prepare_html(self, html, report_model=False):
        """Take the articles apart and make each a page of its own, that needs nothing from outside."""
        if not self.is_billing_document:
            return super()._prepare_html(html, report_model=report_model)
        root = lxml.html.fromstring(html, parser=lxml.html.HTMLParser(encoding="utf-8"))
        pages, ids = [], []
        for article in root.xpath(ARTICLES):
            pages.append(self._billing_document_page(article))
            ids.append(int(article.get("data-oe-id", 0)) if article.get("data-oe-model") == report_model else None)
        return pages, ids, None, None, {"billing_document": True}

    def _billing_document_page(self, article):
        pdf.self_contained(article, self._billing_document_image)
        engine = self.env.context.get(ENGINE) or "wkhtmltopdf"
        # WeasyPrint gets the style sheet beside the page, and keeps it for the next one.
        styles = "" if engine == "weasyprint" else self._billing_document_styles(engine, self.env.company)
        if engine == "weasyprint":
            pdf.simplify(article)
        else:
            pdf.separate_runs(article)
        if engine == "wkhtmltopdf" and not _wkhtml().is_patched_qt:
            engine += " unpatched"
            pdf.rows_as_blocks(article)
        return PAGE.format(
            engine=engine,
            lang=article.get("lang") or "en",
            direction=article.get("dir") or "ltr",
            title=article.get("title") or "",
            styles=Markup(styles),  # noqa: S704
            body=Markup(lxml.html.tostring(article, encoding="unicode")),  # noqa: S704
        )

    def _run_wkhtmltopdf(self, bodies, report_ref=False, **options):
        report = self._get_report(report_ref) if report_ref else self
        if not report.is_billing_document:
            return super()._run_wkhtmltopdf(bodies, report_ref=report_ref, **options)
        if self.env.context.get(ENGINE) != "weasyprint":
            content = super()._run_wkhtmltopdf(bodies, report_ref=report_ref, **options)
            if _wkhtml().is_patched_qt:
                return content
            (body,) = bodies
            from_right = lxml.html.document_fromstring(str(body)).get("dir") == "rtl"
            return pdf.with_page_numbers(content, file_path(NUMBER_FONT), left=from_right)
        styles = report._billing_document_styles("weasyprint", self.env.company)
        (body,) = bodies
        return pdf.render(str(body), styles)

    def _build_wkhtmltopdf_args(self, paperformat_id, landscape, specific_paperformat_args=None, **options):
        arguments = super()._build_wkhtmltopdf_args(
            paperformat_id, landscape, specific_paperformat_args=specific_paperformat_args, **options
        )
        if (specific_paperformat_args or {}).get("billing_document"):
            # Nothing is loaded by and by, so there is nothing to wait a second for.
            arguments[arguments.index("--javascript-delay") + 1] = "0"
            arguments.append("--disable-javascript")
            if _wkhtml().is_patched_qt:
                arguments += ["--footer-font-size", "7", "--footer-right", "[page] / [topage]"]
        return arguments

    def get_paperformat(self):
        """The company's paper, with the margins of our documents: their letterhead is no page header."""
        paper = super().get_paperformat()
        if self.is_billing_document and not self.paperformat_id:
            return paper.new({"name": paper.name, "dpi": 96, "disable_shrinking": False, **MARGINS}, origin=paper)
        return paper

    def _billing_document_styles(self, engine, company):
        font = company.font or "Lato"
        accent = company.primary_color if pdf.is_color(company.primary_color or "") else ACCENT
        paper = self.get_paperformat() or company.paperformat_id
        return _styles(engine, font, accent, f"{paper.print_page_width}mm {paper.print_page_height}mm")

    def _billing_document_image(self, url):
        """An image of our own for a document: `(bytes, mimetype)`, or nothing.

        A picture in the terms can be put there by anybody who may write them. So it is shown only where this user may
        read the file, by which name ever the document is rendered.
        """
        path = pdf.own_path(url, self.get_base_url())
        if path and (static := pdf.static_image(path)):
            try:
                with file_open(static, "rb", filter_ext=tuple(pdf.IMAGE_TYPES)) as file:
                    return file.read(), pdf.IMAGE_TYPES[Path(static).suffix]
            except (FileNotFoundError, ValueError):
                return None
        if path and (attachment_id := pdf.attachment_id(path)):
            attachment = self.env["ir.attachment"].sudo(False).browse(attachment_id).exists()
            if attachment and attachment.has_access("read") and attachment.mimetype in pdf.IMAGE_TYPES.values():
                return attachment.raw, attachment.mimetype
        return None

    def _billing_document_image_address(self, url):
        """The address where a browser finds an image of ours, or nothing. It asks by itself who may see it."""
        path = pdf.own_path(url, self.get_base_url())
        # Elevated for nothing but this: an attachment can be the address of a picture elsewhere.
        attachment = self.env["ir.attachment"].sudo().browse(pdf.attachment_id(path) if path else None).exists()
        return url if path and attachment.type != "url" else None
