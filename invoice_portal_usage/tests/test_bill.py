from odoo.tests import tagged

from .bill_common import BillCommon


@tagged("post_install", "-at_install")
class TestBill(BillCommon):
    def test_usage_becomes_a_bill_and_charges_by_destination(self):
        self._used("2026-03-01", 10)
        self._used("2026-03-31", 5, self.mobile)
        self._used("2026-03-12", 2)
        bill = self._bill("2026-04-01")
        self.assertEqual((bill.record_count, bill.amount, bill.exact_amount), (3, 1.32, 1.32))
        self.assertEqual((bill.period_start, bill.period_end), (self._date("2026-03-01"), self._date("2026-03-31")))
        self._assert_charges(bill, (f"d{self.landline.id}", 0.72), (f"d{self.mobile.id}", 0.6))
        self.assertEqual(bill.charge_ids.sorted("id")[0].name, "Germany: 2 records, 12 minutes\n03/01/2026 – 03/31/2026")
        self.assertFalse(self._bill("2026-04-01"), "nothing is left to bill")
