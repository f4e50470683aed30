import {HtmlField, htmlField} from "@html_editor/fields/html_field";
import {registry} from "@web/core/registry";
import {useExternalListener} from "@odoo/owl";

/**
 * Rich text that the keyboard can leave: Tab goes on to the next field, as everywhere else in the form.
 */
export class BillingTextField extends HtmlField {
    setup() {
        super.setup();
        // Before the editor's own shortcut, which would indent. The browser then does what Tab does.
        useExternalListener(window, "keydown", this.onKeydown, {capture: true});
    }

    onKeydown(event) {
        if (event.key === "Tab" && this.editor?.editable?.contains(event.target)) {
            event.stopPropagation();
        }
    }
}

registry.category("fields").add("billing_text", {...htmlField, component: BillingTextField});
