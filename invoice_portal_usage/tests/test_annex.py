import csv
import hashlib
import io
from decimal import Decimal
from unittest.mock import patch

from odoo.exceptions import AccessError, UserError
from odoo.tests import HttpCase, tagged
from odoo.tools import mute_logger

from odoo.addons.invoice_portal.tests.test_document import DocumentCommon
from odoo.addons.invoice_portal.tests.test_lock import HOSTILE_KEYS
from odoo.addons.invoice_portal.tools import pdf

from ..models import account_move_usage
from .bill_common import BillCommon
from .billed import BilledCommon

REPORT = "invoice_portal_usage.report_usage_annex"


class AnnexCommon(BilledCommon, DocumentCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bill = cls._bill(cls._month_of_calls())
        cls.invoice = cls._finalized(cls.bill.charge_ids)

    def _content(self, invoice=None):
        return (invoice or self.invoice)._billing_usage_csv_sudo().raw

    def _table(self, content):
        return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))

    def _annex_pages(self, invoice=None):
        renderer = self.env["ir.actions.report"].with_context(force_report_rendering=True)
        content, _kind = renderer._render_qweb_pdf(REPORT, (invoice or self.invoice).ids)
        self.assertTrue(pdf.is_pdf(content))
        return self._read(content)


@tagged("post_install", "-at_install")
class TestIncludedUsage(BillCommon, DocumentCommon):
    """What an allowance covers wholly costs nothing, and was no discount."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        subscription = cls._subscribe(cls._new_usage_package(allowances=[(100, cls.landline)]))
        for day in ("2026-03-05", "2026-03-06"):
            cls._used(day, 10, subscription=subscription)
        cls._used("2026-03-06", 5, cls.mobile, subscription=subscription)
        cls.bill = cls._bill("2026-04-01")
        cls.invoice = cls._finalized(cls.bill.charge_ids)
        cls.included, cls.paid = cls.invoice.invoice_line_ids.sorted("price_subtotal")

    def test_it_makes_no_column_of_discounts(self):
        rows, _discounts = self.invoice._billing_document_lines()
        row = next(row for row in rows if row["line"] == self.included)
        self.assertEqual((row["quantity"], row["price"], row["discount"]), ("1", "0.00", ""))
        self.assertIn("all of it included", row["name"])
        self.assertEqual(row["amount"], self.invoice.currency_id.format(0))
        self.assertNotIn("discount", [key for key, *_rest in self.invoice._billing_document_columns(rows)])

    def test_its_price_stands_where_it_is_explained(self):
        facts = dict(self.included._billing_explain())
        self.assertNotIn("Before discount", facts)
        self.assertEqual(facts["If it were not included"], self.invoice.currency_id.format(1.2))
        self.assertNotIn("If it were not included", dict(self.paid._billing_explain()))

    def test_its_records_have_their_price_and_cost_nothing(self):
        table = csv.DictReader(io.StringIO(self.invoice._billing_usage_csv_sudo().raw.decode("utf-8-sig"), newline=""))
        rows = [row for row in table if row["Item"] == self.included._billing_usage_item()]
        self.assertEqual([row["Included"] for row in rows], ["10", "10", ""])
        self.assertEqual({Decimal(row["Price per unit"]) for row in rows[:2]}, {Decimal("0.06")})
        self.assertEqual(sum(Decimal(row["Amount"]) for row in rows), 0)

    def test_by_day_it_comes_to_the_same(self):
        for by in ("destination", "day", "none"):
            total = sum(Decimal(str(group["amount"])) for group in self.bill._regroup(by))
            self.assertEqual(total, Decimal(str(self.invoice.amount_untaxed)), by)

    def test_a_discount_that_somebody_granted_is_one(self):
        self._used("2026-03-07", 5, self.mobile)
        draft = self._draft(self._bill("2026-04-01").charge_ids)
        draft.invoice_line_ids.discount = 100
        self.assertEqual(draft.invoice_line_ids._billing_document_row()["discount"], "100 %")
        self.assertIn("Before discount", dict(draft.invoice_line_ids._billing_explain()))


@tagged("post_install", "-at_install")
class TestInvoiceUsageFile(AnnexCommon):
    def test_a_draft_has_none(self):
        draft = self._draft(self._bill(self._record()).charge_ids)
        self.assertFalse(draft.billing_usage_csv_hash)
        self.assertFalse(draft._billing_usage_csv_sudo())
        self.assertFalse(draft._billing_document_usage())
        with self.assertRaises(UserError):
            draft.action_billing_usage_csv()

    def test_an_invoice_without_usage_has_none(self):
        invoice = self._finalized()
        self.assertFalse(invoice.billing_usage_csv_hash)
        with self.assertRaises(UserError):
            invoice.action_billing_usage_annex()

    def test_the_hash_is_that_of_the_file(self):
        content = self._content()
        self.assertEqual(self.invoice.billing_usage_csv_hash, hashlib.sha256(content).hexdigest())
        self.assertTrue(content.startswith(b"\xef\xbb\xbf"))
        attachment = self.invoice._billing_usage_csv_sudo()
        self.assertEqual(attachment.file_size, len(content))
        self.assertEqual(attachment.checksum, hashlib.sha1(content, usedforsecurity=False).hexdigest())
        self.assertEqual(attachment.name, self.invoice.billing_usage_csv_name)
        self.assertNotIn("/", attachment.name)

    def test_each_line_adds_up_to_the_cent(self):
        rows = self._table(self._content())
        for line in self.invoice.invoice_line_ids:
            of_line = [row for row in rows if row["Item"] == line._billing_usage_item()]
            with self.subTest(line.name):
                self.assertEqual(sum(Decimal(row["Amount"]) for row in of_line), Decimal(str(line.price_subtotal)))
                self.assertEqual(of_line[-1]["Destination group"], "Rounding")
        total = sum(Decimal(row["Amount"]) for row in rows)
        self.assertEqual(total, Decimal(str(self.invoice.amount_untaxed)))
        self.assertEqual(len(rows), self.bill.record_count + len(self.invoice.invoice_line_ids))

    def test_a_line_edited_on_the_draft_adds_up_too(self):
        draft = self._draft(self._bill(self._month_of_calls()).charge_ids)
        draft.invoice_line_ids[0].discount = 50
        draft._billing_finalize()
        rows = self._table(self._content(draft))
        self.assertEqual(sum(Decimal(row["Amount"]) for row in rows), Decimal(str(draft.amount_untaxed)))
        self.assertIn("Changed by hand", [row["Destination group"] for row in rows])

    def test_what_is_free_is_in_it_too(self):
        records = self._record() | self._record(0, "18005550100")
        bill = self._bill(records)
        self.assertEqual(len(bill.charge_ids), 1)
        rows = self._table(self._content(self._finalized(bill.charge_ids)))
        self.assertEqual([row["Item"] for row in rows], ["Germany", "Germany", "Free of charge"])

    def test_other_items_are_not_in_it(self):
        charges = self._bill(self._record()).charge_ids | self._new_charge("Hosting")
        rows = self._table(self._content(self._finalized(charges)))
        self.assertEqual({row["Item"] for row in rows}, {"Germany"})

    def test_the_items_name_is_no_formula(self):
        charges = self._bill(self._record()).charge_ids
        charges.sudo().name = "=1+1\nmore"
        rows = self._table(self._content(self._finalized(charges)))
        self.assertEqual({row["Item"] for row in rows}, {"'=1+1"})

    def test_nothing_changes_it(self):
        before, digest = self._content(), self.invoice.billing_usage_csv_hash
        self.landline.name = "Changed"
        self.env.cr.execute("UPDATE billing_usage SET amount = 99 WHERE bill_id = %s", [self.bill.id])
        self.assertEqual(self._content(), before)
        for values in (
            {"billing_usage_csv_hash": "0" * 64},
            {"billing_usage_csv_name": "other.csv"},
            {"billing_usage_csv": b"eA=="},
            {"billing_usage_csv": False},
            {"billing_usage_csv_hash": False},
        ):
            for context in ({}, HOSTILE_KEYS):
                for user in (self.env.user, self.env.ref("base.user_root")):
                    with self.subTest(values, by=user.login), self.assertRaises(UserError):
                        self.invoice.with_user(user).with_context(**context).write(values)
        with self.assertRaises(UserError):
            self.invoice.copy({"billing_usage_csv_hash": digest})
        with self.assertRaises(UserError):
            self.invoice.create({"move_type": "out_invoice", "billing_usage_csv_hash": digest})
        attachment = self.invoice._billing_usage_csv_sudo().with_env(self.env)
        for call in (lambda: attachment.write({"raw": b"x"}), attachment.unlink):
            with self.assertRaises(UserError):
                call()
        self.assertEqual((self._content(), self.invoice.billing_usage_csv_hash), (before, digest))

    def test_a_copy_starts_without_it(self):
        copied = self.invoice.copy()
        self.assertFalse(copied.billing_usage_csv_hash or copied.billing_usage_csv or copied.billing_usage_csv_name)

    def test_a_void_invoice_keeps_it_and_the_next_has_its_own(self):
        before = self._content()
        wizard = self.env["billing.void"].browse(self.invoice.action_billing_void()["res_id"])
        wizard.reason = "Wrong"
        wizard.action_void()
        self.assertEqual(self._content(), before)
        self.assertFalse(self.invoice.billing_void_move_id.billing_usage_csv_hash)
        again = self._finalized(self.bill.charge_ids)
        self.assertTrue(again.billing_usage_csv_hash)
        self.assertEqual(self._table(self._content(again)), self._table(before))

    def test_files_in_the_database_are_no_different(self):
        self.env["ir.config_parameter"].sudo().set_param("ir_attachment.location", "db")
        invoice = self._finalized(self._bill(self._record()).charge_ids)
        content = self._content(invoice)
        self.assertEqual(invoice.billing_usage_csv_hash, hashlib.sha256(content).hexdigest())

    def test_whoever_finalizes_need_not_bill(self):
        draft = self._draft(self._bill(self._record()).charge_ids)
        accountant = self._new_user("accountant", "account.group_account_manager")
        draft.with_user(accountant).action_post()
        self.assertTrue(draft.billing_usage_csv_hash)

    def test_it_speaks_the_clients_language_and_zone(self):
        self.client.sudo().tz = "Asia/Tokyo"
        invoice = self._finalized(self._bill(self._record(moment="2026-03-10 12:00:00")).charge_ids)
        self.assertEqual(self._table(self._content(invoice))[0]["Moment"], "2026-03-10T21:00:00+09:00")


@tagged("post_install", "-at_install")
class TestUsageOnInvoice(AnnexCommon):
    def test_the_invoice_names_the_file_and_its_hash(self):
        for engine in ("weasyprint", "wkhtmltopdf"):
            with self.subTest(engine):
                self._engine(engine)
                text = self._text(self.invoice)
                self.assertShown(text, self.invoice.billing_usage_csv_hash, self.invoice.billing_usage_csv_name)

    def test_drafts_and_others_name_none(self):
        self._engine("weasyprint")
        draft = self._draft(self._bill(self._record()).charge_ids)
        for move in (draft, self._finalized()):
            self.assertNotShown(self._text(move), "SHA-256")

    def test_the_annex_shows_records_with_headings_on_each_page(self):
        for number in range(150):
            self._record(60 + number, moment="2026-03-20 10:00:00")
        records = self.env["billing.usage"].search([("bill_id", "=", False)])
        invoice = self._finalized(self._bill(records).charge_ids)
        for engine in ("weasyprint", "wkhtmltopdf"):
            with self.subTest(engine):
                self._engine(engine)
                pages = self._annex_pages(invoice)
                self.assertGreater(len(pages), 2)
                for page in pages:
                    self.assertShown(page, "Moment", "Destination", "Billed", "Amount")
                self.assertEqual("".join(map(self._squeezed, pages)).count("4989123456"), 150)
                self.assertShown(" ".join(pages), "150 records", invoice.billing_usage_csv_name, "2:30")

    def test_what_is_too_long_says_where_the_rest_is(self):
        with (
            patch.object(account_move_usage, "MOST_PRINTED", 9),
            patch.object(account_move_usage, "FEWEST_PRINTED", 3),
        ):
            self._engine("weasyprint")
            text = " ".join(self._annex_pages())
        self.assertShown(text, "4 more records are in the file")

    def test_an_annex_of_a_draft_is_marked(self):
        self._engine("weasyprint")
        draft = self._draft(self._bill(self._record(account="<b>x</b>")).charge_ids)
        text = " ".join(self._annex_pages(draft))
        self.assertShown(text, "DRAFT", "<b>x</b>")
        self.assertNotShown(text, "SHA-256")

    def test_records_put_away_are_named(self):
        self._engine("weasyprint")
        self.bill.sudo().archive_id = self.env["ir.attachment"].sudo().create({"name": "x", "raw": b"x"})
        self.assertShown(" ".join(self._annex_pages()), "were put away")

    def test_only_staff_prints_it(self):
        action = self.invoice.action_billing_usage_annex()
        self.assertEqual(action["report_name"], REPORT)
        portal = self._new_portal_user(self.other_client, "stranger")
        with self.assertRaises(AccessError):
            self.invoice.with_user(portal).action_billing_usage_annex()


@tagged("post_install", "-at_install")
class TestUsageByMail(AnnexCommon):
    def _names(self, invoice):
        """The names of what would be mailed."""
        settings = self.env["account.move.send"]._get_default_sending_settings(invoice)
        values = self.env["account.move.send"]._prepare_billing_mail(invoice, settings)
        return [values["name"] for _command, _id, values in values["attachment_ids"]]

    def _queued(self, invoice):
        self._engine("weasyprint")
        return self._names(invoice)

    def test_it_goes_with_the_invoice_where_the_company_wants_it(self):
        name = self.invoice.billing_usage_csv_name
        self.assertFalse({name, name.replace(".csv", ".pdf")} & set(self._queued(self.invoice)))
        self.company.sudo().billing_usage_annex_mail = True
        names = self._queued(self.invoice)
        self.assertIn(name, names)
        self.assertIn(name.replace(".csv", ".pdf"), names)

    def test_a_large_file_stays_at_home(self):
        self.company.sudo().billing_usage_annex_mail = True
        with patch.object(account_move_usage, "MOST_MAILED", 10):
            names = self._queued(self.invoice)
        self.assertNotIn(self.invoice.billing_usage_csv_name, names)

    def test_other_invoices_go_as_ever(self):
        self.company.sudo().billing_usage_annex_mail = True
        plain = self._finalized()
        self.assertFalse([name for name in self._queued(plain) if name.startswith("Usage")])


@tagged("post_install", "-at_install")
class TestInvoiceUsageDownload(AnnexCommon, HttpCase):
    def _get(self, invoice=None, **query):
        text = "&".join(f"{key}={value}" for key, value in query.items())
        return self.url_open(f"/my/invoices/{(invoice or self.invoice).id}/usage.csv?{text}", allow_redirects=False)

    def test_the_client_gets_its_file(self):
        self._new_portal_user(self.client, "ann")
        self.authenticate("ann", "ann")
        response = self._get()
        self.assertEqual(response.status_code, 200)
        self.assertEqual(hashlib.sha256(response.content).hexdigest(), self.invoice.billing_usage_csv_hash)
        self.assertIn("attachment", response.headers["Content-Disposition"])

    def test_a_link_alone_opens_no_records(self):
        self.authenticate(None, None)
        token = self.invoice.sudo()._portal_ensure_token()
        self.env.flush_all()
        for given in (token, "", "x", token[:-1]):
            self.assertEqual(self._get(access_token=given).status_code, 303)

    def test_the_page_of_the_invoice_leads_to_it(self):
        self._new_portal_user(self.client, "ann")
        self.authenticate("ann", "ann")
        href = f"/my/invoices/{self.invoice.id}/usage.csv"
        self.assertIn(href, self.url_open(f"/my/invoices/{self.invoice.id}").text)
        self.authenticate(None, None)
        token = self.invoice.sudo()._portal_ensure_token()
        self.env.flush_all()
        page = self.url_open(f"/my/invoices/{self.invoice.id}?access_token={token}")
        self.assertEqual(page.status_code, 200)
        self.assertNotIn(href, page.text)

    @mute_logger("odoo.http")
    def test_nobody_else_does(self):
        self._new_portal_user(self.other_client, "stranger")
        self._new_user("employee", "base.group_user")
        for login in ("stranger", "employee"):
            self.authenticate(login, login)
            self.assertEqual(self._get().status_code, 404)
            response = self.url_open(f"/web/content/account.move/{self.invoice.id}/billing_usage_csv")
            self.assertNotIn(b"Amount", response.content)

    def test_a_draft_has_none_for_anybody(self):
        draft = self._draft(self._bill(self._record()).charge_ids)
        self.env.flush_all()
        self.authenticate("biller", "biller")
        self.assertEqual(self._get(draft).status_code, 404)
        self.assertEqual(self._get().status_code, 200)
