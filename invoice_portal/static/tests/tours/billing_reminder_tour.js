import {registry} from "@web/core/registry";

const tours = registry.category("web_tour.tours");

tours.add("billing_reminder_and_pause", {
    url: "/odoo/billing-invoices",
    steps: () => [
        {content: "Open the overdue invoice", trigger: ".o_data_row:contains('Acme') td[name=name]", run: "click"},
        {content: "Its reminders", trigger: ".nav-link[name=billing_reminders]", run: "click"},
        {
            content: "It says which comes next",
            trigger: "div[name=billing_reminder_next]:contains('Friendly reminder on')",
        },
        {content: "Now", trigger: "button[name=action_billing_remind]", run: "click"},
        {
            content: "It says what will be said",
            trigger: ".modal:contains('Friendly reminder'):contains('115.00 overdue'):has(div[name=to] input)",
        },
        {content: "Send", trigger: ".modal button[name=action_confirm]", run: "click"},
        {
            content: "It was sent",
            trigger: "body:not(:has(.modal)) .o_data_row:contains('Friendly reminder'):contains('Sent')",
        },
        {content: "Pause the next one", trigger: "button[name=action_billing_reminder_pause]", run: "click"},
        {content: "Why?", trigger: ".modal div[name=reason] input", run: "edit Promised to pay on Friday"},
        {content: "Pause", trigger: ".modal button[name=action_confirm]", run: "click"},
        {
            content: "It says so",
            trigger: "body:not(:has(.modal)) div[name=billing_reminder_next]:contains('Promised to pay on Friday')",
        },
        {content: "After all", trigger: "button[name=action_billing_reminder_resume]", run: "click"},
        {content: "It goes on", trigger: "div[name=billing_reminder_next]:contains('Second reminder on')"},
    ],
});
