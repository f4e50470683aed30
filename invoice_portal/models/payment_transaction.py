import logging
import re
from datetime import timedelta

import requests
from psycopg2 import errors

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.fields import Domain

from ..tools import outside
from ..tools.local_time import local_date
from .account_move_status import SALE_TYPES

_logger = logging.getLogger(__name__)

# A payment in one of these states may still take, or have taken, the client's money.
UNDER_WAY = ("pending", "authorized")
# Answers of a provider's server after which the money may have been taken all the same.
DOUBTFUL_STATUS = (408, 409, 425)
# Who sends the same payment again so soon means the one that was made.
AGAIN = timedelta(minutes=1)
# A payment that a client began on the provider's page or form, and may be about to confirm.
BEGUN = timedelta(minutes=10)
# How long after an attempt with open outcome the provider is asked, and then again.
ASK_AFTER = (timedelta(minutes=2), timedelta(minutes=10), timedelta(minutes=30), timedelta(hours=3))
# How long providers remember the key of a request: asked again later, it would be a new one.
KEY_LIVES = timedelta(hours=23)
# A person looks after what has no outcome, or is not booked, for so long.
ALARM_AFTER = timedelta(hours=1)
# What providers call refusals that no later attempt changes; networks fine those who try all the same.
FINAL_REFUSALS = re.compile(
    r"stolen|lost[ _]card|pick[ _]?up|expired|closed|invalid[ _](account|number|card)|revo[ck]|restricted[ _]card"
    r"|do[ _]not[ _]try[ _]again|fraud",
    re.IGNORECASE,
)
CONFLICTS = (errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable)


