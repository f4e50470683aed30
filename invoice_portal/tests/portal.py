"""Who opens the client's pages in tests, and how."""

import re
from importlib import import_module
from importlib.util import find_spec

from lxml import html

from odoo.tests import HttpCase
from odoo.tools import mute_logger

from .test_credit import CreditCommon

QUIET = (
    "odoo.http",
    "odoo.addons.base.models.ir_rule",
    "odoo.addons.http_routing.models.ir_http",
    "odoo.addons.base.models.ir_qweb",
)


def map_of(addon):
    """The table of who reaches what of an addon beside this one, where it has one: its module `tests.access_map`."""
    name = f"odoo.addons.{addon}.tests"
    return import_module(f"{name}.access_map") if find_spec(name) and find_spec(f"{name}.access_map") else None


class PortalCommon(CreditCommon, HttpCase):
    """A client with two contacts on the portal, another client with one, and a visitor."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.user = cls._new_portal_user(cls.client, "ann")
        cls.colleague = cls._new_portal_user(cls.client, "ben")
        cls.stranger = cls._new_portal_user(cls.other_client, "mallory")

    def _as(self, user):
        self.authenticate(user and user.login, user and user.login)

    def _get(self, path, **kwargs):
        self.env.flush_all()
        with mute_logger(*QUIET):
            return self.url_open(path, timeout=60, **kwargs)

    def _page(self, path):
        """The page as text, one space between words."""
        response = self._get(path)
        self.assertEqual(response.status_code, 200, path)
        return " ".join(" ".join(html.fromstring(response.text).find(".//main").itertext()).split())

    def _post(self, path, page, **data):
        """Send a form as the browser would that shows `page`."""
        token = re.search(r'name="csrf_token" value="([^"]+)"', self._get(page).text)
        if not token:
            token = re.search(r'csrf_token: "([^"]+)"', self._get(page).text)
        return self._get(path, data={"csrf_token": token.group(1), **data})

    def _money(self, amount):
        return " ".join(self.company.currency_id.format(amount).split())
