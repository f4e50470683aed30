import logging

from psycopg2 import OperationalError

from odoo import api, fields, models
from odoo.exceptions import UserError

_logger = logging.getLogger(__name__)


class ResPartner(models.Model):
    """Usage is billed with what else recurs."""

    _inherit = "res.partner"

    def _billing_make_charges(self, company, until):
        result = super()._billing_make_charges(company, until)
        self._billing_usage_make_bills(company, until)
        return result

    def _billing_usage_make_bills(self, company, until):
        """Bill what these clients used before the day `until` and was not billed yet; returns the bills."""
        return self.env["billing.usage.bill"].with_company(company)._make(self, company, fields.Date.to_date(until))

    # -- what comes late ----------------------------------------------------------------------------------------------

    @api.model
    def _billing_usage_correct_late(self):
        """Draft what came late, client by client, in the companies that want it on drafts of its own."""
        commit = self.env["ir.cron"]._commit_progress
        companies = self.env["res.company"].search([("billing_usage_late", "=", "correction")])
        waiting = [(company, client) for company in companies for client in self._billing_usage_late_clients(company)]
        commit(remaining=len(waiting))
        for company, client in waiting:
            # Who is being billed by somebody else now is left for the next time.
            if client.try_lock_for_update(allow_referencing=True):
                client._billing_usage_try_to_correct(company)
            if not commit(1):
                break

    def _billing_usage_try_to_correct(self, company):
        """One client's trouble is not that of the others."""
        try:
            with self.env.cr.savepoint():
                self._billing_usage_draft_late(company)
        except OperationalError as error:
            _logger.info("Late usage of client %s: left for the next time (%s)", self.id, error)
        except UserError as error:
            _logger.warning("Late usage of client %s: %s", self.id, error)
        self.env.invalidate_all()

    @api.model
    def _billing_usage_late_clients(self, company):
        """Who has open usage on a day whose period was billed as over."""
        bills = self.env["billing.usage.bill"]
        bills.flush_model()
        found = self.env.execute_query(bills._late_clients_sql(company))
        return self.browse(id_ for (id_,) in found)

    def _billing_usage_draft_late(self, company):
        """A draft of what came late. What cannot be drafted now goes on the next invoice."""
        client = self.with_company(company).with_context(allowed_company_ids=company.ids)
        tomorrow = fields.Date.add(fields.Date.context_today(self.with_context(tz=self.tz or "UTC")), days=1)
        bills = client.env["billing.usage.bill"]._make(client, company, tomorrow, only_late=True)
        plan, _left_out = bills.charge_ids._draft_plan(companies=company)
        drafts = client.env["account.move"].union(
            *client.env["account.move"]._billing_create_from_charges(plan).values()
        )
        for draft in drafts:
            draft.message_post(body=self.env._("A correction: this usage came when its period was billed already."))
        return drafts

    # -- buttons ------------------------------------------------------------------------------------------------------

    def action_billing_usage_rate_again(self):
        """Take back what of these clients is on no invoice, and rate all that is open by the plans as they are now."""
        self._billing_check_staff()
        clients, company = self.commercial_partner_id, self.env.company
        bills = self.env["billing.usage.bill"].search(
            [("partner_id", "in", clients.ids), ("company_id", "=", company.id)]
        )
        bills.charge_ids.check_access("write")
        taken = bills._those_that_can_be_taken_back()
        count = len(taken)
        taken._take_back()
        self.env["billing.usage"]._rate_again(
            [("partner_id", "in", clients.ids), ("company_id", "=", company.id), ("bill_id", "=", False)]
        )
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "success",
                "message": self.env._("Rated again. Bills taken back for it: %s.", count),
            },
        }
