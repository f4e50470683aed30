from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Command

from .abstract_billable_values import SURCHARGE, TOO_MUCH, refuse_absurd_values

# What is typed on a line of a customer invoice, and what its amount follows from.
TYPED_NUMBERS = ("quantity", "price_unit", "discount")

# What stands on the document, or decides what stands there. Analytic distribution, tags and matching are the
# bookkeeper's own and stay open.
LOCKED_LINE_FIELDS = {
    "account_id",
    "amount_currency",
    "amount_residual",
    "amount_residual_currency",
    "balance",
    "billing_charge_id",
    "billing_overall_discount",
    "billing_package_id",
    "billing_period_end",
    "billing_period_start",
    "collapse_composition",
    "collapse_prices",
    "company_currency_id",
    "company_id",
    "credit",
    "currency_id",
    "currency_rate",
    "date",
    "date_maturity",
    "debit",
    "deductible_amount",
    "discount",
    "discount_amount_currency",
    "discount_balance",
    "discount_date",
    "display_type",
    "extra_tax_data",
    "group_tax_id",
    "invoice_date",
    "is_imported",
    "is_storno",
    "journal_id",
    "move_id",
    "move_name",
    "name",
    "parent_state",
    "partner_id",
    "payment_date",
    "price_subtotal",
    "price_total",
    "price_unit",
    "product_id",
    "product_uom_id",
    "quantity",
    "reconciled",
    "ref",
    "sequence",
    "tax_base_amount",
    "tax_group_id",
    "tax_ids",
    "tax_line_id",
    "tax_repartition_line_id",
    "tax_tag_ids",
}


class AccountMoveLine(models.Model):
    _inherit = "account.move.line"

    billing_charge_id = fields.Many2one(
        "billing.charge",
        string="Charge",
        copy=False,
        index="btree_not_null",
        ondelete="set null",
        groups="base.group_user",
        help="The charge this line was made from. It stays known after the invoice was cancelled or voided; which line "
        "bills the charge now, the charge says.",
    )
    billing_period_start = fields.Date(string="Period From")
    billing_period_end = fields.Date(string="Period Until")

    def _get_computed_taxes(self):
        return super()._get_computed_taxes() or self._billing_taxes_of_typed_line()

    def _billing_taxes_of_typed_line(self):
        """What somebody types freely in the form is taxed like a charge without product.

        Lines that code creates stay without taxes where it names none: their invoice is no record of a form.
        """
        nothing = self.env["account.tax"]
        if (
            self.move_id.id
            or self._origin
            or self.display_type != "product"
            or self.product_id
            or self.account_id.tax_ids
            or not self.move_id.is_sale_document(include_receipts=True)
        ):
            return nothing
        taxes = self.move_id.company_id.account_sale_tax_id
        return self.move_id.fiscal_position_id.map_tax(taxes) if self.move_id.fiscal_position_id else taxes

    @api.model_create_multi
    def create(self, vals_list):
        self.check_access("create")
        self._refuse_lines_on_locked_moves(vals_list)
        for vals in vals_list:
            if self.env["account.move"].browse(vals.get("move_id")).is_sale_document(include_receipts=True):
                self._refuse_absurd_numbers(vals)
        lines = super().create(vals_list)
        if from_charges := lines.filtered("billing_charge_id"):
            self.env["billing.charge"]._claim(from_charges)
        return lines

    def _refuse_lines_on_locked_moves(self, vals_list):
        moves = self.env["account.move"].browse({vals["move_id"] for vals in vals_list if vals.get("move_id")})
        if locked := moves.filtered("billing_locked"):
            raise UserError(locked._billing_locked_message())

    def write(self, vals):
        if touched := vals.keys() & LOCKED_LINE_FIELDS:
            for line in self.filtered("move_id.billing_locked"):
                if any(line._billing_would_change(vals, fname) for fname in touched):
                    raise UserError(line.move_id._billing_locked_message())
            if any(line.move_id.id != vals.get("move_id") for line in self):
                self._refuse_lines_on_locked_moves([vals])
        if "billing_charge_id" in vals and any(
            line.billing_charge_id.id != (vals["billing_charge_id"] or False) for line in self
        ):
            raise UserError(
                self.env._(
                    "A line bills the charge it was made from. Remove the line, and add one for the other charge."
                )
            )
        if "move_id" in vals and self.filtered(
            lambda line: line.billing_charge_id and line.move_id.id != vals["move_id"]
        ):
            raise UserError(self.env._("A line that bills a charge stays on its invoice. Remove it there first."))
        if vals.keys() & set(TYPED_NUMBERS) and any(
            move.is_sale_document(include_receipts=True) for move in self.move_id
        ):
            self._refuse_absurd_numbers(vals)
        return super().write(vals)

    @api.model
    def _refuse_absurd_numbers(self, vals):
        """Before Odoo computes with them: it could not even round what is no number."""
        refuse_absurd_values(self, {fname: vals[fname] for fname in TYPED_NUMBERS if fname in vals})

    @api.constrains(*TYPED_NUMBERS)
    def _check_billing_numbers(self):
        for line in self:
            if line.display_type != "product" or not line.move_id.is_sale_document(include_receipts=True):
                continue
            if not -SURCHARGE <= line.discount <= 100:
                raise ValidationError(
                    self.env._(
                        "“%(line)s”: a discount cannot exceed 100 %%, nor a surcharge 1000 %%, and this is "
                        "%(discount)g %%.",
                        line=(line.name or "").partition("\n")[0],
                        discount=line.discount,
                    )
                )
            if not abs(line.quantity * line.price_unit * (1 - line.discount / 100)) < TOO_MUCH:
                raise ValidationError(
                    self.env._(
                        "“%(line)s” comes to more than can be billed: %(quantity)g × %(price)g. Check both numbers.",
                        line=(line.name or "").partition("\n")[0],
                        quantity=line.quantity,
                        price=line.price_unit,
                    )
                )

    def _billing_would_change(self, vals, fname):
        # Odoo's comparison overlooks records that a command makes or edits on the way.
        if self._fields[fname].type == "many2many" and any(
            command[0] in (Command.CREATE, Command.UPDATE)
            for command in vals[fname] or ()
            if isinstance(command, list | tuple)
        ):
            return True
        return self.env["account.move"]._field_will_change(self, vals, fname)

    @api.ondelete(at_uninstall=False)
    def _unlink_except_locked(self):
        if locked := self.move_id.filtered("billing_locked"):
            raise UserError(locked._billing_locked_message())
