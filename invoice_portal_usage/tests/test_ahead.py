import threading
from contextlib import closing
from unittest.mock import patch

from odoo.tests import BaseCase, tagged

from ..tools.ahead import STRETCH, ahead, with_pauses


@tagged("post_install", "-at_install")
class TestAhead(BaseCase):
    def test_all_in_their_order(self):
        self.assertEqual(list(ahead(range(100))), list(range(100)))
        self.assertEqual(list(ahead([])), [])

    def test_one_ahead_and_no_more(self):
        made, second = [], threading.Event()

        def items():
            for number in range(5):
                made.append(number)
                if number:
                    second.set()
                yield number

        with closing(ahead(items())) as found:
            self.assertEqual(next(found), 0)
            self.assertTrue(second.wait(10), "the next is made while nobody asks")
            self.assertEqual(made, [0, 1])
        self.assertEqual(made, [0, 1], "nothing is made after the end")

    def test_errors_come_where_the_items_are_asked_for(self):
        def items():
            yield 1
            raise ZeroDivisionError

        found = ahead(items())
        self.assertEqual(next(found), 1)
        with self.assertRaises(ZeroDivisionError):
            next(found)

    def test_what_makes_them_is_closed(self):
        ended = []

        def items():
            try:
                yield from range(5)
            finally:
                ended.append(threading.current_thread().name)

        threads = threading.active_count()
        with closing(ahead(items())) as found:
            next(found)
        self.assertEqual(ended, ["reading ahead"])
        self.assertEqual(threading.active_count(), threads)

    def test_pauses_leave_nothing_out(self):
        many = range(3 * STRETCH + 1)
        with patch("time.sleep") as sleep:
            self.assertEqual(list(with_pauses(many)), list(many))
        self.assertEqual(sleep.call_count, 3)
