from odoo import fields, models
from odoo.tools import SQL

from ..tools.local_time import day_bounds, zones_off_utc_date

BUCKETS = [
    ("current", "Not due"),
    ("days_30", "1–30"),
    ("days_60", "31–60"),
    ("days_90", "61–90"),
    ("older", "90+"),
    ("credit", "Credit"),
]


class BillingAgeing(models.Model):
    """How long what is due has been due: what is open now, instalment by instalment, read from the books when asked.

    A day passes where the client lives, as for `billing_status`. Credit that pays no invoice yet stands beside what is
    due, not against one of its ages.
    """

    _name = "billing.ageing"
    _description = "Ageing"
    _inherit = ["billing.state.order"]
    _billing_state_field = "bucket"
    _auto = False
    _rec_name = "move_id"
    _order = "days desc, id"
    _depends = {
        "account.account": ["account_type"],
        "account.move": ["billing_project_id", "invoice_date", "invoice_date_due", "invoice_user_id", "state"],
        "account.move.line": [
            "account_id",
            "amount_residual",
            "amount_residual_currency",
            "company_currency_id",
            "company_id",
            "currency_id",
            "date",
            "date_maturity",
            "move_id",
            "parent_state",
            "partner_id",
            "reconciled",
        ],
        "res.company": ["partner_id"],
        "res.partner": ["commercial_partner_id", "tz", "user_id"],
    }

    move_id = fields.Many2one("account.move", string="Entry", readonly=True)
    partner_id = fields.Many2one("res.partner", string="Client", readonly=True)
    user_id = fields.Many2one("res.users", string="Responsible", readonly=True)
    project_id = fields.Many2one("project.project", readonly=True)
    company_id = fields.Many2one("res.company", readonly=True)
    currency_id = fields.Many2one("res.currency", string="Company Currency", readonly=True)
    foreign_currency_id = fields.Many2one("res.currency", string="Currency", readonly=True)
    date = fields.Date(readonly=True)
    date_due = fields.Date(string="Due Date", readonly=True)
    days = fields.Integer(string="Days Past Due", readonly=True, aggregator="max")
    bucket = fields.Selection(BUCKETS, string="Age", readonly=True)
    amount_foreign = fields.Monetary(
        string="In Currency",
        currency_field="foreign_currency_id",
        readonly=True,
        help="In the currency of the invoice.",
    )
    amount = fields.Monetary(string="Total", readonly=True, help="In the company's currency; credit counts against it.")
    amount_current = fields.Monetary(string="Not Due", readonly=True)
    amount_30 = fields.Monetary(string="1–30", readonly=True)
    amount_60 = fields.Monetary(string="31–60", readonly=True)
    amount_90 = fields.Monetary(string="61–90", readonly=True)
    amount_older = fields.Monetary(string="90+", readonly=True)
    amount_credit = fields.Monetary(
        string="Credit", readonly=True, help="What came in or was credited, and pays no invoice yet."
    )

    @property
    def _table_query(self):
        now = fields.Datetime.now()
        earliest, latest = day_bounds(now)
        behind, ahead = zones_off_utc_date(now)
        return SQL(
            """
            SELECT aged.*,
                   CASE WHEN bucket = 'current' THEN amount ELSE 0 END AS amount_current,
                   CASE WHEN bucket = 'days_30' THEN amount ELSE 0 END AS amount_30,
                   CASE WHEN bucket = 'days_60' THEN amount ELSE 0 END AS amount_60,
                   CASE WHEN bucket = 'days_90' THEN amount ELSE 0 END AS amount_90,
                   CASE WHEN bucket = 'older' THEN amount ELSE 0 END AS amount_older,
                   CASE WHEN bucket = 'credit' THEN amount ELSE 0 END AS amount_credit
              FROM (
                    SELECT due.*,
                           CASE WHEN is_credit THEN 'credit'
                                WHEN days <= 0 THEN 'current'
                                WHEN days <= 30 THEN 'days_30'
                                WHEN days <= 60 THEN 'days_60'
                                WHEN days <= 90 THEN 'days_90'
                                ELSE 'older'
                           END AS bucket
                      FROM (
                            SELECT line.id,
                                   line.move_id,
                                   client.id AS partner_id,
                                   COALESCE(move.invoice_user_id, client.user_id) AS user_id,
                                   move.billing_project_id AS project_id,
                                   line.company_id,
                                   line.company_currency_id AS currency_id,
                                   line.currency_id AS foreign_currency_id,
                                   COALESCE(move.invoice_date, line.date) AS date,
                                   CASE WHEN open.is_credit THEN NULL ELSE open.date_due END AS date_due,
                                   open.is_credit,
                                   CASE WHEN open.is_credit THEN 0
                                        ELSE GREATEST(0, (CASE
                                            WHEN open.zone IN %(behind)s THEN %(earliest)s::date
                                            WHEN open.zone IN %(ahead)s THEN %(latest)s::date
                                            ELSE %(today)s::date
                                        END) - open.date_due)
                                   END AS days,
                                   line.amount_residual AS amount,
                                   line.amount_residual_currency AS amount_foreign
                              FROM account_move_line line
                              JOIN account_account account ON account.id = line.account_id
                              JOIN account_move move ON move.id = line.move_id
                              JOIN res_company company ON company.id = line.company_id
                              JOIN res_partner owner ON owner.id = company.partner_id
                              JOIN res_partner contact ON contact.id = line.partner_id
                              JOIN res_partner client
                                ON client.id = COALESCE(contact.commercial_partner_id, contact.id)
                        CROSS JOIN LATERAL (
                                    SELECT COALESCE(client.tz, owner.tz, 'UTC') AS zone,
                                           COALESCE(line.date_maturity, move.invoice_date_due, line.date) AS date_due,
                                           COALESCE(NULLIF(line.amount_residual_currency, 0), line.amount_residual) < 0
                                               AS is_credit
                                   ) open
                             WHERE account.account_type = 'asset_receivable'
                               AND line.parent_state = 'posted'
                               AND line.reconciled IS NOT TRUE
                               AND (line.amount_residual != 0 OR line.amount_residual_currency != 0)
                           ) due
                   ) aged
            """,
            earliest=earliest,
            latest=latest,
            today=now.date(),
            # SQL wants no empty list.
            behind=(*behind, ""),
            ahead=(*ahead, ""),
        )

    def action_open_entry(self):
        """Open the invoice, or what brought the credit."""
        self.ensure_one()
        self.check_access("read")
        record = self.move_id.origin_payment_id or self.move_id
        return record._get_records_action(name=record.display_name)
