from odoo import api, fields, models
from odoo.exceptions import UserError


class BillingCardCharge(models.TransientModel):
    """Asks before a saved card is charged for an invoice: which card, how much."""

    _name = "billing.card.charge"
    _description = "Charge a Card"
    _inherit = ["billing.confirm.once"]

    move_id = fields.Many2one("account.move", string="Invoice", required=True, readonly=True)
    currency_id = fields.Many2one(related="move_id.currency_id")
    due = fields.Monetary(string="Still due", related="move_id.amount_residual")
    contested = fields.Monetary(related="move_id.billing_contested")
    card_ids = fields.Many2many("payment.token", string="Cards", compute="_compute_card_ids")
    card_id = fields.Many2one("payment.token", domain="[('id', 'in', card_ids)]")
    provider_name = fields.Char(string="Charged through", compute="_compute_provider_name")
    amount = fields.Monetary()
    left = fields.Monetary(string="Due afterwards", compute="_compute_left")

    @api.model
    def _open(self, move):
        move._billing_check_staff()
        move._billing_check_move("paid")
        card = move.billing_card_id
        if not card:
            raise UserError(
                self.env._("%s has no saved card that can be charged for this.", move.partner_id.display_name)
            )
        if reason := move._billing_why_not_charge(move.amount_residual, move.currency_id):
            raise UserError(reason)
        # What is contested can be charged where somebody says so; it is not suggested.
        amount = move.amount_residual - move.billing_contested or move.amount_residual
        wizard = self.create({"move_id": move.id, "card_id": card.id, "amount": amount})
        return wizard._get_records_action(name=self.env._("Attempt Credit Card Payment"), target="new")

    @api.depends("move_id")
    def _compute_card_ids(self):
        for wizard in self:
            cards = wizard.move_id._billing_cards_sudo().get(wizard.move_id)
            wizard.card_ids = cards.sudo(False) if cards else False

    @api.depends("card_id")
    def _compute_provider_name(self):
        for wizard in self:
            # Elevated: providers are read by Odoo's administrator only; their names are no secret.
            wizard.provider_name = wizard.card_id.sudo().provider_id.name

    @api.depends("amount", "due")
    def _compute_left(self):
        for wizard in self:
            wizard.left = max(wizard.due - wizard.amount, 0)

    def action_charge(self):
        """Charge the card now."""
        self.ensure_one()
        move = self.move_id
        move._billing_check_staff()
        move.check_access("write")
        if self.card_id not in self.card_ids:
            raise UserError(self.env._("Choose one of the client's cards."))
        self._confirm_once()
        attempt = move._billing_charge_card_sudo(self.card_id, self.amount, "staff")
        return attempt._billing_outcome_notice()


class BillingCardResolve(models.TransientModel):
    """Somebody looked up at the provider's what became of a card payment."""

    _name = "billing.card.resolve"
    _description = "Outcome of a Card Payment"

    transaction_id = fields.Many2one("payment.transaction", string="Card payment", required=True, readonly=True)
    currency_id = fields.Many2one(related="transaction_id.currency_id")
    amount = fields.Monetary(related="transaction_id.amount")
    since = fields.Datetime(related="transaction_id.billing_doubt_since", string="In doubt since")
    why = fields.Text(related="transaction_id.billing_doubt_reason", string="Why")
    outcome = fields.Selection([("taken", "The money was taken"), ("not_taken", "The money was not taken")])
    proof = fields.Text()

    @api.model
    def _open(self, transaction):
        wizard = self.create({"transaction_id": transaction.id})
        return wizard._get_records_action(name=self.env._("What Became of It?"), target="new")

    def action_confirm(self):
        """Set the outcome."""
        self.ensure_one()
        self.env["account.move"]._billing_check_staff()
        if not self.outcome:
            raise UserError(self.env._("Say whether the money was taken."))
        self.transaction_id._billing_resolve(self.outcome == "taken", self.proof)
        return {"type": "ir.actions.act_window_close"}


