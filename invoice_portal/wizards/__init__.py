from . import (
    account_move_reversal,
    account_move_send_wizard,
    base_partner_merge,
    billing_cases,
    billing_change_project,
    billing_delete,
    billing_draft,
    billing_finalize,
    billing_generate,
    billing_send,
    billing_subscription_change,
    billing_void,
)
