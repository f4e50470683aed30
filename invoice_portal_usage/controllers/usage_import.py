import csv
import io
import tempfile
from codecs import BOM_UTF8

from werkzeug.wsgi import wrap_file

from odoo import http
from odoo.http import content_disposition, request

from odoo.addons.invoice_portal.tools.csv_text import inert


class UsageImportDownload(http.Controller):
    @http.route(
        "/billing/usage/import/<int:import_id>/rejected.csv",
        type="http",
        auth="user",
        methods=["GET"],
        readonly=True,
    )
    def billing_usage_import_rejected(self, import_id):
        """The rejected rows of an import, to be mended and uploaded again, for billing staff of its company."""
        imports = request.env["billing.usage.import"]
        imports._check_staff()
        batch = imports.search([("id", "=", import_id)])
        if not batch:
            # Another company's or nobody's: who asks does not learn which.
            raise request.not_found()
        # Beyond a few megabytes it is on the disk rather than in the memory.
        file = tempfile.SpooledTemporaryFile(max_size=1 << 22)  # noqa: SIM115 - sent, then closed by the server
        file.write(BOM_UTF8)
        text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
        # As the file was: a spreadsheet that made it opens it.
        delimiter = (batch.mapping or {}).get("delimiter", ",")
        csv.writer(text, delimiter=delimiter).writerows([inert(cell) for cell in row] for row in batch._rejected_rows())
        text.detach()
        file.seek(0)
        stem = batch.name.rsplit(".", 1)[0].replace("/", "-")
        response = request.make_response(
            wrap_file(request.httprequest.environ, file),
            [
                ("Content-Type", "text/csv; charset=utf-8"),
                ("Content-Disposition", content_disposition(f"{stem} rejected.csv")),
                ("Cache-Control", "no-store"),
            ],
        )
        response.direct_passthrough = True
        return response
