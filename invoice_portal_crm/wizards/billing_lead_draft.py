from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tools.mail import parse_contact_from_email

from ..models.crm_lead_product import BILLED


class BillingLeadDraft(models.TransientModel):
    """Asks before an opportunity becomes a draft invoice: for whom, which products, what is left out and why.

    Nothing is created before *Confirm*: no client, no charge, no invoice.
    """

    _name = "billing.lead.draft"
    _description = "Create an Invoice From an Opportunity"

    lead_id = fields.Many2one("crm.lead", string="Opportunity", required=True, readonly=True, ondelete="cascade")
    has_customer = fields.Boolean(compute="_compute_has_customer")
    partner_id = fields.Many2one(
        "res.partner",
        string="Client or Contact",
        help="Empty: company and contact are created from the details of the opportunity.",
    )
    line_ids = fields.One2many("billing.lead.draft.line", "draft_id", string="Lines")
    summary = fields.Html(compute="_compute_summary", sanitize=False)
    chosen_count = fields.Integer(compute="_compute_summary")

    @api.model
    def _open(self, lead):
        self.env["account.move"]._billing_check_staff()
        lead.check_access("write")
        if lead.type != "opportunity":
            raise UserError(self.env._("“%s” is a lead. Convert it to an opportunity first.", lead.display_name))
        draft = self.create({"lead_id": lead.id, "partner_id": lead._find_matching_partner().id})
        draft.line_ids = [Command.create(values) for values in draft._prepare_lines()]
        for line in draft.line_ids:
            line.chosen = not line.reason and not draft._billed_as_a_whole()
        return draft._get_records_action(name=self.env._("Create Invoice"), target="new")

    def _prepare_lines(self):
        """One line per product, and one for the opportunity as a whole where there are none, or where it was billed."""
        lead = self.lead_id
        values = [
            {
                "lead_line_id": product.id,
                "name": product.name,
                "quantity": product.quantity,
                "price_unit": product.price_unit,
                "discount": product.discount,
                "currency_id": product.currency_id.id,
                "amount": product.amount,
            }
            for product in lead.billing_product_ids
        ]
        if not values or self._billed_as_a_whole():
            whole = lead._prepare_billing_charge_whole()
            values.append(
                {
                    "name": whole["name"],
                    "quantity": whole["quantity"],
                    "price_unit": whole["price_unit"],
                    "currency_id": whole["currency_id"],
                    "amount": lead._billing_whole_charge().amount_billed or whole["price_unit"],
                }
            )
        return values

    def _billed_as_a_whole(self):
        """Whether products would come on top of an invoice over the whole opportunity."""
        return bool(self.lead_id.billing_product_ids and self.lead_id._billing_whole_charge().state in BILLED)

    # -- what the dialog says -----------------------------------------------------------------------------------------

    @api.depends("lead_id.partner_id")
    def _compute_has_customer(self):
        for draft in self:
            draft.has_customer = bool(draft.lead_id.partner_id)

    @api.depends("lead_id", "partner_id", "line_ids.chosen")
    @api.depends_context("allowed_company_ids", "lang")
    def _compute_summary(self):
        for draft in self:
            chosen = draft._chosen()
            draft.chosen_count = len(chosen)
            draft.summary = self.env["ir.qweb"]._render("invoice_portal_crm.lead_draft_summary", draft._summary(chosen))

    def _summary(self, chosen):
        lead = self.lead_id
        return {
            "lead": lead,
            "client": self.partner_id.commercial_partner_id,
            "contact": lead._billing_contact() if self.has_customer else self.partner_id,
            "found": self.partner_id and not self.has_customer,
            "to_create": self._to_create(),
            "company": lead._billing_company(),
            "chosen": chosen,
            "totals": {
                currency: sum(lines.mapped("amount")) for currency, lines in chosen.grouped("currency_id").items()
            },
            "billed": self.line_ids._billed_on(),
            "left": self.line_ids.filtered(lambda line: not line.reason),
            "billed_as_a_whole": self._billed_as_a_whole(),
            "sold": "sale_order_count" in lead._fields and lead.sudo().sale_order_count,
            "lost": lead.won_status == "lost",
        }

    def _to_create(self):
        """What *Confirm* would create: `{"company": name, "parent": existing company, "contact": name}`, or nothing."""
        if self.partner_id:
            return {}
        lead = self.lead_id
        return {
            "parent": lead.commercial_partner_id,
            "company": lead.partner_name,
            "contact": lead.contact_name or parse_contact_from_email(lead.email_from or "")[0],
        }

    def _chosen(self):
        return self.line_ids.filtered(lambda line: line.chosen and not line.reason)

    # -- confirm ------------------------------------------------------------------------------------------------------

    def action_confirm(self):
        self.ensure_one()
        self.env["account.move"]._billing_check_staff()
        lead = self.lead_id
        lead.check_access("write")
        chosen = self._chosen()
        if not chosen:
            raise UserError(self._why_nothing())
        self._assign_customer()
        charges = lead._billing_collect_charges(
            chosen.lead_line_id, whole=any(not line.lead_line_id for line in chosen)
        )
        drafts = self._draft(charges)
        self._note(drafts)
        if len(drafts) == 1:
            return drafts._get_records_action(name=self.env._("Draft Invoice"))
        return dict(lead.action_billing_invoices(), domain=[("id", "in", drafts.ids)])

    def _assign_customer(self):
        lead = self.lead_id
        if lead.partner_id:
            return
        if not self.partner_id and not any(self._to_create().values()):
            raise UserError(
                self.env._(
                    "“%s” names nobody to bill: choose a client here, or fill in the company or contact of the "
                    "opportunity.",
                    lead.display_name,
                )
            )
        lead._handle_partner_assignment(
            force_partner_id=self.partner_id.id, create_missing=True, with_parent=lead.commercial_partner_id or None
        )

    def _draft(self, charges):
        """All that was confirmed is drafted, or nothing is."""
        plan, left_out = charges._draft_plan()
        if left_out:
            raise UserError(
                self.env._("No invoice was created.")
                + "".join(
                    f"\n• {reason}: {', '.join(charges.mapped('display_name'))}" for reason, charges in left_out.items()
                )
            )
        return self.env["account.move"].union(*self.env["account.move"]._billing_create_from_charges(plan).values())

    def _note(self, drafts):
        for draft in drafts:
            draft.message_post_with_source(
                "mail.message_origin_link",
                render_values={"self": draft, "origin": self.lead_id},
                subtype_xmlid="mail.mt_note",
            )
            self.lead_id._message_log(body=self.env._("Draft invoice created: %s", draft._get_html_link()))

    def _why_nothing(self):
        reasons = [f"{line.display_name}: {line.reason}" for line in self.line_ids if line.reason]
        return "\n• ".join([self.env._("There is nothing to invoice: no line is chosen."), *reasons])


