from odoo import fields, models
from odoo.fields import Domain
from odoo.tools import format_date
from odoo.tools.date_utils import start_of

from .account_move_status import SALE_TYPES

UNPAID_SHOWN = 5
PAYMENTS_SHOWN = 5
SPENDING_MONTHS = 12


class ResPartner(models.Model):
    """What a client sees of its account on the portal.

    All is asked as the user, for the user's own client. What a client may not read (payments, how it is billed) comes
    from the methods named `_own…_sudo`: they ask who it is first, and return plain values, never records.
    """

    _inherit = "res.partner"

    def _get_billing_own_domain(self):
        """The invoices of this client that are none of a draft; the rules for clients narrow it further."""
        return (
            Domain("commercial_partner_id", "=", self.commercial_partner_id.id)
            & Domain("move_type", "in", SALE_TYPES)
            & Domain("state", "=", "posted")
        )

    def _get_billing_own_unpaid_domain(self):
        return (
            self._get_billing_own_domain()
            & Domain("move_type", "!=", "out_refund")
            & Domain("payment_state", "in", ("not_paid", "partial"))
            & Domain("billing_void_move_id", "=", False)
        )

    def _billing_own_overview(self):
        """All that the first page says, in a number of queries that does not depend on the history."""
        self.ensure_one()
        self._billing_check_own()
        waiting, contested = self._own_contested_sudo()
        return {
            "accounts": self._billing_own_accounts(waiting),
            "contested": contested,
            "unpaid": self.env["account.move"].search(
                self._get_billing_own_unpaid_domain(), order="invoice_date_due, id", limit=UNPAID_SHOWN
            ),
            "spending": self._billing_own_spending(),
            "companies": len(self.env.companies) > 1,
            "payments": self._own_payments_sudo(PAYMENTS_SHOWN),
            **self._own_facts_sudo(),
        }

    def _billing_own_accounts(self, contested):
        """What is due, what of it is overdue and what stands to the client's credit, by company and currency.

        :param contested: how much of that waits because of an objection, as `_own_contested_sudo` says it
        """
        Move = self.env["account.move"]
        unpaid = self._get_billing_own_unpaid_domain()
        by, sums = ["company_id", "currency_id"], ["amount_residual:sum", "__count", "invoice_date_due:min"]
        accounts = {}

        def account(company, currency):
            # Of a company, a client may read the name.
            start = {"company": company.sudo().name, "company_id": company.id, "currency": currency, "credit": 0}
            start |= dict.fromkeys(("due", "due_count", "overdue", "overdue_count"), 0)
            due_contested, overdue_contested = contested.get((company.id, currency.id), (0, 0))
            start |= {"due_contested": due_contested, "overdue_contested": overdue_contested}
            return accounts.setdefault((company.id, currency.id), start)

        account(self.env.company, self.env.company.sudo().currency_id)
        for company, currency, due, count, first in Move._read_group(unpaid, by, sums):
            account(company, currency).update(due=due, due_count=count, next_due=first)
        overdue = unpaid & Domain("billing_status", "=", "overdue")
        for company, currency, due, count, _first in Move._read_group(overdue, by, sums):
            account(company, currency).update(overdue=due, overdue_count=count)
        for company, currency, amount in self._own_credit_sudo():
            account(company, currency)["credit"] = amount
        shown = [one for one in accounts.values() if one["due_count"] or one["credit"]]
        return shown or list(accounts.values())

    def _own_credit_sudo(self):
        """`[(company, currency, credit)]` of this client, elevated to sum entries that it may not read."""
        self._billing_check_own()
        amounts = {}
        for (_client, company, currency, _account), amount in (
            self.commercial_partner_id.sudo()._billing_open_credits(self.env.companies).items()
        ):
            amounts[company.id, currency.id] = amounts.get((company.id, currency.id), 0) + amount
        return [
            (self.env["res.company"].browse(company), self.env["res.currency"].browse(currency), amount)
            for (company, currency), amount in amounts.items()
        ]

    def _billing_own_spending(self):
        """What was invoiced in each of the last months, by currency, the newest month last."""
        today = self._billing_today(self.env.company)
        first = fields.Date.subtract(start_of(today, "month"), months=SPENDING_MONTHS - 1)
        groups = self.env["account.move"]._read_group(
            self._get_billing_own_domain()
            & Domain("invoice_date", ">=", first)
            # What was voided was not spent; nor does the entry that voids it give anything back.
            & Domain("billing_void_move_id", "=", False)
            & ~Domain("reversed_entry_id.billing_void_move_id", "!=", False),
            ["currency_id", "invoice_date:month"],
            ["amount_total_in_currency_signed:sum"],
        )
        by_currency = {}
        for currency, month, amount in groups:
            by_currency.setdefault(currency, {})[month] = amount
        months = [fields.Date.add(first, months=number) for number in range(SPENDING_MONTHS)]
        return [
            {
                "currency": currency,
                "total": sum(amounts.values()),
                "months": [
                    {
                        "label": format_date(self.env, month, date_format="MMM y"),
                        "amount": amounts.get(month, 0),
                        "share": round(100 * max(0, amounts.get(month, 0)) / (max(*amounts.values(), 0) or 1)),
                    }
                    for month in months
                ],
            }
            for currency, amounts in by_currency.items()
        ]

    def _own_projects_sudo(self):
        """`{id: name}` of the projects that invoices of this client name. Elevated for the names alone."""
        self._billing_check_own()
        groups = self.env["account.move"]._read_group(self._get_billing_own_domain(), ["billing_project_id"])
        names = {project.id: project.sudo().name for (project,) in groups if project}
        return dict(sorted(names.items(), key=lambda item: item[1].casefold()))

    def _own_facts_sudo(self):
        """How this client is billed and pays, in plain values: elevated to read what only staff may change or list."""
        self._billing_check_own()
        client = self.commercial_partner_id.sudo().with_company(self.env.company)
        card = client.billing_autopay_card_id
        contact = client.user_id or self.sudo().user_id
        return {
            "next_date": client.billing_next_date,
            "shows_next": self.env.company.sudo().billing_portal_upcoming,
            "autopay": card
            and {
                "card": card.display_name,
                "since": client.billing_autopay_since,
                "expires": card.billing_expires_on,
                "when": client.env.company.billing_autopay_when,
            },
            "contact": {
                "name": contact.name or client.env.company.name,
                "address": contact.email or client.env.company.email,
                "phone": contact.phone or client.env.company.phone,
            },
        }

    def _own_payments_sudo(self, limit):
        """The last payments of this client, newest first: `[{"id", "date", "text", "amount", "currency", "paid_out"}]`.

        Elevated to list payments, which clients may not read.
        """
        self._billing_check_own()
        payments = (
            self.env["account.payment"]
            .sudo()
            .search(self._get_billing_own_payment_domain(), order="date desc, id desc", limit=limit)
        )
        return [
            {
                "id": payment.id,
                "date": payment.date,
                "text": payment._billing_document_method() or self.env._("Payment"),
                "amount": payment.amount,
                "currency": self.env["res.currency"].browse(payment.currency_id.id),
                "paid_out": payment.payment_type == "outbound",
            }
            for payment in payments
        ]

    def _billing_own_member_ids_sudo(self):
        """The client and its contacts. Named one by one, as PostgreSQL then knows how few of all entries are theirs.

        Elevated, as contacts that are archived, or that the user may not read, paid too.
        """
        self._billing_check_own()
        members = Domain("commercial_partner_id", "=", self.commercial_partner_id.id)
        return self.sudo().with_context(active_test=False).search(members).ids

    def _get_billing_own_payment_domain(self):
        return (
            Domain("partner_id", "in", self._billing_own_member_ids_sudo())
            & Domain("partner_type", "=", "customer")
            & Domain("state", "in", ("in_process", "paid"))
            & Domain("company_id", "in", self.env.companies.ids)
        )

    def _own_upcoming_sudo(self):
        """What the next invoice would hold as of now, where the company shows it: as `_billing_upcoming`.

        Elevated, as it is made by the very code that bills, and undone.
        """
        self._billing_check_own()
        if not self.env.company.sudo().billing_portal_upcoming:
            return []
        upcoming, _left_out = self.commercial_partner_id.sudo().with_company(self.env.company)._billing_upcoming()
        return upcoming
