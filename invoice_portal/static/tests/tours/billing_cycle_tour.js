import {registry} from "@web/core/registry";

const tours = registry.category("web_tour.tours");

tours.add("billing_cycle_choose", {
    url: "/odoo/billing-clients",
    steps: () => [
        {content: "Open the client", trigger: ".o_data_row td[name=display_name]:contains('Acme')", run: "click"},
        {content: "Its billing", trigger: ".nav-link:contains('Billing')", run: "click"},
        {content: "Choose the cycle", trigger: "div[name=billing_cycle_id] input", run: "edit Monthly"},
        {content: "Monthly", trigger: ".o-autocomplete--dropdown-item:contains('Monthly')", run: "click"},
        {content: "Save", trigger: ".o_form_button_save", run: "click"},
        {content: "It says when the next invoice comes", trigger: "div[name=billing_next_date]:contains('1')"},
        {content: "What will it hold?", trigger: "button[name=action_billing_upcoming]", run: "click"},
        {content: "As of now", trigger: ".modal:contains('Hosting'):contains('Nothing was written')"},
        {content: "Close", trigger: ".modal footer button[special=cancel]", run: "click"},
        {content: "Closed", trigger: "body:not(:has(.modal))"},
    ],
});

tours.add("billing_cycle_rehearse", {
    url: "/odoo/billing-cycles",
    steps: () => [
        {
            content: "Rehearse the monthly cycle",
            trigger: ".o_data_row:contains('Monthly') button[name=action_rehearse]",
            run: "click",
        },
        {content: "It is a rehearsal", trigger: ".o_form_view:contains('Nothing was billed')"},
    ],
});

tours.add("billing_cycle_compare", {
    url: "/odoo/billing-runs",
    steps: () => [
        {
            content: "Open the rehearsal",
            trigger: ".o_data_row td[name=display_name]:contains('rehearsal')",
            run: "click",
        },
        {content: "What it would come to", trigger: ".o_data_row:contains('Acme'):contains('115.00')"},
        {content: "By item and by tax", trigger: ".nav-link:contains('Totals')", run: "click"},
        {content: "The total", trigger: "div[name=totals] tfoot:contains('115.00')"},
        {content: "It is said in words, too", trigger: ".o-mail-Message:contains('nothing was billed')"},
        {content: "And it can be taken along", trigger: "button[name=action_download]"},
        {content: "Client by client", trigger: "button[name=action_open_clients]", run: "click"},
        {content: "What would become of it", trigger: ".o_list_view .o_data_row:contains('Acme'):contains('To Bill')"},
        {content: "Back", trigger: ".o_breadcrumb a:contains('rehearsal')", run: "click"},
        {content: "Run it", trigger: "button[name=action_start_for_real]", run: "click"},
        {
            content: "The real run",
            trigger: ".o_form_view:not(:contains('Nothing was billed')) .o_data_row:contains('Acme')",
        },
    ],
});

tours.add("billing_cycle_review", {
    url: "/odoo/billing-runs",
    steps: () => [
        {
            content: "Open the run",
            trigger: ".o_data_row td[name=display_name]:not(:contains('rehearsal'))",
            run: "click",
        },
        {content: "The client is billed", trigger: ".o_data_row:contains('Acme'):contains('Billed')"},
        {content: "Finalize all", trigger: "button[name=action_finalize]", run: "click"},
        {content: "Confirm", trigger: ".modal button[name=action_confirm]", run: "click"},
        {
            content: "Nothing is left to finalize",
            trigger: "body:not(:has(.modal)):not(:has(button[name=action_finalize]))",
        },
    ],
});

tours.add("billing_cycle_held", {
    url: "/odoo/billing-runs",
    steps: () => [
        {
            content: "Open the newer run",
            trigger: ".o_data_row:contains('Needs Attention') td[name=display_name]",
            run: "click",
        },
        {content: "It waits for somebody", trigger: "div[name=state]:contains('Needs Attention')"},
        {content: "The steady client is billed", trigger: ".o_data_row:contains('Bolt'):contains('Billed')"},
        {
            content: "What is unusual is held, and why",
            trigger: ".o_data_row:contains('Acme'):contains('Held'):contains('more than last time')",
        },
        {content: "Finalize all", trigger: "button[name=action_finalize]", run: "click"},
        {content: "Confirm", trigger: ".modal button[name=action_confirm]", run: "click"},
        {content: "Nothing waits any more", trigger: "body:not(:has(.modal)) div[name=state]:contains('Done')"},
        {content: "The client is billed", trigger: ".o_data_row:contains('Acme'):contains('Billed')"},
        {content: "Nothing is left to finalize", trigger: "body:not(:has(button[name=action_finalize]))"},
    ],
});
