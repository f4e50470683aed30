"""Many pay one invoice by card at once, and the provider misbehaves: is the money taken once?

cards.py -c CONFIG -d DATABASE [--seed N] [--rounds N]     the whole experiment, on a database that may be spoilt
cards.py -c CONFIG -d DATABASE --serve URL                 the server, and the job, as the experiment starts them

In each round ten tabs of the client's browser and the job for automatic payments go for the same invoice; chance says
who has how much of a head start, so that each of them is the first now and then. They meet a provider that answers, or
takes the money and hangs up, or takes it while the job that asked is killed (SIGKILL). The provider keeps its own book;
afterwards that, the database and the invoices must say the same. Real processes, real requests, real commits.
"""

import argparse
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager

import requests

import odoo
from odoo import SUPERUSER_ID, api
from odoo.modules.registry import Registry
from odoo.service import server
from odoo.tools import config

TABS = 10
PATIENCE = 120
# The most that tabs or job may be ahead of each other, and tabs among themselves, in seconds.
HEAD_START = 0.5
SCATTER = 0.05
READY = "CARDS READY"
LOGIN = "payer@client.example.com"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-c", "--config", required=True)
    parser.add_argument("-d", "--database", required=True)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--serve", metavar="URL")
    parser.add_argument("--job", metavar="URL")
    parser.add_argument("--port", type=int)
    return parser.parse_args()


@contextmanager
def environment(database):
    with Registry(database).cursor() as cr:
        yield api.Environment(cr, SUPERUSER_ID, {})


def desk_provider(env):
    return env["payment.provider"].search([("name", "=", "Desk")])


# -- the processes ----------------------------------------------------------------------------------------------------


def serve(options):
    """Odoo's own server, with the provider's requests going to the desk."""
    from odoo.addons.invoice_portal.tests.card_desk import served_by  # noqa: PLC0415

    with environment(options.database) as env:
        provider = desk_provider(env)
        provider.id, provider.env.registry  # noqa: B018
        context = served_by(options.serve, provider)
        context.__enter__()
    print(READY, flush=True)
    # Preloaded, the database would get a registry of its own, whose requests went past the desk.
    server.start(preload=[], stop=False)


def job(options):
    """The jobs of automatic payment and of settling doubts: one round for each line that comes in."""
    from odoo.addons.invoice_portal.tests.card_desk import served_by  # noqa: PLC0415

    with environment(options.database) as env:
        provider = desk_provider(env)
        context = served_by(options.job, provider)
        context.__enter__()
    print(READY, flush=True)
    for line in sys.stdin:
        with environment(options.database) as env:
            if line.strip() == "pay":
                env["account.move"]._cron_billing_autopay()
            else:
                env["payment.transaction"]._cron_billing_settle()
                # What met other work while it was booked is left to Odoo's job.
                env["payment.transaction"]._cron_post_process()
            env.cr.commit()
        print(READY, flush=True)


