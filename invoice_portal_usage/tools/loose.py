from odoo import fields


class LooseMany2one(fields.Many2one):
    """A link without a foreign key, for tables into which millions of rows are copied.

    PostgreSQL checks a foreign key row by row: six seconds for each link of a million rows, several times what copying
    them takes. Such a link is written only by statements that take it out of the other table; and whatever it leads to
    refuses to be deleted as long as rows lead to it.
    """

    def update_db_foreign_key(self, model, column):
        pass
