from odoo.exceptions import AccessError
from odoo.http import request

from odoo.addons.portal.controllers.portal import CustomerPortal


class BillingPortal(CustomerPortal):
    def _document_check_access(self, model_name, document_id, access_token=None):
        """A token opens an invoice only once it is finalized.

        Whoever got hold of the link of a draft (or of an invoice that went back to draft) sees nothing of it: not the
        page, its PDF, nor a payment form.
        """
        document = super()._document_check_access(model_name, document_id, access_token)
        if model_name == "account.move" and document._billing_hidden_from(request.env.user):
            raise AccessError(request.env._("This invoice is not available yet."))
        return document
