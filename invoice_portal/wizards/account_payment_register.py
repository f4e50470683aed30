import json

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import format_date

from ..models.abstract_billable_values import TOO_MUCH


class AccountPaymentRegister(models.TransientModel):
    """Odoo's payment dialog as *Mark as Paid*: by hand, on customer documents, never twice for the same balance."""

    _inherit = "account.payment.register"

    billing_by_hand = fields.Boolean(
        help="Opened by *Mark as Paid*: the whole balance is suggested, and one payment per client."
    )
    billing_reference = fields.Char(
        string="Reference", help="How the bank, the cheque or the client calls this payment."
    )
    billing_seen = fields.Char(
        compute="_compute_billing_seen",
        store=True,
        help="What was due when the dialog was opened. Somebody else may have marked it as paid meanwhile.",
    )
    billing_plan = fields.Html(compute="_compute_billing_plan", sanitize=False)

    # -- what the dialog suggests -------------------------------------------------------------------------------------

    @api.depends("line_ids")
    def _compute_billing_seen(self):
        for wizard in self:
            wizard.billing_seen = json.dumps(wizard._billing_due_now())

    @api.depends("billing_by_hand")
    def _compute_amount(self):
        result = super()._compute_amount()
        for wizard in self.filtered("billing_by_hand"):
            if wizard.journal_id and wizard.currency_id and wizard.payment_date and not wizard.custom_user_amount:
                wizard.amount = wizard._get_total_amounts_to_pay(wizard.batches)["full_amount"]
        return result

    @api.depends("billing_by_hand")
    def _compute_group_payment(self):
        result = super()._compute_group_payment()
        self.filtered("billing_by_hand").group_payment = True
        return result

    @api.depends("billing_by_hand")
    def _compute_actionable_errors(self):
        """Odoo warns of each payment that no bank statement has confirmed yet. What stands in the books is deducted
        from the balance already: only what is not is worth an alarm."""
        result = super()._compute_actionable_errors()
        for wizard in self.filtered("billing_by_hand"):
            payments = wizard.line_ids.move_id.reconciled_payment_ids
            if not payments.filtered(lambda payment: payment.state == "in_process" and not payment.move_id):
                errors = dict(wizard.actionable_errors or {})
                errors.pop("unpaid_matched_payments", None)
                wizard.actionable_errors = errors
        return result

    @api.depends("billing_by_hand")
    def _compute_payment_token_id(self):
        result = super()._compute_payment_token_id()
        # By hand, no card is charged: the money has come.
        self.filtered("billing_by_hand").payment_token_id = False
        return result

    @api.depends(
        "amount",
        "billing_by_hand",
        "currency_id",
        "group_payment",
        "installments_mode",
        "line_ids",
        "payment_date",
        "payment_difference_handling",
        "writeoff_account_id",
    )
    def _compute_billing_plan(self):
        for wizard in self:
            wizard.billing_plan = wizard.billing_by_hand and self.env["ir.qweb"]._render(
                "invoice_portal.payment_plan", {"payments": wizard._billing_payments(), "wizard": wizard}
            )

    def _billing_payments(self):
        """What would be recorded: a dictionary per payment."""
        self.ensure_one()
        payments = []
        if self._billing_is_edited():
            batch = self.batches[0]
            payments.append(self._prepare_billing_payment(batch["lines"], self.currency_id, self.amount))
            due = self._get_total_amounts_to_pay(self.batches)["full_amount_for_difference"]
            rest = self.currency_id.round(due - self.amount)
            if self.payment_difference_handling == "reconcile":
                payments[0]["written_off"] = rest
            else:
                payments[0]["stays_due"] = max(rest, 0)
                payments[0]["credit"] = max(-rest, 0)
            return payments
        for batch in self.batches:
            lines = batch["lines"]
            for part in [lines] if self.group_payment else lines.grouped("move_id").values():
                amount = abs(sum(part.mapped("amount_residual_currency")))
                payments.append(self._prepare_billing_payment(part, part.currency_id[:1], amount))
        return payments

    def _prepare_billing_payment(self, lines, currency, amount):
        invoices = lines.move_id
        return {
            "client": lines.partner_id.commercial_partner_id or invoices.commercial_partner_id,
            "invoices": invoices,
            "amount": amount,
            "currency": currency,
            "outbound": sum(lines.mapped("balance")) < 0,
            "stays_due": 0,
            "credit": 0,
            "written_off": 0,
            # Elevated for its reference and amount, of invoices that the user may mark as paid.
            "in_doubt": invoices.billing_card_doubt_id[:1].sudo(),
        }

    def _billing_is_edited(self):
        """Whether the amount is the user's: one payment, over one client's documents in one currency."""
        return self.can_edit_wizard and (len(self.batches[0]["lines"]) == 1 or self.group_payment)

    # -- what is checked ----------------------------------------------------------------------------------------------

    def _billing_documents(self):
        moves = self.line_ids.move_id
        return moves if all(move.is_sale_document(include_receipts=True) for move in moves) else moves.browse()

    def _billing_due_now(self):
        return {str(line.id): line.amount_residual_currency for line in self.line_ids._origin}

    def _billing_check(self):
        """Refuse what would go wrong silently: on customer documents, whoever opened the dialog, and from where."""
        invoices = self._billing_documents()
        invoices._billing_hold()
        self._billing_check_unchanged()
        invoices._billing_check_payable()
        if invoices and not abs(self.amount) < TOO_MUCH:
            raise UserError(self.env._("No payment is that large: look at the amount."))
        if not self._billing_is_edited() or not self.currency_id.compare_amounts(self.amount, 0):
            for payment in self._billing_payments():
                if payment["currency"].compare_amounts(payment["amount"], 0) <= 0:
                    raise UserError(
                        self.env._(
                            "The amount for %(invoices)s is zero: type what was paid. Invoices and credit notes that "
                            "cancel out need no payment: allocate the credit note.",
                            invoices=", ".join(payment["invoices"].mapped("display_name")),
                        )
                    )
        elif self.currency_id.compare_amounts(self.amount, 0) < 0:
            raise UserError(self.env._("Type an amount above zero. What a client gets back pays a credit note."))

    def _billing_check_unchanged(self):
        seen = json.loads(self.billing_seen or "{}")
        now = self._billing_due_now()
        changed = self.line_ids.filtered(
            lambda line: (
                str(line.id) in seen and line.currency_id.compare_amounts(seen[str(line.id)], now[str(line.id)]) != 0
            )
        )
        if changed:
            raise UserError("\n".join(self._billing_what_changed(move, seen, now) for move in changed.move_id))

    def _billing_what_changed(self, move, seen, now):
        ids = [str(line.id) for line in self.line_ids if line.move_id == move]
        last = max(
            (counterpart.move_id for counterpart, _amount in move._billing_allocations()),
            key=lambda entry: entry.write_date,
            default=move.browse(),
        )
        values = {
            "invoice": move.display_name,
            "now": move.currency_id.format(abs(sum(now[key] for key in ids))),
            "before": move.currency_id.format(abs(sum(seen.get(key, 0) for key in ids))),
        }
        if not last:
            return self.env._(
                "%(invoice)s has changed since this dialog was opened: %(now)s is due, it was %(before)s. Nothing was "
                "recorded. Open it again.",
                **values,
            )
        return self.env._(
            "%(invoice)s has changed since this dialog was opened: %(now)s is due, it was %(before)s (%(entry)s of "
            "%(date)s, by %(who)s). Nothing was recorded. Open it again if there is another payment.",
            **values,
            entry=last.display_name,
            date=format_date(self.env, last.date),
            who=last.create_uid.sudo().name,
        )

    # -- what is recorded ---------------------------------------------------------------------------------------------

    def _create_payments(self):
        self.ensure_one()
        if self._billing_documents():
            self._billing_check()
        return super()._create_payments()

    def _init_payments(self, to_process, edit_mode=False):
        if not self.billing_by_hand or not self._billing_documents():
            return super()._init_payments(to_process, edit_mode=edit_mode)
        for values in to_process:
            values["create_vals"]["payment_reference"] = self.billing_reference
            values["create_vals"].pop("payment_token_id", None)
        # Always with an entry, where the accountant's edition could do without: only an entry says how much of which
        # invoice is paid, and keeps what is too much as the client's credit.
        by_hand = self.with_context(force_payment_move=True)
        return super(AccountPaymentRegister, by_hand)._init_payments(to_process, edit_mode=edit_mode)
