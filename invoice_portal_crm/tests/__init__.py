from . import test_actions, test_lead_invoice, test_lead_product, test_tours
