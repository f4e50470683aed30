from . import billing_usage_release
from . import billing_usage_upload
