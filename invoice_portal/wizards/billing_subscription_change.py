from odoo import api, fields, models
from odoo.exceptions import UserError

from ..tools.periods import ONE_DAY

# So many subscriptions show their old and new prices before they change.
PREVIEWED = 50


class BillingSubscriptionChange(models.TransientModel):
    """Which package, how many and at which price, and from when on?"""

    _name = "billing.subscription.change"
    _description = "Change a Subscription"
    _inherit = ["billing.billable.values"]
    _check_company_auto = True

    subscription_id = fields.Many2one("billing.subscription", required=True, readonly=True)
    # Whoever may not see the subscription learns nothing of it by asking for a wizard about it.
    company_id = fields.Many2one(related="subscription_id.company_id", related_sudo=False)
    currency_id = fields.Many2one(related="subscription_id.currency_id", related_sudo=False)
    when = fields.Selection(
        [("period", "At the next period"), ("date", "From a day on")], string="From", default="period", required=True
    )
    date = fields.Date(
        compute="_compute_date", compute_sudo=False, store=True, readonly=False, required=True, precompute=True
    )
    package_id = fields.Many2one("billing.package", required=True, check_company=True)
    quantity = fields.Float(digits="Product Unit", required=True)
    price_unit = fields.Float(
        string="Unit Price",
        digits="Product Price",
        compute="_compute_price_unit",
        compute_sudo=False,
        store=True,
        readonly=False,
        precompute=True,
    )
    discount = fields.Float(string="Discount (%)", digits="Discount")
    summary = fields.Html(compute="_compute_summary", sanitize=False)

    @api.model_create_multi
    def create(self, vals_list):
        self.check_access("create")
        for vals in vals_list:
            subscription = self.env["billing.subscription"].browse(vals.get("subscription_id")).exists()
            if not subscription:
                raise UserError(self.env._("Which subscription changes? Choose it first."))
            subscription.check_access("write")
        return super().create(vals_list)

    def write(self, vals):
        if any(wizard.subscription_id.id != vals.get("subscription_id", wizard.subscription_id.id) for wizard in self):
            raise UserError(self.env._("The question is about one subscription: open it for the other one."))
        return super().write(vals)

    @api.model
    def _open(self, subscription):
        subscription.ensure_one()
        subscription.check_access("write")
        wizard = self.create(
            {
                "subscription_id": subscription.id,
                **{
                    f: subscription._fields[f].convert_to_write(subscription[f], subscription)
                    for f in ("package_id", "quantity", "price_unit", "discount")
                },
            }
        )
        return wizard._get_records_action(name=self.env._("Change the Subscription"), target="new")

    @api.depends("when", "subscription_id")
    def _compute_date(self):
        for wizard in self:
            subscription = wizard.subscription_id
            if not subscription:
                wizard.date = False
                continue
            today = subscription._today()
            start = subscription.date_start
            wizard.date = subscription._next_period_start(today) if wizard.when == "period" else max(today, start)

    @api.depends("package_id")
    def _compute_price_unit(self):
        """Another package comes with its own price; the price of the same one was agreed."""
        for wizard in self:
            subscription = wizard.subscription_id
            if not subscription:
                continue
            agreed = subscription._phase_on(wizard.date or subscription._today())
            if wizard.package_id == agreed.package_id:
                wizard.price_unit = agreed.price_unit
            elif wizard.package_id:
                wizard.price_unit = wizard.package_id._prices(
                    subscription.currency_id, subscription.company_id, wizard.date or subscription._today()
                )[0]

    @api.depends("date", "package_id", "quantity", "price_unit", "discount")
    def _compute_summary(self):
        for wizard in self:
            subscription = wizard.subscription_id
            if not subscription:
                wizard.summary = False
                continue
            period = wizard.date and wizard.date >= subscription.date_start and subscription._period_on(wizard.date)
            wizard.summary = self.env["ir.qweb"]._render(
                "invoice_portal.subscription_change_summary",
                {
                    "subscription": subscription,
                    "now": subscription._phase_label(subscription._phase_on(wizard.date or subscription._today())),
                    "package": wizard.package_id,
                    "splits": period and period.first < wizard.date,
                    "charged": period and period.first in subscription._charged().get(subscription.id, {}),
                    "period": period and wizard.package_id._period_label(period.first, period.last),
                    "prorated": period and period.segments[0].terms and period.segments[0].terms.proration == "day",
                    "other_interval": not subscription._phase_on(wizard.date or subscription._today())._has_interval_of(
                        wizard.package_id
                    ),
                },
            )

    def action_confirm(self):
        self.ensure_one()
        self.check_access("write")
        self.subscription_id._change(self.date, self.package_id, self.quantity, self.price_unit, self.discount)
        return {"type": "ir.actions.act_window_close"}


