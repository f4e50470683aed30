import json
import logging
from contextlib import closing
from itertools import islice

from psycopg2 import OperationalError, errors

from odoo import api, models
from odoo.exceptions import LockError
from odoo.fields import Domain
from odoo.tools import SQL

from ..tools import usage_file
from ..tools.ahead import ahead, with_pauses
from ..tools.delivery import Delivery
from ..tools.usage_file import Layout, Refused, RowMaker, Told, Unfit
from ..tools.usage_row import Unreadable

_logger = logging.getLogger(__name__)

# Rows per transaction: enough for the set-based statements to pay, little to lose when it fails.
CHUNK = 100_000
# Characters in a chunk: rows may be long, and the memory is not to depend on them.
CHUNK_LENGTH = 16_000_000
# So many rejected rows are no slip: reading on would only fill the database.
MOST_REJECTED = 100_000
# Rows of a chunk that the database refuses for reasons nobody thought of, before the file is left alone.
MOST_UNEXPECTED = 20
CONFLICT_ROUNDS = 8


class Chunk:
    """Rows that are taken in together."""

    def __init__(self):
        self.rows = []  # to take in
        self.delivery = None  # they, when all are there
        self.cells = {}  # by line, for those that are rejected after all
        self.unfit = []  # (line, external id, cells, error)
        self.length = 0
        self.position = 0

    def __len__(self):
        return len(self.rows) + len(self.unfit)

    def ready(self, source_id, position):
        self.delivery = Delivery(source_id, self.rows)
        self.position = position
        return self


def chunks(lines, maker, reader, twice, source_id, file, file_size):
    """Made beside what the database does: nothing here may ask it.

    :param lines: numbered, from 0 at the beginning of the file
    :param twice: what tells rows that stand in the file more than once; None: their ids do
    """
    chunk = Chunk()
    for count, line in with_pauses(lines):
        try:
            if line.problem:
                raise line.problem
            if twice and usage_file.is_repeated(twice, count):
                raise Unfit("twice")
            chunk.rows.append(reader.row(maker.raw(line.cells), line.number))
            chunk.cells[line.number] = line.cells
        except (Told, Unreadable) as error:
            external_id = "" if line.problem else maker.shown_id(line.cells)
            chunk.unfit.append((line.number, external_id, line.cells, error))
        chunk.length += sum(map(len, line.cells))
        if len(chunk) >= CHUNK or chunk.length >= CHUNK_LENGTH:
            yield chunk.ready(source_id, file.tell())
            chunk = Chunk()
    if len(chunk):
        yield chunk.ready(source_id, file_size)
    yield Chunk().ready(source_id, file_size)


