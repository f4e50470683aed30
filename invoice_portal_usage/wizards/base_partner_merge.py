from odoo import api, models
from odoo.tools import SQL


class BasePartnerMergeAutomaticWizard(models.TransientModel):
    _inherit = "base.partner.merge.automatic.wizard"

    @api.model
    def _update_foreign_keys(self, src_partners, dst_partner):
        result = super()._update_foreign_keys(src_partners, dst_partner)
        # Usage has no foreign key by which Odoo would find it.
        self.env["billing.usage"].flush_model(["partner_id"])
        self.env.cr.execute(
            SQL(
                "UPDATE billing_usage SET partner_id = %s WHERE partner_id IN %s",
                dst_partner.commercial_partner_id.id,
                src_partners._ids or (None,),
            )
        )
        self.env["billing.usage"].invalidate_model(["partner_id"])
        return result
