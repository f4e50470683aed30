"""Telephone numbers as they are looked up: digits with the country's code, whatever they were written like.

Plain Python, no environment.
"""

import re
import unicodedata
from functools import lru_cache

import phonenumbers

MOST_DIGITS = 15  # of a number anywhere on earth (E.164)
# What people and switches put around a number: "tel:", "sip:…@host;user=phone".
WRAPPING = re.compile(r"^(?:tel|sips?):|[@;].*$", re.IGNORECASE)
PUNCTUATION = re.compile(r"[\s().\-/\u2010-\u2015\u00a0]+")


class NotANumber(ValueError):
    """What was called is not a telephone number that can be rated; the message says why."""


@lru_cache(maxsize=1 << 17)
def digits(text: str, region: str | None, with_country: bool = False) -> str:
    """The number in digits, its country's code first.

    A number that only its own country knows ("110") has that country before a colon, so that no prefix of another
    country fits it: "de:110". What is no number at all ("anonymous") stays a word.

    :param region: the country of numbers without a country's code
    :param with_country: every number begins with the country's code, also without "+" or "00"
    """
    number = PUNCTUATION.sub("", WRAPPING.sub("", text.strip()))
    number = "".join(str(unicodedata.digit(sign, sign)) for sign in number)
    if number.startswith(("+", "00")):
        return _international(number.removeprefix("+") if number[0] == "+" else number[2:], text)
    if not number.isdigit():
        return text.strip().lower()
    if with_country:
        return _international(number, text)
    if not region:
        raise NotANumber("country")
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return f"{region.lower()}:{number}"
    if _is_of_one_country(parsed, number, region):
        return f"{region.lower()}:{number}"
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)[1:]


def _is_of_one_country(parsed, number, region):
    """Emergency and other short numbers, and those that lack their area: with the country's code before them, they
    would be other numbers.
    """
    if phonenumbers.is_possible_number_with_reason(parsed) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return True
    return (
        str(parsed.national_number) == number
        and not phonenumbers.is_valid_number(parsed)
        and phonenumbers.is_valid_short_number_for_region(parsed, region)
    )


def _international(number: str, text: str) -> str:
    if not number.isdigit():
        return text.strip().lower()
    if len(number) > MOST_DIGITS:
        raise NotANumber("long")
    return number
