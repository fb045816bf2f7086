"""Wrong rules of a second review, of all floors: written from the code alone, after the tests.

The author had seen neither the tests nor the other lists.
"""

from tests.mutations.mutant import Mutant, mutants

CORE: list[Mutant] = [
    *mutants(
        "core/choice:_check_number",
        # A dropout of 1 and a momentum of 1 are accepted.
        (
            'below = value < facts["high"] if facts.get("open_high") else value <= facts["high"]',
            'below = value <= facts["high"]',
        ),
    ),
    *mutants(
        "core/limits:check_memory",
        # A file whose reader needs several copies of it fills the memory.
        ("if copies * count > most:", "if count > most:"),
    ),
    *mutants(
        "core/stop_reason:StopReason",
        # A run that ended by patience keeps its last, overfitted weights unless the best are clearly better.
        (
            'Facts("stopped early", "Stopped early", setting=True)',
            'Facts("stopped early", "Stopped early", setting=True, at_rest=True)',
        ),
    ),
]

PROBLEM = [
    *mutants(
        "problem/losses/classification:CrossEntropy._smoothed_and_weighted",
        # Shares of a smoothed label sum to more than 1.
        ("self.smoothing / classes", "self.smoothing / (classes - 1)"),
    ),
    *mutants(
        "problem/losses/whole_split:macro_f1",
        # A class that is predicted though it never occurs costs nothing.
        ("counted.of + counted.predicted > 0", "counted.of > 0"),
    ),
    *mutants(
        "problem/augment:random_crop",
        # Images never shift fully to one side.
        ("0, 2 * padding + 1)", "0, 2 * padding)"),
    ),
    *mutants(
        "problem/models/layers/normalisation:BatchNorm.__call__",
        # The running variance of images is corrected as if each image were one value.
        ("count = examples * (x.size // x.shape[-1])", "count = examples"),
    ),
    *mutants(
        "problem/models/sampling:_draw",
        # Of the k most likely tokens the k-th is never drawn.
        ("jnp.where(logits < least", "jnp.where(logits <= least"),
    ),
    *mutants(
        "problem/data/inputs/rules:min_rows",
        # In large tables frequent categories are merged into "other".
        ("min(RARE_ROWS, round(count * RARE_SHARE))", "max(RARE_ROWS, round(count * RARE_SHARE))"),
    ),
    *mutants(
        "problem/data/splitting:fold_rows",
        # Folds shrink from one to the next, and the last gets all that is left.
        ("draw.hold_out(left, 1 / remaining)", "draw.hold_out(left, 1 / options.folds)"),
    ),
    *mutants(
        "problem/data/split:Windows.count",
        # The last window's last target lies beyond the text: the index is clamped to another token.
        ("(self.tokens.shape[0] - 1 - self.length)", "(self.tokens.shape[0] - self.length)"),
    ),
    *mutants(
        "problem/calibration:Calibration.fit",
        # Without the correction for few rows, intervals hold fewer new rows than they promise.
        ("math.ceil((len(errors) + 1) * LEVEL)", "math.ceil(len(errors) * LEVEL)"),
    ),
    *mutants(
        "problem/data/preparation:_interval",
        # The half-width, in standardised units, is added to values in the target's own unit.
        ("((values + end) * scale + mean)", "(values * scale + mean + end)"),
    ),
]

RECIPE = [
    *mutants(
        "recipe/averaging:SWA.update",
        # Weights are averaged one update after the end of each epoch.
        ("since = clock.step + 1.0 - clock.steps", "since = clock.step - clock.steps"),
    ),
    *mutants(
        "recipe/gradient:split_batch",
        # Where a batch is not a multiple of the microbatches, copies of its first row count.
        (
            "jnp.where(at < rows, weights[jnp.minimum(at, rows - 1)], 0.0).reshape",
            "weights[jnp.minimum(at, rows - 1)].reshape",
        ),
    ),
    *mutants(
        "recipe/gradient:_row_norm",
        # Adaptive clipping takes the weights of an input, not of an output, together.
        ("tuple(range(1, leaf.ndim))", "tuple(range(leaf.ndim - 1))"),
    ),
    *mutants(
        "recipe/schedules/decays:MultiStep.curve",
        # Each drop comes one update late.
        ("clock.step >= clock.steps(point", "clock.step > clock.steps(point"),
    ),
    *mutants(
        "recipe/schedules/warmup:Warmup.curve",
        # What follows the warmup has been running since the first update.
        ("then = _after(clock, length)", "then = clock"),
    ),
    *mutants(
        "recipe/schedules/plateau:Plateau.observe",
        ("drops = waited > self.patience", "drops = waited >= self.patience"),
    ),
    *mutants(
        "recipe/optimizers/optimizer:decay_mask",
        # The last layer is not decayed.
        ('("matrix", "kernel", "embedding", "head")', '("matrix", "kernel", "embedding")'),
    ),
    *mutants(
        "recipe/optimizers/matrix:Muon._direction",
        # Wide matrices take larger steps, tall ones plain ones.
        ("max(1.0, rows / columns)", "max(1.0, columns / rows)"),
    ),
]