class BillingUsageImport(models.Model):
    """Files are read in the background: a chunk of rows and how far it is are one transaction, so that whatever stops
    it, it goes on where it was. Each worker takes an import that nobody holds."""

    _inherit = "billing.usage.import"

    @api.model
    def _cron_process(self):
        """Read what waits, file by file, until nothing is left or the time is up."""
        commit = self.env["ir.cron"]._commit_progress
        waiting = Domain("state", "in", ("waiting", "running"))
        commit(remaining=self.search_count(waiting))
        passed = self.browse()
        while batch := (self.search(waiting, order="id") - passed).try_lock_for_update(limit=1):
            # Read in the language of who handed it in: reasons are kept in words.
            lang = batch.create_uid.lang
            if not batch.with_company(batch.company_id).with_context(lang=lang)._read(commit):
                break
            passed |= batch
        commit(remaining=self.search_count(waiting))

    def _read(self, commit):
        """Read this file, chunk by chunk. False: the time is up."""
        self.ensure_one()
        rows_before = self.row_count
        try:
            with self._open_file() as file, self._chunks(file) as chunks_ahead:
                for chunk in chunks_ahead:
                    for _round in range(CONFLICT_ROUNDS):
                        try:
                            taken = self._take_chunk(chunk, rows_before)
                        except (errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable):
                            self.env.cr.rollback()
                            continue
                        break
                    else:
                        _logger.info("Usage import: too many conflicts with other work, going on next time")
                        self._wake()
                        commit()
                        return False
                    if not taken:
                        # Somebody stopped it, or reads it.
                        self.env.cr.rollback()
                        return True
                    rows_before += len(chunk)
                    if not commit(len(chunk)):
                        return False
        except Refused as error:
            self.env.cr.rollback()
            self._fail(self._in_words(error))
        except OperationalError:
            raise
        except Exception as error:
            self.env.cr.rollback()
            _logger.exception("Usage import %s failed", self.id)
            self._fail(self.env._("Unexpected: %(kind)s: %(error)s", kind=type(error).__name__, error=error))
        return bool(commit())

    def _fail(self, reason):
        """What was taken in stays; the others go on."""
        if self._still_to_read(self.row_count):
            self.write({"state": "failed", "reason": usage_file.readable(reason)})

    def _still_to_read(self, rows_before):
        """Lock it, and see whether it is as it was left."""
        try:
            self.lock_for_update()
        except LockError:
            return False
        self.invalidate_recordset()
        return bool(self.exists()) and self.state in ("waiting", "running") and self.row_count == rows_before

    # -- reading ------------------------------------------------------------------------------------------------------

    def _chunks(self, file):
        """The rows after those that were read, in chunks that are read ahead; at last an empty chunk."""
        mapping = self.mapping
        layout = Layout(**{name: mapping[name] for name in Layout._fields})
        maker = RowMaker(mapping)
        twice = usage_file.repeated(file, layout, maker) if "id" not in mapping["roles"] else None
        file.seek(0)
        lines = islice(enumerate(usage_file.read_lines(file, layout, maker.width)), self.row_count, None)
        return closing(
            ahead(chunks(lines, maker, self.source_id._reader(), twice, self.source_id.id, file, self.file_size))
        )

    def _take_chunk(self, chunk, rows_before):
        """Take in a chunk, and note how far it is, both or neither. False: it is no longer to be read by us."""
        if not self._still_to_read(rows_before):
            return False
        if not len(chunk):
            self.write({"state": "done", "position": chunk.position})
            return True
        duplicates, refused = self._take_delivery(chunk.delivery, [0])
        rejected = [
            *((line, external_id, cells, self._in_words(error)) for line, external_id, cells, error in chunk.unfit),
            *((line, external_id, chunk.cells[line], reason) for line, external_id, reason in refused),
        ]
        if self.rejected_count + len(rejected) > MOST_REJECTED:
            raise Refused("rejects", count=f"{self.rejected_count + len(rejected):,}")
        self._keep_rejected(rejected)
        self.write(
            {
                "state": "running",
                "position": chunk.position,
                "row_count": self.row_count + len(chunk),
                "accepted_count": self.accepted_count + len(chunk) - len(rejected),
                "duplicate_count": self.duplicate_count + duplicates,
                "rejected_count": self.rejected_count + len(rejected),
            }
        )
        self.env.flush_all()
        return True

    def _take_delivery(self, delivery, unexpected):
        """`(duplicates, refused)`. What the database refuses altogether is narrowed down to the row it is about."""
        if not delivery:
            return 0, []
        try:
            with self.env.cr.savepoint():
                taken = self.env["billing.usage"]._ingest(self.source_id, self, delivery)
                return taken.duplicates, taken.refused
        except OperationalError:
            raise
        except Exception as error:
            self.env.invalidate_all()
            if len(delivery) > 1:
                first, second = (self._take_delivery(half, unexpected) for half in delivery.halves())
                return first[0] + second[0], first[1] + second[1]
            [row] = delivery.rows
            unexpected[0] += 1
            if unexpected[0] > MOST_UNEXPECTED:
                raise
            _logger.warning("Usage import %s: line %s was refused", self.id, row.line, exc_info=True)
            reason = self._in_words(Unfit("unexpected", error=str(error).split("\n", 1)[0][:200]))
            return 0, [(row.line, row.external_id, reason)]

    def _keep_rejected(self, rejected):
        if not rejected:
            return
        now = self.env.cr.now()
        self.env.cr.execute_values(
            """
            INSERT INTO billing_usage_reject
                (import_id, company_id, line, external_id, cells, reason,
                 create_uid, create_date, write_uid, write_date)
            VALUES %s
            """,
            [
                (
                    self.id,
                    self.company_id.id,
                    line,
                    external_id or None,
                    json.dumps([usage_file.readable(cell) for cell in cells]),
                    usage_file.readable(reason),
                    self.env.uid,
                    now,
                    self.env.uid,
                    now,
                )
                for line, external_id, cells, reason in sorted(rejected, key=lambda one: one[0])
            ],
        )
        self.invalidate_recordset(["reject_ids"])

    # -- handing out what was rejected --------------------------------------------------------------------------------

    def _rejected_rows(self):
        """The rejected rows as they were, behind their line and the reason: headings first.

        The rows are the last: one with too many cells is then merely longer.
        """
        mapping = self.mapping or {}
        yield ["line", "reason", *mapping.get("headings", [])]
        last = (0, 0)
        while rows := self.env.execute_query(
            SQL(
                "SELECT line, id, reason, cells FROM billing_usage_reject WHERE import_id = %s AND (line, id) > %s"
                " ORDER BY line, id LIMIT 1000",
                self.id,
                last,
            )
        ):
            for line, reject_id, reason, cells in rows:
                last = (line, reject_id)
                yield [line, reason, *(cells or [])]
