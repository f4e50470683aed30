from odoo import api, fields, models
from odoo.exceptions import UserError


class BillingRun(models.Model):
    """One execution of billing: what was planned, done and failed, per client.

    The work is done in the background, a few clients per transaction, by as many workers as there are: each takes
    clients that nobody holds. Whatever stops it, what is done stays done and the rest is still planned.
    """

    _name = "billing.run"
    _description = "Billing Run"
    _inherit = ["mail.thread"]
    _order = "id desc"

    name = fields.Char(
        required=True,
        readonly=True,
        copy=False,
        default=lambda self: self.env["ir.sequence"].sudo().next_by_code("billing.run") or self.env._("Billing run"),
    )
    user_id = fields.Many2one("res.users", string="Started By", readonly=True, default=lambda self: self.env.user)
    client_ids = fields.One2many("billing.run.client", "run_id", string="Clients", readonly=True)
    stopped = fields.Boolean(readonly=True, copy=False, tracking=True)
    state = fields.Selection(
        [("running", "Running"), ("stopped", "Stopped"), ("attention", "Needs Attention"), ("done", "Done")],
        compute="_compute_progress",
    )
    count_total = fields.Integer(string="Drafts Planned", compute="_compute_progress")
    count_done = fields.Integer(string="Done", compute="_compute_progress")
    count_failed = fields.Integer(string="Failed", compute="_compute_progress")
    count_pending = fields.Integer(string="Remaining", compute="_compute_progress")
    progress = fields.Float(compute="_compute_progress", help="Share of the planned drafts that is done or failed.")

    @api.depends("client_ids.state", "stopped")
    def _compute_progress(self):
        counts = {}
        for run, state, count in self.env["billing.run.client"]._read_group(
            [("run_id", "in", self.ids)], ["run_id", "state"], ["__count"]
        ):
            counts.setdefault(run.id, {})[state] = count
        for run in self:
            of = counts.get(run.id, {})
            run.count_total = sum(of.values())
            run.count_done = of.get("done", 0)
            run.count_failed = of.get("failed", 0)
            run.count_pending = of.get("pending", 0)
            run.progress = 100 * (run.count_done + run.count_failed) / run.count_total if run.count_total else 0
            if run.count_pending:
                run.state = "stopped" if run.stopped else "running"
            else:
                run.state = "attention" if run.count_failed else "done"

    # -- planning -----------------------------------------------------------------------------------------------------

    @api.model
    def _start(self, plan):
        """Plan a run for `plan`, as `billing.charge._draft_plan` returns it, and let the background do it."""
        run = self.create({})
        run._plan(plan)
        run._wake()
        return run

    def _plan(self, plan):
        self.ensure_one()
        clients = self.env["billing.run.client"].create(
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

    def _wake(self):
        self.env.ref("invoice_portal.ir_cron_billing_run")._trigger()

    # -- buttons ------------------------------------------------------------------------------------------------------

    def action_stop(self):
        """Let what is being done be finished, and begin nothing new."""
        self.stopped = True

    def action_resume(self):
        self.stopped = False
        self._wake()

    def action_retry_failed(self):
        """Try only those again that failed."""
        failed = self.client_ids.filtered(lambda client: client.state == "failed")
        if not failed:
            raise UserError(self.env._("Nothing failed in this run."))
        failed._retry()
        self.action_resume()

    def action_open_invoices(self):
        self.ensure_one()
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal.action_billing_invoices")
        return dict(
            action, domain=[("id", "in", self.client_ids.move_id.ids)], context={"default_move_type": "out_invoice"}
        )
