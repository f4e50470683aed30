from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import format_date


class BillingPaymentUndo(models.TransientModel):
    """Asks why a payment is taken back, and says what follows."""

    _name = "billing.payment.undo"
    _description = "Undo a Payment"

    payment_id = fields.Many2one("account.payment", required=True, readonly=True, ondelete="cascade")
    reason = fields.Char(help="For staff: the client does not see it.")
    plan = fields.Html(compute="_compute_plan", sanitize=False)

    @api.model
    def _open(self, payment):
        payment._billing_check_staff()
        if refusal := payment._billing_why_not_undo():
            raise UserError(refusal)
        wizard = self.create({"payment_id": payment.id})
        return wizard._get_records_action(name=self.env._("Undo %s", payment.display_name), target="new")

    @api.depends("payment_id")
    def _compute_plan(self):
        for wizard in self:
            payment = wizard.payment_id
            wizard.plan = self.env["ir.qweb"]._render(
                "invoice_portal.payment_undo_plan",
                {
                    "payment": payment,
                    "allocations": payment._billing_allocations(),
                    "reversed_on": payment._billing_reverses()
                    and format_date(self.env, payment.move_id._billing_void_entry_date()),
                },
            )

    def action_undo(self):
        self.ensure_one()
        self.payment_id._billing_undo(self.reason)
        return {"type": "ir.actions.act_window_close"}
