import {Component} from "@odoo/owl";
import {_t} from "@web/core/l10n/translation";
import {registry} from "@web/core/registry";
import {standardFieldProps} from "@web/views/fields/standard_field_props";

/** A mail as its reader will see it: in a frame of its own, where no script runs and no style leaks. */
export class BillingMailPreviewField extends Component {
    static template = "invoice_portal.BillingMailPreviewField";
    static props = {...standardFieldProps};

    get content() {
        return String(this.props.record.data[this.props.name] || "");
    }

    get title() {
        return _t("The mail as it will arrive");
    }
}

registry.category("fields").add("billing_mail_preview", {
    component: BillingMailPreviewField,
    displayName: _t("Preview of a mail"),
    supportedTypes: ["html"],
});
