from odoo import fields, models


class BillingUsageBill(models.Model):
    """Usage of a client's period that was billed together. Its charges are groups of it and add up to it."""

    _name = "billing.usage.bill"
    _description = "Billed Usage"
    _order = "period_start desc, id desc"
    _check_company_auto = True

    company_id = fields.Many2one("res.company", required=True, readonly=True, index=True)
    partner_id = fields.Many2one(
        "res.partner", string="Client", required=True, readonly=True, index=True, ondelete="restrict"
    )
    subscription_id = fields.Many2one(
        "billing.subscription", readonly=True, index="btree_not_null", ondelete="restrict", check_company=True
    )
    rate_plan_id = fields.Many2one("billing.rate.plan", required=True, readonly=True, ondelete="restrict")
    currency_id = fields.Many2one("res.currency", required=True, readonly=True)
    period_start = fields.Date(required=True, readonly=True)
    period_end = fields.Date(required=True, readonly=True, help="The last day of the rating period, included.")
    part = fields.Integer(required=True, readonly=True, help="Bills of one period are told apart by it.")
    day_from = fields.Date(readonly=True, help="The first day with usage on this bill.")
    day_until = fields.Date(readonly=True)
    late = fields.Boolean(readonly=True, help="Usage that came when its period was billed already.")
    grouping = fields.Selection(
        [("destination", "By destination"), ("day", "By day"), ("none", "In one line")], required=True, readonly=True
    )
    record_count = fields.Integer(string="Records", readonly=True)
    billed_quantity = fields.Float(digits=(16, 6), readonly=True)
    exact_amount = fields.Float(digits=(20, 6), readonly=True, help="The sum before rounding.")
    amount = fields.Monetary(readonly=True, help="The sum, rounded once.")
    minimum_amount = fields.Monetary(string="Up to the Minimum", readonly=True)
    charge_ids = fields.One2many("billing.charge", "usage_bill_id", string="Charges", readonly=True)
    total_ids = fields.One2many("billing.usage.total", "bill_id", string="Totals", readonly=True)
    archive_id = fields.Many2one(
        "ir.attachment", string="Archived Records", readonly=True, copy=False, help="When the records were put away."
    )

    _one_part = models.UniqueIndex(
        "(partner_id, company_id, rate_plan_id, COALESCE(subscription_id, 0), period_start, part)",
        "This usage is being billed by somebody else just now. Try again.",
    )


class BillingUsageTotal(models.Model):
    """What the records of a bill come to, by destination and day. They stay when the records are put away."""

    _name = "billing.usage.total"
    _description = "Total of Billed Usage"
    _order = "bill_id, day, id"
    _log_access = False

    bill_id = fields.Many2one("billing.usage.bill", required=True, readonly=True, index=True, ondelete="cascade")
    destination_id = fields.Many2one("billing.rate.destination", readonly=True, ondelete="restrict")
    destination_name = fields.Char(readonly=True, help="As it was called when it was billed.")
    day = fields.Date(readonly=True)
    record_count = fields.Integer(readonly=True)
    quantity = fields.Float(digits=(16, 6), readonly=True)
    billed_quantity = fields.Float(digits=(16, 6), readonly=True)
    allowance_quantity = fields.Float(digits=(16, 6), readonly=True)
    list_amount = fields.Float(digits=(20, 6), readonly=True)
    amount = fields.Float(digits=(20, 6), readonly=True)
