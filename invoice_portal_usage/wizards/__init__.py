from . import (
    abstract_rate_dialog,
    base_partner_merge,
    billing_rate_check,
    billing_rate_import,
    billing_rate_try,
    billing_settings,
    billing_usage_download,
    billing_usage_release,
    billing_usage_upload,
)
