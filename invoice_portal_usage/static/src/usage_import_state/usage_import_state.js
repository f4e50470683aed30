import {onWillDestroy, useEffect} from "@odoo/owl";
import {_t} from "@web/core/l10n/translation";
import {registry} from "@web/core/registry";
import {BadgeField, badgeField} from "@web/views/fields/badge/badge_field";

const EVERY_MS = 2000;
const MOVING = ["waiting", "running"];

/** The state of an import; while its file is read, the record is read again every other second. */
export class UsageImportStateField extends BadgeField {
    setup() {
        super.setup(...arguments);
        useEffect(
            (state) => {
                clearTimeout(this.timer);
                if (MOVING.includes(state)) {
                    this.watch();
                }
            },
            () => [this.props.record.data[this.props.name]]
        );
        onWillDestroy(() => clearTimeout(this.timer));
    }

    watch() {
        clearTimeout(this.timer);
        this.timer = setTimeout(async () => {
            if (document.visibilityState === "visible") {
                await this.props.record.load();
            }
            if (MOVING.includes(this.props.record.data[this.props.name])) {
                this.watch();
            }
        }, EVERY_MS);
    }
}

registry.category("fields").add("usage_import_state", {
    ...badgeField,
    component: UsageImportStateField,
    displayName: _t("State of a usage import, live"),
    supportedTypes: ["selection"],
});
