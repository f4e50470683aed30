from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import format_date

from .payment_transaction import UNDER_WAY

CONFIRMED = ("in_process", "paid")


class AccountPayment(models.Model):
    """Taking a payment back, and allocating what is left of it."""

    _inherit = "account.payment"

    billing_open = fields.Monetary(
        string="Unallocated",
        compute="_compute_billing_open",
        groups="base.group_user",
        help="What of this payment stands against no invoice: the client's credit.",
    )
    billing_may_undo = fields.Boolean(compute="_compute_billing_may_undo", exportable=False)

    # For the last payments of one client.
    _billing_partner_idx = models.Index("(partner_id, date)")

    @api.depends("state", "partner_type", "move_id.line_ids.amount_residual_currency")
    def _compute_billing_open(self):
        for payment in self:
            lines = payment._billing_open_lines()
            payment.billing_open = abs(sum(lines.mapped("amount_residual_currency")))

    @api.depends("state", "partner_type")
    @api.depends_context("uid")
    def _compute_billing_may_undo(self):
        staff = self.env.user.has_group("invoice_portal.group_billing_user")
        for payment in self:
            payment.billing_may_undo = (
                staff
                and payment.partner_type == "customer"
                and payment.state in CONFIRMED
                # Its provider gives it back.
                and payment._billing_transaction_sudo().state != "done"
            )

    def _billing_open_lines(self):
        """Its open receivable items; a payment without an entry has none."""
        if self.partner_type != "customer" or self.state not in CONFIRMED:
            return self.env["account.move.line"]
        return self.move_id._billing_open_terms()

    def _billing_check_staff(self):
        self.env["account.move"]._billing_check_staff()
        self.check_access("read")

    # -- undo ---------------------------------------------------------------------------------------------------------

    def _billing_why_not_undo(self):
        """Why this payment cannot be taken back, in words that name the way out, or nothing."""
        self.ensure_one()
        name = self.display_name
        if self.partner_type != "customer":
            return self.env._("%s is not a client's payment. Cancel it in Accounting.", name)
        if self.state not in CONFIRMED:
            return self.env._("%s counts for nothing any more: there is nothing to undo.", name)
        transaction = self._billing_transaction_sudo()
        if transaction.state == "done" and transaction.operation == "refund":
            return self.env._(
                "%(payment)s was paid back by %(provider)s, and the client has it.",
                payment=name,
                provider=transaction.provider_id.name,
            )
        if transaction.state == "done":
            return self.env._(
                "%(provider)s has captured %(payment)s from the client. Pay it back: button Refund on the payment.",
                payment=name,
                provider=transaction.provider_id.name,
            )
        if transaction.state in UNDER_WAY:
            return self.env._(
                "%(payment)s is under way at %(provider)s. Wait for its outcome.",
                payment=name,
                provider=transaction.provider_id.name,
            )
        if statement := self._billing_statement_lines():
            return self.env._(
                "%(payment)s is matched with the bank statement line “%(line)s” of %(date)s. Unmatch it there first: "
                "Accounting, the bank's transactions, that line, undo the matching.",
                payment=name,
                line=statement[0].payment_ref or statement[0].display_name,
                date=format_date(self.env, statement[0].date),
            )
        if self.move_id.need_cancel_request:
            return self.env._("%s was reported to an authority. Request its cancellation instead.", name)
        return None

    def _billing_transaction_sudo(self):
        """The provider's transaction behind this payment. Elevated to read it, which billing staff may not."""
        transaction = self.sudo().payment_transaction_id
        return transaction.filtered(lambda tx: tx.provider_code not in ("none", "custom"))

    def _billing_statement_lines(self):
        """The bank statement lines that say this money has moved."""
        liquidity = self._seek_for_lines()[0] if self.move_id else self.env["account.move.line"]
        matched = liquidity.matched_debit_ids.debit_move_id | liquidity.matched_credit_ids.credit_move_id
        return self.reconciled_statement_line_ids | matched.statement_line_id

    def _billing_reverses(self):
        """Whether the books no longer let its entry be cancelled: an entry on an open day reverses it."""
        self.ensure_one()
        entry = self.move_id
        return bool(entry) and bool(
            entry.inalterable_hash or entry._get_violated_lock_dates(entry.date, entry._affect_tax_report())
        )

    def _billing_undo(self, reason):
        """Take this payment back, in one transaction: what it paid is due again, and nothing is deleted.

        :param str reason: why, for the record
        """
        self.ensure_one()
        self._billing_check_staff()
        reason = (reason or "").strip()
        if not reason:
            raise UserError(self.env._("Say why %s is undone.", self.display_name))
        (self.move_id | self.reconciled_invoice_ids)._billing_hold()
        if refusal := self._billing_why_not_undo():
            raise UserError(refusal)
        allocations = self._billing_allocations()
        invoices = self.reconciled_invoice_ids
        reversal = self.env["account.move"]
        if self._billing_reverses():
            date = self.move_id._billing_void_entry_date()
            reversal = self.move_id._reverse_moves(
                [{"date": date, "ref": self.env._("Undo of %s", self.name)}], cancel=True
            )
            self.state = "canceled"
        else:
            self.move_id.line_ids.remove_move_reconcile()
            self.action_cancel()
        self._billing_log_undo(reason, allocations, invoices, reversal)
        return reversal

    def _billing_allocations(self):
        """What it settles: `[(entry, amount in the entry's currency, its currency)]`."""
        self.ensure_one()
        lines = self.move_id._billing_terms()
        return [
            (partial.debit_move_id.move_id, partial.debit_amount_currency, partial.debit_currency_id)
            for partial in lines.matched_debit_ids
        ] + [
            (partial.credit_move_id.move_id, partial.credit_amount_currency, partial.credit_currency_id)
            for partial in lines.matched_credit_ids
        ]

    def _billing_log_undo(self, reason, allocations, invoices, reversal):
        values = {"payment": self, "reason": reason, "allocations": allocations, "reversal": reversal}
        for record in (self, *invoices):
            record.message_post_with_source(
                "invoice_portal.message_payment_undone", render_values=values, subtype_xmlid="mail.mt_note"
            )

    # -- buttons ------------------------------------------------------------------------------------------------------

    def action_billing_undo(self):
        """Ask why this payment is taken back, and say what follows."""
        self.ensure_one()
        self._billing_check_staff()
        return self.env["billing.payment.undo"]._open(self)

    def action_billing_allocate(self):
        """Allocate what is left of this payment to invoices."""
        self.ensure_one()
        self._billing_check_staff()
        return self.env["billing.allocate"]._open(self.move_id)
