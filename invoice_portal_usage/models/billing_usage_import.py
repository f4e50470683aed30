from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.tools import SQL

# What people choose before a file is read; all else is written by methods that asked who they are.
CHOSEN = {"encoding", "delimiter", "heading_line", "dates", "decimal", "unit", "column_ids"}


class BillingUsageImport(models.Model):
    """What was handed in together: a file, or the records of one call.

    Nobody writes one but these methods, elevated: who could, would have others' files read.
    """

    _name = "billing.usage.import"
    _description = "Usage Import"
    _inherit = ["mail.thread"]
    _mail_post_access = "read"
    _order = "id desc"
    _check_company_auto = True

    name = fields.Char(required=True, readonly=True)
    source_id = fields.Many2one(
        "billing.usage.source", required=True, readonly=True, index=True, check_company=True, ondelete="restrict"
    )
    company_id = fields.Many2one(related="source_id.company_id", store=True, index=True)
    kind = fields.Selection([("file", "File"), ("api", "API")], required=True, default="file", readonly=True)
    attachment_id = fields.Many2one("ir.attachment", string="File", readonly=True, copy=False)
    mapping = fields.Json(
        readonly=True, copy=False, help="Which column is what, and how the file is written, as it is being read."
    )
    state = fields.Selection(
        [
            ("draft", "To Check"),
            ("waiting", "Waiting"),
            ("running", "Being Read"),
            ("done", "Done"),
            ("failed", "Failed"),
            ("undone", "Taken Back"),
        ],
        required=True,
        default="draft",
        readonly=True,
        copy=False,
        tracking=True,
    )
    reason = fields.Text(readonly=True, copy=False, help="Why it failed as a whole.")
    row_count = fields.Integer(string="Rows", readonly=True, copy=False, help="Rows read so far.")
    accepted_count = fields.Integer(string="Accepted", readonly=True, copy=False, help="New records and duplicates.")
    duplicate_count = fields.Integer(
        string="Duplicates", readonly=True, copy=False, help="Of the accepted: known already."
    )
    rejected_count = fields.Integer(string="Rejected", readonly=True, copy=False)
    reject_ids = fields.One2many("billing.usage.reject", "import_id", string="Rejected Rows", readonly=True)
    mended_from_id = fields.Many2one(
        "billing.usage.import", string="Mends", readonly=True, copy=False, index="btree_not_null", ondelete="set null"
    )
    mend_ids = fields.One2many("billing.usage.import", "mended_from_id", string="Mended Rows", readonly=True)
    mend_count = fields.Integer(compute="_compute_mend_count")
    file_size = fields.Integer(related="attachment_id.file_size")
    position = fields.Integer(readonly=True, copy=False, help="So many bytes of the file are read.")
    progress = fields.Float(compute="_compute_progress")
    new_count = fields.Integer(string="New Records", compute="_compute_new_count")

    _adds_up = models.Constraint(
        "CHECK (row_count = accepted_count + rejected_count AND duplicate_count <= accepted_count)",
        "Every row is accepted or rejected.",
    )
    _waiting_idx = models.Index("(id) WHERE state IN ('waiting', 'running')")

    @api.depends("position", "file_size", "state")
    def _compute_progress(self):
        for batch in self:
            if batch.state in ("waiting", "running", "failed"):
                batch.progress = min(99, 100 * batch.position / batch.file_size) if batch.file_size else 0
            else:
                batch.progress = 100 if batch.state == "done" else 0

    @api.depends("accepted_count", "duplicate_count")
    def _compute_new_count(self):
        for batch in self:
            batch.new_count = batch.accepted_count - batch.duplicate_count

    @api.depends("mend_ids")
    def _compute_mend_count(self):
        for batch in self:
            batch.mend_count = len(batch.mend_ids)

    # -- who may write ------------------------------------------------------------------------------------------------

    def write(self, vals):
        if not self.env.su:
            own = {name for name in vals if name in self._fields and not self._is_of_mail(name)}
            if own - CHOSEN:
                raise AccessError(self.env._("An import is changed by its buttons alone."))
            if own and self.filtered(lambda batch: batch.state != "draft"):
                raise UserError(self.env._("This import was started already."))
        return super().write(vals)

    def _is_of_mail(self, fname):
        return fname in self.env["mail.thread"]._fields and fname not in models.MAGIC_COLUMNS

    @api.ondelete(at_uninstall=False)
    def _unlink_unless_used(self):
        for batch in self:
            if batch.state in ("waiting", "running"):
                raise UserError(self.env._("“%s” is being read. Stop it first.", batch.name))
            if batch._has_records():
                raise UserError(
                    self.env._("“%s” has records. Take it back first: then they go, too.", batch.display_name)
                )

    def _has_records(self):
        # Elevated: also what who asks does not see stands against deleting it.
        return bool(self.env["billing.usage"].sudo().search_count([("import_id", "in", self.ids)], limit=1))

    def _check_staff(self):
        self.env["account.move"]._billing_check_staff()
        self.check_access("read")

    # -- buttons ------------------------------------------------------------------------------------------------------

    def action_upload(self):
        """Asks for a file."""
        self._check_staff()
        return self.env["billing.usage.upload"]._open()

    def action_start(self):
        """Have the file read in the background, as it was checked."""
        self._check_staff()
        for batch in self:
            if batch.state != "draft":
                raise UserError(self.env._("“%s” was started already.", batch.name))
            batch._refuse_without_file()
            if problem := batch._what_is_missing():
                raise UserError(problem)
            mapping = batch._chosen_mapping()
            batch.sudo().write({"state": "waiting", "mapping": mapping, "reason": False})
            batch._remember(mapping)
        self._wake()

    def _wake(self):
        self.env.ref("invoice_portal_usage.ir_cron_usage_import").sudo()._trigger()

    def action_stop(self):
        """Read no further. What was taken in stays, and it can go on from there."""
        self._check_staff()
        for batch in self.filtered(lambda batch: batch.state in ("waiting", "running")).sudo():
            batch.write({"state": "failed", "reason": self.env._("Stopped by %s.", self.env.user.name)})

    def action_go_on(self):
        """Go on where it stopped: what was read is not read again."""
        self._check_staff()
        stopped = self.filtered(lambda batch: batch.state == "failed" and batch.kind == "file" and batch.mapping)
        if not stopped:
            raise UserError(self.env._("There is nothing to go on with."))
        for batch in stopped:
            batch._refuse_without_file()
        stopped.sudo().write({"state": "waiting", "reason": False})
        self._wake()

    def action_again(self):
        """Back to where columns are chosen. What was taken in has to be taken back before."""
        self._check_staff()
        for batch in self:
            if batch.kind != "file" or batch.state not in ("failed", "undone") or batch._has_records():
                raise UserError(self.env._("Take “%s” back first: then it can be read in another way.", batch.name))
            batch._refuse_put_away()
            batch._refuse_without_file()
            batch.sudo()._begin_anew()

    def _begin_anew(self):
        """As if nothing of it had been read."""
        self.reject_ids.unlink()
        self.write(
            {
                "state": "draft",
                "reason": False,
                "row_count": 0,
                "accepted_count": 0,
                "duplicate_count": 0,
                "rejected_count": 0,
                "position": 0,
            }
        )

    def action_records(self):
        self.ensure_one()
        self._check_staff()
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Usage of %s", self.name),
            "res_model": "billing.usage",
            "view_mode": "list,form",
            "domain": [("import_id", "=", self.id)],
        }

    def action_rejects(self):
        self.ensure_one()
        self._check_staff()
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Rejected Rows of %s", self.name),
            "res_model": "billing.usage.reject",
            "view_mode": "list,form",
            "domain": [("import_id", "=", self.id)],
        }

    def action_mends(self):
        self.ensure_one()
        self._check_staff()
        return self.mend_ids._get_records_action(name=self.env._("Mended Rows"))

    def action_download_rejects(self):
        """The rejected rows as a file that can be mended, and uploaded again."""
        self.ensure_one()
        self._check_staff()
        return {"type": "ir.actions.act_url", "url": f"/billing/usage/import/{self.id}/rejected.csv", "target": "self"}

    def action_upload_mended(self):
        self.ensure_one()
        self._check_staff()
        return self.env["billing.usage.upload"]._open(mended_from=self)

    def action_upload_again(self):
        """Asks for the file that is gone."""
        self.ensure_one()
        self._check_staff()
        return self.env["billing.usage.upload"]._open(instead_of=self)

    def action_take_back(self):
        """Asks before its records go."""
        self.ensure_one()
        self._check_staff()
        return self.env["billing.usage.take.back"]._open(self)

    # -- taking back --------------------------------------------------------------------------------------------------

    def _count_records(self):
        """Its records, and how many of them are billed."""
        self.ensure_one()
        self.env["billing.usage"].flush_model(["import_id", "bill_id"])
        [counts] = self.env.execute_query(
            SQL("SELECT count(*), count(bill_id) FROM billing_usage WHERE import_id = %s", self.id)
        )
        return counts

    def _count_put_away(self):
        """How many of its records were put away: what else it brought is there until it is taken back."""
        self.ensure_one()
        if self.state in ("draft", "undone"):
            return 0
        return max(0, self.new_count - self._count_records()[0])

    def _refuse_put_away(self):
        if gone := self._count_put_away():
            raise UserError(
                self.env._(
                    "1 record of “%s” was billed and put away. What is billed does not change: void or credit the "
                    "invoice instead.",
                    self.name,
                )
                if gone == 1
                else self.env._(
                    "%(gone)s records of “%(name)s” were billed and put away. What is billed does not change: void or "
                    "credit the invoices instead.",
                    gone=f"{gone:,}",
                    name=self.name,
                )
            )

    def _check_take_back(self):
        self.ensure_one()
        if self.state in ("draft", "undone"):
            raise UserError(self.env._("“%s” has taken nothing in.", self.name))
        if self.state in ("waiting", "running"):
            raise UserError(self.env._("“%s” is being read. Stop it first.", self.name))
        self._refuse_put_away()
        count, billed = self._count_records()
        if billed:
            raise UserError(
                self.env._(
                    "1 record of “%s” is billed. What is billed does not change: void or credit the invoice first.",
                    self.name,
                )
                if billed == 1
                else self.env._(
                    "%(billed)s of the %(count)s records of “%(name)s” are billed. What is billed does not change: "
                    "void or credit the invoices first.",
                    billed=f"{billed:,}",
                    count=f"{count:,}",
                    name=self.name,
                )
            )
        return count

    def _take_back(self):
        """Its records go, as if they had never come; what was counted stays as history."""
        self._check_staff()
        self.lock_for_update()
        count = self._check_take_back()
        self.env["billing.usage"].flush_model()
        # A record that is billed at this very moment is a conflict, and tried again: then it is seen.
        self.env.cr.execute(
            SQL("DELETE FROM billing_usage WHERE import_id = %s AND bill_id IS NULL", self.id),
        )
        self.env["billing.usage"].invalidate_model()
        self.sudo().write({"state": "undone", "reason": False})
        self.message_post(
            body=self.env._("Taken back: 1 record.")
            if count == 1
            else self.env._("Taken back: %s records.", f"{count:,}")
        )
        return count


class BillingUsageReject(models.Model):
    """A row that could not be taken in, and why."""

    _name = "billing.usage.reject"
    _description = "Rejected Row of Usage"
    _order = "import_id, line, id"
    _rec_name = "line"

    import_id = fields.Many2one("billing.usage.import", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="import_id.company_id", store=True)
    line = fields.Integer(readonly=True, help="Its line in the file, or its place in the call, counted from 1.")
    external_id = fields.Char(string="External ID", readonly=True)
    cells = fields.Json(readonly=True, help="The row as it was.")
    row = fields.Char(compute="_compute_row", help="The row as it was.")
    reason = fields.Text(readonly=True)

    @api.depends("cells")
    def _compute_row(self):
        for reject in self:
            reject.row = " | ".join(reject.cells or [])[:500]
