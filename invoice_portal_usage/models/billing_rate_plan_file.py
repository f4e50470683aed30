import csv
from io import TextIOWrapper
from tempfile import SpooledTemporaryFile
from typing import NamedTuple

from odoo import api, models
from odoo.exceptions import UserError
from odoo.tools.misc import format_date

from ..tools.rate_file import COLUMNS, RateRow, Refusal, UnreadableFile, inert, read
from .billing_rate import OVERLAP

# So much is kept in memory; what is more goes to a file meanwhile.
IN_MEMORY = 4 * 1024 * 1024
LARGEST_FILE = 64 * 1024 * 1024
# Refused rows beyond this are counted, not listed.
LISTED = 1000
# Rows taken from the database at a time.
BATCH = 5000


class Outcome(NamedTuple):
    """What an import would do, or did, in rows and rates."""

    new: int
    changed: int
    unchanged: int
    ended: int
    removed: int
    kept: int
    groups: int
    refused: int
    refusals: list[Refusal]


class BillingRatePlan(models.Model):
    """Rates in and out as CSV, set by set: a hundred thousand take seconds.

    An import first says of each row of the file what becomes of it (in a temporary table), then does it in a handful of
    statements. Its rules: a rate that says the same is left alone. One that says something else about the same prefix
    and hours ends the day before; one that began on the very day and was not billed yet is corrected. What begins later
    is in the way, and the row is refused.
    """

    _inherit = "billing.rate.plan"

    # -- out ----------------------------------------------------------------------------------------------------------

    @api.private
    def _write_rates(self, file):
        """All rates, into a binary file; reading them back changes nothing."""
        self.ensure_one()
        self.check_access("read")
        self.env["billing.rate"].check_access("read")
        self.env.flush_all()
        file.write(b"\xef\xbb\xbf")
        # Named cursors are the database's own: rows come in batches, however many there are. Numbers come as texts,
        # because Odoo makes floats of them.
        with self._set_by_set(), self.env.cr._cnx.cursor(name="billing_rates") as rows:
            rows.itersize = BATCH
            rows.execute(
                """
                SELECT prefix, destination.name, trim_scale(price_unit)::text, trim_scale(minimum)::text,
                       trim_scale(step)::text, trim_scale(connection_fee)::text, date_from::text, date_until::text, band
                  FROM billing_rate rate
                  JOIN billing_rate_destination destination ON destination.id = rate.destination_id
                 WHERE rate.plan_id = %s
                 ORDER BY prefix, date_from NULLS FIRST, rate.id
                """,
                [self.id],
            )
            text = TextIOWrapper(file, "utf-8", newline="")
            lines = csv.writer(text)
            lines.writerow(COLUMNS)
            for prefix, name, *rest, band in rows:
                lines.writerow([inert(prefix), inert(name), *rest, band])
            text.flush()
            # The file is whose it was, and stays open.
            text.detach()

    # -- in -----------------------------------------------------------------------------------------------------------

    @api.private
    def _import_rates(self, data, valid_from=None, end_missing=False, write=False):
        """What these bytes of a CSV file would make of the plan, and make it if `write`.

        :param valid_from: the first day of rows that name none of their own; none: from the beginning
        :param end_missing: rates that the file does not name end the day before, too
        """
        self.ensure_one()
        self.check_access("write")
        rates = self.env["billing.rate"]
        rates.check_access("create")
        rates.check_access("write")
        if end_missing and not valid_from:
            raise UserError(self.env._("Name the day from which the file is valid: the others end the day before."))
        if len(data) > LARGEST_FILE:
            raise UserError(self.env._("The file is larger than 64 MB: is it the right one?"))
        self.env.flush_all()
        if write:
            # Whoever else changes this plan meanwhile has to begin again, so that what is decided here stays true.
            self._touch()
        with self._set_by_set():
            refusals, refused = self._take_in(data)
            self._judge(valid_from)
            judged = self._judged_refusals()
            refused += len(judged)
            refusals += (Refusal(*facts) for facts in judged[:LISTED])
            facts = {"plan": self.id, "valid_from": valid_from, "uid": self.env.uid, "company": self.company_id.id}
            cr = self.env.cr
            ended = removed = kept = 0
            if end_missing:
                cr.execute(MARK_MISSING, facts)
                cr.execute(
                    "SELECT count(*) FILTER (WHERE fate = 'end'), count(*) FILTER (WHERE fate = 'remove'),"
                    " count(*) FILTER (WHERE fate = 'keep') FROM rate_missing"
                )
                ended, removed, kept = cr.fetchone()
            cr.execute(
                "SELECT count(*) FILTER (WHERE fate = 'new'), count(*) FILTER (WHERE fate IN ('change', 'correct')),"
                " count(*) FILTER (WHERE fate = 'same') FROM rate_in"
            )
            new, changed, unchanged = cr.fetchone()
            groups = self._new_groups()
            if write:
                self._apply(facts, groups, end_missing)
        return Outcome(new, changed, unchanged, ended, removed, kept, len(groups), refused, sorted(refusals)[:LISTED])

    def _take_in(self, data):
        """Copies what can be read into a temporary table; returns what cannot."""
        cr = self.env.cr
        cr.execute(TABLE_IN)
        refusals, refused = [], 0
        with SpooledTemporaryFile(IN_MEMORY, "w+", encoding="utf-8", newline="") as file:
            lines = csv.writer(file)
            try:
                for row in read(data, self._normal):
                    if isinstance(row, RateRow):
                        lines.writerow([*row, None])
                        continue
                    refused += 1
                    if len(refusals) < LISTED:
                        refusals.append(row)
                    if row.prefix:
                        # What cannot be read keeps its prefix from counting as missing.
                        lines.writerow([row.line, row.prefix, "", 0, 0, 0, 0, None, None, "any", "unread"])
            except UnreadableFile as error:
                raise UserError(self._say_unreadable(*error.args)) from error
            file.seek(0)
            cr.copy_expert(
                "COPY rate_in (line, prefix, name, price, minimum, step, fee, date_from, date_until, band, fate)"
                " FROM STDIN (FORMAT csv, FORCE_NOT_NULL (name))",
                file,
            )
        cr.execute("CREATE INDEX ON rate_in (lower(prefix)); ANALYZE rate_in")
        return refusals, refused

    def _judge(self, valid_from):
        """What becomes of each row."""
        cr = self.env.cr
        facts = {"plan": self.id, "valid_from": valid_from}
        cr.execute("UPDATE rate_in SET date_from = %(valid_from)s WHERE date_from IS NULL AND fate IS NULL", facts)
        cr.execute("UPDATE rate_in SET fate = 'refused', reason = 'order' WHERE date_until < date_from")
        # Rows without a group: that of the prefix's latest rate, else what the library calls it.
        cr.execute(NAME_BY_RATE, facts)
        cr.execute("SELECT DISTINCT prefix FROM rate_in WHERE name = '' AND fate IS NULL")
        rates = self.env["billing.rate"]
        named = [(prefix, rates._library_name(self, prefix)) for (prefix,) in cr.fetchall()]
        for start in range(0, len(named), BATCH):
            prefixes, names = zip(*named[start : start + BATCH], strict=True)
            cr.execute(
                "UPDATE rate_in SET name = named.name FROM unnest(%s, %s) AS named(prefix, name)"
                " WHERE rate_in.name = '' AND rate_in.prefix = named.prefix",
                [list(prefixes), list(names)],
            )
        cr.execute(FIND_GROUPS, facts)
        for statement in (REFUSE_TWICE, SAME, REFUSE_LATER, REFUSE_BILLED, CORRECT, CHANGE, NEW, SAME_NO_MORE):
            cr.execute(statement, facts)

    def _judged_refusals(self):
        cr = self.env.cr
        cr.execute(
            "SELECT line, concat_ws(' | ', prefix, name, trim_scale(price)), reason, COALESCE(value, '')"
            " FROM rate_in WHERE fate = 'refused' ORDER BY line"
        )
        return cr.fetchall()

    def _new_groups(self):
        """The names of groups that are missing, each once, as the first of its rows writes it."""
        cr = self.env.cr
        cr.execute(
            "SELECT DISTINCT ON (lower(name)) name FROM rate_in"
            " WHERE destination_id IS NULL AND fate IN ('new', 'change', 'correct') ORDER BY lower(name), line"
        )
        return [name for (name,) in cr.fetchall()]

    def _apply(self, facts, groups, end_missing):
        cr = self.env.cr
        created = self.env["billing.rate.destination"].create([{"plan_id": self.id, "name": name} for name in groups])
        created.flush_recordset()
        if created:
            cr.execute(FIND_GROUPS, facts)
        if end_missing:
            cr.execute(END_MISSING, facts)
            cr.execute("DELETE FROM billing_rate rate USING rate_missing WHERE id = rate_id AND fate = 'remove'")
        for statement in (END_OLD, WRITE_CORRECTED, INSERT_NEW):
            cr.execute(statement, facts)
        cr.execute(
            f"""
            SELECT rate.id, other.id
              FROM billing_rate rate
              JOIN billing_rate other ON other.plan_id = rate.plan_id AND other.id > rate.id AND {OVERLAP}
             WHERE rate.plan_id = %(plan)s
             LIMIT 1
            """,
            facts,
        )
        found = cr.fetchone()
        self.env["billing.rate"].invalidate_model()
        self.invalidate_recordset()
        if found:
            one, other = (self.env["billing.rate"].browse(rate_id)._label() for rate_id in found)
            raise UserError(
                self.env._(
                    "Afterwards, two rates would be for the same at the same time: %(one)s, and %(other)s.",
                    one=one,
                    other=other,
                )
            )

    # -- in words -----------------------------------------------------------------------------------------------------

    def _say_unreadable(self, reason, value=""):
        return {
            "empty": self.env._("The file is empty."),
            "broken": self.env._(
                "The file cannot be read from line %s on: is a quotation mark missing, or is it no CSV file?", value
            ),
            "twice": self.env._("Two columns of the file are for the same: %s.", value),
            "columns": self.env._(
                "These columns were not found in the file's first row: %(missing)s. It names its columns: %(all)s.",
                missing=value,
                all=", ".join(COLUMNS),
            ),
        }[reason]

    @api.private
    def _say_refusal(self, refusal):
        value = format_date(self.env, refusal.value) if refusal.reason == "later" else refusal.value
        return {
            "cell": self.env._("A cell is too long, or holds what is no text."),
            "prefix": self.env._("“%s” is no prefix: digits with the country's code, or *.", value)
            if self.kind == "phone"
            else self.env._("A key has 1 to 200 characters."),
            "destination": self.env._("The destination's name is longer than 200 characters."),
            "price_missing": self.env._("There is no price."),
            "number": self.env._("“%s” is no number from 0 to 1,000,000,000.", value),
            "digits_price": self.env._("“%s” has more than 8 decimals: round it, or choose a larger unit.", value),
            "digits_quantity": self.env._("“%s” has more than 6 decimals: a minimum or step is not that fine.", value),
            "day": self.env._("“%s” is no day: write 2026-03-31 or 31.03.2026.", value),
            "order": self.env._("It ends before it begins."),
            "band": self.env._("“%s” are no hours: write any, peak or off_peak.", value),
            "twice": self.env._("Line %s is for the same prefix, at the same time.", value),
            "later": self.env._("A rate for it begins on %s: end this row before, or change that rate.", value),
            "billed": self.env._(
                "Usage was billed by the rate that began on the same day: choose a later day for the new price."
            ),
        }[refusal.reason]


