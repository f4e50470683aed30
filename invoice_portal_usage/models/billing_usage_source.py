from datetime import timedelta

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Domain

from odoo.addons.base.models.res_partner import _tz_get

from ..tools.units import UNITS
from ..tools.usage_row import Reader

UNIT_NAMES = [
    ("second", "Seconds"),
    ("minute", "Minutes"),
    ("hour", "Hours"),
    ("mb", "MB"),
    ("gb", "GB"),
    ("piece", "Pieces"),
]
KINDS = [("phone", "Telephone numbers"), ("key", "Names or keys")]
# How the numbers of its clients are looked up: changing this changes what they are looked up by.
READING_FIELDS = {"kind", "country_id", "with_country"}


class BillingUsageSource(models.Model):
    """Where usage comes from: a switch, a time sheet, a meter. It says how its records are to be read."""

    _name = "billing.usage.source"
    _description = "Usage Source"
    _inherit = ["mail.thread", "mail.activity.mixin"]
    _order = "name, id"
    _check_company_auto = True

    name = fields.Char(required=True, tracking=True)
    code = fields.Char(required=True, copy=False, tracking=True, help="By which the API names this source.")
    active = fields.Boolean(default=True)
    company_id = fields.Many2one("res.company", required=True, index=True, default=lambda self: self.env.company)
    kind = fields.Selection(
        KINDS,
        string="Destinations",
        required=True,
        default="phone",
        tracking=True,
        help="Telephone numbers are rated by the longest matching prefix, names and keys as they are.",
    )
    country_id = fields.Many2one(
        "res.country",
        default=lambda self: self.env.company.country_id,
        tracking=True,
        help="Telephone numbers without a country's code are of this country.",
    )
    with_country = fields.Boolean(
        string="Numbers Always Have the Country's Code",
        tracking=True,
        help="Also where they begin with neither + nor 00.",
    )
    tz = fields.Selection(
        _tz_get,
        string="Time Zone",
        required=True,
        default=lambda self: self.env.company.partner_id.tz or "UTC",
        tracking=True,
        help="Of moments that name no zone of their own. In the hour that comes twice in autumn, the second one is "
        "meant: have the source write UTC where that matters.",
    )
    unit = fields.Selection(
        UNIT_NAMES,
        string="Quantities in",
        required=True,
        default="second",
        tracking=True,
        help="What a quantity counts where its record names no unit.",
    )
    rate_plan_id = fields.Many2one(
        "billing.rate.plan",
        check_company=True,
        index="btree_not_null",
        ondelete="restrict",
        tracking=True,
        help="For usage whose number, subscription and client name no plan of their own.",
    )
    account_ids = fields.One2many("billing.usage.account", "source_id", string="Numbers and Accounts")
    account_count = fields.Integer(compute="_compute_account_count")
    mapping = fields.Json(help="Which column of its files is what, as chosen last.")
    expected_hours = fields.Float(
        string="Delivers Every (Hours)",
        tracking=True,
        help="When nothing came for longer than this, its clients' invoices are not finalized until somebody looks. "
        "Zero: it delivers when it likes.",
    )
    last_received = fields.Datetime(
        compute="_compute_last_received", help="When usage was handed in last that was accepted."
    )
    put_away_on = fields.Datetime(
        readonly=True, copy=False, help="When records of it were put away last: it is asked whether they come again."
    )
    silent = fields.Boolean(
        compute="_compute_silent", search="_search_silent", help="Nothing came for longer than it should."
    )

    _one_code = models.UniqueIndex("(company_id, code)", "Another source of this company has this code.")
    _expected = models.Constraint(
        "CHECK (expected_hours IS NULL OR expected_hours BETWEEN 0 AND 8784)",
        "A source delivers every so many hours, up to a year.",
    )

    def _compute_account_count(self):
        counts = dict(
            self.env["billing.usage.account"]._read_group([("source_id", "in", self.ids)], ["source_id"], ["__count"])
        )
        for source in self:
            source.account_count = counts.get(source._origin, 0)

    def _compute_last_received(self):
        """From what was handed in, so that feeds that deliver at the same time do not wait for each other.

        Only what was accepted is a sign of life: who sends nothing, or nothing that can be read, still has to be looked
        after.
        """
        latest = dict(
            self.env["billing.usage.import"]._read_group(
                [("source_id", "in", self.ids), ("state", "=", "done"), ("accepted_count", ">", 0)],
                ["source_id"],
                ["write_date:max"],
            )
        )
        for source in self:
            source.last_received = latest.get(source._origin, False)

    @api.depends("expected_hours", "last_received")
    def _compute_silent(self):
        now = fields.Datetime.now()
        for source in self:
            # A source that never delivered is expected from its creation on.
            since = source.last_received or source.create_date
            source.silent = bool(
                source.expected_hours and since and since + timedelta(hours=source.expected_hours) < now
            )

    def _search_silent(self, operator, value):
        if operator != "in":
            return NotImplemented
        expected = self.search([("expected_hours", ">", 0)])
        silent = expected.filtered("silent")
        return Domain.OR(
            Domain("id", "in", silent.ids) if wanted else Domain("id", "not in", silent.ids) for wanted in value
        )

    @api.constrains("kind", "country_id", "with_country")
    def _check_country(self):
        for source in self:
            if source.kind == "phone" and not source.country_id and not source.with_country:
                raise ValidationError(
                    self.env._(
                        "“%s” counts calls: choose the country of numbers without a country's code, or say that all "
                        "of them have it.",
                        source.name,
                    )
                )

    def write(self, vals):
        result = super().write(vals)
        if vals.keys() & READING_FIELDS:
            self.account_ids._compute_number()
        if vals.keys() & {*READING_FIELDS, "rate_plan_id", "unit"}:
            usage = self.env["billing.usage"].with_context(allowed_company_ids=self.company_id.ids)
            usage._rate_again([("source_id", "in", self.ids)], everything=True)
        return result

    @api.ondelete(at_uninstall=False)
    def _unlink_unless_used(self):
        for source in self:
            if source.put_away_on or self.env["billing.usage"].sudo().search_count(
                [("source_id", "=", source.id)], limit=1
            ):
                raise UserError(
                    self.env._("“%s” has handed in usage. Archive it instead of deleting it.", source.display_name)
                )

    # -- reading its records ------------------------------------------------------------------------------------------

    def _measure(self):
        return UNITS[self.unit].measure

    def _reader(self):
        """What reads its records: see `tools.usage_row`."""
        self.ensure_one()
        return Reader(self.kind, self.country_id.code, self.with_country, self.tz, self.unit, fields.Datetime.now())

    def _why_unreadable(self, error):
        """In words, for whoever has to mend the record."""
        values = dict(error.values)
        names = {
            "id": self.env._("the ID"),
            "account": self.env._("the number or account"),
            "client": self.env._("the client"),
            "subscription": self.env._("the subscription"),
            "moment": self.env._("the moment"),
            "destination": self.env._("the destination"),
            "quantity": self.env._("the quantity"),
            "unit": self.env._("the unit"),
        }
        if "what" in values:
            values["what"] = names.get(values["what"], values["what"])
        units = dict(self._fields["unit"]._description_selection(self.env))
        if "unit" in values:
            values["unit"] = units[values["unit"]]
        words = {
            "record": self.env._("This is no record."),
            "nobody": self.env._("It names no number, account, client or subscription."),
            "missing": self.env._("Missing or empty: %(what)s."),
            "text": self.env._("Not a text: %(what)s."),
            "long": self.env._("Longer than %(most)s characters: %(what)s."),
            "control": self.env._("It has characters that no text has (line breaks, NUL): %(what)s."),
            "number_country": self.env._(
                "“%(text)s” has no country's code, and the source names no country to take instead."
            ),
            "number_long": self.env._("“%(text)s” has more digits than any telephone number."),
            "moment": self.env._("“%(text)s” is not a moment, as 2026-03-31T13:05:00Z is."),
            "future": self.env._("“%(text)s” lies in the future."),
            "past": self.env._("“%(text)s” is too long ago."),
            "quantity": self.env._("“%(text)s” is not a quantity."),
            "negative": self.env._("“%(text)s” is less than nothing. Credit it on the invoice instead."),
            "unit": self.env._("“%(text)s” is not a unit that is known here."),
            "measure": self.env._("“%(text)s” measures something else than this source does (%(unit)s)."),
            "attributes": self.env._("The attributes are not a small object of names and values."),
        }
        return words[error.code] % values

    def _why_changed(self):
        return self.env._(
            "This ID was handed in before, with other contents. What was taken in does not change: if it was wrong, "
            "take that import back, or hand in the difference with an ID of its own."
        )

    def _why_nobody(self, what, text, count):
        if what == "both":
            return self.env._("The subscription is not this client's: %s.", text)
        if what == "account":
            return self.env._("Its number is not of the client or subscription that it names.")
        if count:
            return self.env._("“%(text)s” is the reference of %(count)s records.", text=text, count=count)
        if what == "client":
            return self.env._("No client has the reference “%s”.", text)
        return self.env._("No subscription has the reference “%s”.", text)

    # -- buttons ------------------------------------------------------------------------------------------------------

    def action_accounts(self):
        self.ensure_one()
        self.check_access("read")
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal_usage.action_billing_usage_accounts")
        return dict(action, domain=[("source_id", "=", self.id)], context={"default_source_id": self.id})
