from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command


class BillingUsageRelease(models.TransientModel):
    """Why does an invoice go out though usage is missing?"""

    _name = "billing.usage.release"
    _description = "Release Although Usage Is Missing"

    move_ids = fields.Many2many("account.move", string="Invoices", readonly=True)
    run_client_ids = fields.Many2many("billing.run.client", string="Clients of a Run", readonly=True)
    reasons = fields.Html(compute="_compute_reasons", sanitize=False)
    note = fields.Text(string="Why", help="For staff: it is kept with the invoice. The client does not see it.")

    @api.model
    def _open(self, moves, clients=None):
        moves.check_access("write")
        values = {"move_ids": [Command.set(moves.ids)]}
        if clients:
            values["run_client_ids"] = [Command.set(clients.ids)]
        wizard = self.create(values)
        if not wizard._holds():
            raise UserError(self.env._("No usage is missing: this can be finalized."))
        return wizard._get_records_action(name=self.env._("Release Although Usage Is Missing"), target="new")

    def _holds(self):
        """`[(whose or what, why it waits)]`"""
        bare = self.run_client_ids.filtered(lambda client: not client.move_ids)
        return [
            *((move._billing_label(), reason) for move, reason in self.move_ids._billing_usage_holds().items()),
            *((client.partner_id.display_name, reason) for client, reason in bare._usage_holds().items()),
        ]

    @api.depends("move_ids", "run_client_ids")
    def _compute_reasons(self):
        for wizard in self:
            wizard.reasons = self.env["ir.qweb"]._render(
                "invoice_portal_usage.release_reasons", {"holds": wizard._holds()}
            )

    def action_confirm(self):
        self.ensure_one()
        self.env["account.move"]._billing_check_staff()
        note = (self.note or "").strip()
        if not note:
            raise UserError(self.env._("Say why this goes out though usage is missing."))
        self.move_ids._billing_usage_release(note)
        if self.run_client_ids:
            self.run_client_ids._usage_release(note)
        return {"type": "ir.actions.act_window_close"}
