from . import document, payment, portal, portal_billing, portal_invoice, run
