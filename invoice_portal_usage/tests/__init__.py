from . import test_bill, test_ingest, test_rating
