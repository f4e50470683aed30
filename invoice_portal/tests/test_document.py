import io
import re
from types import SimpleNamespace
from unittest.mock import patch

import lxml.etree
import lxml.html

from odoo import SUPERUSER_ID, Command, fields
from odoo.exceptions import UserError
from odoo.tests import HttpCase, tagged
from odoo.tools import format_date
from odoo.tools.pdf import PdfFileReader

from odoo.addons.base.models import ir_actions_report as odoo_report

from ..models import ir_actions_report as our_report
from ..tools import pdf
from .common import BillingCommon
from .test_pdf import PIXEL

REPORT = "invoice_portal.report_invoice"


class DocumentCommon(BillingCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.euro = cls.env.ref("base.EUR")
        cls.euro.sudo().active = True
        cls.report = cls.env.ref("invoice_portal.action_report_invoice")
        cls.client.sudo().write({"street": "Unter den Linden 1", "zip": "10117", "city": "Berlin"})

    def _engine(self, engine):
        """Render by this engine from here on, or skip where the machine lacks it."""
        if engine == "weasyprint" and pdf.why_not():
            self.skipTest(f"WeasyPrint does not work here: {pdf.why_not()}")
        if engine == "wkhtmltopdf" and self.env["ir.actions.report"].get_wkhtmltopdf_state() == "install":
            self.skipTest("wkhtmltopdf is not installed here")
        self.company.sudo().billing_pdf_engine = engine

    def _streams(self, invoices):
        """`{id: PDF}`"""
        renderer = self.env["ir.actions.report"].with_context(force_report_rendering=True)
        streams, _kind = renderer._pre_render_qweb_pdf(REPORT, invoices.ids)
        return {res_id: stream["stream"].getvalue() for res_id, stream in streams.items()}

    def _pages(self, invoice):
        return self._read(self._streams(invoice)[invoice.id])

    def _text(self, invoice):
        return " ".join(self._pages(invoice))

    @staticmethod
    def _read(content):
        """The text of each page."""
        return [page.extractText() for page in PdfFileReader(io.BytesIO(content)).pages]

    @staticmethod
    def _squeezed(text):
        """Without blanks: what stands close together on paper is read as one word, or kerned words as two."""
        return re.sub(r"[\s\u200e\u200f]+", "", text)

    def assertShown(self, text, *expected):
        for words in expected:
            self.assertIn(self._squeezed(words), self._squeezed(text))

    def assertNotShown(self, text, *unexpected):
        for words in unexpected:
            self.assertNotIn(self._squeezed(words), self._squeezed(text))

    def _html(self, invoice):
        return self.env["ir.actions.report"]._render_qweb_html(REPORT, invoice.ids)[0].decode()

    def _invoice(self, lines=1, **values):
        return self.env["account.move"].create(
            {
                "move_type": "out_invoice",
                "partner_id": self.client.id,
                "invoice_date": "2026-03-01",
                "invoice_line_ids": [
                    Command.create(
                        {"name": f"Item {number}.", "price_unit": 10, "tax_ids": [Command.set(self.tax.ids)]}
                    )
                    for number in range(1, lines + 1)
                ],
                **values,
            }
        )


@tagged("post_install", "-at_install")
class TestDocument(DocumentCommon):
    def test_a_draft_is_marked_and_stored_nowhere(self):
        self._engine("weasyprint")
        draft = self._draft(self._new_charge("Consulting"))
        before = self.env["ir.attachment"].sudo().search_count([])
        action = draft.action_billing_pdf()
        self.assertEqual((action["report_name"], action["context"]["active_ids"]), (REPORT, draft.ids))
        renderer = self.env["ir.actions.report"].with_context(force_report_rendering=True)
        content, _kind = renderer._render_qweb_pdf(REPORT, draft.ids)
        self.assertTrue(pdf.is_pdf(content))
        text = self._text(draft)
        self.assertShown(text, "DRAFT")
        self.assertNotShown(text, "Balance due")
        self.assertEqual(self.env["ir.attachment"].sudo().search_count([]), before)

    def test_every_page_of_a_draft_is_marked(self):
        self._engine("weasyprint")
        pages = self._pages(self._invoice(60))
        self.assertGreater(len(pages), 1)
        for page in pages:
            self.assertShown(page, "DRAFT")

    def test_an_invoice_says_what_to_pay_by_when_and_how(self):
        self._engine("weasyprint")
        self.client.sudo().write({"phone": "030 1234567", "country_id": self.env.ref("base.de").id})
        invoice = self._draft(self._new_charge("Consulting", price=100, quantity=2, discount=10))
        invoice.write(
            {"narration": "<p>Goods stay ours until paid.</p>", "ref": "PO 4711", "invoice_date": "2026-03-01"}
        )
        invoice.invoice_line_ids.write(
            {
                "tax_ids": [Command.set(self.tax.ids)],
                "billing_period_start": "2026-02-01",
                "billing_period_end": "2026-02-28",
            }
        )
        invoice._billing_finalize()
        text = self._text(invoice)
        self.assertShown(
            text,
            "Acme",
            "10117 Berlin",
            "+49 30 1234567",
            invoice.name,
            "03/01/2026",
            "PO 4711",
            "Consulting",
            "02/01/2026 – 02/28/2026",
            "10 %",
            "180.00",
            "27.00",
            "Total",
            "207.00",
            "Balance due",
            "Payment reference",
            invoice.payment_reference,
            "Goods stay ours until paid.",
            "Page 1 of 1",
        )
        self.assertNotShown(text, "DRAFT", "PAID", "VOID")

    def test_payments_and_balance_stand_under_the_total(self):
        self._engine("weasyprint")
        invoice = self._finalized()
        self._pay(invoice, 40)
        text = self._text(invoice)
        self.assertShown(text, f"Paid on {format_date(self.env, fields.Date.today())}", "$-40.00")
        self.assertShown(text, "Balance due$75.00")
        self.assertNotShown(text, "PAID")
        self._pay(invoice)
        text = self._text(invoice)
        self.assertShown(text, "PAID")
        self.assertShown(text, "Balance due$0.00")
        self.assertNotShown(text, "Payment reference")

    def test_a_void_invoice_says_so_on_every_engine(self):
        invoice = self._finalized()
        invoice._billing_void("Wrong client")
        for engine in ("weasyprint", "wkhtmltopdf"):
            with self.subTest(engine):
                self._engine(engine)
                text = self._text(invoice)
                self.assertShown(text, "VOID")
                self.assertShown(text, invoice.billing_void_move_id.name)
                self.assertNotShown(text, "Wrong client")

    def test_a_credit_note_names_what_it_credits(self):
        self._engine("weasyprint")
        invoice = self._finalized()
        invoice._billing_void("Wrong client")
        text = self._text(invoice.billing_void_move_id)
        self.assertShown(text, "Credit Note")
        self.assertShown(text, invoice.name)
        self.assertNotShown(text, "Due date")

    def test_project_and_case_are_named(self):
        case = self._new_case("Relaunch", price=50, done=True)
        html = self._html(self._draft(self.env["billing.charge"].search([("task_id", "=", case.id)])))
        self.assertIn("Acme website", html)
        self.assertIn(f"Case {case.id}", html)

    def test_500_lines_run_over_pages(self):
        for engine in ("weasyprint", "wkhtmltopdf"):
            with self.subTest(engine):
                self._engine(engine)
                invoice = self._invoice(500)
                pages = self._pages(invoice)
                self.assertGreater(len(pages), 10)
                text = " ".join(pages)
                for number in (1, 250, 499, 500):
                    self.assertShown(text, f"Item {number}.")
                self.assertShown(pages[-1], "Item 500.", "5,750.00")
                if engine == "wkhtmltopdf" and not odoo_report._wkhtml().is_patched_qt:
                    for number, page in enumerate(pages, start=1):
                        self.assertShown(page, f"{number} / {len(pages)}")
                if engine == "weasyprint":
                    for number, page in enumerate(pages, start=1):
                        self.assertShown(page, "Description")
                        self.assertShown(page, f"Page {number} of {len(pages)}")

    def test_many_documents_at_once(self):
        invoices = self._invoice(60) | self._invoice(1) | self._invoice(2)
        invoices._post()
        for engine in ("weasyprint", "wkhtmltopdf"):
            with self.subTest(engine):
                self._engine(engine)
                streams = self._streams(invoices)
                self.assertEqual(list(streams), invoices.ids)
                for invoice in invoices:
                    text = " ".join(self._read(streams[invoice.id]))
                    self.assertShown(text, invoice.name)
                    self.assertNotShown(text, *(invoices - invoice).mapped("name"))
                renderer = self.env["ir.actions.report"].with_context(force_report_rendering=True)
                merged = PdfFileReader(io.BytesIO(renderer._render_qweb_pdf(REPORT, invoices.ids)[0]))
                self.assertEqual(
                    merged.numPages,
                    sum(PdfFileReader(io.BytesIO(stream)).numPages for stream in streams.values()),
                )

    def test_the_clients_language_and_direction(self):
        self.env["res.lang"].sudo()._activate_lang("ar_001")
        self.client.sudo().lang = "ar_001"
        html = self._html(self._invoice())
        self.assertRegex(html, r'class="article billing-document"[^>]* dir="rtl"')
        self.assertIn('lang="ar-001"', html)
        self._engine("weasyprint")
        self.assertTrue(self._pages(self._invoice()))

    def test_a_second_currency(self):
        invoice = self._invoice(currency_id=self.euro.id)
        invoice._post()
        self._engine("weasyprint")
        text = self._text(invoice)
        self.assertShown(text, "Balance due11.50€")

    def test_the_total_in_words_where_the_company_wants_it(self):
        invoice = self._invoice()
        self.company.sudo().display_invoice_amount_total_words = False
        self.assertNotIn("Eleven", self._html(invoice))
        self.company.sudo().display_invoice_amount_total_words = True
        self.assertIn("Eleven", self._html(invoice))

    def test_an_overall_discount_stands_among_the_totals(self):
        invoice = self._invoice()
        invoice.write({"billing_discount": 12.5, "billing_discount_type": "percent"})
        rows, discounts = invoice._billing_document_lines()
        self.assertEqual([row["name"] for row in rows], ["Item 1."])
        self.assertEqual(discounts, invoice.invoice_line_ids.filtered("billing_overall_discount"))
        self._engine("weasyprint")
        self.assertShown(
            self._text(invoice), "Subtotal before discount$10.00", "Discount12.5%$-1.25", "$8.75", "$10.06"
        )

    def test_the_last_item_and_its_notes_stay_with_the_totals(self):
        invoice = self._invoice()
        item, note = {"kind": "item"}, {"kind": "note"}
        for rows, last in (
            ([], 0),
            ([item], 0),
            ([item, item], 1),
            ([item, item, note], 1),
            ([item, item, note, note], 1),
            ([item, note, note, note], 3),
            ([note], 0),
        ):
            self.assertEqual(invoice._billing_document_last(rows), last, rows)
        for lines in range(11, 23, 2):
            invoice = self._invoice(lines)
            for engine in ("weasyprint", "wkhtmltopdf"):
                with self.subTest(lines=lines, engine=engine):
                    self._engine(engine)
                    (page,) = (page for page in self._pages(invoice) if "Untaxed" in page)
                    self.assertShown(page, f"Item {lines}.")

    def test_amounts_run_from_left_to_right_everywhere(self):
        self.env["res.lang"].sudo()._activate_lang("ar_001")
        self.client.sudo().lang = "ar_001"
        html = self._html(self._invoice(billing_discount=10))
        page = lxml.html.fromstring(html)
        amounts = page.xpath("//td[contains(@class, 'amount')]")
        self.assertGreater(len(amounts), 3)
        for amount in amounts:
            self.assertEqual(amount.xpath("./span/@dir"), ["ltr"])

    def test_the_total_in_words_is_in_the_clients_language(self):
        self.env["res.lang"].sudo()._activate_lang("fr_FR")
        self.client.sudo().lang = "fr_FR"
        self.company.sudo().display_invoice_amount_total_words = True
        self.assertIn("Onze", self._html(self._invoice()))
        arch = self.env["res.config.settings"].with_user(SUPERUSER_ID).get_view()["arch"]
        self.assertTrue(
            lxml.etree.fromstring(arch).xpath(
                "//app[@name='invoice_portal']//field[@name='display_invoice_amount_total_words']"
            )
        )

    def test_notes_keep_their_form_and_lose_what_runs(self):
        notes = (
            '<p>See <a href="https://example.com/t">terms</a>, <b>please</b>.</p><ul><li>One</li></ul>'
            '<script>alert(1)</script><p onclick="alert(2)">x</p><a href="javascript:alert(3)">y</a>'
        )
        html = self._html(self._invoice(narration=notes))
        for kept in ('href="https://example.com/t"', "<b>please</b>", "<li>One</li>"):
            self.assertIn(kept, html)
        self.assertNotIn("alert", html)

    def test_the_button_makes_a_pdf_of_any_customer_document(self):
        arch = self.env["account.move"].get_view(self.env.ref("account.view_move_form").id)["arch"]
        (button,) = lxml.etree.fromstring(arch).xpath("//header//button[@name='action_billing_pdf']")
        self.assertEqual(button.get("string"), "Generate PDF")
        self.assertIn("not id", button.get("invisible"))
        action = self._invoice().action_billing_pdf()
        self.assertEqual((action["type"], action["report_name"]), ("ir.actions.report", REPORT))

    def _qr_invoice(self, **values):
        account = self.env["res.partner.bank"].sudo()
        account = account.create(
            {"acc_number": "BE68539007547034", "partner_id": self.company.partner_id.id, "allow_out_payment": True}
        )
        self.company.sudo().qr_code = True
        return self._invoice(partner_bank_id=account.id, **values)

    def test_the_qr_code_that_fits(self):
        """The first one that country, currency and account allow; and nothing is written down."""
        invoice = self._qr_invoice()
        bank = type(invoice.partner_bank_id)
        asked = []
        self.patch(bank, "get_available_qr_methods_in_sequence", lambda self: [("a_qr", "A"), ("b_qr", "B")])
        self.patch(bank, "_get_error_messages_for_qr", lambda self, method, *args: method == "a_qr" and "abroad")
        self.patch(
            bank, "build_qr_code_base64", lambda self, *args, **kwargs: asked.append(args) or "data:image/png,QR"
        )
        self.assertNotIn("data:image/png,QR", self._html(invoice), "a draft is not to be paid")
        invoice._post()
        self.assertIn("data:image/png,QR", self._html(invoice))
        self.assertEqual((asked[0][0], asked[0][-1]), (11.5, "b_qr"))
        self.assertFalse(invoice.qr_code_method)
        self._pay(invoice, 1.5)
        self._html(invoice)
        self.assertEqual(asked[-1][0], 10, "what is left to pay")
        self._pay(invoice)
        self.assertNotIn("data:image/png,QR", self._html(invoice))

    def test_the_sepa_qr_code(self):
        if "sct_qr" not in dict(self.env["res.partner.bank"].get_available_qr_methods_in_sequence()):
            self.skipTest("account_qr_code_sepa is not installed")
        invoice, dollars = self._qr_invoice(currency_id=self.euro.id), self._invoice()
        dollars.partner_bank_id = invoice.partner_bank_id
        (invoice | dollars)._post()
        self.assertIn('class="qr"', self._html(invoice))
        self.assertNotIn('class="qr"', self._html(dollars))

    def test_sections_can_hide_their_lines(self):
        invoice = self._invoice(
            invoice_line_ids=[
                Command.create({"display_type": "line_section", "name": "Package", "collapse_composition": True}),
                Command.create({"name": "Secret part", "price_unit": 30, "tax_ids": [Command.set(self.tax.ids)]}),
                Command.create({"display_type": "line_section", "name": "Work"}),
                Command.create({"name": "Open part", "price_unit": 20, "tax_ids": [Command.set(self.tax.ids)]}),
                Command.create({"display_type": "line_note", "name": "As agreed."}),
            ]
        )
        html = self._html(invoice)
        for shown in ("Package", "Work", "Open part", "As agreed."):
            self.assertIn(shown, html)
        self.assertNotIn("Secret part", html)

    def test_what_people_type_is_no_markup(self):
        invoice = self._invoice(ref="<b>ref</b>")
        invoice.invoice_line_ids.name = '<img src="file:///etc/passwd"><script>alert(1)</script>'
        html = self._html(invoice)
        self.assertIn("&lt;script&gt;alert(1)", html)
        self.assertIn("&lt;b&gt;ref", html)

    def test_terms_load_nothing(self):
        terms = (
            '<p>Terms <img src="file:///etc/passwd"><img src="http://127.0.0.1:1/x.png">'
            '<img src="/web/static/img/logo.png"></p>'
        )
        invoice = self._invoice()
        # past the sanitizer of the field: an import or another addon may be less strict
        self.env.cr.execute("UPDATE account_move SET narration = %s WHERE id = %s", [terms, invoice.id])
        invoice.invalidate_recordset(["narration"])
        for engine in ("weasyprint", "wkhtmltopdf"):
            report = self.report.with_context(billing_pdf_engine=engine)
            (page,), _ids, _header, _footer, _options = report._prepare_html(self._html(invoice), "account.move")
            self.assertShown(page, "Terms")
            self.assertEqual(page.count("<img"), page.count('src="data:image/'))
            self.assertNotIn("passwd", page)
            self.assertNotIn("127.0.0.1", page)
        self._engine("weasyprint")
        self.assertShown(self._text(invoice), "Terms")

    def test_the_page_loads_nothing_from_elsewhere_either(self):
        """In the client's browser a picture would tell somebody that the invoice is being read."""
        files = self.env["ir.attachment"].sudo()
        own = files.create({"name": "stamp.png", "raw": PIXEL, "res_model": "account.move"})
        linked = files.create({"name": "x.png", "type": "url", "url": "https://evil.example/x.png"})
        pixel = pdf.data_uri(PIXEL, "image/png")
        text = (
            f'<p>Hello <img src="https://evil.example/a.png"/><img src="//evil.example/b.png"/>'
            f'<img src="{pixel}" srcset="https://evil.example/d.png 2x"/>'
            f'<img src="/web/image/{own.id}/stamp.png"/><img src="/web/image/{linked.id}"/></p>'
            f'<p style="background-image: url(https://evil.example/e.png)">World</p>'
            f'<table background="https://evil.example/f.png"><tr><td>Cell</td></tr></table>'
        )
        self.company.sudo().write({"terms_type": "plain"})
        invoice = self._invoice(narration=text, billing_note=text)
        invoice._billing_finalize()
        for report in (REPORT, "account.report_invoice_with_payments", "account.report_invoice"):
            with self.subTest(report):
                html = (
                    self.env["ir.actions.report"]
                    ._render_qweb_html(report, invoice.ids, data={"report_type": "html"})[0]
                    .decode()
                )
                self.assertEqual(html.count("Hello"), 2)
                self.assertEqual(html.count("Cell"), 2)
                self.assertNotIn("evil.example", html)
                self.assertNotIn(f"/web/image/{linked.id}", html)
                self.assertEqual(html.count(f"/web/image/{own.id}/stamp.png"), 2)
                self.assertEqual(html.count(pixel), 2)

    def test_a_document_writes_on_no_line(self):
        invoice = self._invoice(lines=3)
        invoice._billing_finalize()
        self.env.flush_all()
        self.env.invalidate_all()
        with patch.object(self.env.registry["account.move.line"], "write") as write:
            self._html(invoice)
        write.assert_not_called()

    def test_an_attached_image_shows_to_those_who_may_read_it(self):
        attachment = (
            self.env["ir.attachment"].sudo().create({"name": "a.svg", "raw": b"<svg/>", "mimetype": "image/png"})
        )
        url = f"/web/image/{attachment.id}"
        self.assertTrue(self.report.with_user(self.env.ref("base.user_root"))._billing_document_image(url))
        portal_user = self._new_portal_user(self.client, "pia")
        self.assertFalse(self.report.with_user(portal_user).sudo()._billing_document_image(url))

    def test_lines_cost_no_queries(self):
        def queries(lines):
            invoice = self._invoice(lines)
            self.env.flush_all()
            self.env.invalidate_all()
            before = self.env.cr.sql_log_count
            invoice._billing_document_prefetch()
            self._html(invoice)
            return self.env.cr.sql_log_count - before

        queries(1)
        self.assertLessEqual(queries(40), queries(3))


@tagged("post_install", "-at_install")
class TestDocumentEngine(DocumentCommon):
    def _without(self, weasyprint=False, wkhtmltopdf=False):
        if weasyprint:
            self.patch(pdf, "why_not", lambda: "no Pango")
        if wkhtmltopdf:
            missing = odoo_report._wkhtml()._replace(state="install", bin="/nonexistent/wkhtmltopdf")
            for module in (odoo_report, our_report):
                self.patch(module, "_wkhtml", lambda: missing)

    def test_a_payment_slip_finds_its_place(self):
        """As Odoo's Swiss addon lays one over the last page: below, or on a page of its own, or not at all."""
        self._engine("weasyprint")
        invoice = self._finalized()
        self.patch(type(invoice), "_billing_document_slip_height", lambda self: 105)
        for slips, pages in (("below", 1), ("alone", 2), (False, 1)):
            with self.subTest(slips):
                self.patch(type(self.report), "_billing_document_slips", lambda self, slips=slips: slips)
                shown = self._pages(invoice)
                self.assertEqual(len(shown), pages)
                self.assertShown(shown[0], "Balance due")
        self.patch(type(self.report), "_billing_document_slips", lambda self: "below")
        full = self._invoice(15)
        full._post()
        self.assertEqual(len(self._pages(full)), 2, "what stands where the slip comes moves on")

    def test_without_wkhtmltopdf_a_document_goes_without_slip(self):
        self._without(wkhtmltopdf=True)
        renderer = self.env["ir.actions.report"].with_context(force_report_rendering=True)
        slip = "account.report_invoice"
        rendered = renderer.with_context(billing_in_document=True)._render_qweb_pdf_prepare_streams(slip, {}, [1])
        self.assertFalse(rendered)
        with self.assertRaises(UserError):
            renderer._render_qweb_pdf_prepare_streams(slip, {}, self._invoice().ids)

    def test_weasyprint_is_taken_where_it_is(self):
        self._engine("weasyprint")
        self.company.sudo().billing_pdf_engine = "automatic"
        self._without(wkhtmltopdf=True)
        self.assertShown(self._text(self._finalized()), "Page 1 of 1")

    def test_wkhtmltopdf_stands_in(self):
        self._engine("wkhtmltopdf")
        self.company.sudo().billing_pdf_engine = "automatic"
        self._without(weasyprint=True)
        invoice = self._finalized()
        text = self._text(invoice)
        self.assertShown(text, invoice.name, self.company.name, "Balance due", "115.00")

    def test_a_chosen_engine_that_is_missing_is_named(self):
        invoice = self._finalized()
        self.company.sudo().billing_pdf_engine = "weasyprint"
        self._without(weasyprint=True, wkhtmltopdf=True)
        with self.assertRaisesRegex(UserError, "WeasyPrint is chosen.*no Pango"):
            self._streams(invoice)
        for engine in ("automatic", "wkhtmltopdf"):
            self.company.sudo().billing_pdf_engine = engine
            with self.assertRaisesRegex(UserError, "No PDF can be made on this server"):
                self._streams(invoice)

    def test_other_reports_know_nothing_of_it(self):
        self._engine("weasyprint")
        self._without(wkhtmltopdf=True)
        renderer = self.env["ir.actions.report"].with_context(
            force_report_rendering=True, billing_pdf_engine="weasyprint"
        )
        with self.assertRaisesRegex(UserError, "Unable to find Wkhtmltopdf"):
            renderer._pre_render_qweb_pdf("account.report_invoice", self._finalized().ids)

    def test_paper_is_the_companys(self):
        self._engine("weasyprint")
        invoice = self._finalized()
        for paper, width in (("base.paperformat_us", 612), ("base.paperformat_euro", 595)):
            self.company.sudo().paperformat_id = self.env.ref(paper)
            page = PdfFileReader(io.BytesIO(self._streams(invoice)[invoice.id])).pages[0]
            self.assertAlmostEqual(float(page.mediaBox.getWidth()), width, delta=1)


@tagged("post_install", "-at_install")
class TestDocumentDefault(DocumentCommon):
    def test_ours_is_the_default_for_invoices(self):
        send = self.env["account.move.send"]
        invoice = self._finalized()
        self.assertEqual(send._get_default_pdf_report_id(invoice), self.report)
        self.assertEqual(invoice.action_print_pdf().get("report_name"), REPORT)
        self.assertIn(self.report, invoice._get_available_action_reports())

    def test_a_choice_for_client_or_journal_comes_first(self):
        send, odoo = self.env["account.move.send"], self.env.ref("account.account_invoices")
        invoice = self._finalized()
        self.client.sudo().invoice_template_pdf_report_id = odoo
        self.assertEqual(send._get_default_pdf_report_id(invoice), odoo)
        self.client.sudo().invoice_template_pdf_report_id = False
        invoice.journal_id.sudo().invoice_template_pdf_report_id = odoo
        self.assertEqual(send._get_default_pdf_report_id(invoice), odoo)

    def test_a_countrys_own_document_stays(self):
        invoice = self._finalized()
        self.patch(type(invoice), "_get_name_invoice_report", lambda self: "l10n_xx.report_invoice_document")
        self.assertEqual(
            self.env["account.move.send"]._get_default_pdf_report_id(invoice), self.env.ref("account.account_invoices")
        )

    def test_sending_attaches_ours(self):
        self._engine("weasyprint")
        invoice = self._finalized()
        self.env["account.move.send"].with_context(force_report_rendering=True)._generate_and_send_invoices(
            invoice, sending_methods=["manual"]
        )
        self.assertShown(" ".join(self._read(invoice.invoice_pdf_report_id.raw)), "Balance due")

    def test_factur_x_is_embedded(self):
        self._engine("weasyprint")
        if "account.edi.xml.cii" not in self.env:
            self.skipTest("account_edi_ubl_cii is not installed")
        from odoo.addons.account_edi_ubl_cii.models import account_move_send  # noqa: PLC0415

        germany = self.env.ref("base.de").id
        self.company.sudo().partner_id.write(
            {"vat": "DE136695976", "country_id": germany, "phone": "030 12", "email": "a@example.com"}
        )
        self.client.sudo().write({"vat": "DE297748402", "country_id": germany, "invoice_edi_format": "facturx"})
        bank = {
            "acc_number": "DE89370400440532013000",
            "partner_id": self.company.partner_id.id,
            "allow_out_payment": True,
        }
        bank = self.env["res.partner.bank"].sudo().create(bank)
        invoice = self._invoice(partner_bank_id=bank.id)
        invoice._post()
        # In tests Odoo puts the XML beside the PDF; here it is to go into it.
        quiet = SimpleNamespace(config={"test_enable": False})
        with patch.object(account_move_send, "tools", quiet):
            self.env["account.move.send"].sudo().with_context(force_report_rendering=True)._generate_and_send_invoices(
                invoice, sending_methods=["manual"], allow_fallback_pdf=False
            )
        reader = PdfFileReader(io.BytesIO(invoice.invoice_pdf_report_id.raw))
        root = reader.trailer["/Root"]
        names = root["/Names"]["/EmbeddedFiles"]["/Names"]
        self.assertEqual(names[0], "factur-x.xml")
        self.assertIn(b"CrossIndustryInvoice", names[1].getObject()["/EF"]["/F"].getData())
        self.assertIn(b"urn:factur-x", root["/Metadata"].getData())
        self.assertIn("/OutputIntents", root)
        self.assertShown(" ".join(self._read(invoice.invoice_pdf_report_id.raw)), "Balance due")


@tagged("post_install", "-at_install")
class TestDocumentPortal(DocumentCommon, HttpCase):
    def test_the_portal_shows_ours(self):
        invoice = self._finalized()
        url = f"/my/invoices/{invoice.id}?access_token={invoice.sudo()._portal_ensure_token()}"
        for kind in ("&report_type=html", "&report_type=pdf&download=true"):
            response = self.url_open(url + kind)
            self.assertEqual(response.status_code, 200)
            self.assertIn("billing-document", response.text)
            self.assertIn(invoice.name, response.text)
            self.assertNotIn("Proforma", response.text)
