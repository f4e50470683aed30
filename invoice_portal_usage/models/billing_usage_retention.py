import gzip
import shutil
import tempfile

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import SQL

# Bills looked for at once.
BATCH = 100


class BillingUsageBill(models.Model):
    """Old records are put away bill by bill: into a compressed file, of which every row was counted. Totals stay."""

    _inherit = "billing.usage.bill"

    # It exists nowhere else.
    archive_id = fields.Many2one(ondelete="restrict")
    archive_name = fields.Char(related="archive_id.name", related_sudo=True)
    archive_date = fields.Datetime(related="archive_id.create_date", string="Put Away On", related_sudo=True)

    @api.model
    def _cron_put_away(self):
        """Put away what is old enough, a bill per transaction, until nothing is left or the time is up."""
        for company in self.env["res.company"].search([("billing_usage_keep_months", ">", 0)]):
            bills = self.with_company(company)
            before = fields.Date.subtract(fields.Date.context_today(self), months=company.billing_usage_keep_months)
            seen = []
            while found := bills._to_put_away(company, before, seen):
                remaining = len(found)
                for bill in found:
                    seen.append(bill.id)
                    remaining -= 1
                    done = bill.try_lock_for_update()._put_away(before)
                    # Each by itself: what is put away stays so if the process dies at the next one.
                    if not self.env["ir.cron"]._commit_progress(int(done), remaining=remaining):
                        return

    @api.model
    def _to_put_away(self, company, before, but=()):
        """Bills whose every charge stands on an invoice that was finalized, all of them before that day."""
        charge, line = self.env["billing.charge"], self.env["account.move.line"]
        self.env.flush_all()
        rows = self.env.execute_query(
            SQL(
                """
                SELECT bill.id
                  FROM billing_usage_bill bill
                 WHERE bill.company_id = %(company)s
                   AND bill.archive_id IS NULL
                   AND bill.record_count > 0
                   AND bill.period_end < %(before)s
                   AND bill.id NOT IN %(but)s
                   AND NOT EXISTS (
                       SELECT FROM %(charge)s charge
                         LEFT JOIN %(line)s line ON line.id = charge.invoice_line_id
                         LEFT JOIN account_move move ON move.id = line.move_id
                        WHERE charge.usage_bill_id = bill.id
                          AND charge.discarded IS NOT TRUE
                          AND (move.state IS DISTINCT FROM 'posted'
                               OR COALESCE(move.invoice_date, move.date) >= %(before)s)
                   )
                 ORDER BY bill.period_start, bill.id
                 LIMIT %(batch)s
                """,
                company=company.id,
                before=before,
                but=tuple(but) or (0,),
                charge=SQL.identifier(charge._table),
                line=SQL.identifier(line._table),
                batch=BATCH,
            )
        )
        return self.browse(id_ for (id_,) in rows)

    def _put_away(self, before):
        """Write the records of this bill into a file, count them, and delete them. Nothing for a bill that somebody
        else holds, or that is no longer to be put away."""
        if not self or self not in self._to_put_away(self.company_id, before):
            return False
        self.ensure_one()
        usage = self.env["billing.usage"].with_company(self.company_id)
        domain = Domain("bill_id", "=", self.id)
        exact, count = usage._csv_sum(domain)
        if count != self.record_count:
            # The bill and its records disagree: somebody has to look, and nothing is deleted meanwhile.
            return False
        with tempfile.TemporaryFile() as packed, usage._csv_file(domain, client=self.partner_id, extra=True) as file:
            # Without a time in its head, the same records make the same file.
            with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as writer:
                shutil.copyfileobj(file, writer)
            self.archive_id = self.env["ir.attachment"]._billing_keep_file(
                packed,
                {
                    "name": self._archive_file_name(),
                    "mimetype": "application/gzip",
                    "res_model": self._name,
                    "res_id": self.id,
                    "company_id": self.company_id.id,
                    "description": f"{count} records, {exact}",
                },
            )
        self.flush_recordset()
        self._check_archive(count)
        noted = self.env["billing.usage.known"].sudo()._keep_of_bill(self)
        self.env.cr.execute(SQL("DELETE FROM billing_usage WHERE bill_id = %s", self.id))
        if self.env.cr.rowcount != count or noted != count:
            raise UserError(self.env._("Records of %s changed while they were put away.", self.display_name))
        usage.invalidate_model()
        return True

    def _archive_file_name(self):
        name = f"usage-{self.partner_id.name or self.partner_id.id}-{self.period_start}-{self.period_end}-{self.id}"
        return f"{name}.csv.gz".replace("/", "-").replace("\\", "-")

    def _check_archive(self, count):
        """Every record is in the file: it is read once more before anything is deleted."""
        with self._open_archive() as archive:
            # No cell has a line break in it.
            rows = sum(block.count(b"\n") for block in iter(lambda: archive.read(1 << 20), b""))
        if rows != count + 1:
            raise UserError(
                self.env._(
                    "The file for the records of %(bill)s has %(rows)s of %(count)s rows.",
                    bill=self.display_name,
                    rows=rows - 1,
                    count=count,
                )
            )

    def action_download_archive(self):
        """Download the records that were put away."""
        self.ensure_one()
        self.env["account.move"]._billing_check_staff()
        self.check_access("read")
        if not self.archive_id:
            raise UserError(self.env._("The records of this bill were not put away: they are in the list."))
        return {
            "type": "ir.actions.act_url",
            "url": f"/web/content/{self.sudo().archive_id.id}?download=true",
            "target": "download",
        }