ENGINE = [
    *mutants(
        "engine/step:step",
        # The average lags one update behind.
        (
            "averaging.update(state.average, params, clock)",
            "averaging.update(state.average, state.params, clock)",
        ),
        # A lane that diverges at a finite loss takes the update that ruined it.
        ("jnp.where(failed, 0, u)", "jnp.where(jnp.isfinite(u), u, 0)"),
    ),
    *mutants(
        "engine/backward:read_batch",
        # One row of padding counts in the short last batch of an epoch.
        ("(jnp.arange(indices.shape[0]) < size)", "(jnp.arange(indices.shape[0]) <= size)"),
    ),
    *mutants(
        "engine/backward:_over_microbatches",
        # All microbatches of a batch have the same dropout.
        (
            "keys = jax.random.split(batch.key, count) if lane.program.noisy else jnp.broadcast_to",
            "keys = jnp.broadcast_to",
        ),
    ),
    *mutants(
        "engine/evaluate:evaluate",
        # Of weighted examples of which every n-th is evaluated, the mean is divided by the weight of all.
        ("split.total_weight(stride)", "split.total_weight()"),
    ),
    *mutants(
        "engine/feeds/resident:ResidentFeed._fill",
        # Every fold trains on the rows of the first.
        ("rows = start + self._order(seed, epoch)", "rows = self._order(seed, epoch)"),
    ),
    *mutants(
        "engine/group:weights",
        # Schedule-free optimizers are evaluated and saved at the point where gradients are taken.
        (
            "type(optimizer).evaluated is Optimizer.evaluated and isinstance(averaging, NoAverage)",
            "isinstance(averaging, NoAverage)",
        ),
    ),
]

RUN = [
    *mutants(
        "run/session/stop_conditions:Best.observe",
        # Where one lane of a sweep is better, the best weights of all lanes are replaced.
        ("self.weights is None or better.all()", "self.weights is None or better.any()"),
    ),
    *mutants(
        "run/session/finalize:_is_better",
        # The best weights must win by a standard deviation, not by a standard error: they hardly ever do.
        ("difference.std(ddof=1) / np.sqrt(len(difference)) if", "difference.std(ddof=1) if"),
    ),
    *mutants(
        "run/session/checkpointer:restore",
        # A run that was stopped just before an evaluation leaves it out when it is resumed.
        (
            'lane_states.step, lane_states.last_evaluation = int(facts["step"]), int(facts["judged"])',
            'lane_states.step = lane_states.last_evaluation = int(facts["step"])',
        ),
    ),
    *mutants(
        "run/checkpoint/store:Store.forget_after",
        # The checkpoint that a run resumes from is removed before there is another.
        ("_order(name)[0] > step", "_order(name)[0] >= step"),
    ),
    *mutants(
        "run/predicting:_part",
        # Rows are numbered from 0 again in every part of a large table.
        ("np.arange(first, first + frame.height)", "np.arange(frame.height)"),
    ),
    *mutants(
        "run/session/lane_states:LaneStates.next_stop",
        # Evaluations of small data are at every 50th update, not at ends of epochs.
        (
            "epoch_steps * -(-STEPS_BETWEEN_EVALUATIONS // epoch_steps)",
            "max(epoch_steps, STEPS_BETWEEN_EVALUATIONS)",
        ),
    ),
    *mutants(
        "run/scores:_constant",
        # The baseline is fitted to the test rows.
        ("known: Any = data.train.known_targets", "known: Any = data.test.known_targets"),
    ),
]

INSIGHT = [
    *mutants(
        "insight/ranking:_losses",
        # Of a setting trained on folds, only the last fold counts.
        ('(_seed(row), _whole(row, "fold")): _finite', "(_seed(row), 0): _finite"),
    ),
    *mutants(
        "insight/race/race:_tune",
        # Contestants are tuned on a seed that they are then judged by.
        ("own = seed + TUNING_SEED", "own = seed"),
    ),
    *mutants(
        "insight/doctor/checks/head:label_form",
        # The repair of labels -1 and 1 makes 0.5 and 1.5 of them, and so is not confirmed.
        ("1 / (high - low), -low / (high - low)", "1 / (high - low), -low"),
    ),
    *mutants(
        "insight/cost/flops:_divide",
        # Operations by layer count a loop around both passes once.
        ("flops = of_node(node).times(trips)", "flops = of_node(node)"),
    ),
    *mutants(
        "insight/landscape/line:rise",
        # The ends of the straight line are swapped, so that unequal runs have a barrier at an end.
        ("(1 - at) * losses[0] + at * losses[-1]", "at * losses[0] + (1 - at) * losses[-1]"),
    ),
    *mutants(
        "insight/tape/gradcheck:extrapolated",
        # Central differences have even powers of the step only.
        ("factor = 4.0**order", "factor = 2.0**order"),
    ),
    *mutants(
        "insight/decisions/cost:cost_entry",
        # The threshold is chosen on the rows that judge it.
        ("threshold = cost.best(*held) if", "threshold = cost.best(*test) if"),
    ),
]

DOORS = [
    *mutants(
        "doors/cli/arguments:load_options",
        # `--validation 0` is ignored.
        ("if options[name] is not None}", "if options[name]}"),
    ),
    *mutants(
        "doors/estimators/estimator:ThalwegEstimator.partial_fit",
        # Further rows of a regressor are trained on with targets of another scale.
        (
            "((targets.reshape(len(targets), -1) - mean) / scale)",
            "(targets.reshape(len(targets), -1) - mean / scale)",
        ),
    ),
    *mutants(
        "doors/serve/batcher:Batcher._answers",
        # Requests that are answered together all get the predictions of the first.
        (
            "results[i], first = Answer(_finished(self._trained, examples, own), notes), last",
            "results[i] = Answer(_finished(self._trained, examples, own), notes)",
        ),
    ),
]

MUTANTS = [*CORE, *PROBLEM, *RECIPE, *ENGINE, *RUN, *INSIGHT, *DOORS]
