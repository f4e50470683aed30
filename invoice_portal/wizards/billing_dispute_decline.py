from odoo import api, fields, models


class BillingDisputeDecline(models.TransientModel):
    """Why not?"""

    _name = "billing.dispute.decline"
    _description = "Decline an Objection"

    dispute_id = fields.Many2one("billing.dispute", string="Objection", required=True, readonly=True)
    currency_id = fields.Many2one(related="dispute_id.currency_id")
    amount = fields.Monetary(related="dispute_id.amount")
    kind = fields.Selection(related="dispute_id.kind")
    words = fields.Text(related="dispute_id.words")
    answer = fields.Text(string="Your Answer", help="The client reads it on its page and in a mail.")

    @api.model
    def _open(self, dispute):
        wizard = self.create({"dispute_id": dispute.id})
        return wizard._get_records_action(name=self.env._("Decline Objection"), target="new")

    def action_confirm(self):
        self.ensure_one()
        self.check_access("write")
        self.dispute_id._decline(self.answer)
        return {"type": "ir.actions.act_window_close"}
