from odoo import api, fields, models
from odoo.fields import Command
from odoo.tools import ormcache

from ..tools.entry import complete, is_complete

# Where the defaults of journal items are remembered while they are being created.
DEFAULTS_CACHE = "billing_line_defaults"
# Where the blank items of each currency are remembered while journal items are being stored.
BLANKS_CACHE = "billing_blank_items"

# What may be given for an invoice and its lines; the rest follows from it in ways that are known here.
INVOICE_FIELDS = {
    "billing_project_id",
    "billing_run_client_id",
    "company_id",
    "currency_id",
    "fiscal_position_id",
    "invoice_date",
    "invoice_line_ids",
    "invoice_origin",
    "invoice_payment_term_id",
    "move_type",
    "partner_id",
    "ref",
}
NEEDED_LINE_FIELDS = {
    "billing_charge_id",
    "discount",
    "name",
    "price_unit",
    "product_id",
    "quantity",
    "sequence",
    "tax_ids",
}
LINE_FIELDS = NEEDED_LINE_FIELDS | {"billing_package_id", "billing_period_end", "billing_period_start"}

# Stored fields of a journal item that Odoo computes, and that are given here; of what is related, from where.
GIVEN_FIELDS = {
    "account_id",
    "amount_currency",
    "amount_residual",
    "amount_residual_currency",
    "analytic_distribution",
    "balance",
    "company_currency_id",
    "company_id",
    "credit",
    "currency_id",
    "date",
    "debit",
    "display_type",
    "invoice_date",
    "is_storno",
    "journal_id",
    "move_name",
    "name",
    "no_followup",
    "parent_state",
    "partner_id",
    "payment_id",
    "price_subtotal",
    "price_total",
    "price_unit",
    "product_id",
    "product_uom_id",
    "quantity",
    "reconciled",
    "ref",
    "sequence",
    "statement_id",
    "statement_line_id",
    "tax_group_id",
    "tax_ids",
    "tax_line_id",
}
RELATED_FIELDS = {
    "company_currency_id": "move_id.company_currency_id",
    "company_id": "move_id.company_id",
    "date": "move_id.date",
    "invoice_date": "move_id.invoice_date",
    "journal_id": "move_id.journal_id",
    "move_name": "move_id.name",
    "parent_state": "move_id.state",
    "payment_id": "move_id.origin_payment_id",
    "ref": "move_id.ref",
    "statement_id": "statement_line_id.statement_id",
    "statement_line_id": "move_id.statement_line_id",
    "tax_group_id": "tax_line_id.tax_group_id",
    "tax_line_id": "tax_repartition_line_id.tax_id",
}

# Methods whose outcome is foreseen or whose calls are spared here, beside those that compute and invert given fields.
FORESEEN = {
    "account.move": {
        "_add_precomputed_values",
        "_compute_always_tax_exigible",
        "_compute_invoice_date_due",
        "_compute_invoice_payment_term_id",
        "_compute_journal_id",
        "_compute_needed_terms",
        "_get_discount_allocation_account",
        "_get_expected_currency_rate_at",
        "_get_invoice_currency_rate_date",
        "_get_product_base_line_currency_rate",
        "_get_rounded_base_and_tax_lines",
        "_get_sync_stack",
        "_prepare_create_values",
        "_prepare_product_base_line_for_taxes_computation",
        "_recompute_cash_rounding_lines",
        "_sanitize_vals",
        "_search_default_journal",
        "_sync_dynamic_line",
        "_sync_dynamic_line_needed_values",
        "_sync_dynamic_lines",
        "_sync_invoice",
        "_sync_non_deductible_base_lines",
        "_sync_rounding_lines",
        "_sync_tax_lines",
        "_sync_unbalanced_lines",
        "create",
        "write",
    },
    "account.move.line": {
        "_add_missing_default_values",
        "_add_precomputed_values",
        "_check_company",
        "_conditional_add_to_compute",
        "_create",
        "_get_analytic_distribution_arguments",
        "_get_computed_taxes",
        "_prepare_create_values",
        "_related_analytic_distribution",
        "_sanitize_vals",
        "_sync_invoice",
        "create",
        "default_get",
        "new",
    },
    "account.tax": {
        "_prepare_base_line_for_taxes_computation",
        "_prepare_base_line_grouping_key",
        "_prepare_base_line_tax_repartition_grouping_key",
    },
}
# Addons that were looked at: what they do in these methods is done here, too, or does not concern drafts of charges.
KNOWN_ADDONS = {
    "account",
    "account_payment",
    "analytic",
    "base",
    "invoice_portal",
    "invoice_portal_crm",
    "invoice_portal_usage",
    "mail",
    "portal",
    "sale",
    "sale_project",
    "utm",
}


