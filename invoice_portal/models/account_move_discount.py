import math
from contextlib import contextmanager, suppress
from itertools import zip_longest

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Command
from odoo.tools import clean_context
from odoo.tools.misc import formatLang

DISCOUNT_FIELDS = {"billing_discount", "billing_discount_type"}

# When one of these changes, Odoo computes totals and taxes of the line anew by itself.
RECOMPUTING_FIELDS = {"discount", "price_unit", "quantity", "tax_ids"}

# Below the last line, and above Odoo's tax lines, which start at 10000.
LAST_SEQUENCE = 9999


class AccountMove(models.Model):
    """A discount on the whole invoice, before tax.

    It stands on the invoice as ordinary negative lines, one per combination of taxes, with the amounts that Odoo's own
    engine for such discounts computes. So the entry, the tax report, e-invoices and credit notes need to know nothing
    of it. The two fields decide; the lines follow, whatever was done to them: each time Odoo synchronizes a draft, what
    should stand there is compared with what does, and only a difference is written.
    """

    _inherit = "account.move"

    billing_discount_type = fields.Selection(
        [("percent", "Percent"), ("fixed", "Amount")],
        string="Overall Discount In",
        default="percent",
        help="A fixed amount is taken off the total before taxes.",
    )
    billing_discount = fields.Float(
        string="Overall Discount",
        min_display_digits=2,
        help="Percent or amount taken off the whole invoice before taxes. Zero for none.",
    )
    # What the discount takes off, and what it is taken off from; both before taxes.
    billing_discount_amount = fields.Monetary(string="Discount", compute="_compute_billing_discount_amount")
    billing_amount_before_discount = fields.Monetary(
        string="Before Discount", compute="_compute_billing_discount_amount"
    )

    @api.depends(
        "amount_untaxed",
        "billing_discount",
        "billing_discount_type",
        "invoice_line_ids.billing_overall_discount",
        "invoice_line_ids.price_subtotal",
    )
    def _compute_billing_discount_amount(self):
        for move in self:
            untaxed = move.amount_untaxed
            discount = -sum(move.invoice_line_ids.filtered("billing_overall_discount").mapped("price_subtotal"))
            if not move.id and move.move_type == "out_invoice":
                # In a form that is not saved yet, entry and discount lines are those of the last time.
                totals = move.tax_totals or {}
                untaxed = totals.get("base_amount_currency", 0)
                discount = -sum(map(self._billing_base_amount, move._billing_discount_preview()))
            move.billing_discount_amount = discount
            move.billing_amount_before_discount = untaxed + discount

    # -- what may be typed --------------------------------------------------------------------------------------------

    @api.constrains("billing_discount", "billing_discount_type")
    def _check_billing_discount(self):
        for move in self.filtered("billing_discount"):
            if move.move_type != "out_invoice":
                raise ValidationError(self.env._("Only customer invoices have an overall discount."))
            if not math.isfinite(move.billing_discount) or move.billing_discount < 0:
                raise ValidationError(self.env._("An overall discount is a number from zero upwards."))
            if move.billing_discount_type != "fixed" and move.billing_discount > 100:
                raise ValidationError(
                    self.env._(
                        "An overall discount cannot exceed 100 %%, and this is %(percent)g %%.",
                        percent=move.billing_discount,
                    )
                )

    def write(self, vals):
        if vals.keys() & DISCOUNT_FIELDS:
            # Finalized invoices say so themselves, in the words of the lock.
            for move in self.filtered(lambda move: move.state != "draft" and not move.billing_locked):
                if any(move._field_will_change(move, vals, name) for name in vals.keys() & DISCOUNT_FIELDS):
                    raise UserError(
                        self.env._("%s is no draft: its overall discount does not change.", move.display_name)
                    )
        return super().write(vals)

    def copy_data(self, default=None):
        """A duplicate takes the discount along. A credit note takes the lines as they are, as lines like all others."""
        vals_list = super().copy_data(default)
        for vals in vals_list:
            if vals.get("move_type") != "out_invoice":
                vals.update(billing_discount=0)
                for command in vals.get("line_ids") or ():
                    if command[0] == Command.CREATE:
                        command[2].pop("billing_overall_discount", None)
        return vals_list

    # -- what should stand on the invoice -----------------------------------------------------------------------------

    @api.model
    def _billing_base_amount(self, base_line):
        """The untaxed amount of a base line, in the currency of the invoice."""
        details = base_line["tax_details"]
        return details["total_excluded_currency"] + details["delta_total_excluded_currency"]

    @api.model
    def _billing_total_amount(self, base_line):
        """The same with taxes."""
        taxes = base_line["tax_details"]["taxes_data"]
        return self._billing_base_amount(base_line) + sum(tax_data["tax_amount_currency"] for tax_data in taxes)

    def _billing_discounted_lines(self):
        lines = self.line_ids if self.id else self.invoice_line_ids
        return lines.filtered(lambda line: line.display_type == "product" and not line.billing_overall_discount)

    def _prepare_billing_discount_base_lines(self):
        """What Odoo's engine says the discount is: negative base lines, one per combination of taxes."""
        self.ensure_one()
        if self.move_type != "out_invoice" or not self.billing_discount:
            return []
        engine, company = self.env["account.tax"], self.company_id
        base_lines = [
            self._prepare_product_base_line_for_taxes_computation(line) for line in self._billing_discounted_lines()
        ]
        for base_line in base_lines:
            # The engine names taxes by their id, which the copies that a form works on do not have.
            base_line["tax_ids"] = base_line["tax_ids"]._origin
        engine._add_tax_details_in_base_lines(base_lines, company)
        engine._round_base_lines_tax_details(base_lines, company)
        fixed = self.billing_discount_type == "fixed"
        total = self.currency_id.round(sum(map(self._billing_base_amount, base_lines)))
        amount = self.currency_id.round(self.billing_discount) if fixed else 0
        if fixed and self.currency_id.compare_amounts(amount, total) > 0:
            raise UserError(self._billing_discount_too_large(amount, total))
        discount_lines = engine._prepare_global_discount_lines(
            base_lines=base_lines,
            company=company,
            amount_type="percent",
            # Odoo takes a fixed discount off the total with taxes. Ours is before taxes, so it goes in as its share.
            amount=(100 * amount / total if total else 0) if fixed else self.billing_discount,
            computation_key="billing_overall_discount",
        )
        if fixed:
            self._billing_reach_discount(discount_lines, amount)
        self._billing_check_not_below_zero(base_lines, discount_lines)
        for base_line in discount_lines:
            self._billing_settle_discount(base_line)
        return [base_line for base_line in discount_lines if not self._billing_discounts_nothing(base_line)]

    def _billing_discount_too_large(self, amount, total):
        return self.env._(
            "The overall discount of %(discount)s is more than the lines of %(invoice)s come to: %(total)s before "
            "taxes. Lower the discount first.",
            discount=self.currency_id.format(amount),
            invoice=self.display_name or self.env._("this invoice"),
            total=self.currency_id.format(total),
        )

    def _billing_check_not_below_zero(self, base_lines, discount_lines):
        """Taxes of an amount per piece are not discounted: those of lines taken back may be all that is left."""
        total = self.currency_id.round(sum(map(self._billing_total_amount, base_lines)))
        after = self.currency_id.round(total + sum(map(self._billing_total_amount, discount_lines)))
        if after < 0 <= total:
            raise UserError(
                self.env._(
                    "With this overall discount %(invoice)s would come to %(after)s instead of %(total)s. An invoice "
                    "does not fall below zero: lower the discount.",
                    invoice=self.display_name or self.env._("this invoice"),
                    after=self.currency_id.format(after),
                    total=self.currency_id.format(total),
                )
            )

    def _billing_reach_discount(self, discount_lines, amount):
        """Let the lines add up to the typed amount: what rounding left of it goes to the largest first, as in Odoo."""
        engine, company = self.env["account.tax"], self.company_id
        by_size = sorted(discount_lines, key=lambda base_line: -abs(self._billing_base_amount(base_line)))
        rate = self.invoice_currency_rate
        for suffix, currency, target in (
            ("_currency", self.currency_id, -amount),
            ("", company.currency_id, -company.currency_id.round(amount / rate if rate else 0)),
        ):
            now = sum(
                line["tax_details"][f"total_excluded{suffix}"] + line["tax_details"][f"delta_total_excluded{suffix}"]
                for line in discount_lines
            )
            shares = engine._distribute_delta_amount_smoothly(
                precision_digits=currency.decimal_places,
                delta_amount=target - now,
                target_factors=[{"factor": abs(self._billing_base_amount(line))} for line in by_size],
            )
            for base_line, share in zip(by_size, shares, strict=True):
                base_line["tax_details"][f"delta_total_excluded{suffix}"] += share
        engine._fix_base_lines_tax_details_on_manual_tax_amounts(discount_lines, company)

    def _billing_settle_discount(self, base_line):
        """Free the amounts of floating point's last digits, and let the price be what the line comes to."""
        currency, company_currency = self.currency_id, self.company_id.currency_id
        for values in (base_line, *(base_line["manual_tax_amounts"] or {}).values()):
            for key, of in (
                ("manual_total_excluded_currency", currency),
                ("manual_total_excluded", company_currency),
                ("base_amount_currency", currency),
                ("base_amount", company_currency),
                ("tax_amount_currency", currency),
                ("tax_amount", company_currency),
            ):
                if values.get(key) is not None:
                    values[key] = of.round(values[key])
        base_line["price_unit"] = currency.round(
            self._billing_base_amount(base_line)
            + sum(
                tax_data["tax_amount_currency"]
                for tax_data in base_line["tax_details"]["taxes_data"]
                if tax_data["tax"].price_include
            )
        )

    def _billing_discounts_nothing(self, base_line):
        return self.currency_id.is_zero(base_line["price_unit"]) and all(
            self.currency_id.is_zero(tax_data["tax_amount_currency"])
            for tax_data in base_line["tax_details"]["taxes_data"]
        )

    def _prepare_billing_discount_lines(self):
        """Values of the discount lines that should stand on this invoice."""
        base_lines = self._prepare_billing_discount_base_lines()
        if not base_lines:
            return []
        name = self._billing_discount_name()
        sequence = max(LAST_SEQUENCE, *(self._billing_discounted_lines().mapped("sequence")))
        account = self._get_discount_allocation_account()
        return [
            {
                "billing_overall_discount": True,
                "display_type": "product",
                "name": name,
                "sequence": sequence,
                "product_id": False,
                "account_id": (account or base_line["account_id"]).id,
                "quantity": 1,
                "price_unit": base_line["price_unit"],
                "discount": 0,
                "tax_ids": [Command.set(base_line["tax_ids"].ids)],
                "extra_tax_data": self.env["account.tax"]._export_base_line_extra_tax_data(base_line),
                # Without one from the lines, Odoo's distribution models and the bookkeeper decide.
                **(
                    {"analytic_distribution": base_line["analytic_distribution"]}
                    if base_line["analytic_distribution"]
                    else {}
                ),
            }
            for base_line in base_lines
        ]

    def _billing_discount_name(self):
        """In the language of the client, as it stands on the document."""
        env = self.with_context(lang=self.partner_id.lang or self.env.lang).env
        if self.billing_discount_type == "fixed":
            return env._("Discount")
        decimals = len(f"{self.billing_discount:.4f}".rstrip("0").partition(".")[2])
        return env._("Discount %(percent)s %%", percent=formatLang(env, self.billing_discount, digits=decimals))

    # -- keep the lines in step ---------------------------------------------------------------------------------------

    def _get_sync_stack(self, container):
        stack, update_containers = super()._get_sync_stack(container)
        _taxes, invoices, _others = update_containers()
        # The last to be entered is the first to finish: taxes and due amounts follow, and see the discount.
        stack.append((100, self._sync_billing_discount(invoices)))
        return stack, update_containers

    @contextmanager
    def _sync_billing_discount(self, container):
        yield
        container["records"].filtered(
            lambda move: move.state == "draft" and move.move_type == "out_invoice"
        )._billing_apply_discount()

    def _billing_apply_discount(self):
        surplus, missing = self.env["account.move.line"], []
        for move in self:
            changed, move_surplus, move_missing = move._billing_discount_differences()
            for line, values in changed:
                line.write(values)
            surplus |= move_surplus
            missing += [dict(values, move_id=move.id) for values in move_missing]
        if surplus:
            surplus.unlink()
        if missing:
            self.env["account.move.line"].with_context(clean_context(self.env.context)).create(missing)

    def _billing_discount_differences(self):
        """How the discount lines differ from what they should be.

        :return: `[(line, values to write)]`, lines to delete, values of lines to create
        """
        lines = self.line_ids.filtered("billing_overall_discount")
        if not lines and not self.billing_discount:
            return [], lines, []
        wanted = self._prepare_billing_discount_lines()
        # The newest stay: one that is just being created has a caller who will still look at it.
        lines = lines.sorted("id")
        surplus = lines[: max(0, len(lines) - len(wanted))]
        changed, missing = [], []
        for line, values in zip_longest(lines - surplus, wanted):
            if not line:
                missing.append(values)
                continue
            differing = line._billing_differing(values)
            if differing.keys() & RECOMPUTING_FIELDS:
                changed.append((line, differing))
            elif "extra_tax_data" in differing or not line._billing_booked_as_priced():
                # Odoo would not compute this line anew.
                surplus |= line
                missing.append(values)
            elif differing:
                changed.append((line, differing))
        return changed, surplus, missing

    def _post(self, soft=True):
        # Odoo itself leaves a caller a way to change lines without synchronizing them.
        for move in self.filtered(lambda move: move.state == "draft" and move.move_type == "out_invoice"):
            if any(move._billing_discount_differences()):
                with move.with_context(skip_invoice_sync=False)._sync_dynamic_lines({"records": move}):
                    pass
        return super()._post(soft)

    # -- in the form, before saving -----------------------------------------------------------------------------------

    def _billing_discount_preview(self):
        """The discount as base lines. One that is too large is refused on saving, not on every key."""
        with suppress(UserError, OverflowError, ValueError):
            return self._prepare_billing_discount_base_lines()
        return []

    @api.depends("billing_discount", "billing_discount_type")
    def _compute_tax_totals(self):
        return super()._compute_tax_totals()

    def _get_rounded_base_and_tax_lines(self, round_from_tax_lines=True):
        """In a form, the totals anticipate the discount lines, as Odoo's do the lines of an early payment discount."""
        base_lines, tax_lines = super()._get_rounded_base_and_tax_lines(round_from_tax_lines)
        stale = [line for line in base_lines if self._billing_is_discount(line)]
        if self.id or self.state != "draft" or self.move_type != "out_invoice" or not (stale or self.billing_discount):
            return base_lines, tax_lines
        base_lines = [line for line in base_lines if not self._billing_is_discount(line)]
        base_lines += self._billing_discount_preview()
        self.env["account.tax"]._add_tax_details_in_base_lines(base_lines, self.company_id)
        self.env["account.tax"]._round_base_lines_tax_details(base_lines, self.company_id)
        return base_lines, tax_lines

    @api.model
    def _billing_is_discount(self, base_line):
        record = base_line["record"]
        return (
            isinstance(record, models.Model)
            and record._name == "account.move.line"
            and record.billing_overall_discount
            and base_line["computation_key"] == "billing_overall_discount"
        )


