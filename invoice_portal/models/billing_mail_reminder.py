from odoo import fields, models


class BillingMail(models.Model):
    """A mail that reminds says what is due when it leaves, and leaves only if something is."""

    _inherit = "billing.mail"

    reminder_ids = fields.One2many("billing.reminder", "mail_id", string="Reminders", readonly=True)

    def _said(self):
        return self.reminder_ids.filtered(lambda reminder: reminder.fate == "said")

    def _to_make(self):
        return super()._to_make() | self.filtered(lambda mail: mail.kind == "reminder" and mail.state == "waiting")

    def _make(self):
        reminders = self.filtered(lambda mail: mail.kind == "reminder")
        for mail in reminders:
            mail._make_reminder()
        others = self - reminders
        return super(BillingMail, others)._make() if others else None

    def _make_reminder(self):
        """Leave out what was paid, voided or put on hold since it was written down, and write the text of the rest."""
        self.ensure_one()
        # What others have committed since then counts.
        self.env.invalidate_all()
        standings = self._said().move_id._billing_standings()
        reason = self.env._("Nothing is due any more.")
        for reminder in self._said():
            if changed := reminder._why_not_any_more(standings):
                reason = changed
                reminder._withdraw(changed)
        said = self._said()
        if not said:
            self._withdraw(reason)
        # Where some have got it, the others get the same.
        elif not self.sent_on:
            said._renew(standings)
            first = max(said, key=lambda reminder: (reminder.level_id._rank(), reminder.days, -reminder.move_id.id))
            facts = said._facts(
                {move: standings[move] for move in said.move_id},
                [(reminder.fee, reminder.interest) for reminder in said],
            )
            self.write({"move_id": first.move_id.id, "shared_move_ids": [(6, 0, (said.move_id - first.move_id).ids)]})
            self._fill(said._write_text(first.move_id, first.level_id, facts))

    def _withdraw(self, reason):
        """It is not sent after all, and nobody has to see to it."""
        self._pending().write(
            {"state": "refused", "reason": reason, "closed": True, "answered_on": fields.Datetime.now()}
        )
        self.write({"state": "done", "retry_on": False})

    def _begin(self):
        if self.kind == "reminder" and not self._is_still_true():
            # Made anew, of what is left.
            self._put_back()
            self._wake()
            self._commit()
            return False
        return super()._begin()

    def _is_still_true(self):
        """Whether nothing was paid, voided or put on hold since the text was made."""
        self.env.invalidate_all()
        standings = self._said().move_id._billing_standings()
        return self._said() and not any(reminder._why_not_any_more(standings) for reminder in self._said())

    def _settle(self, later):
        result = super()._settle(later)
        if self.kind == "reminder" and self.sent_on:
            self.env["billing.reminder"]._wake()
        return result

    def _earlier(self):
        if self.kind != "reminder":
            return super()._earlier()
        moves = self.move_id | self.shared_move_ids
        return self.search(
            [
                ("kind", "=", "reminder"),
                ("id", "<", self.id),
                "|",
                ("move_id", "in", moves.ids),
                ("shared_move_ids", "in", moves.ids),
            ]
        )

    def _prepare_mail_mail(self):
        values = super()._prepare_mail_mail()
        if self.kind == "reminder":
            # It names other invoices, too: whoever was given the link to this one does not read that.
            values["subtype_id"] = self.env.ref("mail.mt_note").id
        return values
