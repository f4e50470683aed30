"""E-mail addresses as people type them into one line."""

import re
from typing import NamedTuple

from odoo.tools.mail import formataddr

# What separates addresses, outside quotes.
_PIECES = re.compile(r'(?:"(?:\\.|[^"\\])*"|[^,;\n"]|")+')
_NAMED = re.compile(r"^(?P<name>.*?)\s*<(?P<email>[^<>]*)>$", re.DOTALL)
_LOCAL = re.compile(r"^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$")
_LABEL = re.compile(r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")


class Address(NamedTuple):
    name: str
    email: str

    @property
    def formatted(self):
        return formataddr((self.name, self.email))


def parse(text):
    """The addresses in a line, each once, and the pieces of it that are none.

    :return: `([Address], [wrong piece])`
    """
    good, wrong = {}, []
    for piece in (found.group().strip() for found in _PIECES.finditer(text or "")):
        if not piece:
            continue
        named = _NAMED.match(piece)
        written = named["name"].strip() if named else ""
        quoted = len(written) > 1 and written[0] == written[-1] == '"'
        # An address where the name should be is one that lacks its comma: its reader must not be lost silently.
        email = None if "@" in written and not quoted else normalize(named["email"] if named else piece)
        if email:
            name = written[1:-1].replace('\\"', '"') if quoted else written
            good.setdefault(email, Address("".join(filter(str.isprintable, name)), email))
        else:
            wrong.append(piece)
    return list(good.values()), wrong


def normalize(email):
    """The address as mail servers take it (lower case, the domain in ASCII), or nothing where it is none."""
    local, at, domain = email.strip().lower().rpartition("@")
    try:
        domain = domain.encode("idna").decode()
    except UnicodeError:
        return None
    labels = domain.split(".")
    valid = (
        at
        and len(local) <= 64
        and len(domain) <= 253
        and _LOCAL.match(local)
        and len(labels) > 1
        and all(map(_LABEL.match, labels))
        and not labels[-1].isdigit()
    )
    return f"{local}@{domain}" if valid else None


def joined(addresses):
    return ", ".join(address.formatted for address in addresses)
