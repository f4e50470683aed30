from odoo import Command
from odoo.tests import tagged

from ..tools.grant import granted
from .guarded import GuardedActionsMixin
from .test_card import CardCommon


@tagged("post_install", "-at_install")
class TestActions(GuardedActionsMixin, CardCommon):
    addon = "invoice_portal"
    open_calls = {"ir.actions.report.get_wkhtmltopdf_state": "Odoo's own, says what is installed"}

    def _records(self):
        env, invoice = self.env, self._finalized(self._new_charge() | self._new_charge("Hosting"))
        cycle = env["billing.cycle"].sudo().search([], limit=1)
        run = env["billing.run"].sudo().create({"company_id": self.company.id})
        client = (
            env["billing.run.client"]
            .sudo()
            .create(
                {
                    "run_id": run.id,
                    "company_id": self.company.id,
                    "partner_id": self.client.id,
                    "currency_id": self.company.currency_id.id,
                    "state": "failed",
                }
            )
        )
        draft = self._draft(self._new_charge("Draft"))
        subscription = env["billing.subscription"].create(
            {"partner_id": self.client.id, "date_start": "2026-01-01", "package_id": self._new_package().id}
        )
        batch = env["billing.mail.batch"].sudo().create({})
        mail = env["billing.mail"].sudo().create({"move_id": invoice.id, "batch_id": batch.id})
        recipient = (
            env["billing.mail.recipient"].sudo().create({"mail_id": mail.id, "kind": "to", "email": "x@example.com"})
        )
        card = self._new_card()
        attempt = self._charge(self._finalized(self._new_charge("Card")), card)
        paid = self._finalized(self._new_charge("Paid"))
        payment = self._pay(paid, 10)
        env.flush_all()
        payments = env["billing.payments"].browse(paid.action_billing_payments()["res_id"])
        level = env["billing.reminder.level"].search([], limit=1)
        reminder = (
            env["billing.reminder"]
            .sudo()
            .create({"move_id": invoice.id, "level_id": level.id, "date": "2026-01-01", "mail_id": mail.id})
        )
        line = invoice.invoice_line_ids[:1]
        granted(env["billing.dispute"].sudo()).create(
            {"line_id": line.id, "author_id": self.client.id, "amount": 1, "kind": "other", "words": "No"}
        )
        return {
            "account.move": invoice,
            "account.payment": payment,
            "account.move.send.wizard": env["account.move.send.wizard"].create({"move_id": invoice.id}),
            "account.move.send.batch.wizard": env["account.move.send.batch.wizard"].create(
                {"move_ids": [Command.set(invoice.ids)]}
            ),
            "billing.autopay": env["billing.autopay"].create({"partner_id": self.client.id}),
            "billing.top.up": env["billing.top.up"].create({"partner_id": self.client.id}),
            "billing.card.charge": env["billing.card.charge"].create({"move_id": invoice.id, "card_id": card.id}),
            "billing.card.resolve": env["billing.card.resolve"].create({"transaction_id": attempt.id}),
            "billing.allocate": env["billing.allocate"].create({"entry_id": payment.move_id.id}),
            "billing.cases": env["billing.cases"].create({"move_id": draft.id}),
            "billing.change.project": env["billing.change.project"].create(
                {"move_id": draft.id, "project_id": self.project.id}
            ),
            "billing.charge": self._new_charge(),
            "account.move.line": invoice.line_ids[:1],
            "billing.ageing": env["billing.ageing"].search([("move_id", "=", invoice.id)], limit=1),
            "billing.credit.add": env["billing.credit.add"].create({"partner_id": self.client.id, "amount": 1}),
            "billing.credit.refund": env["billing.credit.refund"].create({"partner_id": self.client.id}),
            "billing.cycle": cycle,
            "billing.delete": env["billing.delete"].create({"move_ids": [Command.set(draft.ids)]}),
            "billing.dispute": line.billing_dispute_ids,
            "billing.dispute.decline": env["billing.dispute.decline"].create(
                {"dispute_id": line.billing_dispute_ids.id}
            ),
            "billing.draft": env["billing.draft"].create({"charge_ids": [Command.set(self._new_charge().ids)]}),
            "billing.finalize": env["billing.finalize"].create({"move_ids": [Command.set(draft.ids)]}),
            "billing.generate": env["billing.generate"].create({"partner_id": self.client.id, "until": "2026-01-01"}),
            "billing.mail.batch": batch,
            "billing.mail.recipient": recipient,
            "billing.reminder": reminder,
            "billing.reminder.due": env["billing.reminder.due"].create(
                {"move_id": invoice.id, "company_id": self.company.id}
            ),
            "billing.reminder.pause": env["billing.reminder.pause"].create(
                {"move_ids": [Command.set(invoice.ids)], "reason": "Agreed"}
            ),
            "billing.reminder.send": env["billing.reminder.send"].create({"move_ids": [Command.set(invoice.ids)]}),
            "billing.revoke": env["billing.revoke"].create({"move_ids": [Command.set(invoice.ids)]}),
            "billing.run": run,
            "billing.run.client": client,
            "billing.send": env["billing.send"].create({"move_ids": [Command.set(invoice.ids)]}),
            "billing.statement": env["billing.statement"].create({"partner_id": self.client.id}),
            "billing.settings": env["billing.settings"].sudo().create({"billing_pdf_engine": "automatic"}),
            "billing.payment.undo": env["billing.payment.undo"].create({"payment_id": payment.id, "reason": "Wrong"}),
            "billing.payments": payments,
            "billing.payments.item": payments.item_ids,
            "billing.package": subscription.package_id,
            "billing.subscription": subscription,
            "billing.subscription.change": env["billing.subscription.change"].create(
                {
                    "subscription_id": subscription.id,
                    "package_id": subscription.package_id.id,
                    "quantity": 2,
                    "date": "2026-02-01",
                }
            ),
            "billing.subscription.increase": env["billing.subscription.increase"].create(
                {"subscription_ids": [Command.set(subscription.ids)], "percent": 5, "date": "2026-02-01"}
            ),
            "billing.subscription.phase": subscription.phase_ids,
            "billing.subscription.stop": env["billing.subscription.stop"].create(
                {"subscription_ids": [Command.set(subscription.ids)], "kind": "pause", "date": "2026-02-01"}
            ),
            "billing.void": env["billing.void"].create({"move_id": invoice.id, "reason": "Wrong"}),
            "payment.transaction": attempt,
            "project.project": self.project,
            "project.task": self._new_case(),
            "res.partner": self.client,
        }

    def test_clients_learn_nothing_of_others(self):
        stranger = self._new_portal_user(self.other_client, "stranger")
        self._check_turned_away(stranger)
        self._check_calls_turned_away(stranger)

    def test_clients_do_nothing_to_what_is_their_own_either(self):
        contact = self._new_portal_user(self.client, "contact")
        self._check_turned_away(contact)
        # They write to us on their invoice.
        self._check_calls_turned_away(contact, but=["account.move.message_post"])

    def test_the_public_calls_nothing(self):
        public = self.env.ref("base.public_user").sudo()
        self._check_turned_away(public)
        self._check_calls_turned_away(public)

    def test_employees_who_do_not_bill_learn_nothing(self):
        self._check_turned_away(self._new_user("employee", "base.group_user"))

    def test_billing_staff_of_another_company_learns_nothing_either(self):
        elsewhere = self._new_company("Elsewhere")
        other = self._new_user(
            "other_biller",
            "invoice_portal.group_billing_user",
            company_id=elsewhere.id,
            company_ids=[Command.set(elsewhere.ids)],
        )
        self._check_turned_away(
            other,
            {
                "account.move",
                "account.move.line",
                "account.payment",
                "billing.ageing",
                "billing.charge",
                "billing.dispute",
                "billing.run",
                "billing.run.client",
            },
        )
