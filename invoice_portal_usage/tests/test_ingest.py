import json
from datetime import date, datetime, timedelta

from odoo import Command
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import HttpCase, new_test_user, tagged
from odoo.tools import mute_logger

from .common import UsageCommon


@tagged("post_install", "-at_install")
class TestIngest(UsageCommon):
    def test_a_call_is_taken_in_and_rated(self):
        result = self._hand_in({"destination": "0049 89 123456", "quantity": 61})
        self.assertEqual(
            (result["accepted"], result["duplicates"], result["rejected"], result["unrated"]), (1, 0, [], 0)
        )
        [usage] = self._usage("call-0")
        self.assertEqual(usage.partner_id, self.client)
        self.assertEqual(usage.account_id, self.account)
        self.assertEqual((usage.destination, usage.destination_id), ("4989123456", self.landline))
        self.assertEqual(
            (usage.quantity, usage.billed_quantity, usage.list_amount, usage.amount), (61, 120, 0.12, 0.12)
        )
        self.assertEqual((usage.day, usage.moment), (date(2026, 3, 10), datetime(2026, 3, 10, 12)))
        self.assertEqual(usage.unrated_reason, False)
        self.assertEqual(usage.plan_revision, self.plan.revision)

    def test_handed_in_again_nothing_changes(self):
        self._hand_in({}, {})
        again = self._hand_in({}, {}, {})
        self.assertEqual((again["accepted"], again["duplicates"], again["rejected"]), (3, 2, []))
        self.assertEqual(self.env["billing.usage"].search_count([("source_id", "=", self.source.id)]), 3)

    def test_a_changed_replay_is_reported_and_changes_nothing(self):
        self._hand_in({"quantity": 60})
        again = self._hand_in({"quantity": 600})
        self.assertEqual((again["accepted"], again["changed"]), (0, ["call-0"]))
        self.assertIn("other contents", again["rejected"][0]["reason"])
        self.assertEqual(self._usage("call-0").quantity, 60)

    def test_twice_in_one_call(self):
        result = self._hand_in({"id": "x"}, {"id": "x"}, {"id": "x", "quantity": 7})
        self.assertEqual((result["accepted"], result["duplicates"], result["changed"]), (2, 1, ["x"]))
        self.assertEqual([refused["index"] for refused in result["rejected"]], [2])

    def test_accepted_and_rejected_are_all(self):
        result = self._hand_in(
            {},
            {"quantity": -1},
            {"moment": "yesterday"},
            {"quantity": float("nan")},
            {"quantity": "1e400"},
            {"quantity": True},
            {"quantity": None},
            {"id": ""},
            {"id": "a\0b"},
            {"account": None},
            {"account": None, "client": "nobody knows"},
            {"unit": "mb"},
            {"unit": "parsec"},
            {"moment": "2999-01-01T00:00:00Z"},
            {"moment": "0001-01-01T00:00:00+14:00"},
            {"destination": "+49891234567890123"},
            {"attributes": "x"},
            {"attributes": {"x": "\ud800"}},
            {"attributes": {"x": "\0"}},
            {"id": "x" * 300},
            {"quantity": "9" * 41},
        )
        self.assertEqual(result["accepted"], 1)
        self.assertEqual([refused["index"] for refused in result["rejected"]], list(range(1, 21)))
        self.assertTrue(all(refused["reason"] for refused in result["rejected"]))
        batch = self.env["billing.usage.import"].browse(result["import_id"])
        self.assertEqual((batch.row_count, batch.accepted_count, batch.rejected_count), (21, 1, 20))
        self.assertEqual(len(batch.reject_ids), 20)

    def test_what_is_no_record_is_rejected(self):
        result = self.env["billing.usage"].ingest("switch", [None, 7, [], "x", {}])
        self.assertEqual((result["accepted"], len(result["rejected"])), (0, 5))
        with self.assertRaisesRegex(UserError, "list of records"):
            self.env["billing.usage"].ingest("switch", {"id": 1})

    def test_too_many_at_once(self):
        with self.assertRaisesRegex(UserError, "10,001 records"):
            self.env["billing.usage"].ingest("switch", [{}] * 10_001)

    def test_unknown_source(self):
        for code in ("nothing", None, 7, False, ["switch"]):
            with self.assertRaisesRegex(UserError, "no usage source"):
                self.env["billing.usage"].ingest(code, [])

    def test_backslashes_and_odd_signs_arrive_as_they_are(self):
        self.source.kind = "key"
        self.account.key = r"C:\N"
        odd = r"\N back\slash “quoted” 'x' 日本 😀 \." + "\N{NO-BREAK SPACE}x"
        result = self._hand_in({"id": odd, "account": r"c:\n", "destination": r"\N", "attributes": {r"\k": r"\N\\"}})
        self.assertEqual(result["rejected"], [])
        usage = self._usage(odd)
        self.assertEqual((usage.destination, usage.partner_id), (r"\N", self.client))
        self.assertEqual(usage.attributes, {r"\k": r"\N\\"})

    def test_clients_and_subscriptions_by_reference_and_number(self):
        self.client.sudo().ref = "ACME-1"
        contact = self.env["res.partner"].sudo().create({"name": "Ann", "parent_id": self.client.id, "ref": "ANN"})
        result = self._hand_in(
            {"account": None, "client": "ACME-1"},
            {"account": None, "client": str(self.client.id)},
            {"account": None, "client": self.client.id},
            {"account": None, "client": contact.ref},
        )
        self.assertEqual(result["rejected"], [])
        self.assertEqual(self._usage(*(f"call-{number}" for number in range(4))).partner_id, self.client)

    def test_one_reference_of_two_clients(self):
        (self.client | self.other_client).sudo().ref = "TWIN"
        result = self._hand_in({"account": None, "client": "TWIN"})
        self.assertIn("reference of 2", result["rejected"][0]["reason"])

    def test_clients_of_another_company_are_nobody(self):
        other = self._new_company("Elsewhere")
        self.client.sudo().write({"ref": "ACME-1", "company_id": False})
        self.other_client.sudo().write({"ref": "BOLT", "company_id": other.id})
        result = self._hand_in({"account": None, "client": "BOLT"}, {"account": None, "client": "ACME-1"})
        self.assertEqual((result["accepted"], len(result["rejected"])), (1, 1))

    def test_a_number_changes_hands(self):
        self.account.date_until = date(2026, 3, 9)
        self.env["billing.usage.account"].create(
            {
                "source_id": self.source.id,
                "key": "030 1000",
                "partner_id": self.other_client.id,
                "date_from": date(2026, 3, 10),
            }
        )
        self._hand_in({"moment": "2026-03-09T23:59:59Z"}, {"moment": "2026-03-10T00:00:00Z"})
        first, second = self._usage("call-0", "call-1")
        self.assertEqual((first.partner_id, second.partner_id), (self.client, self.other_client))

    def test_one_number_is_one_clients(self):
        with self.assertRaisesRegex(ValidationError, "Acme"):
            self.env["billing.usage.account"].create(
                {"source_id": self.source.id, "key": "0049301000", "partner_id": self.other_client.id}
            )

    def test_the_day_is_the_clients(self):
        self.client.sudo().tz = "America/New_York"
        self._hand_in({"moment": "2026-03-11T03:00:00Z"})
        self.assertEqual(self._usage("call-0").day, date(2026, 3, 10))

    def test_moments_without_a_zone_are_the_sources(self):
        self.source.tz = "Europe/Berlin"
        self._hand_in({"moment": "2026-03-10 12:00:00"}, {"moment": "2026-03-10T12:00:00+05:30"})
        first, second = self._usage("call-0", "call-1")
        self.assertEqual((first.moment, second.moment), (datetime(2026, 3, 10, 11), datetime(2026, 3, 10, 6, 30)))

    def test_whoever_hands_in_sees_nothing(self):
        feed = self._new_user("feed", "invoice_portal_usage.group_billing_usage_feed,base.group_user")
        result = self.env["billing.usage"].with_user(feed).ingest("switch", [])
        self.assertEqual(result["accepted"], 0)
        self.assertEqual(self._hand_in_as(feed)["accepted"], 1)
        for model in ("billing.usage", "billing.usage.source", "billing.usage.import", "billing.rate.plan"):
            with self.assertRaises(AccessError):
                self.env[model].with_user(feed).search_read([])

    def _hand_in_as(self, user):
        record = {
            "id": "f",
            "account": "+49301000",
            "moment": "2026-03-10T12:00:00Z",
            "destination": "1",
            "quantity": 1,
        }
        return self.env["billing.usage"].with_user(user).ingest("switch", [record])

    def test_others_hand_in_nothing(self):
        for groups in ("base.group_user", "base.group_portal", "base.group_public"):
            with self.assertRaises(AccessError):
                self._hand_in_as(self._new_user(groups, groups))

    def test_a_source_of_another_company(self):
        other = self._new_company("Elsewhere")
        elsewhere = self._new_user(
            "elsewhere", "invoice_portal.group_billing_user", company_id=other.id, company_ids=[(6, 0, other.ids)]
        )
        with self.assertRaisesRegex(UserError, "no usage source"):
            self._hand_in_as(elsewhere)

    def test_a_silent_source(self):
        self.assertFalse(self.source.silent)
        self.source.expected_hours = 24
        self.source.sudo()._write({"create_date": datetime(2026, 1, 1)})
        self.source.invalidate_recordset()
        self.assertTrue(self.source.silent)
        self.assertIn(self.source, self.source.search([("silent", "=", True)]))
        self._hand_in({})
        self.source.invalidate_recordset()
        self.assertFalse(self.source.silent)
        self.assertNotIn(self.source, self.source.search([("silent", "=", True)]))

    def test_a_source_with_usage_is_not_deleted(self):
        self._hand_in({})
        with self.assertRaisesRegex(UserError, "Archive it"):
            self.source.unlink()

    def test_a_call_needs_a_number(self):
        result = self._hand_in({"destination": ""}, {"destination": "  "}, {"destination": None})
        self.assertEqual((result["accepted"], len(result["rejected"])), (0, 3))
        self.assertIn("destination", result["rejected"][0]["reason"])

    def test_a_number_of_another_client_than_is_named(self):
        self.other_client.sudo().ref = "BOLT"
        self.client.sudo().ref = "ACME"
        result = self._hand_in({"client": "BOLT"}, {"client": "ACME"}, {"client": "nobody"})
        self.assertEqual([refused["index"] for refused in result["rejected"]], [0, 2])
        self.assertIn("not of the client", result["rejected"][0]["reason"])
        self.assertNotIn("Acme", result["rejected"][0]["reason"])
        self.assertEqual(self._usage("call-1").partner_id, self.client)


