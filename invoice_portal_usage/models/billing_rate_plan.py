from odoo import api, fields, models

from .billing_usage_source import UNIT_NAMES


class BillingRatePlan(models.Model):
    """What usage costs: rates by prefix or key, and prices that depend on how much is used."""

    _name = "billing.rate.plan"
    _description = "Rate Plan"
    _inherit = ["mail.thread"]
    _order = "name, id"
    _check_company_auto = True

    name = fields.Char(required=True, tracking=True)
    active = fields.Boolean(default=True)
    company_id = fields.Many2one("res.company", required=True, index=True, default=lambda self: self.env.company)
    currency_id = fields.Many2one(
        "res.currency", required=True, default=lambda self: self.env.company.currency_id, tracking=True
    )
    product_id = fields.Many2one(
        "product.product",
        required=True,
        check_company=True,
        domain="[('sale_ok', '=', True)]",
        help="Account and taxes of the invoice lines.",
    )
    unit = fields.Selection(
        UNIT_NAMES, string="Prices per", required=True, default="minute", tracking=True, help="What a price is for."
    )
    tz = fields.Char(
        string="Time Zone",
        required=True,
        default=lambda self: self.env.company.partner_id.tz or "UTC",
        help="In which peak hours are meant.",
    )
    peak_from = fields.Float(string="Peak from", default=8, help="In hours of the day.")
    peak_until = fields.Float(string="Peak until", default=18, help="In hours of the day; this moment is off-peak.")
    peak_weekend = fields.Boolean(string="Peak on weekends, too")
    destination_ids = fields.One2many("billing.rate.destination", "plan_id", string="Destination Groups")
    rate_ids = fields.One2many("billing.rate", "plan_id", string="Rates")
    revision = fields.Integer(
        readonly=True, default=1, copy=False, help="Goes up with each change: usage rated before is rated again."
    )

    _peak = models.Constraint(
        "CHECK (peak_from >= 0 AND peak_until <= 24 AND peak_from <= peak_until)", "Peak hours begin before they end."
    )

    @api.private
    def _touch(self):
        """Something of these plans changed: what is not billed yet is to be rated again."""
        if self:
            self.flush_recordset(["revision"])
            self.env.cr.execute("UPDATE billing_rate_plan SET revision = revision + 1 WHERE id IN %s", [self._ids])
            self.invalidate_recordset(["revision"])
