from odoo import fields, models
from odoo.tools import float_repr, format_date, formatLang

from ..tools import pdf
from .account_move_status import SALE_TYPES

REPORT = "invoice_portal.action_report_invoice"
ODOO_REPORT = "account.account_invoices"
ODOO_TEMPLATE = "account.report_invoice_document"


class AccountMove(models.Model):
    """What stands on the printed invoice. Amounts are those the invoice keeps; nothing is calculated here."""

    _name = "account.move"
    _inherit = ["account.move", "billing.document"]

    # -- which document, and where it is asked for --------------------------------------------------------------------

    def _billing_document_report(self):
        """The report that prints this invoice by default, or none where Odoo's own is to do it.

        Where a country has a document of its own, that one stays: it says what the law there asks for.
        """
        self.ensure_one()
        report = self.env.ref(REPORT, raise_if_not_found=False)
        if report and self.move_type in SALE_TYPES and self._get_name_invoice_report() == ODOO_TEMPLATE:
            return report
        return self.env["ir.actions.report"]

    def action_billing_pdf(self):
        """Download the PDF of these invoices as they are now. It is stored nowhere; a draft is marked as such."""
        self.check_access("read")
        return self.env.ref(REPORT).report_action(self, config=False)

    def _get_invoice_pdf_proforma(self):
        """What the portal hands out for an invoice that was finalized but not sent: it is no less an invoice."""
        report = self._billing_document_report()
        if not report or self.partner_id.invoice_template_pdf_report_id:
            return super()._get_invoice_pdf_proforma()
        content, kind = self.env["ir.actions.report"]._pre_render_qweb_pdf(report.report_name, self.ids)
        by_id = self.env["ir.actions.report"]._get_splitted_report(report.report_name, content, kind)
        return {
            "filename": self._get_invoice_report_filename(report=report),
            "filetype": "pdf",
            "content": by_id[self.id],
        }

    # -- what stands on it --------------------------------------------------------------------------------------------

    def _billing_document_prefetch(self):
        """Read what many documents show in a few queries, before they are rendered one by one."""
        lines = self.invoice_line_ids
        lines.tax_ids.mapped("name")
        lines.sudo().billing_charge_id.task_id.mapped("name")
        self.line_ids.mapped("date_maturity")
        partners = self.partner_id | self.partner_shipping_id | self.commercial_partner_id
        partners.country_id.mapped("name")
        partners.state_id.mapped("name")
        self.partner_bank_id.mapped("acc_number")

    def _billing_document_title(self, proforma=False):
        if proforma and self.move_type == "out_invoice":
            return self.env._("Proforma Invoice")
        return {
            "out_refund": self.env._("Credit Note"),
            "out_receipt": self.env._("Receipt"),
        }.get(self.move_type, self.env._("Invoice"))

    def _billing_document_number(self):
        """The number; on a draft the one it will probably get."""
        return self.name if self.name and self.name != "/" else self.name_placeholder or ""

    def _billing_document_mark(self):
        """What is stamped across the document: `(kind, text)`, or nothing."""
        return {
            "draft": ("draft", self.env._("DRAFT")),
            "cancelled": ("void", self.env._("CANCELLED")),
            "void": ("void", self.env._("VOID")),
            "paid": ("paid", self.env._("PAID")),
        }.get(self.billing_status)

    def _billing_document_facts(self):
        """Dates and references under the title: `[(label, text)]`."""
        facts = [
            (self.env._("Date"), format_date(self.env, self.invoice_date)),
            (self.env._("Due date"), self.move_type != "out_refund" and format_date(self.env, self.invoice_date_due)),
            (
                self.env._("Taxable supply"),
                self.show_taxable_supply_date and format_date(self.env, self.taxable_supply_date),
            ),
            (self.env._("Delivery date"), format_date(self.env, self.delivery_date)),
            (self.env._("Credit for"), self.reversed_entry_id.name),
            (self.env._("Project"), self.sudo().billing_project_id.name),
            (self.env._("Origin"), self.invoice_origin != self.sudo().billing_project_id.name and self.invoice_origin),
            (self.env._("Your reference"), self.ref),
            (self.env._("Client no."), self.commercial_partner_id.ref),
            (
                self.env._("Delivery terms"),
                " ".join(filter(None, (self.invoice_incoterm_id.code, self.incoterm_location))),
            ),
        ]
        return [(label, text) for label, text in facts if text]

    def _billing_document_lines(self):
        """The rows of the item table, and the overall discounts that stand among the totals instead."""
        # Of all lines at once: asked for some, Odoo works it out for all and writes it on the others, one by one.
        self.line_ids.mapped("parent_id")
        lines = self._get_move_lines_to_report()
        discounts = lines.filtered("billing_overall_discount")
        rows = []
        for line in lines - discounts:
            if line.collapse_composition or line.collapse_prices:
                rows += line._billing_document_group()
            else:
                rows.append(line._billing_document_row())
        return rows, discounts

    def _billing_document_last(self, rows):
        """Where the end of the item table begins that stays with the totals: the last item, and notes behind it."""
        for index in reversed(range(max(0, len(rows) - 3), len(rows))):
            if rows[index]["kind"] == "item":
                return index
        return max(0, len(rows) - 1)

    def _billing_document_columns(self, rows):
        """The columns of the item table beside the description: `[(key, heading, width in mm)]`.

        Widths are named, for an engine that has to find them out measures every cell twice.
        """
        headings = {
            "quantity": self.env._("Quantity"),
            "price": self.env._("Unit price"),
            "discount": self.env._("Discount"),
            "taxes": self.env._("Tax"),
            "amount": self.env._("Amount"),
        }
        columns = []
        for key, heading in headings.items():
            shown = [len(row.get(key) or "") + len(key == "quantity" and row.get("uom") or "") for row in rows]
            if any(shown):
                columns.append((key, heading, 5 + min(32, max(1.9 * max(shown), 1.7 * len(heading)))))
        return columns

    def _billing_document_payments(self):
        """What was paid so far: `[(label, amount)]`. The client sees neither journals nor exchange differences."""
        payments = (self.sudo().invoice_payments_widget or {}).get("content", [])
        return [
            (
                self.env._("Credited on %s", format_date(self.env, payment["date"]))
                if payment["is_refund"]
                else self.env._("Paid on %s", format_date(self.env, payment["date"])),
                payment["amount"],
            )
            for payment in sorted(payments, key=lambda payment: (payment["date"], payment["partial_id"]))
            if not payment["is_exchange"]
        ]

    def _billing_document_terms(self):
        """When to pay what, in sentences, where it is more than the one due date."""
        terms = []
        term = self.invoice_payment_term_id
        if not term.display_on_invoice or not self.payment_term_details:
            return terms
        if self._is_eligible_for_early_payment_discount(self.currency_id, self.invoice_date):
            terms.append(
                self.env._(
                    "%(amount)s due if paid before %(date)s",
                    amount=self.currency_id.format(
                        term._get_amount_due_after_discount(self.amount_total, self.amount_tax)
                    ),
                    date=term._get_last_discount_date_formatted(self.invoice_date),
                )
            )
        if len(self.payment_term_details) > 1:
            terms += [
                self.env._(
                    "Instalment %(number)s: %(amount)s due on %(date)s",
                    number=number,
                    amount=self.currency_id.format(part["amount"]),
                    date=part["date"],
                )
                for number, part in enumerate(self.payment_term_details, start=1)
            ]
        return terms

    def _billing_document_qr(self):
        """The QR code to pay by, as the client's country has it: a `data:` URI, or nothing.

        Odoo's own method writes down which kind it chose. A locked invoice does not change.
        """
        bank = self.partner_bank_id
        if not (self.display_qr_code and bank and self.amount_residual and self.state == "posted"):
            return None
        methods = [self.qr_code_method] if self.qr_code_method else None
        for method in methods or [name for name, _label in bank.get_available_qr_methods_in_sequence()]:
            if not bank._get_error_messages_for_qr(method, self.partner_id, self.currency_id):
                return bank.build_qr_code_base64(
                    self.amount_residual,
                    self.payment_reference or self.name,
                    self.payment_reference,
                    self.currency_id,
                    self.partner_id,
                    method,
                    silent_errors=True,
                )
        return None

    def _billing_document_slip_height(self):
        """How much of the foot of its last page another addon prints a payment slip on, in millimetres.

        Odoo's `l10n_ch` lays the Swiss QR-bill over it, which has a code of its own.
        """
        self.ensure_one()
        return 105 if "l10n_ch_is_qr_valid" in self._fields and self.l10n_ch_is_qr_valid else 0

    def _billing_document_delivery(self):
        """The delivery address, where the company uses them and it is another than the bill's."""
        delivery = self.partner_shipping_id
        used = self.env.ref("account.group_delivery_invoice_address") in (
            self.env.ref("base.group_user").sudo().all_implied_ids
        )
        return delivery if used and delivery != self.partner_id else delivery.browse()

    def _billing_document_vat(self):
        return self.fiscal_position_id.foreign_vat or super()._billing_document_vat()


