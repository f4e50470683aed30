from odoo.exceptions import AccessError, MissingError, UserError
from odoo.http import content_disposition, request, route

from ..models.billing_dispute import MOST_BYTES, MOST_FILES, MOST_WORDS
from .portal_invoice import BillingPortalInvoices


class BillingPortalDispute(BillingPortalInvoices):
    """Objecting to an item of an invoice, and taking that back. Who has only a link to the invoice logs in first."""

    def _billing_own_line(self, invoice_id, line_id):
        """The line and its invoice as this user may read them. Whether there is another's is not said."""
        invoice = request.env["account.move"].browse(invoice_id)
        line = request.env["account.move.line"].search([("id", "=", line_id), ("move_id", "=", invoice_id)])
        try:
            self._document_check_access("account.move", invoice_id)
        except (AccessError, MissingError) as error:
            raise request.not_found() from error
        if not line:
            raise request.not_found()
        return invoice, line

    def _billing_objection_page(self, invoice, line, typed=None, error=None):
        most = line._billing_contestable()
        digits = invoice.currency_id.decimal_places
        kinds = request.env["billing.dispute"]._fields["kind"]._description_selection(request.env)
        values = self._billing_page_values(
            "invoices",
            request.env._("Object to an Item"),
            invoice=invoice,
            line=line,
            line_name=(line.name or "").strip(),
            kinds=kinds,
            most=most,
            most_text=invoice.currency_id.format(most),
            amount_total=invoice.currency_id.format(line.price_total),
            step=invoice.currency_id.rounding,
            typed={"kind": "", "words": "", "amount": f"{most:.{digits}f}", **(typed or {})},
            # What cannot be objected to is said instead of the form.
            refused=None if typed else invoice._billing_why_not_object(line),
            most_words=MOST_WORDS,
            most_files=MOST_FILES,
            most_megabytes=MOST_BYTES // 1024 // 1024,
            billing_error=error,
            invoice_url=f"/my/invoices/{invoice.id}",
        )
        response = request.render("invoice_portal.portal_objection_form", values)
        if error:
            response.status_code = 422
        return response

    @route(
        "/my/invoices/<int:invoice_id>/object/<int:line_id>",
        type="http",
        auth="user",
        methods=["GET"],
        website=True,
        readonly=True,
    )
    def billing_objection(self, invoice_id, line_id, **kwargs):
        return self._billing_objection_page(*self._billing_own_line(invoice_id, line_id))

    @route(
        "/my/invoices/<int:invoice_id>/object/<int:line_id>", type="http", auth="user", methods=["POST"], website=True
    )
    def billing_object(self, invoice_id, line_id, kind=None, words=None, amount=None, **kwargs):
        invoice, line = self._billing_own_line(invoice_id, line_id)
        Dispute = request.env["billing.dispute"]
        if Dispute.search_count([("line_id", "=", line.id), ("state", "=", "open")], limit=1):
            # A second click, or the page loaded again: it is said already.
            return self._billing_back_to(invoice, line, "objected")
        try:
            with request.env.cr.savepoint():
                Dispute._object_sudo(line, kind, words, self._billing_typed_amount(amount), self._billing_sent_files())
        except UserError as error:
            typed = {
                "kind": kind or "",
                "words": (words or "")[: 2 * MOST_WORDS],
                "amount": (amount or "")[:20],
            }
            return self._billing_objection_page(invoice, line, typed, str(error))
        return self._billing_back_to(invoice, line, "objected")

    def _billing_sent_files(self):
        """One more than may be sent, and a byte more than may be in each: enough to refuse them."""
        files = []
        for file in request.httprequest.files.getlist("files")[: MOST_FILES + 1]:
            if file.filename:
                # The transaction may be tried again, and the file is at its end then.
                file.stream.seek(0)
                files.append((file.filename, file.stream.read(MOST_BYTES + 1)))
        return files

    def _billing_back_to(self, invoice, line, done=None):
        query = f"?done={done}" if done else ""
        return request.redirect(f"/my/invoices/{invoice.id}{query}#objections-{line.id}", code=303)

    def _billing_done(self, key):
        return {
            "objected": request.env._("We received your objection, and will answer."),
            "withdrawn": request.env._("You withdrew your objection."),
        }.get(key) or super()._billing_done(key)

    def _billing_own_dispute(self, invoice_id, dispute_id):
        dispute = request.env["billing.dispute"].search([("id", "=", dispute_id), ("move_id", "=", invoice_id)])
        if not dispute:
            raise request.not_found()
        return dispute

    @route(
        "/my/invoices/<int:invoice_id>/objections/<int:dispute_id>/withdraw",
        type="http",
        auth="user",
        methods=["POST"],
        website=True,
        billing_form_at="/my/invoices/{invoice_id}",
    )
    def billing_withdraw(self, invoice_id, dispute_id, **kwargs):
        dispute = self._billing_own_dispute(invoice_id, dispute_id)
        line, done = dispute.line_id, "withdrawn"
        try:
            with request.env.cr.savepoint():
                dispute._withdraw_sudo()
        except UserError:
            # Answered meanwhile, or withdrawn by the first of two clicks: the page shows how it stands.
            done = None
        return self._billing_back_to(dispute.move_id, line, done)

    @route(
        "/my/invoices/<int:invoice_id>/objections/<int:dispute_id>/files/<int:file_id>",
        type="http",
        auth="user",
        methods=["GET"],
        website=True,
        readonly=True,
    )
    def billing_objection_file(self, invoice_id, dispute_id, file_id, **kwargs):
        file = self._billing_own_dispute(invoice_id, dispute_id)._portal_file_sudo(file_id)
        if not file:
            raise request.not_found()
        return request.make_response(
            file.content,
            [
                ("Content-Type", file.mimetype),
                ("Content-Disposition", content_disposition(file.name)),
                ("Cache-Control", "no-store"),
                ("X-Content-Type-Options", "nosniff"),
            ],
        )
