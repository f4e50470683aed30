import {registry} from "@web/core/registry";

/**
 * The client looks at what it used, opens its invoice, sees the same usage by day, and downloads the month.
 */
registry.category("web_tour.tours").add("billing_usage_portal", {
    steps: () => [
        {
            content: "Usage",
            trigger: ".o_billing_nav a:contains('Usage')",
            run: "click",
            expectUnloadPage: true,
        },
        {content: "What it costs so far", trigger: "[name=estimate]:contains('3.60')"},
        {content: "By day, as a table", trigger: ".o_usage_chart tfoot:contains('3.60')"},
        {
            content: "The invoice of last month",
            trigger: "section[name=earlier] a[href^='/my/invoices/']",
            run: "click",
            expectUnloadPage: true,
        },
        {content: "By destination", trigger: ".o_billing_item summary:contains('Germany mobile')"},
        {
            content: "By day, please",
            trigger: "#usage a:contains('By day')",
            run: "click",
            expectUnloadPage: true,
        },
        {content: "It comes to the same", trigger: "#usage p:contains('Both ways usage comes to')"},
        {content: "A day", trigger: ".o_billing_item:first summary", run: "click"},
        {
            content: "Its records",
            trigger: ".o_billing_item[open] .o_usage_behind a:contains('All records')",
            run: "click",
            expectUnloadPage: true,
        },
        {content: "One of them", trigger: ".o_usage_rows .o_billing_item:first summary", run: "click"},
        {content: "How it came to its amount", trigger: ".o_usage_rows [open] dt:contains('Matched by')"},
        {
            content: "Back to usage",
            trigger: ".o_billing_nav a:contains('Usage')",
            run: "click",
            expectUnloadPage: true,
        },
        {
            content: "Download the month",
            trigger: "section[name=files] button:contains('CSV')",
            async run() {
                const form = document.querySelector("section[name=files] form");
                const query = new URLSearchParams(new FormData(form));
                const response = await fetch(`${form.action}?${query}`);
                const text = await response.text();
                if (!response.ok || query.get("span") !== "month" || !text.includes("4930777777")) {
                    throw new Error(`No file of the month: ${response.status} ${text.slice(0, 200)}`);
                }
            },
        },
        {
            content: "Nothing is wider than the window",
            trigger: "main",
            run() {
                const {scrollWidth, clientWidth} = document.documentElement;
                if (scrollWidth > clientWidth) {
                    throw new Error(`The page is ${scrollWidth} wide, the window ${clientWidth}.`);
                }
            },
        },
    ],
});
