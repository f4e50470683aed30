import logging

from psycopg2 import OperationalError, errors

from odoo import api, fields, models
from odoo.exceptions import AccessError, LockError, MissingError, UserError, ValidationError

_logger = logging.getLogger(__name__)

# Clients per transaction: large enough that a call of `create` pays, small enough to lose little when it fails.
BATCH = 20
# Rounds that a batch may lose to a conflict with somebody else's transaction before the job leaves it to the next time.
CONFLICT_ROUNDS = 8


class BillingRunClient(models.Model):
    """One planned draft of a run: one client, company, currency and, where so set, project."""

    _name = "billing.run.client"
    _description = "Client of a Billing Run"
    _order = "run_id desc, id"
    _rec_name = "partner_id"

    run_id = fields.Many2one("billing.run", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one("res.company", required=True, index=True)
    partner_id = fields.Many2one("res.partner", string="Client", required=True, index=True)
    currency_id = fields.Many2one("res.currency", required=True)
    project_id = fields.Many2one("project.project")
    charge_ids = fields.One2many("billing.charge", "run_client_id", string="Charges")
    charge_count = fields.Integer(string="Charges Planned", readonly=True)
    amount = fields.Monetary(string="Amount Planned", readonly=True)
    state = fields.Selection(
        [("pending", "Waiting"), ("done", "Drafted"), ("failed", "Failed")],
        required=True,
        default="pending",
        readonly=True,
    )
    reason = fields.Text(readonly=True, help="Why it failed.")
    move_id = fields.Many2one(
        "account.move", string="Invoice", readonly=True, index="btree_not_null", ondelete="set null"
    )

    _pending_idx = models.Index("(run_id, id) WHERE state = 'pending'")
    _one_draft = models.UniqueIndex(
        "(run_id, company_id, partner_id, currency_id, COALESCE(project_id, 0))",
        "A run drafts one invoice per client, company, currency and project.",
    )

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
                taken._draft()
        except OperationalError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, it is somebody's; the next lines find whose
            self.env.invalidate_all()
            for client in taken:
                client._draft_or_park()
        return taken

    def _draft_or_park(self):
        """Draft for one client; on failure keep the reason, so that the others proceed."""
        try:
            with self.env.cr.savepoint():
                self._draft()
        except OperationalError:
            raise
        except (AccessError, LockError, MissingError, UserError, ValidationError) as error:
            self.env.invalidate_all()
            self._park(str(error))
        except Exception as error:
            _logger.exception("Billing run: client %s failed", self.partner_id.id)
            self.env.invalidate_all()
            self._park(self.env._("Unexpected: %(kind)s: %(error)s", kind=type(error).__name__, error=error))

    def _park(self, reason):
        self.write({"state": "failed", "reason": reason})

    def _draft(self):
        """Draft from the charges as they are now: what was billed, discarded or put on hold since is left out."""
        plan, owners, reasons = {}, {}, {}
        as_starter = self.with_user(self.run_id.user_id).with_context(allowed_company_ids=self.company_id.ids)
        by_client = as_starter.charge_ids.grouped(lambda charge: charge.run_client_id.id)
        for client in self:
            charges = by_client.get(client.id, as_starter.charge_ids.browse())
            mine, reasons[client] = charges._draft_plan(run_client=client)
            for key in mine:
                plan[key] = mine[key]
                owners[key] = client
        drafts = as_starter.env["account.move"]._billing_create_from_charges(plan)
        for key, draft in drafts.items():
            owners[key].write({"state": "done", "reason": False, "move_id": draft.id})
        for client in self.filtered(lambda client: client.state == "pending"):
            client._settle_empty(reasons[client])

    def _settle_empty(self, left_out):
        """Nothing was left to draft: done where it was billed otherwise, failed where somebody should look."""
        if all(charge.state in ("drafted", "invoiced", "discarded") for charge in self.charge_ids):
            self.write({"state": "done", "reason": self.env._("Billed otherwise in the meantime.")})
        else:
            self._park(
                "\n".join(self.env._("%(reason)s: %(count)s", reason=r, count=len(c)) for r, c in left_out.items())
            )

    def _retry(self):
        self.write({"state": "pending", "reason": False})

    def action_retry(self):
        """Try this client again."""
        self._retry()
        self.run_id.action_resume()

    def action_open_invoice(self):
        self.ensure_one()
        return self.move_id._get_records_action(name=self.env._("Invoice"))
