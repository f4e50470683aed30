from odoo import fields


class Digest(fields.Char):
    """What a long text is known by, in 16 bytes."""

    _column_type = ("uuid", "uuid")
