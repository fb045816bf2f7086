"""Wrong rules of recipes: optimizers, schedules, what happens to gradients, averages, groups.

A mutant is one mistake that a person could make: a sign, a factor, a forgotten bias correction, decay in the
wrong place, a step too early.
"""

from tests.mutations.mutant import Mutant, mutants

RULES, PLANS = "recipe/optimizers/", "recipe/schedules/"
PUBLISHED = "contracts/test_optimizers_published.py"
SCHEDULES = "contracts/test_schedules.py"
SEARCH = "contracts/test_line_search.py"


def _rule(place: str, words: str, *pairs: tuple[str, str], tests: str = PUBLISHED) -> list[Mutant]:
    chosen = f"equations and ({words})" if tests == PUBLISHED else words
    return mutants(RULES + place, *pairs, tests=(tests,), words=chosen)


def _schedule(place: str, words: str, *pairs: tuple[str, str]) -> list[Mutant]:
    return mutants(PLANS + place, *pairs, tests=(SCHEDULES,), words=words)


def _module(place: str, tests: str, *pairs: tuple[str, str]) -> list[Mutant]:
    return mutants(f"recipe/{place}", *pairs, tests=(f"recipe/{tests}.py",))


_ADAM = "optax.adam(self.lr, b1=self.b1, b2=self.b2, eps=self.eps)"

