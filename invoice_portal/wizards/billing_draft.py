from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command

# Up to this many drafts are made while the user waits; more of them are a run in the background.
AT_ONCE = 20


class BillingDraft(models.TransientModel):
    """Asks before charges become drafts: per client how many and how much, and what is left out and why."""

    _name = "billing.draft"
    _description = "Draft Invoices From Charges"

    charge_ids = fields.Many2many("billing.charge", string="Charges", readonly=True)
    summary = fields.Html(compute="_compute_summary", sanitize=False)
    draft_count = fields.Integer(compute="_compute_summary")

    @api.model
    def _open(self, charges):
        charges.check_access("read")
        wizard = self.with_env(charges.env).create({"charge_ids": [Command.set(charges.ids)]}).with_env(self.env)
        return wizard._get_records_action(name=self.env._("Draft Invoices"), target="new")

    def _plan(self):
        """What would be drafted. Charges of the user's other companies are read, too, to be named as left out."""
        everywhere = self.with_context(allowed_company_ids=self.env.user.company_ids.ids)
        return everywhere.charge_ids._draft_plan(companies=self.env.companies)

    @api.depends("charge_ids")
    @api.depends_context("allowed_company_ids", "lang")
    def _compute_summary(self):
        for wizard in self:
            plan, left_out = wizard._plan()
            totals = {}
            for (_company, _client, currency, _project), charges in plan.items():
                totals[currency] = totals.get(currency, 0) + sum(charges.mapped("amount"))
            wizard.draft_count = len(plan)
            wizard.summary = self.env["ir.qweb"]._render(
                "invoice_portal.draft_summary",
                {
                    "plan": plan,
                    "left_out": left_out,
                    "totals": totals,
                    "limit": 100,
                    "in_background": len(plan) > AT_ONCE,
                },
            )

    def action_confirm(self):
        self.ensure_one()
        plan, left_out = self._plan()
        if not plan:
            raise UserError(
                self.env._("There is nothing to draft.")
                + "".join(f"\n• {reason}: {len(charges)}" for reason, charges in left_out.items())
            )
        if len(plan) > AT_ONCE:
            run = self.env["billing.run"]._start(plan)
            return run._get_records_action(name=self.env._("Billing Run"))
        drafts = self.env["account.move"].union(*self.env["account.move"]._billing_create_from_charges(plan).values())
        return drafts._billing_show_drafts()
