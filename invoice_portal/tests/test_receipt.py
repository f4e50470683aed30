import io

from psycopg2.errors import UniqueViolation

from odoo.exceptions import AccessError
from odoo.tests import tagged
from odoo.tools import html2plaintext, mute_logger
from odoo.tools.pdf import OdooPdfFileReader

from ..tools import pdf
from .test_credit import CreditCommon


@tagged("post_install", "-at_install")
class TestReceipt(CreditCommon):
    def _receipts(self, payment):
        return self.env["billing.mail"].search([("payment_id", "in", payment.ids)])

    def _text(self, payment):
        content, _kind = (
            self.env["ir.actions.report"]
            .with_context(force_report_rendering=True)
            ._render_qweb_pdf("invoice_portal.action_report_receipt", payment.ids)
        )
        self.assertTrue(pdf.is_pdf(content))
        return "".join(page.extractText() for page in OdooPdfFileReader(io.BytesIO(content)).pages)

    def test_company_and_client_choose(self):
        for company, client, sent in (
            (False, False, False),
            (True, False, True),
            (False, "yes", True),
            (True, "no", False),
        ):
            self.company.sudo().billing_receipt_mail = company
            self.client.sudo().billing_receipt_mail = client
            payment = self._pay(self._invoice(10))
            mail = self._receipts(payment)
            self.assertEqual(len(mail), int(sent), (company, client))
            self.assertEqual(mail.mapped("kind"), ["receipt"] * sent)

    def test_it_is_mailed_with_what_was_paid(self):
        self.company.sudo().billing_receipt_mail = True
        invoice = self._invoice(60)
        payment = self._pay(invoice)
        mail = self._receipts(payment).sudo()
        self.assertEqual((mail.state, mail.partner_id, mail.company_id), ("queued", self.client, self.company))
        mail._make_documents()
        self.assertEqual(mail.state, "waiting", mail.recipient_ids.mapped("reason"))
        self.assertIn(self.company.currency_id.format(60), html2plaintext(mail.body))
        self.assertEqual(mail.recipient_ids.mapped("email"), [self.client.email])
        self.assertEqual((len(mail.attachment_ids), mail.attachment_ids.res_id), (1, mail.id))
        self.assertIn("receipt attached", str(mail._render_layout()))
        self.assertEqual(mail._prepare_mail_mail()["res_id"], payment.id)

    def test_once_per_payment(self):
        self.company.sudo().billing_receipt_mail = True
        payment = self._pay(self._invoice(60))
        payment._billing_queue_receipts()
        mail = self._receipts(payment)
        self.assertEqual(len(mail), 1)
        with self.assertRaises(UniqueViolation), mute_logger("odoo.sql_db"), self.env.cr.savepoint():
            mail.sudo().copy()

    def test_the_dialog_has_the_last_word(self):
        self.company.sudo().billing_receipt_mail = True
        self.assertTrue(self._wizard("billing.credit.add").receipt)
        self.assertFalse(self._receipts(self._add_credit(10, receipt=False)))
        self.company.sudo().billing_receipt_mail = False
        self.assertTrue(self._receipts(self._add_credit(10, receipt=True)))

    def test_without_an_address_it_is_said(self):
        self.company.sudo().billing_receipt_mail = True
        self.client.sudo().email = False
        payment = self._pay(self._invoice(60))
        self.assertFalse(self._receipts(payment))
        self.assertIn("has no e-mail address", "".join(payment.message_ids.mapped("body")))

    def test_what_stands_on_it(self):
        self.client.sudo().billing_credit_use = "never"
        invoice = self._invoice(60)
        payment = self._add_credit(100, memo="March", reference="Cheque 7")
        invoice.js_assign_outstanding_line(
            payment.move_id.line_ids.filtered(lambda line: line.account_type == "asset_receivable").id
        )
        text = self._text(payment)
        for words in ("Receipt", invoice.name, "Cheque 7", "60.00", "100.00", "Added to your credit", "40.00", "Acme"):
            self.assertIn(words, text)

    def test_the_credit_receipt(self):
        self._add_credit(100)
        wizard = self._wizard("billing.credit.refund")
        wizard.amount = 30
        refund = self.env["account.payment"].browse(wizard.action_confirm()["context"]["active_ids"])
        self.assertFalse(self._receipts(refund))
        text = self._text(refund)
        for words in ("Credit Receipt", "Paid out", "30.00", "Payment of"):
            self.assertIn(words, text)

    def test_the_portal_asks_as_the_user(self):
        client = self._new_portal_user(self.client, "acmeclient")
        stranger = self._new_portal_user(self.other_client, "boltclient")
        payment = self._add_credit(100)
        rendering = payment.with_context(force_report_rendering=True)
        _name, content = rendering.with_user(client)._billing_own_receipt()
        self.assertTrue(pdf.is_pdf(content))
        draft = payment.copy()
        for user, of in (
            (stranger, payment),
            (self._new_user("employee", "base.group_user"), payment),
            (client, draft),
        ):
            with self.assertRaises(AccessError):
                of.with_user(user)._billing_own_receipt()
