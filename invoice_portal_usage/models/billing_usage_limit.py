import math
from datetime import timedelta

from psycopg2 import errors

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import SQL, format_date
from odoo.tools.date_utils import start_of

from ..tools.units import UNITS

# At which share of an allowance or a limit the client is told, in percent, the highest first.
THRESHOLDS = (100, 80)
# Clients that are looked at in one transaction.
CLIENTS_AT_ONCE = 50
# Records get their ids before they are committed: what came this many before the last one seen is looked at again.
IDS_BACK = 200_000
SEEN = "invoice_portal_usage.notice_seen"
MOST = 1e9


class BillingUsageLimit(models.Model):
    """How much a client means to spend on usage in a month, and what happens when it does."""

    _name = "billing.usage.limit"
    _description = "Spending Limit"
    _inherit = ["mail.thread"]
    _order = "partner_id, by_client, id"
    _rec_name = "amount"
    _check_company_auto = True

    company_id = fields.Many2one("res.company", required=True, index=True, default=lambda self: self.env.company)
    partner_id = fields.Many2one(
        "res.partner", string="Client", required=True, index=True, check_company=True, ondelete="cascade"
    )
    currency_id = fields.Many2one("res.currency", required=True, default=lambda self: self.env.company.currency_id)
    amount = fields.Monetary(required=True, tracking=True, help="Per calendar month, before taxes.")
    by_client = fields.Boolean(string="By the Client", readonly=True, help="The client set it on the portal.")
    user_id = fields.Many2one(
        "res.users",
        string="Activity for",
        domain="[('share', '=', False)]",
        help="Who is to look when the limit is reached.",
    )
    stops = fields.Boolean(
        string="Stop", tracking=True, help="Marks the client as stopped, for the systems that provide the service."
    )
    stopped_from = fields.Date(
        string="Stopped in",
        readonly=True,
        copy=False,
        help="The first day of the month in which this limit stopped the client.",
    )
    used = fields.Monetary(compute="_compute_used", help="In this calendar month, before taxes.")

    _one_limit = models.UniqueIndex(
        "(partner_id, company_id, currency_id, by_client)", "This client has such a limit already."
    )
    _amount = models.Constraint("CHECK (amount > 0 AND amount < 1e12)", "A limit is more than zero.")
    _client_sets_no_stop = models.Constraint(
        "CHECK (by_client IS NOT TRUE OR (stops IS NOT TRUE AND user_id IS NULL))",
        "What the client set itself only tells it: to stop it, or to have somebody look, set a limit of your own.",
    )
    _stopped_idx = models.Index("(stopped_from) WHERE stopped_from IS NOT NULL")

    @api.depends("partner_id", "currency_id")
    def _compute_used(self):
        for limit in self:
            client = limit.partner_id.commercial_partner_id
            limit.used = client.ids and client.with_company(limit.company_id)._billing_usage_spent().get(
                limit.currency_id.id, 0
            )

    @api.depends("partner_id", "amount")
    def _compute_display_name(self):
        for limit in self:
            limit.display_name = f"{limit.partner_id.display_name}, {limit.currency_id.format(limit.amount)}"

    @api.model_create_multi
    def create(self, vals_list):
        for vals in vals_list:
            self._refuse_no_amount(vals)
            if vals.get("partner_id"):
                # A contact is billed with the company it belongs to.
                vals["partner_id"] = self.env["res.partner"].browse(vals["partner_id"]).commercial_partner_id.id
        limits = super().create(vals_list)
        limits._look_again()
        return limits

    def write(self, vals):
        if vals.keys() & {"partner_id", "company_id", "currency_id"}:
            raise UserError(self.env._("Whose limit it is does not change. Delete it, and set another one."))
        self._refuse_no_amount(vals)
        result = super().write(vals)
        if vals.keys() & {"amount", "stops"}:
            self._look_again()
        return result

    @api.model
    def _refuse_no_amount(self, vals):
        """What no currency can round, before it tries."""
        try:
            is_amount = math.isfinite(float(vals.get("amount") or 0))
        except (OverflowError, TypeError, ValueError):
            is_amount = False
        if not is_amount:
            raise UserError(self.env._("A limit is an amount: a number, and more than zero."))

    @api.ondelete(at_uninstall=False)
    def _unlink_goes_on(self):
        stopped = self.filtered("stopped_from")
        stopped._go_on(self.env._("The limit that stopped it is gone."))

    # -- what it means now --------------------------------------------------------------------------------------------

    def _look_again(self):
        """After a limit was set or changed: what it stopped may go on, what it says anew is said now."""
        for (company, client), limits in self.grouped(lambda limit: (limit.company_id, limit.partner_id)).items():
            spent = client.with_company(company)._billing_usage_spent()
            for limit in limits:
                used = spent.get(limit.currency_id.id, 0)
                if limit.stopped_from and (not limit.stops or used < limit.amount):
                    limit._go_on(self.env._("Its limit is %s now.", limit.currency_id.format(limit.amount)))
                # What is no longer so can be said again when it comes to that.
                stale = limit._notices().filtered(
                    lambda notice, limit=limit, used=used: not limit._is_reached(used, notice.percent)
                )
                stale.unlink()
            client.with_company(company)._billing_watch_usage()

    def _notices(self):
        # Elevated, as staff may not change notices.
        return self.env["billing.usage.notice"].sudo().search([("limit_id", "in", self.ids)])

    def _is_reached(self, used, percent):
        self.ensure_one()
        return self.currency_id.compare_amounts(used * 100, self.amount * percent) >= 0

    def _stop(self, month):
        """Mark the client as stopped, for what provides the service to read."""
        for limit in self.filtered("stops"):
            client = limit.partner_id.with_company(limit.company_id).sudo()
            limit.sudo().stopped_from = month
            if client.billing_usage_stopped:
                continue
            client.billing_usage_stopped = True
            client.message_post(
                body=self.env._(
                    "Usage is marked as stopped: the limit of %s a month is reached.",
                    limit.currency_id.format(limit.amount),
                ),
                subtype_xmlid="mail.mt_note",
            )

    def _go_on(self, reason):
        """Take the mark off again, where no other limit keeps the client stopped."""
        stopped = self.sudo().filtered("stopped_from")
        stopped.stopped_from = False
        for limit in stopped:
            client = limit.partner_id.with_company(limit.company_id)
            others = limit.search_count(
                [
                    ("partner_id", "=", client.id),
                    ("company_id", "=", limit.company_id.id),
                    ("stopped_from", "!=", False),
                ]
            )
            if others or not client.billing_usage_stopped:
                continue
            client.billing_usage_stopped = False
            client.message_post(
                body=self.env._("Usage is no longer marked as stopped. %s", reason), subtype_xmlid="mail.mt_note"
            )

    def _ask_to_look(self):
        """An activity on the client for whoever is to look when the limit is reached."""
        for limit in self.filtered("user_id"):
            limit.partner_id.with_company(limit.company_id).sudo().activity_schedule(
                "mail.mail_activity_data_todo",
                summary=self.env._("Spending limit reached"),
                note=self.env._(
                    "Usage of this month has reached the limit of %s.", limit.currency_id.format(limit.amount)
                ),
                user_id=limit.user_id.id,
            )


