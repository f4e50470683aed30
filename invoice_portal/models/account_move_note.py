from contextlib import contextmanager

from markupsafe import escape

from odoo import models
from odoo.fields import Command
from odoo.tools import ormcache

from .account_move_entry import KNOWN_ADDONS

# The context key under which notes are gathered. A caller by RPC, import or the JSON API can set the key, too, but not
# to such an object.
KEY = "billing_gathered_notes"
GATHERED = {"author_id", "body", "subtype_id", "tracking_value_ids"}

# Methods that see each note of Odoo's own way: whoever else has a say in one gets the notes one by one.
SEEING_EACH = {
    "_message_compute_author",
    "_message_compute_parent_id",
    "_message_create",
    "_message_post_after_hook",
    "_notify_get_recipients",
    "_notify_get_reply_to",
    "_notify_thread",
    "_notify_thread_with_out_of_office",
    "message_post",
}
LOOKED_AT = KNOWN_ADDONS | {"rating", "sms"}


class Notes:
    """What is to be noted on entries, in its order, until it is written."""

    def __init__(self):
        self.entries = []
        self.existing = {}
        self.open = True


class AccountMove(models.Model):
    """The notes that many entries get at once are written at once.

    Odoo notes “Invoice Created” and “Invoice validated” entry by entry: what each note answers, from which address, and
    who follows, by some seven queries each. It is asked for all of them here. A note that somebody follows goes the way
    it always went.
    """

    _inherit = "account.move"

    @contextmanager
    def _billing_gather_notes(self):
        """The same entries, whose notes are written together at the end."""
        if isinstance(self.env.context.get(KEY), Notes) or self._billing_unseen_notes():
            yield self
            return
        notes = Notes()
        yield self.with_context(**{KEY: notes})
        notes.open = False
        self._billing_write_notes(notes.entries)

    @ormcache()
    def _billing_unseen_notes(self):
        return any(
            addon not in LOOKED_AT and SEEING_EACH & vars(ancestor).keys()
            for ancestor in type(self).mro()
            if (addon := ancestor.__module__.partition("odoo.addons.")[2].partition(".")[0])
        )

    def message_post(self, **kwargs):
        notes = self.env.context.get(KEY)
        if (
            isinstance(notes, Notes)
            and notes.open
            and kwargs.keys() <= GATHERED
            and kwargs.get("subtype_id")
            and all(command[0] == Command.CREATE for command in kwargs.get("tracking_value_ids") or ())
        ):
            self.ensure_one()
            notes.entries.append((self, kwargs))
            return self.env["mail.message"]
        return super().message_post(**kwargs)

    def _message_track(self, fields_iter, initial_values_dict):
        with self._billing_gather_notes() as gathering:
            return super(AccountMove, gathering)._message_track(fields_iter, initial_values_dict)

    def _billing_write_notes(self, entries):
        """Write these notes: those of entries that nobody follows together."""
        alike = {}
        for move, note in entries:
            key = move.env.uid, move.env.su, note.get("author_id"), note["subtype_id"]
            alike.setdefault(key, []).append((move, note))
        for notes in alike.values():
            moves = self.browse(move.id for move, _note in notes).with_env(notes[0][0].env)
            if len(moves) != len(set(moves._ids)) or moves.env.user._is_public():
                unfollowed = self.browse()
            else:
                unfollowed = moves._billing_unfollowed(notes[0][1]["subtype_id"])
            for move, note in notes:
                if move not in unfollowed:
                    move.message_post(**note)
            unfollowed._billing_write_unfollowed({move.id: note for move, note in notes if move in unfollowed})

    def _billing_unfollowed(self, subtype_id):
        """Those of which nobody hears when a note of this kind is written."""
        followers = self.env["mail.followers"]._get_recipient_data(self, "notification", subtype_id)
        return self.filtered(lambda move: not followers.get(move.id))

    def _billing_write_unfollowed(self, notes):
        if not self:
            return
        moves = self._fallback_lang()
        note = notes[self[0].id]
        author_id, sender = moves._message_compute_author(note.get("author_id"))
        parents = moves._billing_newest_messages()
        domains = moves.sudo()._mail_get_alias_domains(default_company=self.env.company)
        companies = moves._mail_get_companies(default=self.env.company)
        reply_to = moves._notify_get_reply_to(default=sender, author_id=author_id)
        values_list = [
            {
                "attachment_ids": [],
                "author_guest_id": False,
                "author_id": author_id,
                "body": escape(notes[move.id].get("body", "")),
                "email_add_signature": True,
                "email_from": sender,
                "message_type": "notification",
                "model": move._name,
                "parent_id": parents.get(move.id, False),
                "partner_ids": [],
                "record_alias_domain_id": domains[move.id].id,
                "record_company_id": companies[move.id].id,
                "reply_to": reply_to[move.id],
                "res_id": move.id,
                "subject": False,
                "subtype_id": note["subtype_id"],
            }
            for move in moves
        ]
        messages = moves._message_create(values_list)
        # As Odoo does: whoever changed something need not be able to write what was changed.
        self.env["mail.tracking.value"].sudo().create(
            [
                {**command[2], "mail_message_id": message.id}
                for move, message in zip(moves, messages, strict=True)
                for command in notes[move.id].get("tracking_value_ids") or ()
            ]
        )
        for move, message, values in zip(moves, messages, values_list, strict=True):
            move._message_post_after_hook(message, values)

    def _billing_newest_messages(self):
        """What a new message on each entry answers: the last one that somebody wrote, or the last one."""
        # Elevated, as whoever may note something need not see what it answers; only its identifier is used.
        messages = (
            self.env["mail.message"]
            .sudo()
            .search_fetch(
                [("model", "=", self._name), ("res_id", "in", self.ids), ("message_type", "!=", "user_notification")],
                ["date", "message_type", "res_id"],
            )
        )
        return {
            move_id: max(
                of_move,
                key=lambda message: (message.message_type in ("comment", "email"), message.date, message.id),
            ).id
            for move_id, of_move in messages.grouped("res_id").items()
        }


class MailMessageSubtype(models.Model):
    _inherit = "mail.message.subtype"

    def exists(self):
        """Odoo asks twice for each note whether its kind is still there."""
        notes = self.env.context.get(KEY)
        if not isinstance(notes, Notes) or not notes.open:
            return super().exists()
        if self._ids not in notes.existing:
            notes.existing[self._ids] = super().exists()._ids
        return self.browse(notes.existing[self._ids])
