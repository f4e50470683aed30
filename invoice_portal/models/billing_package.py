from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.fields import Domain
from odoo.tools.misc import format_date

from ..tools.periods import Grid
from .abstract_billable_values import TOO_MUCH

UNITS = [("day", "Days"), ("week", "Weeks"), ("month", "Months"), ("quarter", "Quarters"), ("year", "Years")]
TIMINGS = [("advance", "In advance"), ("arrears", "In arrears")]
PRORATIONS = [("none", "None: whole periods only"), ("day", "By day")]


class BillingPackage(models.Model):
    """What is sold again and again: for an invoice line, a charge or a subscription to start from.

    A subscription takes its terms over when it starts or changes; editing the package changes none that runs.
    """

    _name = "billing.package"
    _description = "Package"
    _inherit = ["mail.thread", "billing.billable.values"]
    _order = "name, id"
    _check_company_auto = True

    name = fields.Char(required=True, translate=True, tracking=True)
    active = fields.Boolean(default=True)
    company_id = fields.Many2one(
        "res.company",
        index=True,
        default=lambda self: self.env.company,
        help="Empty: for every company. Then only Billing / Administrator changes it.",
    )
    product_id = fields.Many2one(
        "product.product",
        required=True,
        check_company=True,
        domain="[('sale_ok', '=', True)]",
        help="Its account, and its taxes unless the package has its own.",
    )
    description = fields.Text(
        string="On the Invoice", translate=True, help="What the client reads. Empty: the package's name."
    )
    quantity = fields.Float(digits="Product Unit", default=1.0)
    currency_id = fields.Many2one(
        "res.currency", required=True, default=lambda self: self.env.company.currency_id, tracking=True
    )
    price_unit = fields.Float(
        string="Unit Price",
        digits="Product Price",
        compute="_compute_price_unit",
        store=True,
        readonly=False,
        precompute=True,
        tracking=True,
    )
    setup_fee = fields.Float(
        digits="Product Price", tracking=True, help="Charged once, when a subscription starts. Not on invoice lines."
    )
    price_ids = fields.One2many(
        "billing.package.price",
        "package_id",
        string="Prices in Other Currencies",
        copy=True,
        help="A currency that is not listed is converted at the day's rate.",
    )
    tax_ids = fields.Many2many(
        "account.tax",
        string="Taxes",
        domain="[('type_tax_use', '=', 'sale'), ('company_id', 'parent_of', company_id)] if company_id else "
        "[('type_tax_use', '=', 'sale')]",
        help="Empty: those of the product. A package for every company has those of each, as products do. "
        "The client's fiscal position is applied to them.",
    )
    interval_count = fields.Integer(string="Every", default=1, required=True, tracking=True)
    interval_unit = fields.Selection(UNITS, string="Interval", default="month", required=True, tracking=True)
    interval = fields.Char(string="How Often", compute="_compute_interval")
    timing = fields.Selection(TIMINGS, string="Billed", default="advance", required=True, tracking=True)
    proration = fields.Selection(
        PRORATIONS,
        default="day",
        required=True,
        tracking=True,
        help="By day: parts of a period, at the start, at the end and around changes and pauses, cost what their days "
        "are of the period. None: a period costs what was agreed on its first day.",
    )
    trial_days = fields.Integer(help="So many days at the start of a subscription are free.")
    subscription_count = fields.Integer(compute="_compute_subscription_count")

    _interval = models.Constraint("CHECK (interval_count BETWEEN 1 AND 100)", "An interval is from 1 to 100 long.")
    # What is not a number is above all numbers for the database: the upper bounds keep it out, too.
    _quantity = models.Constraint(
        f"CHECK (quantity > 0 AND quantity < {TOO_MUCH:.0f})",
        "The quantity of a package is more than zero, and a number that can be billed.",
    )
    _price = models.Constraint(
        f"CHECK (price_unit IS NULL OR price_unit >= 0 AND price_unit * quantity < {TOO_MUCH:.0f})",
        "The price of a package cannot be negative, nor come to more than can be billed.",
    )
    _amounts = models.Constraint(
        f"CHECK (setup_fee IS NULL OR setup_fee >= 0 AND setup_fee < {TOO_MUCH:.0f})",
        "The setup fee of a package cannot be negative, nor more than can be billed.",
    )
    _trial = models.Constraint(
        "CHECK (trial_days IS NULL OR trial_days BETWEEN 0 AND 3660)", "A trial lasts from 0 days to ten years."
    )

    @api.depends("product_id", "currency_id")
    def _compute_price_unit(self):
        for package in self:
            if package.product_id and package.currency_id and not package.price_unit:
                company = package.company_id or self.env.company
                package.price_unit = package.product_id.currency_id._convert(
                    package.product_id.with_company(company).lst_price,
                    package.currency_id,
                    company,
                    fields.Date.context_today(package),
                    round=False,
                )

    @api.depends("interval_unit", "interval_count")
    @api.depends_context("lang")
    def _compute_interval(self):
        for package in self:
            package.interval = self._interval_label(package)

    @api.model
    def _interval_label(self, terms):
        """How often, in words: of a package, or of what was agreed."""
        if not terms.interval_unit:
            return False
        if terms.interval_count == 1:
            return {
                "day": self.env._("Every day"),
                "week": self.env._("Every week"),
                "month": self.env._("Every month"),
                "quarter": self.env._("Every quarter"),
                "year": self.env._("Every year"),
            }[terms.interval_unit]
        count = terms.interval_count
        return {
            "day": self.env._("Every %s days", count),
            "week": self.env._("Every %s weeks", count),
            "month": self.env._("Every %s months", count),
            "quarter": self.env._("Every %s quarters", count),
            "year": self.env._("Every %s years", count),
        }[terms.interval_unit]

    def _compute_subscription_count(self):
        counts = dict(
            self.env["billing.subscription"]._read_group([("package_id", "in", self.ids)], ["package_id"], ["__count"])
        )
        for package in self:
            package.subscription_count = counts.get(package, 0)

    @api.constrains("currency_id", "price_ids")
    def _check_own_currency(self):
        for package in self:
            if package.currency_id in package.price_ids.currency_id:
                raise ValidationError(
                    self.env._(
                        "“%(package)s” has its price in %(currency)s already: list other currencies only.",
                        package=package.name,
                        currency=package.currency_id.name,
                    )
                )

    # -- who may change it --------------------------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        if any("company_id" in vals and not vals["company_id"] for vals in vals_list):
            self._check_may_share()
        return super().create(vals_list)

    def write(self, vals):
        self._check_may_change()
        if "company_id" in vals:
            if not vals["company_id"]:
                self._check_may_share()
            self._refuse_taking_away(self.env["res.company"].browse(vals["company_id"]))
        result = super().write(vals)
        if "company_id" in vals:
            # Odoo asks before the write only: nobody gives a package to a company where it is out of their sight.
            self.check_access("write")
        return result

    def unlink(self):
        self._check_may_change()
        return super().unlink()

    def _may_share(self):
        return self.env.su or self.env.user.has_group("invoice_portal.group_billing_manager")

    def _check_may_share(self):
        """Says what the record rules would refuse without a word about why."""
        if not self._may_share():
            raise AccessError(
                self.env._("Only Billing / Administrator makes packages for every company. Choose a company.")
            )

    def _check_may_change(self):
        if self._may_share():
            return
        if shared := self.filtered(lambda package: not package.company_id):
            raise AccessError(
                self.env._(
                    "“%s” is a package of every company: only Billing / Administrator changes it. Duplicate it for "
                    "your company, and change that one.",
                    shared[0].display_name,
                )
            )

    def copy_data(self, default=None):
        """A copy of what is everybody's is one's own company's, where one may not share."""
        data = super().copy_data(default)
        if not self._may_share():
            data = [dict(vals, company_id=vals.get("company_id") or self.env.company.id) for vals in data]
        return data

    def _refuse_taking_away(self, company):
        """Other companies keep what they use."""
        if company and any(used := self._count_uses_sudo(~Domain("company_id", "child_of", company.ids))):
            subscriptions, charges, lines = used
            raise UserError(
                self.env._(
                    "Other companies use “%(package)s” in %(subscriptions)s subscriptions, %(charges)s charges and "
                    "%(lines)s invoice lines: it cannot become a package of %(company)s alone.",
                    package=", ".join(self.mapped("name")),
                    subscriptions=subscriptions,
                    charges=charges,
                    lines=lines,
                    company=company.display_name,
                )
            )

    def _count_uses_sudo(self, domain=Domain.TRUE):
        """How many subscriptions, charges and invoice lines have these packages. Elevated to count those of companies
        that the user does not work in; the numbers are all that is told.
        """
        env = self.sudo().env
        return (
            env["billing.subscription"].search_count(domain & Domain("phase_ids.package_id", "in", self.ids)),
            env["billing.charge"].search_count(domain & Domain("package_id", "in", self.ids)),
            env["account.move.line"].search_count(domain & Domain("billing_package_id", "in", self.ids)),
        )

    @api.ondelete(at_uninstall=False)
    def _unlink_if_unused(self):
        for package in self:
            if any(used := package._count_uses_sudo()):
                raise UserError(
                    self.env._(
                        "“%(package)s” is used in %(subscriptions)s subscriptions, %(charges)s charges and %(lines)s "
                        "invoice lines. Archive it instead of deleting it.",
                        package=package.name,
                        subscriptions=used[0],
                        charges=used[1],
                        lines=used[2],
                    )
                )

    # -- what it fills ------------------------------------------------------------------------------------------------

    def _prices(self, currency, company, day):
        """Unit price and setup fee in this currency: as listed, else converted at the day's rate."""
        self.ensure_one()
        if currency == self.currency_id:
            return self.price_unit, self.setup_fee
        if listed := self.price_ids.filtered(lambda price: price.currency_id == currency):
            return listed.price_unit, listed.setup_fee
        return tuple(
            self.currency_id._convert(amount, currency, company, day, round=False)
            for amount in (self.price_unit, self.setup_fee)
        )

    def _taxes(self, company):
        """The company's taxes before any fiscal position."""
        self.ensure_one()
        return self.tax_ids._filter_taxes_by_company(company) or self.product_id.taxes_id._filter_taxes_by_company(
            company
        )

    def _label(self, lang=None):
        """What the client reads, in this language."""
        package = self.with_context(lang=lang or self.env.lang)
        return package.description or package.name

    def _period_label(self, first, last):
        """The period in words, as the document has it, in the language at hand."""
        return f"{format_date(self.env, first)} – {format_date(self.env, last)}"

    def _prepare_line(self, currency, company, first, lang=None):
        """What one period from this day on is: for a line or a charge to start from. Taxes are left to it."""
        self.ensure_one()
        _first, last = Grid(first, self.interval_unit, self.interval_count).period(first)
        return {
            "product_id": self.product_id.id,
            "name": self._label(lang),
            "quantity": self.quantity,
            "price_unit": self._prices(currency, company, first)[0],
            "period_start": first,
            "period_end": last,
        }

    def action_subscriptions(self):
        self.ensure_one()
        self.check_access("read")
        self.env["billing.subscription"].check_access("read")
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal.action_billing_subscriptions")
        return dict(action, domain=[("package_id", "=", self.id)], context={"default_package_id": self.id})


