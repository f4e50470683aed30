from . import document, payment, portal, run
