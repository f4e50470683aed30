from odoo import api, fields, models
from odoo.tools import is_html_empty
from odoo.tools.sql import column_exists, create_column

# What the client reads around the lines, and whether somebody wrote it for this very invoice.
TYPED = {"billing_note": "billing_note_typed", "narration": "billing_terms_typed"}


class AccountMove(models.Model):
    """The texts of an invoice: its note to the client, and its terms.

    The terms are Odoo's `narration` with Odoo's default for the company; a client can have terms of its own instead.
    The note is ours: Odoo has none that clients read beside the terms. Both follow the client and its language until
    somebody writes them, which Odoo does not remember: it would overwrite typed terms when the client changes.
    """

    _inherit = "account.move"

    billing_note = fields.Html(
        string="Notes",
        compute="_compute_billing_note",
        inverse="_inverse_billing_note",
        store=True,
        readonly=False,
        help="Shown to the client on the invoice, above the terms.",
    )
    billing_note_typed = fields.Boolean(groups="base.group_user")
    narration = fields.Html(inverse="_inverse_narration")
    billing_terms_typed = fields.Boolean(groups="base.group_user")

    def _auto_init(self):
        # By hand, so that installing recomputes no entry. What stands on drafts then was put there without us.
        if not column_exists(self.env.cr, self._table, "billing_note"):
            create_column(self.env.cr, self._table, "billing_note", "text")
        if not column_exists(self.env.cr, self._table, "billing_terms_typed"):
            create_column(self.env.cr, self._table, "billing_terms_typed", "bool")
            self.env.cr.execute(
                "UPDATE account_move SET billing_terms_typed = TRUE WHERE state = 'draft' AND narration IS NOT NULL"
            )
        return super()._auto_init()

    def _billing_takes_defaults(self, fname):
        """Drafts whose text nobody wrote: an issued invoice keeps its texts, whatever becomes of its client."""
        return self.filtered(
            lambda move: (
                move.state == "draft" and move.is_sale_document(include_receipts=True) and not move[TYPED[fname]]
            )
        )

    def _post(self, soft=True):
        # What is still to be computed on a new draft would find an issued invoice.
        self._recompute_recordset(list(TYPED))
        return super()._post(soft)

    def _billing_client_in_company(self):
        return self.partner_id.commercial_partner_id.with_company(self.company_id)

    @api.depends("move_type", "partner_id", "partner_id.lang", "company_id")
    def _compute_billing_note(self):
        for move in self._billing_takes_defaults("billing_note"):
            note = move._billing_client_in_company().billing_note
            if is_html_empty(note):
                note = move.company_id.with_context(lang=move.partner_id.lang or self.env.user.lang).billing_note
            move.billing_note = False if is_html_empty(note) else note

    def _compute_narration(self):
        untouched = self._billing_takes_defaults("narration")
        # Else the terms of another client could stay: Odoo only ever puts terms, and only where it is told to.
        untouched.narration = False
        sold = self.filtered(lambda move: move.is_sale_document(include_receipts=True))
        result = super(AccountMove, self - sold + untouched)._compute_narration()
        for move in untouched:
            terms = move._billing_client_in_company().billing_terms
            if not is_html_empty(terms):
                move.narration = terms
        return result

    @api.onchange("billing_note")
    def _inverse_billing_note(self):
        self._billing_remember_typed("billing_note")

    @api.onchange("narration")
    def _inverse_narration(self):
        self._billing_remember_typed("narration")

    def _billing_remember_typed(self, fname):
        """A form also sends what it was given: only what differs from the default was written by somebody."""
        for move in self.filtered(lambda move: move.state == "draft" and move.is_sale_document(include_receipts=True)):
            blank = self.new(
                {
                    "move_type": move.move_type,
                    "state": "draft",
                    "company_id": move.company_id.id,
                    "partner_id": move.partner_id._origin.id,
                }
            )
            default = "" if is_html_empty(blank[fname]) else str(blank[fname])
            text = "" if is_html_empty(move[fname]) else str(move[fname])
            if move[TYPED[fname]] != (text != default):
                move[TYPED[fname]] = text != default
