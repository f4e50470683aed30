from odoo.addons.portal.controllers.portal import CustomerPortal


class BillingDocumentPortal(CustomerPortal):
    def _show_report(self, model, report_type, report_ref, download=False):
        """Show our document where Odoo would show its own: the portal's page names that one outright."""
        if model._name == "account.move" and report_ref == "account.account_invoices":
            report_ref = model._billing_document_report().report_name or report_ref
        return super()._show_report(model, report_type, report_ref, download=download)
