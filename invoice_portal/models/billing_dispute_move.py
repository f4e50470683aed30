from datetime import timedelta

from odoo import api, fields, models
from odoo.fields import Command
from odoo.tools import SQL, format_date

from ..tools.local_time import local_date
from .billing_dispute import OPEN, WITHDRAWN, finite


class AccountMove(models.Model):
    """What a client objects to on an invoice: that much waits, and nothing else."""

    _inherit = "account.move"

    billing_dispute_ids = fields.One2many(
        "billing.dispute", "move_id", string="Objections", readonly=True, groups="invoice_portal.group_billing_user"
    )
    billing_dispute_count = fields.Integer(
        compute="_compute_billing_contested", groups="invoice_portal.group_billing_user"
    )
    billing_contested = fields.Monetary(
        string="Contested",
        compute="_compute_billing_contested",
        groups="invoice_portal.group_billing_user",
        help="How much of what is due the client objects to. It is neither charged nor reminded of by itself.",
    )

    @api.depends("billing_dispute_ids.state", "billing_dispute_ids.amount", "billing_dispute_ids.resume_on")
    @api.depends("amount_residual")
    def _compute_billing_contested(self):
        contested = self._billing_contested_sudo()
        for move in self:
            move.billing_dispute_count = len(move.billing_dispute_ids)
            move.billing_contested = contested.get(move._origin, 0)

    @api.private
    def _billing_contested_sudo(self):
        """`{invoice: how much of what is due waits}`: what is contested, or was declined a few days ago.

        Elevated to sum up only; for all invoices at once.
        """
        now = fields.Datetime.now()
        disputes = (
            self.env["billing.dispute"]
            .sudo()
            .search(
                [
                    ("move_id", "in", self._origin.ids),
                    "|",
                    ("state", "=", OPEN),
                    # Somewhere it is still that day.
                    ("resume_on", ">=", now.date() - timedelta(days=1)),
                ]
            )
        )
        contested = {}
        for dispute in disputes:
            move = self.browse(dispute.move_id.id)
            if dispute.state == OPEN or dispute.resume_on > local_date(now, move._billing_zone()):
                contested[move] = contested.get(move, 0) + dispute.amount
        return {
            move: waiting
            for move, amount in contested.items()
            if (waiting := min(move.currency_id.round(amount), move.amount_residual)) > 0
        }

    @api.private
    def _billing_claim_for_dispute(self):
        """Of this and a charge of the card, or of two answers, the database lets one through at a time.

        The row is changed, not only held: a job that looked before would otherwise not notice. In SQL, as that is no
        change of the invoice.
        """
        self.flush_recordset()
        self.env.cr.execute(
            SQL("UPDATE account_move SET write_date = %s WHERE id IN %s", fields.Datetime.now(), self._ids or (0,))
        )

    # -- may it be contested ------------------------------------------------------------------------------------------

    @api.private
    def _billing_why_not_object(self, line):
        """Why this user cannot object to this line now, in words, or nothing.

        Paid invoices included: many are paid by themselves before anybody reads them. What is given back then stands to
        the client's credit.
        """
        self.ensure_one()
        # Elevated to read settings, lines and earlier objections of an invoice that the user may read.
        move, line = self.sudo(), line.sudo()
        if not move._billing_is_of(self.env.user):
            return self.env._("Only the client can object to an invoice.")
        if not move.company_id.billing_dispute_allowed:
            return self.env._("Please contact us where something is wrong with this invoice.")
        if move.move_type != "out_invoice" or move.state != "posted":
            return self.env._("Only finalized invoices can be objected to.")
        if move.billing_status == "void":
            return self.env._("%s is void: nothing is due any more.", move.name)
        if line.move_id != move or line.display_type != "product" or line.price_total <= 0:
            return self.env._("There is no such item on %s.", move.name)
        if line.billing_dispute_ids.filtered(lambda dispute: dispute.state == OPEN):
            return self.env._("You have objected to this item already. We will answer.")
        if move._billing_objecting_is_over():
            return move._billing_why_object_too_late()
        if move.currency_id.compare_amounts(line._billing_contestable(), 0) <= 0:
            return self.env._("All of this item was credited or answered already.")
        return None

    def _billing_why_object_too_late(self):
        return self.env._(
            "Items can be objected to for %s days after the date of the invoice. Please contact us.",
            self.company_id.billing_dispute_days,
        )

    def _billing_object_until(self):
        """The last day for objections, in words; nothing where there is none."""
        days = self.company_id.billing_dispute_days
        return days and format_date(self.env, self.invoice_date + timedelta(days=days))

    def _billing_objecting_is_over(self):
        days = self.company_id.billing_dispute_days
        today = local_date(fields.Datetime.now(), self._billing_zone())
        return bool(days) and today > self.invoice_date + timedelta(days=days)

    # -- what waits and what goes on ----------------------------------------------------------------------------------

    def _billing_autopay_amount(self):
        """What is contested is not charged by itself; where nothing else is left, the invoice waits."""
        return super()._billing_autopay_amount() - self._billing_contested_sudo().get(self, 0)

    def _billing_autopay(self):
        # Remembered before the day is taken off: only what was to be charged by itself is planned again.
        if self.billing_autopay_date:
            # What others have committed since the invoice before counts.
            self.env["billing.dispute"].invalidate_model()
            self.env["billing.dispute"].sudo().search([("move_id", "=", self.id)])._hold_charge()
        return super()._billing_autopay()

    def _billing_resume_charging(self, dispute):
        """Plan again what was to be charged by itself, not before the days of grace are over."""
        self.ensure_one()
        if not dispute.charge_held or self.amount_residual <= 0:
            return
        planned = self.billing_autopay_date
        if planned or self._billing_plan_autopay():
            self.billing_autopay_date = max(
                filter(None, (planned or self.billing_autopay_date, dispute.resume_on)),
            )

    def _billing_why_nothing_due(self):
        contested = self._billing_contested_sudo().get(self, 0)
        if contested and self.currency_id.compare_amounts(contested, self.amount_residual) >= 0:
            return self.env._("All that is due is contested: it waits for the answer")
        return super()._billing_why_nothing_due()

    # -- the credit note ----------------------------------------------------------------------------------------------

    def _post(self, soft=True):
        posted = super()._post(soft)
        notes = posted.filtered(lambda move: move.move_type == "out_refund")
        # Elevated: who confirms a credit note in Accounting need not be billing staff.
        disputes = (
            self.env["billing.dispute"].sudo().search([("credit_note_id", "in", notes.ids), ("state", "=", OPEN)])
            if notes
            else ()
        )
        for dispute in disputes:
            dispute._accept(dispute.credit_note_id)
        return posted

    def _billing_why_not_void(self):
        if reason := super()._billing_why_not_void():
            return reason
        waiting = self.sudo().billing_dispute_ids.filtered("credit_note_waits").credit_note_id
        if waiting:
            return self.env._(
                "A credit note for a contested item of %s is drafted. Confirm or delete it first.", self.display_name
            )
        return None

    @api.private
    def _billing_mark_void(self, reversal, reason):
        result = super()._billing_mark_void(reversal, reason)
        # Nothing is due any more: that is what whoever objected wanted.
        self.sudo().billing_dispute_ids.filtered(lambda dispute: dispute.state == OPEN)._accept(reversal)
        return result

    # -- what mails say -----------------------------------------------------------------------------------------------

    def _billing_dispute_facts(self):
        """What the mail at hand says; in the preview of a template, nothing in particular. In the reader's language."""
        dispute = self.env["billing.dispute"].browse(self.env.context.get("billing_dispute_id"))
        dispute = dispute.exists().filtered(lambda one: one.move_id == self)
        kinds = dict(dispute._fields["kind"]._description_selection(self.env))
        note = dispute.credit_note_id
        return {
            "line": dispute._line_name() if dispute else "",
            "amount": self.currency_id.format(dispute.amount),
            "kind": kinds.get(dispute.kind, ""),
            "words": dispute.words or "",
            "answer": dispute.answer or "",
            "author": dispute.author_id.name or "",
            "note": note.name if note.state == "posted" else "",
            "credited": note.currency_id.format(note.amount_total) if note else "",
            "resume_on": dispute.resume_on,
            "due": self.currency_id.compare_amounts(self.amount_residual, 0) > 0,
        }

    # -- buttons ------------------------------------------------------------------------------------------------------

    def action_billing_disputes(self):
        """What the client objects to on this invoice."""
        self.ensure_one()
        self._billing_check_staff()
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal.action_billing_disputes")
        return dict(action, domain=[("move_id", "=", self.id)], context={})


