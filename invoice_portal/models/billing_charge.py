from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import SQL

from ..tools.grant import is_granted
from .abstract_billable_values import SURCHARGE, TOO_MUCH

STATES = [
    ("open", "Open"),
    ("drafted", "On a draft"),
    ("invoiced", "Invoiced"),
    ("discarded", "Discarded"),
]

# What a person may say: all else is said by what makes the charge.
TYPED_ORIGINS = ("manual", "import")

ASKED_FIELDS = {
    "amount",
    "company_id",
    "currency_id",
    "date",
    "discount",
    "name",
    "origin",
    "partner_id",
    "period_end",
    "period_start",
    "price_unit",
    "product_id",
    "project_id",
    "quantity",
    "task_id",
    "tax_ids",
}


# The projects of a client are those that bill to it, and those that bill to nobody yet.
PROJECT_OF_CLIENT = """(partner_id and [
    '|', '|',
    ('billing_partner_id.commercial_partner_id', '=', partner_id),
    '&', ('billing_partner_id', '=', False), ('partner_id.commercial_partner_id', '=', partner_id),
    '&', ('billing_partner_id', '=', False), ('partner_id', '=', False),
] or [])"""
CASE_OF_PROJECT = """(project_id and [('project_id', '=', project_id)] or partner_id and [
    ('project_id', '!=', False),
    '|', '|',
    ('project_id.billing_partner_id.commercial_partner_id', '=', partner_id),
    '&', ('project_id.billing_partner_id', '=', False),
         ('project_id.partner_id.commercial_partner_id', '=', partner_id),
    '&', '&', ('project_id.billing_partner_id', '=', False), ('project_id.partner_id', '=', False),
         ('partner_id.commercial_partner_id', 'in', (False, partner_id)),
] or [('project_id', '!=', False)])"""


