from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError

from ..tools import pdf

# When what stands to a client's credit pays an invoice.
CREDIT_USES = [("automatic", "When an invoice is finalized"), ("offer", "When somebody says so"), ("never", "Never")]


class ResCompany(models.Model):
    _inherit = "res.company"

    billing_lock_invoices = fields.Boolean(
        string="Lock every finalized invoice",
        default=True,
        help="Customer invoices and credit notes can no longer be changed or taken back to draft once they are "
        "confirmed; they are voided instead. Invoices that bill charges are always locked.",
        groups="base.group_user",
    )
    billing_ready_mail = fields.Boolean(
        string="Invoice ready for payment",
        help="Tell clients by e-mail when an invoice is finalized. Each client can have it otherwise.",
        groups="base.group_user",
    )
    billing_note = fields.Html(
        string="Notes on Invoices",
        translate=True,
        help="Put on each new invoice, in the client's language. Each client can have its own.",
        groups="base.group_user",
    )
    billing_review_threshold = fields.Float(
        string="Unusual from",
        help="Clients whose invoice differs by at least so many percent from the run before are flagged, and those who "
        "are new or gone. Zero: nobody is.",
        groups="base.group_user",
    )
    billing_hold_flagged = fields.Boolean(
        string="Hold what is unusual",
        help="Drafts of flagged clients wait for a person, also where their cycle finalizes by itself.",
        groups="base.group_user",
    )
    billing_reminders = fields.Boolean(
        string="Send reminders",
        help="Clients are reminded by e-mail of invoices that are overdue, at the levels set up, in the daytime where "
        "they live.",
        groups="base.group_user",
    )
    billing_reminder_from = fields.Date(
        string="Only what is due from",
        help="What was due before this day is not reminded by itself. Empty: each invoice gets the highest level that "
        "it has reached, however old it is.",
        groups="base.group_user",
    )
    billing_reminder_minimum = fields.Monetary(
        string="Smallest amount reminded",
        help="Clients are not reminded by themselves of an invoice of which less is overdue.",
        groups="base.group_user",
    )
    billing_credit_use = fields.Selection(
        CREDIT_USES,
        string="Use a client's credit",
        default="automatic",
        required=True,
        help="The oldest credit first, never more than is due. When somebody says so: by a button on the invoice. Each "
        "client can have it otherwise.",
        groups="base.group_user",
    )
    billing_credit_most = fields.Monetary(
        string="Most credit by card",
        default=10000,
        help="The largest amount that a client pays in by card, or is topped up by, at once. Zero: nobody can.",
        groups="base.group_user",
    )
    billing_top_up_daily = fields.Integer(
        string="Top-ups a day",
        default=3,
        help="So many times within 24 hours a client's card is charged by itself to fill up its credit.",
        groups="base.group_user",
    )
    billing_receipt_mail = fields.Boolean(
        string="Mail a receipt",
        help="Mail clients a receipt for each payment. Each client can have it otherwise.",
        groups="base.group_user",
    )
    billing_portal_upcoming = fields.Boolean(
        string="Show the next invoice",
        default=True,
        help="Clients see on the portal what their next invoice will hold as of now.",
        groups="base.group_user",
    )
    billing_portal_partial = fields.Boolean(
        string="Payment in part",
        default=True,
        help="Clients may pay part of an invoice online. Instalments, and what credit leaves open, can always be paid. "
        "Without it, payment links over a part do not work, either.",
        groups="base.group_user",
    )
    billing_pdf_engine = fields.Selection(
        [("automatic", "Automatic"), ("weasyprint", "WeasyPrint"), ("wkhtmltopdf", "wkhtmltopdf")],
        string="PDF engine",
        default="automatic",
        required=True,
        help="Automatic takes WeasyPrint where it is installed: it repeats headings and numbers pages. Other documents "
        "of Odoo are always made by wkhtmltopdf.",
        groups="base.group_user",
    )

    billing_autopay_when = fields.Selection(
        [("finalized", "When an invoice is finalized"), ("due", "On its due date")],
        string="Charge cards",
        default="finalized",
        required=True,
        help="When invoices of clients with automatic payment are charged to their cards.",
        groups="base.group_user",
    )
    billing_autopay_days = fields.Char(
        string="Tries on day",
        default="0, 3, 5, 7",
        required=True,
        help="Days after the first try on which a card that was refused is charged again. Refusals that no later try "
        "changes end it at once.",
        groups="base.group_user",
    )

    billing_dispute_allowed = fields.Boolean(
        string="Clients object on the portal",
        default=True,
        groups="base.group_user",
        help="Clients can object to an item of an invoice. What they contest is neither charged nor reminded of by "
        "itself until it is answered. After a refusal they have five days before it is.",
    )
    billing_dispute_days = fields.Integer(
        string="Days to object",
        default=60,
        groups="base.group_user",
        help="How many days after the date of an invoice clients can object to its items. Zero: for ever.",
    )

    _billing_dispute_days_positive = models.Constraint(
        "CHECK (billing_dispute_days >= 0)", "The days to object are none or some."
    )

    @api.constrains("billing_autopay_days")
    def _check_billing_autopay_days(self):
        for company in self:
            try:
                days = company._billing_autopay_days()
            except ValueError:
                days = []
            if not days or days[0] != 0 or days != sorted(set(days)) or len(days) > 15 or days[-1] > 90:
                raise ValidationError(
                    self.env._(
                        "Type the days of the tries in order, beginning with 0, up to 90: for example 0, 3, 5, 7."
                    )
                )

    def _billing_autopay_days(self):
        """The days of the tries, counted from the first."""
        self.ensure_one()
        return [int(day) for day in (self.billing_autopay_days or "").split(",")]

    def _billing_pdf_engine(self):
        """The engine for this company's documents. Where it is missing, say so."""
        self.ensure_one()
        chosen = self.sudo().billing_pdf_engine or "automatic"
        problem = pdf.why_not()
        if chosen != "wkhtmltopdf" and not problem:
            return "weasyprint"
        if chosen == "weasyprint":
            raise UserError(
                self.env._(
                    "WeasyPrint is chosen for PDF documents in the Billing settings, but does not work on this server: "
                    "%s. Install it (pip install weasyprint, and the library Pango), or choose another engine.",
                    problem,
                )
            )
        if self.env["ir.actions.report"].get_wkhtmltopdf_state() == "install":
            raise UserError(
                self.env._(
                    "No PDF can be made on this server: it has neither WeasyPrint nor wkhtmltopdf that may be used. "
                    "Install one of them, or choose another engine in the Billing settings."
                )
            )
        return "wkhtmltopdf"
