from unittest.mock import patch

from odoo import Command
from odoo.tests import tagged

from ..models import account_move_number
from ..tools.undone import undone
from .common import BillingCommon


@tagged("post_install", "-at_install")
class TestNumbersTogether(BillingCommon):
    def _new_invoice(self, number=False, date="2026-03-10", **values):
        return self.env["account.move"].create(
            {
                "move_type": "out_invoice",
                "partner_id": self.client.id,
                "invoice_date": date,
                "invoice_line_ids": [Command.create({"name": "Typed", "price_unit": 10})],
                **({"name": number} if number else {}),
                **values,
            }
        )

    def _numbers(self):
        with undone(self.env):
            self._new_invoice("INV/2026/00007")._billing_finalize()
            dates = "2026-03-10", "2027-01-05", "2026-03-10", "2026-04-01", "2025-12-31", "2027-01-05", "2026-03-10"
            moves = self.env["account.move"].union(*(self._new_invoice(date=date) for date in dates))
            moves += self._new_invoice("INV/2026/00008")
            moves += self._new_invoice(date="2026-03-10")
            moves._billing_finalize()
            (later := self._new_invoice())._billing_finalize()
            return (moves + later).mapped("name")

    def test_numbers_given_together_are_those_given_one_by_one(self):
        together = self._numbers()
        with patch.object(self.registry["account.move"], "_billing_number_follows", lambda self: False):
            self.assertEqual(self._numbers(), together)
        self.assertEqual(len(set(together)), len(together))
        self.assertEqual(together[1:6:4], ["INV/2027/00001", "INV/2027/00002"])

    def test_an_addon_that_numbers_otherwise_is_asked_each_time(self):
        moves = self.env["account.move"]
        self.assertFalse(moves._billing_numbered_otherwise())
        self.env.registry.clear_cache()
        with patch.object(account_move_number, "KNOWN_ADDONS", account_move_number.KNOWN_ADDONS - {"account"}):
            self.assertTrue(moves._billing_numbered_otherwise())
        self.env.registry.clear_cache()