class BillingCharge(models.Model):
    """One thing to bill. It becomes at most one line on one living customer invoice."""

    _name = "billing.charge"
    _description = "Charge"
    _inherit = ["mail.thread", "mail.activity.mixin", "billing.state.order", "billing.billable.values"]
    _order = "date desc, id desc"
    _check_company_auto = True

    name = fields.Text(
        string="Description",
        compute="_compute_name",
        store=True,
        readonly=False,
        required=True,
        precompute=True,
        help="What the client reads on the invoice.",
    )
    company_id = fields.Many2one(
        "res.company",
        required=True,
        index=True,
        default=lambda self: self.env.company,
    )
    partner_id = fields.Many2one(
        "res.partner",
        string="Client",
        compute="_compute_partner_id",
        store=True,
        readonly=False,
        required=True,
        precompute=True,
        index=True,
        check_company=True,
        tracking=True,
        help="The company or person that is billed. A contact stands for the company it belongs to.",
    )
    project_id = fields.Many2one(
        "project.project",
        compute="_compute_project_id",
        store=True,
        readonly=False,
        precompute=True,
        index="btree_not_null",
        check_company=True,
        domain=PROJECT_OF_CLIENT,
    )
    task_id = fields.Many2one(
        "project.task",
        string="Case",
        index="btree_not_null",
        check_company=True,
        domain=CASE_OF_PROJECT,
        copy=False,
    )
    product_id = fields.Many2one("product.product", check_company=True, domain="[('sale_ok', '=', True)]")
    date = fields.Date(
        required=True,
        default=fields.Date.context_today,
        index=True,
        help="The day the work was done or the charge arose.",
    )
    period_start = fields.Date(string="From")
    period_end = fields.Date(string="Until", help="Last day of the period, included.")
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
        tracking=True,
        help="Zero means that nobody has named a price yet. To give something away, name its price and 100 % discount.",
    )
    discount = fields.Float(string="Discount (%)", digits="Discount")
    tax_ids = fields.Many2many(
        "account.tax",
        string="Taxes",
        compute="_compute_tax_ids",
        store=True,
        readonly=False,
        precompute=True,
        check_company=True,
        context={"active_test": False},
        domain="[('type_tax_use', '=', 'sale')]",
    )
    amount = fields.Monetary(
        compute="_compute_amount",
        store=True,
        precompute=True,
        help="Quantity × unit price − discount, rounded to the currency.",
    )
    origin = fields.Selection(
        [("manual", "Typed"), ("import", "Imported"), ("case", "Case"), ("subscription", "Subscription")],
        required=True,
        readonly=True,
        copy=False,
        default=lambda self: "import" if self.env.context.get("import_file") else "manual",
    )
    discarded = fields.Boolean(readonly=True, copy=False, tracking=True)
    invoice_line_id = fields.Many2one(
        "account.move.line",
        readonly=True,
        copy=False,
        ondelete="set null",
        check_company=True,
        help="The line that bills this charge now. Empty as long as it is open.",
    )
    invoice_id = fields.Many2one(related="invoice_line_id.move_id", string="Invoice")
    run_client_id = fields.Many2one(
        "billing.run.client",
        string="Planned In",
        readonly=True,
        copy=False,
        index="btree_not_null",
        ondelete="set null",
        help="The run that drafted this charge last, or is about to.",
    )
    line_ids = fields.One2many(
        "account.move.line",
        "billing_charge_id",
        string="All Lines",
        readonly=True,
        help="Every line ever made from this charge, those on cancelled and void invoices included.",
    )
    amount_billed = fields.Monetary(
        compute="_compute_amount_billed",
        help="What stands on the invoice, where a draft's line was edited.",
    )
    state = fields.Selection(STATES, compute="_compute_state", search="_search_state")

    # The list of what is still to bill stays small however long the history grows.
    _open_idx = models.Index("(partner_id, company_id) WHERE invoice_line_id IS NULL")
    _one_line = models.UniqueIndex(
        "(invoice_line_id) WHERE invoice_line_id IS NOT NULL",
        "This invoice line already bills another charge.",
    )
    _one_case = models.UniqueIndex(
        "(task_id) WHERE task_id IS NOT NULL AND discarded IS NOT TRUE",
        "This case already has a charge. Discard that one first, or leave the case empty here.",
    )
    _period = models.Constraint(
        "CHECK (period_end IS NULL OR period_start IS NULL OR period_end >= period_start)",
        "The period of a charge ends before it starts.",
    )
    _discount = models.Constraint(
        f"CHECK (discount IS NULL OR discount BETWEEN -{SURCHARGE} AND 100)",
        "A discount cannot exceed 100 %, nor a surcharge 1000 %.",
    )
    _discarded_is_unbilled = models.Constraint(
        "CHECK (discarded IS NOT TRUE OR invoice_line_id IS NULL)",
        "A charge that stands on an invoice cannot be discarded.",
    )

    # -- what it asks for ---------------------------------------------------------------------------------------------

    @api.depends("product_id", "task_id")
    def _compute_name(self):
        for charge in self:
            if not charge.name:
                product = charge.product_id.with_context(lang=charge.partner_id.lang or self.env.lang)
                charge.name = charge.task_id.name or product.get_product_multiline_description_sale() or charge.name

    @api.depends("task_id")
    def _compute_project_id(self):
        for charge in self:
            if charge.task_id:
                charge.project_id = charge.task_id.project_id

    @api.depends("project_id", "task_id")
    def _compute_partner_id(self):
        for charge in self:
            if not charge.partner_id:
                client = charge.task_id._billing_client() if charge.task_id else charge.project_id._billing_client()
                charge.partner_id = client

    @api.onchange("partner_id")
    def _onchange_partner_id(self):
        """Project and case are the client's; a contact stands for its company from the start."""
        self.partner_id = self.partner_id.commercial_partner_id
        billed = self.project_id._billing_client()
        if self.partner_id and billed and billed != self.partner_id:
            self.project_id = self.task_id = False

    @api.onchange("project_id")
    def _onchange_project_id(self):
        if self.project_id and self.task_id.project_id != self.project_id:
            self.task_id = False

    @api.depends("project_id", "company_id")
    def _compute_currency_id(self):
        for charge in self:
            if not charge.currency_id or charge.project_id.billing_currency_id:
                charge.currency_id = charge.project_id.billing_currency_id or charge.company_id.currency_id

    @api.depends("product_id", "task_id", "currency_id")
    def _compute_price_unit(self):
        for charge in self:
            if charge.price_unit:
                continue
            if charge.task_id.billing_price:
                charge.price_unit = charge.task_id.billing_price
            elif charge.product_id and charge.currency_id:
                charge.price_unit = charge.product_id.currency_id._convert(
                    charge.product_id.with_company(charge.company_id).lst_price,
                    charge.currency_id,
                    charge.company_id,
                    charge.date or fields.Date.context_today(charge),
                    round=False,
                )

    @api.depends("product_id", "partner_id", "company_id")
    def _compute_tax_ids(self):
        for (company, partner), of_client in self.grouped(
            lambda charge: (charge.company_id, charge.partner_id)
        ).items():
            position = self.env["account.fiscal.position"].with_company(company)
            if partner:
                address = partner.browse(partner.address_get(["invoice"])["invoice"])
                position = position._get_fiscal_position(address)
            for taxes, charges in of_client.grouped(lambda charge: charge._taxes_before_mapping()).items():
                charges.tax_ids = position.map_tax(taxes)

    def _taxes_before_mapping(self):
        """The company's taxes, before the client's fiscal position."""
        self.ensure_one()
        if not self.product_id:
            return self.company_id.account_sale_tax_id
        return self.product_id.taxes_id._filter_taxes_by_company(self.company_id)

    @api.depends("quantity", "price_unit", "discount", "currency_id")
    def _compute_amount(self):
        for charge in self:
            amount = charge.quantity * charge.price_unit * (1 - charge.discount / 100)
            if abs(amount) >= TOO_MUCH:
                raise UserError(
                    self.env._(
                        "“%(charge)s” comes to more than can be billed: %(quantity)g × %(price)g. Check both numbers.",
                        charge=charge.display_name or self.env._("This charge"),
                        quantity=charge.quantity,
                        price=charge.price_unit,
                    )
                )
            charge.amount = (charge.currency_id or charge.company_id.currency_id).round(amount)

    # -- what became of it --------------------------------------------------------------------------------------------

    @api.depends(
        "invoice_line_id.quantity",
        "invoice_line_id.price_unit",
        "invoice_line_id.discount",
    )
    def _compute_amount_billed(self):
        for charge in self:
            line = charge.invoice_line_id
            charge.amount_billed = charge.currency_id.round(line.quantity * line.price_unit * (1 - line.discount / 100))

    @api.depends("discarded", "invoice_line_id.parent_state")
    def _compute_state(self):
        for charge in self:
            if charge.discarded:
                charge.state = "discarded"
            elif not charge.invoice_line_id:
                charge.state = "open"
            else:
                charge.state = "invoiced" if charge.invoice_line_id.parent_state == "posted" else "drafted"

    @api.model
    def _search_state(self, operator, value):
        if operator != "in":
            return NotImplemented
        return Domain.OR(
            {
                "open": Domain("invoice_line_id", "=", False) & Domain("discarded", "=", False),
                "drafted": Domain("invoice_line_id.parent_state", "!=", "posted")
                & Domain("invoice_line_id", "!=", False),
                "invoiced": Domain("invoice_line_id.parent_state", "=", "posted"),
                "discarded": Domain("discarded", "=", True),
            }.get(state, Domain.FALSE)
            for state in value
        )

    def _field_to_sql(self, alias, fname, query=None):
        if fname != "state":
            return super()._field_to_sql(alias, fname, query)
        line = self.env["account.move.line"]
        return SQL(
            """CASE
                WHEN %(discarded)s THEN 'discarded'
                WHEN %(line)s IS NULL THEN 'open'
                WHEN (SELECT %(line_state)s FROM account_move_line billed WHERE billed.id = %(line)s) = 'posted'
                    THEN 'invoiced'
                ELSE 'drafted'
            END""",
            discarded=self._field_to_sql(alias, "discarded", query),
            line=self._field_to_sql(alias, "invoice_line_id", query),
            line_state=line._field_to_sql("billed", "parent_state"),
        )

    @api.depends("name")
    def _compute_display_name(self):
        for charge in self:
            charge.display_name = (charge.name or "").partition("\n")[0]

    # -- create, write, delete ----------------------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        for vals in vals_list:
            if vals.keys() & {"invoice_line_id", "discarded", "run_client_id"}:
                raise UserError(self.env._("A charge starts open: it cannot be created as billed or discarded."))
            if vals.get("origin", "manual") not in TYPED_ORIGINS:
                self._refuse_named_origin()
        self._refuse_typed_amount(*vals_list)
        # Named, so that no default of a context says otherwise.
        start = {
            "invoice_line_id": False,
            "discarded": False,
            "run_client_id": False,
            "origin": "import" if self.env.context.get("import_file") else "manual",
        }
        charges = super().create([{**start, **self._bill_the_commercial_entity(vals)} for vals in vals_list])
        for charge in charges:
            # A client computed from the project may be a contact, too.
            if charge.partner_id != charge.partner_id.commercial_partner_id:
                charge.partner_id = charge.partner_id.commercial_partner_id
        # Whoever is billed is a client, and stands in the list of clients before the first invoice.
        charges.partner_id.filtered(lambda client: not client.customer_rank)._increase_rank("customer_rank")
        return charges

    def write(self, vals):
        if vals.keys() & {"invoice_line_id", "discarded", "run_client_id"} and not is_granted(self.env):
            raise UserError(
                self.env._(
                    "What became of a charge follows from its invoice; it cannot be set by hand. Use the buttons."
                )
            )
        if vals.keys() & self._billing_asked_fields() and not is_granted(self.env):
            if billed := self.filtered("invoice_line_id"):
                raise UserError(billed._why_not_editable())
        if "origin" in vals and any(charge.origin != vals["origin"] for charge in self):
            self._refuse_named_origin()
        self._refuse_other_case(vals)
        self._refuse_typed_amount(vals)
        result = super().write(self._bill_the_commercial_entity(vals))
        if "company_id" in vals:
            # Odoo asks before the write only: nobody gives a charge to a company where it is out of their sight.
            self.check_access("write")
        return result

    def _refuse_named_origin(self):
        """What a charge came from decides who may withdraw it, and when it is billed: only that itself says so."""
        if not (self.env.su or is_granted(self.env)):
            raise UserError(self.env._("What a charge came from is not typed in: it follows from who makes it."))

    def _refuse_typed_amount(self, *vals_list):
        if any("amount" in vals for vals in vals_list):
            raise UserError(
                self.env._("The amount of a charge follows from quantity, price and discount; it is not typed in.")
            )

    @api.model
    def _billing_asked_fields(self):
        """What a charge asks for. Fixed as soon as an invoice line was made from it: from then on the line speaks."""
        return ASKED_FIELDS

    def _bill_the_commercial_entity(self, vals):
        if not vals.get("partner_id"):
            return vals
        partner = self.env["res.partner"].browse(vals["partner_id"])
        return dict(vals, partner_id=partner.commercial_partner_id.id)

    def _why_not_editable(self):
        charge = self[0]
        if charge.state == "invoiced":
            return self.env._(
                "“%(charge)s” stands on %(invoice)s, which is finalized, and can no longer be edited. "
                "Void the invoice to correct it.",
                charge=charge.display_name,
                invoice=charge.invoice_id._billing_label(),
            )
        return self.env._(
            "“%(charge)s” stands on %(invoice)s. Edit the line there, or take it off the draft first.",
            charge=charge.display_name,
            invoice=charge.invoice_id._billing_label(),
        )

    def _refuse_other_case(self, vals):
        """A charge that a case made stays with it, or the case would be billed again."""
        if "task_id" in vals:
            for charge in self:
                if (charge.origin == "case" or charge.discarded) and charge.task_id.id != vals["task_id"]:
                    raise UserError(
                        self.env._(
                            "“%s” stays with the case it was made for. Discard it and type a new charge instead.",
                            charge.display_name,
                        )
                    )

    @api.ondelete(at_uninstall=False)
    def _unlink_only_if_never_billed(self):
        if billed := self.filtered("invoice_line_id"):
            raise UserError(billed._why_not_editable())
        if known := self.filtered(lambda charge: "posted" in charge.line_ids.mapped("parent_state")):
            raise UserError(
                self.env._(
                    "“%(charge)s” was billed on %(invoice)s, which is void now. It explains that invoice and is kept: "
                    "discard it instead of deleting it.",
                    charge=known[0].display_name,
                    invoice=known[0].line_ids.move_id.filtered(lambda move: move.state == "posted")[:1].display_name,
                )
            )

    # -- buttons ------------------------------------------------------------------------------------------------------

    def action_draft_invoice(self):
        """Invoice Selected Charges: show what would be drafted and ask."""
        return self.env["billing.draft"]._open(self)

    def action_discard(self):
        """These will not be billed."""
        self.check_access("write")
        if billed := self.filtered("invoice_line_id"):
            raise UserError(billed._why_not_editable())
        self._release(discard=True)

    def action_reopen(self):
        """Bill a discarded charge after all."""
        self.check_access("write")
        self.filtered("discarded")._release()

    def action_open_invoice(self):
        self.ensure_one()
        self.check_access("read")
        return self.invoice_id._get_records_action(name=self.env._("Invoice"))
