from odoo import fields, models

from .res_company import GROUPINGS


class ResPartner(models.Model):
    _inherit = "res.partner"

    billing_rate_plan_id = fields.Many2one(
        "billing.rate.plan",
        string="Rate Plan",
        company_dependent=True,
        groups="base.group_user",
        help="For usage that comes without a package of its own.",
    )
    billing_usage_grouping = fields.Selection(
        GROUPINGS,
        string="Usage on Invoices",
        company_dependent=True,
        groups="base.group_user",
        help="Empty: as set for the company.",
    )
    billing_usage_stopped = fields.Boolean(
        string="Usage Stopped",
        company_dependent=True,
        groups="base.group_user",
        help="A limit was reached that stops: for the systems that provide the service to read.",
    )
    billing_usage_account_ids = fields.One2many(
        "billing.usage.account", "partner_id", string="Numbers and Accounts", groups="base.group_user"
    )

    def _commercial_fields(self):
        return super()._commercial_fields() + [
            "billing_rate_plan_id",
            "billing_usage_grouping",
            "billing_usage_stopped",
        ]

    def write(self, vals):
        result = super().write(vals)
        if vals.keys() & {"billing_rate_plan_id", "tz"}:
            # Elevated to look and to rate: whoever edits a contact may not read what it used, and is not told.
            usage = self.env["billing.usage"].sudo()
            domain = [("partner_id", "in", self.ids), ("bill_id", "=", False)]
            for (company,) in usage._read_group(domain, ["company_id"]):
                usage.with_context(allowed_company_ids=company.ids)._rate_again(domain, everything=True)
        if "tz" in vals:
            # With its zone a client gets its numbers sooner or later, from somebody.
            self.sudo().billing_usage_account_ids._rate_what_follows(())
            # Who has no zone lives in the company's.
            for company in self.env["res.company"].sudo().search([("partner_id", "in", self.ids)]):
                usage.with_context(allowed_company_ids=company.ids)._rate_again(everything=True)
        return result
