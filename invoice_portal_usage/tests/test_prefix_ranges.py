import random
from bisect import bisect_right

from odoo.tests import BaseCase, tagged

from ..tools.prefix_ranges import place, ranges


@tagged("post_install", "-at_install")
class TestPrefixRanges(BaseCase):
    def _rate(self, found, number):
        return found.rates[bisect_right(found.starts, place(number)) - 1]

    def test_a_prefix_within_a_prefix(self):
        found = ranges([("49", 1), ("4915", 2), ("4917", 3), ("50", 4)], otherwise=9)
        for number, rate in [
            ("4", 9), ("49", 1), ("490", 1), ("4914999", 1), ("4915", 2), ("4915999", 2), ("4916", 1), ("49170", 3),
            ("4918", 1), ("499999999999999", 1), ("5", 9), ("50", 4), ("51", 9), ("1", 9),
        ]:  # fmt: skip
            self.assertEqual(self._rate(found, number), rate, number)

    def test_a_number_is_none_of_what_is_longer(self):
        found = ranges([("490", 1), ("4900", 2)])
        self.assertEqual([self._rate(found, number) for number in ("49", "490", "4900", "49000")], [0, 1, 2, 2])

    def test_without_prefixes(self):
        self.assertEqual(self._rate(ranges([], otherwise=7), "49"), 7)

    def test_like_looking_at_each(self):
        seed = random.randrange(10**6)
        dice = random.Random(seed)

        def digits(most):
            return "".join(dice.choice("0159") for _digit in range(dice.randint(1, most)))

        for _round in range(50):
            prefixes = {digits(15 if dice.random() < 0.2 else 5) for _number in range(dice.randint(1, 40))}
            rates = {prefix: number for number, prefix in enumerate(sorted(prefixes), start=1)}
            found = ranges(rates.items(), otherwise=99)
            self.assertEqual(found.starts, sorted(set(found.starts)))
            for _number in range(100):
                number = digits(15)
                if dice.random() < 0.5:
                    number = (dice.choice(list(rates)) + number)[:15]
                fitting = [prefix for prefix in rates if number.startswith(prefix)]
                expected = rates[max(fitting, key=len)] if fitting else 99
                self.assertEqual(self._rate(found, number), expected, f"seed {seed}: {number} of {sorted(rates)}")
