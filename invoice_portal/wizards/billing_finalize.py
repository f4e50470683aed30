from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command


class BillingFinalize(models.TransientModel):
    """Asks before drafts are finalized and locked, and afterwards says which ones could not be, and why."""

    _name = "billing.finalize"
    _description = "Finalize and Lock Invoices"

    move_ids = fields.Many2many("account.move", string="Invoices", readonly=True)
    summary = fields.Html(compute="_compute_summary", sanitize=False)
    ready_count = fields.Integer(compute="_compute_summary")
    send = fields.Boolean(readonly=True, help="Send them afterwards, as their cycle says.")
    report = fields.Html(readonly=True, sanitize=False)

    @api.model
    def _open(self, moves, send=False):
        moves.check_access("write")
        wizard = self.create({"move_ids": [Command.set(moves.ids)], "send": send})
        return wizard._get_records_action(name=self.env._("Finalize & Lock"), target="new")

    @api.depends("move_ids", "send")
    def _compute_summary(self):
        for wizard in self:
            ready, left_out = wizard._sort_out()
            wizard.ready_count = len(ready)
            wizard.summary = self.env["ir.qweb"]._render(
                "invoice_portal.finalize_summary",
                {
                    "ready": ready,
                    "left_out": left_out,
                    "send": wizard.send,
                    "totals": {
                        currency: sum(moves.mapped("amount_total"))
                        for currency, moves in ready.grouped("currency_id").items()
                    },
                    "mailed": ready.filtered(
                        lambda move: (
                            move.move_type == "out_invoice"
                            and move._billing_wants_ready_mail()
                            and move._billing_addresses()["to"]
                        )
                    ),
                },
            )

    def _sort_out(self):
        reasons = {move: reason for move in self.move_ids if (reason := move._billing_why_not("finalized"))}
        return self.move_ids.filtered(lambda move: move not in reasons), list(reasons.values())

    def action_confirm(self):
        """Finalize all that can be: one that cannot does not hold up the others."""
        self.ensure_one()
        ready, left_out = self._sort_out()
        if not ready:
            raise UserError("\n".join(left_out) or self.env._("There is nothing to finalize."))
        failed = {}
        if len(ready) == 1:
            ready._billing_finalize()
        else:
            failed = self._finalize_each(ready)
        if self.send:
            ready.filtered(lambda move: move not in failed)._billing_queue_where_possible()
        if not failed:
            return {"type": "ir.actions.act_window_close"}
        self.report = self.env["ir.qweb"]._render(
            "invoice_portal.finalize_report", {"done": len(ready) - len(failed), "failed": failed}
        )
        return self._get_records_action(name=self.env._("Finalize & Lock"), target="new")

    def _finalize_each(self, moves):
        """Finalize these together or, where one cannot be, one by one; `{move: reason}` of those that could not."""
        failed = {}
        try:
            with self.env.cr.savepoint():
                moves._billing_finalize()
        except UserError:
            for move in moves:
                try:
                    with self.env.cr.savepoint():
                        move._billing_finalize()
                except UserError as error:
                    failed[move] = str(error)
        return failed
