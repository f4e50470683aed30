import {registry} from "@web/core/registry";

const tours = registry.category("web_tour.tours");

tours.add("billing_payment_part", {
    url: "/odoo/billing-invoices",
    steps: () => [
        {
            content: "Mark the invoice as paid",
            trigger: ".o_data_row button[name=action_billing_pay]",
            run: "click",
        },
        {content: "The balance is suggested", trigger: ".modal div[name=amount] input:value(100.00)"},
        {content: "It was more", trigger: ".modal div[name=amount] input", run: "edit 120 && press Tab"},
        {
            content: "It says what becomes of the rest",
            trigger: ".modal div[name=billing_plan]:contains('20.00 more than is due: becomes credit of Acme')",
        },
        {content: "It was less", trigger: ".modal div[name=amount] input", run: "edit 20 && press Tab"},
        {content: "It says what stays due", trigger: ".modal div[name=billing_plan]:contains('80.00 stays due')"},
        {content: "Name it", trigger: ".modal div[name=billing_reference] input", run: "edit Transfer 77"},
        {content: "Record it", trigger: ".modal button[name=action_create_payments]", run: "click"},
        {
            content: "The list shows the balance",
            trigger: "body:not(:has(.modal)) .o_data_row td[name=billing_balance]:contains('80.00')",
        },
        {
            content: "And the payment beside it",
            trigger: ".o_data_row button[name=action_billing_payments]",
            run: "click",
        },
        {
            content: "With its reference",
            trigger: ".modal div[name=item_ids] .o_data_row:contains('Transfer 77'):contains('20.00')",
        },
    ],
});

tours.add("billing_payment_allocate", {
    url: "/odoo/billing-payments",
    steps: () => [
        {
            content: "Allocate the payment",
            trigger: ".o_data_row button[name=action_billing_allocate]",
            run: "click",
        },
        {
            content: "Choose the first invoice",
            trigger: ".modal .o_data_row:nth-child(1) td[name=chosen] input",
            run: "click",
        },
        {
            content: "All that is open is suggested",
            trigger:
                ".modal .o_data_row:nth-child(1) td[name=amount]:contains('70.00'), .modal .o_data_row:nth-child(1) td[name=amount] input:value(70.00)",
        },
        {content: "Click into the amount", trigger: ".modal .o_data_row:nth-child(1) td[name=amount]", run: "click"},
        {
            content: "Type a part of it",
            trigger: ".modal .o_data_row:nth-child(1) td[name=amount] input",
            run: "edit 45 && press Tab",
        },
        {content: "The rest stays open", trigger: ".modal div[name=stays_open]:contains('25.00')"},
        {content: "Save", trigger: ".modal button[name=action_allocate]", run: "click"},
        {
            content: "The list shows what is left",
            trigger: "body:not(:has(.modal)) .o_data_row td[name=billing_open]:contains('25.00')",
        },
    ],
});
