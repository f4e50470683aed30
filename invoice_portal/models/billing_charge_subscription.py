from odoo import api, fields, models
from odoo.exceptions import UserError

from ..tools.grant import is_granted

# Who asked for the charge, and for how much: later calls compare with it.
SUBSCRIPTION_FIELDS = {
    "subscription_id",
    "subscription_period",
    "subscription_part",
    "subscription_amount",
    "subscription_from",
    "subscription_until",
}


class BillingCharge(models.Model):
    """Charges from packages, and those that subscriptions make: each once."""

    _inherit = "billing.charge"

    package_id = fields.Many2one(
        "billing.package",
        check_company=True,
        index="btree_not_null",
        ondelete="restrict",
        help="Fills product, description, quantity, price, taxes and period; all can be edited.",
    )
    subscription_id = fields.Many2one(
        "billing.subscription",
        readonly=True,
        copy=False,
        check_company=True,
        ondelete="restrict",
    )
    subscription_period = fields.Date(
        readonly=True, copy=False, help="The first day of the subscription's period, whatever the charge says by now."
    )
    subscription_part = fields.Integer(
        readonly=True, copy=False, help="Several charges of one period are told apart by it."
    )
    subscription_amount = fields.Monetary(
        string="Asked by Subscription",
        readonly=True,
        copy=False,
        help="What the subscription asked for, whatever the charge was edited to.",
    )
    subscription_from = fields.Date(
        readonly=True,
        copy=False,
        help="The first of the days that the charge is for. Empty: it corrects another charge.",
    )
    subscription_until = fields.Date(readonly=True, copy=False, help="The last of these days, included.")

    # Discarded ones count, too: somebody decided that this is not to be billed.
    _one_per_period = models.UniqueIndex(
        "(subscription_id, subscription_period, subscription_part) WHERE subscription_id IS NOT NULL",
        "This period of the subscription is charged already.",
    )
    _subscription_is_complete = models.Constraint(
        "CHECK (subscription_id IS NULL OR (subscription_period IS NOT NULL AND subscription_part IS NOT NULL"
        " AND subscription_amount IS NOT NULL))",
        "A charge of a subscription says for which period it is, and what was asked for.",
    )

    @api.onchange("package_id")
    def _onchange_package_id(self):
        if self.package_id:
            self.update(self._values_of_package(self.package_id, self.partner_id, self.currency_id, self.date))

    def _values_of_package(self, package, client, currency, day):
        company = self.company_id or self.env.company
        first = fields.Date.to_date(day) or fields.Date.context_today(self)
        return package._prepare_line(currency or company.currency_id, company, first, client.lang)

    @api.depends("package_id")
    def _compute_tax_ids(self):
        return super()._compute_tax_ids()

    def _taxes_before_mapping(self):
        package = self.package_id
        if package and package.product_id == self.product_id:
            return package._taxes(self.company_id)
        return super()._taxes_before_mapping()

    @api.model_create_multi
    def create(self, vals_list):
        if any(vals.keys() & SUBSCRIPTION_FIELDS for vals in vals_list) and not is_granted(self.env):
            raise UserError(self._only_subscriptions_message())
        # Named, so that no default of a context says otherwise.
        start = {} if is_granted(self.env) else dict.fromkeys(SUBSCRIPTION_FIELDS, False)
        return super().create([{**start, **self._filled_from_package(vals)} for vals in vals_list])

    def _filled_from_package(self, vals):
        """A charge that names its package only is what the package says."""
        if not vals.get("package_id") or vals.get("subscription_id"):
            return vals
        context = ("company_id", "partner_id", "project_id", "currency_id", "date")
        charge = self.new({fname: vals[fname] for fname in context if fname in vals})
        package = self.env["billing.package"].browse(vals["package_id"])
        values = charge._values_of_package(package, charge.partner_id, charge.currency_id, charge.date)
        return {**values, **vals}

    def write(self, vals):
        if vals.keys() & SUBSCRIPTION_FIELDS and not is_granted(self.env):
            raise UserError(self._only_subscriptions_message())
        if "package_id" in vals and any(
            charge.subscription_id and charge.package_id.id != vals["package_id"] for charge in self
        ):
            raise UserError(
                self.env._(
                    "What a subscription charged stays with its package. Discard it and type a new charge instead."
                )
            )
        if (
            vals.keys() & {"partner_id", "company_id", "currency_id", "origin", "task_id"}
            and not is_granted(self.env)
            and self.filtered("subscription_id")
        ):
            raise UserError(
                self.env._(
                    "What a subscription charged stays with its client, in its currency. Discard it and type a new "
                    "charge instead."
                )
            )
        return super().write(vals)

    def _only_subscriptions_message(self):
        return self.env._("Only a subscription says what it charged. Change its terms instead.")

    @api.model
    def _billing_asked_fields(self):
        return super()._billing_asked_fields() | {"package_id"}

    def _prepare_invoice_line(self):
        return {**super()._prepare_invoice_line(), "billing_package_id": self.package_id.id}

    @api.ondelete(at_uninstall=False)
    def _unlink_except_of_subscriptions(self):
        if known := self.filtered("subscription_id"):
            raise UserError(
                self.env._(
                    "“%(charge)s” would come back, as %(subscription)s still asks for it: discard it instead.",
                    charge=known[0].display_name,
                    subscription=known[0].subscription_id.display_name,
                )
            )