class PaymentTransaction(models.Model):
    """Card payments of invoices: taken at most once, and never lost sight of.

    That a card is about to be charged is committed before the provider hears of it. Whatever does not come back with a
    clear answer (a time-out, a broken connection, a process that died) leaves the attempt *in doubt*: it blocks the
    next one until the provider, or a person with proof, says what became of it.
    """

    _inherit = "payment.transaction"

    billing_origin = fields.Selection(
        [("client", "Client"), ("staff", "Staff"), ("automatic", "Automatic")],
        string="Started By",
        readonly=True,
        help="Who had the card charged.",
    )
    billing_given_up_on = fields.Datetime(
        string="Given Up On",
        readonly=True,
        copy=False,
        help="The client said that it does not finish this on the provider's page. If it does all the same, the money "
        "is booked.",
    )
    billing_doubt_since = fields.Datetime(
        string="In Doubt Since",
        readonly=True,
        copy=False,
        help="The provider was asked to take the money, and its answer is not known.",
    )
    billing_doubt_reason = fields.Text(string="Why in Doubt", readonly=True, copy=False)
    billing_asked = fields.Integer(string="Times Asked", readonly=True, copy=False)
    billing_alarmed_on = fields.Datetime(string="Alarm Raised On", readonly=True, copy=False)
    billing_proof = fields.Text(string="Proof", readonly=True, copy=False, help="Why somebody set the outcome by hand.")
    billing_resolver_id = fields.Many2one("res.users", string="Outcome Set By", readonly=True, copy=False)
    billing_can_ask = fields.Boolean(related="provider_id.billing_repeats_safely", string="Can Be Asked")

    _billing_doubt_idx = models.Index("(billing_doubt_since) WHERE billing_doubt_since IS NOT NULL")
    _billing_unbooked_idx = models.Index("(last_state_change) WHERE state = 'done' AND is_post_processed IS NOT TRUE")

    # -- the one in flight --------------------------------------------------------------------------------------------

    @api.model
    def _get_billing_under_way_domain(self):
        """Payments that may still take money, or took it and are not booked yet: no other is tried beside them."""
        real = Domain("provider_code", "not in", ("none", "custom"))
        booked_later = (
            Domain("state", "=", "done")
            & Domain("is_post_processed", "=", False)
            & Domain("operation", "not in", ("refund", "validation"))
        )
        return Domain("billing_doubt_since", "!=", False) | real & (Domain("state", "in", UNDER_WAY) | booked_later)

    @api.model
    def _get_billing_begun_domain(self):
        """Payments that a client is just about to confirm at the provider's."""
        return (
            Domain("state", "=", "draft")
            & Domain("billing_given_up_on", "=", False)
            & Domain("billing_doubt_since", "=", False)
            & Domain("operation", "in", ("online_direct", "online_redirect"))
            & Domain("create_date", ">=", fields.Datetime.now() - BEGUN)
        )

    @api.model
    def _billing_paid_just_now(self, what, partner, amount, currency):
        """What the same person paid a moment ago of the same, and as much: a second tab, or a request that was sent
        again, would pay it once more, as it looks only when the first is through.

        :param what: a domain that says what is paid
        """
        paid = self.search(
            Domain(what)
            & Domain("partner_id", "=", partner.id)
            & Domain("currency_id", "=", currency.id)
            & Domain("state", "=", "done")
            & Domain("last_state_change", ">=", fields.Datetime.now() - AGAIN),
            order="id desc",
        )
        return paid.filtered(lambda tx: currency.compare_amounts(tx.amount, amount) == 0)[:1]

    def _billing_why_not_again(self):
        """What to say to somebody who pays the same again, or nothing."""
        return self and self.env._(
            "%(amount)s was paid a moment ago (%(reference)s). If you want to pay as much once more, try again in a "
            "minute.",
            amount=self.currency_id.format(self.amount),
            reference=self.reference,
        )

    # -- what is known of it ------------------------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        # Who may create none is told that, and not what is missing.
        self.browse().check_access("create")
        for vals in vals_list:
            self._billing_check_told(vals)
        return super().create(vals_list)

    def write(self, vals):
        self._billing_check_told(vals)
        if "state" in vals and not self.env.su and any(self.sudo().mapped("billing_doubt_since")):
            raise AccessError(self.env._("The outcome of a card payment in doubt is set on its own form, with proof."))
        return super().write(vals)

    @api.model
    def _billing_check_told(self, vals):
        """Doubt, proof and who began it follow from what happened; whoever may write payments cannot type them."""
        if not self.env.su and any(fname.startswith("billing_") for fname in vals):
            raise AccessError(
                self.env._("What is known of a card payment follows from what happened; it is not typed.")
            )

    def _billing_invoices(self):
        return self.invoice_ids.filtered(lambda move: move.move_type in SALE_TYPES)

    def _charge_with_token(self):
        self.ensure_one()
        if not self._billing_is_guarded():
            return super()._charge_with_token()
        self._ensure_provider_is_not_disabled()
        self._billing_begin()
        try:
            with outside.nothing_kept_on_error(self.env):
                super()._charge_with_token()
        except Exception as error:  # noqa: BLE001 - whatever went wrong here, the money may have been taken
            _logger.exception("Invoices: card payment %s is in doubt", self.reference)
            self._billing_doubt(str(error) or type(error).__name__)
        else:
            self._billing_doubt(self.env._("The provider gave no answer."))
        self._billing_book()
        return None

    # What is paid decides whether this is ours to guard, and what it must not meet. Here, invoices.

    @api.model
    def _get_billing_guarded_domain(self):
        return Domain("invoice_ids", "!=", False)

    def _billing_is_guarded(self):
        return bool(self._billing_invoices())

    def _billing_why_not_now(self):
        """Why this cannot be paid now, in words, or nothing."""
        return self._billing_invoices()._billing_why_not_charge(self.amount, self.currency_id, beside=self)

    def _billing_claim(self):
        """Of two payments of the same that begin at once, let one through: the other has to start over."""
        self._billing_invoices()._billing_claim_for_payment()

    def _billing_why_no_longer(self):
        """Why nobody may have this paid any more, in words, or nothing."""
        moves = self._billing_invoices()
        if self.currency_id.compare_amounts(self.amount, sum(moves.mapped("amount_residual"))) > 0:
            return self.env._(
                "%(invoice)s has been paid meanwhile: asking again might take the money now. Look up %(reference)s at "
                "the provider's, and set the outcome.",
                invoice=", ".join(moves.mapped("display_name")),
                reference=self.reference,
            )
        return None

    def _billing_follow_up(self):
        """What follows from the outcome, now that it is known."""
        self._billing_invoices()._billing_after_attempt(self)

    def _billing_call_person(self, summary, note):
        for move in self._billing_invoices():
            move._billing_call_person(summary, note)

    def _billing_begin(self):
        """From here on the money may be taken. Refused where another payment is under way, by the database at last:
        two that begin at once write to the same invoice, and one of them has to start over and look again."""
        if reason := self._billing_why_not_now():
            raise ValidationError(reason)
        self._billing_claim()
        self.billing_doubt_since = fields.Datetime.now()
        outside.commit(self.env)

    def _billing_doubt(self, reason):
        """No clear answer came: keep why. Without effect where one did, perhaps on another way."""
        if self.billing_doubt_since and not self.billing_doubt_reason:
            self.billing_doubt_reason = reason
            self._billing_call_pending(reason)
            self._log_message_on_linked_documents(self._billing_doubt_message())

    def _billing_call_pending(self, reason):
        """Pending, to Odoo: it neither offers another payment then, nor calls this one failed."""
        return super()._update_state(("draft",), "pending", reason)  # pylint: disable=super-method-mismatch

    def _billing_doubt_message(self):
        return self.env._(
            "It is not known whether card payment %(reference)s of %(amount)s was taken: %(reason)s",
            reference=self.reference,
            amount=self.currency_id.format(self.amount),
            reason=self.billing_doubt_reason or "",
        )

    # -- answers ------------------------------------------------------------------------------------------------------

    def _send_api_request(self, method, endpoint, **kwargs):
        """Tell refusals from requests whose answer was lost. Odoo makes one error of both."""
        try:
            return super()._send_api_request(method, endpoint, **kwargs)
        except ValidationError as error:
            if self.billing_doubt_since and self._billing_leaves_doubt(error):
                # Read by `_update_state`, where Odoo is about to call this a failure.
                self._billing_lost_answers().add(self.id)
            raise

    def _billing_lost_answers(self):
        """Attempts whose request got no answer, in this transaction of the database."""
        return self.env.cr.cache.setdefault("invoice_portal.lost_answers", set())

    @api.model
    def _billing_leaves_doubt(self, error):
        """Whether the provider may have done what it was asked for, in spite of this error."""
        cause = error.__cause__ or error.__context__
        if isinstance(cause, requests.exceptions.HTTPError):
            status = cause.response.status_code
            return status >= 500 or status in DOUBTFUL_STATUS
        return isinstance(cause, requests.exceptions.RequestException) and not isinstance(
            cause, requests.exceptions.ConnectTimeout
        )

    def _validate_amount(self, payment_data):
        """Another amount than the one asked for is an error to Odoo. To us it is a doubt: something was taken."""
        before = self.state
        result = super()._validate_amount(payment_data)
        if self.state == "error" != before and self._billing_is_guarded():
            self.write({"billing_doubt_since": fields.Datetime.now(), "billing_doubt_reason": self.state_message})
        return result

    def _update_state(self, allowed_states, target_state, state_message):
        doubtful = self._billing_without_answer() if target_state == "error" else self.browse()
        if doubtful:
            doubtful.billing_doubt_reason = state_message
            doubtful._billing_call_pending(state_message)
        answered = self - doubtful
        processed = super(PaymentTransaction, answered)._update_state(allowed_states, target_state, state_message)
        answered.filtered(lambda tx: tx.billing_doubt_since and tx.state == target_state).write(
            {"billing_doubt_since": False, "billing_doubt_reason": False, "billing_alarmed_on": False}
        )
        return processed | doubtful

    def _billing_without_answer(self):
        """Those of these whose request got lost: said once, as the next error is an answer again."""
        lost = self._billing_lost_answers()
        doubtful = self.filtered(lambda tx: tx.billing_doubt_since and tx.id in lost)
        lost.difference_update(doubtful.ids)
        return doubtful

    def _set_done(self, *, state_message=None, extra_allowed_states=()):
        # Money that came in after all is booked, also where the payment had been given up.
        if self._billing_is_guarded():
            extra_allowed_states = (*extra_allowed_states, "cancel")
        return super()._set_done(state_message=state_message, extra_allowed_states=extra_allowed_states)

    def _get_received_message(self):
        return self._billing_doubt_message() if self.billing_doubt_since else super()._get_received_message()

    # -- booking ------------------------------------------------------------------------------------------------------

    def _post_process(self):
        # A payment that was cancelled when the card seemed to fail would keep the money from being booked.
        self.filtered(lambda tx: tx.state == "done" and tx.payment_id.state == "canceled").payment_id = False
        result = super()._post_process()
        for tx in self.filtered(lambda tx: tx.state in ("done", "cancel", "error") and not tx.billing_doubt_since):
            tx._billing_follow_up()
        return result

    def _create_payment(self, **extra_create_values):
        """Of today where the company is, whoever books it: the client's request and the job would name two days in the
        evening."""
        today = local_date(fields.Datetime.now(), self.company_id.partner_id.tz)
        return super()._create_payment(**{"date": today, **extra_create_values})

    def _billing_book(self):
        """Keep what came of it, and book it now. What cannot be booked is tried again by Odoo's job, and shows in the
        list."""
        outside.commit(self.env)
        for tx in self.filtered(lambda tx: not tx.is_post_processed and not tx.billing_doubt_since):
            try:
                with outside.nothing_kept_on_error(self.env):
                    tx._post_process()
            except CONFLICTS:
                _logger.info("Invoices: booking %s met other work, leaving it to the job", tx.reference)
            except Exception:
                _logger.exception("Invoices: could not book card payment %s", tx.reference)
            outside.commit(self.env)
        if any(not tx.is_post_processed for tx in self):
            self.env.ref("payment.cron_post_process_payment_tx").sudo()._trigger()

    def _billing_is_final_refusal(self):
        """Whether trying this card again is no use. To be extended where a provider tells."""
        self.ensure_one()
        return not self.token_id.active or bool(FINAL_REFUSALS.search(self.state_message or ""))

    # -- doubts -------------------------------------------------------------------------------------------------------

    def _billing_ask(self):
        """Ask the provider once what became of this attempt. True where there is an answer."""
        self.ensure_one()
        self.billing_asked += 1
        outside.commit(self.env)
        try:
            with outside.nothing_kept_on_error(self.env):
                self._billing_ask_outcome()
        except Exception:
            _logger.exception("Invoices: could not ask for the outcome of card payment %s", self.reference)
        self._billing_book()
        return not self.billing_doubt_since

    def _billing_ask_outcome(self):
        """Have the provider say what became of this attempt, through `_process`.

        To be extended for a provider that has a request for it. As a rule the same request is made once more: under
        the same key, the provider answers what it answered, or should have answered, the first time.
        """
        self.ensure_one()
        if self._billing_why_not_repeat():
            return
        try:
            self._send_payment_request()
        except ValidationError as error:
            self._set_error(str(error))

    def _billing_why_not_repeat(self):
        """Why the provider is not asked by the same request again, in words, or nothing."""
        if not self.provider_id._billing_repeats_safely():
            return self.env._(
                "%(provider)s cannot be asked from here. Look up %(reference)s there, and set the outcome.",
                provider=self.provider_id.name,
                reference=self.reference,
            )
        if not self.token_id.active:
            return self.env._("The card is no longer kept here. Look up %s at the provider's.", self.reference)
        if self.billing_doubt_since < fields.Datetime.now() - KEY_LIVES:
            return self.env._(
                "The provider no longer recognises the request. Look up %s there, and set the outcome.", self.reference
            )
        return self._billing_why_no_longer()

    def action_billing_ask(self):
        """Ask the provider for the outcome."""
        self.ensure_one()
        attempt = self._billing_staff_sudo()
        if not attempt.billing_doubt_since:
            raise UserError(self.env._("The outcome of %s is known.", self.reference))
        if not attempt._billing_ask() and (reason := attempt._billing_why_not_repeat()):
            raise UserError(reason)
        return attempt._billing_outcome_notice()

    def action_billing_resolve(self):
        """Set the outcome by hand, with proof."""
        self.ensure_one()
        attempt = self._billing_staff_sudo()
        if not attempt.billing_doubt_since:
            raise UserError(self.env._("The outcome of %s is known.", self.reference))
        return self.env["billing.card.resolve"]._open(self)

    def _billing_resolve(self, taken, proof):
        """Somebody looked it up: the money was taken, or it was not."""
        self.ensure_one()
        proof = (proof or "").strip()
        attempt = self._billing_staff_sudo()
        if not proof:
            raise UserError(self.env._("Say how you know: where you looked, and what stands there."))
        if not attempt.billing_doubt_since:
            raise UserError(self.env._("The outcome of %s is known by now.", self.reference))
        attempt.write({"billing_proof": proof, "billing_resolver_id": self.env.uid})
        if taken:
            attempt._set_done(state_message=proof)
        else:
            attempt._set_canceled(state_message=proof, extra_allowed_states=("error",))
        values = {"who": self.env.user.name, "reference": self.reference, "proof": proof}
        attempt._log_message_on_linked_documents(
            self.env._("%(who)s found that card payment %(reference)s was taken: %(proof)s", **values)
            if taken
            else self.env._("%(who)s found that card payment %(reference)s was not taken: %(proof)s", **values)
        )
        attempt._billing_book()

    def _billing_staff_sudo(self):
        """The same, to act on: providers may be read by Odoo's administrator only. For billing staff of its company."""
        self.env["account.move"]._billing_check_staff()
        self.check_access("write")
        return self.sudo()

    def _billing_outcome_notice(self):
        """What came of an attempt, for the person who waits for it."""
        self.ensure_one()
        kind, text = self._billing_outcome()
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": kind,
                "message": text,
                "sticky": kind != "success",
                "next": {"type": "ir.actions.act_window_close"},
            },
        }

    def _billing_outcome(self):
        """`(kind of message, what came of it in words)`."""
        self.ensure_one()
        values = {"amount": self.currency_id.format(self.amount), "card": self.token_id.display_name or "", "why": ""}
        if self.billing_doubt_since:
            values["why"] = self.billing_doubt_reason or ""
            return "warning", self.env._(
                "It is not known whether %(amount)s was taken from %(card)s. %(why)s No other attempt is made until "
                "that is settled.",
                **values,
            )
        if self.state == "done":
            return "success", self.env._("%(amount)s was taken from %(card)s.", **values)
        if self.state in UNDER_WAY:
            return "info", self.env._("%(amount)s from %(card)s is under way.", **values)
        values["why"] = self.state_message or self.env._("The provider gave no reason.")
        return "danger", self.env._("%(amount)s was not taken from %(card)s. %(why)s", **values)

    # -- the job ------------------------------------------------------------------------------------------------------

    @api.model
    def _cron_billing_settle(self):
        """Ask for outcomes that are open, and call a person to what stays so, or is not booked."""
        now = fields.Datetime.now()
        doubtful = self.search([("billing_doubt_since", "<", now - ASK_AFTER[0])], order="billing_doubt_since")
        for tx in doubtful:
            if tx._billing_is_to_be_asked(now):
                tx._billing_ask()
            self.env["ir.cron"]._commit_progress(1)
        late = now - ALARM_AFTER
        forgotten = self.search(
            Domain("billing_alarmed_on", "=", False)
            & (
                Domain("billing_doubt_since", "<", late)
                | Domain("state", "=", "done")
                & Domain("is_post_processed", "=", False)
                & Domain("last_state_change", "<", late)
                & self._get_billing_guarded_domain()
            )
        )
        for tx in forgotten:
            tx._billing_alarm()
            self.env["ir.cron"]._commit_progress(1)

    def _billing_is_to_be_asked(self, now):
        return (
            self.billing_asked < len(ASK_AFTER)
            and self.billing_doubt_since < now - ASK_AFTER[self.billing_asked]
            and not self._billing_why_not_repeat()
        )

    def _billing_alarm(self):
        self.billing_alarmed_on = fields.Datetime.now()
        summary = (
            self.env._("Card payment %s: find out whether it was taken", self.reference)
            if self.billing_doubt_since
            else self.env._("Card payment %s was taken, but could not be booked", self.reference)
        )
        self._billing_call_person(summary, self.billing_doubt_reason or self.state_message or "")
