from . import (
    test_annex,
    test_bill,
    test_bill_charge,
    test_bill_random,
    test_export,
    test_hold,
    test_import,
    test_ingest,
    test_rating,
    test_retention,
    test_usage_settings,
)
from . import test_reference
from . import test_plan, test_plan_file, test_reference
