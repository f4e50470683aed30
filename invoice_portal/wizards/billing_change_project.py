from odoo import api, fields, models
from odoo.exceptions import UserError


class BillingChangeProject(models.TransientModel):
    """Says what changing the project of a draft does to what is attached, before it does it."""

    _name = "billing.change.project"
    _description = "Change the Project of an Invoice"

    move_id = fields.Many2one("account.move", string="Invoice", required=True, readonly=True, ondelete="cascade")
    company_id = fields.Many2one(related="move_id.company_id")
    project_id = fields.Many2one(
        "project.project",
        string="New Project",
        domain="['|', ('company_id', '=', False), ('company_id', '=', company_id)]",
    )
    plan = fields.Html(compute="_compute_plan", sanitize=False)

    @api.model
    def _open(self, move):
        move._billing_check_draft()
        wizard = self.create({"move_id": move.id})
        return wizard._get_records_action(name=self.env._("Change Project"), target="new")

    @api.depends("project_id", "move_id")
    def _compute_plan(self):
        for wizard in self:
            values = wizard.move_id._prepare_billing_project(wizard.project_id)
            wizard.plan = self.env["ir.qweb"]._render(
                "invoice_portal.change_project_plan",
                {
                    "move": wizard.move_id,
                    "project": wizard.project_id,
                    "lines": wizard.move_id._billing_lines_of_project(),
                    "partner": self.env["res.partner"].browse(values.get("partner_id")),
                },
            )

    def action_change(self):
        self.ensure_one()
        if not self.project_id:
            raise UserError(self.env._("Choose the new project."))
        self.move_id._billing_change_project(self.project_id)
        return {"type": "ir.actions.act_window_close"}
