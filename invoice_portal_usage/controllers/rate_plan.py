from tempfile import SpooledTemporaryFile

from werkzeug.wsgi import FileWrapper

from odoo.http import Controller, content_disposition, request, route

# So much is kept in memory; what is more goes to a file meanwhile.
IN_MEMORY = 4 * 1024 * 1024


class RatePlan(Controller):
    @route("/billing/rate-plan/<model('billing.rate.plan'):plan>/rates.csv", type="http", auth="user", readonly=True)
    def rates(self, plan):
        """All rates of a plan as a file that the import takes back; asked as the user."""
        plan.check_access("read")
        file = SpooledTemporaryFile(IN_MEMORY)
        plan._write_rates(file)
        size = file.tell()
        file.seek(0)
        response = request.make_response(
            FileWrapper(file),
            [
                ("Content-Type", "text/csv; charset=utf-8"),
                ("Content-Length", str(size)),
                ("Content-Disposition", content_disposition(f"{plan.name}.csv")),
                ("Cache-Control", "no-store"),
            ],
        )
        response.direct_passthrough = True
        return response
