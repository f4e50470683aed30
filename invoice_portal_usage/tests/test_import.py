import base64
import io
import tracemalloc
from datetime import datetime
from unittest.mock import patch

from psycopg2 import errors

from odoo import Command
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import Form, HttpCase, tagged
from odoo.tools import html2plaintext, mute_logger

from ..models import billing_usage_import_read
from ..tools import usage_file
from .common import UsageCommon
from .malformed import CASES, HEADINGS, good, table, text

LOGGER = "odoo.addons.invoice_portal_usage.models.billing_usage_import_read"


class ImportCommon(UsageCommon):
    def _upload(self, data, name="calls.csv", source=None, mended_from=None, user=None):
        """An import of this file, as the wizard makes it."""
        uploads = self.env["billing.usage.upload"].with_user(user or self.env.user)
        wizard = uploads.create(
            {
                "source_id": (source or self.source).id,
                "filename": name,
                "data": base64.b64encode(data),
                "mended_from_id": mended_from and mended_from.id,
            }
        )
        return self.env["billing.usage.import"].browse(wizard.action_upload()["res_id"])

    def _read(self):
        with self.enter_registry_test_mode():
            self.env.ref("invoice_portal_usage.ir_cron_usage_import").sudo().method_direct_trigger()
        self.env.invalidate_all()

    def _import(self, data, **values):
        batch = self._upload(data, **values)
        batch.action_start()
        self._read()
        return batch

    def _counts(self, batch):
        return batch.state, batch.row_count, batch.accepted_count, batch.duplicate_count, batch.rejected_count

    def _taken(self, batch):
        return self.env["billing.usage"].search([("import_id", "=", batch.id)], order="external_id")

    def _column(self, batch, name):
        return batch.column_ids.filtered(lambda column: column.name == name)

    def _shown(self, batch):
        return " ".join(html2plaintext(batch.preview or "").replace("*", "").split())