class BillingCardAgreement(models.AbstractModel):
    """Records that a client agreed to have a card charged by itself: which one, and who says so."""

    _name = "billing.card.agreement"
    _description = "Agreement on a Card"
    _inherit = ["billing.confirm.once"]

    partner_id = fields.Many2one("res.partner", string="Client", required=True, readonly=True)
    card_ids = fields.Many2many("payment.token", string="Cards", compute="_compute_card_ids")
    card_id = fields.Many2one("payment.token", domain="[('id', 'in', card_ids)]")
    once_only = fields.Boolean(compute="_compute_once_only")
    consent = fields.Text()

    @api.model
    def _open(self, client):
        client._billing_check_staff()
        wizard = self.create({"partner_id": client.id})
        wizard.card_id = wizard._suggested_card()
        return wizard._get_records_action(name=wizard._title(), target="new")

    def _suggested_card(self):
        return self.card_ids[:1]

    def _title(self):
        raise NotImplementedError

    @api.depends("partner_id")
    def _compute_card_ids(self):
        for wizard in self:
            # Elevated to read tokens and their providers, of a client that the user may read.
            cards = (
                self.env["payment.token"]
                .sudo()
                .search(
                    [
                        ("partner_id", "child_of", wizard.partner_id.commercial_partner_id.ids),
                        ("company_id", "=", self.env.company.id),
                        ("provider_id.state", "in", ("enabled", "test")),
                    ]
                )
            )
            wizard.card_ids = cards.sudo(False)

    @api.depends("card_id")
    def _compute_once_only(self):
        for wizard in self:
            provider = wizard.card_id.sudo().provider_id
            wizard.once_only = bool(provider) and not provider._billing_repeats_safely()

    def _recorded_consent(self):
        """What was agreed, with who wrote it down. Refused without a card of the client's, or without a word."""
        self.ensure_one()
        self.partner_id._billing_check_staff()
        if not self.card_id or self.card_id not in self.card_ids:
            raise UserError(self.env._("Choose one of the client's cards."))
        if not (self.consent or "").strip():
            raise UserError(self.env._("Say who agreed to this, when and how: you may have to prove it."))
        self._confirm_once()
        return self.env._("%(consent)s (recorded by %(who)s)", consent=self.consent.strip(), who=self.env.user.name)


class BillingAutopay(models.TransientModel):
    """A card pays this client's invoices by itself, or no longer does."""

    _name = "billing.autopay"
    _description = "Automatic Payment"
    _inherit = ["billing.card.agreement"]

    now_card_id = fields.Many2one(related="partner_id.billing_autopay_card_id", string="Charged now")
    now_since = fields.Datetime(related="partner_id.billing_autopay_since", string="Since")
    now_consent = fields.Text(related="partner_id.billing_autopay_consent", string="Agreed")
    include_open = fields.Boolean(string="Also what is open now")
    open_count = fields.Integer(compute="_compute_open_count")

    def _title(self):
        return self.env._("Automatic Payment of %s", self.partner_id.display_name)

    @api.depends("partner_id")
    def _compute_open_count(self):
        for wizard in self:
            wizard.open_count = len(wizard._open_invoices())

    def _open_invoices(self):
        return self.env["account.move"].search(
            [
                ("commercial_partner_id", "=", self.partner_id.commercial_partner_id.id),
                ("company_id", "=", self.env.company.id),
                ("move_type", "=", "out_invoice"),
                ("state", "=", "posted"),
                ("payment_state", "in", ("not_paid", "partial")),
                ("amount_residual", ">", 0),
            ]
        )

    def action_agree(self):
        """From now on this card is charged."""
        self.partner_id._billing_agree_autopay(self.card_id, self._recorded_consent())
        if self.include_open:
            self._open_invoices()._billing_plan_autopay()
        return {"type": "ir.actions.act_window_close"}

    def action_end(self):
        """No card is charged by itself any more."""
        self.ensure_one()
        self.partner_id._billing_check_staff()
        self.partner_id._billing_end_autopay(self.env._("ended by %s", self.env.user.name))
        return {"type": "ir.actions.act_window_close"}


class BillingTopUp(models.TransientModel):
    """A card fills up this client's credit by itself, or no longer does."""

    _name = "billing.top.up"
    _description = "Automatic Top-Up"
    _inherit = ["billing.card.agreement"]

    currency_id = fields.Many2one("res.currency", default=lambda self: self.env.company.currency_id, readonly=True)
    now_card_id = fields.Many2one(related="partner_id.billing_top_up_card_id", string="Charged now")
    now_since = fields.Datetime(related="partner_id.billing_top_up_since", string="Since")
    now_consent = fields.Text(related="partner_id.billing_top_up_consent", string="Agreed")
    credit = fields.Char(related="partner_id.billing_credit", string="Credit now")
    below = fields.Monetary(string="When it falls below")
    amount = fields.Monetary(string="Add")

    def _title(self):
        return self.env._("Automatic Top-Up of %s", self.partner_id.display_name)

    def _suggested_card(self):
        """What is agreed now, to be changed."""
        client = self.partner_id
        self.below, self.amount = client.billing_top_up_below, client.billing_top_up_amount
        return client.billing_top_up_card_id or super()._suggested_card()

    def action_agree(self):
        """From now on this card fills up the credit."""
        self.partner_id._billing_agree_top_up(self.card_id, self.below, self.amount, self._recorded_consent())
        return {"type": "ir.actions.act_window_close"}

    def action_end(self):
        """No card fills up the credit any more."""
        self.ensure_one()
        self.partner_id._billing_check_staff()
        self.partner_id._billing_end_top_up(self.env._("ended by %s", self.env.user.name))
        return {"type": "ir.actions.act_window_close"}
