from . import billing_usage_release
