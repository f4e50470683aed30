from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import format_datetime

from ..models.account_move_document import ODOO_REPORT
from ..models.account_move_mail import LINES


class AccountMoveSendWizard(models.TransientModel):
    """Send Invoice: to whom, what, and how it will look."""

    _inherit = "account.move.send.wizard"

    billing_address_mode = fields.Selection(
        [("default", "Default"), ("custom", "Custom e-mail")],
        string="Addresses",
        compute="_compute_billing_address_mode",
        store=True,
        readonly=False,
    )
    billing_default_source = fields.Char(compute="_compute_billing_default_source")
    billing_to = fields.Char(string="To (Addresses)", compute="_compute_billing_lines", store=True, readonly=False)
    billing_cc = fields.Char(string="Cc", compute="_compute_billing_lines", store=True, readonly=False)
    billing_bcc = fields.Char(string="Bcc", compute="_compute_billing_lines", store=True, readonly=False)
    billing_problem = fields.Char(compute="_compute_billing_problem")
    billing_sent_before = fields.Char(compute="_compute_billing_sent_before")
    billing_preview = fields.Html(compute="_compute_billing_preview", sanitize=False)

    @api.depends("move_id")
    def _compute_billing_address_mode(self):
        for wizard in self:
            wizard.billing_address_mode = "custom" if wizard.move_id.billing_email_custom else "default"

    @api.depends("move_id")
    def _compute_billing_default_source(self):
        for wizard in self:
            wizard.billing_default_source = wizard.move_id._billing_default_source()

    @api.depends("move_id", "billing_address_mode")
    def _compute_billing_lines(self):
        for wizard in self:
            if wizard.billing_address_mode == "default":
                lines = wizard.move_id._billing_default_addresses()
            elif not wizard.billing_to and wizard.move_id.billing_email_custom:
                lines = wizard.move_id._billing_addresses()
            else:
                lines = wizard._billing_typed()
            for line in LINES:
                wizard[f"billing_{line}"] = lines[line]

    @api.onchange("billing_to", "billing_cc", "billing_bcc")
    def _onchange_billing_lines(self):
        """Whoever edits a default address has a custom one."""
        if (
            self.billing_address_mode == "default"
            and self._billing_typed() != self.move_id._billing_default_addresses()
        ):
            self.billing_address_mode = "custom"

    def _billing_typed(self):
        return {line: self[f"billing_{line}"] or "" for line in LINES}

    @api.depends("billing_to", "billing_cc", "billing_bcc", "sending_methods")
    def _compute_billing_problem(self):
        for wizard in self:
            wizard.billing_problem = "email" in (
                wizard.sending_methods or []
            ) and wizard.move_id._billing_address_problem(wizard._billing_typed())

    @api.depends("move_id", "billing_to", "billing_cc", "billing_bcc")
    def _compute_billing_sent_before(self):
        for wizard in self:
            got_it = wizard.move_id.billing_mail_ids.filtered(
                lambda mail: mail.kind == "invoice"
            ).recipient_ids.filtered(lambda recipient: recipient.state == "accepted")
            latest = got_it.sorted("answered_on")[-1:]
            wizard.billing_sent_before = bool(latest) and self.env._(
                "Already sent to %(emails)s, last on %(moment)s. Sending now sends it once more.",
                emails=", ".join(sorted(set(got_it.mapped("email")))),
                moment=format_datetime(self.env, latest.answered_on),
            )

    @api.depends("subject", "body", "lang", "move_id")
    def _compute_billing_preview(self):
        for wizard in self:
            wizard.billing_preview = (
                self.env["billing.mail"]._render_in_layout(wizard.move_id, wizard.body, wizard.lang)
                if wizard.body
                else False
            )

    def _compute_display_pdf_report_id(self):
        """No question where the answer is our document, and nobody made another one than Odoo's."""
        result = super()._compute_display_pdf_report_id()
        for wizard in self.filtered("display_pdf_report_id"):
            ours = wizard.move_id._billing_document_report()
            others = wizard.available_pdf_report_ids._origin - ours - self.env.ref(ODOO_REPORT)
            wizard.display_pdf_report_id = bool(others) or wizard.pdf_report_id._origin != ours
        return result

    def _get_sending_settings(self):
        return {**super()._get_sending_settings(), "billing_addresses": self._billing_typed()}

    def action_billing_restore_default(self):
        """Back to the addresses of the project or client."""
        self.ensure_one()
        self.billing_address_mode = "default"
        return self._billing_reopen()

    def _billing_reopen(self):
        return dict(self._get_records_action(target="new"), name=self.env._("Send Invoice"), context=self.env.context)

    def action_billing_preview_pdf(self):
        """The PDF as it will be attached; nothing is stored."""
        self.ensure_one()
        return self.move_id.action_billing_pdf()

    def action_send_and_print(self, allow_fallback_pdf=False):
        self.ensure_one()
        if self.billing_problem:
            # The dialog names it beside the addresses, where it can be mended at once.
            if self.env.context.get("billing_dialog"):
                return self._billing_reopen()
            raise UserError(self.billing_problem)
        if "email" in (self.sending_methods or []):
            self._billing_keep_addresses()
        return super().action_send_and_print(allow_fallback_pdf=allow_fallback_pdf)

    def _billing_keep_addresses(self):
        """The invoice remembers where it was sent to instead, for the next time. Not so where only some were missed."""
        if self.env.context.get("billing_once"):
            return
        custom = self.billing_address_mode == "custom"
        lines = self._billing_typed() if custom else dict.fromkeys(LINES, False)
        self.move_id.write({"billing_email_custom": custom, **{f"billing_email_{line}": lines[line] for line in LINES}})
