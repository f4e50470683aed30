import {registry} from "@web/core/registry";

registry.category("web_tour.tours").add("billing_compose", {
    url: "/odoo/billing-create-invoice",
    steps: () => [
        {
            content: "The corner shows the expected number and the moment",
            trigger: "div[name=billing_corner]:contains('Will be INV/'):contains('Created')",
        },
        {
            content: "A number in another format is refused while it is typed, without a dialog",
            trigger: ".oe_title div[name=name] input",
            run: "edit X-9 && press Tab",
        },
        {
            content: "The reason, and what would be taken",
            trigger:
                "body:not(:has(.modal)) div[name=billing_number_refusal]:contains('not written like'):contains('INV/')",
        },
        {
            content: "Without one, it is automatic",
            trigger: ".oe_title div[name=name] input",
            run: "clear && press Tab",
        },
        {
            content: "Nothing to say any more, and the next field has the focus",
            trigger:
                "body:not(:has(div[name=billing_number_refusal]:visible)) div[name=billing_project_id] input:focus",
        },
        {
            content: "Type the first letters of the project",
            trigger: "div[name=billing_project_id] input",
            run: "edit Acm",
        },
        {
            content: "Pick it from the list",
            trigger: ".o-autocomplete--dropdown-item:contains('Acme website')",
            run: "click",
        },
        {content: "The client is filled in", trigger: "div[name=partner_id] input:value(Acme)"},
        {content: "List the cases", trigger: "button[name=action_billing_cases]", run: "click"},
        {
            content: "The billed one cannot be chosen",
            trigger: ".modal .o_data_row:contains('Old work'):contains('Invoiced'):not(:has(td[name=chosen] input))",
        },
        {
            content: "Choose the other",
            trigger: ".modal .o_data_row:contains('New work') td[name=chosen] input",
            run: "click",
        },
        {content: "Attach it", trigger: ".modal button[name=action_attach]", run: "click"},
        {
            content: "Its price fills the amount",
            trigger:
                "body:not(:has(.modal)) div[name=invoice_line_ids] .o_data_row:contains('New work'):contains('120.00')",
        },
        {
            content: "The project is changed knowingly from now on",
            trigger: "button[name=action_billing_change_project]",
        },
        {content: "Insert a free item", trigger: "div[name=invoice_line_ids] a:contains('Add a line')", run: "click"},
        {
            // Where the product column is shown, the description hides behind a button of its cell.
            content: "Open the description",
            trigger: "div[name=invoice_line_ids] .o_selected_row",
            run: () => document.querySelector(".o_selected_row #labelVisibilityButtonId")?.click(),
        },
        {
            content: "Describe it",
            trigger:
                "div[name=invoice_line_ids] .o_selected_row td[name=name] textarea, div[name=invoice_line_ids] .o_selected_row div[name=product_id] textarea",
            run: "edit Courier && press Tab",
        },
        {
            content: "Its amount",
            trigger: "div[name=invoice_line_ids] .o_selected_row td[name=price_unit] input",
            run: "edit 30",
        },
        {
            content: "Write a note to the client",
            trigger: "div[name=billing_note] .note-editable",
            run: "click && editor Thank you",
        },
        {
            content: "Tab does not indent it",
            trigger: "div[name=billing_note] .note-editable",
            run: "press Tab",
        },
        {content: "Save the draft", trigger: ".o_form_button_save", run: "click"},
        {content: "Saved", trigger: ".o_form_saved, .o_form_view:not(:has(.o_form_button_save:visible))"},
        {content: "A local copy of the draft", trigger: "button[name=action_billing_pdf]", run: "click"},
        {content: "It is made and downloaded", trigger: "body:not(:has(.o_blockUI))"},
        {content: "Open the Status dropdown", trigger: ".o_billing_status button", run: "click"},
        {
            content: "Finalize & Lock",
            trigger: ".o-dropdown--menu .o-dropdown-item:has([data-target=finalized])",
            run: "click",
        },
        {content: "Confirm", trigger: ".modal button[name=action_confirm]", run: "click"},
        {content: "It is finalized", trigger: ".o_billing_status:contains('Finalized')"},
        {content: "Open the Status dropdown", trigger: ".o_billing_status button", run: "click"},
        {content: "Send", trigger: ".o-dropdown--menu .o-dropdown-item:has([data-target=sent])", run: "click"},
        {
            content: "To is the project's default",
            trigger: ".modal div[name=billing_to] input:value(team@acme.example)",
        },
        {content: "Type another one, wrongly", trigger: ".modal div[name=billing_to] input", run: "edit boss@"},
        {content: "And a copy", trigger: ".modal div[name=billing_cc] input", run: "edit lead@acme.example"},
        {content: "It is named", trigger: ".modal div[name=billing_problem]:contains('“boss@”')"},
        {
            content: "That is a custom address now; restore the default",
            trigger: ".modal button[name=action_billing_restore_default]",
            run: "click",
        },
        {
            content: "The project's is back",
            trigger: ".modal div[name=billing_to] input:value(team@acme.example)",
        },
        {content: "Cc", trigger: ".modal div[name=billing_cc] input", run: "edit lead@acme.example"},
        {content: "Bcc", trigger: ".modal div[name=billing_bcc] input", run: "edit audit@firm.example"},
        {content: "Look at it", trigger: ".modal .nav-link:contains('Preview')", run: "click"},
        {content: "As it will arrive", trigger: ".modal div[name=billing_preview] iframe"},
        {content: "Send it", trigger: ".modal footer button[name=action_send_and_print]", run: "click"},
        {content: "The mail server took it", trigger: "body:not(:has(.modal)) .o_billing_status:contains('Sent')"},
    ],
});
