from odoo import api, fields, models
from odoo.exceptions import UserError

from ..models.abstract_billable_values import TOO_MUCH


class BillingCreditWizard(models.AbstractModel):
    """What adding credit and giving it back ask alike."""

    _name = "billing.credit.wizard"
    _description = "Payment of Credit"
    _inherit = ["billing.confirm.once"]
    _payment_type = None

    partner_id = fields.Many2one("res.partner", string="Client", required=True, readonly=True)
    company_id = fields.Many2one("res.company", required=True, readonly=True, default=lambda self: self.env.company)
    currency_id = fields.Many2one("res.currency", required=True, default=lambda self: self.env.company.currency_id)
    amount = fields.Monetary()
    date = fields.Date(required=True, default=fields.Date.context_today)
    journal_id = fields.Many2one(
        "account.journal",
        required=True,
        compute="_compute_journal_id",
        store=True,
        readonly=False,
        precompute=True,
        domain="[('company_id', '=', company_id), ('type', 'in', ('bank', 'cash', 'credit'))]",
    )
    method_ids = fields.Many2many("account.payment.method.line", compute="_compute_method_ids")
    method_id = fields.Many2one(
        "account.payment.method.line",
        string="Paid By",
        required=True,
        compute="_compute_method_id",
        store=True,
        readonly=False,
        precompute=True,
        domain="[('id', 'in', method_ids)]",
    )
    reference = fields.Char(help="Of the bank or of the cheque, for example.")
    memo = fields.Char()

    @api.depends("company_id")
    def _compute_journal_id(self):
        for wizard in self:
            wizard.journal_id = self.env["account.journal"].search(
                [("company_id", "=", wizard.company_id.id), ("type", "in", ("bank", "cash", "credit"))], limit=1
            )

    @api.depends("journal_id")
    def _compute_method_ids(self):
        for wizard in self:
            wizard.method_ids = wizard.journal_id._get_available_payment_method_lines(self._payment_type).filtered(
                # A card is charged by its provider, not by typing that it was.
                lambda method: not method.payment_provider_id
            )

    @api.depends("journal_id")
    def _compute_method_id(self):
        for wizard in self:
            methods = wizard.method_ids._origin
            wizard.method_id = wizard.method_id if wizard.method_id in methods else methods[:1]

    @api.onchange("journal_id")
    def _onchange_journal_id(self):
        if self._payment_type == "inbound" and self.journal_id.currency_id:
            self.currency_id = self.journal_id.currency_id

    def _check_staff(self):
        self.check_access("write")
        self.partner_id._billing_check_staff()
        self.company_id.check_access("read")

    def _check_amount(self):
        if self.amount >= TOO_MUCH:
            raise UserError(self.env._("No payment is that large: look at the amount."))
        if not self.amount > 0 or self.currency_id.is_zero(self.amount):
            raise UserError(self.env._("Type an amount above zero."))

    def _amount_in_words(self):
        return self.currency_id.format(self.amount)

    def _prepare_payment(self):
        return {
            "payment_type": self._payment_type,
            "partner_type": "customer",
            "partner_id": self.partner_id.id,
            "company_id": self.company_id.id,
            "date": self.date,
            "amount": self.currency_id.round(self.amount),
            "currency_id": self.currency_id.id,
            "journal_id": self.journal_id.id,
            "payment_method_line_id": self.method_id.id,
            "payment_reference": self.reference,
            "memo": self.memo,
        }

    def _create_payment(self, **values):
        # Credit is what stands in the books: an entry is made also where payments have none until the statement comes.
        return (
            self.env["account.payment"]
            .with_company(self.company_id)
            .with_context(force_payment_move=True)
            .create({**self._prepare_payment(), **values})
        )

    def _done(self, payment, message):
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "success",
                "message": message,
                "next": {"type": "ir.actions.act_window_close"},
            },
        }
