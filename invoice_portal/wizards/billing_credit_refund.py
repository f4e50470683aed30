from odoo import api, fields, models
from odoo.exceptions import UserError


class BillingCreditRefund(models.TransientModel):
    """Credit goes back to the client: a payment out, matched with the credit that it gives back."""

    _name = "billing.credit.refund"
    _description = "Refund Credit"
    _inherit = ["billing.credit.wizard"]
    _payment_type = "outbound"

    currency_ids = fields.Many2many("res.currency", string="Currencies", compute="_compute_available")
    available = fields.Monetary(string="Credit Available", compute="_compute_available")
    amount = fields.Monetary(compute="_compute_amount", store=True, readonly=False)

    @api.model
    def _open(self, client):
        currencies = client._billing_credit_amounts().get(client, {})
        if not currencies:
            raise UserError(self.env._("%s has no credit to give back.", client.display_name))
        own = self.env.company.currency_id
        wizard = self.create(
            {"partner_id": client.id, "currency_id": (own if own in currencies else [*currencies][0]).id}
        )
        return wizard._get_records_action(name=self.env._("Refund Credit of %s", client.display_name), target="new")

    @api.depends("partner_id", "company_id", "currency_id")
    def _compute_available(self):
        for wizard in self:
            amounts = wizard.partner_id._billing_credit_amounts(wizard.company_id).get(wizard.partner_id, {})
            wizard.currency_ids = self.env["res.currency"].union(*amounts)
            wizard.available = amounts.get(wizard.currency_id, 0)

    @api.depends("available")
    def _compute_amount(self):
        for wizard in self:
            wizard.amount = wizard.available

    def _prepare_payment(self):
        return {**super()._prepare_payment(), "memo": self.memo or self.env._("Refund of credit")}

    def action_confirm(self):
        """Pay out, match, and hand out the receipt."""
        self.ensure_one()
        self._check_staff()
        self._check_amount()
        payments = self._refund()
        self.env["res.partner"]._billing_wake_credit()
        return payments.action_billing_receipt()

    def _refund(self):
        """One payment per receivable account that holds the credit, nearly always one."""
        Line = self.env["account.move.line"]
        domain = self.partner_id._get_billing_credit_domain(self.company_id)
        credits = Line.search(domain & fields.Domain("currency_id", "=", self.currency_id.id))
        credits = credits._billing_locked_in_order()
        left = self.currency_id.round(self.amount)
        available = -sum(credits.mapped("amount_residual_currency"))
        if self.currency_id.compare_amounts(left, available) > 0:
            raise UserError(
                self.env._(
                    "%(client)s has %(available)s to its credit: not more can be given back.",
                    client=self.partner_id.display_name,
                    available=self.currency_id.format(available),
                )
            )
        self._confirm_once()
        payments = self.env["account.payment"]
        for account, lines in credits.grouped("account_id").items():
            part = min(left, -sum(lines.mapped("amount_residual_currency")))
            if self.currency_id.compare_amounts(part, 0) <= 0:
                break
            payment = self._create_payment(amount=self.currency_id.round(part), destination_account_id=account.id)
            payment.action_post()
            paid = payment.move_id.line_ids.filtered(lambda line, account=account: line.account_id == account)
            for line in lines:
                if not paid.reconciled:
                    (paid | line).reconcile()
            payments |= payment
            left -= part
        return payments
