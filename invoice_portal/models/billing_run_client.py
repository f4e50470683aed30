import logging

from psycopg2 import OperationalError, errors

from odoo import api, fields, models
from odoo.exceptions import AccessError, LockError, MissingError, UserError, ValidationError

from ..tools.undone import undone

_logger = logging.getLogger(__name__)

# Clients per transaction: large enough that a call of `create` pays, small enough to lose little when it fails.
BATCH = 20
# What a rehearsal keeps of a client when everything else is undone.
RESULT = ("state", "reason", "amount", "charge_count", "details", "previous_amount", "change", "flag")
# Rounds that a batch may lose to a conflict with somebody else's transaction before the job leaves it to the next time.
CONFLICT_ROUNDS = 8


class BillingRunClient(models.Model):
    """One client of a run: of a selection of charges also one company, currency and, where so set, project."""

    _name = "billing.run.client"
    _description = "Client of a Billing Run"
    _order = "run_id desc, id"
    _rec_name = "partner_id"

    run_id = fields.Many2one("billing.run", required=True, index=True, ondelete="cascade")
    rehearsal = fields.Boolean(related="run_id.rehearsal")
    company_id = fields.Many2one("res.company", required=True, index=True)
    partner_id = fields.Many2one("res.partner", string="Client", required=True, index=True)
    currency_id = fields.Many2one("res.currency", required=True)
    project_id = fields.Many2one("project.project")
    charge_ids = fields.One2many("billing.charge", "run_client_id", string="Charges")
    charge_count = fields.Integer(string="Charges Planned", readonly=True)
    amount = fields.Monetary(string="Amount Planned", readonly=True)
    state = fields.Selection(
        [
            ("pending", "Waiting"),
            ("done", "Billed"),
            ("empty", "Nothing to Bill"),
            ("held", "Held"),
            ("failed", "Failed"),
        ],
        required=True,
        default="pending",
        readonly=True,
    )
    outcome = fields.Char(compute="_compute_outcome", string="Result")
    reason = fields.Text(readonly=True, help="Why it failed, or is held.")
    worked_on = fields.Datetime(readonly=True)
    move_ids = fields.One2many("account.move", "billing_run_client_id", string="Invoices", readonly=True)
    previous_amount = fields.Monetary(readonly=True, help="Of the same client in the run before.")
    change = fields.Float(string="Change (%)", readonly=True, aggregator=None)
    flag = fields.Selection(
        [("new", "New"), ("gone", "Gone"), ("up", "Much more"), ("down", "Much less")],
        readonly=True,
        help="What is unusual, compared with the run before.",
    )
    details = fields.Json(readonly=True)

    _pending_idx = models.Index("(run_id, id) WHERE state = 'pending'")
    _one_draft = models.UniqueIndex(
        "(run_id, company_id, partner_id, currency_id, COALESCE(project_id, 0))",
        "A run drafts one invoice per client, company, currency and project.",
    )

    @api.depends("state", "run_id.rehearsal")
    @api.depends_context("lang")
    def _compute_outcome(self):
        """The state in words: of a rehearsal, what would become of it."""
        words = dict(self._fields["state"]._description_selection(self.env))
        for client in self:
            rehearsed = client.run_id.rehearsal and client.state == "done"
            client.outcome = self.env._("To Bill") if rehearsed else words.get(client.state)

    @api.model
    def _cron_process(self):
        """Draft what is planned, batch by batch, until nothing is left or the time is up."""
        conflicts = 0
        commit = self.env["ir.cron"]._commit_progress
        # Counted at the beginning and at the end only; in between, Odoo subtracts what was taken.
        commit(remaining=self.search_count(self._get_pending_domain()))
        while True:
            try:
                taken = self._process_batch()
            except (errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable):
                self.env.cr.rollback()
                conflicts += 1
                if conflicts > CONFLICT_ROUNDS:
                    _logger.info("Billing run: too many conflicts with other work, going on next time")
                    self.env.ref("invoice_portal.ir_cron_billing_run")._trigger()
                    break
                continue
            if not taken:
                commit(remaining=self.search_count(self._get_pending_domain()))
                break
            if not commit(len(taken)):
                break
            conflicts = 0
        try:
            unreported = self.env["billing.run"].search([("cycle_id", "!=", False), ("reported", "=", False)])
            unreported.try_lock_for_update()._report_if_done()
        except errors.SerializationFailure:
            # Another worker reports it.
            self.env.cr.rollback()

    @api.model
    def _get_pending_domain(self):
        return [("state", "=", "pending"), ("run_id.stopped", "=", False)]

    @api.model
    def _process_batch(self, limit=BATCH):
        """Take some planned drafts that no other worker holds, make them, and return those taken.

        The rows are held until the commit; so are the clients, so that nobody else bills them in the meantime.
        """
        waiting = self.search(self._get_pending_domain(), order="id", limit=10 * limit)
        taken = waiting.try_lock_for_update(limit=limit)
        free = taken.partner_id.try_lock_for_update(allow_referencing=True)
        # Of one run: its drafts are made in the name of the user who started it.
        taken = taken.filtered(lambda client: client.partner_id in free and client.run_id == taken[0].run_id)
        if not taken:
            return taken
        try:
            with self.env.cr.savepoint():
                taken._work()
        except OperationalError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, it is somebody's; the next lines find whose
            self.env.invalidate_all()
            for client in taken:
                client._work_or_park()
        taken.worked_on = fields.Datetime.now()
        return taken

    def _work(self):
        if self.run_id.rehearsal:
            self._rehearse()
        else:
            self._draft()
            self._compare()
            self._finish()

    def _work_or_park(self):
        """Bill one client; on failure keep the reason, so that the others proceed. A draft that cannot be finalized
        is kept: it is there to be mended."""
        if self.run_id.rehearsal:
            self._attempt(self._rehearse)
        elif self._attempt(lambda: (self._draft(), self._compare())):
            self._attempt(self._finish)

    def _attempt(self, step):
        try:
            with self.env.cr.savepoint():
                step()
        except OperationalError:
            raise
        except (AccessError, LockError, MissingError, UserError, ValidationError) as error:
            self.env.invalidate_all()
            self._park(str(error))
        except Exception as error:
            _logger.exception("Billing run: client %s failed", self.partner_id.id)
            self.env.invalidate_all()
            self._park(self.env._("Unexpected: %(kind)s: %(error)s", kind=type(error).__name__, error=error))
        else:
            return True
        return False

    def _park(self, reason):
        self.write({"state": "failed", "reason": reason})

    def _owner(self):
        """Who looks after a client that could not be billed."""
        managers = self.env.ref("invoice_portal.group_billing_manager").all_user_ids
        for user in (self.partner_id.user_id, self.run_id.user_id, *managers):
            if user.active and user.has_group("invoice_portal.group_billing_user"):
                return user
        return self.run_id.user_id

    # -- drafting -----------------------------------------------------------------------------------------------------

    def _collect(self):
        """The charges of each of these: those planned with it; of a cycle, all that are open and of its period, after
        those were made that recur."""
        starter = self.run_id.user_id
        by_plan = self.filtered(lambda client: not client.run_id.cycle_id)
        found = by_plan.with_user(starter).charge_ids.grouped(lambda charge: charge.run_client_id.id)
        if by_cycle := self - by_plan:
            for (company, boundary), clients in by_cycle.grouped(
                lambda client: (client.company_id, client.run_id.boundary)
            ).items():
                partners = clients.partner_id.with_company(company)
                partners._billing_make_charges(company, boundary)
                charges = (
                    self.env["billing.charge"]
                    .with_user(starter)
                    .with_context(allowed_company_ids=company.ids)
                    .search(partners._get_billing_due_domain(company, boundary), order="id")
                )
                by_partner = charges.grouped("partner_id")
                for client in clients:
                    found[client.id] = by_partner.get(client.partner_id, charges.browse())
        return found

    def _draft(self):
        """Draft from the charges as they are now: what was billed, discarded or put on hold since is left out."""
        plan, owners, reasons = {}, {}, {}
        as_starter = self.with_user(self.run_id.user_id).with_context(allowed_company_ids=self.company_id.ids)
        collected = self._collect()
        # Read together, not client by client.
        together = [charge_id for charges in collected.values() for charge_id in charges._ids]
        for client in self:
            charges = as_starter.env["billing.charge"].browse(collected.get(client.id, self.env["billing.charge"])._ids)
            mine, reasons[client] = charges.with_prefetch(together)._draft_plan(run_client=client)
            for key in mine:
                plan[key] = mine[key]
                owners[key] = client
        drafts = as_starter.env["account.move"]._billing_create_from_charges(
            plan, {key: {"billing_run_client_id": client.id} for key, client in owners.items()}
        )
        drafted = self.browse().union(*(owners[key] for key in drafts))
        for client in drafted:
            left_out = client._in_words(reasons[client])
            client.write({"state": "done", "reason": left_out and self.env._("Left out: %s", left_out)})
        for client in self - drafted:
            client._settle_empty(collected.get(client.id, self.env["billing.charge"]), reasons[client])

    def _in_words(self, left_out):
        return (
            "\n".join(
                self.env._("%s (1 charge)", reason)
                if len(charges) == 1
                else self.env._("%(reason)s (%(count)s charges)", reason=reason, count=len(charges))
                for reason, charges in left_out.items()
            )
            or False
        )

    def _settle_empty(self, charges, left_out):
        """Nothing was left to draft: nothing was there, it was billed otherwise, or somebody should look."""
        if self.move_ids.filtered(lambda move: move.state != "cancel"):
            self.write({"state": "done", "reason": False})
        elif not charges:
            self.write({"state": "empty", "reason": False})
        elif all(charge.state in ("drafted", "invoiced", "discarded") for charge in charges):
            self.write({"state": "done", "reason": self.env._("Billed otherwise in the meantime.")})
        elif self.partner_id.with_company(self.company_id).billing_blocked:
            self.write({"state": "held", "reason": self._in_words(left_out)})
        else:
            self._park(self._in_words(left_out))

    # -- comparing ----------------------------------------------------------------------------------------------------

    def _compare(self):
        """Note what it came to, and what is unusual about it beside the run before."""
        of_cycle = self.filtered("run_id.cycle_id")
        run_before = of_cycle.run_id._run_before()
        previous = {
            row.partner_id.id: row.amount
            for row in self.search_fetch(
                [("run_id", "=", run_before.id), ("partner_id", "in", of_cycle.partner_id.ids)],
                ["partner_id", "amount"],
            )
        }
        for client in of_cycle:
            details, amount = client._measure()
            before = previous.get(client.partner_id.id, 0)
            client.write(
                {
                    "amount": amount,
                    "charge_count": len(client.move_ids.billing_charge_ids),
                    "details": details,
                    "previous_amount": before,
                    "change": 100 * (amount - before) / before if before else 0,
                    # In the first run of a cycle nothing is unusual.
                    "flag": bool(run_before) and client._flag(amount, before),
                }
            )

    def _measure(self):
        """What the invoices of this client came to: by item and by tax, and in all, in the company's currency."""
        items, taxes = {}, {}
        moves = self.move_ids.filtered(lambda move: move.state != "cancel")
        for line in moves.line_ids:
            if line.display_type == "product":
                label = line.product_id.display_name or self.env._("Without product")
                items[label] = items.get(label, 0) - line.balance
            elif line.display_type == "tax":
                label = line.tax_line_id.name
                taxes[label] = taxes.get(label, 0) - line.balance
        return {"items": items, "taxes": taxes}, sum(moves.mapped("amount_total_signed"))

    def _flag(self, amount, before):
        """What is unusual beside the run before, if the company wants to know."""
        threshold = self.company_id.billing_review_threshold
        if not threshold:
            return False
        if not before:
            return "new" if amount else False
        if not amount:
            return "gone"
        change = 100 * (amount - before) / abs(before)
        if abs(change) < threshold:
            return False
        return "up" if change > 0 else "down"

    def _flag_in_words(self):
        return {
            "new": self.env._("new in this cycle"),
            "gone": self.env._("nothing to bill any more"),
            "up": self.env._("%.1f %% more than last time", self.change),
            "down": self.env._("%.1f %% less than last time", -self.change),
        }[self.flag]

    # -- after the draft ----------------------------------------------------------------------------------------------

    def _finish(self):
        """Do with the drafts what their cycle says. What is unusual waits for a person, where so wished."""
        if self.run_id.cycle_id._finalizes():
            self._hold_unusual()._finalize()

    def _hold_unusual(self):
        """Hold what a person should look at; returns the others that were drafted."""
        drafted = self.filtered(lambda client: client.state == "done")
        held = drafted.filtered(lambda client: client.flag and client.company_id.billing_hold_flagged)
        for client in held:
            client.write({"state": "held", "reason": self.env._("For review: %s", client._flag_in_words())})
        return drafted - held

    def _finalize(self):
        user = self.run_id.user_id
        moves = self.move_ids.with_user(user).with_context(allowed_company_ids=self.company_id.ids)
        moves.filtered(lambda move: move.state == "draft")._billing_finalize()
        if self.run_id.cycle_id._sends():
            self.env["account.move"].browse(moves.ids).with_user(user)._billing_queue_where_possible()

    def _settle_finalized(self):
        """What was held for review, or could not be finalized by the run, was finalized by a person: it is done."""
        waiting = self.filtered(lambda client: client.state in ("held", "failed"))
        finished = waiting.filtered(lambda client: all(move.state != "draft" for move in client.move_ids))
        finished.write({"state": "done", "reason": False})

    def _settle_deleted(self):
        """The draft was deleted: nothing waits here any more, and what it billed is open for the next run."""
        bare = self.filtered(lambda client: client.state in ("done", "held", "failed") and not client.move_ids)
        bare.write(
            {
                "state": "empty",
                "reason": self.env._("The draft was deleted by %s. Its charges are open again.", self.env.user.name),
            }
        )

    # -- rehearsing ---------------------------------------------------------------------------------------------------

    def _rehearse(self):
        """Do it all up to the drafts, note what it came to, and undo it."""
        results = {}
        quiet = self.with_context(tracking_disable=True, mail_create_nolog=True, mail_notrack=True)
        with undone(self.env):
            quiet._draft()
            quiet._compare()
            if quiet.run_id.cycle_id._finalizes():
                quiet._hold_unusual()
            for client in quiet:
                results[client.id] = {fname: client[fname] for fname in RESULT}
        for client in self:
            client.write(results[client.id])

    def _retry(self):
        self.sudo().write({"state": "pending", "reason": False})

    def action_retry(self):
        """Try again those of these clients that failed."""
        self._check_staff()
        failed = self.filtered(lambda client: client.state == "failed")
        if not failed:
            raise UserError(self.env._("None of these clients failed."))
        failed._retry()
        failed.run_id.action_resume()

    def action_release(self):
        """Reviewed: go on with what is held, as the cycle says."""
        self._check_staff()
        held = self.filtered(lambda client: client.state == "held" and not client.run_id.rehearsal)
        if not held:
            raise UserError(self.env._("None of these clients is held."))
        for client in held.sudo().filtered("move_ids"):
            client.write({"state": "done", "reason": False})
            client._finalize()
        (held - held.filtered("move_ids"))._retry()
        held.run_id._wake()

    def action_open_invoices(self):
        self.ensure_one()
        self.check_access("read")
        return self.move_ids._get_records_action(name=self.env._("Invoices"))

    def _check_staff(self):
        self.env["account.move"]._billing_check_staff()
        self.check_access("read")
