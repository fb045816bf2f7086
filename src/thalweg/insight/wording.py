"""Numbers as text: one way to write figures in the terminal, in reports and in sentences."""

import math
from typing import Any

from thalweg.core.escape import printable

NOTHING = "-"
# Metrics between 0 and 1 that are written in per cent; all others keep their own unit.
SHARES = frozenset(
    {
        "accuracy",
        "balanced_accuracy",
        "top5_accuracy",
        "error_rate",
        "exact_match",
        "f1",
        "macro_f1",
        "micro_f1",
        "top5",
        "top_k",
        "mape",
        "precision",
        "recall",
    }
)


def as_number(value: Any) -> float | None:
    """Return `value` as a float, or None where it is not a number (missing, text, a bool)."""
    if value is None or isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def figure(value: Any, digits: int = 4) -> str:
    """Write a measured number with `digits` significant digits: `0.06932`, `1.2e-05`, `NaN`; `-` for None."""
    number = as_number(value)
    if number is None:
        return NOTHING
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "infinite" if number > 0 else "-infinite"
    if number == 0.0:
        return "0"
    if abs(number) < 1e-3 or abs(number) >= 1e7:
        return _short_exponent(f"{number:.{max(0, digits - 2)}e}")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(number))))
    return f"{number:,.{decimals}f}"


def setting(value: Any) -> str:
    """Write a setting exactly, without rounding: `0.001`, `true`, `none`, `[512, 256]`."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _short_exponent(f"{value:g}") if float(f"{value:g}") == value else repr(value)
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    return str(value)


def count(value: Any) -> str:
    """Write a whole number with thousands separators: `60,000`."""
    number = as_number(value)
    return NOTHING if number is None or not math.isfinite(number) else f"{round(number):,}"


def plural(number: Any, noun: str, many: str | None = None) -> str:
    """Write a count with its noun: `1 epoch`, `5 epochs`."""
    value = as_number(number)
    shown = count(value) if value is None or value == round(value) else f"{value:,.4g}"
    return f"{shown} {noun if value == 1 else many or noun + 's'}"


def percent(share: Any, decimals: int | None = None) -> str:
    """Write a share in per cent, with more digits near 0 and 100: `87.9 %`, `99.86 %`."""
    number = as_number(share)
    if number is None or not math.isfinite(number):
        return figure(number)
    if decimals is None:
        decimals = 0 if number in (0.0, 1.0) else 2 if min(abs(number), abs(1 - number)) < 0.1 else 1
    return f"{100 * number:.{decimals}f} %"


def times(ratio: float) -> str:
    """Say how much higher one number is than another: `12.3 % higher`; from twice on `2.4 times as high`."""
    return f"{percent(ratio - 1)} higher" if ratio < 2 else f"{figure(ratio, 2)} times as high"


def measure(name: str | None, value: Any) -> str:
    """Write a metric's value: shares in per cent, others as figures."""
    return percent(value) if name is not None and kind_of(name) in SHARES else figure(value)


def kind_of(name: str) -> str:
    """Return a metric's name without its parameter and without that of its output: `f1` of `kind.f1:yes`."""
    return name.partition(":")[0].rpartition(".")[2]


def seconds(value: Any) -> str:
    """Write a duration: `0.42 s`, `12.3 s`, `3 min 20 s`, `2 h 05 min`."""
    number = as_number(value)
    if number is None or not math.isfinite(number) or number < 0:
        return NOTHING
    if number < 99.95:
        return f"{number:.2g} s" if number < 1 else f"{number:.1f} s"
    minutes, rest = divmod(round(number), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def size(value: Any) -> str:
    """Write a large count with a unit prefix: `1,290`, `669.7 k`, `1.24 M`."""
    number = as_number(value)
    if number is None or not math.isfinite(number):
        return NOTHING
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(number) >= limit:
            return f"{number / (1e3 if unit == ' k' else limit):.4g}{unit}"
    return f"{number:,.0f}"


def listing(names: list[str], limit: int = 4) -> str:
    """Join names for a sentence: `a, b and c`; those beyond `limit` are only counted."""
    if len(names) > limit:
        names = [*names[:limit], f"{len(names) - limit} more"]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1] if names else ""


def clipped(text: Any, width: int) -> str:
    """Return `text` on one line, cut to `width` characters with an ellipsis."""
    line = printable(" ".join(str(text).split()))
    return line if len(line) <= width else line[: max(0, width - 1)] + "…"


def _short_exponent(text: str) -> str:
    """Shorten `1.00e-05` to `1e-05`; other text is unchanged."""
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{exponent}"
