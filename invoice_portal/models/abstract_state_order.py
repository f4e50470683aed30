from odoo import models
from odoo.tools import SQL


class BillingStateOrder(models.AbstractModel):
    """Sorts and groups by a state in the order of the life it tells, where the database would go by its letters."""

    _name = "billing.state.order"
    _description = "States in the Order of Their Life"

    _billing_state_field = "state"

    def _billing_in_order(self, state):
        keys = self._fields[self._billing_state_field].get_values(self.env)
        return SQL("array_position(string_to_array(%s, ','), %s)", ",".join(keys), state)

    def _order_field_to_sql(self, alias, field_name, direction, nulls, query):
        if field_name != self._billing_state_field:
            return super()._order_field_to_sql(alias, field_name, direction, nulls, query)
        state = self._field_to_sql(alias, field_name, query)
        query._order_groupby.append(state)
        return SQL("%s %s %s", self._billing_in_order(state), direction, nulls)

    def _read_group_orderby(self, order, groupby_terms, query):
        fname = self._billing_state_field
        if fname not in groupby_terms:
            return super()._read_group_orderby(order, groupby_terms, query)
        ordered = dict(groupby_terms, **{fname: self._billing_in_order(groupby_terms[fname])})
        sql_order = super()._read_group_orderby(order, ordered, query)
        # Ordering by a related record may have added to the terms of that one.
        groupby_terms.update(ordered, **{fname: groupby_terms[fname]})
        return sql_order