TABLE_IN = """
    DROP TABLE IF EXISTS rate_in;
    DROP TABLE IF EXISTS rate_missing;
    CREATE TEMPORARY TABLE rate_in (
        line integer, prefix text, name text, price numeric, minimum numeric, step numeric, fee numeric,
        date_from date, date_until date, band text,
        destination_id integer, fate text, reason text, value text, rate_id integer
    ) ON COMMIT DROP
"""

NAME_BY_RATE = """
    UPDATE rate_in SET name = known.name
      FROM (SELECT DISTINCT ON (lower(prefix)) lower(prefix) AS prefix, destination.name
              FROM billing_rate rate
              JOIN billing_rate_destination destination ON destination.id = destination_id
             WHERE rate.plan_id = %(plan)s
             ORDER BY lower(prefix), date_from DESC NULLS LAST, rate.id DESC) known
     WHERE rate_in.name = '' AND lower(rate_in.prefix) = known.prefix
"""

FIND_GROUPS = """
    UPDATE rate_in SET destination_id = known.id
      FROM (SELECT DISTINCT ON (rows.name) rows.name, destination.id
              FROM (SELECT DISTINCT name FROM rate_in) rows
              JOIN billing_rate_destination destination
                ON plan_id = %(plan)s AND lower(destination.name) = lower(rows.name)
             ORDER BY rows.name, destination.name = rows.name DESC, destination.id) known
     WHERE rate_in.name = known.name
"""

