from odoo import api, fields, models
from odoo.exceptions import UserError

from ..tools.grant import is_granted
from .billing_recipient_change import LINES


class ResPartner(models.Model):
    """What clients choose for themselves on the portal."""

    _inherit = "res.partner"

    billing_paper = fields.Boolean(
        string="Invoices on Paper",
        tracking=True,
        groups="base.group_user",
        help="Invoices also go by post: those finalized from then on stand under *To Print*.",
    )
    billing_recipient_change_id = fields.Many2one(
        "billing.recipient.change",
        string="Recipients to Be Confirmed",
        compute="_compute_billing_recipient_change",
        groups="invoice_portal.group_billing_user",
    )
    billing_recipient_change_text = fields.Html(
        compute="_compute_billing_recipient_change", groups="invoice_portal.group_billing_user"
    )

    def _commercial_fields(self):
        return super()._commercial_fields() + ["billing_paper"]

    def _compute_billing_recipient_change(self):
        pending = self.env["billing.recipient.change"]._pending_of(self)
        of_client = {change.partner_id: change for change in pending}
        for partner in self:
            change = partner.billing_recipient_change_id = of_client.get(partner.commercial_partner_id, False)
            partner.billing_recipient_change_text = change and self.env["ir.qweb"]._render(
                "invoice_portal.recipient_change_banner", {"change": change}
            )

    def write(self, vals):
        """Addresses that staff changes are what holds: a wish from before was about others."""
        result = super().write(vals)
        if vals.keys() & LINES.keys() and not is_granted(self.env):
            # Elevated: whoever may write the addresses may not write the change itself.
            self.env["billing.recipient.change"].sudo()._pending_of(self)._close("superseded")
        return result

    def _billing_contact_address(self):
        """Where invoices go while nobody typed an address. Elevated as `_billing_addresses` is."""
        client = self.commercial_partner_id.sudo()
        contact = client.browse(client.address_get(["invoice"])["invoice"])
        return self.env["account.move"]._billing_contact_line(contact if contact.email else client)

    # -- the client itself --------------------------------------------------------------------------------------------

    def _billing_own_preferences(self):
        """What the user's own client has chosen, in texts: `{"lines": {field: text}, "default", "lang", "paper"}`."""
        self.ensure_one()
        self._billing_check_own()
        # Elevated to read fields that are for staff; Bcc is not among them.
        client = self.commercial_partner_id.sudo()
        return {
            "lines": {fname: client[fname] or "" for fname in LINES},
            "default": client._billing_contact_address(),
            "lang": client._billing_document_contacts()[-1:].lang or "",
            "paper": client.billing_paper,
        }

    def _billing_document_contacts(self):
        """The client and the contacts its invoices are made out to: documents are in their language."""
        return (
            self
            | self.child_ids.filtered(lambda contact: contact.type == "invoice")
            | self.browse(self.address_get(["invoice"])["invoice"])
        )

    def _billing_choose_own(self, lang, paper):
        """Language and paper of the user's own client, at once. Returns whether anything changed.

        An unknown language is none: what was chosen before stays.
        """
        self.ensure_one()
        self._billing_check_own()
        return self._billing_choose_sudo(lang, bool(paper))

    def _billing_choose_sudo(self, lang, paper):
        """Elevated, once it is known to be the user's own client: these two fields, and the mail that tells of it."""
        client = self.commercial_partner_id.sudo()
        known = dict(self.env["res.lang"].get_installed())
        contacts, changes = client._billing_document_contacts(), []
        other = contacts.filtered(lambda contact: contact.lang != lang)
        if lang in known and other:
            changes.append((self.env._("Language"), known.get(other[-1:].lang) or "–", known[lang]))
            other.with_context(mail_notrack=True).lang = lang
        if client.billing_paper != paper:
            words = {True: self.env._("also on paper by post"), False: self.env._("by e-mail only")}
            changes.append((self.env._("Invoices"), words[client.billing_paper], words[paper]))
            client.with_context(mail_notrack=True).billing_paper = paper
        if not changes:
            return False
        body = self.env["ir.qweb"]._render(
            "invoice_portal.message_recipient_change",
            {"title": self.env._("%s chose on the portal:", self.env.user.name), "rows": changes, "foot": ""},
        )
        client.message_post(body=body, subtype_xmlid="mail.mt_note")
        if client._billing_addresses()["to"]:
            template = self.env.ref("invoice_portal.mail_template_preferences").sudo()
            client._billing_queue_notice(template.with_context(billing_changes=changes, billing_who=self.env.user.name))
        return True

    # -- staff --------------------------------------------------------------------------------------------------------

    def action_billing_recipients_apply(self):
        """Change the recipients without the old mailbox, which may be dead."""
        self._billing_answer_recipients("_apply")

    def action_billing_recipients_reject(self):
        self._billing_answer_recipients("_reject")

    @api.private
    def _billing_answer_recipients(self, answer):
        self.ensure_one()
        self._billing_check_staff()
        self.commercial_partner_id.check_access("write")
        change = self.env["billing.recipient.change"]._pending_of(self)
        if not change:
            raise UserError(self.env._("No change of recipients waits any more."))
        getattr(change.sudo(), answer)(self.env._("by %s", self.env.user.name))