@tagged("post_install", "-at_install")
class TestImport(ImportCommon):
    def test_a_file_is_looked_at_and_then_taken_in(self):
        batch = self._upload(text(good(), good(2, duration="61"), good(3, start="soon")))
        self.assertEqual(batch.state, "draft")
        self.assertEqual(batch.column_ids.mapped("role"), ["id", "account", "moment", "destination", "quantity"])
        shown = self._shown(batch)
        self.assertIn("2 of the first 3 rows are understood", shown)
        self.assertIn("Acme", shown)
        self.assertIn("10 Mar 2026 12:00:00", shown)
        self.assertIn("Germany", shown)
        self.assertIn("0.12 USD", shown)
        self.assertIn("“soon” is not a moment", shown)
        self.assertFalse(self._taken(batch), "Looking writes nothing")
        batch.action_start()
        self.assertEqual(batch.state, "waiting")
        self._read()
        self.assertEqual(self._counts(batch), ("done", 3, 2, 0, 1))
        self.assertEqual(batch.progress, 100)
        taken = self._taken(batch)
        self.assertEqual(taken.mapped("external_id"), ["c1", "c2"])
        self.assertEqual(taken.partner_id, self.client)
        self.assertEqual(taken.mapped("amount"), [0.06, 0.12])
        self.assertEqual((batch.reject_ids.line, batch.reject_ids.external_id), (4, "c3"))
        self.assertEqual(batch.reject_ids.cells, good(3, start="soon").split(","))
        self.assertIn("“soon” is not a moment", batch.reject_ids.reason)

    def test_every_malformed_file(self):
        self.assertGreaterEqual(len({case.name for case in CASES}), 60)
        for number, case in enumerate(CASES):
            with self.subTest(case.name):
                source = self.source.copy({"code": f"source {number}"})
                self.account.copy({"source_id": source.id})
                if case.refused:
                    with self.assertRaisesRegex(UserError, case.refused):
                        self._import(case.data, source=source)
                    continue
                batch = self._import(case.data, source=source)
                self.assertEqual(batch.state, "done", batch.reason)
                self.assertEqual((batch.accepted_count, batch.rejected_count), (case.accepted, case.rejected))
                self.assertEqual(batch.row_count, case.accepted + case.rejected)
                self.assertEqual(len(batch.reject_ids), case.rejected)
                self.assertEqual(len(self._taken(batch)), batch.new_count)
                self.assertTrue(all(reject.reason for reject in batch.reject_ids))
                if case.reason:
                    self.assertIn(case.reason, " ".join(batch.reject_ids.mapped("reason")))
                # Whatever was in it, it is handed out again, and shown.
                self.assertEqual(len(list(batch._rejected_rows())), case.rejected + 1)
                self.assertTrue(all(isinstance(row, str) for row in batch.reject_ids.mapped("row")))

    def test_the_same_file_ten_times(self):
        data = text(good(), good(2), good(3, duration="x"))
        first = self._import(data)
        self.assertEqual(self._counts(first), ("done", 3, 2, 0, 1))
        for _time in range(9):
            again = self._import(data)
            self.assertEqual(self._counts(again), ("done", 3, 2, 2, 1))
        self.assertEqual(self.env["billing.usage"].search_count([("source_id", "=", self.source.id)]), 2)
        self.assertEqual(again.new_count, 0)

    def test_rows_without_id_are_known_by_what_stands_in_them(self):
        rows = [good(n).split(",", 1)[1] for n in (1, 2)]
        rows[1] = rows[1].replace("12:00:00", "13:00:00")
        data = text(rows[0], rows[1], rows[0], headings=HEADINGS.split(",", 1)[1])
        batch = self._upload(data)
        self.assertIn("equal rows are rejected", batch.hint)
        batch.action_start()
        self._read()
        self.assertEqual(self._counts(batch), ("done", 3, 2, 0, 1))
        self.assertEqual(batch.reject_ids.line, 4)
        self.assertIn("An equal row stands above", batch.reject_ids.reason)
        again = self._import(data.replace(b",", b";"))
        self.assertEqual(self._counts(again), ("done", 3, 2, 2, 1), "Also when it is delimited in another way")

    def test_equal_rows_are_found_across_chunks_and_after_a_restart(self):
        rows = [good(n, start=f"2026-03-10T12:00:{n:02}Z").split(",", 1)[1] for n in range(8)]
        batch = self._upload(text(*rows, *rows[:3], headings=HEADINGS.split(",", 1)[1]))
        batch.action_start()
        with patch.object(billing_usage_import_read, "CHUNK", 2):
            self._read()
        self.assertEqual(self._counts(batch), ("done", 11, 8, 0, 3))
        self.assertEqual(batch.reject_ids.mapped("line"), [10, 11, 12])

    # -- formats ------------------------------------------------------------------------------------------------------

    def test_as_a_german_exports_it(self):
        batch = self._import(
            "Kennung;Rufnummer;Datum;Uhrzeit;Ziel;Dauer (Min.);Tarif\r\n"
            "1;030/1000;31.03.2026;14:05:00;+49 89 123456;1.234,5;Büro\r\n"
            "2;030/1000;1.4.2026;08:00;089 123456;0:01:30;Büro\r\n".encode("cp1252")
        )
        self.assertEqual(self._counts(batch), ("done", 2, 2, 0, 0), batch.reject_ids.mapped("reason"))
        self.assertEqual(
            (batch.encoding, batch.delimiter, batch.dates, batch.decimal, batch.unit),
            ("cp1252", ";", "dmy", "comma", "minute"),
        )
        first, second = self._taken(batch)
        self.assertEqual((first.moment, first.quantity), (datetime(2026, 3, 31, 14, 5), 74_070))
        self.assertEqual((second.moment, second.quantity), (datetime(2026, 4, 1, 8), 90))
        self.assertEqual(first.partner_id, self.client)

    def test_moments_are_of_the_source_s_zone(self):
        self.source.tz = "Europe/Berlin"
        batch = self._upload(text(good(1, start="2026-07-01 12:00:00"), good(2, start="2026-07-01T12:00:00Z")))
        shown = self._shown(batch)
        self.assertIn("Moments in Europe/Berlin", shown)
        self.assertIn("1 Jul 2026 12:00:00", shown)
        self.assertIn("1 Jul 2026 14:00:00", shown)
        batch.action_start()
        self._read()
        self.assertEqual(self._taken(batch).mapped("moment"), [datetime(2026, 7, 1, 10), datetime(2026, 7, 1, 12)])

    def test_day_or_month_first_is_a_person_s_choice(self):
        batch = self._upload(text(good(1, start="03/04/2026 10:00")))
        self.assertEqual(batch.dates, "dmy")
        self.assertIn("Day or month first", batch.hint)
        self.assertIn("3 Apr 2026", self._shown(batch))
        with Form(batch) as form:
            form.dates = "mdy"
            self.assertIn("4 Mar 2026", html2plaintext(form.preview))
        batch.action_start()
        self._read()
        self.assertEqual(self._taken(batch).moment, datetime(2026, 3, 4, 10))

    def test_an_american_source_writes_the_month_first(self):
        self.source.country_id = self.env.ref("base.us")
        self.assertEqual(self._upload(text(good(1, start="03/04/2026 1:05 PM"))).dates, "mdy")

    def test_seconds_since_1970(self):
        batch = self._import(text(good(1, start="1773144000"), good(2, start="1773144000500")))
        self.assertEqual(batch.dates, "unix")
        self.assertEqual(set(self._taken(batch).mapped("moment")), {datetime(2026, 3, 10, 12)})

    def test_units_in_a_column_and_in_the_cell(self):
        batch = self._import(
            text(
                good(1) + ",min",
                good(2, duration="1.5") + ",h",
                good(3, duration="90 sec") + ",",
                headings=HEADINGS + ",unit",
            )
        )
        self.assertEqual(self._taken(batch).mapped("quantity"), [3600, 5400, 90])

    def test_a_time_sheet_in_hours(self):
        source = self.env["billing.usage.source"].create(
            {"name": "Sheet", "code": "sheet", "kind": "key", "unit": "hour", "tz": "UTC"}
        )
        self.client.sudo().ref = "ACME"
        batch = self._import(
            b"Date\tClient\tActivity\tHours\n2026-03-10\tACME\tDesign\t1:30\n2026-03-10\tNobody\tDesign\t1\n",
            source=source,
        )
        self.assertEqual(self._counts(batch), ("done", 2, 1, 0, 1))
        self.assertEqual((self._taken(batch).quantity, self._taken(batch).partner_id), (5400, self.client))
        self.assertIn("No client has the reference “Nobody”", batch.reject_ids.reason)

    def test_other_columns_are_kept_where_wished(self):
        batch = self._upload(text(f"{good()},=1+1", headings=f"{HEADINGS},Cost Centre"))
        self._column(batch, "Cost Centre").role = "attribute"
        batch.action_start()
        self._read()
        self.assertEqual(self._taken(batch).attributes, {"Cost Centre": "=1+1"})

    # -- choosing columns ---------------------------------------------------------------------------------------------

    def test_columns_are_chosen_and_remembered(self):
        data = text(good(), headings="a,b,c,d,e")
        batch = self._upload(data)
        self.assertIn("Choose the column", batch.hint)
        with self.assertRaisesRegex(UserError, "says whose usage"):
            batch.action_start()
        with Form(batch) as form:
            for place, role in enumerate(["id", "account", "moment", "destination", "quantity"]):
                with form.column_ids.edit(place) as column:
                    column.role = role
            self.assertFalse(form.hint)
            self.assertIn("Acme", html2plaintext(form.preview))
        batch.action_start()
        self._read()
        self.assertEqual(batch.accepted_count, 1)
        again = self._upload(text(good(2), headings="a,b,c,d,e"))
        self.assertEqual(again.column_ids.mapped("role"), ["id", "account", "moment", "destination", "quantity"])
        shuffled = self._upload(text("60,c3,+49301000,2026-03-10T12:00:00Z,+4989", headings="e,a,b,c,d"))
        self.assertEqual(shuffled.column_ids.mapped("role"), ["quantity", "id", "account", "moment", "destination"])

    def test_columns_without_headings(self):
        batch = self._upload(text(good(), good(2))[len(HEADINGS) + 1 :])
        self.assertEqual(batch.heading_line, 0)
        self.assertEqual(batch.column_ids.mapped("name"), [f"Column {n}" for n in range(1, 6)])
        self.assertEqual(batch.column_ids.mapped("role"), [False, False, "moment", False, False])
        for column, role in zip(batch.column_ids, ["id", "account", "moment", "destination", "quantity"], strict=True):
            column.role = role
        batch.action_start()
        self._read()
        self.assertEqual(self._counts(batch), ("done", 2, 2, 0, 0))

    def test_what_is_cut_wrongly_is_cut_again(self):
        batch = self._upload(text(good()))
        with Form(batch) as form:
            form.delimiter = ";"
            self.assertEqual(len(form.column_ids), 1)
            form.delimiter = ","
            self.assertEqual(len(form.column_ids), 5)
            form.heading_line = 0
            self.assertEqual(len(form.column_ids), 5)
        self.assertEqual(batch.column_ids.mapped("name")[0], "Column 1")
        self.assertEqual(batch.column_ids.mapped("example")[0], "id · c1")

    def test_what_cannot_be_meant_is_not_started(self):
        batch = self._upload(text(good()))
        for name, role, words in (
            ("account", False, "whose usage"),
            ("start", False, "when it was"),
            ("duration", False, "how much"),
            ("destination", "account", "Two columns"),
        ):
            column = self._column(batch, name)
            before = column.role
            column.role = role
            self.assertIn(words, batch.hint)
            with self.assertRaisesRegex(UserError, words):
                batch.action_start()
            column.role = before
        batch.unit = "gb"
        with self.assertRaisesRegex(UserError, "measures something else"):
            batch.action_start()

    def test_what_was_started_is_not_changed(self):
        batch = self._upload(text(good()))
        batch.action_start()
        with self.assertRaisesRegex(UserError, "started already"):
            batch.dates = "dmy"
        with self.assertRaisesRegex(UserError, "started already"):
            batch.action_start()

    # -- in the background --------------------------------------------------------------------------------------------

    def _dying(self, after):
        """The job as it is killed after so many chunks."""
        take = self.env.registry["billing.usage.import"]._take_chunk
        taken = []

        def dying(batch, chunk, rows_before):
            if len(taken) == after:
                # What nobody catches: the process is gone.
                raise errors.AdminShutdown("terminating connection")
            taken.append(len(chunk))
            return take(batch, chunk, rows_before)

        return patch.object(self.env.registry["billing.usage.import"], "_take_chunk", dying)

    def test_killed_in_the_middle_and_resumed(self):
        rows = [good(n) if n % 5 else good(n, duration="x") for n in range(20)]
        batch = self._upload(text(*rows))
        batch.action_start()
        with patch.object(billing_usage_import_read, "CHUNK", 3):
            with self._dying(after=2), mute_logger("odoo.addons.base.models.ir_cron"):
                self._read()
            self.env.invalidate_all()
            self.assertEqual(self._counts(batch), ("running", 6, 4, 0, 2))
            self.assertEqual(len(self._taken(batch)), 4)
            self.assertTrue(0 < batch.progress < 100)
            self._read()
        self.assertEqual(self._counts(batch), ("done", 20, 16, 0, 4))
        self.assertEqual(len(self._taken(batch)), 16)
        self.assertEqual(batch.reject_ids.mapped("line"), [2, 7, 12, 17])

    def test_a_chunk_and_its_progress_are_one(self):
        """What dies between the records and the count has taken nothing in."""
        batch = self._upload(text(good(), good(2)))
        batch.action_start()
        with (
            patch.object(self.env.registry["billing.usage.import"], "_keep_rejected", side_effect=errors.AdminShutdown),
            mute_logger("odoo.addons.base.models.ir_cron"),
        ):
            self._read()
        self.env.invalidate_all()
        self.assertEqual(self._counts(batch), ("waiting", 0, 0, 0, 0))
        self.assertFalse(self._taken(batch))
        self._read()
        self.assertEqual(self._counts(batch), ("done", 2, 2, 0, 0))

    def test_a_conflict_is_tried_again(self):
        batch = self._upload(text(good(), good(2)))
        batch.action_start()
        ingest = self.env.registry["billing.usage"]._ingest
        rounds = []

        def conflicting(*args):
            rounds.append(1)
            if len(rounds) < 3:
                raise errors.SerializationFailure("somebody was faster")
            return ingest(*args)

        with patch.object(self.env.registry["billing.usage"], "_ingest", conflicting):
            self._read()
        self.assertEqual(len(rounds), 3)
        self.assertEqual(self._counts(batch), ("done", 2, 2, 0, 0))

    def test_a_failing_file_stops_no_other(self):
        bad, fine = self._upload(text(good()), "bad.csv"), self._upload(text(good(2)), "fine.csv")
        (bad | fine).action_start()
        bad.sudo().mapping = {"roles": []}
        with self.assertLogs(LOGGER, "ERROR"):
            self._read()
        self.assertEqual((bad.state, fine.state), ("failed", "done"))
        self.assertIn("Unexpected", bad.reason)

    def test_a_file_that_is_gone_is_said_to_be(self):
        batch = self._upload(text(good()))
        batch.action_start()
        batch.sudo().attachment_id.unlink()
        self._read()
        self.assertEqual(batch.state, "failed")
        self.assertIn("no longer there", batch.reason)

    def _upload_again(self, batch, data, name="again.csv"):
        wizard = self.env["billing.usage.upload"].browse(batch.action_upload_again()["res_id"])
        wizard.write({"data": base64.b64encode(data), "filename": name})
        return self.env["billing.usage.import"].browse(wizard.action_upload()["res_id"])

    def test_a_draft_whose_file_is_gone_says_so_and_takes_it_again(self):
        batch = self._upload(text(good()))
        self.assertFalse(batch.is_file_gone)
        with self.assertRaisesRegex(UserError, "is there"):
            self._upload_again(batch, text(good()))
        batch.sudo().attachment_id.unlink()
        batch.invalidate_recordset()
        self.assertTrue(batch.is_file_gone)
        self.assertFalse(batch.preview)
        self.assertIn("no longer there", batch.hint)
        with self.assertRaisesRegex(UserError, "no longer there"):
            batch.action_start()
        self.assertEqual(self._upload_again(batch, text(good(1), good(2))), batch)
        self.assertEqual((batch.state, batch.name, batch.is_file_gone), ("draft", "again.csv", False))
        self.assertTrue(batch.preview)
        batch.action_start()
        self._read()
        self.assertEqual(self._counts(batch), ("done", 2, 2, 0, 0))

    def test_a_failed_one_whose_file_is_gone_takes_it_again(self):
        batch = self._upload(text(good()))
        batch.action_start()
        batch.sudo().attachment_id.unlink()
        self._read()
        for call in ("action_go_on", "action_again"):
            with self.subTest(call), self.assertRaisesRegex(UserError, "no longer there"):
                getattr(batch, call)()
        self.assertEqual(self._upload_again(batch, text(good())), batch)
        self.assertEqual((batch.state, batch.reason), ("draft", False))

    def test_what_was_taken_in_of_a_file_that_is_gone_stays(self):
        batch = self._import(text(good(1), good(2)))
        batch.sudo().write({"state": "failed", "reason": "Stopped"})
        batch.sudo().attachment_id.unlink()
        batch.invalidate_recordset()
        again = self._upload_again(batch, text(good(1), good(2), good(3)))
        self.assertNotEqual(again, batch)
        self.assertEqual((again.source_id, batch.state, len(self._taken(batch))), (batch.source_id, "failed", 2))
        again.action_start()
        self._read()
        self.assertEqual(self._counts(again), ("done", 3, 3, 2, 0))

    def test_what_the_database_refuses_is_one_row_s_fault(self):
        batch = self._upload(text(*(good(n) for n in range(10))))
        batch.action_start()
        ingest = self.env.registry["billing.usage"]._ingest

        def refusing(usage, source, of_import, delivery):
            if any(row.external_id == "c7" for row in delivery.rows):
                raise ValidationError(usage.env._("Not this one"))
            return ingest(usage, source, of_import, delivery)

        with (
            patch.object(self.env.registry["billing.usage"], "_ingest", refusing),
            self.assertLogs(LOGGER, "WARNING"),
        ):
            self._read()
        self.assertEqual(self._counts(batch), ("done", 10, 9, 0, 1))
        self.assertEqual((batch.reject_ids.line, batch.reject_ids.external_id), (9, "c7"))

    def test_too_many_rejected_rows_are_no_slip(self):
        batch = self._upload(text(good(), *(good(n, duration="x") for n in range(10))))
        batch.action_start()
        with (
            patch.object(billing_usage_import_read, "MOST_REJECTED", 5),
            patch.object(billing_usage_import_read, "CHUNK", 4),
        ):
            self._read()
        self.assertEqual(self._counts(batch), ("failed", 4, 1, 0, 3))
        self.assertIn("whether the columns are chosen rightly", batch.reason)

    def test_what_somebody_else_reads_is_left_alone(self):
        batch = self._upload(text(good()))
        batch.action_start()
        imports = self.env.registry["billing.usage.import"]
        with patch.object(imports, "try_lock_for_update", lambda batches, **_options: batches.browse()):
            self._read()
        self.assertEqual(batch.state, "waiting")
        # Between two chunks, somebody else went on with it.
        job = batch.sudo()
        job.write({"state": "running", "row_count": 5, "accepted_count": 5})
        chunk = billing_usage_import_read.Chunk()
        self.assertFalse(job._take_chunk(chunk, 4))
        self.assertTrue(job._take_chunk(chunk, 5))

    def test_stopped_and_gone_on(self):
        batch = self._upload(text(good()))
        batch.action_start()
        batch.action_stop()
        self._read()
        self.assertEqual((batch.state, batch.row_count), ("failed", 0))
        self.assertIn("Stopped by", batch.reason)
        batch.action_go_on()
        self._read()
        self.assertEqual(self._counts(batch), ("done", 1, 1, 0, 0))
        with self.assertRaisesRegex(UserError, "nothing to go on with"):
            batch.action_go_on()

    def test_every_row_is_accepted_or_rejected(self):
        batch = self._import(text(good()))
        with mute_logger("odoo.sql_db"), self.assertRaises(errors.CheckViolation):
            batch.sudo().rejected_count = 1
            self.env.flush_all()

    # -- rejected rows ------------------------------------------------------------------------------------------------

    def test_mended_rows(self):
        batch = self._import(
            text(good(), good(2, duration="x") + ",=1+1", good(3, start="soon") + ",", headings=f"{HEADINGS},note")
        )
        self.assertEqual(batch.rejected_count, 2)
        [headings, *rows] = batch._rejected_rows()
        self.assertEqual(headings, ["line", "reason", *HEADINGS.split(","), "note"])
        self.assertEqual([row[0] for row in rows], [3, 4])
        mended = table(
            "3,was wrong," + good(2) + ",=1+1", "4,was wrong," + good(3) + ",", headings=",".join(headings)
        ).replace(",", ";")
        again = self._import(mended.encode("cp1252"), mended_from=batch, name="mended.csv")
        self.assertEqual(again.mended_from_id, batch)
        self.assertEqual(again.column_ids.mapped("role")[:4], [False, False, "id", "account"])
        self.assertEqual(self._counts(again), ("done", 2, 2, 0, 0))
        self.assertEqual(batch.mend_count, 1)
        self.assertEqual(self.source.mapping, batch.mapping, "Mended rows are no example")

    def test_mended_rows_without_id_are_the_same_rows(self):
        headings = HEADINGS.split(",", 1)[1]
        row = good(1).split(",", 1)[1]
        batch = self._import(text(row, row.replace("60", "x"), headings=headings))
        self.assertEqual(self._counts(batch), ("done", 2, 1, 0, 1))
        mended = self._import(
            text("3,why," + row.replace("60", "61"), "2,why," + row, headings=f"line,reason,{headings}"),
            mended_from=batch,
        )
        self.assertEqual(self._counts(mended), ("done", 2, 2, 1, 0), "What was taken before is known")

    # -- taking back --------------------------------------------------------------------------------------------------

    def test_taken_back_and_read_again(self):
        batch = self._import(text(good(), good(2)))
        with self.assertRaisesRegex(UserError, "Take it back first"):
            batch.unlink()
        wizard = self.env["billing.usage.take.back"].browse(batch.action_take_back()["res_id"])
        self.assertEqual(wizard.record_count, 2)
        wizard.action_take_back()
        self.assertEqual(batch.state, "undone")
        self.assertFalse(self._taken(batch))
        with self.assertRaisesRegex(UserError, "has taken nothing in"):
            batch.action_take_back()
        batch.action_again()
        self.assertEqual(self._counts(batch), ("draft", 0, 0, 0, 0))
        batch.action_start()
        self._read()
        self.assertEqual(self._counts(batch), ("done", 2, 2, 0, 0))

    def test_what_is_billed_is_not_taken_back(self):
        batch = self._import(text(good(), good(2)))
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE billing_usage SET bill_id = 1 WHERE import_id = %s AND external_id = 'c1'", [batch.id]
        )
        self.env.invalidate_all()
        with self.assertRaisesRegex(UserError, "1 record of"):
            batch.action_take_back()
        with self.assertRaisesRegex(UserError, "1 record of"):
            batch._take_back()
        self.assertEqual(len(self._taken(batch)), 2)
        with self.assertRaisesRegex(UserError, "Take it back first"):
            batch.unlink()

    def test_what_is_being_read_is_neither_deleted_nor_taken_back(self):
        batch = self._upload(text(good()))
        batch.action_start()
        with self.assertRaisesRegex(UserError, "Stop it first"):
            batch.unlink()
        with self.assertRaisesRegex(UserError, "Stop it first"):
            batch.action_take_back()
        batch.action_stop()
        batch.unlink()

    def test_records_and_rejected_rows_are_listed(self):
        batch = self._import(text(good(), good(2, duration="x")))
        for action, count in ((batch.action_records(), 1), (batch.action_rejects(), 1)):
            self.assertEqual(self.env[action["res_model"]].search_count(action["domain"]), count)
        again = self._import(text("3,x," + good(2), headings=f"line,reason,{HEADINGS}"), mended_from=batch)
        self.assertEqual(batch.action_mends()["res_id"], again.id)

    def test_what_came_by_the_api_is_taken_back_too(self):
        result = self._hand_in({}, {"quantity": -1})
        batch = self.env["billing.usage.import"].browse(result["import_id"])
        self.assertFalse(batch.preview)
        batch._take_back()
        self.assertEqual(batch.state, "undone")
        with self.assertRaisesRegex(UserError, "read in another way"):
            batch.action_again()

    # -- who may ------------------------------------------------------------------------------------------------------

    def test_only_billing_staff_uploads(self):
        for groups in ("base.group_user", "base.group_portal"):
            user = self._new_user(groups, groups)
            with self.assertRaises(AccessError):
                self._upload(text(good()), user=user)
            with self.assertRaises(AccessError):
                self.env["billing.usage.import"].with_user(user).action_upload()
            with self.assertRaises(AccessError):
                self.env["billing.usage.import"].with_user(user)._receive(self.source, "x", text(good()))

    def test_another_company_s_source_is_refused(self):
        elsewhere = self._new_company("Elsewhere")
        source = self.source.sudo().copy({"code": "theirs", "company_id": elsewhere.id, "rate_plan_id": False})
        with self.assertRaises(AccessError):
            self._upload(text(good()), source=source)
        theirs = self.env["billing.usage.import"].sudo()._receive(source, "theirs.csv", text(good()))
        for call in (
            "action_start",
            "action_download_rejects",
            "action_take_back",
            "action_upload_mended",
            "action_upload_again",
            "action_stop",
        ):
            with self.assertRaises(AccessError):
                getattr(self.env["billing.usage.import"].browse(theirs.id), call)()
        with self.assertRaises(AccessError):
            self._upload(text(good()), mended_from=self.env["billing.usage.import"].browse(theirs.id))

    def test_nobody_writes_an_import_but_its_methods(self):
        batch = self._upload(text(good()))
        secret = self.env["ir.attachment"].sudo().create({"name": "Secret", "raw": text(good(1, id="secret"))})
        for values in (
            {"attachment_id": secret.id},
            {"state": "waiting"},
            {"mapping": {}},
            {"accepted_count": 7, "row_count": 7},
            {"source_id": self.source.id},
            {"mended_from_id": batch.id},
            {"name": "x"},
        ):
            with self.subTest(values), self.assertRaises(AccessError):
                batch.write(values)
        with self.assertRaises(AccessError):
            self.env["billing.usage.import"].create({"name": "x", "source_id": self.source.id})
        with self.assertRaises(AccessError):
            self.env["billing.usage.reject"].create({"import_id": batch.id})
        # Nor does one read what was not handed in for it.
        batch.sudo().attachment_id = secret
        self.assertNotIn("secret", self._shown(batch))
        self.assertIn("no longer there", batch.hint)

    def test_the_wizard_says_what_is_missing(self):
        wizard = self.env["billing.usage.upload"].create({"source_id": self.source.id})
        with self.assertRaisesRegex(UserError, "Choose a file"):
            wizard.action_upload()
        wizard.data = base64.b64encode(text(good()))
        wizard.source_id = False
        with self.assertRaisesRegex(UserError, "Choose the source"):
            wizard.action_upload()

    def test_the_source_used_last_is_suggested(self):
        other = self.source.copy({"name": "Other", "code": "other"})
        self._upload(text(good()), source=other)
        action = self.env["billing.usage.import"].action_upload()
        self.assertEqual(self.env["billing.usage.upload"].browse(action["res_id"]).source_id, other)

    def test_a_file_is_neither_a_page_nor_searched_for_words(self):
        attachment = self._upload(text(good()), name="calls.html").sudo().attachment_id
        self.assertEqual((attachment.mimetype, attachment.index_content), ("application/csv", False))


