import math

from odoo import api, fields, models
from odoo.tools import format_datetime, formatLang

from ..tools.units import UNITS


def digits_of(value, most):
    """How many decimals say something."""
    return len(f"{value:.{most}f}".rstrip("0").partition(".")[2])


class BillingUsage(models.Model):
    """What one record shows a person: how much, at which price, and why."""

    _inherit = "billing.usage"

    currency_id = fields.Many2one(related="rate_plan_id.currency_id", groups="base.group_user")
    prefix = fields.Char(string="Prefix or Key", related="rate_id.prefix", groups="base.group_user")
    price_unit = fields.Float(string="Price of the Rate", related="rate_id.price_unit", groups="base.group_user")
    minimum = fields.Float(related="rate_id.minimum", groups="base.group_user")
    step = fields.Float(related="rate_id.step", groups="base.group_user")
    connection_fee = fields.Float(related="rate_id.connection_fee", groups="base.group_user")
    quantity_text = fields.Char(string="Used", compute="_compute_texts")
    billed_text = fields.Char(string="Billed", compute="_compute_texts")
    allowance_text = fields.Char(string="Included", compute="_compute_texts")
    price_text = fields.Char(
        string="Price", compute="_compute_explanation", groups="base.group_user", help="Of the rate, without tiers."
    )
    rounding_text = fields.Char(
        string="Rounding",
        compute="_compute_explanation",
        groups="base.group_user",
        help="Minimum and step of the rate.",
    )
    explanation = fields.Text(string="Why this Price", compute="_compute_explanation", groups="base.group_user")
    is_stale = fields.Boolean(
        string="To Be Rated Again",
        compute="_compute_is_stale",
        groups="base.group_user",
        help="Its plan changed after it was rated, so it still has the price of before.",
    )
    bill_state = fields.Selection(
        [("open", "To bill"), ("billed", "Billed")],
        string="State",
        compute="_compute_bill_state",
        groups="base.group_user",
    )
    charge_id = fields.Many2one(
        "billing.charge", compute="_compute_charge_id", groups="base.group_user", help="What bills this record."
    )
    invoice_id = fields.Many2one("account.move", compute="_compute_charge_id", groups="base.group_user")

    @api.depends("bill_id", "plan_revision", "rate_plan_id")
    def _compute_is_stale(self):
        for usage in self:
            usage.is_stale = (
                not usage.bill_id and usage.rate_id and usage.plan_revision != usage.sudo().rate_plan_id.revision
            )

    @api.depends("bill_id")
    def _compute_bill_state(self):
        for usage in self:
            usage.bill_state = "billed" if usage.bill_id else "open"

    @api.depends("bill_id", "destination_id", "day")
    def _compute_charge_id(self):
        for usage in self:
            charges = usage.bill_id.charge_ids
            usage.charge_id = next(
                (charge for charge in charges if usage.filtered_domain(charge._usage_domain())), charges.browse()
            )
            usage.invoice_id = usage.charge_id.invoice_id

    # -- quantities in words ------------------------------------------------------------------------------------------

    def _unit(self):
        """What its quantity is measured in: elevated, for clients read neither plans nor sources."""
        usage = self.sudo()
        return usage.rate_plan_id.unit or usage.source_id.unit or "piece"

    @api.depends("quantity", "billed_quantity", "allowance_quantity", "rate_plan_id", "source_id")
    @api.depends_context("lang")
    def _compute_texts(self):
        for usage in self:
            measure = UNITS[usage._unit()].measure
            usage.quantity_text = usage._in_words(usage.quantity, measure)
            rated = not usage.unrated_reason
            usage.billed_text = rated and usage._in_words(usage.billed_quantity, measure)
            included = usage.allowance_quantity
            usage.allowance_text = usage._in_words(included, measure) if included else False

    @api.model
    def _in_words(self, quantity, measure):
        """Time as on a clock, as everybody reads it; data in the larger unit where it is much."""
        if measure == "time":
            hours, seconds = divmod(quantity, 3600)
            minutes, seconds = divmod(seconds, 60)
            exact = self._number(seconds, 6)
            whole = math.floor(seconds)
            tail = f"{whole:02d}{exact[len(str(whole)) :]}" if seconds != whole else f"{whole:02d}"
            return f"{int(hours)}:{int(minutes):02d}:{tail}" if hours else f"{int(minutes)}:{tail}"
        if measure == "data":
            if quantity >= 1000:
                return self.env._("%s GB", self._number(quantity / 1000, 6))
            return self.env._("%s MB", self._number(quantity, 6))
        return self._number(quantity, 6)

    @api.model
    def _number(self, value, most):
        return formatLang(self.env, value, digits=digits_of(value, most))

    # -- the price in words -------------------------------------------------------------------------------------------

    @api.depends("amount", "billed_quantity", "rate_id", "unrated_reason", "allowance_quantity")
    @api.depends_context("lang")
    def _compute_explanation(self):
        for usage in self:
            usage.price_text = usage._number(usage.price_unit, 8) if usage.rate_id else False
            usage.rounding_text = usage._explain_rounding() if usage.rate_id else False
            usage.explanation = usage._explain_price()

    def _explain_rounding(self):
        """Minimum and step of the rate: "begun minutes", "at least 0:30, then begun 0:06"."""
        measure = UNITS[self._unit()].measure
        minimum, step = self.minimum, self.step
        if step and minimum <= step:
            return self.env._("begun %s", self._in_words(step, measure))
        if step:
            return self.env._(
                "at least %(minimum)s, then begun %(step)s",
                minimum=self._in_words(minimum, measure),
                step=self._in_words(step, measure),
            )
        if minimum:
            return self.env._("at least %s, then exactly", self._in_words(minimum, measure))
        return self.env._("exactly")

    def _explain_price(self):
        """How the amount comes about, step by step."""
        text = self.env._
        if self.unrated_reason:
            return {
                "account": text(
                    "No client has the number or account “%s” on that day. Add it to the client's numbers, and rate "
                    "again.",
                    self.account or "",
                ),
                "plan": text(
                    "Neither number, package, client nor source names a rate plan. Choose one, and rate again."
                ),
                "measure": text("The rate plan prices another kind of quantity. Choose another plan, and rate again."),
                "rate": text(
                    "No rate of the plan fits “%s” on that day. Add one to the plan, and rate again.",
                    self.destination or "",
                ),
            }[self.unrated_reason]
        if not self.rate_id:
            return False
        if self.is_stale:
            return text(
                "The plan changed after this was rated: the amount is that of before, %(amount)s %(currency)s. It is "
                "rated again when it is billed, or by “Rate Again”.",
                amount=self._number(self.amount, 6),
                currency=self.currency_id.name,
            )
        unit, measure = UNITS[self._unit()], UNITS[self._unit()].measure
        size = float(unit.size)
        units = dict(self.rate_plan_id._fields["unit"]._description_selection(self.env))
        unit_name = units[self._unit()].lower()
        paid = self.billed_quantity - self.allowance_quantity
        lines = [
            text(
                "Used: %(used)s. Billed: %(billed)s (%(rounding)s).",
                used=self._in_words(self.quantity, measure),
                billed=self._in_words(self.billed_quantity, measure),
                rounding=self._explain_rounding(),
            )
        ]
        if self.allowance_quantity:
            lines.append(text("Included in the package: %s.", self._in_words(self.allowance_quantity, measure)))
        if paid > 0:
            fee = self.connection_fee
            by_rate = round(paid * self.price_unit / size, 6)
            counted = self._number(paid / size, 6)
            if round(abs(by_rate + fee - self.amount), 6) <= 0.000001:
                price, cost = self._number(self.price_unit, 8), by_rate
                lines.append(
                    text(
                        "%(count)s %(unit)s × %(price)s = %(cost)s",
                        count=counted,
                        unit=unit_name,
                        price=price,
                        cost=self._number(cost, 6),
                    )
                )
            else:
                lines.append(
                    text(
                        "%(count)s %(unit)s by the tiers of “%(destination)s”: %(cost)s",
                        count=counted,
                        unit=unit_name,
                        destination=self.destination_id.name,
                        cost=self._number(self.amount - fee, 6),
                    )
                )
            if fee:
                lines[-1] += text(", connection %s", self._number(fee, 8))
        lines.append(
            text("Amount: %(amount)s %(currency)s", amount=self._number(self.amount, 6), currency=self.currency_id.name)
        )
        return "\n".join(lines)

    def _annex_rows(self, client):
        """These records as the annex prints them."""
        zone = client.tz or self.env.company.sudo().partner_id.tz or "UTC"
        return [
            {
                "moment": format_datetime(self.env, usage.moment, tz=zone, dt_format="short"),
                "account": usage.account or "",
                "destination": usage.destination or "",
                "used": usage.quantity_text,
                "billed": usage.billed_text,
                "included": usage.allowance_text or "",
                "amount": formatLang(self.env, usage.amount, digits=max(2, digits_of(usage.amount, 6))),
                "late": usage.late,
            }
            for usage in self
        ]

    # -- buttons ------------------------------------------------------------------------------------------------------

    def action_rate_again(self):
        """Rate these once more, or all that are not rated, after a plan, a number or a source was mended."""
        domain = [("id", "in", self.ids)] if self else [("unrated_reason", "!=", False)]
        # Of those that are chosen, also what seems up to date: numbers, packages or clients may have changed.
        return self._rate_open(domain, everything=bool(self))

    def _rate_open(self, domain, everything=False):
        self.env["account.move"]._billing_check_staff()
        self.check_access("read")
        rated, unrated = self._rate_again(domain, everything=everything)
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "warning" if unrated else "success",
                "message": self.env._("%(rated)s rated, %(unrated)s not rated.", rated=rated, unrated=unrated),
                "next": {"type": "ir.actions.client", "tag": "soft_reload"},
            },
        }

    def action_open_bill(self):
        self.ensure_one()
        self.env["account.move"]._billing_check_staff()
        self.check_access("read")
        return self.charge_id._get_records_action(name=self.env._("Charge"))
