from odoo import api, fields, models


class AccountMoveLine(models.Model):
    """A client's credit as it came in, and where it went."""

    _inherit = "account.move.line"

    # What is open of all credits is little: without this, each question for one client's reads the entries of all.
    _billing_credit_idx = models.Index(
        "(partner_id) WHERE amount_residual_currency < 0 AND reconciled IS NOT TRUE AND parent_state = 'posted'"
    )

    billing_credit_amount = fields.Monetary(
        string="Came In",
        compute="_compute_billing_credit",
        currency_field="currency_id",
        groups="invoice_portal.group_billing_user",
    )
    billing_credit_open = fields.Monetary(
        string="Open",
        compute="_compute_billing_credit",
        currency_field="currency_id",
        groups="invoice_portal.group_billing_user",
    )
    billing_credit_origin = fields.Char(
        string="From", compute="_compute_billing_credit", groups="invoice_portal.group_billing_user"
    )
    billing_credit_spent_on = fields.Char(
        string="Spent On", compute="_compute_billing_credit", groups="invoice_portal.group_billing_user"
    )

    @api.depends("amount_currency", "amount_residual_currency", "matched_debit_ids", "move_id", "payment_id")
    def _compute_billing_credit(self):
        for line in self:
            line.billing_credit_amount = -line.amount_currency
            line.billing_credit_open = -line.amount_residual_currency
            line.billing_credit_origin = line._billing_credit_source()
            spent = [
                (partial.debit_move_id.move_id, partial.credit_amount_currency)
                for partial in line.matched_debit_ids.sorted(lambda partial: (partial.max_date, partial.id))
            ]
            line.billing_credit_spent_on = ", ".join(
                f"{move.display_name} ({line.currency_id.format(amount)})"
                for move, amount in spent
                if not move._billing_is_exchange()
            )

    def _billing_credit_source(self):
        """What brought this credit, in words."""
        move, payment = self.move_id, self.payment_id
        if payment:
            kind = self.env._("Payment")
        elif move.move_type == "out_refund":
            kind = (
                self.env._("Void") if move.reversed_entry_id.billing_void_move_id == move else self.env._("Credit note")
            )
        else:
            kind = self.env._("Entry")
        return " · ".join(filter(None, (kind, payment.memo if payment else self.ref or self.name)))

    def action_billing_origin(self):
        """Open what brought this credit."""
        self.ensure_one()
        self.env["account.move"]._billing_check_staff()
        self.check_access("read")
        record = self.payment_id or self.move_id
        return record._get_records_action(name=record.display_name)
