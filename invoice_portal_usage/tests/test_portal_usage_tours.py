import unittest

from odoo.tests import tagged

from odoo.addons.invoice_portal.tests.test_portal_axe import AXE, AxeMixin

from .portal_usage import UsagePortalCommon


class TourCommon(UsagePortalCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.invoice, cls.bill = cls._invoiced(cls._calls_of_last_month())
        cls._used(cls.landline, 3600, 3.6, destination="4930777777", external_id="open")


@tagged("post_install", "-at_install")
class TestUsageTour(TourCommon):
    browser_size = "1366x900"

    def test_from_usage_to_the_invoice_by_day_and_the_month_s_file(self):
        self.start_tour("/my/billing", "billing_usage_portal", login=self.user.login)


@tagged("post_install", "-at_install")
class TestUsageTourOnAPhone(TourCommon):
    browser_size = "360x780"
    touch_enabled = True

    def test_from_usage_to_the_invoice_by_day_and_the_month_s_file(self):
        self.start_tour("/my/billing", "billing_usage_portal", login=self.user.login)


@unittest.skipUnless(AXE, "INVOICE_PORTAL_AXE does not name axe-core's file; ./dev/test fetches it where npm is there")
@tagged("post_install", "-at_install")
class TestUsageAxe(AxeMixin, TourCommon):
    """As `TestPortalAxe`, of the pages about usage."""

    browser_size = "1366x900"

    def test_pages_of_a_client_who_uses_something(self):
        self._used(rate_id=None, destination_id=None, unrated_reason="rate", amount=0)
        self.env["billing.usage.limit"].create({"partner_id": self.client.id, "amount": 3, "stops": True})
        line = self.invoice.invoice_line_ids[0]
        self.named = {"invoice": self.invoice.id, "bill": self.bill.id, "line": line.id}
        self._look(
            [
                ("/my/billing", None),
                ("/my/billing/usage", "details"),
                ("/my/billing/usage?period={bill}", None),
                ("/my/billing/usage/records", "details"),
                ("/my/billing/usage/records?line={line}", None),
                ("/my/billing/usage/records?search=nothing", None),
                ("/my/invoices/{invoice}", "details"),
                ("/my/invoices/{invoice}?usage=day", "details"),
            ],
            self.user,
        )
