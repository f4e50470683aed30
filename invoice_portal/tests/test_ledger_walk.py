import logging
import os
import random
from collections import Counter
from contextlib import nullcontext
from decimal import ROUND_HALF_UP, Decimal

from freezegun import freeze_time

from odoo import fields
from odoo.tests import tagged

from .test_payment import PaymentCommon

_logger = logging.getLogger(__name__)

CENT = Decimal("0.01")
ANALYZE = (
    "ANALYZE account_move, account_move_line, account_payment, account_partial_reconcile, account_full_reconcile, "
    "account_move__account_payment"
)
ANALYZE_BEFORE = (2, 5, 10, 20, 40)


def money(amount):
    return Decimal(str(amount)).quantize(CENT, ROUND_HALF_UP)


class Book:
    """What everybody owes, in decimals and without an entry: the other opinion.

    What is due and what is open go up and down by the amounts that somebody typed. Only where a credit in another
    currency is used, what is taken from it is not known to the cent beforehand: it is asked for, and checked to be what
    the rates say, give or take their rounding.
    """

    def __init__(self):
        self.due = {}
        self.open = {}
        # What was given back, and is covered by no credit any more.
        self.given = {}
        # {(invoice or refund, credit): [what it settles of the one, what it takes of the other]}
        self.matched = {}

    def settle(self, debit, credit, amount, taken):
        (self.given if debit in self.given else self.due)[debit] -= amount
        self.open[credit] -= taken
        share = self.matched.setdefault((debit, credit), [Decimal(0), Decimal(0)])
        share[0] += amount
        share[1] += taken

    def release(self, debit, credit):
        amount, taken = self.matched.pop((debit, credit))
        (self.given if debit in self.given else self.due)[debit] += amount
        self.open[credit] += taken

    def of_debit(self, debit):
        return [pair[1] for pair in self.matched if pair[0] == debit]

    def of_credit(self, credit):
        return [pair[0] for pair in self.matched if pair[1] == credit]


