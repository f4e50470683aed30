import {registry} from "@web/core/registry";

const payByCard = (form) => [
    {
        content: "Its number",
        trigger: `${form} input#customer_input:visible`,
        run: "edit 4242424242424242",
    },
    {
        content: "Pay",
        trigger: `${form} button[name=o_payment_submit_button]:enabled`,
        run: "click",
        expectUnloadPage: true,
    },
];

registry.category("web_tour.tours").add("billing_portal_pay", {
    steps: () => [
        {
            content: "What is due stands first",
            trigger: "[name=due]:contains('150.00')",
        },
        {
            content: "All invoices",
            trigger: ".o_billing_nav a:contains('Invoices')",
            run: "click",
            expectUnloadPage: true,
        },
        {
            content: "The one of 120",
            trigger: "tr:contains('120.00') a[href^='/my/invoices/']:first",
            run: "click",
            expectUnloadPage: true,
        },
        {content: "What is it for?", trigger: ".o_billing_item summary:contains('Support')", run: "click"},
        {content: "That", trigger: ".o_billing_item[open] dt:contains('Quantity')"},
        {content: "Pay it", trigger: "a[data-bs-target='#pay_with']:visible", run: "click"},
        ...payByCard("#pay_with"),
        {content: "It is paid", trigger: ".o_billing_invoice:contains('Paid')"},
    ],
});

registry.category("web_tour.tours").add("billing_portal_prepay", {
    steps: () => [
        {
            content: "Credit",
            trigger: ".o_billing_nav a:contains('Credit')",
            run: "click",
            expectUnloadPage: true,
        },
        {content: "So much", trigger: "#credit_amount", run: "edit 80"},
        {
            content: "Go on",
            trigger: "section[name=add] button:contains('Continue')",
            run: "click",
            expectUnloadPage: true,
        },
        {content: "It is said again", trigger: "p:contains('You pay') strong:contains('80.00')"},
        ...payByCard("#o_payment_form"),
        {
            content: "It is there",
            trigger: "section[name=balance]:contains('80.00')",
        },
    ],
});
