"""Who reaches what of usage from outside: the tables for the tests of `invoice_portal.tests.test_portal_access`.

Columns and words are explained there.
"""

#                                                     own     sibling other   anonym  wrong   right   elsewh  staff
ROUTES = """
GET user readonly
    /my/billing/usage                                 shown   shown   empty   login   login   login   empty   refused
    /my/billing/usage/records                         shown   shown   empty   login   login   login   empty   refused
    /my/billing/usage/records/page/<int:page>         shown   shown   empty   login   login   login   empty   refused
    /my/billing/usage/csv                             shown   shown   empty   login   login   login   empty   refused
    /billing/usage/<int:partner_id>/<string:span>.csv refused refused refused login   login   login   refused refused
    /billing/usage/import/<int:import_id>/rejected.csv
                                                      refused refused refused login   login   login   refused refused
ANY user readonly
    /billing/rate-plan/<model('billing.rate.plan'):plan>/rates.csv
                                                      refused refused refused login   login   login   refused refused
GET public readonly
    /my/invoices/<int:invoice_id>/usage.csv           shown   shown   none    login   login   login   none    none
POST user
    /my/billing/usage/limit                           done    done    theirs  login   login   login   done    theirs
"""

# Bills, totals, rates, plans, numbers, limits and notices have no row: no call from outside reads them.
MODELS = {
    "billing.usage": (
        ("portal read",),
        ("invoice_portal_usage.rule_billing_usage_portal", "invoice_portal_usage.rule_billing_usage_company"),
        ("partner_id", "company_id"),
    ),
}

FIELDS = {
    "account.move": {
        "stands on the invoice, or is its file": {
            "billing_usage_csv",
            "billing_usage_csv_hash",
            "billing_usage_csv_name",
        },
    },
    "billing.usage": {
        "what was used, as its source wrote it": {
            "account",
            "day",
            "destination",
            "external_id",
            "moment",
            "quantity",
            "quantity_text",
        },
        "whose it is": {"company_id", "partner_id", "subscription_id"},
        "what it costs, as its page says": {
            "allowance_quantity",
            "allowance_text",
            "amount",
            "billed_quantity",
            "billed_text",
            "destination_id",
            "late",
            "list_amount",
            "unrated_reason",
        },
    },
}
