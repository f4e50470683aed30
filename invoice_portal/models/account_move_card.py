import logging
import math
from datetime import timedelta

from psycopg2 import errors

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command, Domain
from odoo.tools import SQL

from ..tools.local_time import day_bounds, local_date
from .payment_transaction import BEGUN

_logger = logging.getLogger(__name__)

# Invoices that one run of the job looks at before it asks again what is due.
BATCH = 100
# Beyond any amount of money, and within what a currency can round.
MOST = 10**15


class AccountMove(models.Model):
    """Paying an invoice by card: on the client's page, by staff from a saved card, or by itself."""

    _inherit = "account.move"

    billing_card_id = fields.Many2one(
        "payment.token",
        string="Card",
        compute="_compute_billing_card",
        groups="invoice_portal.group_billing_user",
        help="The client's saved card that can be charged for this invoice.",
    )
    billing_card_ready = fields.Boolean(
        compute="_compute_billing_card", groups="invoice_portal.group_billing_user", exportable=False
    )
    billing_card_doubt_id = fields.Many2one(
        "payment.transaction",
        string="Card Payment in Doubt",
        compute="_compute_billing_card_doubt",
        groups="invoice_portal.group_billing_user",
    )
    billing_last_attempt_on = fields.Datetime(
        string="Last Payment Begun",
        readonly=True,
        copy=False,
        groups="base.group_user",
        help="When somebody last began to pay this online. Two who begin at once meet here.",
    )
    billing_autopay_date = fields.Date(
        string="Card Charged On",
        readonly=True,
        copy=False,
        groups="base.group_user",
        help="The day on which the client's card is charged by itself.",
    )
    billing_autopay_note = fields.Char(
        string="Automatic Payment",
        readonly=True,
        copy=False,
        groups="base.group_user",
        help="What became of paying this by itself.",
    )

    _billing_autopay_idx = models.Index("(billing_autopay_date) WHERE billing_autopay_date IS NOT NULL")

    # -- may it be charged --------------------------------------------------------------------------------------------

    @api.private
    def _billing_why_not_charge(self, amount, currency, beside=None):
        """Why these invoices cannot be paid online by this amount now, in words for client and staff, or nothing."""
        for move in self:
            if move.move_type != "out_invoice" or move.state != "posted":
                return self.env._("This cannot be paid online.")
            if move.billing_status == "void":
                return self.env._("%s is void: nothing is due any more.", move.name)
            if move.currency_id != currency:
                return self.env._("%(invoice)s is in %(currency)s.", invoice=move.name, currency=move.currency_id.name)
        due = sum(self.mapped("amount_residual"))
        if currency.is_zero(due):
            return self.env._("%s is paid already.", ", ".join(self.mapped("name")))
        # What is no number compares to nothing, and what is huge cannot be rounded.
        if not (amount or 0) > 0 or (amount < MOST and currency.is_zero(amount)):
            return self.env._("Type an amount above zero.")
        if amount >= MOST:
            return self.env._("More than the %s that is due.", currency.format(due))
        if under_way := self._billing_transactions_under_way_sudo(beside)[:1]:
            return self.env._(
                "A payment of %(amount)s (%(reference)s) is under way. As long as its outcome is open, no other can be "
                "made: that keeps you from paying twice.",
                amount=under_way.currency_id.format(under_way.amount),
                reference=under_way.reference,
            )
        if currency.compare_amounts(amount, due) > 0:
            return self.env._(
                "%(amount)s is more than the %(due)s that is due.",
                amount=currency.format(amount),
                due=currency.format(due),
            )
        return None

    @api.private
    def _billing_paid_just_now_sudo(self, partner, amount, currency):
        """What the same person paid of these a moment ago, and as much. Elevated as above."""
        return (
            self.env["payment.transaction"]
            .sudo()
            ._billing_paid_just_now([("invoice_ids", "in", self.ids)], partner, amount, currency)
        )

    @api.private
    def _billing_begun_payment_sudo(self, beside=None):
        """What a client began to pay on the provider's page a moment ago. Elevated as above."""
        Transaction = self.env["payment.transaction"].sudo()
        return Transaction.search(
            Domain("invoice_ids", "in", self.ids)
            & Domain("id", "not in", beside.ids if beside else [])
            & Transaction._get_billing_begun_domain(),
            limit=1,
        )

    @api.private
    def _billing_why_not_begin(self, begun):
        """What to say to somebody who would pay while another payment was just begun, or nothing."""
        if not begun:
            return None
        until = begun.create_date + BEGUN
        minutes = max(1, math.ceil((until - fields.Datetime.now()).total_seconds() / 60))
        values = {
            "amount": begun.currency_id.format(begun.amount),
            "reference": begun.reference,
            "minutes": minutes,
        }
        if begun.invoice_ids:
            return self.env._(
                "A payment of %(amount)s (%(reference)s) was begun a moment ago and is not finished. Finish it where it"
                " was begun, or start over on the invoice's page on the portal, or try again in %(minutes)s minutes.",
                **values,
            )
        return self.env._(
            "A payment of %(amount)s (%(reference)s) was begun a moment ago and is not finished. Finish it where it was"
            " begun, or try again in %(minutes)s minutes.",
            **values,
        )

    @api.private
    def _billing_claim_for_payment(self):
        """Of two who begin to pay at once, the database lets one through; the other starts over and looks again.

        In SQL, as the ORM would leave out a write of what is there already: two attempts within one second.
        """
        self.flush_recordset()
        self.env.cr.execute(
            SQL(
                "UPDATE account_move SET billing_last_attempt_on = %s WHERE id IN %s",
                fields.Datetime.now(),
                self._ids or (0,),
            )
        )
        self.invalidate_recordset(["billing_last_attempt_on"])

    def _has_to_be_paid(self):
        return super()._has_to_be_paid() and not self._billing_transactions_under_way_sudo()

    # -- the saved card -----------------------------------------------------------------------------------------------

    @api.depends(
        "commercial_partner_id",
        "partner_id",
        "company_id",
        "amount_residual",
        "state",
        "transaction_ids.state",
        "transaction_ids.billing_doubt_since",
    )
    @api.depends_context("uid")
    def _compute_billing_card(self):
        charged = self.filtered(
            lambda move: move.move_type == "out_invoice" and move.state == "posted" and move.amount_residual > 0
        )
        (self - charged).billing_card_id = False
        (self - charged).billing_card_ready = False
        cards = charged._billing_cards_sudo()
        busy = set(charged._billing_transactions_under_way_sudo().invoice_ids.ids)
        for move in charged:
            move.billing_card_id = cards.get(move, self.env["payment.token"]).sudo(False)[:1]
            move.billing_card_ready = bool(move.billing_card_id) and move._origin.id not in busy

    @api.private
    def _billing_cards_sudo(self):
        """`{invoice: the cards that can be charged for it}`, the one agreed for automatic payment first.

        A card belongs to the contact that saved it: those of the client itself and of the invoice's contact count, not
        those of others who work there. Elevated to read tokens and providers.
        """
        agreed = {
            move: move.commercial_partner_id.sudo().with_company(move.company_id).billing_autopay_card_id
            for move in self
        }
        owners = self.partner_id | self.commercial_partner_id
        tokens = self.env["payment.token"].sudo().search([("partner_id", "in", owners.ids)])
        cards = {}
        for move, first in agreed.items():
            own = tokens.filtered(
                lambda token, move=move: token.partner_id in (move.partner_id, move.commercial_partner_id)
            )
            usable = (own | first).filtered(lambda token, move=move: token._billing_is_usable(move))
            cards[move] = usable.sorted(lambda token, first=first: (token != first, -token.id))
        return cards

    @api.depends("transaction_ids.billing_doubt_since")
    def _compute_billing_card_doubt(self):
        doubts = (
            self.env["payment.transaction"]
            .sudo()
            .search([("invoice_ids", "in", self.ids), ("billing_doubt_since", "!=", False)])
        )
        for move in self:
            move.billing_card_doubt_id = doubts.filtered(lambda tx, move=move: move in tx.invoice_ids)[:1].sudo(False)

    # -- charging it --------------------------------------------------------------------------------------------------

    @api.private
    def _billing_charge_card_sudo(self, card, amount, origin):
        """Charge this card for this invoice, and book what comes of it. Returns the attempt.

        Elevated, as only Odoo's administrator may read providers: whoever calls has asked who may.
        """
        self.ensure_one()
        self = self.sudo()  # noqa: PLW0642
        card = card.sudo()
        # Who comes second looks when the first is through, and reads what became of it.
        self._billing_claim_for_payment()
        if reason := self._billing_why_not_charge(amount, self.currency_id) or self._billing_why_not_begin(
            self._billing_begun_payment_sudo()
        ):
            raise UserError(reason)
        if not card._billing_is_usable(self):
            raise UserError(self.env._("%s can no longer be charged for this invoice.", card.display_name))
        attempt = self.env["payment.transaction"].create(
            {
                "provider_id": card.provider_id.id,
                "payment_method_id": card.payment_method_id.id,
                "token_id": card.id,
                "amount": amount,
                "currency_id": self.currency_id.id,
                "partner_id": self.partner_id.id,
                "operation": "offline",
                "billing_origin": origin,
                "invoice_ids": [Command.set(self.ids)],
            }
        )
        attempt._charge_with_token()
        return attempt

    def action_billing_charge_card(self):
        """Attempt credit card payment: asks how much, from which card."""
        self.ensure_one()
        self._billing_check_staff()
        return self.env["billing.card.charge"]._open(self)

    def action_billing_ask_provider(self):
        self.ensure_one()
        self._billing_check_staff()
        return self.billing_card_doubt_id.action_billing_ask()

    def action_billing_resolve_doubt(self):
        self.ensure_one()
        self._billing_check_staff()
        return self.billing_card_doubt_id.action_billing_resolve()

    @api.private
    def _billing_call_person(self, summary, note=""):
        """An activity for whoever looks after this invoice."""
        self.ensure_one()
        user = self._billing_person_for(self.invoice_user_id, self.commercial_partner_id.user_id)
        return self.activity_schedule("mail.mail_activity_data_todo", summary=summary, note=note, user_id=user.id)

    @api.model
    def _billing_person_for(self, *candidates):
        """The first of these who may look after invoices, else a billing manager."""
        managers = self.env.ref("invoice_portal.group_billing_manager").all_user_ids
        for user in (*candidates, *managers):
            if user.active and user.has_group("account.group_account_invoice"):
                return user
        return self.env.user

    # -- by itself ----------------------------------------------------------------------------------------------------

    def _post(self, soft=True):
        posted = super()._post(soft)
        posted.filtered(lambda move: move.move_type == "out_invoice")._billing_plan_autopay()
        return posted

    def _billing_plan_autopay(self):
        """Set the day on which the client's card is charged, where that is agreed: the company's, or this very day
        where the invoice's billing cycle says so."""
        planned = self.browse()
        for move in self:
            client = move.commercial_partner_id.sudo().with_company(move.company_id)
            if move.state != "posted" or not client.billing_autopay_card_id or move.amount_residual <= 0:
                continue
            today = local_date(fields.Datetime.now(), move._billing_zone())
            due = move.invoice_date_due or today
            at_once = move.sudo().billing_run_client_id.run_id.cycle_id.after == "charge"
            on_due_date = move.company_id.billing_autopay_when == "due" and not at_once
            move.sudo().billing_autopay_date = max(today, due) if on_due_date else today
            planned |= move
        if planned:
            self.env.ref("invoice_portal.ir_cron_billing_autopay").sudo()._trigger()
        return planned

    @api.model
    def _cron_billing_autopay(self):
        """Charge the cards of what is due for it, invoice by invoice, each on its own."""
        self.env["payment.token"]._billing_announce_expiry()
        passed = set()
        while True:
            latest = day_bounds(fields.Datetime.now())[1]
            due = self.search(
                [("billing_autopay_date", "<=", latest), ("id", "not in", list(passed))],
                order="billing_autopay_date, id",
                limit=BATCH,
            )
            seconds_left = self.env["ir.cron"]._commit_progress(remaining=len(due))
            for move in due:
                passed.add(move.id)
                try:
                    move._billing_autopay()
                except (errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable):
                    self.env.cr.rollback()
                    self.env.ref("invoice_portal.ir_cron_billing_autopay")._trigger()
                except Exception as error:
                    self.env.cr.rollback()
                    _logger.exception("Invoices: automatic payment of %s failed", move.id)
                    move._billing_stop_autopay(str(error))
                seconds_left = self.env["ir.cron"]._commit_progress(1)
                if not seconds_left:
                    return
            if not due:
                return

    def _billing_autopay(self):
        """Charge the agreed card for what is still due, if this is the day where the client lives."""
        self.ensure_one()
        if not self.try_lock_for_update():
            return
        self.invalidate_recordset(["billing_autopay_date", "amount_residual"])
        today = local_date(fields.Datetime.now(), self._billing_zone())
        if not self.billing_autopay_date or self.billing_autopay_date > today:
            return
        client = self.commercial_partner_id.with_company(self.company_id)
        card = client.billing_autopay_card_id
        amount = self._billing_autopay_amount()
        if not card or self.state != "posted" or self.currency_id.compare_amounts(amount, 0) <= 0:
            self.billing_autopay_date = False
            return
        if self._billing_transactions_under_way_sudo():
            # Its outcome decides: this is planned anew when that is known.
            self.billing_autopay_date = False
            return
        if self._billing_begun_payment_sudo():
            self.env.ref("invoice_portal.ir_cron_billing_autopay")._trigger(fields.Datetime.now() + BEGUN)
            return
        if not card._billing_is_usable(self):
            self._billing_stop_autopay(self.env._("the card %s can no longer be charged", card.display_name))
            return
        self.billing_autopay_date = False
        self._billing_charge_card_sudo(card, amount, "automatic")

    def _billing_autopay_amount(self):
        """What is charged by itself: all that is due. To be extended by what is not to be charged."""
        self.ensure_one()
        return self.amount_residual

    def _billing_after_attempt(self, attempt):
        """What follows from the outcome of a payment attempt, once it is known."""
        for move in self:
            if attempt.billing_origin != "automatic" or move.state != "posted":
                continue
            if attempt.state == "done":
                move.billing_autopay_note = self.env._("Charged to %s.", attempt.token_id.display_name)
            elif move.amount_residual > 0:
                move._billing_plan_retry(attempt)

    def _billing_plan_retry(self, attempt):
        """After a refusal: another day, or never again, and a word to the client."""
        self.ensure_one()
        reason = attempt.state_message or self.env._("The provider gave no reason.")
        tried = self.env["payment.transaction"].search_count(
            [
                ("invoice_ids", "in", self.ids),
                ("billing_origin", "=", "automatic"),
                ("state", "in", ("cancel", "error")),
            ]
        )
        days = self.company_id._billing_autopay_days()
        if attempt._billing_is_final_refusal():
            self._billing_stop_autopay(reason)
            client = self.commercial_partner_id.with_company(self.company_id)
            if client.billing_autopay_card_id == attempt.token_id:
                # Each further invoice would only try it again.
                client._billing_end_autopay(reason)
            return None
        if not attempt.provider_id._billing_repeats_safely():
            return self._billing_stop_autopay(
                self.env._(
                    "%(reason)s It is not tried again, as %(provider)s can neither be asked for an outcome nor "
                    "recognises a request it had before.",
                    reason=reason,
                    provider=attempt.provider_id.name,
                )
            )
        if tried >= len(days):
            return self._billing_stop_autopay(reason)
        today = local_date(fields.Datetime.now(), self._billing_zone())
        self.billing_autopay_date = today + timedelta(days=max(1, days[tried] - days[tried - 1]))
        self.billing_autopay_note = self.env._("Not taken: %s", reason)
        self._billing_tell_client("invoice_portal.mail_template_card_failed")
        return None

    def _billing_stop_autopay(self, reason):
        """No more attempts by themselves: staff and client are told why."""
        self.ensure_one()
        self.write({"billing_autopay_date": False, "billing_autopay_note": self.env._("Stopped: %s", reason)})
        self._billing_call_person(self.env._("Automatic payment of %s has stopped", self.name), reason)
        self._billing_tell_client("invoice_portal.mail_template_card_stopped")

    def _billing_tell_client(self, xmlid):
        template = self.env.ref(xmlid, raise_if_not_found=False)
        if template and self._billing_addresses()["to"]:
            self._billing_queue_notices(template)
