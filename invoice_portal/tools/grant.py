"""Lets one method of ours past a guard that nobody outside passes."""

# The context key under which it travels. A caller by RPC, import or the JSON API can set the key, too, but not to this
# very object: guards compare by identity.
KEY = "billing_grant"
_GRANT = object()


def granted(records):
    """The same records, for the one write that needs it."""
    return records.with_context(**{KEY: _GRANT})


def is_granted(env):
    return env.context.get(KEY) is _GRANT
