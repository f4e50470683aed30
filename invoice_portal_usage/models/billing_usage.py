from odoo import fields, models

from ..tools.loose import LooseMany2one

UNRATED_REASONS = [
    ("account", "Nobody's number or account"),
    ("plan", "No rate plan"),
    ("measure", "The plan measures something else"),
    ("rate", "No rate fits"),
]


class BillingUsage(models.Model):
    """One use of something that is metered: a call, an hour, a gigabyte.

    Written by set-based SQL alone. Records whose client was billed for them lead to a bill, and never change again.
    """

    _name = "billing.usage"
    _description = "Usage"
    _order = "moment desc, id desc"
    _rec_name = "external_id"
    _log_access = False

    company_id = LooseMany2one("res.company", required=True, readonly=True)
    source_id = LooseMany2one("billing.usage.source", required=True, readonly=True)
    import_id = LooseMany2one("billing.usage.import", readonly=True, groups="base.group_user")
    external_id = fields.Char(
        string="External ID", required=True, readonly=True, help="The source's own, unique there."
    )
    account = fields.Char(
        string="Number or Account", readonly=True, help="As it is looked up: telephone numbers in digits."
    )
    account_id = LooseMany2one("billing.usage.account", readonly=True, groups="base.group_user")
    partner_id = LooseMany2one("res.partner", string="Client", readonly=True)
    subscription_id = LooseMany2one("billing.subscription", readonly=True)
    moment = fields.Datetime(required=True, readonly=True)
    day = fields.Date(readonly=True, help="The day of the moment where the client lives.")
    destination = fields.Char(readonly=True, help="What was called or used: telephone numbers in digits.")
    quantity = fields.Float(digits=(16, 6), readonly=True, help="In seconds, MB or pieces.")
    attributes = fields.Json(readonly=True)
    unrated_reason = fields.Selection(UNRATED_REASONS, readonly=True, help="Empty on what is rated.")
    rate_plan_id = LooseMany2one("billing.rate.plan", readonly=True, groups="base.group_user")
    plan_revision = fields.Integer(readonly=True, groups="base.group_user")
    rate_id = LooseMany2one("billing.rate", readonly=True, groups="base.group_user")
    destination_id = LooseMany2one("billing.rate.destination", string="Destination Group", readonly=True)
    billed_quantity = fields.Float(digits=(16, 6), readonly=True, help="After minimum and steps.")
    list_amount = fields.Float(
        digits=(20, 6), readonly=True, help="By the rate alone: without allowance and without tiers."
    )
    allowance_quantity = fields.Float(digits=(16, 6), readonly=True, help="Of the billed quantity, what was included.")
    amount = fields.Float(digits=(20, 6), readonly=True, help="Not rounded to the currency: a bill rounds once.")
    late = fields.Boolean(readonly=True, help="It came when its period was billed already.")
    bill_id = LooseMany2one("billing.usage.bill", readonly=True, groups="base.group_user")

    _one_external_id = models.UniqueIndex("(source_id, external_id)", "This record is known already.")
    # What is still to bill of a client is found however long its history grows; and so is what is the client's at all,
    # which its pages ask for.
    _client_idx = models.Index("(partner_id, bill_id, day) WHERE partner_id IS NOT NULL")
    _unrated_idx = models.Index("(company_id, unrated_reason) WHERE unrated_reason IS NOT NULL")
    _bill_idx = models.Index("(bill_id) WHERE bill_id IS NOT NULL")
    # An import's rows stand together: a few bytes say where.
    _import_idx = models.Index("USING brin (import_id)")
