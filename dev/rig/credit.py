"""Eight processes spend one client's credit at once, fifty times: each cent once, never below zero?

credit.py -c CONFIG -d DATABASE [--seed N] [--rounds N] [--workers N]     on a database that may be spoilt

Half of the processes finalize an invoice, the other half press *Apply* on one that is finalized. Real processes, real
commits.
"""

import argparse
import logging
import multiprocessing
import random
import signal
import sys
import time
from datetime import date

import psycopg2

import odoo
from odoo import SUPERUSER_ID, api
from odoo.modules.registry import Registry
from odoo.service.model import retrying
from odoo.tools import config

# Odoo waits up to 2, 4, 8, 16 seconds between its tries; so long, fifty rounds would take a quarter of an hour.
HASTE = 10


def in_transaction(database, work):
    """As a request does it: committed at the end, begun anew when the database says that somebody was faster."""
    attempts = []
    with Registry(database).cursor() as cr:
        env = api.Environment(cr, SUPERUSER_ID, {"mail_notrack": True, "tracking_disable": True})

        def attempt():
            attempts.append(1)
            return work(env)

        result = retrying(attempt, env)
        cr.commit()
    return result, len(attempts)


def set_up(env):
    company = env.company
    if not company.chart_template:
        env["account.chart.template"].try_loading("generic_coa", company=company, install_demo=False)


def prepare_round(env, amount, prices):
    """One client with one credit, and one invoice per process; those of the second half are finalized already."""
    client = env["res.partner"].create({"name": "Rig", "is_company": True, "tz": "UTC", "billing_credit_use": "offer"})
    invoices = env["account.move"].create(
        [
            {
                "move_type": "out_invoice",
                "partner_id": client.id,
                "invoice_date": date.today(),
                "invoice_line_ids": [(0, 0, {"name": "Work", "price_unit": price, "tax_ids": False})],
            }
            for price in prices
        ]
    )
    invoices[len(prices) // 2 :].action_post()
    env["billing.credit.add"].create({"partner_id": client.id, "amount": amount, "receipt": False}).action_confirm()
    client.billing_credit_use = "automatic"
    return client.id, invoices.ids


def spend(env, invoice_id):
    invoice = env["account.move"].browse(invoice_id)
    if invoice.state == "draft":
        invoice._billing_finalize()
    elif invoice.billing_credit_available:
        invoice.action_billing_apply_credit()


def work(database, number, tasks, answers, barrier):
    for invoice_id in iter(tasks.get, None):
        barrier.wait()
        conflicts, given_up = 0, 0
        while True:
            try:
                _result, attempts = in_transaction(database, lambda env, of=invoice_id: spend(env, of))
            except psycopg2.OperationalError:
                # What a person would see, and press the button again.
                given_up += 1
                conflicts += 5
                continue
            except Exception as error:  # noqa: BLE001 - it is the result
                answers.put((number, f"{type(error).__name__}: {error}", 0, 0))
                break
            answers.put((number, None, conflicts + attempts - 1, given_up))
            break


def check_round(env, client_id, invoice_ids, amount, prices):
    env.invalidate_all()
    client, invoices = env["res.partner"].browse(client_id), env["account.move"].browse(invoice_ids)
    lines = env["account.move.line"].search(
        [("partner_id", "=", client_id), ("account_type", "=", "asset_receivable"), ("parent_state", "=", "posted")]
    )
    credits = lines.filtered(lambda line: line.credit)
    left = round(sum(client._billing_credit_amounts().get(client, {}).values()), 2)
    paid = round(sum(invoices.mapped("amount_total")) - sum(invoices.mapped("amount_residual")), 2)
    problems = []
    if any(line.amount_residual > 0 for line in credits) or any(line.amount_residual < 0 for line in lines - credits):
        problems.append("below zero")
    if any(invoice.state != "posted" for invoice in invoices):
        problems.append("not finalized")
    if paid != round(min(amount, sum(prices)), 2) or left != round(amount - paid, 2):
        problems.append(f"paid {paid} and left {left} of {amount}, due {sum(prices):.2f}")
    if round(sum(credits.matched_debit_ids.mapped("amount")), 2) != paid:
        problems.append("the matchings say otherwise")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-c", "--config", required=True)
    parser.add_argument("-d", "--database", required=True)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--workers", type=int, default=8)
    options = parser.parse_args()
    config.parse_config(["-c", options.config, "-d", options.database, "--log-level=critical"])
    logging.disable(logging.CRITICAL)
    uniform = random.uniform
    random.uniform = lambda low, high: uniform(low, high) / HASTE
    # Told to stop, it stops its workers first.
    signal.signal(signal.SIGTERM, lambda *_args: sys.exit(143))
    begun = time.monotonic()
    failures, conflicts, given_up, money = [], 0, 0, 0.0
    processes = []
    try:
        in_transaction(options.database, set_up)
        odoo.sql_db.close_all()
        context = multiprocessing.get_context("fork")
        answers, barrier = context.Queue(), context.Barrier(options.workers)
        queues = [context.Queue() for _ in range(options.workers)]
        processes = [
            context.Process(target=work, args=(options.database, number, queue, answers, barrier), daemon=True)
            for number, queue in enumerate(queues)
        ]
        for process in processes:
            process.start()
        chance = random.Random(options.seed)
        for number in range(1, options.rounds + 1):
            prices = [chance.randint(500, 4000) / 100 for _ in queues]
            # Mostly too little for all, now and then more than enough.
            amount = round(sum(prices) * chance.choice((0.3, 0.6, 0.9, 1.2)), 2)
            (client_id, invoice_ids), _attempts = in_transaction(
                options.database, lambda env, a=amount, p=prices: prepare_round(env, a, p)
            )
            for queue, invoice_id in zip(queues, invoice_ids, strict=True):
                queue.put(invoice_id)
            for _ in queues:
                _worker, error, lost, gone = answers.get(timeout=120)
                conflicts, given_up = conflicts + lost, given_up + gone
                if error:
                    failures.append(f"round {number}: {error}")
            problems, _attempts = in_transaction(
                options.database,
                lambda env, c=client_id, i=invoice_ids, a=amount, p=prices: check_round(env, c, i, a, p),
            )
            money += min(amount, sum(prices))
            failures += [f"round {number}: {problem}" for problem in problems]
            if number % 10 == 0:
                print(f"   {number} rounds, {time.monotonic() - begun:.0f} s", flush=True)
        for queue in queues:
            queue.put(None)
        for process in processes:
            process.join(10)
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
    for failure in failures:
        print("FAILED", failure)
    print(
        f"{options.rounds} rounds of {options.workers} processes in {time.monotonic() - begun:.0f} s: "
        f"{money:.2f} of credit spent, {conflicts} conflicts tried again, {given_up} requests gave up and were sent "
        f"again, {len(failures)} failures (--seed {options.seed})"
    )
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
