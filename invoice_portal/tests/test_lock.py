from contextlib import contextmanager

from odoo import SUPERUSER_ID, Command, fields
from odoo.exceptions import UserError
from odoo.models import MAGIC_COLUMNS
from odoo.service.model import call_kw
from odoo.tests import tagged

from .common import BillingCommon

# Context keys that Odoo heeds somewhere between a call and the database, and some that look as if we did.
HOSTILE_KEYS = {
    "billing_grant": True,
    "billing_locked": False,
    "bypass_lock_check": True,
    "check_move_validity": False,
    "default_billing_locked": False,
    "dynamic_unlink": True,
    "force_delete": True,
    "import_file": True,
    "install_mode": True,
    "is_payment": True,
    "is_statement_line": True,
    "mail_notrack": True,
    "move_reverse_cancel": True,
    "skip_account_deprecation_check": True,
    "skip_account_move_synchronization": True,
    "skip_analytic_sync": True,
    "skip_computed_taxes": True,
    "skip_invoice_line_sync": True,
    "skip_invoice_sync": True,
    "skip_is_manually_modified": True,
    "skip_readonly_check": True,
    "tracking_disable": True,
}

OWN_FIELDS = {
    "billing_locked": False,
    "billing_void_date": "2020-01-01 00:00:00",
    "billing_void_move_id": False,
    "billing_void_reason": "Because",
}

# Stored, and knowingly not locked: what people, the post office, payments and the bookkeeper do with it afterwards.
OPEN_FIELDS = {
    "billing_autopay_date",
    "billing_autopay_note",
    "billing_last_attempt_on",
    "billing_links_revoked_on",
    "auto_post_origin_id",
    "auto_post_until",
    "billing_email_bcc",
    "billing_email_cc",
    "billing_email_custom",
    "billing_email_to",
    "billing_note_typed",
    "billing_reminder_pause_reason",
    "billing_reminder_paused_until",
    "billing_to_print",
    "billing_run_client_id",
    "billing_terms_typed",
    "checked",
    "invoice_source_email",
    "invoice_user_id",
    "is_manually_modified",
    "is_move_sent",
    "preferred_payment_method_line_id",
}
OPEN_LINE_FIELDS = {
    "full_reconcile_id",
    "matching_number",
    "no_followup",
    "payment_id",
    "reconcile_model_id",
    "statement_id",
    "statement_line_id",
}


