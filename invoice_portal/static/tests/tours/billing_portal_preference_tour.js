import {registry} from "@web/core/registry";

// What does not fit would make the whole page scroll sideways.
function checkWidth() {
    const root = document.documentElement;
    if (root.scrollWidth > root.clientWidth) {
        throw new Error(`The page is ${root.scrollWidth} px wide, the screen ${root.clientWidth}`);
    }
}

registry.category("web_tour.tours").add("billing_portal_recipients", {
    url: "/my/billing/preferences",
    steps: () => [
        {
            content: "Who gets invoices from now on",
            trigger: "label[for=billing_email_to]",
            run() {
                checkWidth();
            },
        },
        {trigger: "input#billing_email_to", run: "edit new@acme.example"},
        {
            trigger: ".o_billing_recipients button[type=submit]",
            run: "click",
            expectUnloadPage: true,
        },
        {
            content: "It waits for the old address",
            trigger: "section.alert:contains(new@acme.example)",
            run() {
                checkWidth();
            },
        },
    ],
});

registry.category("web_tour.tours").add("billing_portal_recipients_confirm", {
    steps: () => [
        {
            content: "Old and new, side by side",
            trigger: ".o_billing_confirm li:contains(new@acme.example)",
            run() {
                checkWidth();
            },
        },
        {
            trigger: "button[value=agree]",
            run: "click",
            expectUnloadPage: true,
        },
        {trigger: ".alert-success"},
    ],
});
