"""The client's pages with a short history and with a long one: see dev/bench."""

import argparse
import json
import logging
import statistics
import sys
import threading
import time
from collections import defaultdict
from datetime import date, timedelta

from werkzeug.test import Client

import odoo.http
import odoo.sql_db
from odoo import SUPERUSER_ID, Command, api
from odoo.modules.registry import Registry
from odoo.service import security
from odoo.service.server import load_server_wide_modules
from odoo.tools import SQL, config

PAGES = [
    "/my",
    "/my/billing",
    "/my/billing/next",
    "/my/invoices",
    "/my/invoices/page/2",
    "/my/invoices?filterby=invoices&groupby=month",
    "/my/invoices?filterby=unpaid&sortby=balance",
    "/my/invoices?filterby=overdue_invoices",
    "/my/invoices?filterby=paid",
    "/my/invoices?search=Support",
    "/my/invoices/{paid}",
    "/my/invoices/{unpaid}",
    "/my/invoices/pay",
    "/my/billing/credit",
    "/my/billing/credit/page/2",
    "/my/billing/credit/add?amount=5",
    "/my/payment_method",
    "/my/billing/cases",
    "/my/billing/statement",
    "/my/billing/preferences",
]
# What belongs to an invoice and is copied with it, after what it refers to.
TABLES = [
    "account_full_reconcile",
    "account_move",
    "account_move_line",
    "account_payment",
    "account_partial_reconcile",
    "account_move__account_payment",
    "account_move_line_account_tax_rel",
]
PARTNER_COLUMNS = {"partner_id", "commercial_partner_id", "partner_shipping_id"}
# Of twenty invoices, so many are of each kind.
MIX = {"paid": 16, "unpaid": 1, "overdue": 1, "partial": 1, "void": 1}
# Over so many days they are spread; what is open stays so.
AGES = {"paid": 1500, "unpaid": 12, "overdue": 0, "partial": 12, "void": 1500}
# A list of eighty is read in pieces where one of twenty is not.
TOLERATED = 3
SLOW = 0.05


