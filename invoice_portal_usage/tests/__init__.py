from . import test_bill, test_hold, test_ingest, test_rating
