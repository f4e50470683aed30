import {registry} from "@web/core/registry";
import {rpc} from "@web/core/network/rpc";

const tours = registry.category("web_tour.tours");
const HEADINGS = "id,account,start,destination,duration";

/** Put a file with this text into the field of the dialog. */
function choose(name, text) {
    return ({anchor}) => {
        const files = new window.DataTransfer();
        files.items.add(new File([text], name, {type: "text/csv"}));
        anchor.files = files.files;
        anchor.dispatchEvent(new Event("change", {bubbles: true}));
    };
}

/** The rejected rows as the button gives them, with these cells mended: what a person does in a spreadsheet. */
async function mendedRejects(cells) {
    const answer = await rpc("/web/dataset/call_button/billing.usage.import/action_download_rejects", {
        model: "billing.usage.import",
        method: "action_download_rejects",
        args: [[Number(window.location.pathname.split("/").pop())]],
        kwargs: {},
    });
    const file = await fetch(answer.url);
    // Byte for byte, the mark at the beginning too.
    let text = new window.TextDecoder("utf-8", {ignoreBOM: true}).decode(await file.arrayBuffer());
    for (const [wrong, right] of cells) {
        if (text.split(wrong).length !== 2) {
            throw new Error(`“${wrong}” does not stand once in ${text}`);
        }
        text = text.replace(wrong, right);
    }
    return text;
}

const FILE_INPUT = ".modal div[name=data] input[type=file]:not(:visible), .modal div[name=data] input[type=file]";

tours.add("billing_usage_upload", {
    url: "/odoo/billing-usage-imports",
    steps: () => [
        {content: "It says what to do", trigger: ".o_view_nocontent:contains('Upload File')"},
        {content: "Upload a file", trigger: "button[name=action_upload]:contains('Upload File')", run: "click"},
        {content: "The source is suggested", trigger: ".modal div[name=source_id] input:value(Switch)"},
        {
            content: "Choose the file",
            trigger: FILE_INPUT,
            run: choose(
                "march.csv",
                [
                    HEADINGS,
                    "t1,+49301000,2026-03-10T12:00:00Z,+4989123456,60",
                    "t2,+49301000,2026-03-10T12:05:00Z,+4989123456,a minute",
                    "t3,+49301000,2026-03-10T12:10:00Z,+4915112345,61",
                    "t4,+49301000,10 o'clock,+4989123456,60",
                    "",
                ].join("\n")
            ),
        },
        {content: "It is there", trigger: ".modal div[name=data] input:value(march.csv)"},
        {content: "Look at it", trigger: ".modal button[name=action_upload]", run: "click"},
        {
            content: "How it is understood",
            trigger: "div[name=preview]:contains('2 of the first 4'):contains('Acme'):contains('10 Mar 2026 12:10:00')",
        },
        {content: "And what is not", trigger: "div[name=preview]:contains('is not a moment')"},
        {
            content: "What the columns are",
            trigger: "div[name=column_ids] .o_data_row:contains('duration'):contains('Quantity')",
        },
        {content: "Start", trigger: "button[name=action_start]", run: "click"},
        {content: "It waits for the job", trigger: "div[name=state]:contains('Waiting')"},
    ],
});

tours.add("billing_usage_mend", {
    url: "/odoo/billing-usage-imports",
    steps: () => [
        {content: "Open the import", trigger: ".o_data_row:contains('march.csv') td[name=name]", run: "click"},
        {content: "It is done", trigger: "div[name=state]:contains('Done')"},
        {content: "Two rows were rejected", trigger: ".alert:contains('2 rows were rejected')"},
        {content: "With their reasons", trigger: "div[name=reject_ids] .o_data_row:contains('is not a moment')"},
        {content: "They can be taken along", trigger: "button[name=action_download_rejects]:visible"},
        {content: "Mended", trigger: "button[name=action_upload_mended]", run: "click"},
        {
            content: "Choose the file",
            trigger: FILE_INPUT,
            run: async (helpers) => {
                const text = await mendedRejects([
                    [",a minute", ",60"],
                    [",10 o'clock,", ",2026-03-10T10:00:00Z,"],
                ]);
                choose("march mended.csv", text)(helpers);
            },
        },
        {content: "It is there", trigger: ".modal div[name=data] input:value(march mended.csv)"},
        {content: "Look at it", trigger: ".modal button[name=action_upload]", run: "click"},
        {content: "All is understood", trigger: "div[name=preview]:contains('2 of the first 2')"},
        {content: "Start", trigger: "button[name=action_start]", run: "click"},
        {content: "It waits for the job", trigger: "div[name=state]:contains('Waiting')"},
    ],
});

tours.add("billing_usage_take_back", {
    url: "/odoo/billing-usage-imports",
    steps: () => [
        {content: "Open the mended rows", trigger: ".o_data_row:contains('mended') td[name=name]", run: "click"},
        {content: "Take them back", trigger: "button[name=action_take_back]", run: "click"},
        {content: "It counts what goes", trigger: ".modal:contains('2 records go')"},
        {content: "Take them back", trigger: ".modal button[name=action_take_back]", run: "click"},
        {content: "They are gone", trigger: "body:not(:has(.modal)) div[name=state]:contains('Taken Back')"},
    ],
});
