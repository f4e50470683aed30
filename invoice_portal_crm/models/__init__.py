from . import account_move, billing_charge, crm_lead, crm_lead_product
