import re
from datetime import timedelta
from urllib.parse import urlsplit

from psycopg2.errors import UniqueViolation

from odoo import fields
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import HttpCase, tagged
from odoo.tools import html2plaintext, mute_logger

from .common import BillingCommon
from .test_send import SendCommon

URL = "/my/billing/preferences"


class PreferenceCommon(BillingCommon, HttpCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ann = cls._new_portal_user(cls.client, "ann")
        cls.ben = cls._new_portal_user(cls.client, "ben")
        cls.stranger = cls._new_portal_user(cls.other_client, "stranger")
        cls.client.sudo().billing_email_bcc = "secret@firm.example"

    def _log_in(self, user):
        self.authenticate(user and user.login, user and user.login)

    def _page(self, path=URL, data=None):
        with mute_logger("odoo.http", "odoo.addons.http_routing.models.ir_http"):
            response = self.url_open(path, data=data, timeout=60)
        self.env.invalidate_all()
        return response

    def _post(self, path, page=URL, **data):
        """As the form of the page does it, with what the page gives it."""
        token = re.search(r'name="csrf_token" value="([^"]+)"', self._page(page).text)[1]
        return self._page(path, {"csrf_token": token, **data})

    def _changes(self, client=None):
        return self.env["billing.recipient.change"].sudo().search([("partner_id", "=", (client or self.client).id)])

    def _ask(self, user=None, **lines):
        """A change by the page."""
        self._log_in(user or self.ann)
        wished = {fname: lines.get(fname, "") for fname in ("billing_email_to", "billing_email_cc")}
        response = self._post(f"{URL}/recipients", **{**wished, **lines})
        return response, self._changes().filtered(lambda change: change.state == "pending")

    def _link(self, change):
        return f"/my/billing/recipients/{change._token()}"

    def _notes(self):
        return [html2plaintext(message.body) for message in self.client.sudo().message_ids]


@tagged("post_install", "-at_install")
class TestWhoReceivesWhat(BillingCommon):
    def test_receipts_and_reminders_go_where_invoices_go_unless_told_otherwise(self):
        client = self.client.sudo()
        client.write({"billing_email_cc": "copy@acme.example", "billing_email_bcc": "secret@firm.example"})
        for kind in ("invoice", "receipt", "reminder"):
            lines = client._billing_addresses(kind)
            self.assertIn(client.email, lines["to"])
            self.assertEqual((lines["cc"], lines["bcc"]), ("copy@acme.example", "secret@firm.example"), kind)
        client.billing_email_receipt_to = "receipts@acme.example"
        self.assertEqual(
            client._billing_addresses("receipt"),
            {"to": "receipts@acme.example", "cc": "", "bcc": "secret@firm.example"},
            "who gets copies of invoices is not asked for receipts",
        )
        self.assertIn(client.email, client._billing_addresses("reminder")["to"])

    def test_every_receipt_and_reminder_uses_them(self):
        self.client.sudo().write(
            {
                "billing_email_receipt_to": "receipts@acme.example",
                "billing_email_reminder_to": "late@acme.example",
                "billing_receipt_mail": "yes",
            }
        )
        invoice = self._finalized()
        self.assertEqual(invoice._billing_reminder_addresses()["to"], "late@acme.example")
        self.assertIn("late@acme.example", self.env["billing.reminder"]._reader_key(invoice))
        self.assertIn(self.client.email, invoice._billing_addresses()["to"])
        mails = self.env["billing.mail"].sudo().search([("payment_id", "in", self._pay(invoice).ids)])
        self.assertEqual(mails.recipient_ids.mapped("email"), ["receipts@acme.example"])

    def test_an_invoice_with_addresses_of_its_own_keeps_them(self):
        self.client.sudo().billing_email_reminder_to = "late@acme.example"
        invoice = self._finalized()
        invoice.write({"billing_email_custom": True, "billing_email_to": "typed@acme.example"})
        self.assertEqual(invoice._billing_reminder_addresses()["to"], "typed@acme.example")

    def test_wrong_lines_are_refused(self):
        for values in (
            {"billing_email_receipt_to": "nobody"},
            {"billing_email_reminder_cc": "copy@acme.example"},
        ):
            with self.assertRaises(ValidationError):
                self.client.write(values)

    def test_only_billing_staff_may_change_them(self):
        employee = self._new_user("employee", "base.group_partner_manager")
        for fname in ("billing_email_receipt_to", "billing_paper"):
            with self.assertRaises(AccessError):
                self.client.with_user(employee).write({fname: "x@acme.example"})


@tagged("post_install", "-at_install")
class TestPreferencePage(PreferenceCommon):
    def test_contacts_of_the_client_see_what_holds_and_no_bcc(self):
        self.client.sudo().billing_email_cc = "copy@acme.example"
        for user in (self.ann, self.ben):
            self._log_in(user)
            page = self._page().text
            self.assertIn("copy@acme.example", page)
            self.assertIn(self.client.email, page)
            self.assertNotIn("secret@firm.example", page)
        self._log_in(self.stranger)
        self.assertNotIn("copy@acme.example", self._page().text)

    def test_anonymous_goes_to_login(self):
        self._log_in(None)
        self.assertIn("/web/login", self._page().url)
        for path in ("recipients", "recipients/cancel", "documents"):
            self._page(f"{URL}/{path}", {"billing_email_to": "x@evil.example", "paper": "post"})
        self.assertFalse(self._changes())
        self.assertFalse(self.client.sudo().billing_paper)

    def test_a_post_without_the_form_does_nothing(self):
        self._log_in(self.ann)
        self._page(f"{URL}/recipients", {"billing_email_to": "x@evil.example"})
        self._page(f"{URL}/documents", {"paper": "post"})
        self.assertFalse(self._changes())
        self.assertFalse(self.client.sudo().billing_paper)

    def test_hostile_parameters(self):
        self._log_in(self.ann)
        response = self._page(f"{URL}?done=<script>&typed=x&change=1&billing_error=%3Cb%3E")
        self.assertEqual(response.status_code, 200)
        self.assertNotIn("&lt;b&gt;", response.text)
        response, change = self._ask(
            billing_email_to="<script>alert(1)</script>", billing_email_bcc="me@evil.example", billing_blocked="1"
        )
        self.assertFalse(change)
        self.assertIn("is not an e-mail address", response.text)
        self.assertNotIn("<script>alert(1)", response.text)
        self._ask(billing_email_to="me@acme.example", billing_email_bcc="me@evil.example")
        self.assertEqual(list(self._changes().after), ["billing_email_to"])
        too_many = ",".join(f"reader{number}@acme.example" for number in range(11))
        self.assertIn("At most 10", self._ask(billing_email_to=too_many)[0].text)

    def test_what_was_typed_stays_when_it_is_wrong(self):
        response, change = self._ask(billing_email_to="good@acme.example", billing_email_cc="bad")
        self.assertFalse(change)
        self.assertIn('value="good@acme.example"', response.text)
        self.assertIn('role="alert"', response.text)

    def test_language_and_paper_hold_at_once(self):
        self.env["res.lang"].sudo()._activate_lang("fr_FR")
        contact = self.client.sudo().create(
            {"name": "Bills", "type": "invoice", "parent_id": self.client.id, "email": "bills@acme.example"}
        )
        self._log_in(self.ann)
        self.assertIn("A mail tells", self._post(f"{URL}/documents", lang="fr_FR", paper="post").text)
        client = self.client.sudo()
        self.assertEqual((client.lang, contact.lang, client.billing_paper), ("fr_FR", "fr_FR", True))
        mail = self.env["billing.mail"].sudo().search([("partner_id", "=", client.id)])
        self.assertEqual(
            (mail.kind, mail.recipient_ids.filtered(lambda r: r.kind == "to").mapped("email")),
            ("notice", ["bills@acme.example"]),
        )
        self.assertIn("also on paper by post", html2plaintext(mail.body))
        self.assertIn("chose on the portal", self._notes()[0])
        self.assertIn("Nothing has changed", self._post(f"{URL}/documents", lang="fr_FR", paper="post").text)
        self._post(f"{URL}/documents", lang="xx_XX", paper="evil")
        self.assertEqual((client.lang, client.billing_paper), ("fr_FR", False))

    def test_nobody_writes_it_by_rpc(self):
        partner = self.client.with_user(self.ann)
        for values in ({"billing_paper": True}, {"billing_email_to": "x@evil.example"}):
            with self.assertRaises(AccessError):
                partner.write(values)
        with self.assertRaises(AccessError):
            partner.with_user(self.stranger)._billing_choose_own("en_US", True)
        with self.assertRaises(AccessError):
            partner.with_user(self.stranger)._billing_own_preferences()
        with self.assertRaises(AccessError):
            self.env["billing.recipient.change"].with_user(self.stranger)._ask(
                partner.with_user(self.stranger), {"billing_email_to": "x@evil.example"}
            )


@tagged("post_install", "-at_install")
class TestRecipientChange(PreferenceCommon):
    def test_it_waits_for_the_old_address(self):
        response, change = self._ask(billing_email_to="new@acme.example", billing_email_cc="Cleo <cleo@acme.example>")
        self.assertIn("we sent a mail to confirm it", response.text)
        self.assertIn("not confirmed yet", response.text)
        self.assertEqual(change.user_id, self.ann)
        self.assertEqual(
            change.after, {"billing_email_to": "new@acme.example", "billing_email_cc": '"Cleo" <cleo@acme.example>'}
        )
        self.assertFalse(self.client.sudo().billing_email_to)
        mail = self.env["billing.mail"].sudo().search([("recipient_change_id", "=", change.id)])
        self.assertEqual(mail.recipient_ids.mapped("email"), [self.client.email], "neither copies nor the new ones")
        self.assertIn("wants other recipients", self._notes()[0])

    def test_the_token_is_kept_nowhere(self):
        _response, change = self._ask(billing_email_to="new@acme.example")
        mail = self.env["billing.mail"].sudo().search([("recipient_change_id", "=", change.id)])
        token = change._token()
        self.assertNotIn(token, str(mail.read() + change.read()))
        self.assertIn(token, str(mail._render_layout()))
        with self.assertRaises(AccessError):
            change.with_user(self.ann).read(["token_hash"])

    def test_looking_changes_nothing_and_agreeing_does(self):
        _response, change = self._ask(billing_email_to="new@acme.example")
        self._log_in(None)
        for _again in range(2):
            page = self._page(self._link(change))
            self.assertIn("I agree", page.text)
            self.assertIn("new@acme.example", page.text)
            self.assertIn(self.client.email, page.text)
            self.assertEqual(change.state, "pending")
        self.assertEqual((page.headers["Referrer-Policy"], page.headers["Cache-Control"]), ("no-referrer", "no-store"))
        self.assertIn("I agree", self._post(self._link(change), self._link(change), answer="perhaps").text)
        self.assertIn("from now on", self._post(self._link(change), self._link(change), answer="agree").text)
        self.assertEqual((change.state, self.client.sudo().billing_email_to), ("applied", "new@acme.example"))
        self.assertEqual(self.client.sudo().billing_email_bcc, "secret@firm.example")
        self.assertIn("confirmed by the link", self._notes()[0])
        used = self._page(self._link(change)).text
        self.assertIn("used up", used)
        self.assertNotIn("I agree", used)

    def test_a_post_without_the_page_changes_nothing(self):
        _response, change = self._ask(billing_email_to="new@acme.example")
        self._log_in(None)
        self._page(self._link(change), {"answer": "agree"})
        self.assertEqual(change.state, "pending")

    def test_refused(self):
        _response, change = self._ask(billing_email_to="new@acme.example")
        self._log_in(None)
        self._post(self._link(change), self._link(change), answer="refuse")
        self.assertEqual((change.state, self.client.sudo().billing_email_to), ("rejected", False))
        self.assertIn("refused", self._notes()[0])

    def test_expired_unknown_and_superseded_links_say_what_to_do(self):
        _response, change = self._ask(billing_email_to="new@acme.example")
        page = self._link(change)
        token = re.search(r'name="csrf_token" value="([^"]+)"', self._page(page).text)[1]
        change.expires_on = fields.Datetime.now() - timedelta(seconds=1)
        self.env.flush_all()
        answer = self._page(page, {"csrf_token": token, "answer": "agree"}).text
        self.assertIn("has expired", answer)
        self.assertFalse(self.client.sudo().billing_email_to)
        self.assertIn("Nobody confirmed this in time", self._page().text)
        for unknown in ("x", "%00", "ä" * 50, change.token_hash, "0" * 5000):
            response = self._page(f"/my/billing/recipients/{unknown}")
            self.assertIn("is not known", response.text, unknown)
        _response, newer = self._ask(billing_email_to="newer@acme.example")
        self.assertEqual((change.state, newer.state), ("superseded", "pending"))
        self.assertIn("newer wish", self._page(page).text)
        self.assertFalse(self.env["billing.recipient.change"]._answer("", True))

    def test_one_waits_per_client(self):
        _response, change = self._ask(billing_email_to="new@acme.example")
        with self.assertRaises(UniqueViolation), mute_logger("odoo.sql_db"), self.env.cr.savepoint():
            change.copy({"token_hash": "other"})

    def test_without_an_old_address_the_one_who_asks_confirms(self):
        self.client.sudo().email = False
        _response, change = self._ask(billing_email_to="new@acme.example")
        self.assertIn(self.ann.email, change.confirm_to)

    def test_who_gets_reminders_is_asked_about_reminders(self):
        self.client.sudo().billing_email_reminder_to = "late@acme.example"
        _response, change = self._ask(billing_email_reminder_to="later@acme.example")
        self.assertEqual(change.confirm_to, "late@acme.example")
        self.assertEqual(list(change.after), ["billing_email_reminder_to"])

    def test_nothing_new_asks_nobody(self):
        response, change = self._ask()
        self.assertFalse(change)
        self.assertIn("nothing has changed", response.text)

    def test_so_many_a_day(self):
        for number in range(5):
            self._ask(billing_email_to=f"new{number}@acme.example")
        response, change = self._ask(billing_email_to="once.too.often@acme.example")
        self.assertIn("Try again tomorrow", response.text)
        self.assertEqual(change.after, {"billing_email_to": "new4@acme.example"})

    def test_clients_take_it_back_and_strangers_do_not(self):
        _response, change = self._ask(billing_email_to="new@acme.example")
        self._log_in(self.stranger)
        self._post(f"{URL}/recipients/cancel")
        self.assertEqual(change.state, "pending")
        self._log_in(self.ben)
        self.assertIn("Taken back", self._post(f"{URL}/recipients/cancel").text)
        self.assertEqual(change.state, "cancelled")
        self.assertIn("was taken back", self._page(self._link(change)).text)
        self.assertIn("Taken back", self._post(f"{URL}/recipients/cancel").text, "a second click is harmless")

    def test_who_reads_changes(self):
        _response, change = self._ask(billing_email_to="new@acme.example")
        Change = self.env["billing.recipient.change"]
        elsewhere = self._new_company("Elsewhere")
        other = self._new_user(
            "other", "invoice_portal.group_billing_user", company_id=elsewhere.id, company_ids=[(6, 0, elsewhere.ids)]
        )
        for user, seen in ((self.ben, 1), (self.stranger, 0), (self.biller, 1), (other, 0)):
            self.assertEqual(Change.with_user(user).search_count([("id", "=", change.id)]), seen, user.login)
        for user in (self.ann, self.biller):
            with self.assertRaises(AccessError):
                change.with_user(user).write({"state": "applied"})
        with self.assertRaises(AccessError):
            Change.with_user(self._new_user("employee", "base.group_user")).search([])

    def test_staff_decides_where_the_old_mailbox_is_dead(self):
        _response, change = self._ask(billing_email_to="new@acme.example")
        client = self.client.with_user(self.biller)
        self.assertEqual(client.billing_recipient_change_id, change)
        self.assertIn("new@acme.example", client.billing_recipient_change_text)
        with self.assertRaises(AccessError):
            self.client.with_user(self.ann).action_billing_recipients_apply()
        client.action_billing_recipients_apply()
        self.assertEqual((change.state, client.billing_email_to), ("applied", "new@acme.example"))
        self.assertIn("confirmed by biller", self._notes()[0])
        with self.assertRaises(UserError):
            client.action_billing_recipients_apply()
        _response, change = self._ask(billing_email_to="newer@acme.example")
        client.action_billing_recipients_reject()
        self.assertEqual((change.state, client.billing_email_to), ("rejected", "new@acme.example"))

    def test_what_staff_types_makes_a_wish_from_before_void(self):
        _response, change = self._ask(billing_email_to="new@acme.example")
        self.client.with_user(self.biller).billing_email_to = "staff@acme.example"
        self.assertEqual(change.state, "superseded")


@tagged("post_install", "-at_install")
class TestPaper(BillingCommon):
    def test_invoices_finalized_from_then_on_are_to_print(self):
        before = self._finalized()
        self.client.sudo().billing_paper = True
        after, other = self._finalized(), self._finalized(self._new_charge(partner_id=self.other_client.id))
        moves = before | after | other
        to_print = [("billing_to_print", "=", True), ("billing_status", "!=", "void"), ("id", "in", moves.ids)]
        self.assertEqual(moves.search(to_print), after)
        moves.action_billing_printed()
        self.assertFalse(moves.search(to_print))

    def test_a_void_invoice_is_not_printed(self):
        self.client.sudo().billing_paper = True
        invoice = self._finalized()
        invoice._billing_void("Wrong")
        self.assertFalse(invoice.search([("billing_to_print", "=", True), ("billing_status", "!=", "void")]))


@tagged("post_install", "-at_install")
class TestPreferenceTour(PreferenceCommon):
    def _walk(self):
        # Odoo's own head of the page has no room on a phone for the long names that it gives to users of tests.
        self.ann.partner_id.sudo().name = "Ann"
        self.start_tour("/my/billing/preferences", "billing_portal_recipients", login=self.ann.login)
        self.env.invalidate_all()
        change = self._changes()
        self.assertEqual((change.state, change.after["billing_email_to"]), ("pending", "new@acme.example"))
        self.start_tour(self._link(change), "billing_portal_recipients_confirm", login=None)
        self.env.invalidate_all()
        self.assertEqual(self.client.sudo().billing_email_to, "new@acme.example")

    def test_change_recipients(self):
        self._walk()


@tagged("post_install", "-at_install")
class TestPreferenceTourPhone(TestPreferenceTour):
    browser_size = "360x740"
    touch_enabled = True

    def test_change_recipients_on_a_phone(self):
        self._walk()


@tagged("post_install", "-at_install")
class TestRecipientChangeByMail(SendCommon, PreferenceCommon):
    """From the portal through a real mailbox, and back by the link that stands in the mail."""

    def _mailed_link(self, **lines):
        """Ask for it, let the mail leave, and take the link out of what the mail server got."""
        _response, change = self._ask(**{"billing_email_to": "new@acme.example", **lines})
        self.sink.messages.clear()
        self._run_job()
        (taken,) = self.sink.messages
        self.assertEqual(taken["to"], [self.client.email], "the old address alone")
        texts = [part.get_content() for part in taken["message"].walk() if part.get_content_maintype() == "text"]
        links = {
            link for text in texts for link in re.findall(r"https?://[^\s\"<>]+/my/billing/recipients/[\w-]+", text)
        }
        self.assertEqual(len(links), 1, "HTML and plain text lead to the same page")
        return urlsplit(links.pop()).path, change

    def test_the_owner_of_the_old_address_agrees(self):
        path, change = self._mailed_link()
        token = path.rpartition("/")[2]
        for kept in (change.read(), self.env["billing.mail"].search([]).read(["body", "subject"])):
            self.assertNotIn(token, str(kept))
        self.assertFalse(self.env["mail.message"].sudo().search([("body", "ilike", token)]))
        self.assertFalse(self.env["mail.mail"].sudo().search([("body_html", "ilike", token)]))
        self._log_in(None)
        self.assertIn("I agree", self._page(path).text)
        self.assertIn("from now on", self._post(path, path, answer="agree").text)
        self.assertEqual((change.state, self.client.sudo().billing_email_to), ("applied", "new@acme.example"))
        again = self._page(path).text
        self.assertIn("used up", again)
        self.assertNotIn("I agree", again)
        token = re.search(r'csrf_token: "([^"]+)"', again)[1]
        self._page(path, {"csrf_token": token, "answer": "refuse"})
        self.assertEqual((change.state, self.client.sudo().billing_email_to), ("applied", "new@acme.example"))
        self.assertNotIn("Other recipients, not confirmed yet", self._page().text)

    def test_whoever_else_has_a_login_opens_it_as_its_reader_would(self):
        """The link is the key, and tells another client no more than its reader, nor changes anything of that one's."""
        path, change = self._mailed_link()
        self._log_in(self.stranger)
        page = self._page(path).text
        self.assertIn("I agree", page)
        self.assertNotIn("secret@firm.example", page)
        self._post(path, path, answer="refuse")
        self.assertEqual(change.state, "rejected")
        self.assertFalse((self.client | self.other_client).sudo().filtered("billing_email_to"))

    def test_torn_and_expired(self):
        path, change = self._mailed_link()
        self._log_in(None)
        for torn in (path[:-1], f"{path}0", path[:-1] + ("0" if path[-1] != "0" else "1"), path.upper()):
            answer = self._page(torn)
            self.assertNotIn("new@acme.example", answer.text)
            self.assertNotIn("I agree", answer.text)
        token = re.search(r'name="csrf_token" value="([^"]+)"', self._page(path).text)[1]
        change.expires_on = fields.Datetime.now() - timedelta(seconds=1)
        self.env.flush_all()
        answer = self._page(path, {"csrf_token": token, "answer": "agree"}).text
        self.assertIn("has expired", answer)
        self.assertFalse(self.client.sudo().billing_email_to)

    def test_an_older_mail_holds_no_more(self):
        old, _change = self._mailed_link()
        new, _change = self._mailed_link(billing_email_to="newer@acme.example")
        self._log_in(None)
        self.assertNotEqual(old, new)
        self.assertIn("newer wish", self._page(old).text)
        self.assertIn("from now on", self._post(new, new, answer="agree").text)
        self.assertEqual(self.client.sudo().billing_email_to, "newer@acme.example")
