from unittest.mock import patch

from psycopg2 import errors

from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import tagged
from odoo.tools import mute_logger

from ..wizards.billing_draft import AT_ONCE
from .common import BillingCommon

LOGGER = "odoo.addons.invoice_portal.models.billing_run_client"


@tagged("post_install", "-at_install")
class TestRun(BillingCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.clients = cls.env["res.partner"].union(*(cls._new_client(f"Client {n:03}") for n in range(AT_ONCE + 5)))
        cls.charges = cls.env["billing.charge"].union(
            *(cls._new_charge(f"{client.name} {n}", partner_id=client.id) for client in cls.clients for n in range(2))
        )
        cls.cron = cls.env.ref("invoice_portal.ir_cron_billing_run")

    def _start(self, charges=None):
        wizard = self.env["billing.draft"].browse((charges or self.charges).action_draft_invoice()["res_id"])
        action = wizard.action_confirm()
        self.assertEqual(action["res_model"], "billing.run")
        return self.env["billing.run"].browse(action["res_id"])

    def _work(self):
        with self.enter_registry_test_mode():
            self.cron.sudo().method_direct_trigger()
        self.env.invalidate_all()

    def test_many_drafts_are_made_in_the_background(self):
        run = self._start()
        self.assertEqual(
            (run.state, run.count_total, run.count_pending), ("running", len(self.clients), len(self.clients))
        )
        self.assertEqual(set(self.charges.mapped("state")), {"open"})
        self._work()
        self.assertEqual((run.state, run.count_done, run.progress), ("done", len(self.clients), 100))
        self.assertEqual(set(self.charges.mapped("state")), {"drafted"})
        self.assertEqual(len(self.charges.invoice_id), len(self.clients))
        self.assertEqual(run.client_ids.move_ids, self.charges.invoice_id)
        self.assertEqual(run.client_ids.move_ids.invoice_user_id, self.biller)

    def test_what_is_planned_is_not_drafted_by_anybody_else(self):
        run = self._start()
        _plan, left_out = self.charges[0]._draft_plan()
        self.assertEqual(list(left_out), [f"Being drafted by {run.name}"])

    def test_one_bad_client_stops_nobody(self):
        run = self._start()
        bad = self.clients[3]
        prepare = self.env.registry["account.move"]._prepare_billing_invoice

        def poisoned(move, key, charges):
            if key[1].id == bad.id:
                raise ValidationError(move.env._("The well is poisoned"))
            return prepare(move, key, charges)

        with patch.object(self.env.registry["account.move"], "_prepare_billing_invoice", poisoned):
            self._work()
        self.assertEqual((run.count_done, run.count_failed, run.state), (len(self.clients) - 1, 1, "attention"))
        failed = run.client_ids.filtered(lambda client: client.state == "failed")
        self.assertEqual((failed.partner_id, failed.reason), (bad, "The well is poisoned"))
        run.action_retry_failed()
        self._work()
        self.assertEqual((run.count_done, run.state), (len(self.clients), "done"))

    def test_an_unexpected_error_is_parked_with_its_kind_and_logged(self):
        run = self._start()

        def broken(move, key, charges):
            raise ZeroDivisionError("oops")

        with (
            patch.object(self.env.registry["account.move"], "_prepare_billing_invoice", broken),
            self.assertLogs(LOGGER, "ERROR"),
        ):
            self.env["billing.run.client"].sudo()._process_batch(limit=2)
        self.assertEqual(run.client_ids[0].reason, "Unexpected: ZeroDivisionError: oops")

    def test_a_conflict_is_tried_again_and_not_blamed_on_the_client(self):
        run = self._start()
        original = self.env.registry["billing.run.client"]._draft
        rounds = []

        def conflicting(clients):
            rounds.append(clients)
            if len(rounds) < 3:
                raise errors.SerializationFailure("somebody was faster")
            return original(clients)

        # The test's own transaction must survive the rollback that a conflict calls for.
        with (
            patch.object(self.env.registry["billing.run.client"], "_draft", conflicting),
            patch.object(type(self.env.cr), "rollback", lambda cr: None),
        ):
            self._work()
        self.assertEqual((run.state, run.count_failed), ("done", 0))

    def test_stop_and_resume(self):
        run = self._start()
        run.action_stop()
        self._work()
        self.assertEqual((run.state, run.count_done), ("stopped", 0))
        run.action_resume()
        self._work()
        self.assertEqual(run.state, "done")

    def test_what_changed_since_the_plan_is_respected(self):
        run = self._start()
        held, discarded, priced = self.clients[0], self.charges[2], self.charges[4]
        held.billing_blocked = True
        (discarded | self.charges[3]).action_discard()
        priced.price_unit = 5
        self._work()
        by_client = run.client_ids.grouped("partner_id")
        self.assertEqual(by_client[held].state, "held")
        self.assertIn("Billing on hold", by_client[held].reason)
        self.assertEqual((by_client[self.clients[1]].state, discarded.state), ("done", "discarded"))
        self.assertEqual(priced.invoice_line_id.price_unit, 5)

    def test_each_drafts_in_the_name_of_who_started_the_run(self):
        run = self._start()
        self._work()
        self.assertEqual(run.client_ids.move_ids.create_uid, self.biller)

    def test_nobody_writes_a_run_or_borrows_another_s_rights(self):
        run = self._start()
        self.assertEqual(run.user_id, self.biller)
        for call in (
            lambda: run.write({"user_id": self.env.ref("base.user_root").id}),
            lambda: run.client_ids.write({"state": "done"}),
            lambda: run.client_ids[0].write({"company_id": self._new_company("Elsewhere").id}),
            lambda: self.env["billing.run"].create({}),
            lambda: self.env["billing.run.client"].create(
                {
                    "run_id": run.id,
                    "company_id": self.company.id,
                    "partner_id": self.client.id,
                    "currency_id": self.company.currency_id.id,
                }
            ),
        ):
            with self.assertRaises(AccessError):
                call()

    def test_what_is_done_is_not_done_again(self):
        run = self._start()
        self._work()
        invoices = self.charges.invoice_id
        run.client_ids.sudo()._retry()
        self._work()
        self.assertEqual(self.charges.invoice_id, invoices)
        self.assertEqual(run.state, "done")

    def test_nothing_failed_nothing_to_retry(self):
        run = self._start()
        with self.assertRaisesRegex(UserError, "Nothing failed"):
            run.action_retry_failed()

    @mute_logger("odoo.sql_db")
    def test_queries_do_not_grow_with_the_run(self):
        def work(charges):
            run = self._start(charges)
            before = self.env.cr.sql_log_count
            self.env["billing.run.client"].sudo()._process_batch(limit=AT_ONCE + 5)
            self.env.flush_all()
            return (self.env.cr.sql_log_count - before) / len(run.client_ids)

        self.assertLess(work(self.charges), 25)
