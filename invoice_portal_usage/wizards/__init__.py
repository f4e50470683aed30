from . import billing_usage_release
from . import billing_usage_upload
from . import billing_settings, billing_usage_download