MUTANTS: list[Mutant] = [
    *mutants(
        "recipe/adapters",
        ("after[name].b @ update.a + update.b @ before.a", "after[name].b @ update.a"),
        ("Factors(scaled @ own.a.T, own.b.T @ scaled)", "Factors(_matrix(grad) @ own.a.T, own.b.T @ scaled)"),
        tests=("run/test_adapters.py",),
    ),
    *_rule(
        "sgd",
        "sgd",
        ("nesterov=self.nesterov)]", "nesterov=False)]"),
        ("ball + rate if self.remember", "rate + ball if self.remember"),
        ("optax.trace(self.momentum,", "optax.trace(0.5 * self.momentum,"),
        ('share = 1.0 if self.decay_form == "half" else 2.0', "share = 1.0"),
        ('share = 1.0 if self.decay_form == "half" else 2.0', "share = 2.0"),
        ("steps.insert(0, optax.add", "steps.append(optax.add"),
        ("-self.lr * self.weight_decay, mask=mask", "self.lr * self.weight_decay, mask=mask"),
        ("-self.lr * self.weight_decay, mask=mask", "-self.weight_decay, mask=mask"),
        ("-self.lr * self.weight_decay, mask=mask", "-self.lr * self.weight_decay"),
        ("optax.scale_by_learning_rate(self.lr)]", "optax.scale_by_learning_rate(self.lr, flip_sign=False)]"),
    ),
    *_rule(
        "optimizer:penalised",
        "adam",
        ("add_decayed_weights(weight_decay,", "add_decayed_weights(2 * weight_decay,"),
    ),
    *_rule(
        "optimizer:penalised",
        "adam",
        ("add_decayed_weights(weight_decay,", "add_decayed_weights(-weight_decay,"),
    ),
    *_rule("optimizer:penalised", "adam", ("mask=mask), rule)", "mask=None), rule)")),
    *_rule(
        "adaptive:AdaGrad",
        "adagrad",
        ("optax.scale_by_rss(self.initial, self.eps)", "optax.scale_by_rss(0.0, self.eps)"),
        ("optax.scale_by_rss(self.initial, self.eps)", "optax.scale_by_rss(self.initial, self.eps**2)"),
        ("optax.scale_by_rss(self.initial, self.eps)", "optax.scale_by_rms(0.9, self.eps)"),
    ),
    *_rule(
        "adaptive",
        "rmsprop",
        ("eps_in_sqrt=False", "eps_in_sqrt=True"),
        ("eps_in_sqrt=False", "eps_in_sqrt=False, bias_correction=True"),
        ("optax.scale_by_rms(self.decay,", "optax.scale_by_rms(1 - self.decay,"),
        ("(1 - decay) * g, state.mean", "decay * g, state.mean"),
        ("n - m**2", "n + m**2"),
        ("n - m**2", "n - m"),
        ("decay * n + (1 - decay) * g**2", "decay * n + g**2"),
        ("steps.append(optax.trace(self.momentum))", "steps.insert(0, optax.trace(self.momentum))"),
        ("steps.append(optax.trace(self.momentum))", "pass"),
    ),
    *_rule(
        "adaptive:Adadelta",
        "adadelta",
        ("(self.decay, self.eps)", "(self.decay, 2 * self.eps)"),
        ("(self.decay, self.eps)", "(self.decay**2, self.eps)"),
        ("optax.scale_by_learning_rate(self.lr)", "optax.scale_by_learning_rate(1.0)"),
    ),
    *_rule(
        "adam:Adam",
        "adam",
        (_ADAM, _ADAM.replace("optax.adam(", "optax.nadam(")),
        (_ADAM, "optax.adam(self.lr, b1=self.b2, b2=self.b1, eps=self.eps)"),
        (_ADAM, "optax.adam(self.lr, b1=self.b1, b2=self.b2, eps=0.0, eps_root=self.eps)"),
        (
            _ADAM,
            "optax.chain(optax.ema(self.b1, debias=False), optax.scale_by_rms(self.b2, self.eps, "
            "eps_in_sqrt=False), optax.scale_by_learning_rate(self.lr))",
        ),
        (f"penalised({_ADAM}, self.weight_decay, mask)", f"penalised({_ADAM}, None, mask)"),
        (
            f"penalised({_ADAM}, self.weight_decay, mask)",
            "optax.with_extra_args_support(optax.adamw(self.lr, self.b1, self.b2, self.eps, "
            "weight_decay=self.weight_decay or 0.0, mask=mask))",
        ),
    ),
    *_rule(
        "adam:AdamW",
        "adamw",
        ("weight_decay=self.weight_decay, mask=mask", "weight_decay=self.weight_decay"),
        ("weight_decay=self.weight_decay, mask=mask", "weight_decay=self.weight_decay / self.lr, mask=mask"),
        ("weight_decay=self.weight_decay, mask=mask", "weight_decay=-self.weight_decay, mask=mask"),
        ("weight_decay=self.weight_decay, mask=mask", "weight_decay=0.0, mask=mask"),
        ("eps=self.eps,", "eps=self.eps**2,"),
    ),
    *_rule(
        "adam:Adamax",
        "adamax",
        ("b2=self.b2", "b2=self.b2**2"),
        ("b1=self.b1", "b1=1 - self.b1"),
        ("eps=self.eps", "eps=0.0"),
    ),
    *_rule(
        "adam:NAdam",
        "nadam",
        ("optax.nadam(", "optax.adam("),
        ("b2=self.b2", "b2=self.b1"),
        ("eps=self.eps", "eps=0.0"),
    ),
    *_rule(
        "adam:AMSGrad",
        "amsgrad",
        ("bias_correction_nu=self.corrected", "bias_correction_nu=True"),
        ("bias_correction_nu=self.corrected", "bias_correction_nu=False"),
        ("bias_correction_mu=self.corrected", "bias_correction_mu=False"),
        ("self.b1, self.b2, self.eps, bias", "self.b2, self.b1, self.eps, bias"),
    ),
    *_rule(
        "adam:RAdam",
        "radam",
        ("threshold=5.0", "threshold=4.0"),
        ("threshold=5.0", "threshold=50.0"),
        ("b2=self.b2", "b2=self.b2**2"),
        ("optax.radam(", "(lambda lr, b1, b2, eps, threshold: optax.adam(lr, b1, b2, eps))("),
    ),
    *_rule(
        "large_batch:Lion",
        "lion",
        ("b1=self.b1, b2=self.b2", "b1=self.b2, b2=self.b1"),
        ("mask=mask)", "mask=None)"),
        ("weight_decay=self.weight_decay", "weight_decay=self.lr * self.weight_decay"),
    ),
    *_rule(
        "large_batch:LAMB",
        "lamb",
        ("optax.lamb(", "optax.adamw("),
        ("mask=mask", "mask=None"),
        ("weight_decay=self.weight_decay", "weight_decay=2 * self.weight_decay"),
    ),
    *_rule(
        "large_batch:LARS",
        "lars",
        ("trust_ratio_mask=mask", "trust_ratio_mask=True"),
        ("weight_decay_mask=mask", "weight_decay_mask=True"),
        ("eps=self.eps", "eps=0.0"),
        ("trust_coefficient=self.trust", "trust_coefficient=self.trust**2"),
        ("momentum=self.momentum,", "momentum=self.momentum, nesterov=True,"),
    ),
    *_rule(
        "large_batch:Adafactor",
        "adafactor",
        ("weight_decay_rate=self.lr * self.weight_decay", "weight_decay_rate=self.weight_decay"),
        ("decay_rate=self.decay", "decay_rate=1 - self.decay"),
        ("clipping_threshold=self.clip", "clipping_threshold=None"),
        ("multiply_by_parameter_scale=self.relative", "multiply_by_parameter_scale=True"),
        ("min_dim_size_to_factor=self.smallest", "min_dim_size_to_factor=128"),
        ("weight_decay_mask=mask", "weight_decay_mask=None"),
    ),
    *_rule(
        "matrix",
        "muon",
        ("QUINTIC = (3.4445, -4.7750, 2.0315)", "QUINTIC = (3.4445, 4.7750, 2.0315)"),
        ("for _ in range(rounds):", "for _ in range(rounds - 1):"),
        ("nesterov=self.nesterov", "nesterov=False"),
        ("math.sqrt(max(1.0, rows / columns))", "math.sqrt(max(1.0, columns / rows))"),
        ("0.2 * math.sqrt(max(rows, columns))", "0.2 * math.sqrt(min(rows, columns))"),
        ("self.adam_lr, b1", "self.lr, b1"),
        ('role in ("matrix", "kernel")', 'role in ("matrix", "kernel", "embedding")'),
        ("jnp.sqrt(jnp.sum(wide**2))", "jnp.max(jnp.abs(wide))"),
        ("matrix.T if matrix.shape[0] > matrix.shape[1] else matrix  #", "matrix  #"),
    ),
    *_rule(
        "matrix",
        "soap",
        ("self.b1 * leaf.mean + (1 - self.b1) * g", "self.b1 * leaf.mean + g"),
        ("_turn(g, leaf.basis) ** 2", "g**2"),
        ("(1 - self.b1**steps)", "1.0"),
        ("(1 - self.b2**steps)", "(1 - self.b2 ** (steps + 1))"),
        ("self.b2 * gram + (1 - self.b2) * outer", "self.b1 * gram + (1 - self.b1) * outer"),
        ("(g @ g.T, g.T @ g)", "(g.T @ g, g @ g.T)"),
        ("count % self.every == 0", "count % (self.every + 1) == 0"),
        ("turned @ right.T", "turned @ right"),
    ),
    *_rule(
        "parameter_free",
        "free",
        ("(y - (1.0 - share) * z) / share", "y"),
        ("step = penalised(optax.sgd(self.lr), self.weight_decay, mask)", "step = optax.sgd(self.lr)"),
        ("b1=0.0, b2=self.b2", "b1=self.b1, b2=self.b2"),
    ),
    *_rule(
        "parameter_free:Prodigy",
        "prodigy",
        ("count = state.count + 1", "count = state.count + 2"),
        ("u - length * self.weight_decay * w", "u - self.lr * self.weight_decay * w"),
        ("if decays else u", "if not decays else u"),
        ("estim_lr_coef=self.d_factor", "estim_lr_coef=1.0"),
        ("safeguard_warmup=self.safeguard", "safeguard_warmup=False"),
    ),
    *_rule(
        "closure",
        "sam",
        ("lambda w, g: w + g, params", "lambda w, g: w - g, params"),
        ("length / jnp.where(norm > 0, norm, 1.0)", "length"),
        ('jax.grad(extra["value_fn"])(highest)', "updates"),
    ),
    *_rule(
        "closure",
        "",
        (
            "slope_rtol=self.decrease,\n            decrease_factor",
            "slope_rtol=0.0,\n            decrease_factor",
        ),
        ("decrease_factor=self.shrink", "decrease_factor=self.shrink**2"),
        ("increase_factor=self.grow", "increase_factor=1.0"),
        ("max_learning_rate=self.longest", "max_learning_rate=1.0"),
        ("memory_size=self.memory", "memory_size=self.memory + 1"),
        ("memory_size=self.memory,", "memory_size=self.memory, scale_init_precond=False,"),
        tests=SEARCH,
    ),
    *_rule(
        "optimizer",
        "adamw or sgd or muon",
        ('("matrix", "kernel", "embedding", "head")', '("matrix", "kernel", "bias")'),
        (
            "values = [_get(self, name) * factor for name in names]",
            "values = [_get(self, name) for name in names]",
        ),
    ),
    *_schedule(
        "decays",
        "closed",
        ("jnp.floor(clock.step / every)", "jnp.ceil(clock.step / every)"),
        ("jnp.floor(clock.step / every)", "clock.step / every"),
        ("clock.step >= clock.steps(point", "clock.step > clock.steps(point"),
        ("jnp.power(self.drop, count)", "self.drop * count"),
        ("1.0 / (1.0 + self.k * clock.step", "1.0 / (1.0 - self.k * clock.step"),
        (
            "1.0 - clock.step / jnp.maximum(clock.total, 1.0), 0.0",
            "1.0 - clock.step / (clock.total - 1.0), 0.0",
        ),
        ("(1.0 - self.floor) * jnp.power", "jnp.power"),
        ('clock.step / jnp.maximum(clock.total, 1.0), "cosine"', '(clock.step + 1) / clock.total, "cosine"'),
    ),
    *_schedule(
        "warmup:WarmupCosine",
        "closed",
        ("(clock.step + 1.0) / jnp.maximum", "clock.step / jnp.maximum"),
        ("clock.step < warmup", "clock.step <= warmup"),
        ("left.step / left.total", "clock.step / clock.total"),
        ("between(1.0, self.floor", "between(1.0, 0.0"),
    ),
    *_schedule(
        "warmup:Warmup",
        "closed",
        ("(clock.step + 1.0) / jnp.maximum", "clock.step / jnp.maximum"),
        ("self.then.factor(then, state)", "self.then.factor(clock, state)"),
    ),
    *_schedule(
        "decays:CosineRestarts",
        "closed or restarts",
        ("period * jnp.power(self.growth, cycle)", "period"),
        (
            "jnp.power(self.growth, cycle) - 1.0) / excess",
            "jnp.power(self.growth, cycle + 1) - 1.0) / excess",
        ),
        ("self._start(guess + 1.0, period) <= step", "self._start(guess + 1.0, period) < step"),
    ),
    *_schedule(
        "warmup:OneCycle",
        "closed or momentum",
        ("self.rise * clock.total - 1.0", "self.rise * clock.total"),
        ("clock.total - 1.0 - top", "clock.total - top"),
        (
            "self._cycle(clock, self.high, self.low, self.high)",
            "self._cycle(clock, self.low, self.high, self.low)",
        ),
        ("1.0, self.end)", "1.0, self.start)"),
    ),
    *_schedule(
        "warmup:WarmupStableDecay",
        "closed",
        ("clock.total - decay)", "clock.total - decay - 1)"),
        ("(clock.step + 1.0) / jnp.maximum", "clock.step / jnp.maximum"),
    ),
    *_schedule(
        "plateau",
        "plateau",
        ("waited > self.patience", "waited >= self.patience"),
        ("(1.0 - jnp.asarray(self.threshold", "(1.0 + jnp.asarray(self.threshold"),
        ("jnp.where(better | resting, 0.0", "jnp.where(better, 0.0"),
        ("jnp.where(drops, 0.0, waited)", "waited"),
        ("best=jnp.where(better, value, state.best)", "best=value"),
    ),
    *_schedule(
        "schedule", "fraction", ("jnp.round(jnp.asarray(length * scale))", "jnp.asarray(length * scale)")
    ),
    *_module(
        "gradient",
        "test_gradient",
        (
            "limit / jnp.where(norm > limit, norm, 1.0), 1.0)\n    return",
            "limit / norm, 1.0) * 2\n    return",
        ),
        ("jnp.clip(g, -limit, limit)", "jnp.clip(g, 0, limit)"),
        ("jnp.maximum(_row_norm(w), SMALLEST_ROW)", "_row_norm(w)"),
        ("recipe.noise / (1.0 + step)", "recipe.noise / (2.0 + step)"),
        ("jnp.sqrt(variance)", "variance"),
        (
            "share = 1.0 / jnp.where(weight > 0, weight, 1.0)",
            "share = 1.0 / jax.tree.leaves(microbatches)[0].shape[0]",
        ),
        (
            "jnp.where(at < rows, weights[jnp.minimum(at, rows - 1)], 0.0)",
            "weights[jnp.minimum(at, rows - 1)]",
        ),
    ),
    *_module(
        "averaging",
        "test_averaging",
        ("1.0 - decay), state", "decay), state"),
        ("(10.0 + clock.step)", "(9.0 + clock.step)"),
        ("clock.step >= clock.steps(self.start", "clock.step > clock.steps(self.start"),
        ("since = clock.step + 1.0 -", "since = clock.step -"),
        ("1.0 / jnp.maximum(count, 1.0)", "1.0 / (count + 1.0)"),
    ),
    *_module(
        "groups",
        "test_groups",
        ("optimizer.scaled(self.lr_factor)", "optimizer.scaled(1.0)"),
        ("mask=jax.tree.map(lambda _: True, roles)", "mask=None"),
    ),
    *_module("recipe", "test_groups", ("factor * self.rate_factor()", "factor")),
]
