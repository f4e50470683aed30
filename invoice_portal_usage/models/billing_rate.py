from odoo import fields, models


class BillingRate(models.Model):
    """The price of what begins with a prefix, or has a key, from a day to a day.

    What was billed by a rate does not change with it, and the rate does not change under what was billed: it gets an
    end, and another rate follows.
    """

    _name = "billing.rate"
    _description = "Rate"
    _order = "plan_id, prefix, date_from desc, id"
    _rec_name = "prefix"

    plan_id = fields.Many2one("billing.rate.plan", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="plan_id.company_id", store=True)
    currency_id = fields.Many2one(related="plan_id.currency_id")
    prefix = fields.Char(
        string="Prefix or Key",
        required=True,
        default="",
        help="Of telephone numbers, in digits with the country's "
        "code. A star is for everything that nothing else fits.",
    )
    destination_id = fields.Many2one(
        "billing.rate.destination", required=True, index=True, ondelete="restrict", domain="[('plan_id', '=', plan_id)]"
    )
    price_unit = fields.Float(string="Price", digits=(16, 8), help="Per unit of the plan.")
    minimum = fields.Float(digits=(16, 6), help="At least so much is billed: in seconds, MB or pieces.")
    step = fields.Float(digits=(16, 6), help="Beyond the minimum, begun steps are billed whole. Zero: exactly.")
    connection_fee = fields.Float(digits=(16, 8), help="Once per use.")
    date_from = fields.Date(string="From", help="Empty: from the beginning.")
    date_until = fields.Date(string="Until", help="The last day, included. Empty: until further notice.")
    band = fields.Selection(
        [("any", "Always"), ("peak", "Peak"), ("off_peak", "Off-peak")], string="Hours", required=True, default="any"
    )
    billed = fields.Boolean(readonly=True, copy=False, help="Usage was billed by it.")

    _numbers = models.Constraint(
        "CHECK (price_unit BETWEEN 0 AND 1e9 AND minimum BETWEEN 0 AND 1e9 AND step BETWEEN 0 AND 1e9"
        " AND connection_fee BETWEEN 0 AND 1e9)",
        "Prices, fees, minimum and step are not negative, and numbers that can be billed.",
    )
    _dates = models.Constraint(
        "CHECK (date_until IS NULL OR date_from IS NULL OR date_until >= date_from)", "A rate ends after it begins."
    )
    _lookup_idx = models.Index("(plan_id, prefix)")
