from odoo import fields, models


class ResCompany(models.Model):
    _inherit = "res.company"

    billing_lock_invoices = fields.Boolean(
        string="Lock every finalized invoice",
        default=True,
        help="Customer invoices and credit notes can no longer be changed or taken back to draft once they are "
        "confirmed; they are voided instead. Invoices that bill charges are always locked.",
    )
    billing_ready_mail = fields.Boolean(
        string="Invoice ready for payment",
        help="Tell clients by e-mail when an invoice is finalized. Each client can have it otherwise.",
    )
