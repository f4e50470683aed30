import {registry} from "@web/core/registry";

registry.category("web_tour.tours").add("billing_lead_invoice", {
    steps: () => [
        {content: "The products of the opportunity", trigger: ".nav-link:contains('Products')", run: "click"},
        {
            content: "One more",
            trigger: "div[name=billing_product_ids] .o_field_x2many_list_row_add a",
            run: "click",
        },
        {
            content: "What the client reads",
            trigger: "div[name=billing_product_ids] .o_selected_row div[name=name] textarea",
            run: "edit Banner",
        },
        {
            content: "Its price",
            trigger: "div[name=billing_product_ids] .o_selected_row div[name=price_unit] input",
            run: "edit 70",
        },
        {
            content: "The products drive the expected revenue",
            trigger: "div[name=billing_revenue_from_products] input",
            run: "click",
        },
        {content: "It follows", trigger: "div[name=expected_revenue]:contains('320.00')"},
        {
            content: "Create an invoice, from whatever tab",
            trigger: ".o_form_statusbar button[name=action_billing_create_invoice]",
            run: "click",
        },
        {
            content: "The dialog says what is created",
            trigger: ".modal:contains('Fresh Ltd'):contains('will be created')",
        },
        {content: "And how much", trigger: ".modal dd:contains('320.00')"},
        {content: "Confirm", trigger: ".modal button[name=action_confirm]", run: "click"},
        {content: "A draft, linked to its opportunity", trigger: "div[name=billing_lead_id] input:value('Website')"},
        {content: "Not finalized", trigger: ".o_billing_status:contains('Draft')"},
        {content: "Back to the opportunity", trigger: ".o_breadcrumb a:contains('Website')", run: "click"},
        {content: "Its invoices", trigger: ".nav-link:contains('Invoices')", run: "click"},
        {content: "The draft is there", trigger: "div[name=billing_invoice_ids] .o_data_row:contains('Draft')"},
        {content: "A second click", trigger: ".tab-pane button[name=action_billing_create_invoice]", run: "click"},
        {content: "Bills nothing again", trigger: ".modal:contains('To bill more, add a product')"},
        {content: "And offers nothing", trigger: ".modal footer:not(:has(button[name=action_confirm]:visible))"},
        {content: "Leave", trigger: ".modal footer button:contains('Close'):visible", run: "click"},
        {content: "The form is back", trigger: "body:not(:has(.modal))"},
    ],
});
