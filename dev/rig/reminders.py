"""Two processes remind at once, and one of them is killed: is everything said once, in one mail per client?

reminders.py -c CONFIG -d DATABASE [--seed N] [--clients N]     the whole experiment, on a database that may be spoilt
reminders.py -c CONFIG -d DATABASE --work NAME                  one of the workers, as the experiment starts them

Clients with some overdue invoices each are reminded at three levels, one after the other, as if two weeks had passed
between them. Each time two workers begin, one is killed (SIGKILL) at a moment that chance names, while reminders are
written down or while mails leave, and a third goes on. Real processes, real commits, and a mail server that keeps what
it was given. Afterwards that and the database must say the same.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager

import odoo
from odoo import SUPERUSER_ID, api, fields
from odoo.modules.registry import Registry
from odoo.tools import config

INVOICES = 3
LEVELS = ("friendly", "firm", "last")
# Days between the levels as they are installed.
APART = 14
MARK = "REMINDERS "
# Enough for a machine ten times slower than ours; who needs longer hangs.
PATIENCE = 600
ZONES = ("UTC", "Asia/Tokyo", "Asia/Karachi", "America/New_York", "Pacific/Auckland", "America/Los_Angeles")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-c", "--config", required=True)
    parser.add_argument("-d", "--database", required=True)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--clients", type=int, default=60)
    parser.add_argument("--work")
    return parser.parse_args()


@contextmanager
def environment(database):
    with Registry(database).cursor() as cr:
        yield api.Environment(cr, SUPERUSER_ID, {})


# -- a worker ---------------------------------------------------------------------------------------------------------


def work(database, name):
    """The two jobs, as cron would call them."""
    say(name, ready=True)
    sys.stdin.readline()
    with environment(database) as env:
        env["billing.reminder"]._cron_remind()
        env.cr.commit()
        env["billing.mail"]._cron_send()
        env.cr.commit()
    say(name, through=True)


def say(name, **facts):
    print(MARK + json.dumps({"name": name, **facts}), flush=True)


class Worker:
    """One process, and what it said."""

    def __init__(self, options, name):
        self.name = name
        command = [sys.executable, __file__, "-c", options.config, "-d", options.database, "--work", name]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if not self.said():
            raise SystemExit(f"The {name} worker did not start.")

    def go(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def said(self):
        """The next facts; None at the end."""
        for line in self.process.stdout:
            if line.startswith(MARK):
                return json.loads(line.removeprefix(MARK))
            sys.stderr.write(f"{self.name}: {line}")
        return None

    def wait(self):
        if not self.said() or self.process.wait(PATIENCE):
            raise SystemExit(f"The {self.name} worker ended with {self.process.wait()}.")

    def end(self):
        self.process.kill()
        self.process.wait()


# -- the experiment ---------------------------------------------------------------------------------------------------


def plant(env, count, port):
    """Clients with overdue invoices, where it is daytime now, and the mail server. Returns their ids."""
    from odoo.addons.invoice_portal.tools.local_time import local_moment  # noqa: PLC0415

    env["ir.cron"].search([]).active = False
    company = env.company
    if not env["account.journal"].search([("type", "=", "sale"), ("company_id", "=", company.id)]):
        env["account.chart.template"].try_loading("generic_coa", company, install_demo=False)
    env["ir.mail_server"].search([]).active = False
    env["ir.mail_server"].create(
        {"name": "Sink", "smtp_host": "127.0.0.1", "smtp_port": port, "smtp_encryption": "none"}
    )
    company.write({"billing_reminders": True, "email": "billing@rig.example.com"})
    now = fields.Datetime.now()
    zone = next(zone for zone in ZONES if local_moment(now, zone).hour in range(9, 16))
    quiet = env(context={"tracking_disable": True})
    clients = quiet["res.partner"].create(
        [
            {
                "name": f"Client {n:04}",
                "is_company": True,
                "email": f"billing@client{n:04}.example.com",
                "tz": zone,
            }
            for n in range(count)
        ]
    )
    due = fields.Date.subtract(local_moment(now, zone).date(), days=10)
    invoices = quiet["account.move"].create(
        [
            {
                "move_type": "out_invoice",
                "partner_id": client.id,
                "invoice_date": due,
                "invoice_date_due": due,
                "invoice_line_ids": [(0, 0, {"name": "Work", "price_unit": 10 + n, "tax_ids": False})],
            }
            for client in clients
            for n in range(INVOICES)
        ]
    )
    invoices.action_post()
    env.cr.commit()
    return clients.ids


def ask(database, query, *parameters):
    with odoo.sql_db.db_connect(database).cursor() as cr:
        cr.execute(query, parameters or None)
        return cr.fetchall()


def tell(database, *queries):
    with odoo.sql_db.db_connect(database).cursor() as cr:
        for query, *parameters in queries:
            cr.execute(query, parameters or None)
        cr.commit()


def pass_time(database, days):
    """As if so many days had passed."""
    tell(
        database,
        ("UPDATE account_move_line SET date_maturity = date_maturity - %s WHERE date_maturity IS NOT NULL", days),
        ("UPDATE account_move SET invoice_date_due = invoice_date_due - %s WHERE invoice_date_due IS NOT NULL", days),
        ("UPDATE billing_reminder SET date = date - %s", days),
    )


def said_by_now(database, level):
    ((said,),) = ask(
        database,
        """SELECT count(DISTINCT move.commercial_partner_id) FROM billing_reminder row
             JOIN account_move move ON move.id = row.move_id
            WHERE row.fate = 'said' AND row.level_id = %s""",
        level,
    )
    return said


def share(options, sink, level, stage, chance):
    """Let two work, kill one at that stage, let a third go on."""
    workers = [Worker(options, name) for name in ("first", "second")]
    try:
        victim = chance.choice(workers)
        share_done, delay = chance.uniform(0, 0.8), chance.uniform(0, 0.3)
        before = len(sink.messages)
        # One head start, now and then of the other.
        for worker in chance.sample(workers, 2):
            worker.go()
            time.sleep(chance.uniform(0, 0.2))
        until = time.monotonic() + PATIENCE
        while True:
            done = said_by_now(options.database, level) if stage == "writing" else len(sink.messages) - before
            if done > share_done * options.clients:
                break
            if time.monotonic() > until:
                raise SystemExit(f"Nothing moves any more: {done} are done.")
            time.sleep(0.02)
        time.sleep(delay)
        victim.process.send_signal(signal.SIGKILL)
        killed = victim.process.wait() == -signal.SIGKILL
        print(
            f"   the {victim.name} worker was {'killed' if killed else 'through'} when {done} were {stage}:"
            f" {said_by_now(options.database, level)} written, {len(sink.messages) - before} mailed",
            flush=True,
        )
        workers.append(Worker(options, "third"))
        workers[-1].go()
        for worker in workers:
            if worker is not victim:
                worker.wait()
        # As if the time had passed after which somebody looks at what a dead process left.
        tell(options.database, ("UPDATE billing_mail SET tried_on = tried_on - interval '1 hour'",))
        last = Worker(options, "fourth")
        workers.append(last)
        last.go()
        last.wait()
        return killed
    finally:
        for worker in workers:
            worker.end()


def verdicts(options, sink, level, before, killed):
    """`(what is claimed, what contradicts it)`."""
    arrived = Counter(to for message in sink.messages[before:] for to in message["to"])
    yield "nobody got two mails", [pair for pair in arrived.items() if pair[1] != 1]
    mails = ask(
        options.database,
        """SELECT client.email, count(DISTINCT mail.id), count(DISTINCT row.move_id),
                  bool_and(mail.sent_on IS NOT NULL), bool_and(mail.state = 'done')
             FROM res_partner client
             JOIN account_move move ON move.commercial_partner_id = client.id
             JOIN billing_reminder row ON row.move_id = move.id AND row.level_id = %s AND row.fate = 'said'
             JOIN billing_mail mail ON mail.id = row.mail_id
            GROUP BY client.id""",
        level,
    )
    yield "everybody is written to", [] if len(mails) == options.clients else [len(mails)]
    yield "one mail per client, about all its invoices", [row for row in mails if row[1:3] != (1, INVOICES)]
    yield "nothing is under way", [row for row in mails if not row[4]]
    yield (
        "what arrived is noted as sent, but for what was leaving when the process died",
        [row for row in mails if row[3] != (row[0] in arrived)][1 if killed else 0 :],
    )
    yield (
        "each level is said once per invoice",
        ask(
            options.database,
            "SELECT move_id, level_id, count(*) FROM billing_reminder GROUP BY 1, 2 HAVING count(*) > 1",
        ),
    )
    yield (
        "what missed everybody waits for a person, and is one mail at most",
        [row for row in mails if row[0] not in arrived][1 if killed else 0 :],
    )


def experiment(options):
    from odoo.addons.invoice_portal.tests.smtp_sink import SmtpSink  # noqa: PLC0415

    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    print(f"   seed {seed} (again: ./dev/test rig reminders --seed {seed})", flush=True)
    began, wrong, kills = time.monotonic(), 0, 0
    sink = SmtpSink()
    try:
        with environment(options.database) as env:
            plant(env, options.clients, sink.port)
            levels = env["billing.reminder.level"].search([("days", ">", 0)], order="days").ids
        print(f"   {options.clients} clients with {INVOICES} overdue invoices each, {len(levels)} levels", flush=True)
        stages = chance.sample(("writing", "mailing", "mailing"), 3)
        for level, name, stage in zip(levels, LEVELS, stages, strict=True):
            before = len(sink.messages)
            killed = share(options, sink, level, stage, chance)
            kills += killed
            for claim, contradictions in verdicts(options, sink, level, before, killed):
                print(f"   {'FAILED' if contradictions else 'ok'}: {name}: {claim}", flush=True)
                for row in contradictions[:10]:
                    print(f"      {row}")
                wrong += bool(contradictions)
            pass_time(options.database, APART)
    finally:
        sink.close()
    if not kills:
        print("   FAILED: all were through before they could be killed; let them have more clients")
        wrong += 1
    print(
        f"   {len(sink.messages)} mails to {options.clients} clients at {len(LEVELS)} levels, {kills} processes killed,"
        f" {wrong} wrong, {time.monotonic() - began:.0f} s"
    )
    return wrong


def main():
    options = arguments()
    config.parse_config(["-c", options.config, "-d", options.database, "--no-http", "--log-level", "critical"])
    odoo.modules.module.initialize_sys_path()
    if options.work:
        work(options.database, options.work)
        return 0
    return 1 if experiment(options) else 0


if __name__ == "__main__":
    sys.exit(main())