class NotForeseen(Exception):
    """An entry turned out to be of a kind that is not computed beforehand. Nothing was written yet."""


class AccountMove(models.Model):
    """Drafts whose journal items are all known beforehand, and created as they are.

    Odoo's `create` serves a person who types in a form: it creates the lines that were typed, looks what they ask for,
    adds taxes and due amounts, and writes on each line until nothing changes any more. A draft from charges needs none
    of that. Here the same questions are asked of the same engines (taxes, terms, accounts, analytic models), once per
    distinct combination, and the answers go into one `create`.

    What is not known to come out the same takes the long way: see `_billing_fast_path_covers`.
    """

    _inherit = "account.move"

    @api.model
    def _billing_create_drafts(self, vals_list):
        """Create drafts from what `_prepare_billing_invoice` returns: fast where that makes the same entries."""
        # In their order, which is that of their numbers when they are finalized together.
        batches = []
        for vals in vals_list:
            covered = self._billing_fast_path_covers(vals)
            if not batches or batches[-1][0] != covered:
                batches.append((covered, []))
            batches[-1][1].append(vals)
        moves = self.browse()
        for covered, alike in batches:
            moves += self._billing_create_entries(alike) if covered else self.create(alike)
        return moves

    @api.model
    def _billing_create_entries(self, vals_list):
        try:
            # The values are copied: `create` may take them apart.
            with complete(self)._billing_gather_notes() as gathering:
                return gathering.create([dict(vals) for vals in vals_list]).with_env(self.env)
        except NotForeseen:
            return self.create(vals_list)

    @api.model
    def _billing_fast_path_covers(self, vals):
        """Whether a draft with these values is known to come out the same. To be narrowed by what knows better."""
        context = self.env.context
        if self._billing_unforeseen() or "project_id" in context or any(key[:8] == "default_" for key in context):
            return False
        company = self.env["res.company"].browse(vals["company_id"])
        client = self.env["res.partner"].browse(vals["partner_id"]).with_company(company)
        term = client.property_payment_term_id
        if "invoice_payment_term_id" in vals:
            term = term.browse(vals["invoice_payment_term_id"])
        return (
            vals["move_type"] == "out_invoice"
            and vals.keys() <= self._billing_foreseen_invoice_fields()
            and all(self._billing_fast_path_covers_line(command) for command in vals["invoice_line_ids"])
            and not company.account_storno
            and not company.account_discount_expense_allocation_id
            and not self._billing_term_changes_taxes(term)
        )

    @api.model
    def _billing_term_changes_taxes(self, term):
        return term.early_discount and term.early_pay_discount_computation == "mixed"

    @api.model
    def _billing_fast_path_covers_line(self, command):
        line = command[2]
        return (
            command[0] == Command.CREATE
            and NEEDED_LINE_FIELDS <= line.keys() <= LINE_FIELDS
            and [tax_command[0] for tax_command in line["tax_ids"]] == [Command.SET]
        )

    @api.model
    def _billing_foreseen_invoice_fields(self):
        """What may be given for an invoice. To be extended by fields that no journal item follows from."""
        return INVOICE_FIELDS

    @api.model
    @ormcache()
    def _billing_unforeseen(self):
        """What other addons do with entries that was not looked at: then Odoo's `create` does it all."""
        lines = self.env["account.move.line"]
        methods = {model: set(names) for model, names in FORESEEN.items()}
        unforeseen = []
        for name in GIVEN_FIELDS:
            field = lines._fields[name]
            if field.related:
                if field.related != RELATED_FIELDS.get(name):
                    unforeseen.append(str(field))
                continue
            for method in (field.compute, field.inverse):
                if isinstance(method, str):
                    methods["account.move.line"].add(method)
                elif method:
                    unforeseen.append(str(field))
        for name, field in self._fields.items():
            if field.precompute and any("line_ids" in path for path in self.pool.field_depends[field]):
                unforeseen.append(f"{self._name}.{name}")
        for model, names in methods.items():
            for ancestor in type(self.env[model]).mro():
                addon = ancestor.__module__.partition("odoo.addons.")[2].partition(".")[0]
                if addon and addon not in KNOWN_ADDONS:
                    unforeseen += [f"{addon}: {model}.{name}" for name in names & vars(ancestor).keys()]
        return tuple(unforeseen)

    # -- finalizing ---------------------------------------------------------------------------------------------------

    def _post(self, soft=True):
        self._billing_date_today()
        return super()._post(soft)

    def _billing_date_today(self):
        """Give drafts without a date the one they get anyway, all at once.

        Odoo does so one by one, and looks through the entry each time. Here those are dated whose entry does not change
        by it: of today's accounting date already, and at today's rate.
        """
        if self._billing_unforeseen():
            return
        today = fields.Date.context_today(self)
        undated = self.filtered(
            lambda move: (
                move.state == "draft"
                and move.move_type == "out_invoice"
                and not move.invoice_date
                and move.date == today
                and move.invoice_currency_rate == move._get_expected_currency_rate_at(today)
            )
        )
        if undated:
            undated.with_context(skip_invoice_sync=True, skip_is_manually_modified=True).invoice_date = today

    def write(self, vals):
        if (
            vals.get("state") == "posted"
            and vals.keys() <= {"billing_locked", "posted_before", "state"}
            and not self._billing_unforeseen()
            and all(move.state == "draft" and move.move_type == "out_invoice" for move in self)
        ):
            # Posting changes no journal item's amounts: what would be synchronized was so when it was written.
            self = self.with_context(skip_invoice_sync=True)
        return super().write(vals)

    # -- the entry ----------------------------------------------------------------------------------------------------

    def _add_precomputed_values(self, vals_list):
        if not is_complete(self.env):
            return super()._add_precomputed_values(vals_list)
        lines_list = [[command[2] for command in vals.pop("invoice_line_ids")] for vals in vals_list]
        memo = {"products": {line["product_id"] for lines in lines_list for line in lines if line["product_id"]}}
        without_journal = [vals for vals in vals_list if "journal_id" not in vals]
        for vals in without_journal:
            vals["journal_id"] = self._billing_journal(vals, memo)
        super()._add_precomputed_values(vals_list)
        for vals in without_journal:
            vals["__precomputed__"] = {self._fields["journal_id"], *vals.get("__precomputed__", ())}
        # As Odoo computes stored fields: whoever may bill need not be able to read every account and analytic model.
        elevated = self.sudo()
        for vals, lines in zip(vals_list, lines_list, strict=True):
            items = elevated._prepare_billing_entry(elevated._billing_entry(vals, memo), lines)
            vals["line_ids"] = [Command.create(item) for item in items]
        return None

    @api.model
    def _billing_journal(self, vals, memo):
        """The journal that Odoo chooses, which is the same for all of a company and currency."""
        key = ("journal", vals["company_id"], vals["currency_id"])
        if key not in memo:
            memo[key] = self.new(
                {name: vals[name] for name in ("move_type", "company_id", "currency_id")}
            ).journal_id.id
        return memo[key]

    def _billing_entry(self, vals, memo):
        """What the items of an entry with these values have in common."""
        env = self.env
        company = env["res.company"].browse(vals["company_id"])
        term = env["account.payment.term"].browse(vals["invoice_payment_term_id"])
        if self._billing_term_changes_taxes(term):
            raise NotForeseen
        return {
            "memo": memo,
            "company": company,
            "journal": env["account.journal"].browse(vals["journal_id"]),
            "currency": env["res.currency"].browse(vals["currency_id"]),
            "company_currency": company.currency_id,
            "client": env["res.partner"].browse(vals["partner_id"]).commercial_partner_id,
            "fiscal_position": env["account.fiscal.position"].browse(vals["fiscal_position_id"]),
            "term": term,
            "rate": vals["invoice_currency_rate"],
            "invoice_date": fields.Date.to_date(vals.get("invoice_date")),
            "date": fields.Date.to_date(vals["date"]),
            # A customer invoice: what is sold is a credit.
            "sign": -1,
        }

    def _prepare_billing_entry(self, entry, lines):
        engine, company = self.env["account.tax"], entry["company"]
        products = [self._prepare_billing_product_item(entry, line) for line in lines]
        base_lines = [self._prepare_billing_base_line(entry, item) for item in products]
        engine._add_tax_details_in_base_lines(base_lines, company)
        engine._round_base_lines_tax_details(base_lines, company)
        engine._add_accounting_data_in_base_lines_tax_details(base_lines, company, include_caba_tags=False)
        results = engine._prepare_tax_lines(base_lines, company)
        for item, (base_line, values) in zip(products, results["base_lines_to_update"], strict=True):
            # The totals of a line are its own: what rounding spreads over the invoice is kept apart from them.
            item["price_subtotal"] = base_line["tax_details"]["total_excluded_currency"]
            item["price_total"] = base_line["tax_details"]["total_included_currency"]
            item.update(values)
        taxes = [
            {
                "display_type": "tax",
                "sequence": 10000,
                "quantity": False,
                "price_unit": 0.0,
                "product_uom_id": False,
                "discount": 0.0,
                **values,
            }
            for values in results["tax_lines_to_add"]
        ]
        for item in products + taxes:
            item["balance"] = entry["company_currency"].round(item["balance"])
            item["amount_currency"] = entry["currency"].round(item["amount_currency"])
        return products + taxes + self._prepare_billing_term_items(entry, products, taxes)

    def _prepare_billing_product_item(self, entry, line):
        memo = entry["memo"]
        key = ("product", entry["company"].id, entry["journal"].id, entry["fiscal_position"].id, line["product_id"])
        if not line["product_id"]:
            key += (entry["client"].id,)
        if key not in memo:
            memo[key] = self._billing_product_account(entry, line)
        account, uom = memo[key]
        items = self.env["account.move.line"]
        return {
            **line,
            "display_type": "product",
            "partner_id": entry["client"].id,
            "currency_id": entry["currency"].id,
            "account_id": account.id,
            "product_uom_id": uom.id,
            "quantity": items._fields["quantity"].convert_to_cache(line["quantity"], items),
            "discount": items._fields["discount"].convert_to_cache(line["discount"], items),
            "analytic_distribution": self._billing_analytic_distribution(entry, line["product_id"], account),
        }

    def _billing_product(self, entry, product_id):
        return self.env["product.product"].browse(product_id or ()).with_prefetch(entry["memo"]["products"])

    def _billing_product_account(self, entry, line):
        product = self._billing_product(entry, line["product_id"])
        account = self.env["account.account"]
        if product:
            accounts = product.with_company(entry["company"]).product_tmpl_id.get_product_accounts(
                fiscal_pos=entry["fiscal_position"]
            )
            account = accounts["income"] or account
        else:
            account = account.browse(
                account._get_most_frequent_account_for_partner(
                    company_id=entry["company"].id, partner_id=entry["client"].id, move_type="out_invoice"
                )
            )
        return account or entry["journal"].default_account_id, product.uom_id

    def _billing_analytic_distribution(self, entry, product_id, account):
        distributions = self.env["account.analytic.distribution.model"]
        memo = entry["memo"]
        if "analytic" not in memo:
            memo["analytic"] = bool(distributions.search_count([], limit=1))
        if not memo["analytic"]:
            return False
        key = ("analytic", entry["company"].id, entry["client"].id, product_id, account.id)
        if key not in memo:
            product = self._billing_product(entry, product_id)
            memo[key] = distributions._get_distribution(
                {
                    "product_id": product.id,
                    "product_categ_id": product.categ_id.id,
                    "partner_id": entry["client"].id,
                    "partner_category_id": entry["client"].category_id.ids,
                    "account_prefix": account.code,
                    "company_id": entry["company"].id,
                    "related_root_plan_ids": self.env["account.analytic.plan"],
                }
            )
        return memo[key] or False

    def _prepare_billing_base_line(self, entry, item):
        return self.env["account.tax"]._prepare_base_line_for_taxes_computation(
            {},
            product_id=self._billing_product(entry, item["product_id"]),
            product_uom_id=self.env["uom.uom"].browse(item["product_uom_id"]),
            tax_ids=self.env["account.tax"].browse(item["tax_ids"][0][2]),
            price_unit=item["price_unit"],
            quantity=item["quantity"],
            discount=item["discount"],
            currency_id=entry["currency"],
            rate=entry["rate"],
            sign=entry["sign"],
            partner_id=entry["client"],
            account_id=self.env["account.account"].browse(item["account_id"]),
            analytic_distribution=item["analytic_distribution"],
            name=item["name"],
            special_mode=False,
        )

    # -- what is due --------------------------------------------------------------------------------------------------

    def _prepare_billing_term_items(self, entry, products, taxes):
        memo = entry["memo"]
        key = ("receivable", entry["company"].id, entry["client"].id, entry["fiscal_position"].id)
        if key not in memo:
            memo[key] = self._billing_receivable_account(entry)
        account = memo[key]
        common = {
            "display_type": "payment_term",
            "sequence": 12000,
            "quantity": False,
            "price_unit": 0.0,
            "product_uom_id": False,
            "discount": 0.0,
            "tax_ids": [],
            "partner_id": entry["client"].id,
            "currency_id": entry["currency"].id,
            "account_id": account.id,
        }
        if len(entry["term"].line_ids) <= 1:
            common["name"] = False
        return [{**common, **values} for values in self._billing_due(entry, products, taxes)]

    def _billing_receivable_account(self, entry):
        client, own = entry["client"].with_company(entry["company"]), entry["company"].partner_id
        account = (
            client.property_account_receivable_id or own.with_company(entry["company"]).property_account_receivable_id
        )
        return entry["fiscal_position"].map_account(account) if entry["fiscal_position"] else account

    def _billing_due(self, entry, products, taxes):
        """The amounts due and when, as Odoo's payment terms say."""
        currency, company_currency = entry["currency"], entry["company_currency"]
        untaxed_currency = -sum(item["amount_currency"] for item in products)
        untaxed = -sum(item["balance"] for item in products)
        tax_currency = -sum(item["amount_currency"] for item in taxes)
        tax = -sum(item["balance"] for item in taxes)
        today = fields.Date.context_today(self)
        if not entry["term"]:
            return [
                {
                    "date_maturity": entry["invoice_date"] or today,
                    "discount_date": False,
                    "discount_balance": 0.0,
                    "discount_amount_currency": 0.0,
                    "balance": company_currency.round(untaxed + tax),
                    "amount_currency": currency.round(untaxed_currency + tax_currency),
                }
            ]
        terms = entry["term"]._compute_terms(
            date_ref=entry["invoice_date"] or entry["date"] or today,
            currency=currency,
            company=entry["company"],
            tax_amount_currency=currency.round(tax_currency),
            tax_amount=company_currency.round(tax),
            untaxed_amount_currency=currency.round(untaxed_currency),
            untaxed_amount=company_currency.round(untaxed),
            cash_rounding=self.env["account.cash.rounding"],
            sign=1,
        )
        due = {}
        for line in terms["line_ids"]:
            date = fields.Date.to_date(line["date"])
            if date in due:
                due[date]["balance"] += line["company_amount"]
                due[date]["amount_currency"] += line["foreign_amount"]
            else:
                due[date] = {
                    "date_maturity": date,
                    "discount_date": terms.get("discount_date"),
                    "discount_balance": terms.get("discount_balance") or 0.0,
                    "discount_amount_currency": terms.get("discount_amount_currency") or 0.0,
                    "balance": line["company_amount"],
                    "amount_currency": line["foreign_amount"],
                }
        for values in due.values():
            values["balance"] = company_currency.round(values["balance"])
            values["amount_currency"] = currency.round(values["amount_currency"])
        return list(due.values())


