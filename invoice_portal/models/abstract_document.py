from odoo import models

from odoo.addons.phone_validation.tools import phone_validation


class BillingDocument(models.AbstractModel):
    """What the letterhead and the foot of all our documents say. Needs `company_id` and `partner_id`."""

    _name = "billing.document"
    _description = "Printed Document"

    def _billing_document_prefetch(self):
        """Read what many documents show in a few queries, before they are rendered one by one."""

    def _billing_document_address(self, partner):
        """The address as its country writes it, line by line; a contact's company comes first."""
        company = partner.commercial_partner_id if partner.commercial_partner_id != partner else partner
        names = [company.name or "", partner.name if partner != company else ""]
        if partner != company and not company.is_company:
            names = [partner.name or ""]
        address = partner._display_address(without_company=True).splitlines()
        return [line.strip() for line in dict.fromkeys([*names, *address]) if line and line.strip()]

    def _billing_document_phone(self, partner):
        country = partner.country_id or self.company_id.country_id
        return (
            phone_validation.phone_format(
                partner.phone, country.code, country.phone_code, force_format="INTERNATIONAL", raise_exception=False
            )
            if partner.phone
            else ""
        )

    def _billing_document_company(self):
        """The company in one line, for the foot of the page."""
        partner = self.company_id.partner_id
        country = self.company_id.account_fiscal_country_id
        vat = self._billing_document_vat()
        return [
            part
            for part in (
                partner.name,
                self._billing_document_phone(partner),
                partner.email,
                self.company_id.website,
                vat and f"{country.vat_label or self.env._('Tax ID')} {vat}",
                self.company_id.company_registry,
            )
            if part
        ]

    def _billing_document_vat(self):
        return self.company_id.partner_id.vat
