from odoo import api, fields, models
from odoo.exceptions import AccessError

# Billing is agreed with the company, not with its contacts.
CLIENT_FIELDS = [
    "billing_blocked",
    "billing_blocked_reason",
    "billing_cycle_id",
    "billing_cycle_start",
    "billing_note",
    "billing_per_project",
    "billing_ready_mail",
    "billing_terms",
]


class ResPartner(models.Model):
    _name = "res.partner"
    _inherit = ["res.partner", "billing.email.default"]

    billing_blocked = fields.Boolean(
        string="Billing on hold",
        company_dependent=True,
        groups="base.group_user",
        help="Nothing is drafted for this client until the hold is taken off. Charges are still collected.",
    )
    billing_blocked_reason = fields.Char(string="Why on hold", company_dependent=True, groups="base.group_user")
    billing_per_project = fields.Boolean(
        string="One invoice per project",
        company_dependent=True,
        groups="base.group_user",
        help="Charges of different projects go on different invoices.",
    )
    billing_ready_mail = fields.Selection(
        [("yes", "Always"), ("no", "Never")],
        string="“Invoice ready for payment” mail",
        company_dependent=True,
        groups="base.group_user",
        help="Empty: as set for the company.",
    )
    billing_note = fields.Html(
        string="Notes on Invoices",
        company_dependent=True,
        groups="base.group_user",
        help="Put on each new invoice of this client. Empty: as set for the company.",
    )
    billing_terms = fields.Html(
        string="Terms on Invoices",
        company_dependent=True,
        groups="base.group_user",
        help="Put on each new invoice of this client, instead of the company's terms.",
    )
    billing_open_count = fields.Integer(
        string="Open Charges", compute="_compute_billing_open", groups="invoice_portal.group_billing_user"
    )
    billing_invoice_count = fields.Integer(
        string="Invoices Made", compute="_compute_billing_invoice_count", groups="invoice_portal.group_billing_user"
    )

    def _commercial_fields(self):
        return super()._commercial_fields() + CLIENT_FIELDS

    # -- who may agree on it ------------------------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        for vals in vals_list:
            self._billing_check_agreed(vals)
        return super().create(vals_list)

    def write(self, vals):
        self._billing_check_agreed(vals)
        return super().write(vals)

    def _billing_check_agreed(self, vals):
        """How a client is billed is agreed by billing staff. Others may edit contacts, and Odoo then hands down to
        them what holds for their company: that is no change."""
        if self.env.su or self.env.user.has_group("invoice_portal.group_billing_user"):
            return
        for fname in vals.keys() & self._billing_agreed_fields():
            given = self._billing_as_kept(fname, vals[fname])
            kept = {self._billing_as_kept(fname, one[fname]) for one in self.sudo() | self.sudo().commercial_partner_id}
            if given != self._billing_as_kept(fname, False) and not self or self and given not in kept:
                raise AccessError(self.env._("Only billing staff may change how a client is billed."))

    @api.model
    def _billing_agreed_fields(self):
        """What is agreed with a client, and not worked out."""
        return {
            fname
            for fname, field in self._fields.items()
            if fname.startswith("billing_") and (field.store or field.company_dependent) and not field.compute
        }

    def _billing_as_kept(self, fname, value):
        field = self._fields[fname]
        return field.convert_to_write(field.convert_to_record(field.convert_to_cache(value, self), self), self)

    def _billing_open_domain(self):
        return [("partner_id", "in", self.commercial_partner_id.ids), ("state", "=", "open")]

    @api.depends_context("company", "allowed_company_ids")
    def _compute_billing_open(self):
        counts = dict(self.env["billing.charge"]._read_group(self._billing_open_domain(), ["partner_id"], ["__count"]))
        for partner in self:
            partner.billing_open_count = counts.get(partner.commercial_partner_id, 0)

    @api.depends_context("company", "allowed_company_ids")
    def _compute_billing_invoice_count(self):
        counts = dict(
            self.env["account.move"]._read_group(
                [("commercial_partner_id", "in", self.commercial_partner_id.ids), ("move_type", "=", "out_invoice")],
                ["commercial_partner_id"],
                ["__count"],
            )
        )
        for partner in self:
            partner.billing_invoice_count = counts.get(partner.commercial_partner_id, 0)

    # -- buttons ------------------------------------------------------------------------------------------------------

    def _billing_check_staff(self):
        self.env["account.move"]._billing_check_staff()
        self.check_access("read")

    def action_billing_draft(self):
        """Draft an Invoice for everything that is open for these clients.

        Charges of the user's other companies are looked at, too, so that the dialog can say that they are left out.
        """
        self._billing_check_staff()
        companies = self.env.user.company_ids.ids
        charges = (
            self.env["billing.charge"].with_context(allowed_company_ids=companies).search(self._billing_open_domain())
        )
        return self.env["billing.draft"]._open(charges)

    def action_billing_charges(self):
        self.ensure_one()
        self._billing_check_staff()
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal.action_billing_charges")
        client = self.commercial_partner_id
        return dict(
            action,
            domain=[("partner_id", "=", client.id)],
            context={"search_default_open": 1, "default_partner_id": client.id},
        )

    def action_billing_invoices(self):
        self.ensure_one()
        self._billing_check_staff()
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal.action_billing_invoices")
        client = self.commercial_partner_id
        return dict(
            action,
            domain=[("commercial_partner_id", "=", client.id), ("move_type", "=", "out_invoice")],
            context={"default_move_type": "out_invoice", "default_partner_id": client.id},
        )
