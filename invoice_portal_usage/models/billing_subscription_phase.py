from odoo import api, models


class BillingSubscriptionPhase(models.Model):
    """With another package, the usage of a subscription that is not billed yet may have another plan."""

    _inherit = "billing.subscription.phase"

    @api.model_create_multi
    def create(self, vals_list):
        phases = super().create(vals_list)
        phases.subscription_id._rate_usage_again()
        return phases

    def write(self, vals):
        result = super().write(vals)
        if vals.keys() & {"package_id", "date_from"}:
            self.subscription_id._rate_usage_again()
        return result

    def unlink(self):
        subscriptions = self.subscription_id
        result = super().unlink()
        subscriptions.exists()._rate_usage_again()
        return result


class BillingSubscription(models.Model):
    _inherit = "billing.subscription"

    def _rate_usage_again(self):
        """What was used and is not billed yet, by the plan that holds now."""
        # Elevated to rate: whoever agrees on terms decides by them what usage costs, and nothing is told here.
        usage = self.env["billing.usage"].sudo()
        domain = [
            ("partner_id", "in", self.partner_id.ids),
            ("subscription_id", "in", self.ids),
            ("bill_id", "=", False),
        ]
        if self and usage.search_count(domain, limit=1):
            usage.with_context(allowed_company_ids=self.company_id.ids)._rate_again(domain, everything=True)
