from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import SQL


class AccountMove(models.Model):
    """What was paid on an invoice, by what, and how that is changed."""

    _inherit = "account.move"

    billing_paid = fields.Monetary(
        string="Paid So Far",
        compute="_compute_billing_paid",
        help="By payments, credits and credit notes, in the currency of the invoice.",
    )

    @api.depends("amount_total", "billing_balance", "state", "move_type")
    def _compute_billing_paid(self):
        for move in self:
            sign = -1 if move.move_type == "out_refund" else 1
            move.billing_paid = sign * move.amount_total - move.billing_balance if move.state == "posted" else 0

    def _field_to_sql(self, alias, fname, query=None):
        if fname != "billing_paid":
            return super()._field_to_sql(alias, fname, query)

        def column(name):
            return self._field_to_sql(alias, name, query)

        return SQL(
            """CASE
                WHEN %(state)s != 'posted' THEN 0
                WHEN %(move_type)s = 'out_refund' THEN %(due)s - %(total)s
                ELSE %(total)s - %(due)s
            END""",
            state=column("state"),
            move_type=column("move_type"),
            total=column("amount_total"),
            due=column("amount_residual"),
        )

    # -- mark as paid -------------------------------------------------------------------------------------------------

    def _billing_check_payable(self):
        """Refuse, in one message, all of these that cannot be marked as paid."""
        if reasons := [reason for move in self if (reason := move._billing_why_not("paid"))]:
            raise UserError("\n".join(reasons))

    def _billing_hold(self):
        """Take these entries for this transaction: of two that do so at a time, one is refused by the database and
        tried again by Odoo, with what the other one did before its eyes.

        A lock alone would let the second one go on, and see what the first one saw.
        """
        if self:
            self._billing_wait_for_lock()
            self.env.cr.execute(SQL("UPDATE account_move SET write_date = write_date WHERE id IN %s", self._ids))

    def action_billing_pay(self):
        """Mark as paid: when, how much, by which way."""
        self._billing_check_staff()
        self._billing_check_payable()
        action = self.line_ids.action_register_payment({"default_billing_by_hand": True})
        view = self.env.ref("invoice_portal.account_payment_register_view_form")
        action["context"]["dont_redirect_to_payments"] = True
        return dict(action, name=self.env._("Mark as Paid"), views=[(view.id, "form")])

    # -- payments and credits -----------------------------------------------------------------------------------------

    def _billing_terms(self):
        """Its receivable items, the oldest due first."""
        return self.line_ids.filtered(lambda line: line.account_type == "asset_receivable").sorted(
            lambda line: (line.date_maturity or line.date, line.id)
        )

    def _billing_open_terms(self):
        return self._billing_terms().filtered(lambda line: not line.reconciled)

    def _get_billing_counterparts_domain(self):
        """What could be matched with this entry: open items of its client, company and account, in any currency."""
        self.ensure_one()
        terms = self._billing_terms()
        credit = sum(terms.mapped("balance")) < 0
        return [
            ("account_id", "in", terms.account_id.ids),
            ("company_id", "=", self.company_id.id),
            ("parent_state", "=", "posted"),
            ("partner_id.commercial_partner_id", "in", (terms.partner_id or self.partner_id).commercial_partner_id.ids),
            ("reconciled", "=", False),
            ("balance", ">" if credit else "<", 0),
        ]

    def _billing_counterparts(self):
        """The open items that could be matched, by entry."""
        if not self._billing_terms():
            return {}
        lines = self.env["account.move.line"].search(self._get_billing_counterparts_domain(), order="date, id")
        return lines.grouped("move_id")

    def _billing_allocate(self, credits, amount):
        """Settle this invoice with a typed amount of these open credits of the client.

        :param credits: journal items
        :param float amount: in the currency of the invoice
        """
        self.ensure_one()
        self._billing_check_staff()
        credits.check_access("read")
        self._billing_check_payable()
        (self | credits.move_id)._billing_hold()
        if self.currency_id.compare_amounts(amount, 0) <= 0:
            raise UserError(self.env._("Type how much of it is for %s: more than nothing.", self.display_name))
        if self.currency_id.compare_amounts(amount, self.amount_residual) > 0:
            raise UserError(
                self.env._(
                    "%(amount)s is more than the %(due)s that is due on %(invoice)s.",
                    amount=self.currency_id.format(amount),
                    due=self.currency_id.format(self.amount_residual),
                    invoice=self.display_name,
                )
            )
        self._billing_open_terms()._billing_settle(
            credits.filtered_domain(self._get_billing_counterparts_domain()), amount
        )
        self._billing_log(
            self.env._(
                "%(amount)s of %(credit)s was allocated to %(invoice)s.",
                amount=self.currency_id.format(amount),
                credit=", ".join(credits.move_id.mapped("display_name")),
                invoice=self.display_name,
            ),
            credits.move_id,
        )

    def _billing_release(self, partial):
        """Take an allocation back: the amount is due again, and credit of the client again."""
        self.ensure_one()
        self._billing_check_staff()
        terms = self._billing_terms()
        if not partial.exists() or not (partial.debit_move_id | partial.credit_move_id) & terms:
            raise UserError(self.env._("It is no longer allocated to %s.", self.display_name))
        other = (partial.debit_move_id | partial.credit_move_id).move_id - self
        (self | other)._billing_hold()
        if other.exchange_diff_partial_ids:
            raise UserError(
                self.env._("An exchange difference follows from a payment. Release the payment, and it goes with it.")
            )
        amount = partial.debit_amount_currency if partial.debit_move_id in terms else partial.credit_amount_currency
        partial.unlink()
        if other not in [counterpart.move_id for counterpart, _amount in self._billing_allocations()]:
            # Odoo keeps the payments that were meant for an invoice. This one no longer is.
            self.matched_payment_ids -= other.origin_payment_id
        self._billing_log(
            self.env._(
                "%(amount)s of %(credit)s was released from %(invoice)s.",
                amount=self.currency_id.format(amount),
                credit=other.display_name,
                invoice=self.display_name,
            ),
            other,
        )

    def _billing_log(self, text, others):
        for record in (self, *(move.origin_payment_id or move for move in others)):
            record.message_post(body=text)

    def action_billing_payments(self):
        """What was paid on it and by what, and what else of the client's could be allocated to it."""
        self.ensure_one()
        self._billing_check_staff()
        return self.env["billing.payments"]._open(self)

    def action_billing_allocate(self):
        """Allocate this credit note to invoices."""
        self.ensure_one()
        self._billing_check_staff()
        return self.env["billing.allocate"]._open(self)