class AccountMoveLine(models.Model):
    _inherit = "account.move.line"

    def _billing_document_row(self):
        """One row of the item table."""
        self.ensure_one()
        if self.display_type != "product":
            kind = (self.display_type or "").removeprefix("line_")
            is_section = kind in ("section", "subsection")
            return {
                "kind": kind,
                "name": self.name or "",
                "amount": is_section and self.currency_id.format(self.get_section_subtotal()),
            }
        return {
            "kind": "item",
            "line": self,
            "name": self.name or self.product_id.display_name or "",
            "case": self._billing_document_case(),
            "period": self._billing_document_period(),
            "quantity": self._billing_document_number(self.quantity, "Product Unit"),
            "uom": self._billing_document_uom(),
            "price": formatLang(self.env, self.price_unit, dp="Product Price"),
            "discount": f"{self._billing_document_number(self.discount, 'Discount')} %" if self.discount else "",
            "taxes": ", ".join(tax.tax_label for tax in self.tax_ids if tax.tax_label),
            "amount": self._billing_document_amount(self.price_subtotal, self.price_total),
        }

    def _billing_document_group(self):
        """The rows of a section whose lines or prices are not to be shown one by one."""
        rows = []
        for part in self._get_child_lines():
            kind = part["display_type"].removeprefix("line_").replace("product", "item")
            shows_amount = kind in ("section", "subsection") or self.collapse_composition
            rows.append(
                {
                    "kind": kind,
                    "name": part["name"] or "",
                    "quantity": self._billing_document_number(part["quantity"], "Product Unit")
                    if kind == "item"
                    else "",
                    "uom": part.get("line_uom") and part["line_uom"].name,
                    "taxes": ", ".join(part["taxes"]),
                    "amount": shows_amount
                    and self._billing_document_amount(part["price_subtotal"], part["price_total"]),
                }
            )
        return rows

    def _billing_document_amount(self, without_tax, with_tax):
        """A line's amount, with or without taxes as the company wishes to show prices."""
        included = self.move_id.company_price_include == "tax_included"
        return self.currency_id.format(with_tax if included else without_tax)

    def _billing_document_number(self, value, precision):
        """A number without zeros that say nothing."""
        digits = self.env["decimal.precision"].precision_get(precision)
        shown = float_repr(value, digits).rstrip("0").partition(".")[2]
        return formatLang(self.env, value, digits=len(shown))

    def _billing_document_uom(self):
        # By its number, which is cached: `env.ref` asks the database each time.
        pieces = self.env["ir.model.data"]._xmlid_to_res_id("uom.product_uom_unit", raise_if_not_found=False)
        return self.product_uom_id.name if self.product_uom_id.id != pieces else ""

    def _billing_document_case(self):
        """The case that is billed, unless the description names it already. Clients may read it; cases have their own
        rules, hence elevated."""
        case = self.sudo().billing_charge_id.task_id
        if not case:
            return ""
        reference = self.env._("Case %s", case.id)
        return reference if case.name in (self.name or "") else f"{reference}: {case.name}"

    def _billing_document_period(self):
        start, end = self.billing_period_start, self.billing_period_end
        period = format_date(self.env, start or end)
        if start and end and start != end:
            period = f"{format_date(self.env, start)} – {format_date(self.env, end)}"
        # Subscriptions name the period in the text; it is said once.
        return "" if period in (self.name or "") else period


