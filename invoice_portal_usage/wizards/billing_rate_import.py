import base64
import binascii

from odoo import Command, fields, models
from odoo.exceptions import UserError

SHOWN = 200


class BillingRateImport(models.TransientModel):
    """Takes rates from a file, after it showed what would become of them."""

    _name = "billing.rate.import"
    _description = "Import of Rates"
    _inherit = ["billing.rate.dialog"]

    data = fields.Binary(string="CSV File", attachment=False)
    filename = fields.Char()
    valid_from = fields.Date(
        help="The first day of rates whose row names none. Rates that cost something else until then end the day "
        "before. Empty: from the beginning, for a plan that is new."
    )
    missing = fields.Selection(
        [("keep", "Stay as they are"), ("end", "End the day before")],
        string="Rates not in the file",
        required=True,
        default="keep",
    )
    state = fields.Selection(
        [("file", "File"), ("preview", "Preview"), ("done", "Done")], default="file", readonly=True
    )
    revision = fields.Integer(readonly=True)
    seen_valid_from = fields.Date(readonly=True)
    seen_missing = fields.Char(readonly=True)
    new_count = fields.Integer(string="New", readonly=True)
    changed_count = fields.Integer(string="Changed", readonly=True)
    unchanged_count = fields.Integer(string="Unchanged", readonly=True)
    ended_count = fields.Integer(string="Ended", readonly=True)
    removed_count = fields.Integer(string="Removed", readonly=True)
    kept_count = fields.Integer(string="Kept", readonly=True)
    group_count = fields.Integer(string="New Destination Groups", readonly=True)
    refused_count = fields.Integer(string="Refused", readonly=True)
    more_refused_count = fields.Integer(readonly=True)
    to_do_count = fields.Integer(readonly=True)
    refused_ids = fields.One2many("billing.rate.import.refused", "import_id", string="Refused Rows", readonly=True)

    def action_preview(self):
        self.ensure_one()
        outcome = self._run()
        self._remember(outcome, "preview")
        return self._show(self.env._("Import rates into “%s”", self.plan_id.name))

    def action_back(self):
        self.ensure_one()
        self.state = "file"
        return self._show(self.env._("Import rates into “%s”", self.plan_id.name))

    def action_import(self):
        """Does what the preview showed, and nothing else."""
        self.ensure_one()
        if (
            self.state != "preview"
            or self.revision != self.plan_id.revision
            or (self.seen_valid_from, self.seen_missing) != (self.valid_from, self.missing)
        ):
            raise UserError(self.env._("The plan or the choices changed since the preview: look at it again."))
        outcome = self._run(write=True)
        self._remember(outcome, "done")
        self.plan_id.message_post(
            body=self.env._(
                "Rates imported from %(file)s: %(new)s new, %(changed)s changed, %(unchanged)s unchanged, %(ended)s "
                "ended, %(removed)s removed, %(refused)s rows refused.",
                file=self.filename or self.env._("a file"),
                new=outcome.new,
                changed=outcome.changed,
                unchanged=outcome.unchanged,
                ended=outcome.ended,
                removed=outcome.removed,
                refused=outcome.refused,
            )
        )
        self.data = False
        return self._show(self.env._("Rates of “%s” imported", self.plan_id.name))

    def action_rates(self):
        return self.plan_id.action_rates()

    def _run(self, write=False):
        if not self.data:
            raise UserError(self.env._("Choose a CSV file first."))
        try:
            data = base64.b64decode(self.data)
        except (binascii.Error, ValueError) as error:
            raise UserError(self.env._("The file did not arrive whole. Choose it again.")) from error
        return self.plan_id._import_rates(
            data, valid_from=self.valid_from or None, end_missing=self.missing == "end", write=write
        )

    def _remember(self, outcome, state):
        self.write(
            {
                "state": state,
                "revision": self.plan_id.revision,
                "seen_valid_from": self.valid_from,
                "seen_missing": self.missing,
                "new_count": outcome.new,
                "changed_count": outcome.changed,
                "unchanged_count": outcome.unchanged,
                "ended_count": outcome.ended,
                "removed_count": outcome.removed,
                "kept_count": outcome.kept,
                "group_count": outcome.groups,
                "refused_count": outcome.refused,
                "more_refused_count": max(outcome.refused - SHOWN, 0),
                "to_do_count": outcome.new + outcome.changed + outcome.ended + outcome.removed,
                "refused_ids": [
                    Command.clear(),
                    *(
                        Command.create(
                            {
                                "line": refusal.line,
                                "name": refusal.text,
                                "reason": self.plan_id._say_refusal(refusal),
                            }
                        )
                        for refusal in outcome.refusals[:SHOWN]
                    ),
                ],
            }
        )


class BillingRateImportRefused(models.TransientModel):
    _name = "billing.rate.import.refused"
    _description = "Refused Row of a Rate File"
    _order = "line, id"

    import_id = fields.Many2one("billing.rate.import", required=True, ondelete="cascade")
    line = fields.Integer()
    name = fields.Char(string="Row")
    reason = fields.Char()
