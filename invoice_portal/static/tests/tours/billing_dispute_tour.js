import {registry} from "@web/core/registry";

registry.category("web_tour.tours").add("billing_dispute_object", {
    steps: () => [
        {content: "Open the first item", trigger: ".o_billing_item:first summary", run: "click"},
        {
            content: "Object to it",
            trigger: ".o_billing_item:first a:contains('Object to this item')",
            run: "click",
            expectUnloadPage: true,
        },
        {content: "Why", trigger: "input#objection_kind_amount", run: "click"},
        {content: "In words", trigger: "#objection_words", run: "edit It was one hour less"},
        {content: "How much", trigger: "#objection_amount", run: "edit 15"},
        {content: "Say so", trigger: "form[name=objection] button[type=submit]", run: "click", expectUnloadPage: true},
        {content: "It is said", trigger: ".alert-success:contains('objection')"},
        {
            content: "And stands at the item, open",
            trigger: "[data-state=open]:contains('It was one hour less')",
        },
    ],
});

registry.category("web_tour.tours").add("billing_dispute_decline", {
    steps: () => [
        {
            content: "The invoice says how much is contested",
            trigger: ".alert:contains('Contested') button[name=action_billing_disputes]",
            run: "click",
        },
        {content: "The objection", trigger: ".o_data_cell:contains('It was one hour less')", run: "click"},
        {content: "Decline it", trigger: ".o_form_view button[name=action_decline]", run: "click"},
        {
            content: "With words",
            trigger: ".modal div[name=answer] textarea",
            run: "edit Agreed on the phone",
        },
        {content: "Confirm", trigger: ".modal button[name=action_confirm]", run: "click"},
        {content: "It is declined", trigger: "body:not(:has(.modal)) .o_form_view:contains('Agreed on the phone')"},
    ],
});

registry.category("web_tour.tours").add("billing_dispute_answer", {
    steps: () => [
        {content: "Open the item", trigger: ".o_billing_item:first summary", run: "click"},
        {content: "The answer", trigger: "[data-state=declined]:contains('Agreed on the phone')"},
        {content: "The rest can be contested", trigger: ".o_billing_item:first a:contains('Object to this item')"},
    ],
});