# Of rows for the same at the same time, the first one counts.
REFUSE_TWICE = f"""
    UPDATE rate_in SET fate = 'refused', reason = 'twice', value = twice.first::text
      FROM (SELECT rate.line, min(other.line) AS first
              FROM rate_in rate JOIN rate_in other ON other.line < rate.line AND {OVERLAP}
             WHERE rate.fate IS NULL AND other.fate IS NULL
             GROUP BY rate.line) twice
     WHERE rate_in.line = twice.line
"""

_SAME_TERMS = """
    known.band = rate_in.band AND known.destination_id = rate_in.destination_id
    AND known.price_unit = rate_in.price AND COALESCE(known.minimum, 0) = rate_in.minimum
    AND COALESCE(known.step, 0) = rate_in.step AND COALESCE(known.connection_fee, 0) = rate_in.fee
"""

_SAME_TIME = OVERLAP.replace("other.", "known.").replace("rate.", "rate_in.")

SAME = f"""
    UPDATE rate_in SET fate = 'same', rate_id = known.id
      FROM billing_rate known
     WHERE known.plan_id = %(plan)s AND lower(known.prefix) = lower(rate_in.prefix) AND rate_in.fate IS NULL
       AND {_SAME_TERMS}
       AND COALESCE(known.date_from, '-infinity') <= COALESCE(rate_in.date_from, '-infinity')
       AND known.date_until IS NOT DISTINCT FROM rate_in.date_until
"""

