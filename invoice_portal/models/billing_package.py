from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.tools.misc import format_date

from ..tools.periods import Grid

UNITS = [("day", "Days"), ("week", "Weeks"), ("month", "Months"), ("quarter", "Quarters"), ("year", "Years")]
TIMINGS = [("advance", "In advance"), ("arrears", "In arrears")]
PRORATIONS = [("none", "None: whole periods only"), ("day", "By day")]


class BillingPackage(models.Model):
    """What is sold again and again: for an invoice line, a charge or a subscription to start from.

    A subscription takes its terms over when it starts or changes; editing the package changes none that runs.
    """

    _name = "billing.package"
    _description = "Package"
    _inherit = ["mail.thread"]
    _order = "name, id"
    _check_company_auto = True

    name = fields.Char(required=True, translate=True, tracking=True)
    active = fields.Boolean(default=True)
    company_id = fields.Many2one("res.company", index=True, help="Empty: for every company.")
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
    interval = fields.Char(compute="_compute_interval")
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
    _quantity = models.Constraint("CHECK (quantity > 0)", "The quantity of a package is more than zero.")
    _amounts = models.Constraint(
        "CHECK (setup_fee IS NULL OR setup_fee >= 0)", "The setup fee of a package cannot be negative."
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
        units = dict(self._fields["interval_unit"]._description_selection(self.env))
        return self.env._(
            "Every %(count)s %(unit)s", count=terms.interval_count, unit=units[terms.interval_unit].lower()
        )

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
        self.check_access("write")
        action = self.env["ir.actions.actions"]._for_xml_id("invoice_portal.action_billing_subscriptions")
        return dict(action, domain=[("package_id", "=", self.id)], context={"default_package_id": self.id})


class BillingPackagePrice(models.Model):
    _name = "billing.package.price"
    _description = "Price of a Package in Another Currency"
    _order = "currency_id"

    package_id = fields.Many2one("billing.package", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="package_id.company_id", store=True)
    currency_id = fields.Many2one("res.currency", required=True)
    price_unit = fields.Float(string="Unit Price", digits="Product Price")
    setup_fee = fields.Float(digits="Product Price")

    _one_per_currency = models.UniqueIndex(
        "(package_id, currency_id)", "A package has one price per currency; this currency is listed already."
    )
    _amounts = models.Constraint(
        "CHECK (setup_fee IS NULL OR setup_fee >= 0)", "The setup fee of a package cannot be negative."
    )
