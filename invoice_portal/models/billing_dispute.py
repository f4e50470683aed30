from datetime import timedelta
from typing import NamedTuple

from odoo import SUPERUSER_ID, api, fields, models
from odoo.exceptions import UserError
from odoo.tools import format_date
from odoo.tools.mimetypes import guess_mimetype

from ..tools.grant import granted, is_granted
from ..tools.local_time import local_date
from .account_move_card import MOST

# Days that a client has after a refusal before the amount is charged or reminded of again.
GRACE_DAYS = 5
# What a client may write and attach. Files are told by their content, not by the name they come with.
MOST_WORDS = 2000
MOST_FILES = 3
MOST_BYTES = 5 * 1024 * 1024
FILE_TYPES = {"application/pdf": ".pdf", "image/png": ".png", "image/jpeg": ".jpg"}

OPEN, ACCEPTED, DECLINED, WITHDRAWN = "open", "accepted", "declined", "withdrawn"
BADGES = {OPEN: "warning", ACCEPTED: "success", DECLINED: "danger", WITHDRAWN: "secondary"}


class File(NamedTuple):
    """What was attached, by its content: nothing elevated is handed out."""

    name: str
    content: bytes
    mimetype: str


class BillingDispute(models.Model):
    """A client objects to a line of an invoice. As long as that is open, the amount is neither charged nor reminded of.

    Rows are made and moved on by methods of this class only: nobody has the right to write them, and a write that comes
    by another way is refused.
    """

    _name = "billing.dispute"
    _description = "Objection to an Invoice Line"
    _inherit = ["billing.state.order"]
    _order = "id desc"

    line_id = fields.Many2one(
        "account.move.line", string="Invoice Line", required=True, readonly=True, ondelete="cascade"
    )
    item = fields.Char(compute="_compute_item")
    move_id = fields.Many2one(related="line_id.move_id", string="Invoice", store=True, index=True)
    partner_id = fields.Many2one(related="move_id.commercial_partner_id", string="Client", store=True, index=True)
    company_id = fields.Many2one(related="move_id.company_id", store=True)
    currency_id = fields.Many2one(related="move_id.currency_id", store=True)
    responsible_id = fields.Many2one(
        related="move_id.invoice_user_id", string="Responsible", store=True, groups="base.group_user"
    )
    author_id = fields.Many2one("res.partner", string="Objected By", required=True, readonly=True)
    date = fields.Datetime(string="Objected On", required=True, readonly=True, default=fields.Datetime.now)
    amount = fields.Monetary(string="Contested", required=True, readonly=True, help="With taxes.")
    kind = fields.Selection(
        [
            ("not_ordered", "Not ordered"),
            ("amount", "Wrong amount"),
            ("period", "Wrong period"),
            ("quality", "Not as agreed"),
            ("other", "Other"),
        ],
        string="Reason",
        required=True,
        readonly=True,
    )
    words = fields.Text(string="In the Client's Words", required=True, readonly=True)
    attachment_ids = fields.One2many(
        "ir.attachment",
        "res_id",
        string="Attachments",
        domain=[("res_model", "=", "billing.dispute"), ("res_field", "=", False)],
        readonly=True,
        groups="base.group_user",
    )
    attachment_count = fields.Integer(compute="_compute_attachment_count", groups="base.group_user")
    state = fields.Selection(
        [(OPEN, "Open"), (ACCEPTED, "Accepted"), (DECLINED, "Declined"), (WITHDRAWN, "Withdrawn")],
        required=True,
        readonly=True,
        default=OPEN,
    )
    answer = fields.Text(readonly=True, help="What the client was told.")
    answered_on = fields.Datetime(readonly=True)
    answered_by_id = fields.Many2one("res.users", readonly=True, groups="base.group_user")
    resume_on = fields.Date(
        string="Charged Again From",
        readonly=True,
        groups="base.group_user",
        help=f"After a refusal the client has {GRACE_DAYS} days before the amount is charged or reminded of again.",
    )
    # While it is a draft, clients know no more of it than that it is being prepared.
    credit_note_id = fields.Many2one(
        "account.move", readonly=True, index="btree_not_null", ondelete="set null", groups="base.group_user"
    )
    credit_note_waits = fields.Boolean(compute="_compute_credit_note_waits", groups="base.group_user")
    standing = fields.Char(string="Status", compute="_compute_standing", groups="base.group_user")
    charge_held = fields.Boolean(
        readonly=True,
        groups="base.group_user",
        help="The card would have been charged by itself: that is planned anew where the amount stays due.",
    )
    activity_id = fields.Many2one("mail.activity", readonly=True, ondelete="set null", groups="base.group_user")

    _one_open = models.UniqueIndex("(line_id) WHERE state = 'open'", "This item is contested already.")
    _above_zero = models.Constraint("CHECK (amount > 0)", "What is contested is more than nothing.")
    _of_move_idx = models.Index("(move_id, state)")

    @api.depends("line_id", "move_id")
    def _compute_display_name(self):
        for dispute in self:
            dispute.display_name = self.env._(
                "%(invoice)s: %(line)s", invoice=dispute.move_id.name, line=dispute._line_name()
            )

    @api.depends("line_id.name", "line_id.product_id")
    def _compute_item(self):
        for dispute in self:
            dispute.item = dispute._line_name()

    @api.depends("attachment_ids")
    def _compute_attachment_count(self):
        for dispute in self:
            dispute.attachment_count = len(dispute.attachment_ids)

    @api.depends("state", "credit_note_id.state")
    def _compute_credit_note_waits(self):
        for dispute in self:
            dispute.credit_note_waits = dispute.state == OPEN and dispute.credit_note_id.state == "draft"

    @api.depends("state", "credit_note_waits")
    @api.depends_context("lang")
    def _compute_standing(self):
        """Between the two, neither "Open" nor "Accepted" would be true: the draft can still be deleted."""
        for dispute in self:
            waits = dispute.credit_note_waits
            dispute.standing = self.env._("Being credited") if waits else dispute._state_in_words()

    def _line_name(self):
        return (self.line_id.name or self.line_id.product_id.display_name or "").partition("\n")[0]

    # -- nobody writes it by hand -------------------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        self.check_access("create")
        self._refuse_by_hand()
        return super().create(vals_list)

    def write(self, vals):
        self.check_access("write")
        self._refuse_by_hand()
        return super().write(vals)

    def _refuse_by_hand(self):
        if not is_granted(self.env):
            raise UserError(self.env._("An objection is made by the client, and answered by its buttons."))

    # -- objecting ----------------------------------------------------------------------------------------------------

    @api.model
    def _object_sudo(self, line, kind, words, amount, files=()):
        """Object to a line of an invoice, as the client who is logged in: the one way by which objections come to be.

        Whether this user may read the invoice, is its client, and may object is asked first, as that user. Only then,
        elevated, as no client may create records: the objection with its files, a note and an activity for staff, and
        the mail to the client. What it returns is the user's again.

        :param files: `[(name, bytes)]`
        """
        line.move_id.check_access("read")
        line.check_access("read")
        move = line.move_id
        move._billing_claim_for_dispute()
        if reason := (
            move._billing_why_not_object(line)
            or self._why_not_said(kind, words)
            or line._billing_why_not_contest(amount)
            or self._why_not_attached(files)
        ):
            raise UserError(reason)
        dispute = granted(self.sudo()).create(
            {
                "line_id": line.id,
                "author_id": self.env.user.partner_id.id,
                "amount": move.currency_id.round(amount),
                "kind": kind,
                "words": self._tidy(words),
                "charge_held": bool(move.sudo().billing_autopay_date),
            }
        )
        dispute = dispute.with_env(self.env).sudo()
        dispute._attach(files)
        dispute._tell_staff_received()
        dispute._tell_client("invoice_portal.mail_template_dispute_received")
        return dispute.sudo(False)

    @api.model
    def _why_not_said(self, kind, words):
        if kind not in dict(self._fields["kind"].selection):
            return self.env._("Choose a reason.")
        return self._why_not_words(words, self.env._("Say in a few words what is wrong."))

    @api.model
    def _why_not_words(self, words, missing):
        words = self._tidy(words)
        if not words:
            return missing
        if len(words) > MOST_WORDS:
            return self.env._(
                "That is %(count)s characters long. At most %(most)s fit.", count=len(words), most=MOST_WORDS
            )
        if "\0" in words:
            return self.env._("There is a character in the text that cannot be kept.")
        return None

    @api.model
    def _tidy(self, words):
        """As a browser counts them, a line break is one character."""
        return (words or "").replace("\r\n", "\n").strip()

    @api.model
    def _why_not_attached(self, files):
        if len(files) > MOST_FILES:
            return self.env._("Attach at most %s files.", MOST_FILES)
        for name, content in files:
            if not content:
                return self.env._("“%s” is empty.", name)
            if len(content) > MOST_BYTES:
                return self.env._(
                    "“%(name)s” is too large: at most %(most)s MB.", name=name, most=MOST_BYTES // 1024 // 1024
                )
            if guess_mimetype(content) not in FILE_TYPES:
                return self.env._("“%s” is neither a PDF nor a PNG or JPEG picture.", name)
        return None

    def _attach(self, files):
        """Kept with the objection, so whoever may read it may read them; public is none."""
        for number, (name, content) in enumerate(files, start=1):
            mimetype = guess_mimetype(content)
            stem = "".join(
                char for char in name.rpartition(".")[0] or name if char.isprintable() and char not in '/\\"'
            )
            self.env["ir.attachment"].create(
                {
                    "name": f"{stem.strip()[:80] or number}{FILE_TYPES[mimetype]}",
                    "raw": content,
                    "mimetype": mimetype,
                    "res_model": self._name,
                    "res_id": self.id,
                    "public": False,
                }
            )
        self.invalidate_recordset(["attachment_ids"])

    # -- the states ---------------------------------------------------------------------------------------------------

    def _why_not(self, state):
        """Why this objection cannot become that now, in words, or nothing."""
        self.ensure_one()
        if self.state != OPEN:
            return self.env._(
                "The objection to “%(line)s” is %(state)s already.",
                line=self._line_name(),
                state=dict(self._fields["state"]._description_selection(self.env))[self.state].lower(),
            )
        if state not in (ACCEPTED, DECLINED, WITHDRAWN):
            return self.env._("An objection cannot become “%s”.", state)
        if state == ACCEPTED and self.sudo().credit_note_id.state != "posted":
            return self.env._("It is accepted when its credit note is confirmed.")
        return None

    def _settle_sudo(self, state, **values):
        """The one way from open to an end. Elevated, as nobody may write: whoever calls has asked who may."""
        self.ensure_one()
        dispute = self.sudo()
        dispute.move_id._billing_claim_for_dispute()
        dispute.invalidate_recordset(["state"])
        if reason := dispute._why_not(state):
            raise UserError(reason)
        granted(dispute).write(
            {
                "state": state,
                "answered_on": fields.Datetime.now(),
                "answered_by_id": self.env.uid if self.env.user._is_internal() else False,
                **values,
            }
        )
        if dispute.activity_id:
            dispute.activity_id.action_feedback(dispute._state_in_words())
        dispute.move_id.with_user(SUPERUSER_ID)._billing_resume_charging(dispute)

    def _hold_charge(self):
        held = self.filtered(lambda dispute: dispute.state == OPEN and not dispute.charge_held)
        granted(held).write({"charge_held": True})

    def _state_in_words(self):
        return dict(self._fields["state"]._description_selection(self.env))[self.state]

    def _decline(self, answer):
        """Decline, with words for the client. From the day after the days of grace on the amount is due as before."""
        self.ensure_one()
        self._check_staff()
        if reason := self._why_not_words(answer, self.env._("Say why: the client reads it.")):
            raise UserError(reason)
        move = self.move_id
        today = local_date(fields.Datetime.now(), move._billing_zone())
        self._settle_sudo(DECLINED, answer=self._tidy(answer), resume_on=today + timedelta(days=GRACE_DAYS))
        self._note(self.env._("Objection to “%(line)s” declined: %(answer)s", line=self._line_name(), answer=answer))
        self._tell_client("invoice_portal.mail_template_dispute_declined")

    def _withdraw_sudo(self):
        """Take it back, as the client who is logged in: whether it is theirs is asked as that user."""
        self.ensure_one()
        self.check_access("read")
        if self.env.user.partner_id.commercial_partner_id != self.partner_id:
            raise UserError(self.env._("Only the client can withdraw this."))
        self._settle_sudo(WITHDRAWN)
        self.sudo()._note(
            self._in_staff_language().env._("The client withdrew the objection to “%s”.", self._line_name())
        )
        if self.sudo().credit_note_id.state == "draft":
            self.sudo().credit_note_id.message_post(
                body=self._in_staff_language().env._("The client withdrew the objection this was drafted for."),
                subtype_xmlid="mail.mt_note",
            )

    def _accept(self, credit_note):
        """The credit note is confirmed: that answers it."""
        for dispute in self:
            granted(dispute.sudo()).credit_note_id = credit_note
            dispute._settle_sudo(ACCEPTED)
            dispute._note(
                self.env._(
                    "Objection to “%(line)s” accepted: %(note)s", line=dispute._line_name(), note=credit_note.name
                )
            )
            dispute._tell_client("invoice_portal.mail_template_dispute_accepted")

    # -- who hears of it ----------------------------------------------------------------------------------------------

    def _in_staff_language(self):
        move = self.sudo().move_id
        return self.with_context(lang=move.invoice_user_id.lang or move.company_id.partner_id.lang or "en_US")

    def _note(self, body):
        """In the invoice's conversation, for staff."""
        self.move_id.message_post(body=body, subtype_xmlid="mail.mt_note")

    def _tell_staff_received(self):
        dispute = self._in_staff_language()
        amount = dispute.currency_id.format(dispute.amount)
        kind = dict(dispute._fields["kind"]._description_selection(dispute.env))[dispute.kind]
        values = {"line": dispute._line_name(), "amount": amount, "kind": kind, "words": dispute.words}
        dispute._note(dispute.env._("Objection to “%(line)s”, %(amount)s (%(kind)s): %(words)s", **values))
        activity = dispute.move_id._billing_call_person(
            dispute.env._("%(amount)s contested: accept or decline", amount=amount), dispute.words
        )
        granted(dispute).activity_id = activity

    def _tell_client(self, xmlid):
        """By mail, to whom the invoice went and to whoever objected. As Odoo itself: it is not the reader's to send."""
        template = self.env.ref(xmlid, raise_if_not_found=False)
        dispute = self.with_user(SUPERUSER_ID)
        move = dispute.move_id
        if not template or not (move._billing_addresses()["to"] or dispute.author_id.email):
            return
        template = template.with_user(SUPERUSER_ID).with_context(billing_dispute_id=dispute.id)
        move._billing_queue_notices(template, copy_to=move._billing_contact_line(dispute.author_id))

    # -- staff --------------------------------------------------------------------------------------------------------

    def _check_staff(self):
        self.check_access("read")
        self.move_id._billing_check_staff()
        self.move_id.check_access("write")

    def action_accept(self):
        """Open the draft of a credit note for what is contested. It is accepted when that is confirmed."""
        self.ensure_one()
        self._check_staff()
        if self.state != OPEN:
            raise UserError(self._why_not(ACCEPTED))
        note = self.credit_note_id
        if note.state != "draft":
            move = self.move_id
            given = move.reversal_move_ids.filtered(lambda entry: entry.state == "posted")
            left = move.amount_total - sum(given.mapped("amount_total"))
            if given and move.currency_id.compare_amounts(self.amount, left) > 0:
                # It was credited by another way: there is nothing to credit twice.
                self._accept(given.sorted("id")[-1])
                return given.sorted("id")[-1]._get_records_action(name=self.env._("Credit Note"))
            move._billing_claim_for_dispute()
            note = self.line_id._billing_draft_credit_note(self.amount)
            granted(self.sudo()).credit_note_id = note
            self._note(
                self.env._(
                    "%(note)s drafted for the objection to “%(line)s”.", note=note.display_name, line=self._line_name()
                )
            )
        return note._get_records_action(name=self.env._("Credit Note"))

    def action_decline(self):
        self.ensure_one()
        self._check_staff()
        if reason := self._why_not(DECLINED):
            raise UserError(reason)
        return self.env["billing.dispute.decline"]._open(self)

    def action_open_invoice(self):
        self.ensure_one()
        self.check_access("read")
        self.move_id._billing_check_staff()
        return self.move_id._get_records_action(name=self.env._("Invoice"))

    def action_open_credit_note(self):
        self.ensure_one()
        self.check_access("read")
        self.move_id._billing_check_staff()
        return self.credit_note_id._get_records_action(name=self.env._("Credit Note"))

    # -- the client's page --------------------------------------------------------------------------------------------

    def _portal_files(self):
        """`[(id, name)]` of what was attached, for whoever may read the objection. Elevated, as clients read no
        attachments by themselves; the content is fetched by `_portal_file_sudo` only."""
        self.ensure_one()
        self.check_access("read")
        return [(file.id, file.name) for file in self.sudo().attachment_ids.sorted("id")]

    def _portal_file_sudo(self, file_id):
        """One attachment of this objection, after asking who may read that; or nothing."""
        self.ensure_one()
        self.check_access("read")
        file = self.sudo().attachment_ids.filtered(lambda file: file.id == file_id)
        return File(file.name, file.raw, file.mimetype) if file else None

    def _portal_row(self):
        """This objection in a line, for whoever may see its invoice."""
        self.ensure_one()
        return {
            "invoice": self.move_id.name,
            "url": f"/my/invoices/{self.move_id.id}#objections-{self.line_id.id}",
            "item": self._line_name(),
            "amount": self.currency_id.format(self.amount),
            "state_name": self.sudo().standing,
            "badge": BADGES[self.state],
        }

    def _portal_values(self):
        """What the client's page says of these, for a user whose right to see the invoice was asked for before."""
        kinds = dict(self._fields["kind"]._description_selection(self.env))
        values = []
        for dispute in self:
            note = dispute._portal_credit_note()
            values.append(
                {
                    "id": dispute.id,
                    "state": dispute.state,
                    # Elevated to say that a credit note is drafted, and nothing of the draft.
                    "state_name": dispute.sudo().standing,
                    "credit_waits": dispute.sudo().credit_note_waits,
                    "badge": BADGES[dispute.state],
                    "date": format_date(self.env, dispute.date),
                    "amount": dispute.currency_id.format(dispute.amount),
                    "kind": kinds[dispute.kind],
                    "words": dispute.words,
                    "author": dispute.author_id.name,
                    "files": dispute._portal_files(),
                    "answer": dispute.answer or "",
                    "answered_on": format_date(self.env, dispute.answered_on) if dispute.answered_on else "",
                    "resume_on": format_date(self.env, dispute.resume_on) if dispute.resume_on else "",
                    "note_name": note.name or "",
                    "note_url": f"/my/invoices/{note.id}" if note else "",
                }
            )
        return values

    def _portal_credit_note(self):
        """The confirmed credit note that answered it, as this user may read it, or none: drafts stay hidden."""
        self.ensure_one()
        note = self.sudo().credit_note_id.sudo(False)
        return note._filtered_access("read") if self.state == ACCEPTED else note.browse()


def finite(amount):
    return isinstance(amount, int | float) and abs(amount) < MOST