class Process:
    """One of them, and its lines."""

    def __init__(self, options, *more):
        self.command = [sys.executable, __file__, "-c", options.config, "-d", options.database, *more]
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.wait()

    def say(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def wait(self):
        """Until it is ready, again. False where it ended instead."""
        for line in self.process.stdout:
            if line.strip() == READY:
                return True
        return False

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


# -- the experiment ---------------------------------------------------------------------------------------------------


def plant(env):
    """A client with a login, a card of its own, and one agreed for automatic payment."""
    env["ir.cron"].search([]).active = False
    company = env.company
    if not env["account.journal"].search([("type", "=", "sale"), ("company_id", "=", company.id)]):
        env["account.chart.template"].try_loading("generic_coa", company, install_demo=False)
    demo = env.ref("payment.payment_provider_demo")
    method = demo.payment_method_ids[:1]
    method.active = True
    provider = demo.copy(
        {
            "name": "Desk",
            "company_id": company.id,
            "state": "test",
            "is_published": True,
            "allow_tokenization": True,
            "payment_method_ids": [(6, 0, method.ids)],
        }
    )
    provider.journal_id = env["account.journal"].search([("type", "=", "bank"), ("company_id", "=", company.id)])[:1]
    client = env["res.partner"].create({"name": "Payer", "is_company": True, "email": LOGIN, "tz": "UTC"})
    user = env["res.users"].create(
        {
            "name": "Payer",
            "login": LOGIN,
            "password": LOGIN,
            "partner_id": client.id,
            "group_ids": [(6, 0, [env.ref("base.group_portal").id])],
            "company_id": company.id,
            "company_ids": [(6, 0, company.ids)],
        }
    )
    card = env["payment.token"].create(
        {
            "provider_id": provider.id,
            "payment_method_id": method.id,
            "payment_details": "4242",
            "partner_id": user.partner_id.id,
            "provider_ref": "card",
        }
    )
    client._billing_agree_autopay(card, "For the experiment")
    env.cr.commit()
    return {"client": client.id, "card": card.id, "provider": provider.id, "method": method.id}


def new_invoice(options, planted, number):
    with environment(options.database) as env:
        charge = env["billing.charge"].create(
            {"name": f"Round {number}", "partner_id": planted["client"], "price_unit": 100 + number}
        )
        plan, _left_out = charge._draft_plan()
        invoice = env["account.move"].union(*env["account.move"]._billing_create_from_charges(plan).values())
        invoice._billing_finalize()
        token = invoice._portal_ensure_token()
        env.cr.commit()
        return invoice.id, token, invoice.amount_residual


def tab(base, cookies, planted, invoice, answers, barrier, delay):
    """One click on “Pay” by the client's own saved card."""
    invoice_id, token, amount = invoice
    params = {
        "access_token": token,
        "provider_id": planted["provider"],
        "payment_method_id": planted["method"],
        "token_id": planted["card"],
        "amount": amount,
        "flow": "token",
        "tokenization_requested": False,
        "landing_route": "/my/invoices",
    }
    barrier.wait()
    time.sleep(delay)
    try:
        answer = requests.post(
            f"{base}/invoice/transaction/{invoice_id}", json={"params": params}, cookies=cookies, timeout=PATIENCE
        ).json()
        answers.append(answer["error"]["data"]["message"].split(" ")[-1] if "error" in answer else "accepted")
    except requests.RequestException as error:
        answers.append(type(error).__name__)


def login(base):
    session = requests.Session()
    page = session.get(f"{base}/web/login", timeout=PATIENCE).text
    csrf = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    answer = session.post(
        f"{base}/web/login", data={"login": LOGIN, "password": LOGIN, "csrf_token": csrf}, timeout=PATIENCE
    )
    if "/my" not in answer.url:
        sys.exit(f"could not log in: {answer.url}")
    return session.cookies


def round_of(kind, chance, base, cookies, planted, invoice, desk, worker):
    desk.mood = {"kill": "slow"}.get(kind, kind)
    desk.answer.clear()
    if kind == "kill":
        # Only the job asks, so that it is the one that is killed.
        before = sum(desk.captures.values())
        worker.say("pay")
        until = time.monotonic() + PATIENCE
        while sum(desk.captures.values()) == before and time.monotonic() < until:
            time.sleep(0.01)
        worker.kill()
        desk.answer.set()
        worker.start()
    answers, barrier = [], threading.Barrier(TABS + 1)
    ahead = chance.uniform(-HEAD_START, HEAD_START)
    delays = [max(0, ahead) + chance.uniform(0, SCATTER) for _n in range(TABS)]
    tabs = [
        threading.Thread(target=tab, args=(base, cookies, planted, invoice, answers, barrier, delay))
        for delay in delays
    ]
    for one in tabs:
        one.start()
    barrier.wait()
    time.sleep(max(0, -ahead))
    worker.say("pay")
    for one in tabs:
        one.join()
    worker.wait()
    desk.mood = "take"
    return answers


def settle(options, worker):
    """As if some minutes had passed: the job asks for what is in doubt."""
    with environment(options.database) as env:
        env.cr.execute(
            "UPDATE payment_transaction SET billing_doubt_since = billing_doubt_since - interval '5 minutes'"
            " WHERE billing_doubt_since IS NOT NULL"
        )
        env.cr.commit()
    worker.say("settle")
    worker.wait()


def judge(options, desk, invoices):
    """What is wrong, in words: by the provider's book, the database's transactions, and the payments. And who paid."""
    wrong, winners = [], Counter()
    with environment(options.database) as env:
        for kind, invoice_id in invoices:
            env.cr.execute(
                """SELECT tx.reference, tx.state, tx.billing_doubt_since IS NOT NULL, tx.payment_id, tx.billing_origin
                     FROM payment_transaction tx
                     JOIN account_invoice_transaction_rel rel ON rel.transaction_id = tx.id
                    WHERE rel.invoice_id = %s""",
                [invoice_id],
            )
            attempts = env.cr.fetchall()
            env.cr.execute("SELECT payment_state, amount_residual FROM account_move WHERE id = %s", [invoice_id])
            state, residual = env.cr.fetchone()
            winners.update(f"{kind}: {attempt[4]}" for attempt in attempts if attempt[1] == "done")
            captures = sum(desk.captures[reference] for reference, *_rest in attempts)
            facts = {
                "captures": captures,
                "done": sum(1 for attempt in attempts if attempt[1] == "done"),
                "doubts": sum(1 for attempt in attempts if attempt[2]),
                "payments": sum(1 for attempt in attempts if attempt[3]),
                "residual": float(residual),
            }
            expected = {"captures": 1, "done": 1, "doubts": 0, "payments": 1, "residual": 0.0}
            if facts != expected or state not in ("paid", "in_payment"):
                wrong.append(f"{kind}: invoice {invoice_id} is {state}, {facts}")
        known = {attempt for attempt in desk.captures}
        env.cr.execute("SELECT reference FROM payment_transaction WHERE reference IN %s", [tuple(known) or ("",)])
        lost = known - {row[0] for row in env.cr.fetchall()}
        wrong += [f"the provider took {desk.taken[reference]} for {reference}, unknown here" for reference in lost]
    return wrong, winners


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def experiment(options):
    from odoo.addons.invoice_portal.tests.card_desk import CardDesk  # noqa: PLC0415

    seed = options.seed if options.seed is not None else random.randrange(10**6)
    chance = random.Random(seed)
    print(
        f"   seed {seed} (again: ./dev/test rig cards --seed {seed}), {options.rounds} rounds, {TABS} tabs and the job",
        flush=True,
    )
    started = time.monotonic()
    with environment(options.database) as env:
        planted = plant(env)
    desk = CardDesk()
    port = options.port or free_port()
    base = f"http://127.0.0.1:{port}"
    processes = []
    try:
        processes.append(Process(options, "--serve", desk.url, "--port", str(port)))
        worker = Process(options, "--job", desk.url)
        processes.append(worker)
        until = time.monotonic() + PATIENCE
        while True:
            try:
                requests.get(f"{base}/web/health", timeout=5)
                break
            except requests.RequestException:
                if time.monotonic() > until:
                    sys.exit("the server does not answer")
                time.sleep(0.2)
        cookies = login(base)
        said, invoices, wrong = Counter(), [], []
        for number in range(options.rounds):
            kind = chance.choice(("take", "take", "reset", "trouble", "kill"))
            invoice = new_invoice(options, planted, number)
            invoices.append((kind, invoice[0]))
            answers = round_of(kind, chance, base, cookies, planted, invoice, desk, worker)
            if answers.count("accepted") > 1:
                wrong.append(f"{kind}: {answers.count('accepted')} tabs were let through for invoice {invoice[0]}")
            said.update(answers)
            settle(options, worker)
    finally:
        for one in processes:
            one.kill()
        desk.close()
    contradictions, winners = judge(options, desk, invoices)
    wrong += contradictions
    payers = {winner.rpartition(" ")[2] for winner in winners}
    if options.rounds >= TABS and payers != {"client", "automatic"}:
        wrong.append(f"all was paid by {payers}: the others were never the first")
    kinds = Counter(kind for kind, _id in invoices)
    print(
        f"   {dict(kinds)}; answers to tabs {dict(said)}; paid by {dict(winners)}; "
        f"{sum(desk.captures.values())} captures for "
        f"{len(invoices)} invoices, {len(wrong)} wrong, {time.monotonic() - started:.0f} s"
    )
    for line in wrong:
        print("   " + line)
    return 1 if wrong else 0


def main():
    options = arguments()
    more = ["--max-cron-threads", "0", "--log-level", "critical"]
    if options.port:
        more += ["--http-port", str(options.port), "--http-interface", "127.0.0.1"]
    config.parse_config(["-c", options.config, "-d", options.database, *more])
    if options.serve:
        serve(options)
        return 0
    odoo.modules.module.initialize_sys_path()
    if options.job:
        job(options)
        return 0
    return experiment(options)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)
