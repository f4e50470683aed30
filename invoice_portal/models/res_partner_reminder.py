from odoo import api, fields, models
from odoo.fields import Domain


class ResPartner(models.Model):
    """What a client was reminded of, and what follows from it."""

    _name = "res.partner"
    _inherit = ["res.partner", "billing.reminder.pausable"]

    billing_reminder_paused_until = fields.Date(
        string="Reminders Paused Until",
        company_dependent=True,
        groups="invoice_portal.group_billing_user",
        help="The last day on which this client is reminded of nothing.",
    )
    billing_reminder_pause_reason = fields.Char(
        string="Why Reminders Are Paused", company_dependent=True, groups="invoice_portal.group_billing_user"
    )
    billing_reminder_paused = fields.Boolean(
        compute="_compute_billing_reminder_paused", groups="invoice_portal.group_billing_user"
    )
    billing_reminder_count = fields.Integer(
        string="Reminders", compute="_compute_billing_reminder_count", groups="invoice_portal.group_billing_user"
    )
    billing_services_stopped = fields.Boolean(
        string="Automatic Services Stopped",
        compute="_compute_billing_services_stopped",
        search="_search_billing_services_stopped",
        compute_sudo=True,
        groups="base.group_user",
        help="A reminder that stops services was sent, and its invoice is not paid. Other applications may heed it. A "
        "pause of the reminders lifts it.",
    )

    @api.depends("billing_reminder_paused_until")
    @api.depends_context("company")
    def _compute_billing_reminder_paused(self):
        today = fields.Date.context_today(self)
        for partner in self:
            until = partner.commercial_partner_id.billing_reminder_paused_until
            partner.billing_reminder_paused = bool(until and until >= today)

    @api.depends_context("company", "allowed_company_ids")
    def _compute_billing_reminder_count(self):
        counts = dict(
            self.env["billing.reminder"]._read_group(
                [("partner_id", "in", self.commercial_partner_id.ids), ("state", "=", "sent")],
                ["partner_id"],
                ["__count"],
            )
        )
        for partner in self:
            partner.billing_reminder_count = counts.get(partner.commercial_partner_id, 0)

    @api.depends_context("company")
    def _compute_billing_services_stopped(self):
        stopped = self._billing_stopped(self.commercial_partner_id)
        for partner in self:
            partner.billing_services_stopped = partner.commercial_partner_id in stopped

    @api.model
    def _search_billing_services_stopped(self, operator, value):
        if operator != "in":
            return NotImplemented
        found = Domain("commercial_partner_id", "in", self.sudo()._billing_stopped().ids)
        return found if True in value else ~found

    @api.model
    def _billing_stopped(self, clients=None):
        """The clients whose services stand still at this company: derived, so that a payment is all it takes."""
        moves = self.env["account.move"]
        open_moves = moves._get_billing_reminder_domain(self.env.company)
        reminders = self.env["billing.reminder"].search(
            Domain("level_id.stops_services", "=", True)
            & Domain("state", "=", "sent")
            & Domain("move_id", "any", open_moves)
            & (Domain.TRUE if clients is None else Domain("partner_id", "in", clients.ids))
        )
        return reminders.move_id.filtered(lambda move: not move._billing_reminder_pause()).commercial_partner_id

    # -- buttons ------------------------------------------------------------------------------------------------------

    def action_billing_reminders(self):
        """The log of this client."""
        self.ensure_one()
        self._billing_check_staff()
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal.action_billing_reminders")
        return dict(action, domain=[("partner_id", "=", self.commercial_partner_id.id)], context={})

    def action_billing_remind(self):
        """Send Reminder Now, about everything that is overdue."""
        self._billing_check_staff()
        moves = self.env["account.move"].search(
            self.env["billing.reminder"]._get_domain(self.env.company, self.commercial_partner_id), order="id"
        )
        overdue = [move for move, standing in moves._billing_standings().items() if standing.overdue]
        return self.env["billing.reminder.send"]._open(moves.browse().union(*overdue))

    def _billing_reminder_pausable(self):
        return self.commercial_partner_id
