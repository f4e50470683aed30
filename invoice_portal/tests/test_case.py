from odoo import Command
from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from .common import BillingCommon


@tagged("post_install", "-at_install")
class TestCase(BillingCommon):
    def _charges(self, case):
        return self.env["billing.charge"].search([("task_id", "=", case.id)])

    def test_a_finished_case_with_a_price_becomes_one_charge(self):
        case = self._new_case("Landing page", price=450)
        self.assertEqual(case.billing_state, "waiting")
        self.assertFalse(self._charges(case))
        case.state = "1_done"
        charge = self._charges(case)
        self.assertEqual((charge.amount, charge.name, charge.origin), (450, "Landing page", "case"))
        self.assertEqual((charge.partner_id, charge.project_id), (self.client, self.project))
        case.write({"state": "1_done", "name": "Landing page 2"})
        self.assertEqual(self._charges(case), charge)
        self.assertEqual(case.billing_state, "to_bill")

    def test_a_case_created_finished_becomes_a_charge(self):
        self.assertEqual(self._charges(self._new_case(price=10, done=True)).amount, 10)

    def test_a_price_that_comes_late_is_not_forgotten(self):
        case = self._new_case(done=True)
        self.assertEqual(case.billing_state, "none")
        case.billing_price = 70
        self.assertEqual(self._charges(case).amount, 70)

    def test_an_open_charge_follows_its_case_but_keeps_what_was_edited(self):
        case = self._new_case("Logo", price=70, done=True)
        charge = self._charges(case)
        charge.name = "Logo, three drafts"
        case.write({"billing_price": 90, "priority": "1"})
        self.assertEqual((charge.amount, charge.name), (90, "Logo, three drafts"))

    def test_a_reopened_case_withdraws_its_open_charge(self):
        case = self._new_case(price=70, done=True)
        case.state = "01_in_progress"
        self.assertFalse(self._charges(case))
        self.assertEqual(case.billing_state, "waiting")
        case.state = "1_done"
        self.assertEqual(len(self._charges(case)), 1)

    def test_a_reopened_case_leaves_what_is_billed_alone(self):
        case = self._new_case(price=70, done=True)
        self._finalized(self._charges(case))
        case.state = "01_in_progress"
        case.state = "1_done"
        self.assertEqual(len(self._charges(case)), 1)
        self.assertEqual(case.billing_state, "invoiced")

    def test_a_discarded_charge_is_a_decision_and_not_made_again(self):
        case = self._new_case(price=70, done=True)
        self._charges(case).action_discard()
        case.state = "01_in_progress"
        case.state = "1_done"
        self.assertEqual(len(self._charges(case)), 1)
        self.assertEqual(case.billing_state, "discarded")

    def test_a_case_without_a_client_waits_for_one(self):
        project = self._new_project("Nobody's", partner_id=False)
        case = self._new_case(price=70, done=True, project_id=project.id, partner_id=False)
        self.assertEqual(case.billing_state, "no_client")
        self.assertIn(case, case.search([("billing_state", "=", "no_client")]))
        project.sudo().billing_partner_id = self.client
        self.assertEqual(self._charges(case).partner_id, self.client)

    def test_bill_to_of_the_project_decides_whom_to_bill(self):
        self.project.sudo().billing_partner_id = self.other_client
        charge = self._charges(self._new_case(price=5, done=True))
        self.assertEqual(charge.partner_id, self.other_client)
        self.project.sudo().billing_partner_id = False
        self.assertEqual(charge.partner_id, self.client)

    def test_the_case_shows_what_became_of_it(self):
        case = self._new_case(price=70, done=True)
        seen = [case.billing_state]
        invoice = self._draft(self._charges(case))
        seen.append(case.billing_state)
        invoice._billing_finalize()
        seen.append(case.billing_state)
        self._pay(invoice)
        seen.append(case.billing_state)
        self.assertEqual(seen, ["to_bill", "drafted", "invoiced", "paid"])
        self.assertEqual(case.billing_invoice_id, invoice)
        self.assertEqual(case.billing_charge_count, 1)
        self.assertEqual(case.action_billing_charges()["res_id"], self._charges(case).id)

    def test_the_state_of_cases_is_found_as_it_is_shown(self):
        project = self._new_project("Nobody's", partner_id=False)
        cases = self.env["project.task"].union(
            self._new_case("none"),
            self._new_case("waiting", 10),
            self._new_case("cancelled", 10, state="1_canceled"),
            self._new_case("to_bill", 10, True),
            self._new_case("drafted", 10, True),
            self._new_case("invoiced", 10, True),
            self._new_case("paid", 10, True),
            self._new_case("discarded", 10, True),
            self._new_case("no_client", 10, True, project_id=project.id, partner_id=False),
        )
        by_name = {case.name: case for case in cases}
        self._draft(self._charges(by_name["drafted"]))
        self._finalized(self._charges(by_name["invoiced"]))
        self._pay(self._finalized(self._charges(by_name["paid"])))
        self._charges(by_name["discarded"]).action_discard()
        cancelled = by_name.pop("cancelled")
        self.assertEqual(cancelled.billing_state, "none")
        cases -= cancelled
        self.assertIn(cancelled, cancelled.search([("billing_state", "=", "none")]))
        self.assertNotIn(cancelled, cancelled.search([("billing_state", "!=", "none")]))
        for name, case in by_name.items():
            self.assertEqual(case.billing_state, name)
            self.assertEqual(
                cases.search([("billing_state", "=", name), ("id", "in", cases.ids)]),
                case,
                name,
            )
            self.assertEqual(
                cases.search_count([("billing_state", "!=", name), ("id", "in", cases.ids)]),
                len(cases) - 1,
                name,
            )

    def test_a_case_from_before_the_addon_has_no_price(self):
        case = self._new_case("Old")
        self.env.flush_all()
        self.env.cr.execute("UPDATE project_task SET billing_price = NULL WHERE id = %s", [case.id])
        self.env.invalidate_all()
        self.assertEqual(case.billing_state, "none")
        self.assertEqual(case.search([("billing_state", "=", "none"), ("id", "=", case.id)]), case)
        self.assertFalse(case.search([("billing_state", "!=", "none"), ("id", "=", case.id)]))

    def test_the_price_of_a_billed_case_stays(self):
        case = self._new_case("Logo", price=70, done=True)
        self._draft(self._charges(case))
        with self.assertRaisesRegex(UserError, "“Logo” is already billed on Draft of .* for Acme"):
            case.billing_price = 90

    def test_a_charge_cannot_leave_its_case_to_have_it_billed_again(self):
        case, other = self._new_case(price=70, done=True), self._new_case("Other")
        charge = self._charges(case)
        for task in (False, other.id):
            with self.assertRaisesRegex(UserError, "stays with the case"):
                charge.write({"task_id": task})
        self.assertEqual(charge.copy().origin, "manual")
        charge.action_discard()
        with self.assertRaisesRegex(UserError, "stays with the case"):
            charge.write({"task_id": other.id})

    def test_a_billed_case_is_not_deleted(self):
        case = self._new_case("Logo", price=70, done=True)
        invoice = self._finalized(self._charges(case))
        with self.assertRaisesRegex(UserError, f"“Logo” is billed on .*{invoice.name}"):
            case.sudo().unlink()

    def test_cases_that_sales_bill_are_left_to_sales(self):
        if "sale_line_id" not in self.env["project.task"]._fields:
            self.skipTest("sale_project is not installed")
        service = self.env["product.product"].sudo().create({"name": "Hours", "type": "service"})
        order = self.env["sale.order"].sudo().create({"partner_id": self.client.id})
        line = self.env["sale.order.line"].sudo().create({"order_id": order.id, "product_id": service.id})
        order.action_confirm()
        case = self._new_case(price=70, sale_line_id=line.id)
        case.state = "1_done"
        self.assertFalse(self._charges(case))
        self.assertEqual(case.billing_state, "sold")
        self.assertIn(case, case.search([("billing_state", "=", "sold")]))

    def test_somebody_without_billing_rights_finishes_a_case(self):
        worker = self._new_user("worker", "project.group_project_user")
        case = self._new_case(price=70, user_ids=worker.ids)
        case.with_user(worker).state = "1_done"
        self.assertEqual(self._charges(case).amount, 70)

    def test_a_client_on_a_shared_project_finishes_a_case_and_decides_nothing_else(self):
        client = self._new_portal_user(self.client, "acmeclient")
        self.project.sudo().write(
            {
                "privacy_visibility": "portal",
                "collaborator_ids": [Command.create({"partner_id": client.partner_id.id, "limited_access": False})],
            }
        )
        case = self._new_case(price=70)
        shared = case.with_user(client)
        with self.assertRaises(AccessError):
            shared.write({"billing_price": 1})
        with self.assertRaises(AccessError):
            shared.read(["billing_price"])
        shared.write({"state": "1_done"})
        charge = self._charges(case)
        self.assertEqual((charge.amount, charge.partner_id), (70, self.client))
        shared.write({"partner_id": client.partner_id.id})
        self.assertEqual(charge.partner_id, self.client)
        with self.assertRaises(AccessError):
            charge.with_user(client).read(["amount"])

    def test_many_cases_finish_without_a_query_per_case(self):
        def finish(count):
            cases = self.env["project.task"].union(*(self._new_case(str(n), price=10) for n in range(count)))
            self.env.flush_all()
            self.env.invalidate_all()
            before = self.env.cr.sql_log_count
            cases._billing_sync()
            cases.sudo().write({"state": "1_done"})
            self.env.flush_all()
            return self.env.cr.sql_log_count - before

        finish(2)
        self.assertLess(finish(40) - finish(20), 40)
