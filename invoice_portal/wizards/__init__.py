from . import (
    account_move_reversal,
    billing_cases,
    billing_change_project,
    billing_draft,
    billing_finalize,
    billing_void,
)
