from datetime import timedelta

from odoo import fields, models
from odoo.fields import Domain

from .billing_dispute import DECLINED, GRACE_DAYS, OPEN

# More than that is read on the pages of the invoices.
CONTESTED_SHOWN = 20


class ResPartner(models.Model):
    """What a client sees of its objections on the first page of the portal. As in `res_partner_portal.py`."""

    _inherit = "res.partner"

    def _get_billing_own_dispute_domain(self):
        """What waits for an answer, or was declined so lately that nobody presses the client for it yet."""
        lately = fields.Datetime.now() - timedelta(days=GRACE_DAYS + 2)
        return (
            Domain("partner_id", "=", self.commercial_partner_id.id)
            & Domain("company_id", "in", self.env.companies.ids)
            & Domain("move_id.state", "=", "posted")
            & (Domain("state", "=", OPEN) | Domain("state", "=", DECLINED) & Domain("answered_on", ">=", lately))
        )

    def _own_contested_sudo(self):
        """`(accounts, rows)`: how much of what is due, and of what is overdue, the client is not pressed for, as
        `{(company, currency): (due, overdue)}`; and each objection that is open or was declined lately, the newest
        first.

        Elevated to read when the days after a refusal are over, which clients read in words only.
        """
        self._billing_check_own()
        disputes = self.env["billing.dispute"].sudo().search(self._get_billing_own_dispute_domain())
        accounts = {}
        for move, waiting in disputes.move_id._billing_contested_sudo().items():
            account = move.company_id.id, move.currency_id.id
            due, overdue = accounts.get(account, (0, 0))
            late = waiting if move.billing_status == "overdue" else 0
            accounts[account] = due + waiting, overdue + late
        return accounts, [dispute._portal_row() for dispute in disputes[:CONTESTED_SHOWN]]
