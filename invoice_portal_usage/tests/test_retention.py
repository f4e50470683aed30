import base64
import csv
import gzip
import io
from contextlib import ExitStack
from unittest.mock import patch

from freezegun import freeze_time

from odoo import SUPERUSER_ID
from odoo.exceptions import UserError, ValidationError
from odoo.tests import HttpCase, tagged

from ..models import billing_usage_export
from ..models.billing_usage_export import CLIENT_COLUMNS
from ..models.billing_usage_retention import BillingUsageBill
from .billed import BilledCommon


class RetentionCommon(BilledCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company.sudo().billing_usage_keep_months = 3
        cls.records = cls._month_of_calls()
        cls.bill = cls._bill(cls.records)

    def _invoice(self, bill, day="2026-04-02"):
        draft = self._draft(bill.charge_ids)
        draft.invoice_date = day
        draft._billing_finalize()
        return draft

    def _run(self, day="2026-08-01"):
        with freeze_time(f"{day} 12:00:00"), ExitStack() as stack:
            if not isinstance(self, HttpCase):
                stack.enter_context(self.enter_registry_test_mode())
            self.env.ref("invoice_portal_usage.ir_cron_billing_usage_put_away").sudo().method_direct_trigger()
        self.env.invalidate_all()

    def _left(self, bill=None):
        return self.env["billing.usage"].sudo().search_count([("bill_id", "=", (bill or self.bill).id)])

    def _archived(self, bill=None):
        content = gzip.decompress((bill or self.bill).sudo().archive_id.raw).decode("utf-8-sig")
        return list(csv.reader(io.StringIO(content, newline="")))


@tagged("post_install", "-at_install")
class TestRetention(RetentionCommon):
    def test_what_is_old_is_put_away_and_nothing_is_lost(self):
        invoice = self._invoice(self.bill)
        usage = self.env["billing.usage"]
        with usage._csv_file([("bill_id", "=", self.bill.id)], client=self.client) as file:
            before = list(csv.reader(io.StringIO(file.read().decode("utf-8-sig"), newline="")))
        raw = usage.search([("bill_id", "=", self.bill.id)], order="moment, id")
        facts = [(str(one.id), f"{one.moment:%Y-%m-%dT%H:%M:%SZ}", one.rate_id.prefix, str(one.day)) for one in raw]
        totals = self.bill.total_ids.read(["destination_name", "day", "record_count", "amount"])
        self._run()
        self.assertEqual(self._left(), 0)
        rows = self._archived()
        self.assertEqual([row[: len(CLIENT_COLUMNS)] for row in rows], before)
        names = rows[0]
        picked = [names.index(name) for name in ("Record no.", "Moment (UTC)", "Prefix or key", "Day")]
        self.assertEqual([tuple(row[place] for place in picked) for row in rows[1:]], facts)
        self.assertEqual(self.bill.total_ids.read(["destination_name", "day", "record_count", "amount"]), totals)
        self.assertEqual(invoice.billing_usage_count, self.bill.record_count)
        self.assertTrue(invoice._billing_usage_csv_sudo().raw)

    def test_what_is_young_stays(self):
        self._invoice(self.bill)
        self._run("2026-07-02")
        self.assertTrue(self._left())
        self._run("2026-07-03")
        self.assertFalse(self._left())

    def test_without_a_number_of_months_everything_stays(self):
        self._invoice(self.bill)
        self.company.sudo().billing_usage_keep_months = 0
        self._run("2036-01-01")
        self.assertTrue(self._left())

    def test_what_is_open_drafted_or_void_stays(self):
        opened = self._bill(self._record())
        drafted = self._bill(self._record())
        self._draft(drafted.charge_ids)
        partly = self._bill(self._record() | self._record(7, "4915112345"))
        self._invoice(partly.with_env(self.env), "2026-04-02")
        other = self._bill(self._record() | self._record(700, "4915112345"))
        self._finalized(other.charge_ids[0])
        void = self._bill(self._record())
        invoice = self._invoice(void)
        wizard = self.env["billing.void"].browse(invoice.action_billing_void()["res_id"])
        wizard.reason = "Wrong"
        wizard.action_void()
        unbilled = self._record()
        unrated = self._record(unrated_reason="rate")
        self._run("2036-01-01")
        for bill in (opened, drafted, other, void):
            self.assertEqual(self._left(bill), bill.record_count)
        self.assertEqual(self._left(partly), 0)
        self.assertEqual((unbilled | unrated).exists(), unbilled | unrated)

    def test_a_bill_that_disagrees_with_its_records_stays(self):
        self._invoice(self.bill)
        self.env.cr.execute("DELETE FROM billing_usage WHERE id = %s", [self.records[0].id])
        self._run()
        self.assertEqual(self._left(), self.bill.record_count - 1)
        self.assertFalse(self.bill.archive_id)

    def test_a_file_that_lacks_a_row_deletes_nothing(self):
        self._invoice(self.bill)
        rows = self.bill.record_count
        with self.assertRaisesRegex(UserError, f"{rows - 1} of {rows} rows"), freeze_time("2026-08-01"):
            with patch.object(
                billing_usage_export.BillingUsageBill, "_open_archive", lambda bill: io.BytesIO(b"x\n" * rows)
            ):
                self.bill.sudo()._put_away(self._date("2026-08-01"))
        self.assertEqual(self._left(), rows)

    def test_a_run_that_is_killed_is_taken_up_again(self):
        second = self._bill(self._record(moment="2026-02-10 12:00:00"))
        self._invoice(self.bill)
        self._invoice(second, "2026-03-02")
        taken = []
        put_away = BillingUsageBill._put_away

        def dies(bill, before):
            if taken:
                raise KeyboardInterrupt
            taken.append(bill.id)
            return put_away(bill, before)

        Bill = self.env["billing.usage.bill"].sudo()
        with freeze_time("2026-08-01"), patch.object(BillingUsageBill, "_put_away", dies):
            with self.assertRaises(KeyboardInterrupt), self.env.cr.savepoint():
                Bill._to_put_away(self.company, self._date("2026-05-01"))[0]._put_away(self._date("2026-05-01"))
                self.env["billing.usage.bill"].sudo().browse(self.bill.id)._put_away(self._date("2026-05-01"))
        self.env.invalidate_all()
        self.assertEqual((self._left(second), self._left()), (1, self.bill.record_count))
        self._run()
        self.assertEqual((self._left(second), self._left()), (0, 0))
        self.assertEqual((len(self._archived(second)), len(self._archived())), (2, self.bill.record_count + 1))

    def test_nothing_is_put_away_twice(self):
        self._invoice(self.bill)
        self._run()
        archive = self.bill.archive_id
        self._run("2027-08-01")
        self.assertEqual(self.bill.archive_id, archive)
        self.assertFalse(self.bill.sudo()._put_away(self._date("2027-08-01")))

    def test_other_companies_keep_theirs(self):
        other = self._new_company("Elsewhere")
        self._invoice(self.bill)
        self.company.sudo().billing_usage_keep_months = 0
        other.sudo().billing_usage_keep_months = 1
        self._run("2036-01-01")
        self.assertTrue(self._left())

    def test_what_was_put_away_is_in_the_files_of_its_days(self):
        self._invoice(self.bill)
        usage = self.env["billing.usage"]
        first, last = self._date("2026-03-09"), self._date("2026-03-12")
        with usage._csv_of_days(self.client, self.company, first, last) as file:
            before = file.read()
        self.assertGreater(before.count(b"\n"), 3)
        self._run()
        with usage._csv_of_days(self.client, self.company, first, last) as file:
            self.assertEqual(file.read(), before)
        # What came since, or is still there, follows.
        self._record(moment="2026-03-10 12:00:00", late=True)
        with usage._csv_of_days(self.client, self.company, first, last) as file:
            self.assertEqual(file.read().count(b"\n"), before.count(b"\n") + 1)

    def test_charge_line_and_list_say_where_they_are(self):
        invoice = self._invoice(self.bill)
        self._run()
        for action in (
            invoice.action_billing_usage_records(),
            invoice.invoice_line_ids[0].action_billing_usage_records(),
            self.bill.charge_ids[0].action_usage(),
        ):
            self.assertEqual((action["res_model"], action["res_id"]), ("billing.usage.bill", self.bill.id))
        explained = dict(self.bill.charge_ids[0]._explain())
        self.assertIn("Put away on", explained["Records"])
        with self.assertRaisesRegex(UserError, self.bill.archive_name):
            self.bill.charge_ids[0]._usage_csv_file()

    def test_a_bill_without_records_is_not_taken_back(self):
        self._invoice(self.bill)
        self._run()
        with self.assertRaises(UserError):
            self.bill.action_take_back()

    def test_the_archive_is_changed_and_deleted_by_nobody(self):
        self._invoice(self.bill)
        self._run()
        archive = self.bill.archive_id
        for user in (self.env.user, self.env["res.users"].browse(SUPERUSER_ID)):
            of_user = archive.with_user(user)
            for call in (
                of_user.unlink,
                lambda of_user=of_user: of_user.write({"raw": b"x"}),
                lambda of_user=of_user: of_user.write({"res_id": 0}),
            ):
                with self.subTest(by=user.login), self.assertRaises(UserError):
                    call()
        self.assertTrue(self._archived())

    def _handed_in(self, **values):
        """A call and one without a number, of one import; billed, on an invoice, and put away."""
        self.client.sudo().ref = "ACME"
        result = self._hand_in(*self._two(**values))
        records = self._usage("call-0", "call-1")
        self._invoice(self._bill(records))
        self._run()
        self.assertFalse(records.exists())
        return self.env["billing.usage.import"].browse(result["import_id"])

    def _two(self, **values):
        attributes = {"person": "7", "share": 1.50}
        by_name = {"account": None, "client": "ACME", "moment": "2026-03-11T12:00:00Z", "attributes": attributes}
        return [{"quantity": "61.50", **values}, {**by_name, **values}]

    def _answer(self, result):
        count = self.env["billing.usage"].search_count([("external_id", "like", "call-")])
        return result["accepted"], result["duplicates"], sorted(result["changed"]), len(result["rejected"]), count

    def test_what_was_put_away_is_known_when_it_comes_again(self):
        self._handed_in()
        self.assertEqual(self._answer(self._hand_in(*self._two())), (2, 2, [], 0, 0))
        # Beside what is new, also the very first time that it is tried.
        self.assertEqual(self._answer(self._hand_in(*self._two(), {})), (3, 2, [], 0, 1))
        self.assertEqual(self._answer(self._hand_in(*self._two(), {})), (3, 3, [], 0, 1))

    def test_what_was_put_away_does_not_change(self):
        self._handed_in()
        for other in (
            {"quantity": 62},
            {"moment": "2026-07-10T12:00:00Z"},
            {"destination": "+4989123457"},
            {"attributes": {"person": "8"}},
            {"account": None, "client": str(self.other_client.id)},
        ):
            with self.subTest(other):
                result = self._hand_in(*self._two(**other))
                self.assertEqual(self._answer(result), (0, 0, ["call-0", "call-1"], 2, 0))
                self.assertIn("other contents", result["rejected"][0]["reason"])
        both = self._hand_in({"quantity": 1}, {"id": "call-0", "quantity": 2}, {})
        self.assertEqual(self._answer(both), (1, 0, ["call-0", "call-0"], 2, 1))

    def test_another_sources_ids_are_its_own(self):
        self._handed_in()
        other = self.source.copy({"code": "other", "rate_plan_id": self.plan.id})
        self.assertFalse(other.put_away_on)
        by_name = [{**one, "account": None, "client": "ACME"} for one in self._two()]
        self.assertEqual(self._answer(self._hand_in(*by_name, source=other)), (2, 0, [], 0, 2))

    def test_a_file_with_what_was_put_away(self):
        self._handed_in()
        uploads = self.env["billing.usage.upload"]
        for seconds, counted in (("61.5", (1, 1, 0)), ("7", (0, 0, 1))):
            rows = (
                f"id,account,moment,destination,seconds\ncall-0,+49301000,2026-03-10T12:00:00Z,+4989123456,{seconds}\n"
            )
            wizard = uploads.create(
                {"source_id": self.source.id, "filename": "calls.csv", "data": base64.b64encode(rows.encode())}
            )
            batch = self.env["billing.usage.import"].browse(wizard.action_upload()["res_id"])
            self.assertIn("nown already", batch.preview)
            batch.action_start()
            with self.enter_registry_test_mode():
                self.env.ref("invoice_portal_usage.ir_cron_usage_import").sudo().method_direct_trigger()
            self.env.invalidate_all()
            self.assertEqual(batch.state, "done", batch.reason)
            self.assertEqual((batch.accepted_count, batch.duplicate_count, batch.rejected_count), counted)

    def test_an_import_of_what_was_put_away_is_not_taken_back(self):
        batch = self._handed_in()
        with self.assertRaisesRegex(UserError, "2 records of “API” were billed and put away"):
            batch.action_take_back()
        with self.assertRaisesRegex(UserError, "put away"):
            batch._take_back()
        batch.sudo().write({"state": "failed", "kind": "file"})
        with self.assertRaisesRegex(UserError, "put away"):
            batch.action_again()
        self.assertEqual(batch.row_count, 2)

    def test_a_source_of_what_was_put_away_stays(self):
        self._handed_in()
        self.env.cr.execute("DELETE FROM billing_usage WHERE source_id = %s", [self.source.id])
        with self.assertRaisesRegex(UserError, "Archive it"):
            self.source.unlink()

    def test_what_was_put_away_before_is_known_by_its_file(self):
        self._handed_in()
        self.env.cr.execute("DELETE FROM billing_usage_known")
        self.env.cr.execute("UPDATE billing_usage_source SET put_away_on = NULL")
        self.env.invalidate_all()
        bills = self.env["billing.usage.bill"].sudo().search([("archive_id", "!=", False)])
        counts = [self.env["billing.usage.known"].sudo()._keep_of_archive(bill) for bill in bills]
        self.assertEqual(counts, bills.mapped("record_count"))
        self.assertEqual(self._answer(self._hand_in(*self._two())), (2, 2, [], 0, 0))
        self.assertEqual(self._answer(self._hand_in(*self._two(quantity=7))), (0, 0, ["call-0", "call-1"], 2, 0))

    def test_months_are_a_number_that_makes_sense(self):
        for months in (-1, 100_000):
            with self.assertRaises(ValidationError):
                self.company.sudo().billing_usage_keep_months = months


@tagged("post_install", "-at_install")
class TestArchiveDownload(RetentionCommon, HttpCase):
    def test_staff_downloads_it_and_nobody_else(self):
        self._invoice(self.bill)
        self._run()
        url = self.bill.action_download_archive()["url"]
        self._new_portal_user(self.client, "ann")
        self._new_user("employee", "base.group_user")
        self.env.flush_all()
        for login, gets in (("biller", True), ("ann", False), ("employee", False)):
            with self.subTest(login):
                self.authenticate(login, login)
                response = self.url_open(url)
                self.assertEqual(response.status_code == 200, gets)
        self.authenticate("biller", "biller")
        response = self.url_open(url)
        self.assertEqual(len(gzip.decompress(response.content).splitlines()), self.bill.record_count + 1)
