"""A billing run that several processes share, and one of them is killed: is everybody billed once?

many_hands.py -c CONFIG -d DATABASE [--seed N] [--clients N]     the whole experiment, on a database that may be spoilt
many_hands.py -c CONFIG -d DATABASE --work NAME                  one of the workers, as the experiment starts them

Clients with some charges each are billed by a cycle that finalizes. Some are poisoned: no worker can bill them. Two
workers begin, one is killed (SIGKILL) at a moment that chance names, a third goes on. Real processes, real commits.
Afterwards the database is asked, in SQL, not through the code under test.
"""

import argparse
import json
import random
import re
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from unittest.mock import patch

import odoo
from odoo import SUPERUSER_ID, api
from odoo.modules.registry import Registry
from odoo.tools import config

CHARGES = 5
# The kinds of poison, what each is parked as, and a word of the reason that a person is told.
POISONS = {
    "archived": ("failed", "Archived client"),
    "free": ("failed", "No price"),
    "currency": ("failed", "is not active"),
    "credit": ("failed", "Credits exceed charges"),
    "blocked": ("held", "Contract unclear"),
}
EACH = 3
MARK = "MANY HANDS "
# Enough for a machine ten times slower than ours; who needs longer hangs.
PATIENCE = 600


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-c", "--config", required=True)
    parser.add_argument("-d", "--database", required=True)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--work")
    return parser.parse_args()


@contextmanager
def environment(database):
    with Registry(database).cursor() as cr:
        yield api.Environment(cr, SUPERUSER_ID, {})


# -- a worker ---------------------------------------------------------------------------------------------------------


def work(database, name):
    """The run's own job, as a cron would call it."""
    with environment(database) as env:
        say(name, ready=True)
        Client = env.registry["billing.run.client"]
        process, batches = Client._process_batch, []

        def counted(clients, *args, **kwargs):
            taken = process(clients, *args, **kwargs)
            batches.append(len(taken))
            return taken

        before = env.cr.sql_log_count
        with patch.object(Client, "_process_batch", counted):
            env["billing.run.client"]._cron_process()
        env.cr.commit()
        say(
            name,
            clients=sum(batches),
            queries=env.cr.sql_log_count - before,
            peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        )


def say(name, **facts):
    print(MARK + json.dumps({"name": name, **facts}), flush=True)


class Worker:
    """One process, and what it said."""

    def __init__(self, options, name, script=__file__):
        self.name = name
        command = [sys.executable, script, "-c", options.config, "-d", options.database, "--work", name]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def said(self):
        """The next facts; None at the end."""
        for line in self.process.stdout:
            if line.startswith(MARK):
                return json.loads(line.removeprefix(MARK))
            sys.stderr.write(f"{self.name}: {line}")
        return None

    def end(self):
        self.process.kill()
        self.process.wait()


# -- the experiment ---------------------------------------------------------------------------------------------------


