import hashlib

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import format_date, formatLang

from odoo.addons.invoice_portal.tools.grant import granted, is_granted

ANNEX = "invoice_portal_usage.action_report_usage_annex"
# So many records are printed at most; whoever wants all of them opens the file.
MOST_PRINTED = 600
FEWEST_PRINTED = 20
# Larger files do not go by mail: the printed annex and the invoice say where they are.
MOST_MAILED = 5_000_000
OWN_FIELDS = {"billing_usage_csv_name", "billing_usage_csv_hash"}


class AccountMove(models.Model):
    """The usage that an invoice bills: its records as a file, whose hash stands on the invoice, and as an annex."""

    _inherit = "account.move"

    billing_usage_csv = fields.Binary(
        string="Usage Records",
        attachment=True,
        readonly=True,
        copy=False,
        help="Made when the invoice was finalized, and never again.",
    )
    billing_usage_csv_name = fields.Char(string="Usage Records File", readonly=True, copy=False)
    billing_usage_csv_hash = fields.Char(
        string="SHA-256 of the Usage Records",
        readonly=True,
        copy=False,
        help="Who computes it from the file and gets the same has the very file that this invoice is about.",
    )
    billing_usage_count = fields.Integer(
        string="Usage Records Billed", compute="_compute_billing_usage_count", groups="base.group_user"
    )

    @api.depends("invoice_line_ids.billing_charge_id")
    def _compute_billing_usage_count(self):
        for move in self:
            charges = move._billing_usage_charges()
            move.billing_usage_count = sum(total["count"] for total in charges._usage_totals().values())

    def _billing_usage_lines(self):
        """The lines that bill usage, in the order of the invoice. Elevated: clients read no charges."""
        return self.invoice_line_ids.filtered(
            lambda line: line.display_type == "product" and line.sudo().billing_charge_id.usage_bill_id
        ).sorted(lambda line: (line.sequence, line.id))

    def _billing_usage_charges(self):
        return self._billing_usage_lines().sudo().billing_charge_id

    # -- finalizing ---------------------------------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        for vals in vals_list:
            self._billing_refuse_usage_file(vals)
        return super().create(vals_list)

    def write(self, vals):
        self._billing_refuse_usage_file(vals)
        return super().write(vals)

    def _billing_refuse_usage_file(self, vals):
        """What the invoice says of its file is true, or it is worth nothing: no hand writes it."""
        if vals.keys() & (OWN_FIELDS | {"billing_usage_csv"}) and not is_granted(self.env):
            raise UserError(self.env._("The file of usage records is made by finalizing the invoice, not by hand."))

    def _post(self, soft=True):
        posted = super()._post(soft)
        for move in posted.filtered(lambda move: move.move_type == "out_invoice" and move._billing_usage_lines()):
            move._billing_keep_usage_file()
        return posted

    def _billing_keep_usage_file(self):
        """Make the file of this invoice once and for all.

        Elevated to write it: the invoice is locked by now, and whoever finalizes need not be allowed to read usage.
        """
        self.ensure_one()
        move = self.sudo()
        with move._billing_usage_file() as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            name = move._billing_usage_file_name("csv")
            Attachment = self.env["ir.attachment"].sudo()
            domain = [("res_model", "=", move._name), ("res_id", "=", move.id), ("res_field", "=", "billing_usage_csv")]
            # Of an invoice without lock that was a draft again.
            Attachment.search(domain).unlink()
            Attachment._billing_keep_file(
                file,
                {
                    "name": name,
                    "mimetype": "text/csv",
                    "res_model": move._name,
                    "res_id": move.id,
                    "res_field": "billing_usage_csv",
                    "company_id": move.company_id.id,
                },
            )
        granted(move).write({"billing_usage_csv_name": name, "billing_usage_csv_hash": digest})
        move.invalidate_recordset(["billing_usage_csv"])

    def _billing_usage_file(self):
        """All usage of this invoice: the records of each line, and what makes them the amount of the line."""
        self.ensure_one()
        parts = []
        for line in self._billing_usage_lines():
            billed = line.quantity * line.price_unit * (1 - line.discount / 100)
            parts += line.billing_charge_id._usage_csv_parts(line._billing_usage_item(), billed)
        parts += self._billing_usage_without_charge()
        usage = self.env["billing.usage"].with_company(self.company_id)
        return usage._csv_open(parts, client=self.commercial_partner_id, with_item=True)

    def _billing_usage_without_charge(self):
        """What was used and costs nothing has no line, and is in the file all the same: of each bill once, where its
        first charge is."""
        parts, usage = [], self.env["billing.usage"]
        for bill in self._billing_usage_charges().usage_bill_id:
            charges = bill.charge_ids.sorted("id")
            domain = Domain("bill_id", "=", bill.id)
            for charge in charges.filtered(lambda charge: not charge._is_usage_without_records()):
                domain &= ~Domain(charge._usage_domain())
            if charges[0] in self._billing_usage_charges() and usage._csv_sum(domain)[1]:
                speaking = self.with_context(lang=self.commercial_partner_id.lang or self.env.lang)
                parts.append(("rows", domain, speaking.env._("Free of charge")))
        return parts

    def _billing_usage_file_name(self, kind):
        self.ensure_one()
        speaking = self.with_context(lang=self.partner_id.lang or self.env.lang)
        words = speaking.env._("Usage %s", self.name or self.id)
        return f"{words}.{kind}".replace("/", "-").replace("\\", "-")

    def _billing_usage_csv_sudo(self):
        """The attachment with the file, of an invoice that whoever asks may see; nothing on a draft.

        Elevated for the one attachment: Odoo shows those of fields to whoever may read the field only.
        """
        self.ensure_one()
        if self._billing_hidden_from_clients() or not self.billing_usage_csv_hash:
            return self.env["ir.attachment"].sudo()
        return (
            self.env["ir.attachment"]
            .sudo()
            .search(
                [("res_model", "=", self._name), ("res_id", "=", self.id), ("res_field", "=", "billing_usage_csv")],
                limit=1,
            )
        )

    # -- the annex ----------------------------------------------------------------------------------------------------

    def _billing_annex_facts(self):
        facts = [
            (self.env._("Date"), format_date(self.env, self.invoice_date)),
            (self.env._("Client no."), self.commercial_partner_id.ref),
            (self.env._("Times in"), self.commercial_partner_id.tz or self.company_id.partner_id.tz or "UTC"),
        ]
        return [(label, text) for label, text in facts if text]

    def _billing_annex(self):
        """What the annex shows of each line: `[{"line", "total", "rows", "left_out"}]`. Reads as the user."""
        self.ensure_one()
        lines = self._billing_usage_lines()
        most = max(FEWEST_PRINTED, MOST_PRINTED // (len(lines) or 1))
        parts = []
        for line in lines:
            charge = line.sudo().billing_charge_id
            total = charge._usage_totals()[charge]
            archive = charge.usage_bill_id.archive_id
            rows = [] if archive else charge._usage_records(most)._annex_rows(self.commercial_partner_id)
            parts.append(
                {
                    "name": line._billing_usage_item(),
                    "amount": line.quantity * line.price_unit * (1 - line.discount / 100),
                    "count": total["count"],
                    "quantity": total["quantity"],
                    "rows": rows,
                    "left_out": total["count"] - len(rows),
                    "archived": bool(archive),
                }
            )
        return parts

    def _billing_annex_pages(self, parts, first=34, other=48):
        """The same cut into pages, for engines that repeat no headings: a block is a line's rows on one page."""
        pages, page, left = [], [], first
        for part in parts:
            rows, begun = part["rows"], False
            while not begun or rows:
                # A heading stands with a row at least.
                if left < 6:
                    pages.append(page)
                    page, left = [], other
                now, rows = rows[: left - 4], rows[left - 4 :]
                page.append({**part, "rows": now, "begun": begun, "ends": not rows})
                left -= 4 + len(now)
                begun = True
        return [*pages, page]

    def _billing_document_usage(self):
        """The sentence on the invoice about the file, or nothing: drafts have none."""
        if self.state != "posted" or not self.billing_usage_csv_hash:
            return None
        return self.env._("Usage records: %s", self.billing_usage_csv_name)

    # -- buttons ------------------------------------------------------------------------------------------------------

    def action_billing_usage_records(self):
        """Open the records behind this invoice."""
        self.ensure_one()
        self._billing_check_staff()
        return self._billing_usage_charges().sudo(False)._usage_records_action()

    def action_billing_usage_csv(self):
        """Download the file of all records."""
        self.ensure_one()
        self._billing_check_staff()
        if not self.billing_usage_csv_hash:
            raise UserError(self.env._("The file of usage records is made when the invoice is finalized."))
        return {"type": "ir.actions.act_url", "url": f"/my/invoices/{self.id}/usage.csv", "target": "download"}

    def action_billing_usage_annex(self):
        """Download the records in print."""
        self._billing_check_staff()
        if not self._billing_usage_lines():
            raise UserError(self.env._("No usage is billed here."))
        return self.env.ref(ANNEX).report_action(self, config=False)

    def _billing_usage_annex(self):
        """`(file name, PDF)`"""
        self.ensure_one()
        content, _kind = self.env["ir.actions.report"]._render_qweb_pdf(ANNEX, self.ids)
        return self._billing_usage_file_name("pdf"), content

    def _billing_usage_annex_name(self):
        return self._billing_usage_file_name("pdf").removesuffix(".pdf")


class AccountMoveLine(models.Model):
    _inherit = "account.move.line"

    billing_has_usage = fields.Boolean(
        string="Bills Usage", compute="_compute_billing_has_usage", groups="base.group_user"
    )

    @api.depends("billing_charge_id")
    def _compute_billing_has_usage(self):
        for line in self:
            line.billing_has_usage = bool(line.sudo().billing_charge_id.usage_bill_id)

    def _billing_is_included_usage(self):
        """Whether this is usage that was wholly included: its price says what it would have cost, and no discount was
        granted. Elevated, as clients read no charges."""
        charge = self.sudo().billing_charge_id
        return bool(
            charge.usage_bill_id and self.discount == 100 and not charge.usage_amount and charge.discount == 100
        )

    def _billing_document_row(self):
        """What is included reads as what it is, and makes no column of discounts."""
        row = super()._billing_document_row()
        if self._billing_is_included_usage():
            row |= {"price": formatLang(self.env, 0, dp="Product Price"), "discount": ""}
        return row

    def _billing_before_discount_label(self):
        if self._billing_is_included_usage():
            return self.env._("If it were not included")
        return super()._billing_before_discount_label()

    def _billing_usage_item(self):
        return (self.name or self.product_id.display_name or "").partition("\n")[0]

    def action_billing_usage_records(self):
        """Open the records behind this line."""
        self.move_id._billing_check_staff()
        return self.billing_charge_id._usage_records_action()


class AccountMoveSend(models.AbstractModel):
    _inherit = "account.move.send"

    @api.model
    def _prepare_billing_mail(self, move, data):
        """With the usage that is billed, where the company wants it."""
        values = super()._prepare_billing_mail(move, data)
        if not move.company_id.sudo().billing_usage_annex_mail or not move.billing_usage_csv_hash:
            return values
        files = [move._billing_usage_annex()]
        attachment = move._billing_usage_csv_sudo()
        if attachment.file_size <= MOST_MAILED:
            files.append((attachment.name, attachment.raw))
        values["attachment_ids"] += [
            fields.Command.create({"name": name, "raw": content, "thumbnail": self._billing_file_icon(name)})
            for name, content in files
        ]
        return values
