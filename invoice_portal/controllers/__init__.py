from . import (
    document,
    payment,
    portal,
    portal_billing,
    portal_case,
    portal_credit,
    portal_dispute,
    portal_invoice,
    portal_preference,
    portal_statement,
    run,
)