@tagged("post_install", "-at_install")
class TestIngestFromOutside(UsageCommon, HttpCase):
    """As a switch does it: with a key, over HTTP."""

    def _key(self, *groups, days=300, **values):
        user = new_test_user(self.env(su=True), login=f"tech {groups} {values}", groups="base.group_user")
        user.write({"group_ids": [Command.set([self.env.ref(group).id for group in groups])], **values})
        until = datetime.now() + timedelta(days=days)
        return self.env["res.users.apikeys"].with_user(user)._generate("rpc", "switch", until)

    def _call(self, method, key, **params):
        with mute_logger("odoo.http"):
            response = self.url_open(
                f"/json/2/{method}",
                data=json.dumps(params),
                headers={"Authorization": f"bearer {key}", "Content-Type": "application/json"},
            )
        return response.status_code, response.json()

    def _ingest(self, key, *records, code="switch"):
        return self._call("billing.usage/ingest", key, code=code, records=list(records))

    def test_a_technical_user_hands_in_and_reads_nothing(self):
        key = self._key("invoice_portal_usage.group_billing_usage_feed")
        record = self._record()
        status, answer = self._ingest(key, record)
        self.assertEqual((status, answer["accepted"], answer["duplicates"], answer["rejected"]), (200, 1, 0, []))
        status, answer = self._ingest(key, record)
        self.assertEqual((status, answer["accepted"], answer["duplicates"]), (200, 1, 1))
        status, answer = self._ingest(key, {**record, "quantity": 3600})
        self.assertEqual((status, answer["accepted"], answer["changed"]), (200, 0, [record["id"]]))
        for model in ("billing.usage", "billing.usage.source", "billing.rate.plan", "res.partner", "account.move"):
            with self.subTest(model):
                status, _answer = self._call(f"{model}/search_read", key, domain=[], fields=["id"])
                self.assertEqual(status, 403)

    def test_what_is_refused_says_why(self):
        key = self._key("invoice_portal_usage.group_billing_usage_feed")
        company = self._new_company("Elsewhere")
        elsewhere = self._key(
            "invoice_portal_usage.group_billing_usage_feed",
            company_id=company.id,
            company_ids=[Command.set(company.ids)],
        )
        for status, words, answer in (
            (422, "no usage source with the code “nope”", self._ingest(key, code="nope")),
            (422, "no usage source with the code “switch”", self._ingest(elsewhere, self._record())),
            (422, "10,001 records in one call are too many", self._ingest(key, *[{}] * 10_001)),
            (422, "Hand in a list", self._call("billing.usage/ingest", key, code="switch", records={})),
            (401, "Invalid apikey", self._ingest("0" * 40)),
            (403, "Ask for the right “Hand in usage”", self._ingest(self._key("base.group_user", days=30))),
        ):
            with self.subTest(words):
                self.assertEqual(answer[0], status)
                self.assertIn(words, answer[1]["message"])
        self.assertFalse(self.env["billing.usage"].search_count([("source_id", "=", self.source.id)]))

    def _record(self):
        return {
            "id": "cdr-1",
            "account": "+49 30 1000",
            "moment": "2026-03-10T12:00:00Z",
            "destination": "+49 89 123456",
            "quantity": 61,
        }
