from odoo import fields, models


class AccountMove(models.Model):
    """Invoices that also go by post: what is still to be printed."""

    _inherit = "account.move"

    billing_to_print = fields.Boolean(
        string="To Print",
        copy=False,
        readonly=True,
        groups="base.group_user",
        help="The client wants its invoices on paper, too, and nobody marked this one as printed.",
    )

    def _post(self, soft=True):
        posted = super()._post(soft)
        # Elevated to look: whoever finalizes need not see what clients chose.
        posted.filtered(
            lambda move: move.move_type == "out_invoice" and move.sudo().commercial_partner_id.billing_paper
        ).billing_to_print = True
        return posted

    def action_billing_printed(self):
        """These were printed and are in the post."""
        self._billing_check_staff()
        self.check_access("write")
        printed = self.filtered("billing_to_print")
        printed.billing_to_print = False
        for move in printed:
            move._message_log(body=self.env._("Printed, for the post."))
