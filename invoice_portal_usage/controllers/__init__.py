from . import usage_import
from . import usage_csv
