from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain

from odoo.addons.invoice_portal.tools.grant import granted

# What the open charges of an opportunity follow, and what of it only the charge for the opportunity as a whole does.
FOLLOWED = {
    "partner_id": {"partner_id"},
    "company_id": {"company_id"},
    "team_id": {"company_id"},
    "name": {"name"},
    "expected_revenue": {"price_unit"},
}
OF_THE_WHOLE = {"name", "price_unit"}


class CrmLead(models.Model):
    """An opportunity has products, and is billed by them; without any, by its expected revenue."""

    _inherit = "crm.lead"

    billing_product_ids = fields.One2many("crm.lead.product", "lead_id", string="Products", copy=True)
    billing_product_total = fields.Monetary(
        string="Sum of Products",
        currency_field="company_currency",
        compute="_compute_billing_product_total",
        help="Before taxes, in the currency of the company.",
    )
    billing_revenue_from_products = fields.Boolean(
        string="Expected revenue from products",
        help="The expected revenue follows the sum of the products, and is not typed.",
    )
    expected_revenue = fields.Monetary(compute="_compute_expected_revenue", store=True, readonly=False)
    billing_charge_ids = fields.One2many(
        "billing.charge", "lead_id", string="Charges", groups="invoice_portal.group_billing_user"
    )
    billing_invoice_ids = fields.Many2many(
        "account.move",
        string="Invoices",
        compute="_compute_billing_invoices",
        groups="invoice_portal.group_billing_user",
        help="Linked to this opportunity, or with a line that bills it.",
    )
    billing_invoice_count = fields.Integer(
        string="Invoices Made",
        compute="_compute_billing_invoices",
        groups="invoice_portal.group_billing_user",
    )
    billing_total = fields.Monetary(
        string="Billed",
        currency_field="company_currency",
        compute="_compute_billing_invoices",
        groups="invoice_portal.group_billing_user",
        help="Finalized invoices less credit notes, before taxes: drafts do not count, and a void invoice is zero.",
    )

    # -- products and expected revenue --------------------------------------------------------------------------------

    @api.depends("billing_product_ids.amount", "billing_product_ids.currency_id", "company_id")
    @api.depends_context("company")
    def _compute_billing_product_total(self):
        for lead in self:
            lead.billing_product_total = lead._billing_sum_products()

    @api.depends(
        "billing_revenue_from_products",
        "billing_product_ids.amount",
        "billing_product_ids.currency_id",
        "company_id",
    )
    def _compute_expected_revenue(self):
        for lead in self:
            driven = lead.billing_revenue_from_products
            lead.expected_revenue = lead._billing_sum_products() if driven else lead.expected_revenue

    def _billing_sum_products(self):
        """The sum of the products in the company's currency, at today's rate."""
        self.ensure_one()
        company, today = self._billing_company(), fields.Date.context_today(self)
        return sum(
            currency._convert(sum(lines.mapped("amount")), self.company_currency, company, today)
            for currency, lines in self.billing_product_ids.grouped("currency_id").items()
            if currency
        )

    def _billing_company(self):
        """The company that bills this opportunity."""
        return self.company_id or self.team_id.company_id or self.env.company

    def _billing_contact(self):
        """To whom and where the invoice goes: the client's own invoice address, else the contact of the opportunity."""
        self.ensure_one()
        return self.partner_id.browse(self.partner_id.address_get(["invoice"])["invoice"])

    # -- invoices -----------------------------------------------------------------------------------------------------

    @api.depends("billing_charge_ids.line_ids.move_id.state")
    @api.depends_context("uid", "company", "allowed_company_ids")
    def _compute_billing_invoices(self):
        moves = self.env["account.move"].search(
            Domain("billing_lead_id", "in", self.ids)
            | Domain("invoice_line_ids.billing_charge_id.lead_id", "in", self.ids)
        )
        for lead in self:
            mine = moves.filtered(
                lambda move, lead=lead: (
                    lead._origin in move.billing_lead_id | move.invoice_line_ids.billing_charge_id.lead_id
                )
            )
            lead.billing_invoice_ids = mine
            lead.billing_invoice_count = len(mine)
            lead.billing_total = sum(
                move.company_currency_id._convert(
                    move.amount_untaxed_signed, lead.company_currency, move.company_id, move.invoice_date or move.date
                )
                for move in mine
                if move.state == "posted"
            )

    # -- what is to bill ----------------------------------------------------------------------------------------------

    def _prepare_billing_charge(self):
        """Values that all charges of this opportunity share."""
        self.ensure_one()
        return {
            "origin": "opportunity",
            "lead_id": self.id,
            "company_id": self._billing_company().id,
            "partner_id": self.partner_id.commercial_partner_id.id,
        }

    def _prepare_billing_charge_whole(self):
        """Values of the one charge for an opportunity without products: its expected revenue."""
        return {
            **self._prepare_billing_charge(),
            "currency_id": self._billing_company().currency_id.id,
            "quantity": 1,
            "price_unit": self.expected_revenue,
            "name": self.name,
        }

    def _billing_whole_charges(self):
        return self.billing_charge_ids.filtered(lambda charge: not charge.lead_line_id)

    def _billing_whole_charge(self):
        """The charge that decides about the opportunity as a whole; see `crm.lead.product._billing_charge`."""
        return self._billing_whole_charges().sorted(lambda charge: (charge.discarded, -charge.id))[:1]

    def _billing_collect_charges(self, lines, whole=False):
        """The charges of these products, and of the opportunity as a whole; those that are missing are made.

        A charge that is open already, because its draft was deleted or its invoice voided, is taken and not made
        again. Of two who make the same one at once, the database refuses the second.
        """
        self.ensure_one()
        charges = self.env["billing.charge"]
        to_create = []
        for line in lines:
            charges |= line._billing_charge()
            if not line._billing_charge():
                to_create.append(line._prepare_billing_charge())
        if whole:
            charges |= self._billing_whole_charge()
            if not self._billing_whole_charge():
                to_create.append(self._prepare_billing_charge_whole())
        return charges | granted(charges).create(to_create).with_env(charges.env)

    # -- open charges follow ------------------------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        leads = super().create(vals_list)
        leads._billing_follow_products()
        return leads

    def write(self, vals):
        result = super().write(vals)
        if "expected_revenue" in vals:
            self._billing_follow_products()
        if changed := set().union(*(FOLLOWED.get(fname, ()) for fname in vals)):
            self._billing_sync(changed)
        return result

    def _billing_follow_products(self):
        """Whoever writes it (an import, a merge, a confirmed sales order): driven by products, it follows these."""
        self.env.add_to_compute(self._fields["expected_revenue"], self.filtered("billing_revenue_from_products"))

    def _billing_sync(self, changed):
        """Let open charges follow. Elevated: a salesperson sees no charges, but decides about the opportunity."""
        for lead in self.sudo():
            for charge in lead.billing_charge_ids.filtered(lambda charge: charge.state == "open"):
                follows = changed - OF_THE_WHOLE if charge.lead_line_id else changed
                asked = lead._prepare_billing_charge_whole()
                charge.write({fname: asked[fname] for fname in follows if asked[fname] or fname != "partner_id"})

    def _billing_withdraw_whole(self):
        """Products have come: the open charge for the opportunity as a whole would bill the same once more."""
        whole = self.sudo()._billing_whole_charges().filtered(lambda charge: charge.state == "open")
        whole._lead_withdraw(self.env._("The opportunity that this charge came from is billed by its products now."))

    def unlink(self):
        open_charges = self.sudo().billing_charge_ids.filtered(lambda charge: not charge.invoice_line_id)
        open_charges._lead_withdraw(self.env._("The opportunity that this charge came from was deleted."))
        return super().unlink()

    @api.ondelete(at_uninstall=False)
    def _unlink_except_billed(self):
        if billed := self.sudo().billing_charge_ids.filtered("invoice_line_id"):
            raise UserError(
                self.env._(
                    "“%(lead)s” is billed on %(invoice)s. Archive the opportunity instead of deleting it.",
                    lead=billed[0].lead_id.display_name,
                    invoice=billed[0].invoice_id._billing_label(),
                )
            )

    # -- merging ------------------------------------------------------------------------------------------------------

    def _merge_dependences(self, opportunities):
        result = super()._merge_dependences(opportunities)
        self._billing_take_over_sudo(opportunities)
        return result

    def _billing_take_over_sudo(self, others):
        """Products, charges and invoices go with the opportunity that survives.

        Elevated: who may merge opportunities need not see their invoices, and none may be left behind.
        """
        lead, others = self.sudo(), others.sudo()
        lead.env["account.move"].search([("billing_lead_id", "in", others.ids)]).billing_lead_id = lead
        charges = others.billing_charge_ids
        granted(others.billing_product_ids).write({"lead_id": lead.id})
        granted(charges.filtered("lead_line_id")).write({"lead_id": lead.id})
        lead._billing_take_over_whole(charges.filtered(lambda charge: not charge.lead_line_id))

    def _billing_take_over_whole(self, theirs):
        """One opportunity has one charge as a whole: the one that is billed, else the one of the survivor."""
        charges = self._billing_whole_charges() | theirs
        living = charges.filtered(lambda charge: not charge.discarded)
        billed = living.filtered("invoice_line_id")
        kept = (billed or (living if not self.billing_product_ids else living.browse()))[:1]
        merged = self.env._("The opportunity that this charge came from was merged into “%s”.", self.display_name)
        (living - billed - kept)._lead_withdraw(merged)
        # Two that are billed both stay on their invoices, which both are linked to the survivor.
        for charge in billed - kept:
            charge._message_log(body=merged)
        granted(billed - kept).write({"lead_id": False})
        granted((kept | charges.exists().filtered("lead_id")) & theirs).write({"lead_id": self.id})

    # -- buttons ------------------------------------------------------------------------------------------------------

    def action_billing_create_invoice(self):
        """Create Invoice: show what would be drafted and ask."""
        self.ensure_one()
        return self.env["billing.lead.draft"]._open(self)

    def action_billing_invoices(self):
        self.ensure_one()
        self.env["account.move"]._billing_check_staff()
        self.check_access("read")
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal.action_billing_invoices")
        return dict(
            action,
            domain=[("id", "in", self.billing_invoice_ids.ids)],
            context={
                "default_move_type": "out_invoice",
                "default_partner_id": self.partner_id.id,
                "default_billing_lead_id": self.id,
            },
        )
