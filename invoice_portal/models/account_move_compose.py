from markupsafe import Markup

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command

from ..tools.grant import granted
from .account_move_status import SALE_TYPES

# Tax, due and rounding lines follow from these.
TYPED_LINES = ("product", "line_section", "line_subsection", "line_note")


class AccountMove(models.Model):
    """Writing an invoice by hand: its project, the cases of that project, and what stands in its corner."""

    _inherit = "account.move"

    billing_expected_number = fields.Char(
        string="Expected Number",
        compute="_compute_billing_expected_number",
        groups="base.group_user",
        help="The number this draft would get if it were finalized now.",
    )
    billing_created = fields.Datetime(string="Created", compute="_compute_billing_created", groups="base.group_user")
    billing_has_project_lines = fields.Boolean(
        compute="_compute_billing_has_project_lines",
        # Bookkeepers open invoices, too, and may not read charges.
        compute_sudo=True,
        groups="base.group_user",
    )

    @api.model_create_multi
    def create(self, vals_list):
        # Odoo computes with the lines before it creates them.
        for vals in vals_list:
            self._refuse_absurd_lines(vals)
        return super().create(vals_list)

    @api.model
    def _refuse_absurd_lines(self, vals):
        if (vals.get("move_type") or self.env.context.get("default_move_type")) not in SALE_TYPES:
            return
        for fname in ("invoice_line_ids", "line_ids"):
            for command in vals.get(fname) or ():
                if command[0] == Command.CREATE:
                    self.env["account.move.line"]._refuse_absurd_numbers(command[2])

    @api.depends("name", "journal_id", "date", "state", "move_type")
    def _compute_billing_expected_number(self):
        for move in self:
            if move.name and move.name != "/":
                move.billing_expected_number = move.name
            elif move.state == "draft" and move.journal_id and move.date and move.is_sale_document(True):
                move.billing_expected_number = move._billing_next_number()
            else:
                move.billing_expected_number = False

    @api.depends("create_date")
    def _compute_billing_created(self):
        for move in self:
            move.billing_created = move.create_date or fields.Datetime.now()

    @api.depends("invoice_line_ids.billing_charge_id")
    def _compute_billing_has_project_lines(self):
        for move in self:
            move.billing_has_project_lines = bool(move._billing_lines_of_project())

    # -- the project --------------------------------------------------------------------------------------------------

    @api.onchange("billing_project_id")
    def _onchange_billing_project_id(self):
        """Choosing a project fills client, address and currency; terms and fiscal position follow from the client."""
        if self.billing_project_id and self.state == "draft" and self.is_sale_document(include_receipts=True):
            self.update(self._prepare_billing_project(self.billing_project_id))

    def _prepare_billing_project(self, project):
        """What an invoice takes over from its project. Empty where the project does not say."""
        client = project._billing_client()
        values = {}
        if client:
            contact = project._billing_contact() or client.browse(client.address_get(["invoice"])["invoice"])
            values["partner_id"] = contact.id
        if project.billing_currency_id:
            values["currency_id"] = project.billing_currency_id.id
        return values

    def action_billing_change_project(self):
        """Swap the project of a draft, after saying what happens to the cases on it."""
        self.ensure_one()
        self._billing_check_staff()
        return self.env["billing.change.project"]._open(self)

    def _billing_check_draft(self):
        """Only drafts are composed; anything else says what it is."""
        if self.billing_status != "draft":
            self._billing_check_move("finalized")

    def _billing_change_project(self, project):
        """Take what belongs to the old project's cases off the draft, and take over the new project's client."""
        self.ensure_one()
        if self.state != "draft":
            raise UserError(self.env._("Only a draft can change its project."))
        self.write({"invoice_line_ids": [Command.delete(line.id) for line in self._billing_lines_of_project()]})
        self.write({"billing_project_id": project.id, **self._prepare_billing_project(project)})

    def _billing_lines_of_project(self):
        """The lines that leave the draft with its project: they bill charges of its client."""
        return self.invoice_line_ids.filtered("billing_charge_id")

    # -- the cases ----------------------------------------------------------------------------------------------------

    def action_billing_cases(self):
        """List the cases of the project, to attach one or several."""
        self.ensure_one()
        self._billing_check_staff()
        return self.env["billing.cases"]._open(self)

    def _billing_attach_cases(self, cases):
        """Put each of these cases on the draft, as a charge of its own.

        A case with an open charge brings that one; any other is charged now, finished or not: attaching it is the
        decision to bill it. Without a price the line has no amount yet, and finalizing asks for one.
        """
        self.ensure_one()
        self.check_access("write")
        if self.state != "draft" or self.move_type != "out_invoice":
            raise UserError(self.env._("Cases can only be put on a draft customer invoice."))
        if foreign := cases.filtered(lambda case: case.project_id != self.billing_project_id):
            raise UserError(
                self.env._(
                    "“%(case)s” does not belong to %(project)s.",
                    case=foreign[0].display_name,
                    project=self.billing_project_id.display_name or self.env._("this invoice's project"),
                )
            )
        charges = self.env["billing.charge"]
        for case in cases:
            charge = case.billing_charge_ids.filtered(lambda charge: not charge.discarded)
            charges |= charge or granted(charge).create(self._prepare_billing_case_charge(case)).with_env(self.env)
        position = 10 + max(self.invoice_line_ids.mapped("sequence"), default=0)
        self.write(
            {
                "invoice_line_ids": [
                    Command.create(dict(charge._prepare_invoice_line(), sequence=position + 10 * index))
                    for index, charge in enumerate(charges)
                ]
            }
        )
        return charges

    def _prepare_billing_case_charge(self, case):
        """The charge of a case that is attached by hand: to this invoice's client, in its currency."""
        return dict(
            case._prepare_billing_charge(),
            # Somebody's decision where the case itself would not be billed yet: the case does not withdraw it.
            origin="case" if case._billing_is_billable() else "manual",
            company_id=self.company_id.id,
            partner_id=self.commercial_partner_id.id,
            currency_id=self.currency_id.id,
        )

    # -- duplicating --------------------------------------------------------------------------------------------------

    def copy_data(self, default=None):
        """A duplicate bills nothing again: lines that bill charges stay behind. A credit note takes all lines."""
        vals_list = super().copy_data(default)
        for move, vals in zip(self, vals_list, strict=True):
            if "line_ids" in (default or {}) or not move._billing_lines_not_copied(vals):
                continue
            lines = move._billing_lines_to_copy()
            vals["line_ids"] = [Command.create(line_vals) for line_vals in lines.sorted("id").copy_data()]
            if move.billing_discount_type == "fixed":
                # Agreed on for the whole, and possibly more than what is left.
                vals["billing_discount"] = 0
        return vals_list

    def _get_copy_message_content(self, default):
        content = super()._get_copy_message_content(default)
        left_out = self._billing_lines_not_copied(default)
        if not left_out or "line_ids" in default:
            return content
        return Markup("%s<br/>%s<ul>%s</ul>%s") % (
            content,
            self.env._("Left out, because these lines bill charges, and nothing is billed twice:"),
            Markup().join(Markup("<li>%s</li>") % (line.name or "").partition("\n")[0] for line in left_out),
            self.env._("The overall discount, a fixed amount, was left out with them.")
            if self.billing_discount and self.billing_discount_type == "fixed"
            else "",
        )

    def _billing_lines_not_copied(self, values):
        """The lines that a copy with these values leaves out."""
        self.ensure_one()
        if values.get("move_type", self.move_type) not in ("out_invoice", "out_receipt"):
            return self.line_ids.browse()
        return self.line_ids.filtered("billing_charge_id")

    def _billing_lines_to_copy(self):
        """Everything typed but what bills charges, and the headings that stood over nothing else."""
        typed = self.line_ids.filtered(
            lambda line: line.display_type in TYPED_LINES and not line.billing_overall_discount
        )
        kept = typed - typed.filtered("billing_charge_id")
        items = kept.filtered(lambda line: line.display_type == "product")
        left_out = typed - kept
        headings = [lines.parent_id | lines.parent_id.parent_id for lines in (left_out, items)]
        return kept - (headings[0] - headings[1]) if items else kept.browse()
