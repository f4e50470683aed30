from . import document, payment, portal, portal_billing, run
