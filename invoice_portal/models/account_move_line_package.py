from odoo import api, fields, models


class AccountMoveLine(models.Model):
    """A package chosen on an invoice line says what the line starts from."""

    _inherit = "account.move.line"

    billing_package_id = fields.Many2one(
        "billing.package",
        string="Package",
        check_company=True,
        index="btree_not_null",
        ondelete="restrict",
        groups="base.group_user",
        help="Fills product, description, quantity, price, taxes and period; all can be edited.",
    )

    @api.onchange("billing_package_id")
    def _onchange_billing_package_id(self):
        if self.billing_package_id and self.move_id.is_sale_document(include_receipts=True):
            # The product first: price and description follow from it, until the package's own are put in their place.
            values = self._billing_values_of_package(self.billing_package_id, self.move_id)
            self.product_id = values.pop("product_id")
            self.update(values)
            self.tax_ids = self._get_computed_taxes()

    @api.model
    def _billing_values_of_package(self, package, move):
        currency = move.currency_id or move.company_currency_id
        first = move.invoice_date or fields.Date.context_today(move)
        values = package._prepare_line(currency, move.company_id, first, move.partner_id.lang)
        for fname in ("period_start", "period_end"):
            values[f"billing_{fname}"] = values.pop(fname)
        return values

    @api.model_create_multi
    def create(self, vals_list):
        return super().create([self._billing_filled_from_package(vals) for vals in vals_list])

    def _billing_filled_from_package(self, vals):
        """A line that names its package only is what the package says."""
        move = self.env["account.move"].browse(vals.get("move_id"))
        if not vals.get("billing_package_id") or not move.is_sale_document(include_receipts=True):
            return vals
        package = self.env["billing.package"].browse(vals["billing_package_id"])
        return {**self._billing_values_of_package(package, move), **vals}

    def _get_computed_taxes(self):
        package = self.billing_package_id
        if not package.tax_ids or package.product_id != self.product_id:
            return super()._get_computed_taxes()
        taxes = package._taxes(self.move_id.company_id)
        return self.move_id.fiscal_position_id.map_tax(taxes) if self.move_id.fiscal_position_id else taxes
