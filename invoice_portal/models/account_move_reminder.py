from datetime import date
from typing import NamedTuple

from odoo import api, fields, models
from odoo.fields import Domain
from odoo.tools import format_date
from odoo.tools.misc import formatLang

from ..tools.interest import Overdue
from ..tools.local_time import local_date


class Instalment(NamedTuple):
    """What is still due of an invoice by a date, in its currency and in the company's."""

    date: date
    amount: float
    amount_company: float


class Standing(NamedTuple):
    """How an open invoice stands on its client's own day. Instalments fall due one by one."""

    day: date
    # The first date by which something is still due, and how much: all that is overdue or, before that, what falls
    # due on that date. Once more in the currency of the company.
    due: date
    amount: float
    amount_company: float
    # The instalments whose date has passed.
    overdue: tuple[Overdue, ...]

    @property
    def days(self):
        return (self.day - self.due).days


class AccountMove(models.Model):
    """What is said to the client of an invoice that is overdue, and what keeps it from being said."""

    _name = "account.move"
    _inherit = ["account.move", "billing.reminder.pausable"]

    billing_reminder_ids = fields.One2many(
        "billing.reminder", "move_id", string="Reminders", readonly=True, groups="invoice_portal.group_billing_user"
    )
    billing_reminder_count = fields.Integer(
        string="Reminders Sent",
        compute="_compute_billing_reminder_count",
        groups="invoice_portal.group_billing_user",
    )
    billing_reminder_next = fields.Char(
        string="Next Reminder",
        compute="_compute_billing_reminder_next",
        groups="invoice_portal.group_billing_user",
        help="Which level comes next, and when; or what holds it.",
    )
    billing_reminder_paused_until = fields.Date(
        string="Reminders Paused Until",
        copy=False,
        groups="invoice_portal.group_billing_user",
        help="The last day on which the client is not reminded of this invoice.",
    )
    billing_reminder_pause_reason = fields.Char(
        string="Why Reminders Are Paused", copy=False, groups="invoice_portal.group_billing_user"
    )

    @api.depends("billing_reminder_ids.state")
    def _compute_billing_reminder_count(self):
        for move in self:
            move.billing_reminder_count = len(
                move.billing_reminder_ids.filtered(lambda reminder: reminder.state == "sent")
            )

    @api.depends("billing_reminder_ids.fate", "amount_residual", "billing_reminder_paused_until", "payment_state")
    def _compute_billing_reminder_next(self):
        standings = self._billing_standings()
        upcoming = self.env["billing.reminder"]._next_levels(standings)
        for move in self:
            if move not in standings:
                open_still = move.state == "posted" and move.move_type == "out_invoice" and move.amount_residual > 0
                move.billing_reminder_next = open_still and move._billing_why_nothing_due()
            elif reason := move._billing_reminder_hold_reason():
                move.billing_reminder_next = reason
            elif move not in upcoming:
                move.billing_reminder_next = self.env._("None: the highest level was reached")
            else:
                move.billing_reminder_next = move._billing_reminder_outlook(upcoming[move], standings[move])

    def _billing_reminder_outlook(self, following, standing):
        """Which level comes next and when, in words."""
        text = self.env._(
            "%(level)s on %(day)s",
            level=following.level.name,
            day=format_date(self.env, max(following.day, standing.day)),
        )
        if not self.company_id.billing_reminders:
            return self.env._("%s, if somebody sends it: reminders are turned off", text)
        if reason := self.env["billing.reminder"]._why_not_by_itself(self, standing):
            return self.env._("%(next)s, if somebody sends it: %(reason)s", next=text, reason=reason)
        return text

    # -- what is due --------------------------------------------------------------------------------------------------

    @api.model
    def _get_billing_reminder_domain(self, company):
        """The invoices of which clients can be reminded: finalized ones on which something is still due."""
        return (
            Domain("company_id", "=", company.id)
            & Domain("move_type", "=", "out_invoice")
            & Domain("state", "=", "posted")
            & Domain("payment_state", "in", ("not_paid", "partial", "blocked"))
            & Domain("amount_residual", ">", 0)
            & Domain("billing_void_move_id", "=", False)
        )

    def _billing_standings(self):
        """`{invoice: Standing}` of those among these on which something is due."""
        moves = self.browse(self._origin.ids).filtered(
            lambda move: (
                move.move_type == "out_invoice"
                and move.state == "posted"
                and move.payment_state in ("not_paid", "partial", "blocked")
                and not move.billing_void_move_id
            )
        )
        instalments = (
            self.env["account.move.line"]
            .search_fetch(
                [
                    ("move_id", "in", moves.ids),
                    ("display_type", "=", "payment_term"),
                    ("reconciled", "=", False),
                    ("amount_residual_currency", ">", 0),
                    ("date_maturity", "!=", False),
                ],
                ["move_id", "date_maturity", "amount_residual", "amount_residual_currency"],
                order="date_maturity, id",
            )
            .grouped("move_id")
        )
        now = fields.Datetime.now()
        days = {}
        standings = {}
        contested = moves._billing_contested_sudo()
        for move in moves:
            parts = [
                Instalment(line.date_maturity, line.amount_residual_currency, line.amount_residual)
                for line in instalments.get(move, ())
            ]
            if parts := move._billing_less(parts, contested.get(move, 0)):
                zone = move._billing_zone()
                if zone not in days:
                    days[zone] = local_date(now, zone)
                standings[move] = move._billing_standing(parts, days[zone])
        return standings

    def _billing_standing(self, parts, today):
        first = parts[0].date
        overdue = [part for part in parts if part.date < today]
        counted = overdue or [part for part in parts if part.date == first]
        return Standing(
            day=today,
            due=first,
            amount=self.currency_id.round(sum(part.amount for part in counted)),
            amount_company=sum(part.amount_company for part in counted),
            overdue=tuple(Overdue(part.amount, part.date) for part in overdue),
        )

    def _billing_less(self, parts, amount):
        """Instalments without so much of them, taken off those first that are due first."""
        kept = []
        for part in parts:
            off = min(amount, part.amount)
            amount = self.currency_id.round(amount - off)
            if not off:
                kept.append(part)
            elif self.currency_id.compare_amounts(part.amount, off) > 0:
                left = self.currency_id.round(part.amount - off)
                kept.append(part._replace(amount=left, amount_company=part.amount_company * left / part.amount))
        return kept

    def _billing_why_nothing_due(self):
        """Why nothing is asked for of this invoice, in words, or False. Extend it; call super where you know none."""
        self.ensure_one()
        return False

    def _billing_reminder_hold_reason(self):
        """What keeps the client from being reminded of this invoice now, in words, or False.

        Extend it, and call super first: whatever may still bring the money is a reason to wait.
        """
        self.ensure_one()
        if self.payment_state == "blocked":
            return self.env._("In dispute: its payment is blocked")
        if self.no_followup:
            return self.env._("Excluded from follow-ups in Accounting")
        # Elevated to read payments. Read for all invoices at once; only those that have any are looked at closer.
        if self.sudo().transaction_ids and (under_way := self._billing_transactions_under_way_sudo()):
            return self.env._("A payment is under way (%s)", under_way[0].reference)
        if self.billing_autopay_date:
            return self.env._("The card is charged on %s", format_date(self.env, self.billing_autopay_date))
        return self._billing_reminder_pause() or False

    def _billing_reminder_pause(self):
        """Until when and why the client is not reminded of this invoice, in words, or nothing."""
        self.ensure_one()
        client = self.commercial_partner_id.with_company(self.company_id)
        for until, reason in (
            (self.billing_reminder_paused_until, self.billing_reminder_pause_reason),
            (client.billing_reminder_paused_until, client.billing_reminder_pause_reason),
        ):
            if until and until >= local_date(fields.Datetime.now(), self._billing_zone()):
                return self.env._(
                    "Paused until %(day)s (%(reason)s)", day=format_date(self.env, until), reason=reason or "–"
                )
        return None

    # -- what the mail says -------------------------------------------------------------------------------------------
    # Called by the templates, on the first of the invoices that a mail is about.

    def _billing_reminder_facts(self):
        """What the mail at hand is about; in the preview of a template, this invoice alone."""
        if facts := self.env.context.get("billing_reminder_facts"):
            return facts
        standings = self._billing_standings()
        return self._prepare_billing_reminder_facts(
            {move: (standings[move].due, standings[move].amount) for move in standings}
        )

    @api.model
    def _prepare_billing_reminder_facts(self, invoices, upcoming=None, fee=0, interest=0):
        """:param invoices: `{invoice: (due date, amount)}` of what is overdue, `upcoming` of what will be due soon"""

        def by_due_date(of):
            return {move.id: of[move] for move in sorted(of, key=lambda move: (of[move][0], move.id))}

        return {
            "invoices": by_due_date(invoices),
            "upcoming": by_due_date(upcoming or {}),
            "fee": fee,
            "interest": interest,
        }

    def _billing_reminder_numbers(self):
        """For a subject: the number, or the first one and how many more there are."""
        facts = self._billing_reminder_facts()
        moves = self.browse([*facts["invoices"], *facts["upcoming"]]) or self
        if len(moves) == 1:
            # Of a draft, in the preview of a template, there is none.
            return moves.name or ""
        return self.env._("%(number)s and %(count)s more", number=moves[0].name, count=len(moves) - 1)

    def _billing_reminder_total(self):
        """What is due in all, formatted."""
        facts = self._billing_reminder_facts()
        return self._billing_reminder_money(sum(amount for _due, amount in facts["invoices"].values()))

    def _billing_reminder_money(self, amount):
        return formatLang(self.env, amount, currency_obj=self.currency_id)

    def _billing_reminder_table(self):
        """The invoices: number, date, due date, total, balance, and what is due in all."""
        facts = self._billing_reminder_facts()
        return self.env["ir.qweb"]._render(
            "invoice_portal.reminder_invoices",
            {
                "money": self._billing_reminder_money,
                "day": lambda value: format_date(self.env, value),
                "overdue": self._billing_reminder_rows(facts["invoices"]),
                "upcoming": self._billing_reminder_rows(facts["upcoming"]),
                "total": self._billing_reminder_total(),
                "fee": facts["fee"] and self._billing_reminder_money(facts["fee"]),
                "interest": facts["interest"] and self._billing_reminder_money(facts["interest"]),
            },
        )

    def _billing_reminder_rows(self, amounts):
        moves = self.browse(amounts)
        contested = moves._billing_contested_sudo()
        return [
            {
                "move": move,
                "url": f"{move.get_base_url()}{move.get_portal_url()}",
                "due": amounts[move.id][0],
                "amount": amounts[move.id][1],
                "contested": contested.get(move, 0),
                "later": self.currency_id.round(move.amount_residual - amounts[move.id][1] - contested.get(move, 0)),
            }
            for move in moves
        ]

    def _billing_reminder_how_to_pay(self):
        """Where to pay: on the portal or, where the invoices name an account, by transfer."""
        facts = self._billing_reminder_facts()
        moves = self.browse([*facts["invoices"], *facts["upcoming"]])
        return self.env["ir.qweb"]._render(
            "invoice_portal.reminder_how_to_pay",
            {
                "move": self,
                "only": len(moves) == 1 and f"{moves.get_base_url()}{moves.get_portal_url()}",
                "bank": self.partner_bank_id,
                "references": ", ".join(move.payment_reference or move.name for move in moves),
            },
        )

    # -- buttons ------------------------------------------------------------------------------------------------------

    def action_billing_remind(self):
        """Send Reminder Now: show what it will say and do, and ask."""
        self._billing_check_staff()
        return self.env["billing.reminder.send"]._open(self)

    def action_billing_reminders(self):
        """The log of this invoice."""
        self.ensure_one()
        self._billing_check_staff()
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal.action_billing_reminders")
        return dict(action, domain=[("move_id", "=", self.id)], context={})
