from contextlib import contextmanager

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError, ValidationError

from odoo.addons.base.models.res_partner import _tz_get

from ..tools.rate_steps import normal_key, normal_prefix
from ..tools.units import UNITS
from .billing_usage_source import KINDS, UNIT_NAMES

# What usage that is not billed yet is to be rated again for.
RATED_BY = {"kind", "unit", "tz", "peak_from", "peak_until", "peak_weekend"}


class BillingRatePlan(models.Model):
    """What usage costs: rates by prefix or key, and prices that depend on how much is used."""

    _name = "billing.rate.plan"
    _description = "Rate Plan"
    _inherit = ["mail.thread", "billing.billable.values"]
    _order = "name, id"
    _check_company_auto = True

    name = fields.Char(required=True, tracking=True)
    active = fields.Boolean(default=True)
    company_id = fields.Many2one("res.company", required=True, index=True, default=lambda self: self.env.company)
    currency_id = fields.Many2one(
        "res.currency", required=True, default=lambda self: self.env.company.currency_id, tracking=True
    )
    product_id = fields.Many2one(
        "product.product",
        required=True,
        check_company=True,
        domain="[('sale_ok', '=', True)]",
        help="Account and taxes of the invoice lines.",
    )
    unit = fields.Selection(
        UNIT_NAMES, string="Prices per", required=True, default="minute", tracking=True, help="What a price is for."
    )
    kind = fields.Selection(
        KINDS,
        string="Rates for",
        required=True,
        compute="_compute_kind",
        store=True,
        readonly=False,
        precompute=True,
        help="Telephone numbers are rated by the longest prefix that they begin with; names and keys by the rate of "
        "exactly that name.",
    )
    tz = fields.Selection(
        _tz_get,
        string="Time Zone",
        required=True,
        default=lambda self: self.env.company.partner_id.tz or "UTC",
        help="In which peak hours are meant.",
    )
    peak_from = fields.Float(string="Peak from", default=8, help="In hours of the day.")
    peak_until = fields.Float(string="Peak until", default=18, help="In hours of the day; this moment is off-peak.")
    peak_weekend = fields.Boolean(string="Peak on weekends, too")
    destination_ids = fields.One2many("billing.rate.destination", "plan_id", string="Destination Groups")
    rate_ids = fields.One2many("billing.rate", "plan_id", string="Rates")
    rate_count = fields.Integer(string="Number of Rates", compute="_compute_counts")
    destination_count = fields.Integer(string="Number of Destination Groups", compute="_compute_counts")
    package_count = fields.Integer(string="Number of Packages", compute="_compute_counts")
    revision = fields.Integer(
        readonly=True, default=1, copy=False, help="Goes up with each change: usage rated before is rated again."
    )
    rates_key = fields.Char(
        readonly=True, copy=False, groups="base.group_system", help="Another one whenever something of it changes."
    )

    _peak = models.Constraint(
        "CHECK (peak_from >= 0 AND peak_until <= 24 AND peak_from <= peak_until)", "Peak hours begin before they end."
    )

    @api.depends("unit")
    def _compute_kind(self):
        """Time in minutes is spoken, mostly; what else is measured has a name."""
        for plan in self:
            if not plan.kind or not plan._origin.rate_count:
                plan.kind = "phone" if plan.unit in ("second", "minute") else "key"

    def _compute_counts(self):
        for fname, model, link in [
            ("rate_count", "billing.rate", "plan_id"),
            ("destination_count", "billing.rate.destination", "plan_id"),
            ("package_count", "billing.package", "rate_plan_id"),
        ]:
            counts = {}
            if self.ids:
                counts = dict(self.env[model]._read_group([(link, "in", self.ids)], [link], ["__count"]))
            for plan in self:
                plan[fname] = counts.get(plan._origin, 0)

    @api.constrains("tz")
    def _check_tz(self):
        known = {zone for zone, _label in _tz_get(self)}
        for plan in self:
            if plan.tz not in known:
                raise ValidationError(self.env._("“%s” is no time zone: choose one like Europe/Berlin.", plan.tz))

    # -- what may change ----------------------------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        self._refuse_revision(*vals_list)
        return super().create(vals_list)

    def write(self, vals):
        self._refuse_revision(vals)
        for plan in self:
            plan._refuse_change(vals)
        result = super().write(vals)
        if RATED_BY & vals.keys():
            self._touch()
        return result

    def _refuse_revision(self, *vals_list):
        """By it usage is known to be rated as the plan is: it counts changes, and is not set. Nor is the key."""
        if not self.env.su and any({"revision", "rates_key"} & vals.keys() for vals in vals_list):
            raise AccessError(self.env._("The revision of a rate plan counts its changes: nobody sets it."))

    def _changes(self, vals, fname):
        field = self._fields[fname]
        return fname in vals and field.convert_to_cache(vals[fname], self) != field.convert_to_cache(self[fname], self)

    def _refuse_change(self, vals):
        """Prices that were billed keep their meaning, and prefixes theirs."""
        names = [
            self._fields[fname]._description_string(self.env)
            for fname in ("currency_id", "unit")
            if self._changes(vals, fname)
        ]
        if names and self._is_billed():
            raise UserError(
                self.env._(
                    "Usage was billed by “%(plan)s”: %(fields)s would make its prices mean something else. Duplicate "
                    "the plan, and change the copy.",
                    plan=self.name,
                    fields=", ".join(names),
                )
            )
        if self._changes(vals, "kind") and self.rate_count:
            raise UserError(
                self.env._(
                    "“%s” has rates already: prefixes of telephone numbers are no names, nor the other way round. "
                    "Make another plan.",
                    self.name,
                )
            )
        if self._changes(vals, "company_id") and (self.rate_count or self._used_by()):
            raise UserError(
                self.env._(
                    "“%s” has rates, or is in use: it stays with its company. Export its rates, and import them into "
                    "a plan of the other one.",
                    self.name,
                )
            )

    def _is_billed(self):
        self.ensure_one()
        return bool(self.env["billing.usage.bill"].sudo().search_count([("rate_plan_id", "=", self.id)], limit=1))

    def _used_by(self):
        """What leads to this plan, in words. Elevated to see what is archived or out of the user's sight: only that
        there is something is told.
        """
        self.ensure_one()
        env = self.sudo().with_context(active_test=False).env
        self.flush_recordset()
        env.cr.execute("SELECT EXISTS (SELECT FROM billing_usage WHERE rate_plan_id = %s)", [self.id])
        uses = [(env.cr.fetchone()[0], self.env._("usage"))]
        for model, label in [
            ("billing.usage.bill", self.env._("billed usage")),
            ("billing.package", self.env._("packages")),
            ("billing.usage.account", self.env._("clients' numbers and accounts")),
            ("billing.usage.source", self.env._("usage sources")),
        ]:
            uses.append((env[model].search_count([("rate_plan_id", "=", self.id)], limit=1), label))
        clients = env["res.partner"].with_company(self.company_id)
        uses.append(
            (clients.search_count([("billing_rate_plan_id", "=", self.id)], limit=1), self.env._("clients")),
        )
        return [label for used, label in uses if used]

    @api.ondelete(at_uninstall=False)
    def _unlink_if_unused(self):
        for plan in self:
            if used := plan._used_by():
                raise UserError(
                    self.env._(
                        "“%(plan)s” is used by %(uses)s. Archive it instead of deleting it.",
                        plan=plan.name,
                        uses=", ".join(used),
                    )
                )

    def unlink(self):
        # Of many rates, the database lets go faster than Odoo would; nothing leads to the rates of a plan without use.
        self.check_access("unlink")
        self.env["billing.rate"].check_access("unlink")
        self._unlink_if_unused()
        self.env.flush_all()
        self.env.cr.execute("DELETE FROM billing_rate WHERE plan_id IN %s", [self._ids or (0,)])
        self.env["billing.rate"].invalidate_model()
        return super().unlink()

    def action_rate_again(self):
        """Rate what is open and was rated before these plans changed, or not at all."""
        return self.env["billing.usage"]._rate_open([("rate_plan_id", "in", self.ids)])

    @api.private
    def _touch(self):
        """Something of these plans changed: what is not billed yet is to be rated again."""
        if self:
            self.flush_recordset(["revision", "rates_key"])
            # The key is none that was there before: a number might be, after a rollback.
            self.env.cr.execute(
                "UPDATE billing_rate_plan SET revision = revision + 1, rates_key = gen_random_uuid() WHERE id IN %s",
                [self._ids],
            )
            self.invalidate_recordset(["revision", "rates_key"])

    @contextmanager
    def _set_by_set(self):
        """For statements over all rates of a plan: many may be new, and unknown to the planner, who would then look
        them up one by one for each of the others.
        """
        self.env.cr.execute("SET LOCAL enable_nestloop = off")
        yield
        self.env.cr.execute("SET LOCAL enable_nestloop TO DEFAULT")

    # -- its rates ----------------------------------------------------------------------------------------------------

    def copy_data(self, default=None):
        data = super().copy_data(default)
        if "name" in (default or {}):
            return data
        return [dict(vals, name=self.env._("%s (copy)", plan.name)) for plan, vals in zip(self, data, strict=True)]

    def copy(self, default=None):
        """With all of its rates, groups and tiers, which may be very many."""
        copies = super().copy(default)
        self.env.flush_all()
        for plan, new in zip(self, copies, strict=True):
            facts = {"old": plan.id, "new": new.id, "company": new.company_id.id, "uid": self.env.uid}
            with self._set_by_set():
                self.env.cr.execute(COPY_RATES, facts)
        copies._touch()
        self.env.invalidate_all()
        return copies

    @api.private
    def _normal(self, text):
        """A prefix or key as this plan keeps it; None if it is none."""
        return normal_prefix(text) if self.kind == "phone" else normal_key(text)

    @api.private
    def _size(self):
        """What a price is for, in base units."""
        return UNITS[self.unit].size

    def _open_list(self, xmlid, **context):
        self.ensure_one()
        action = self.env["ir.actions.actions"]._for_xml_id(f"invoice_portal_usage.{xmlid}")
        return dict(
            action,
            display_name=f"{self.name}: {action['name']}",
            domain=[("plan_id", "=", self.id)],
            context={"default_plan_id": self.id, "billing_rate_plan": self.id, **context},
        )

    def action_rates(self):
        return self._open_list("action_billing_rates", search_default_in_force=1)

    def action_destinations(self):
        return self._open_list("action_billing_rate_destinations")

    def action_packages(self):
        self.ensure_one()
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal.action_billing_packages")
        return dict(action, domain=[("rate_plan_id", "=", self.id)], context={"default_rate_plan_id": self.id})

    def _open_dialog(self, model, name, **values):
        """A dialog about this plan."""
        self.ensure_one()
        dialog = self.env[model].create({"plan_id": self.id, **values})
        return dialog._show(name)

    def action_check(self):
        return self._open_dialog("billing.rate.check", self.env._("Check of “%s”", self.name))

    def action_try(self):
        return self._open_dialog("billing.rate.try", self.env._("What does it cost?"))

    def action_import(self):
        return self._open_dialog("billing.rate.import", self.env._("Import rates into “%s”", self.name))

    def action_export(self):
        self.ensure_one()
        self.check_access("read")
        return {"type": "ir.actions.act_url", "url": f"/billing/rate-plan/{self.id}/rates.csv", "target": "download"}


