from odoo import fields, models
from odoo.exceptions import UserError

from .account_move_hold import Gaps


class BillingRunClient(models.Model):
    """A client whose usage is missing waits; the others go on."""

    _inherit = "billing.run.client"

    usage_held = fields.Boolean(readonly=True, help="Held as usage was missing.")
    usage_released = fields.Boolean(readonly=True, help="Nothing to bill, and somebody said that this is right.")

    def _hold_unusual(self):
        others = super()._hold_unusual()
        holds = others.move_ids._billing_usage_holds()
        held = others.browse()
        for client in others:
            if reasons := [holds[move] for move in client.move_ids if move in holds]:
                client._hold_for_usage("\n".join(dict.fromkeys(reasons)))
                held += client
        self._hold_empty()
        return others - held

    def _hold_empty(self):
        """Where all usage is missing there is no draft, and it would not be noticed at all."""
        empty = self.filtered(lambda client: client.state == "empty" and not client.usage_released)
        for (company, boundary), clients in empty.grouped(
            lambda client: (client.company_id, client.run_id.boundary)
        ).items():
            if not boundary:
                continue
            found = self.env["billing.usage.source"]._gaps(company, clients.partner_id.ids)
            for client in clients:
                gaps = Gaps(
                    found.unrated_before(client.partner_id.id, boundary),
                    found.silent.get(client.partner_id.id, frozenset()),
                )
                if any(gaps):
                    client._hold_for_usage(self.env["account.move"]._billing_usage_gaps_in_words(gaps))

    def _hold_for_usage(self, reason):
        self.write({"state": "held", "usage_held": True, "reason": self.env._("Usage is missing:") + f"\n{reason}"})

    def _usage_holds(self):
        """`{client: reason}` of those of these that still wait for usage."""
        holds = {}
        for client in self:
            if reasons := client.move_ids._billing_usage_holds().values():
                holds[client] = "\n".join(dict.fromkeys(reasons))
            elif client.usage_held and not client.usage_released and not client.move_ids:
                # Without a draft, it is known again only when it is tried again.
                holds[client] = client.reason
        return holds

    def _retry(self):
        self.sudo().usage_held = False
        return super()._retry()

    def action_retry(self):
        """What was held as usage was missing is billed anew, with what has come since."""
        self._check_staff()
        held = self.filtered(lambda client: client.state == "held" and client.usage_held)
        if not held or held.run_id.filtered("rehearsal"):
            return super().action_retry()
        if holds := {client: reason for client, reason in held._usage_holds().items() if client.move_ids}:
            client, reason = next(iter(holds.items()))
            raise UserError(
                self.env._(
                    "Usage of %(client)s is missing still. %(reason)s",
                    client=client.partner_id.display_name,
                    reason=reason,
                )
            )
        drafts = held.move_ids.filtered(lambda move: move.state == "draft")
        bills = drafts.billing_charge_ids.usage_bill_id
        drafts.action_billing_delete()
        bills._those_that_can_be_taken_back()._take_back()
        held._retry()
        if failed := self.filtered(lambda client: client.state == "failed"):
            failed._retry()
        held.run_id.action_resume()
        return None

    def action_release(self):
        """Whoever lets an invoice go though usage is missing says why."""
        self._check_staff()
        held = self.filtered(lambda client: client.state == "held" and not client.run_id.rehearsal)
        if held._usage_holds():
            return self.env["billing.usage.release"]._open(held.move_ids, held)
        return super().action_release()

    def _usage_release(self, note):
        """Let these go, and do with them what their cycle says."""
        self._check_staff()
        bare = self.filtered(lambda client: client.usage_held and not client.move_ids)
        # Elevated, as nobody writes runs but these methods.
        bare.sudo().usage_released = True
        for client in bare:
            client.run_id.message_post(
                body=self.env._(
                    "Nothing is billed to %(client)s though usage is missing. Why: %(note)s",
                    client=client.partner_id.display_name,
                    note=note,
                ),
                subtype_xmlid="mail.mt_note",
            )
        return self.action_release()
