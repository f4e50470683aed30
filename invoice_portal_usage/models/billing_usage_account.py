from odoo import fields, models


class BillingUsageAccount(models.Model):
    """By what a source knows a client: a telephone number, an account, a key."""

    _name = "billing.usage.account"
    _description = "Number or Account of a Client"
    _order = "source_id, number, date_from desc, id"
    _rec_name = "key"
    _check_company_auto = True

    source_id = fields.Many2one("billing.usage.source", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="source_id.company_id", store=True, index=True)
    key = fields.Char(string="Number or Account", required=True, help="As the source writes it.")
    number = fields.Char(
        compute="_compute_number", store=True, precompute=True, help="As it is looked up: telephone numbers in digits."
    )
    partner_id = fields.Many2one(
        "res.partner", string="Client", required=True, index=True, check_company=True, ondelete="restrict"
    )
    subscription_id = fields.Many2one(
        "billing.subscription",
        index="btree_not_null",
        check_company=True,
        ondelete="restrict",
        domain="[('partner_id', '=', partner_id)]",
        help="Its package says what is included, and the rate plan.",
    )
    rate_plan_id = fields.Many2one(
        "billing.rate.plan",
        index="btree_not_null",
        check_company=True,
        ondelete="restrict",
        help="Empty: that of the package, else of the client, else of the source.",
    )
    date_from = fields.Date(string="From", help="Empty: from the beginning.")
    date_until = fields.Date(string="Until", help="The last day, included. Empty: until further notice.")

    _number_idx = models.Index("(source_id, number)")
    _dates = models.Constraint(
        "CHECK (date_until IS NULL OR date_from IS NULL OR date_until >= date_from)",
        "A number cannot be given back before it is handed out.",
    )

    def _compute_number(self):
        for account in self:
            account.number = account.key
