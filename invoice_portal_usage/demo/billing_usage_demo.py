import logging
import random
from datetime import datetime, time

from dateutil.relativedelta import relativedelta

from odoo import api, fields, models
from odoo.fields import Command

from . import tables

_logger = logging.getLogger(__name__)


class BillingUsageDemo(models.AbstractModel):
    """Lets the clients of the demo business make calls: last month's are billed, this month's are not yet.

    What results depends on nothing but the tables and today's date.
    """

    _name = "billing.usage.demo"
    _description = "Demo Usage"

    @api.model
    def _load(self):
        company = self.env.company
        source = self.env.ref("invoice_portal_usage.demo_source")
        if self.env["billing.usage"].search_count([("source_id", "=", source.id)], limit=1):
            return
        user = self.env.ref("invoice_portal.demo_user_billing")
        quiet = self.with_user(user).sudo().with_context(tracking_disable=True, allowed_company_ids=company.ids)
        quiet._make_rates()
        quiet._hand_out_numbers()
        quiet._call()
        quiet._bill_last_month()

    def _client(self, name):
        return self.env.ref(f"invoice_portal.demo_client_{name}").with_env(self.env)

    def _first_of(self, months_ago):
        return fields.Date.context_today(self) + relativedelta(months=-months_ago, day=1)

    def _make_rates(self):
        plan = self.env.ref("invoice_portal_usage.demo_plan").with_env(self.env)
        names = dict.fromkeys(name for name, *_rest in tables.RATES)
        groups = self.env["billing.rate.destination"].create([{"plan_id": plan.id, "name": name} for name in names])
        group_of = {group.name: group.id for group in groups}
        self.env["billing.rate"].create(
            [
                {
                    "plan_id": plan.id,
                    "destination_id": group_of[name],
                    "prefix": prefix,
                    "price_unit": price,
                    "minimum": minimum,
                    "step": step,
                    "connection_fee": fee,
                }
                for name, prefix, price, minimum, step, fee in tables.RATES
            ]
        )
        package = self.env.ref("invoice_portal_usage.demo_package").with_env(self.env)
        package.write(
            {
                "rate_plan_id": plan.id,
                "allowance_ids": [
                    Command.create(
                        {
                            "name": f"{tables.INCLUDED} minutes within the USA and Canada",
                            "quantity": tables.INCLUDED,
                            "destination_ids": [Command.set([group_of["USA and Canada"]])],
                        }
                    )
                ],
            }
        )

    def _hand_out_numbers(self):
        source = self.env.ref("invoice_portal_usage.demo_source").with_env(self.env)
        package = self.env.ref("invoice_portal_usage.demo_package").with_env(self.env)
        subscriptions = {}
        for name, number, _calls, with_package, _prefixes in tables.NUMBERS:
            client = self._client(name)
            if with_package and client not in subscriptions:
                subscriptions[client] = self.env["billing.subscription"].create(
                    {
                        "partner_id": client.id,
                        "package_id": package.id,
                        "quantity": 1,
                        "price_unit": package.price_unit,
                        "date_start": self._first_of(1),
                    }
                )
            self.env["billing.usage.account"].create(
                {
                    "source_id": source.id,
                    "key": number,
                    "partner_id": client.id,
                    "subscription_id": subscriptions[client].id if with_package else False,
                }
            )

    def _call(self):
        dice = random.Random(7)
        now = fields.Datetime.now()
        records = []
        for _name, number, calls, _with_package, prefixes in tables.NUMBERS:
            day = self._first_of(1)
            while day <= now.date():
                # Few people call on a Sunday.
                for _call in range(dice.randint(0, calls * 2) if day.weekday() < 5 else dice.randint(0, 2)):
                    moment = datetime.combine(day, time(dice.randint(8, 18), dice.randint(0, 59), dice.randint(0, 59)))
                    record = {
                        "id": f"demo-{len(records):05d}",
                        "account": number,
                        "moment": f"{moment.isoformat()}Z",
                        "destination": f"+{dice.choice(prefixes)}{dice.randint(10**6, 10**7 - 1)}",
                        "quantity": dice.choice((0, 12, 48, 61, 95, 130, 240, 410, 900)),
                    }
                    if moment < now:
                        records.append(record)
                day += relativedelta(days=1)
        result = self.env["billing.usage"].ingest("switch", records)
        _logger.info("Demo usage loaded: %s records, %s not rated", result["accepted"], result["unrated"])

    def _bill_last_month(self):
        company, first = self.env.company, self._first_of(0)
        clients = self.env["res.partner"].union(*(self._client(name) for name, *_rest in tables.NUMBERS))
        clients._billing_make_charges(company, first)
        charges = self.env["billing.charge"].search(
            [("partner_id", "in", clients.ids), ("state", "=", "open"), ("origin", "=", "usage")]
        )
        plan, _left_out = charges._draft_plan(companies=company)
        moves = self.env["account.move"].union(*self.env["account.move"]._billing_create_from_charges(plan).values())
        moves.with_context(mail_notify_force_send=False)._billing_finalize()
