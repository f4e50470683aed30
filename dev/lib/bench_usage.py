"""Usage taken in, rated and added up, beside the bare SQL that does the same: see dev/bench."""

import argparse
import csv
import json
import os
import random
import resource
import statistics
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

from odoo import SUPERUSER_ID, api
from odoo.modules.registry import Registry
from odoo.tools import SQL, config

COLUMNS = ("id", "account", "moment", "destination", "quantity")
MONTH = datetime(2026, 3, 1)


class Bench:
    def __init__(self, options):
        self.options = options
        self.cr = Registry(options.database).cursor()
        self.env = api.Environment(self.cr, SUPERUSER_ID, {"lang": "en_US"})
        self.dice = random.Random(1)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.cr.close()

    # -- what there is to do ------------------------------------------------------------------------------------------

    def populate(self):
        env, options = self.env, self.options
        product = env["product.product"].create({"name": "Calls", "type": "service"})
        self.plan = env["billing.rate.plan"].create({"name": "Voice", "product_id": product.id, "tz": "UTC"})
        self.source = env["billing.usage.source"].create(
            {"name": "Switch", "code": "switch", "tz": "UTC", "rate_plan_id": self.plan.id, "with_country": True}
        )
        self.prefixes = sorted(self._prefixes(options.prefixes))
        self.cr.execute(
            """
            INSERT INTO billing_rate_destination (plan_id, company_id, name, tier_mode)
            SELECT %s, %s, 'Destination ' || number, 'none' FROM generate_series(1, 500) number
            """,
            [self.plan.id, env.company.id],
        )
        self.cr.execute(
            """
            INSERT INTO billing_rate (plan_id, company_id, prefix, destination_id, price_unit, minimum, step,
                                      connection_fee, band)
            SELECT %(plan)s, %(company)s, prefix, destination.id, 0.001 * (1 + place %% 97), steps.size, steps.size,
                   CASE WHEN place %% 5 = 0 THEN 0.05 ELSE 0 END, 'any'
              FROM unnest(%(prefixes)s) WITH ORDINALITY AS given (prefix, place)
              JOIN billing_rate_destination destination
                ON destination.plan_id = %(plan)s AND destination.name = 'Destination ' || 1 + place %% 500
              JOIN (VALUES (0, 60), (1, 6), (2, 1)) steps (number, size) ON steps.number = place %% 3
            """,
            {"plan": self.plan.id, "company": env.company.id, "prefixes": self.prefixes},
        )
        self.plan._touch()
        self.cr.execute(
            """
            WITH client AS (
                INSERT INTO res_partner (name, complete_name, active, type, is_company, autopost_bills)
                SELECT 'Client ' || number, 'Client ' || number, TRUE, 'contact', TRUE, 'ask'
                  FROM generate_series(1, %(clients)s) number
             RETURNING id, name
            ), entity AS (
                SELECT id, 4930000000 + row_number() OVER () AS number FROM client
            )
            INSERT INTO billing_usage_account (source_id, company_id, key, number, partner_id)
            SELECT %(source)s, %(company)s, number, number, id FROM entity
            """,
            {"clients": options.clients, "source": self.source.id, "company": env.company.id},
        )
        self.cr.execute("UPDATE res_partner SET commercial_partner_id = id WHERE commercial_partner_id IS NULL")
        self.env.invalidate_all()
        self.file = Path(tempfile.mkdtemp()) / "usage.csv"
        self._write_file()
        self.cr.commit()
        self._analyze()

    def _prefixes(self, count):
        found = {str(number) for number in range(1, 10)}
        while len(found) < count:
            known = self.dice.choice(["49", "44", "33", "1", "7", "86", "91", "351", "420", "998"])
            found.add(known + str(self.dice.randrange(10 ** self.dice.randint(1, 5))))
        return found

    def _write_file(self):
        dice, options = self.dice, self.options
        with self.file.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for number in range(options.records):
                moment = MONTH + timedelta(seconds=dice.randrange(31 * 86400))
                writer.writerow(
                    (
                        f"cdr-{number:09d}",
                        4930000001 + dice.randrange(options.clients),
                        moment.isoformat() + "Z",
                        dice.choice(self.prefixes) + str(dice.randrange(10**5)),
                        0 if dice.random() < 0.1 else dice.randrange(1, 1200),
                    )
                )

    def _analyze(self):
        self.cr.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'billing%'")
        for (table,) in self.cr.fetchall():
            self.cr.execute(SQL("ANALYZE %s", SQL.identifier(table)))
        self.cr.execute("ANALYZE res_partner")
        self.cr.commit()

    # -- the floor ----------------------------------------------------------------------------------------------------

    def floor(self):
        """The same rows: one COPY, one join and aggregate. No index, no check, no record keeps what it cost."""
        timer = Timer(self.cr)
        self.cr.execute(
            "CREATE TEMPORARY TABLE floor (id varchar, account varchar, moment timestamp, destination varchar,"
            " quantity numeric)"
        )
        with self.file.open(encoding="utf-8") as file:
            self.cr.copy_expert("COPY floor FROM STDIN WITH CSV HEADER", file)
        timer.lap("ingest")
        self.cr.execute("SELECT DISTINCT length(prefix) FROM billing_rate ORDER BY 1 DESC")
        lengths = [length for (length,) in self.cr.fetchall()]
        lookups = SQL(" ").join(
            SQL(
                "LEFT JOIN billing_rate %(name)s ON %(name)s.prefix = left(destination, %(length)s)"
                " AND length(%(name)s.prefix) = %(length)s",
                name=SQL.identifier(f"rate_{length}"),
                length=length,
            )
            for length in lengths
        )
        self.cr.execute(
            SQL(
                """
                CREATE TEMPORARY TABLE floor_total AS
                SELECT account.partner_id, rate.destination_id, count(*), sum(quantity),
                       sum(round(CASE WHEN quantity = 0 THEN 0 ELSE
                           connection_fee + ceil(quantity / step) * step * price_unit / 60 END, 6)) AS amount
                  FROM (SELECT floor.*, COALESCE(%(candidates)s) AS rate_id FROM floor %(lookups)s) matched
                  JOIN billing_rate rate ON rate.id = rate_id
                  JOIN billing_usage_account account ON account.number = matched.account
              GROUP BY 1, 2
                """,
                candidates=SQL(", ").join(SQL.identifier(f"rate_{length}", "id") for length in lengths),
                lookups=lookups,
            )
        )
        timer.lap("rate and add up")
        self.cr.execute("SELECT count(*), sum(amount) FROM floor_total")
        result = self.cr.fetchone()
        self.cr.execute("DROP TABLE floor, floor_total")
        self.cr.commit()
        return timer, result

    # -- ours ---------------------------------------------------------------------------------------------------------

    def ours(self):
        # Addons are found when the configuration is read.
        from odoo.addons.invoice_portal_usage.tools.ahead import ahead

        timer = Timer(self.cr)
        usage = self.env["billing.usage"]
        batch = self.env["billing.usage.import"].create({"name": "bench", "source_id": self.source.id, "state": "done"})
        reader = self.source._reader()
        for delivery in ahead(self._deliveries(reader, self.source.id)):
            usage._ingest(self.source, batch, delivery)
            self.cr.commit()
        timer.lap("ingest and rate")
        self.cr.execute(
            """
            SELECT count(*), sum(amount) FROM (
                SELECT sum(amount) AS amount FROM billing_usage WHERE bill_id IS NULL
              GROUP BY partner_id, destination_id
            ) totals
            """
        )
        result = self.cr.fetchone()
        timer.lap("add up")
        self.cr.execute("TRUNCATE billing_usage")
        self.cr.commit()
        return timer, result

    def _deliveries(self, reader, source_id):
        from odoo.addons.invoice_portal_usage.tools.ahead import with_pauses
        from odoo.addons.invoice_portal_usage.tools.delivery import Delivery

        with self.file.open(encoding="utf-8", newline="") as file:
            cells = csv.reader(file)
            next(cells)
            rows = []
            for line, row in enumerate(with_pauses(cells), start=2):
                rows.append(reader.row(dict(zip(COLUMNS, row, strict=True)), line))
                if len(rows) == self.options.chunk:
                    yield Delivery(source_id, rows)
                    rows = []
            if rows:
                yield Delivery(source_id, rows)


