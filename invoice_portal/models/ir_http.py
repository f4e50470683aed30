import re
from urllib.parse import urlencode

from werkzeug.exceptions import HTTPException, MethodNotAllowed, abort

from odoo import models
from odoo.exceptions import UserError
from odoo.http import request

# The client's pages, and where links in mails lead.
OURS = re.compile(r"/(my/billing|my/invoices|my/payment_method|payment/pay)(/|$)")


class IrHttp(models.AbstractModel):
    _inherit = "ir.http"

    @classmethod
    def _match(cls, path):
        """Whoever comes to the address of a form is led to the page that has it: sent there after logging in again, the
        browser asks for what it wanted to send.

        The route of the form says which page that is, as `billing_form_at`.
        """
        try:
            return super()._match(path)
        except MethodNotAllowed:
            if request.httprequest.method in ("GET", "HEAD") and (page := cls._billing_page_of_form()):
                abort(request.redirect(page))
            raise

    @classmethod
    def _billing_page_of_form(cls):
        router = request.env["ir.http"].routing_map().bind_to_environ(request.httprequest.environ)
        try:
            # Not the path that was asked for first: it may have begun with a language.
            endpoint, arguments = router.match(request.httprequest.path, method="POST")
        except HTTPException:
            return None
        page = endpoint.routing.get("billing_form_at")
        return page and page.format(**arguments)

    @classmethod
    def _get_error_html(cls, env, code, values):
        """On the client's pages, an error says what happened and what to do."""
        path = request.httprequest.path
        if not OURS.search(path):
            return super()._get_error_html(env, code, values)
        user, exception = env.user, values.get("exception")
        said = {
            "kind": cls._billing_error_kind(code, user),
            # What was raised for a person to read; what rights are missing is no client's business.
            "reason": str(exception) if isinstance(exception, UserError) and code not in (403, 404) else "",
            "login": "" if user._is_public() else user.name,
            "login_url": f"/web/login?{urlencode({'redirect': path})}",
            "company": env.company.sudo(),
            "title": env.company.sudo().name,
        }
        return code, env["ir.ui.view"]._render_template("invoice_portal.portal_error", said)

    @classmethod
    def _billing_error_kind(cls, code, user):
        if code == 403 and user._is_internal():
            return "staff"
        return {403: "refused", 404: "unknown"}.get(code, "request" if code < 500 else "failure")
