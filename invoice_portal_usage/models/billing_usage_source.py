from odoo import fields, models

from ..tools.units import UNITS

UNIT_NAMES = [
    ("second", "Seconds"),
    ("minute", "Minutes"),
    ("hour", "Hours"),
    ("mb", "MB"),
    ("gb", "GB"),
    ("piece", "Pieces"),
]
KINDS = [("phone", "Telephone numbers"), ("key", "Names or keys")]


class BillingUsageSource(models.Model):
    """Where usage comes from: a switch, a time sheet, a meter. It says how its records are to be read."""

    _name = "billing.usage.source"
    _description = "Usage Source"
    _inherit = ["mail.thread", "mail.activity.mixin"]
    _order = "name, id"
    _check_company_auto = True

    name = fields.Char(required=True, tracking=True)
    code = fields.Char(required=True, copy=False, tracking=True, help="By which the API names this source.")
    active = fields.Boolean(default=True)
    company_id = fields.Many2one("res.company", required=True, index=True, default=lambda self: self.env.company)
    kind = fields.Selection(
        KINDS,
        string="Destinations",
        required=True,
        default="phone",
        help="Telephone numbers are rated by the longest matching prefix, names and keys as they are.",
    )
    country_id = fields.Many2one(
        "res.country",
        default=lambda self: self.env.company.country_id,
        help="Numbers without a country's code are of this country.",
    )
    tz = fields.Char(
        string="Time Zone",
        required=True,
        default=lambda self: self.env.company.partner_id.tz or "UTC",
        help="Of moments that name no zone of their own.",
    )
    unit = fields.Selection(
        UNIT_NAMES,
        string="Quantities in",
        required=True,
        default="second",
        help="What a quantity counts where its record names no unit.",
    )
    rate_plan_id = fields.Many2one(
        "billing.rate.plan",
        check_company=True,
        index="btree_not_null",
        ondelete="restrict",
        help="For usage whose number, subscription and client name no plan of their own.",
    )
    account_ids = fields.One2many("billing.usage.account", "source_id", string="Numbers and Accounts")
    mapping = fields.Json(help="Which column of its files is what, as chosen last.")
    expected_hours = fields.Float(
        string="Delivers Every (Hours)",
        tracking=True,
        help="When nothing came for longer than this, its clients are not billed until somebody looks. Zero: it "
        "delivers when it likes.",
    )
    last_received = fields.Datetime(readonly=True, copy=False)

    _one_code = models.UniqueIndex("(company_id, code)", "Another source of this company has this code.")

    def _measure(self):
        return UNITS[self.unit].measure
