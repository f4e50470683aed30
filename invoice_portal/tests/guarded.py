from inspect import signature

from odoo.exceptions import AccessError
from odoo.service.model import call_kw


class GuardedActionsMixin:
    """Every public `action_*` of an addon turns away whoever does not bill, before it says anything else.

    The methods are found, not listed: one that is added later is called, too. To be mixed into a test of an addon.
    """

    addon = None

    def _records(self):
        """One record (or several) per model that has such methods, foreign to those who call."""
        raise NotImplementedError

    def _own_actions(self):
        """`{(model, method): function}` of what this addon's classes define."""
        return {
            (model_name, name): function
            for model_name in self.env.registry
            # What several models share is called on each of them.
            if not self.env[model_name]._abstract
            for cls in type(self.env[model_name]).mro()
            if cls.__module__.startswith(f"odoo.addons.{self.addon}.")
            for name, function in vars(cls).items()
            if name.startswith("action_") and callable(function)
        }

    def _check_turned_away(self, user, models=None):
        records, actions = self._records(), self._own_actions()
        self.assertTrue(actions)
        for (model_name, name), function in sorted(actions.items(), key=lambda item: item[0]):
            if models and model_name not in models:
                continue
            with self.subTest(f"{model_name}.{name}", by=user.login):
                ids = records[model_name].ids
                self.assertTrue(ids)
                # As in a call from outside, nothing was read before.
                self.env.flush_all()
                self.env.invalidate_all()
                wanted = [
                    parameter
                    for parameter in list(signature(function).parameters.values())[1:]
                    if parameter.default is parameter.empty
                ]
                with self.assertRaises(AccessError):
                    call_kw(self.env(user=user)[model_name], name, [ids, *("void" for _ in wanted)], {})
