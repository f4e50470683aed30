"""How quantities and prices of usage read. Numbers are kept in base units; people read minutes, gigabytes and money."""

from decimal import Decimal

from odoo.tools import formatLang

from .units import UNITS

MB_PER_GB = 1000


def trimmed(env, number, least=0, most=6):
    """`number` in the user's language with as many digits as it has, `least` to `most`."""
    exact = Decimal(str(number or 0)).quantize(Decimal(1).scaleb(-most)).normalize()
    digits = min(most, max(least, -exact.as_tuple().exponent))
    return formatLang(env, float(exact), digits=digits)


def exact_money(env, currency, amount, most=6):
    """`amount` with all its digits, where the currency's own format would round it."""
    digits = trimmed(env, amount, currency.decimal_places, most)
    return (
        f"{currency.symbol}\N{NO-BREAK SPACE}{digits}"
        if currency.position == "before"
        else (f"{digits}\N{NO-BREAK SPACE}{currency.symbol}")
    )


def quantity_text(env, quantity, unit):
    """A quantity in base units as people say it: `1:05 min`, `2:00:05 h`, `1.5 GB`, `12`."""
    measure = UNITS[unit].measure if unit in UNITS else "count"
    quantity = quantity or 0
    if measure == "time":
        return _duration(env, quantity)
    if measure == "data":
        if quantity >= MB_PER_GB:
            return env._("%s GB", trimmed(env, quantity / MB_PER_GB, most=3))
        return env._("%s MB", trimmed(env, quantity, most=3))
    return trimmed(env, quantity)


def _duration(env, seconds):
    whole = int(seconds)
    fraction = trimmed(env, seconds - whole)[1:] if seconds != whole else ""
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    if hours:
        return env._(
            "%(hours)s:%(minutes)02d:%(seconds)s h",
            hours=trimmed(env, hours),
            minutes=minutes,
            seconds=f"{rest:02d}{fraction}",
        )
    return env._("%(minutes)s:%(seconds)s min", minutes=minutes, seconds=f"{rest:02d}{fraction}")


def unit_text(env, unit):
    """What a price is for: `per minute`."""
    return {
        "second": env._("per second"),
        "minute": env._("per minute"),
        "hour": env._("per hour"),
        "mb": env._("per MB"),
        "gb": env._("per GB"),
        "piece": env._("each"),
    }.get(unit, "")
