import logging

from odoo import SUPERUSER_ID, api

_logger = logging.getLogger(__name__)


def migrate(cr, version):
    """What was put away before is known again when it is handed in once more."""
    env = api.Environment(cr, SUPERUSER_ID, {})
    for bill in env["billing.usage.bill"].search([("archive_id", "!=", False)]):
        count = env["billing.usage.known"]._keep_of_archive(bill)
        if count != bill.record_count:
            _logger.warning("Usage of bill %s: %s of %s records are known again", bill.id, count, bill.record_count)
