from . import billing_draft, billing_finalize, billing_void
