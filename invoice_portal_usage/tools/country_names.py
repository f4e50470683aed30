"""What a telephone prefix is called: its country, in the reader's language, and its region.

Plain Python, no environment. The library knows which country a prefix belongs to and the names of regions, Babel has
the names of countries in all languages.
"""

import re
from functools import lru_cache

from babel import Locale, UnknownLocaleError
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata, PhoneNumber, geocoder

# The library's region of what belongs to no country: satellites, free numbers of the world.
NO_COUNTRY = "001"


def name_of_prefix(prefix: str, lang: str | None, mobile: str = "%s mobile") -> str | None:
    """“Germany”, “Germany, Berlin”, “Germany mobile”; None for what belongs to no country.

    :param mobile: how to call what is a country's mobile network, in the same language
    """
    code, national = _split(prefix)
    region = code and _region(code, national)
    if not region or region == NO_COUNTRY:
        return None
    locale = _locale(lang)
    country = locale.territories.get(region, region)
    if national and _is_mobile(region, national):
        return mobile % country
    area = _area(code, national, locale.language)
    # The library knows the areas of the main country of a code.
    return f"{country}, {area}" if area and region == COUNTRY_CODE_TO_REGION_CODE[code][0] else country


def _split(prefix: str) -> tuple[int | None, str]:
    """The country's code and the rest. No code is the beginning of another one."""
    for length in (1, 2, 3):
        code = prefix[:length]
        if code.isdigit() and int(code) in COUNTRY_CODE_TO_REGION_CODE:
            return int(code), prefix[length:]
    return None, ""


def _region(code: int, national: str) -> str:
    """Of several countries with one code: the one whose own leading digits these are, else the main one."""
    regions = COUNTRY_CODE_TO_REGION_CODE[code]
    for region in regions[1:]:
        leading = PhoneMetadata.metadata_for_region(region, None).leading_digits
        if national and leading and re.match(leading, national):
            return region
    return regions[0]


@lru_cache(maxsize=50_000)
def _area(code: int, national: str, language: str) -> str:
    # Several zeros in front count in some countries; none has more than the library takes.
    zeros = len(national) - len(national.lstrip("0"))
    if not national or not national.strip("0"):
        return ""
    number = PhoneNumber(
        country_code=code,
        national_number=int(national),
        italian_leading_zero=zeros > 0 or None,
        number_of_leading_zeros=zeros if zeros > 1 else None,
    )
    area = geocoder.description_for_valid_number(number, language)
    # For what it has no area of, the library may name the country.
    return "" if area in (geocoder.country_name_for_number(number, language), _country(code, language)) else area


def _country(code: int, language: str) -> str:
    return _locale(language).territories.get(COUNTRY_CODE_TO_REGION_CODE[code][0], "")


@lru_cache(maxsize=50_000)
def _is_mobile(region: str, national: str) -> bool:
    """Whether numbers that begin like this are of mobile telephones only: numbers of all lengths are tried."""
    metadata = PhoneMetadata.metadata_for_region(region, None)
    if not metadata.mobile or not metadata.mobile.national_number_pattern:
        return False
    mobile = re.compile(metadata.mobile.national_number_pattern)
    fixed = re.compile(metadata.fixed_line.national_number_pattern or "(?!)")
    lengths = {*metadata.mobile.possible_length, *metadata.fixed_line.possible_length}
    numbers = [
        national + filler * (length - len(national))
        for length in lengths
        if length >= len(national)
        for filler in "0123456789"
    ]
    return any(mobile.fullmatch(number) for number in numbers) and not any(
        fixed.fullmatch(number) for number in numbers
    )


@lru_cache(maxsize=100)
def _locale(lang: str | None) -> Locale:
    try:
        return Locale.parse((lang or "en_US").split("@")[0])
    except (UnknownLocaleError, ValueError):
        return Locale("en")
