from odoo import api, models
from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tools import SQL

from ..tools.grant import granted


class BillingCharge(models.Model):
    """How a charge gets onto an invoice line, and off it again: nothing is billed twice."""

    _inherit = "billing.charge"

    # -- the link to an invoice line ----------------------------------------------------------------------------------

    @api.model
    def _claim(self, lines):
        """Let each of these new invoice lines bill the charge it names, or refuse all of them.

        One conditional UPDATE decides: of two transactions that want the same charge, the second one finds it taken.
        """
        charges = lines.billing_charge_id
        charges.check_access("write")
        if len(charges) != len(lines):
            twice = next(charge for charge, of in lines.grouped("billing_charge_id").items() if len(of) > 1)
            raise UserError(self.env._("“%s” was given to more than one invoice line.", twice.display_name))
        charges._check_fits(lines)
        lines.flush_recordset(["billing_charge_id"])
        charges.flush_recordset()
        claimed = self.env.execute_query(
            SQL(
                """
                UPDATE billing_charge charge
                   SET invoice_line_id = line.id, write_uid = %s, write_date = %s
                  FROM account_move_line line
                 WHERE line.id IN %s AND charge.id = line.billing_charge_id
                   AND charge.invoice_line_id IS NULL AND charge.discarded IS NOT TRUE
             RETURNING charge.id
                """,
                self.env.uid,
                self.env.cr.now(),
                lines._ids,
            )
        )
        charges.invalidate_recordset(["invoice_line_id", "write_uid", "write_date"])
        charges.modified(["invoice_line_id"])
        if len(claimed) != len(lines):
            taken = charges - self.browse(id_ for (id_,) in claimed)
            raise UserError(taken._why_not_claimable())

    def _check_fits(self, lines):
        """A charge is billed to its own client, by its own company, in its own currency, on an invoice."""
        for line in lines:
            move, charge = line.move_id, line.billing_charge_id
            if move.move_type != "out_invoice" or move.state != "draft":
                raise UserError(
                    self.env._(
                        "“%(charge)s” can only be put on a draft customer invoice.",
                        charge=charge.display_name,
                    )
                )
            if (
                move.company_id != charge.company_id
                or move.currency_id != charge.currency_id
                or move.commercial_partner_id != charge.partner_id
            ):
                raise UserError(
                    self.env._(
                        "“%(charge)s” belongs on an invoice of %(company)s to %(client)s in %(currency)s. "
                        "This one is of %(other_company)s to %(other_client)s in %(other_currency)s.",
                        charge=charge.display_name,
                        company=charge.company_id.display_name,
                        client=charge.partner_id.display_name,
                        currency=charge.currency_id.name,
                        other_company=move.company_id.display_name,
                        other_client=move.commercial_partner_id.display_name,
                        other_currency=move.currency_id.name,
                    )
                )

    def _why_not_claimable(self):
        charge = self[0]
        if charge.discarded:
            return self.env._("“%s” was discarded. Reopen it before billing it.", charge.display_name)
        return self.env._(
            "“%(charge)s” already stands on %(invoice)s. Nothing is billed twice.",
            charge=charge.display_name,
            invoice=charge.invoice_id._billing_label(),
        )

    def _release(self, discard=False):
        """Take these charges off their invoice lines: open again, or discarded for good."""
        return granted(self).write({"invoice_line_id": False, "discarded": discard})

    # -- drafting -----------------------------------------------------------------------------------------------------

    def _draft_key(self):
        """Charges with the same key go on the same draft."""
        self.ensure_one()
        client = self.partner_id.with_company(self.company_id)
        project = self.project_id if client.billing_per_project else self.env["project.project"]
        return self.company_id, self.partner_id, self.currency_id, project

    def _draft_plan(self, companies=None, run_client=None):
        """What drafting these charges would make. Reads only.

        :param companies: those to bill for; all that the user works in, unless told otherwise
        :param run_client: the planned draft that asks, whose own charges are not held back for it
        :return: `{draft key: charges}` and `{reason: charges left out}`
        """
        left_out = {}
        for charge in self:
            if reason := charge._why_not_drafted(companies or self.env.companies, run_client):
                left_out[reason] = left_out.get(reason, self.browse()) | charge
        remaining = self.sorted("id") - self.browse().union(*left_out.values())
        plan = remaining.grouped(lambda charge: charge._draft_key())
        for key, charges in list(plan.items()):
            currency = key[2]
            if currency.compare_amounts(sum(charges.mapped("amount")), 0) < 0:
                reason = self.env._("Credits exceed charges: add charges, or issue a credit note")
                left_out[reason] = left_out.get(reason, self.browse()) | plan.pop(key)
        return plan, left_out

    def _why_not_drafted(self, companies, run_client=None):
        """A reason that a person understands for leaving this charge off a draft now, or nothing."""
        self.ensure_one()
        if self.company_id not in companies:
            return self.env._("Other company (%s)", self.company_id.display_name)
        if self.state == "drafted":
            return self.env._("Already on a draft")
        if self.state == "invoiced":
            return self.env._("Already invoiced")
        if self.state == "discarded":
            return self.env._("Discarded")
        if not self.price_unit:
            return self.env._("No price")
        if not self.currency_id.active:
            return self.env._("Currency %s is not active", self.currency_id.name)
        client = self.partner_id.with_company(self.company_id)
        if not client.active:
            return self.env._("Archived client (%s)", client.display_name)
        if client.billing_blocked:
            return self.env._(
                "Billing on hold for %(client)s (%(reason)s)",
                client=client.display_name,
                reason=client.billing_blocked_reason or self.env._("no reason given"),
            )
        if self.run_client_id.state == "pending" and self.run_client_id != run_client:
            return self.env._("Being drafted by %s", self.run_client_id.run_id.name)
        return None

    def _prepare_invoice_line(self):
        """Values of the invoice line that bills this charge. To be extended by what has more to say."""
        self.ensure_one()
        return {
            "billing_charge_id": self.id,
            "name": self.name,
            "product_id": self.product_id.id,
            "quantity": self.quantity,
            "price_unit": self.price_unit,
            "discount": self.discount,
            "tax_ids": [Command.set(self.tax_ids.ids)],
            "billing_period_start": self.period_start,
            "billing_period_end": self.period_end,
        }
