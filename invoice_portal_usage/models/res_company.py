from odoo import fields, models

GROUPINGS = [("destination", "By destination"), ("day", "By day"), ("none", "In one line")]
LATE_RULES = [("next", "On the next invoice, marked as late"), ("correction", "On a draft of its own, at once")]


class ResCompany(models.Model):
    _inherit = "res.company"

    billing_usage_grouping = fields.Selection(
        GROUPINGS,
        string="Usage on invoices",
        required=True,
        default="destination",
        help="Each client can have it otherwise.",
        groups="base.group_user",
    )
    billing_usage_late = fields.Selection(
        LATE_RULES,
        string="Usage that comes late",
        required=True,
        default="next",
        help="When its period is billed already.",
        groups="base.group_user",
    )
    billing_usage_keep_months = fields.Integer(
        string="Keep records for",
        help="In months after they were billed. Older ones are put away as compressed files; their totals stay. "
        "Zero: they are kept.",
        groups="base.group_user",
    )
