"""Ours beside Odoo's: see dev/bench."""

import argparse
import cProfile
import gc
import json
import os
import pstats
import random
import resource
import statistics
import time

from odoo import SUPERUSER_ID, Command, api
from odoo.modules.registry import Registry
from odoo.tools import config

HISTORY = 12, 40  # batches, invoices in each


class Side:
    """A database, and the same clients and lines in it as in the other one."""

    def __init__(self, database, with_ours, options):
        self.cr = Registry(database).cursor()
        self.env = api.Environment(self.cr, SUPERUSER_ID, {"lang": "en_US"})
        self.with_ours = with_ours
        self.options = options
        self._populate()
        self._make_history()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.cr.close()

    def _populate(self):
        dice, env = random.Random(1), self.env
        company = env.company
        if not company.chart_template:
            env["account.chart.template"].try_loading("generic_coa", company=company, install_demo=False)
        self.tax = company.account_sale_tax_id
        products = env["product.product"].create(
            [{"name": f"Service {number}", "type": "service"} for number in range(20)]
        )
        self.clients = env["res.partner"].create(
            [
                {"name": f"Client {number}", "is_company": True, "email": f"client{number}@example.com", "tz": "UTC"}
                for number in range(self.options.clients)
            ]
        )
        self.lines = [
            [
                {
                    "name": f"Work {place}",
                    "product_id": dice.choice(products.ids),
                    "quantity": dice.choice([1, 1, 2, 2.5, 7]),
                    "price_unit": round(dice.uniform(5, 500), 2),
                    "discount": dice.choice([0, 0, 0, 10]),
                    "tax_ids": [Command.set(self.tax.ids)],
                }
                for place in range(self.options.lines)
            ]
            for _client in self.clients
        ]
        self.settle()

    def _make_history(self):
        """Invoices, some of them paid: without any, PostgreSQL would plan for empty tables."""
        batches, size = HISTORY
        for batch in range(batches):
            dice = random.Random(batch)
            moves = self.env["account.move"].create(
                [
                    dict(vals, invoice_date=f"2025-{1 + batch:02}-15", invoice_line_ids=vals["invoice_line_ids"][:2])
                    for vals in dice.choices(self.invoice_values(), k=size)
                ]
            )
            moves.action_post()
            self.env["account.payment.register"].with_context(
                active_model="account.move", active_ids=moves[: size // 3].ids
            ).create({"group_payment": False})._create_payments()
            self.settle()

    def settle(self):
        self.cr.commit()
        self.env.invalidate_all()
        self.cr.execute("ANALYZE")
        self.cr.commit()

    def invoice_values(self):
        return [
            {
                "move_type": "out_invoice",
                "company_id": self.env.company.id,
                "partner_id": client.id,
                "currency_id": self.env.company.currency_id.id,
                "invoice_line_ids": [
                    Command.create(dict(line, sequence=10 * place)) for place, line in enumerate(lines, start=1)
                ],
            }
            for client, lines in zip(self.clients, self.lines, strict=True)
        ]

    def make_charges(self):
        self.env["billing.charge"].create(
            [
                dict(line, partner_id=client.id)
                for client, lines in zip(self.clients, self.lines, strict=True)
                for line in lines
            ]
        )
        self.settle()

    # -- what is measured ---------------------------------------------------------------------------------------------

    def draft(self):
        if not self.with_ours:
            return self.env["account.move"].create(self.invoice_values())
        charges = self.env["billing.charge"].search([("partner_id", "in", self.clients.ids)])
        plan, left_out = charges._draft_plan()
        assert not left_out, left_out
        return self.env["account.move"].union(*self.env["account.move"]._billing_create_from_charges(plan).values())

    def finalize(self, moves):
        if self.with_ours:
            moves._billing_finalize()
        else:
            moves.action_post()

    def round(self):
        """One round: what it took up to the drafts, and up to the finalized invoices; nothing is kept."""
        self.env.invalidate_all()
        gc.collect()
        start = self._clock()
        moves = self.draft()
        self.cr.flush()
        drafted = self._clock()
        self.finalize(moves)
        self.cr.flush()
        finalized = self._clock()
        count = len(moves)
        self.env.invalidate_all(flush=False)
        self.cr.rollback()
        return {
            "P1": {key: (drafted[key] - start[key]) / count for key in start},
            "P2": {key: (finalized[key] - start[key]) / count for key in start},
        }

    def _clock(self):
        """Time by the wall; time of both processors' work for us (Python and PostgreSQL), which others disturb less."""
        with open(f"/proc/{self.cr._cnx.info.backend_pid}/stat") as stat:
            ticks = stat.read().rpartition(")")[2].split()
        return {
            "ms": 1000 * time.perf_counter(),
            "cpu_ms": 1000 * (time.process_time() + (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")),
            "queries": self.cr.sql_log_count,
        }


def paired(ours, theirs, rounds):
    """Ours, theirs, ours, theirs …, after one round of each to warm up."""
    ours.round()
    theirs.round()
    return [(ours.round(), theirs.round()) for _number in range(rounds)]


def table(pairs):
    rows = []
    for name, goal in (("P1", 0.25), ("P2", 0.30)):
        row = {"row": name, "goal": goal}
        for key in ("ms", "cpu_ms", "queries"):
            row[f"ours_{key}"] = statistics.median(ours[name][key] for ours, _theirs in pairs)
            row[f"odoo_{key}"] = statistics.median(theirs[name][key] for _ours, theirs in pairs)
        for key in ("ms", "cpu_ms"):
            ratios = [ours[name][key] / theirs[name][key] for ours, theirs in pairs]
            row[f"ratio_{key}"] = statistics.median(ratios)
            row[f"ratio_{key}_range"] = min(ratios), max(ratios)
        rows.append(row)
    return rows


def show(rows):
    print(f"{'per invoice':12}{'ours ms':>9}{'Odoo ms':>9}{'ratio':>7}{'goal':>6}   {'from … to':15}", end="")
    print(f"{'CPU ours':>9}{'CPU Odoo':>9}{'ratio':>7}   {'queries':>7}{'Odoo':>6}")
    for row in rows:
        low, high = row["ratio_ms_range"]
        print(
            f"{row['row']:12}{row['ours_ms']:9.1f}{row['odoo_ms']:9.1f}{row['ratio_ms']:7.3f}{row['goal']:6.2f}   "
            f"{f'{low:.3f} … {high:.3f}':15}{row['ours_cpu_ms']:9.1f}{row['odoo_cpu_ms']:9.1f}"
            f"{row['ratio_cpu_ms']:7.3f}   {row['ours_queries']:7.1f}{row['odoo_queries']:6.1f}"
        )


def show_profile(side):
    side.round()
    profile = cProfile.Profile()
    profile.runcall(side.round)
    pstats.Stats(profile).sort_stats("cumtime").print_stats(100)


def growth(ours):
    """P6 and P8: a run's cost per client, and the memory of the process, as the run grows."""
    rows = []
    for count in (min(100, len(ours.clients)), len(ours.clients)):
        charges = ours.env["billing.charge"].search([("partner_id", "in", ours.clients[:count].ids)])
        ours.settle()
        start = ours._clock()
        run = ours.env["billing.run"]._start(charges._draft_plan()[0])
        ours.cr.commit()
        while ours.env["billing.run.client"]._process_batch():
            ours.cr.commit()
            ours.env.transaction.clear()
        end = ours._clock()
        rows.append(
            {
                "row": "run",
                "clients": count,
                "failed": run.count_failed,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                **{key: (end[key] - start[key]) / count for key in start},
            }
        )
        row = rows[-1]
        print(
            f"run of {count} clients: {row['ms']:.1f} ms, CPU {row['cpu_ms']:.1f} ms, {row['queries']:.1f} queries per "
            f"client; peak {row['peak_mb']:.0f} MB"
        )
        # The next run bills the same.
        run.client_ids.move_ids.unlink()
        ours.cr.execute("UPDATE billing_charge SET run_client_id = NULL")
        ours.settle()
    return rows


def save(options, rows):
    with open(options.json, "w") as file:
        json.dump({"clients": options.clients, "lines": options.lines, "rows": rows}, file, indent=2)
    print(f"Also in {options.json}")


def main():
    parser = argparse.ArgumentParser()
    for name in ("config", "ours", "odoo"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--clients", type=int, default=300)
    parser.add_argument("--lines", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", required=True)
    parser.add_argument("--profile", choices=["ours", "odoo"])
    parser.add_argument("--growth", action="store_true")
    options = parser.parse_args()
    config.parse_config(["-c", options.config, "--no-http", "--log-level=warn"])
    with Side(options.ours, True, options) as ours:
        ours.make_charges()
        if options.growth:
            save(options, growth(ours))
            return
        with Side(options.odoo, False, options) as theirs:
            if options.profile:
                show_profile({"ours": ours, "odoo": theirs}[options.profile])
                return
            rows = table(paired(ours, theirs, options.rounds))
    show(rows)
    save(options, rows)


if __name__ == "__main__":
    main()