def plant(env, count):
    """Clients, charges and poison; returns `{client: poison}` of those that nobody can bill."""
    env["ir.cron"].search([]).active = False
    company = env.company
    if not env["account.journal"].search([("type", "=", "sale"), ("company_id", "=", company.id)]):
        env["account.chart.template"].try_loading("generic_coa", company, install_demo=False)
    tax = env["account.tax"].search([("type_tax_use", "=", "sale"), ("company_id", "=", company.id)], limit=1)
    cycle = env.ref("invoice_portal.billing_cycle_monthly")
    cycle.after = "finalize"
    boundary = cycle._boundary(odoo.fields.Date.today())
    day = odoo.fields.Date.subtract(boundary, days=10)
    quiet = env(context={"tracking_disable": True})
    clients = quiet["res.partner"].create(
        [
            {
                "name": f"Client {n:04}",
                "is_company": True,
                "email": f"billing@client{n:04}.example.com",
                "tz": "UTC",
                "billing_cycle_id": cycle.id,
                "billing_cycle_start": day,
            }
            for n in range(count)
        ]
    )
    charges = quiet["billing.charge"].create(
        [
            {
                "name": f"Item {n}",
                "partner_id": client.id,
                "price_unit": 10 + n,
                "date": day,
                "tax_ids": [(6, 0, tax.ids)],
            }
            for client in clients
            for n in range(CHARGES)
        ]
    )
    # Spread over the whole run, so that every worker meets some.
    spoilt = iter(clients[:: count // (EACH * len(POISONS))])
    poisoned = {next(spoilt): poison for _n in range(EACH) for poison in POISONS}
    currency = env.ref("base.JPY")
    currency.active = True
    for client, poison in poisoned.items():
        of_client = charges.filtered(lambda charge, client=client: charge.partner_id == client)
        if poison == "archived":
            client.active = False
        elif poison == "free":
            of_client.price_unit = 0
        elif poison == "currency":
            of_client.currency_id = currency
        elif poison == "credit":
            of_client.price_unit = -5
        else:
            client.write({"billing_blocked": True, "billing_blocked_reason": "Contract unclear"})
    currency.active = False
    (run,) = cycle._start_due(company)
    env.cr.commit()
    env.cr.execute("ANALYZE")
    env.cr.commit()
    return run.id, {client.id: poison for client, poison in poisoned.items()}


def share(options, run, chance):
    """Let them work, and kill one; returns what the others said of themselves."""
    workers = [Worker(options, name) for name in ("first", "second")]
    try:
        for worker in workers:
            if not worker.said():
                raise SystemExit(f"The {worker.name} worker did not start.")
        victim = chance.choice(workers)
        share_done, delay = chance.uniform(0.05, 0.4), chance.uniform(0, 1.5)
        deadline = time.monotonic() + PATIENCE
        while (done := progress(options.database, run)) < share_done:
            if time.monotonic() > deadline:
                raise SystemExit(f"Nothing moves any more: {done:.0%} is done.")
            time.sleep(0.05)
        # Not on a commit's heels: anywhere in a batch.
        time.sleep(delay)
        victim.process.send_signal(signal.SIGKILL)
        if victim.process.wait() != -signal.SIGKILL:
            raise SystemExit("It was through before it could be killed: let it have more clients.")
        done = progress(options.database, run)
        print(f"   the {victim.name} worker was killed when {done:.0%} was done", flush=True)
        workers.append(Worker(options, "third"))
        survivors = [worker for worker in workers if worker is not victim]
        facts = []
        for worker in survivors:
            *_ready, last = iter(worker.said, None)
            facts.append(last)
            if worker.process.wait(PATIENCE):
                raise SystemExit(f"The {worker.name} worker ended with {worker.process.returncode}.")
        return facts
    finally:
        for worker in workers:
            worker.end()


def progress(database, run):
    ((done, total),) = ask(
        database,
        "SELECT count(*) FILTER (WHERE state != 'pending'), count(*) FROM billing_run_client WHERE run_id = %s",
        run,
    )
    return done / total


def ask(database, query, *parameters):
    with odoo.sql_db.db_connect(database).cursor() as cr:
        cr.execute(query, parameters or None)
        return cr.fetchall()


def verdicts(database, run, poisoned, count):
    """`(what is claimed, what contradicts it)`, each from the database alone."""
    good = count - len(poisoned)
    yield (
        "nobody waits",
        ask(database, "SELECT id FROM billing_run_client WHERE run_id = %s AND state = 'pending'", run),
    )
    yield (
        "no charge is on two lines",
        ask(
            database,
            """SELECT billing_charge_id, count(*) FROM account_move_line
                WHERE billing_charge_id IS NOT NULL GROUP BY 1 HAVING count(*) > 1""",
        ),
    )
    yield (
        "everybody who can be has one finalized invoice, with all charges",
        ask(
            database,
            """SELECT client.partner_id, client.state, count(DISTINCT move.id), count(line.id), sum(line.price_subtotal)
                 FROM billing_run_client client
            LEFT JOIN account_move move ON move.partner_id = client.partner_id AND move.state = 'posted'
            LEFT JOIN account_move_line line ON line.move_id = move.id AND line.billing_charge_id IS NOT NULL
                WHERE client.run_id = %s AND NOT client.partner_id = ANY(%s)
             GROUP BY 1, 2
               HAVING NOT (client.state = 'done' AND count(DISTINCT move.id) = 1 AND count(line.id) = %s
                           AND sum(line.price_subtotal) = %s)""",
            run,
            list(poisoned),
            CHARGES,
            sum(10 + n for n in range(CHARGES)),
        ),
    )
    yield (
        "there are as many invoices as clients who can be billed, and numbers without a gap",
        [
            row
            for row in ask(
                database,
                """SELECT count(*), count(DISTINCT name), max(sequence_number) - min(sequence_number) + 1
                     FROM account_move WHERE move_type = 'out_invoice'""",
            )
            if set(row) != {good}
        ],
    )
    parked = {
        partner: (state, reason)
        for partner, state, reason in ask(
            database,
            "SELECT partner_id, state, reason FROM billing_run_client WHERE run_id = %s AND partner_id = ANY(%s)",
            run,
            list(poisoned),
        )
    }
    yield (
        "who is poisoned is parked, with the reason",
        [
            (client, poison, parked.get(client))
            for client, poison in poisoned.items()
            if parked.get(client, ("", ""))[0] != POISONS[poison][0]
            or not re.search(POISONS[poison][1], parked[client][1] or "")
        ],
    )
    yield (
        "what is parked has nothing billed",
        ask(
            database,
            """SELECT charge.partner_id, charge.id FROM billing_charge charge
                 JOIN account_move_line line ON line.billing_charge_id = charge.id
                WHERE charge.partner_id = ANY(%s)""",
            list(poisoned),
        ),
    )
    yield (
        "the end was reported once",
        [
            row
            for row in ask(
                database,
                """SELECT count(*) FROM mail_message
                    WHERE model = 'billing.run' AND res_id = %s AND subject IS NOT NULL
                      AND message_type = 'notification'""",
                run,
            )
            if row != (1,)
        ],
    )
    yield (
        "no session of a worker is left in the database",
        ask(
            database,
            """SELECT pid, state FROM pg_stat_activity
                WHERE datname = current_database() AND state LIKE 'idle in transaction%'""",
        ),
    )


def experiment(options):
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    print(f"   seed {seed} (again: ./dev/test rig --seed {seed})", flush=True)
    with environment(options.database) as env:
        run, poisoned = plant(env, options.clients)
    print(f"   {options.clients} clients with {CHARGES} charges each, {len(poisoned)} of them poisoned", flush=True)
    began = time.monotonic()
    facts = share(options, run, chance)
    seconds = time.monotonic() - began
    for fact in facts:
        each = fact["queries"] / (fact["clients"] or 1)
        print(
            f"   the {fact['name']} worker: {fact['clients']} clients, {each:.1f} queries for each, "
            f"at most {fact['peak_mb']} MB"
        )
    print(f"   {seconds:.0f} s in all")
    wrong = 0
    for claim, contradictions in verdicts(options.database, run, poisoned, options.clients):
        print(f"   {'FAILED' if contradictions else 'ok'}: {claim}")
        for row in contradictions[:10]:
            print(f"      {row}")
        wrong += bool(contradictions)
    with environment(options.database) as env:
        state = env["billing.run"].browse(run).state
        again = env.ref("invoice_portal.billing_cycle_monthly")._due_clients(env.company)
    for claim, holds in (
        ("the run says that somebody should look", state == "attention"),
        ("nobody is due again", not again),
    ):
        print(f"   {'ok' if holds else 'FAILED'}: {claim}")
        wrong += not holds
    return wrong


def main():
    options = arguments()
    config.parse_config(["-c", options.config, "-d", options.database, "--no-http", "--log-level", "error"])
    if options.work:
        work(options.database, options.work)
        return 0
    return 1 if experiment(options) else 0


if __name__ == "__main__":
    sys.exit(main())
