from . import test_lead_invoice, test_lead_product, test_tours
