from . import (
    test_case,
    test_charge,
    test_run,
    test_status,
    test_tours,
    test_void,
)
