from . import rate_plan, usage_csv, usage_import
