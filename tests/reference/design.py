"""Which runs are made: rows that together hold every pair of values of any two settings, eight lanes a row.

A row chooses what selects a compiled program (which optimizer, schedule, ...); its lanes differ in numbers
and seeds. Pure Python: no import of Thalweg.
"""

import itertools
import random
from collections.abc import Iterator
from typing import Any

Row = dict[str, str]
Plain = dict[str, Any]

LANES = 8

# Batch size and length: epochs of 52 updates (the last of 3 rows), of 13 (15 rows), and of one.
BATCHES: dict[str, Plain] = {
    "four": {"batch_size": 4, "epochs": 3},
    "four, cut short": {"batch_size": 4, "steps": 140},
    "sixteen": {"batch_size": 16, "epochs": 12},
    "full": {"batch_size": "full", "steps": 110},
}
CLIPPING: dict[str, Plain] = {
    "none": {},
    "norm": {"clip_norm": 0.5},
    "value": {"clip_value": 0.05},
    "rows": {"agc": 0.02},
    "all": {"clip_norm": 0.3, "clip_value": 0.05, "agc": 0.05},
}
GROUPS: dict[str, list[Plain]] = {
    "none": [],
    "biases": [{"role": "bias", "lr_factor": 0.3}, {"pattern": "layers.0.*", "lr_factor": 2.0}],
    "frozen": [{"pattern": "layers.0.weight", "frozen": True}],
    "decay": [{"role": "head", "weight_decay": 0.1}, {"role": "bias", "weight_decay": 0.02}],
}
STOPS = ("none", "patience", "target", "loss_change_below", "gradient_below")

# Learning rates at which a rule learns without diverging, and options of which each lane's program has one.
_ADAM: Plain = {"b1": 0.85, "b2": 0.97, "eps": 1e-7}
OPTIMIZERS: dict[str, tuple[float, Plain, dict[str, list[Any]]]] = {
    "sgd": (
        0.05,
        {"weight_decay": 0.02},
        {
            "momentum": [0.8, None, 0.9],
            "remember": ["gradients", "steps"],
            "decay_form": ["half", "whole", "decoupled"],
        },
    ),
    "sgd-nesterov": (0.03, {"momentum": 0.85, "nesterov": True}, {"remember": ["gradients", "steps"]}),
    "adagrad": (0.05, {"eps": 1e-8, "initial": 0.01}, {"weight_decay": [None, 0.02]}),
    "rmsprop": (0.003, {"decay": 0.92, "eps": 1e-6}, {"momentum": [None, 0.7], "centred": [True, False]}),
    "adadelta": (1.0, {"decay": 0.93}, {"weight_decay": [0.02, None]}),
    "adam": (0.01, _ADAM, {"weight_decay": [None, 0.02]}),
    "adamw": (0.01, {**_ADAM, "weight_decay": 0.03}, {}),
    "adamax": (0.01, _ADAM, {"weight_decay": [0.02, None]}),
    "nadam": (0.01, _ADAM, {"weight_decay": [None, 0.02]}),
    "amsgrad": (0.01, _ADAM, {"corrected": [True, False], "weight_decay": [None, 0.02]}),
    "radam": (0.01, _ADAM, {"weight_decay": [None, 0.02]}),
    "lion": (0.002, {"b1": 0.88, "b2": 0.95, "weight_decay": 0.02}, {}),
    "lamb": (0.01, {**_ADAM, "weight_decay": 0.03}, {}),
    "lars": (1.0, {"momentum": 0.85, "trust": 0.02, "eps": 1e-6, "weight_decay": 0.01}, {}),
    "adafactor": (
        0.02,
        {"eps": 1e-10, "decay": 0.7, "clip": 0.9, "weight_decay": 0.02},
        {"momentum": [None, 0.8], "relative": [True, False], "smallest": [2, 128]},
    ),
    "muon": (
        0.01,
        {"momentum": 0.9, "adam_lr": 0.004, "b1": 0.85, "b2": 0.95, "eps": 1e-7, "weight_decay": 0.02},
        {"nesterov": [True, False], "size": ["width", "rms"]},
    ),
    "prodigy": (1.0, {"d0": 1e-3, "eps": 1e-6, "weight_decay": 0.01}, {"safeguard": [False, True]}),
    "schedule-free-sgd": (0.1, {"b1": 0.85}, {"weight_decay": [None, 0.02]}),
    "schedule-free-adamw": (0.01, {"b1": 0.85, "b2": 0.95, "eps": 1e-7, "weight_decay": 0.02}, {}),
    "sam": (0.05, {"rho": 0.03}, {}),
}
SCHEDULES: dict[str, list[Plain]] = {
    "constant": [{}],
    "step": [{"every": 1.0, "drop": 0.5, "unit": "epochs"}, {"every": 31.0, "drop": 0.4, "unit": "steps"}],
    "multi-step": [{"points": [0.3, 0.7], "drop": 0.4}, {"points": [40.0, 77.0], "unit": "steps"}],
    "exponential": [{"decay": 0.7}, {"decay": 0.1, "unit": "fraction"}],
    "inverse-time": [{"k": 0.8}, {"k": 0.01, "unit": "steps"}],
    "polynomial": [{"power": 1.0, "floor": 0.1}, {"power": 2.0}],
    "cosine": [{"floor": 0.05}],
    "cosine-restarts": [
        {"period": 21.0, "growth": 2.0, "unit": "steps", "floor": 0.1},
        {"period": 1.0, "growth": 1.0},
    ],
    "plateau": [{"drop": 0.5, "patience": 0.0, "threshold": 0.02, "floor": 0.3}, {"cooldown": 1.0}],
    "one-cycle": [{"rise": 0.4, "start": 0.1, "end": 0.01}, {"shape": "linear"}],
    "warmup": [
        {"length": 0.4, "then": {"name": "plateau", "patience": 0.0, "threshold": 0.3}},
        {"length": 15.0, "unit": "steps", "then": {"name": "one-cycle"}},
        {"length": 0.1, "unit": "fraction", "then": {"name": "cosine", "floor": 0.1}},
    ],
    "warmup-cosine": [{"warmup": 0.1}, {"warmup": 12.0, "unit": "steps", "floor": 0.1}],
    "warmup-stable-decay": [{"warmup": 0.1, "decay": 0.4}, {"shape": "linear", "floor": 0.1}],
}
AVERAGES: dict[str, list[Plain]] = {
    "none": [{}],
    "ema": [{"decay": 0.95}, {"decay": 0.9, "ramp": False}],
    "tail": [{"start": 0.4}, {"start": 1.0, "unit": "epochs"}],
    "swa": [{"start": 0.3, "every": 7.0, "every_unit": "steps"}, {"start": 20.0, "unit": "steps"}],
}
PROBLEMS = (
    *("classes", "smoothed", "two", "values", "several values", "labels", "margins", "holes", "weighted"),
    *("unvalidated", "untested"),
)
BATCH_NORM = ("classes", "values", "margins", "holes", "unvalidated")

