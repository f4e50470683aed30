from datetime import date, datetime, timedelta

from freezegun import freeze_time

from odoo import Command
from odoo.exceptions import AccessError
from odoo.tests import tagged

from .test_credit import CreditCommon

COLUMNS = ("amount_current", "amount_30", "amount_60", "amount_90", "amount_older", "amount_credit")


@tagged("post_install", "-at_install")
class TestAgeing(CreditCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company.sudo().billing_credit_use = "never"

    def _due(self, day, price=100, **values):
        """A finalized invoice that is due on this day."""
        day = date.fromisoformat(day)
        with freeze_time(day - timedelta(days=10)):
            draft = self._invoice(price, finalize=False, **values)
            draft.write({"invoice_payment_term_id": False, "invoice_date_due": day})
            draft._billing_finalize()
        return draft

    def _rows(self, moves=None):
        self.env.invalidate_all()
        domain = [("move_id", "in", moves.ids)] if moves else [("partner_id", "=", self.client.id)]
        return self.env["billing.ageing"].search(domain)

    def _ages(self, moves=None):
        rows = self._rows(moves)
        return {column: total for column in COLUMNS if (total := round(sum(rows.mapped(column)), 2))}

    def test_each_age_has_its_column(self):
        invoices = {
            day: self._due(day, price)
            for day, price in (
                ("2026-06-30", 1),
                ("2026-06-29", 2),
                ("2026-05-31", 4),
                ("2026-05-30", 8),
                ("2026-05-01", 16),
                ("2026-04-30", 32),
                ("2026-04-01", 64),
                ("2026-03-31", 128),
            )
        }
        with freeze_time("2026-06-30 12:00:00"):
            self.assertEqual(
                self._ages(),
                {"amount_current": 1, "amount_30": 6, "amount_60": 24, "amount_90": 96, "amount_older": 128},
            )
            days = {row.move_id: row.days for row in self._rows()}
            self.assertEqual([days[invoice] for invoice in invoices.values()], [0, 1, 30, 31, 60, 61, 90, 91])
            for row in self._rows():
                self.assertEqual(row.amount, sum(row[column] for column in COLUMNS))
                self.assertEqual(row.move_id.billing_status == "overdue", row.days > 0)

    def test_the_day_passes_where_the_client_lives(self):
        for zone, moment in (
            ("UTC", "2026-03-21 00:00:00"),
            ("Pacific/Auckland", "2026-03-20 11:00:00"),
            ("America/Los_Angeles", "2026-03-21 07:00:00"),
            ("Asia/Kathmandu", "2026-03-20 18:15:00"),
            ("Mars/Olympus", "2026-03-21 00:00:00"),
        ):
            client = self._new_client(zone)
            invoice = self._due("2026-03-20", client=client)
            self.env.flush_all()
            self.env.cr.execute("UPDATE res_partner SET tz = %s WHERE id = %s", [zone, client.id])
            at = datetime.fromisoformat(moment)
            for when, days in ((at - timedelta(minutes=15), 0), (at, 1)):
                with freeze_time(when):
                    self.assertEqual(self._rows(invoice).days, days, (zone, when))
                    self.assertEqual(invoice.billing_status, "overdue" if days else "finalized")

    def test_instalments_have_their_own_age(self):
        term = (
            self.env["account.payment.term"]
            .sudo()
            .create(
                {
                    "name": "Halves",
                    "line_ids": [
                        Command.create({"value": "percent", "value_amount": 50, "nb_days": days}) for days in (10, 60)
                    ],
                }
            )
        )
        with freeze_time("2026-03-01"):
            invoice = self._invoice(100, finalize=False)
            invoice.write({"invoice_date": "2026-03-01", "invoice_payment_term_id": term.id})
            invoice._billing_finalize()
            self._pay(invoice, 20)
        with freeze_time("2026-03-12"):
            self.assertEqual(self._ages(invoice), {"amount_30": 30, "amount_current": 50})

    def test_credit_stands_beside_what_is_due(self):
        with freeze_time("2026-03-01"):
            payment = self._add_credit(70)
            note = self.init_invoice("out_refund", partner=self.client, amounts=[5], post=True)
        self._due("2026-03-20", 100)
        with freeze_time("2026-06-30"):
            self.assertEqual(self._ages(), {"amount_older": 100, "amount_credit": -75})
            self.assertEqual(sum(self._rows().mapped("amount")), self.client.credit)
            rows = {row.move_id: row for row in self._rows()}
            self.assertEqual(rows[payment.move_id].days, 0)
            self.assertEqual(rows[payment.move_id].action_open_entry()["res_id"], payment.id)
            self.assertEqual(rows[note].action_open_entry()["res_id"], note.id)

    def test_paid_void_and_draft_are_not_listed(self):
        paid, void, partial = (self._due("2026-03-20") for _ in range(3))
        self._invoice(100, finalize=False)
        with freeze_time("2026-03-21"):
            self._pay(paid)
            void._billing_void("Wrong")
            self._pay(partial, 40)
            self.assertEqual(self._ages(), {"amount_30": 60})

    def test_currencies_come_to_the_company_s(self):
        euro = self._euro(0.5)
        invoice = self._due("2026-03-20", 30, currency_id=euro.id)
        self._due("2026-03-20", 7)
        with freeze_time("2026-03-21"):
            row = self._rows(invoice)
            self.assertEqual((row.amount_foreign, row.foreign_currency_id, row.amount), (30, euro, 60))
            self.assertEqual(self._ages(), {"amount_30": 67})

    def test_grouped_by_client_person_and_age_in_order(self):
        seller = self._new_user("seller", "invoice_portal.group_billing_user")
        mine, other = self._due("2026-03-20", 10), self._due("2026-01-20", 20, client=self.other_client)
        other.sudo().invoice_user_id = seller
        self._add_credit(5)
        clients = self.client | self.other_client
        domain = [("partner_id", "in", clients.ids)]
        Ageing = self.env["billing.ageing"]
        with freeze_time("2026-03-30"):
            self.assertEqual(
                [(key, total) for key, total in Ageing._read_group(domain, ["partner_id"], ["amount:sum"])],
                [(self.client, 5), (self.other_client, 20)],
            )
            by_user = dict(Ageing._read_group(domain, ["user_id"], ["amount:sum"]))
            self.assertEqual(by_user[seller], 20)
            buckets = Ageing.formatted_read_group(domain, ["bucket"], ["amount:sum"])
            self.assertEqual([group["bucket"] for group in buckets], ["days_30", "days_90", "credit"])
            self.assertEqual(Ageing.search([*domain, ("days", ">", 0)]).move_id, mine | other)

    def test_it_is_for_billing_staff_of_the_company(self):
        self._due("2026-03-20")
        Ageing = self.env["billing.ageing"]
        for user in (
            self._new_portal_user(self.client, "acmeclient"),
            self._new_user("employee", "base.group_user"),
        ):
            with self.assertRaises(AccessError):
                Ageing.with_user(user).search([])
        elsewhere = self._new_company("Elsewhere")
        stranger = self._new_user(
            "other_biller",
            "invoice_portal.group_billing_user",
            company_id=elsewhere.id,
            company_ids=[Command.set(elsewhere.ids)],
        )
        self.assertFalse(Ageing.with_user(stranger).search([("partner_id", "=", self.client.id)]))
