from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Domain

from ..tools.undone import undone


class ResPartner(models.Model):
    """When a client is billed by itself, and what its next invoice holds."""

    _inherit = "res.partner"

    billing_cycle_id = fields.Many2one(
        "billing.cycle",
        company_dependent=True,
        domain=lambda self: self._billing_cycle_domain(),
        groups="base.group_user",
        help="From the next period on, invoices come by themselves. Empty: only when somebody bills.",
    )
    billing_cycle_start = fields.Date(
        string="Billed by itself since",
        company_dependent=True,
        groups="base.group_user",
        help="Periods that ended up to this day are not billed by the cycle.",
    )
    billing_next_date = fields.Date(
        string="Next Invoice", compute="_compute_billing_next_date", groups="base.group_user"
    )

    @api.model
    def _billing_cycle_domain(self):
        """Each company chooses among its own cycles and those of all."""
        return [("company_id", "in", [False, self.env.company.id])]

    @api.constrains("billing_cycle_id")
    def _check_billing_cycle_company(self):
        # Elevated to look: what the cycle of another company is called may be hidden, and then it is not told.
        for client in self.sudo():
            if client.billing_cycle_id.company_id not in (self.env["res.company"], self.env.company):
                raise ValidationError(
                    self.env._(
                        "%(client)s cannot have this billing cycle at %(company)s: it is another company's. Choose a "
                        "cycle of %(company)s, or one of all companies.",
                        client=client.display_name,
                        company=self.env.company.display_name,
                    )
                )

    @api.depends("billing_cycle_id", "billing_cycle_start")
    @api.depends_context("company")
    def _compute_billing_next_date(self):
        today = fields.Date.context_today(self)
        for client in self:
            cycle = client.billing_cycle_id
            client.billing_next_date = cycle and cycle._next_boundary(today, client.billing_cycle_start)

    @api.model_create_multi
    def create(self, vals_list):
        partners = super().create(vals_list)
        # Elevated to look, as contacts are created by visitors, too, who may not see these fields.
        started = partners.sudo().filtered(lambda one: one.billing_cycle_id and not one.billing_cycle_start)
        if started:
            started._start_cycle()
        return partners

    def write(self, vals):
        result = super().write(vals)
        if vals.get("billing_cycle_id") and "billing_cycle_start" not in vals:
            self.filtered(lambda partner: not partner.billing_cycle_start)._start_cycle()
        return result

    def _start_cycle(self):
        self.write({"billing_cycle_start": fields.Date.context_today(self)})

    # -- what is to bill ----------------------------------------------------------------------------------------------

    def _billing_make_charges(self, company, until):
        """Create the charges of these clients that recur and are due by `until`. To be extended by what recurs."""

    def _get_billing_due_domain(self, company, until):
        """The open charges that a period which ends before `until` bills: what recurs on that day, all else before."""
        return (
            Domain("partner_id", "in", self.ids)
            & Domain("company_id", "=", company.id)
            & Domain("state", "=", "open")
            & (
                Domain("date", "<", until)
                | Domain("date", "=", until) & Domain("origin", "in", self._billing_recurring())
            )
        )

    @api.model
    def _billing_recurring(self):
        """Origins whose charges may begin with the next period: they are billed in advance."""
        return []

    def _billing_upcoming(self, until=None):
        """What the next invoices would hold as of now, by the very code that will make them; nothing is kept.

        :return: `[{"currency", "total", "untaxed", "lines": [{"name", "quantity", "price", "amount"}]}]` and
            `{reason: how many charges are left out}`
        """
        self.ensure_one()
        company = self.env.company
        client = self.commercial_partner_id.with_context(
            tracking_disable=True, mail_create_nolog=True, mail_notrack=True, allowed_company_ids=company.ids
        )
        until = until or client.billing_next_date or fields.Date.add(fields.Date.context_today(self), days=1)
        with undone(self.env):
            client._billing_make_charges(company, until)
            charges = client.env["billing.charge"].search(client._get_billing_due_domain(company, until), order="id")
            plan, left_out = charges._draft_plan(companies=company)
            drafts = client.env["account.move"]._billing_create_from_charges(plan).values()
            upcoming = [draft._billing_in_short() for draft in drafts]
            left_out = {reason: len(of) for reason, of in left_out.items()}
        return upcoming, left_out

    # -- buttons ------------------------------------------------------------------------------------------------------

    def action_billing_upcoming(self):
        """Show what the next invoice will hold."""
        self._billing_check_staff()
        return self.env["billing.generate"]._open(self.commercial_partner_id, draft=False)

    def action_billing_generate(self):
        """Generate Invoice: bill now what is open and what recurs and is due, after showing it."""
        self._billing_check_staff()
        if len(self.commercial_partner_id) != 1:
            raise UserError(self.env._("Generate an invoice for one client at a time; for many, run their cycle."))
        return self.env["billing.generate"]._open(self.commercial_partner_id, draft=True)
