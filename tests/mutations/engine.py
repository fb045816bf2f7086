"""Wrong rules of the engine: the step, evaluation, first states, feeds, layouts, the plan."""

# ruff: noqa: E501 - long lines are quoted code

from tests.mutations.mutant import Mutant, mutants

MUTANTS: list[Mutant] = [
    *mutants(
        "engine/update",
        ("update(grads, optimizer, params, **facts)", 'update(facts["grad"], optimizer, params)'),
        ("jnp.where(now, u, 0)", "u"),
        ("gradient.select(turn == position, state, optimizer[name])", "state"),
    ),
    *mutants(
        "engine/update",
        ("grads = without_frozen(grads, recipe.groups, all_roles)", "pass"),
        ("return updates, Adapted(factors, state)", "return updates, Adapted(optimizer.factors, state)"),
        tests=("run/test_adapters.py",),
    ),
    *mutants(
        "engine/step:step_batch",
        (
            "jax.random.fold_in(keys.purpose_key(root, purpose), state.step) if used",
            "keys.purpose_key(root, purpose) if used",
        ),
        ("key_for(keys.AUGMENTATION,", "key_for(keys.MODEL,"),
    ),
    *mutants(
        "engine/step:step",
        (
            "rates = factor, lane.recipe.schedule.momentum(clock)",
            "rates = 1.0, lane.recipe.schedule.momentum(clock)",
        ),
        ("rates = factor, lane.recipe.schedule.momentum(clock)", "rates = factor, None"),
        ("updates_of(lane, grads, state.optimizer", "updates_of(lane, passed.grads, state.optimizer"),
        (
            "norm.astype(jnp.float32), passed.figures",
            "optax.tree.norm(grads).astype(jnp.float32), passed.figures",
        ),
        # The rate.
        ("Clock(state.step.astype", "Clock((state.step + 1).astype"),
        ("Clock(state.step.astype", "Clock((state.step - 1).astype"),
        ("lane.inputs.total, lane.inputs.epoch_steps)", "lane.inputs.epoch_steps, lane.inputs.epoch_steps)"),
        ("lane.inputs.total, lane.inputs.epoch_steps)", "lane.inputs.total, lane.inputs.total)"),
        ("scaled(factor * lane.recipe.rate_factor())", "scaled(lane.recipe.rate_factor())"),
        ("scaled(factor * lane.recipe.rate_factor())", "scaled(factor)"),
        # The update.
        (
            "updates = jax.tree.map(lambda u: jnp.where(failed, 0, u).astype(u.dtype), updates)",
            "pass",
        ),
        ("jnp.where(failed, 0, u)", "jnp.where(failed, u, 0)"),
        ("optax.apply_updates(state.params, updates)", "optax.apply_updates(state.params, grads)"),
        ("optimizer=optimizer,", "optimizer=state.optimizer,"),
        ("model_state=passed.model_state,", "model_state=state.model_state,"),
        (
            "averaging.update(state.average, params, clock)",
            "averaging.update(state.average, state.params, clock)",
        ),
        ("average=lane.recipe.averaging.update(state.average, params, clock)", "average=state.average"),
        ("step=state.step + 1,", "step=state.step + lane.recipe.accumulate,"),
        # Divergence.
        (
            "DIVERGENCE_FACTOR * jnp.maximum(1.0, jnp.abs(passed.loss))",
            "DIVERGENCE_FACTOR * jnp.abs(passed.loss)",
        ),
        (
            "DIVERGENCE_FACTOR * jnp.maximum(1.0, jnp.abs(passed.loss))",
            "jnp.maximum(1.0, jnp.abs(passed.loss))",
        ),
        ("jnp.isinf(state.limit), DIVERGENCE", "state.step >= 0, DIVERGENCE"),
        ("jnp.isinf(state.limit), DIVERGENCE", "state.step == 0, DIVERGENCE"),
        ("jnp.where(failed, DIVERGED, RUNNING)", "jnp.where(failed, RUNNING, RUNNING)"),
        # What is logged.
        ("info = Info(passed.loss", "info = Info(passed.loss_of(params)"),
        ("(advanced, info, passed.grads)", "(advanced, info, grads)"),
        ("norm < lane.recipe.gradient_below", "norm > lane.recipe.gradient_below"),
        # Randomness.
        ("key=noise_key, step=state.step", "key=noise_key, step=jnp.int32(0)"),
        ("if lane.recipe.skip_nonfinite or scale is not None:", "if lane.recipe.skip_nonfinite:"),
        ("if lane.recipe.skip_nonfinite or scale is not None:", "if scale is not None:"),
    ),
    *mutants(
        "engine/step",
        ("~(loss <= limit) | ~jnp.isfinite(loss)", "loss > limit"),
        ("~(loss <= limit) | ~jnp.isfinite(loss)", "~jnp.isfinite(loss)"),
        ("small = small & (after.code == RUNNING)", "small = small"),
        ("gradient.select(small, before, after)", "gradient.select(small, after, after)"),
        ("gradient.all_finite(grads) & jnp.isfinite(loss)", "gradient.all_finite(grads)"),
        ("gradient.all_finite(grads) & jnp.isfinite(loss)", "jnp.isfinite(loss)"),
        (
            "chosen = gradient.select(finite, after, before)",
            "chosen = dataclasses.replace(after, params=gradient.select(finite, after.params, before.params))",
        ),
        ("step=after.step, scale=scale", "step=before.step, scale=scale"),
        ("% lane.inputs.epoch_steps.astype(jnp.int32) == 0", "== 0"),
        ("DIVERGENCE_FACTOR = 1e4", "DIVERGENCE_FACTOR = 1e8"),
    ),
    *mutants(
        "engine/backward",
        ("training=True,\n            counts", "training=False,\n            counts"),
        ("batch.key, training=True, **turn", "batch.key, training=False, **turn"),
        ("return mean(measured.losses, batch.weights), (", "return measured.losses.mean(), ("),
        (
            "new.astype(old.dtype), measured.model_state, model_state)",
            "old, measured.model_state, model_state)",
        ),
        ("sum_ / jnp.maximum(batch.weights.sum(), 1) for sum_ in sums", "sum_ for sum_ in sums"),
        ("counts=batch.weights,", "counts=None,"),
        ("noisy=lane.program.noisy,", "noisy=False,"),
        ("jnp.arange(indices.shape[0]) < size)", "jnp.arange(indices.shape[0]) <= size)"),
        ("jnp.sum(jnp.where(weights > 0, losses, 0) * weights", "jnp.sum(losses * weights"),
        (
            "loss, grads = precision.unscale((loss, grads), scale)",
            "grads = precision.unscale(grads, scale)",
        ),
        ('if lane.recipe.precision != "f16" else loss * factor', "if True else loss * factor"),
        ("keys = jax.random.split(batch.key, count) if lane.program.noisy else", "keys ="),
        (
            "precision.to_pass_dtype(lane.inputs.prepared(inputs), lane.recipe.precision)",
            "lane.inputs.prepared(inputs)",
        ),
        ("precision.to_pass_dtype(params, lane.recipe.precision)", "params"),
        ("lane.inputs.prepared(inputs)", "inputs"),
        ('if lane.recipe.augment != "none":', "if False:"),
    ),
    *mutants(
        "engine/evaluation_batches:batches_of",
        ("jnp.arange(0, split.count(), rows * stride)", "jnp.arange(0, split.count(), rows)"),
        ("row_bytes * (width if several else 1)", "row_bytes"),
    ),
    *mutants(
        "engine/evaluation_batches:fitting_rows",
        ("if fitting >= most", "if True"),
        ("1 << max(fitting, 1).bit_length() - 1", "1 << max(fitting, 1).bit_length()"),
    ),
    *mutants(
        "engine/evaluate_objective:_batches",
        ("fitting_rows(EVALUATION_ROWS, row_bytes(forward, inputs, split, lane))", "EVALUATION_ROWS"),
    ),
    *mutants(
        "engine/evaluation_batches:_sizes",
        ("if _is_program(inner):", "if False:"),
        ("any(size and size % PRIME == 0 for", "all(size % PRIME == 0 for"),
    ),
    *mutants(
        "engine/evaluate",
        (".sum(axis=1) / total for batches in results.sums", ".mean(axis=1) for batches in results.sums"),
        (
            "return apply(module, examples, key=None, training=False)[0]",
            "return apply(module, examples, key=None, training=True)[0]",
        ),
        ("jnp.where(counted, each, 0).sum() for each in losses", "each.sum() for each in losses"),
        ("indices < split.count()", "indices <= split.count()"),
        ("examples = -(-_counts(split, inputs) // stride)", "examples = _counts(split, inputs) // stride"),
        ("each.per_example(outputs, targets, unit) for", "each.per_example(outputs, targets) for"),
        (
            "rows.reshape(len(rows), -1, *rows.shape[3:])[:, : examples.max()]",
            "rows.reshape(len(rows), -1, *rows.shape[3:])[:, -examples.max() :]",
        ),
        (
            "indices = first + batches.stride * jnp.arange(batches.rows)",
            "indices = first + jnp.arange(batches.rows)",
        ),
        ('np.argsort(~selected, kind="stable")', 'np.argsort(selected, kind="stable")'),
        ("indices = step + steps * jnp.arange(rows)", "indices = step * rows + jnp.arange(rows)"),
        (
            "return after, reduce(outputs, targets, indices < count)",
            "return carry, reduce(outputs, targets, indices < count)",
        ),
        ("dataclasses.replace(split, stride=split.length), 1", "split, 1"),
        ("(losses.T if _carries_state(split, lane[1]) else losses).reshape(-1)", "losses.reshape(-1)"),
        ("inputs.prepared(batch))\n    return outputs", "batch)\n    return outputs"),
    ),
    *mutants(
        "engine/program",
        ("self.total.dtype) + self.shift) * self.scale", "self.total.dtype) * self.scale) + self.shift"),
        ("facts.planned or (facts.setting and not facts.in_program)", "facts.planned or facts.setting"),
        ("recipe.replaced(seed=0, **", "recipe.replaced(**"),
    ),
    *mutants(
        "engine/state",
        (
            "[_norms(before), _norms(grads), _norms(updates)]",
            "[_norms(after), _norms(grads), _norms(updates)]",
        ),
        (
            "[_norms(before), _norms(grads), _norms(updates)]",
            "[_norms(before), _norms(updates), _norms(grads)]",
        ),
        ("jnp.sqrt(jnp.vdot(leaf, leaf))", "jnp.vdot(leaf, leaf)"),
    ),
    *mutants(
        "engine/group",
        (
            "type(optimizer).evaluated is Optimizer.evaluated and isinstance(averaging, NoAverage)",
            "type(optimizer).evaluated is Optimizer.evaluated or isinstance(averaging, NoAverage)",
        ),
        ("return recipe.averaging.evaluated(state.average, params)", "return params"),
        ("params = recipe.optimizer.evaluated(state.optimizer, state.params)", "params = state.params"),
        ("if type(group.recipes[0].schedule).observe is Schedule.observe:", "if True:"),
        ("keys.purpose_key(keys.wrapped(words), keys.INITIALISATION)", "keys.wrapped(words)"),
        ("limit=jnp.float32(jnp.inf)", "limit=jnp.float32(1e4)"),
        ("total=_array(total, dtype)", "total=_array(feed.epoch_steps, dtype)"),
        ("feed.streams.index((recipe.seed, first)) for", "0 for"),
        (
            "for v in (preparation.input_shift,",
            "for v in (None if preparation.input_shift is None else 0.0,",
        ),
        (
            "np.clip(total // TELEMETRY_ROWS, *TELEMETRY_STEPS)",
            "np.clip(total * TELEMETRY_ROWS, *TELEMETRY_STEPS)",
        ),
        (
            "noisy=problem.noisy or first.shuffle == CONTINUED",
            "noisy=problem.noisy and first.shuffle == CONTINUED",
        ),
        ("if data.task == REGRESSION else None", "if False else None"),
        ("built = built._replace(params=stack(started))", "pass"),
        ("if (values != values[:1]).any():", "if False:"),
        ("return 2 * (weights + _bytes(eqx", "return (weights + _bytes(eqx"),
    ),
    *mutants(
        "engine/feeds/resident",
        ("whole + (1 if rest and self.keep_last else 0)", "whole"),
        ("self.keep_last and self.count % self.batch_size != 0", "self.count % self.batch_size != 0"),
        ("short = (last - first) % self.batch_size", "short = 0"),
        (
            'elif self.shuffle == "once":\n            epoch = 0',
            'elif self.shuffle == "once":\n            pass',
        ),
        ("divmod(start + done, self.epoch_steps)", "divmod(done, self.epoch_steps)"),
        ("return draws(seed, epoch, self.count)", "return order(seed, epoch, self.count)"),
        ("return stretches.T.ravel()", "return stretches.ravel()"),
        ("self._order(seed, epoch)[first:last]", "self._order(self.streams[0][0], epoch)[first:last]"),
        ("return order(seed, epoch, self.count)", "return order(seed, 0, self.count)"),
    ),
    *mutants(
        "engine/feeds/streamed",
        ("if self._prefetcher is None or self.position != step:", "if self._prefetcher is None:"),
        ("self.position += 1", "self.position += 2"),
        ("number += 1", "pass"),
        (
            "Prefetcher(self.streamed, step, self.most_steps), step",
            "Prefetcher(self.streamed, 0, self.most_steps), step",
        ),
        ("if recipe.batch_size != streamed.batch_size:", "if False:"),
    ),
    *mutants(
        "engine/feeds/__init__",
        ('recipe.last_batch == "keep" and not whole', 'recipe.last_batch != "keep" and not whole'),
        (
            "windows // batch_size * batch_size, batch_size, CONTINUED, True, streams, span",
            "windows // batch_size * batch_size, batch_size, CONTINUED, True, streams, 1",
        ),
        ("if recipe.accumulate > 1:", "if False:"),
    ),
    *mutants(
        "engine/layout/mapped",
        ("(carry.done < stop) & (carry.state.code == RUNNING)", "carry.done < stop"),
        (
            "layer_statistics(before.state.params, after.grads, after.state.params)",
            "layer_statistics(after.state.params, after.grads, after.state.params)",
        ),
        ("telemetry.append(statistics, before.state.step)", "telemetry.append(statistics, after.state.step)"),
        ("past = before.state.step % lane.inputs.every", "past = before.done % lane.inputs.every"),
        ("row(sizes, carry.done))", "row(sizes, 0 * carry.done))"),
    ),
    *mutants(
        "engine/layout/batched",
        ("jnp.where(running, values, jnp.nan)", "values"),
        ("first = jnp.max(states.step)", "first = jnp.min(states.step)"),
        ("carry.done + running", "carry.done + 1"),
        ("jnp.where(before.states.code == RUNNING, before.states.step, -1)", "before.states.step"),
        ("batches.indices[0] if shared else row(batches.indices, stream)", "batches.indices[0]"),
        ("past = (first + before.position) % inputs.every", "past = before.position % inputs.every"),
        ("inputs.of_fold(inputs.fold[0])", "inputs.of_fold(0 * inputs.fold[0])"),
    ),
    *mutants(
        "engine/layout/split_step",
        ("_where(running, new, before[index]) if index < state_count else new", "new"),
        ("due = jnp.where(telemetry_due, count, 0)", "due = count * 0"),
        ("order, count = _running_lanes(running)", "order, count = jnp.arange(len(running)), len(running)"),
        ("rank == lanes[:, None]", "rank == lanes"),
    ),
    *mutants(
        "engine/layout/compaction",
        ('np.argsort(~running, kind="stable")[:width]', 'np.argsort(running, kind="stable")[:width]'),
        ("stream=inputs.stream[indices]", "stream=inputs.stream[: len(lanes)]"),
        (
            "numbers=take_lane(inputs.numbers, indices)",
            "numbers=take_lane(inputs.numbers, jnp.arange(len(lanes)))",
        ),
        ("all_lanes.at[lanes].set(rows)", "all_lanes.at[: len(rows)].set(rows)"),
        ("done=expand(chunk.done, 0)", "done=expand(chunk.done, 1)"),
    ),
    *mutants(
        "engine/dispatch",
        ("steps = min(length.steps, stop - start)", "steps = length.steps"),
        ("states, start = result.states, start + result.steps", "start = start + result.steps"),
        (
            "min(ideal, 4 * steps if steps >= self.steps else self.steps, self._capacity)",
            "min(ideal, 4 * steps if steps >= self.steps else self.steps)",
        ),
    ),
    *mutants(
        "engine/plan",
        (
            "if len(recipes) == 1:\n        return MAP, SINGLE",
            "if len(recipes) == 0:\n        return MAP, SINGLE",
        ),
        ("(MAP, STRICT)\n        if strict", "(BATCH, STRICT)\n        if strict"),
        (
            "if parameters <= rule.batched else (MAP, ON_CPU)",
            "if parameters >= rule.batched else (MAP, ON_CPU)",
        ),
        ("rule = PAIRED if paired else UNPAIRED", "rule = UNPAIRED"),
        ("alike if paired else recipes", "recipes"),
        ("folds or [0] * len(seeds)", "[0] * len(seeds)"),
        ("if waves[-1] and taken + needed > room:", "if taken + needed > room:"),
        ("needed = shard.width * sizes[shard.group]", "needed = sizes[shard.group]"),
        (
            "tuple(lanes[start::count]) for start in range(count)",
            "tuple(lanes[start * most : (start + 1) * most]) for start in range(count)",
        ),
        ("(structures[lane], recipe.length(feed.epoch_steps), feed.count)", "(structures[lane], feed.count)"),
        (
            "(structures[lane], recipe.length(feed.epoch_steps), feed.count)",
            "(structures[lane], recipe.length(feed.epoch_steps))",
        ),
        (
            "layout = BATCH if timings[BATCH] < timings[MAP] else MAP",
            "layout = BATCH if timings[BATCH] > timings[MAP] else MAP",
        ),
        ("if lanes > MOST_LANES:", "if False:"),
        ("count = min(len(lanes), -(-count // cores) * cores)", "count = min(len(lanes), count)"),
    ),
]
