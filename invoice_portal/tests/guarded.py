from inspect import isclass, signature

from odoo.exceptions import AccessError
from odoo.service.model import call_kw, get_public_method

# What a call passes, where a method does something with it before it could ask who calls.
ARGUMENTS = {"create": [[{"move_id": 1}]], "write": [{"display_name": "Ours"}], "default_get": [["id"]]}


class GuardedActionsMixin:
    """Every public `action_*` of an addon turns away whoever does not bill, before it says anything else; every other
    method that can be called from outside turns away clients.

    The methods are found, not listed: one that is added later is called, too. To be mixed into a test of an addon.
    """

    addon = None
    # `{"model.method": why}`: what anybody may call beside actions.
    open_calls = {}

    def _records(self):
        """One record (or several) per model that has such methods, foreign to those who call."""
        raise NotImplementedError

    def _own_functions(self):
        """`{(model, method): function}` of what this addon's classes define, and can be called from outside."""
        functions = {}
        for model_name in self.env.registry:
            model = self.env[model_name]
            for cls in type(model).mro():
                if not cls.__module__.startswith(f"odoo.addons.{self.addon}."):
                    continue
                for name, function in vars(cls).items():
                    if name.startswith("_") or not callable(function) or isclass(function):
                        continue
                    try:
                        get_public_method(model, name)
                    except AccessError:
                        continue
                    functions[model_name, name] = function
        return functions

    def _own_actions(self):
        return {
            (model_name, name): function
            for (model_name, name), function in self._own_functions().items()
            # What several models share is called on each of them.
            if name.startswith("action_") and not self.env[model_name]._abstract
        }

    def _check_turned_away(self, user, models=None):
        records, actions = self._records(), self._own_actions()
        self.assertTrue(actions)
        for (model_name, name), function in sorted(actions.items(), key=lambda item: item[0]):
            if models and model_name not in models:
                continue
            with self.subTest(f"{model_name}.{name}", by=user.login):
                self.assertTrue(records[model_name].ids)
                self._check_call_turned_away(user, model_name, name, function, records[model_name].ids)

    def _check_calls_turned_away(self, user, but=()):
        """As above, for what is no action: where there is no record at hand, the model is closed altogether."""
        records = self._records()
        calls = {key: each for key, each in self._own_functions().items() if not key[1].startswith("action_")}
        self.assertTrue(calls)
        self.assertLessEqual(self.open_calls.keys(), {".".join(key) for key in calls}, "No longer there")
        for (model_name, name), function in sorted(calls.items(), key=lambda item: item[0]):
            if f"{model_name}.{name}" in {*self.open_calls, *but}:
                continue
            with self.subTest(f"{model_name}.{name}", by=user.login):
                ids = records[model_name].ids if model_name in records else [1]
                self._check_call_turned_away(user, model_name, name, function, ids)

    def _check_call_turned_away(self, user, model_name, name, function, ids):
        # As in a call from outside, nothing was read before.
        self.env.flush_all()
        self.env.invalidate_all()
        wanted = [
            parameter
            for parameter in list(signature(function).parameters.values())[1:]
            if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        ]
        arguments = ARGUMENTS.get(name, ["void" for _ in wanted])
        with self.assertRaises(AccessError):
            of_model = getattr(get_public_method(self.env[model_name], name), "_api_model", False)
            call_kw(self.env(user=user)[model_name], name, arguments if of_model else [ids, *arguments], {})