@tagged("post_install", "-at_install")
class TestLedgerWalk(PaymentCommon):
    """Random steps of a bookkeeper's day; after each of them, every entry and every balance has to be right.

    `BILLING_WALK=200x50` walks further, `BILLING_WALK_SEED=7` repeats what a failure has printed.
    """

    @classmethod
    def _on(cls, day):
        # Stopping the clock anew for each step takes longer than the step.
        return nullcontext()

    def test_random_walks(self):
        walks, steps = (int(number) for number in os.environ.get("BILLING_WALK", "4x20").split("x"))
        first = os.environ.get("BILLING_WALK_SEED")
        seeds = [int(first)] if first else [random.SystemRandom().randrange(10**6) for _walk in range(walks)]
        _logger.info("Ledger walks: %s × %s steps, seeds %s", len(seeds), steps, seeds)
        self.counts = Counter()
        for number, seed in enumerate(seeds, start=1):
            with self.subTest(seed=seed):
                savepoint = self.env.cr.savepoint()
                try:
                    with freeze_time("2026-01-05") as self.clock:
                        self._walk(random.Random(seed), steps)
                except Exception:
                    _logger.error("BILLING_WALK_SEED=%s BILLING_WALK=1x%s, after: %s", seed, steps, self.trail)
                    raise
                finally:
                    savepoint.close(rollback=True)
                    self.env.invalidate_all(flush=False)
            _logger.info("Ledger walk %s: seed %s, %s steps so far", number, seed, self.counts.total())
        _logger.info("Ledger walks: %s", dict(self.counts))

    def _walk(self, dice, steps):
        self.dice, self.book, self.trail, self.seen = dice, Book(), [], self.env["account.move"].search([])
        self.day = fields.Date.to_date("2026-01-05")
        self.walker = self._new_client(f"Walker {dice.random()}")
        moves = (
            ("bill", 5),
            ("pay", 4),
            ("part_pay", 4),
            ("overpay", 2),
            ("advance", 2),
            ("allocate", 6),
            ("release", 3),
            ("spend", 2),
            ("credit_note", 2),
            ("refund", 2),
            ("void", 1),
            ("undo", 2),
        )
        self.clock.move_to(self.day)
        self._bill()
        for step in range(steps):
            if step in ANALYZE_BEFORE:
                # Nobody else does in a transaction that never ends; for empty tables, the plan of Odoo's question for
                # the payments of an invoice takes longer with each entry that there is.
                self.env.cr.execute(ANALYZE)
            said = None
            while not said:
                # Some find nothing to do: another one, then.
                name = dice.choices([move[0] for move in moves], [move[1] for move in moves])[0]
                said = getattr(self, f"_{name}")()
            self.trail.append(f"{name} {said}")
            self.counts[name] += 1
            self._check()
            self.day = fields.Date.add(self.day, days=dice.randrange(4))
            self.clock.move_to(self.day)

    # -- steps: each says what it did, or nothing where there is nothing to do ----------------------------------------

    def _amount(self, below):
        """From a cent to that much."""
        return money(self.dice.randint(1, max(1, int(below * 100)))) / 100

    def _currency(self):
        return self.dice.choice([self.company.currency_id, self.euro])

    def _pick(self, amounts, wanted=lambda record: True):
        found = [record for record, amount in amounts.items() if amount > 0 and wanted(record)]
        return self.dice.choice(found) if found else None

    def _bill(self):
        invoice = self._invoice(
            float(self._amount(Decimal(500))), str(self.day), self.walker, currency_id=self._currency().id
        )
        self.book.due[invoice] = money(invoice.amount_total)
        return f"{invoice.name} {invoice.amount_total} {invoice.currency_id.name}"

    def _recorded(self, invoice, amount):
        payment = self._paid(invoice, float(amount), str(self.day))
        self.assertEqual(len(payment), 1)
        self.book.open[payment] = amount
        self.book.settle(invoice, payment, used := min(amount, self.book.due[invoice]), used)
        return f"{invoice.name} by {amount}"

    def _pay(self):  # pylint: disable=arguments-differ
        if invoice := self._pick(self.book.due):
            return self._recorded(invoice, self.book.due[invoice])
        return None

    def _part_pay(self):
        if invoice := self._pick(self.book.due):
            return self._recorded(invoice, self._amount(self.book.due[invoice]))
        return None

    def _overpay(self):
        if invoice := self._pick(self.book.due):
            return self._recorded(invoice, self.book.due[invoice] + self._amount(Decimal(50)))
        return None

    def _advance(self):
        amount = self._amount(Decimal(300))
        payment = self._credit(float(amount), str(self.day), self.walker, self._currency())
        self.book.open[payment] = amount
        return f"{payment.name} {amount} {payment.currency_id.name}"

    def _entry(self, credit):
        return credit.move_id if credit._name == "account.payment" else credit

    def _open_of(self, credit):
        lines = self._entry(credit)._billing_open_terms()
        return money(-sum(lines.mapped("amount_residual_currency")))

    def _allocate(self, *args):
        if args:
            return super()._allocate(*args)
        credit, invoice = self._pick(self.book.open), self._pick(self.book.due)
        if not credit or not invoice:
            return None
        wizard = self.env["billing.payments"].browse(invoice.action_billing_payments()["res_id"])
        row = wizard.credit_ids.filtered(lambda row: row.line_ids.move_id == self._entry(credit))
        if not row:
            # In another currency, less than a cent.
            return None
        self.assertEqual(money(row.open_amount), self.book.open[credit])
        same = credit.currency_id == invoice.currency_id
        if same:
            self.assertEqual(money(row.worth), self.book.open[credit])
        most = min(money(row.worth), self.book.due[invoice])
        amount = self.dice.choice([most, self._amount(most)])
        before = self._open_of(credit)
        row.amount = float(amount)
        wizard.action_allocate()
        taken = before - self._open_of(credit)
        if same:
            self.assertEqual(taken, amount)
        else:
            expected = before * amount / money(row.worth)
            self.assertLessEqual(abs(taken - expected), Decimal("0.03") + expected / 1000)
        self.book.settle(invoice, credit, amount, taken)
        return f"{amount} of {credit.display_name} to {invoice.name}"

    def _credits(self, currency):
        """What is open in this currency, the oldest first."""
        found = [credit for credit, rest in self.book.open.items() if rest and credit.currency_id == currency]
        return sorted(found, key=lambda credit: (credit.date, self._entry(credit)._billing_terms().ids))

    def _settle_oldest(self, debit, amount):
        for credit in self._credits(debit.currency_id):
            part = min(amount, self.book.open[credit])
            if part:
                self.book.settle(debit, credit, part, part)
                amount -= part
        self.assertFalse(amount)

    def _spend(self):
        invoice = self._pick(self.book.due, lambda move: self._credits(move.currency_id))
        if not invoice:
            return None
        credit = sum(self.book.open[credit] for credit in self._credits(invoice.currency_id))
        self.assertEqual(money(invoice.billing_credit_available), credit)
        invoice.action_billing_apply_credit()
        self._settle_oldest(invoice, used := min(credit, self.book.due[invoice]))
        return f"{used} of all credit on {invoice.name}"

    def _refund(self):
        currency = self._currency()
        credit = sum(self.book.open[credit] for credit in self._credits(currency))
        if not credit:
            return None
        wizard = self.env["billing.credit.refund"].browse(self.walker.action_billing_refund_credit()["res_id"])
        wizard.currency_id = currency
        self.assertEqual(money(wizard.available), credit)
        amount = self.dice.choice([credit, self._amount(credit)])
        wizard.amount = float(amount)
        refund = self.env["account.payment"].browse(wizard.action_confirm()["context"]["active_ids"])
        self.assertEqual((refund.payment_type, money(refund.amount)), ("outbound", amount))
        self.book.given[refund] = amount
        self._settle_oldest(refund, amount)
        return f"{refund.name} {amount} {currency.name}"

    def _release(self):
        pairs = sorted(self.book.matched, key=lambda pair: (pair[0].id, pair[1]._name, pair[1].id))
        pairs = [pair for pair in pairs if pair[0] in self.book.due and not pair[0].billing_void_move_id]
        if not pairs:
            return None
        invoice, credit = self.dice.choice(pairs)
        entry = self._entry(credit)
        wizard = self.env["billing.payments"].browse(invoice.action_billing_payments()["res_id"])
        for row in wizard.item_ids.filtered(lambda row: row.entry_id == entry and row.may_release):
            row.action_release()
        self.book.release(invoice, credit)
        return f"{credit.display_name} from {invoice.name}"

    def _credit_note(self, *args):  # pylint: disable=arguments-differ
        invoice = self._pick(self.book.due, lambda move: not move.billing_void_move_id)
        if not invoice:
            return None
        amount = self._amount(self.book.due[invoice])
        note = super()._credit_note(invoice, float(amount), str(self.day))
        self.book.open[note] = amount
        used = amount - self._open_of(note)
        # Odoo matches it with the invoice that it reverses, and all of it, as it is no more than is due.
        self.assertEqual(used, amount)
        self.book.settle(invoice, note, amount, amount)
        return f"{note.name} {amount} on {invoice.name}"

    def _void(self):
        invoice = self._pick(
            dict.fromkeys(self.book.due, 1),
            lambda move: not move._billing_why_not("void"),
        )
        if not invoice:
            return None
        for credit in self.book.of_debit(invoice):
            self.book.release(invoice, credit)
        invoice._billing_void("Walk")
        self.book.due[invoice] = Decimal(0)
        return invoice.name

    def _undo(self):
        payment = self._pick(
            dict.fromkeys([*self.book.open, *self.book.given], 1), lambda record: record._name == "account.payment"
        )
        if not payment:
            return None
        for debit in self.book.of_credit(payment):
            self.book.release(debit, payment)
        for credit in self.book.of_debit(payment):
            self.book.release(payment, credit)
        payment._billing_undo("Walk")
        del (self.book.given if payment in self.book.given else self.book.open)[payment]
        return payment.name

    # -- what has to be true after each ------------------------------------------------------------------------------

    def _check(self):
        self.env.flush_all()
        self.env.invalidate_all()
        entries = self.env["account.move"].search([("id", "not in", self.seen.ids)])
        self.assertBalanced(entries)
        # Together, as each of them alone would be fetched by queries of its own.
        for invoice in self._together(self.book.due):
            due = self.book.due[invoice]
            self.assertGreaterEqual(due, 0)
            self.assertEqual(money(invoice.billing_balance), due, invoice.name)
            self.assertTrue(
                all(
                    invoice.currency_id.compare_amounts(term.amount_residual_currency, 0) >= 0
                    for term in invoice._billing_terms()
                )
            )
            if not due:
                self.assertFalse(sum(invoice._billing_terms().mapped("amount_residual")), invoice.name)
                self.assertIn(invoice.billing_status, ("paid", "void"))
            else:
                self.assertIn(invoice.billing_status, ("finalized", "sent", "partial", "overdue"))
        for credit in (*self._together(self.book.open, "account.payment"), *self._together(self.book.open)):
            self.assertGreaterEqual(self.book.open[credit], 0)
            self.assertEqual(self._open_of(credit), self.book.open[credit], credit.display_name)
        for refund in self._together(self.book.given, "account.payment"):
            self.assertGreaterEqual(self.book.given[refund], 0)
            self.assertEqual(-self._open_of(refund), self.book.given[refund], refund.display_name)
        lines = self.env["account.move.line"].search(
            [
                ("partner_id", "=", self.walker.id),
                ("account_type", "=", "asset_receivable"),
                ("parent_state", "=", "posted"),
            ]
        )
        said = self.walker._billing_credit_amounts().get(self.walker, {})
        for currency in self.company.currency_id | self.euro:
            mine = lines.filtered(lambda line, currency=currency: line.currency_id == currency)
            debits = [*self.book.due.items(), *self.book.given.items()]
            owed = sum(rest for record, rest in debits if record.currency_id == currency)
            credit = sum(rest for record, rest in self.book.open.items() if record.currency_id == currency)
            self.assertEqual(money(sum(mine.mapped("amount_residual_currency"))), owed - credit)
            open_credit = mine.filtered(lambda line: line.amount_residual_currency < 0)
            self.assertEqual(money(-sum(open_credit.mapped("amount_residual_currency"))), credit)
            self.assertEqual(money(said.get(currency, 0)), credit)
        # In the books, nothing is left over: what the accounts say is what the open entries say.
        self.assertEqual(money(sum(lines.mapped("balance"))), money(sum(lines.mapped("amount_residual"))))

    def _together(self, records, model="account.move"):
        return self.env[model].union(*(record for record in records if record._name == model))
