from . import test_bill, test_bill_charge, test_bill_random, test_hold, test_ingest, test_rating
from . import test_import, test_ingest, test_rating
from . import test_ingest, test_rating
from . import test_annex, test_export, test_retention, test_usage_settings
