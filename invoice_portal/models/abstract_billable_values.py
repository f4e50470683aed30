from math import inf

from odoo import api, fields, models
from odoo.exceptions import UserError

# From here on, cents get lost among the digits of a number.
TOO_MUCH = 1e13
# What is billed was done, or will be, in these years; a slip of the keyboard is not, and would be charged for ages.
YEARS = range(1970, 3000)
# In percent; beyond it, somebody mistook a price for a discount.
SURCHARGE = 1000


def refuse_absurd_values(records, vals):
    """Refuse numbers and days among these values that cannot be billed, by the name of their field."""
    env = records.env
    for fname, value in vals.items():
        field = records._fields.get(fname)
        # Not a number is not below it, either.
        if field and field.type in ("float", "monetary") and not abs(as_number(value)) < TOO_MUCH:
            raise UserError(
                env._(
                    "%(field)s: %(value)g is more than can be billed.",
                    field=field._description_string(env),
                    value=as_number(value),
                )
            )
        if field and field.type == "date" and value and fields.Date.to_date(value).year not in YEARS:
            raise UserError(
                env._(
                    "%(field)s: %(day)s is too long ago, or too far ahead. Check the year.",
                    field=field._description_string(env),
                    day=fields.Date.to_string(fields.Date.to_date(value)),
                )
            )


def as_number(value):
    """What a field would make of it; nonsense of other kinds is left to it."""
    try:
        return float(value or 0)
    except OverflowError:
        return inf
    except (TypeError, ValueError):
        return 0


class BillingBillableValues(models.AbstractModel):
    """Refuses, in words, numbers that Odoo could not even round, and days that nobody means."""

    _name = "billing.billable.values"
    _description = "Numbers and Days That Can Be Billed"

    @api.model_create_multi
    def create(self, vals_list):
        for vals in vals_list:
            self._refuse_absurd_values(vals)
        return super().create(vals_list)

    def write(self, vals):
        self._refuse_absurd_values(vals)
        return super().write(vals)

    @api.model
    def _refuse_absurd_values(self, vals):
        refuse_absurd_values(self, vals)
