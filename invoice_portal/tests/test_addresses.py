from odoo.tests import BaseCase, tagged

from ..tools import addresses


@tagged("post_install", "-at_install")
class TestAddresses(BaseCase):
    def test_what_people_type(self):
        for text, expected in (
            ("", []),
            ("a@b.example", ["a@b.example"]),
            (" a@b.example ; c@d.example\nE@F.example ,", ["a@b.example", "c@d.example", "e@f.example"]),
            (
                '"Doe, Ann" <ann@b.example>, Ben <BEN@b.example>',
                ['"Doe, Ann" <ann@b.example>', '"Ben" <ben@b.example>'],
            ),
            ('"Bike@Home" <a@b.example>', ['"Bike@Home" <a@b.example>']),
            ("o'brien+tag@b.example", ["o'brien+tag@b.example"]),
            ("info@münchen.example", ["info@xn--mnchen-3ya.example"]),
            ("a@b.example, A@B.example", ["a@b.example"]),
        ):
            with self.subTest(text=text):
                good, wrong = addresses.parse(text)
                self.assertEqual([address.formatted for address in good], expected)
                self.assertFalse(wrong)

    def test_what_is_no_address(self):
        for text in (
            "a",
            "a@",
            "@b.example",
            "a@b",
            "a b@c.example",
            "a@b..example",
            ".a@b.example",
            "a..b@c.example",
            "a@-b.example",
            "a@127.0.0.1",
            "<a@b.example",
            "x" * 65 + "@b.example",
            "a@" + "b" * 64 + ".example",
            "jörg@b.example",
            'a"b@c.example',
            "a@b.example>",
            "Anna <a@b.example> Bob <b@b.example>",
            "a@b.example <b@b.example>",
        ):
            with self.subTest(text=text):
                good, wrong = addresses.parse(text)
                self.assertFalse(good)
                self.assertEqual(wrong, [text])

    def test_a_header_cannot_be_smuggled_in(self):
        good, wrong = addresses.parse("Eve\r\nBcc: x@evil.example <eve@b.example>")
        for address in good:
            self.assertNotRegex(address.formatted, r"[\r\n]")
        self.assertTrue(wrong)
