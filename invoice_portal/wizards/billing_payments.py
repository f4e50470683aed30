from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command


class BillingPayments(models.TransientModel):
    """An invoice's payments: all that was ever set against it, and what of the client's credit could be."""

    _name = "billing.payments"
    _description = "Payments of an Invoice"
    _inherit = ["billing.confirm.once"]

    move_id = fields.Many2one("account.move", string="Invoice", required=True, readonly=True)
    currency_id = fields.Many2one(related="move_id.currency_id")
    total = fields.Monetary(compute="_compute_amounts")
    paid = fields.Monetary(string="Paid So Far", compute="_compute_amounts")
    balance = fields.Monetary(compute="_compute_amounts")
    stays_due = fields.Monetary(string="Would Stay Due", compute="_compute_stays_due")
    foreign_credit = fields.Boolean(compute="_compute_foreign_credit")
    item_ids = fields.One2many("billing.payments.item", "wizard_id", string="Payments, Credits and Reversals")
    credit_ids = fields.One2many("billing.payments.credit", "wizard_id", string="Unallocated")

    @api.model
    def _open(self, move):
        move._billing_check_staff()
        wizard = self.create(
            {
                "move_id": move.id,
                "item_ids": [Command.create(values) for values in move._prepare_billing_payment_items()],
                "credit_ids": [Command.create(values) for values in move._prepare_billing_payment_credits()],
            }
        )
        return wizard._get_records_action(name=self.env._("Payments of %s", move._billing_label()), target="new")

    @api.depends("move_id")
    def _compute_amounts(self):
        for wizard in self:
            move = wizard.move_id
            sign = -1 if move.move_type == "out_refund" else 1
            wizard.total = move.amount_total
            wizard.paid = sign * move.billing_paid
            wizard.balance = sign * move.billing_balance

    @api.depends("balance", "credit_ids.amount")
    def _compute_stays_due(self):
        for wizard in self:
            wizard.stays_due = wizard.balance - sum(wizard.credit_ids.mapped("amount"))

    @api.depends("credit_ids.open_currency_id", "currency_id")
    def _compute_foreign_credit(self):
        for wizard in self:
            wizard.foreign_credit = bool(wizard.credit_ids.open_currency_id - wizard.currency_id)

    def action_allocate(self):
        """Allocate what was typed, all of it or nothing."""
        self.ensure_one()
        self.move_id._billing_check_staff()
        chosen = self.credit_ids._used()
        if not chosen:
            raise UserError(self.env._("Choose what to allocate, and how much of it."))
        self._confirm_once()
        for row in chosen:
            self.move_id._billing_allocate(row.line_ids, row.amount)
        return {"type": "ir.actions.act_window_close"}


class BillingPaymentsItem(models.TransientModel):
    _name = "billing.payments.item"
    _description = "Payment, Credit or Reversal on an Invoice"

    wizard_id = fields.Many2one("billing.payments", required=True, ondelete="cascade")
    currency_id = fields.Many2one(related="wizard_id.currency_id")
    date = fields.Date(readonly=True)
    kind = fields.Char(string="What", readonly=True)
    reference = fields.Char(readonly=True)
    amount = fields.Monetary(readonly=True)
    user_id = fields.Many2one("res.users", string="By", readonly=True)
    partial_id = fields.Many2one("account.partial.reconcile", readonly=True, ondelete="set null")
    entry_id = fields.Many2one("account.move", readonly=True, ondelete="cascade")
    payment_id = fields.Many2one("account.payment", readonly=True, ondelete="cascade")
    may_release = fields.Boolean(readonly=True)
    may_undo = fields.Boolean(readonly=True)

    def action_open(self):
        self.ensure_one()
        self.wizard_id.move_id._billing_check_staff()
        record = self.payment_id or self.entry_id
        return record._get_records_action(name=record.display_name)

    def action_release(self):
        """Take this allocation back. The list asks first."""
        self.ensure_one()
        move = self.wizard_id.move_id
        move._billing_release(self.partial_id)
        return self.wizard_id._open(move)

    def action_undo(self):
        self.ensure_one()
        self.wizard_id.move_id._billing_check_staff()
        return self.payment_id.action_billing_undo()


class BillingPaymentsCredit(models.TransientModel):
    _name = "billing.payments.credit"
    _description = "Unallocated Payment or Credit of a Client"
    _inherit = ["billing.allocation.row"]

    wizard_id = fields.Many2one("billing.payments", required=True, ondelete="cascade")
    currency_id = fields.Many2one(related="wizard_id.currency_id")
    line_ids = fields.Many2many("account.move.line", readonly=True)
    date = fields.Date(readonly=True)
    kind = fields.Char(string="What", readonly=True)
    reference = fields.Char(readonly=True)
    open_currency_id = fields.Many2one("res.currency", readonly=True)
    open_amount = fields.Monetary(string="Open", currency_field="open_currency_id", readonly=True)
    worth = fields.Monetary(string="Open, on This Invoice", readonly=True)

    def _rows_of_wizard(self):
        return self.wizard_id.credit_ids

    def _suggested_amount(self, others):
        return min(self.worth, self.wizard_id.move_id.amount_residual - sum(others.mapped("amount")))
