import {registry} from "@web/core/registry";

registry.category("web_tour.tours").add("billing_card_staff", {
    steps: () => [
        {
            content: "The button is there, as the client has a saved card",
            trigger: "button[name=action_billing_charge_card]",
            run: "click",
        },
        {
            content: "A part of what is due",
            trigger: ".modal div[name=amount] input",
            run: "edit 40 && press Tab",
        },
        {content: "What stays due is said", trigger: ".modal div[name=left]:contains('75.00')"},
        {content: "Charge it", trigger: ".modal button[name=action_charge]", run: "click"},
        {content: "What came of it is said", trigger: ".o_notification:contains('was taken from')"},
        {
            content: "The invoice is paid in part",
            trigger: "body:not(:has(.modal)) .o_form_view:contains('Partially Paid')",
        },
    ],
});

registry.category("web_tour.tours").add("billing_card_portal", {
    steps: () => [
        {content: "Pay", trigger: "a[data-bs-target='#pay_with']:visible", run: "click"},
        {
            content: "By the saved card",
            trigger: "#pay_with input[name=o_payment_radio][data-payment-option-type=token]:not(:visible)",
            run: "check",
        },
        {
            content: "Now",
            trigger: "#pay_with button[name=o_payment_submit_button]:enabled",
            run: "click",
            expectUnloadPage: true,
        },
        {content: "It is paid", trigger: ".o_billing_invoice:contains('Paid')"},
    ],
});