class AccountMoveLine(models.Model):
    _inherit = "account.move.line"

    def _add_precomputed_values(self, vals_list):
        if not is_complete(self.env):
            return super()._add_precomputed_values(vals_list)
        memo = {}
        for vals in vals_list:
            vals.update(self._billing_derived(vals, memo))
        super()._add_precomputed_values(vals_list)
        for vals in vals_list:
            # Nothing follows from these: what would, is among them.
            vals["__precomputed__"] = {
                *vals.get("__precomputed__", ()),
                *(self._fields[name] for name in GIVEN_FIELDS & vals.keys()),
            }
        return None

    def _billing_derived(self, vals, memo):
        move = self.env["account.move"].browse(vals["move_id"])
        if move not in memo:
            memo[move] = {
                "company_currency_id": move.company_currency_id.id,
                "company_id": move.company_id.id,
                "date": move.date,
                "invoice_date": move.invoice_date,
                "is_storno": False,
                "journal_id": move.journal_id.id,
                "move_name": False,
                "no_followup": move.journal_id.type == "general",
                "parent_state": move.state,
                "payment_id": False,
                "ref": move.ref,
                "statement_id": False,
                "statement_line_id": False,
            }
        values = dict(memo[move])
        balance, account = vals["balance"], vals["account_id"]
        if account not in memo:
            record = self.env["account.account"].browse(account)
            memo[account] = record.reconcile or record.account_type in ("asset_cash", "liability_credit_card")
        values["debit"] = balance if balance > 0.0 else 0.0
        values["credit"] = -balance if balance < 0.0 else 0.0
        open_ = memo[account]
        values["amount_residual"] = balance if open_ else 0.0
        values["amount_residual_currency"] = vals["amount_currency"] if open_ else 0.0
        values["reconciled"] = bool(open_) and not balance and not vals["amount_currency"]
        part = self.env["account.tax.repartition.line"].browse(vals.get("tax_repartition_line_id"))
        values["tax_line_id"] = part.tax_id.id
        values["tax_group_id"] = part.tax_id.tax_group_id.id
        values.setdefault("price_subtotal", vals.get("price_subtotal", 0.0))
        values.setdefault("price_total", vals.get("price_total", 0.0))
        values.setdefault("analytic_distribution", vals.get("analytic_distribution", False))
        return values

    @api.model
    def _create(self, data_list):
        if is_complete(self.env):
            for data in data_list:
                for name in GIVEN_FIELDS & data["stored"].keys():
                    data["protected"].add(self._fields[name])
        self.env.cr.cache[BLANKS_CACHE] = {}
        try:
            return super()._create(data_list)
        finally:
            del self.env.cr.cache[BLANKS_CACHE]

    @api.model
    def new(self, values=None, origin=None, ref=None):
        # Odoo makes a blank item per stored amount, to learn its currency from it: here one per currency will do.
        blanks = self.env.cr.cache.get(BLANKS_CACHE)
        if blanks is None or not is_complete(self.env) or not values or len(values) > 1 or origin or ref:
            return super().new(values, origin, ref)
        (key,) = values.items()
        if key[0] not in ("company_currency_id", "currency_id"):
            return super().new(values, origin, ref)
        if key not in blanks:
            blanks[key] = super().new(values)
        return blanks[key]

    def _check_company(self, fnames=None):
        """The same checks, once per distinct value instead of once per line."""
        if not is_complete(self.env) or fnames is not None:
            return super()._check_company(fnames)
        companies, lines = [line.company_id for line in self], self.sudo()
        for name, field in self._fields.items():
            if field.relational and field.check_company:
                distinct = {(company, line[name]): line.id for company, line in zip(companies, lines, strict=True)}
                super(AccountMoveLine, self.browse(distinct.values()))._check_company([name])
        return None

    def _prepare_create_values(self, vals_list):
        if not is_complete(self.env):
            return super()._prepare_create_values(vals_list)
        # Defaults are looked up once per set of missing fields, and forgotten afterwards.
        memo = self.env.cr.cache.setdefault(DEFAULTS_CACHE, {})
        try:
            return super()._prepare_create_values(vals_list)
        finally:
            memo.clear()

    def _add_missing_default_values(self, values):
        if not is_complete(self.env):
            return super()._add_missing_default_values(values)
        memo = self.env.cr.cache.setdefault(DEFAULTS_CACHE, {})
        key = frozenset(values)
        if key not in memo:
            filled = super()._add_missing_default_values(values)
            memo[key] = {name: filled[name] for name in filled.keys() - key}
        return {**memo[key], **values}
