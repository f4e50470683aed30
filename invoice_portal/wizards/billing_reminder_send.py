from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command

from ..models.account_move_mail import LINES


class BillingReminderSend(models.TransientModel):
    """Send Reminder Now: what will be said, to whom, and what follows from it?"""

    _name = "billing.reminder.send"
    _description = "Send Reminders Now"

    move_ids = fields.Many2many("account.move", string="Invoices", readonly=True)
    # What was asked about: `{invoice id: level id}`.
    asked = fields.Json(readonly=True)
    summary = fields.Html(compute="_compute_summary", sanitize=False)
    letter_count = fields.Integer(compute="_compute_summary")
    # Made when the question is asked, as it may give invoices their link: reading it writes nothing.
    preview = fields.Html(readonly=True, sanitize=False)
    # Typed only where there is one mail.
    to = fields.Char(compute="_compute_addresses", store=True, readonly=False)
    cc = fields.Char(compute="_compute_addresses", store=True, readonly=False)
    bcc = fields.Char(compute="_compute_addresses", store=True, readonly=False)

    @api.model
    def _open(self, moves):
        moves._billing_check_staff()
        moves.check_access("write")
        if not moves:
            raise UserError(self.env._("Nothing is overdue."))
        wizard = self.create({"move_ids": [Command.set(moves.ids)]})
        letters, _left_out = wizard._plan()
        wizard.write({"asked": wizard._in_short(letters), "preview": wizard._render_preview(letters)})
        return wizard._get_records_action(name=self.env._("Send Reminder Now"), target="new")

    def _plan(self):
        return self.env["billing.reminder"]._plan(self.move_ids, asked=True)

    def _in_short(self, letters):
        return {str(item.move.id): item.level.id for letter in letters for item in letter.items}

    @api.depends("move_ids")
    def _compute_addresses(self):
        for wizard in self:
            letters, _left_out = wizard._plan()
            for line in LINES:
                wizard[line] = letters[0].addresses[line] if len(letters) == 1 else False

    @api.depends("move_ids", "to", "cc", "bcc")
    def _compute_summary(self):
        for wizard in self:
            letters, left_out = wizard._plan()
            wizard.letter_count = len(letters)
            problems = [
                self.env._("%(client)s: %(problem)s", client=letter.client.display_name, problem=letter.problem)
                for letter in wizard._addressed(letters)
                if letter.problem
            ]
            nothing = wizard.move_ids - wizard.move_ids.browse().union(
                *(item.move for item in left_out), *(item.move for letter in letters for item in letter.items)
            )
            wizard.summary = self.env["ir.qweb"]._render(
                "invoice_portal.reminder_send_summary",
                {
                    "letters": letters,
                    "left_out": left_out,
                    "problems": problems,
                    "nothing": nothing,
                    "costs": wizard._costs,
                },
            )

    def _costs(self, item):
        return self.env["billing.reminder"]._costs(item.move, item.level, item.standing)

    def _render_preview(self, letters):
        """The first of the mails as it will arrive."""
        if not letters:
            return False
        Reminder, letter = self.env["billing.reminder"], letters[0]
        facts = Reminder._facts(
            {item.move: item.standing for item in letter.items}, [self._costs(item) for item in letter.items]
        )
        move = letter.first.move
        text = Reminder._write_text(move, letter.first.level, facts)
        return self.env["billing.mail"]._render_in_layout(move, text["body"], text["lang"], with_button=False)

    def _addressed(self, letters):
        """The same letters, to the addresses that were typed."""
        if len(letters) != 1:
            return letters
        typed = {line: self[line] or "" for line in LINES}
        problem = self.env["account.move"]._billing_address_problem(typed)
        return [letters[0]._replace(addresses=typed, problem=problem)]

    def action_confirm(self):
        """Say it, unless somebody else is about to."""
        self.ensure_one()
        self.check_access("write")
        self.move_ids._billing_check_staff()
        self.move_ids.check_access("write")
        clients = self.move_ids.commercial_partner_id.sudo()
        if clients.try_lock_for_update(allow_referencing=True) != clients:
            raise UserError(self.env._("The client is being reminded or billed at this moment. Try again."))
        letters, left_out = self._plan()
        letters = self._addressed(letters)
        if problems := [letter.problem for letter in letters if letter.problem]:
            raise UserError("\n".join(problems))
        if not letters:
            reasons = [f"{item.move.display_name}: {reason}" for item, reason in left_out.items()]
            raise UserError("\n".join(reasons) or self.env._("There is nothing to say."))
        if self._in_short(letters) != self.asked:
            # A second click, or somebody else's: the next level was never asked about.
            raise UserError(self.env._("This has changed since you were asked. Close the question and look again."))
        self.env["billing.reminder"]._say(letters)._send_after_commit()
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "info",
                "message": self.env._("On its way. What the mail server says stands among the reminders."),
                "next": {"type": "ir.actions.act_window_close"},
            },
        }
