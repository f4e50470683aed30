from odoo.tests import HttpCase, tagged

from .portal import PortalCommon
from .test_card import CardCommon


@tagged("post_install", "-at_install")
class TestPortalCredit(CardCommon, PortalCommon, HttpCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.own_card = cls._new_card(partner=cls.user.partner_id)
        cls.colleague_s_card = cls._new_card(partner=cls.colleague.partner_id)
        cls.foreign_card = cls._new_card(partner=cls.stranger.partner_id)

    def _agreed(self):
        self.env.invalidate_all()
        return self.client.sudo().billing_autopay_card_id

    # -- credit -------------------------------------------------------------------------------------------------------

    def test_it_shows_what_came_in_and_where_it_went(self):
        self.company.sudo().billing_credit_use = "automatic"
        self._add_credit(100, memo="Office only")
        invoice = self._invoice(30)
        self._as(self.user)
        page = self._page("/my/billing/credit")
        self.assertIn(f"Your credit {self._money(70)}", page)
        self.assertIn(f"{invoice.name} : {self._money(30)}", page)
        self.assertIn(f"{self._money(100)} {self._money(70)}", page)
        self.assertNotIn("Office only", page)
        self._as(self.colleague)
        self.assertIn(invoice.name, self._page("/my/billing/credit"))
        self._as(self.stranger)
        page = self._page("/my/billing/credit")
        self.assertIn(f"Your credit {self._money(0)}", page)
        self.assertNotIn(invoice.name, page)

    def test_its_pages_are_for_who_is_logged_in(self):
        self._as(None)
        for path in ("/my/billing/credit", "/my/billing/credit/add?amount=5"):
            self.assertIn("/web/login", self._get(path, allow_redirects=False).headers["Location"])

    def test_what_stands_in_the_address_of_the_cards_is_not_passed_on(self):
        self._as(self.user)
        for query in ("amount=7", "partner_id=1", "invoice_id=1&access_token=x", "is_validation="):
            self.assertEqual(self._get(f"/my/payment_method?{query}").status_code, 200, query)

    def test_amounts_to_add_are_looked_at(self):
        self._as(self.user)
        for amount in ("", "x", "nan", "inf", "-1", "0", "1e300", "0.001"):
            page = self._page(f"/my/billing/credit/add?amount={amount}")
            self.assertNotIn("You pay", page, amount)
            huge = amount in ("inf", "1e300")
            self.assertIn("can be paid at once" if huge else "Type an amount above zero", page, amount)
        self.assertIn(f"You pay {self._money(5.5)}", self._page("/my/billing/credit/add?amount=5,50"))
        # As the language of the client groups digits: never a thousandth of what was meant.
        for typed in ("1,000", "1,000.00"):
            self.assertIn(f"You pay {self._money(1000)}", self._page(f"/my/billing/credit/add?amount={typed}"))
        self.assertIn(f"You pay {self._money(25)}", self._page("/my/billing/credit/add?amount=25&currency=XXX"))
        self.company.sudo().billing_credit_most = 0
        self.assertNotIn("Add credit", self._page("/my/billing/credit"))
        self.assertNotIn("You pay", self._page("/my/billing/credit/add?amount=25"))

    def test_many_entries_are_many_pages(self):
        for _number in range(22):
            self._add_credit(1)
        self._as(self.user)
        first, second = self._get("/my/billing/credit").text, self._get("/my/billing/credit/page/2").text
        self.assertEqual((first.count("/my/billing/receipt/"), second.count("/my/billing/receipt/")), (20, 2))
        self.assertEqual(self._get("/my/billing/credit/page/999").status_code, 200)

    def test_top_up_wants_consent_and_one_s_own_card(self):
        self._as(self.user)
        form = {"below": "20", "amount": "50", "card": self.own_card.id, "agreed": "1"}

        def sent(**changed):
            values = {key: value for key, value in {**form, **changed}.items() if value is not None}
            self._post("/my/billing/top-up", "/my/billing/credit", **values)
            self.env.invalidate_all()
            return self.client.sudo().billing_top_up_card_id

        self.assertFalse(sent(agreed=None))
        self.assertFalse(sent(card=self.colleague_s_card.id))
        self.assertFalse(sent(card=self.foreign_card.id))
        self.assertFalse(sent(below="nan"))
        self.assertFalse(sent(amount="-5"))
        self.assertEqual(sent(), self.own_card)
        page = self._page("/my/billing/credit")
        self.assertIn(f"falls below {self._money(20)}", page)
        self.assertIn(self.user.name, self.client.sudo().billing_top_up_consent)
        self.assertFalse(sent(stop="1"))

    # -- cards --------------------------------------------------------------------------------------------------------

    def test_automatic_payment_wants_consent_and_one_s_own_card(self):
        self._as(self.user)
        page = "/my/payment_method"

        def sent(**form):
            self._post("/my/billing/autopay", page, **form)
            return self._agreed()

        self.assertFalse(sent(card=self.own_card.id))
        for card in (self.colleague_s_card, self.foreign_card):
            self.assertFalse(sent(card=card.id, agreed="1"))
        self.assertFalse(sent(card="x", agreed="1"))
        self.assertEqual(sent(card=self.own_card.id, agreed="1"), self.own_card)
        self.assertIn(self.user.name, self.client.sudo().billing_autopay_consent)
        self.assertIn("Stop automatic payment", self._page(page))
        self.assertIn("are charged to", self._page("/my/billing"))
        self.assertFalse(sent(stop="1"))
        self.assertIn("Pay by itself", self._page(page))

    def test_nobody_agrees_for_another_client_nor_without_the_form(self):
        self._as(self.stranger)
        self._post("/my/billing/autopay", "/my/payment_method", card=self.own_card.id, agreed="1")
        self._as(self.user)
        self._get("/my/billing/autopay", data={"card": self.own_card.id, "agreed": "1"})
        self._as(None)
        self._get("/my/billing/autopay", data={"card": self.own_card.id, "agreed": "1"})
        self.assertFalse(self._agreed())
        self.assertFalse(self.other_client.sudo().billing_autopay_card_id)

    def test_a_colleague_may_stop_what_another_agreed_to(self):
        self.client.sudo()._billing_agree_autopay(self.own_card, "By Ann")
        self._as(self.stranger)
        self._post("/my/billing/autopay", "/my/payment_method", stop="1")
        self.assertEqual(self._agreed(), self.own_card)
        self._as(self.colleague)
        self._post("/my/billing/autopay", "/my/payment_method", stop="1")
        self.assertFalse(self._agreed())


class PortalTours(CardCommon, PortalCommon, HttpCase):
    """What a client comes for, in the browser."""

    def _check_tours(self):
        self.company.sudo().billing_credit_use = "never"
        # One provider to choose, and Odoo's own says at once what came of it.
        self.desk_provider.state = "disabled"
        due, other = self._invoice(120), self._invoice(30)
        self.start_tour("/my/billing", "billing_portal_pay", login=self.user.login)
        self.env.invalidate_all()
        self.assertEqual((due.amount_residual, other.amount_residual), (0, 30))
        self.start_tour("/my/billing", "billing_portal_prepay", login=self.user.login)
        self.assertEqual(self._credit(), 80)


@tagged("post_install", "-at_install")
class TestPortalTours(PortalTours):
    browser_size = "1366x768"

    def test_pay_and_prepay(self):
        self._check_tours()


@tagged("post_install", "-at_install")
class TestPortalToursOnAPhone(PortalTours):
    browser_size = "360x740"
    touch_enabled = True

    def test_pay_and_prepay(self):
        self._check_tours()
