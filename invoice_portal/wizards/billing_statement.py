import base64

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tools import format_date

from ..tools import csv_text

REPORT = "invoice_portal.action_report_statement"


class BillingStatement(models.TransientModel):
    """A statement of account, for any days: on the screen, as PDF or CSV, or by mail to the client."""

    _name = "billing.statement"
    _description = "Statement of Account"
    _inherit = ["billing.document"]

    name = fields.Char(compute="_compute_name")
    partner_id = fields.Many2one("res.partner", string="Client", required=True, readonly=True)
    company_id = fields.Many2one("res.company", required=True, readonly=True, default=lambda self: self.env.company)
    date_from = fields.Date(
        string="From", required=True, compute="_compute_dates", store=True, readonly=False, precompute=True
    )
    date_to = fields.Date(
        string="To", required=True, compute="_compute_dates", store=True, readonly=False, precompute=True
    )
    preview = fields.Html(compute="_compute_preview", sanitize=False)
    csv_file = fields.Binary(compute="_compute_csv_file", attachment=False)
    email_to = fields.Char(
        string="Mail To",
        compute="_compute_email_to",
        store=True,
        readonly=False,
        help="Addresses, separated by commas.",
    )

    @api.model
    def _open(self, client):
        wizard = self.create({"partner_id": client.id})
        return wizard._get_records_action(
            name=self.env._("Statement of Account of %s", client.display_name), target="new"
        )

    @api.depends("partner_id", "company_id")
    def _compute_dates(self):
        for wizard in self:
            today, until = wizard.partner_id._billing_statement_today(wizard.company_id)
            wizard.date_to = wizard.date_to or until
            wizard.date_from = wizard.date_from or fields.Date.subtract(today.replace(day=1), months=3)

    @api.depends("partner_id")
    def _compute_email_to(self):
        for wizard in self:
            wizard.email_to = wizard.partner_id._billing_addresses()["to"]

    @api.depends("date_from", "date_to")
    def _compute_name(self):
        for wizard in self:
            wizard.name = f"{format_date(wizard.env, wizard.date_from)} – {format_date(wizard.env, wizard.date_to)}"

    def _parts(self):
        self.ensure_one()
        if self.date_from > self.date_to:
            raise UserError(self.env._("The first day lies after the last one."))
        # Elevated where the portal asks for its PDF: then it was checked who asks.
        return self.partner_id._billing_statement(self.date_from, self.date_to, self.company_id)

    @api.depends("partner_id", "company_id", "date_from", "date_to")
    def _compute_preview(self):
        for wizard in self:
            if not wizard.date_from or not wizard.date_to or wizard.date_from > wizard.date_to:
                wizard.preview = self.env._("The first day lies after the last one.")
                continue
            wizard.preview = self.env["ir.qweb"]._render("invoice_portal.statement_preview", {"parts": wizard._parts()})

    @api.depends("partner_id", "company_id", "date_from", "date_to")
    def _compute_csv_file(self):
        for wizard in self:
            wizard.csv_file = base64.b64encode(wizard._csv())

    def _csv(self):
        """In the client's words; dates and numbers as programs read them."""
        self = self.with_context(lang=self.partner_id.lang or self.env.lang)  # noqa: PLW0642
        text = self.env._
        rows = [
            [
                text("Currency"),
                text("Date"),
                text("Entry"),
                text("Reference"),
                text("Due"),
                text("Amount"),
                text("Balance"),
            ]
        ]
        for part in self._parts():
            currency, places = part["currency"].name, part["currency"].decimal_places
            rows.append([currency, self.date_from, text("Opening balance"), "", "", "", round(part["opening"], places)])
            rows += [
                [
                    currency,
                    row["date"],
                    row["label"],
                    row["reference"],
                    row["due"],
                    round(row["amount"], places),
                    round(row["balance"], places),
                ]
                for row in part["rows"]
            ]
            rows.append([currency, self.date_to, text("Closing balance"), "", "", "", round(part["closing"], places)])
        return csv_text.table(rows)

    def _pdf(self):
        return self.env["ir.actions.report"]._render_qweb_pdf(REPORT, self.ids)[0]

    def _file_name(self):
        self.ensure_one()
        lang = self.partner_id.lang or self.env.lang
        title = self.with_context(lang=lang).env._("Statement")
        return f"{title} {self.partner_id.display_name} {self.date_from} {self.date_to}".replace("/", "-")

    def _billing_document_facts(self):
        return [(self.env._("Client no."), self.partner_id.ref)] if self.partner_id.ref else []

    # -- buttons ------------------------------------------------------------------------------------------------------

    def _check_staff(self):
        self.check_access("write")
        self.partner_id._billing_check_staff()

    def action_pdf(self):
        self.ensure_one()
        self._check_staff()
        self._parts()
        return self.env.ref(REPORT).report_action(self, config=False)

    def action_csv(self):
        self.ensure_one()
        self._check_staff()
        self._parts()
        return {
            "type": "ir.actions.act_url",
            "url": f"/web/content/{self._name}/{self.id}/csv_file/{self._file_name()}.csv?download=true",
            "target": "download",
        }

    def action_send(self):
        """Mail the PDF to the client, after the commit."""
        self.ensure_one()
        self._check_staff()
        addresses = {**self.partner_id._billing_addresses(), "to": self.email_to}
        if problem := self.env["account.move"]._billing_address_problem(addresses):
            raise UserError(problem)
        template = self.env.ref("invoice_portal.mail_template_statement").with_context(
            billing_from=self.date_from, billing_to=self.date_to
        )
        name = f"{self._file_name()}.pdf"
        mail = self.partner_id.with_company(self.company_id)._billing_queue_notice(
            template,
            kind="statement",
            addresses=addresses,
            attachment_ids=[
                Command.create(
                    {
                        "name": name,
                        "raw": self._pdf(),
                        "thumbnail": self.env["account.move.send"]._billing_file_icon(name),
                    }
                )
            ],
        )
        mail._send_after_commit()
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "info",
                "message": self.env._("The statement is on its way to %s.", self.email_to),
                "next": {"type": "ir.actions.act_window_close"},
            },
        }
