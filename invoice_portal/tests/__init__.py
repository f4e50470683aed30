from . import (
    test_case,
    test_charge,
    test_compose,
    test_demo,
    test_draft_hidden,
    test_lock,
    test_run,
    test_status,
    test_tours,
    test_void,
)
