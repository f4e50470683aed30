"""One file of usage, handed in ten times, read by two processes, one of them killed: is everything there once?

usage.py -c CONFIG -d DATABASE [--seed N] [--rounds N]     the whole experiment, on a database that may be spoilt
usage.py -c CONFIG -d DATABASE --work NAME                 one of the workers, as the experiment starts them

The same file, with some rows that are none, is uploaded so many times. Two workers read the uploads, one is killed
(SIGKILL) at a moment that chance names, a third goes on. Real processes, real commits; then the database is asked.
"""

import argparse
import base64
import random
import resource
import signal
import sys
import time
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from many_hands import PATIENCE, Worker, ask, environment, say

from odoo.tools import config

ROWS = 20_000
# One row in so many cannot be read.
SPOILT = 97
PRICES = {"49": Decimal("0.03"), "4915": Decimal("0.14"), "1": Decimal("0.02")}
STEP = 60
BEGIN = datetime(2026, 3, 1)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-c", "--config", required=True)
    parser.add_argument("-d", "--database", required=True)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--rounds", type=int, default=10, help="how many times the file is handed in")
    parser.add_argument("--work")
    return parser.parse_args()


def work(database, name):
    """The import's own job, as a cron would call it."""
    with environment(database) as env:
        say(name, ready=True)
        env["billing.usage.import"]._cron_process()
        env.cr.commit()
        say(name, peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def plant(env, chance, rounds):
    """The uploads, and what is to come of each: good rows, and what they cost."""
    env["ir.cron"].search([]).active = False
    product = env["product.product"].create({"name": "Calls", "type": "service"})
    plan = env["billing.rate.plan"].create({"name": "Voice", "product_id": product.id, "unit": "minute", "tz": "UTC"})
    group = env["billing.rate.destination"].create({"plan_id": plan.id, "name": "All"})
    env["billing.rate"].create(
        [
            {"plan_id": plan.id, "destination_id": group.id, "prefix": prefix, "price_unit": float(price),
             "minimum": STEP, "step": STEP}
            for prefix, price in PRICES.items()
        ]
    )  # fmt: skip
    source = env["billing.usage.source"].create(
        {"name": "Switch", "code": "switch", "tz": "UTC", "rate_plan_id": plan.id, "with_country": True}
    )
    clients = env["res.partner"].create([{"name": f"Client {n}", "is_company": True, "tz": "UTC"} for n in range(50)])
    env["billing.usage.account"].create(
        [{"source_id": source.id, "key": f"4930{1000 + n}", "partner_id": one.id} for n, one in enumerate(clients)]
    )
    lines, good, cost = ["id,account,moment,destination,quantity"], 0, Decimal(0)
    for number in range(ROWS):
        prefix, seconds = chance.choice(list(PRICES)), chance.randrange(1, 1000)
        moment = BEGIN + timedelta(seconds=chance.randrange(31 * 86400))
        spoilt = number % SPOILT == 0
        lines.append(
            f"cdr-{number},4930{1000 + number % 50},{moment.isoformat()}Z,+{prefix}3{chance.randrange(10**6):06},"
            f"{'often' if spoilt else seconds}"
        )
        if not spoilt:
            good += 1
            minutes = -(-seconds // STEP)
            cost += (minutes * PRICES[prefix]).quantize(Decimal("0.000001"), ROUND_HALF_UP)
    data = base64.b64encode("\n".join(lines).encode())
    for _round in range(rounds):
        upload = env["billing.usage.upload"].create({"source_id": source.id, "filename": "calls.csv", "data": data})
        env["billing.usage.import"].browse(upload.action_upload()["res_id"]).action_start()
    env.cr.commit()
    env.cr.execute("ANALYZE")
    env.cr.commit()
    return good, cost


def progress(database, rounds):
    ((rows,),) = ask(database, "SELECT COALESCE(sum(row_count), 0) FROM billing_usage_import WHERE kind = 'file'")
    return rows / (rounds * ROWS)


def share(options, chance):
    """Let them read, and kill one; returns what the others said of themselves."""
    workers = [Worker(options, name, __file__) for name in ("first", "second")]
    try:
        for worker in workers:
            if not worker.said():
                raise SystemExit(f"The {worker.name} worker did not start.")
        victim = chance.choice(workers)
        share_done, delay = chance.uniform(0.05, 0.4), chance.uniform(0, 1.5)
        deadline = time.monotonic() + PATIENCE
        while (done := progress(options.database, options.rounds)) < share_done:
            if time.monotonic() > deadline:
                raise SystemExit(f"Nothing moves any more: {done:.0%} is done.")
            time.sleep(0.05)
        time.sleep(delay)
        victim.process.send_signal(signal.SIGKILL)
        if victim.process.wait() != -signal.SIGKILL:
            raise SystemExit("It was through before it could be killed: hand the file in more often (--rounds).")
        done = progress(options.database, options.rounds)
        print(f"   the {victim.name} worker was killed when {done:.0%} was read", flush=True)
        workers.append(Worker(options, "third", __file__))
        facts = []
        for worker in workers:
            if worker is victim:
                continue
            *_ready, last = iter(worker.said, None)
            facts.append(last)
            if worker.process.wait(PATIENCE):
                raise SystemExit(f"The {worker.name} worker ended with {worker.process.returncode}.")
        return facts
    finally:
        for worker in workers:
            worker.end()


def verdicts(database, rounds, good, cost):
    """`(what is claimed, what contradicts it)`, each from the database alone."""
    bad = ROWS - good
    yield (
        "every upload was read to its end: accepted and rejected are all its rows",
        ask(
            database,
            """SELECT id, state, row_count, accepted_count, rejected_count FROM billing_usage_import
                WHERE kind = 'file' AND (state, row_count, accepted_count, rejected_count)
                      IS DISTINCT FROM ('done', %s, %s, %s)""",
            ROWS, good, bad,
        ),
    )  # fmt: skip
    yield (
        "each record is there once, brought by one upload, and a duplicate in all others",
        [
            row
            for row in ask(
                database,
                """SELECT count(*), count(DISTINCT external_id),
                          (SELECT sum(accepted_count - duplicate_count) FROM billing_usage_import WHERE kind = 'file')
                     FROM billing_usage""",
            )
            if set(row) != {good}
        ],
    )
    yield (
        "each upload has its own rejected rows, with a reason",
        ask(
            database,
            """SELECT import_id, count(*) FROM billing_usage_reject WHERE reason > '' GROUP BY import_id
               HAVING count(*) <> %s""",
            bad,
        ),
    )
    yield (
        "all records are rated, and come to what a child would reckon",
        [
            row
            for row in ask(
                database,
                "SELECT count(*) FILTER (WHERE unrated_reason IS NOT NULL), sum(amount)::text FROM billing_usage",
            )
            if (row[0], Decimal(row[1])) != (0, cost)
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
    if rounds < 2:
        yield ("the file was handed in more than once", [rounds])


def experiment(options):
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    print(f"   seed {seed} (again: ./dev/test rig usage --seed {seed})", flush=True)
    with environment(options.database) as env:
        good, cost = plant(env, chance, options.rounds)
    print(f"   {ROWS:,} rows, {ROWS - good} of them none, handed in {options.rounds} times", flush=True)
    begin = time.monotonic()
    facts = share(options, chance)
    seconds, peak = time.monotonic() - begin, max(fact["peak_mb"] for fact in facts)
    print(f"   {seconds:.0f} s, {peak} MB at most", flush=True)
    wrong = 0
    for claim, contradictions in verdicts(options.database, options.rounds, good, cost):
        print(f"   {'FAILED' if contradictions else 'ok'}: {claim}", flush=True)
        for row in contradictions[:5]:
            print(f"         {row}", flush=True)
        wrong += bool(contradictions)
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
