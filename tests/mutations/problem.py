"""Wrong rules of problems: losses, metrics, what outputs mean, models, layers, splits, preparation, tables."""

# ruff: noqa: E501 - long lines are quoted code

from tests.mutations.mutant import Mutant, mutants

MUTANTS: list[Mutant] = [
    *mutants(
        "problem/losses/classification",
        (
            "(1.0 - self.smoothing) * shares + self.smoothing / classes",
            "(1.0 - self.smoothing) * shares + self.smoothing / (classes - 1)",
        ),
        ("shares = shares * jnp.asarray(self.class_weights, shares.dtype)", "pass"),
        (
            "positive = self.positive_weight * targets * jax.nn.softplus(-logits)",
            "positive = targets * jax.nn.softplus(-logits)",
        ),
        (
            "(1.0 - targets) * jax.nn.softplus(logits)",
            "self.positive_weight * (1.0 - targets) * jax.nn.softplus(logits)",
        ),
        ("_cross_entropy(outputs, shares) - entropy", "_cross_entropy(outputs, shares)"),
        ("self.margin - (2.0 * targets - 1.0) * scores", "self.margin - targets * scores"),
        ("_positive(self.margin - score + outputs)", "_positive(self.margin + score - outputs)"),
        ("jnp.mean(excess, axis=-1), jnp.nan)", "jnp.sum(excess, axis=-1), jnp.nan)"),
        ("jnp.where(valid[..., None], shares, jnp.nan)", "shares"),
        (
            "jnp.sum(jnp.where(shares == 0, 0.0, shares * surprise), axis=-1)",
            "jnp.sum(shares * surprise, axis=-1)",
        ),
        (
            "Elements(_cross_entropy(outputs, self._smoothed_and_weighted(shares)), mask)",
            "Elements(_cross_entropy(outputs, self._smoothed_and_weighted(shares)))",
        ),
        ("jnp.where(values > 0, values, 0.0)", "jnp.maximum(values, 0.0)"),
    ),
    *mutants(
        "problem/losses/loss",
        ("jnp.maximum(jnp.sum(mask, axis=axes), 1)", "values[0].size"),
        ("values = jnp.where(mask, values, 0.0)", "values = values * mask"),
        ("leaf.astype(jnp.float32) if leaf.dtype in halves else leaf", "leaf"),
        ("if all(_is_batched(", "if any(_is_batched("),
    ),
    *mutants(
        "problem/losses/regression",
        ("core * (size - 0.5 * core)", "core * (size - core)"),
        ("jnp.minimum(size, self.delta)", "jnp.maximum(size, self.delta)"),
        ("return jnp.square(error)", "return 0.5 * jnp.square(error)"),
        ("jnp.where(error == 0, 0.0, jnp.abs(error))", "jnp.abs(error)"),
    ),
    *mutants(
        "problem/losses/metrics",
        (
            "root=0.5, in_target_unit=True",
            "in_target_unit=True",
        ),
        ("value = mean if self.root == 1.0 else mean**self.root", "value = mean"),
        ("2.718281828459045**value", "2.0**value"),
        ('facts = {"meaning": meaning, "scale"', 'facts = {"scale"'),
    ),
    *mutants(
        "problem/losses/outputs",
        ("{PROBABILITIES: 0.5, LOG_PROBABILITIES: float(np.log(0.5))}", "{PROBABILITIES: 0.5}"),
        ("{PROBABILITIES: 1 - single, SCORES: -single}", "{PROBABILITIES: -single, SCORES: -single}"),
        ("arrays.stack([first, single], axis=-1)", "arrays.stack([single, first], axis=-1)"),
        ("np.exp(columns - columns.max(axis=-1, keepdims=True))", "np.exp(columns)"),
        ("shares / np.where(total > 0, total, 1)", "shares"),
        ("if meaning == SCORES:\n        return None", "if False:\n        return None"),
    ),
    *mutants(
        "problem/losses/weighting",
        ("jnp.where(weights == 0, 0.0, weights * values), mask)", "weights * values, mask)"),
        (
            "jnp.where(weights == 0, 0.0, weights * values), mask)",
            "jnp.where(weights == 0, 0.0, values), mask)",
        ),
        (
            "self.loss.elements(jax.tree.map(counted, outputs), targets)",
            "self.loss.elements(outputs, targets)",
        ),
    ),
    *mutants(
        "problem/losses/metric_rules",
        (
            "(single > boundary(self.meaning)) == (targets > 0.5)\n        elif",
            "(single > 0) == (targets > 0.5)\n        elif",
        ),
        ("jnp.sum(columns > own, axis=-1) < self.k", "jnp.sum(columns > own, axis=-1) <= self.k"),
        ("self.rule(as_logits(columns, self.meaning), targets)", "self.rule(columns, targets)"),
        (
            "Elements(jnp.where(weights == 0, 0.0, weights * values)).example_means()",
            "Elements(values).example_means()",
        ),
        ("errors / 2 if shares.shape[-1] == 2 else errors", "errors"),
    ),
    *mutants(
        "problem/losses/whole_split",
        ("np.mean(counted.hits[occurs] / counted.of[occurs])", "counted.hits.sum() / counted.of.sum()"),
        ("each[counted.of + counted.predicted > 0]", "each[counted.of > 0]"),
        ("below + 0.5 * misses", "below + misses"),
        ("hits * found / np.where(taken > 0, taken, 1)", "found / np.where(taken > 0, taken, 1)"),
        (
            "np.average((target - mean) ** 2, axis=0, weights=weights)",
            "np.average(target**2, axis=0, weights=weights)",
        ),
        ("np.abs(gaps).sum() / weights.sum()", "abs(gaps.sum()) / weights.sum()"),
    ),
    *mutants(
        "problem/losses/shapes",
        ("wrong = (values < 0) | (values >= classes)", "wrong = (values < 0) | (values > classes)"),
        ("wrong &= values != ignore", "pass"),
        ("np.abs(sums - 1) > 1e-3", "np.abs(sums - 1) > 1"),
        ("if outputs.shape[:-1] != targets.shape:", "if False:"),
    ),
    *mutants(
        "problem/problem",
        ("[weighted_metric(metric) for metric in metrics]", "metrics"),
        ("[reading(metric, meaning, *facts) for metric in asked]", "asked"),
        ("if declared not in (None, known):", "if False:"),
    ),
    *mutants(
        "problem/augment",
        ("images[:, :, ::-1]", "images[:, ::-1]"),
        ("jax.random.bernoulli(key, 0.5, (images.shape[0],))", "jax.random.bernoulli(key, 0.5, (1,))"),
        ("0, 2 * padding + 1)", "0, 2 * padding)"),
        ("mask = rows[:, :, None] & columns[:, None, :]", "mask = rows[:, :, None] | columns[:, None, :]"),
        (
            "crop_key, flip_key, cutout_key = jax.random.split(key, 3)",
            "crop_key = flip_key = cutout_key = key",
        ),
        ("(positions < start + length)", "(positions <= start + length)"),
    ),
    *mutants(
        "problem/models/adapter",
        ("value=not training)", "value=training)"),
        ("jnp.where(fresh, jnp.zeros_like(leaf), leaf)", "leaf"),
        ("jax.lax.stop_gradient(rows)", "rows"),
        ("keys = _split(key, inputs) if takes_key and noisy else key", "keys = key"),
        ("with example_mask(count):", "with example_mask(None):"),
        (
            "if not training:\n        return jax.vmap(module)(inputs), carry",
            "if False:\n        return jax.vmap(module)(inputs), carry",
        ),
        (
            "eqx.nn.inference_mode(eqx.combine(model.params, model.fixed))\n    carry",
            "eqx.combine(model.params, model.fixed)\n    carry",
        ),
        tests=("run/test_wired_evaluation.py", "engine/test_padding.py", "engine/feeds/test_continued.py"),
    ),
    *mutants(
        "problem/models/layers/normalisation",
        ("average = DECAY * old + (1 - DECAY) *", "average = (1 - DECAY) * old + DECAY *"),
        ("unbiased = variance * (count / jnp.maximum(count - 1, 1))", "unbiased = variance"),
        ("jnp.where(examples > 0, average, old)", "average"),
        (
            "return mean / divisor, jnp.where(updated, variance / divisor, 1.0)",
            "return mean, jnp.where(updated, variance, 1.0)",
        ),
        ("(x - mean) * jax.lax.rsqrt(variance + EPSILON)", "(x - mean) / (variance + EPSILON)"),
        ("jnp.mean(jnp.square(x), axis=-1, keepdims=True)", "jnp.var(x, axis=-1, keepdims=True)"),
        ("jnp.where(mask > 0, value, 0.0), BATCH_AXIS", "value, BATCH_AXIS"),
        (
            "return total / jnp.maximum(examples, 1), examples",
            "return jax.lax.pmean(value, BATCH_AXIS), examples",
        ),
        ("jnp.mean(grouped, axis=(0, 2), keepdims=True)", "jnp.mean(grouped, axis=2, keepdims=True)"),
        tests=(
            "problem/models/layers",
            "run/test_wired_evaluation.py",
            "engine/test_padding.py",
            "contracts/test_models.py",
        ),
    ),
    *mutants(
        "problem/models/layers/dropout",
        ("x * (65536 / (65536 - self._threshold))", "x"),
        (">= jnp.uint16(self._threshold)", "< jnp.uint16(self._threshold)"),
        ("return self.inference or self._threshold == 0", "return self._threshold == 0"),
        tests=("problem/models/layers", "run/test_wired_evaluation.py"),
    ),
    *mutants(
        "problem/models/layers/linear",
        ("return product if self.bias is None else product + self.bias", "return product"),
        ("(flat @ weight.T).reshape", "(flat @ weight.T / 2).reshape"),
        ('mode="fill", fill_value=jnp.nan)', 'mode="clip")'),
    ),
    *mutants(
        "problem/models/layers/initialisations",
        (
            "_uniform(lambda f: math.sqrt(6 / (f.inputs + f.outputs)))",
            "_uniform(lambda f: math.sqrt(3 / (f.inputs + f.outputs)))",
        ),
        ("minval=-bound(fans)", "minval=0.0"),
        ("bound = 1.0 / math.sqrt(fans.inputs)", "bound = 1.0 / fans.inputs"),
        ("_normal(lambda f: math.sqrt(1 / f.inputs))", "_normal(lambda f: 1 / f.inputs)"),
    ),
    *mutants(
        "problem/models/mlp:Perceptron",
        ("self.dropout(act(output), key=dropout_key)", "act(output)"),
        ("hidden + output if self.skip and output.shape == hidden.shape else output", "output"),
        ("output, new_state = norm(output, new_state)", "output, _ = norm(output, new_state)"),
    ),
    *mutants(
        "problem/models/recurrent",
        (
            "jax.nn.sigmoid(forget) * memory + jax.nn.sigmoid(enter) * jnp.tanh(new)",
            "jax.nn.sigmoid(enter) * memory + jax.nn.sigmoid(forget) * jnp.tanh(new)",
        ),
        ("(1.0 - keep) * new + keep * carry", "keep * new + (1.0 - keep) * carry"),
        (
            "jax.nn.sigmoid(reset + past_reset) * (past_new + self.inner)",
            "jax.nn.sigmoid(reset + past_reset) * past_new + self.inner",
        ),
        (".at[1].set(1.0)", ".at[0].set(1.0)"),
        ("jnp.tanh(projected + carry @ self.recurrent.T)", "jnp.tanh(projected + carry @ self.recurrent)"),
    ),
    *mutants(
        "problem/models/gpt",
        (
            "jnp.arange(start, end)[:, None] >= jnp.arange(end)",
            "jnp.arange(start, end)[:, None] > jnp.arange(end)",
        ),
        ("(1.0 / math.sqrt(width // self.heads))", "(1.0 / math.sqrt(width))"),
        ("self.tokens(x) + self.positions.weight[:time]", "self.tokens(x)"),
        ("x = x + self.dropout(self.attention(normal", "x = self.dropout(self.attention(normal"),
        ("DEVIATION / math.sqrt(2 * self.layers)", "DEVIATION"),
        (
            "self.tokens.logits(hidden) if self.head is None else self.head(hidden)",
            "self.tokens.logits(hidden)",
        ),
        ("hidden, _ = self.norm(hidden, None)", "pass"),
    ),
    *mutants(
        "problem/models/sampling",
        ("module(window)[count - 1]", "module(window)[count - 2]"),
        ("logits / sampling.temperature", "logits * sampling.temperature"),
        ("jnp.roll(window, -1)", "jnp.roll(window, 1)"),
        ("jnp.where(logits < least, -jnp.inf, logits)", "jnp.where(logits <= least, -jnp.inf, logits)"),
        tests=("run/test_sample.py", "problem/models/test_sequences.py"),
    ),
    *mutants(
        "problem/models/resnet_vgg",
        (
            "relu(inner + _shortcut(x, inner.shape) if self.skip else inner)",
            "relu(inner) + _shortcut(x, inner.shape) if self.skip else relu(inner)",
        ),
        ("jnp.mean(image, axis=(0, 1))", "jnp.max(image, axis=(0, 1))"),
        ("stride = 2 if stage and not index else 1", "stride = 2 if not index else 1"),
    ),
    *mutants(
        "problem/data/split",
        (
            "positions].astype(jnp.int32)\n        return tokens[:, :-1], tokens[:, 1:]",
            "positions].astype(jnp.int32)\n        return tokens[:, :-1], tokens[:, :-1]",
        ),
        (
            "(self.tokens.shape[0] - 1 - self.length) // self.stride + 1",
            "(self.tokens.shape[0] - self.length) // self.stride + 1",
        ),
        (
            "jnp.where(counted, positions / jnp.asarray(self.mean_length), 0.0)",
            "jnp.where(counted, 1.0, 0.0)",
        ),
        (
            "jnp.arange(positions) < jnp.asarray(self.lengths)",
            "jnp.arange(positions) <= jnp.asarray(self.lengths)",
        ),
        (
            "starts[:, None] + self.window + xp.arange(self.horizon)",
            "starts[:, None] + self.window - 1 + xp.arange(self.horizon)",
        ),
        ("targets = targets - self._last_known(starts, xp)[:, None]", "pass"),
        (
            "self._values(starts + self.window - 1, starts, xp)",
            "self._values(starts + self.window, starts, xp)",
        ),
        ("self.length // self.stride if self.length % self.stride == 0 else None", "self.stride"),
        (
            "np.linspace(0, count - 1, min(count, most))",
            "np.linspace(0, min(count, most) - 1, min(count, most))",
        ),
        ("-FURTHEST, FURTHEST)", "-1.0, 1.0)"),
    ),
    *mutants(
        "problem/data/splitting",
        ("np.minimum(quotas, np.maximum(counts - 1, 0))", "np.minimum(quotas, counts)"),
        ("return rows[:border], rows[border:]", "return rows[border:], rows[:border]"),
        ("np.array([seed % 2**64, SPLIT], dtype=np.uint64)", "np.array([0, SPLIT], dtype=np.uint64)"),
        (
            'by_remainder = np.argsort(-(exact - quotas), kind="stable")',
            'by_remainder = np.argsort(exact - quotas, kind="stable")',
        ),
        ("labels = target.values if classes else None", "labels = None"),
        (
            "rest, test = draw.hold_out(rows, share, options.validation)",
            "rest, test = rows, draw.hold_out(rows, share, options.validation)[1]",
        ),
        (
            "units, notes = units_of(first_copies(hashes), random)",
            "units, notes = units_of(first_copies(hashes), random)[0] and None, ()",
        ),
        ("if random and classes and share > 0:", "if False:"),
    ),
    *mutants(
        "problem/data/preparation",
        (
            "values * scale + mean, quantile_levels(meaning)",
            "values * scale, quantile_levels(meaning)",
        ),
        (
            "(jnp.asarray(inputs).astype(jnp.float32) + shift) *",
            "(jnp.asarray(inputs).astype(jnp.float32) - shift) *",
        ),
        ("outputs = outputs + offsets.reshape", "outputs = outputs - offsets.reshape"),
        ("columns.argmax(axis=-1)]}", "columns.argmin(axis=-1)]}"),
        ("probabilities(outputs[:, i], meaning)", "probabilities(outputs[:, 0], meaning)"),
    ),
    *mutants(
        "problem/data/inputs/rules",
        ("np.where(missing, 0.0, np.clip(values, -FURTHEST, FURTHEST))", "np.where(missing, 0.0, values)"),
        ("(log_scaled(values, self.unit) - self.mean) / self.scale", "(values - self.mean) / self.scale"),
        ("if levels.size == 2:", "if levels.size == 1:"),
        ("columns = [scaled, missing] if self.flag else [scaled]", "columns = [scaled]"),
        ("other, missing = len(number), len(number) + 1", "missing, other = len(number), len(number) + 1"),
        (
            "max(MIN_ROWS, min(RARE_ROWS, round(count * RARE_SHARE)))",
            "max(MIN_ROWS, max(RARE_ROWS, round(count * RARE_SHARE)))",
        ),
        ("np.sign(values) * np.log1p(np.abs(values) / unit)", "np.log1p(np.abs(values) / unit)"),
        ("(dates.dt.weekday() - 1) / 7", "dates.dt.weekday() / 6"),
    ),
    *mutants(
        "problem/data/labels",
        (
            "distinct, codes = np.unique(labels, return_inverse=True)",
            "distinct, codes = np.unique(labels, return_inverse=True); codes = codes[::-1]",
        ),
        ("stays = counts >= least", "stays = counts > least"),
        ("rows >= MIN_IDENTIFIER_ROWS and distinct > rows / 2", "distinct > rows / 2"),
        ("(labels < 0) | (labels >= count)", "(labels < 0) | (labels > count)"),
    ),
    *mutants(
        "problem/data/tables/leaks",
        ("SUSPICIOUS = 0.98", "SUSPICIOUS = 0.5"),
        ("tested = ~fitted\n    if", "tested = fitted\n    if"),
        ("1 - error / constant_error", "error / constant_error"),
    ),
]
