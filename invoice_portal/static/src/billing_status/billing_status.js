import {Component} from "@odoo/owl";
import {ConfirmationDialog} from "@web/core/confirmation_dialog/confirmation_dialog";
import {Dropdown} from "@web/core/dropdown/dropdown";
import {DropdownItem} from "@web/core/dropdown/dropdown_item";
import {_t} from "@web/core/l10n/translation";
import {registry} from "@web/core/registry";
import {useService} from "@web/core/utils/hooks";
import {standardFieldProps} from "@web/views/fields/standard_field_props";

const COLORS = {
    draft: "text-bg-info",
    finalized: "text-bg-primary",
    sent: "text-bg-primary",
    partial: "text-bg-warning",
    overdue: "text-bg-danger",
    paid: "text-bg-success",
};

/**
 * The Status dropdown of an invoice: where it stands, and exactly the moves that the server allows from there
 * (`billing_moves`). A move that needs a confirmation opens its dialog on the server's word.
 */
export class BillingStatusField extends Component {
    static template = "invoice_portal.BillingStatusField";
    static components = {Dropdown, DropdownItem};
    static props = {...standardFieldProps};

    setup() {
        this.action = useService("action");
        this.dialog = useService("dialog");
        this.orm = useService("orm");
    }

    get status() {
        return this.props.record.data[this.props.name];
    }

    get label() {
        const options = this.props.record.fields[this.props.name].selection;
        return options.find(([key]) => key === this.status)?.[1] ?? "";
    }

    get color() {
        return COLORS[this.status] ?? "text-bg-secondary";
    }

    get moves() {
        return this.props.record.data.billing_moves || [];
    }

    get title() {
        return this.moves.length ? _t("Status: choose the next step") : _t("Status: nothing follows from here");
    }

    onSelect(move) {
        if (!move.confirm) {
            return this.take(move.target);
        }
        this.dialog.add(ConfirmationDialog, {
            title: move.label,
            body: move.confirm,
            confirmLabel: move.label,
            confirm: () => this.take(move.target),
            cancelLabel: _t("Back"),
            cancel: () => {},
        });
    }

    async take(target) {
        const {record} = this.props;
        if (!(await record.save())) {
            return;
        }
        const action = await this.orm.call(record.resModel, "action_billing_move", [[record.resId], target]);
        // The form may have been loaded anew in the meantime, as after a PDF: then this is another record by now.
        const reload = () => this.props.record.load();
        if (action) {
            await this.action.doAction(action, {onClose: reload, clearBreadcrumbs: target === "deleted"});
        } else {
            await reload();
        }
    }
}

registry.category("fields").add("billing_status", {
    component: BillingStatusField,
    displayName: _t("Billing status with its next steps"),
    supportedTypes: ["selection"],
    fieldDependencies: [{name: "billing_moves", type: "json", readonly: true}],
});
