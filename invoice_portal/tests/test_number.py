from contextlib import contextmanager

from freezegun import freeze_time

from odoo import Command
from odoo.exceptions import UserError, ValidationError
from odoo.tests import Form, tagged

from .common import BillingCommon


@tagged("post_install", "-at_install")
@freeze_time("2026-03-10")
class TestNumber(BillingCommon):
    @contextmanager
    def _refused(self, reason):
        with self.assertRaisesRegex(ValidationError, reason), self.env.cr.savepoint():
            yield

    def _new_invoice(self, name=False, **values):
        return self.env["account.move"].create(
            {
                "move_type": "out_invoice",
                "partner_id": self.client.id,
                "invoice_line_ids": [Command.create({"name": "Typed", "price_unit": 10})],
                **({"name": name} if name else {}),
                **values,
            }
        )

    def _numbered(self, name="INV/2026/00001"):
        """An invoice that makes the series go on from this number."""
        invoice = self._new_invoice(name)
        invoice._billing_finalize()
        self.assertEqual(invoice.name, name)
        return invoice

    def _form(self, **values):
        form = Form(self.env["account.move"].with_context(default_move_type="out_invoice"))
        form.partner_id = self.client
        for fname, value in values.items():
            form[fname] = value
        return form

    def test_left_empty_the_number_is_given_on_finalizing(self):
        self._numbered()
        form = self._form()
        self.assertEqual((form.name, form.name_placeholder), (False, "INV/2026/00002"))
        self.assertFalse(form.billing_number_refusal or form.billing_number_hint)
        invoice = form.save()
        self.assertFalse(invoice.name)
        invoice.invoice_line_ids = [Command.create({"name": "Typed", "price_unit": 10})]
        invoice._billing_finalize()
        self.assertEqual(invoice.name, "INV/2026/00002")

    def test_a_typed_number_stays_and_the_next_goes_on_from_it(self):
        self._numbered()
        form = self._form(name="INV/2026/00002")
        self.assertFalse(form.billing_number_refusal or form.billing_number_hint or form.show_name_warning)
        invoice = form.save()
        self.assertEqual(invoice.billing_expected_number, "INV/2026/00002")
        following = self._new_invoice()
        self.assertEqual(following.billing_expected_number, "INV/2026/00003")
        invoice.invoice_line_ids = [Command.create({"name": "Typed", "price_unit": 10})]
        invoice._billing_finalize()
        following._billing_finalize()
        self.assertEqual((invoice.name, following.name), ("INV/2026/00002", "INV/2026/00003"))
        with self.assertRaisesRegex(UserError, "locked"):
            invoice.name = "INV/2026/00009"

    def test_a_taken_number_is_refused_while_typing_and_when_saving(self):
        self._numbered()
        refusal = r"INV/2026/00001 is already the number of another entry \(Acme, Finalized\)\. The next number is "
        refusal += "INV/2026/00002"
        form = self._form(name="INV/2026/00001")
        self.assertRegex(form.billing_number_refusal, refusal)
        self.assertFalse(form.show_name_warning)
        with self._refused(refusal):
            form.save()
        with self._refused(refusal):
            self._new_invoice("INV/2026/00001")

    def test_two_drafts_do_not_share_a_typed_number(self):
        self._numbered()
        self._new_invoice("INV/2026/00002", partner_id=self.other_client.id)
        with self._refused(r"another entry \(Bolt, Draft\).* next number is INV/2026/00003"):
            self._new_invoice("INV/2026/00002")
        invoice = self._new_invoice()
        with self._refused("already the number"):
            invoice.name = "INV/2026/00002"

    def test_a_number_that_another_draft_got_at_the_same_moment_is_refused_on_finalizing(self):
        self._numbered()
        first, second = (
            self._new_invoice(name, invoice_date="2026-03-10") for name in ("INV/2026/00002", "INV/2026/00003")
        )
        self.env.flush_all()
        self.env.cr.execute("UPDATE account_move SET name = 'INV/2026/00002' WHERE id = %s", [second.id])
        second.invalidate_recordset()
        with self._refused(r"already the number of another entry \(Acme, Draft\)"):
            second._billing_finalize()
        self.assertEqual(first.name, "INV/2026/00002")

    def test_a_number_of_another_year_is_refused(self):
        self._numbered()
        refusal = "INV/2025/00002 does not fit the invoice's date, .*The next number is INV/2026/00002"
        form = self._form(name="INV/2025/00002")
        self.assertRegex(form.billing_number_refusal, refusal)
        with self._refused(refusal):
            form.save()
        with self._refused(refusal):
            self._new_invoice("INV/2025/00002", invoice_date="2026-02-01")

    def test_a_number_of_another_month_is_refused(self):
        self._numbered("INV/2026/03/0001")
        with self._refused("does not fit .* next number is INV/2026/03/0002"):
            self._new_invoice("INV/2026/02/0002")
        self.assertEqual(self._new_invoice("INV/2026/03/0002").name, "INV/2026/03/0002")

    def test_a_date_that_the_typed_number_does_not_fit_is_refused_and_the_number_stays(self):
        self._numbered()
        invoice = self._new_invoice("INV/2026/00002")
        with Form(invoice) as form:
            form.invoice_date = "2027-01-02"
            self.assertEqual(form.name, "INV/2026/00002")
            self.assertRegex(form.billing_number_refusal, "does not fit .* next number is INV/2027/00001")
            form.invoice_date = "2026-03-09"
        with self._refused("does not fit"):
            invoice.invoice_date = "2027-01-02"

    def test_a_typed_number_is_not_lost_when_it_is_finalized_in_the_next_year(self):
        self._numbered()
        invoice = self._new_invoice("INV/2026/00002")
        with freeze_time("2027-01-02"), self._refused("INV/2026/00002 does not fit"):
            invoice._billing_finalize()

    def test_another_format_is_refused(self):
        self._numbered()
        for name in ("X-2", "INV/2026/2", "INV-2026-00002", "inv/2026/00002", "2"):
            with self.subTest(name), self._refused(f"{name} is not written like .* next number is INV/2026/00002"):
                self._new_invoice(name)
        self.assertRegex(self._form(name="X-2").billing_number_refusal, "not written like")
        with self._refused("“Pilot” has no count"):
            self._new_invoice("Pilot")

    def test_a_number_that_leaves_a_gap_is_refused(self):
        self._numbered()
        refusal = "INV/2026/00050 would leave a gap after INV/2026/00001. The next number is INV/2026/00002"
        form = self._form(name="INV/2026/00050")
        self.assertRegex(form.billing_number_refusal, refusal)
        self.assertFalse(form.billing_number_hint or form.show_name_warning)
        with self._refused(refusal):
            form.save()
        with self._refused(refusal):
            self._new_invoice("INV/2026/00050")
        invoice = self._new_invoice("INV/2026/00002")
        with self._refused("would leave a gap"):
            invoice.name = "INV/2026/00003"

    def test_several_typed_at_once_leave_no_gap_either(self):
        self._numbered()
        values = [
            {"move_type": "out_invoice", "partner_id": self.client.id, "name": f"INV/2026/{count:05}"}
            for count in (2, 3, 5, 6)
        ]
        with self._refused("00005 would leave a gap after INV/2026/00003. The next number is INV/2026/00004"):
            self.env["account.move"].create(values)
        self.assertEqual(self.env["account.move"].create(values[:2])[-1].name, "INV/2026/00003")

    def test_a_number_whose_predecessor_was_given_up_is_refused_on_finalizing(self):
        self._numbered()
        first, second = (self._new_invoice(name) for name in ("INV/2026/00002", "INV/2026/00003"))
        first.name = False
        with self._refused("00003 would leave a gap after INV/2026/00001"):
            second._billing_finalize()
        second.name = "INV/2026/00002"
        second._billing_finalize()
        self.assertEqual(second.name, "INV/2026/00002")

    def test_the_first_number_of_a_series_may_be_any(self):
        self._numbered("INV/2026/00471")
        form = self._form(name="INV/2026/00470")
        self.assertFalse(form.billing_number_refusal)
        self.assertEqual(form.billing_number_hint, "This goes back into a gap: the next number is INV/2026/00472.")
        form = self._form(invoice_date="2027-01-04", name="INV/2027/00050")
        self.assertFalse(form.billing_number_refusal)
        self.assertRegex(form.billing_number_hint, "The first number.* INV/2027/00051 next")
        form.save()
        with self._refused("gap after INV/2027/00050. The next number is INV/2027/00051"):
            self._new_invoice("INV/2027/00052", invoice_date="2027-01-04")

    def test_a_gap_that_is_there_can_be_filled(self):
        self._numbered()
        later = self._numbered("INV/2026/00002")
        self.env.flush_all()
        # As an earlier program may have left it.
        self.env.cr.execute(
            "UPDATE account_move SET name = 'INV/2026/00009', sequence_number = 9 WHERE id = %s", [later.id]
        )
        later.invalidate_recordset()
        for name in ("INV/2026/00002", "INV/2026/00005"):
            self.assertEqual(self._new_invoice(name).name, name)

    def test_the_first_number_of_a_journal_sets_the_format(self):
        form = self._form(name="ACME-2026-017")
        self.assertFalse(form.billing_number_refusal)
        self.assertRegex(form.billing_number_hint, "The first number.* ACME-2026-018 next.* every year")
        form.save()
        self.assertEqual(self._new_invoice().billing_expected_number, "ACME-2026-018")
        with self._refused("not written like"):
            self._new_invoice("INV/2026/00001")

    def test_the_first_number_of_a_year_can_change_the_format(self):
        self._numbered()
        form = self._form(invoice_date="2027-02-01", name="R2027/001")
        self.assertFalse(form.billing_number_refusal)
        self.assertRegex(form.billing_number_hint, "R2027/002 next")
        form = self._form(invoice_date="2027-02-01", name="R2026/001")
        self.assertRegex(form.billing_number_refusal, "does not fit .* next number is INV/2027/00001")

    def test_other_companies_and_journals_have_numbers_of_their_own(self):
        self._numbered()
        journal = self.company_data["default_journal_sale"].sudo().copy({"code": "OTH"}).with_env(self.env)
        self.assertEqual(self._new_invoice("INV/2026/00001", journal_id=journal.id).name, "INV/2026/00001")
        other = self._new_company_with_accounts("Other")
        theirs = (
            self.env["account.move"]
            .sudo()
            .with_company(other)
            .create({"move_type": "out_invoice", "partner_id": self.client.id, "name": "INV/2026/00001"})
        )
        self.assertEqual((theirs.company_id, theirs.name), (other, "INV/2026/00001"))

    def test_a_typed_draft_can_be_deleted_and_its_number_is_free(self):
        self._numbered()
        self._new_invoice("INV/2026/00002").action_billing_delete()
        self.assertEqual(self._new_invoice().billing_expected_number, "INV/2026/00002")
