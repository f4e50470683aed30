from . import billing_settings, billing_usage_download, billing_usage_release, billing_usage_upload
