from typing import NamedTuple

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import format_datetime
from odoo.tools.misc import formatLang

from odoo.addons.invoice_portal.tools.grant import granted, is_granted

# Who let an invoice go though usage was missing, and what was missing then.
RELEASE_FIELDS = {
    "billing_usage_released",
    "billing_usage_released_on",
    "billing_usage_released_by",
    "billing_usage_released_note",
}


class Gaps(NamedTuple):
    """What may be missing on an invoice: records that are not rated, `{reason: Unrated}`, and feeds that are silent."""

    unrated: dict
    silent: frozenset

    def beyond(self, released):
        """Without what somebody saw and let pass.

        Of records: no more than there were then, and none that came since, whatever became of those that were seen.
        """
        released = released or {}
        counts, last = released.get("unrated", {}), released.get("last", {})
        return Gaps(
            {
                reason: unrated
                for reason, unrated in self.unrated.items()
                if unrated.count > counts.get(reason, 0) or unrated.last > last.get(reason, unrated.last)
            },
            self.silent - set(released.get("silent", ())),
        )

    def seen(self):
        """What of it is remembered for `beyond`."""
        return {
            "unrated": {reason: unrated.count for reason, unrated in self.unrated.items()},
            "last": {reason: unrated.last for reason, unrated in self.unrated.items()},
            "silent": sorted(self.silent),
        }


NO_GAPS = Gaps({}, frozenset())