class BillingPackagePrice(models.Model):
    _name = "billing.package.price"
    _description = "Price of a Package in Another Currency"
    _inherit = ["billing.billable.values"]
    _order = "currency_id"

    package_id = fields.Many2one("billing.package", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="package_id.company_id", store=True)
    currency_id = fields.Many2one("res.currency", required=True)
    price_unit = fields.Float(string="Unit Price", digits="Product Price")
    setup_fee = fields.Float(digits="Product Price")

    _one_per_currency = models.UniqueIndex(
        "(package_id, currency_id)", "A package has one price per currency; this currency is listed already."
    )
    _price = models.Constraint(
        f"CHECK (price_unit IS NULL OR price_unit >= 0 AND price_unit < {TOO_MUCH:.0f})",
        "The price of a package cannot be negative, nor more than can be billed.",
    )
    _amounts = models.Constraint(
        f"CHECK (setup_fee IS NULL OR setup_fee >= 0 AND setup_fee < {TOO_MUCH:.0f})",
        "The setup fee of a package cannot be negative, nor more than can be billed.",
    )

    @api.model_create_multi
    def create(self, vals_list):
        self.env["billing.package"].browse(
            vals["package_id"] for vals in vals_list if vals.get("package_id")
        )._check_may_change()
        return super().create(vals_list)

    def write(self, vals):
        self.package_id._check_may_change()
        if "package_id" in vals and any(price.package_id.id != vals["package_id"] for price in self):
            raise UserError(self.env._("A price stays with its package. List another one there instead."))
        return super().write(vals)

    def unlink(self):
        self.package_id._check_may_change()
        return super().unlink()
