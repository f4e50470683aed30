from odoo import api, fields, models
from odoo.exceptions import UserError

from ..tools.grant import granted, is_granted

# Everything the client reads on the document, and what its totals, its number and its place in the books follow from.
LOCKED_FIELDS = {
    "access_token",
    "always_tax_exigible",
    "amount_residual",
    "amount_residual_signed",
    "amount_tax",
    "amount_tax_signed",
    "amount_total",
    "amount_total_in_currency_signed",
    "amount_total_signed",
    "amount_untaxed",
    "amount_untaxed_in_currency_signed",
    "amount_untaxed_signed",
    "auto_post",
    "billing_discount",
    "billing_discount_type",
    "billing_note",
    "billing_project_id",
    "commercial_partner_id",
    "company_id",
    "currency_id",
    "date",
    "delivery_date",
    "fiscal_position_id",
    "inalterable_hash",
    "incoterm_location",
    "invoice_cash_rounding_id",
    "invoice_currency_rate",
    "invoice_date",
    "invoice_date_due",
    "invoice_incoterm_id",
    "invoice_line_ids",
    "invoice_origin",
    "invoice_partner_display_name",
    "invoice_payment_term_id",
    "journal_id",
    "invoice_pdf_report_id",
    "line_ids",
    "made_sequence_gap",
    "move_type",
    "name",
    "narration",
    "origin_payment_id",
    "partner_bank_id",
    "partner_id",
    "partner_shipping_id",
    "payment_reference",
    "payment_state",
    "posted_before",
    "qr_code_method",
    "quick_edit_total_amount",
    "ref",
    "restrict_mode_hash_table",
    "reversed_entry_id",
    "secure_sequence_number",
    "sending_data",
    "sequence_number",
    "sequence_prefix",
    "state",
    "statement_line_id",
    "tax_cash_basis_origin_move_id",
    "tax_cash_basis_rec_id",
    "tax_totals",
    "taxable_supply_date",
}

# Set by finalizing and by voiding only.
OWN_FIELDS = {"billing_locked", "billing_void_date", "billing_void_move_id", "billing_void_reason"}

# What a method of ours may write: what Odoo notes on a posted invoice by itself (its hash, a gap before it, whom to
# name as the sender), and the token of its link, to revoke that.
NOTED_FIELDS = {"access_token", "inalterable_hash", "made_sequence_gap", "sending_data"}

# What Odoo's *Block Payment* does. Every other payment state follows from payments, and is written by nobody.
PAYMENT_HOLDS = {("not_paid", "blocked"), ("partial", "blocked"), ("blocked", "blocked"), ("blocked", "not_paid")}


class AccountMove(models.Model):
    """A finalized invoice does not change: by no screen, call, import or button of another addon.

    The rule sits in `write`, `create` of lines and the deletion guards, and heeds no context key: a caller from outside
    could set one. What has to happen to a locked invoice (a reversing entry, a payment, a mail) needs none of them.
    """

    _inherit = "account.move"

    billing_locked = fields.Boolean(
        string="Locked",
        readonly=True,
        copy=False,
        help="Finalized: number, dates, client, lines and amounts stay as they are. Void the invoice to correct it.",
    )

    def _billing_locks_when_posted(self):
        """Whether finalizing this entry locks it. To be extended where a country's rules need a way back."""
        self.ensure_one()
        return self.is_sale_document(include_receipts=True) and (
            self.company_id.billing_lock_invoices
            or self.reversed_entry_id.billing_locked
            or bool(self.invoice_line_ids.billing_charge_id)
        )

    def _billing_locked_message(self):
        move = self[0]
        if move.move_type == "out_invoice" and not move.billing_void_move_id:
            return self.env._(
                "%s is finalized and locked: its lines, dates, client and amounts no longer change. To correct it, "
                "void it (Status ▸ Void): that reverses it and opens its charges again.",
                move.display_name,
            )
        return self.env._("%s is finalized and locked, and no longer changes.", move.display_name)

    @api.model_create_multi
    def create(self, vals_list):
        for vals in vals_list:
            if vals.keys() & OWN_FIELDS:
                raise UserError(self.env._("An invoice starts as a draft, neither locked nor void."))
        # Named, so that no default of a context says otherwise.
        start = {"state": "draft", **dict.fromkeys(OWN_FIELDS, False)}
        return super().create([{**start, **vals} for vals in vals_list])

    def write(self, vals):
        if vals.keys() & OWN_FIELDS and not is_granted(self.env):
            raise UserError(self.env._("An invoice is locked by finalizing it and voided by *Void*, not by hand."))
        touched = vals.keys() & self._billing_locked_fields()
        if is_granted(self.env):
            touched -= NOTED_FIELDS
        for move in self.filtered("billing_locked") if touched else self:
            if any(move._billing_would_change(vals, fname) for fname in touched):
                raise UserError(move._billing_locked_message())
        if vals.get("state") != "posted":
            return super().write(vals)
        # Locked in the very write that posts: there is no moment in between, and no second round through the entry.
        to_lock = self.filtered(lambda move: move._billing_locks_when_posted())
        super(AccountMove, to_lock).write(dict(vals, billing_locked=True))
        return super(AccountMove, self - to_lock).write(vals)

    @api.model
    def _billing_locked_fields(self):
        """What no longer changes: also every document that is kept with the invoice, which is what the client got."""
        documents = {fname for fname, field in self._fields.items() if field.type == "binary" and field.attachment}
        return LOCKED_FIELDS | documents

    def _hash_moves(self, **kwargs):
        # Odoo secures entries when they are posted, or later on demand: a hash is added, and nothing else changes.
        return super(AccountMove, granted(self))._hash_moves(**kwargs)

    def _set_next_made_sequence_gap(self, made_gap):
        # The invoice after one that was deleted, or that now fills the gap.
        return super(AccountMove, granted(self))._set_next_made_sequence_gap(made_gap)

    @api.private
    def _billing_mark_void(self, reversal, reason):
        """The one change that a locked invoice sees: that it is void, by which entry, and why."""
        self.ensure_one()
        granted(self).write(
            {
                "billing_void_move_id": reversal.id,
                "billing_void_reason": reason,
                "billing_void_date": fields.Datetime.now(),
            }
        )

    def _billing_would_change(self, vals, fname):
        field = self._fields[fname]
        if field.type in ("one2many", "many2many"):
            return bool(vals[fname])
        if field.type == "binary":
            return True
        if field.type in ("date", "datetime"):
            return self[fname] != field.convert_to_cache(vals[fname], self)
        if fname == "payment_state" and "blocked" in (self.payment_state, vals[fname]):
            return (self.payment_state, vals[fname]) not in PAYMENT_HOLDS
        # Odoo's own code, as superuser, makes the missing token of the client's link, and keeps its send queue.
        if fname == "access_token" and not self.access_token and self.env.su:
            return False
        if fname == "sending_data" and (not vals[fname] or self.env.su):
            return False
        return self._field_will_change(self, vals, fname)

    @api.ondelete(at_uninstall=False)
    def _unlink_except_locked(self):
        if locked := self.filtered("billing_locked"):
            raise UserError(locked._billing_locked_message())

    @api.depends("billing_locked")
    def _compute_show_reset_to_draft_button(self):
        result = super()._compute_show_reset_to_draft_button()
        self.filtered("billing_locked").show_reset_to_draft_button = False
        return result
