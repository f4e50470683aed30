from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command


class BillingCases(models.TransientModel):
    """All cases of an invoice's project: those billed already are shown as such, the others can be attached."""

    _name = "billing.cases"
    _description = "Attach Cases to an Invoice"

    move_id = fields.Many2one("account.move", string="Invoice", required=True, readonly=True, ondelete="cascade")
    project_id = fields.Many2one(related="move_id.billing_project_id")
    line_ids = fields.One2many("billing.cases.line", "cases_id", string="Cases")
    attachable_count = fields.Integer(compute="_compute_attachable_count")

    @api.depends("line_ids.attachable")
    def _compute_attachable_count(self):
        for wizard in self:
            wizard.attachable_count = len(wizard.line_ids.filtered("attachable"))

    @api.model
    def _open(self, move):
        if not move.billing_project_id:
            raise UserError(self.env._("Choose a project first: its cases are listed then."))
        move._billing_check_draft()
        cases = self.env["project.task"].search(
            [("project_id", "=", move.billing_project_id.id), ("is_template", "=", False)], order="date_end, id"
        )
        wizard = self.create({"move_id": move.id, "line_ids": [Command.create({"task_id": case.id}) for case in cases]})
        return wizard._get_records_action(
            name=self.env._("Cases of %s", move.billing_project_id.display_name), target="new"
        )

    def action_attach(self):
        self.ensure_one()
        chosen = self.line_ids.filtered("chosen")
        if not chosen:
            raise UserError(self.env._("No case is chosen."))
        if billed := chosen.filtered(lambda line: not line.attachable):
            raise UserError(
                self.env._(
                    "“%(case)s” is already billed on %(invoice)s. Nothing is billed twice.",
                    case=billed[0].task_id.display_name,
                    invoice=billed[0].invoice_id._billing_label()
                    if billed[0].invoice_id
                    else self.env._("its sales order"),
                )
            )
        self.move_id._billing_attach_cases(chosen.task_id)
        return {"type": "ir.actions.act_window_close"}


class BillingCasesLine(models.TransientModel):
    _name = "billing.cases.line"
    _description = "Case to Attach"

    cases_id = fields.Many2one("billing.cases", required=True, ondelete="cascade")
    task_id = fields.Many2one("project.task", string="Case", required=True, readonly=True, ondelete="cascade")
    chosen = fields.Boolean(string="Attach")
    attachable = fields.Boolean(compute="_compute_attachable")
    state = fields.Selection(related="task_id.state", string="Progress")
    billing_state = fields.Selection(related="task_id.billing_state", string="Billing")
    price = fields.Monetary(related="task_id.billing_price", currency_field="currency_id")
    currency_id = fields.Many2one(related="task_id.billing_currency_id")
    invoice_id = fields.Many2one(related="task_id.billing_invoice_id", string="Billed On")

    @api.depends("task_id")
    def _compute_attachable(self):
        for line in self:
            line.attachable = line.billing_state in ("none", "waiting", "no_client", "to_bill")
