from odoo import fields, models


class BillingUsageLimit(models.Model):
    """How much a client means to spend on usage in a month, and what happens when it does."""

    _name = "billing.usage.limit"
    _description = "Spending Limit"
    _inherit = ["mail.thread"]
    _check_company_auto = True

    company_id = fields.Many2one("res.company", required=True, index=True, default=lambda self: self.env.company)
    partner_id = fields.Many2one(
        "res.partner", string="Client", required=True, index=True, check_company=True, ondelete="cascade"
    )
    currency_id = fields.Many2one("res.currency", required=True, default=lambda self: self.env.company.currency_id)
    amount = fields.Monetary(required=True, tracking=True, help="Per calendar month, before taxes.")
    by_client = fields.Boolean(readonly=True, help="The client set it on the portal.")
    user_id = fields.Many2one("res.users", string="Activity for", help="Who is to look when the limit is reached.")
    stops = fields.Boolean(
        string="Stop", tracking=True, help="Marks the client as stopped, for the systems that provide the service."
    )

    _one_limit = models.UniqueIndex(
        "(partner_id, company_id, currency_id, by_client)", "This client has such a limit already."
    )
    _amount = models.Constraint("CHECK (amount > 0 AND amount < 1e12)", "A limit is more than zero.")


class BillingUsageNotice(models.Model):
    """That a client was told how much is used: once per period and threshold."""

    _name = "billing.usage.notice"
    _description = "Notice about Usage"
    _order = "id desc"

    company_id = fields.Many2one("res.company", required=True, readonly=True, index=True)
    partner_id = fields.Many2one("res.partner", required=True, readonly=True, index=True, ondelete="cascade")
    limit_id = fields.Many2one("billing.usage.limit", readonly=True, index="btree_not_null", ondelete="cascade")
    subscription_id = fields.Many2one("billing.subscription", readonly=True, index="btree_not_null", ondelete="cascade")
    allowance_id = fields.Many2one(
        "billing.package.allowance", readonly=True, index="btree_not_null", ondelete="cascade"
    )
    period_start = fields.Date(required=True, readonly=True)
    percent = fields.Integer(required=True, readonly=True)

    _once = models.UniqueIndex(
        "(partner_id, COALESCE(limit_id, 0), COALESCE(subscription_id, 0), COALESCE(allowance_id, 0), period_start,"
        " percent)",
        "This was said already.",
    )
