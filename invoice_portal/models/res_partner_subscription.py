from odoo import api, fields, models


class ResPartner(models.Model):
    _inherit = "res.partner"

    billing_subscription_count = fields.Integer(
        string="Subscriptions",
        compute="_compute_billing_subscription_count",
        groups="invoice_portal.group_billing_user",
        help="Those that have not ended.",
    )

    @api.depends_context("company", "allowed_company_ids")
    def _compute_billing_subscription_count(self):
        counts = dict(
            self.env["billing.subscription"]._read_group(
                [("partner_id", "in", self.commercial_partner_id.ids), ("state", "!=", "ended")],
                ["partner_id"],
                ["__count"],
            )
        )
        for partner in self:
            partner.billing_subscription_count = counts.get(partner.commercial_partner_id, 0)

    def _billing_make_charges(self, company, until):
        result = super()._billing_make_charges(company, until)
        self.env["billing.subscription"].search(
            [("partner_id", "in", self.ids), ("company_id", "=", company.id)]
        )._make_charges(until)
        return result

    @api.model
    def _billing_recurring(self):
        return [*super()._billing_recurring(), "subscription"]

    def action_billing_subscriptions(self):
        self.ensure_one()
        self._billing_check_staff()
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal.action_billing_subscriptions")
        client = self.commercial_partner_id
        return dict(action, domain=[("partner_id", "=", client.id)], context={"default_partner_id": client.id})
