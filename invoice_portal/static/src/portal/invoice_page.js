import {Sidebar} from "@portal/interactions/sidebar";
import {registry} from "@web/core/registry";

/**
 * Says how long it is until the due date, as on Odoo's page.
 */
export class BillingInvoicePage extends Sidebar {
    static selector = ".o_billing_invoice";
}

registry.category("public.interactions").add("invoice_portal.invoice_page", BillingInvoicePage);