class Timer:
    """Seconds of the clock, and of the processors: ours and the database's. The latter do not mind other work."""

    def __init__(self, cr):
        cr.execute("SELECT pg_backend_pid()")
        self._backend = Path(f"/proc/{cr.fetchone()[0]}/stat")
        self.laps = {}
        self._last = self._now()

    def _now(self):
        # Behind the name, which may hold spaces, the 12th and 13th are its seconds in both modes.
        spent = self._backend.read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]
        ticks = sum(map(int, spent)) / os.sysconf("SC_CLK_TCK")
        return time.perf_counter(), time.process_time() + ticks

    def lap(self, name):
        now = self._now()
        self.laps[name] = tuple(after - before for before, after in zip(self._last, now, strict=True))
        self._last = now

    @property
    def total(self):
        return tuple(map(sum, zip(*self.laps.values(), strict=True)))


def main():
    parser = argparse.ArgumentParser(prog="./dev/bench usage")
    parser.add_argument("--config", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--database", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--prefixes", type=int, default=20_000)
    parser.add_argument("--chunk", type=int, default=100_000, help="records per transaction")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    config.parse_config(["-c", options.config, "-d", options.database], setup_logging=True)
    with Bench(options) as bench:
        bench.populate()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rounds = []
        for number in range(options.rounds):
            floor, expected = bench.floor()
            ours, found = bench.ours()
            if expected != found:
                raise SystemExit(f"Not the same: {found} beside {expected}")
            ratios = [mine / bare for mine, bare in zip(ours.total, floor.total, strict=True)]
            rounds.append({"floor": floor.laps, "ours": ours.laps, "clock": ratios[0], "cpu": ratios[1]})
            print(
                f"round {number + 1}: floor {shown(floor)}\n         ours {shown(ours)}\n"
                f"         ratio {ratios[0]:.2f} by the clock, {ratios[1]:.2f} by the processors",
                flush=True,
            )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        clock, cpu = (statistics.median(each[name] for each in rounds) for name in ("clock", "cpu"))
        print(
            f"{options.records:,} records, {options.clients:,} clients, {options.prefixes:,} prefixes:"
            f" ratio {clock:.2f} by the clock, {cpu:.2f} by the processors (must: 3)."
            f" Memory {before // 1024} MB before, {peak // 1024} MB at most."
        )
        if options.json:
            options.json.write_text(
                json.dumps({"clock": clock, "cpu": cpu, "rounds": rounds, "peak_kb": peak}, indent=1)
            )


def shown(timer):
    laps = ", ".join(f"{name} {clock:.1f} ({cpu:.1f})" for name, (clock, cpu) in timer.laps.items())
    return f"{timer.total[0]:.1f} s ({timer.total[1]:.1f} of processors): {laps}"


if __name__ == "__main__":
    main()
