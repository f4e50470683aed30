from odoo import models
from odoo.fields import Command


class AccountMove(models.Model):
    """What the *Payments* of an invoice list, in words for somebody who knows no entries."""

    _inherit = "account.move"

    def _billing_entry_kind(self, invoice=None):
        self.ensure_one()
        if self.origin_payment_id:
            return self._billing_payment_kind(self.origin_payment_id)
        if self.statement_line_id:
            return self.env._("Bank transaction")
        if invoice and self in (invoice.billing_void_move_id, invoice.reversed_entry_id) and invoice._billing_is_void():
            return self.env._("Void")
        labels = {
            "out_refund": self.env._("Credit note"),
            "out_invoice": self.env._("Invoice"),
            "out_receipt": self.env._("Receipt"),
        }
        if self.reversed_entry_id.origin_payment_id:
            return self.env._("Reversal of a payment")
        return labels.get(self.move_type) or self.env._("Journal entry")

    def _billing_is_void(self):
        return bool(self.billing_void_move_id or self.reversed_entry_id.billing_void_move_id == self)

    def _billing_payment_kind(self, payment):
        return self.env._("Paid out") if payment.payment_type == "outbound" else self.env._("Payment")

    def _billing_payment_reference(self, payment):
        return " · ".join(text for text in (payment.name, payment.payment_reference, payment.memo) if text)

    def _billing_entry_reference(self):
        if self.origin_payment_id:
            return self._billing_payment_reference(self.origin_payment_id)
        return " · ".join(text for text in (self.name, self.ref) if text)

    def _prepare_billing_payment_items(self):
        """One row per payment, credit or reversal that touches this invoice or did so until it was undone."""
        self.ensure_one()
        terms = self._billing_terms()
        rows = []
        # Odoo's own list, with the exchange differences that follow from each payment.
        for item in self._get_all_reconciled_invoice_partials() or ():
            partial = self.env["account.partial.reconcile"].browse(item["partial_id"])
            entry, exchange = item["aml"].move_id, item["is_exchange"]
            void = self._billing_is_void() and entry in (self.billing_void_move_id, self.reversed_entry_id)
            if partial.debit_move_id in terms:
                amount = partial.debit_amount_currency
            else:
                amount = partial.credit_amount_currency if partial.credit_move_id in terms else 0
            rows.append(
                {
                    "date": entry.date,
                    "kind": self.env._("Exchange difference") if exchange else entry._billing_entry_kind(self),
                    "reference": self.env._(
                        "%(entry)s: %(amount)s in the books",
                        entry=entry.name,
                        amount=self.company_currency_id.format(partial.amount),
                    )
                    if exchange
                    else entry._billing_entry_reference(),
                    "amount": amount,
                    "user_id": partial.create_uid.id,
                    "partial_id": partial.id,
                    "entry_id": entry.id,
                    "payment_id": entry.origin_payment_id.id,
                    "may_release": not exchange and not void,
                    "may_undo": entry.origin_payment_id.billing_may_undo,
                }
            )
        for payment in self.matched_payment_ids.filtered(
            lambda payment: payment.state in ("canceled", "rejected") or not payment.move_id
        ):
            rows.append(
                {
                    "date": payment.date,
                    "kind": self._billing_payment_kind(payment),
                    "reference": self.env._(
                        "%(payment)s: %(amount)s, undone",
                        payment=self._billing_payment_reference(payment),
                        amount=payment.currency_id.format(payment.amount),
                    )
                    if payment.state in ("canceled", "rejected")
                    else self.env._(
                        "%(payment)s: %(amount)s, without an entry",
                        payment=self._billing_payment_reference(payment),
                        amount=payment.currency_id.format(payment.amount),
                    ),
                    "amount": 0,
                    "user_id": payment.create_uid.id,
                    "payment_id": payment.id,
                    "may_undo": payment.billing_may_undo,
                }
            )
        return sorted(rows, key=lambda row: (row["date"], row.get("partial_id") or 0))

    def _prepare_billing_payment_credits(self):
        """One row per open credit that could be allocated to this invoice."""
        self.ensure_one()
        term = self._billing_open_terms()[:1]
        if self.move_type == "out_refund" or self.state != "posted" or not term:
            return []
        rows = []
        for entry, lines in self._billing_counterparts().items():
            for currency, part in lines.grouped("currency_id").items():
                worth = term._billing_worth(part)
                if self.currency_id.compare_amounts(worth, 0) > 0:
                    rows.append(
                        {
                            "line_ids": [Command.set(part.ids)],
                            "date": entry.date,
                            "kind": entry._billing_entry_kind(),
                            "reference": entry._billing_entry_reference(),
                            "open_currency_id": currency.id,
                            "open_amount": -sum(part.mapped("amount_residual_currency")),
                            "worth": worth,
                        }
                    )
        return rows
