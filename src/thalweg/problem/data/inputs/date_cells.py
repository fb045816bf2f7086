"""The date in one cell: which of many forms it has, and the moment that it stands for."""

# ruff: noqa: RUF001 (months in Cyrillic letters are meant)

from __future__ import annotations

import re

import numpy as np

DAY_FIRST, MONTH_FIRST = "dmy", "mdy"
# `13-04-14`, where the last number is the day: decided by a whole column.
YEAR_FIRST = "ymd"
# A year of two digits up to this one is in this century, as in POSIX.
CENTURY = 68

_MONTHS: dict[str, int] = {}
for _number, _names in enumerate(
    (
        "january jan januar jänner jän janvier janv enero ene gennaio gen janeiro januari stycznia styczeń "
        "января январь янв січня ocak tammikuuta tammikuu ledna leden január ianuarie",
        "february feb februar februari février fevrier févr fevr fév febrero febbraio fevereiro fev lutego "
        "luty февраля февраль фев лютого şubat helmikuuta helmikuu února únor február februarie",
        "march mar märz mrz mär maart mrt mars marzo março marco marca marzec марта март мар березня mart "
        "maaliskuuta maaliskuu března březen március martie",
        "april apr avril avr abril abr aprile kwietnia kwiecień апреля апрель апр квітня nisan huhtikuuta "
        "huhtikuu dubna duben április aprilie",
        "may mai maj mei mayo maggio mag maio maja мая май травня mayıs toukokuuta toukokuu května "
        "květen május",
        "june jun juni juin junio giugno giu junho czerwca czerwiec июня июнь июн червня haziran kesäkuuta "
        "kesäkuu června červen június iunie",
        "july jul juli juillet juil julio luglio lug julho lipca lipiec июля июль июл липня temmuz "
        "heinäkuuta heinäkuu července červenec július iulie",
        "august aug août aout agosto ago augustus augusti sierpnia sierpień августа август авг серпня "
        "ağustos elokuuta elokuu srpna srpen augusztus",
        "september sep sept septembre septiembre settembre set setembro września wrzesień сентября сентябрь "
        "сен вересня eylül syyskuuta syyskuu září szeptember septembrie",
        "october oct oktober okt octobre octubre ottobre ott outubro out października październik октября "
        "октябрь окт жовтня ekim lokakuuta lokakuu října říjen október octombrie",
        "november nov novembre noviembre novembro listopada listopad ноября ноябрь ноя листопада kasım "
        "marraskuuta marraskuu listopadu noiembrie",
        "december dec dezember dez décembre déc decembre diciembre dic dicembre dezembro desember des "
        "grudnia grudzień декабря декабрь дек грудня aralık joulukuuta joulukuu prosince prosinec decembrie",
    ),
    start=1,
):
    _MONTHS |= dict.fromkeys(_names.split(), _number)
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii")