FACTORS: dict[str, tuple[str, ...]] = {
    "optimizer": tuple(OPTIMIZERS),
    "schedule": tuple(SCHEDULES),
    "problem": PROBLEMS,
    "averaging": tuple(AVERAGES),
    "clipping": tuple(CLIPPING),
    "stop": STOPS,
    "batch": tuple(BATCHES),
    "groups": tuple(GROUPS),
    "shuffle": ("reshuffle", "once", "none", "replacement"),
    "rate_rule": ("none", "linear", "sqrt"),
    "accumulate": ("1", "3"),
    "last_batch": ("keep", "drop"),
    "noise": ("off", "on"),
    "skip_nonfinite": ("off", "on"),
    "layout": ("map", "batch"),
    "resumed": ("no", "yes"),
}


def allowed(row: Row) -> bool:
    """Return whether some values go together; of the factors that a row lacks nothing is known."""

    def has(factor: str, *values: str) -> bool:
        return row.get(factor) in values

    # A rule that looks at the sign of a gradient, and a bias before batch norm, whose gradient is 0 but for
    # rounding: the sign of a rounding error is no number to compare.
    signs = has("optimizer", "lion") and has("problem", *BATCH_NORM)
    # The variance of one or two rows is near the epsilon of batch norm, which multiplies rounding errors.
    tiny = has("problem", *BATCH_NORM) and has("accumulate", "3") and has("batch", "four", "four, cut short")
    sam = has("optimizer", "sam") and (has("groups", "biases", "frozen", "decay") or has("accumulate", "3"))
    full = has("batch", "full") and (has("rate_rule", "linear", "sqrt") or has("last_batch", "drop"))
    unseen = has("problem", "unvalidated") and has("stop", "patience", "target")
    return not (signs or tiny or sam or full or unseen)


