from . import billing_usage_demo