class Bench:
    def __init__(self, options):
        self.options = options
        self.registry = Registry(options.database)
        self.cr = self.registry.cursor()
        self.env = api.Environment(self.cr, SUPERUSER_ID, {"lang": "en_US"})

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.cr.close()

    # -- what there is to see -----------------------------------------------------------------------------------------

    def populate(self):
        env, company = self.env, self.env.company
        if not company.chart_template:
            env["account.chart.template"].try_loading("generic_coa", company=company, install_demo=False)
        company.billing_credit_use = "never"
        provider = env.ref("payment.payment_provider_demo", raise_if_not_found=False)
        if provider:
            provider.payment_method_ids.active = True
            provider.write({"state": "test", "is_published": True})
        clients = env["res.partner"].create(
            [{"name": f"Client {number}", "is_company": True, "tz": "UTC"} for number in range(100)]
        )
        self.client, self.others = clients[0], clients[1:]
        contact = env["res.partner"].create({"name": "Ann", "parent_id": self.client.id, "email": "ann@example.com"})
        self.user = env["res.users"].create(
            {
                "login": "ann",
                "partner_id": contact.id,
                "group_ids": [Command.set(env.ref("base.group_portal").ids)],
            }
        )
        self.projects = env["project.project"].create(
            [
                {"name": f"Project {number}", "partner_id": self.client.id, "privacy_visibility": "portal"}
                for number in range(3)
            ]
        )
        self.patterns = {kind: self._pattern(kind) for kind in MIX}
        env["billing.charge"].create(
            [{"name": f"Next {number}", "partner_id": self.client.id, "price_unit": 10} for number in range(5)]
        )
        self._settle()

    def _pattern(self, kind):
        """One invoice of this kind, and all that belongs to it, as Odoo makes it."""
        today = date.today()
        day = today - timedelta(days=60 if kind in ("overdue", "paid") else 0)
        charges = self.env["billing.charge"].create(
            [
                {"name": f"Support {number}", "partner_id": self.client.id, "price_unit": 50 + number}
                for number in range(3)
            ]
        )
        plan, _left_out = charges._draft_plan()
        (move,) = self.env["account.move"].union(*self.env["account.move"]._billing_create_from_charges(plan).values())
        move.write(
            {"invoice_date": day, "invoice_payment_term_id": False, "invoice_date_due": day + timedelta(days=14)}
        )
        move._billing_finalize()
        if kind in ("paid", "partial"):
            register = self.env["account.payment.register"].with_context(
                active_model="account.move", active_ids=move.ids
            )
            amount = move.amount_residual / (2 if kind == "partial" else 1)
            register.create({"payment_date": today, "amount": amount})._create_payments()
        elif kind == "void":
            move._billing_void("Wrong client")
        return move

    def copy(self, clients, count):
        """So many more invoices, the clients taking turns, by a statement per kind and table."""
        for kind, share in MIX.items():
            copies = count * share // sum(MIX.values())
            if copies:
                self._copy(kind, clients, copies)

    def _copy(self, kind, clients, copies):
        move = self.patterns[kind]
        rows = self._rows_of(move)
        numbers = {table: f"copy_{table}" for table, ids in rows.items() if ids and "id" in self._columns(table)}
        # Moves and payments refer to each other.
        self.cr.execute("SET LOCAL session_replication_role = replica")
        for table, numbering in numbers.items():
            self.cr.execute(
                SQL(
                    "CREATE TEMP TABLE %s ON COMMIT DROP AS SELECT old, copy, nextval(%s) AS new"
                    " FROM unnest(%s) old, generate_series(1, %s) copy",
                    SQL.identifier(numbering),
                    f"{table}_id_seq",
                    list(rows[table]),
                    copies,
                )
            )
            self.cr.execute(SQL("ANALYZE %s", SQL.identifier(numbering)))
        for table in TABLES:
            if rows[table]:
                self._copy_table(table, rows[table], numbers, clients, copies, AGES[kind])
        self.cr.commit()

    def _rows_of(self, move):
        rows = dict.fromkeys(TABLES, ())
        payments = move.matched_payment_ids
        moves = move | payments.move_id | move.billing_void_move_id
        lines = moves.line_ids
        partials = lines.matched_debit_ids | lines.matched_credit_ids
        rows["account_move"], rows["account_move_line"] = moves.ids, lines.ids
        rows["account_payment"], rows["account_partial_reconcile"] = payments.ids, partials.ids
        rows["account_full_reconcile"] = lines.full_reconcile_id.ids
        rows["account_move__account_payment"] = moves.ids if payments else ()
        rows["account_move_line_account_tax_rel"] = lines.ids
        return rows

    def _copy_table(self, table, ids, numbers, clients, copies, age):
        columns = self._columns(table)
        refers = self._references(table)
        key = "id" if "id" in columns else next(column for column in columns if refers.get(column) in numbers)
        values, joins = [], []
        for column, kind in columns.items():
            name = SQL.identifier("source", column)
            if column == "id" or refers.get(column) in numbers:
                target = table if column == "id" else refers[column]
                alias = f"of_{column}"
                joins.append(
                    SQL(
                        "LEFT JOIN %s %s ON %s = %s AND %s = numbered.copy",
                        SQL.identifier(numbers[target]),
                        SQL.identifier(alias),
                        SQL.identifier(alias, "old"),
                        name,
                        SQL.identifier(alias, "copy"),
                    )
                )
                values.append(SQL("COALESCE(%s, %s)", SQL.identifier(alias, "new"), name))
            elif column in PARTNER_COLUMNS:
                turn = SQL("(%s::int[])[1 + mod(numbered.copy, %s)]", clients.ids, len(clients))
                values.append(SQL("CASE WHEN %s IS NULL THEN NULL ELSE %s END", name, turn))
            elif table == "account_move" and column == "name":
                values.append(SQL("%s || of_id.new", "COPY/"))
            elif table == "account_move" and column == "sequence_number":
                values.append(SQL("of_id.new"))
            elif table == "account_move" and column == "billing_project_id":
                projects = [*self.projects.ids, None]
                values.append(SQL("(%s::int[])[1 + mod(numbered.copy, %s)]", projects, len(projects)))
            elif column == "access_token":
                values.append(SQL("NULL"))
            elif column == "billing_charge_id":
                values.append(SQL("NULL"))
            elif age and kind == "date":
                values.append(SQL("%s - mod(7 * numbered.copy, %s)", name, age))
            else:
                values.append(name)
        self.cr.execute(
            SQL(
                "INSERT INTO %s (%s) SELECT %s FROM %s source CROSS JOIN generate_series(1, %s) numbered(copy) %s"
                " WHERE %s = ANY(%s)",
                SQL.identifier(table),
                SQL(", ").join(map(SQL.identifier, columns)),
                SQL(", ").join(values),
                SQL.identifier(table),
                copies,
                SQL(" ").join(joins),
                SQL.identifier("source", key),
                list(ids),
            )
        )

    def _columns(self, table):
        self.cr.execute(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = current_schema AND table_name = %s AND is_generated = 'NEVER'"
            " ORDER BY ordinal_position",
            [table],
        )
        return dict(self.cr.fetchall())

    def _references(self, table):
        self.cr.execute(
            """SELECT of_column.attname, target.relname
                 FROM pg_constraint refers
                 JOIN pg_class target ON target.oid = refers.confrelid
                 JOIN pg_attribute of_column
                   ON of_column.attrelid = refers.conrelid AND of_column.attnum = refers.conkey[1]
                WHERE refers.contype = 'f' AND refers.conrelid = %s::regclass""",
            [table],
        )
        return dict(self.cr.fetchall())

    def add_cases(self, count):
        """So many cases that the client sees, each of them billed."""
        cases = self.env["project.task"].create(
            [
                {
                    "name": f"Case {number}",
                    "project_id": self.projects[number % len(self.projects)].id,
                    "partner_id": self.client.id,
                    "billing_price": 10,
                    "state": "1_done",
                }
                for number in range(count)
            ]
        )
        cases.message_subscribe(self.user.partner_id.ids)
        self._settle()

    def _settle(self):
        self.env.flush_all()
        self.cr.commit()
        self.env.invalidate_all()

    def analyze(self):
        self._settle()
        self.cr.execute("ANALYZE")
        self.cr.commit()

    # -- what is measured ---------------------------------------------------------------------------------------------

    def browser(self):
        """Who is logged in as the client."""
        session = odoo.http.root.session_store.new()
        session.update(odoo.http.get_default_session(), db=self.options.database, _trace_disable=True)
        env = self.env(user=self.user.id)
        session.uid, session.login = self.user.id, self.user.login
        session.session_token = security.compute_session_token(session, env)
        session.context = dict(env["res.users"].context_get())
        odoo.http.root.session_store.save(session)
        self.cr.commit()
        browser = Client(odoo.http.root)
        browser.set_cookie("session_id", session.sid, domain="localhost")
        return browser

    def measure(self, browser):
        named = {kind: move.id for kind, move in self.patterns.items()}
        figures = {}
        for page in PAGES:
            path = page.format(**named)
            self._open(browser, path)
            rounds = [self._open(browser, path) for _number in range(self.options.rounds)]
            figures[page] = {
                "ms": statistics.median(taken for taken, _queries in rounds),
                "queries": statistics.median(queries for _taken, queries in rounds),
            }
        return figures

    def _open(self, browser, path):
        start = time.perf_counter()
        response = browser.get(path, base_url="http://localhost/")
        response.get_data()
        taken = 1000 * (time.perf_counter() - start)
        if response.status_code != 200:
            sys.exit(f"{path}: {response.status}")
        return taken, threading.current_thread().query_count

    def show_slow(self, browser):
        """The statements of each page that take long, and those that are repeated."""
        named = {kind: move.id for kind, move in self.patterns.items()}
        execute = odoo.sql_db.Cursor.execute
        for page in PAGES:
            taken = defaultdict(list)

            def timed(cursor, query, params=None, *args, taken=taken, **kwargs):
                start = time.perf_counter()
                result = execute(cursor, query, params, *args, **kwargs)
                text = query.code if isinstance(query, SQL) else query
                taken[" ".join(str(text).split())].append(
                    (time.perf_counter() - start, query.params if isinstance(query, SQL) else params)
                )
                return result

            path = page.format(**named)
            self._open(browser, path)
            odoo.sql_db.Cursor.execute = timed
            try:
                self._open(browser, path)
            finally:
                odoo.sql_db.Cursor.execute = execute
            print(f"\n{page}")
            for text, times in sorted(taken.items(), key=lambda item: -sum(spent for spent, _params in item[1])):
                total = sum(spent for spent, _params in times)
                if total > SLOW or len(times) > 4:
                    print(f"   {len(times)} × in {1000 * total:.1f} ms: {text[:1500]}\n      {str(times[0][1])[:600]}")