class AccountMove(models.Model):
    """An invoice waits as long as usage of its client is missing: it would bill too little, and nobody would notice."""

    _inherit = "account.move"

    billing_usage_hold = fields.Text(
        string="Usage Is Missing",
        compute="_compute_billing_usage_hold",
        groups="base.group_user",
        help="Why this draft waits. Mend it, or release the draft with a note.",
    )
    billing_usage_released = fields.Json(
        readonly=True, copy=False, groups="base.group_user", help="What was missing when the draft was released."
    )
    billing_usage_released_on = fields.Datetime(
        string="Released On", readonly=True, copy=False, groups="base.group_user"
    )
    billing_usage_released_by = fields.Many2one(
        "res.users", string="Released By", readonly=True, copy=False, groups="base.group_user"
    )
    billing_usage_released_note = fields.Text(string="Why", readonly=True, copy=False, groups="base.group_user")

    @api.depends("state", "move_type", "commercial_partner_id", "invoice_line_ids.billing_charge_id")
    @api.depends_context("lang")
    def _compute_billing_usage_hold(self):
        holds = self._billing_usage_holds()
        for move in self:
            move.billing_usage_hold = holds.get(move._origin, False)

    def _billing_usage_holds(self):
        """`{draft: why it waits}` of those of these drafts that do. Always worked out anew."""
        return {
            move: self._billing_usage_gaps_in_words(gaps)
            for move, found in self._billing_usage_gaps().items()
            if any(gaps := found.beyond(move.sudo().billing_usage_released))
        }

    # -- what is missing ----------------------------------------------------------------------------------------------

    def _billing_usage_gaps(self):
        """`{draft: gaps}` of the drafts that bill charges, or that a run drafted. What somebody typed does not wait."""
        drafts = self._origin.sudo().filtered(
            lambda move: (
                move.state == "draft"
                and move.move_type == "out_invoice"
                and (move.invoice_line_ids.billing_charge_id or move.billing_run_client_id)
            )
        )
        if not drafts:
            return {}
        found = {}
        for company, moves in drafts.grouped("company_id").items():
            until = {move: move._billing_usage_until() for move in moves}
            gaps = self.env["billing.usage.source"]._gaps(
                company, {move.commercial_partner_id.id: None for move in moves}
            )
            carried = self.env["billing.usage.source"]._silent_on_bills(
                company, moves.invoice_line_ids.billing_charge_id.usage_bill_id
            )
            for move in moves:
                bills = move.invoice_line_ids.billing_charge_id.usage_bill_id
                silent = gaps.silent.get(move.commercial_partner_id.id, frozenset()).union(
                    *(carried.get(bill.id, ()) for bill in bills)
                )
                unrated = gaps.unrated_before(move.commercial_partner_id.id, until[move])
                if unrated or silent:
                    found[move.with_env(self.env)] = Gaps(unrated, silent)
        return found

    def _billing_usage_until(self):
        """Usage from this day on is the next invoice's business."""
        if boundary := self.billing_run_client_id.run_id.boundary:
            return boundary
        tomorrow = fields.Date.add(
            fields.Date.context_today(self.with_context(tz=self.commercial_partner_id.tz or "UTC")), days=1
        )
        billed = self.invoice_line_ids.billing_charge_id.usage_bill_id.mapped("period_end")
        return min(fields.Date.add(max(billed), days=1), tomorrow) if billed else tomorrow

    @api.model
    def _billing_usage_gaps_in_words(self, gaps):
        reasons = dict(self.env["billing.usage"]._fields["unrated_reason"]._description_selection(self.env))
        words = [
            self.env._("1 record of usage is not rated: %s", reasons.get(reason, reason).lower())
            if unrated.count == 1
            else self.env._(
                "%(count)s records of usage are not rated: %(reason)s",
                count=formatLang(self.env, unrated.count, digits=0),
                reason=reasons.get(reason, reason).lower(),
            )
            for reason, unrated in sorted(gaps.unrated.items())
        ]
        # Elevated for the name and the time alone: the reason is told to whoever may read the invoice.
        for source in self.env["billing.usage.source"].sudo().browse(sorted(gaps.silent)):
            if source.last_received:
                words.append(
                    self.env._(
                        "“%(name)s” has been silent since %(moment)s",
                        name=source.name,
                        moment=format_datetime(self.env, source.last_received, dt_format="short"),
                    )
                )
            else:
                words.append(self.env._("“%s” has never delivered anything", source.name))
        return "\n".join(words)

    # -- holding ------------------------------------------------------------------------------------------------------

    def _billing_why_not_finalize(self):
        if reason := super()._billing_why_not_finalize():
            return reason
        if self.billing_usage_hold:
            return self._billing_usage_hold_message(self.billing_usage_hold)
        return None

    def _billing_usage_hold_message(self, reason):
        return self.env._(
            "%(invoice)s waits, as usage is missing. %(reason)s. Mend that, or release the draft with a note.",
            invoice=self._billing_label(),
            reason=reason.replace("\n", "; "),
        )

    def _post(self, soft=True):
        # Also whoever posts without asking first, by a button of Odoo's or on a date.
        if holds := self._billing_usage_holds():
            raise UserError("\n".join(move._billing_usage_hold_message(reason) for move, reason in holds.items()))
        return super()._post(soft)

    # -- releasing ----------------------------------------------------------------------------------------------------

    def action_billing_usage_release(self):
        """Ask why this draft goes out though usage is missing."""
        self._billing_check_staff()
        return self.env["billing.usage.release"]._open(self)

    def _billing_usage_release(self, note):
        """Let these drafts go. Who, when and why is kept, and what was missing: anything more holds them again."""
        self.check_access("write")
        holds, gaps = self._billing_usage_holds(), self._billing_usage_gaps()
        for move, reason in holds.items():
            granted(move).write(
                {
                    "billing_usage_released": gaps[move].seen(),
                    "billing_usage_released_on": fields.Datetime.now(),
                    "billing_usage_released_by": self.env.uid,
                    "billing_usage_released_note": note,
                }
            )
            move.message_post(
                body=self.env._(
                    "Released though usage is missing: %(reason)s. Why: %(note)s",
                    reason=reason.replace("\n", "; "),
                    note=note,
                ),
                subtype_xmlid="mail.mt_note",
            )
        self.invalidate_recordset(["billing_usage_hold"])
        return self.browse().union(*holds)

    @api.model_create_multi
    def create(self, vals_list):
        if any(vals.keys() & RELEASE_FIELDS for vals in vals_list):
            raise UserError(self._billing_usage_release_refusal())
        # Named, so that no default of a context says otherwise.
        return super().create([{**dict.fromkeys(RELEASE_FIELDS, False), **vals} for vals in vals_list])

    def write(self, vals):
        if vals.keys() & RELEASE_FIELDS and not is_granted(self.env):
            raise UserError(self._billing_usage_release_refusal())
        return super().write(vals)

    def _billing_usage_release_refusal(self):
        return self.env._("A draft is released by *Release* and a note, not by hand.")

    @api.model
    def _billing_locked_fields(self):
        return super()._billing_locked_fields() | RELEASE_FIELDS
