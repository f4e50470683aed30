from . import billing_lead_draft
