from odoo import api, fields, models
from odoo.exceptions import UserError

from ..tools.grant import granted, is_granted

AGREEMENT = ("billing_autopay_card_id", "billing_autopay_consent", "billing_autopay_since")


class ResPartner(models.Model):
    """Automatic payment: which card is charged by itself, and who agreed to it, when and how."""

    _inherit = "res.partner"

    billing_autopay_card_id = fields.Many2one(
        "payment.token",
        string="Card for Automatic Payment",
        company_dependent=True,
        readonly=True,
        groups="base.group_user",
        help="Charged for each finalized invoice, by the client's own choice or recorded consent.",
    )
    billing_autopay_since = fields.Datetime(
        string="Automatic Payment Since", company_dependent=True, readonly=True, groups="base.group_user"
    )
    billing_autopay_consent = fields.Text(
        string="Consent", company_dependent=True, readonly=True, groups="base.group_user"
    )
    billing_card_count = fields.Integer(
        string="Saved Cards", compute="_compute_billing_card_count", groups="invoice_portal.group_billing_user"
    )

    @api.depends_context("company")
    def _compute_billing_card_count(self):
        counts = dict(
            self.env["payment.token"]
            .sudo()
            ._read_group(
                [("partner_id", "child_of", self.commercial_partner_id.ids), ("company_id", "=", self.env.company.id)],
                ["partner_id"],
                ["__count"],
            )
        )
        for partner in self:
            client = partner.commercial_partner_id
            partner.billing_card_count = sum(
                count for owner, count in counts.items() if owner.commercial_partner_id == client
            )

    @api.model_create_multi
    def create(self, vals_list):
        self._billing_check_agreement(*vals_list)
        return super().create(vals_list)

    def write(self, vals):
        self._billing_check_agreement(vals)
        return super().write(vals)

    @api.model
    def _billing_check_agreement(self, *vals_list):
        """Whose card is charged by itself follows from a consent that says who gave it and how; it is not typed in."""
        agreed = self._get_billing_agreement_fields()
        if any(vals.get(fname) for vals in vals_list for fname in agreed) and not is_granted(self.env):
            raise UserError(
                self.env._(
                    "Automatic payment is agreed on by *Automatic Payment* and *Automatic Top-Up*, with the consent."
                )
            )

    @api.model
    def _get_billing_agreement_fields(self):
        return AGREEMENT

    @api.private
    def _billing_agree_autopay(self, card, consent):
        """From now on invoices of this client are charged to `card`, as agreed: `consent` says by whom and how."""
        self.ensure_one()
        client = self.commercial_partner_id.with_company(card.company_id)
        if card.partner_id.commercial_partner_id != client or not card.active:
            raise UserError(self.env._("%s is no card of this client.", card.display_name))
        granted(client).write(
            {
                "billing_autopay_card_id": card.id,
                "billing_autopay_consent": consent,
                "billing_autopay_since": fields.Datetime.now(),
            }
        )
        client.message_post(
            body=self.env._(
                "Automatic payment by %(card)s agreed: %(consent)s", card=card.display_name, consent=consent
            )
        )

    @api.private
    def _billing_end_autopay(self, reason):
        """No card is charged by itself any more; what was planned is off."""
        self.ensure_one()
        client = self.commercial_partner_id
        granted(client).write(dict.fromkeys(AGREEMENT, False))
        planned = self.env["account.move"].search(
            [
                ("commercial_partner_id", "=", client.id),
                ("company_id", "=", self.env.company.id),
                ("billing_autopay_date", "!=", False),
            ]
        )
        planned.write({"billing_autopay_date": False, "billing_autopay_note": reason})
        client.message_post(body=self.env._("Automatic payment has ended: %s", reason))

    def action_billing_autopay(self):
        """Agree on automatic payment, or end it."""
        self.ensure_one()
        self._billing_check_staff()
        return self.env["billing.autopay"]._open(self.commercial_partner_id)
