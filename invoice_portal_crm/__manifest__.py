{
    "name": "Invoice Portal: Opportunities",
    "summary": "Bill an opportunity: its products or its expected revenue, once",
    "version": "19.0.1.0.0",
    "category": "Accounting/Accounting",
    "author": "Invoice Portal contributors",
    "website": "https://github.com/invoice-portal/invoice-portal",
    "license": "LGPL-3",
    "depends": ["invoice_portal", "crm"],
    "data": [
        "security/crm_lead_product_rules.xml",
        "security/ir.model.access.csv",
        "wizards/billing_lead_draft_views.xml",
        "views/billing_charge_views.xml",
        "views/account_move_views.xml",
        "views/crm_lead_views.xml",
    ],
    "assets": {
        "web.assets_tests": ["invoice_portal_crm/static/tests/tours/**/*"],
    },
    "auto_install": True,
}