@tagged("post_install", "-at_install")
class TestImportDownload(ImportCommon, HttpCase):
    def _download(self, batch):
        return self.url_open(f"/billing/usage/import/{batch.id}/rejected.csv")

    def test_rejected_rows_are_inert_and_come_back_whole(self):
        nasty = [
            good(1, id="=cmd|'/c calc'!A1", duration="x"),
            good(2, id="-2+3", duration="x"),
            good(3, id="@SUM(1)", account="+49 30 1000", duration="x"),
            good(4, id='"a,b"', duration="x"),
            good(5, id='"two\nlines"', duration="x"),
        ]
        batch = self._import(text(*nasty, good(9)))
        self.assertEqual(batch.rejected_count, 5)
        self.authenticate(self.biller.login, self.biller.login)
        response = self._download(batch)
        self.assertEqual(response.status_code, 200)
        self.assertIn("text/csv", response.headers["Content-Type"])
        self.assertIn("calls%20rejected.csv", response.headers["Content-Disposition"])
        downloaded = response.content.decode("utf-8-sig")
        rows = downloaded.splitlines()
        self.assertEqual(rows[0], f"line,reason,{HEADINGS}")
        self.assertIn(",'=cmd|'/c calc'!A1,'+49301000,", rows[1])
        self.assertIn(",'-2+3,", rows[2])
        self.assertIn(",'@SUM(1),", rows[3])
        self.assertNotRegex(downloaded, r"(^|,)[=+@-]")
        mended = self._import(downloaded.replace(",x\r\n", ",60\r\n").encode(), mended_from=batch)
        # A line break has no place in an ID.
        self.assertEqual(self._counts(mended), ("done", 5, 4, 0, 1))
        self.assertEqual(self._taken(mended).mapped("external_id"), ["-2+3", "=cmd|'/c calc'!A1", "@SUM(1)", "a,b"])

    def test_the_file_s_own_delimiter(self):
        batch = self._import(table(good(1, duration="x"), good(2)).replace(",", ";").encode())
        self.authenticate(self.biller.login, self.biller.login)
        self.assertIn("line;reason;id;account", self._download(batch).content.decode("utf-8-sig"))

    def test_nobody_else_s(self):
        batch = self._import(text(good(1, duration="x")))
        self.assertIn("/web/login", self._download(batch).url)
        employee = self._new_user("employee", "base.group_user")
        self.authenticate(employee.login, employee.login)
        with mute_logger("odoo.http"):
            self.assertIn(self._download(batch).status_code, (403, 404))
        elsewhere = self._new_company("Elsewhere")
        stranger = self._new_user(
            "stranger",
            "invoice_portal.group_billing_user",
            company_id=elsewhere.id,
            company_ids=[Command.set(elsewhere.ids)],
        )
        self.authenticate(stranger.login, stranger.login)
        self.assertEqual(self._download(batch).status_code, 404)


