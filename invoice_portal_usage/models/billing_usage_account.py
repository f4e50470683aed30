from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.fields import Domain
from odoo.tools import SQL

from ..tools.usage_row import Unreadable

# Whose usage is, and by which plan, follows from these.
DECIDING_FIELDS = {
    "source_id",
    "key",
    "number",
    "partner_id",
    "subscription_id",
    "rate_plan_id",
    "date_from",
    "date_until",
}


class BillingUsageAccount(models.Model):
    """By what a source knows a client: a telephone number, an account, a key."""

    _name = "billing.usage.account"
    _description = "Number or Account of a Client"
    _order = "source_id, number, date_from desc, id"
    _rec_name = "key"
    _check_company_auto = True

    source_id = fields.Many2one("billing.usage.source", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="source_id.company_id", store=True, index=True)
    key = fields.Char(string="Number or Account", required=True, help="As the source writes it.")
    number = fields.Char(
        compute="_compute_number",
        store=True,
        precompute=True,
        help="As it is looked up: telephone numbers in digits with the country's code.",
    )
    partner_id = fields.Many2one(
        "res.partner",
        string="Client",
        required=True,
        index=True,
        check_company=True,
        ondelete="restrict",
        help="A contact stands for the company it belongs to.",
    )
    subscription_id = fields.Many2one(
        "billing.subscription",
        index="btree_not_null",
        check_company=True,
        ondelete="restrict",
        domain="[('partner_id', '=', partner_id)]",
        help="Its package says what is included, and the rate plan.",
    )
    rate_plan_id = fields.Many2one(
        "billing.rate.plan",
        index="btree_not_null",
        check_company=True,
        ondelete="restrict",
        help="Empty: that of the package, else of the client, else of the source.",
    )
    date_from = fields.Date(string="From", help="Empty: from the beginning.")
    date_until = fields.Date(string="Until", help="The last day, included. Empty: until further notice.")

    _number_idx = models.Index("(source_id, number)")
    _dates = models.Constraint(
        "CHECK (date_until IS NULL OR date_from IS NULL OR date_until >= date_from)",
        "A number cannot be given back before it is handed out.",
    )

    def _is_in_force(self, day):
        """Whether it is the client's on this day, written as 2026-03-31."""
        self.ensure_one()
        return (not self.date_from or str(self.date_from) <= day) and (
            not self.date_until or day <= str(self.date_until)
        )

    @api.depends("key", "source_id")
    def _compute_number(self):
        readers = {source: source._reader() for source in self.source_id}
        for account in self:
            reader = readers.get(account.source_id)
            if not account.key or not reader:
                account.number = account.key
                continue
            try:
                account.number = reader.place(account.key.strip())
            except Unreadable as error:
                raise ValidationError(account.source_id._why_unreadable(error)) from None

    @api.onchange("partner_id")
    def _onchange_partner_id(self):
        self.partner_id = self.partner_id.commercial_partner_id
        if self.subscription_id.partner_id != self.partner_id:
            self.subscription_id = False

    @api.model_create_multi
    def create(self, vals_list):
        accounts = super().create([self._of_the_commercial_entity(vals) for vals in vals_list])
        accounts._rate_what_follows(())
        return accounts

    def write(self, vals):
        before = self._what_it_had()
        result = super().write(self._of_the_commercial_entity(vals))
        if vals.keys() & DECIDING_FIELDS:
            self._rate_what_follows(before)
        return result

    def unlink(self):
        before, companies = self._what_it_had(), self.company_id
        result = super().unlink()
        self.browse()._rate_what_follows(before, companies)
        return result

    def _what_it_had(self):
        return {(account.source_id.id, account.number, account.partner_id.id) for account in self}

    def _rate_what_follows(self, before, companies=None):
        """Usage that is not billed yet goes with its number: to another client, to nobody, by another plan.

        :param before: source, number and client of each of these, as it was
        """
        self.flush_recordset()
        now = self._what_it_had()
        sources = {source for source, _number, _partner in now.union(before)}
        numbers = {number for _source, number, _partner in now.union(before)}
        if not numbers:
            return
        # Also who has the number before or after: on the day between them, zones decide whose it is.
        others = self.search([("source_id", "in", list(sources)), ("number", "in", list(numbers))])
        clients = {partner for _source, _number, partner in now.union(before)}.union(others.partner_id.ids)
        domain = (
            Domain("source_id", "in", list(sources))
            & Domain("account", "in", list(numbers))
            # What was a client's is found by the client, what was nobody's among what is not rated.
            & (Domain("partner_id", "in", list(clients)) | Domain("unrated_reason", "=", "account"))
        )
        companies = companies or self.company_id
        usage = self.env["billing.usage"].with_context(allowed_company_ids=companies.ids)
        usage._rate_again(domain, everything=True)

    def _of_the_commercial_entity(self, vals):
        if not vals.get("partner_id"):
            return vals
        partner = self.env["res.partner"].browse(vals["partner_id"])
        return dict(vals, partner_id=partner.commercial_partner_id.id)

    @api.constrains("subscription_id", "partner_id")
    def _check_subscription(self):
        for account in self:
            if account.subscription_id and account.subscription_id.partner_id != account.partner_id:
                raise ValidationError(
                    self.env._(
                        "%(number)s: “%(subscription)s” is not a subscription of %(client)s.",
                        number=account.key,
                        subscription=account.subscription_id.display_name,
                        client=account.partner_id.display_name,
                    )
                )

    @api.constrains("source_id", "number", "date_from", "date_until")
    def _check_one_owner(self):
        """On one day, a number is one client's."""
        self.flush_model(["source_id", "number", "date_from", "date_until"])
        rows = self.env.execute_query(
            SQL(
                """
                SELECT one.id, other.id
                  FROM billing_usage_account one
                  JOIN billing_usage_account other
                    ON other.source_id = one.source_id AND other.number = one.number AND other.id <> one.id
                   AND daterange(other.date_from, other.date_until, '[]')
                    && daterange(one.date_from, one.date_until, '[]')
                 WHERE one.id IN %s
                 LIMIT 1
                """,
                self._ids or (None,),
            )
        )
        if rows:
            one, other = (self.sudo().browse(account) for account in rows[0])
            raise ValidationError(
                self.env._(
                    "%(number)s is %(client)s's already (%(switch)s). Give that one an end first, or this one a later "
                    "beginning.",
                    number=one.key,
                    client=other.partner_id.display_name,
                    switch=other.source_id.name,
                )
            )
