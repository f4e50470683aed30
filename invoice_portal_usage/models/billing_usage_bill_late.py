from odoo import api, models
from odoo.tools import SQL


class BillingUsageBill(models.Model):
    _inherit = "billing.usage.bill"

    @api.model
    def _late_clients_sql(self, company):
        return SQL(
            """
            SELECT DISTINCT usage.partner_id
              FROM billing_usage usage
             WHERE usage.bill_id IS NULL AND usage.partner_id IS NOT NULL AND usage.unrated_reason IS NULL
               AND usage.company_id = %s AND usage.rate_plan_id IS NOT NULL
               AND EXISTS (
                    SELECT 1
                      FROM billing_usage_bill bill
                     WHERE bill.partner_id = usage.partner_id AND bill.company_id = usage.company_id AND bill.is_over
                       AND usage.day BETWEEN bill.period_start AND bill.period_end
               )
          ORDER BY 1
            """,
            company.id,
        )
