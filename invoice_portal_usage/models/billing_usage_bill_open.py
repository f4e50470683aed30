from decimal import Decimal

from odoo import api, fields, models
from odoo.tools import SQL

from odoo.addons.invoice_portal.tools.local_time import local_date

SUMS = ("quantity", "billed_quantity", "allowance_quantity", "list_amount", "amount")


class BillingUsage(models.Model):
    """What a client used and is not billed yet."""

    _inherit = "billing.usage"

    @api.model
    def _open_totals(self, partner, company, day=None):
        """What this client would be billed now for the periods that hold the day, by the very statement that bills it.
        Reads only, so a page that shows it may be asked of a replica.

        Elevated, as clients read neither plans nor packages; who asks has to have checked whose usage it is.

        :param day: today where the client lives, unless told otherwise
        :return: one dictionary per plan, subscription and period: `{"partner_id", "rate_plan_id", "subscription_id",
            "currency_id", "period_start", "period_end", "rows", "allowances"}`. Rows are what is open, by destination
            and day: `{"destination_id", "destination_name", "day", "record_count", "quantity", "billed_quantity",
            "allowance_quantity", "list_amount", "amount"}`; allowances `{"allowance_id", "name", "granted", "used"}`,
            used by bills of the same period, too. Quantities are in base units, amounts exact.
        """
        bills = self.env["billing.usage.bill"].sudo().with_company(company)
        company = company.sudo()
        client = partner.sudo().commercial_partner_id
        day = day or local_date(fields.Datetime.now(), client.tz or company.partner_id.tz)
        # What is dated ahead is in the period, too.
        until = fields.Date.add(day, years=1)
        bills._flush_what_is_read()
        planned = bills._plan(client, company, until, running_on=day)
        current = [scope for scope in planned.scopes if scope.first <= day <= scope.last]
        if not current:
            return []
        planned = planned._replace(scopes=current)
        numbers = {scope.number for scope in current}
        spans = [span for span in planned.spans if span.number in numbers]
        grants = bills._grants(company, planned)
        totals, used = bills._open_sums(bills._price_sql(company, current, spans, grants, until), grants)
        names = {
            allowance.id: allowance.name
            for allowance in self.env["billing.package.allowance"].sudo().browse(grant.allowance for grant in grants)
        }
        return [
            {
                "partner_id": scope.partner,
                "rate_plan_id": scope.plan,
                "subscription_id": scope.subscription or False,
                "currency_id": bills.rate_plan_id.browse(scope.plan).currency_id.id,
                "period_start": scope.first,
                "period_end": scope.last,
                "rows": totals.get(scope.number, []),
                "allowances": [
                    {
                        "allowance_id": grant.allowance,
                        "name": names[grant.allowance],
                        "granted": float(grant.granted),
                        "used": float(grant.granted - grant.left + used.get((scope.number, grant.rank), 0)),
                    }
                    for grant in grants
                    if grant.number == scope.number
                ],
            }
            for scope in current
        ]


class BillingUsageBill(models.Model):
    _inherit = "billing.usage.bill"

    @api.model
    def _open_sums(self, price, grants):
        """What `price` comes to by scope, destination and day; and what each allowance gives, by scope and rank."""
        ranks = max((grant.rank for grant in grants), default=0)
        totals, used = {}, {}
        for number, destination, name, day, count, *sums, given in self.env.execute_query(
            SQL(
                """
                WITH %s
                SELECT priced.number, priced.destination_id, MAX(destination.name), priced.day, COUNT(*),
                       SUM(priced.quantity), SUM(priced.billed_quantity), SUM(priced.covered),
                       SUM(priced.list_amount), SUM(priced.charged), ARRAY[%s]::text[]
                  FROM priced
             LEFT JOIN billing_rate_destination destination ON destination.id = priced.destination_id
              GROUP BY priced.number, priced.destination_id, priced.day
              ORDER BY priced.day, 3
                """,
                price,
                SQL(", ").join(
                    SQL("SUM(%s - %s)", SQL.identifier(before), SQL.identifier(after))
                    for before, after in self._steps_of_allowances(ranks)
                ),
            )
        ):
            totals.setdefault(number, []).append(
                {
                    "destination_id": destination,
                    "destination_name": name,
                    "day": day,
                    "record_count": count,
                    **dict(zip(SUMS, map(float, sums), strict=True)),
                }
            )
            for rank, quantity in enumerate(given, start=1):
                used[number, rank] = used.get((number, rank), 0) + Decimal(quantity)
        return totals, used