class BillingUsageNotice(models.Model):
    """That a client was told how much is used: once per period and threshold."""

    _name = "billing.usage.notice"
    _description = "Notice about Usage"
    _order = "id desc"

    company_id = fields.Many2one("res.company", required=True, readonly=True, index=True)
    partner_id = fields.Many2one("res.partner", required=True, readonly=True, index=True, ondelete="cascade")
    limit_id = fields.Many2one("billing.usage.limit", readonly=True, index="btree_not_null", ondelete="cascade")
    subscription_id = fields.Many2one("billing.subscription", readonly=True, index="btree_not_null", ondelete="cascade")
    allowance_id = fields.Many2one(
        "billing.package.allowance", readonly=True, index="btree_not_null", ondelete="cascade"
    )
    period_start = fields.Date(required=True, readonly=True)
    percent = fields.Integer(required=True, readonly=True)

    _once = models.UniqueIndex(
        "(partner_id, COALESCE(limit_id, 0), COALESCE(subscription_id, 0), COALESCE(allowance_id, 0), period_start,"
        " percent)",
        "This was said already.",
    )

    def _text(self):
        """In a sentence, for the client."""
        self.ensure_one()
        what = {"percent": self.percent, "from": format_date(self.env, self.period_start)}
        if self.limit_id:
            amount = self.limit_id.currency_id.format(self.limit_id.amount)
            return self.env._(
                "%(percent)s %% of the limit of %(amount)s, in the month from %(from)s", amount=amount, **what
            )
        return self.env._(
            "%(percent)s %% of what is included: %(name)s, in the period from %(from)s",
            name=self.allowance_id.name or "",
            **what,
        )

    @api.model
    def _win(self, values):
        """Note that this is said now, and return whether nobody said it before: only then it is said."""
        row = {"limit_id": None, "subscription_id": None, "allowance_id": None, **values}
        columns = [SQL.identifier(fname) for fname in row]
        self.env.cr.execute(
            SQL(
                "INSERT INTO billing_usage_notice (create_uid, create_date, write_uid, write_date, %s)"
                " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING id",
                SQL(", ").join(columns),
                self.env.uid,
                now := fields.Datetime.now(),
                self.env.uid,
                now,
                SQL(", ").join(SQL("%s", value) for value in row.values()),
            )
        )
        won = bool(self.env.cr.fetchone())
        if won:
            self.invalidate_model()
        return won

    # -- whom to look at ----------------------------------------------------------------------------------------------

    @api.model
    def _cron_notify(self):
        """Tell clients how much of what is included, or of their limits, is used; and let go on who was stopped.

        Started by what takes usage in, and once a day for all.
        """
        commit = self.env["ir.cron"]._commit_progress
        self._let_go_on()
        last, found = self._to_look_at()
        for number, (company, clients) in enumerate(found):
            try:
                self.env["res.partner"].with_company(company).browse(clients)._billing_watch_usage()
            except (errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable):
                # Somebody else looks at, or changes, one of them: they are looked at the next time.
                self.env.cr.rollback()
                last = None
                continue
            if not commit(1, remaining=len(found) - number - 1):
                return
        if last:
            self.env["ir.config_parameter"].sudo().set_param(SEEN, f"{fields.Date.today()} {last}")
            commit()

    @api.model
    def _let_go_on(self):
        """Whoever was stopped in a month that is over goes on, by the client's own calendar."""
        for limit in self.env["billing.usage.limit"].sudo().search([("stopped_from", "!=", False)]):
            month = start_of(limit.partner_id._billing_today(limit.company_id), "month")
            if limit.stopped_from < month:
                limit._go_on(self.env._("A new month has begun."))

    @api.model
    def _to_look_at(self):
        """`(the last record's id, [(company, client ids)])`: who has new usage, and a limit or something included that
        it may have come to.

        Set-based, for all clients at once. What an amount or a quantity comes to at most decides; what it comes to
        exactly is for the code that bills, of those few.
        """
        self.env["billing.usage.limit"].flush_model()
        self.env["billing.package.allowance"].flush_model()
        self.env["billing.subscription.phase"].flush_model()
        day, _space, seen = (self.env["ir.config_parameter"].sudo().get_param(SEEN) or "").partition(" ")
        whole = day != str(fields.Date.today())
        self.env.cr.execute("SELECT MAX(id) FROM billing_usage")
        last = self.env.cr.fetchone()[0]
        after = 0 if whole or not seen.isdecimal() else max(0, int(seen) - IDS_BACK)
        today = fields.Date.today()
        rows = self.env.execute_query(
            SQL(
                """
                WITH stirred AS (
                    SELECT DISTINCT partner_id, company_id
                      FROM billing_usage
                     WHERE id > %(after)s AND bill_id IS NULL AND partner_id IS NOT NULL
                ), used AS (
                    SELECT usage.partner_id, usage.company_id, usage.subscription_id,
                           SUM(usage.list_amount) AS amount, SUM(usage.billed_quantity) AS quantity
                      FROM billing_usage usage
                      JOIN stirred USING (partner_id, company_id)
                     WHERE usage.bill_id IS NULL AND usage.unrated_reason IS NULL
                  GROUP BY 1, 2, 3
                ), billed AS (
                    SELECT bill.partner_id, bill.company_id, bill.subscription_id,
                           SUM(total.amount) FILTER (WHERE total.day >= %(month)s) AS amount,
                           SUM(total.billed_quantity) FILTER (WHERE bill.period_end >= %(yesterday)s) AS quantity
                      FROM billing_usage_bill bill
                      JOIN stirred USING (partner_id, company_id)
                      JOIN billing_usage_total total ON total.bill_id = bill.id
                     WHERE bill.period_end >= %(month)s
                  GROUP BY 1, 2, 3
                ), so_far AS (
                    SELECT partner_id, company_id, subscription_id,
                           COALESCE(SUM(amount), 0) AS amount, COALESCE(SUM(quantity), 0) AS quantity
                      FROM (SELECT * FROM used UNION ALL SELECT * FROM billed) both_of_them
                  GROUP BY 1, 2, 3
                )
                SELECT company_id, partner_id
                  FROM (SELECT company_id, partner_id, SUM(amount) AS amount FROM so_far GROUP BY 1, 2) of_client
                 WHERE EXISTS (
                    SELECT 1 FROM billing_usage_limit one
                     WHERE one.partner_id = of_client.partner_id AND one.company_id = of_client.company_id
                       AND (of_client.amount >= one.amount * %(lowest)s / 100
                            OR EXISTS (SELECT 1 FROM billing_rate_destination tiered
                                        WHERE tiered.company_id = one.company_id AND tiered.tier_mode != 'none')))
                UNION
                SELECT so_far.company_id, so_far.partner_id
                  FROM so_far
                  JOIN billing_subscription subscription ON subscription.id = so_far.subscription_id
                  JOIN billing_subscription_phase phase ON phase.subscription_id = subscription.id
                  JOIN billing_package_allowance allowance ON allowance.package_id = phase.package_id
                  JOIN billing_package package ON package.id = phase.package_id
             LEFT JOIN billing_rate_plan plan ON plan.id = package.rate_plan_id
                 -- Of a period that is cut, less is included: of these, the quantity does not rule anybody out.
                 WHERE phase.date_from >= %(cut)s OR subscription.date_end IS NOT NULL
                    OR so_far.quantity >= allowance.quantity * %(lowest)s / 100
                       * CASE plan.unit %(sizes)s ELSE 0 END
              ORDER BY 1, 2
                """,
                after=after,
                month=today.replace(day=1) - timedelta(days=1),
                yesterday=today - timedelta(days=1),
                lowest=min(THRESHOLDS),
                cut=today - timedelta(days=366),
                sizes=SQL(" ").join(SQL("WHEN %s THEN %s", unit, each.size) for unit, each in UNITS.items()),
            )
        )
        by_company = {}
        for company_id, partner_id in rows:
            by_company.setdefault(company_id, []).append(partner_id)
        return last, [
            (self.env["res.company"].browse(company_id), clients[start : start + CLIENTS_AT_ONCE])
            for company_id, clients in by_company.items()
            for start in range(0, len(clients), CLIENTS_AT_ONCE)
        ]
