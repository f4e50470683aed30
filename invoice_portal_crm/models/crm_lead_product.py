from odoo import api, fields, models
from odoo.exceptions import UserError

from odoo.addons.invoice_portal.tools.grant import is_granted

STATES = [
    ("none", "Not Billed"),
    ("open", "To Bill"),
    ("drafted", "On a Draft"),
    ("invoiced", "Invoiced"),
    ("discarded", "Discarded"),
]
BILLED = ("drafted", "invoiced")

# What an open charge follows when it changes here. Anything else on the charge is whoever edited it last.
FOLLOWED = {
    "name": {"name"},
    "product_id": {"product_id"},
    "quantity": {"quantity"},
    "price_unit": {"price_unit"},
    "discount": {"discount"},
    "currency_id": {"currency_id"},
    "lead_id": {"lead_id", "partner_id", "company_id"},
}


class CrmLeadProduct(models.Model):
    """What is sold by an opportunity. It becomes one charge, when somebody bills the opportunity."""

    _name = "crm.lead.product"
    _description = "Product of an Opportunity"
    _order = "lead_id, sequence, id"
    _check_company_auto = True

    lead_id = fields.Many2one("crm.lead", string="Opportunity", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="lead_id.company_id")
    sequence = fields.Integer(default=10)
    product_id = fields.Many2one("product.product", check_company=True, domain="[('sale_ok', '=', True)]")
    name = fields.Text(
        string="Description",
        compute="_compute_name",
        store=True,
        readonly=False,
        required=True,
        precompute=True,
        help="What the client reads on the invoice.",
    )
    currency_id = fields.Many2one(
        "res.currency",
        compute="_compute_currency_id",
        store=True,
        readonly=False,
        required=True,
        precompute=True,
    )
    quantity = fields.Float(digits="Product Unit", default=1.0)
    price_unit = fields.Float(
        string="Unit Price",
        digits="Product Price",
        compute="_compute_price_unit",
        store=True,
        readonly=False,
        precompute=True,
    )
    discount = fields.Float(string="Discount (%)", digits="Discount")
    amount = fields.Monetary(
        compute="_compute_amount",
        store=True,
        precompute=True,
        help="Quantity × unit price − discount, rounded to the currency. Taxes come on the invoice.",
    )
    billing_charge_ids = fields.One2many("billing.charge", "lead_line_id", groups="invoice_portal.group_billing_user")
    billing_state = fields.Selection(
        STATES,
        string="Billing",
        compute="_compute_billing_state",
        compute_sudo=True,
    )

    _discount = models.Constraint(
        "CHECK (discount IS NULL OR discount <= 100)",
        "A discount cannot exceed 100 %.",
    )

    # -- what is sold -------------------------------------------------------------------------------------------------

    @api.depends("product_id")
    def _compute_name(self):
        for line in self:
            if line.product_id:
                lang = line.lead_id.partner_id.lang or line.lead_id.lang_code or self.env.lang
                line.name = line.product_id.with_context(lang=lang).get_product_multiline_description_sale()
            else:
                line.name = line.name

    @api.depends("lead_id")
    def _compute_currency_id(self):
        for line in self:
            if not line.currency_id:
                line.currency_id = line.lead_id.company_currency or self.env.company.currency_id

    # On the product alone: a change of company, or a merge, must not put the list price in place of an agreed one.
    @api.depends("product_id")
    def _compute_price_unit(self):
        for line in self:
            company = line.lead_id._billing_company()
            if line.product_id and line.currency_id:
                line.price_unit = line.product_id.currency_id._convert(
                    line.product_id.with_company(company).lst_price,
                    line.currency_id,
                    company,
                    fields.Date.context_today(line),
                    round=False,
                )
            else:
                line.price_unit = line.price_unit

    @api.depends("quantity", "price_unit", "discount", "currency_id")
    def _compute_amount(self):
        for line in self:
            amount = line.quantity * line.price_unit * (1 - line.discount / 100)
            line.amount = line.currency_id.round(amount) if line.currency_id else amount

    @api.depends("name")
    def _compute_display_name(self):
        for line in self:
            line.display_name = (line.name or "").partition("\n")[0]

    # -- what became of it --------------------------------------------------------------------------------------------

    @api.depends("billing_charge_ids.discarded", "billing_charge_ids.invoice_line_id.parent_state")
    def _compute_billing_state(self):
        for line in self:
            line.billing_state = line._billing_charge().state or "none"

    def _billing_charge(self):
        """The charge that decides about this product: the living one, else a discarded one, which was a decision."""
        self.ensure_one()
        charges = self._origin.billing_charge_ids.sorted(lambda charge: (charge.discarded, -charge.id))
        return charges[:1]

    def _prepare_billing_charge(self):
        self.ensure_one()
        return {
            **self.lead_id._prepare_billing_charge(),
            "lead_line_id": self.id,
            "product_id": self.product_id.id,
            "currency_id": self.currency_id.id,
            "quantity": self.quantity,
            "price_unit": self.price_unit,
            "discount": self.discount,
            "name": self.name,
        }

    # -- create, write, delete ----------------------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        lines = super().create(vals_list)
        lines._check_may_edit_lead()
        # From now on the products are billed, and no longer the opportunity as a whole.
        lines.lead_id._billing_withdraw_whole()
        return lines

    def write(self, vals):
        self._check_may_edit_lead()
        if not is_granted(self.env):
            for line in self.filtered(lambda line: line.billing_state in BILLED):
                if any(line._billing_would_change(fname, vals[fname]) for fname in vals.keys() & FOLLOWED.keys()):
                    raise UserError(line._why_not_editable())
        result = super().write(vals)
        if "lead_id" in vals:
            self._check_may_edit_lead()
            self.lead_id._billing_withdraw_whole()
        if changed := set().union(*(FOLLOWED.get(fname, ()) for fname in vals)):
            self._billing_sync(changed)
        return result

    def unlink(self):
        self._check_may_edit_lead()
        open_charges = self.sudo().billing_charge_ids.filtered(lambda charge: not charge.invoice_line_id)
        open_charges._lead_withdraw(
            self.env._("The product of the opportunity that this charge came from was removed.")
        )
        return super().unlink()

    @api.ondelete(at_uninstall=False)
    def _unlink_except_billed(self):
        if billed := self.filtered(lambda line: line.billing_state in BILLED):
            raise UserError(billed._why_not_editable())

    def _check_may_edit_lead(self):
        """The products are part of their opportunity: who may not edit the one may not edit the other."""
        self.lead_id.check_access("write")

    def _billing_would_change(self, fname, value):
        field = self._fields[fname]
        value = field.convert_to_record(field.convert_to_cache(value, self), self)
        return field.convert_to_write(value, self) != field.convert_to_write(self[fname], self)

    def _why_not_editable(self):
        line = self[0]
        charge = line.sudo()._billing_charge()
        if charge.state == "invoiced":
            return self.env._(
                "“%(product)s” is billed on %(invoice)s, which is finalized: it can no longer be changed or removed "
                "here. What comes on top is a product of its own; to correct the invoice, void it.",
                product=line.display_name,
                invoice=charge.invoice_id._billing_label(),
            )
        return self.env._(
            "“%(product)s” stands on %(invoice)s: it can no longer be changed or removed here. Edit the line on the "
            "draft, or delete the draft first.",
            product=line.display_name,
            invoice=charge.invoice_id._billing_label(),
        )

    def _billing_sync(self, changed):
        """Let open charges follow these products. Elevated: a salesperson sees no charges, but decides what is sold."""
        for line in self.sudo():
            charges = line.billing_charge_ids.filtered(lambda charge: charge.state == "open")
            if charges:
                asked = line._prepare_billing_charge()
                charges.write({fname: asked[fname] for fname in changed if asked[fname] or fname != "partner_id"})
