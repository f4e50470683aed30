from odoo import api, fields, models
from odoo.exceptions import ValidationError


class BillingEmailDefault(models.AbstractModel):
    """To whom invoices are mailed unless told otherwise: of clients and of projects.

    Who could write these could have invoices of others sent to himself: they are for billing staff alone, and logged.
    """

    _name = "billing.email.default"
    _description = "Default Addresses of Invoices"

    billing_email_to = fields.Char(
        string="Invoices To",
        tracking=True,
        groups="invoice_portal.group_billing_user",
        help="Addresses, separated by commas. Empty: the e-mail of the contact on the invoice.",
    )
    billing_email_cc = fields.Char(
        string="Invoices Cc",
        tracking=True,
        groups="invoice_portal.group_billing_user",
        help="Get a copy, and everybody sees it.",
    )
    billing_email_bcc = fields.Char(
        string="Invoices Bcc",
        tracking=True,
        groups="invoice_portal.group_billing_user",
        help="Get a copy, and nobody else sees it.",
    )

    @api.constrains("billing_email_to", "billing_email_cc", "billing_email_bcc")
    def _check_billing_emails(self):
        for record in self:
            lines = {line: record[f"billing_email_{line}"] for line in ("to", "cc", "bcc")}
            if problem := self.env["account.move"]._billing_address_problem(lines, required=False):
                raise ValidationError(problem)
