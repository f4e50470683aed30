from . import usage_import
