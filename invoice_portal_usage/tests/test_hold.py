from datetime import timedelta

from freezegun import freeze_time

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from .bill_common import BillCommon


class HoldCommon(BillCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.usage = cls._used("2026-03-05", 10)

    @classmethod
    def _generate(cls, until="2026-04-01", client=None):
        client = client or cls.client
        wizard = cls.env["billing.generate"].create({"partner_id": client.id, "draft": True, "until": until})
        return cls.env["account.move"].browse(wizard.action_confirm()["res_id"])

    def _release(self, action, note="The switch was off"):
        wizard = self.env["billing.usage.release"].browse(action["res_id"])
        wizard.note = note
        return wizard.action_confirm()

    @classmethod
    def _mend(cls, record, destination=None):
        """What the rating does when the plan has a rate for it."""
        destination = destination or cls.landline
        cls.env.cr.execute(
            "UPDATE billing_usage SET unrated_reason = NULL, destination_id = %s, rate_id = %s, amount = 0.06,"
            " list_amount = 0.06 WHERE id = %s",
            [destination.id, cls.rates[destination].id, record],
        )
        cls.env.invalidate_all()

    @classmethod
    def _silent(cls):
        cls.source.expected_hours = 24
        cls.env.flush_all()
        cls.env.cr.execute(
            "UPDATE billing_usage_source SET create_date = %s WHERE id = %s",
            [fields.Datetime.now() - timedelta(days=3), cls.source.id],
        )
        cls.env.invalidate_all()


@tagged("post_install", "-at_install")
class TestHold(HoldCommon):
    def test_unrated_usage_holds_the_draft(self):
        self._unrated("2026-03-31")
        self._unrated("2026-03-31", reason="plan")
        self._unrated("2026-03-31", reason="plan")
        draft = self._generate()
        self.assertEqual(
            draft.billing_usage_hold,
            "2 records of usage are not rated: no rate plan\n1 record of usage is not rated: no rate fits",
        )
        for finalize in (draft._billing_finalize, draft.action_post):
            with self.assertRaisesRegex(UserError, "waits, as usage is missing. 2 records of usage are not rated"):
                finalize()
        wizard = self.env["billing.finalize"].browse(draft.action_billing_finalize()["res_id"])
        self.assertEqual(wizard.ready_count, 0)
        self.assertIn("usage is missing", wizard.summary)

    def test_what_is_used_afterwards_holds_nothing(self):
        self._unrated("2026-04-01")
        draft = self._generate()
        self.assertFalse(draft.billing_usage_hold)
        draft._billing_finalize()

    def test_others_go_on(self):
        self._unrated("2026-03-31")
        self._used("2026-03-05", 1, client=self.other_client)
        draft = self._generate(client=self.other_client)
        draft._billing_finalize()
        self.assertEqual(draft.state, "posted")

    def test_what_somebody_typed_does_not_wait(self):
        self._unrated("2026-03-31")
        invoice = self.env["account.move"].create(
            {
                "move_type": "out_invoice",
                "partner_id": self.client.id,
                "invoice_line_ids": [(0, 0, {"name": "By hand", "price_unit": 10})],
            }
        )
        invoice.action_post()
        self.assertEqual(invoice.state, "posted")

    def test_mended_it_goes(self):
        record = self._unrated("2026-03-31")
        draft = self._generate()
        self.assertTrue(draft.billing_usage_hold)
        self._mend(record)
        self.assertFalse(draft.billing_usage_hold)
        draft._billing_finalize()

    def test_released_with_a_note(self):
        self._unrated("2026-03-31")
        draft = self._generate()
        action = draft.action_billing_usage_release()
        for nothing in (False, "  \n"):
            with self.assertRaisesRegex(UserError, "Say why"):
                self._release(action, nothing)
        self._release(action, "Test calls <b>only</b>")
        self.assertFalse(draft.billing_usage_hold)
        self.assertEqual(draft.billing_usage_released_by, self.biller)
        self.assertEqual(draft.billing_usage_released_note, "Test calls <b>only</b>")
        told = draft.message_ids[0]
        self.assertEqual(told.author_id, self.biller.partner_id)
        self.assertIn("no rate fits. Why: Test calls &lt;b&gt;only&lt;/b&gt;", told.body)
        draft._billing_finalize()
        with self.assertRaisesRegex(UserError, "No usage is missing"):
            draft.action_billing_usage_release()

    def test_a_release_covers_what_was_seen(self):
        self._unrated("2026-03-31")
        draft = self._generate()
        self._release(draft.action_billing_usage_release())
        self._unrated("2026-03-30")
        draft.invalidate_recordset()
        self.assertIn("2 records of usage", draft.billing_usage_hold)
        with self.assertRaises(UserError):
            draft._billing_finalize()

    def test_a_release_does_not_cover_what_came_since(self):
        seen = self._unrated("2026-03-31")
        self._unrated("2026-03-31")
        draft = self._generate()
        self._release(draft.action_billing_usage_release())
        self.assertFalse(draft.billing_usage_hold)
        self._unrated("2026-03-30")
        # As many as were released, and not the same.
        self.env.cr.execute("DELETE FROM billing_usage WHERE id = %s", [int(seen)])
        draft.invalidate_recordset()
        self.assertIn("2 records of usage", draft.billing_usage_hold)
        self._release(draft.action_billing_usage_release(), "These, too")
        self.assertFalse(draft.billing_usage_hold)
        draft._billing_finalize()

    def test_nobody_writes_a_release_by_hand(self):
        draft = self._generate()
        for values in (
            {"billing_usage_released_note": "Fine"},
            {"billing_usage_released": {"unrated": {"rate": 99}}},
            {"billing_usage_released_by": self.biller.id},
            {"billing_usage_released_on": "2026-01-01"},
        ):
            for env in (self.env, self.env(su=True)):
                with self.assertRaisesRegex(UserError, "not by hand"):
                    draft.with_env(env).with_context(billing_grant=True).write(values)
                with self.assertRaisesRegex(UserError, "not by hand"):
                    self.env["account.move"].with_env(env).create({"move_type": "out_invoice", **values})
        copy = draft.copy()
        self.assertFalse(copy.billing_usage_released_note)

    def test_only_staff_releases(self):
        self._unrated("2026-03-31")
        draft = self._generate()
        clerk = self._new_user("clerk", "base.group_user")
        portal = self._new_portal_user(self.client, "paul")
        for user in (clerk, portal):
            with self.assertRaises(AccessError):
                draft.with_user(user).action_billing_usage_release()
            with self.assertRaises(AccessError):
                self.env["billing.usage.release"].with_user(user).create({"note": "Mine"})

    def test_a_silent_feed_holds(self):
        self._silent()
        draft = self._generate()
        self.assertEqual(draft.billing_usage_hold, "“Switch” has never delivered anything")
        with self.assertRaisesRegex(UserError, "has never delivered"):
            draft._billing_finalize()
        self._release(draft.action_billing_usage_release())
        draft._billing_finalize()

    def test_a_feed_that_fell_silent_says_since_when(self):
        self._silent()
        self._used("2026-03-05", 10)
        batch = (
            self.env["billing.usage.import"]
            .sudo()
            .create({"name": "API", "source_id": self.source.id, "state": "done", "row_count": 1, "accepted_count": 1})
        )
        batch.flush_recordset()
        self.env.cr.execute(
            "UPDATE billing_usage_import SET write_date = '2026-03-01 10:00:00' WHERE id = %s", [batch.id]
        )
        self.env.invalidate_all()
        draft = self._generate()
        self.assertRegex(draft.billing_usage_hold, "“Switch” has been silent since 3/1/26, 10:00")
        with self.assertRaisesRegex(UserError, "has been silent since"):
            draft._billing_finalize()

    def test_only_what_was_accepted_ends_a_silence(self):
        self._silent()
        draft = self._generate()
        ingest = self.env["billing.usage"].ingest
        call = {"account": "+49301000", "moment": "2026-04-01T12:00:00Z", "destination": "+4989123456", "quantity": 60}
        for records in ([], [{}], [{**call, "id": "x", "quantity": -1}]):
            ingest(self.source.code, records)
            self.env.invalidate_all()
            self.assertIn("never delivered", draft.billing_usage_hold)
        ingest(self.source.code, [{**call, "id": "x"}, {}])
        self.env.invalidate_all()
        self.assertFalse(draft.billing_usage_hold)
        # What is known already says that the feed is alive, too.
        self.env.cr.execute("DELETE FROM billing_usage_import WHERE source_id = %s", [self.source.id])
        self.env.invalidate_all()
        self.assertTrue(draft.billing_usage_hold)
        self.assertEqual(ingest(self.source.code, [{**call, "id": "x"}])["duplicates"], 1)
        self.env.invalidate_all()
        self.assertFalse(draft.billing_usage_hold)

    def test_a_feed_that_delivers_holds_nothing(self):
        self._silent()
        draft = self._generate()
        self.source.expected_hours = 24 * 30
        self.assertFalse(draft.billing_usage_hold)
        self.source.expected_hours = 24
        self.source.active = False
        draft.invalidate_recordset()
        self.assertFalse(draft.billing_usage_hold)

    def test_a_silent_feed_holds_whoever_has_a_number_there(self):
        self._silent()
        third = self._new_client("Third")
        self.env["billing.usage.account"].create(
            {"source_id": self.source.id, "key": "+49 30 2000", "partner_id": third.id, "date_until": "2020-01-01"}
        )
        self._new_charge(date="2026-03-01", partner_id=third.id)
        self._new_charge(date="2026-03-01", partner_id=self.other_client.id)
        self.assertFalse(self._generate(client=third).billing_usage_hold, "given back before")
        self.assertFalse(self._generate(client=self.other_client).billing_usage_hold)
        self.env["billing.usage.account"].create(
            {"source_id": self.source.id, "key": "+49 30 3000", "partner_id": self.other_client.id}
        )
        draft = self.env["account.move"].search([("partner_id", "=", self.other_client.id)])
        draft.invalidate_recordset()
        self.assertTrue(draft.billing_usage_hold)

    def test_a_silent_feed_holds_what_carries_its_usage(self):
        """Also where the source named the client itself, and no number."""
        self.account.unlink()
        self._silent()
        self.assertTrue(self._generate().billing_usage_hold)

    def test_another_company_is_not_held(self):
        other = self._new_company("Other")
        self._unrated("2026-03-05", company_id=other.id)
        self.assertFalse(self._generate().billing_usage_hold)


@tagged("post_install", "-at_install")
class TestHoldInRun(HoldCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cycle = cls.env["billing.cycle"].sudo().create({"name": "Monthly", "after": "finalize"}).with_env(cls.env)
        (cls.client | cls.other_client).with_company(cls.company).write(
            {"billing_cycle_id": cls.cycle.id, "billing_cycle_start": "2026-03-01"}
        )
        cls._used("2026-03-05", 10, client=cls.other_client)

    def _run(self, rehearsal=False, boundary="2026-04-01"):
        with freeze_time(f"{boundary} 12:00:00"):
            values = {"rehearsal": True} if rehearsal else {}
            run = self.env["billing.run"]._create_of_cycle(self.cycle, self.company, self._date(boundary), **values)
            run._plan_clients(self.client | self.other_client)
        return self._work(run, boundary)

    def _work(self, run, day="2026-04-01"):
        with freeze_time(f"{day} 12:00:00"), self.enter_registry_test_mode():
            self.env.ref("invoice_portal.ir_cron_billing_run").sudo().method_direct_trigger()
        self.env.invalidate_all()
        return run

    def _of(self, run, client=None):
        return run.client_ids.filtered(lambda one: one.partner_id == (client or self.client))

    def test_packages_and_usage_on_one_invoice(self):
        self._subscribe(self._new_usage_package(), "2026-03-01")
        run = self._run()
        self.assertEqual(run.state, "done")
        invoice = self._of(run).move_ids
        self.assertEqual((invoice.state, len(invoice)), ("posted", 1))
        # March and, in advance, April of the package; and the usage of March.
        self.assertEqual(sorted(invoice.invoice_line_ids.mapped("price_subtotal")), [0.6, 10, 10])

    def test_the_same_again_bills_nothing_again(self):
        run = self._run()
        bills = self.env["billing.usage.bill"].search([])
        self.assertEqual(len(bills), 2)
        again = self._run(boundary="2026-04-02")
        self.assertEqual(set(again.client_ids.mapped("state")), {"empty"})
        self.assertEqual(self.env["billing.usage.bill"].search([]), bills)
        self.assertEqual(len(run.client_ids.move_ids), 2)

    def test_rehearsal_writes_nothing(self):
        self._unrated("2026-03-31")
        run = self._run(rehearsal=True)
        self.assertEqual(self._of(run).state, "held")
        self.assertIn("usage is not rated", self._of(run).reason)
        self.assertEqual(
            (self._of(run, self.other_client).state, self._of(run, self.other_client).amount > 0.5), ("done", True)
        )
        self.assertFalse(self.env["billing.usage.bill"].search([]))
        self.assertFalse(self.env["billing.charge"].search([("origin", "=", "usage")]))
        self.assertEqual(self._rows([self.usage])[self.usage][3], None)

    def test_held_and_released_with_a_note(self):
        self._unrated("2026-03-31")
        run = self._run()
        held = self._of(run)
        self.assertEqual((held.state, held.move_ids.state), ("held", "draft"))
        self.assertEqual(held.reason, "Usage is missing:\n1 record of usage is not rated: no rate fits")
        self.assertEqual(self._of(run, self.other_client).move_ids.state, "posted", "others go on")
        action = held.action_release()
        self.assertEqual(action["res_model"], "billing.usage.release")
        self.assertEqual(held.state, "held")
        self._release(action)
        self.assertEqual((held.state, held.move_ids.state), ("done", "posted"))
        self.assertEqual(held.move_ids.billing_usage_released_note, "The switch was off")

    def test_mended_and_billed_anew(self):
        record = self._unrated("2026-03-31")
        run = self._run()
        held = self._of(run)
        with self.assertRaisesRegex(UserError, "Usage of Acme is missing still"):
            held.action_retry()
        self._mend(record)
        held.action_retry()
        self.assertEqual(held.state, "pending")
        self._work(run)
        self.assertEqual((held.state, held.move_ids.state), ("done", "posted"))
        (line,) = held.move_ids.invoice_line_ids
        self.assertEqual(line.price_subtotal, 0.66)
        self.assertNotIn("late", line.name)

    def test_mended_and_released_as_it_is(self):
        record = self._unrated("2026-03-31")
        run = self._run()
        self._mend(record)
        self._of(run).action_release()
        self.assertEqual(self._of(run).move_ids.state, "posted")

    def test_nothing_but_unrated_usage_is_held_too(self):
        third = self._new_client("Third")
        self._unrated("2026-03-31", client=third)
        run = self.env["billing.run"]._create_of_cycle(self.cycle, self.company, self._date("2026-04-01"))
        run._plan_clients(third)
        self._work(run)
        held = self._of(run, third)
        self.assertEqual((held.state, len(held.move_ids)), ("held", 0))
        self._release(held.action_release())
        self._work(run)
        self.assertEqual(held.state, "empty")

    def test_a_silent_feed_holds_its_clients_in_a_run(self):
        self.account.partner_id = self.client
        with freeze_time("2026-04-01 12:00:00"):
            self._silent()
        # The other client's usage came by the same feed; a third one has nothing to do with it.
        third = self._new_client("Third")
        self._new_charge(date="2026-03-05", partner_id=third.id)
        run = self.env["billing.run"]._create_of_cycle(self.cycle, self.company, self._date("2026-04-01"))
        run._plan_clients(self.client | self.other_client | third)
        self._work(run)
        self.assertEqual(
            [self._of(run, client).state for client in (self.client, self.other_client, third)],
            ["held", "held", "done"],
        )

    def test_finalizing_all_drafts_of_a_run_names_who_waits(self):
        self.cycle.sudo().after = "review"
        self._unrated("2026-03-31")
        run = self._run()
        wizard = self.env["billing.finalize"].browse(run.action_finalize()["res_id"])
        self.assertEqual(wizard.ready_count, 1)
        self.assertIn("usage is missing", wizard.summary)
