from odoo import api, fields, models


class BillingAllocationRow(models.AbstractModel):
    """One row of a list of which some are used: ticked, and with how much, or typed."""

    _name = "billing.allocation.row"
    _description = "Row to Allocate"

    currency_id = fields.Many2one("res.currency")
    chosen = fields.Boolean(string="Use")
    amount = fields.Monetary(string="Allocate")

    def _suggested_amount(self, others):
        """How much is suggested where this row is ticked beside what the others take."""
        raise NotImplementedError

    def _rows_of_wizard(self):
        raise NotImplementedError

    def _used(self):
        """Those for which something was typed."""
        return self.filtered(lambda row: row.currency_id.compare_amounts(row.amount, 0) != 0)

    @api.onchange("chosen")
    def _onchange_chosen(self):
        if not self.chosen:
            self.amount = 0
        elif not self.amount:
            others = self._rows_of_wizard().filtered(lambda row: row._origin != self._origin)
            self.amount = max(0, self._suggested_amount(others))

    @api.onchange("amount")
    def _onchange_amount(self):
        self.chosen = bool(self.amount)
