from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tools import format_date


class BillingVoid(models.TransientModel):
    """The void plan: everything that voiding an invoice touches, with a choice per charge, before anything happens."""

    _name = "billing.void"
    _description = "Void an Invoice"

    move_id = fields.Many2one("account.move", string="Invoice", required=True, readonly=True)
    reason = fields.Char(help="For staff: the client does not see it.")
    line_ids = fields.One2many("billing.void.charge", "void_id", string="Charges")
    plan = fields.Html(compute="_compute_plan", sanitize=False)

    @api.model
    def _open(self, move):
        move._billing_check_staff()
        move._billing_check_move("void")
        wizard = self.create(
            {
                "move_id": move.id,
                "line_ids": [Command.create({"charge_id": charge.id}) for charge in move.billing_charge_ids],
            }
        )
        return wizard._get_records_action(name=self.env._("Void %s", move.name), target="new")

    @api.depends("move_id")
    def _compute_plan(self):
        for wizard in self:
            move = wizard.move_id
            date = move._billing_void_entry_date()
            wizard.plan = self.env["ir.qweb"]._render(
                "invoice_portal.void_plan",
                {
                    "move": move,
                    "allocations": move._billing_allocations(),
                    "begun": move._billing_transactions_begun_sudo(),
                    "date": format_date(self.env, date),
                    "postponed": date > max(fields.Date.context_today(wizard), move.date),
                },
            )

    def action_void(self):
        self.ensure_one()
        if not (self.reason or "").strip():
            raise UserError(self.env._("Say why %s is voided.", self.move_id.display_name))
        discard = self.line_ids.filtered(lambda line: not line.bill_again).charge_id
        self.move_id._billing_void(self.reason, discard)
        return {"type": "ir.actions.act_window_close"}


class BillingVoidCharge(models.TransientModel):
    _name = "billing.void.charge"
    _description = "Charge of an Invoice to Void"

    void_id = fields.Many2one("billing.void", required=True, ondelete="cascade")
    charge_id = fields.Many2one("billing.charge", required=True, readonly=True, ondelete="cascade")
    name = fields.Text(related="charge_id.name")
    currency_id = fields.Many2one(related="charge_id.currency_id")
    amount = fields.Monetary(related="charge_id.amount_billed", string="Billed")
    bill_again = fields.Boolean(default=True, help="Open again; otherwise discarded, and not billed any more.")
