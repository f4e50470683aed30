from odoo.tests import tagged

from odoo.addons.invoice_portal.tests.guarded import GuardedActionsMixin

from .common import LeadCommon


@tagged("post_install", "-at_install")
class TestActions(GuardedActionsMixin, LeadCommon):
    addon = "invoice_portal_crm"

    def _records(self):
        lead = self._new_lead(products=[("Website", 100)])
        return {"crm.lead": lead, "billing.lead.draft": self._ask(lead)}

    def test_clients_learn_nothing_of_others(self):
        stranger = self._new_portal_user(self.other_client, "stranger")
        self._check_turned_away(stranger)
        self._check_calls_turned_away(stranger)

    def test_whoever_sells_and_does_not_bill_learns_nothing(self):
        self._check_turned_away(self.seller)
