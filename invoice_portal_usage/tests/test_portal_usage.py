import csv
import io
import re
from datetime import timedelta

from lxml import html

from odoo.tests import tagged

from .portal_usage import UsagePortalCommon

URL = "/my/billing/usage"
AMOUNT = re.compile(r"\d[\d.,]*")


@tagged("post_install", "-at_install")
class TestUsagePage(UsagePortalCommon):
    def _tree(self, path):
        return html.fromstring(self._get(path).text).find(".//main")

    def _cells(self, tree, path):
        return [[" ".join("".join(cell.itertext()).split()) for cell in row] for row in tree.xpath(path)]

    def test_usage_so_far_by_day_and_by_destination(self):
        self._used(self.landline, 60, 0.06)
        self._used(self.landline, 3600, 3.6, self.month)
        self._used(self.mobile, 30, 0.12, self.month)
        self._as(self.user)
        tree = self._tree(URL)
        self.assertIn(self._money(3.78), " ".join("".join(tree.xpath("//*[@name='estimate']")[0].itertext()).split()))
        days, destinations = tree.xpath("//table[contains(@class, 'o_usage_chart')]")
        rows = self._cells(days, "./tbody/tr")
        self.assertEqual(len(rows), (self.today - self.month).days + 1, "Each day of the period has a row")
        by_name = {row[0]: row[1:] for row in self._cells(destinations, "./tbody/tr")}
        self.assertEqual(by_name["Germany"][0], "1:01:00 h")
        self.assertIn("3.66", by_name["Germany"][1])
        self.assertEqual(by_name["Germany mobile"][0], "0:30 min")
        for table in (days, destinations):
            self.assertIn("3.78", self._cells(table, "./tfoot/tr")[0][-1])

    def _assert_adds_up(self, path, total):
        """`{name: amount}` of days and of destinations, as they are shown; they come to what is said below them."""
        tables = []
        for table in self._tree(path).xpath("//table[contains(@class, 'o_usage_chart')]"):
            rows = {row[0]: float(AMOUNT.search(row[-1]).group()) for row in self._cells(table, "./tbody/tr")}
            self.assertAlmostEqual(sum(rows.values()), total)
            self.assertIn(self._money(total), self._cells(table, "./tfoot/tr")[0][-1])
            tables.append(rows)
        return tables

    def test_days_and_destinations_add_up_to_the_cent(self):
        for number in range(4):
            group = self.landline if number % 2 else self.mobile
            self._used(group, 60, 0.016, self.last_month + timedelta(days=number))
        self._as(self.user)
        days, destinations = self._assert_adds_up(URL, 0.06)
        self.assertEqual(sorted(days.values())[-4:], [0.01, 0.01, 0.02, 0.02])
        self.assertEqual(destinations, {"Germany": 0.03, "Germany mobile": 0.03})

    def test_an_earlier_period_has_the_figures_of_its_invoice(self):
        invoice, bill = self._invoiced(self._calls_of_last_month())
        self._as(self.user)
        days, destinations = self._assert_adds_up(f"{URL}?period={bill.id}", 1.0)
        for by, rows in (("day", days), ("destination", destinations)):
            shown = [amount for _name, amount in self._items(f"/my/invoices/{invoice.id}?usage={by}")]
            self.assertEqual(sorted(filter(None, rows.values())), sorted(shown))

    def test_what_is_included_is_said_in_numbers(self):
        package = self._new_package(
            "Talk",
            10,
            rate_plan_id=self.plan.id,
            allowance_ids=[(0, 0, {"name": "100 minutes", "quantity": 100})],
        )
        subscription = self.env["billing.subscription"].create(
            {"partner_id": self.client.id, "package_id": package.id, "date_start": self.last_month}
        )
        self._used(self.landline, 1500, 1.5, subscription_id=subscription.id)
        self._as(self.user)
        page = self._page(URL)
        for words in ("100 minutes", "25:00 min of 1:40:00 h used, 1:15:00 h left", "Talk"):
            self.assertIn(words, page)
        self.assertIn("25:00 min of 1:40:00 h used", self._page("/my/billing"))

    def test_only_who_uses_something_reads_of_usage(self):
        self._used()
        for user, reads in ((self.user, True), (self.colleague, True), (self.stranger, False)):
            self._as(user)
            for path in ("/my/billing", "/my/invoices", "/my/payment_method", "/my/billing/statement"):
                with self.subTest(path, by=user.login):
                    self.assertEqual(f'href="{URL}"' in self._get(path).text, reads)
        self._as(self.user)
        self.assertIn("Usage so far", self._page("/my/billing"))

    def test_each_record_explains_itself(self):
        self._used(self.world, 65, 1.115, destination="33155555555", billed_quantity=66, list_amount=1.115)
        self._used(self.landline, 65, 0.06, billed_quantity=120, list_amount=0.12, allowance_quantity=60, late=True)
        self._used(self.mobile, 5, 0, rate_id=None, destination_id=None, unrated_reason="rate")
        self._as(self.user)
        page = self._page(f"{URL}/records")
        for words in (
            "3 records.",
            "Matched by everything else",
            "Connection fee",
            "At least 0:30 min, then steps of 0:06 min",
            "Matched by 49 ",
            "At least 1:00 min, then steps of 1:00 min",
            "Billed 2:00 min",
            "Of it included 1:00 min",
            "By this price alone",
            "1.115",
            "per minute",
            "no price yet",
            "reached us when its period was billed already",
        ):
            self.assertIn(words, page)
        for secret in ("Gondola", "Switch", "Voice"):
            self.assertNotIn(secret, page)

    def test_records_are_found_by_day_number_and_destination(self):
        other = self.env["billing.usage.account"].create(
            {"source_id": self.source.id, "key": "+49 30 2000", "partner_id": self.client.id}
        )
        old = self.month - timedelta(days=40)
        self._used(self.landline, destination="4930111111", day=old)
        self._used(self.mobile, destination="49151222222", account="+49 30 2000", account_id=other.id)
        self._as(self.user)
        for query, seen, unseen in (
            ("", ("4930111111", "49151222222"), ()),
            (f"?date_to={old}", ("4930111111",), ("49151222222",)),
            (f"?date_from={self.month}", ("49151222222",), ("4930111111",)),
            (f"?date_from={self.today}&date_to={old}", ("4930111111", "49151222222"), ()),
            (f"?number={other.id}", ("49151222222",), ("4930111111",)),
            ("?search=mobile", ("49151222222",), ("4930111111",)),
            ("?search=%2B49+30+111", ("4930111111",), ("49151222222",)),
            ("?search=0049-151", ("49151222222",), ("4930111111",)),
            ("?search=nobody", (), ("4930111111", "49151222222")),
        ):
            with self.subTest(query):
                page = self._page(f"{URL}/records{query}")
                for text in seen:
                    self.assertIn(text, page)
                for text in unseen:
                    self.assertNotIn(text, page)

    def test_what_the_page_does_not_know_falls_back(self):
        usage = self._used(destination="4930111111")
        theirs = self._used(destination="4930999999", client=self.other_client)
        self._as(self.user)
        for query in (
            "?page=0",
            "?number=&date_from=never&date_to=9999-99-99",
            "?number=0&line=&date_from=0001-01-01&date_to=9999-12-31",
            "?search=%00%00",
            "?sortby=x&domain=[]",
        ):
            with self.subTest(query):
                page = self._page(f"{URL}/records{query}")
                self.assertIn(usage.destination, page)
                self.assertNotIn(theirs.destination, page)
        for path in (
            f"{URL}?period=x",
            f"{URL}?period={2**70}",
            f"{URL}?period=1&done=%3Cscript%3E",
            f"{URL}/records?search=%25_%5C%27&number=0",
            f"{URL}/records?search={'x' * 5000}",
        ):
            with self.subTest(path[:60]):
                self.assertEqual(self._get(path).status_code, 200)
        self.assertIn(usage.destination, self._page(f"{URL}/records/page/999999"))

    def test_what_is_not_theirs_or_not_there_shows_nothing_instead_of_all(self):
        usage = self._used(destination="4930111111")
        own, bill = self._invoiced(self._calls_of_last_month())
        theirs, _bill = self._invoiced(self._calls_of_last_month(self.other_client), client=self.other_client)
        own_line = own.invoice_line_ids[0].id
        self._as(self.user)
        for query in (
            "number=x",
            "number=-1",
            f"number={2**70}",
            f"line={2**70}",
            "line=-1&group=d1",
            "line=x",
            f"line={theirs.invoice_line_ids[0].id}",
            f"line={own_line}&group=d0",
            f"line={own_line}&group=2020-01-01",
            "group=d%27%20OR%201=1",
        ):
            with self.subTest(query):
                page = self._page(f"{URL}/records?{query}")
                self.assertIn("This address asks for usage that is not yours", page)
                self.assertNotIn(usage.destination, page)
                self.assertNotIn("1 record", page)
                self.assertEqual(self._get(f"{URL}/csv?{query}").status_code, 404)
        group = bill._regroup("day")[0]["group"]
        self.assertEqual(len(self._rows(f"{URL}/csv?line={own_line}&group={group}")), 3)

    def test_names_from_outside_are_shown_as_text(self):
        self._used(destination="<script>alert(1)</script>", account="<b>x</b>")
        self._as(self.user)
        for path in (URL, f"{URL}/records", f"{URL}/records?search=%22%3E%3Cscript%3Ealert(2)"):
            text = self._get(path).text
            self.assertNotIn("<script>alert", text)
            self.assertNotIn("<b>x", text)

    # -- files --------------------------------------------------------------------------------------------------------

    def _rows(self, path):
        response = self._get(path)
        self.assertEqual((response.status_code, response.headers["Content-Type"]), (200, "text/csv; charset=utf-8"))
        self.assertIn("attachment", response.headers["Content-Disposition"])
        return list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))[1:]

    def test_a_day_a_week_and_a_month_as_a_file(self):
        middle = self.last_month + timedelta(days=14)
        monday = middle - timedelta(days=middle.weekday())
        for day in (middle, monday, monday + timedelta(days=6), self.last_month, self.today):
            self._used(day=day)
        self._used(day=middle, client=self.other_client)
        self._as(self.user)
        days = {middle, monday, monday + timedelta(days=6)}
        for span, count in (
            ("day", 1 + (monday == middle) + (monday + timedelta(days=6) == middle)),
            ("week", 3),
            ("month", 4 if max(days) < self.month else 3),
        ):
            with self.subTest(span):
                self.assertEqual(len(self._rows(f"{URL}/csv?span={span}&day={middle}")), count)
        self.assertEqual(len(self._rows(f"{URL}/csv?span=day&day=nonsense")), 1, "Today, where the day is none")
        self.assertEqual(self._get(f"{URL}/csv?span=year&day={middle}").status_code, 404)
        self.assertEqual(len(self._rows(f"{URL}/csv")), 5, "All, where no span is asked for")

    def test_what_was_billed_keeps_the_name_of_its_group(self):
        self._invoiced(self._calls_of_last_month())
        self._used(self.landline, 60, 0.06)
        self.landline.name = "Fixed net"
        self._as(self.user)
        tree = self._tree(f"{URL}/records")
        shown = [" ".join(row.itertext()) for row in tree.xpath("//details")]
        self.assertEqual(sum("Fixed net" in row for row in shown), 1)
        self.assertEqual(sum("Germany" in row for row in shown), 5)

    def test_what_was_put_away_is_in_the_files(self):
        calls = self._calls_of_last_month()
        self.env.cr.execute("UPDATE billing_usage SET account = '49301000' WHERE id IN %s", [tuple(calls.ids)])
        self.env.invalidate_all()
        invoice, bill = self._invoiced(calls)
        strangers = self._calls_of_last_month(self.other_client)
        _invoice, other_bill = self._invoiced(strangers, client=self.other_client)
        self._used(self.mobile, 33, 0.1, self.last_month, destination="49151666666")
        line = invoice.invoice_line_ids.filtered(lambda line: line.name.startswith("Germany mobile"))
        first, second = self.last_month, self.last_month + timedelta(days=1)
        queries = {
            f"span=day&day={first}": 4,
            f"span=month&day={second}": 6,
            f"span=day&day={first}&date_from={second}": 0,
            f"date_from={second}&date_to={second}": 2,
            f"date_to={first}": 4,
            f"date_from={self.today}": int(self.today == first),
            f"line={line.id}": 3,
            f"line={line.id}&date_to={first}": 2,
            f"line={line.id}&group=d{self.landline.id}": 2,
            f"line={line.id}&group={second}": 2,
            "search=0049+151": 4,
            "search=mobile": 4,
            f"number={self.account.id}": 6,
            "": 6,
        }
        self._as(self.user)
        for query, count in queries.items():
            self.assertEqual(len(self._rows(f"{URL}/csv?{query}")), count, query)
        before = {query: self._rows(f"{URL}/csv?{query}") for query in queries}
        for each in (bill, other_bill):
            self.assertTrue(each.sudo()._put_away(self.today + timedelta(days=400)))
        self.env.invalidate_all()
        for query, rows in before.items():
            with self.subTest(query):
                self.assertEqual(sorted(self._rows(f"{URL}/csv?{query}")), sorted(rows))
        page = self._page(f"{URL}/records?date_from={second}")
        self.assertIn("2 records were put away, and are no longer listed. The file has them", page)
        self.assertIn(f"/csv?date_from={second}", self._get(f"{URL}/records?date_from={second}").text)
        self.assertIn("3 records were put away", self._page(f"{URL}/records?line={line.id}"))
        self.assertIn("Those that fit are in the file", self._page(f"{URL}/records?search=mobile"))
        self.assertNotIn("put away", self._page(f"{URL}/records?line=999999999&date_from={second}"))
        self.assertIn(f"/csv?line={line.id}", self._get(f"/my/invoices/{invoice.id}").text)
        self._as(self.stranger)
        self.assertEqual(self._rows(f"{URL}/csv?date_from={self.today + timedelta(days=1)}"), [])

    # -- earlier periods, and the invoice -----------------------------------------------------------------------------

    def test_an_earlier_period_leads_to_its_invoice(self):
        invoice, bill = self._invoiced(self._calls_of_last_month())
        self._as(self.user)
        page = self._get(URL).text
        self.assertIn(f"/my/invoices/{invoice.id}", page)
        self.assertIn(f"{URL}?period={bill.id}", page)
        shown = self._page(f"{URL}?period={bill.id}")
        for words in ("Billed", "4:43 min", self._money(invoice.amount_untaxed), "Germany mobile"):
            self.assertIn(words, shown)

    def test_a_draft_s_usage_stands_nowhere_but_in_the_records(self):
        bill, charges = self._bill(self._calls_of_last_month())
        draft = self._draft(charges)
        self._as(self.user)
        for path in (URL, f"{URL}?period={bill.id}", f"{URL}/records?line={draft.invoice_line_ids[0].id}"):
            page = self._get(path).text
            for secret in (f"?period={bill.id}", f"/my/invoices/{draft.id}", "Of “"):
                self.assertNotIn(secret, page, path)
        draft._billing_finalize()
        self.assertIn(f"?period={bill.id}", self._get(URL).text)

    def test_a_bill_of_which_a_part_is_a_draft_is_not_told(self):
        bill, charges = self._bill(self._calls_of_last_month())
        self._finalized(charges[0])
        draft = self._draft(charges[1])
        self._as(self.user)
        self.assertNotIn(f"?period={bill.id}", self._get(URL).text)
        draft._billing_finalize()
        self.assertIn(f"?period={bill.id}", self._get(URL).text)

    def _items(self, path):
        """`[(name, amount)]` of the items as the page shows them."""
        tree = self._tree(path)
        return [
            (
                item.xpath("string(.//span[contains(@class, 'o_billing_text')])").strip(),
                float(AMOUNT.search(item.xpath("string(.//span[contains(@class, 'o_billing_item_amount')])")).group()),
            )
            for item in tree.xpath("//div[contains(@class, 'o_billing_items')]/details")
        ]

    def test_a_line_opens_its_records(self):
        invoice, _bill = self._invoiced(self._calls_of_last_month())
        self._as(self.user)
        page = self._page(f"/my/invoices/{invoice.id}")
        self.assertIn("49151555555", page)
        line = invoice.invoice_line_ids.filtered(lambda line: line.name.startswith("Germany mobile"))
        self.assertIn(f"/my/billing/usage/records?line={line.id}", self._get(f"/my/invoices/{invoice.id}").text)
        records = self._page(f"{URL}/records?line={line.id}")
        self.assertIn("3 records.", records)
        self.assertNotIn("4930111111", records)
        self.assertIn(invoice.name, records)
        self.assertGreaterEqual(len(self._rows(f"{URL}/csv?line={line.id}")), 3)

    def test_the_client_switches_between_destination_and_day(self):
        for grouping, other in (("destination", "day"), ("day", "destination"), ("none", "day")):
            with self.subTest(grouping, other=other):
                savepoint = self.env.cr.savepoint()
                invoice, bill = self._invoiced(self._calls_of_last_month(), grouping)
                before = invoice.invoice_line_ids.read(["name", "price_subtotal", "price_total"])
                document = self.env["ir.actions.report"].sudo()._render_qweb_html("account.report_invoice", invoice.ids)
                self._as(self.user)
                as_billed = self._items(f"/my/invoices/{invoice.id}")
                switched = self._items(f"/my/invoices/{invoice.id}?usage={other}")
                self.assertEqual([name for name, _amount in switched], [each["label"] for each in bill._regroup(other)])
                self.assertEqual(round(sum(amount for _name, amount in switched), 2), 1.0)
                self.assertEqual(
                    round(sum(amount for _name, amount in as_billed), 2),
                    round(sum(amount for _name, amount in switched), 2),
                )
                self.assertIn(
                    f"Both ways usage comes to {self._money(1)}", self._page(f"/my/invoices/{invoice.id}?usage={other}")
                )
                self.env.invalidate_all()
                self.assertEqual(invoice.invoice_line_ids.read(["name", "price_subtotal", "price_total"]), before)
                self.assertEqual(
                    self.env["ir.actions.report"].sudo()._render_qweb_html("account.report_invoice", invoice.ids),
                    document,
                )
                savepoint.close(rollback=True)
                self.env.invalidate_all()

    def test_an_unknown_grouping_is_that_of_the_invoice(self):
        invoice, _bill = self._invoiced(self._calls_of_last_month())
        self._as(self.user)
        as_billed = self._items(f"/my/invoices/{invoice.id}")
        for by in ("none", "x", "%00", "destination"):
            self.assertEqual(self._items(f"/my/invoices/{invoice.id}?usage={by}"), as_billed)

    def test_a_changed_line_keeps_the_total(self):
        _bill, charges = self._bill(self._calls_of_last_month())
        draft = self._draft(charges | self._new_charge("Hosting", 7, tax_ids=False))
        line = draft.invoice_line_ids.filtered("billing_charge_id.usage_bill_id")[0]
        line.price_unit += 5
        draft._billing_finalize()
        self._as(self.user)
        switched = self._items(f"/my/invoices/{draft.id}?usage=day")
        self.assertEqual(round(sum(amount for _name, amount in switched), 2), 13)
        self.assertIn(("As changed on the invoice", 5.0), switched)
        self.assertIn(("Hosting", 7.0), switched)

    def test_taxes_included_add_up_too(self):
        _bill, charges = self._bill(self._calls_of_last_month())
        charges.sudo().tax_ids = self.tax_sale_a
        draft = self._draft(charges)
        draft._billing_finalize()
        self.patch(type(draft), "company_price_include", property(lambda move: "tax_included"))
        shown = sum(draft.invoice_line_ids.mapped("price_total"))
        rows, _discounts = draft.with_context(billing_usage_by="day")._billing_portal_rows(self.user)
        self.assertEqual([row["kind"] for row in rows], ["item", "item"])
        amounts = [float(AMOUNT.search(row["amount"]).group()) for row in rows]
        self.assertEqual(round(sum(amounts), 2), round(shown, 2))

    def test_by_its_link_the_invoice_shows_totals_and_no_records(self):
        invoice, _bill = self._invoiced(self._calls_of_last_month())
        token = invoice._portal_ensure_token()
        self._as(None)
        for query in ("", "&usage=day"):
            page = self._get(f"/my/invoices/{invoice.id}?access_token={token}{query}").text
            self.assertIn("By destination", page)
            self.assertIn(f"usage=day&amp;access_token={token}", page)
            for secret in ("49151555555", "/my/billing/usage/records", "/my/billing/usage/csv"):
                self.assertNotIn(secret, page)

    def test_pages_take_as_many_queries_however_much_was_used(self):
        counts = []
        self._as(self.user)
        client = self.client.with_user(self.user)
        for more in (3, 3, 40):
            for _number in range(more):
                self._used()
            self.env.invalidate_all()
            start = self.env.cr.sql_log_count
            records = self.env["billing.usage"].with_user(self.user)._own_usage_sudo([], limit=80)
            records._own_explained_sudo()
            client._billing_has_own_usage()
            counts.append(self.env.cr.sql_log_count - start)
        self.assertEqual(*counts[1:])
