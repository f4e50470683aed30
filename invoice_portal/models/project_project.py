from odoo import api, fields, models
from odoo.exceptions import AccessError, ValidationError
from odoo.fields import Domain

# What open charges of the project's cases follow. A client that was missing makes finished cases billable.
FOLLOWED = {
    "billing_partner_id": {"partner_id"},
    "partner_id": {"partner_id"},
    "billing_currency_id": {"currency_id"},
    "billing_product_id": {"product_id"},
    "company_id": {"company_id", "currency_id"},
}


class ProjectProject(models.Model):
    _name = "project.project"
    _inherit = ["project.project", "billing.email.default"]

    billing_partner_id = fields.Many2one(
        "res.partner",
        string="Bill To",
        tracking=True,
        groups="base.group_user",
        check_company=True,
        help="Who pays for the cases of this project. Empty: the project's customer.",
    )
    billing_contact_id = fields.Many2one(
        "res.partner",
        tracking=True,
        groups="base.group_user",
        check_company=True,
        help="To whom and where invoices of this project go. Empty: the client's invoice address.",
    )
    billing_currency_id = fields.Many2one(
        "res.currency", groups="base.group_user", help="Empty: the currency of the company."
    )
    billing_product_id = fields.Many2one(
        "product.product",
        string="Default Product",
        groups="base.group_user",
        check_company=True,
        domain="[('sale_ok', '=', True)]",
        help="Account and taxes of cases that have no product of their own.",
    )
    billing_open_count = fields.Integer(
        string="Open Charges", compute="_compute_billing_open_count", groups="invoice_portal.group_billing_user"
    )

    def _billing_client(self):
        """The commercial entity that this project's charges are billed to."""
        return (self.billing_partner_id or self.partner_id).commercial_partner_id

    def _billing_contact(self):
        """The contact and address on this project's invoices, or nothing: the client's own invoice address."""
        self.ensure_one()
        return self.billing_contact_id

    @api.depends_context("company", "allowed_company_ids")
    def _compute_billing_open_count(self):
        counts = dict(
            self.env["billing.charge"]._read_group(
                [("project_id", "in", self.ids), ("state", "=", "open")], ["project_id"], ["__count"]
            )
        )
        for project in self:
            project.billing_open_count = counts.get(project._origin, 0)

    @api.constrains("billing_contact_id", "billing_partner_id", "partner_id")
    def _check_billing_contact(self):
        for project in self:
            contact, client = project.billing_contact_id, project._billing_client()
            if contact and client and contact.commercial_partner_id != client:
                raise ValidationError(
                    self.env._(
                        "%(contact)s does not belong to %(client)s, whom “%(project)s” is billed to.",
                        contact=contact.display_name,
                        client=client.display_name,
                        project=project.display_name,
                    )
                )

    def write(self, vals):
        self._check_billing_staff_writes(vals)
        result = super().write(vals)
        if changed := set().union(*(FOLLOWED.get(fname, ()) for fname in vals)):
            Task = self.env["project.task"]
            Task.search(Domain("project_id", "in", self.ids) & Task._billing_priced_domain())._billing_sync(changed)
        return result

    def _check_billing_staff_writes(self, vals):
        """Billing staff say whom a project is billed to. Everything else of it is the project managers'."""
        user = self.env.user
        if self.env.su or user.has_group("project.group_project_manager"):
            return
        if foreign := [fname for fname in vals if not fname.startswith("billing_")]:
            raise AccessError(
                self.env._(
                    "Billing staff may edit the Billing tab of a project only, not “%s”.",
                    self._fields[foreign[0]]._description_string(self.env)
                    if foreign[0] in self._fields
                    else foreign[0],
                )
            )

    def action_billing_draft(self):
        self.env["account.move"]._billing_check_staff()
        self.check_access("read")
        charges = self.env["billing.charge"].search([("project_id", "in", self.ids), ("state", "=", "open")])
        return self.env["billing.draft"]._open(charges)

    def action_billing_charges(self):
        self.ensure_one()
        self.env["account.move"]._billing_check_staff()
        self.check_access("read")
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal.action_billing_charges")
        return dict(
            action,
            domain=[("project_id", "=", self.id)],
            context={"search_default_open": 1, "default_project_id": self.id},
        )
