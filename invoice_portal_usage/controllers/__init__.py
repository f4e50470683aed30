from . import usage_csv, usage_import
from . import rate_plan
