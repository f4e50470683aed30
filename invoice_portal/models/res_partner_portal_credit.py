from odoo import models
from odoo.exceptions import AccessError
from odoo.fields import Domain


class ResPartner(models.Model):
    """What a client sees of its credit and cards on the portal, and agrees to there. As in `res_partner_portal.py`."""

    _inherit = "res.partner"

    # -- credit -------------------------------------------------------------------------------------------------------

    def _get_billing_own_credit_entry_domain(self):
        """What ever came in to this client's credit."""
        return (
            Domain("partner_id", "in", self._billing_own_member_ids_sudo())
            & Domain("company_id", "in", self.env.companies.ids)
            & Domain("account_type", "=", "asset_receivable")
            & Domain("parent_state", "=", "posted")
            & Domain("amount_currency", "<", 0)
            # What merely balances exchange rates is nobody's credit, nor what voids an invoice: that pays for itself.
            & (Domain("payment_id", "!=", False) | Domain("move_id.move_type", "=", "out_refund"))
            & ~Domain("move_id.reversed_entry_id.billing_void_move_id", "!=", False)
        )

    def _own_credit_entry_count_sudo(self):
        self._billing_check_own()
        return self.env["account.move.line"].sudo().search_count(self._get_billing_own_credit_entry_domain())

    def _own_credit_entries_sudo(self, limit, offset=0):
        """The history, newest first: `[{"date", "text", "amount", "left", "spent", "currency", "payment"}]`.

        Elevated to read payments and matchings, which clients may not.
        """
        self._billing_check_own()
        # Every entry has a date. To say where one without would stand keeps PostgreSQL from going through the index of
        # dates, which holds the entries of all clients.
        order = "date desc nulls last, id desc"
        lines = (
            self.env["account.move.line"]
            .sudo()
            .search(self._get_billing_own_credit_entry_domain(), order=order, limit=limit, offset=offset)
        )
        return [
            {
                "date": line.date,
                "text": line._billing_credit_text(),
                "amount": -line.amount_currency,
                "left": -line.amount_residual_currency,
                "spent": line._billing_credit_invoices(),
                "currency": self.env["res.currency"].browse(line.currency_id.id),
                "payment": line.payment_id and line.payment_id._billing_has_receipt() and line.payment_id.id,
            }
            for line in lines
        ]

    def _own_credit_choices_sudo(self):
        """The currencies in which credit can be paid in by card, none where clients pay none."""
        self._billing_check_own()
        client = self.commercial_partner_id.sudo()
        currencies = client._billing_credit_currencies().filtered(
            lambda currency: not currency.is_zero(client._billing_credit_most(currency))
        )
        return self.env["res.currency"].browse(currencies.ids)

    def _own_credit_why_not_sudo(self, amount, currency):
        self._billing_check_own()
        return self.commercial_partner_id.sudo()._billing_credit_why_not_pay(amount, currency)

    def _own_top_up_sudo(self):
        """How the credit is filled up by itself, or nothing."""
        self._billing_check_own()
        client = self.commercial_partner_id.sudo()
        card = client.billing_top_up_card_id
        return card and {
            "card": card.display_name,
            "since": client.billing_top_up_since,
            "below": client.billing_top_up_below,
            "amount": client.billing_top_up_amount,
            "note": client.billing_top_up_note,
        }

    # -- cards --------------------------------------------------------------------------------------------------------

    def _own_cards_sudo(self):
        """The user's own cards of this company that could be charged by themselves: `[(id, name)]`.

        Elevated to read providers; those of colleagues are not among them.
        """
        self._billing_check_own()
        return [(card.id, card.display_name) for card in self._billing_own_tokens_sudo()]

    def _billing_own_tokens_sudo(self):
        company = self.env.company
        tokens = (
            self.env["payment.token"]
            .sudo()
            .search([("partner_id", "=", self.env.user.partner_id.id), ("company_id", "=", company.id)])
        )
        client = self.commercial_partner_id
        return tokens.filtered(lambda card: card._billing_is_chargeable(client, company, company.sudo().currency_id))

    def _billing_own_token_sudo(self, card_id):
        """The one of them that the user has chosen."""
        card = self._billing_own_tokens_sudo().filtered(lambda card: card.id == card_id)
        if not card:
            raise AccessError(self.env._("This card cannot be used here."))
        return card

    def _own_agree_autopay_sudo(self, card_id):
        """The client agrees that its invoices are charged to a card of the user's own. Elevated for that agreement."""
        self._billing_check_own_client()
        card = self._billing_own_token_sudo(card_id)
        user = self.env.user
        self.commercial_partner_id.sudo()._billing_agree_autopay(card, self.env._("By %s, on the portal.", user.name))

    def _own_end_autopay_sudo(self):
        """The client withdraws it. Elevated for that."""
        self._billing_check_own_client()
        client = self.commercial_partner_id.sudo()
        if client.billing_autopay_card_id:
            client._billing_end_autopay(self.env._("withdrawn by %s, on the portal", self.env.user.name))

    def _billing_check_own_client(self):
        """What is agreed here, not even staff agrees in the client's name: it has a dialog of its own."""
        self.ensure_one()
        if self.commercial_partner_id != self.env.user.partner_id.commercial_partner_id:
            raise AccessError(self.env._("Only the client itself may do this here."))


class AccountMoveLine(models.Model):
    _inherit = "account.move.line"

    def _billing_credit_text(self):
        """What brought this credit, in the client's words."""
        self.ensure_one()
        payment, move = self.payment_id, self.move_id
        if payment:
            return self.env._("Payment") + (f" · {how}" if (how := payment._billing_document_method()) else "")
        return self.env._("Credit note %s", move.name)

    def _billing_credit_invoices(self):
        """Where it went: `[(text, amount, invoice id or False)]`."""
        self.ensure_one()
        spent = []
        for partial in self.matched_debit_ids.sorted(lambda partial: (partial.max_date, partial.id)):
            move = partial.debit_move_id.move_id
            if move._billing_is_exchange():
                continue
            is_invoice = move.move_type == "out_invoice"
            text = move.name if is_invoice else self.env._("Paid back")
            spent.append((text, partial.credit_amount_currency, is_invoice and move.id))
        return spent