class AccountMoveSend(models.AbstractModel):
    _inherit = "account.move.send"

    def _get_default_pdf_report_id(self, move):
        """Ours, unless the client's or the journal's settings name one."""
        report = super()._get_default_pdf_report_id(move)
        if report != self.env.ref(ODOO_REPORT):
            return report
        client = move.commercial_partner_id.with_company(move.company_id)
        if report in (client.invoice_template_pdf_report_id, move.journal_id.invoice_template_pdf_report_id):
            return report
        return move._billing_document_report() or report

    def _hook_invoice_document_after_pdf_report_render(self, invoice, invoice_data):
        """Say in the PDF that it is a Factur-X, too.

        Odoo embeds the XML, and writes this into PDFs that it turns into PDF/A itself. Ours is PDF/A already.
        """
        super()._hook_invoice_document_after_pdf_report_render(invoice, invoice_data)
        metadata = self.env.ref("account_edi_ubl_cii.account_invoice_pdfa_3_facturx_metadata", raise_if_not_found=False)
        edi_format = invoice_data.get("ubl_cii_xml_options", {}).get("ubl_cii_format")
        document = invoice_data.get("pdf_attachment_values")
        if not metadata or edi_format != "facturx" or not document:
            return
        if not invoice_data["pdf_report"].is_billing_document or not pdf.is_pdf(document["raw"]):
            return
        values = {"title": invoice.name, "date": fields.Date.context_today(self)}
        document["raw"] = pdf.with_metadata(document["raw"], str(self.env["ir.qweb"]._render(metadata.id, values)))
