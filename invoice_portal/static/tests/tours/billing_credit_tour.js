import {registry} from "@web/core/registry";

const tours = registry.category("web_tour.tours");

tours.add("billing_credit_prepay", {
    url: "/odoo/billing-clients",
    steps: () => [
        {content: "Open the client", trigger: ".o_data_row td[name=display_name]:contains('Acme')", run: "click"},
        {content: "Money came in", trigger: "button[name=action_billing_add_credit]", run: "click"},
        {content: "So much", trigger: ".modal div[name=amount] input", run: "edit 120"},
        {content: "For what", trigger: ".modal div[name=memo] input", run: "edit Prepaid work"},
        {content: "Add it", trigger: ".modal button[name=action_confirm]", run: "click"},
        {content: "Said", trigger: ".o_notification:contains('120.00')"},
        {content: "Closed", trigger: "body:not(:has(.modal))"},
        {
            content: "Its credit",
            trigger: "button[name=action_billing_credit]:contains('120.00')",
            run: "click",
        },
        {content: "Where it came from", trigger: ".o_data_row:contains('Prepaid work'):contains('120.00')"},
    ],
});

tours.add("billing_credit_spend", {
    url: "/odoo/billing-invoices",
    steps: () => [
        {
            content: "Open the draft",
            trigger: ".o_data_row:contains('Acme') td[name=commercial_partner_id]",
            run: "click",
        },
        {
            content: "Finalize",
            trigger: ".o_form_view .o_statusbar_buttons button[name=action_billing_finalize]",
            run: "click",
        },
        {content: "Confirm", trigger: ".modal button[name=action_confirm]", run: "click"},
        {content: "Paid from credit", trigger: ".o_form_view div[name=billing_status]:contains('Paid')"},
        {content: "Said so", trigger: ".o-mail-Message:contains('credit')"},
    ],
});
