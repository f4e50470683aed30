import logging
from datetime import date, timedelta
from typing import Any, NamedTuple

from psycopg2 import OperationalError, errors

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command, Domain
from odoo.tools import SQL, format_date

from ..tools.grant import granted
from ..tools.interest import interest
from ..tools.local_time import local_moment
from .account_move_mail import LINES

_logger = logging.getLogger(__name__)

# Clients per transaction of the background job.
BATCH = 20
# Rounds that a batch may lose to a conflict with somebody else's transaction before the job leaves it to the next time.
CONFLICT_ROUNDS = 8
# The hours of the client's day in which the job reminds.
DAYTIME = range(8, 18)


class Next(NamedTuple):
    """The level that an invoice gets next, from which day on, and those below it, which it will never get then."""

    level: Any
    day: date
    below: Any

    def is_due(self, standing):
        return self.day <= standing.day and self.level._is_reached(standing.days)


class Item(NamedTuple):
    """One invoice that is reminded: at which level, above which others, and how it stands."""

    move: Any
    level: Any
    below: Any
    standing: Any


class Letter(NamedTuple):
    """One mail: everything that is to be said to the same readers."""

    client: Any
    items: list
    # To, Cc and Bcc, and what is wrong with them, if anything.
    addresses: dict
    problem: str | None

    @property
    def first(self):
        """Whose template is used: of the highest level, the invoice that is late the longest."""
        return max(self.items, key=lambda item: (item.level._rank(), item.standing.days, -item.move.id))


