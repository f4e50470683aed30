from uuid import uuid4

from odoo import fields, models
from odoo.exceptions import AccessError, UserError
from odoo.tools import is_html_empty, str2bool

from ..tools.grant import granted
from ..tools.spreadsheet import number
from .account_move_card import MOST


class AccountMove(models.Model):
    """What a client sees of an invoice on its own page, and may do there."""

    _inherit = "account.move"

    # Odoo has none for the client; a firm with many of them would read all its invoices for each page of one.
    _billing_client_idx = models.Index(
        "(commercial_partner_id, invoice_date)"
        " WHERE state = 'posted' AND move_type IN ('out_invoice', 'out_refund', 'out_receipt')"
    )

    billing_links_revoked_on = fields.Datetime(
        string="Links Revoked On",
        readonly=True,
        copy=False,
        groups="invoice_portal.group_billing_user",
    )

    # -- the list -----------------------------------------------------------------------------------------------------

    def _billing_csv_rows(self):
        """These invoices as a table, a row each."""
        titles = [
            self.env._("Number"),
            self.env._("Date"),
            self.env._("Due date"),
            self.env._("Project"),
            self.env._("Status"),
            self.env._("Currency"),
            self.env._("Untaxed"),
            self.env._("Taxes"),
            self.env._("Total"),
            self.env._("Balance"),
        ]
        statuses = dict(self._fields["billing_status"]._description_selection(self.env))
        projects = self._own_project_names_sudo()
        rows = [titles]
        for move in self:
            sign = -1 if move.move_type == "out_refund" else 1
            digits = move.currency_id.decimal_places
            amounts = (move.amount_untaxed, move.amount_tax, move.amount_total)
            rows.append(
                [
                    move.name or "",
                    str(move.invoice_date or ""),
                    str(move.invoice_date_due or ""),
                    projects.get(move.billing_project_id.id, ""),
                    statuses.get(move.billing_status, ""),
                    move.currency_id.name,
                    *(number(sign * amount, digits) for amount in amounts),
                    number(move.billing_balance, digits),
                ]
            )
        return rows

    def _billing_csv_lines(self):
        """The items of these invoices as a table; they add up to what stands on the invoices before taxes."""
        rows = [
            [
                self.env._("Invoice"),
                self.env._("Date"),
                self.env._("Item"),
                self.env._("From"),
                self.env._("Until"),
                self.env._("Quantity"),
                self.env._("Unit price"),
                self.env._("Discount %"),
                self.env._("Currency"),
                self.env._("Amount"),
                self.env._("Amount with taxes"),
            ]
        ]
        for move in self:
            sign = -1 if move.move_type == "out_refund" else 1
            digits = move.currency_id.decimal_places
            rows += [
                [
                    move.name or "",
                    str(move.invoice_date or ""),
                    line.name or "",
                    str(line.billing_period_start or ""),
                    str(line.billing_period_end or ""),
                    line.quantity,
                    line.price_unit,
                    line.discount,
                    move.currency_id.name,
                    number(sign * line.price_subtotal, digits),
                    number(sign * line.price_total, digits),
                ]
                for line in move.invoice_line_ids
                if line.display_type == "product"
            ]
        return rows

    def _own_project_names_sudo(self):
        """`{id: name}` of the projects that these invoices name, as the PDF does, whoever shares the project.

        Elevated for the names alone, after the invoices were read as the user.
        """
        self.check_access("read")
        return {project.id: project.name for project in self.billing_project_id.sudo()}

    # -- the page of one ----------------------------------------------------------------------------------------------

    def _billing_portal_values(self, user):
        """What the page of this invoice shows `user`, whose right to see it was asked for before."""
        self.ensure_one()
        rows, discounts = self._billing_portal_rows(user)
        return {
            "facts": self._billing_document_facts(),
            "rows": rows,
            "discounts": discounts,
            "totals": self.tax_totals,
            "payments": self._billing_document_payments(),
            "terms": self._billing_document_terms(),
            "notes": [
                note
                for note in (
                    self.invoice_payment_term_id.note,
                    self.fiscal_position_id.note,
                    self.taxes_legal_notes,
                    self.billing_note,
                    self.narration,
                )
                if not is_html_empty(note)
            ],
            "bank": self._billing_portal_bank(),
            "credit": self._billing_portal_credit(user),
            "begun": self._billing_portal_begun(user),
            "may_pay_part": self.company_id.billing_portal_partial,
        }

    def _billing_portal_rows(self, user):
        """The items as they are printed, each with what is behind it; the overall discounts stand by themselves."""
        rows, discounts = self._billing_document_lines()
        cases = self.invoice_line_ids.sudo().billing_charge_id.task_id
        Task = self.env["project.task"].with_user(user)
        shared = set(Task.search([("id", "in", cases.ids)]).ids) if cases and not user._is_public() else set()
        for row in rows:
            if line := row.get("line"):
                row["more"] = line._billing_explain()
                case = line.sudo().billing_charge_id.task_id
                row["case_url"] = f"/my/tasks/{case.id}" if case.id in shared else ""
        return rows, discounts

    def _billing_portal_bank(self):
        """Where to pay to, or nothing."""
        if self.state != "posted" or self.move_type == "out_refund" or not self.amount_residual:
            return {}
        bank = self.partner_bank_id.sudo()
        return {
            "reference": self.payment_reference or self.name,
            "account": bank.acc_number,
            "holder": bank.acc_holder_name or bank.partner_id.name,
            "bank": " ".join(filter(None, (bank.bank_id.name, bank.bank_id.bic))),
            "qr": self._billing_document_qr(),
        }

    def _billing_is_of(self, user):
        """Whether this user belongs to the client of this invoice."""
        return self.commercial_partner_id == user.partner_id.commercial_partner_id

    def _billing_portal_credit(self, user):
        """How much of the client's credit could pay this invoice, where it is its own and may be used."""
        if not self._billing_is_of(user) or self._billing_why_no_own_credit():
            return 0
        return min(self.amount_residual, self.sudo().billing_credit_available)

    def _billing_why_no_own_credit(self):
        """Why the client cannot pay this invoice from its credit now, in words, or nothing."""
        move = self.sudo()
        if not move._billing_takes_credit() or move._billing_is_void():
            return self.env._("Nothing is due on this invoice any more.")
        if under_way := move._billing_transactions_under_way_sudo()[:1]:
            return self.env._("A payment (%s) is under way. Wait for its outcome.", under_way.reference)
        if reason := move._billing_why_not_begin(move._billing_begun_payment_sudo()):
            return reason
        if not move.billing_credit_available:
            return self.env._("There is no credit that could pay this invoice.")
        return None

    def _own_apply_credit_sudo(self):
        """Pay this invoice from the credit of the client who asks. Returns how much was used.

        Elevated to match entries, which clients may not read; after asking whose invoice it is.
        """
        self.ensure_one()
        self.check_access("read")
        if not self._billing_is_of(self.env.user):
            raise AccessError(self.env._("This invoice is not yours."))
        if reason := self._billing_why_no_own_credit():
            raise UserError(reason)
        move = self.sudo()
        # Two who pay at once, here or by card, meet at this.
        move._billing_claim_for_payment()
        return move._billing_apply_credit()

    def _billing_portal_begun(self, user):
        """What to say of a payment that was begun and not finished, to the client who may start over; or nothing."""
        if not self._billing_is_of(user):
            return ""
        begun = self.sudo()._billing_begun_payment_sudo()
        return begun and self.env._(
            "A payment of %(amount)s (%(reference)s) was begun and is not finished. Finish it where it was begun; or "
            "start over, and do not finish it there.",
            amount=begun.currency_id.format(begun.amount),
            reference=begun.reference,
        )

    def _own_start_over_sudo(self):
        """Give up what the client, or somebody with the link, began to pay on the provider's page.

        It stays open at the provider: finished there all the same, it is booked, and what is too much is the client's
        credit. Elevated to mark it, after asking whose invoice it is.
        """
        self.ensure_one()
        self.check_access("read")
        if not self._billing_is_of(self.env.user):
            raise AccessError(self.env._("This invoice is not yours."))
        move = self.sudo()
        while begun := move._billing_begun_payment_sudo():
            begun.billing_given_up_on = fields.Datetime.now()
            move.message_post(
                body=self.env._("The payment %s, begun and not finished, was given up by the client.", begun.reference),
                subtype_xmlid="mail.mt_note",
            )

    def action_billing_confirm_revoke_links(self):
        """Ask before revoking: which, and what it means."""
        return self.env["billing.revoke"]._open(self)

    def action_billing_revoke_links(self):
        """The links to these invoices that were mailed so far open nothing any more; the next mail has a new one.

        Who logs in sees the invoices as before.
        """
        self._billing_check_staff()
        self.check_access("write")
        for move in self:
            # Another token instead of none: what compares with it expects one.
            granted(move).write({"access_token": str(uuid4()), "billing_links_revoked_on": fields.Datetime.now()})
            move._billing_mailed_files_sudo().access_token = False
            move.message_post(
                body=self.env._("Links to this invoice that were sent so far are revoked."),
                subtype_xmlid="mail.mt_note",
            )
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "success",
                "message": self.env._(
                    "Links sent so far open %s no more. Send it again where somebody without a login needs it.",
                    ", ".join(move.display_name for move in self[:5]) + ("…" if len(self) > 5 else ""),
                ),
                "next": {"type": "ir.actions.act_window_close"},
            },
        }

    def _billing_mailed_files_sudo(self):
        """Files that a mail about this invoice linked to, where they were too large to be attached. Elevated, as they
        belong to mails and messages."""
        move = self.sudo()
        files = move.message_ids.attachment_ids | move.billing_mail_ids.attachment_ids
        # The PDF, too, which is kept in a field.
        files |= files.with_context(skip_res_field_check=True).search(
            [("res_model", "=", move._name), ("res_id", "=", move.id)]
        )
        return files.filtered("access_token")

    def _billing_is_revoked_for(self, user):
        """Whether Odoo's payment links to this invoice hold no more.

        They are signed for client, amount and currency, and do not say when. Odoo makes none for invoices any more, so
        all there are were made before.
        """
        self.ensure_one()
        return bool(self.sudo().billing_links_revoked_on) and not self.with_user(user).has_access("read")

    def _billing_payable(self):
        """Those of these invoices that can be paid online now, asked for all at once."""
        open_ones = self.filtered(
            lambda move: (
                move.move_type == "out_invoice"
                and move.state == "posted"
                and move.payment_state in ("not_paid", "partial")
                and not move.currency_id.is_zero(move.amount_residual)
                and not move.billing_void_move_id
            )
        )
        enabled = self.env["ir.config_parameter"].sudo().get_param("account_payment.enable_portal_payment")
        if not open_ones or not str2bool(enabled or "", False):
            return self.browse()
        busy = open_ones._billing_transactions_under_way_sudo().invoice_ids.ids
        return open_ones.filtered(lambda move: move.id not in busy)

    def _billing_payable_together(self):
        """These invoices by what can be paid at once: one company, one currency, and something due."""
        payable = self._billing_payable().sorted(lambda move: (move.invoice_date_due or move.date, move.id))
        return list(payable.grouped(lambda move: (move.company_id, move.currency_id)).values())

    def _billing_why_not_part(self, amount):
        """Why a client cannot pay just this amount of the invoice, in words, or nothing."""
        self.ensure_one()
        if not (amount or 0) > 0 or (amount < MOST and self.currency_id.is_zero(amount)):
            return self.env._("Type an amount above zero.")
        if amount >= MOST:
            return self.env._("More than the %s that is due.", self.currency_id.format(self.amount_residual))
        if self.currency_id.compare_amounts(amount, self.amount_residual) > 0:
            return self.env._(
                "%(amount)s is more than the %(due)s that is due.",
                amount=self.currency_id.format(amount),
                due=self.currency_id.format(self.amount_residual),
            )
        if self.company_id.sudo().billing_portal_partial or not self._billing_is_part(amount):
            return None
        return self.env._(
            "Please pay the whole %s: this invoice is not paid in parts.", self.currency_id.format(self.amount_residual)
        )

    def _billing_is_part(self, amount):
        """Whether this is neither all that is due, nor an instalment, nor what is due with an early discount."""
        asked = self._get_invoice_next_payment_values()
        wholes = (self.amount_residual, asked.get("next_amount_to_pay"), asked.get("amount_due"))
        return all(whole is None or self.currency_id.compare_amounts(amount, whole) for whole in wholes)


class AccountMoveLine(models.Model):
    _inherit = "account.move.line"

    def _billing_explain(self):
        """What is behind this line, for the client who asks "what is this?": `[(label, text)]`. To be extended.

        Elevated to read the charge, which clients may not; what it says of their line is theirs to know.
        """
        self.ensure_one()
        facts = self.sudo().billing_charge_id._explain()
        if self.discount:
            before = self.currency_id.round(self.quantity * self.price_unit)
            facts.append((self._billing_before_discount_label(), self.currency_id.format(before)))
        if self.tax_ids and not self.currency_id.is_zero(self.price_total - self.price_subtotal):
            facts.append((self.env._("With taxes"), self.currency_id.format(self.price_total)))
        return facts

    def _billing_before_discount_label(self):
        """What the line would cost without its discount is called this. To be extended, where it is none."""
        return self.env._("Before discount")
