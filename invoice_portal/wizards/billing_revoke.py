from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command

from ..models.account_move_status import SALE_TYPES


class BillingRevoke(models.TransientModel):
    """Asks before mailed links are revoked: to which invoices, and what that means."""

    _name = "billing.revoke"
    _description = "Revoke Mailed Links"

    move_ids = fields.Many2many("account.move", string="Invoices", readonly=True)
    summary = fields.Html(compute="_compute_summary", sanitize=False)
    count = fields.Integer(compute="_compute_summary")

    @api.model
    def _open(self, moves):
        moves._billing_check_staff()
        moves.check_access("write")
        wizard = self.create({"move_ids": [Command.set(moves.ids)]})
        return wizard._get_records_action(name=self.env._("Revoke Mailed Links"), target="new")

    def _concerned(self):
        """A draft's link opens nothing, and there are none to bills of vendors."""
        return self.move_ids.filtered(lambda move: move.move_type in SALE_TYPES and move.state == "posted")

    @api.depends("move_ids")
    def _compute_summary(self):
        for wizard in self:
            moves = wizard._concerned()
            wizard.count = len(moves)
            wizard.summary = self.env["ir.qweb"]._render(
                "invoice_portal.revoke_summary",
                {"moves": moves, "left_out": len(wizard.move_ids - moves), "limit": 100},
            )

    def action_confirm(self):
        self.ensure_one()
        self.move_ids._billing_check_staff()
        moves = self._concerned()
        if not moves:
            raise UserError(self.env._("There are no mailed links to any of these."))
        return moves.action_billing_revoke_links()
