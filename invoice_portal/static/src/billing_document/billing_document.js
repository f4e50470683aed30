import {download} from "@web/core/network/download";
import {getReportUrl} from "@web/webclient/actions/reports/utils";
import {registry} from "@web/core/registry";
import {user} from "@web/core/user";

/**
 * Download our own documents without asking for wkhtmltopdf first: the server may have WeasyPrint, and if it has
 * neither, it says so.
 */
async function downloadBillingDocument(action, options, env) {
    if (action.report_type !== "qweb-pdf" || !action.report_name.startsWith("invoice_portal.")) {
        return false;
    }
    env.services.ui.block();
    try {
        await download({
            url: "/report/download",
            data: {
                data: JSON.stringify([getReportUrl(action, "pdf"), "qweb-pdf"]),
                context: JSON.stringify({...user.context, ...action.context}),
            },
        });
    } finally {
        env.services.ui.unblock();
    }
    return true;
}

registry.category("ir.actions.report handlers").add("invoice_portal.billing_document", downloadBillingDocument);