_SEP = r"[-/. _]"
_NAME = r"(?P<name>[^\W\d_]{3,12})\.?"
_TIME = (
    r"(?:[t ,:]*\s*(?P<H>[01]?\d|2[0-4])(?:[:h.](?P<M>[0-5]\d))(?::(?P<S>[0-5]\d)(?:[.,](?P<f>\d{1,9}))?)?"
    r"\s*(?P<ap>[ap]\.?\s?m\.?)?\s*(?P<z>z|utc|gmt|(?:utc|gmt)?[+-]\d{2}:?\d{2}|[+-]\d{2}|\[?[a-z]{3,4}\]?)?)?"
)
_HOUR = r"(?:[t ,]+(?P<H>[01]?\d|2[0-4])\s*(?P<ap>[ap]\.?m\.?))?"
_QUARTER = r"(?:q|t|quartal|quarter|trimestre|kvartal)"
_WEEK = r"(?:kw|wk|w|week|woche|semaine|sem|vecka|uge)"
_YEAR = r"(?P<y>(?:19|20)\d{2})"
_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?P<y>\d{{4}})(?P<sep>{_SEP})\s?(?P<m>\d{{1,2}})(?P=sep)\s?(?P<d>\d{{1,2}})\.?{_TIME}",
        r"(?P<y>\d{4})(?P<sep>[-/])(?P<m>\d{1,2})(?P=sep)(?P<d>\d{1,2})[t ](?P<H>[01]?\d|2[0-3])(?P<z>z)?",
        r"(?P<y>\d{4})[-/.](?P<m>\d{1,2})",
        rf"(?P<m>0?[1-9]|1[0-2])[-/.]{_YEAR}",
        r"(?P<y>(?:19|20)\d{2})(?P<m>0[1-9]|1[0-2])(?P<d>0[1-9]|[12]\d|3[01])"
        r"(?:[t_ ]?(?P<H>[01]\d|2[0-3])(?P<M>[0-5]\d)(?P<S>[0-5]\d)?(?P<z>z)?)?",
        rf"(?P<a>\d{{1,2}})\s?(?P<sep>{_SEP})\s?(?P<b>\d{{1,2}})\s?(?P=sep)\s?(?P<y>\d{{4}}|\d{{2}}),?{_TIME}",
        rf"(?P<a>\d{{1,2}})(?P<sep>[-/.])(?P<b>\d{{1,2}})(?P=sep)(?P<y>\d{{4}}|\d{{2}}),?{_HOUR}",
        rf"(?P<d>\d{{1,2}})(?:st|nd|rd|th|\.)?[-/ .]*(?:of |de )?{_NAME}[-/ .,]*(?:de )?"
        rf"(?P<y>\d{{4}}|'?\d{{2}}),?(?:\s?г\.?)?{_TIME}",
        rf"{_NAME}[-/ .]*(?P<d>\d{{1,2}})(?:st|nd|rd|th)?\.?(?:\s*,\s*|[-/ ]+)(?P<y>\d{{4}}),?{_TIME}",
        rf"{_NAME}\s+(?P<d>\d{{1,2}})\s+(?P<H>[01]?\d|2[0-3]):(?P<M>[0-5]\d)(?::(?P<S>[0-5]\d))?"
        r"\s+(?:(?P<z>[a-z]{3,4}|[+-]\d{4})\s+)?(?P<y>\d{4})",
        rf"{_NAME}[-/ .,]*(?P<y>\d{{4}}|'?\d{{2}})",
        rf"(?P<y>\d{{4}})[-/ .]*{_NAME}(?:[-/ .]*(?P<d>\d{{1,2}})\.?)?{_TIME}",
        rf"(?P<y>\d{{4}})\s?[年년]\s?(?P<m>\d{{1,2}})\s?[月월](?:\s?(?P<d>\d{{1,2}})\s?[日일])?{_TIME}",
        r"(?P<d>\d{1,2})(?P<sep>[-/.])\s?(?P<roman>i{1,3}|i?[vx]|vi{1,3}|xi{1,2})(?P=sep)\s?"
        r"(?P<y>\d{4}|\d{2})",
        r"(?P<y>\d{4})[-/ ]?q(?P<q>[1-4])",
        rf"{_YEAR}[-/ ]?t(?P<q>[1-4])",
        rf"[qt](?P<q>[1-4])[-/ ]?{_YEAR}",
        r"q(?P<q>[1-4])[/'](?P<y>\d{2})",
        rf"(?P<q>[1-4])\.?\s?{_QUARTER}[-/ ]*{_YEAR}",
        r"(?P<q>[1-4])q(?P<y>\d{2})",
        r"(?P<y>\d{4})-?w(?P<w>[0-5]\d)(?:-?(?P<wd>[1-7]))?",
        rf"{_YEAR}[-/ ]?{_WEEK}[- ]?(?P<w>[0-5]?\d)",
        rf"{_WEEK}\.?\s?(?P<w>[0-5]?\d)[-/ ,]*{_YEAR}",
        rf"(?P<w>[0-5]?\d)\.\s?{_WEEK}[-/ ,]*{_YEAR}",
        rf"{_YEAR}[-/ ]?[hs](?P<half>[12])",
        rf"[hs](?P<half>[12])[-/ ]?{_YEAR}",
        rf"{_YEAR}[-/ ]?m(?P<m>0?[1-9]|1[0-2])",
        r"/date\((?P<ms>-?\d{1,15})(?:[+-]\d{4})?\)/",
    )
)
_WEEKDAY = re.compile(
    r"(?:mon|tue|tues|wed|thu|thur|thurs|fri|sat|sun|mo|di|mi|do|fr|sa|so)[a-z]*\.?,?\s+", re.IGNORECASE
)