class BillingSubscriptionStop(models.TransientModel):
    """Pause, resume or cancel: when?"""

    _name = "billing.subscription.stop"
    _description = "Pause, Resume or Cancel Subscriptions"
    _inherit = ["billing.billable.values"]

    kind = fields.Selection(
        [("pause", "Pause"), ("resume", "Resume"), ("cancel", "Cancel")], required=True, readonly=True
    )
    subscription_ids = fields.Many2many("billing.subscription", readonly=True)
    count = fields.Integer(compute="_compute_count")
    when = fields.Selection(
        [("now", "Today"), ("period", "At the end of the period"), ("date", "On a day")], default="now", required=True
    )
    date = fields.Date(default=fields.Date.context_today)

    @api.model
    def _open(self, subscriptions, kind):
        subscriptions.check_access("write")
        wizard = self.create(
            {
                "kind": kind,
                "when": "period" if kind == "cancel" else "now",
                "subscription_ids": [fields.Command.set(subscriptions.ids)],
            }
        )
        names = {
            "pause": self.env._("Pause"),
            "resume": self.env._("Resume"),
            "cancel": self.env._("Cancel the Subscription"),
        }
        return wizard._get_records_action(name=names[kind], target="new")

    @api.depends("subscription_ids")
    def _compute_count(self):
        for wizard in self:
            wizard.count = len(wizard.subscription_ids)

    def _last_day_of(self, subscription):
        """The last day on which all is as before."""
        if self.when == "date" and not self.date:
            raise UserError(self.env._("On which day?"))
        today = subscription._today()
        if self.when == "period":
            return subscription._period_end(today)
        if self.when == "date":
            return self.date if self.kind == "cancel" else self.date - ONE_DAY
        # Who cancels today has had today.
        return today if self.kind == "cancel" and today >= subscription.date_start else today - ONE_DAY

    def action_confirm(self):
        self.ensure_one()
        self.check_access("write")
        for subscription in self.subscription_ids:
            last = self._last_day_of(subscription)
            if self.kind == "cancel":
                subscription._cancel(last)
            elif self.kind == "pause":
                subscription._pause(max(last + ONE_DAY, subscription.date_start))
            else:
                subscription._resume(max(last + ONE_DAY, subscription.date_start))
        return {"type": "ir.actions.act_window_close"}


class BillingSubscriptionIncrease(models.TransientModel):
    """By how many percent, from when on, and are the clients told?"""

    _name = "billing.subscription.increase"
    _description = "Raise the Price of Subscriptions"
    _inherit = ["billing.billable.values"]

    subscription_ids = fields.Many2many("billing.subscription", readonly=True)
    count = fields.Integer(compute="_compute_count")
    percent = fields.Float(string="By (%)", help="Negative: the price falls.")
    when = fields.Selection(
        [("period", "At each one's next period"), ("date", "From a day on")],
        string="From",
        default="period",
        required=True,
    )
    date = fields.Date(string="Day", default=fields.Date.context_today)
    preview = fields.Html(compute="_compute_preview", sanitize=False)
    notify = fields.Boolean(string="Tell the clients by e-mail")
    template_id = fields.Many2one(
        "mail.template",
        domain="[('model', '=', 'billing.subscription')]",
        default=lambda self: self.env.ref("invoice_portal.mail_template_price_change", raise_if_not_found=False),
    )

    @api.model
    def _open(self, subscriptions):
        subscriptions.check_access("write")
        wizard = self.create({"subscription_ids": [fields.Command.set(subscriptions.ids)]})
        return wizard._get_records_action(name=self.env._("Change Prices by Percent"), target="new")

    @api.depends("subscription_ids")
    def _compute_count(self):
        for wizard in self:
            wizard.count = len(wizard.subscription_ids)

    def _day_of(self, subscription):
        if self.when == "period":
            return subscription._next_period_start(subscription._today())
        return self.date

    @api.depends("subscription_ids", "percent", "when", "date")
    def _compute_preview(self):
        """Old and new prices, and who stands in the way."""
        for wizard in self:
            subscriptions = wizard.subscription_ids
            shown = []
            for subscription in subscriptions[:PREVIEWED]:
                day = wizard._day_of(subscription)
                reason = subscription._why_not_changeable_on(day)
                prices = [] if reason else subscription._raised_prices(wizard.percent, day)
                shown.append({"subscription": subscription, "reason": reason, "prices": prices})
            wizard.preview = wizard.percent and self.env["ir.qweb"]._render(
                "invoice_portal.subscription_increase_preview",
                {"shown": shown, "alone": len(subscriptions) == 1, "more": len(subscriptions) - len(shown)},
            )

    def action_confirm(self):
        """All of them, or none: a refusal names the subscription it is about."""
        self.ensure_one()
        self.check_access("write")
        if not self.percent:
            raise UserError(self.env._("By how many percent do the prices change?"))
        if self.notify and self.template_id and self.template_id.model != "billing.subscription":
            raise UserError(
                self.env._("“%s” is not about subscriptions. Choose another e-mail.", self.template_id.name)
            )
        for subscription in self.subscription_ids:
            day = self._day_of(subscription)
            subscription._check_changeable_on(day)
            old = subscription._phase_on(day).price_unit
            phase = subscription._raise_price(self.percent, day)
            if self.notify and self.template_id:
                subscription._notify_price_change(self.template_id, day, old, phase.price_unit)
        return {"type": "ir.actions.act_window_close"}
