from psycopg2 import errors

from odoo import api, fields, models
from odoo.exceptions import AccessError
from odoo.fields import Domain

from .res_company import CREDIT_USES

CREDIT_FIELDS = ["billing_credit_use", "billing_credit_threshold"]
# Clients per transaction of the job.
WATCHED_AT_ONCE = 200


class ResPartner(models.Model):
    """What stands to a client's credit: unreconciled on its receivable account, and kept nowhere else."""

    _inherit = "res.partner"

    billing_credit_use = fields.Selection(
        CREDIT_USES,
        string="Use credit",
        company_dependent=True,
        groups="base.group_user",
        help="When the client's credit pays an invoice. Empty: as set for the company.",
    )
    billing_credit_threshold = fields.Float(
        string="Low credit below",
        company_dependent=True,
        groups="base.group_user",
        help="The client is told once when its credit falls below this amount of the company's currency. Zero: never.",
    )
    billing_credit_low_on = fields.Datetime(
        string="Credit low since",
        company_dependent=True,
        readonly=True,
        groups="base.group_user",
        help="When the client was told that its credit is low; empty again once it is not.",
    )
    billing_credit = fields.Char(
        string="Credit", compute="_compute_billing_credit", groups="invoice_portal.group_billing_user"
    )
    billing_has_credit = fields.Boolean(
        compute="_compute_billing_credit", groups="invoice_portal.group_billing_user", exportable=False
    )

    def _commercial_fields(self):
        return super()._commercial_fields() + CREDIT_FIELDS

    # -- how much -----------------------------------------------------------------------------------------------------

    def _get_billing_credit_domain(self, companies):
        """The journal items that are these clients' credit now, and may be spent. Narrow it for what is in dispute."""
        return (
            Domain("partner_id.commercial_partner_id", "in", self.commercial_partner_id.ids)
            & Domain("company_id", "in", companies.ids)
            & Domain("account_type", "=", "asset_receivable")
            & Domain("parent_state", "=", "posted")
            & Domain("reconciled", "=", False)
            & Domain("amount_residual_currency", "<", 0)
            # Of a rejected or cancelled payment, the entry may still stand; *Block Payment* holds a credit note.
            & (Domain("payment_id", "=", False) | Domain("payment_id.state", "in", ("in_process", "paid")))
            & Domain("move_id.payment_state", "!=", "blocked")
        )

    def _billing_open_credits(self, companies=None):
        """The credit of these clients, by one query: `{(client, company, currency, account): amount}`."""
        groups = self.env["account.move.line"]._read_group(
            self._get_billing_credit_domain(companies or self.env.company),
            ["partner_id.commercial_partner_id", "company_id", "currency_id", "account_id"],
            ["amount_residual_currency:sum"],
        )
        return {tuple(key): -amount for *key, amount in groups}

    def _billing_credit_amounts(self, companies=None):
        """The same by client and currency: `{client: {currency: amount}}`."""
        amounts = {}
        for (client, _company, currency, _account), amount in self._billing_open_credits(companies).items():
            of_client = amounts.setdefault(client, {})
            of_client[currency] = of_client.get(currency, 0) + amount
        return amounts

    @api.depends_context("company")
    def _compute_billing_credit(self):
        amounts = self._billing_credit_amounts()
        currency = self.env.company.currency_id
        for partner in self:
            mine = amounts.get(partner.commercial_partner_id, {})
            ordered = sorted(mine.items(), key=lambda item: (item[0] != currency, item[0].name))
            partner.billing_has_credit = bool(mine)
            partner.billing_credit = " + ".join(each.format(amount) for each, amount in ordered) or currency.format(0)

    def _billing_check_own(self):
        """Only for this client itself, or for billing staff."""
        self.check_access("read")
        if self.commercial_partner_id == self.env.user.partner_id.commercial_partner_id:
            return
        if not self.env.user.has_group("invoice_portal.group_billing_user"):
            raise AccessError(self.env._("Only billing staff may do this."))

    def _billing_use_of_credit(self, company):
        self.ensure_one()
        return self.commercial_partner_id.with_company(company).billing_credit_use or company.billing_credit_use

    # -- when it gets low ---------------------------------------------------------------------------------------------

    @api.model
    def _cron_credit(self):
        """Tell clients whose credit fell below what they want to keep; forget it for those whose credit rose again."""
        commit = self.env["ir.cron"]._commit_progress
        for company in self.env["res.company"].search([]):
            watched = self.with_company(company).search(self._get_billing_watched_domain())
            for start in range(0, len(watched), WATCHED_AT_ONCE):
                try:
                    watched[start : start + WATCHED_AT_ONCE]._billing_watch_credit()
                except (errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable):
                    # Somebody changes one of them: these are looked at the next time.
                    self.env.cr.rollback()
                    continue
                if not commit(1):
                    return

    @api.model
    def _billing_wake_credit(self):
        self.env.ref("invoice_portal.ir_cron_billing_credit").sudo()._trigger()

    @api.model
    def _get_billing_watched_domain(self):
        return [("billing_credit_threshold", ">", 0), "|", ("parent_id", "=", False), ("is_company", "=", True)]

    def _billing_watch_credit(self):
        """Compare these clients' credit with what they want to keep, in the company of the environment."""
        company = self.env.company
        groups = self.env["account.move.line"]._read_group(
            self._get_billing_credit_domain(company), ["partner_id.commercial_partner_id"], ["amount_residual:sum"]
        )
        credit = {client.id: -amount for client, amount in groups}
        watched = self.filtered(lambda client: client == client.commercial_partner_id)
        low = watched.filtered(
            lambda client: (
                company.currency_id.compare_amounts(credit.get(client.id, 0), client.billing_credit_threshold) < 0
            )
        )
        (watched - low).filtered("billing_credit_low_on").billing_credit_low_on = False
        untold = low.filtered(lambda client: not client.billing_credit_low_on).try_lock_for_update(
            allow_referencing=True
        )
        for client in untold:
            client.billing_credit_low_on = fields.Datetime.now()
            if not client._billing_top_up():
                client._billing_notify_low_credit(credit.get(client.id, 0))

    def _billing_top_up(self):
        """Fill up the credit of this client without asking, in the company of the environment.

        To be extended by what can. Return whether it is under way: then the client is not told that it is low.
        """
        self.ensure_one()
        return False

    def _billing_notify_low_credit(self, amount):
        template = self.env.ref("invoice_portal.mail_template_credit_low", raise_if_not_found=False)
        if template:
            self._billing_queue_notice(template.with_context(billing_credit=amount))

    # -- buttons ------------------------------------------------------------------------------------------------------

    def action_billing_add_credit(self):
        """Ask for money that came in without an invoice."""
        self.ensure_one()
        self._billing_check_staff()
        return self.env["billing.credit.add"]._open(self.commercial_partner_id)

    def action_billing_refund_credit(self):
        """Ask how much of the client's credit goes back to it."""
        self.ensure_one()
        self._billing_check_staff()
        return self.env["billing.credit.refund"]._open(self.commercial_partner_id)

    def action_billing_credit(self):
        """What came in and went out: each entry with its origin, what is open of it, and where it was spent."""
        self.ensure_one()
        self._billing_check_staff()
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal.action_billing_credit")
        client = self.commercial_partner_id
        return dict(
            action,
            domain=[
                ("partner_id.commercial_partner_id", "=", client.id),
                ("account_type", "=", "asset_receivable"),
                ("parent_state", "=", "posted"),
                ("amount_currency", "<", 0),
            ],
            context={"search_default_open": 1},
        )