def show(rows):
    print(f"{'page':50}{'queries':>16}{'ms':>20}")
    for row in rows:
        print(
            f"{row['page']:50}{row['queries'][0]:8.0f}{row['queries'][1]:8.0f}{row['ms'][0]:10.0f}{row['ms'][1]:10.0f}"
            f"{'   GROWS' if row['grows'] else ''}"
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--json", required=True)
    parser.add_argument("--invoices", type=int, default=100_000)
    parser.add_argument("--own", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow", action="store_true")
    options = parser.parse_args()
    config.parse_config(["-c", options.config, "-d", options.database, "--no-http", "--log-level=error"])
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    load_server_wide_modules()
    with Bench(options) as bench:
        bench.populate()
        few = sum(MIX.values())
        bench.copy(bench.others, options.invoices - options.own)
        bench.copy(bench.client, few)
        bench.add_cases(few)
        bench.analyze()
        browser = bench.browser()
        before = bench.measure(browser)
        bench.copy(bench.client, options.own - few)
        bench.add_cases(options.own // 10)
        bench.analyze()
        after = bench.measure(browser)
        bench.cr.execute("SELECT count(*) FROM account_move WHERE move_type = 'out_invoice'")
        (total,) = bench.cr.fetchone()
        if options.slow:
            bench.show_slow(browser)
    rows = [
        {
            "page": page,
            "queries": (before[page]["queries"], after[page]["queries"]),
            "ms": (before[page]["ms"], after[page]["ms"]),
            "grows": after[page]["queries"] > before[page]["queries"] + TOLERATED,
        }
        for page in PAGES
    ]
    print(f"{total} invoices in the database; of this client first {few}, then {options.own}")
    show(rows)
    with open(options.json, "w") as file:
        json.dump({"invoices": total, "own": options.own, "rows": rows}, file, indent=2)
    print(f"Also in {options.json}")
    sys.exit(any(row["grows"] for row in rows))


if __name__ == "__main__":
    main()
