import logging

from dateutil.relativedelta import relativedelta

from odoo import api, fields, models
from odoo.fields import Command

from ..tools.grant import granted
from ..tools.periods import ONE_DAY
from . import tables

_logger = logging.getLogger(__name__)

# A year of history is not news: nobody is told.
QUIET = {
    "tracking_disable": True,
    "mail_auto_subscribe_no_notify": True,
    "mail_create_nosubscribe": True,
    "mail_notify_force_send": False,
}


class BillingDemo(models.AbstractModel):
    """Plays the year that tables.py tells, in the name of the billing user and by the same methods as she would.

    Elevated only because asking for her rights at every step would take a third of the time.
    What results depends on nothing but the tables and today's date.
    """

    _name = "billing.demo"
    _description = "Demo Business"

    @api.model
    def _load(self):
        """Load the demo business, once, into the company at hand."""
        company = self.env.company
        if not company.chart_template or self._charges():
            return
        company.billing_ready_mail = False
        if company.name in ("YourCompany", "My Company"):
            company.write(
                {
                    "name": "Tidewater Web & Voice",
                    "email": "hello@tidewater.example",
                    "website": "https://tidewater.example",
                }
            )
        user = self.env.ref("invoice_portal.demo_user_billing")
        self.with_user(user).sudo().with_context(**QUIET, allowed_company_ids=company.ids)._play()
        for login in ("client1", "client2"):
            contact = self.env.ref(f"invoice_portal.demo_user_{login}").partner_id
            self._let_client_follow(contact)
            self._save_cards(contact)
        self._use_cards()
        for login, objection in tables.OBJECTIONS.items():
            self._object(self.env.ref(f"invoice_portal.demo_user_{login}").partner_id, *objection)
        _logger.info("Demo business loaded: %s charges", len(self._charges()))

    def _play(self):
        self._create_cases(
            (project, title, price, "1_done", self._day(month, day))
            for project, title, price, month, day in tables.CASES
        )
        self._create_charges(
            (where, product, name, self._day(month, day), quantity, price, discount, 0)
            for where, product, name, month, day, quantity, price, discount in tables.TYPED
        )
        monthly, extra = self._bill_the_year()
        self._pay_the_year(monthly, extra)
        self._void_some(monthly)
        self._arrive_at_today()
        self._remind()
        self._client(tables.ARCHIVED).active = False

    # -- the words of the tables --------------------------------------------------------------------------------------

    def _named(self, kind, name):
        return self.env.ref(f"invoice_portal.demo_{kind}_{name}", raise_if_not_found=False)

    def _client(self, name):
        return self._named("client", name).with_env(self.env)

    def _client_name(self, partner):
        return next(name for name in tables.PAYS_AFTER if self._client(name) == partner)

    def _clients(self):
        return self.env["res.partner"].union(*map(self._client, tables.PAYS_AFTER))

    def _charges(self, *domain):
        return self.env["billing.charge"].search([("partner_id", "in", self._clients().ids), *domain])

    def _today(self):
        return fields.Date.context_today(self)

    def _day(self, month, day=1):
        """That day, so many months ago."""
        return self._today() + relativedelta(months=-month, day=day)

    def _days_ago(self, days):
        return self._today() - relativedelta(days=days)

    # -- cases and charges --------------------------------------------------------------------------------------------

    def _create_cases(self, rows):
        """:param rows: project, title, price, state, day on which it was finished or nothing"""
        rows = list(rows)
        staff = [self.env.user.id, self.env.ref("base.user_admin").id]
        cases = self.env["project.task"].create(
            [
                {
                    "name": title,
                    "project_id": self._named("project", project).id,
                    "stage_id": self._named("stage", self._stage_of(state)).id,
                    "state": state,
                    "user_ids": [Command.set([staff[position % 2]])],
                }
                for position, (project, title, _price, state, _day) in enumerate(rows)
            ]
        )
        for case, (_project, _title, price, _state, day) in zip(cases, rows, strict=True):
            # The price comes last: what is finished becomes a charge by it, of the day on which it was finished.
            if day:
                case.date_end = fields.Datetime.to_datetime(day) + relativedelta(hours=18)
            case.billing_price = price
        return cases

    def _stage_of(self, state):
        if state in ("1_done", "1_canceled"):
            return "closed"
        return "doing" if state == "01_in_progress" else "planned"

    def _create_charges(self, rows):
        """:param rows: where, product, description, day, quantity, price, discount, months of the period"""
        return self.env["billing.charge"].create([self._prepare_charge(*row) for row in rows])

    def _prepare_charge(self, where, product, name, day, quantity, price, discount, months):
        project = self._named("project", where)
        values = {
            "name": name,
            "product_id": self._named("product", product).id if product else False,
            "date": day,
            "quantity": quantity,
            "price_unit": price,
            "discount": discount,
        }
        if project:
            values["project_id"] = project.id
        else:
            values["partner_id"] = self._client(where).id
        if months:
            values["period_start"] = day
            values["period_end"] = day + relativedelta(months=months, days=-1)
        return values

    def _create_monthly_charges(self, month):
        first = self._day(month)
        self._subscribe(
            (where, package, reference, quantity, price, discount, first, last and self._day(last - 1) - ONE_DAY)
            for where, package, reference, quantity, price, discount, since, last in tables.SUBSCRIPTIONS
            if since == month
        )
        self._change_subscriptions(month)
        charges = self._subscriptions()._make_charges(first)
        active = self._subscriptions(("state", "!=", "ended")).project_id
        calls = f"Calls abroad, {self._day(month + 1):%B %Y}"
        return charges + self._create_charges(
            (where, "minutes", calls, first, self._minutes(about, month), price, 0, 0)
            for where, price, about in tables.CALLS
            if self._named("project", where) in active
        )

    def _subscriptions(self, *domain):
        return self.env["billing.subscription"].search([("partner_id", "in", self._clients().ids), *domain])

    def _subscribe(self, rows):
        """:param rows: where, package, reference, quantity, price, discount, first day, last day or nothing"""
        return self.env["billing.subscription"].create([self._prepare_subscription(*row) for row in rows])

    def _prepare_subscription(self, where, package, reference, quantity, price, discount, start, end):
        project = self._named("project", where)
        return {
            "partner_id": (project._billing_client() if project else self._client(where)).id,
            "project_id": project.id if project else False,
            "package_id": self._named("package", package).id,
            "reference": reference,
            "quantity": quantity,
            "price_unit": price,
            "discount": discount,
            "date_start": start,
            "date_end": end,
        }

    def _change_subscriptions(self, month):
        for where, package, when, quantity in tables.CHANGES:
            if when != month:
                continue
            place = self._named("project", where) or self._client(where)
            subscription = self._subscriptions().filtered(
                lambda item, place=place, package=package: (
                    place in (item.project_id, item.partner_id) and item.package_id == self._named("package", package)
                )
            )
            day, terms = self._day(month), subscription.phase_id
            if quantity:
                subscription._change(day, terms.package_id, quantity, terms.price_unit, terms.discount)
            else:
                subscription._pause(day)

    def _minutes(self, about, month):
        """Not the same every month, but the same every time."""
        return round(about * (0.8 + (month * 7 % 10) / 25))

    # -- bill, pay, void ----------------------------------------------------------------------------------------------

    def _bill(self, charges, day=None):
        """The drafts of these charges or, with a day, the invoices of that day."""
        plan, _left_out = charges._draft_plan()
        moves = self.env["account.move"].union(*self.env["account.move"]._billing_create_from_charges(plan).values())
        if day and moves:
            moves.invoice_date = day
            moves._billing_finalize()
        return moves

    def _bill_the_year(self):
        """One invoice after the other, in the order of their dates, so that their numbers follow each other.

        :return: the monthly invoices by client and month, and the extra ones as `[(invoice, fate)]`
        """
        monthly, extra = {}, []
        events = [(self._day(month), 0, self._bill_month, (month, monthly)) for month in range(12, -1, -1)]
        events += [(self._days_ago(row[3]), 1, self._bill_extra, (row, extra)) for row in tables.EXTRA]
        events += [(self._day(row[1], row[2]), 2, self._prepay, row) for row in tables.PREPAID]
        for _day, _kind, bill, arguments in sorted(events, key=lambda event: event[:2]):
            bill(*arguments)
        return monthly, extra

    def _bill_month(self, month, monthly):
        client, since, reason = tables.ON_HOLD
        if month == since:
            self._client(client).write({"billing_blocked": True, "billing_blocked_reason": reason})
        self._create_monthly_charges(month)
        day = self._day(month)
        moves = self._bill(self._charges(("state", "=", "open"), ("date", "<=", day)), day)
        moves.is_move_sent = True
        for partner, invoices in moves.grouped("commercial_partner_id").items():
            monthly[self._client_name(partner), month] = invoices

    def _bill_extra(self, row, extra):
        where, product, name, days, quantity, price, fate = row
        day = self._days_ago(days)
        invoice = self._bill(self._create_charges([(where, product, name, day, quantity, price, 0, 0)]), day)
        invoice.is_move_sent = fate != "finalized"
        extra.append((invoice, fate))

    def _prepay(self, client, month, day, amount, memo):
        self.env["billing.credit.add"].create(
            {
                "partner_id": self._client(client).id,
                "amount": amount,
                "date": self._day(month, day),
                "memo": memo,
                "receipt": False,
            }
        ).action_confirm()

    def _pay_the_year(self, monthly, extra):
        in_full = {}
        for (client, month), invoices in monthly.items():
            if share := tables.PAYS_AT_ONCE.get(client):
                self._pay_share(invoices, min(self._day(month, 3), self._today()), share)
            day = self._booking_day(self._day(month) + relativedelta(days=tables.PAYS_AFTER[client] + month * 5 % 7))
            if day > self._today() or (client, month) in tables.NOT_PAID:
                continue
            if share := tables.PAID_IN_PART.get((client, month)):
                self._pay_share(invoices, day, share)
            else:
                in_full[day] = in_full.get(day, self.env["account.move"]) | invoices
        for number, (day, invoices) in enumerate(sorted(in_full.items())):
            if number % 8 == 0:
                self._update_statistics()
            self._pay(invoices, day)
        for invoice, fate in extra:
            if isinstance(fate, float):
                self._pay_share(invoice, invoice.invoice_date + relativedelta(days=1), fate)

    def _update_statistics(self):
        """PostgreSQL plans badly for tables that were empty a moment ago: minutes instead of seconds to pay it all."""
        self.env.flush_all()
        self.env.cr.execute("ANALYZE account_move, account_move_line, account_payment, account_partial_reconcile")

    def _booking_day(self, day):
        """The bank statement is gone through twice a month."""
        return day + relativedelta(day=14) if day.day <= 14 else day + relativedelta(day=28)

    def _pay_share(self, invoices, day, share):
        for invoice in invoices:
            self._pay(invoice, day, amount=invoice.currency_id.round(invoice.amount_total * share))

    def _pay(self, invoices, day, **values):
        """One payment per client: who gets two invoices pays both with one transfer."""
        due = invoices.line_ids.filtered(lambda line: line.display_type == "payment_term" and not line.reconciled)
        if not due:
            # Paid from credit.
            return
        values.update(line_ids=[Command.set(due.ids)], payment_date=day, group_payment=True)
        self.env["account.payment.register"].create(values)._create_payments()

    def _void_some(self, monthly):
        for client, month, reason, fate in tables.VOIDED:
            for invoice in monthly[client, month]:
                charges = invoice.billing_charge_ids
                invoice._billing_void(reason, discard=charges if fate == "discard" else None)
                if fate == "bill again":
                    self._bill(charges, self._today()).is_move_sent = True

    # -- remind -------------------------------------------------------------------------------------------------------

    def _remind(self):
        """The first reminder of what is overdue, and the second of what is long overdue; no mail leaves for that."""
        levels = [self.env.ref(f"invoice_portal.billing_reminder_level_{name}") for name in ("first", "second")]
        overdue = self.env["account.move"].search(
            self.env["billing.reminder"]._get_domain(self.env.company, self._clients()), order="invoice_date_due, id"
        )
        for invoice in overdue:
            for level in levels:
                day = invoice.invoice_date_due + relativedelta(days=level.days)
                # Since the first of last month nobody found the time.
                if day < self._day(1):
                    self._log_reminder(invoice, level, day)
        self._client(tables.PAUSED[0]).write(
            {
                "billing_reminder_paused_until": self._today() + relativedelta(days=tables.PAUSED[1]),
                "billing_reminder_pause_reason": tables.PAUSED[2],
            }
        )

    def _log_reminder(self, invoice, level, day):
        noon = fields.Datetime.to_datetime(day) + relativedelta(hours=12)
        lines = invoice._billing_addresses()
        mail = self.env["billing.mail"]._queue(
            [
                {
                    "move_id": invoice.id,
                    "kind": "reminder",
                    "subject": f"{level.name}: {invoice.name}",
                    "body": f"<p>{level.name}: {invoice.name}</p>",
                    "addresses": lines,
                }
            ]
        )
        mail.recipient_ids.write({"state": "accepted", "answered_on": noon})
        mail.write({"state": "done", "tries": 1, "tried_on": noon, "sent_on": noon})
        self.env["billing.reminder"].create(
            {
                "move_id": invoice.id,
                "level_id": level.id,
                "date": day,
                "days": level.days,
                "amount_due": invoice.amount_residual,
                "mail_id": mail.id,
                "followed": True,
            }
        )

    # -- what lies on the desk today ----------------------------------------------------------------------------------

    def _arrive_at_today(self):
        # From now on, whoever has a subscription is billed by itself.
        self._subscriptions(("state", "!=", "ended")).partner_id.write(
            {
                "billing_cycle_id": self.env.ref("invoice_portal.billing_cycle_monthly").id,
                "billing_cycle_start": self._day(0),
            }
        )
        cases = self._create_cases(
            (project, title, price, state, self._days_ago(days) if days else None)
            for project, title, price, state, days in tables.CASES_NOW
        )
        self._bill(cases.filtered(lambda case: case.name in tables.CASES_DRAFTED).billing_charge_ids)
        cases.filtered(lambda case: case.name in tables.CASES_DISCARDED).billing_charge_ids.action_discard()
        self._subscribe(
            (where, package, None, quantity, price, 0, self._days_ago(-days), last and self._days_ago(-last))
            for where, package, quantity, price, days, last in tables.SUBSCRIPTIONS_NOW
        )
        charges = self._create_charges(
            (where, product, name, self._days_ago(days), quantity, price, discount, months)
            for where, product, name, days, quantity, price, discount, months, _fate in tables.CHARGES_NOW
        )
        for charge, (*_asked, fate) in zip(charges, tables.CHARGES_NOW, strict=True):
            if fate == "discard":
                charge.action_discard()
            elif fate != "open":
                draft = self._bill(charge)
                if fate == "cancel":
                    draft.button_cancel()

    def _let_client_follow(self, contact):
        """Clients see the projects and cases that they follow."""
        projects = self.env["project.project"].search([("partner_id", "=", contact.commercial_partner_id.id)])
        for project in projects:
            project.message_subscribe(contact.ids)
            project.task_ids.message_subscribe(contact.ids)

    def _object(self, contact, kind, words, share):
        """What a client contests on its last open invoice; no mail leaves for that."""
        invoice = self.env["account.move"].search(
            [
                ("commercial_partner_id", "=", contact.commercial_partner_id.id),
                ("move_type", "=", "out_invoice"),
                ("state", "=", "posted"),
                ("amount_residual", ">", 0),
            ],
            order="invoice_date desc, id desc",
            limit=1,
        )
        line = invoice.invoice_line_ids.filtered(lambda line: line.price_total > 0)[:1]
        if line:
            granted(self.env["billing.dispute"]).create(
                {
                    "line_id": line.id,
                    "author_id": contact.id,
                    "kind": kind,
                    "words": words,
                    "amount": invoice.currency_id.round(line._billing_contestable() * share),
                }
            )

    # -- cards --------------------------------------------------------------------------------------------------------

    def _card_provider(self):
        """Odoo's own test provider, where it is installed: it can be charged, and nobody pays."""
        demo = self.env.ref("payment.payment_provider_demo", raise_if_not_found=False)
        usable = demo and demo.code == "demo" and demo.company_id == self.env.company
        return demo if usable else self.env["payment.provider"]

    def _save_cards(self, contact):
        """One that the client gave, for staff to charge, and one of the contact's own, for the portal."""
        for provider in self._card_provider():
            self.env["payment.token"].create(
                [
                    {
                        "provider_id": provider.id,
                        "payment_method_id": provider.payment_method_ids[:1].id,
                        "payment_details": number,
                        "partner_id": owner.id,
                        "provider_ref": "demo",
                        "demo_simulated_state": "done",
                    }
                    for number, owner in (("4242", contact.commercial_partner_id), ("1881", contact))
                ]
            )

    def _use_cards(self):
        client, consent = tables.AUTOMATIC
        card = self.env["payment.token"].search([("partner_id", "=", self._client(client).id)], limit=1)
        if not card:
            return
        self._client(client)._billing_agree_autopay(card, consent)
        client, month, reason = tables.REFUSED
        invoice = self.env["account.move"].search(
            [
                ("commercial_partner_id", "=", self._client(client).id),
                ("invoice_date", "=", self._day(month)),
                ("payment_state", "=", "not_paid"),
                ("state", "=", "posted"),
            ],
            limit=1,
        )
        attempt = self.env["payment.transaction"].create(
            {
                "provider_id": card.provider_id.id,
                "payment_method_id": card.payment_method_id.id,
                "token_id": card.id,
                "amount": invoice.amount_residual,
                "currency_id": invoice.currency_id.id,
                "partner_id": invoice.partner_id.id,
                "operation": "offline",
                "billing_origin": "automatic",
                "invoice_ids": [Command.set(invoice.ids)],
            }
        )
        attempt._set_error(reason)
        attempt.is_post_processed = True
        invoice.billing_autopay_note = self.env._("Stopped: %s", reason)
