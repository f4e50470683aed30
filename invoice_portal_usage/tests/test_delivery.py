from odoo.tests import BaseCase, tagged

from ..tools.copy_rows import LINES_IN_BLOCK, Blocks
from ..tools.delivery import Delivery
from ..tools.usage_row import Row


def row(line, external_id, quantity="60", **given):
    values = {
        "line": line,
        "external_id": external_id,
        "account": "4930123",
        "client": None,
        "subscription": None,
        "moment": "2026-03-01 10:00:00",
        "destination": "33",
        "quantity": quantity,
        "attributes": None,
    }
    return Row(**(values | given))


@tagged("post_install", "-at_install")
class TestDelivery(BaseCase):
    def test_each_id_once(self):
        delivery = Delivery(7, [row(1, "a"), row(2, "b"), row(3, "a"), row(4, "b", "61"), row(5, "c")])
        self.assertEqual(delivery.count, 3)
        self.assertEqual(delivery.repeated, [3], "the same in another line")
        self.assertEqual(delivery.changed, [(4, "b")])
        lines = "".join(delivery.blocks).splitlines()
        self.assertEqual([line.split("\t")[:3] for line in lines], [["7", "1", "a"], ["7", "2", "b"], ["7", "5", "c"]])

    def test_halves_are_the_whole(self):
        delivery = Delivery(7, [row(number, f"id {number}") for number in range(5)])
        first, second = delivery.halves()
        self.assertEqual([len(first), len(second)], [2, 3])
        self.assertEqual("".join([*first.blocks, *second.blocks]), "".join(delivery.blocks))
        self.assertFalse(Delivery(7, []))

    def test_many_rows_are_read_in_few_pieces_as_often_as_wanted(self):
        delivery = Delivery(7, [row(number, f"id {number}") for number in range(2 * LINES_IN_BLOCK + 1)])
        for _attempt in range(2):
            file = Blocks(delivery.blocks)
            pieces = []
            while piece := file.read(8192):
                pieces.append(piece)
            self.assertEqual([piece.count("\n") for piece in pieces], [LINES_IN_BLOCK, LINES_IN_BLOCK, 1])

    def test_what_copy_would_take_for_something_else(self):
        [block] = Delivery(7, [row(1, r"a\N", destination="\\.")]).blocks
        self.assertIn("\ta\\\\N\t", block)
        self.assertIn("\t\\\\.\t", block)
