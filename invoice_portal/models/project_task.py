from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain

STATES = [
    ("none", "Not Billed Here"),
    ("sold", "Billed by Sales"),
    ("waiting", "Not Finished"),
    ("no_client", "No Client"),
    ("to_bill", "To Bill"),
    ("drafted", "On a Draft"),
    ("invoiced", "Invoiced"),
    ("paid", "Paid"),
    ("discarded", "Discarded"),
]
DONE = "1_done"
CANCELLED = "1_canceled"
# What an open charge follows when it changes on its case. Anything else on the charge is whoever edited it last.
FOLLOWED = {
    "name": {"name"},
    "billing_price": {"price_unit"},
    "billing_product_id": {"product_id"},
    "partner_id": {"partner_id"},
    "company_id": {"company_id", "currency_id"},
    "project_id": {"project_id", "partner_id", "company_id", "currency_id", "product_id"},
}
# A change of any of these can make a case billable, or not billable any more.
SYNC_FIELDS = FOLLOWED.keys() | {"state", "stage_id", "is_template"}


class ProjectTask(models.Model):
    """A case. Finished and with a price of its own, it becomes one charge."""

    _inherit = "project.task"

    billing_price = fields.Monetary(
        string="Price",
        currency_field="billing_currency_id",
        groups="base.group_user",
        tracking=True,
        help="What the client pays for this case. It becomes a charge once, when the case is done.",
    )
    billing_currency_id = fields.Many2one(
        "res.currency",
        compute="_compute_billing_currency_id",
        groups="base.group_user",
    )
    billing_product_id = fields.Many2one(
        "product.product",
        groups="base.group_user",
        check_company=True,
        domain="[('sale_ok', '=', True)]",
        help="Account and taxes of this case. Empty: the project's default product.",
    )
    billing_charge_ids = fields.One2many("billing.charge", "task_id", groups="invoice_portal.group_billing_user")
    billing_state = fields.Selection(
        STATES,
        string="Billing",
        compute="_compute_billing_state",
        search="_search_billing_state",
        compute_sudo=True,
        groups="base.group_user",
    )
    billing_invoice_id = fields.Many2one(
        "account.move",
        string="Billed On",
        compute="_compute_billing_state",
        compute_sudo=True,
        groups="invoice_portal.group_billing_user",
    )

    billing_charge_count = fields.Integer(
        compute="_compute_billing_charge_count", groups="invoice_portal.group_billing_user"
    )

    @api.depends("billing_charge_ids")
    def _compute_billing_charge_count(self):
        for task in self:
            task.billing_charge_count = len(task.billing_charge_ids)

    @api.depends("project_id.billing_currency_id", "company_id")
    def _compute_billing_currency_id(self):
        for task in self:
            company = task.company_id or task.project_id.company_id or self.env.company
            task.billing_currency_id = task.project_id.billing_currency_id or company.currency_id

    def _billing_client(self):
        """The commercial entity that this case is billed to."""
        self.ensure_one()
        # The project's word first: whom a case is for can be edited on shared projects, by the client itself.
        return self.project_id._billing_client() or self.partner_id.commercial_partner_id

    def _billing_is_sold(self):
        """Whether Odoo's own sales flow bills this case: then it is left to it."""
        self.ensure_one()
        return "sale_line_id" in self._fields and bool(self.sale_line_id)

    @api.depends(
        "state",
        "billing_price",
        "partner_id",
        "project_id.partner_id",
        "project_id.billing_partner_id",
        "billing_charge_ids.discarded",
        "billing_charge_ids.invoice_line_id.parent_state",
        "billing_charge_ids.invoice_line_id.move_id.payment_state",
    )
    def _compute_billing_state(self):
        for task in self:
            charge = task.billing_charge_ids.filtered(lambda charge: not charge.discarded)[:1]
            invoice = charge.invoice_id
            task.billing_invoice_id = invoice
            if charge.state == "invoiced":
                task.billing_state = "paid" if invoice.payment_state in ("paid", "in_payment") else "invoiced"
            elif charge:
                task.billing_state = "drafted" if charge.state == "drafted" else "to_bill"
            elif task._billing_is_sold():
                task.billing_state = "sold"
            elif task.billing_charge_ids:
                task.billing_state = "discarded"
            elif not task.billing_price or task.state == CANCELLED:
                task.billing_state = "none"
            elif task.state != DONE:
                task.billing_state = "waiting"
            else:
                task.billing_state = "no_client" if not task._billing_client() else "to_bill"

    @api.model
    def _billing_priced_domain(self):
        # Cases from before this addon have no value at all, which `!= 0` would let through.
        return Domain("billing_price", "!=", False) & Domain("billing_price", "!=", 0)

    @api.model
    def _search_billing_state(self, operator, value):
        if operator != "in":
            return NotImplemented
        charge = self.env["billing.charge"].sudo()

        def with_charge(*domain):
            return Domain(
                "id", "in", charge._search(Domain(domain) & Domain("task_id", "!=", False)).subselect("task_id")
            )

        paid = ("invoice_line_id.move_id.payment_state", "in", ("paid", "in_payment"))
        unpaid = ("invoice_line_id.move_id.payment_state", "not in", ("paid", "in_payment"))
        living = with_charge(("discarded", "=", False))
        sold = Domain("sale_line_id", "!=", False) if "sale_line_id" in self._fields else Domain.FALSE
        without = ~living & ~sold
        fresh = without & ~with_charge(("discarded", "=", True))
        priced = fresh & self._billing_priced_domain()
        nobody = (
            Domain("partner_id", "=", False)
            & Domain("project_id.partner_id", "=", False)
            & Domain("project_id.billing_partner_id", "=", False)
        )
        return Domain.OR(
            {
                "paid": with_charge(("state", "=", "invoiced"), paid),
                "invoiced": with_charge(("state", "=", "invoiced"), unpaid),
                "drafted": with_charge(("state", "=", "drafted")),
                "to_bill": with_charge(("state", "=", "open")) | (priced & Domain("state", "=", DONE) & ~nobody),
                "sold": ~living & sold,
                "discarded": without & with_charge(("discarded", "=", True)),
                "none": fresh & (~self._billing_priced_domain() | Domain("state", "=", CANCELLED)),
                "waiting": priced & Domain("state", "not in", (DONE, CANCELLED)),
                "no_client": priced & Domain("state", "=", DONE) & nobody,
            }.get(state, Domain.FALSE)
            for state in value
        )

    # -- a finished case becomes a charge, once -----------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        tasks = super().create(vals_list)
        tasks._billing_sync()
        return tasks

    def write(self, vals):
        if vals.keys() & {"billing_price", "billing_product_id"}:
            self._check_billing_editable(vals)
        result = super().write(vals)
        if vals.keys() & SYNC_FIELDS:
            self._billing_sync(set().union(*(FOLLOWED.get(fname, ()) for fname in vals)))
        return result

    @api.ondelete(at_uninstall=False)
    def _unlink_except_billed(self):
        for task in self.sudo():
            if task.billing_state in ("drafted", "invoiced", "paid"):
                raise UserError(
                    self.env._(
                        "“%(case)s” is billed on %(invoice)s and explains that invoice: archive it instead of "
                        "deleting it.",
                        case=task.display_name,
                        invoice=task.billing_invoice_id._billing_label(),
                    )
                )

    def _check_billing_editable(self, vals):
        for task in self:
            changes = ("billing_price" in vals and task.billing_price != vals["billing_price"]) or (
                "billing_product_id" in vals and task.billing_product_id.id != vals["billing_product_id"]
            )
            if changes and task.billing_state in ("drafted", "invoiced", "paid"):
                raise UserError(
                    self.env._(
                        "“%(case)s” is already billed on %(invoice)s: its price can no longer be changed here.",
                        case=task.display_name,
                        invoice=task.sudo().billing_invoice_id._billing_label(),
                    )
                )

    def _billing_sync(self, changed=frozenset()):
        """Make the open charges of these cases what the cases say. Safe to call any number of times.

        - finished, priced, with a client, not sold, never charged: a charge is made;
        - an open charge of a case that is no longer finished, or has no price any more, is withdrawn;
        - an open charge follows its case in the fields that `changed` there.

        What was billed or discarded is left alone: those were decisions.
        """
        to_create = []
        for task in self._billing_sync_sudo():
            billable = task._billing_is_billable()
            if not task.billing_charge_ids:
                if billable:
                    to_create.append(task._prepare_billing_charge())
            elif charge := task.billing_charge_ids.filtered(lambda c: c.state == "open" and c.origin == "case"):
                if not billable:
                    task._billing_withdraw(charge)
                elif changed and not self.env.user.share:
                    asked = task._prepare_billing_charge()
                    charge.write({fname: asked[fname] for fname in changed})
        self.env["billing.charge"].sudo().create(to_create)

    def _billing_sync_sudo(self):
        """The cases with a price or a charge, elevated.

        Whoever finishes a case makes its charge: an employee without billing rights, or the client where the project
        is shared. All that they can decide by it is that the case is done; price, product and whom to bill come from
        fields that the client can neither read nor write.
        """
        tasks = self.sudo().filtered("project_id")
        return tasks.filtered(lambda task: task.billing_price or task.billing_charge_ids)

    def _billing_is_billable(self):
        self.ensure_one()
        return bool(
            self.state == DONE
            and self.billing_price
            and self._billing_client()
            and not self.is_template
            and not self._billing_is_sold()
        )

    def _prepare_billing_charge(self):
        self.ensure_one()
        company = self.company_id or self.project_id.company_id or self._billing_client().company_id or self.env.company
        return {
            "origin": "case",
            "task_id": self.id,
            "project_id": self.project_id.id,
            "company_id": company.id,
            "partner_id": self._billing_client().id,
            "product_id": (self.billing_product_id or self.project_id.billing_product_id).id,
            "currency_id": self.billing_currency_id.id,
            "price_unit": self.billing_price,
            "name": self.name,
            "date": fields.Date.context_today(self, self.date_end)
            if self.date_end
            else fields.Date.context_today(self),
        }

    def _billing_withdraw(self, charge):
        charge.unlink()
        self._message_log(
            body=self.env._("The open charge for this case was withdrawn: the case is not finished, or has no price.")
        )

    # -- buttons ------------------------------------------------------------------------------------------------------

    def action_billing_charges(self):
        self.ensure_one()
        self.env["account.move"]._billing_check_staff()
        self.check_access("read")
        return self.billing_charge_ids._get_records_action(name=self.env._("Charges"))