def parts_of(cell: str) -> re.Match[str] | None:
    """Return the parts of the date in a cell, None if it is none."""
    plain = cell.strip()
    if plain.endswith("]"):  # [10/Oct/2000:13:55:36 -0700] of web servers, [Europe/Berlin] of Java
        plain = plain[1:-1] if plain[0] == "[" else re.sub(r"\[[A-Za-z]+(?:/\w+)*\]$", "", plain)
    plain = (_WEEKDAY.sub("", plain, count=1) if plain[:1].isalpha() else plain).lower()
    for pattern in _PATTERNS:
        found = pattern.fullmatch(plain)
        if found is not None and ("name" not in found.groupdict() or found["name"] in _MONTHS):
            return found
    return None


def moment(parts: re.Match[str], order: str) -> int | None:
    """Return microseconds since 1970, None if there is no such day.

    Args:
        parts: Of `parts_of`.
        order: Of day and month, or `ymd`, or by separator, as in `Dates.form`.
    """
    got = parts.groupdict()
    if got.get("ms"):
        return 1000 * int(got["ms"])
    year = _year(got["y"])
    if got.get("w"):
        return _week(year, int(got["w"]), int(got.get("wd") or 1))
    day, month = got.get("d") or 1, _month(got)
    if got.get("a"):
        first = order_of(order, got["sep"])
        if first is None:
            return None
        day, month = (got["b"], got["a"]) if first == MONTH_FIRST else (got["a"], got["b"])
        if first == YEAR_FIRST and len(got["y"]) == 2:
            year, month, day = _year(got["a"]), got["b"], got["y"]
    hour, minute = int(got.get("H") or 0), int(got.get("M") or 0)
    if got.get("ap"):
        hour = hour % 12 + (12 if got["ap"][0] == "p" else 0)
    try:
        days = np.datetime64(f"{year:04d}-{int(month):02d}-{int(day):02d}", "us").astype(np.int64)
    except ValueError:
        return None
    seconds = 3600 * hour + 60 * minute + int(got.get("S") or 0) - _offset(got.get("z") or "")
    return int(days) + 1_000_000 * seconds + int((got.get("f") or "0").ljust(6, "0")[:6])


def order_of(form: str, separator: str) -> str | None:
    """Return the order of day and month that a form has for a separator; None if it has none."""
    if form in (DAY_FIRST, MONTH_FIRST, YEAR_FIRST):
        return form
    return next((part[1:] for part in form.split() if part[0] == separator), None)


def _month(got: dict[str, str]) -> int:
    """Return the month of the parts; the first one of a quarter or half year."""
    if got.get("q"):
        return 3 * int(got["q"]) - 2
    if got.get("half"):
        return 6 * int(got["half"]) - 5
    if got.get("roman"):
        return _ROMAN.index(got["roman"]) + 1
    return int(got.get("m") or _MONTHS.get(got.get("name") or "") or 1)


def _year(text: str) -> int:
    digits = text.lstrip("'")
    if len(digits) == 2:
        return int(digits) + (2000 if int(digits) <= CENTURY else 1900)
    return int(digits)


def _week(year: int, week: int, weekday: int) -> int | None:
    """Return the microseconds of a day of an ISO week: week 1 has 4 January in it, weeks begin on Monday."""
    january = np.datetime64(f"{year:04d}-01-04", "D")
    monday = january - (january.astype(int) + 3) % 7
    day = monday + 7 * (week - 1) + weekday - 1
    return int(day.astype("datetime64[us]").astype(np.int64)) if 1 <= week <= 53 else None


def _offset(zone: str) -> int:
    """Return the seconds that a zone is ahead of UTC; names other than UTC's are read as no zone."""
    found = re.search(r"([+-])(\d{2}):?(\d{2})?$", zone)
    if found is None:
        return 0
    return (1 if found[1] == "+" else -1) * (3600 * int(found[2]) + 60 * int(found[3] or 0))
