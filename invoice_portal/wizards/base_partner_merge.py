from odoo import models
from odoo.exceptions import UserError
from odoo.fields import Domain


class BasePartnerMergeAutomaticWizard(models.TransientModel):
    _inherit = "base.partner.merge.automatic.wizard"

    def _update_foreign_keys(self, src_partners, dst_partner):
        # Odoo moves everything to the other contact by SQL, past the lock of the invoices.
        on_locked = Domain("billing_locked", "=", True)
        for partner in src_partners:
            is_named = Domain.OR(
                Domain(fname, "=", partner.id)
                for fname in ("partner_id", "commercial_partner_id", "partner_shipping_id", "line_ids.partner_id")
            )
            if self.env["account.move"].sudo().search_count(on_locked & is_named, limit=1):
                raise UserError(
                    self.env._(
                        "“%s” stands on a finalized invoice, and a finalized invoice does not change its client. Merge "
                        "the other way round, into this contact. Where both stand on finalized invoices, archive the "
                        "one that is no longer used.",
                        partner.display_name,
                    )
                )
        return super()._update_foreign_keys(src_partners, dst_partner)