COPY_RATES = """
    WITH groups AS (
        INSERT INTO billing_rate_destination
            (plan_id, company_id, name, tier_mode, create_uid, write_uid, create_date, write_date)
        SELECT %(new)s, %(company)s, name, tier_mode, %(uid)s, %(uid)s, now() AT TIME ZONE 'UTC',
               now() AT TIME ZONE 'UTC'
          FROM billing_rate_destination
         WHERE plan_id = %(old)s
     RETURNING id, name
    ), pairs AS (
        SELECT old.id AS old_id, groups.id AS new_id
          FROM groups JOIN billing_rate_destination old ON old.plan_id = %(old)s AND old.name = groups.name
    ), tiers AS (
        INSERT INTO billing_rate_tier
            (destination_id, company_id, above, price_unit, create_uid, write_uid, create_date, write_date)
        SELECT pairs.new_id, %(company)s, above, price_unit, %(uid)s, %(uid)s, now() AT TIME ZONE 'UTC',
               now() AT TIME ZONE 'UTC'
          FROM billing_rate_tier JOIN pairs ON pairs.old_id = destination_id
    )
    INSERT INTO billing_rate
        (plan_id, company_id, prefix, destination_id, price_unit, minimum, step, connection_fee, date_from, date_until,
         band, create_uid, write_uid, create_date, write_date)
    SELECT %(new)s, %(company)s, prefix, pairs.new_id, price_unit, minimum, step, connection_fee, date_from, date_until,
           band, %(uid)s, %(uid)s, now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC'
      FROM billing_rate JOIN pairs ON pairs.old_id = destination_id
     WHERE plan_id = %(old)s
"""