class AccountMoveLine(models.Model):
    _inherit = "account.move.line"

    billing_dispute_ids = fields.One2many(
        "billing.dispute", "line_id", string="Objections", readonly=True, groups="invoice_portal.group_billing_user"
    )

    def _billing_total_after_discount(self):
        """What this item costs in the end: with taxes, less its share of the invoice's overall discount."""
        self.ensure_one()
        items = self.move_id.invoice_line_ids.filtered(
            lambda line: line.display_type == "product" and line.tax_ids == self.tax_ids
        )
        discounts = items.filtered("billing_overall_discount")
        before = sum((items - discounts).mapped("price_total"))
        share = 1 + sum(discounts.mapped("price_total")) / before if before and discounts else 1
        return self.currency_id.round(self.price_total * share)

    def _billing_contestable(self):
        """How much of this item can be contested: what was contested and not withdrawn is answered, or will be; and no
        more than is left of the invoice after its credit notes."""
        self.ensure_one()
        # Elevated to read all that was said of this invoice, by whomever of the client.
        line = self.sudo()
        move = line.move_id
        before = line.billing_dispute_ids.filtered(lambda dispute: dispute.state != WITHDRAWN)
        elsewhere = (move.billing_dispute_ids - before).filtered(lambda dispute: dispute.state == OPEN)
        credited = move.reversal_move_ids.filtered(lambda note: note.state == "posted")
        return move.currency_id.round(
            max(
                0,
                min(
                    line._billing_total_after_discount() - sum(before.mapped("amount")),
                    move.amount_total - sum(credited.mapped("amount_total")) - sum(elsewhere.mapped("amount")),
                ),
            )
        )

    def _billing_portal_objections(self, user):
        """What was objected to about this item, and whether more can be, for the page of its invoice.

        Who has only the link to the invoice is offered to object (and to log in for that), and told nothing of what
        others said. Elevated as the page itself is, for `user`, whose right to see it was asked for before.
        """
        self.ensure_one()
        line = self.with_user(user).sudo()
        move = line.move_id
        if user._is_public():
            may = move.company_id.billing_dispute_allowed and move.move_type == "out_invoice" and line.price_total > 0
            over = move._billing_objecting_is_over()
            return {
                "objections": [],
                "may_object": may and not over,
                "until": may and over and move._billing_object_until(),
            }
        own = move._billing_is_of(user)
        objections = line.billing_dispute_ids._portal_values() if own else []
        why_not = own and move._billing_why_not_object(line)
        # What else stands against it says more than that it is late: an objection, or that nothing is due any more.
        until = why_not and not objections and why_not == move._billing_why_object_too_late()
        return {
            "objections": objections,
            "may_object": own and not why_not,
            "until": until and move._billing_object_until(),
        }

    def _billing_why_not_contest(self, amount):
        """Why this much of the item cannot be contested, in words, or nothing."""
        most = self._billing_contestable()
        if not finite(amount) or self.currency_id.compare_amounts(amount, 0) <= 0:
            return self.env._("Type an amount above zero.")
        if self.currency_id.compare_amounts(amount, most) > 0:
            return self.env._("At most %s of this item can be contested.", self.currency_id.format(most))
        return None

    def _billing_draft_credit_note(self, amount):
        """A draft that credits this much of this item, taxes included and to the cent, by Odoo's own reversal."""
        self.ensure_one()
        move = self.move_id
        day = move._billing_void_entry_date()
        lang = move.partner_id.lang or self.env.lang
        return move._reverse_moves(
            [
                {
                    "ref": self.with_context(lang=lang).env._("Credit for %s", move.name),
                    "date": day,
                    "invoice_date": day,
                    "invoice_date_due": day,
                    "invoice_payment_term_id": False,
                    "invoice_currency_rate": move.invoice_currency_rate,
                    "invoice_user_id": move.invoice_user_id.id,
                    "invoice_origin": move.invoice_origin,
                    "billing_project_id": move.billing_project_id.id,
                    "line_ids": [Command.create(self._prepare_billing_credit_line(amount))],
                }
            ]
        )

    def _prepare_billing_credit_line(self, amount):
        """Values of the line that credits this much: Odoo's engine splits it into price and taxes."""
        engine, move = self.env["account.tax"], self.move_id
        base_lines = [move._prepare_product_base_line_for_taxes_computation(self)]
        engine._add_tax_details_in_base_lines(base_lines, move.company_id)
        engine._round_base_lines_tax_details(base_lines, move.company_id)
        (base_line,) = engine._reduce_base_lines_to_target_amount(
            base_lines=base_lines,
            company=move.company_id,
            amount_type="fixed",
            amount=amount,
            computation_key="billing_dispute",
        )
        engine._fix_base_lines_tax_details_on_manual_tax_amounts([base_line], move.company_id)
        move._billing_settle_discount(base_line)
        return {
            "display_type": "product",
            "name": self.name,
            "product_id": self.product_id.id,
            "account_id": self.account_id.id,
            "quantity": 1,
            "price_unit": base_line["price_unit"],
            "discount": 0,
            "tax_ids": [Command.set(self.tax_ids.ids)],
            "extra_tax_data": engine._export_base_line_extra_tax_data(base_line),
            "analytic_distribution": self.analytic_distribution,
            "billing_period_start": self.billing_period_start,
            "billing_period_end": self.billing_period_end,
        }
