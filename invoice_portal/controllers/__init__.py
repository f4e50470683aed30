from . import document, payment, portal, portal_billing, portal_credit, portal_invoice, run
