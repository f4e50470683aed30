from psycopg2.errors import UniqueViolation

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import format_date

from ..tools.spreadsheet import number

# So many clients are named where all would be too many.
NAMED = 5


class BillingRun(models.Model):
    """One execution of billing: what was planned, done, held and failed, per client.

    Either somebody's selection of charges, or a period of a billing cycle. The work is done in the background, a few
    clients per transaction, by as many workers as there are: each takes clients that nobody holds. Whatever stops it,
    what is done stays done and the rest is still planned.

    It is done in the name of who started it. Nobody writes runs but these methods, elevated: who could, would bill with
    another's rights, or another company's clients.
    """

    _name = "billing.run"
    _description = "Billing Run"
    _inherit = ["mail.thread", "mail.activity.mixin"]
    _mail_post_access = "read"
    _order = "id desc"

    name = fields.Char(
        required=True,
        readonly=True,
        copy=False,
        default=lambda self: self.env["ir.sequence"].sudo().next_by_code("billing.run") or self.env._("Billing run"),
    )
    user_id = fields.Many2one("res.users", string="Started By", readonly=True, default=lambda self: self.env.user)
    cycle_id = fields.Many2one("billing.cycle", readonly=True, index="btree_not_null", ondelete="restrict")
    company_id = fields.Many2one("res.company", readonly=True, help="Of runs of a cycle.")
    boundary = fields.Date(
        string="Billed Until", readonly=True, help="The first day of the next period: what was before it is billed."
    )
    rehearsal = fields.Boolean(readonly=True, help="Worked out, and nothing written but this result.")
    client_ids = fields.One2many("billing.run.client", "run_id", string="Clients", readonly=True)
    stopped = fields.Boolean(readonly=True, copy=False, tracking=True)
    reported = fields.Boolean(readonly=True, copy=False)
    state = fields.Selection(
        [("running", "Running"), ("stopped", "Stopped"), ("attention", "Needs Attention"), ("done", "Done")],
        compute="_compute_progress",
    )
    count_total = fields.Integer(string="Clients Planned", compute="_compute_progress")
    count_done = fields.Integer(string="Done", compute="_compute_progress")
    count_held = fields.Integer(string="Held", compute="_compute_progress")
    count_failed = fields.Integer(string="Failed", compute="_compute_progress")
    count_pending = fields.Integer(string="Remaining", compute="_compute_progress")
    count_flagged = fields.Integer(string="Flagged", compute="_compute_progress")
    has_drafts = fields.Boolean(compute="_compute_has_drafts")
    has_unflagged_drafts = fields.Boolean(compute="_compute_has_drafts")
    progress = fields.Float(compute="_compute_progress", help="Share of the planned clients that is worked off.")
    rate = fields.Float(string="Clients per Minute", compute="_compute_rate", digits=(16, 1))
    expected_end = fields.Datetime(compute="_compute_rate")
    waiting_for = fields.Char(compute="_compute_waiting_for")
    totals = fields.Html(compute="_compute_totals", sanitize=False)

    _one_period = models.UniqueIndex(
        "(company_id, cycle_id, boundary) WHERE cycle_id IS NOT NULL AND rehearsal IS NOT TRUE",
        "There is a run for this cycle and period already.",
    )

    @api.depends("client_ids.state", "client_ids.flag", "stopped", "rehearsal")
    def _compute_progress(self):
        counts, flagged = {}, {}
        for run, state, flag, count in self.env["billing.run.client"]._read_group(
            [("run_id", "in", self.ids)], ["run_id", "state", "flag"], ["__count"]
        ):
            of = counts.setdefault(run.id, {})
            of[state] = of.get(state, 0) + count
            if flag:
                flagged[run.id] = flagged.get(run.id, 0) + count
        for run in self:
            of = counts.get(run.id, {})
            run.count_total = sum(of.values())
            run.count_done = of.get("done", 0) + of.get("empty", 0)
            run.count_held = of.get("held", 0)
            run.count_failed = of.get("failed", 0)
            run.count_pending = of.get("pending", 0)
            run.count_flagged = flagged.get(run.id, 0)
            run.progress = 100 * (run.count_total - run.count_pending) / run.count_total if run.count_total else 0
            if run.count_pending:
                run.state = "stopped" if run.stopped else "running"
            else:
                # What failed or was held in a rehearsal waits for nobody.
                waits = not run.rehearsal and (run.count_failed or run.count_held)
                run.state = "attention" if waits else "done"

    @api.depends("client_ids.state", "stopped", "rehearsal")
    @api.depends_context("lang")
    def _compute_waiting_for(self):
        """Whom a person has to look at, by name."""
        for run in self:
            held = run.state == "attention" and run._named_in_state("held")
            failed = run.state == "attention" and run._named_in_state("failed")
            parts = held and self.env._("Held: %s", held), failed and self.env._("Failed: %s", failed)
            run.waiting_for = " · ".join(filter(None, parts))

    def _named_in_state(self, state):
        clients = self.env["billing.run.client"]
        domain = [("run_id", "=", self.id), ("state", "=", state)]
        # Elevated for the names alone, as in the list of the run.
        names = ", ".join(clients.search(domain, limit=NAMED).sudo().partner_id.mapped("display_name"))
        more = clients.search_count(domain) - NAMED
        return self.env._("%(names)s and %(count)s more", names=names, count=more) if more > 0 else names

    @api.depends("client_ids.state", "client_ids.flag")
    def _compute_has_drafts(self):
        """Whether anything is left to finalize, and whether some of that is not unusual."""
        groups = self.env["billing.run.client"]._read_group(
            [("run_id", "in", self.ids), ("move_ids.state", "=", "draft")], ["run_id", "flag"]
        )
        for run in self:
            flags = [flag for of, flag in groups if of == run]
            run.has_drafts = bool(flags)
            run.has_unflagged_drafts = not all(flags)

    @api.depends("client_ids.worked_on")
    def _compute_rate(self):
        """How fast it goes, by the clients of the last ten minutes, and when it will be through at that pace."""
        now = fields.Datetime.now()
        since = fields.Datetime.subtract(now, minutes=10)
        worked = {
            run: (count, first)
            for run, count, first in self.env["billing.run.client"]._read_group(
                [("run_id", "in", self.ids), ("worked_on", ">=", since)], ["run_id"], ["__count", "worked_on:min"]
            )
        }
        for run in self:
            count, first = worked.get(run, (0, now))
            minutes = max((now - first).total_seconds() / 60, 1 / 60)
            run.rate = count / minutes if run.count_pending else 0
            run.expected_end = (
                fields.Datetime.add(now, minutes=run.count_pending / run.rate)
                if run.rate and run.state == "running"
                else False
            )

    @api.depends("client_ids.details")
    def _compute_totals(self):
        """What the run came to, by product and by tax, in the company's currency."""
        for run in self:
            parts = {"items": {}, "taxes": {}}
            for client in run.client_ids.filtered("details"):
                for part, sums in parts.items():
                    for label, amount in client.details.get(part, {}).items():
                        sums[label] = sums.get(label, 0) + amount
            run.totals = self.env["ir.qweb"]._render(
                "invoice_portal.run_totals",
                {
                    "run": run,
                    "currency": (run.company_id or self.env.company).currency_id,
                    "total": sum(run.client_ids.mapped("amount")),
                    "previous": sum(run.client_ids.mapped("previous_amount")),
                    **{part: sorted(sums.items(), key=lambda item: -abs(item[1])) for part, sums in parts.items()},
                },
            )

    @api.depends("name", "cycle_id", "boundary", "rehearsal")
    def _compute_display_name(self):
        for run in self:
            parts = [run.name]
            if run.rehearsal:
                parts.append(self.env._("rehearsal"))
            if run.cycle_id:
                parts.append(f"{run.cycle_id.name} → {format_date(self.env, run.boundary)}")
            run.display_name = " · ".join(parts)

    # -- planning -----------------------------------------------------------------------------------------------------

    @api.model
    def _start(self, plan):
        """Plan a run for `plan`, as `billing.charge._draft_plan` returns it, and let the background do it."""
        run = self.sudo().create({"user_id": self.env.uid}).with_env(self.env)
        run._plan(plan)
        run._wake()
        return run

    def _plan(self, plan):
        self.ensure_one()
        clients = (
            self.env["billing.run.client"]
            .sudo()
            .create(
                [
                    {
                        "run_id": self.id,
                        "company_id": company.id,
                        "partner_id": partner.id,
                        "currency_id": currency.id,
                        "project_id": project.id,
                        "charge_count": len(charges),
                        "amount": sum(charges.mapped("amount")),
                    }
                    for (company, partner, currency, project), charges in plan.items()
                ]
            )
        )
        pairs = [
            (charge_id, client.id)
            for client, charges in zip(clients, plan.values(), strict=True)
            for charge_id in charges._ids
        ]
        charges = self.env["billing.charge"].browse(charge_id for charge_id, _client in pairs)
        charges.check_access("write")
        charges.flush_recordset()
        self.env.cr.execute_values(
            "UPDATE billing_charge SET run_client_id = plan.client FROM (VALUES %s) plan (charge, client)"
            " WHERE billing_charge.id = plan.charge",
            pairs,
        )
        charges.invalidate_recordset(["run_client_id"])

    @api.model
    def _of_cycle(self, cycle, company, boundary):
        """The run of this cycle and period: the one there is, or a new one."""
        found = self.search(
            [
                ("cycle_id", "=", cycle.id),
                ("company_id", "=", company.id),
                ("boundary", "=", boundary),
                ("rehearsal", "=", False),
            ]
        )
        if found:
            return found
        try:
            with self.env.cr.savepoint():
                return self._create_of_cycle(cycle, company, boundary)
        except UniqueViolation as error:
            raise UserError(self.env._("Somebody else has just started this run: see Runs.")) from error

    @api.model
    def _create_of_cycle(self, cycle, company, boundary, **values):
        run = self.sudo().create(
            {
                "user_id": self.env.uid,
                "cycle_id": cycle.id,
                "company_id": company.id,
                "boundary": boundary,
                **values,
            }
        )
        return run.with_env(self.env)

    def _run_before(self):
        """The last run of the same cycle before this one, or none."""
        if not self.cycle_id:
            return self.browse()
        self.ensure_one()
        return self.search(
            [
                ("cycle_id", "=", self.cycle_id.id),
                ("company_id", "=", self.company_id.id),
                ("boundary", "<", self.boundary),
                ("rehearsal", "=", False),
            ],
            order="boundary desc",
            limit=1,
        )

    @api.model
    def _rehearse(self, cycle, company):
        """A run of the period that ends next, or that ended and is not billed, in which nothing is written."""
        due = cycle._due_clients(company, grace=False)
        if due:
            boundary, clients = max(due.items())
        else:
            boundary = cycle._next_boundary(fields.Date.context_today(self))
            clients = (
                self.env["res.partner"]
                .with_company(company)
                .search([("billing_cycle_id", "=", cycle.id), ("parent_id", "=", False)], order="id")
            )
        if not clients:
            raise UserError(cycle._nothing_due())
        run = self._create_of_cycle(cycle, company, boundary, rehearsal=True)._plan_clients(clients)
        run._wake()
        return run

    def _plan_clients(self, clients):
        self.ensure_one()
        self.env["billing.run.client"].sudo().create(
            [
                {
                    "run_id": self.id,
                    "company_id": self.company_id.id,
                    "partner_id": client_id,
                    "currency_id": self.company_id.currency_id.id,
                }
                for client_id in clients._ids
            ]
        )
        return self

    def _wake(self):
        self.env.ref("invoice_portal.ir_cron_billing_run").sudo()._trigger()

    # -- the end ------------------------------------------------------------------------------------------------------

    def _report_if_done(self):
        """Say once how a run of a cycle went, and tell the owners of clients which ones failed."""
        for run in self.filtered(lambda run: run.cycle_id and not run.reported and not run.count_pending):
            run.reported = True
            # In the words of who started it, also where the background speaks another language.
            run.with_context(lang=run.user_id.lang)._report()
            if not run.rehearsal:
                run._ask_owners()

    def _report(self):
        self.ensure_one()
        self.message_post(
            body=self.env["ir.qweb"]._render("invoice_portal.run_report", {"run": self}),
            subject=self.env._("Billing run %s", self.display_name),
            partner_ids=self._whom_to_tell().partner_id.ids,
            subtype_xmlid="mail.mt_note",
        )

    def _whom_to_tell(self):
        """Who started it, and of a run that billed the managers of billing: a rehearsal is its starter's matter."""
        told = self.user_id
        if not self.rehearsal:
            told |= self.env.ref("invoice_portal.group_billing_manager").all_user_ids
        return told.filtered(lambda user: user.active and self.company_id in user.company_ids)

    def _ask_owners(self):
        failed = self.client_ids.filtered(lambda client: client.state == "failed")
        for owner, clients in failed.grouped(lambda client: client._owner()).items():
            run = self.with_context(lang=owner.lang)
            run.activity_schedule(
                "mail.mail_activity_data_todo",
                summary=run.env._("%s clients could not be billed", len(clients)),
                note=run.env["ir.qweb"]._render("invoice_portal.run_failures", {"clients": clients}),
                user_id=owner.id,
            )

    def _check_staff(self):
        self.env["account.move"]._billing_check_staff()
        self.check_access("read")

    # -- buttons ------------------------------------------------------------------------------------------------------

    def action_stop(self):
        """Let what is being done be finished, and begin nothing new."""
        self._check_staff()
        self.sudo().stopped = True

    def action_resume(self):
        self._check_staff()
        self.sudo().stopped = False
        self._wake()

    def action_retry_failed(self):
        """Try only those again that failed."""
        self._check_staff()
        failed = self.client_ids.filtered(lambda client: client.state == "failed")
        if not failed:
            raise UserError(self.env._("Nothing failed in this run."))
        failed._retry()
        self.action_resume()

    def action_finalize(self):
        """Review is over: ask before finalizing all drafts of this run."""
        self._check_staff()
        return self._ask_to_finalize(self._drafts())

    def action_finalize_unflagged(self):
        """Ask before finalizing the drafts of all clients that nothing is unusual about."""
        self._check_staff()
        drafts = self._drafts()
        unflagged = drafts.filtered(lambda move: not move.billing_run_client_id.flag)
        if not unflagged:
            raise UserError(
                self.env._(
                    "All drafts that are left in this run (%s) are flagged. Look at them, then choose Finalize All.",
                    len(drafts),
                )
            )
        return self._ask_to_finalize(unflagged)

    def _drafts(self):
        drafts = self.client_ids.move_ids.filtered(lambda move: move.state == "draft")
        if not drafts:
            raise UserError(self.env._("This run has no drafts left to finalize."))
        return drafts

    def _ask_to_finalize(self, drafts):
        """Reviewed, they go the way that their cycle says for all."""
        return self.env["billing.finalize"]._open(drafts, send=self.cycle_id._sends())

    def action_open_invoices(self):
        self.ensure_one()
        self.check_access("read")
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal.action_billing_invoices")
        return dict(
            action,
            domain=[("billing_run_client_id.run_id", "=", self.id)],
            context={"default_move_type": "out_invoice"},
        )

    def action_open_clients(self):
        """The result, client by client: to filter and group."""
        self.ensure_one()
        self.check_access("read")
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal.action_billing_run_clients")
        return dict(action, context={"active_id": self.id})

    def action_download(self):
        """The result as a CSV file."""
        self.ensure_one()
        self._check_staff()
        return {"type": "ir.actions.act_url", "url": f"/billing/run/{self.id}/result.csv", "target": "self"}

    def _result_name(self):
        """The name of a file: without what file systems refuse."""
        parts = [self.name, self.env._("rehearsal") if self.rehearsal else "", self.cycle_id.name or ""]
        return " ".join("-".join(part.split("/")) for part in [*parts, str(self.boundary or "")] if part)

    def _result_rows(self):
        """The result as a table: what the columns hold, then a row per client."""
        self.ensure_one()
        clients = self.env["billing.run.client"]
        flags = dict(clients._fields["flag"]._description_selection(self.env))
        rows = [
            [
                self.env._("Company"),
                self.env._("Client"),
                self.env._("Reference"),
                self.env._("Project"),
                self.env._("Currency"),
                self.env._("Charges"),
                self.env._("Amount"),
                self.env._("Before"),
                self.env._("Change (%)"),
                self.env._("Flag"),
                self.env._("Result"),
                self.env._("Reason"),
                self.env._("Invoices"),
            ]
        ]
        for client in clients.search([("run_id", "=", self.id)]):
            digits = client.currency_id.decimal_places
            # Elevated for the names alone, as in a list: who is billed may be told, whoever's contact or project it is.
            named = client.sudo()
            rows.append(
                [
                    named.company_id.name,
                    named.partner_id.display_name,
                    named.partner_id.ref or "",
                    named.project_id.display_name or "",
                    named.currency_id.name,
                    client.charge_count,
                    number(client.amount, digits),
                    number(client.previous_amount, digits),
                    number(client.change, 2),
                    flags.get(client.flag, ""),
                    client.outcome,
                    client.reason or "",
                    ", ".join(move.display_name for move in client.move_ids),
                ]
            )
        return rows

    def action_start_for_real(self):
        """Bill what was rehearsed."""
        self.ensure_one()
        self._check_staff()
        return self.cycle_id.with_company(self.company_id).action_run_now()
