from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tools.misc import format_date

from ..tools.country_names import name_of_prefix
from ..tools.rate_steps import STAR

BANDS = [("any", "Always"), ("peak", "Peak"), ("off_peak", "Off-peak")]
# What was billed by a rate is explained by these for ever.
KEPT = ("plan_id", "prefix", "destination_id", "price_unit", "minimum", "step", "connection_fee", "date_from", "band")

# Two rates of one prefix, at the same time. Bounds that are missing are infinite.
OVERLAP = """
    lower(other.prefix) = lower(rate.prefix)
    AND (other.band = rate.band OR 'any' IN (other.band, rate.band))
    AND COALESCE(other.date_from, '-infinity') <= COALESCE(rate.date_until, 'infinity')
    AND COALESCE(rate.date_from, '-infinity') <= COALESCE(other.date_until, 'infinity')
"""


class BillingRate(models.Model):
    """The price of what begins with a prefix, or has a key, from a day to a day.

    What was billed by a rate does not change with it, and the rate does not change under what was billed: it gets an
    end, and another rate follows.
    """

    _name = "billing.rate"
    _description = "Rate"
    _inherit = ["billing.billable.values"]
    _order = "plan_id, prefix, date_from desc, id"
    _rec_name = "prefix"
    _rec_names_search = ["prefix", "destination_id.name"]

    plan_id = fields.Many2one("billing.rate.plan", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="plan_id.company_id", store=True)
    currency_id = fields.Many2one(related="plan_id.currency_id")
    kind = fields.Selection(related="plan_id.kind")
    unit = fields.Selection(related="plan_id.unit", string="Per")
    prefix = fields.Char(
        string="Prefix or Key",
        required=True,
        default="",
        help="Of telephone numbers, in digits with the country's "
        "code. A star is for everything that nothing else fits.",
    )
    destination_id = fields.Many2one(
        "billing.rate.destination",
        string="Destination Group",
        required=True,
        index=True,
        ondelete="restrict",
        domain="[('plan_id', '=', plan_id)]",
        help="What the client reads. Empty: named after the country and region of the prefix.",
    )
    price_unit = fields.Float(string="Price", digits=(16, 8), default=0.0, help="Per unit of the plan.")
    minimum = fields.Float(digits=(16, 6), default=0.0, help="At least so much is billed: in seconds, MB or pieces.")
    step = fields.Float(
        digits=(16, 6), default=0.0, help="Beyond the minimum, begun steps are billed whole. Zero: exactly."
    )
    connection_fee = fields.Float(digits=(16, 8), default=0.0, help="Once per use.")
    date_from = fields.Date(string="From", help="Empty: from the beginning.")
    date_until = fields.Date(string="Until", help="The last day, included. Empty: until further notice.")
    band = fields.Selection(BANDS, string="Hours", required=True, default="any")
    billed = fields.Boolean(readonly=True, copy=False, help="Usage was billed by it.")

    _numbers = models.Constraint(
        "CHECK (price_unit BETWEEN 0 AND 1e9 AND minimum BETWEEN 0 AND 1e9 AND step BETWEEN 0 AND 1e9"
        " AND connection_fee BETWEEN 0 AND 1e9)",
        "Prices, fees, minimum and step are not negative, and numbers that can be billed.",
    )
    _dates = models.Constraint(
        "CHECK (date_until IS NULL OR date_from IS NULL OR date_until >= date_from)", "A rate ends after it begins."
    )
    _lookup_idx = models.Index("(plan_id, prefix)")
    # Keys are looked up in any case.
    _key_idx = models.Index("(plan_id, lower(prefix))")

    @api.constrains("plan_id", "prefix", "date_from", "date_until", "band")
    def _check_overlap(self):
        """One price at a time: asked at once of all that came, however many."""
        self.flush_model(["plan_id", "prefix", "date_from", "date_until", "band"])
        self.env.cr.execute(
            f"""
            SELECT rate.id, other.id
              FROM billing_rate rate
              JOIN billing_rate other ON other.plan_id = rate.plan_id AND other.id != rate.id AND {OVERLAP}
             WHERE rate.id = ANY(%s)
             LIMIT 1
            """,
            [self.ids],
        )
        if found := self.env.cr.fetchone():
            rate, other = (self.browse(rate_id) for rate_id in sorted(found))
            raise ValidationError(
                self.env._(
                    "Two rates of “%(plan)s” are for the same at the same time: %(one)s, and %(other)s. Give one of "
                    "them an end, or other hours.",
                    plan=rate.plan_id.name,
                    one=rate._label(),
                    other=other._label(),
                )
            )

    @api.constrains("plan_id", "destination_id")
    def _check_destination(self):
        self.flush_model(["plan_id", "destination_id"])
        self.env.cr.execute(
            """
            SELECT rate.id
              FROM billing_rate rate
              JOIN billing_rate_destination destination ON destination.id = rate.destination_id
             WHERE rate.id = ANY(%s) AND destination.plan_id != rate.plan_id
             LIMIT 1
            """,
            [self.ids],
        )
        if found := self.env.cr.fetchone():
            rate = self.browse(found[0])
            raise ValidationError(
                self.env._(
                    "The destination group of “%(rate)s” belongs to another plan: choose one of “%(plan)s”.",
                    rate=rate.prefix,
                    plan=rate.plan_id.name,
                )
            )

    def _label(self):
        """The rate in words: prefix, group, days and hours."""
        self.ensure_one()
        parts = [f"“{self.prefix}” ({self.destination_id.name})"]
        if self.date_from:
            parts.append(self.env._("from %s", format_date(self.env, self.date_from)))
        if self.date_until:
            parts.append(self.env._("until %s", format_date(self.env, self.date_until)))
        if self.band != "any":
            parts.append(dict(self._fields["band"]._description_selection(self.env))[self.band])
        return " ".join(parts)

    # -- what may change ----------------------------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        self._refuse_billed_flag(*vals_list)
        rates = super().create(self._complete(vals_list))
        rates.plan_id._touch()
        return rates

    def write(self, vals):
        self._refuse_billed_flag(vals)
        if "prefix" in vals:
            vals = dict(vals, prefix=self._normal_prefix(self.plan_id[:1], vals["prefix"]))
        self._refuse_changed_when_billed(vals)
        if any("plan_id" in vals and rate.plan_id.id != vals["plan_id"] for rate in self):
            raise UserError(self.env._("A rate stays with its plan. Add another one there instead."))
        result = super().write(vals)
        self.plan_id._touch()
        return result

    def unlink(self):
        plans = self.plan_id
        result = super().unlink()
        plans.exists()._touch()
        return result

    @api.ondelete(at_uninstall=False)
    def _unlink_if_not_billed(self):
        if billed := self.filtered("billed"):
            raise UserError(
                self.env._(
                    "Usage was billed by %s: the rate stays, to explain it. Give it an end instead.",
                    billed[0]._label(),
                )
            )

    def _refuse_billed_flag(self, *vals_list):
        if not self.env.su and any("billed" in vals for vals in vals_list):
            raise AccessError(self.env._("Whether usage was billed by a rate shows on bills: nobody sets it."))

    def _refuse_changed_when_billed(self, vals):
        for rate in self.filtered("billed") if set(KEPT) & vals.keys() else ():
            changed = [
                rate._fields[fname]._description_string(self.env)
                for fname in KEPT
                if fname in vals
                and rate._fields[fname].convert_to_cache(vals[fname], rate)
                != rate._fields[fname].convert_to_cache(rate[fname], rate)
            ]
            if changed:
                raise UserError(
                    self.env._(
                        "Usage was billed by %(rate)s: %(fields)s cannot change any more. Give it an end, and add a "
                        "new rate from the day after.",
                        rate=rate._label(),
                        fields=", ".join(changed),
                    )
                )

    @api.model
    def _normal_prefix(self, plan, text):
        if normal := plan._normal(text):
            return normal
        if plan.kind == "phone":
            raise UserError(
                self.env._(
                    "“%s” is no beginning of a telephone number: write digits with the country's code, like 4930 or "
                    "+49 30, or * for all that nothing else fits.",
                    str(text or "")[:50],
                )
            )
        raise UserError(
            self.env._("A rate needs a key of at most 200 characters, or * for all that nothing else fits.")
        )

    @api.model
    def _complete(self, vals_list):
        """Prefixes as the plan keeps them, and a destination group for rates that name none."""
        completed, nameless = [], []
        for given in vals_list:
            vals = dict(given)
            plan = self.env["billing.rate.plan"].browse(
                vals.get("plan_id") or self.env.context.get("default_plan_id") or []
            )
            if plan:
                vals["prefix"] = self._normal_prefix(plan, vals.get("prefix"))
                if not vals.get("destination_id") and not self.env.context.get("default_destination_id"):
                    nameless.append((plan, vals))
            completed.append(vals)
        if nameless:
            names = [(plan.id, self._library_name(plan, vals["prefix"])) for plan, vals in nameless]
            found = self.env["billing.rate.destination"]._by_name(names)
            for (_plan, vals), key in zip(nameless, names, strict=True):
                vals["destination_id"] = found[key]
        return completed

    @api.model
    def _library_name(self, plan, prefix):
        """What a destination is called that nobody named: after the country and region of telephone numbers."""
        if prefix == STAR:
            return self.env._("Other destinations")
        named = plan.kind == "phone" and name_of_prefix(prefix, self.env.lang, self.env._("%s mobile"))
        return named or prefix
