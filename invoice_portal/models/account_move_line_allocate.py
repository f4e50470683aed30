from typing import NamedTuple

from odoo import api, models
from odoo.exceptions import UserError

# The context key under which a share travels. A caller from outside can set the key, but not to a `Share`.
KEY = "billing_share"


class Share(NamedTuple):
    """How much of an instalment, in its own currency, may be matched with a credit."""

    term_id: int
    credit_id: int
    amount: float


class AccountMoveLine(models.Model):
    """Matching a typed amount of a credit with an invoice.

    Odoo's engine matches all it can. It is told of a smaller debit, and does everything else (rates, exchange
    differences, cash-basis taxes) by its own rules: nothing of it is repeated or stored here.
    """

    _inherit = "account.move.line"

    @api.model
    def _prepare_reconciliation_single_partial(self, debit_values, credit_values, shadowed_aml_values=None):
        share = self.env.context.get(KEY)
        if (
            not isinstance(share, Share)
            or share.term_id != debit_values["aml"].id
            or share.credit_id != credit_values["aml"].id
        ):
            return super()._prepare_reconciliation_single_partial(
                debit_values, credit_values, shadowed_aml_values=shadowed_aml_values
            )
        term = debit_values["aml"]
        residual = debit_values["amount_residual_currency"]
        if term.currency_id.compare_amounts(share.amount, residual) < 0:
            debit_values["amount_residual"] = term.company_currency_id.round(
                debit_values["amount_residual"] * share.amount / residual
            )
            debit_values["amount_residual_currency"] = share.amount
        return super()._prepare_reconciliation_single_partial(
            debit_values, credit_values, shadowed_aml_values=shadowed_aml_values
        )

    def _billing_residual_values(self, times=1):
        self.ensure_one()
        return {
            "aml": self,
            "amount_residual": self.amount_residual * times,
            "amount_residual_currency": self.amount_residual_currency * times,
            "parent_state": self.parent_state,
        }

    def _billing_would_settle(self, credit, times=1):
        """How much of this instalment the credit would settle, in the instalment's currency. Nothing is written.

        :param times: for an instalment that many times as large
        """
        values = self._billing_residual_values(times)
        before = values["amount_residual_currency"]
        self._prepare_reconciliation_single_partial(values, credit._billing_residual_values())
        return self.currency_id.round(before - values["amount_residual_currency"])

    def _billing_worth(self, credits):
        """What these credits are worth for this instalment, in its currency, however little of it is due."""
        # So much more than any credit that the credit is what ends first.
        return sum(self._billing_would_settle(credit, times=10**6) for credit in credits)

    def _billing_settle(self, credits, amount):
        """Match exactly this amount of the credits with these instalments, the oldest first.

        :param amount: in the currency of the instalments
        """
        currency = self.currency_id
        left = currency.round(amount)
        terms = self.sorted(lambda term: (term.date_maturity or term.date, term.id))
        for credit in credits.sorted(lambda line: (line.date, line.id)):
            for term in terms:
                most = min(term.amount_residual_currency, term._billing_would_settle(credit))
                part = currency.round(min(left, most))
                if currency.compare_amounts(part, 0) > 0:
                    term._billing_match(credit, part, share=currency.compare_amounts(part, most) < 0)
                    left = currency.round(left - part)
        if currency.compare_amounts(left, 0) > 0:
            raise UserError(
                self.env._(
                    "%(credit)s covers %(most)s of %(invoice)s, not %(amount)s: something has changed meanwhile, or "
                    "more was typed than is open or due.",
                    credit=", ".join(credits.move_id.mapped("display_name")),
                    invoice=", ".join(self.move_id.mapped("display_name")),
                    most=currency.format(amount - left),
                    amount=currency.format(amount),
                )
            )

    def _billing_match(self, credit, amount, share):
        """Match this instalment with the credit; with `share`, no more than the amount.

        Without it, the engine goes as far as it can: that leaves no cent of rounding behind where one of them ends.
        """
        self.ensure_one()
        currency, before = self.currency_id, self.amount_residual_currency
        lines = self + credit
        if share:
            lines = lines.with_context(**{KEY: Share(self.id, credit.id, amount)})
        lines.reconcile()
        if currency.compare_amounts(before - self.amount_residual_currency, amount):
            raise UserError(
                self.env._(
                    "%(amount)s of %(credit)s cannot be matched with %(invoice)s to the cent, as their currencies "
                    "differ. Type a slightly different amount.",
                    amount=currency.format(amount),
                    credit=credit.move_id.display_name,
                    invoice=self.move_id.display_name,
                )
            )
