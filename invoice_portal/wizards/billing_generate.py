from odoo import api, fields, models
from odoo.exceptions import UserError


class BillingGenerate(models.TransientModel):
    """Shows what a client's next invoice holds, and drafts it on request."""

    _name = "billing.generate"
    _description = "Generate an Invoice"

    partner_id = fields.Many2one("res.partner", string="Client", required=True, readonly=True)
    draft = fields.Boolean(readonly=True)
    until = fields.Date(required=True, help="What recurs and is due by this day is billed, and all charges up to it.")
    # Stored: working it out writes and takes back, which a request that only reads may not.
    summary = fields.Html(compute="_compute_summary", store=True, sanitize=False)
    has_lines = fields.Boolean(compute="_compute_summary", store=True)

    @api.model
    def _open(self, client, draft):
        client.env["account.move"]._billing_check_staff()
        tomorrow = fields.Date.add(fields.Date.context_today(self), days=1)
        until = tomorrow if draft else client.billing_next_date or tomorrow
        wizard = self.create({"partner_id": client.id, "draft": draft, "until": until})
        name = self.env._("Generate Invoice") if draft else self.env._("Upcoming Invoice")
        return wizard._get_records_action(name=name, target="new")

    @api.depends("partner_id", "until")
    def _compute_summary(self):
        for wizard in self:
            upcoming, left_out = wizard.partner_id._billing_upcoming(wizard.until)
            wizard.has_lines = bool(upcoming)
            wizard.summary = self.env["ir.qweb"]._render(
                "invoice_portal.upcoming_summary",
                {"client": wizard.partner_id, "upcoming": upcoming, "left_out": left_out, "draft": wizard.draft},
            )

    def action_confirm(self):
        """Draft it."""
        self.ensure_one()
        client, company = self.partner_id, self.env.company
        client._billing_make_charges(company, self.until)
        charges = self.env["billing.charge"].search(client._get_billing_due_domain(company, self.until))
        plan, left_out = charges._draft_plan(companies=company)
        if not plan:
            raise UserError(
                self.env._("There is nothing to bill.")
                + "".join(f"\n• {reason}: {len(of)}" for reason, of in left_out.items())
            )
        moves = self.env["account.move"]
        return moves.union(*moves._billing_create_from_charges(plan).values())._billing_show_drafts()
