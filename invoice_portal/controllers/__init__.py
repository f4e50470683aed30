from . import document, payment, portal
