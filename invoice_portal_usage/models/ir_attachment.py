import hashlib
import os
import shutil

from odoo import api, models
from odoo.exceptions import UserError
from odoo.tools import SQL

CHUNK = 1 << 20


class IrAttachment(models.Model):
    """Files of usage can be larger than memory should be; and what was put away exists nowhere else."""

    _inherit = "ir.attachment"

    @api.model
    def _billing_keep_file(self, file, values):
        """An attachment of an open file's content, which is not read into memory where Odoo stores files."""
        attachment = self.create(values)
        file.seek(0)
        if self._storage() != "file":
            attachment.raw = file.read()
            return attachment
        digest, size = hashlib.sha1(usedforsecurity=False), 0
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
        checksum = digest.hexdigest()
        # Not Odoo's own method for both steps: it wants to compare a content that it is given as a whole.
        name = f"{checksum[:2]}/{checksum}"
        path = self._full_path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        # Named for Odoo's sweeper first: if this transaction fails, it finds a file that nothing leads to.
        self._mark_for_gc(name)
        file.seek(0)
        if not os.path.exists(path):
            partial = f"{path}.{os.getpid()}"
            with open(partial, "wb") as kept:
                shutil.copyfileobj(file, kept, CHUNK)
            os.replace(partial, path)
        attachment.flush_recordset()
        self.env.cr.execute(
            SQL(
                "UPDATE ir_attachment SET store_fname = %s, checksum = %s, file_size = %s WHERE id = %s",
                name,
                checksum,
                size,
                attachment.id,
            )
        )
        attachment.invalidate_recordset()
        return attachment

    def write(self, vals):
        if vals.keys() & {"raw", "datas", "db_datas", "name", "res_model", "res_id", "type", "url"}:
            self._billing_refuse_archives()
        return super().write(vals)

    @api.ondelete(at_uninstall=False)
    def _unlink_except_archives(self):
        self._billing_refuse_archives()

    def _billing_refuse_archives(self):
        """Elevated to look: who may not see a bill can still see its file listed among all."""
        if self.ids and self.env["billing.usage.bill"].sudo().search_count([("archive_id", "in", self.ids)], limit=1):
            raise UserError(
                self.env._(
                    "These are records of usage that was billed, put away and kept nowhere else: the file cannot be "
                    "changed or deleted."
                )
            )
