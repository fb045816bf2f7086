"""Codes of countries, continents and regions: among them `NA` is Namibia or North America, not missing."""

from __future__ import annotations

import re
from collections.abc import Collection

from thalweg.core.lazy import pl
from thalweg.problem.data.note import Note, guess

NA = "NA"
# ISO 3166-1 alpha-2, and EU, UK, XK, which are used like them.
_COUNTRY_CODES = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT "
    "BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH "
    "ER ES ET EU FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR "
    "HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR "
    "LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG "
    "NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE "
    "SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA "
    "UG UK UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW "
)
# States and provinces, most of which share their letters with a country.
_STATE_CODES = (
    "AL AZ AR CA CO DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH "
    "OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY AK CT DC PR AB BC MB NB NL NS NT NU ON PE QC SK YT "
)
_COUNTRIES, _STATES = frozenset(_COUNTRY_CODES.split()), frozenset(_STATE_CODES.split())
_CONTINENTS = frozenset({"AF", "AN", "AS", "EU", "OC", "SA"})
_REGIONS = frozenset(
    {"EMEA", "APAC", "LATAM", "AMER", "ANZ", "MENA", "MEA", "EU", "EUR", "AP", "ASIA", "SEA", "UK"}
)
_NAMED = re.compile(r"(?i)countr|nation|iso|^cc$|land$|pays|pa[ií]s|paese|geo")


def place_note(name: str) -> Note:
    """Return what is said of a column in which `NA` is a code."""
    text = f"{name}: {NA!r} stands among codes of places, and was read as one of them, not as missing."
    return guess("missing", text, (name,), missing=NA)


def is_place(column: pl.Series, marks: Collection[str] = ()) -> bool:
    """Return whether `NA` in a column of text is a code, by the other cells and the column's name.

    It is among codes of continents or sales regions, and among those of countries unless all of these are
    states of America, too: there it is more likely missing.

    Args:
        column: Trimmed text.
        marks: What the user says is missing.

    Returns:
        False also for a column without `NA`, or with fewer than three codes.
    """
    if NA in marks or column.dtype != pl.String or not column.is_in([NA]).any():
        return False
    others = set(column.drop_nulls().unique().to_list()) - {NA, "", *marks}
    if (len(others) >= 3 and others <= _CONTINENTS) or (len(others & _REGIONS) >= 2 and len(others) <= 12):
        return True
    countries = len(others & _COUNTRIES)
    foreign = bool(_NAMED.search(column.name)) or len(others - _STATES) > len(others) / 3
    return countries >= 3 and countries >= 0.95 * len(others) and foreign
