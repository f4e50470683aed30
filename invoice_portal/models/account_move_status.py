from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import SQL, format_date

from odoo.addons.web.controllers.utils import clean_action

from ..tools.local_time import day_bounds, local_date, zones_off_utc_date

STATUSES = [
    ("draft", "Draft"),
    ("finalized", "Finalized"),
    ("sent", "Sent"),
    ("partial", "Partially Paid"),
    ("overdue", "Overdue"),
    ("paid", "Paid"),
    ("cancelled", "Cancelled"),
    ("void", "Void"),
]
SALE_TYPES = ("out_invoice", "out_refund", "out_receipt")


class AccountMove(models.Model):
    """`billing_status`: where a customer invoice stands, and which moves are allowed from there.

    The status is a function of what Odoo keeps and of today's date where the client lives. Nothing stores it, so no job
    has to keep it right; `_field_to_sql` is the same function for filters, groups and sorting. Change both together:
    `test_status` holds them equal.
    """

    _name = "account.move"
    _inherit = ["account.move", "billing.state.order"]
    _billing_state_field = "billing_status"

    billing_status = fields.Selection(
        STATUSES,
        compute="_compute_billing_status",
        search="_search_billing_status",
        compute_sudo=True,
    )
    billing_balance = fields.Monetary(
        string="Balance",
        compute="_compute_billing_balance",
        help="What is still due, in the currency of the invoice; below zero what is owed to the client. Of what was "
        "cancelled, nothing is due.",
    )
    billing_moves = fields.Json(compute="_compute_billing_moves", exportable=False, groups="base.group_user")

    @api.depends(
        "move_type",
        "state",
        "payment_state",
        "is_move_sent",
        "billing_mail_ids.kind",
        "billing_mail_ids.sent_on",
        "billing_void_move_id",
        "invoice_date_due",
        "commercial_partner_id.tz",
        "line_ids.date_maturity",
        "line_ids.reconciled",
    )
    def _compute_billing_status(self):
        now = fields.Datetime.now()
        due_dates = self._billing_next_due_dates()
        for move in self:
            if move.move_type not in SALE_TYPES:
                move.billing_status = False
            elif move.state == "draft":
                move.billing_status = "draft"
            elif move.state == "cancel":
                move.billing_status = "cancelled"
            elif move.billing_void_move_id or move.payment_state == "reversed":
                move.billing_status = "void"
            elif move.payment_state in ("paid", "in_payment", "invoicing_legacy"):
                move.billing_status = "paid"
            elif move.move_type != "out_refund" and (
                due_dates.get(move._origin.id, move.invoice_date_due) or fields.Date.to_date("9999-12-31")
            ) < local_date(now, move._billing_zone()):
                move.billing_status = "overdue"
            elif move.payment_state == "partial":
                move.billing_status = "partial"
            else:
                move.billing_status = "sent" if move._billing_is_sent() else "finalized"

    def _billing_is_sent(self):
        """Whether a mail server took it. Odoo's own mark counts where no mail of ours was asked for: it is set as soon
        as the document is made, and by hand."""
        mails = self.billing_mail_ids.filtered(lambda mail: mail.kind == "invoice")
        return bool(mails.filtered("sent_on")) if mails else self.is_move_sent

    @api.depends("amount_residual", "move_type", "state")
    def _compute_billing_balance(self):
        for move in self:
            sign = 0 if move.state == "cancel" else -1 if move.move_type == "out_refund" else 1
            move.billing_balance = sign * move.amount_residual

    def _billing_zone(self):
        """The time zone in which this invoice's due date passes: the client's, else the company's."""
        return self.commercial_partner_id.tz or self.company_id.partner_id.tz or "UTC"

    def _billing_next_due_dates(self):
        """The first date by which money is still due, per posted invoice: instalments fall due one by one."""
        open_ids = [move._origin.id for move in self if move.state == "posted" and move.payment_state != "paid"]
        terms = self.env["account.move.line"]._read_group(
            [
                ("move_id", "in", open_ids),
                ("display_type", "=", "payment_term"),
                ("reconciled", "=", False),
                ("date_maturity", "!=", False),
            ],
            ["move_id"],
            ["date_maturity:min"],
        )
        return {move.id: due for move, due in terms}

    def _field_to_sql(self, alias, fname, query=None):
        def column(name):
            return self._field_to_sql(alias, name, query)

        if fname == "billing_balance":
            return SQL(
                """CASE
                    WHEN %(state)s = 'cancel' THEN 0
                    WHEN %(move_type)s = 'out_refund' THEN -%(due)s
                    ELSE %(due)s
                END""",
                state=column("state"),
                move_type=column("move_type"),
                due=column("amount_residual"),
            )
        if fname != "billing_status":
            return super()._field_to_sql(alias, fname, query)
        return SQL(
            """CASE
                WHEN %(move_type)s NOT IN %(sale_types)s THEN NULL
                WHEN %(state)s = 'draft' THEN 'draft'
                WHEN %(state)s = 'cancel' THEN 'cancelled'
                WHEN %(void)s IS NOT NULL OR %(payment_state)s = 'reversed' THEN 'void'
                WHEN %(payment_state)s IN ('paid', 'in_payment', 'invoicing_legacy') THEN 'paid'
                WHEN %(move_type)s != 'out_refund' AND %(due)s THEN 'overdue'
                WHEN %(payment_state)s = 'partial' THEN 'partial'
                WHEN %(sent)s THEN 'sent'
                ELSE 'finalized'
            END""",
            sale_types=SALE_TYPES,
            move_type=column("move_type"),
            state=column("state"),
            void=column("billing_void_move_id"),
            payment_state=column("payment_state"),
            sent=self._billing_sent_sql(column),
            due=self._billing_overdue_sql(alias, column),
        )

    def _billing_sent_sql(self, column):
        mail = self.env["billing.mail"]
        return SQL(
            """COALESCE((
                SELECT bool_or(%(sent_on)s IS NOT NULL) FROM billing_mail mail
                 WHERE %(move)s = %(id)s AND %(kind)s = 'invoice'
            ), %(marked)s)""",
            sent_on=mail._field_to_sql("mail", "sent_on"),
            move=mail._field_to_sql("mail", "move_id"),
            kind=mail._field_to_sql("mail", "kind"),
            id=column("id"),
            marked=column("is_move_sent"),
        )

    def _billing_overdue_sql(self, alias, column):
        """Whether the first unpaid due date lies before today, in the client's zone.

        Only dates within a day of UTC's need the client's zone looked up.
        """
        now = fields.Datetime.now()
        earliest, latest = day_bounds(now)
        behind, ahead = zones_off_utc_date(now)
        line = self.env["account.move.line"]
        partner = self.env["res.partner"]
        due = SQL(
            """COALESCE((
                SELECT min(%(maturity)s) FROM account_move_line term
                 WHERE %(move)s = %(id)s AND %(display_type)s = 'payment_term' AND %(reconciled)s IS NOT TRUE
            ), %(due)s)""",
            id=column("id"),
            due=column("invoice_date_due"),
            maturity=line._field_to_sql("term", "date_maturity"),
            move=line._field_to_sql("term", "move_id"),
            display_type=line._field_to_sql("term", "display_type"),
            reconciled=line._field_to_sql("term", "reconciled"),
        )
        zone = SQL(
            """COALESCE(
                (SELECT %(tz)s FROM res_partner client WHERE client.id = %(client)s),
                (SELECT owner.tz FROM res_company company JOIN res_partner owner ON owner.id = company.partner_id
                  WHERE company.id = %(company)s),
                'UTC'
            )""",
            tz=partner._field_to_sql("client", "tz"),
            client=column("commercial_partner_id"),
            company=column("company_id"),
        )
        return SQL(
            """(SELECT CASE
                    WHEN first.due < %(earliest)s THEN TRUE
                    WHEN first.due >= %(latest)s THEN FALSE
                    ELSE first.due < (CASE
                        WHEN %(zone)s IN %(behind)s THEN %(earliest)s
                        WHEN %(zone)s IN %(ahead)s THEN %(latest)s
                        ELSE %(today)s
                    END)
                END FROM (SELECT %(due)s AS due) first)""",
            due=due,
            zone=zone,
            earliest=earliest,
            latest=latest,
            today=now.date(),
            # Tuples, as pivots want their terms hashable; and SQL wants none empty.
            behind=(*behind, ""),
            ahead=(*ahead, ""),
        )

    @api.model
    def _search_billing_status(self, operator, value):
        if operator != "in":
            return NotImplemented
        statuses = tuple(status for status in value if status) or ("",)

        def matches(model, alias, query):
            return SQL("%s IN %s", model._field_to_sql(alias, "billing_status", query), statuses)

        found = Domain.custom(to_sql=matches, predicate=lambda move: move.billing_status in statuses)
        # The cheap half of the answer first: it has an index, and spares the expression most rows.
        narrowed = Domain("move_type", "in", SALE_TYPES) & found
        return narrowed | Domain("move_type", "not in", SALE_TYPES) if False in value else narrowed

    # -- the Status dropdown ------------------------------------------------------------------------------------------

    def _billing_moves_from(self):
        """The moves that lead on from here: `{target: label}`, in the order in which they are offered."""
        self.ensure_one()
        if self.move_type not in SALE_TYPES:
            return {}
        moves = {
            "draft": {
                "finalized": self.env._("Finalize & Lock"),
                "cancelled": self.env._("Cancel"),
                "deleted": self.env._("Delete draft"),
            },
            "cancelled": {"draft": self.env._("Back to draft"), "deleted": self.env._("Delete")},
            "void": {},
        }.get(self.billing_status)
        if moves is None:
            moves = {"sent": self.env._("Send"), "paid": self.env._("Mark as paid"), "void": self.env._("Void")}
        return {target: label for target, label in moves.items() if not self._billing_why_not(target)}

    def _billing_why_not(self, target):
        """Why this invoice cannot go to `target` now, in words, or nothing. Extend it, and call super first."""
        self.ensure_one()
        status, name = self.billing_status, self._billing_label()
        if not status:
            return self.env._("%s is not a customer invoice.", name)
        if target == "deleted" and status == "cancelled":
            # Without a number it leaves no gap in the books, whoever bills its charges by now.
            return self.env._("%s had been posted, and is kept.", name) if self.posted_before else None
        if target in ("finalized", "cancelled", "deleted") and status != "draft":
            if target == status == "cancelled":
                return self.env._("%s is already cancelled.", name)
            if status == "cancelled":
                return self.env._("%s is cancelled. Take it back to draft first.", name)
            if target == "finalized":
                return self.env._("%s is already finalized.", name)
            return self.env._("%s is finalized: it can be voided, but neither cancelled nor deleted.", name)
        if target == "draft" and status != "cancelled":
            if status == "draft":
                return self.env._("%s is a draft already.", name)
            return self._billing_locked_message() if self.billing_locked else None
        if target == "finalized":
            return self._billing_why_not_finalize()
        if target in ("sent", "paid", "void") and status in ("draft", "cancelled"):
            return self.env._("Finalize %s first.", name)
        if target in ("sent", "paid") and status == "void":
            return self.env._("%s is void: nothing is due any more.", name)
        if target == "paid" and status == "paid":
            return self.env._("%s is paid already.", name)
        if target == "void":
            return self._billing_why_not_void()
        return None

    def _billing_label(self):
        """What a message calls this invoice: a draft has no number yet, and there may be several."""
        self.ensure_one()
        if self.name and self.name != "/":
            return self.display_name
        return self.env._(
            "Draft of %(date)s for %(client)s",
            date=format_date(self.env, self.create_date),
            client=self.partner_id.display_name or self.env._("nobody"),
        )

    def _billing_why_not_finalize(self):
        """What Odoo would refuse anyway, said beforehand and with the invoice's name."""
        if not self.invoice_line_ids.filtered(lambda line: line.display_type == "product"):
            return self.env._("%s has no lines.", self._billing_label())
        if self.currency_id.compare_amounts(self.amount_total, 0) < 0:
            return self.env._(
                "%(invoice)s comes to %(total)s: credits exceed charges. Issue a credit note instead.",
                invoice=self._billing_label(),
                total=self.currency_id.format(self.amount_total),
            )
        return None

    def _billing_confirmations(self):
        """Questions of those steps that open no dialog of their own and cannot be taken back unnoticed."""
        values = {"invoice": self._billing_label(), "total": self.currency_id.format(self.amount_total)}
        return {
            "deleted": self.env._("Delete %(invoice)s (%(total)s)? It is cancelled: nothing else changes.", **values)
            if self.billing_status == "cancelled"
            else self.env._(
                "Delete %(invoice)s (%(total)s)? Its charges are open again; nothing else changes.", **values
            ),
            "cancelled": self.env._("Cancel %(invoice)s (%(total)s)? Its charges are open again.", **values),
        }

    def _billing_check_move(self, target):
        if reason := self._billing_why_not(target):
            raise UserError(reason)

    @api.depends("billing_status")
    @api.depends_context("uid", "lang")
    def _compute_billing_moves(self):
        may = self.env.user.has_group("invoice_portal.group_billing_user")
        for move in self:
            moves = move._billing_moves_from() if may else {}
            questions = move._billing_confirmations() if moves else {}
            move.billing_moves = [
                {"target": target, "label": label, "confirm": questions.get(target, False)}
                for target, label in moves.items()
            ]

    def action_billing_move(self, target):
        """One step of the Status dropdown. Steps that have to be confirmed open their dialog."""
        self.ensure_one()
        self._billing_check_staff()
        steps = {
            "finalized": self.action_billing_finalize,
            "deleted": self._billing_delete_and_leave,
            "cancelled": self.button_cancel,
            "draft": self.button_draft,
            "sent": self.action_invoice_sent,
            "paid": self.action_billing_pay,
            "void": self.action_billing_void,
        }
        if target not in steps:
            raise UserError(self.env._("There is no status “%s”.", target))
        self._billing_check_move(target)
        action = steps[target]()
        # Odoo completes the action of a button on its way out; this one is called as a method.
        return clean_action(action, self.env) if isinstance(action, dict) else False

    def _billing_delete_and_leave(self):
        self.unlink()
        return self.env["ir.actions.actions"]._for_xml_id("invoice_portal.action_billing_invoices")
