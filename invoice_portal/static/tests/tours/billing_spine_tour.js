import {registry} from "@web/core/registry";

const tours = registry.category("web_tour.tours");

tours.add("billing_spine_finalize", {
    url: "/odoo/billing-charges",
    steps: () => [
        {content: "Both charges are open", trigger: ".o_list_view .o_data_row:nth-child(2)"},
        {
            content: "Select them all",
            trigger: ".o_list_view thead .o_list_record_selector input",
            run: "click",
        },
        {
            content: "Invoice them",
            trigger: ".o_control_panel button[name=action_draft_invoice]",
            run: "click",
        },
        {content: "The dialog counts and sums up", trigger: ".modal:contains('1 draft'):contains('350.00')"},
        {content: "Confirm", trigger: ".modal button[name=action_confirm]", run: "click"},
        {content: "Open the Status dropdown of the draft", trigger: ".o_billing_status button", run: "click"},
        {
            content: "Finalize & Lock",
            trigger: ".o-dropdown--menu .o-dropdown-item:has([data-target=finalized])",
            run: "click",
        },
        {content: "It says what locking means", trigger: ".modal:contains('no longer change')"},
        {content: "Confirm", trigger: ".modal button[name=action_confirm]", run: "click"},
        {content: "It is finalized", trigger: ".o_billing_status:contains('Finalized')"},
        {content: "No way back to draft", trigger: "body:not(:has(button[name=button_draft]:visible))"},
    ],
});

tours.add("billing_spine_void", {
    url: "/odoo/billing-invoices",
    steps: () => [
        {content: "Void the invoice", trigger: ".o_data_row button[name=action_billing_void]", run: "click"},
        {content: "The plan names what is due", trigger: ".modal:contains('is still due and will no longer be')"},
        {
            content: "Do not bill the second charge again",
            trigger: ".modal .o_data_row:nth-child(2) td[name=bill_again] input",
            run: "click",
        },
        {content: "Say why", trigger: ".modal div[name=reason] input", run: "edit Billed to the wrong client"},
        {content: "Void", trigger: ".modal button[name=action_void]", run: "click"},
        {
            content: "The list shows it void",
            trigger: "body:not(:has(.modal)) .o_data_row td[name=billing_status]:contains('Void')",
        },
    ],
});

tours.add("billing_spine_portal", {
    url: "/my/invoices",
    steps: () => [
        {
            content: "The client sees the invoice",
            trigger: ".o_portal_my_doc_table a:contains('INV/')",
            run: "click",
            expectUnloadPage: true,
        },
        {content: "And its amount", trigger: "h2:contains('402.50'), .o_portal_sidebar:contains('402.50')"},
    ],
});

tours.add("billing_case_price", {
    url: "/odoo/billing-cases",
    steps: () => [
        {content: "Show cases without a price, too", trigger: ".o_facet_remove", run: "click"},
        {content: "Open the case", trigger: ".o_data_row td[name=name]:contains('Landing page')", run: "click"},
        {content: "Its billing page", trigger: ".nav-link:contains('Billing')", run: "click"},
        {content: "Name a price", trigger: "div[name=billing_price] input", run: "edit 450"},
        {content: "Open the progress of the case", trigger: ".o_field_widget[name=state] button", run: "click"},
        {content: "It is done", trigger: ".o-dropdown--menu .o-dropdown-item:contains('Done')", run: "click"},
        {content: "Save", trigger: ".o_form_button_save", run: "click"},
        {content: "It is to bill", trigger: "div[name=billing_state]:contains('To Bill')"},
        {content: "And how", trigger: ".tab-pane p:contains('open charge now'):visible"},
    ],
});