class AccountMoveLine(models.Model):
    _inherit = "account.move.line"

    billing_overall_discount = fields.Boolean(
        string="Overall Discount",
        help="Made from the overall discount of the invoice, and kept in step with it.",
    )

    @api.model_create_multi
    def create(self, vals_list):
        for vals in vals_list:
            if vals.get("billing_overall_discount"):
                move = self.env["account.move"].browse(vals.get("move_id"))
                if move.move_type != "out_invoice" or not move.billing_discount or vals.get("billing_charge_id"):
                    raise UserError(self._billing_discount_by_hand())
        return super().create(vals_list)

    def write(self, vals):
        if "billing_overall_discount" in vals or "move_id" in vals:
            for line in self.filtered(lambda line: not line.move_id.billing_locked):
                if line.billing_overall_discount != bool(
                    vals.get("billing_overall_discount", line.billing_overall_discount)
                ) or (line.billing_overall_discount and line.move_id.id != vals.get("move_id", line.move_id.id)):
                    raise UserError(self._billing_discount_by_hand())
        return super().write(vals)

    def _billing_discount_by_hand(self):
        return self.env._(
            "The lines of an overall discount are made from it: set the overall discount of the invoice instead."
        )

    def _billing_differing(self, values):
        """Which of these values the line does not have."""
        self.ensure_one()
        return {name: value for name, value in values.items() if not self._billing_has(name, value)}

    def _billing_booked_as_priced(self):
        """Whether the entry has the amounts that follow from the price."""
        self.ensure_one()
        sign, company_currency = self.move_id.direction_sign, self.company_currency_id
        subtotal = (self.extra_tax_data or {}).get("manual_total_excluded_currency", self.price_unit)
        balance = (self.extra_tax_data or {}).get("manual_total_excluded")
        if balance is None:
            balance = company_currency.round(subtotal / self.currency_rate)
        return (
            not self.currency_id.compare_amounts(self.price_subtotal, subtotal)
            and not self.currency_id.compare_amounts(self.amount_currency, sign * subtotal)
            and not company_currency.compare_amounts(self.balance, sign * balance)
        )

    def _billing_has(self, name, value):
        current = self[name]
        if name == "tax_ids":
            return set(current.ids) == set(value[0][2])
        if name == "price_unit":
            return not self.currency_id.compare_amounts(current, value) and not math.isnan(current)
        if name == "analytic_distribution":
            return {key: round(share, 2) for key, share in (current or {}).items()} == {
                key: round(share, 2) for key, share in value.items()
            }
        if isinstance(current, models.BaseModel):
            return current.id == value
        return current == value
