from . import usage_csv, usage_import
