from odoo import api, models
from odoo.fields import Domain


class ProjectTask(models.Model):
    """Cases as their client sees them: which they are is for Odoo's sharing of projects to say."""

    _inherit = "project.task"

    @api.model
    def _get_billing_own_domain(self):
        return Domain("project_id", "!=", False) & Domain("has_template_ancestor", "=", False)

    @api.model
    def _get_billing_own_billed_domain(self):
        """Those that stand on an invoice the user may see."""
        invoices = self.env["account.move"]._search(self._get_billing_own_invoice_domain())
        # Elevated to get from these invoices to the cases: clients may read no charges. Only ids come of it.
        charges = (
            self.env["billing.charge"]
            .sudo()
            ._search(
                Domain("task_id", "!=", False)
                & Domain("invoice_line_id.parent_state", "=", "posted")
                & Domain("invoice_line_id.move_id", "in", invoices)
            )
        )
        return Domain("id", "in", charges.subselect("task_id"))

    @api.model
    def _get_billing_own_invoice_domain(self):
        """Beside Odoo's rules, which leave invoices of the user's own client."""
        client = self.env.user.partner_id.commercial_partner_id
        return (
            Domain("move_type", "in", ("out_invoice", "out_receipt"))
            & Domain("state", "=", "posted")
            & Domain("commercial_partner_id", "=", client.id)
        )

    def _billing_own_rows(self):
        """What the page of cases shows of these, which were searched as the user, in texts. Constant in queries.

        `billed` is `[{"currency", "amount", "invoices": [(id, name)]}]`.
        """
        billed = self._billing_own_billed()
        states = dict(self._fields["state"]._description_selection(self.env))
        # Elevated to say what Odoo's own page of a case says, also of projects whose cases alone are shared.
        return [
            {
                "id": case.id,
                "name": case.name,
                "project_id": case.project_id.id,
                "project": case.project_id.name,
                "stage": case.stage_id.name or "",
                "state": states.get(case.state, ""),
                "closed": case.is_closed,
                "created": case.create_date,
                "deadline": case.date_deadline,
                "ended": case.date_end,
                "billed": billed.get(case.id, []),
            }
            for case in self.sudo()
        ]

    def _billing_own_billed(self):
        """`{case id: [{"currency", "amount", "invoices"}]}` of the invoices that the user may see, in one reading."""
        if not self:
            return {}
        invoices = self.env["account.move"]._search(self._get_billing_own_invoice_domain())
        # Elevated as above: what is billed, never what a case would cost.
        groups = (
            self.env["account.move.line"]
            .sudo()
            ._read_group(
                Domain("billing_charge_id.task_id", "in", self.ids)
                & Domain("move_id", "in", invoices)
                & Domain("move_id.billing_void_move_id", "=", False),
                ["billing_charge_id.task_id", "currency_id", "move_id"],
                ["price_subtotal:sum"],
            )
        )
        billed = {}
        for case, currency, invoice, amount in groups:
            of_case = billed.setdefault(case.id, {})
            row = of_case.setdefault(currency.id, {"currency": currency.sudo(False), "amount": 0.0, "invoices": []})
            row["amount"] += amount
            row["invoices"].append((invoice.id, invoice.name))
        return {case_id: list(rows.values()) for case_id, rows in billed.items()}
