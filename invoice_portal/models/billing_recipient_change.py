import hashlib
from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import hmac

from ..tools import addresses
from ..tools.grant import granted

# Where the addresses are kept, and whose mails they are: what clients may ask to change. Bcc is nothing they know of.
LINES = {
    "billing_email_to": ("invoice", "to"),
    "billing_email_cc": ("invoice", "cc"),
    "billing_email_receipt_to": ("receipt", "to"),
    "billing_email_receipt_cc": ("receipt", "cc"),
    "billing_email_reminder_to": ("reminder", "to"),
    "billing_email_reminder_cc": ("reminder", "cc"),
}
VALID = timedelta(days=7)
# A client asks for so many changes in a day: each of them is a mail to somebody.
PER_DAY = 5
# Readers of one line: more than anybody needs, and too few to make a mailing of it.
PER_LINE = 10
# Stands in the text of the mail where the link has its token, which is nowhere but in the mail itself.
PLACEHOLDER = "billing-recipient-token"


class BillingRecipientChange(models.Model):
    """A client wants its invoices, receipts or reminders to go to others: once whoever gets them now agrees.

    Who has a login could otherwise have the mails of his firm sent to himself.
    """

    _name = "billing.recipient.change"
    _description = "Change of Recipients"
    _order = "id desc"
    _rec_name = "partner_id"

    partner_id = fields.Many2one("res.partner", string="Client", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one("res.company", required=True, default=lambda self: self.env.company)
    user_id = fields.Many2one("res.users", string="Asked By", required=True, default=lambda self: self.env.user)
    before = fields.Json(required=True, help="What was set, by field: only of what changes.")
    after = fields.Json(required=True, help="What is wished, by field: only of what changes.")
    confirm_to = fields.Char(required=True, help="Who was asked to agree.")
    state = fields.Selection(
        [
            ("pending", "To be confirmed"),
            ("applied", "Applied"),
            ("cancelled", "Cancelled by the client"),
            ("rejected", "Rejected"),
            ("superseded", "Superseded"),
        ],
        required=True,
        default="pending",
    )
    expires_on = fields.Datetime(required=True, default=lambda self: fields.Datetime.now() + VALID)
    token_hash = fields.Char(groups="base.group_system", copy=False)

    _one_pending = models.UniqueIndex(
        "(partner_id) WHERE state = 'pending'", "Another change of recipients waits to be confirmed."
    )
    _by_token = models.UniqueIndex("(token_hash)", "This token is taken.")

    # -- asking -------------------------------------------------------------------------------------------------------

    @api.model
    def _ask(self, client, wished):
        """Note what the user's own client wishes, and ask who gets the mails now. Raises words where it cannot be.

        :param wished: `{field: text}` as typed, of `LINES`
        """
        client._billing_check_own()
        after = self._parsed(wished)
        change = self._ask_sudo(client.commercial_partner_id, after)
        return change.sudo(False)

    @api.model
    def _parsed(self, wished):
        """The same lines, each address once and written the same way; raises words where one is none."""
        problem = self.env["account.move"]._billing_address_problem
        after, kinds = {}, {}
        for fname, (kind, line) in LINES.items():
            text = wished.get(fname) or ""
            if wrong := problem({"to": "", "cc": "", "bcc": "", line: text}, required=False):
                raise UserError(wrong)
            good, _wrong = addresses.parse(text)
            if len(good) > PER_LINE:
                raise UserError(self.env._("At most %s addresses have room in one line.", PER_LINE))
            after[fname] = kinds.setdefault(kind, {})[line] = addresses.joined(good)
        kinds.pop("invoice")
        if wrong := self.env["res.partner"]._billing_own_lines_problem(kinds):
            raise UserError(wrong)
        return after

    @api.model
    def _ask_sudo(self, client, after):
        """Elevated, for a client that was checked to be the user's own: it may write neither this nor its addresses,
        and the mail is made from a template it cannot read."""
        client = client.sudo()
        before = {fname: self._as_kept(client[fname]) for fname in LINES}
        changed = [fname for fname in LINES if before[fname] != after[fname]]
        if not changed:
            raise UserError(self.env._("These are the recipients already: nothing has changed."))
        Change = self.sudo()
        since = fields.Datetime.now() - timedelta(days=1)
        if Change.search_count([("partner_id", "=", client.id), ("create_date", ">=", since)]) >= PER_DAY:
            raise UserError(self.env._("The recipients were changed several times today. Try again tomorrow."))
        confirm_to = self._who_agrees(client, changed)
        Change._pending_of(client)._close("superseded")
        change = Change.create(
            {
                "partner_id": client.id,
                "before": {fname: before[fname] for fname in changed},
                "after": {fname: after[fname] for fname in changed},
                "confirm_to": confirm_to,
            }
        )
        change.token_hash = self._hash(change._token())
        change._note(self.env._("%s wants other recipients:", self.env.user.name), change._asked_words())
        self.env.ref("invoice_portal.mail_template_recipient_change").sudo()._billing_queue(
            change,
            partner_id=client.id,
            company_id=change.company_id.id,
            recipient_change_id=change.id,
            addresses={"to": change.confirm_to},
        )
        return change

    @api.model
    def _as_kept(self, text):
        good, wrong = addresses.parse(text)
        return ", ".join(filter(None, [addresses.joined(good), *wrong]))

    @api.model
    def _who_agrees(self, client, changed):
        """Who gets now what is to go elsewhere; where nobody does, the person who asks."""
        kinds = {LINES[fname][0] for fname in changed}
        texts = [client._billing_addresses(kind)["to"] for kind in sorted(kinds)]
        if not addresses.parse(", ".join(texts))[0]:
            texts = [self.env.user.email_formatted if self.env.user.email else ""]
        good, _wrong = addresses.parse(", ".join(texts))
        if not good:
            raise UserError(self.env._("Nobody has an address that could confirm this. Please ask us to change it."))
        return addresses.joined(good)

    # -- the link -----------------------------------------------------------------------------------------------------

    def _token(self):
        """Worked out, not kept: who reads the database, or a copy of it, can confirm nothing."""
        self.ensure_one()
        return hmac(self.env(su=True), "billing-recipient-change", (self.id, self.create_date.isoformat()))

    @api.model
    def _hash(self, token):
        return hashlib.sha256((token or "").encode(errors="replace")).hexdigest()

    @api.model
    def _of_token_sudo(self, token):
        """The change that a link is for. Elevated: who reads the mail need not have a login; the token is the key."""
        return self.sudo().search([("token_hash", "=", self._hash(token))]) if token else self.sudo().browse()

    @api.model
    def _describe(self, token):
        """What the page of the link shows, in plain words; nothing where there is no such link."""
        change = self._of_token_sudo(token)
        if not change:
            return None
        return {
            "state": change._standing(),
            "rows": change._rows(),
            "client": change.partner_id.name or "",
            "company": change.company_id.name,
            "asked_by": change.user_id.name,
            "asked_on": change.create_date,
        }

    @api.model
    def _answer(self, token, agree):
        """Somebody who got the mail agrees, or does not. Returns what the change is then, or nothing."""
        change = self._of_token_sudo(token)
        if change and change._standing() == "pending":
            who = self.env._("by the link mailed to %s", change.confirm_to)
            change._apply(who) if agree else change._reject(who)
        return change._standing() if change else None

    def _standing(self):
        self.ensure_one()
        return "expired" if self.state == "pending" and self.expires_on < fields.Datetime.now() else self.state

    # -- what becomes of it -------------------------------------------------------------------------------------------

    @api.model
    def _pending_of(self, client):
        return self.search([("partner_id", "in", client.commercial_partner_id.ids), ("state", "=", "pending")])

    def _close(self, state):
        """Whoever comes second finds it closed."""
        self.lock_for_update()
        self.invalidate_recordset(["state"])
        self.filtered(lambda change: change.state == "pending").state = state
        # The database has room for the next one from here on.
        self.flush_recordset(["state"])

    def _apply(self, who):
        """Write what was asked for on the client. Elevated by the caller, who knows that it is agreed."""
        self.ensure_one()
        self._close("applied")
        client = granted(self.partner_id).with_context(mail_notrack=True)
        client.write({fname: text or False for fname, text in self.after.items()})
        self._note(self.env._("Other recipients, confirmed %s:", who))

    def _reject(self, who):
        self.ensure_one()
        self._close("rejected")
        self._note(self.env._("Other recipients, refused %s:", who))

    def _cancel(self):
        """By the client itself, which may look at its change and not write it: elevated once it is known to be its."""
        self.partner_id._billing_check_own()
        for change in self.sudo():
            change._close("cancelled")
            change._note(self.env._("%s takes the wish for other recipients back:", self.env.user.name))

    # -- in words -----------------------------------------------------------------------------------------------------

    @api.model
    def _labels(self):
        return {
            "billing_email_to": self.env._("Invoices to"),
            "billing_email_cc": self.env._("Invoices, copy to"),
            "billing_email_receipt_to": self.env._("Receipts to"),
            "billing_email_receipt_cc": self.env._("Receipts, copy to"),
            "billing_email_reminder_to": self.env._("Reminders to"),
            "billing_email_reminder_cc": self.env._("Reminders, copy to"),
        }

    def _rows(self):
        """`[(label, old, new)]`, each in words also where nothing is typed."""
        self.ensure_one()
        labels = self._labels()
        return [
            (labels[fname], self._in_words(fname, self.before[fname]), self._in_words(fname, self.after[fname]))
            for fname in LINES
            if fname in self.after
        ]

    def _in_words(self, fname, text):
        kind, line = LINES[fname]
        if text:
            return text
        if line == "cc":
            return self.env._("nobody")
        if kind == "invoice":
            return self.partner_id._billing_contact_address() or self.env._("nobody")
        return self.env._("as invoices")

    def _asked_words(self):
        return self.env._("%(who)s was asked to confirm it.", who=self.confirm_to)

    def _note(self, title, foot=""):
        """For staff: on the client, where no client reads it."""
        for change in self:
            body = self.env["ir.qweb"]._render(
                "invoice_portal.message_recipient_change", {"title": title, "rows": change._rows(), "foot": foot}
            )
            change.partner_id.message_post(body=body, subtype_xmlid="mail.mt_note")


class BillingMail(models.Model):
    _inherit = "billing.mail"

    recipient_change_id = fields.Many2one(
        "billing.recipient.change", index="btree_not_null", ondelete="set null", readonly=True
    )

    def _render_layout(self):
        """The token gets into the mail as it leaves, and stays nowhere else."""
        layout = super()._render_layout()
        change = self.recipient_change_id
        return layout.replace(PLACEHOLDER, change._token()) if change else layout
