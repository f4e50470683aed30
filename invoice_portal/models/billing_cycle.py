import logging
from calendar import monthrange
from datetime import date, timedelta

from dateutil.relativedelta import relativedelta

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import format_date

from ..tools.local_time import local_date
from ..tools.periods import Grid
from .billing_run import NAMED

_logger = logging.getLogger(__name__)

# A Monday, so that the days of the week count from it.
FIRST_MONDAY = date(2001, 1, 1)


class BillingCycle(models.Model):
    """When clients are billed by themselves, and what becomes of their drafts."""

    _name = "billing.cycle"
    _description = "Billing Cycle"
    _order = "sequence, id"

    name = fields.Char(required=True, translate=True)
    sequence = fields.Integer(default=10)
    active = fields.Boolean(default=True)
    company_id = fields.Many2one("res.company", help="Empty: for all companies.")
    interval_unit = fields.Selection(
        [("day", "Days"), ("week", "Weeks"), ("month", "Months"), ("year", "Years")], required=True, default="month"
    )
    interval_count = fields.Integer(string="Every", required=True, default=1)
    interval = fields.Char(compute="_compute_interval")
    anchor = fields.Selection(
        [("fixed", "A fixed day"), ("client", "The day the client began")],
        string="Begins On",
        required=True,
        default="fixed",
    )
    anchor_weekday = fields.Selection(
        [
            ("0", "Monday"),
            ("1", "Tuesday"),
            ("2", "Wednesday"),
            ("3", "Thursday"),
            ("4", "Friday"),
            ("5", "Saturday"),
            ("6", "Sunday"),
        ],
        string="Day of the Week",
        default="0",
    )
    anchor_day = fields.Integer(
        string="Day of the Month",
        default=1,
        help="1 to 31. Where a month is shorter, its last day; the next month goes back to the day set here.",
    )
    anchor_month = fields.Integer(
        string="Month", default=1, help="The month in which a period of several months, or a year, begins."
    )
    grace_days = fields.Integer(help="Days to wait after a period's end for what still comes in.")
    after = fields.Selection(
        [
            ("review", "Leave for review"),
            ("finalize", "Finalize & Lock"),
            ("send", "Finalize & Lock, and send"),
            ("charge", "Finalize & Lock, send, and charge the card"),
        ],
        string="Drafts",
        required=True,
        default="review",
    )
    client_count = fields.Integer(string="Clients", compute="_compute_client_count")
    run_ids = fields.One2many("billing.run", "cycle_id", string="Runs", readonly=True)

    _interval = models.Constraint("CHECK (interval_count > 0)", "A cycle repeats at least every one of its intervals.")
    _anchor_day = models.Constraint("CHECK (anchor_day BETWEEN 1 AND 31)", "The day of the month is 1 to 31.")
    _anchor_month = models.Constraint("CHECK (anchor_month BETWEEN 1 AND 12)", "The month is 1 to 12.")
    _grace = models.Constraint("CHECK (grace_days >= 0)", "Days of grace are none or some.")

    @api.depends("interval_unit", "interval_count")
    @api.depends_context("lang")
    def _compute_interval(self):
        for cycle in self:
            cycle.interval = self.env["billing.package"]._interval_label(cycle)

    @api.depends_context("company")
    def _compute_client_count(self):
        counts = dict(
            self.env["res.partner"]._read_group(
                [("billing_cycle_id", "in", self.ids), ("parent_id", "=", False)], ["billing_cycle_id"], ["__count"]
            )
        )
        for cycle in self:
            cycle.client_count = counts.get(cycle, 0)

    def _finalizes(self):
        """Whether drafts are finalized by themselves."""
        return self.after in ("finalize", "send", "charge")

    def _sends(self):
        """Whether invoices are sent when they are finalized."""
        return self.after in ("send", "charge")

    # -- periods ------------------------------------------------------------------------------------------------------

    def _grid(self, start=None):
        """The periods of this cycle: of a client that began on `start`, where they go by that."""
        self.ensure_one()
        if self.anchor == "client" and start:
            anchor = start
        elif self.interval_unit == "week":
            anchor = FIRST_MONDAY + timedelta(days=int(self.anchor_weekday or 0))
        elif self.interval_unit == "day":
            anchor = FIRST_MONDAY
        else:
            anchor = self._month_anchor()
        return Grid(anchor, self.interval_unit, self.interval_count)

    def _month_anchor(self):
        """A beginning in a month that is long enough for the day that was asked for, if there is one."""
        months = self.interval_count * (12 if self.interval_unit == "year" else 1)
        starts = [date(2000, self.anchor_month, 1) + relativedelta(months=months * n) for n in range(12)]
        lengths = [monthrange(start.year, start.month)[1] for start in starts]
        longest = lengths.index(max(lengths))
        return starts[longest].replace(day=min(self.anchor_day, lengths[longest]))

    def _boundary(self, day, start=None):
        """The first day of the period that `day` lies in: what was before it can be billed."""
        return self._grid(start).period(day)[0]

    def _next_boundary(self, day, start=None):
        return self._grid(start).period(day)[1] + timedelta(days=1)

    # -- who is due ---------------------------------------------------------------------------------------------------

    def _due_clients(self, company, grace=True):
        """`{boundary: clients}` whose period has ended where they live, and who have no run for it yet."""
        self.ensure_one()
        now = fields.Datetime.now()
        clients = (
            self.env["res.partner"]
            .with_company(company)
            # Who was archived with open charges is parked by name, not passed over.
            .with_context(active_test=False)
            .search_fetch(
                [("billing_cycle_id", "=", self.id), ("parent_id", "=", False)],
                ["tz", "billing_cycle_start"],
                order="id",
            )
        )
        wait = timedelta(days=self.grace_days if grace else 0)
        days = {tz: local_date(now, tz or company.partner_id.tz) - wait for tz in set(clients.mapped("tz"))}
        due = {}
        for client in clients:
            began = client.billing_cycle_start
            boundary = self._boundary(days[client.tz], began)
            if not began or boundary > began:
                due.setdefault(boundary, []).append(client.id)
        planned = self.env["billing.run.client"]._read_group(
            [
                ("run_id.cycle_id", "=", self.id),
                ("run_id.rehearsal", "=", False),
                ("company_id", "=", company.id),
                ("run_id.boundary", "in", list(due)),
            ],
            ["run_id"],
            ["partner_id:recordset"],
        )
        done = {}
        for run, partners in planned:
            done.setdefault(run.boundary, set()).update(partners.ids)
        return {
            boundary: clients.browse(id_ for id_ in ids if id_ not in done.get(boundary, ()))
            for boundary, ids in due.items()
            if set(ids) - done.get(boundary, set())
        }

    @api.model
    def _cron_start(self):
        """Plan what is due, for all companies. The runs themselves are worked off by their own job."""
        for company in self.env["res.company"].search([]):
            for cycle in self.search(self._get_company_domain(company)):
                try:
                    cycle.with_company(company)._start_due(company)
                except UserError as error:
                    # Another server was faster. What it left out is found the next time.
                    _logger.info("Billing cycle %s: %s", cycle.id, error)
                self.env["ir.cron"]._commit_progress(1)

    @api.model
    def _get_company_domain(self, company):
        return Domain("company_id", "in", [False, company.id])

    def _start_due(self, company, grace=True):
        """Plan the runs of what is due, adding to those that exist: clients of later time zones join."""
        runs = self.env["billing.run"]
        for boundary, clients in sorted(self._due_clients(company, grace=grace).items()):
            runs |= runs._of_cycle(self, company, boundary)._plan_clients(clients)
        if runs:
            runs._wake()
        return runs

    # -- buttons ------------------------------------------------------------------------------------------------------

    def action_run_now(self):
        """Bill the period that ended last, without waiting for days of grace."""
        self.ensure_one()
        self.env["account.move"]._billing_check_staff()
        runs = self._start_due(self.env.company, grace=False)
        if not runs:
            raise UserError(self._nothing_due())
        return runs[-1]._get_records_action(name=self.env._("Billing Run"))

    def action_rehearse(self):
        """Work out the next run without writing anything but its result."""
        self.ensure_one()
        self.env["account.move"]._billing_check_staff()
        run = self.env["billing.run"]._rehearse(self, self.env.company)
        return run._get_records_action(name=self.env._("Rehearsal"))

    def _nothing_due(self):
        clients = self.env["res.partner"].search([("billing_cycle_id", "=", self.id), ("parent_id", "=", False)])
        if not clients:
            return self.env._("No client has the billing cycle “%s”. Choose it on a client's Billing tab.", self.name)
        today = fields.Date.context_today(self)
        joined = clients.filtered(
            lambda client: (
                client.billing_cycle_start
                and client.billing_cycle_start >= self._boundary(today, client.billing_cycle_start)
            )
        )
        if joined:
            names = ", ".join(joined[:NAMED].mapped("display_name"))
            return self.env._(
                "Nothing is due: %(names)s joined “%(cycle)s” in the period that runs now, which ends before %(day)s. "
                "To bill them now, open the client and choose *Generate Invoice*; what is billed in advance is "
                "included.",
                names=names
                if len(joined) <= NAMED
                else self.env._("%(names)s and %(count)s more", names=names, count=len(joined) - NAMED),
                cycle=self.name,
                day=format_date(self.env, self._next_boundary(today, joined[0].billing_cycle_start)),
            )
        return self.env._(
            "Nothing is due: the last period of “%(cycle)s” is billed or in a run, or its clients joined later (“Billed"
            " by itself since” on their Billing tab). The next period begins on %(day)s. *Generate Invoice* on a client"
            " bills it now.",
            cycle=self.name,
            day=format_date(self.env, self._next_boundary(fields.Date.context_today(self))),
        )

    def action_clients(self):
        self.ensure_one()
        self.env["account.move"]._billing_check_staff()
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal.action_billing_clients")
        return dict(action, domain=[("billing_cycle_id", "=", self.id), ("parent_id", "=", False)])

    def action_runs(self):
        self.ensure_one()
        self.env["account.move"]._billing_check_staff()
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal.action_billing_runs")
        return dict(action, domain=[("cycle_id", "=", self.id)])
