from odoo import SUPERUSER_ID
from odoo.tests import tagged
from odoo.tools import convert_file

from .common import BillingCommon


@tagged("post_install", "-at_install")
class TestDemo(BillingCommon):
    """The demo business, loaded into a company of its own."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env = cls.env(user=SUPERUSER_ID, context={"allowed_company_ids": cls.company.ids})
        cls.env.ref("payment.payment_provider_demo").company_id = cls.company
        cls._load()

    @classmethod
    def _load(cls):
        convert_file(cls.env, "invoice_portal", "demo/billing_demo.xml", {}, mode="init", noupdate=True)
        cls.env.flush_all()
        cls.clients = cls.env["billing.demo"]._clients()
        cls.invoices = cls.env["account.move"].search([("commercial_partner_id", "in", cls.clients.ids)])
        cls.charges = cls.env["billing.charge"].search([("partner_id", "in", cls.clients.ids)])
        cls.cases = cls.env["project.task"].search([("project_id", "in", cls._projects().ids)])

    @classmethod
    def _projects(cls):
        names = cls.env["ir.model.data"].search(
            [("module", "=", "invoice_portal"), ("model", "=", "project.project"), ("name", "=like", "demo_%")]
        )
        return cls.env["project.project"].browse(names.mapped("res_id"))

    def _every(self, model, fname, but=()):
        return {value for value, _label in self.env[model]._fields[fname].selection} - set(but)

    def test_every_state_occurs(self):
        invoices = self.invoices.filtered("billing_status")
        self.assertEqual(set(invoices.mapped("billing_status")), self._every("account.move", "billing_status"))
        self.assertEqual(set(self.charges.mapped("state")), self._every("billing.charge", "state"))
        self.assertEqual(
            set(self.cases.mapped("billing_state")), self._every("project.task", "billing_state", but=["sold"])
        )
        self.assertGreater(len(invoices), 100)
        subscriptions = self.env["billing.subscription"].search([("partner_id", "in", self.clients.ids)])
        self.assertEqual(set(subscriptions.mapped("state")), self._every("billing.subscription", "state"))

    def test_subscriptions_are_charged_up_to_today(self):
        """What is due by the first of this month was billed on it."""
        subscriptions = self.env["billing.subscription"].search([("partner_id", "in", self.clients.ids)])
        self.assertFalse(subscriptions._preview_charges(self.env["billing.demo"]._day(0)))

    def test_the_books_are_square(self):
        lines = self.env["account.move.line"].search([("company_id", "=", self.company.id)])
        self.assertTrue(lines)
        self.assertAlmostEqual(sum(lines.mapped("balance")), 0)
        for move in lines.move_id:
            self.assertAlmostEqual(sum(move.line_ids.mapped("balance")), 0, msg=move.name)

    def test_loading_again_changes_nothing(self):
        def count():
            models = (
                "account.move",
                "account.payment",
                "billing.charge",
                "billing.subscription",
                "project.task",
                "res.partner",
                "res.users",
            )
            return [self.env[model].with_context(active_test=False).search_count([]) for model in models]

        before, states = count(), self.charges.mapped("state")
        self._load()
        self.assertEqual(count(), before)
        self.assertEqual(self.charges.mapped("state"), states)

    def test_some_were_reminded_and_more_is_due(self):
        reminders = self.env["billing.reminder"].search([("move_id", "in", self.invoices.ids)])
        self.assertEqual(set(reminders.mapped("state")), {"sent"})
        letters, left_out = self.env["billing.reminder"]._due_letters(self.company)
        self.assertTrue(letters)
        self.assertTrue(left_out)

    def test_one_has_credit_that_was_spent_in_part(self):
        client = self.env["billing.demo"]._client("marisol")
        credit = client._billing_credit_amounts(self.company)[client]
        self.assertTrue(all(amount > 0 for amount in credit.values()))
        history = self.env["account.move.line"].search(client.action_billing_credit()["domain"])
        self.assertTrue(any(line.billing_credit_spent_on and line.reconciled for line in history))

    def test_a_card_was_refused(self):
        client = self.env["billing.demo"]._client("bramble")
        attempt = self.env["payment.transaction"].search([("billing_origin", "=", "automatic")])
        self.assertEqual((attempt.state, attempt.state_message), ("error", "Insufficient funds"))
        self.assertEqual(attempt.invoice_ids.billing_status, "overdue")
        self.assertTrue(client.with_company(self.company).billing_autopay_card_id)

    def test_nobody_gets_a_mail(self):
        self.assertFalse(self.env["mail.mail"].search([("state", "=", "outgoing")]))
        self.assertFalse(self.env["billing.mail"].search([("state", "!=", "done")]))
        self.assertFalse(self.company.billing_reminders)
