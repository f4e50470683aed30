import logging

from psycopg2 import OperationalError

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import SQL

_logger = logging.getLogger(__name__)


class AccountMove(models.Model):
    """Paying an invoice from what stands to its client's credit: by Odoo's own matching, the oldest credit first."""

    _inherit = "account.move"

    billing_credit_available = fields.Monetary(
        string="Credit Available",
        compute="_compute_billing_credit_available",
        groups="invoice_portal.group_billing_user",
        help="What could pay this invoice: the client's credit in its currency.",
    )

    @api.depends("state", "move_type", "amount_residual", "currency_id", "commercial_partner_id", "company_id")
    def _compute_billing_credit_available(self):
        due = self.filtered(
            lambda move: (
                move._billing_takes_credit()
                and move.commercial_partner_id._billing_use_of_credit(move.company_id) != "never"
            )
        )
        credits = due.commercial_partner_id._billing_open_credits(due.company_id) if due else {}
        for move in self:
            move.billing_credit_available = (
                sum(credits.get(key, 0) for key in move._billing_credit_keys()) if move in due else 0
            )

    def _billing_takes_credit(self):
        """Whether something is due that credit could pay."""
        self.ensure_one()
        return (
            self.move_type == "out_invoice"
            and self.state == "posted"
            and not self.currency_id.is_zero(self.amount_residual)
        )

    def _billing_is_exchange(self):
        """Whether this entry books a difference between exchange rates."""
        return bool(self.journal_id) and self.journal_id == self.company_id.currency_exchange_journal_id

    def _billing_due_lines(self):
        return self.line_ids.filtered(lambda line: line.account_type == "asset_receivable" and not line.reconciled)

    def _billing_credit_keys(self):
        """The keys of `_billing_open_credits` that fit this invoice: Odoo matches within one account only."""
        return [
            (self.commercial_partner_id, self.company_id, self.currency_id, account)
            for account in self._billing_due_lines().account_id
        ]

    # -- when it is finalized -----------------------------------------------------------------------------------------

    def _billing_spend_credit(self):
        """Pay these invoices, just finalized, from their clients' credit where that is wished, the first due first.

        It never stops the finalizing: what goes wrong is undone, and said in the conversation.
        """
        due = self.filtered(
            lambda move: (
                move._billing_takes_credit()
                and move.commercial_partner_id._billing_use_of_credit(move.company_id) == "automatic"
            )
        )
        if not due:
            return
        credits = due.commercial_partner_id._billing_open_credits(due.company_id)
        for move in due.sorted(lambda move: (move.invoice_date_due or move.date, move.id)):
            if any(key in credits for key in move._billing_credit_keys()):
                move._billing_try_to_spend_credit()

    def _billing_try_to_spend_credit(self):
        try:
            with self.env.cr.savepoint():
                self._billing_apply_credit()
        except OperationalError:
            # Another transaction spends the same credit: the whole is tried again, and sees what is left of it.
            raise
        except Exception as error:
            _logger.info("Invoice %s: credit was not used", self.id, exc_info=not isinstance(error, UserError))
            self.env.invalidate_all()
            self.message_post(
                body=self.env._("The client's credit was not used: %s", error), subtype_xmlid="mail.mt_note"
            )

    def _billing_apply_credit(self):
        """Match this invoice with its client's credit of the same currency. Returns how much was used."""
        self.ensure_one()
        used = []
        for credit in self._billing_credit_lines()._billing_locked_in_order():
            due = self._billing_due_lines().filtered(lambda line, credit=credit: line.account_id == credit.account_id)
            if not due:
                continue
            before = self.amount_residual
            (due | credit).reconcile()
            used.append((credit, before - self.amount_residual))
        total = sum(amount for _credit, amount in used)
        if used:
            self._billing_log_credit(used)
            self.env["res.partner"]._billing_wake_credit()
        return total

    def _billing_credit_lines(self):
        """The credit that may pay this invoice."""
        client = self.commercial_partner_id
        return self.env["account.move.line"].search(
            client._get_billing_credit_domain(self.company_id)
            & fields.Domain("currency_id", "=", self.currency_id.id)
            & fields.Domain("account_id", "in", self._billing_due_lines().account_id.ids)
        )

    def _billing_log_credit(self, used):
        self.message_post_with_source(
            "invoice_portal.message_credit_used",
            render_values={"used": used, "currency": self.currency_id},
            subtype_xmlid="mail.mt_note",
        )

    # -- the button ---------------------------------------------------------------------------------------------------

    def action_billing_apply_credit(self):
        """Pay this invoice from its client's credit, as far as it goes."""
        self.ensure_one()
        self._billing_check_staff()
        self.check_access("write")
        self._billing_check_move("paid")
        if not self._billing_apply_credit():
            raise UserError(
                self.env._(
                    "%(client)s has no credit in %(currency)s left.",
                    client=self.commercial_partner_id.display_name,
                    currency=self.currency_id.name,
                )
            )


class AccountMoveLine(models.Model):
    _inherit = "account.move.line"

    def _billing_locked_in_order(self):
        """Hold these until the end of the transaction, and return them oldest first.

        Whoever spent one of them meanwhile has changed its row: then the database refuses this transaction, and it is
        tried again on what is left. By id, so that no two wait for each other.
        """
        if self:
            self.flush_recordset()
            self.env.cr.execute(SQL("SELECT 1 FROM account_move_line WHERE id IN %s ORDER BY id FOR UPDATE", self._ids))
        return self.sorted(lambda line: (line.date, line.id))
