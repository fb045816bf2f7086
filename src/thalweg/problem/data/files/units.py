"""Units of measure, in lower case, as cells and lines below a header write them."""

# fmt: off
# Before these, a minus behind the digits is a sign: `12-kg`. Before other words it is a hyphen: `5-door`.
MEASURES = frozenset({
    "kg", "g", "mg", "t", "lb", "m", "cm", "mm", "km", "m²", "m³", "ft", "l", "ml", "h", "min", "s", "ms",
    "km/h", "m/s", "°", "°c", "°f", "k", "v", "mv", "a", "ma", "w", "kw", "kwh", "pa", "hpa", "kpa", "bar",
    "db",
})
# What a line of units below the names may hold besides, without brackets.
UNITS = MEASURES | {
    "oz", "in", "nm", "µm", "µg", "d", "mph", "mm/h", "c", "degc", "deg", "mpa", "mbar", "hz", "khz", "mhz",
    "ppm", "ppb", "$", "€", "usd", "eur",
}
# fmt: on
