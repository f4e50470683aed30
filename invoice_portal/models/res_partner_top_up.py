import logging
from datetime import timedelta
from itertools import takewhile

from psycopg2 import errors

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import SQL

from ..tools.grant import granted
from ..tools.local_time import local_date
from .account_move_card import MOST
from .payment_transaction import BEGUN

_logger = logging.getLogger(__name__)

TOP_UP = (
    "billing_top_up_card_id",
    "billing_top_up_below",
    "billing_top_up_amount",
    "billing_top_up_consent",
    "billing_top_up_since",
)
# So many top-ups may follow each other within this time.
TOP_UP_WINDOW = timedelta(hours=24)


class ResPartner(models.Model):
    """Credit paid by card: by the client itself or, where that is agreed, by itself when it falls low."""

    _inherit = "res.partner"

    billing_top_up_card_id = fields.Many2one(
        "payment.token",
        string="Card for Top-Up",
        company_dependent=True,
        readonly=True,
        groups="base.group_user",
        help="Charged when the client's credit is low, by the client's own choice or recorded consent.",
    )
    billing_top_up_below = fields.Float(
        string="Top up below",
        company_dependent=True,
        readonly=True,
        groups="base.group_user",
        help="In the company's currency. Credit in other currencies does not count.",
    )
    billing_top_up_amount = fields.Float(
        string="Top up by", company_dependent=True, readonly=True, groups="base.group_user"
    )
    billing_top_up_consent = fields.Text(
        string="Consent to Top-Up", company_dependent=True, readonly=True, groups="base.group_user"
    )
    billing_top_up_since = fields.Datetime(
        string="Top-Up Since", company_dependent=True, readonly=True, groups="base.group_user"
    )
    billing_top_up_next = fields.Date(
        string="Next Top-Up",
        company_dependent=True,
        readonly=True,
        groups="base.group_user",
        help="After a refusal, the day on which the card is tried again.",
    )
    billing_top_up_note = fields.Char(
        string="Last Top-Up",
        company_dependent=True,
        readonly=True,
        groups="base.group_user",
        help="What became of filling up the credit by itself.",
    )
    billing_credit_begun_on = fields.Datetime(
        string="Last Payment of Credit Begun",
        readonly=True,
        copy=False,
        groups="base.group_user",
        help="When a card payment of credit was last begun. Two that begin at once meet here.",
    )

    @api.model
    def _get_billing_agreement_fields(self):
        return (*super()._get_billing_agreement_fields(), *TOP_UP)

    # -- may credit be paid -------------------------------------------------------------------------------------------

    @api.private
    def _billing_credit_most(self, currency):
        """The largest amount that is paid in at once, in this currency. Zero: clients pay none in by card."""
        company = self.env.company
        most = company.sudo().billing_credit_most
        return company.currency_id._convert(most, currency, company, fields.Date.today())

    @api.private
    def _billing_credit_currencies(self):
        """The currencies in which this client may pay credit in: the company's, and those it is billed in."""
        self.ensure_one()
        groups = self.env["account.move"]._read_group(
            [
                ("commercial_partner_id", "=", self.commercial_partner_id.id),
                ("company_id", "=", self.env.company.id),
                ("move_type", "=", "out_invoice"),
                ("state", "=", "posted"),
            ],
            ["currency_id"],
        )
        return self.env.company.currency_id.union(*(currency for (currency,) in groups))

    @api.private
    def _billing_credit_why_not_pay(self, amount, currency, beside=None):
        """Why this client cannot pay credit by this amount now, in words for client and staff, or nothing."""
        self.ensure_one()
        if currency not in self._billing_credit_currencies():
            return self.env._("Credit cannot be paid in %s.", currency.name or "?")
        most = self._billing_credit_most(currency)
        if currency.is_zero(most):
            return self.env._("Credit cannot be paid by card.")
        # What is no number compares to nothing, and what is huge cannot be rounded.
        if not (amount or 0) > 0 or (amount < MOST and currency.is_zero(amount)):
            return self.env._("Type an amount above zero.")
        if amount >= MOST or currency.compare_amounts(amount, most) > 0:
            return self.env._("At most %s of credit can be paid at once.", currency.format(most))
        if under_way := self._billing_credit_under_way_sudo(currency, beside):
            return self.env._(
                "A payment of %(amount)s (%(reference)s) is under way. As long as its outcome is open, no other can be "
                "made: that keeps you from paying twice.",
                amount=under_way.currency_id.format(under_way.amount),
                reference=under_way.reference,
            )
        return None

    def _billing_credit_payments_sudo(self, currency, *more):
        """Elevated, as only Odoo's administrator may read providers."""
        return (
            self.env["payment.transaction"]
            .sudo()
            .search(
                Domain("billing_credit_client_id", "=", self.commercial_partner_id.id)
                & Domain("company_id", "=", self.env.company.id)
                & Domain("currency_id", "=", currency.id)
                & Domain.AND(more),
                order="id desc",
            )
        )

    @api.private
    def _billing_credit_under_way_sudo(self, currency, beside=None):
        return self._billing_credit_payments_sudo(
            currency,
            Domain("id", "not in", beside.ids if beside else []),
            self.env["payment.transaction"]._get_billing_under_way_domain(),
        )[:1]

    @api.private
    def _billing_credit_paid_just_now_sudo(self, partner, amount, currency):
        return (
            self.env["payment.transaction"]
            .sudo()
            ._billing_paid_just_now(
                [
                    ("billing_credit_client_id", "=", self.commercial_partner_id.id),
                    ("company_id", "=", self.env.company.id),
                ],
                partner,
                amount,
                currency,
            )
        )

    @api.private
    def _billing_credit_begun_sudo(self, currency, beside=None):
        """What the client began to pay on the provider's page a moment ago."""
        return self._billing_credit_payments_sudo(
            currency,
            Domain("id", "not in", beside.ids if beside else []),
            self.env["payment.transaction"]._get_billing_begun_domain(),
        )[:1]

    @api.private
    def _billing_credit_claim(self):
        """Of two payments of credit that begin at once, the database lets one through; the other starts over.

        In SQL, as the ORM would leave out a write of what is there already: two attempts within one second.
        """
        client = self.commercial_partner_id
        client.flush_recordset()
        self.env.cr.execute(
            SQL("UPDATE res_partner SET billing_credit_begun_on = %s WHERE id = %s", fields.Datetime.now(), client.id)
        )
        client.invalidate_recordset(["billing_credit_begun_on"])

    @api.private
    def _billing_charge_credit_sudo(self, card, amount, origin):
        """Charge this card for the client's credit in the company's currency, and book what comes of it.

        Elevated, as only Odoo's administrator may read providers: whoever calls has asked who may.
        """
        self.ensure_one()
        client, card = self.commercial_partner_id.sudo(), card.sudo()
        currency = self.env.company.currency_id
        begun = client._billing_credit_begun_sudo(currency)
        if reason := client._billing_credit_why_not_pay(amount, currency) or self.env[
            "account.move"
        ]._billing_why_not_begin(begun):
            raise UserError(reason)
        if not client._billing_credit_takes(card):
            raise UserError(self.env._("%s can no longer be charged.", card.display_name))
        client._billing_credit_claim()
        attempt = (
            self.env["payment.transaction"]
            .sudo()
            .create(
                {
                    "provider_id": card.provider_id.id,
                    "payment_method_id": card.payment_method_id.id,
                    "token_id": card.id,
                    "amount": amount,
                    "currency_id": currency.id,
                    "partner_id": card.partner_id.id,
                    "operation": "offline",
                    "billing_origin": origin,
                    "billing_credit_client_id": client.id,
                }
            )
        )
        attempt._charge_with_token()
        return attempt

    def _billing_credit_takes(self, card):
        """Whether this card can be charged for this client's credit now."""
        company = self.env.company
        return card._billing_is_chargeable(self.commercial_partner_id, company, company.currency_id)

    # -- the agreement ------------------------------------------------------------------------------------------------

    @api.private
    def _billing_agree_top_up(self, card, below, amount, consent):
        """From now on `card` fills up the credit by `amount` when it falls below `below`; `consent` says by whom and
        how that was agreed."""
        self.ensure_one()
        company, currency = card.company_id, card.company_id.currency_id
        client = self.commercial_partner_id.with_company(company)
        if card.partner_id.commercial_partner_id != client or not card.active:
            raise UserError(self.env._("%s is no card of this client.", card.display_name))
        if not (0 < below < MOST and 0 < amount < MOST) or currency.is_zero(below) or currency.is_zero(amount):
            raise UserError(self.env._("Type amounts above zero: below which credit, and how much is added."))
        if currency.compare_amounts(amount, most := client._billing_credit_most(currency)) > 0:
            raise UserError(self.env._("At most %s of credit can be paid at once.", currency.format(most)))
        granted(client).write(
            {
                "billing_top_up_card_id": card.id,
                "billing_top_up_below": currency.round(below),
                "billing_top_up_amount": currency.round(amount),
                "billing_top_up_consent": consent,
                "billing_top_up_since": fields.Datetime.now(),
                "billing_top_up_next": False,
                "billing_top_up_note": False,
            }
        )
        client.message_post(
            body=self.env._(
                "Automatic top-up agreed: when the credit falls below %(below)s, %(amount)s is added from %(card)s. "
                "%(consent)s",
                below=currency.format(below),
                amount=currency.format(amount),
                card=card.display_name,
                consent=consent,
            )
        )
        client._billing_wake_top_up()

    @api.private
    def _billing_end_top_up(self, reason):
        """No card fills up the credit any more, in the company of the environment."""
        self.ensure_one()
        client = self.commercial_partner_id
        granted(client).write({**dict.fromkeys(TOP_UP, False), "billing_top_up_next": False})
        client.billing_top_up_note = self.env._("Ended: %s", reason)
        client.message_post(body=self.env._("Automatic top-up has ended: %s", reason))

    @api.private
    def _billing_credit_agree_top_up(self, card_id, below, amount):
        """A client agrees by itself, on the portal, with a card of its own.

        Elevated for that one agreement: the card is the user's, and so is the client.
        """
        self._billing_check_own_client()
        card = self._billing_own_token_sudo(card_id)
        user = self.env.user
        self.sudo()._billing_agree_top_up(card, below, amount, self.env._("By %s, on the portal.", user.name))

    @api.private
    def _billing_credit_end_top_up(self):
        """A client no longer wants it. Elevated for that one withdrawal, of the user's own client."""
        self._billing_check_own_client()
        self.sudo()._billing_end_top_up(self.env._("withdrawn by %s, on the portal", self.env.user.name))

    def action_billing_top_up(self):
        """Agree on automatic top-up, or end it."""
        self.ensure_one()
        self._billing_check_staff()
        return self.env["billing.top.up"]._open(self.commercial_partner_id)

    def action_billing_credit_payments(self):
        """The card payments of this client's credit."""
        self.ensure_one()
        self._billing_check_staff()
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal.action_billing_card_payments")
        return dict(action, domain=[("billing_credit_client_id", "=", self.commercial_partner_id.id)])

    @api.private
    def _billing_call_person(self, summary, note=""):
        """An activity for whoever looks after this client."""
        self.ensure_one()
        user = self.env["account.move"]._billing_person_for(self.user_id)
        self.activity_schedule("mail.mail_activity_data_todo", summary=summary, note=note, user_id=user.id)

    # -- by itself ----------------------------------------------------------------------------------------------------

    @api.model
    def _billing_wake_top_up(self):
        self.env.ref("invoice_portal.ir_cron_billing_top_up").sudo()._trigger()

    @api.model
    def _cron_credit(self):
        result = super()._cron_credit()
        for company in self.env["res.company"].search([]):
            if self.with_company(company)._billing_to_top_up():
                self._billing_wake_top_up()
                break
        return result

    @api.model
    def _cron_billing_top_up(self):
        """Fill up the credit of those who agreed to it, client by client, each on its own."""
        for company in self.env["res.company"].search([]):
            for client in self.with_company(company)._billing_to_top_up():
                try:
                    client._billing_try_top_up()
                except (errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable):
                    self.env.cr.rollback()
                    self._billing_wake_top_up()
                except Exception as error:
                    self.env.cr.rollback()
                    _logger.exception("Credit: top-up of client %s failed", client.id)
                    client._billing_stop_top_up(str(error))
                if not self.env["ir.cron"]._commit_progress(1):
                    return

    @api.model
    def _billing_to_top_up(self):
        """Whose credit is below what it agreed on, in the company of the environment."""
        agreed = self.search([("billing_top_up_card_id", "!=", False)])
        amounts = agreed._billing_credit_amounts(self.env.company)
        return agreed.filtered(lambda client: client._billing_is_below_top_up(amounts))

    def _billing_is_below_top_up(self, amounts=None):
        currency = self.env.company.currency_id
        if amounts is None:
            amounts = self._billing_credit_amounts(self.env.company)
        credit = amounts.get(self.commercial_partner_id, {}).get(currency, 0)
        return currency.compare_amounts(credit, self.billing_top_up_below) < 0

    def _billing_top_up(self):
        return super()._billing_top_up() or bool(
            self.billing_top_up_card_id and not self.billing_top_up_next and self._billing_is_below_top_up()
        )

    def _billing_try_top_up(self):
        """Charge the agreed card by the agreed amount, if nothing speaks against it now."""
        self.ensure_one()
        if not self.try_lock_for_update(allow_referencing=True):
            return
        self.invalidate_recordset()
        currency, card = self.env.company.currency_id, self.billing_top_up_card_id
        if not card or not self._billing_is_below_top_up():
            return
        if self.billing_top_up_next and self.billing_top_up_next > self._billing_top_up_today():
            return
        if self._billing_credit_under_way_sudo(currency):
            # Its outcome decides.
            return
        if self._billing_credit_begun_sudo(currency):
            self.env.ref("invoice_portal.ir_cron_billing_top_up")._trigger(fields.Datetime.now() + BEGUN)
            return
        if not self._billing_credit_takes(card.sudo()):
            self._billing_stop_top_up(self.env._("the card %s can no longer be charged", card.display_name))
            return
        if self._billing_top_ups_of_today() >= self.env.company.billing_top_up_daily:
            self.billing_top_up_note = self.env._("Waiting: as many top-ups as allowed in a day were made.")
            return
        self.billing_top_up_next = False
        self._billing_charge_credit_sudo(card, self.billing_top_up_amount, "automatic")

    def _billing_top_up_today(self):
        """The day where the client lives."""
        return local_date(fields.Datetime.now(), self.tz or self.env.company.partner_id.tz)

    def _billing_top_ups_of_today(self):
        since = fields.Datetime.now() - TOP_UP_WINDOW
        return len(
            self._billing_credit_payments_sudo(
                self.env.company.currency_id,
                Domain("billing_origin", "=", "automatic") & Domain("create_date", ">", since),
            )
        )

    def _billing_after_credit_attempt(self, attempt):
        """What follows from the outcome of a payment of credit, once it is known."""
        self.ensure_one()
        if attempt.billing_origin != "automatic":
            return
        if attempt.state == "done":
            self.billing_top_up_note = self.env._(
                "%(amount)s charged to %(card)s.",
                amount=attempt.currency_id.format(attempt.amount),
                card=attempt.token_id.display_name,
            )
        elif self.billing_top_up_card_id == attempt.token_id:
            self._billing_plan_top_up_retry(attempt)

    def _billing_plan_top_up_retry(self, attempt):
        """After a refusal: another day, or never again, and a word to the client."""
        reason = attempt.state_message or self.env._("The provider gave no reason.")
        made = self._billing_credit_payments_sudo(
            attempt.currency_id,
            Domain("billing_origin", "=", "automatic") & Domain("create_date", ">=", self.billing_top_up_since),
        )
        tried = len([*takewhile(lambda tx: tx.state in ("cancel", "error"), made)])
        days = self.env.company._billing_autopay_days()
        if attempt._billing_is_final_refusal() or tried >= len(days):
            return self._billing_stop_top_up(reason)
        if not attempt.provider_id._billing_repeats_safely():
            return self._billing_stop_top_up(
                self.env._(
                    "%(reason)s It is not tried again, as %(provider)s can neither be asked for an outcome nor "
                    "recognises a request it had before.",
                    reason=reason,
                    provider=attempt.provider_id.name,
                )
            )
        self.billing_top_up_next = self._billing_top_up_today() + timedelta(days=max(1, days[tried] - days[tried - 1]))
        self.billing_top_up_note = self.env._("Not taken: %s", reason)
        self._billing_tell_of_top_up()
        return None

    def _billing_stop_top_up(self, reason):
        """No more top-ups by themselves: staff and client are told why."""
        self.ensure_one()
        self._billing_end_top_up(reason)
        self._billing_call_person(self.env._("Automatic top-up of %s has stopped", self.display_name), reason)
        self._billing_tell_of_top_up()

    def _billing_tell_of_top_up(self):
        template = self.env.ref("invoice_portal.mail_template_top_up_failed", raise_if_not_found=False)
        if template and self._billing_addresses()["to"]:
            self._billing_queue_notice(template)
