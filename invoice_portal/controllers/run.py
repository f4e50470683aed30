from odoo import http
from odoo.http import content_disposition, request

from ..tools.spreadsheet import csv_file


class BillingRunDownload(http.Controller):
    @http.route("/billing/run/<int:run_id>/result.csv", type="http", auth="user", methods=["GET"], readonly=True)
    def billing_run_result(self, run_id):
        """The result of a run or a rehearsal, a row per client, for billing staff of its company."""
        runs = request.env["billing.run"]
        runs._check_staff()
        run = runs.search([("id", "=", run_id)])
        if not run:
            # Another company's or nobody's: who asks does not learn which.
            raise request.not_found()
        return request.make_response(
            csv_file(run._result_rows()),
            [
                ("Content-Type", "text/csv; charset=utf-8"),
                ("Content-Disposition", content_disposition(f"{run._result_name()}.csv")),
                ("Cache-Control", "no-store"),
            ],
        )