class LockCommon(BillingCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.invoice = cls._finalized(cls._new_charge("Hosting") | cls._new_charge("Support", 50, quantity=2))
        cls.line = cls.invoice.invoice_line_ids[0]
        cls.receivable = cls.invoice.line_ids.filtered(lambda line: line.display_type == "payment_term")
        cls.root = cls.env(user=SUPERUSER_ID)

    @classmethod
    def _plain_invoice(cls, **values):
        """A draft typed by hand, without charges."""
        return cls.env["account.move"].create(
            {
                "move_type": "out_invoice",
                "partner_id": cls.client.id,
                "invoice_line_ids": [
                    Command.create({"name": "By hand", "price_unit": 30, "tax_ids": [Command.set(cls.tax.ids)]})
                ],
                **values,
            }
        )

    def _other_company(self):
        companies = self.root["res.company"]
        return companies.search([("name", "=", "Second")]) or companies.create({"name": "Second"})

    def _document(self, invoice, without=()):
        """All that the database holds of an invoice and its lines, as rows."""
        self.env.flush_all()
        self.env.cr.execute(
            """
                SELECT to_jsonb(move) FROM account_move move WHERE id = %(id)s
             UNION ALL
                (SELECT to_jsonb(line) FROM account_move_line line WHERE move_id = %(id)s ORDER BY id)
             UNION ALL
                (SELECT to_jsonb(rel) FROM account_move_line_account_tax_rel rel
                   JOIN account_move_line line ON line.id = rel.account_move_line_id
                  WHERE line.move_id = %(id)s ORDER BY rel)
             UNION ALL
                (SELECT to_jsonb(rel) FROM account_account_tag_account_move_line_rel rel
                   JOIN account_move_line line ON line.id = rel.account_move_line_id
                  WHERE line.move_id = %(id)s ORDER BY rel)
            """,
            {"id": invoice.id},
        )
        skipped = {"write_date", "write_uid", "is_manually_modified", *without}
        return [
            {name: value for name, value in row.items() if name not in skipped} for (row,) in self.env.cr.fetchall()
        ]

    @contextmanager
    def assertLocked(self, invoice=None, **message):
        """The lock refuses what happens in here, in its own words, and nothing of the invoice has changed."""
        invoice = invoice or self.invoice
        before, name = self._document(invoice), invoice.display_name
        with self.assertRaises(UserError, **message) as refusal:
            yield
        self.assertIn(f"{name} is finalized and locked", str(refusal.exception))
        self.assertEqual(self._document(invoice), before)

    def _each_caller(self):
        """Billing staff, and the superuser whom no access rule holds back."""
        for env in (self.env, self.root):
            with self.subTest(by=env.user.login):
                yield env

    def _rpc(self, records, method, *args, env=None, **context):
        """The call as it comes from a browser or through the external API."""
        model = (env or self.env)[records._name]
        ids = [] if getattr(getattr(model, method), "_api_model", False) else [records.ids]
        return call_kw(model, method, [*ids, *args], {"context": context})


@tagged("post_install", "-at_install")
class TestLockedFields(LockCommon):
    def _header_edits(self):
        euro = self.env.ref("base.EUR")
        euro.sudo().active = True
        journal = self.invoice.journal_id.sudo().copy()
        term = self.env["account.payment.term"].sudo().create({"name": "Some day"})
        rounding = (
            self.env["account.cash.rounding"]
            .sudo()
            .create(
                {
                    "name": "Up",
                    "rounding": 1,
                    "strategy": "add_invoice_line",
                    "profit_account_id": self.line.account_id.id,
                }
            )
        )
        position = self.env["account.fiscal.position"].sudo().create({"name": "Elsewhere"})
        bank = self.env["res.partner.bank"].sudo().create({"acc_number": "0815", "partner_id": self.other_client.id})
        self.invoice._portal_ensure_token()
        payment = self.env["account.payment"].create({"partner_id": self.client.id, "amount": 1})
        statement_line = (
            self.env["account.bank.statement.line"]
            .sudo()
            .create({"journal_id": self.company_data["default_journal_bank"].id, "amount": 1, "payment_ref": "Paid"})
        )
        paid = self._finalized()
        self._pay(paid)
        partial = paid.line_ids.matched_credit_ids
        return {
            "access_token": "0",
            "always_tax_exigible": not self.invoice.always_tax_exigible,
            "amount_residual": 0,
            "amount_residual_signed": 0,
            "amount_tax": 1,
            "amount_tax_signed": 1,
            "amount_total": 1,
            "amount_total_in_currency_signed": 1,
            "amount_total_signed": 1,
            "amount_untaxed": 1,
            "amount_untaxed_in_currency_signed": 1,
            "amount_untaxed_signed": 1,
            "auto_post": "monthly",
            "billing_discount": 5,
            "billing_discount_type": "fixed",
            "billing_note": "Something else",
            "billing_project_id": self.project.id,
            "commercial_partner_id": self.other_client.id,
            "company_id": self._other_company().id,
            "currency_id": euro.id,
            "date": "2020-01-01",
            "delivery_date": "2020-01-01",
            "fiscal_position_id": position.id,
            "inalterable_hash": "$4$0",
            "incoterm_location": "Harbour",
            "invoice_cash_rounding_id": rounding.id,
            "invoice_currency_rate": 3,
            "invoice_date": "2020-01-01",
            "invoice_date_due": "2099-01-01",
            "invoice_incoterm_id": self.env.ref("account.incoterm_EXW").id,
            "invoice_origin": "Somewhere",
            "invoice_partner_display_name": "Somebody",
            "invoice_payment_term_id": term.id,
            "invoice_pdf_report_id": self.env["ir.attachment"].create({"name": "Another"}).id,
            "journal_id": journal.id,
            "made_sequence_gap": not self.invoice.made_sequence_gap,
            "move_type": "out_refund",
            "name": "INV/1/1",
            "narration": "Something else",
            "origin_payment_id": payment.id,
            "partner_bank_id": bank.id,
            "partner_id": self.other_client.id,
            "partner_shipping_id": self.other_client.id,
            "posted_before": False,
            "qr_code_method": "sct_qr",
            "payment_reference": "Something else",
            "payment_state": "paid",
            "quick_edit_total_amount": 1,
            "ref": "Something else",
            "restrict_mode_hash_table": not self.invoice.restrict_mode_hash_table,
            "reversed_entry_id": self._plain_invoice().id,
            "secure_sequence_number": 4711,
            "sequence_number": 4711,
            "sequence_prefix": "X",
            "state": "draft",
            "statement_line_id": statement_line.id,
            "tax_cash_basis_origin_move_id": paid.id,
            "tax_cash_basis_rec_id": partial.id,
            "tax_totals": dict(self.invoice.tax_totals, total_amount_currency=1),
            "taxable_supply_date": "2020-01-01",
        }

    def _line_edits(self):
        return {
            "account_id": self.line.account_id.sudo().copy().id,
            "amount_currency": -1,
            "amount_residual": 1,
            "amount_residual_currency": 1,
            "balance": -1,
            "billing_charge_id": self._new_charge().id,
            "billing_overall_discount": True,
            "billing_package_id": self._new_package().id,
            "billing_period_end": "2020-01-01",
            "billing_period_start": "2020-01-01",
            "collapse_composition": True,
            "collapse_prices": True,
            "credit": 1,
            "company_currency_id": self.env.ref("base.EUR").id,
            "company_id": self._other_company().id,
            "currency_id": self.env.ref("base.EUR").id,
            "date": "2020-01-01",
            "date_maturity": "2020-01-01",
            "debit": 1,
            "deductible_amount": 50,
            "discount": 99,
            "discount_amount_currency": 1,
            "discount_balance": 1,
            "discount_date": "2020-01-01",
            "display_type": "line_note",
            "extra_tax_data": {"price_unit": 1},
            "group_tax_id": self.tax.id,
            "invoice_date": "2020-01-01",
            "is_imported": True,
            "is_storno": True,
            "journal_id": self.company_data["default_journal_misc"].id,
            "move_id": self._plain_invoice().id,
            "move_name": "INV/1/1",
            "name": "Something else",
            "parent_state": "draft",
            "partner_id": self.other_client.id,
            "payment_date": "2020-01-01",
            "price_subtotal": 1,
            "price_total": 1,
            "price_unit": 1,
            "product_id": self.product_a.id,
            "product_uom_id": self.env.ref("uom.product_uom_dozen").id,
            "quantity": 99,
            "reconciled": True,
            "ref": "Something else",
            "sequence": 99,
            "tax_base_amount": 1,
            "tax_group_id": self.tax.tax_group_id.id,
            "tax_ids": [Command.clear()],
            "tax_line_id": self.tax.id,
            "tax_repartition_line_id": self.tax.invoice_repartition_line_ids[0].id,
            "tax_tag_ids": [Command.create({"name": "T", "applicability": "taxes"})],
        }

    def test_no_field_of_the_document_changes_by_write(self):
        edits = self._header_edits()
        for env in self._each_caller():
            for name, value in edits.items():
                with self.subTest(field=name), self.assertLocked():
                    self.invoice.with_env(env).write({name: value})

    def test_no_field_of_a_line_changes_by_write(self):
        edits = self._line_edits()
        for env in self._each_caller():
            for name, value in edits.items():
                with self.subTest(field=name), self.assertLocked():
                    self.line.with_env(env).write({name: value})

    def test_the_amount_still_due_is_not_written_on_the_receivable_line(self):
        for values in ({"amount_residual": 0}, {"amount_residual_currency": 0}, {"reconciled": True}, {"debit": 1}):
            with self.subTest(values), self.assertLocked():
                self._rpc(self.receivable, "write", values)

    def test_a_tax_made_on_the_way_is_refused_too(self):
        """Odoo itself compares ids only, and a new tax has none yet."""
        for name, new in (
            ("tax_ids", {"name": "Zero", "amount": 0, "tax_group_id": self.tax.tax_group_id.id}),
            ("tax_tag_ids", {"name": "Tag", "applicability": "taxes"}),
        ):
            kept = [Command.link(id_) for id_ in self.line[name].ids]
            with self.subTest(name), self.assertLocked():
                self.line.with_env(self.root).write(
                    {name: [*kept, Command.create(new)], "analytic_distribution": False, "is_imported": True}
                )

    def test_odoo_secures_it_with_its_hash(self):
        before = self._document(self.invoice, {"inalterable_hash"})
        self._rpc(self.invoice, "button_hash")
        secured = self.invoice.inalterable_hash
        self.assertTrue(secured)
        self.assertEqual(self._document(self.invoice, {"inalterable_hash"}), before)
        self.invoice.journal_id.sudo().restrict_mode_hash_table = True
        later = self._finalized()
        self.assertTrue(later.billing_locked and later.inalterable_hash)
        for value in (False, "$4$0"):
            with self.assertRaises(UserError):
                self._rpc(later, "write", {"inalterable_hash": value}, **HOSTILE_KEYS)

    def test_no_stored_field_was_forgotten(self):
        """A field that comes with a new version of Odoo shows up here: lock it, or say why it stays open."""
        for records, locked, still_open in (
            (self.invoice, self._header_edits().keys() | OWN_FIELDS.keys() | {"sending_data"}, OPEN_FIELDS),
            (self.line, self._line_edits().keys(), OPEN_LINE_FIELDS),
        ):
            stored = {
                name
                for name, field in records._fields.items()
                if field.column_type
                and field.store
                and field._modules
                and set(field._modules) <= {"account", "invoice_portal"}
            }
            with self.subTest(records._name):
                self.assertEqual(locked & still_open, set())
                self.assertEqual(stored - locked - set(MAGIC_COLUMNS), still_open)

    def test_a_write_that_changes_nothing_passes(self):
        """Callers may send back what they read."""
        before = self._document(self.invoice)
        self.invoice.write(
            {"ref": self.invoice.ref, "journal_id": self.invoice.journal_id.id, "name": self.invoice.name}
        )
        self.line.write({"name": "Hosting", "quantity": 1, "price_unit": 100, "tax_ids": [Command.set(self.tax.ids)]})
        self.assertEqual(self._document(self.invoice), before)

    def test_only_odoos_send_queue_says_who_sends_it(self):
        other = {"author_user_id": self.root.uid, "author_partner_id": self.other_client.id}
        for context in ({}, HOSTILE_KEYS):
            with self.assertLocked():
                self._rpc(self.invoice, "write", {"sending_data": other}, **context)
        second = self._finalized()
        wizard = self.env["account.move.send.batch.wizard"].create({"move_ids": (self.invoice | second).ids})
        wizard.action_send_and_print()
        self.assertEqual(self.invoice.sending_data["author_user_id"], self.env.uid)
        with self.assertLocked():
            self._rpc(self.invoice, "write", {"sending_data": other})
        self._rpc(self.invoice, "write", {"sending_data": False})
        self.assertFalse(self.invoice.is_being_sent)

    def test_the_token_of_the_clients_link_is_made_once_and_by_odoo(self):
        with self.assertLocked():
            self._rpc(self.invoice, "write", {"access_token": "easily guessed"})
        token = self.invoice._portal_ensure_token()
        self.assertTrue(token)
        for env in self._each_caller():
            for value in ("easily guessed", False):
                with self.assertLocked():
                    self._rpc(self.invoice, "write", {"access_token": value}, env=env)
        self.assertEqual(self.invoice._portal_ensure_token(), token)

    # -- the lock itself ----------------------------------------------------------------------------------------------

    def test_nobody_writes_the_lock_or_the_void_by_hand(self):
        draft = self._plain_invoice()
        for env in self._each_caller():
            for name, value in OWN_FIELDS.items():
                for invoice in (self.invoice, draft):
                    before = self._document(invoice)
                    with self.subTest(field=name, state=invoice.state):
                        with self.assertRaisesRegex(UserError, "locked by finalizing it and voided by"):
                            self._rpc(invoice, "write", {name: value}, env=env, **HOSTILE_KEYS)
                        self.assertEqual(self._document(invoice), before)

    def test_no_invoice_starts_locked_or_void(self):
        for env in self._each_caller():
            for name, value in OWN_FIELDS.items():
                with self.subTest(field=name):
                    with self.assertRaisesRegex(UserError, "starts as a draft, neither locked nor void"):
                        env["account.move"].create({"move_type": "out_invoice", name: value or True})
                    with self.assertRaisesRegex(UserError, "starts as a draft, neither locked nor void"):
                        self.invoice.with_env(env).copy({name: value or True})

    def test_a_default_of_a_context_neither_locks_nor_voids(self):
        plain = self._plain_invoice().with_context(
            default_billing_locked=True,
            default_billing_void_move_id=self.invoice.id,
            default_billing_void_reason="Because",
        )
        created = plain.create({"move_type": "out_invoice", "partner_id": self.client.id})
        for invoice in (created, plain.copy()):
            self.assertFalse(invoice.billing_locked)
            self.assertFalse(invoice.billing_void_move_id)
            self.assertFalse(invoice.billing_void_reason)

    def test_a_copy_of_a_locked_invoice_is_an_open_draft(self):
        plain = self._plain_invoice()
        plain._billing_finalize()
        copied = plain.copy()
        copied.invoice_line_ids[0].price_unit = 7
        self.assertEqual((copied.state, copied.billing_locked), ("draft", False))


@tagged("post_install", "-at_install")
class TestLockedCalls(LockCommon):
    """The ways from outside: the same calls that the web client and the external API make."""

    def _attacks(self):
        """Calls that would change the invoice: `{what: (records, method, *arguments)}`."""
        line, move = self.line, self.invoice
        plain = {"name": "Smuggled", "price_unit": 1, "tax_ids": [Command.clear()]}
        attacks = {
            "date": (move, "write", {"invoice_date": "2020-01-01"}),
            "due date": (move, "write", {"invoice_date_due": "2099-01-01"}),
            "client": (move, "write", {"partner_id": self.other_client.id}),
            "number": (move, "write", {"name": "INV/1/1"}),
            "state": (move, "write", {"state": "draft"}),
            "web_save": (move, "web_save", {"narration": "Something else"}, {}),
            "edit": (line, "write", {"price_unit": 1}),
            "edit and more": (line, "write", {"analytic_distribution": {}, "quantity": 2}),
            "add": (line, "create", [{"move_id": move.id, **plain}]),
            "add a note": (line, "create", [{"move_id": move.id, "display_type": "line_note", "name": "Paid"}]),
            "remove": (line, "unlink"),
            "remove all": (move.invoice_line_ids, "unlink"),
            "delete": (move, "unlink"),
            "draft": (move, "button_draft"),
            "cancel": (move, "button_cancel"),
            "web_resequence": (move.invoice_line_ids, "web_resequence", {}, "sequence", 50),
        }
        commands = {
            "create": [Command.create(plain)],
            "create a note": [Command.create({"display_type": "line_note", "name": "Paid"})],
            "update": [Command.update(line.id, {"quantity": 5})],
            "delete": [Command.delete(line.id)],
            "unlink": [Command.unlink(line.id)],
        }
        for fname in ("line_ids", "invoice_line_ids", "journal_line_ids"):
            for name, command in commands.items():
                attacks[f"{fname} {name}"] = (move, "write", {fname: command})
        for fname in ("line_ids", "invoice_line_ids"):
            attacks[f"{fname} clear"] = (move, "write", {fname: [Command.clear()]})
            attacks[f"{fname} set"] = (move, "write", {fname: [Command.set(line.ids)]})
        return attacks

    def test_no_call_changes_a_locked_invoice(self):
        for env in self._each_caller():
            for name, (records, method, *args) in self._attacks().items():
                with self.subTest(name), self.assertLocked():
                    self._rpc(records, method, *args, env=env)

    def test_no_context_key_opens_the_lock(self):
        for env in self._each_caller():
            for name, (records, method, *args) in self._attacks().items():
                with self.subTest(name), self.assertLocked():
                    self._rpc(records, method, *args, env=env, **HOSTILE_KEYS)

    def test_no_single_context_key_opens_the_lock(self):
        """One by one: a key could stop the others from being read."""
        attacks = self._attacks()
        for key, value in HOSTILE_KEYS.items():
            for name in ("date", "edit", "add", "remove", "delete", "draft", "line_ids update"):
                records, method, *args = attacks[name]
                with self.subTest(name, key=key), self.assertLocked():
                    self._rpc(records, method, *args, **{key: value})

    # -- lines that change their invoice ------------------------------------------------------------------------------

    def test_no_line_is_moved_into_a_locked_invoice(self):
        draft = self._plain_invoice(
            invoice_line_ids=[Command.create({"display_type": "line_note", "name": "Paid already, thank you"})]
        )
        for env in self._each_caller():
            for context in ({}, HOSTILE_KEYS):
                with self.subTest(context=bool(context)), self.assertLocked():
                    self._rpc(draft.invoice_line_ids, "write", {"move_id": self.invoice.id}, env=env, **context)
                with self.subTest(context=bool(context)), self.assertLocked():
                    command = [Command.link(draft.invoice_line_ids.id)]
                    self._rpc(self.invoice, "write", {"journal_line_ids": command}, env=env, **context)
        self.assertEqual(draft.invoice_line_ids.name, "Paid already, thank you")

    def test_no_line_is_stolen_from_a_locked_invoice(self):
        draft = self._plain_invoice()
        for env in self._each_caller():
            for fname in ("line_ids", "invoice_line_ids", "journal_line_ids"):
                for command in (Command.link(self.line.id), Command.set(self.line.ids)):
                    for context in ({}, HOSTILE_KEYS):
                        with self.subTest(fname, command=command[0], context=bool(context)):
                            with self.assertLocked():
                                self._rpc(draft, "write", {fname: [command]}, env=env, **context)
                            with self.assertLocked():
                                values = {"move_type": "out_invoice", "partner_id": self.client.id, fname: [command]}
                                self._rpc(draft, "create", [values], env=env, **context)

    def test_a_payment_does_not_adopt_a_locked_invoice_as_its_entry(self):
        payment = self._pay(self._finalized())
        with self.assertLocked():
            payment.sudo().move_id = self.invoice
            payment.sudo().write({"amount": 1, "date": "2020-01-01"})
            payment.sudo().action_draft()

    # -- import -------------------------------------------------------------------------------------------------------

    def test_no_import_changes_a_locked_invoice(self):
        move, line = self.invoice, self.line
        for records, header, row in (
            (move, [".id", "narration"], [str(move.id), "Something else"]),
            (move, [".id", "invoice_date"], [str(move.id), "2020-01-01"]),
            (move, [".id", "state"], [str(move.id), "Draft"]),
            (move, [".id", "invoice_line_ids/.id", "invoice_line_ids/quantity"], [str(move.id), str(line.id), "5"]),
            (move, [".id", "invoice_line_ids/name", "invoice_line_ids/price_unit"], [str(move.id), "Smuggled", "5"]),
            (line, [".id", "price_unit"], [str(line.id), "5"]),
            (line, ["move_id/.id", "name", "display_type"], [str(move.id), "Paid already", "Note"]),
        ):
            for env in self._each_caller():
                with self.subTest(header=header):
                    before = self._document(move)
                    result = self._rpc(records, "load", header, [row], env=env, import_file=True)
                    self.assertFalse(result["ids"])
                    said = "\n".join(message["message"] for message in result["messages"])
                    self.assertIn(f"{move.name} is finalized and locked", said)
                    self.assertEqual(self._document(move), before)


@tagged("post_install", "-at_install")
class TestLockedButtons(LockCommon):
    """Buttons and wizards of Odoo and other addons, pressed by somebody who may do everything."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        accountant = cls._new_user(
            "accountant", "invoice_portal.group_billing_manager,account.group_account_manager,base.group_system"
        )
        cls.env = cls.env(user=accountant)
        cls.invoice = cls.invoice.with_env(cls.env)

    def test_reset_to_draft_is_neither_offered_nor_done(self):
        self.assertFalse(self.invoice.show_reset_to_draft_button)
        with self.assertLocked():
            self.invoice.button_draft()

    def test_a_paid_invoice_is_not_reset_either_and_stays_paid(self):
        self._pay(self.invoice)
        with self.assertLocked():
            self.invoice.button_draft()
        self.assertEqual(self.invoice.payment_state, self.env["account.move"]._get_invoice_in_payment_state())

    def test_cancel_is_refused(self):
        with self.assertLocked():
            self.invoice.button_cancel()
        with self.assertRaisesRegex(UserError, "can be voided, but neither cancelled nor deleted"):
            self.invoice.action_billing_move("cancelled")

    def test_delete_is_refused(self):
        with self.assertLocked():
            self.invoice.with_context(force_delete=True).unlink()
        with self.assertRaisesRegex(UserError, "can be voided, but neither cancelled nor deleted"):
            self.invoice.action_billing_move("deleted")
        with self.assertRaisesRegex(UserError, "can be voided, but neither cancelled nor deleted"):
            self.invoice.action_billing_delete()

    def test_an_invoice_is_not_turned_into_a_credit_note(self):
        before = self._document(self.invoice)
        with self.assertRaises(UserError):
            self.invoice.action_switch_move_type()
        self.assertEqual(self._document(self.invoice), before)

    def test_numbers_are_not_resequenced(self):
        wizard = (
            self.env["account.resequence.wizard"]
            .with_context(active_model="account.move", active_ids=self.invoice.ids)
            .create({"first_name": "INV/2000/00001"})
        )
        with self.assertLocked():
            wizard.resequence()

    def test_reversing_and_billing_anew_is_left_to_void(self):
        """Odoo's button would bill the work again without its charges, which stayed billed on a reversed invoice."""
        before = self._document(self.invoice)
        wizard = (
            self.env["account.move.reversal"]
            .with_context(active_model="account.move", active_ids=self.invoice.ids)
            .create({"reason": "Wrong", "journal_id": self.invoice.journal_id.id})
        )
        with self.assertRaisesRegex(UserError, f"{self.invoice.name}.* bills charges. Void it instead"):
            wizard.modify_moves()
        self.assertEqual(self._document(self.invoice), before)
        self.assertFalse(self.invoice.reversal_move_ids)

    def test_block_payment_is_no_way_to_mark_it_paid(self):
        self.invoice.action_toggle_block_payment()
        self.assertEqual(self.invoice.payment_state, "blocked")
        with self.assertLocked():
            self.invoice.payment_state = "paid"
        self.invoice.action_toggle_block_payment()
        self.assertEqual(
            (self.invoice.payment_state, self.invoice.amount_residual), ("not_paid", self.invoice.amount_total)
        )

    def test_a_payment_is_taken_off_but_never_rewritten(self):
        self._pay(self.invoice, 10)
        partial = self.invoice._get_all_reconciled_invoice_partials()[0]["partial_id"]
        partial = self.env["account.partial.reconcile"].browse(partial)
        for values in ({"amount": 200}, {"debit_amount_currency": 200}, {"debit_move_id": self.line.id}):
            with self.subTest(values), self.assertLocked():
                partial.write(values)
        self.invoice.js_remove_outstanding_partial(partial.id)
        self.assertEqual(self.invoice.amount_residual, self.invoice.amount_total)


@tagged("post_install", "-at_install")
class TestLockStillOpen(LockCommon):
    """What has to happen to a finalized invoice still happens, by billing staff, without a context key."""

    def test_it_is_paid_in_part_and_in_full(self):
        self._pay(self.invoice, 20)
        self.assertEqual(self.invoice.amount_residual, self.invoice.amount_total - 20)
        self._pay(self.invoice)
        self.assertEqual((self.invoice.amount_residual, self.invoice.billing_status), (0, "paid"))

    def test_a_payment_is_allocated_and_taken_off_again(self):
        payment = self.env["account.payment"].create(
            {"partner_id": self.client.id, "amount": 30, "payment_type": "inbound", "partner_type": "customer"}
        )
        payment.action_post()
        outstanding = payment.move_id.line_ids.filtered(lambda line: line.account_id == self.receivable.account_id)
        self.invoice.js_assign_outstanding_line(outstanding.id)
        self.assertEqual(self.invoice.amount_residual, self.invoice.amount_total - 30)
        self.receivable.remove_move_reconcile()
        self.assertEqual(self.invoice.amount_residual, self.invoice.amount_total)

    def test_it_is_marked_as_sent_and_printed(self):
        self.invoice.write({"is_move_sent": True})
        self.assertEqual(self.invoice.billing_status, "sent")
        self.assertIn(b"Hosting", self.env["ir.actions.report"].sudo()._render_qweb_html(
            "account.account_invoices", self.invoice.ids)[0])  # fmt: skip

    def test_staff_note_discuss_and_plan_activities(self):
        self.invoice.message_post(body="Called, will pay on Friday", subtype_xmlid="mail.mt_note")
        self.invoice.activity_schedule("mail.mail_activity_data_todo", summary="Call again")
        self.assertIn("Friday", self.invoice.message_ids[0].body)
        self.assertEqual(self.invoice.activity_ids.summary, "Call again")

    def test_analytic_distribution_is_the_bookkeepers_own(self):
        plan = self.env["account.analytic.plan"].sudo().create({"name": "Teams"})
        account = self.env["account.analytic.account"].sudo().create({"name": "Web", "plan_id": plan.id})
        self.line.analytic_distribution = {str(account.id): 100}
        self.assertEqual(self.line.analytic_line_ids.sudo().mapped("amount"), [100])

    def test_odoo_notes_a_gap_before_it(self):
        last = self._plain_invoice(invoice_date=self.invoice.invoice_date)
        last._billing_finalize()
        self.assertEqual(last.sequence_number, self.invoice.sequence_number + 1)
        self.assertFalse(last.made_sequence_gap)
        self.invoice._set_next_made_sequence_gap(True)
        self.assertTrue(last.made_sequence_gap)

    def test_salesperson_and_token_follow_the_people(self):
        self.invoice.invoice_user_id = self.biller
        self.assertTrue(self.invoice._portal_ensure_token())

    def test_a_credit_note_by_odoos_button_settles_it_and_is_locked_itself(self):
        wizard = (
            self.env["account.move.reversal"]
            .with_context(active_model="account.move", active_ids=self.invoice.ids)
            .create({"reason": "Too much", "journal_id": self.invoice.journal_id.id})
        )
        wizard.refund_moves()
        note = wizard.new_move_ids
        self.assertFalse(note.billing_locked)
        note.invoice_line_ids[0].price_unit = 40
        note.action_post()
        self.assertTrue(note.billing_locked)
        credit = note.line_ids.filtered(lambda line: line.display_type == "payment_term")
        self.invoice.js_assign_outstanding_line(credit.id)
        self.assertEqual(self.invoice.amount_residual, self.invoice.amount_total - note.amount_total)
        with self.assertLocked(note):
            note.button_draft()


@tagged("post_install", "-at_install")
class TestLockedWayOut(LockCommon):
    """A refusal names the invoice and what to do instead."""

    def test_the_way_out_is_named(self):
        for change in (
            lambda: self.invoice.button_draft(),
            lambda: self.invoice.write({"invoice_date": "2020-01-01"}),
            lambda: self.line.write({"quantity": 2}),
            lambda: self.line.unlink(),
        ):
            with self.assertRaises(UserError) as refusal:
                change()
            self.assertEqual(
                str(refusal.exception),
                f"{self.invoice.name} is finalized and locked: its lines, dates, client and amounts no longer change. "
                "To correct it, void it (Status ▸ Void): that reverses it and opens its charges again.",
            )

    def test_void_is_not_proposed_where_it_is_no_way_out(self):
        reversal = self.invoice._billing_void("Wrong")
        for move in (self.invoice, reversal):
            with self.assertRaises(UserError) as refusal:
                move.button_draft()
            self.assertEqual(
                str(refusal.exception), f"{move.display_name} is finalized and locked, and no longer changes."
            )


@tagged("post_install", "-at_install")
class TestWhatIsLocked(LockCommon):
    """Which entries are locked when they are posted, and by what."""

    def test_every_way_of_posting_locks(self):
        def by_button(invoice):
            invoice.action_post()

        def by_wizard(invoice):
            context = {"active_model": "account.move", "active_ids": invoice.ids}
            self.env["validate.account.move"].with_context(**context).create({"force_post": True}).validate_move()

        def by_write(invoice):
            self._rpc(invoice, "write", {"state": "posted"})

        def by_finalizing(invoice):
            invoice._billing_finalize()

        def by_cron(invoice):
            invoice.write({"auto_post": "at_date", "date": fields.Date.today(), "invoice_date": fields.Date.today()})
            with self.enter_registry_test_mode():
                self.root.ref("account.ir_cron_auto_post_draft_entry").method_direct_trigger()

        for post in (by_button, by_wizard, by_write, by_finalizing, by_cron):
            with self.subTest(post.__name__):
                invoice = self._plain_invoice()
                self.assertFalse(invoice.billing_locked)
                post(invoice)
                self.assertEqual((invoice.state, invoice.billing_locked), ("posted", True))

    def test_no_context_key_posts_without_locking(self):
        invoice = self._plain_invoice()
        self._rpc(invoice, "action_post", **HOSTILE_KEYS)
        self.assertEqual((invoice.state, invoice.billing_locked), ("posted", True))

    def test_no_invoice_is_created_posted(self):
        values = {"move_type": "out_invoice", "partner_id": self.client.id}
        with self.assertRaisesRegex(UserError, "create a draft move and post it after"):
            self._plain_invoice().create({**values, "state": "posted"})
        created = self._plain_invoice().with_context(default_state="posted").create(values)
        self.assertEqual((created.state, created.name), ("draft", False))

    def test_with_the_setting_off_a_plain_invoice_goes_back_to_draft(self):
        self.company.sudo().billing_lock_invoices = False
        invoice = self._plain_invoice()
        invoice.action_post()
        self.assertFalse(invoice.billing_locked)
        self.assertTrue(invoice.show_reset_to_draft_button)
        invoice.button_draft()
        invoice.invoice_line_ids.price_unit = 31
        self.assertEqual((invoice.state, invoice.amount_untaxed), ("draft", 31))

    def test_with_the_setting_off_charges_lock_their_invoice_all_the_same(self):
        self.company.sudo().billing_lock_invoices = False
        invoice = self._finalized()
        with self.assertLocked(invoice):
            invoice.button_draft()

    def test_turning_the_setting_off_unlocks_nothing(self):
        self.company.sudo().billing_lock_invoices = False
        with self.assertLocked():
            self.invoice.button_draft()

    def test_with_the_setting_off_the_credit_note_of_a_locked_invoice_is_locked(self):
        self.company.sudo().billing_lock_invoices = False
        note = self.invoice._reverse_moves([{"invoice_date": fields.Date.today()}])
        note.action_post()
        with self.assertLocked(note):
            note.button_draft()

    def test_bills_and_journal_entries_are_none_of_our_business(self):
        bill = self.env["account.move"].create(
            {
                "move_type": "in_invoice",
                "partner_id": self.client.id,
                "invoice_date": fields.Date.today(),
                "invoice_line_ids": [Command.create({"name": "Paper", "price_unit": 5, "tax_ids": [Command.clear()]})],
            }
        )
        bill.action_post()
        self.assertFalse(bill.billing_locked)
        bill.button_draft()
        self.assertEqual(bill.state, "draft")


@tagged("post_install", "-at_install")
class TestVoidStaysVoid(LockCommon):
    """A void invoice and its reversing entry stay matched, or the amount would be due again."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.reversal = cls.invoice._billing_void("Wrong client")
        cls.credit = cls.reversal.line_ids.filtered(lambda line: line.display_type == "payment_term")
        cls.partial = cls.receivable.matched_credit_ids

    @contextmanager
    def assertStaysVoid(self, regex="is void: it stays matched with"):
        with self.assertRaisesRegex(UserError, regex) as refusal:
            yield
        self.assertIn(self.invoice.name, str(refusal.exception))
        self.env.invalidate_all()
        self.assertEqual((self.invoice.amount_residual, self.invoice.billing_status), (0, "void"))
        self.assertEqual(self.receivable.matched_credit_ids, self.partial)

    def _attempts(self):
        invoice, reversal, partial = self.invoice, self.reversal, self.partial
        return {
            "the widget on the invoice": (invoice, "js_remove_outstanding_partial", partial.id),
            "the widget on the entry": (reversal, "js_remove_outstanding_partial", partial.id),
            "the invoice's item": (self.receivable, "remove_move_reconcile"),
            "the entry's item": (self.credit, "remove_move_reconcile"),
            "every item": ((invoice | reversal).line_ids, "remove_move_reconcile"),
            "the matching": (partial, "unlink"),
            "a command on the item": (self.receivable, "write", {"matched_credit_ids": [Command.delete(partial.id)]}),
            "a command on the other": (self.credit, "write", {"matched_debit_ids": [Command.delete(partial.id)]}),
        }

    def test_the_match_cannot_be_removed(self):
        for env in self._each_caller():
            for name, (records, method, *args) in self._attempts().items():
                for context in ({}, HOSTILE_KEYS):
                    with self.subTest(name, context=bool(context)), self.assertStaysVoid():
                        self._rpc(records, method, *args, env=env, **context)

    def test_the_match_cannot_be_rewritten(self):
        other = self._finalized()
        foreign = other.line_ids.filtered(lambda line: line.display_type == "payment_term")
        for env in self._each_caller():
            for records, values in (
                (self.partial, {"amount": 1}),
                (self.partial, {"debit_amount_currency": 0}),
                (self.partial, {"credit_amount_currency": 0}),
                (self.partial, {"debit_move_id": foreign.id}),
                (self.partial, {"credit_move_id": foreign.id}),
                (self.receivable, {"matched_credit_ids": [Command.unlink(self.partial.id)]}),
                (self.receivable, {"matched_credit_ids": [Command.update(self.partial.id, {"amount": 1})]}),
                (foreign, {"matched_credit_ids": [Command.link(self.partial.id)]}),
            ):
                with self.subTest(values), self.assertStaysVoid("is finalized and locked, and no longer changes"):
                    self._rpc(records, "write", values, env=env, **HOSTILE_KEYS)

    def test_neither_entry_is_taken_back(self):
        for move in (self.invoice, self.reversal):
            for method in ("button_draft", "button_cancel"):
                for env in self._each_caller():
                    with self.subTest(method, type=move.move_type), self.assertLocked(move):
                        self._rpc(move, method, env=env, **HOSTILE_KEYS)
        self.assertEqual((self.invoice.state, self.invoice.billing_status), ("posted", "void"))
        self.assertEqual(self.reversal.state, "posted")

    def test_neither_entry_is_deleted(self):
        for env in self._each_caller():
            for moves in (self.invoice, self.reversal, self.invoice | self.reversal):
                with self.subTest(len(moves)), self.assertStaysVoid():
                    self._rpc(moves, "unlink", env=env, **HOSTILE_KEYS)

    def test_neither_entry_can_be_edited(self):
        for move in (self.invoice, self.reversal):
            with self.subTest(move.move_type):
                with self.assertLocked(move):
                    move.ref = "Something else"
                with self.assertLocked(move):
                    move.invoice_line_ids[0].quantity = 2

    def test_it_is_not_voided_twice(self):
        with self.assertRaisesRegex(UserError, f"{self.invoice.name} is void already, by {self.reversal.name}"):
            self.invoice._billing_void("Again")

    def test_other_matches_of_other_invoices_are_removed_as_ever(self):
        other = self._finalized()
        self._pay(other)
        other.line_ids.remove_move_reconcile()
        self.assertEqual(other.amount_residual, other.amount_total)