REFUSE_LATER = f"""
    UPDATE rate_in SET fate = 'refused', reason = 'later', value = known.date_from::text
      FROM billing_rate known
     WHERE known.plan_id = %(plan)s AND rate_in.fate IS NULL AND {_SAME_TIME}
       AND known.date_from > COALESCE(rate_in.date_from, '-infinity')
"""

_SAME_DAY = f"""
    known.plan_id = %(plan)s AND rate_in.fate IS NULL AND {_SAME_TIME}
    AND known.date_from IS NOT DISTINCT FROM rate_in.date_from
"""

REFUSE_BILLED = f"""
    UPDATE rate_in SET fate = 'refused', reason = 'billed'
      FROM billing_rate known
     WHERE known.billed AND {_SAME_DAY}
"""

# Peak and off-peak instead of always, or the other way round, is more than a correction: see END_OLD.
CORRECT = f"""
    UPDATE rate_in SET fate = 'correct', rate_id = known.id
      FROM billing_rate known
     WHERE known.band = rate_in.band AND {_SAME_DAY}
"""

CHANGE = f"""
    UPDATE rate_in SET fate = 'change'
      FROM billing_rate known
     WHERE known.plan_id = %(plan)s AND rate_in.fate IS NULL AND {_SAME_TIME}
"""

NEW = "UPDATE rate_in SET fate = 'new' WHERE fate IS NULL"

# A rate that one row repeats, and another one cuts short, does not go on by itself.
SAME_NO_MORE = f"""
    UPDATE rate_in SET fate = 'change', rate_id = NULL
      FROM billing_rate known
     WHERE rate_in.fate = 'same' AND known.id = rate_in.rate_id
       AND EXISTS (
           SELECT FROM rate_in other
            WHERE other.fate IN ('change', 'correct')
              AND {OVERLAP.replace("rate.", "known.")}
       )
"""

# Rates that go on, or begin later, and of whose prefix the file says nothing, not even something that was refused.
MARK_MISSING = """
    CREATE TEMPORARY TABLE rate_missing ON COMMIT DROP AS
    SELECT id AS rate_id,
           CASE WHEN date_from IS NULL OR date_from < %(valid_from)s THEN 'end'
                WHEN billed THEN 'keep'
                ELSE 'remove' END AS fate
      FROM billing_rate rate
     WHERE plan_id = %(plan)s AND COALESCE(date_until, 'infinity') >= %(valid_from)s
       AND NOT EXISTS (
           SELECT FROM rate_in
            WHERE lower(rate_in.prefix) = lower(rate.prefix)
              AND (rate_in.band = rate.band OR 'any' IN (rate_in.band, rate.band))
       )
"""

_STAMP = "write_uid = %(uid)s, write_date = now() AT TIME ZONE 'UTC'"

END_MISSING = f"""
    UPDATE billing_rate SET date_until = %(valid_from)s::date - 1, {_STAMP}
      FROM rate_missing
     WHERE id = rate_id AND fate = 'end'
"""

END_OLD = f"""
    WITH over AS (
        SELECT known.id, min(rate_in.date_from) AS next_from
          FROM billing_rate known
          JOIN rate_in ON rate_in.fate IN ('change', 'correct') AND {_SAME_TIME}
         WHERE known.plan_id = %(plan)s AND known.id IS DISTINCT FROM rate_in.rate_id
         GROUP BY known.id
    ), gone AS (
        DELETE FROM billing_rate USING over
         WHERE billing_rate.id = over.id AND COALESCE(date_from, '-infinity') >= COALESCE(next_from, '-infinity')
    )
    UPDATE billing_rate SET date_until = over.next_from - 1, {_STAMP}
      FROM over
     WHERE billing_rate.id = over.id AND COALESCE(date_from, '-infinity') < COALESCE(next_from, '-infinity')
"""

WRITE_CORRECTED = f"""
    UPDATE billing_rate
       SET prefix = rate_in.prefix, destination_id = rate_in.destination_id, price_unit = price,
           minimum = rate_in.minimum, step = rate_in.step, connection_fee = fee, date_until = rate_in.date_until,
           {_STAMP}
      FROM rate_in
     WHERE billing_rate.id = rate_id AND fate = 'correct'
"""

INSERT_NEW = """
    INSERT INTO billing_rate
        (plan_id, company_id, prefix, destination_id, price_unit, minimum, step, connection_fee, date_from, date_until,
         band, create_uid, write_uid, create_date, write_date)
    SELECT %(plan)s, %(company)s, prefix, destination_id, price, minimum, step, fee, date_from, date_until,
           band, %(uid)s, %(uid)s, now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC'
      FROM rate_in
     WHERE fate IN ('new', 'change')
"""
