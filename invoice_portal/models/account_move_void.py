from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import SQL


class AccountMove(models.Model):
    """Voiding: nothing is due any more, by a reversing entry; nothing is erased."""

    _inherit = "account.move"

    billing_void_move_id = fields.Many2one(
        "account.move",
        string="Voided By",
        readonly=True,
        copy=False,
        index="btree_not_null",
        help="The entry that reverses this invoice.",
    )
    billing_void_reason = fields.Char(string="Void Reason", readonly=True, copy=False, groups="base.group_user")
    billing_void_date = fields.Datetime(string="Voided On", readonly=True, copy=False, groups="base.group_user")

    def _billing_why_not_void(self):
        """Why this finalized invoice cannot be voided now, in words, or nothing."""
        self.ensure_one()
        name = self.display_name
        if self.billing_void_move_id:
            return self.env._(
                "%(invoice)s is void already, by %(entry)s.", invoice=name, entry=self.billing_void_move_id.display_name
            )
        if self.move_type == "out_refund":
            return self.env._("%s is a credit note. To take it back, bill its amount again.", name)
        if self.move_type != "out_invoice":
            return self.env._("%s is not an invoice. Reverse it in Accounting.", name)
        if self.billing_status == "void":
            return self.env._("%s is fully credited already: nothing is due any more.", name)
        credit_notes = self.reversal_move_ids.filtered(lambda note: note.state == "posted")
        if credit_notes:
            return self.env._(
                "%(invoice)s was already corrected by %(note)s. Voiding would credit that part twice: credit what is "
                "left with another credit note.",
                invoice=name,
                note=", ".join(credit_notes.mapped("name")),
            )
        if under_way := self._billing_transactions_under_way_sudo():
            return self.env._(
                "A payment of %(amount)s is under way for %(invoice)s (%(reference)s). Wait for its outcome, or "
                "cancel it.",
                amount=under_way[0].currency_id.format(under_way[0].amount),
                invoice=name,
                reference=under_way[0].reference,
            )
        return None

    @api.private
    def _billing_transactions_under_way_sudo(self, beside=None):
        """Payments of these invoices that may still take money, or took it and are not booked.

        Elevated to read transactions, which not all who bill or pay may.
        """
        Transaction = self.env["payment.transaction"].sudo()
        return Transaction.search(
            Domain("invoice_ids", "in", self.ids)
            & Domain("id", "not in", beside.ids if beside else [])
            & Transaction._get_billing_under_way_domain()
        )

    def _billing_transactions_begun_sudo(self):
        """Payment attempts that were begun and not finished, for the void plan. Elevated as above."""
        return self.sudo().transaction_ids.filtered(lambda tx: tx.state == "draft")

    def _billing_allocations(self):
        """What stands against this invoice: `[(journal item, amount in the invoice's currency)]`."""
        self.ensure_one()
        partials, _exchange = self._get_reconciled_invoices_partials()
        return [(counterpart, amount) for _partial, amount, counterpart in partials]

    def _billing_void_entry_date(self):
        """The day the reversing entry is booked on: today, or the first day after what is locked."""
        self.ensure_one()
        today = max(fields.Date.context_today(self), self.date)
        locks = self._get_violated_lock_dates(today, self._affect_tax_report())
        return locks[-1][0] + timedelta(days=1) if locks else today

    def _billing_void(self, reason, discard=None):
        """Void this invoice, in one transaction.

        :param str reason: why, for the record
        :param discard: the charges that will not be billed again; all others are open again
        :return: the reversing entry
        """
        self.ensure_one()
        self._billing_check_staff()
        reason = (reason or "").strip()
        if not reason:
            raise UserError(self.env._("Say why %s is voided.", self.display_name))
        self._billing_wait_for_lock()
        self._billing_check_move("void")
        freed = self._billing_allocations()
        reversal = self._reverse_moves([self._prepare_billing_void_entry()], cancel=True)
        if not self.currency_id.is_zero(self.amount_residual):
            raise UserError(
                self.env._(
                    "%(invoice)s could not be voided: %(amount)s would stay due.",
                    invoice=self.display_name,
                    amount=self.currency_id.format(self.amount_residual),
                )
            )
        self._billing_mark_void(reversal, reason)
        charges, discard = self.billing_charge_ids, discard or self.env["billing.charge"]
        (charges & discard)._release(discard=True)
        (charges - discard)._release()
        self._billing_log_void(reversal, reason, charges - discard, charges & discard, freed)
        return reversal

    def _billing_wait_for_lock(self):
        """Hold this invoice until the end of the transaction, after whoever holds it now.

        Where that one changes it, the database refuses this transaction; Odoo tries again, and sees what became of it.
        """
        self.flush_recordset()
        self.env.cr.execute(SQL("SELECT 1 FROM account_move WHERE id IN %s FOR UPDATE", self._ids))

    @api.depends("billing_status")
    def _compute_display_send_button(self):
        result = super()._compute_display_send_button()
        self.filtered(lambda move: move.billing_status == "void").display_send_button = False
        return result

    def _prepare_billing_void_entry(self):
        date = self._billing_void_entry_date()
        return {
            # Printed for the client: the reason is for staff, and stays in the chatter.
            "ref": self.env._("Void of %s", self.name),
            "date": date,
            "invoice_date": date,
            "invoice_date_due": date,
            "invoice_payment_term_id": False,
            # At the invoice's own rate, so that the two cancel out to the cent in every currency.
            "invoice_currency_rate": self.invoice_currency_rate,
            "invoice_user_id": self.invoice_user_id.id,
            "invoice_origin": self.invoice_origin,
            "billing_project_id": self.billing_project_id.id,
        }

    def _billing_log_void(self, reversal, reason, reopened, discarded, freed):
        values = {"reversal": reversal, "reason": reason, "reopened": reopened, "discarded": discarded, "freed": freed}
        self.message_post_with_source(
            "invoice_portal.message_voided", render_values=dict(values, invoice=self), subtype_xmlid="mail.mt_note"
        )