@tagged("post_install", "-at_install")
class TestImportTour(ImportCommon, HttpCase):
    def test_upload_mend_and_upload_again(self):
        self.start_tour("/odoo", "billing_usage_upload", login=self.biller.login)
        first = self.env["billing.usage.import"].search([("kind", "=", "file")])
        self.assertEqual(first.state, "waiting")
        self._read()
        self.assertEqual(self._counts(first), ("done", 4, 2, 0, 2))
        self.start_tour("/odoo", "billing_usage_mend", login=self.biller.login)
        self._read()
        second = self.env["billing.usage.import"].search([("mended_from_id", "=", first.id)])
        self.assertEqual(self._counts(second), ("done", 2, 2, 0, 0))
        self.assertEqual(self._usage("t1", "t2", "t3", "t4").partner_id, self.client)
        self.start_tour("/odoo", "billing_usage_take_back", login=self.biller.login)
        self.env.invalidate_all()
        self.assertEqual(second.state, "undone")
        self.assertEqual(len(self._usage("t1", "t2", "t3", "t4")), 2)


@tagged("post_install", "-at_install")
class TestImportFile(ImportCommon):
    """The plain Python below it."""

    def test_moments(self):
        for written, order, iso in (
            ("2026-03-10T12:00:00Z", "dmy", "2026-03-10T12:00:00Z"),
            ("2026-03-10 12:00:00+01:00", "ymd", "2026-03-10 12:00:00+01:00"),
            ("20260310120000", "ymd", "2026-03-10T12:00:00"),
            ("20260310T120000Z", "ymd", "2026-03-10T12:00:00+00:00"),
            ("2026/3/1 9:05", "ymd", "2026-03-01T09:05:00"),
            ("10.03.2026 12:00:05", "dmy", "2026-03-10T12:00:05"),
            ("10/03/26 2:05 PM", "dmy", "2026-03-10T14:05:00"),
            ("03/10/2026 12:05:09 am", "mdy", "2026-03-10T00:05:09"),
            ("10-Mar-2026 12:00", "dmy", "2026-03-10T12:00:00"),
            ("12. März 2026", "dmy", "2026-03-12T00:00:00"),
            ("Mar 10, 2026 12:00:01", "mdy", "2026-03-10T12:00:01"),
            ("Tue, 10 Mar 2026 12:00:00 GMT", "ymd", "2026-03-10T12:00:00+00:00"),
            ("10.03.2026 12:00 MESZ", "dmy", "2026-03-10T12:00:00+02:00"),
            ("2026-03-10T12:00:00+01:00[Europe/Berlin]", "ymd", "2026-03-10T12:00:00+01:00"),
            ("1773144000", "unix", "2026-03-10T12:00:00+00:00"),
            ("1773144000123", "unix", "2026-03-10T12:00:00.123000+00:00"),
            ("46091.5", "excel", "2026-03-10T12:00:00"),
        ):
            with self.subTest(written):
                self.assertEqual(usage_file.moment_text(written, order), iso)
        for written, order in (
            ("31.02.2026", "dmy"), ("10/03/2026", "ymd"), ("13/13/2026", "mdy"), ("12:00", "dmy"), ("", "ymd"),
            ("2026-03-10 25:00", "ymd"), ("2026-03-10 24:00:00", "ymd"), ("9" * 25, "unix"), ("60", "unix"),
            ("9999999", "excel"), ("10.03.2026 13:00 PM", "dmy"), ("10.03.2026 12:00 IST", "dmy"),
            ("10.03.2026 12:00 +99:00", "dmy"), ("٢٠٢٦-٠٣-١٠", "ymd"), ("2026-03-10 12:00:00; rm", "ymd"),
        ):  # fmt: skip
            with self.subTest(written), self.assertRaises(usage_file.Unfit):
                usage_file.moment_text(written, order)

    def test_numbers(self):
        for written, sign, plain in (
            ("1,234.56", "point", "1234.56"),
            ("1.234,56", "comma", "1234.56"),
            ("1'234.5", "point", "1234.5"),
            ("1\u202f234,5", "comma", "1234.5"),
            ("1,234", "point", "1234"),
            ("1,234", "comma", "1.234"),
            (".5", "point", "0.5"),
            ("-3", "point", "-3"),
            ("6.0E1", "point", "60"),
        ):
            with self.subTest(written, sign=sign):
                self.assertEqual(usage_file.number_text(written, sign), plain)
        for written, sign in (
            ("12,5", "point"),
            ("1,23,456", "point"),
            ("1.5", "comma"),
            ("", "point"),
            (".", "point"),
        ):
            with self.subTest(written, sign=sign), self.assertRaises(usage_file.Unfit):
                usage_file.number_text(written, sign)

    def test_durations(self):
        for written, unit, quantity in (
            ("60", "second", ("60", None)),
            ("1:02:03", "second", ("3723", "second")),
            ("1:30", "second", ("90", "second")),
            ("1:30", "hour", ("5400", "second")),
            ("100:00:00.5", "hour", ("360000.5", "second")),
            ("PT1M30S", "second", ("90", "second")),
            ("1h 5min", "second", ("3900", "second")),
            ("2 min", "second", ("2", "minute")),
            ("500 kB", "mb", ("0.500", "mb")),
        ):
            with self.subTest(written, unit=unit):
                self.assertEqual(usage_file.quantity_text(written, "point", unit), quantity)
        for written in ("1:75", "1:2:3:4", ":", "1:", "P", "s", "-1:00:00", "5 parsecs"):
            with self.subTest(written), self.assertRaises(usage_file.Unfit):
                usage_file.quantity_text(written, "point", "second")

    def test_memory_does_not_grow_with_the_file(self):
        def peak(count, headings=HEADINGS):
            file = io.BytesIO(text(*(good(n) for n in range(count)), headings=headings))
            maker = usage_file.RowMaker(
                {"roles": ["id", "account", "moment", "destination", "quantity"], "dates": "ymd", "decimal": "point"}
            )
            tracemalloc.start()
            layout = usage_file.guess_layout(file)
            usage_file.repeated(file, layout, maker)
            file.seek(0)
            rows = sum(bool(maker.raw(line.cells)) for line in usage_file.read_lines(file, layout, 5))
            memory = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            self.assertEqual(rows, count)
            return memory

        peak(1000)
        self.assertLess(peak(60_000), 1.5 * peak(15_000) + 1_000_000)
