from odoo import fields, models
from odoo.exceptions import AccessError
from odoo.tools import SQL

from ..tools.local_time import local_date
from .billing_ageing import BUCKETS

# The last day of each age but the last, in days past due.
LIMITS = {"current": 0, "days_30": 30, "days_60": 60, "days_90": 90}


class ResPartner(models.Model):
    """A client's account from one day to another: what stood open, what came and went, what is open and since when."""

    _inherit = "res.partner"

    def _billing_today(self, company):
        """The day it is for this client."""
        client = self.commercial_partner_id
        return local_date(fields.Datetime.now(), client.tz or company.sudo().partner_id.tz or "UTC")

    def _billing_statement_today(self, company):
        """The last day of an account that goes on: `(today, until)`.

        Periods begin by the client's own day. But entries are dated by the server's day or the company's: what a client
        in America pays in the evening is dated tomorrow, and would be missing until then. So what is dated after the
        client's day, and not after theirs, stands in the account already.

        Elevated to read the last day alone, as clients read no payments.
        """
        self._billing_check_own()
        today = self._billing_today(company)
        now = fields.Datetime.now()
        ahead = max(now.date(), local_date(now, company.sudo().partner_id.tz or "UTC"))
        if ahead <= today:
            return today, today
        last = (
            self.env["account.move.line"]
            .sudo()
            .search(
                [
                    ("account_type", "=", "asset_receivable"),
                    ("parent_state", "=", "posted"),
                    ("company_id", "=", company.id),
                    ("partner_id", "in", self.commercial_partner_id._billing_own_member_ids_sudo()),
                    ("date", ">", today),
                    ("date", "<=", ahead),
                ],
                order="date desc",
                limit=1,
            )
        )
        return today, last.date or today

    def _billing_statement(self, date_from, date_to, company=None):
        """The account of this client in one company, however long, each currency by itself.

        For billing staff, and for the client itself: nobody else gets past the first line. The portal asks as the
        user, who may read no payments; so the query does not go by the rules for entries, but by client and company.

        :return: `[{"currency", "opening", "rows", "closing", "ageing"}]`; a row is `{"date", "kind", "label",
            "reference", "due", "amount", "balance", "move_id"}`, `ageing` is `[(key, label, amount)]`
        """
        self.ensure_one()
        self._billing_check_own()
        company = company or self.env.company
        if company not in self.env.companies:
            raise AccessError(self.env._("You do not work in this company."))
        client = self.commercial_partner_id
        self.env["account.partial.reconcile"].flush_model()
        self.env["account.move.line"].flush_model()
        self.env["account.move"].flush_model()
        self.env["account.payment"].flush_model()
        accounts = {}
        for row in self.env.execute_query_dict(self._billing_statement_query(client, company, date_from, date_to)):
            account = accounts.setdefault(row["currency_id"], {"opening": 0.0, "rows": [], "open": []})
            if row["what"] == "opening":
                account["opening"] += row["amount"]
            elif row["what"] == "open":
                account["open"].append((row["due"], row["amount"]))
            else:
                account["rows"].append(row)
        statement = []
        for currency in self.env["res.currency"].browse(accounts or company.sudo().currency_id.ids):
            account = accounts.get(currency.id, {"opening": 0.0, "rows": [], "open": []})
            part = self._billing_statement_part(currency, account, date_to)
            if part["rows"] or not currency.is_zero(part["opening"]) or not accounts:
                statement.append(part)
        own = company.sudo().currency_id
        return sorted(statement, key=lambda part: (part["currency"] != own, part["currency"].name))

    def _billing_statement_part(self, currency, account, date_to):
        balance = opening = currency.round(account["opening"])
        rows = []
        for row in account["rows"]:
            if currency.is_zero(row["amount"]):
                continue
            balance = currency.round(balance + row["amount"])
            kind, label = self._billing_statement_label(row)
            rows.append(
                {
                    "date": row["date"],
                    "kind": kind,
                    "label": label,
                    # The entry of a void says no more than its label does.
                    "reference": (not row["voided"] and row["reference"]) or "",
                    "due": row["due"] if kind == "invoice" else None,
                    "amount": currency.round(row["amount"]),
                    "balance": balance,
                    "move_id": row["move_id"],
                }
            )
        return {
            "currency": currency,
            "opening": opening,
            "rows": rows,
            "closing": balance,
            "ageing": self._billing_statement_ageing(currency, account["open"], date_to),
        }

    def _billing_statement_ageing(self, currency, items, date_to):
        """What is open on the last day, by how long it is due then."""
        ages = dict.fromkeys(dict(BUCKETS), 0.0)
        for due, amount in items:
            days = (date_to - due).days
            key = "credit" if amount < 0 else next((key for key, limit in LIMITS.items() if days <= limit), "older")
            ages[key] += amount
        labels = {
            "current": self.env._("Not due"),
            "days_30": self.env._("1–30 days"),
            "days_60": self.env._("31–60 days"),
            "days_90": self.env._("61–90 days"),
            "older": self.env._("Over 90 days"),
            "credit": self.env._("Credit"),
        }
        return [(key, labels[key], currency.round(amount)) for key, amount in ages.items()]

    def _billing_statement_label(self, row):
        """What a movement is, `(kind, in words)`."""
        number = row["number"] or ""
        if row["what"] == "matched":
            # Between two currencies, or two clients, a matching moves what is due from one account to the other.
            return "matched", (
                self.env._("Paid by %s", row["other"]) if row["amount"] < 0 else self.env._("Spent on %s", row["other"])
            )
        if row["is_exchange"]:
            return "exchange", self.env._("Exchange difference %s", number)
        if row["move_type"] in ("out_invoice", "out_receipt"):
            return "invoice", self.env._("Invoice %s", number)
        if row["move_type"] == "out_refund":
            return "credit_note", (
                self.env._("Void of %s", row["voided"]) if row["voided"] else self.env._("Credit note %s", number)
            )
        if row["payment_type"]:
            return "payment" if row["payment_type"] == "inbound" else "refund", (
                self.env._("Payment %s", number)
                if row["payment_type"] == "inbound"
                else self.env._("Refund %s", number)
            )
        return "entry", self.env._("Entry %s", number)

    def _billing_statement_query(self, client, company, date_from, date_to):
        return SQL(
            """
            WITH item AS MATERIALIZED (
                SELECT line.id, line.move_id, line.date, line.currency_id, line.amount_currency,
                       COALESCE(line.date_maturity, line.date) AS due
                  FROM account_move_line line
                  JOIN account_account account ON account.id = line.account_id
                 WHERE account.account_type = 'asset_receivable'
                   AND line.parent_state = 'posted'
                   AND line.company_id = %(company)s
                   AND line.partner_id = ANY(%(members)s)
                   AND line.date <= %(date_to)s
            ),
            -- Each side of a matching that belongs to the client: what it takes off the item, and what stands opposite.
            side AS (
                SELECT item.id, item.move_id, item.currency_id, partial.max_date AS date, partial.id AS partial_id,
                       -partial.debit_amount_currency AS amount, partial.credit_move_id AS other_id
                  FROM item JOIN account_partial_reconcile partial ON partial.debit_move_id = item.id
                 WHERE partial.max_date <= %(date_to)s
                 UNION ALL
                SELECT item.id, item.move_id, item.currency_id, partial.max_date, partial.id,
                       partial.credit_amount_currency, partial.debit_move_id
                  FROM item JOIN account_partial_reconcile partial ON partial.credit_move_id = item.id
                 WHERE partial.max_date <= %(date_to)s
            ),
            movement AS (
                SELECT 'entry' AS what, currency_id, date, move_id, NULL::integer AS other_id, min(due) AS due,
                       sum(amount_currency) AS amount
                  FROM item GROUP BY currency_id, date, move_id
                 UNION ALL
                -- Within one account a matching moves nothing.
                SELECT 'matched', side.currency_id, side.date, side.move_id, min(other.move_id), NULL, sum(side.amount)
                  FROM side
                  JOIN account_move_line other ON other.id = side.other_id
                 WHERE NOT EXISTS (
                           SELECT FROM item WHERE item.id = side.other_id AND item.currency_id = side.currency_id
                       )
                 GROUP BY side.currency_id, side.date, side.move_id, side.partial_id
            )
            SELECT 'opening' AS what, currency_id, NULL::date AS date, NULL::integer AS move_id, NULL::date AS due,
                   sum(amount) AS amount, NULL AS number, NULL AS reference, NULL AS move_type, NULL AS payment_type,
                   NULL AS voided, NULL AS other, FALSE AS is_exchange, 0 AS rank
              FROM movement WHERE date < %(date_from)s GROUP BY currency_id
             UNION ALL
            SELECT movement.what, movement.currency_id, movement.date, movement.move_id, movement.due,
                   movement.amount, move.name, COALESCE(payment.memo, move.ref), move.move_type, payment.payment_type,
                   voided.name, other.name, COALESCE(move.journal_id = company.currency_exchange_journal_id, FALSE),
                   CASE WHEN movement.what = 'matched' THEN 3 WHEN move.move_type = 'entry' THEN 2
                        WHEN move.move_type = 'out_refund' THEN 1 ELSE 0 END
              FROM movement
              JOIN account_move move ON move.id = movement.move_id
              JOIN res_company company ON company.id = move.company_id
         LEFT JOIN account_payment payment ON payment.id = move.origin_payment_id
         LEFT JOIN account_move voided ON voided.billing_void_move_id = move.id
         LEFT JOIN account_move other ON other.id = movement.other_id
             WHERE movement.date >= %(date_from)s
             UNION ALL
            SELECT 'open', item.currency_id, NULL, NULL, item.due,
                   item.amount_currency + COALESCE(taken.amount, 0),
                   NULL, NULL, NULL, NULL, NULL, NULL, FALSE, 0
              FROM item
         LEFT JOIN (SELECT id, sum(amount) AS amount FROM side GROUP BY id) taken ON taken.id = item.id
             WHERE item.amount_currency + COALESCE(taken.amount, 0) != 0
             ORDER BY date NULLS FIRST, rank, move_id
            """,
            company=company.id,
            members=client._billing_own_member_ids_sudo(),
            date_from=date_from,
            date_to=date_to,
        )

    def action_billing_statement(self):
        """Ask for the days, and show the statement of account."""
        self.ensure_one()
        self._billing_check_staff()
        return self.env["billing.statement"]._open(self.commercial_partner_id)

    def _billing_own_statement_pdf(self, date_from, date_to):
        """The PDF for the client itself, from the portal: `(name, bytes)`.

        Elevated to make the document, which the user may not; what stands on it was asked for as the user.
        """
        statement = self.env["billing.statement"].sudo().create(self._prepare_billing_own_statement(date_from, date_to))
        return f"{statement._file_name()}.pdf", statement._pdf()

    def _billing_own_statement_csv(self, date_from, date_to):
        """The same as CSV, elevated as the PDF is. Nothing is written."""
        statement = self.env["billing.statement"].sudo().new(self._prepare_billing_own_statement(date_from, date_to))
        return f"{statement._file_name()}.csv", statement._csv()

    def _prepare_billing_own_statement(self, date_from, date_to):
        self.ensure_one()
        self._billing_check_own()
        if self.env.company not in self.env.user.company_ids:
            raise AccessError(self.env._("You do not work in this company."))
        return {
            "partner_id": self.commercial_partner_id.id,
            "company_id": self.env.company.id,
            "date_from": date_from,
            "date_to": date_to,
        }

    def _billing_own_statement(self, date_from, date_to, company):
        """The account for the client's own page: rows have the `url` of an invoice that the user may see."""
        parts = self._billing_statement(date_from, date_to, company)
        entries = {
            row["move_id"] for part in parts for row in part["rows"] if row["kind"] in ("invoice", "credit_note")
        }
        visible = set(self.env["account.move"].search([("id", "in", list(entries))]).ids)
        for part in parts:
            for row in part["rows"]:
                row["url"] = f"/my/invoices/{row['move_id']}" if row["move_id"] in visible else None
        return parts
