from odoo import SUPERUSER_ID, fields, models
from odoo.exceptions import AccessError
from odoo.fields import Command
from odoo.tools import format_date

REPORT = "invoice_portal.action_report_receipt"
TEMPLATE = "invoice_portal.mail_template_receipt"


class AccountPayment(models.Model):
    """The receipt of a client's payment: printed for the one who asks, and mailed once where that is wished."""

    _name = "account.payment"
    _inherit = ["account.payment", "billing.document"]

    billing_mail_ids = fields.One2many(
        "billing.mail", "payment_id", string="E-mails", groups="invoice_portal.group_billing_user"
    )

    # -- mailing ------------------------------------------------------------------------------------------------------

    def action_post(self):
        result = super().action_post()
        # Whoever records a payment in a dialog of ours says there whether a receipt is mailed; else it is as set.
        said = self.env.context.get("billing_receipt")
        self.filtered(
            lambda payment: (
                payment._billing_has_receipt()
                and payment.payment_type == "inbound"
                and (payment.partner_id._billing_wants_receipt(payment.company_id) if said is None else said)
            )
        )._billing_queue_receipts()
        return result

    def _billing_has_receipt(self):
        """Whether this is money from or to a client."""
        self.ensure_one()
        return self.partner_type == "customer" and bool(self.partner_id) and self.state in ("in_process", "paid")

    def _billing_queue_receipts(self):
        """Mail the receipts of these payments after the commit, with what they paid until then: once for each."""
        Mail = self.env["billing.mail"].sudo()
        known = Mail.search([("payment_id", "in", self.ids), ("kind", "=", "receipt")]).payment_id
        # Of a payment by card nobody in the office is the author, and its client may not make documents.
        author = self.env.uid if self.env.user._is_internal() else SUPERUSER_ID
        queue = []
        for payment in self - known.sudo(False):
            addresses = payment.partner_id._billing_addresses("receipt")
            if not addresses["to"]:
                payment.message_post(
                    body=self.env._(
                        "The receipt was not sent: %s has no e-mail address.", payment.partner_id.display_name
                    ),
                    subtype_xmlid="mail.mt_note",
                )
                continue
            queue.append(
                {
                    "payment_id": payment.id,
                    "kind": "receipt",
                    "state": "queued",
                    "user_id": author,
                    "subject": payment.display_name,
                    "addresses": addresses,
                }
            )
        if queue:
            Mail._queue(queue)
            Mail._wake()

    def _prepare_billing_receipt(self):
        """Text and attachment of the mail, as `billing.mail` takes them."""
        self.ensure_one()
        template = self.env.ref(TEMPLATE)
        texts = template._billing_texts(self)
        content, _kind = self.env["ir.actions.report"]._render_qweb_pdf(REPORT, self.ids)
        return {
            **texts,
            "attachment_ids": [
                Command.create(
                    {
                        "name": f"{self._billing_receipt_filename()}.pdf",
                        "raw": content,
                        "thumbnail": self.env["account.move.send"]._billing_file_icon("receipt.pdf"),
                    }
                )
            ],
        }

    def action_billing_receipt(self):
        """Download the receipts of these payments."""
        self._billing_check_staff()
        return self.env.ref(REPORT).report_action(self, config=False)

    # -- what stands on it --------------------------------------------------------------------------------------------

    def _billing_receipt_filename(self):
        return f"{self._billing_document_title()} {self.name or ''}".replace("/", "-").strip()

    def _billing_document_title(self):
        return self.env._("Receipt") if self.payment_type == "inbound" else self.env._("Credit Receipt")

    def _billing_document_facts(self):
        """Dates and references under the title: `[(label, text)]`."""
        facts = [
            (self.env._("Date"), format_date(self.env, self.date)),
            (self.env._("Method"), self._billing_document_method()),
            (self.env._("Reference"), self.payment_reference),
            (self.env._("Memo"), self.memo),
            (self.env._("Client no."), self.partner_id.commercial_partner_id.ref),
        ]
        return [(label, text) for label, text in facts if text]

    def _billing_document_method(self):
        """How it was paid, in the client's words: which journal keeps it is nobody's business."""
        transaction = self.sudo().payment_transaction_id
        if transaction:
            return transaction.token_id.display_name or transaction.payment_method_id.name
        kinds = {"cash": self.env._("Cash"), "bank": self.env._("Bank"), "credit": self.env._("Card")}
        method = self.payment_method_line_id
        return method.name if method.code != "manual" else kinds.get(self.journal_id.type, "")

    def _billing_document_rows(self):
        """What the money was for: `[(text, date, amount)]`, in the currency of the payment."""
        lines = self.move_id.line_ids.filtered(lambda line: line.account_type == "asset_receivable")
        inbound = self.payment_type == "inbound"
        rows = []
        for partial in lines.matched_debit_ids if inbound else lines.matched_credit_ids:
            other = (partial.debit_move_id if inbound else partial.credit_move_id).move_id
            if not other._billing_is_exchange():
                amount = partial.credit_amount_currency if inbound else partial.debit_amount_currency
                rows.append((self._billing_document_paid(other), other.invoice_date or other.date, amount))
        # Where payments have no entry of their own, they still know their invoices.
        for invoice in self.invoice_ids if not self.move_id else ():
            rows.append((self._billing_document_paid(invoice), invoice.invoice_date, False))
        return sorted(rows, key=lambda row: (row[1] or self.date, row[0]))

    def _billing_document_paid(self, entry):
        if entry.move_type in ("out_invoice", "out_receipt"):
            return self.env._("Invoice %s", entry.name)
        if entry.move_type == "out_refund":
            return self.env._("Credit note %s", entry.name)
        payment = entry.origin_payment_id
        if payment:
            return self.env._("Payment of %s", format_date(self.env, payment.date))
        return entry.ref or entry.name

    def _billing_document_left(self):
        """What of the payment stands to the client's credit."""
        lines = self.move_id.line_ids.filtered(lambda line: line.account_type == "asset_receivable")
        return -sum(lines.mapped("amount_residual_currency"))

    def _billing_own_receipt(self):
        """The PDF for the client itself: `(name, bytes)`.

        The portal asks as the user, who may read no payments: this one is elevated once it is known to be its own.
        """
        payment = self.sudo()
        own = self.env.user.partner_id.commercial_partner_id
        if (
            not payment.exists()
            or payment.partner_id.commercial_partner_id != own
            or payment.company_id not in self.env.companies
            or not payment._billing_has_receipt()
        ):
            raise AccessError(self.env._("This receipt is not yours."))
        content, _kind = self.env["ir.actions.report"].sudo()._render_qweb_pdf(REPORT, payment.ids)
        return f"{payment._billing_receipt_filename()}.pdf", content


class ResPartner(models.Model):
    _inherit = "res.partner"

    billing_receipt_mail = fields.Selection(
        [("yes", "Always"), ("no", "Never")],
        string="Mail receipts",
        company_dependent=True,
        groups="base.group_user",
        help="A receipt by e-mail for each payment. Empty: as set for the company.",
    )

    def _commercial_fields(self):
        return super()._commercial_fields() + ["billing_receipt_mail"]

    def _billing_wants_receipt(self, company):
        self.ensure_one()
        # Elevated to look: payments by card are recorded by visitors.
        wish = self.sudo().commercial_partner_id.with_company(company).billing_receipt_mail
        return wish == "yes" or (wish != "no" and company.sudo().billing_receipt_mail)
