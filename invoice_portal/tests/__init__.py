from . import (
    test_case,
    test_charge,
    test_compose,
    test_demo,
    test_document,
    test_draft_hidden,
    test_lock,
    test_pdf,
    test_run,
    test_status,
    test_tours,
    test_void,
)
