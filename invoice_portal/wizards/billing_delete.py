from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command


class BillingDelete(models.TransientModel):
    """Asks before drafts are deleted: which, for whom and how much, and what is kept and why."""

    _name = "billing.delete"
    _description = "Delete Drafts"

    move_ids = fields.Many2many("account.move", string="Invoices", readonly=True)
    summary = fields.Html(compute="_compute_summary", sanitize=False)
    count = fields.Integer(compute="_compute_summary")

    @api.model
    def _open(self, moves):
        moves.check_access("unlink")
        wizard = self.create({"move_ids": [Command.set(moves.ids)]})
        return wizard._get_records_action(name=self.env._("Delete Drafts"), target="new")

    def _sort_out(self):
        reasons = {move: reason for move in self.move_ids if (reason := move._billing_why_not("deleted"))}
        return self.move_ids.filtered(lambda move: move not in reasons), list(reasons.values())

    @api.depends("move_ids")
    def _compute_summary(self):
        for wizard in self:
            drafts, left_out = wizard._sort_out()
            wizard.count = len(drafts)
            wizard.summary = self.env["ir.qweb"]._render(
                "invoice_portal.delete_summary",
                {
                    "drafts": drafts,
                    "left_out": left_out,
                    "limit": 100,
                    "totals": {
                        currency: sum(moves.mapped("amount_total"))
                        for currency, moves in drafts.grouped("currency_id").items()
                    },
                },
            )

    def action_confirm(self):
        self.ensure_one()
        drafts, left_out = self._sort_out()
        if not drafts:
            raise UserError("\n".join(left_out) or self.env._("There is nothing to delete."))
        drafts.action_billing_delete()
        return {"type": "ir.actions.act_window_close"}
