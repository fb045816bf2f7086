"""What the catalogue prints is what the code does: every printed formula is evaluated against its steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.recipe.formulas import Formula, evaluate
from thalweg.recipe.averaging import AVERAGES, EMA
from thalweg.recipe.optimizers import OPTIMIZERS
from thalweg.recipe.schedules import SCHEDULES, Cosine
from thalweg.recipe.schedules.schedule import Clock

SHAPE, STEPS = (3, 4), 8
# Of the learning rate at each step, as a schedule gives them: a rule that squares or remembers it shows.
FACTORS = (0.6, 1.0, 0.3, 0.9, 0.5, 0.7, 1.0, 0.2)
NOISE = np.random.default_rng(0).normal(size=(STEPS, *SHAPE))
FIRST = np.random.default_rng(1).normal(size=SHAPE)
ADAM = "m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2"

# Settings at which every term counts: eps as large as the gradients, decays far from 1.
NUMBERS = {"lr": 0.1, "b1": 0.7, "b2": 0.8, "eps": 0.3, "weight_decay": 0.2, "momentum": 0.6, "decay": 0.7}
SETTINGS = {
    "adagrad": {"weight_decay": None},
    "adadelta": {"lr": 0.9, "weight_decay": None},
    "rmsprop": {"weight_decay": None},
    "adamax": {"weight_decay": None},
    "nadam": {"weight_decay": None},
    "amsgrad": {"weight_decay": None},
    "radam": {"weight_decay": None},
    "adafactor": {"smallest": 1, "decay": 0.8, "eps": 0.05, "momentum": None},
    "prodigy": {"d0": 0.1, "d_factor": 30.0},
}
# Short names in formulas, and the settings that they stand for.
SHORT = {"b": "momentum", "d": "decay"}
# Variants in brackets, and the setting that chooses each.
VARIANTS = {("sgd", "Nesterov"): {"nesterov": True}, ("rmsprop", "centred"): {"centred": True}}
# Formulas that are no assignments; contracts/test_optimizers_published.py holds these rules to equations.
IN_WORDS = {
    "muon": "five rounds of a matrix iteration",
    "soap": "decompositions every few steps",
    "sam": "the steps of any base rule",
    "gradient-descent": "a search",
    "l-bfgs": "a recursion over the last pairs, and a search",
    "plateau": "counts evaluations",
    "tail": "a mean from a step on",
    "swa": "a mean of some steps",
    "none": "no average",
}


def gradient(w, t):
    return NOISE[t - 1] + 0.3 * w


def optimizer_of(name, **settings):
    known = OPTIMIZERS[name].described()
    given = {
        key: value for key, value in {**NUMBERS, **SETTINGS.get(name, {}), **settings}.items() if key in known
    }
    return OPTIMIZERS[name](**given)


def by_code(optimizer):
    """Return the weights after each step, and the weights to evaluate."""
    with jax.enable_x64(True):
        roles, params = {"w": "matrix"}, {"w": jnp.asarray(FIRST)}
        state, path = optimizer.transform(roles).init(params), []

        @jax.jit
        def update(grads, state, params, factor):
            return optimizer.scaled(factor).transform(roles).update(grads, state, params)

        for t, factor in enumerate(FACTORS, 1):
            grads = {"w": jnp.asarray(gradient(np.asarray(params["w"]), t))}
            steps, state = update(grads, state, params, factor)
            params = {"w": params["w"] + steps["w"]}
            path.append((np.asarray(params["w"]), np.asarray(optimizer.evaluated(state, params)["w"])))
        return path


def by_formula(optimizer, text, variant=None):
    """Return the same by evaluating the text; all that it remembers starts at zero, or at the weights."""
    formula = Formula(text, variant, ADAM)
    settings = {name: getattr(optimizer, name) for name in type(optimizer).described()}
    settings |= {short: settings[name] for short, name in SHORT.items() if name in settings}
    values = {left: np.zeros(SHAPE) for left, _ in formula.statements} | settings
    values |= {"w": FIRST, "w0": FIRST, "x": FIRST if "y" in values else 0.0, "z": FIRST, "y": FIRST}
    values |= {"d": settings["d0"]} if "d0" in settings else {}
    path = []
    for t, scale in enumerate(FACTORS, 1):
        values |= {"t": t, "lr": settings["lr"] * scale}
        free = any(left == "y" for left, _ in formula.statements)
        values["g"] = (lambda w, t=t: gradient(w, t)) if free else gradient(values["w"], t)
        values = formula.run(values)
        if free:  # the point of the next gradient is where the code's weights are
            share = settings["b1"]
            path.append(((1 - share) * values["z"] + share * values["x"], values["x"]))
        else:
            path.append((values["w"], values["w"]))
    return path


CASES = [(name, None) for name in OPTIMIZERS if name not in IN_WORDS] + list(VARIANTS)


@pytest.mark.parametrize(("name", "variant"), CASES, ids=lambda part: str(part or ""))
def test_the_printed_formula_of_an_optimizer_gives_its_steps(name, variant):
    optimizer = optimizer_of(name, **VARIANTS.get((name, variant), {}))
    written, computed = by_formula(optimizer, optimizer.formula, variant), by_code(optimizer)
    np.testing.assert_allclose(np.array(written), np.array(computed), rtol=1e-7, atol=1e-9)


# Settings of schedules in steps, and the names that formulas have for them.
TOTAL, EPOCH = 40, 10
SHORT_OF = {
    "warmup": {"w": "length"},
    "warmup-cosine": {"w": "warmup"},
    "warmup-stable-decay": {"w": "warmup", "d": "decay"},
    "cosine-restarts": {"p": "period", "m": "growth"},
}
SCHEDULE_SETTINGS = {
    "step": {"every": 7, "unit": "steps"},
    "multi-step": {"points": (5, 17, 33), "unit": "steps"},
    "exponential": {"decay": 0.6},
    "inverse-time": {"k": 0.7},
    "polynomial": {"power": 1.7, "floor": 0.1},
    "cosine": {"floor": 0.2},
    "cosine-restarts": {"period": 4, "growth": 2, "floor": 0.1, "unit": "steps"},
    "one-cycle": {"rise": 0.4, "start": 0.1, "end": 0.05},
    "warmup": {"length": 6, "unit": "steps", "then": Cosine(floor=0.2)},
    "warmup-cosine": {"warmup": 6, "floor": 0.2, "unit": "steps"},
    "warmup-stable-decay": {"warmup": 6, "decay": 12, "floor": 0.2, "unit": "steps"},
}


@pytest.mark.parametrize("name", [name for name in SCHEDULES if name not in IN_WORDS])
def test_the_printed_formula_of_a_schedule_gives_its_factors(name):
    schedule = SCHEDULES[name](**SCHEDULE_SETTINGS.get(name, {}))
    values = {field: getattr(schedule, field) for field in type(schedule).described()}
    values |= {short: values[field] for short, field in SHORT_OF.get(name, {}).items()}
    values |= {"T": TOTAL, "u": EPOCH, "points": np.array(values.get("points", ()))}

    def then(t, total):
        return float(schedule.then.factor(clock(t, total)))

    formula = Formula(schedule.formula)
    written = [formula.run(values | {"t": t, "f_then": then})["f"](t) for t in range(TOTAL)]
    computed = [float(schedule.factor(clock(t, TOTAL))) for t in range(TOTAL)]
    np.testing.assert_allclose(written, computed, rtol=1e-5, atol=1e-6)
    assert name == "constant" or len(set(computed)) > 3


def clock(step, total):
    return Clock(*(jnp.float32(number) for number in (step, total, EPOCH)))


def test_the_printed_formula_of_an_average_gives_its_weights():
    rule, formula = EMA(decay=0.6), Formula(EMA.formula)
    values = {"decay": 0.6, "x": FIRST}
    state = rule.init(jnp.asarray(FIRST, jnp.float32))
    for t, w in enumerate(NOISE):
        values = formula.run(values | {"t": t, "w": w})
        state = rule.update(state, jnp.asarray(w, jnp.float32), clock(t, TOTAL))
        np.testing.assert_allclose(values["x"], state.params, rtol=1e-5, atol=1e-6)


def test_what_is_only_in_words_is_named():
    assert set(IN_WORDS) < {*OPTIMIZERS, *SCHEDULES, *AVERAGES}
    assert {name for name in AVERAGES if name not in IN_WORDS} == {"ema"}


def test_formulas_are_read_as_they_are_printed():
    values = {"a": 2.0, "b1": 3.0, "t": 2, "g": np.array([3.0, 4.0]), "floor": 0.5}
    for text, wanted in {
        "a b1^t/(1-b1) a": 2 * 9 / -2 * 2,
        "2 a^-1": 1.0,
        "|g|/(|a g| + a)": 5 / 12,
        "floor + (1-floor) floor(a + 0.7)": 1.5,
        "max(a, b1) - a - -a": 3.0,
        "a b1 for t < 2, a - b1 for t < 3, 0 after": -1.0,
        "count(g <= b1)": 1,
    }.items():
        assert evaluate(text, values) == pytest.approx(wanted), text
    for wrong in ("a ? b1", "a )", "unknown a"):
        with pytest.raises((ValueError, KeyError)):
            evaluate(wrong, values)
