from odoo import models
from odoo.tools import format_date


class BillingCharge(models.Model):
    """What a charge says to the client who asks what it is for."""

    _inherit = "billing.charge"

    def _explain(self):
        """`[(label, text)]`, in the language of the environment. Extend it with what an origin knows.

        Nothing that only the office may know: no costs, no one's name, no notes.
        """
        facts = []
        for charge in self:
            facts += charge._explain_case() + charge._explain_subscription()
        return [(label, text) for label, text in facts if text]

    def _explain_case(self):
        case = self.task_id
        if not case:
            return [] if self.subscription_id else [(self.env._("Date"), format_date(self.env, self.date))]
        return [
            (self.env._("Project"), self.project_id.name),
            (self.env._("Case"), f"{case.name} ({case.id})"),
            (self.env._("Opened"), case.create_date.date() <= self.date and format_date(self.env, case.create_date)),
            (self.env._("Done"), format_date(self.env, self.date)),
        ]

    def _explain_subscription(self):
        subscription = self.subscription_id
        if not subscription:
            return [(self.env._("Package"), self.package_id.name)]
        phase = subscription._phase_on(self.subscription_period)
        timings = dict(phase._fields["timing"]._description_selection(self.env))
        facts = [
            (self.env._("Package"), self.package_id.name),
            (self.env._("Project"), self.project_id.name),
            (self.env._("Subscribed since"), format_date(self.env, subscription.date_start)),
            (self.env._("Billed"), f"{phase.interval}, {timings[phase.timing].lower()}" if phase else ""),
        ]
        first, last = self.subscription_from, self.subscription_until
        if first and last:
            days = (last - first).days + 1
            facts.append(
                (
                    self.env._("Days billed"),
                    self.env._(
                        "%(days)s (%(first)s – %(last)s)",
                        days=days,
                        first=format_date(self.env, first),
                        last=format_date(self.env, last),
                    ),
                )
            )
        return facts