class BillingReminder(models.Model):
    """What was said to a client about one invoice at one level: once, ever.

    A row is written before the mail leaves. Whether it was sent follows from the mail; what follows from it (fee,
    interest, an activity) happens when a mail server took it, and once.
    """

    _name = "billing.reminder"
    _description = "Reminder of an Invoice"
    _inherit = ["billing.state.order"]
    _order = "date desc, id desc"
    _rec_name = "level_id"

    move_id = fields.Many2one("account.move", string="Invoice", required=True, readonly=True, ondelete="cascade")
    level_id = fields.Many2one("billing.reminder.level", required=True, readonly=True, index=True, ondelete="restrict")
    company_id = fields.Many2one(related="move_id.company_id", store=True)
    partner_id = fields.Many2one(related="move_id.commercial_partner_id", string="Client", store=True, index=True)
    currency_id = fields.Many2one(related="move_id.currency_id")
    date = fields.Date(required=True, readonly=True, help="The client's own day.")
    days = fields.Integer(string="Days Overdue", readonly=True, aggregator=None)
    amount_due = fields.Monetary(readonly=True, help="What was overdue that day or, before the due date, about to be.")
    fee = fields.Monetary(readonly=True)
    interest = fields.Monetary(readonly=True)
    mail_id = fields.Many2one(
        "billing.mail", string="E-mail", readonly=True, index="btree_not_null", ondelete="set null"
    )
    recipient_ids = fields.One2many(related="mail_id.recipient_ids", string="Sent To")
    fate = fields.Selection(
        [
            ("said", "Said"),
            ("passed", "Passed over"),
            ("withdrawn", "Withdrawn"),
            ("failed", "Could not be said"),
        ],
        required=True,
        readonly=True,
        default="said",
        help="What is said or passed over is never said again; what was withdrawn or failed may be.",
    )
    state = fields.Selection(
        [
            ("waiting", "Waiting"),
            ("sent", "Sent"),
            ("passed", "Passed Over"),
            ("withdrawn", "Withdrawn"),
            ("failed", "Not Sent"),
        ],
        compute="_compute_state",
        search="_search_state",
    )
    reason = fields.Text(readonly=True)
    followed = fields.Boolean(readonly=True, help="What follows from it was done: fee, interest, activity.")
    charge_ids = fields.One2many("billing.charge", "reminder_id", string="Charges", readonly=True)

    _once = models.UniqueIndex("(move_id, level_id)", "This invoice was reminded at this level already.")
    _to_follow_idx = models.Index("(id) WHERE fate = 'said' AND followed IS NOT TRUE")

    # -- what became of it --------------------------------------------------------------------------------------------

    @api.depends("fate", "mail_id.state", "mail_id.sent_on")
    def _compute_state(self):
        for reminder in self:
            mail = reminder.mail_id.sudo()
            if reminder.fate != "said":
                reminder.state = reminder.fate
            elif mail.sent_on:
                reminder.state = "sent"
            else:
                reminder.state = "waiting" if mail and mail.state != "done" else "failed"

    def _field_to_sql(self, alias, fname, query=None):
        if fname != "state":
            return super()._field_to_sql(alias, fname, query)
        return SQL(
            """CASE
                WHEN %(fate)s != 'said' THEN %(fate)s
                ELSE COALESCE((
                    SELECT CASE WHEN said.sent_on IS NOT NULL THEN 'sent' WHEN said.state = 'done' THEN 'failed'
                           ELSE 'waiting' END
                      FROM billing_mail said WHERE said.id = %(mail)s
                ), 'failed')
            END""",
            fate=self._field_to_sql(alias, "fate", query),
            mail=self._field_to_sql(alias, "mail_id", query),
        )

    @api.model
    def _search_state(self, operator, value):
        if operator != "in":
            return NotImplemented
        said = Domain("fate", "=", "said")
        return Domain.OR(
            {
                "sent": said & Domain("mail_id.sent_on", "!=", False),
                "waiting": said & Domain("mail_id.sent_on", "=", False) & Domain("mail_id.state", "!=", "done"),
                "failed": Domain("fate", "=", "failed")
                | said & Domain("mail_id", "=", False)
                | said & Domain("mail_id.sent_on", "=", False) & Domain("mail_id.state", "=", "done"),
            }.get(state, Domain("fate", "=", state))
            for state in value
        )

    @api.depends("level_id", "move_id")
    def _compute_display_name(self):
        for reminder in self:
            reminder.display_name = self.env._(
                "%(level)s, %(invoice)s", level=reminder.level_id.name, invoice=reminder.move_id.display_name
            )

    # -- what is to be said -------------------------------------------------------------------------------------------

    @api.model
    def _next_levels(self, standings, repeat_failed=False):
        """`{invoice: Next}` of those that have a level left. Reads only.

        :param repeat_failed: what no mail server took counts as not said: a person asks for it again
        """
        moves = self.env["account.move"].union(*standings)
        levels = {
            company: self.env["billing.reminder.level"].search(
                self.env["billing.reminder.level"]._get_company_domain(company)
            )
            for company in moves.company_id
        }
        rows = self.search([("move_id", "in", moves.ids)]).grouped("move_id")
        upcoming = {}
        for move, standing in standings.items():
            known = rows.get(move, self).filtered(
                lambda row: row.fate in ("said", "passed") and not (repeat_failed and row.state == "failed")
            )
            if following := self._next(levels[move.company_id], standing, known):
                upcoming[move] = following
        return upcoming

    @api.model
    def _next(self, levels, standing, known):
        """Of those above what was said: the highest that is reached, so that nothing missed goes out; else the lowest
        to come. The client has as long between two reminders as lies between their levels."""
        reached = max((row.level_id._rank() for row in known), default=None)
        above = [level for level in levels if reached is None or level._rank() > reached]
        due = [level for level in above if level._is_reached(standing.days)]
        coming = due[-1:] or [level for level in above if level.days > standing.days][:1]
        if not coming:
            return None
        (level,) = coming
        day = standing.due + timedelta(days=level.days)
        said = known.filtered(lambda row: row.fate == "said")
        if said:
            last = max(said, key=lambda row: (row.date, row.level_id._rank()))
            day = max(day, last.date + timedelta(days=level.days - last.level_id.days))
        return Next(level, day, levels.filtered(lambda lower: lower._rank() < level._rank()))

    @api.model
    def _plan(self, moves, asked=False):
        """What is to be said about these invoices now, and what keeps the others from being reminded. Reads only.

        :param asked: a person asks: before its time, and whatever the job would leave out
        :return: `[Letter]` and `{Item: reason}` of what is due and left out
        """
        standings = moves._billing_standings()
        items, left_out = [], {}
        for move, following in self._next_levels(standings, repeat_failed=asked).items():
            if not asked and not following.is_due(standings[move]):
                continue
            item = Item(move, following.level, following.below, standings[move])
            if reason := move._billing_reminder_hold_reason() or self._why_not_now(item, asked):
                left_out[item] = reason
            else:
                items.append(item)
        return self._letters(items), left_out

    @api.model
    def _why_not_now(self, item, asked):
        """What else keeps the job from reminding, or even a person."""
        level, standing = item.level, item.standing
        if not asked:
            return self._why_not_by_itself(item.move, standing)
        # Before its time, but not before it is true.
        if level.days > 0 and not standing.overdue:
            return self.env._(
                "Not overdue: it is due on %(day)s, and “%(level)s” comes after that",
                day=format_date(self.env, standing.due),
                level=level.name,
            )
        return None

    @api.model
    def _why_not_by_itself(self, move, standing):
        """What the settings leave to a person."""
        company = move.company_id
        if company.billing_reminder_from and standing.due < company.billing_reminder_from:
            return self.env._("it was due before %s", format_date(self.env, company.billing_reminder_from))
        if company.currency_id.compare_amounts(standing.amount_company, company.billing_reminder_minimum) < 0:
            return self.env._("less than %s is due", company.currency_id.format(company.billing_reminder_minimum))
        return None

    @api.model
    def _letters(self, items):
        """One per client, currency, language and addresses."""
        letters = []
        by_reader = {}
        for item in items:
            by_reader.setdefault(self._reader_key(item.move), []).append(item)
        for (_company, client, _currency, _lang, *lines), of_reader in by_reader.items():
            texts = dict(zip(LINES, lines, strict=True))
            letters.append(Letter(client, of_reader, texts, self.env["account.move"]._billing_address_problem(texts)))
        return letters

    @api.model
    def _reader_key(self, move):
        """Invoices with the same key go into the same mail."""
        texts = move._billing_reminder_addresses()
        return (
            move.company_id,
            move.commercial_partner_id,
            move.currency_id,
            move.partner_id.lang or "",
            *(texts[line] or "" for line in LINES),
        )

    # -- saying it ----------------------------------------------------------------------------------------------------

    @api.model
    def _say(self, letters):
        """Write down what is said, and queue the mails. Who cannot be reached is noted with the reason.

        The text is made when the mail leaves, of what is due at that moment.
        """
        reachable = [letter for letter in letters if not letter.problem]
        mails = self.env["billing.mail"].sudo()._queue([self._prepare_mail(letter) for letter in reachable])
        for letter, mail in zip(reachable, mails, strict=True):
            self._record(letter.items, {"fate": "said", "mail_id": mail.id, "reason": False})
        for letter in letters:
            if letter.problem:
                self._record(
                    letter.items, {"fate": "failed", "mail_id": False, "reason": letter.problem}, pass_over=False
                )
        return mails

    @api.model
    def _prepare_mail(self, letter):
        first = letter.first.move
        others = self.env["account.move"].union(*(item.move for item in letter.items)) - first
        return {
            "move_id": first.id,
            "shared_move_ids": [Command.set(others.ids)],
            "kind": "reminder",
            "state": "queued",
            "user_id": self.env.uid,
            "subject": self.env._(
                "%(level)s: %(invoices)s",
                level=letter.first.level.name,
                invoices=", ".join((first | others).mapped("name")),
            ),
            "addresses": letter.addresses,
        }

    @api.model
    def _record(self, items, values, pass_over=True):
        """One row per invoice and level. What was withdrawn or failed before is said in its own row.

        The database refuses a second one: whoever comes later finds that it was said.
        """
        moves = self.env["account.move"].union(*(item.move for item in items))
        rows = {(row.move_id, row.level_id): row for row in self.sudo().search([("move_id", "in", moves.ids)])}
        new = []

        def record(move, level, of_row):
            if row := rows.get((move, level)):
                row.write(of_row)
            else:
                new.append({"move_id": move.id, "level_id": level.id, **of_row})

        for item in items:
            standing = self._prepare_standing(item.standing)
            record(item.move, item.level, {**standing, **values})
            for level in item.below if pass_over else ():
                row = rows.get((item.move, level))
                if not row or row.fate in ("withdrawn", "failed"):
                    reason = self.env._("“%s” went out instead.", item.level.name)
                    record(item.move, level, {**standing, "fate": "passed", "reason": reason})
        self.sudo().create(new)

    @api.model
    def _prepare_standing(self, standing):
        return {"date": standing.day, "days": standing.days, "amount_due": standing.amount}

    def _why_not_any_more(self, standings):
        """What has happened since it was written down that keeps it from being said, in words, or nothing."""
        self.ensure_one()
        move = self.move_id
        standing = standings.get(move)
        if not standing:
            return move._billing_why_nothing_due() or self.env._("Nothing is due any more.")
        if self.level_id.days > 0 and not standing.overdue:
            return self.env._("Nothing is overdue any more.")
        return move._billing_reminder_hold_reason() or None

    def _withdraw(self, reason):
        self.write({"fate": "withdrawn", "reason": reason})

    def _renew(self, standings):
        """What is said is what holds when the mail leaves. What was charged already stays as it was."""
        for reminder in self.filtered(lambda reminder: not reminder.followed):
            standing = standings[reminder.move_id]
            fee, interest_due = self._costs(reminder.move_id, reminder.level_id, standing)
            reminder.write({**self._prepare_standing(standing), "fee": fee, "interest": interest_due})

    @api.model
    def _costs(self, move, level, standing):
        """`(fee, interest)` that a reminder adds, in the currency of the invoice."""
        currency, company = move.currency_id, move.company_id
        fee = level.currency_id._convert(level.fee, currency, company, standing.day) if level.fee else 0
        if not level.interest:
            return fee, 0
        charged = max(
            (row.date for row in move.sudo().billing_reminder_ids if row.followed and row.interest), default=date.min
        )
        parts = [part._replace(since=max(part.since, charged)) for part in standing.overdue]
        return fee, float(interest(parts, level.interest, standing.day, currency.rounding))

    # -- the text -----------------------------------------------------------------------------------------------------

    @api.model
    def _facts(self, standings, costs):
        """What the mail says, for its template: the invoices it is about and, where it is about overdue ones, all
        that the same readers are late with.

        :param standings: of the invoices that are reminded
        :param costs: `[(fee, interest)]`
        """
        overdue = {move: standing for move, standing in standings.items() if standing.overdue}
        upcoming = {move: standing for move, standing in standings.items() if not standing.overdue}
        if overdue:
            overdue.update(self._also_overdue(self.env["account.move"].union(*standings)))
        else:
            overdue, upcoming = upcoming, {}
        fees, interests = zip(*costs, strict=True)
        return self.env["account.move"]._prepare_billing_reminder_facts(
            {move: (standing.due, standing.amount) for move, standing in overdue.items()},
            {move: (standing.due, standing.amount) for move, standing in upcoming.items()},
            sum(fees),
            sum(interests),
        )

    @api.model
    def _also_overdue(self, moves):
        """What else is overdue of the same readers and not held, also where no level is due today."""
        domain = self._get_domain(moves.company_id, moves.commercial_partner_id)
        others = self.env["account.move"].search(domain) - moves
        key = self._reader_key(moves[0])
        return {
            move: standing
            for move, standing in others._billing_standings().items()
            if standing.overdue and self._reader_key(move) == key and not move._billing_reminder_hold_reason()
        }

    @api.model
    def _write_text(self, move, level, facts):
        """Subject, text and sender, in the language of the client."""
        template = level.template_id.sudo().with_context(billing_reminder_facts=facts)
        texts = {
            field: template._render_field(field, move.ids, compute_lang=True, options={"post_process": True})[move.id]
            for field in ("subject", "body_html", "email_from")
        }
        author_id, email_from = move._message_compute_author(email_from=texts["email_from"] or None)
        return {
            "subject": texts["subject"],
            "body": texts["body_html"],
            "lang": template._render_lang(move.ids)[move.id],
            "author_id": author_id,
            "email_from": email_from,
            "mail_server_id": template.mail_server_id.id,
        }

    # -- what follows from it -----------------------------------------------------------------------------------------

    def _follow(self):
        """Charge fee and interest, and plan the activity, of what a mail server took. Each once."""
        for reminder in self:
            charges = [
                {**reminder._prepare_charge(part, amount), "reminder_id": reminder.id, "reminder_part": part}
                for part, amount in (("fee", reminder.fee), ("interest", reminder.interest))
                if not reminder.currency_id.is_zero(amount)
            ]
            granted(self.env["billing.charge"].with_company(reminder.company_id)).create(charges)
            reminder._plan_activity()
            reminder.write({"followed": True, "reason": False})

    def _prepare_charge(self, part, amount):
        """Values of the charge for a fee or for interest. To be extended by what has more to say."""
        self.ensure_one()
        move, client = self.move_id, self.partner_id
        level = self.level_id.with_context(lang=client.lang or self.env.lang)
        words = {"level": level.name, "invoice": move.name}
        name = (
            level.env._("%(level)s: fee for invoice %(invoice)s", **words)
            if part == "fee"
            else level.env._(
                "%(level)s: interest of %(percent)g %% a year on invoice %(invoice)s", percent=level.interest, **words
            )
        )
        # Where the client wants an invoice per project, it goes with the others of this one.
        project = move.billing_project_id
        fits = project.billing_currency_id in (self.currency_id, self.env["res.currency"])
        return {
            "name": name,
            "partner_id": client.id,
            "company_id": self.company_id.id,
            "currency_id": self.currency_id.id,
            "project_id": project.id if fits else False,
            "product_id": level.product_id.id,
            "date": self.date,
            "quantity": 1,
            "price_unit": amount,
            "origin": "reminder",
        }

    def _plan_activity(self):
        level = self.level_id
        if level.activity_type_id:
            self.move_id.activity_schedule(
                activity_type_id=level.activity_type_id.id,
                user_id=self._responsible().id,
                summary=level.name,
                note=self.env._(
                    "%(amount)s was overdue for %(days)s days.",
                    amount=self.currency_id.format(self.amount_due),
                    days=self.days,
                ),
            )

    def _responsible(self):
        """Who looks after the client."""
        managers = self.env.ref("invoice_portal.group_billing_manager").all_user_ids
        candidates = (self.level_id.activity_user_id, self.move_id.invoice_user_id, self.partner_id.user_id, *managers)
        for user in candidates:
            if user.active and self.company_id in user.company_ids and not user.share:
                return user
        return self.env.user

    # -- the job ------------------------------------------------------------------------------------------------------

    @api.model
    def _cron_remind(self):
        """See to what was sent, then remind of what is due, company by company, a batch of clients at a time."""
        if not self._work_off(self.search(self._get_to_follow_domain(), order="id").ids, self._follow_batch):
            return
        for company in self.env["res.company"].search([("billing_reminders", "=", True)]):
            here = self.with_context(allowed_company_ids=company.ids)
            if not here._work_off(here._due_clients(company).ids, here._remind_batch):
                return

    @api.model
    def _get_to_follow_domain(self):
        return Domain("fate", "=", "said") & Domain("followed", "=", False) & Domain("mail_id.sent_on", "!=", False)

    @api.model
    def _work_off(self, ids, work):
        """Batch by batch, each in a transaction of its own; what loses to somebody else's is tried again.

        :return: whether there is time for more
        """
        commit = self.env["ir.cron"]._commit_progress
        commit(remaining=len(ids))
        conflicts = 0
        while ids:
            batch = ids[:BATCH]
            # What others have committed since the batch before counts.
            self.env.invalidate_all()
            try:
                work(batch)
            except (errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable):
                self.env.cr.rollback()
                conflicts += 1
                if conflicts <= CONFLICT_ROUNDS:
                    continue
                _logger.info("Reminders: too many conflicts with other work, going on next time")
                return False
            conflicts, ids = 0, ids[BATCH:]
            if not commit(len(batch)):
                self._wake()
                return False
        return True

    @api.model
    def _wake(self):
        self.env.ref("invoice_portal.ir_cron_billing_reminder").sudo()._trigger()

    def _follow_batch(self, ids):
        rows = self.browse(ids).try_lock_for_update().filtered_domain(self._get_to_follow_domain())
        for row in rows:
            row._attempt(row._follow, row._note_failure)

    def _note_failure(self, reason):
        self.reason = reason

    @api.model
    def _due_clients(self, company):
        """The clients of this company to whom something is to be said at this hour of their day. Reads only."""
        now = fields.Datetime.now()
        hours = {}
        clients = []
        for move in self._due(self.env["account.move"].search(self._get_domain(company))):
            zone = move._billing_zone()
            if zone not in hours:
                hours[zone] = local_moment(now, zone).hour
            if hours[zone] in DAYTIME:
                clients.append(move.commercial_partner_id.id)
        return self.env["res.partner"].browse(dict.fromkeys(clients))

    @api.model
    def _get_domain(self, company, clients=None):
        domain = self.env["account.move"]._get_billing_reminder_domain(company)
        return domain if clients is None else domain & Domain("commercial_partner_id", "in", clients.ids)

    @api.model
    def _due(self, moves):
        """`{invoice: Item}` of those of which a level is due by now, whatever holds it."""
        standings = moves._billing_standings()
        return {
            move: Item(move, following.level, following.below, standings[move])
            for move, following in self._next_levels(standings).items()
            if following.is_due(standings[move])
        }

    @api.model
    def _remind_batch(self, ids):
        """Remind these clients, those that nobody else is at. A client that fails is parked with the reason."""
        company = self.env.company
        clients = self.env["res.partner"].browse(ids).try_lock_for_update(allow_referencing=True)
        try:
            with self.env.cr.savepoint():
                self._remind(company, clients)
        except OperationalError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, it is somebody's; the next lines find whose
            self.env.invalidate_all()
            for client in clients:
                self._attempt(
                    lambda client=client: self._remind(company, client),
                    lambda reason, client=client: self._park(company, client, reason),
                )

    def _attempt(self, step, park):
        """One client's work; where it fails, nobody else's does."""
        try:
            with self.env.cr.savepoint():
                step()
        except OperationalError:
            raise
        except errors.UniqueViolation:
            # Somebody else was faster: it is said.
            self.env.invalidate_all()
        except UserError as error:
            self.env.invalidate_all()
            park(str(error))
        except Exception as error:
            _logger.exception("Reminders: a client failed")
            self.env.invalidate_all()
            park(self.env._("Unexpected: %(kind)s: %(error)s", kind=type(error).__name__, error=error))

    @api.model
    def _remind(self, company, clients):
        if mails := self._say(self._due_letters(company, clients)[0]):
            mails._wake()

    @api.model
    def _due_letters(self, company, clients=None):
        """What the job says today to these clients, or to all: see `_plan`."""
        moves = self.env["account.move"].search(self._get_domain(company, clients), order="id")
        letters, left_out = self._plan(moves)
        return [letter for letter in letters if not self._failed_today(letter)], left_out

    @api.model
    def _failed_today(self, letter):
        """What cannot be said is tried once a day."""
        rows = letter.items[0].move.sudo().billing_reminder_ids
        return any(row.fate == "failed" and row.date >= letter.items[0].standing.day for row in rows)

    @api.model
    def _park(self, company, client, reason):
        """Note on what should have been said why it was not."""
        _logger.warning("Reminders: client %s was not reminded: %s", client.id, reason)
        items = self._due(self.env["account.move"].search(self._get_domain(company, client))).values()
        self._record(items, {"fate": "failed", "mail_id": False, "reason": reason}, pass_over=False)

    # -- buttons ------------------------------------------------------------------------------------------------------

    def _check_staff(self):
        self.check_access("read")
        self.move_id._billing_check_staff()

    def action_open_invoice(self):
        self.ensure_one()
        self._check_staff()
        return self.move_id._get_records_action(name=self.env._("Invoice"))

    def action_send_again(self):
        """What reached nobody: say it after all, to the addresses as they are now."""
        self._check_staff()
        return self.env["billing.reminder.send"]._open(self.move_id)
