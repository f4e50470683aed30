from lxml import etree

from odoo import Command
from odoo.exceptions import UserError, ValidationError
from odoo.tests import Form, tagged

from .common import BillingCommon


@tagged("post_install", "-at_install")
class TestTypedLine(BillingCommon):
    """A line typed on an invoice, without product, is taxed as a charge without product is."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company.sudo().account_sale_tax_id = cls.tax
        cls.exports = cls.tax.sudo().copy({"name": "0% Abroad", "amount": 0})
        cls.position = (
            cls.env["account.fiscal.position"]
            .sudo()
            .create({"name": "Abroad", "tax_ids": [Command.link(cls.exports.id)]})
        )
        cls.exports.original_tax_ids = cls.tax

    def _typed(self, client, move_type="out_invoice"):
        with Form(self.env["account.move"].with_context(default_move_type=move_type)) as form:
            form.partner_id = client
            with form.invoice_line_ids.new() as line:
                line.name = "Travel"
                line.price_unit = 100
        return form.record

    def test_it_gets_the_default_tax(self):
        for move_type in ("out_invoice", "out_refund", "out_receipt"):
            with self.subTest(move_type):
                self.assertEqual(self._typed(self.client, move_type).invoice_line_ids.tax_ids, self.tax)

    def test_a_line_added_to_a_saved_draft_gets_it_too(self):
        invoice = self._typed(self.client)
        with Form(invoice) as form, form.invoice_line_ids.new() as line:
            line.name = "Hotel"
            line.price_unit = 50
        self.assertEqual(invoice.invoice_line_ids.mapped("tax_ids"), self.tax)
        self.assertTrue(all(invoice.invoice_line_ids.mapped("tax_ids")))

    def test_the_fiscal_position_of_the_client_maps_it(self):
        self.client.with_company(self.company).sudo().property_account_position_id = self.position
        invoice = self._typed(self.client)
        self.assertEqual(invoice.fiscal_position_id, self.position)
        self.assertEqual(invoice.invoice_line_ids.tax_ids, self.exports)
        self.assertEqual(self._draft(self._new_charge()).invoice_line_ids.tax_ids, self.exports)

    def test_what_is_chosen_stays(self):
        with Form(self.env["account.move"].with_context(default_move_type="out_invoice")) as form:
            form.partner_id = self.client
            with form.invoice_line_ids.new() as line:
                line.name = "Stamps"
                line.price_unit = 100
                line.tax_ids.clear()
        self.assertFalse(form.record.invoice_line_ids.tax_ids)
        with Form(form.record) as again, again.invoice_line_ids.edit(0) as line:
            line.quantity = 2
        self.assertFalse(form.record.invoice_line_ids.tax_ids)

    def test_lines_made_by_code_are_left_alone(self):
        invoice = self.env["account.move"].create(
            {
                "move_type": "out_invoice",
                "partner_id": self.client.id,
                "invoice_line_ids": [Command.create({"name": "By code", "price_unit": 30})],
            }
        )
        invoice.write({"invoice_line_ids": [Command.create({"name": "Later", "price_unit": 30, "tax_ids": []})]})
        free = self._draft(self._new_charge(tax_ids=[Command.clear()]))
        self.assertFalse((invoice | free).invoice_line_ids.tax_ids)

    def test_bills_of_suppliers_are_left_alone(self):
        with Form(self.env["account.move"].with_context(default_move_type="in_invoice")) as form:
            form.partner_id = self.client
            form.invoice_date = "2026-01-01"
            with form.invoice_line_ids.new() as line:
                line.name = "Paper"
                line.price_unit = 100
        self.assertFalse(form.record.invoice_line_ids.tax_ids)

    def test_a_new_invoice_has_a_button_that_saves_it(self):
        arch = etree.fromstring(self.env["account.move"].get_view(view_type="form")["arch"])
        (button,) = arch.xpath("//header/button[@special='save']")
        self.assertEqual(button.get("string"), "Save Draft")
        self.assertTrue(button.get("invisible").startswith("id or "), "A saved one says by itself that it is saved")

    def test_absurd_numbers_are_refused_by_the_name_of_their_field(self):
        invoice = self._typed(self.client)
        line = invoice.invoice_line_ids
        for fname, label in (("quantity", "Quantity"), ("price_unit", "Unit Price"), ("discount", "Discount")):
            for value in (float("nan"), float("inf"), float("-inf"), 1e308, "nan"):
                refused = f"{label}.*: .* is more than can be billed"
                for change in (
                    lambda values: line.write(values),
                    lambda values: invoice.write({"invoice_line_ids": [Command.create({"name": "Gold", **values})]}),
                    lambda values: invoice.create(
                        {
                            "move_type": "out_invoice",
                            "partner_id": self.client.id,
                            "invoice_line_ids": [Command.create({"name": "Gold", **values})],
                        }
                    ),
                ):
                    with self.subTest(fname, value=value), self.assertRaisesRegex(UserError, refused):
                        with self.env.cr.savepoint():
                            change({fname: value})

    def test_what_comes_to_too_much_or_is_no_discount_is_refused(self):
        line = self._typed(self.client).invoice_line_ids
        for values, refused in (
            ({"quantity": 1e9, "price_unit": 1e9}, "“Travel” comes to more than can be billed: 1e\\+09 × 1e\\+09"),
            ({"discount": 100.5}, "“Travel”: a discount cannot exceed 100 %.* this is 100.5 %"),
            ({"discount": -1e12}, "nor a surcharge 1000 %"),
        ):
            with self.subTest(values), self.assertRaisesRegex(ValidationError, refused), self.env.cr.savepoint():
                line.write(values)
        line.write({"price_unit": -100, "discount": -20})
        self.assertEqual(line.price_subtotal, -120)
