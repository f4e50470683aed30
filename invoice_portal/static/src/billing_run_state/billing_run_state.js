import {onWillDestroy, useEffect} from "@odoo/owl";
import {_t} from "@web/core/l10n/translation";
import {registry} from "@web/core/registry";
import {BadgeField, badgeField} from "@web/views/fields/badge/badge_field";

const EVERY_MS = 2000;

/** The state of a run; while it runs, the record is read again every other second, so that its bar moves. */
export class BillingRunStateField extends BadgeField {
    setup() {
        super.setup(...arguments);
        useEffect(
            (state) => {
                clearTimeout(this.timer);
                if (state === "running") {
                    this.watch();
                }
            },
            () => [this.props.record.data[this.props.name]]
        );
        onWillDestroy(() => clearTimeout(this.timer));
    }

    watch() {
        this.timer = setTimeout(async () => {
            if (document.visibilityState === "visible") {
                await this.props.record.load();
            }
            if (this.props.record.data[this.props.name] === "running") {
                this.watch();
            }
        }, EVERY_MS);
    }
}

registry.category("fields").add("billing_run_state", {
    ...badgeField,
    component: BillingRunStateField,
    displayName: _t("State of a billing run, live"),
    supportedTypes: ["selection"],
});
