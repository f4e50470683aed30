from odoo import fields, models


class BillingCharge(models.Model):
    """A charge can be for a group of usage."""

    _inherit = "billing.charge"

    origin = fields.Selection(selection_add=[("usage", "Usage")], ondelete={"usage": "set default"})
    usage_bill_id = fields.Many2one(
        "billing.usage.bill",
        readonly=True,
        copy=False,
        index="btree_not_null",
        check_company=True,
        ondelete="restrict",
    )
    usage_group = fields.Char(
        readonly=True, copy=False, help="The destination group's id, the day, or what else this line of usage is."
    )
    usage_amount = fields.Monetary(
        readonly=True, copy=False, help="What the usage came to, whatever the charge was edited to."
    )

    _one_per_group = models.UniqueIndex(
        "(usage_bill_id, usage_group) WHERE usage_bill_id IS NOT NULL", "This usage is charged already."
    )
