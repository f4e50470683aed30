from unittest.mock import patch

from odoo.tests import tagged

from ..models import account_move_note
from ..tools.undone import undone
from .common import BillingCommon

MESSAGE = (
    "author_id body email_add_signature email_from message_type model record_alias_domain_id record_company_id"
    " record_name reply_to reply_to_force_new subject subtype_id"
).split()
TRACKED = (
    "field_id old_value_char new_value_char old_value_integer new_value_integer old_value_float new_value_float".split()
)


@tagged("post_install", "-at_install")
class TestNote(BillingCommon):
    """What many invoices are told at once is what each would be told by itself."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Odoo's tests of accounting note nothing.
        cls.env = cls.env(context={"allowed_company_ids": cls.company.ids})

    def _charges(self, count=4):
        clients = self.env["res.partner"].union(*(self._new_client(f"Client {number}") for number in range(count)))
        charges = self.env["billing.charge"].union(*(self._new_charge(partner_id=client.id) for client in clients))
        self.env.flush_all()
        return charges

    def _finalize(self, moves):
        moves._billing_finalize()
        self.env.flush_all()
        self.env.cr.precommit.run()

    def _noted(self, charges):
        """What stands in the conversations of the invoices of these charges, and what answers what."""
        with undone(self.env):
            moves = self._draft(charges)
            self.env.flush_all()
            self.env.cr.precommit.run()
            moves[0].message_post(body="Please check", message_type="comment", subtype_xmlid="mail.mt_note")
            moves[1].message_post(body="Noted", subtype_xmlid="mail.mt_note")
            self._finalize(moves)
            return [
                [
                    {
                        **message.read(MESSAGE, load=None)[0],
                        "id": place,
                        "answers": messages.ids.index(message.parent_id.id) if message.parent_id else None,
                        "dated": bool(message.date and message.message_id),
                        "tracked": [
                            {**value, "id": None} for value in message.tracking_value_ids.read(TRACKED, load=None)
                        ],
                    }
                    for place, message in enumerate(messages)
                ]
                for messages in (move.message_ids.sorted("id").sudo() for move in moves)
            ]

    def test_together_and_one_by_one_the_same_is_noted(self):
        charges = self._charges()
        together = self._noted(charges)
        with patch.object(self.registry["account.move"], "_billing_unseen_notes", lambda self: True):
            self.assertEqual(self._noted(charges), together)
        self.assertEqual([len(messages) for messages in together], [3, 3, 2, 2])
        self.assertTrue(all(messages[-1]["tracked"] for messages in together))
        self.assertEqual([messages[-1]["answers"] for messages in together], [1, 1, 0, 0])

    def test_who_follows_hears_of_it(self):
        moves = self._draft(self._charges())
        kind = self.env.ref("account.mt_invoice_validated")
        reader = self._new_user("reader", "account.group_account_invoice", notification_type="inbox")
        moves[2].message_subscribe(partner_ids=reader.partner_id.ids, subtype_ids=kind.ids)
        self._finalize(moves)
        notes = [move.message_ids.filtered(lambda message: message.subtype_id == kind) for move in moves]
        self.assertEqual([len(note) for note in notes], [1, 1, 1, 1])
        self.assertEqual([bool(note.sudo().notification_ids) for note in notes], [False, False, True, False])
        self.assertEqual(notes[2].sudo().notification_ids.res_partner_id, reader.partner_id)

    def test_a_key_in_the_context_holds_no_note_back(self):
        move = self._draft(self._new_charge()).with_context(**{account_move_note.KEY: True})
        note = move.message_post(body="Noted", subtype_id=self.env.ref("mail.mt_note").id)
        self.assertIn(note, move.message_ids)

    def test_another_addon_that_sees_each_note_still_sees_it(self):
        moves = self.env["account.move"]
        self.assertFalse(moves._billing_unseen_notes())
        self.env.registry.clear_cache()
        with patch.object(account_move_note, "LOOKED_AT", account_move_note.LOOKED_AT - {"sms"}):
            self.assertTrue(moves._billing_unseen_notes())
        self.env.registry.clear_cache()

    def test_more_invoices_take_few_more_queries(self):
        used = []
        for count in (4, 16):
            charges = self._charges(count)
            with undone(self.env):
                self.env.invalidate_all()
                before = self.env.cr.sql_log_count
                self._finalize(self._draft(charges))
                used.append(self.env.cr.sql_log_count - before)
        self.assertLess((used[1] - used[0]) / 12, 6)