def pairs(row: Row) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """Yield all pairs of values that a row holds."""
    yield from itertools.combinations(row.items(), 2)


def all_pairs() -> set[Any]:
    """Return all pairs that are allowed."""
    both = itertools.combinations(FACTORS.items(), 2)
    every = (
        ((one, a), (other, b)) for (one, values), (other, others) in both for a in values for b in others
    )
    return {pair for pair in every if allowed(dict(pair))}


def rows(tries: int = 12, seed: int = 0) -> list[Row]:
    """Return rows that hold all pairs, each the best of some tries: those that add most pairs come first."""
    generator, missing, chosen = random.Random(seed), all_pairs(), []
    while missing:
        first = generator.choice(sorted(missing))
        candidates = [_row(dict(first), missing, generator) for _ in range(tries)]
        best = max(candidates, key=lambda row: sum(pair in missing for pair in pairs(row)))
        missing -= set(pairs(best))
        chosen.append(best)
    return chosen


def _row(start: Row, missing: set[Any], generator: random.Random) -> Row:
    """Complete a row, factor by factor in random order, each time with the value that adds most pairs."""
    row = dict(start)
    others = [factor for factor in FACTORS if factor not in row]
    generator.shuffle(others)
    for factor in others:
        values = [value for value in FACTORS[factor] if allowed(row | {factor: value})]
        generator.shuffle(values)
        row[factor] = max(values, key=lambda value: sum(_adds(row, factor, value, missing)))
    return {factor: row[factor] for factor in FACTORS}


def _adds(row: Row, factor: str, value: str, missing: set[Any]) -> Iterator[bool]:
    order = list(FACTORS)
    for other, own in row.items():
        pair = sorted([(factor, value), (other, own)], key=lambda part: order.index(part[0]))
        yield tuple(pair) in missing


def lanes(row: Row, number: int) -> list[Plain]:
    """Return the recipes of a row's lanes as plain values; the number of the row chooses among options."""
    generator = random.Random(number)
    rate, numbers, options = OPTIMIZERS[row["optimizer"]]
    own = {name: values[number % len(values)] for name, values in options.items()}
    schedule = {"name": row["schedule"]} | generator.choice(SCHEDULES[row["schedule"]])
    base: Plain = {
        "schedule": schedule,
        "averaging": {"name": row["averaging"]} | generator.choice(AVERAGES[row["averaging"]]),
        "groups": GROUPS[row["groups"]],
        "shuffle": row["shuffle"],
        "rate_rule": row["rate_rule"],
        "rate_batch": 8,
        "accumulate": int(row["accumulate"]),
        "last_batch": row["last_batch"],
        "skip_nonfinite": row["skip_nonfinite"] == "on",
        "precision": "f64",
        **BATCHES[row["batch"]],
        **CLIPPING[row["clipping"]],
        **({"noise": 1e-3} if row["noise"] == "on" else {}),
    }
    chosen = []
    for lane in range(LANES):
        # Some lanes have too high a rate, so that losses rise, plateaus are reached and some lanes diverge.
        speed = rate * (1.0, 0.3, 2.0, 30.0, 0.1, 5.0, 1e3, 10.0)[lane]
        optimizer: Plain = {"name": row["optimizer"].removesuffix("-nesterov"), "lr": speed} | numbers | own
        if row["optimizer"] == "sam":
            bases = ({"name": "sgd", "momentum": 0.8}, {"name": "adamw", "weight_decay": 0.02})
            optimizer = {"name": "sam", "base": bases[number % 2] | {"lr": speed}} | numbers
        stop = {} if row["stop"] == "none" else {row["stop"]: _limit(row, lane)}
        chosen.append(base | {"optimizer": optimizer, "seed": (number + lane // 2) % 4} | stop)
    return chosen


def _limit(row: Row, lane: int) -> float:
    """Return the limit of a lane's stop condition: near enough for some of the lanes to reach it."""
    smaller_is_better = row["problem"] in ("smoothed", "values", "several values", "unvalidated")
    return {
        "patience": (1, 2)[lane % 2],
        "target": (2.0, 1.5, 1.0, 0.5)[lane % 4] if smaller_is_better else (0.5, 0.6, 0.7, 0.8)[lane % 4],
        "loss_change_below": (0.02, 0.1, 0.005, 0.3)[lane % 4],
        "gradient_below": (0.05, 0.2, 0.4, 0.1)[lane % 4],
    }[row["stop"]]
