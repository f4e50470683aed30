from odoo import api, fields, models


class AccountMove(models.Model):
    """The invoice knows the opportunity it came from."""

    _inherit = "account.move"

    # Staff only: what an opportunity is called inside the house is not for its client to read.
    billing_lead_id = fields.Many2one(
        "crm.lead",
        string="Linked Opportunity",
        index="btree_not_null",
        copy=False,
        ondelete="set null",
        check_company=True,
        groups="base.group_user",
        domain="[('type', '=', 'opportunity'), ('company_id', 'in', (company_id, False))]",
        help="The opportunity this invoice was generated from.",
    )

    @api.model
    def _prepare_billing_invoice(self, key, charges):
        vals = super()._prepare_billing_invoice(key, charges)
        company, client = key[:2]
        lead = charges.lead_id
        if len(lead) != 1 or not all(charge.lead_id for charge in charges):
            return vals
        vals["billing_lead_id"] = lead.id
        lead = lead.sudo()
        if lead.user_id.active and company in lead.user_id.company_ids:
            vals["invoice_user_id"] = lead.user_id.id
        if lead.partner_id.commercial_partner_id == client and not charges.project_id:
            vals["partner_id"] = lead._billing_contact().id
        return vals

    @api.model
    def _billing_foreseen_invoice_fields(self):
        return super()._billing_foreseen_invoice_fields() | {"billing_lead_id", "invoice_user_id"}

    def _billing_lines_of_project(self):
        """What an opportunity sold is no project's, and stays where the project changes."""
        return super()._billing_lines_of_project().filtered(lambda line: not line.billing_charge_id.lead_id)

    def _reverse_moves(self, default_values_list=None, cancel=False):
        """What takes an invoice back belongs to the same opportunity."""
        values = default_values_list or [{} for _move in self]
        for move, vals in zip(self, values, strict=True):
            if lead := move.sudo().billing_lead_id:
                vals.setdefault("billing_lead_id", lead.id)
        return super()._reverse_moves(values, cancel=cancel)
