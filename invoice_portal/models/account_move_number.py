from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.fields import Domain
from odoo.tools import format_date, ormcache

from .account_move_entry import KNOWN_ADDONS

# The context key under which the formats of series travel while entries are numbered together. A caller by RPC, import
# or the JSON API can set the key, too, but not to such an object.
KEY = "billing_number_formats"

# Whoever else has a say in one of these may number by more than journal and day.
NUMBERING = {
    "_get_last_sequence",
    "_get_last_sequence_domain",
    "_get_next_sequence_format",
    "_get_sequence_format_param",
    "_get_starting_sequence",
    "_locked_increment",
    "_set_next_sequence",
}


class Formats(dict):
    """How the numbers of a series are written, by what tells series apart."""


class AccountMove(models.Model):
    """The number of a draft: empty, and given when it is finalized; or typed, and then it has to fit.

    Odoo takes any typed number, drops one that does not fit the date, and learns the next number's format from it. A
    slip would so change the numbers of everything that follows. Here a typed number continues its journal's series
    without leaving a gap or is refused; it is never dropped. What a first number may start, and how formats are read,
    stays Odoo's.
    """

    _inherit = "account.move"

    billing_number_refusal = fields.Char(compute="_compute_billing_number", groups="base.group_user")
    billing_number_hint = fields.Char(compute="_compute_billing_number", groups="base.group_user")

    def _billing_number_is_open(self):
        """Whether this is a draft that never had a number. One that had was issued with it: Odoo's own rules hold."""
        self.ensure_one()
        return self.state == "draft" and not self.posted_before and self.is_sale_document(include_receipts=True)

    def _billing_number_is_typed(self):
        return self._billing_number_is_open() and self.name and self.name != "/"

    def _billing_next_number(self):
        """The number that would be given if this draft were finalized now."""
        self.ensure_one()
        pattern, values = self._get_next_sequence_format()
        return pattern.format(**dict(values, seq=values["seq"] + 1))

    # -- what Odoo does by itself -------------------------------------------------------------------------------------

    def _compute_name(self):
        # A typed number that no longer fits is somebody's to change: they are told, instead of finding another one.
        unfit = self.filtered(lambda move: move._billing_number_is_typed() and not move._sequence_matches_date())
        numbered = (self - unfit).with_context(**{KEY: Formats()})
        return super(AccountMove, numbered)._compute_name()

    def _get_next_sequence_format(self):
        formats = self.env.context.get(KEY)
        if not isinstance(formats, Formats) or not self._billing_number_follows():
            return super()._get_next_sequence_format()
        # Odoo holds the counter of a series from its first number in a transaction to its end.
        series = self.journal_id, self.date, self.move_type, bool(self.origin_payment_id)
        if series not in formats:
            formats[series] = super()._get_next_sequence_format()
        pattern, values = formats[series]
        return pattern, dict(values)

    def _billing_number_follows(self):
        """Whether the numbers of entries of one journal and day follow one another, whatever else is in them."""
        return (
            self.move_type == "out_invoice"
            and not self.journal_id.is_self_billing
            and not self._billing_numbered_otherwise()
        )

    @ormcache()
    def _billing_numbered_otherwise(self):
        return any(
            addon not in KNOWN_ADDONS and NUMBERING & vars(ancestor).keys()
            for ancestor in type(self).mro()
            if (addon := ancestor.__module__.partition("odoo.addons.")[2].partition(".")[0])
        )

    def _compute_name_placeholder(self):
        result = super()._compute_name_placeholder()
        for move in self:
            # Odoo offers the field in a new series only.
            if move._billing_number_is_open() and not move._billing_number_is_typed() and move.journal_id and move.date:
                move.name_placeholder = move._billing_next_number()
        return result

    @api.onchange("name", "highest_name")
    def _onchange_name_warning(self):
        if not self._billing_number_is_open():
            return super()._onchange_name_warning()
        # Said beside the number, not by a dialog.
        self.show_name_warning = False
        return None

    # -- whether a typed number fits ----------------------------------------------------------------------------------

    @api.depends("name", "journal_id", "date", "state", "move_type", "posted_before")
    def _compute_billing_number(self):
        for move in self:
            typed = move._billing_number_is_typed() and move.journal_id and move.date
            move.billing_number_refusal = typed and move._billing_why_not_number()
            move.billing_number_hint = typed and not move.billing_number_refusal and move._billing_number_hint()

    # The accounting date follows from the invoice date.
    @api.constrains("name", "journal_id", "date", "invoice_date", "move_type", "company_id")
    def _check_billing_number(self):
        for move in self:
            if move._billing_number_is_typed() and (reason := move._billing_why_not_number()):
                raise ValidationError(reason)

    def _post(self, soft=True):
        # Another draft may have got the number in the same moment.
        self._check_billing_number()
        return super()._post(soft)

    def _billing_why_not_number(self):
        """Why the typed number is refused, and what would be taken; or False."""
        self.ensure_one()
        reason, expected = False, self._billing_next_number()
        if taken := self._billing_number_taken():
            reason = self.env._("%(number)s is already the number of %(other)s.", number=self.name, other=taken)
        elif not self._get_sequence_format_param(self.name)[1]["seq"]:
            reason = self.env._("“%s” has no count at its end: those after it could not follow.", self.name)
        elif not self._sequence_matches_date():
            reason = self.env._(
                "%(number)s does not fit the invoice's date, %(date)s.",
                number=self.name,
                date=format_date(self.env, self.date),
            )
        elif self._get_last_sequence() and not self._billing_number_continues():
            reason = self.env._(
                "%(number)s is not written like the numbers of %(journal)s. Only the first number of a journal, or of "
                "its year or month, can be written in another way.",
                number=self.name,
                journal=self.journal_id.name,
            )
        elif before := self._billing_number_before_gap():
            reason = self.env._("%(number)s would leave a gap after %(before)s.", number=self.name, before=before.name)
            pattern, values = before._get_sequence_format_param(before.name)
            expected = pattern.format(**dict(values, seq=values["seq"] + 1))
        if not reason:
            return False
        return self.env._(
            "%(reason)s The next number is %(number)s. Without a number, the invoice gets it when it is finalized.",
            reason=reason,
            number=expected,
        )

    def _billing_number_hint(self):
        """What to know about a typed number that is taken, or False."""
        self.ensure_one()
        expected = self._billing_next_number()
        if self.name == expected:
            return False
        if not self._get_last_sequence():
            return self._billing_new_series_hint()
        return self.env._("This goes back into a gap: the next number is %s.", expected)

    def _billing_number_continues(self):
        """Whether the typed number is one of the series, whatever its count."""
        pattern, values = self._get_next_sequence_format()
        count = self._get_sequence_format_param(self.name)[1]["seq"]
        return pattern.format(**dict(values, seq=count)) == self.name

    def _billing_number_before_gap(self):
        """The entry after whose number the typed one would open a gap, or nothing.

        The first number of a series may be any: who comes from another program goes on from there. A number below
        one that was issued fills a gap, or part of it. Drafts above it prove nothing: several can be typed at once.
        """
        # A number is held also by an entry that this user may not see.
        series = self.sudo()
        others = Domain(
            [
                ("journal_id", "=", self.journal_id.id),
                ("sequence_prefix", "=", self.sequence_prefix),
                ("name", "not in", (False, "/")),
                ("id", "!=", self._origin.id),
            ]
        )
        if series.search_count(
            others & Domain("posted_before", "=", True) & Domain("sequence_number", ">", self.sequence_number), limit=1
        ):
            return series.browse()
        before = series.search(
            others & Domain("sequence_number", "<", self.sequence_number), order="sequence_number desc", limit=1
        )
        return before.filtered(lambda move: move.sequence_number < self.sequence_number - 1)

    def _billing_number_taken(self):
        """Who has this number in the journal, in words."""
        # A number is taken also by an entry that this user may not see. Told of it: its client and its state.
        other = self.sudo().search(
            [("journal_id", "=", self.journal_id.id), ("name", "=", self.name), ("id", "!=", self._origin.id)], limit=1
        )
        if not other:
            return False
        fname = "billing_status" if other.billing_status else "state"
        status = dict(other._fields[fname]._description_selection(self.env))[other[fname]]
        return self.env._("another entry (%s)", ", ".join(filter(None, [other.partner_id.name, status])))

    def _billing_new_series_hint(self):
        pattern, values = self._get_sequence_format_param(self.name)
        restart = {
            "month": self.env._("The count starts again every month."),
            "year_range_month": self.env._("The count starts again every month."),
            "year": self.env._("The count starts again every year."),
            "year_range": self.env._("The count starts again every financial year."),
        }
        return self.env._(
            "The first number: those after it are written like it, %(following)s next. %(restart)s",
            following=pattern.format(**dict(values, seq=values["seq"] + 1)),
            restart=restart.get(
                self._deduce_sequence_number_reset(self.name), self.env._("The count never starts again.")
            ),
        )
