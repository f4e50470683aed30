from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Command, Domain
from odoo.tools import SQL

from ..tools.grant import granted
from ..tools.local_time import day_bounds, local_date, zones_off_utc_date
from ..tools.periods import ONE_DAY, anchor_before
from .abstract_billable_values import TOO_MUCH
from .billing_charge import PROJECT_OF_CLIENT

STATES = [
    ("upcoming", "Upcoming"),
    ("trial", "Trial"),
    ("running", "Running"),
    ("paused", "Paused"),
    ("ended", "Ended"),
]
# What the form asks for of a new subscription, and what its first phase then holds.
FIRST_TERMS = ("package_id", "quantity", "price_unit", "discount")
# How many months an interval is, to compare prices.
MONTHS_OF_UNIT = {"day": 12 / 365.25, "week": 84 / 365.25, "month": 1, "quarter": 3, "year": 12}


class BillingSubscription(models.Model):
    """A client has a package from a day on. What is agreed when is told by its phases; periods follow from them."""

    _name = "billing.subscription"
    _description = "Subscription"
    _inherit = ["mail.thread", "mail.activity.mixin", "billing.state.order", "billing.billable.values"]
    _order = "date_start desc, id desc"
    _rec_names_search = ["partner_id", "reference"]
    _check_company_auto = True

    company_id = fields.Many2one("res.company", required=True, index=True, default=lambda self: self.env.company)
    partner_id = fields.Many2one(
        "res.partner",
        string="Client",
        compute="_compute_partner_id",
        store=True,
        readonly=False,
        required=True,
        precompute=True,
        index=True,
        check_company=True,
        tracking=True,
        help="The company or person that is billed. A contact stands for the company it belongs to.",
    )
    project_id = fields.Many2one(
        "project.project",
        index="btree_not_null",
        check_company=True,
        domain=PROJECT_OF_CLIENT,
        tracking=True,
        help="Its charges are this project's, which may put them on an invoice of their own.",
    )
    reference = fields.Char(tracking=True, help="Named on the invoice beside the package: a domain, a number.")
    currency_id = fields.Many2one(
        "res.currency", compute="_compute_currency_id", store=True, readonly=False, required=True, precompute=True
    )
    date_start = fields.Date(
        string="Start", required=True, default=fields.Date.context_today, index=True, tracking=True
    )
    date_end = fields.Date(string="End", tracking=True, help="The last day, included. Empty: until cancelled.")
    anchor_day = fields.Integer(
        string="Billing Day",
        help="The day of the month on which periods begin, 1 to 31; the 31st is the last day of shorter months. "
        "0: the day on which the subscription starts.",
    )
    trial_end = fields.Date(
        string="Free Until",
        tracking=True,
        help="The last day of the trial, included. Nothing is charged for these days.",
    )
    setup_fee = fields.Float(
        digits="Product Price",
        tracking=True,
        help="Charged once, when the subscription starts.",
    )
    phase_ids = fields.One2many("billing.subscription.phase", "subscription_id", string="Terms", copy=True)
    phase_id = fields.Many2one(
        "billing.subscription.phase", string="Terms Now", compute="_compute_phase_id", help="The terms in force today."
    )
    package_id = fields.Many2one(
        "billing.package",
        compute="_compute_terms",
        readonly=False,
        search="_search_package_id",
        check_company=True,
    )
    quantity = fields.Float(digits="Product Unit", compute="_compute_terms", readonly=False)
    price_unit = fields.Float(string="Unit Price", digits="Product Price", compute="_compute_terms", readonly=False)
    discount = fields.Float(string="Discount (%)", digits="Discount", compute="_compute_terms", readonly=False)
    interval = fields.Char(compute="_compute_interval")
    amount = fields.Monetary(string="Per Period", compute="_compute_amount", help="Quantity × unit price − discount.")
    amount_monthly = fields.Monetary(
        string="Per Month", compute="_compute_amount", help="What a period costs, spread over its months."
    )
    state = fields.Selection(STATES, compute="_compute_state", search="_search_state")
    next_charge_date = fields.Date(
        string="Next Charge",
        compute="_compute_next_charge_date",
        help="The day from which the next period that is not charged yet is due.",
    )
    upcoming = fields.Html(compute="_compute_upcoming", sanitize=False)
    charge_ids = fields.One2many("billing.charge", "subscription_id", string="Charges")
    charge_count = fields.Integer(compute="_compute_charge_count")

    _dates = models.Constraint(
        "CHECK (date_end IS NULL OR date_end >= date_start - 1)", "A subscription cannot end before it starts."
    )
    _anchor_day = models.Constraint(
        "CHECK (anchor_day IS NULL OR anchor_day BETWEEN 0 AND 31)", "The billing day is a day of the month, 1 to 31."
    )
    _setup_fee = models.Constraint(
        f"CHECK (setup_fee IS NULL OR setup_fee >= 0 AND setup_fee < {TOO_MUCH:.0f})",
        "A setup fee cannot be negative, nor more than can be billed.",
    )

    # -- who and in what ----------------------------------------------------------------------------------------------

    @api.depends("project_id")
    def _compute_partner_id(self):
        for subscription in self:
            if not subscription.partner_id:
                subscription.partner_id = subscription.project_id._billing_client()

    @api.depends("project_id", "company_id")
    def _compute_currency_id(self):
        for subscription in self:
            if not subscription.currency_id or subscription.project_id.billing_currency_id:
                subscription.currency_id = (
                    subscription.project_id.billing_currency_id or subscription.company_id.currency_id
                )

    @api.onchange("partner_id")
    def _onchange_partner_id(self):
        self.partner_id = self.partner_id.commercial_partner_id
        billed = self.project_id._billing_client()
        if self.partner_id and billed and billed != self.partner_id:
            self.project_id = False

    @api.onchange("package_id", "currency_id", "date_start")
    def _onchange_package_id(self):
        """A new subscription starts from what the package says; all of it can be edited."""
        if self._origin or not self.package_id or not self.date_start:
            return
        self.quantity = self.package_id.quantity
        self.price_unit, self.setup_fee = self.package_id._prices(self.currency_id, self.company_id, self.date_start)
        self.trial_end = self._trial_end_of(self.package_id, self.date_start)

    @api.model
    def _trial_end_of(self, package, start):
        return package.trial_days and fields.Date.add(start, days=package.trial_days - 1)

    # -- what is agreed now -------------------------------------------------------------------------------------------

    def _zone(self):
        return self.partner_id.tz or self.company_id.partner_id.tz or "UTC"

    def _today(self):
        """Today where the client lives."""
        return local_date(fields.Datetime.now(), self._zone())

    def _phase_on(self, day):
        """The terms in force on that day; the first ones before the start."""
        phases = self.phase_ids.sorted("date_from")
        return phases.filtered(lambda phase: phase.date_from <= day)[-1:] or phases[:1]

    @api.depends("phase_ids.date_from", "partner_id.tz")
    def _compute_phase_id(self):
        for subscription in self:
            subscription.phase_id = subscription._phase_on(subscription._today())

    @api.depends(*(f"phase_ids.{fname}" for fname in ("date_from", *FIRST_TERMS)))
    def _compute_terms(self):
        for subscription in self:
            phase = subscription.phase_id
            for fname in FIRST_TERMS:
                subscription[fname] = phase[fname] if phase else subscription[fname]

    @api.depends("package_id", "phase_ids.interval_unit", "phase_ids.interval_count")
    def _compute_interval(self):
        for subscription in self:
            subscription.interval = subscription.package_id._interval_label(
                subscription.phase_id or subscription.package_id
            )

    @api.depends("quantity", "price_unit", "discount", "currency_id", "state")
    def _compute_amount(self):
        for subscription in self:
            currency = subscription.currency_id or subscription.company_id.currency_id
            amount = subscription.quantity * subscription.price_unit * (1 - subscription.discount / 100)
            subscription.amount = currency.round(amount)
            terms = subscription.phase_id or subscription.package_id
            earns = terms and subscription.state not in ("paused", "ended")
            months = MONTHS_OF_UNIT[terms.interval_unit] * terms.interval_count if earns else 1
            subscription.amount_monthly = currency.round(amount / months) if earns else 0

    @api.depends("date_start", "date_end", "trial_end", "phase_ids.date_from", "phase_ids.paused", "partner_id.tz")
    def _compute_state(self):
        for subscription in self:
            today = subscription._today()
            # What was cancelled before its start never begins.
            if subscription.date_end and subscription.date_end < max(today, subscription.date_start or today):
                subscription.state = "ended"
            elif not subscription.date_start or subscription.date_start > today:
                subscription.state = "upcoming"
            elif subscription.trial_end and subscription.trial_end >= today:
                subscription.state = "trial"
            else:
                subscription.state = "paused" if subscription.phase_id.paused else "running"

    @api.depends("charge_ids")
    def _compute_charge_count(self):
        counts = dict(
            self.env["billing.charge"]._read_group(
                [("subscription_id", "in", self.ids)], ["subscription_id"], ["__count"]
            )
        )
        for subscription in self:
            subscription.charge_count = counts.get(subscription._origin, 0)

    @api.depends("package_id", "reference", "partner_id")
    def _compute_display_name(self):
        for subscription in self:
            parts = (subscription.package_id.name, subscription.reference, subscription.partner_id.name)
            subscription.display_name = ", ".join(filter(None, parts))

    # -- the same in SQL ----------------------------------------------------------------------------------------------

    def _field_to_sql(self, alias, fname, query=None):
        if fname == "state":
            return self._state_sql(alias, query)
        if fname in FIRST_TERMS:
            return self._in_force_sql(alias, fname, self._today_sql(alias, query))
        return super()._field_to_sql(alias, fname, query)

    def _in_force_sql(self, alias, fname, today):
        """A field of the phase of this day, or of the first one."""
        phase = self.env["billing.subscription.phase"]
        return SQL(
            """(SELECT %(field)s FROM billing_subscription_phase phase
                 WHERE phase.subscription_id = %(id)s
              ORDER BY phase.date_from > %(today)s, abs(phase.date_from - %(today)s) LIMIT 1)""",
            field=phase._field_to_sql("phase", fname),
            id=SQL.identifier(alias, "id"),
            today=today,
        )

    def _today_sql(self, alias, query):
        """Today where each client lives."""
        now = fields.Datetime.now()
        earliest, latest = day_bounds(now)
        behind, ahead = zones_off_utc_date(now)
        partner = self.env["res.partner"]
        return SQL(
            """(SELECT CASE WHEN place.zone IN %(behind)s THEN %(earliest)s
                            WHEN place.zone IN %(ahead)s THEN %(latest)s
                            ELSE %(today)s END
                  FROM (SELECT COALESCE(
                    (SELECT %(tz)s FROM res_partner client WHERE client.id = %(client)s),
                    (SELECT owner.tz FROM res_company company JOIN res_partner owner ON owner.id = company.partner_id
                      WHERE company.id = %(company)s)
                  ) AS zone) place)""",
            tz=partner._field_to_sql("client", "tz"),
            client=self._field_to_sql(alias, "partner_id", query),
            company=self._field_to_sql(alias, "company_id", query),
            earliest=earliest,
            latest=latest,
            today=now.date(),
            # Tuples, as pivots want their terms hashable; and SQL wants none empty.
            behind=(*behind, ""),
            ahead=(*ahead, ""),
        )

    def _state_sql(self, alias, query):
        return SQL(
            """(SELECT CASE
                    WHEN %(end)s < GREATEST(day.today, %(start)s) THEN 'ended'
                    WHEN %(start)s > day.today THEN 'upcoming'
                    WHEN %(trial)s >= day.today THEN 'trial'
                    WHEN %(paused)s THEN 'paused'
                    ELSE 'running'
                END FROM (SELECT %(today)s AS today) day)""",
            start=self._field_to_sql(alias, "date_start", query),
            end=self._field_to_sql(alias, "date_end", query),
            trial=self._field_to_sql(alias, "trial_end", query),
            paused=self._in_force_sql(alias, "paused", SQL("day.today")),
            today=self._today_sql(alias, query),
        )

    def _search_state(self, operator, value):
        return self._search_by_sql("state", operator, value)

    def _search_package_id(self, operator, value):
        if operator in ("any", "any!"):
            value = self.env["billing.package"].with_context(active_test=False)._search(value).get_result_ids()
            operator = "in"
        return self._search_by_sql("package_id", operator, value)

    def _search_by_sql(self, fname, operator, value):
        if operator != "in":
            return NotImplemented
        wanted = tuple(value)

        def matches(model, alias, query):
            return SQL("%s IN %s", model._field_to_sql(alias, fname, query), wanted or (None,))

        return Domain.custom(to_sql=matches)

    # -- create, write, delete ----------------------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        self.check_access("create")
        for vals in vals_list:
            self._refuse_absurd_values(vals)
        vals_list = [self._with_first_phase(vals) for vals in vals_list]
        terms = [self._terms_to_create(vals.pop("phase_ids")) for vals in vals_list]
        subscriptions = super().create(vals_list)
        granted(self.env["billing.subscription.phase"]).create(
            [
                {**phase, "subscription_id": subscription.id}
                for subscription, phases in zip(subscriptions, terms, strict=True)
                for phase in phases
            ]
        )
        subscriptions._check_phases()
        return subscriptions

    def _terms_to_create(self, commands):
        """Their values. Those of other subscriptions stay there."""
        values = [command[2] for command in commands if command[0] == Command.CREATE]
        if not values or any(command[0] not in (Command.CREATE, Command.CLEAR) for command in commands):
            raise UserError(self._no_package_message())
        return values

    def _no_package_message(self):
        return self.env._("Choose the package that the client subscribes to.")

    def _with_first_phase(self, vals):
        """Package, quantity and price of a new subscription are its first phase's."""
        vals = dict(vals)
        terms = {fname: vals.pop(fname) for fname in FIRST_TERMS if fname in vals}
        if vals.get("partner_id"):
            vals["partner_id"] = self.env["res.partner"].browse(vals["partner_id"]).commercial_partner_id.id
        if not vals.get("phase_ids"):
            if not terms.get("package_id"):
                raise UserError(self._no_package_message())
            vals.setdefault("date_start", fields.Date.context_today(self))
            vals["phase_ids"] = [Command.create({"date_from": vals["date_start"], **terms})]
            package = self.env["billing.package"].browse(terms["package_id"])
            draft = self.new(
                {fname: vals[fname] for fname in ("company_id", "project_id", "currency_id") if fname in vals}
            )
            start = fields.Date.to_date(vals["date_start"])
            vals.setdefault("trial_end", self._trial_end_of(package, start))
            vals.setdefault("setup_fee", package._prices(draft.currency_id, draft.company_id, start)[1])
        return vals

    def write(self, vals):
        self._refuse_absurd_values(vals)
        if touched := vals.keys() & {*FIRST_TERMS}:
            for subscription in self:
                if any(self._fields[f].convert_to_write(subscription[f], self) != vals[f] for f in touched):
                    raise UserError(self.env._("Terms change from a day on: use the button “Change”."))
            vals = {fname: value for fname, value in vals.items() if fname not in touched}
        if vals.get("partner_id"):
            vals = dict(vals, partner_id=self.env["res.partner"].browse(vals["partner_id"]).commercial_partner_id.id)
        self._refuse_rewriting_history(vals)
        result = super().write(vals)
        if vals.keys() & {"date_start", "anchor_day", "trial_end", "partner_id"}:
            self._restart_phases()
        return result

    def _refuse_rewriting_history(self, vals):
        """What was charged follows from these: afterwards terms change from a day on."""
        fixed = vals.keys() & {"partner_id", "company_id", "currency_id", "date_start", "anchor_day", "trial_end"}
        for subscription in self:
            if "setup_fee" in vals and subscription.charge_count and subscription._would_change("setup_fee", vals):
                raise UserError(
                    self.env._(
                        "“%s” has charges already: its setup fee stays. To ask for more, type a charge; "
                        "to ask for less, edit the charge or void its invoice.",
                        subscription.display_name,
                    )
                )
            changed = [f for f in fixed if subscription._would_change(f, vals)]
            if changed and subscription.charge_count:
                raise UserError(
                    self.env._(
                        "“%(subscription)s” has charges already: %(field)s stays. Cancel it and start another.",
                        subscription=subscription.display_name,
                        field=self._fields[changed[0]]._description_string(self.env),
                    )
                )

    def _would_change(self, fname, vals):
        field = self._fields[fname]
        return field.convert_to_cache(vals[fname], self) != field.convert_to_cache(self[fname], self)

    def _restart_phases(self):
        """The first phase begins with the subscription, and periods from where they are counted."""
        for subscription in self:
            first, *later = subscription.phase_ids.sorted("date_from")
            if later and later[0].date_from <= subscription.date_start:
                raise ValidationError(
                    self.env._("“%s” has terms planned before that start.", subscription.display_name)
                )
            before = first.anchor_date
            anchor = subscription._anchor_on(subscription.date_start, first.interval_unit, first.interval_count)
            granted(first).write({"date_from": subscription.date_start, "anchor_date": anchor})
            for phase in later:
                if phase.anchor_date == before and phase._has_interval_of(first):
                    granted(phase).write({"anchor_date": anchor})

    @api.constrains("phase_ids")
    def _check_phases(self):
        for subscription in self:
            first = subscription.phase_ids.sorted("date_from")[:1]
            if first.date_from != subscription.date_start:
                raise ValidationError(
                    self.env._("The terms of “%s” begin on the day on which it starts.", subscription.display_name)
                )

    @api.constrains("partner_id", "project_id")
    def _check_project(self):
        for subscription in self:
            billed = subscription.project_id._billing_client()
            if billed and billed != subscription.partner_id:
                raise ValidationError(
                    self.env._(
                        "“%(project)s” is billed to %(billed)s, not to %(client)s.",
                        project=subscription.project_id.display_name,
                        billed=billed.display_name,
                        client=subscription.partner_id.display_name,
                    )
                )

    @api.ondelete(at_uninstall=False)
    def _unlink_only_if_never_charged(self):
        for subscription in self:
            if subscription.charge_count:
                raise UserError(
                    self.env._(
                        "“%s” has charges, which it explains, and is kept. Cancel it instead of deleting it.",
                        subscription.display_name,
                    )
                )

    # -- anchors ------------------------------------------------------------------------------------------------------

    def _anchor_on(self, start, unit, count):
        """From where the periods of terms that begin on `start` are counted: after the trial, if there is one."""
        self.ensure_one()
        start = max(start, self._first_paid_day())
        if self.anchor_day:
            return anchor_before(start, self.anchor_day, unit, count)
        return self._prepare_anchor(self.partner_id, start)

    @api.model
    def _prepare_anchor(self, partner, start):
        """A day on which a period of this client begins: that of its billing cycle, or its own first day."""
        cycle = partner.billing_cycle_id
        if not cycle or cycle.anchor == "client":
            return start
        if cycle.interval_unit in ("month", "year"):
            return anchor_before(start, cycle.anchor_day)
        return cycle._boundary(start)

    def _first_paid_day(self):
        self.ensure_one()
        if self.trial_end and self.trial_end >= self.date_start:
            return self.trial_end + ONE_DAY
        return self.date_start

    # -- buttons ------------------------------------------------------------------------------------------------------

    def action_make_charges(self):
        """Charge what is due by today, and correct what was charged otherwise."""
        self.check_access("write")
        charges = self.env["billing.charge"]
        for today, subscriptions in self.grouped(lambda subscription: subscription._today()).items():
            charges += subscriptions._make_charges(today)
        if not charges:
            return {
                "type": "ir.actions.client",
                "tag": "display_notification",
                "params": {"type": "info", "message": self.env._("Nothing is due: all periods are charged.")},
            }
        return charges._get_records_action(name=self.env._("New Charges"))

    def action_charges(self):
        self.check_access("read")
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal.action_billing_charges")
        return dict(action, domain=[("subscription_id", "in", self.ids)], context={})

    def action_change(self):
        self.check_access("write")
        if len(self) != 1:
            raise UserError(self.env._("Change one subscription at a time."))
        return self.env["billing.subscription.change"]._open(self)

    def action_pause(self):
        self.check_access("write")
        return self.env["billing.subscription.stop"]._open(self, "pause")

    def action_resume(self):
        self.check_access("write")
        return self.env["billing.subscription.stop"]._open(self, "resume")

    def action_cancel(self):
        self.check_access("write")
        return self.env["billing.subscription.stop"]._open(self, "cancel")

    def action_raise_price(self):
        self.check_access("write")
        return self.env["billing.subscription.increase"]._open(self)
