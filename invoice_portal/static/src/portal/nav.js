import {Interaction} from "@web/public/interaction";
import {registry} from "@web/core/registry";

/**
 * On a phone the entries are wider than the window: shows the one that is open.
 */
export class BillingNav extends Interaction {
    static selector = ".o_billing_nav .nav-tabs";

    start() {
        const active = this.el.querySelector(".active");
        active?.scrollIntoView({block: "nearest", inline: "center"});
    }
}

registry.category("public.interactions").add("invoice_portal.nav", BillingNav);
