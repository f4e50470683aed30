from odoo import api, fields, models
from odoo.exceptions import ValidationError

from odoo.addons.invoice_portal.tools.grant import granted


class BillingCharge(models.Model):
    """A charge can come from an opportunity: from one of its products, or from the opportunity as a whole."""

    _inherit = "billing.charge"

    origin = fields.Selection(
        selection_add=[("opportunity", "Opportunity")],
        ondelete={"opportunity": "set default"},
    )
    lead_id = fields.Many2one(
        "crm.lead",
        string="Opportunity",
        readonly=True,
        copy=False,
        index="btree_not_null",
        ondelete="set null",
        check_company=True,
    )
    lead_line_id = fields.Many2one(
        "crm.lead.product",
        string="Product of the Opportunity",
        readonly=True,
        copy=False,
        index="btree_not_null",
        ondelete="set null",
        help="Empty on a charge for the opportunity as a whole.",
    )

    _one_lead_line = models.UniqueIndex(
        "(lead_line_id) WHERE lead_line_id IS NOT NULL AND discarded IS NOT TRUE",
        "This product of the opportunity already has a charge: somebody else billed it just now, or it was never "
        "discarded. Look at the opportunity's invoices.",
    )
    _one_lead = models.UniqueIndex(
        "(lead_id) WHERE lead_id IS NOT NULL AND lead_line_id IS NULL AND discarded IS NOT TRUE",
        "This opportunity already has a charge as a whole: somebody else billed it just now, or it was never "
        "discarded. Look at the opportunity's invoices.",
    )

    @api.constrains("lead_id", "lead_line_id")
    def _check_lead_line(self):
        for charge in self.sudo():
            if charge.lead_line_id and charge.lead_line_id.lead_id != charge.lead_id:
                raise ValidationError(
                    self.env._(
                        "“%(product)s” belongs to another opportunity than “%(lead)s”.",
                        product=charge.lead_line_id.display_name,
                        lead=charge.lead_id.display_name,
                    )
                )

    @api.model
    def _billing_asked_fields(self):
        # From which opportunity it came is part of what was asked: fixed as soon as it is billed.
        return super()._billing_asked_fields() | {"lead_id", "lead_line_id"}

    def _lead_withdraw(self, reason):
        """Take back unbilled charges whose product or opportunity is no longer there to be billed.

        What explains an invoice that is void by now, or a decision not to bill, is kept: discarded, and let go of by
        the opportunity, so that reopening it by hand never meets a newer charge.
        """
        kept = self.filtered(lambda charge: charge.discarded or "posted" in charge.line_ids.mapped("parent_state"))
        (self - kept).unlink()
        for charge in kept:
            charge._message_log(body=reason)
        kept._release(discard=True)
        granted(kept).write({"lead_id": False, "lead_line_id": False})
