from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.fields import Command, Domain
from odoo.tools import float_is_zero, formatLang

from ..tools.entry import is_complete


class AccountMove(models.Model):
    """How charges become a customer invoice, and how it is finalized."""

    _inherit = "account.move"

    billing_charge_ids = fields.One2many(
        "billing.charge",
        compute="_compute_billing_charge_ids",
        string="Charges",
        groups="base.group_user",
        help="The charges that this invoice bills now.",
    )
    billing_has_periods = fields.Boolean(
        compute="_compute_billing_has_periods", groups="base.group_user", help="A line names the days that it is for."
    )
    billing_charge_count = fields.Integer(
        string="Charges Behind the Lines",
        compute="_compute_billing_charge_ids",
        groups="base.group_user",
        help="The charges that the lines were made from, those open again or billed elsewhere by now included.",
    )
    billing_project_id = fields.Many2one(
        "project.project",
        string="Project",
        index="btree_not_null",
        check_company=True,
        help="Set when everything on the invoice belongs to this project.",
    )

    billing_run_client_id = fields.Many2one(
        "billing.run.client",
        string="Billing Run",
        index="btree_not_null",
        readonly=True,
        copy=False,
        ondelete="set null",
        groups="base.group_user",
        help="The run that drafted this invoice.",
    )
    billing_hold_reason = fields.Char(
        string="Client on Hold",
        compute="_compute_billing_hold_reason",
        groups="base.group_user",
        help="Billing of this client is on hold: nothing is drafted by itself, and whoever bills by hand is told.",
    )
    billing_drafted_with = fields.Integer(
        string="Drafted Together With",
        store=False,
        search="_search_billing_drafted_with",
        groups="base.group_user",
        exportable=False,
        help="Finds the invoices that somebody made in one go: those of the moment in which this one was created.",
    )

    @api.depends("state", "move_type", "partner_id", "company_id")
    def _compute_billing_hold_reason(self):
        for move in self:
            client = move.commercial_partner_id.with_company(move.company_id)
            held = move.state == "draft" and move.move_type == "out_invoice" and client.billing_blocked
            move.billing_hold_reason = held and (client.billing_blocked_reason or self.env._("no reason was given"))

    @api.depends("invoice_line_ids.billing_charge_id")
    def _compute_billing_charge_ids(self):
        for move in self:
            charges = move.invoice_line_ids.billing_charge_id
            move.billing_charge_ids = charges.filtered(lambda charge, move=move: charge.invoice_id == move)
            move.billing_charge_count = len(charges)

    @api.depends("invoice_line_ids.billing_period_start", "invoice_line_ids.billing_period_end")
    def _compute_billing_has_periods(self):
        for move in self:
            lines = move.invoice_line_ids if move.is_sale_document(include_receipts=True) else []
            move.billing_has_periods = any(line.billing_period_start or line.billing_period_end for line in lines)

    # -- from charges to a draft --------------------------------------------------------------------------------------

    @api.model
    def _billing_create_from_charges(self, plan, values=None):
        """Create one draft per key of `plan`, as `billing.charge._draft_plan` returns it.

        :param values: `{key: more values of the draft}`
        :return: `{key: draft}`
        """
        by_company = {}
        # Read together, not draft by draft.
        together = [charge_id for charges in plan.values() for charge_id in charges._ids]
        for key in plan:
            by_company.setdefault(key[0], []).append(key)
        drafts = {}
        for company, keys in by_company.items():
            moves = self.with_company(company)._billing_create_drafts(
                [
                    {
                        **self._prepare_billing_invoice(key, plan[key].with_prefetch(together)),
                        **(values or {}).get(key, {}),
                    }
                    for key in keys
                ]
            )
            drafts.update(zip(keys, moves, strict=True))
        return drafts

    @api.model
    def _prepare_billing_invoice(self, key, charges):
        """Values of the draft for these charges, all of one draft key."""
        company, client, currency, _project = key
        project = (
            charges.project_id
            if len(charges.project_id) == 1 and all(charge.project_id for charge in charges)
            else None
        )
        contact = project and project._billing_contact()
        if not contact or contact.commercial_partner_id != client:
            contact = self.env["res.partner"].browse(client.address_get(["invoice"])["invoice"])
        return {
            "move_type": "out_invoice",
            "company_id": company.id,
            "partner_id": contact.id,
            "currency_id": currency.id,
            "billing_project_id": project.id if project else False,
            "invoice_origin": project.name if project else False,
            "invoice_line_ids": [
                Command.create(dict(charge._prepare_invoice_line(), sequence=10 * position))
                for position, charge in enumerate(
                    charges.sorted(lambda charge: (charge.date, charge.task_id.id or 0, charge.id)), start=1
                )
            ],
        }

    @api.model
    def _search_billing_drafted_with(self, operator, value):
        if operator != "in":
            return NotImplemented
        return Domain.OR(
            Domain("create_date", "=", move.create_date) & Domain("create_uid", "=", move.create_uid.id)
            for move in self.search([("id", "in", tuple(value))])
        )

    def _billing_show_drafts(self):
        """Open the one draft, or the list of all: by a domain that the address keeps, so it can be loaded again."""
        if len(self) == 1:
            return self._get_records_action(name=self.env._("Draft Invoice"))
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal.action_billing_drafts")
        return dict(action, context={"default_move_type": "out_invoice", "active_id": self[:1].id})

    def _billing_in_short(self):
        """What stands on this draft, in words and formatted numbers."""
        self.ensure_one()
        money = self.currency_id.format
        return {
            "heading": " · ".join(filter(None, (self.billing_project_id.display_name, self.currency_id.name))),
            "untaxed": money(self.amount_untaxed),
            "total": money(self.amount_total),
            "lines": [
                {
                    "name": line.name or "",
                    "quantity": formatLang(self.env, line.quantity, dp="Product Unit"),
                    "price": formatLang(self.env, line.price_unit, dp="Product Price"),
                    "discount": line.discount and f"−{formatLang(self.env, line.discount, dp='Discount')} %",
                    "amount": money(line.price_subtotal),
                }
                for line in self.invoice_line_ids
                if line.display_type == "product"
            ],
        }

    @api.constrains("partner_id", "currency_id", "company_id", "move_type")
    def _check_billing_charges_fit(self):
        if is_complete(self.env):
            # Their lines have just claimed these very charges.
            return
        lines = self.invoice_line_ids.filtered(lambda line: line.billing_charge_id.invoice_line_id == line)
        drafts = lines.filtered(lambda line: line.parent_state == "draft")
        self.env["billing.charge"]._check_fits(drafts)

    # -- charges follow the state of their invoice --------------------------------------------------------------------

    def write(self, vals):
        was = {move: move.state for move in self} if "state" in vals else {}
        result = super().write(vals)
        cancelled = self.browse().union(*(m for m, state in was.items() if state != "cancel" == m.state))
        revived = self.browse().union(*(m for m, state in was.items() if state == "cancel" != m.state))
        if cancelled:
            cancelled.billing_charge_ids._release()
        if lines := revived.invoice_line_ids.filtered("billing_charge_id"):
            self.env["billing.charge"]._claim(lines)
        return result

    def unlink(self):
        # Elevated, as nobody writes runs: this only closes what waited for these very drafts.
        waiting = self.sudo().billing_run_client_id
        result = super().unlink()
        waiting._settle_deleted()
        return result

    # -- finalize and lock --------------------------------------------------------------------------------------------

    def _post(self, soft=True):
        self._check_billing_amounts()
        posted = super()._post(soft)
        finalized = posted.filtered("billing_locked")
        # The client is told what is left to pay.
        finalized._billing_spend_credit()
        finalized._billing_notify_ready()
        # Elevated, as nobody writes runs: this only closes what waited for these very invoices.
        posted.sudo().billing_run_client_id._settle_finalized()
        return posted

    def _check_billing_amounts(self):
        """A case whose price nobody named must not go out for nothing, nor an item that somebody typed. Products for
        nothing are the business of whoever sells them."""
        digits = self.env["decimal.precision"].precision_get("Product Price")
        for line in self.invoice_line_ids:
            typed = line.display_type == "product" and not line.product_id and line.move_id.move_type == "out_invoice"
            if (
                (line.billing_charge_id or typed)
                and float_is_zero(line.price_unit, precision_digits=digits)
                and line.discount < 100
            ):
                raise UserError(
                    self.env._(
                        "The line “%(line)s” on %(invoice)s has no amount. Type one, or give it 100 %% discount to "
                        "bill it for nothing.",
                        line=(line.name or line.billing_charge_id.name or "").partition("\n")[0],
                        invoice=line.move_id._billing_label(),
                    )
                )

    def _billing_finalize(self):
        """Post and lock, whatever the accounting date; the reason of a refusal names the invoice."""
        self.check_access("write")
        for move in self:
            move._billing_check_move("finalized")
        return self._post(soft=False)

    def _billing_notify_ready(self):
        """Tell the client that an invoice is ready for payment, where that is wished.

        The mail is written with the invoice and leaves after the commit.
        """
        template = self.env.ref("invoice_portal.mail_template_invoice_ready", raise_if_not_found=False)
        wished = self.filtered(lambda move: move.move_type == "out_invoice" and move._billing_wants_ready_mail())
        if not template or not wished:
            return
        reachable = wished.filtered(lambda move: move._billing_addresses()["to"])
        for move in wished - reachable:
            move.message_post(
                body=self.env._(
                    "“Invoice ready for payment” was not sent: %s has no e-mail address.", move.partner_id.display_name
                )
            )
        if reachable:
            reachable._billing_queue_notices(template)

    def _get_invoice_proforma_pdf_report_filename(self):
        # A locked invoice is the invoice, also before anybody sent its PDF.
        if self.billing_locked:
            return self._get_invoice_report_filename()
        return super()._get_invoice_proforma_pdf_report_filename()

    def _billing_wants_ready_mail(self):
        self.ensure_one()
        wish = self.commercial_partner_id.with_company(self.company_id).billing_ready_mail
        return wish == "yes" or (wish != "no" and self.company_id.billing_ready_mail)

    # -- buttons ------------------------------------------------------------------------------------------------------

    def action_billing_finalize(self):
        """Ask before finalizing: how many, how much, who is told."""
        return self.env["billing.finalize"]._open(self)

    def action_billing_void(self):
        """Show the void plan of this invoice."""
        self.ensure_one()
        return self.env["billing.void"]._open(self)

    def action_billing_confirm_delete(self):
        """Ask before deleting: which, how many, how much."""
        return self.env["billing.delete"]._open(self)

    def action_billing_delete(self):
        """Delete drafts, and what was cancelled as one; the charges of drafts are open again."""
        self.check_access("unlink")
        for move in self:
            move._billing_check_move("deleted")
        self.unlink()

    def action_billing_charges(self):
        self.ensure_one()
        self._billing_check_staff()
        charges = self.invoice_line_ids.billing_charge_id
        return charges._get_records_action(name=self.env._("Charges"))

    @api.private
    def _billing_check_staff(self):
        if not self.env.user.has_group("invoice_portal.group_billing_user"):
            raise AccessError(self.env._("Only billing staff may do this."))
        # Whatever is said afterwards is for those who may read these.
        self.check_access("read")

    # -- what clients see ---------------------------------------------------------------------------------------------

    @api.private
    def _billing_hidden_from_clients(self):
        """Whether this is a draft, or was cancelled as one: no client sees it by any link."""
        self.ensure_one()
        return self.state != "posted" and self.is_sale_document(include_receipts=True)

    @api.private
    def _billing_hidden_from(self, user):
        """Whether its link opens nothing for this user: a draft is for those who read drafts in the back office, and
        an employee without accounting rights, who was handed the link, is none of them.
        """
        return self._billing_hidden_from_clients() and not (
            user._is_internal() and self.with_user(user).has_access("read")
        )

    @api.model
    def _get_thread_with_access(self, thread_id, **kwargs):
        """The conversation on a draft is not opened by its link either."""
        thread = super()._get_thread_with_access(thread_id, **kwargs)
        if thread and thread.sudo()._billing_hidden_from(self.env.user):
            return self.browse()
        return thread

    def _notify_get_recipients_groups(self, message, model_description, msg_vals=False):
        """No button to a draft in a mail to a client: the page would refuse."""
        groups = super()._notify_get_recipients_groups(message, model_description, msg_vals=msg_vals)
        if self and self._billing_hidden_from_clients():
            for name, _matches, options in groups:
                if name != "user":
                    options["has_button_access"] = False
        return groups
