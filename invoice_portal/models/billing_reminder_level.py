from odoo import api, fields, models
from odoo.fields import Domain

from .abstract_billable_values import TOO_MUCH


class BillingReminderLevel(models.Model):
    """What is said to a client when an invoice is so many days past its due date, and what follows from it."""

    _name = "billing.reminder.level"
    _description = "Reminder Level"
    _order = "days, id"
    _check_company_auto = True

    name = fields.Char(required=True, translate=True)
    active = fields.Boolean(default=True)
    company_id = fields.Many2one("res.company", help="Empty: for all companies.")
    days = fields.Integer(
        string="Days After Due Date",
        required=True,
        default=7,
        help="On which day after the due date it is said; below zero: so many days before it, while it is not overdue.",
    )
    template_id = fields.Many2one(
        "mail.template",
        string="E-mail",
        required=True,
        ondelete="restrict",
        domain="[('model', '=', 'account.move')]",
        default=lambda self: self.env.ref("invoice_portal.mail_template_reminder_friendly", raise_if_not_found=False),
    )
    currency_id = fields.Many2one("res.currency", required=True, default=lambda self: self.env.company.currency_id)
    fee = fields.Monetary(
        help="Charged to the client with the next invoice, once per invoice that is reminded. In another currency for "
        "invoices of that one, at the rate of the day."
    )
    interest = fields.Float(
        string="Interest (% p.a.)",
        digits=(16, 4),
        help="Of what is overdue, from its due date or the last day that was charged to the day of the reminder.",
    )
    product_id = fields.Many2one(
        "product.product",
        string="Billed As",
        check_company=True,
        domain="[('sale_ok', '=', True)]",
        default=lambda self: self.env.ref("invoice_portal.product_reminder", raise_if_not_found=False),
        help="Decides account and taxes of fee and interest.",
    )
    activity_type_id = fields.Many2one(
        "mail.activity.type",
        string="Activity",
        ondelete="set null",
        domain="[('res_model', 'in', (False, 'account.move'))]",
        help="Planned on the invoice when the reminder was sent: call the client, for example.",
    )
    activity_user_id = fields.Many2one(
        "res.users",
        string="Assigned To",
        domain="[('share', '=', False)]",
        help="Empty: the salesperson of the invoice, else of the client.",
    )
    stops_services = fields.Boolean(
        string="Stops Automatic Services",
        help="From this reminder until the invoice is paid, the client is marked so that other applications stop.",
    )

    _costs_after_due_date = models.Constraint(
        "CHECK (days > 0 OR (COALESCE(fee, 0) = 0 AND COALESCE(interest, 0) = 0 AND stops_services IS NOT TRUE))",
        "Nobody is late before the due date has passed: no fee, no interest, no service stopped.",
    )
    _no_negative_costs = models.Constraint(
        "CHECK (COALESCE(fee, 0) >= 0 AND COALESCE(interest, 0) >= 0)", "Fee and interest are none or some."
    )

    _within_years = models.Constraint(
        "CHECK (days BETWEEN -365 AND 3650)", "A reminder is at most a year before the due date, or ten years after it."
    )
    _bounded_costs = models.Constraint(
        f"CHECK (COALESCE(fee, 0) < {TOO_MUCH:.0f} AND COALESCE(interest, 0) <= 100)",
        "The fee is too large, or the interest above 100 % a year.",
    )

    @api.model
    def _get_company_domain(self, company):
        return Domain("company_id", "in", [False, company.id])

    def _rank(self):
        """What decides which of two levels is the higher one."""
        return self.days, self.id

    def _is_reached(self, days):
        """Whether so many days after the due date it is time for it: a notice of the due date lapses with that."""
        return self.days <= days and (self.days >= 0 or days <= 0)
