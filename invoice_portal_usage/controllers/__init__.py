from . import portal_usage, rate_plan, usage_csv, usage_import
