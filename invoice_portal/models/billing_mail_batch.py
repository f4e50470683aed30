from odoo import api, fields, models


class BillingMailBatch(models.Model):
    """Invoices that were sent together, in the background, and how far that is."""

    _name = "billing.mail.batch"
    _description = "Sending of Invoices"
    _order = "id desc"

    name = fields.Char(compute="_compute_name")
    user_id = fields.Many2one("res.users", string="Sent By", readonly=True, default=lambda self: self.env.user)
    mail_ids = fields.One2many("billing.mail", "batch_id", string="E-mails", readonly=True)
    recipient_ids = fields.One2many("billing.mail.recipient", compute="_compute_recipient_ids", string="Not Reached")
    state = fields.Selection(
        [("running", "Running"), ("attention", "Needs Attention"), ("done", "Done")], compute="_compute_progress"
    )
    count_total = fields.Integer(string="Invoices", compute="_compute_progress")
    count_done = fields.Integer(string="Sent", compute="_compute_progress")
    count_failed = fields.Integer(string="Not Delivered", compute="_compute_progress")
    count_pending = fields.Integer(string="Remaining", compute="_compute_progress")
    progress = fields.Float(compute="_compute_progress")

    @api.depends("create_date")
    def _compute_name(self):
        for batch in self:
            batch.name = (
                self.env._(
                    "Sending of %s",
                    fields.Datetime.context_timestamp(batch, batch.create_date).strftime("%Y-%m-%d %H:%M"),
                )
                if batch.create_date
                else ""
            )

    @api.depends("mail_ids.state", "mail_ids.recipient_ids.state", "mail_ids.recipient_ids.closed")
    def _compute_progress(self):
        counts = {}
        for batch, state, count in self.env["billing.mail"]._read_group(
            [("batch_id", "in", self.ids)], ["batch_id", "state"], ["__count"]
        ):
            counts.setdefault(batch.id, {})[state] = count
        failed = dict(
            self.env["billing.mail"]._read_group(
                [("batch_id", "in", self.ids), ("recipient_ids", "any", self._get_undelivered_domain())],
                ["batch_id"],
                ["__count"],
            )
        )
        for batch in self:
            of = counts.get(batch.id, {})
            batch.count_total = sum(of.values())
            batch.count_pending = batch.count_total - of.get("done", 0)
            batch.count_failed = failed.get(batch, 0)
            batch.count_done = batch.count_total - batch.count_pending - batch.count_failed
            batch.progress = 100 * of.get("done", 0) / batch.count_total if batch.count_total else 0
            if batch.count_pending:
                batch.state = "running"
            else:
                batch.state = "attention" if batch.count_failed else "done"

    @api.model
    def _get_undelivered_domain(self):
        return [("state", "in", ("refused", "unknown", "bounced")), ("closed", "=", False)]

    @api.depends("mail_ids.recipient_ids.state", "mail_ids.recipient_ids.closed")
    def _compute_recipient_ids(self):
        for batch in self:
            batch.recipient_ids = self.env["billing.mail.recipient"].search(
                [("mail_id.batch_id", "=", batch.id), *self._get_undelivered_domain()]
            )

    def action_open_invoices(self):
        self.ensure_one()
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal.action_billing_invoices")
        return dict(action, domain=[("id", "in", self.mail_ids.move_id.ids)])
