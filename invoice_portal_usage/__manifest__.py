{
    "name": "Invoice Portal: Usage",
    "summary": "Take in metered usage, rate it, and bill it with lines that explain themselves",
    "version": "19.0.1.0.0",
    "category": "Accounting/Accounting",
    "author": "Invoice Portal contributors",
    "website": "https://github.com/invoice-portal/invoice-portal",
    "license": "LGPL-3",
    "depends": ["invoice_portal"],
    "external_dependencies": {"python": ["phonenumbers"]},
    "data": [
        "security/billing_usage_groups.xml",
        "security/billing_usage_rules.xml",
        "security/ir.model.access.csv",
        "views/billing_usage_menus.xml",
        "views/billing_usage_source_views.xml",
    ],
}
