"""Run a command with visible progress and a full log, reading Odoo's log on the way.

Modes: plain (any command), build (odoo -i, -u), test (odoo --test-enable; prints the
totals), serve (odoo). The command ends with us, however we end. Only the standard
library is used: this runs before anything is installed.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

RECORD = re.compile(
    r"^\d{4}-\d\d-\d\d (?P<time>\d\d:\d\d:\d\d),\d+ \d+ (?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL|RUNBOT) "
    r"(?P<db>\S+) (?P<logger>[^\s:]+): (?P<text>.*)$",
    re.DOTALL,
)
COLORS = re.compile(r"\x1b\[[\d;]*m")
TEST = r"(?:Subtest )?(?P<test>setUpClass \(.*?\)|tearDownClass \(.*?\)|\S+)"
STARTED = re.compile(r"^Starting (?P<test>\S+) \.\.\.$")
FAILED = re.compile(r"^(?:FAIL|ERROR): " + TEST)
SKIPPED = re.compile(r"^skipped " + TEST + r" : (?P<reason>.*)", re.DOTALL)
TOTALS = re.compile(r"^\d+ failed, \d+ error\(s\) of (?P<run>\d+) tests when loading database")
LOADING = re.compile(r"^Loading module (?P<module>\S+) \((?P<n>\d+)/(?P<of>\d+)\)")


class Screen:
    """One line that changes on a terminal; now and then a line elsewhere."""

    def __init__(self, label):
        self.tty = sys.stderr.isatty()
        self.label = label
        self.start = self.last = time.monotonic()
        self.shown = False
        self.lock = threading.Lock()

    def progress(self, text=""):
        now = time.monotonic()
        if now - self.last < (0.2 if self.tty else 15):
            return
        with self.lock:
            self.last = now
            line = f"   {self.label}: {int(now - self.start)} s  {text}"
            if self.tty:
                width = shutil.get_terminal_size().columns - 1
                sys.stderr.write("\r\x1b[K" + line[:width])
                self.shown = True
            else:
                sys.stderr.write(line[:110] + "\n")
            sys.stderr.flush()

    def print(self, text):
        with self.lock:
            if self.shown:
                sys.stderr.write("\r\x1b[K")
                self.shown = False
            sys.stderr.write(text + "\n")
            sys.stderr.flush()


class Reader:
    """Puts the lines of a log together to records and keeps what matters."""

    def __init__(self, options, screen):
        self.options = options
        self.screen = screen
        self.harmless = read_patterns(options.harmless)
        self.pending = []
        self.lock = threading.Lock()
        self.moment = 0
        self.tail = []
        self.doing = ""
        self.problems = []  # records of level ERROR or CRITICAL that are not a test's result
        self.warnings = 0
        self.started = {}
        self.failed = {}
        self.skipped = {}
        self.total_run = None
        self.banner_due = options.mode == "serve"
        self.ready = set()

    def line(self, line):
        line = COLORS.sub("", line).rstrip()
        if self.options.stream:
            self.screen.print(line)
        if self.options.mode == "plain":
            if line.strip() and not line.startswith("WARNING"):
                self.doing = line.strip()[:90]
            self.tail = [*self.tail[-29:], line]
            return
        self.tail = [*self.tail[-29:], line]
        self.moment = time.monotonic()
        if record := RECORD.match(line):
            self.flush()
            if record["level"] in ("WARNING", "ERROR", "CRITICAL"):
                self.pending = [line]  # more lines may follow
            else:
                self.info(record["logger"], record["text"])
        elif self.pending:
            self.pending.append(line)

    def flush_idle(self):
        """No line has followed for a while: the record is complete."""
        if self.pending and time.monotonic() - self.moment > 1:
            self.flush()

    def flush(self):
        """Judge the warning or error that is complete."""
        with self.lock:
            if not self.pending:
                return
            text, self.pending = "\n".join(self.pending), []
        record = RECORD.match(text)
        if record["level"] != "WARNING":
            self.error(text, record["logger"], record["text"])
        elif TOTALS.match(record["text"]):
            self.total_run = 0
        elif not self.is_harmless(text):
            self.warnings += 1
            if self.options.mode == "serve" and not self.options.stream:
                self.show(text)

    def info(self, logger, message):
        if self.options.mode == "test":
            self.test(logger, message)
        elif self.options.mode == "build":
            if match := LOADING.match(message):
                self.doing = f"{match['n']}/{match['of']} {match['module']}"
        elif self.options.mode == "serve":
            self.serve(message)

    def error(self, text, logger, message):
        if self.options.mode == "test":
            if TOTALS.match(message):
                self.total_run = int(TOTALS.match(message)["run"])
                return
            if match := FAILED.match(message):
                self.failed.setdefault((logger, match["test"]), []).append(text)
                self.screen.print("\n" + text.rstrip() + "\n")
                return
        if self.is_harmless(text):
            return
        self.problems.append(text)
        if not self.options.stream:
            self.show(text)

    def show(self, text):
        lines = text.rstrip().split("\n")
        if len(lines) > 60:
            lines = [
                *lines[:20],
                f"… {len(lines) - 60} lines, see the full log …",
                *lines[-40:],
            ]
        self.screen.print("\n".join(lines))

    def is_harmless(self, text):
        return any(pattern.search(text) for pattern in self.harmless)

    def test(self, logger, message):
        if match := STARTED.match(message):
            self.started[logger, match["test"]] = True
            self.doing = f"test {len(self.started)}, {match['test']}"
            if self.failed:
                self.doing = f"{len(self.failed)} failed, {self.doing}"
        elif match := SKIPPED.match(message):
            self.skipped[logger, match["test"]] = match["reason"]
        elif match := TOTALS.match(message):
            self.total_run = int(match["run"])
        elif match := LOADING.match(message):
            self.doing = f"loading {match['n']}/{match['of']}"

    def serve(self, message):
        if message.startswith("HTTP service (werkzeug) running"):
            self.ready.add("http")
        elif message.startswith("Registry loaded"):
            self.ready.add("registry")
        if self.banner_due and self.ready == {"http", "registry"}:
            self.banner_due = False
            self.screen.print(Path(self.options.banner).read_text(encoding="utf-8").rstrip())

    # ------------------------------------------------------------------ the end

    def report(self, status):
        """Say how it went; return the exit status."""
        self.flush()
        seconds = time.monotonic() - self.screen.start
        mode = self.options.mode
        if mode == "test":
            return self.report_tests(status, seconds)
        if mode == "build" and self.problems and not status:
            status = 1
        if status and mode != "serve":
            if not self.problems and not self.options.stream:
                self.screen.print("\n".join(f"   | {line}" for line in self.tail))
            self.screen.print(f"   {self.options.label}: failed. Full log: {self.options.log}")
        elif mode != "serve":
            self.screen.print(f"   {self.options.label}: done in {seconds:.0f} s")
        elif status and not self.ready:
            self.screen.print("\n".join(f"   | {line}" for line in self.tail))
        return status

    def report_tests(self, status, seconds):
        failed = len(self.failed)
        skipped = len(self.skipped)
        ended = {key for key in self.failed if key in self.started} | {
            key for key in self.skipped if key in self.started
        }
        passed = len(self.started) - len(ended)
        reasons = []
        if self.problems:
            reasons.append(f"{len(self.problems)} unexpected errors in the log, printed above")
        if self.total_run is None:
            reasons.append("Odoo ended before it gave its totals; the end of its log:\n" + "\n".join(self.tail[-15:]))
        elif self.total_run != len(self.started):
            reasons.append(f"Odoo counts {self.total_run} tests, its log has {len(self.started)}")
        if not self.started and not failed and not skipped:
            reasons.append("no test ran")
        if status and not failed and not reasons:
            reasons.append(f"Odoo ended with status {status}")
        for (_logger, test), reason in self.skipped.items():
            self.screen.print(f"   skipped {test}: {reason.splitlines()[0] if reason else ''}")
        if failed:
            self.screen.print("\nFailed:")
            for logger, test in self.failed:
                self.screen.print(f"   {logger.removeprefix('odoo.addons.').replace('.', '/')}.py:{test}")
        for reason in reasons:
            self.screen.print(f"\nFailed: {reason}")
        if failed or reasons:
            self.screen.print(f"\nFull log: {self.options.log}")
        self.screen.print(f"   {self.options.label}: {seconds:.0f} s, {self.warnings} warnings in the log")
        # What went wrong outside of a test must not read as success either.
        if reasons and not failed:
            failed = 1
        sys.stderr.flush()
        print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
        return 1 if failed else 0


def read_patterns(path):
    if not path:
        return []
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return [re.compile(line) for line in lines if line.strip() and not line.startswith("#")]


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=["plain", "build", "test", "serve"], default="plain")
    parser.add_argument("--label", default="")
    parser.add_argument("--log", required=True)
    parser.add_argument("--stream", action="store_true", help="show every line")
    parser.add_argument("--banner", help="file to print once the server answers")
    parser.add_argument("--harmless", help="file with patterns of log records that mean nothing")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def main():
    options = parse()
    screen = Screen(options.label)
    reader = Reader(options, screen)
    command = options.command
    if shutil.which("setpriv"):  # ends with us even if we are killed outright
        command = ["setpriv", "--pdeathsig", "TERM", *command]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    stopped = []

    def stop(signum, _frame):
        if stopped:
            process.kill()
        else:
            process.terminate()
        stopped.append(signum)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)

    def pump():
        with open(options.log, "w", encoding="utf-8") as log:
            for raw in process.stdout:
                text = raw.decode("utf-8", "replace")
                log.write(text)
                log.flush()
                reader.line(text.rstrip("\r\n").split("\r")[-1])

    thread = threading.Thread(target=pump, daemon=True)
    thread.start()
    while True:
        try:
            status = process.wait(timeout=0.5)
            break
        except subprocess.TimeoutExpired:
            if options.mode == "serve":
                reader.flush_idle()
            if options.mode != "serve" and not options.stream:
                screen.progress(reader.doing)
            elif reader.banner_due and not options.stream:
                screen.progress("starting")
    thread.join(timeout=5)  # a grandchild may keep the pipe open
    if stopped:
        screen.print("")
        os._exit(128 + stopped[0])
    os._exit(reader.report(status if status >= 0 else 128 - status))


if __name__ == "__main__":
    main()
