from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command


class BillingAllocate(models.TransientModel):
    """One payment, or one credit note, over several invoices of the client, with typed amounts."""

    _name = "billing.allocate"
    _description = "Allocate to Invoices"
    _inherit = ["billing.confirm.once"]

    entry_id = fields.Many2one("account.move", required=True, readonly=True)
    currency_id = fields.Many2one(related="entry_id.currency_id")
    name = fields.Char(string="Allocate", compute="_compute_name")
    open_amount = fields.Monetary(string="Unallocated", compute="_compute_open_amount")
    stays_open = fields.Monetary(string="Would Stay Unallocated", compute="_compute_stays_open")
    invoice_ids = fields.One2many("billing.allocate.invoice", "wizard_id", string="Open Invoices")

    @api.model
    def _open(self, entry):
        entry._billing_check_staff()
        lines = entry._billing_open_terms().filtered(lambda line: line.balance < 0)
        if entry.state != "posted" or not lines:
            raise UserError(
                self.env._(
                    "Nothing of %s is left to allocate.", entry.display_name or self.env._("a payment without an entry")
                )
            )
        rows = []
        for move, terms in entry._billing_counterparts().items():
            term = terms.sorted(lambda line: (line.date_maturity or line.date, line.id))[0]
            if move.is_sale_document(include_receipts=True) and not move._billing_why_not("paid"):
                rows.append((term.date_maturity or move.invoice_date, move, term._billing_worth(lines)))
        wizard = self.create(
            {
                "entry_id": entry.id,
                "invoice_ids": [
                    Command.create(
                        {"move_id": move.id, "date_due": due, "balance": move.amount_residual, "worth": worth}
                    )
                    for due, move, worth in sorted(rows, key=lambda row: (row[0], row[1].id))
                    if move.currency_id.compare_amounts(worth, 0) > 0
                ],
            }
        )
        return wizard._get_records_action(name=self.env._("Allocate %s", entry.display_name), target="new")

    def _lines(self):
        return self.entry_id._billing_open_terms().filtered(lambda line: line.balance < 0)

    @api.depends("entry_id")
    def _compute_name(self):
        for wizard in self:
            wizard.name = wizard.entry_id._billing_entry_reference()

    @api.depends("entry_id")
    def _compute_open_amount(self):
        for wizard in self:
            wizard.open_amount = -sum(wizard._lines().mapped("amount_residual_currency"))

    @api.depends("open_amount", "invoice_ids.amount")
    def _compute_stays_open(self):
        for wizard in self:
            wizard.stays_open = wizard.open_amount * (1 - wizard._used_by(wizard.invoice_ids))

    def _used_by(self, rows):
        """Which part of the whole credit these rows take: in a share, as each invoice has its own currency."""
        return sum(row.amount / row.worth for row in rows if row.worth)

    def action_allocate(self):
        """Allocate what was typed, all of it or nothing."""
        self.ensure_one()
        self.entry_id._billing_check_staff()
        chosen = self.invoice_ids._used()
        if not chosen:
            raise UserError(self.env._("Choose an invoice, and type how much is for it."))
        self._confirm_once()
        for row in chosen:
            row.move_id._billing_allocate(self._lines(), row.amount)
        return {"type": "ir.actions.act_window_close"}


class BillingAllocateInvoice(models.TransientModel):
    _name = "billing.allocate.invoice"
    _description = "Invoice to Allocate to"
    _inherit = ["billing.allocation.row"]

    wizard_id = fields.Many2one("billing.allocate", required=True, ondelete="cascade")
    move_id = fields.Many2one("account.move", string="Invoice", required=True, readonly=True, ondelete="cascade")
    currency_id = fields.Many2one(related="move_id.currency_id")
    date_due = fields.Date(string="Due", readonly=True)
    balance = fields.Monetary(readonly=True)
    worth = fields.Monetary(help="What the whole credit is worth on this invoice, in its currency.", readonly=True)

    def _rows_of_wizard(self):
        return self.wizard_id.invoice_ids

    def _suggested_amount(self, others):
        left = max(0, 1 - self.wizard_id._used_by(others))
        return min(self.balance, self.currency_id.round(self.worth * left))
