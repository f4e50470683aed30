from unittest.mock import patch

from freezegun import freeze_time
from psycopg2.errors import CheckViolation, UniqueViolation

from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import Form, tagged
from odoo.tools import mute_logger

from ..models import billing_cycle, billing_run
from .common import BillingCommon
from .test_subscription import SubscriptionCommon


class CycleCommon(BillingCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.monthly = cls.env.ref("invoice_portal.billing_cycle_monthly").sudo()
        cls.env["res.partner"].sudo().search([("billing_cycle_id", "!=", False)]).billing_cycle_id = False

    def _join(self, clients, cycle=None, since="2026-01-10"):
        clients.write({"billing_cycle_id": (cycle or self.monthly).id, "billing_cycle_start": since})

    def _job(self, name):
        with self.enter_registry_test_mode():
            self.env.ref(f"invoice_portal.ir_cron_billing_{name}").sudo().method_direct_trigger()
        self.env.invalidate_all()

    def _at(self, moment):
        """The jobs as they find the world at this moment (UTC): what is due is planned and worked off."""
        with freeze_time(moment):
            self._job("cycle")
            self._job("run")

    def _runs(self, cycle=None):
        return self.env["billing.run"].search(
            [("cycle_id", "=", (cycle or self.monthly).id), ("company_id", "=", self.company.id)], order="id"
        )


@tagged("post_install", "-at_install")
class TestCycleBoundaries(CycleCommon):
    def _cycle(self, **values):
        return self.monthly.copy({"name": "Own", **values})

    def test_where_periods_begin(self):
        for values, day, start, boundary, following in (
            ({}, "2026-02-28", None, "2026-02-01", "2026-03-01"),
            ({"anchor_day": 31}, "2026-02-27", None, "2026-01-31", "2026-02-28"),
            ({"anchor_day": 31}, "2026-02-28", None, "2026-02-28", "2026-03-31"),
            ({"anchor_day": 31}, "2026-04-30", None, "2026-04-30", "2026-05-31"),
            ({"anchor_day": 30}, "2028-02-29", None, "2028-02-29", "2028-03-30"),
            ({"interval_unit": "week", "anchor_weekday": "2"}, "2026-11-21", None, "2026-11-18", "2026-11-25"),
            ({"interval_unit": "week", "interval_count": 2}, "2026-11-21", None, "2026-11-16", "2026-11-30"),
            ({"interval_count": 3}, "2026-11-21", None, "2026-10-01", "2027-01-01"),
            (
                {"interval_count": 3, "anchor_month": 2, "anchor_day": 31},
                "2026-06-15",
                None,
                "2026-05-31",
                "2026-08-31",
            ),
            (
                {"interval_unit": "year", "anchor_month": 4, "anchor_day": 6},
                "2026-04-05",
                None,
                "2025-04-06",
                "2026-04-06",
            ),
            (
                {"interval_unit": "year", "anchor_month": 2, "anchor_day": 29},
                "2027-03-01",
                None,
                "2027-02-28",
                "2028-02-29",
            ),
            ({"anchor": "client"}, "2026-03-30", "2026-01-31", "2026-02-28", "2026-03-31"),
            (
                {"anchor": "client", "interval_unit": "day", "interval_count": 10},
                "2026-02-01",
                "2026-01-05",
                "2026-01-25",
                "2026-02-04",
            ),
        ):
            with self.subTest(values=values, day=day):
                cycle, start = self._cycle(**values), start and self._date(start)
                self.assertEqual(str(cycle._boundary(self._date(day), start)), boundary)
                self.assertEqual(str(cycle._next_boundary(self._date(day), start)), following)

    def test_nonsense_is_refused(self):
        for values in (
            {"interval_count": 0},
            {"anchor_day": 32},
            {"anchor_day": 0},
            {"anchor_month": 13},
            {"grace_days": -1},
        ):
            with self.subTest(values=values), self.assertRaises(CheckViolation), mute_logger("odoo.sql_db"):
                self._cycle(**values)


@tagged("post_install", "-at_install")
class TestCycleRuns(CycleCommon):
    def test_choosing_a_cycle_is_all_that_staff_do(self):
        with freeze_time("2026-02-10 12:00:00"):
            self.client.billing_cycle_id = self.monthly
            self.assertEqual(str(self.client.billing_cycle_start), "2026-02-10")
            self.assertEqual(str(self.client.billing_next_date), "2026-03-01")
            charge = self._new_charge("February", date="2026-02-20")
        self._at("2026-02-28 23:00:00")
        self.assertFalse(self._runs())
        self._at("2026-03-01 01:00:00")
        run = self._runs()
        self.assertEqual((len(run), str(run.boundary), run.state), (1, "2026-03-01", "done"))
        self.assertEqual(charge.state, "drafted")
        self.assertEqual(run.client_ids.move_ids, charge.invoice_id)
        self.assertEqual(run.client_ids.amount, charge.invoice_id.amount_total)

    def test_a_run_twice_is_a_run_once(self):
        self._join(self.client)
        charge = self._new_charge(date="2026-02-20")
        self._at("2026-03-01 01:00:00")
        self._at("2026-03-01 02:00:00")
        self._at("2026-03-15 02:00:00")
        self.assertEqual(len(self._runs()), 1)
        self.assertEqual(len(charge.line_ids), 1)
        with freeze_time("2026-03-15 12:00:00"), self.assertRaisesRegex(UserError, "Nothing is due.*04/01/2026"):
            self.monthly.with_user(self.biller).action_run_now()

    def test_missed_days_are_caught_up(self):
        self._join(self.client)
        charge = self._new_charge(date="2026-01-20")
        self._at("2026-04-17 08:00:00")
        self.assertEqual(self._runs().mapped("boundary"), [self._date("2026-04-01")])
        self.assertEqual(charge.state, "drafted")

    def test_what_is_of_the_next_period_waits(self):
        self._join(self.client)
        before = self._new_charge("before", date="2026-02-28")
        after = self._new_charge("after", date="2026-03-01")
        self._at("2026-03-03 08:00:00")
        self.assertEqual((before.state, after.state), ("drafted", "open"))

    def test_the_day_is_the_client_s(self):
        east = self._new_client("East", tz="Pacific/Auckland")
        west = self._new_client("West", tz="Pacific/Honolulu")
        self._join(east | west, since="2026-02-10")
        charges = {
            client: self._new_charge(client.name, partner_id=client.id, date="2026-02-20") for client in east | west
        }
        self._at("2026-02-28 12:00:00")
        self.assertEqual([charges[client].state for client in (east, west)], ["drafted", "open"])
        self._at("2026-03-01 09:59:00")
        self.assertEqual(charges[west].state, "open")
        self._at("2026-03-01 10:01:00")
        self.assertEqual(charges[west].state, "drafted")
        self.assertEqual(len(self._runs()), 1, "later zones join the run of the same period")

    def test_days_of_grace(self):
        self.monthly.grace_days = 3
        self._join(self.client)
        charge = self._new_charge(date="2026-02-20")
        self._at("2026-03-03 12:00:00")
        self.assertEqual(charge.state, "open")
        late = self._new_charge("late", date="2026-02-27")
        self._at("2026-03-04 00:01:00")
        self.assertEqual((charge.state, late.state), ("drafted", "drafted"))

    def test_each_client_by_the_day_it_began(self):
        cycle = self.monthly.copy({"name": "Anniversary", "anchor": "client"})
        self._join(self.client, cycle, "2026-01-31")
        self._join(self.other_client, cycle, "2026-01-10")
        mine, other = (
            self._new_charge(date="2026-02-01"),
            self._new_charge(partner_id=self.other_client.id, date="2026-02-01"),
        )
        self._at("2026-02-10 00:10:00")
        self.assertEqual((mine.state, other.state), ("open", "drafted"))
        self._at("2026-02-28 00:10:00")
        self.assertEqual(mine.state, "drafted")

    def test_who_has_nothing_to_bill_gets_nothing(self):
        self._join(self.client)
        self._at("2026-03-01 01:00:00")
        row = self._runs().client_ids
        self.assertEqual((row.state, row.move_ids.ids, self._runs().state), ("empty", [], "done"))

    def test_a_client_on_hold_is_held_and_released(self):
        self._join(self.client)
        self.client.write({"billing_blocked": True, "billing_blocked_reason": "Contract unclear"})
        charge = self._new_charge(date="2026-02-20")
        self._at("2026-03-01 01:00:00")
        row = self._runs().client_ids
        self.assertEqual((row.state, charge.state), ("held", "open"))
        self.assertIn("Contract unclear", row.reason)
        self.client.billing_blocked = False
        row.action_release()
        self._job("run")
        self.assertEqual((row.state, charge.state), ("done", "drafted"))

    def test_leaving_the_cycle_ends_it(self):
        self._join(self.client)
        self.client.billing_cycle_id = False
        charge = self._new_charge(date="2026-02-20")
        self._at("2026-03-01 01:00:00")
        self.assertEqual(charge.state, "open")

    def test_contacts_follow_their_company(self):
        contact = self.env["res.partner"].create({"name": "Ann", "parent_id": self.client.id})
        self._join(self.client)
        self.assertEqual(contact.billing_cycle_id, self.monthly)
        self._at("2026-03-01 01:00:00")
        self.assertEqual(self._runs().client_ids.partner_id, self.client)


@tagged("post_install", "-at_install")
class TestCycleAfter(CycleCommon):
    def test_finalize_by_itself(self):
        self.monthly.after = "finalize"
        self._join(self.client)
        charge = self._new_charge(date="2026-02-20")
        self._at("2026-03-01 01:00:00")
        self.assertTrue(charge.invoice_id.billing_locked)

    def test_finalize_and_send(self):
        self.monthly.after = "send"
        silent = self._new_client("Silent", email=False)
        self._join(self.client | silent)
        charge = self._new_charge(date="2026-02-20")
        mute = self._new_charge(partner_id=silent.id, date="2026-02-20")
        self._at("2026-03-01 01:00:00")
        self.assertEqual(charge.invoice_id.billing_mail_ids.recipient_ids.mapped("email"), [self.client.email])
        self.assertFalse(mute.invoice_id.billing_mail_ids)
        self.assertEqual(mute.invoice_id.state, "posted")
        self.assertIn("no address", str(mute.invoice_id.message_ids.mapped("body")))

    def test_a_draft_that_cannot_be_finalized_is_kept_and_named(self):
        self.monthly.after = "finalize"
        self._join(self.client | self.other_client)
        bad = self._new_charge("bad", date="2026-02-20")
        good = self._new_charge("good", partner_id=self.other_client.id, date="2026-02-20")
        finalize = self.env.registry["account.move"]._billing_finalize

        def refusing(moves):
            if self.client.id in moves.partner_id.ids:
                raise UserError(moves.env._("The journal is closed"))
            return finalize(moves)

        with patch.object(self.env.registry["account.move"], "_billing_finalize", refusing):
            self._at("2026-03-01 01:00:00")
        rows = self._runs().client_ids.grouped("partner_id")
        self.assertEqual((rows[self.client].state, rows[self.client].reason), ("failed", "The journal is closed"))
        self.assertEqual((bad.state, good.state), ("drafted", "invoiced"))
        self._runs().action_retry_failed()
        self._job("run")
        self.assertEqual(bad.state, "invoiced")
        self.assertEqual(len(bad.line_ids), 1)

    def test_what_is_unusual_is_flagged_and_held(self):
        self.company.sudo().write({"billing_review_threshold": 20, "billing_hold_flagged": True})
        self.monthly.after = "finalize"
        steady, grown, gone, new = (self._new_client(name) for name in ("Steady", "Grown", "Gone", "New"))
        self._join(steady | grown | gone)
        for client, amount in ((steady, 100), (grown, 100), (gone, 100)):
            self._new_charge(partner_id=client.id, price=amount, date="2026-01-20")
        self._at("2026-02-01 01:00:00")
        self.assertFalse(any(self._runs().client_ids.mapped("flag")), "nothing is unusual the first time")
        self._join(new)
        for client, amount in ((steady, 110), (grown, 150), (new, 10)):
            self._new_charge(partner_id=client.id, price=amount, date="2026-02-20")
        self._at("2026-03-01 01:00:00")
        run = self._runs()[-1]
        rows = run.client_ids.grouped("partner_id")
        self.assertEqual(
            {client.name: (rows[client].flag, rows[client].state) for client in steady | grown | gone | new},
            {
                "Steady": (False, "done"),
                "Grown": ("up", "held"),
                "Gone": ("gone", "empty"),
                "New": ("new", "held"),
            },
        )
        self.assertEqual(rows[grown].change, 50)
        self.assertEqual(rows[grown].move_ids.billing_status, "draft")
        self.assertEqual((run.state, run.count_held, run.count_flagged), ("attention", 2, 3))
        rows[grown].action_release()
        self.assertTrue(rows[grown].move_ids.billing_locked)
        self.assertEqual(run.count_held, 1)

    def test_review_finalizes_all_but_the_flagged(self):
        self.company.sudo().billing_review_threshold = 20
        self._join(self.client | self.other_client)
        for client in self.client | self.other_client:
            self._new_charge(partner_id=client.id, date="2026-01-20")
        self._at("2026-02-01 01:00:00")
        self._new_charge(date="2026-02-20")
        self._new_charge(partner_id=self.other_client.id, price=500, date="2026-02-20")
        self._at("2026-03-01 01:00:00")
        run = self._runs()[-1]
        wizard = self.env["billing.finalize"].browse(run.action_finalize_unflagged()["res_id"])
        self.assertEqual(wizard.move_ids.partner_id, self.client)
        wizard.action_confirm()
        with self.assertRaisesRegex(UserError, "1.*are flagged"):
            run.action_finalize_unflagged()
        wizard = self.env["billing.finalize"].browse(run.action_finalize()["res_id"])
        self.assertEqual(wizard.move_ids.partner_id, self.other_client)
        wizard.action_confirm()
        with self.assertRaisesRegex(UserError, "no drafts left"):
            run.action_finalize_unflagged()

    def _held_run(self, after="finalize"):
        """A run whose two clients are both held, as they bill much more than in the one before."""
        self.company.sudo().write({"billing_review_threshold": 20, "billing_hold_flagged": True})
        self.monthly.after = after
        self._join(self.client | self.other_client)
        for month, price in ((1, 100), (2, 500)):
            for client in self.client | self.other_client:
                self._new_charge(partner_id=client.id, price=price, date=f"2026-0{month}-20")
            self._at(f"2026-0{month + 1}-01 01:00:00")
        run = self._runs()[-1]
        self.assertEqual((run.state, run.count_held), ("attention", 2))
        return run

    def test_what_was_held_is_done_when_it_is_finalized(self):
        run = self._held_run()
        self.assertEqual((run.has_drafts, run.has_unflagged_drafts), (True, False))
        mine, other = run.client_ids.grouped("partner_id")[self.client], self.other_client
        mine.move_ids._billing_finalize()
        self.env.invalidate_all()
        self.assertEqual((mine.state, mine.reason, run.state, run.count_held), ("done", False, "attention", 1))
        wizard = self.env["billing.finalize"].browse(run.action_finalize()["res_id"])
        self.assertEqual(wizard.move_ids.partner_id, other)
        self.assertNotIn("sent to its client", wizard.summary)
        wizard.action_confirm()
        self.env.invalidate_all()
        self.assertEqual((run.state, run.has_drafts, set(run.client_ids.mapped("state"))), ("done", False, {"done"}))
        self.assertFalse(run.client_ids.move_ids.billing_mail_ids)

    def test_what_was_held_is_named(self):
        run = self._held_run()
        self.assertEqual(run.waiting_for, "Held: Acme, Bolt")
        with patch.object(billing_run, "NAMED", 1):
            self.assertEqual(run._named_in_state("held"), "Acme and 1 more")
        run.client_ids.move_ids[0]._billing_finalize()
        self.env.invalidate_all()
        self.assertEqual(run.waiting_for, "Held: Bolt")

    def test_a_held_draft_that_is_deleted_waits_for_nobody(self):
        run = self._held_run()
        mine = run.client_ids.grouped("partner_id")[self.client]
        charge = mine.move_ids.billing_charge_ids
        mine.move_ids.action_billing_delete()
        self.env.invalidate_all()
        self.assertEqual((mine.state, run.count_held, charge.state), ("empty", 1, "open"))
        self.assertEqual(mine.reason, f"The draft was deleted by {self.biller.name}. Its charges are open again.")
        with self.assertRaisesRegex(UserError, "None of these clients is held"):
            mine.action_release()

    def test_who_joined_in_this_period_is_named(self):
        self._join(self.client | self.other_client, since="2026-03-05")
        with freeze_time("2026-03-15 12:00:00"):
            with self.assertRaisesRegex(UserError, "Acme, Bolt joined.*04/01/2026.*Generate Invoice"):
                self.monthly.with_user(self.biller).action_run_now()
            with (
                patch.object(billing_cycle, "NAMED", 1),
                self.assertRaisesRegex(UserError, "Acme and 1 more joined"),
            ):
                self.monthly.with_user(self.biller).action_run_now()

    def test_what_was_held_is_sent_when_all_is_finalized_as_the_cycle_says(self):
        run = self._held_run("send")
        self.assertFalse(run.client_ids.move_ids.billing_mail_ids)
        wizard = self.env["billing.finalize"].browse(run.action_finalize()["res_id"])
        self.assertIn("sent to its client", wizard.summary)
        wizard.action_confirm()
        self.assertEqual(run.client_ids.move_ids.billing_mail_ids.move_id, run.client_ids.move_ids)
        self.assertEqual(len(run.client_ids.move_ids.billing_mail_ids), 2)

    def test_what_a_run_could_not_finalize_is_done_when_a_person_does(self):
        self.monthly.after = "finalize"
        self._join(self.client)
        charge = self._new_charge(date="2026-02-20")
        with patch.object(self.env.registry["account.move"], "_billing_finalize", side_effect=UserError("Closed")):
            self._at("2026-03-01 01:00:00")
        run = self._runs()
        self.assertEqual((run.client_ids.state, run.client_ids.reason), ("failed", "Closed"))
        charge.invoice_id._billing_finalize()
        self.env.invalidate_all()
        self.assertEqual((run.state, run.client_ids.state, run.client_ids.reason), ("done", "done", False))

    def test_only_what_failed_or_is_held_is_tried_again(self):
        self._join(self.client)
        self._new_charge(date="2026-02-20")
        self._at("2026-03-01 01:00:00")
        row = self._runs().client_ids
        for method, words in (("action_retry", "failed"), ("action_release", "held")):
            with self.assertRaisesRegex(UserError, f"None of these clients.*{words}"):
                getattr(row, method)()
            self.assertEqual(row.state, "done")

    def test_managers_get_one_report_and_owners_an_activity(self):
        manager = self._new_user("boss", "invoice_portal.group_billing_manager")
        self.client.sudo().user_id = self.biller
        self._join(self.client)
        self._new_charge(date="2026-02-20", price=0)
        self._at("2026-03-01 01:00:00")
        self._at("2026-03-01 02:00:00")
        run = self._runs()
        self.assertEqual(run.client_ids.state, "failed")
        self.assertIn("No price", run.client_ids.reason)
        reports = run.message_ids.filtered(lambda message: manager.partner_id in message.partner_ids)
        self.assertEqual(len(reports), 1)
        self.assertIn("1 failed", reports.body)
        self.assertNotIn(self.biller.partner_id, reports.partner_ids, "the cron started it")
        self.assertEqual(run.activity_ids.user_id, self.biller)
        self.assertIn("No price", run.activity_ids.note)


@tagged("post_install", "-at_install")
class TestRehearsal(CycleCommon):
    def _rehearse(self):
        run = self.env["billing.run"].browse(self.monthly.with_user(self.biller).action_rehearse()["res_id"])
        self._job("run")
        return run

    @freeze_time("2026-03-01 12:00:00")
    def test_the_whole_result_and_nothing_written(self):
        self._join(self.client | self.other_client)
        charge = self._new_charge(date="2026-02-20", price=200)
        moves = self.env["account.move"].search_count([])
        rehearsal = self._rehearse()
        rows = rehearsal.client_ids.grouped("partner_id")
        self.assertEqual(
            (rows[self.client].state, rows[self.client].amount, rows[self.client].charge_count), ("done", 230, 1)
        )
        self.assertEqual(rows[self.other_client].state, "empty")
        self.assertIn("230.00", rehearsal.totals)
        self.assertEqual(charge.state, "open")
        self.assertFalse(charge.line_ids)
        self.assertEqual(self.env["account.move"].search_count([]), moves)

        real = self.env["billing.run"].browse(rehearsal.action_start_for_real()["res_id"])
        self._job("run")
        self.assertEqual(
            real.client_ids.grouped("partner_id")[self.client].amount, 230, "it comes to what was rehearsed"
        )
        self.assertEqual(charge.state, "drafted")

    @freeze_time("2026-03-01 12:00:00")
    def test_its_starter_is_told_and_nobody_else(self):
        manager = self._new_user("boss", "invoice_portal.group_billing_manager")
        self._join(self.client | self.other_client)
        self._new_charge(date="2026-02-20", price=200)
        self._new_charge(partner_id=self.other_client.id, date="2026-02-20", price=0)
        rehearsal = self._rehearse()
        self._job("run")
        report = rehearsal.message_ids.filtered("partner_ids")
        self.assertEqual(len(report), 1)
        self.assertEqual(report.partner_ids, self.biller.partner_id)
        self.assertNotIn(manager.partner_id, report.notified_partner_ids)
        for words in ("nothing was billed", "1 clients done", "1 failed", "230.00"):
            self.assertIn(words, report.body.replace("</", " </"))
        self.assertFalse(rehearsal.activity_ids, "what failed in a rehearsal is nobody's task yet")

    @freeze_time("2026-03-01 12:00:00")
    def test_the_report_is_in_the_words_of_the_starter(self):
        self.env["res.lang"].sudo()._activate_lang("fr_FR")
        self.biller.sudo().lang = "fr_FR"
        self.env.ref("invoice_portal.run_report").sudo().update_field_translations(
            "arch_db", {"fr_FR": {"A rehearsal: nothing was billed.": "Une répétition : rien n’est facturé."}}
        )
        self._join(self.client)
        self.assertIn("Une répétition", self._rehearse().message_ids.filtered("partner_ids").body)

    def test_what_the_run_will_hold_is_held_in_the_rehearsal(self):
        self.company.sudo().write({"billing_review_threshold": 20, "billing_hold_flagged": True})
        self.monthly.after = "finalize"
        self._join(self.client | self.other_client)
        for client in self.client | self.other_client:
            self._new_charge(partner_id=client.id, date="2026-01-20")
        self._at("2026-02-01 01:00:00")
        self._new_charge(price=500, date="2026-02-20")
        self._new_charge(partner_id=self.other_client.id, date="2026-02-20")
        self._new_charge("Free", price=0, partner_id=self.other_client.id, date="2026-02-20")
        with freeze_time("2026-03-01 12:00:00"):
            rehearsal = self._rehearse()
            real = self.env["billing.run"].browse(rehearsal.action_start_for_real()["res_id"])
            self._job("run")
        for run, billed, state in ((rehearsal, "To Bill", "done"), (real, "Billed", "attention")):
            rows = run.client_ids.grouped("partner_id")
            held, fine = rows[self.client], rows[self.other_client]
            self.assertEqual((held.outcome, held.reason), ("Held", "For review: 400.0 % more than last time"))
            self.assertEqual((fine.outcome, fine.reason), (billed, "Left out: No price (1 charge)"))
            self.assertEqual(run.state, state, "only what was really held waits for somebody")

    @freeze_time("2026-03-15 12:00:00")
    def test_a_rehearsal_does_not_count_as_the_run(self):
        self._join(self.client)
        self._new_charge(date="2026-02-20")
        self._rehearse()
        self._rehearse()
        self._job("cycle")
        self._job("run")
        self.assertEqual(self._runs().mapped("rehearsal"), [True, True, False])

    @freeze_time("2026-02-15 12:00:00")
    def test_before_the_period_ends_it_is_the_next_run_that_is_rehearsed(self):
        self._join(self.client, since="2026-02-10")
        self._new_charge(date="2026-02-12")
        rehearsal = self._rehearse()
        self.assertEqual(str(rehearsal.boundary), "2026-03-01")
        self.assertEqual(rehearsal.client_ids.state, "done")

    @freeze_time("2026-03-01 12:00:00")
    def test_upcoming_for_one_client_writes_nothing(self):
        self._join(self.client)
        charge = self._new_charge("Hosting", date="2026-03-05", price=200)
        upcoming, left_out = self.client._billing_upcoming()
        self.assertEqual([line["name"] for line in upcoming[0]["lines"]], ["Hosting"])
        self.assertIn("230.00", upcoming[0]["total"])
        self.assertFalse(left_out)
        self.assertEqual(charge.state, "open")
        self.assertFalse(charge.line_ids)

    @freeze_time("2026-03-01 12:00:00")
    def test_upcoming_in_two_currencies_says_which_is_which(self):
        euro = self.env.ref("base.EUR")
        euro.sudo().active = True
        self._new_charge("Hosting", date="2026-02-20")
        wizard = self.env["billing.generate"].browse(self.client.action_billing_upcoming()["res_id"])
        self.assertNotIn("<h5>", wizard.summary)
        self._new_charge("Domain", date="2026-02-20", currency_id=euro.id)
        wizard = self.env["billing.generate"].browse(self.client.action_billing_upcoming()["res_id"])
        for name in (euro.name, self.company.currency_id.name):
            self.assertIn(f"<h5>{name}</h5>", wizard.summary)

    @freeze_time("2026-03-10 12:00:00")
    def test_generate_shows_and_then_drafts(self):
        charge = self._new_charge("Hosting", date="2026-03-05", price=200)
        later = self._new_charge("Later", date="2026-03-20")
        wizard = self.env["billing.generate"].browse(self.client.action_billing_generate()["res_id"])
        self.assertIn("Hosting", wizard.summary)
        with Form(wizard) as form:
            form.until = "2026-03-25"
            self.assertIn("Later", form.summary)
            form.until = "2026-03-11"
            self.assertNotIn("Later", form.summary)
            self.assertEqual(form.partner_id, self.client)
        self.assertEqual(charge.state, "open")
        wizard.action_confirm()
        self.assertEqual((charge.state, later.state), ("drafted", "open"))
        with self.assertRaisesRegex(UserError, "nothing to bill"):
            wizard.action_confirm()


@tagged("post_install", "-at_install")
class TestCycleSecurity(CycleCommon):
    def test_who_may(self):
        clerk = self._new_user("clerk", "base.group_user")
        portal = self._new_portal_user(self.client, "patty")
        self._join(self.client)
        for user in (clerk, portal):
            for call in (
                lambda user=user: self.monthly.with_user(user).action_run_now(),
                lambda user=user: self.monthly.with_user(user).action_rehearse(),
                lambda user=user: self.client.with_user(user).action_billing_generate(),
                lambda user=user: self.env["billing.run"].with_user(user).search([]),
            ):
                with self.assertRaises(AccessError):
                    call()
        with self.assertRaises(AccessError):
            self.monthly.with_user(self.biller).after = "send"

    def test_another_company_s_cycle_is_refused(self):
        other = self._new_company("Elsewhere")
        theirs = self.monthly.copy({"name": "Theirs", "company_id": other.id})
        with self.assertRaisesRegex(ValidationError, "it is another company's"), self.env.cr.savepoint():
            self.client.billing_cycle_id = theirs
        offered = self.env["billing.cycle"].sudo().search(self.client._billing_cycle_domain())
        self.assertIn(self.monthly, offered)
        self.assertNotIn(theirs, offered)
        self.client.with_company(other).sudo().billing_cycle_id = theirs

    def test_another_company_s_clients_are_billed_by_that_company(self):
        other = self._new_company("Elsewhere")
        self.client.with_company(other).sudo().write(
            {"billing_cycle_id": self.monthly.id, "billing_cycle_start": "2026-01-10"}
        )
        mine = self._new_charge(date="2026-02-20")
        self._at("2026-03-01 01:00:00")
        self.assertFalse(self._runs())
        self.assertEqual(mine.state, "open")
        theirs = self.env["billing.run"].sudo().search([("company_id", "=", other.id)])
        self.assertEqual(theirs.client_ids.state, "empty")
        self.assertFalse(self.env["billing.run"].search([("id", "=", theirs.id)]), "and not seen from here")


@tagged("post_install", "-at_install")
class TestCycleRace(CycleCommon):
    def test_the_database_keeps_one_run_per_period(self):
        self._join(self.client)
        self._new_charge(date="2026-02-20")
        self._at("2026-03-01 01:00:00")
        values = {"cycle_id": self.monthly.id, "company_id": self.company.id, "boundary": self._date("2026-03-01")}
        with self.assertRaises(UniqueViolation), mute_logger("odoo.sql_db"), self.env.cr.savepoint():
            self.env["billing.run"].sudo().create(values)

    def test_who_loses_the_race_to_start_it_is_told(self):
        self._join(self.client)
        self._at("2026-03-01 01:00:00")
        Run = self.env.registry["billing.run"]
        with (
            patch.object(Run, "search", lambda runs, *args, **kwargs: runs.browse()),
            mute_logger("odoo.sql_db"),
            self.assertRaisesRegex(UserError, "just started"),
        ):
            self.env["billing.run"]._of_cycle(self.monthly, self.company, self._date("2026-03-01"))


@tagged("post_install", "-at_install")
class TestCycleSubscriptions(SubscriptionCommon, CycleCommon):
    def test_packages_and_usage_of_the_month_on_one_invoice(self):
        self._join(self.client, since="2026-01-01")
        with freeze_time("2026-01-15 12:00:00"):
            advance = self._subscribe(
                "2026-01-15", self._new_package("Thing", timing="advance", proration="day", price=310)
            )
            arrears = self._subscribe(
                "2026-01-15", self._new_package("Thing", timing="arrears", proration="day", price=31)
            )
            self._new_charge("Typed", 7, date="2026-01-20")
        self.assertEqual(advance.phase_ids.anchor_date.day, 1, "periods follow the client's cycle")
        self._at("2026-02-01 01:00:00")
        invoice = self._runs()[-1].client_ids.move_ids
        self.assertEqual(
            sorted(invoice.invoice_line_ids.mapped("price_subtotal")),
            # 17 of 31 days behind in arrears, 17 of 31 days behind and February ahead in advance, and what was typed.
            [7, 17, 170, 310],
        )
        self.assertEqual(len(advance.charge_ids), 2)
        self.assertEqual(len(arrears.charge_ids), 1)
        self._at("2026-03-01 01:00:00")
        invoice = self._runs()[-1].client_ids.move_ids
        self.assertEqual(sorted(invoice.invoice_line_ids.mapped("price_subtotal")), [31, 310])

    def test_upcoming_shows_what_recurs_and_creates_nothing(self):
        self._join(self.client, since="2026-01-01")
        with freeze_time("2026-01-15 12:00:00"):
            subscription = self._subscribe("2026-01-01", self._new_package("Thing", price=50))
            upcoming, _left_out = self.client._billing_upcoming()
            self.assertEqual(len(upcoming[0]["lines"]), 2, "January, and February that begins with the next invoice")
        self.assertFalse(subscription.charge_ids)
        self.assertFalse(self.env["billing.charge"].search([("subscription_id", "=", subscription.id)]))

    def test_a_rehearsal_comes_to_what_the_run_does(self):
        self._join(self.client, since="2026-01-01")
        with freeze_time("2026-02-01 12:00:00"):
            subscription = self._subscribe("2026-01-01", self._new_package("Thing", price=50))
            rehearsal = self.env["billing.run"].browse(self.monthly.with_user(self.biller).action_rehearse()["res_id"])
            self._job("run")
            self.assertFalse(subscription.charge_ids)
            rehearsed = rehearsal.client_ids.amount
        self._at("2026-02-01 13:00:00")
        self.assertEqual(self._runs()[-1].client_ids.amount, rehearsed)
        self.assertGreater(rehearsed, 0)

    def test_changing_the_cycle_bills_every_day_once(self):
        weekly = self.env.ref("invoice_portal.billing_cycle_weekly").sudo()
        self._join(self.client, since="2026-01-01")
        with freeze_time("2026-01-01 12:00:00"):
            subscription = self._subscribe(
                "2026-01-01", self._new_package("Thing", timing="arrears", proration="day", price=31)
            )
        self._at("2026-02-01 01:00:00")
        self._join(self.client, weekly, since="2026-02-10")
        for day in ("2026-02-16", "2026-02-23", "2026-03-02", "2026-03-09"):
            self._at(f"{day} 01:00:00")
        spans = sorted((charge.period_start, charge.period_end) for charge in subscription.charge_ids)
        self.assertEqual(
            [(str(first), str(last)) for first, last in spans],
            [("2026-01-01", "2026-01-31"), ("2026-02-01", "2026-02-28")],
        )
