from . import billing_cases, billing_change_project, billing_draft, billing_finalize, billing_void