class BillingLeadDraftLine(models.TransientModel):
    _name = "billing.lead.draft.line"
    _description = "Line of an Invoice From an Opportunity"

    draft_id = fields.Many2one("billing.lead.draft", required=True, ondelete="cascade")
    lead_line_id = fields.Many2one("crm.lead.product", readonly=True, ondelete="cascade")
    name = fields.Text(string="Description", readonly=True)
    quantity = fields.Float(digits="Product Unit", readonly=True)
    price_unit = fields.Float(string="Unit Price", digits="Product Price", readonly=True)
    discount = fields.Float(string="Discount (%)", digits="Discount", readonly=True)
    currency_id = fields.Many2one("res.currency", readonly=True)
    amount = fields.Monetary(readonly=True)
    chosen = fields.Boolean(string="Bill")
    reason = fields.Text(string="Left Out", compute="_compute_reason")

    @api.depends("name")
    def _compute_display_name(self):
        for line in self:
            line.display_name = (line.name or "").partition("\n")[0]

    @api.depends("draft_id.partner_id", "lead_line_id")
    @api.depends_context("allowed_company_ids", "lang")
    def _compute_reason(self):
        for line in self:
            line.reason = line._why_not()

    def _why_not(self):
        """Why this is not billed now: as the core says it for every charge, and naming the invoice."""
        product, lead = self.lead_line_id, self.draft_id.lead_id
        if product and product.lead_id != lead:
            return self.env._("No longer a product of this opportunity")
        charge = self._charge()
        if charge.state not in BILLED and not product and lead.billing_product_ids:
            # They came while the dialog was open: the whole would bill them once more.
            return self.env._("Billed by its products")
        if charge.state in BILLED:
            if charge.state == "invoiced":
                return self.env._("Invoiced on %s", charge.invoice_id._billing_label())
            return self.env._("On %s", charge.invoice_id._billing_label())
        return charge._why_not_drafted(self.env.companies)

    def _existing_charge(self):
        self.ensure_one()
        product, lead = self.lead_line_id, self.draft_id.lead_id
        return product._billing_charge() if product else lead._billing_whole_charge()

    def _charge(self):
        """The charge of this line as it is by now; where there is none, one that is not written."""
        if charge := self._existing_charge():
            return charge
        product, lead = self.lead_line_id, self.draft_id.lead_id
        values = product._prepare_billing_charge() if product else lead._prepare_billing_charge_whole()
        # Who is not there yet is not on hold.
        client = self.draft_id.partner_id.commercial_partner_id or self.env["res.partner"].new({"active": True})
        return self.env["billing.charge"].new(dict(values, partner_id=client))

    def _billed_on(self):
        """The invoices on which these lines stand already."""
        charges = self.env["billing.charge"].union(*(line._existing_charge() for line in self))
        return charges.filtered(lambda charge: charge.state in BILLED).invoice_id
