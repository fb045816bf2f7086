"""Wrong rules of a third review, of all floors: written from the code alone, after the tests.

The author had seen neither the tests nor the other lists.
"""

from tests.mutations.mutant import Mutant, mutants

CORE: list[Mutant] = [
    *mutants(
        "core/escape:cell",
        # A cell such as `-1+cmd|...`, which only begins like a number, is run as a formula by a spreadsheet.
        ("not _NUMBER.fullmatch(text)", "not _NUMBER.match(text)"),
    ),
    *mutants(
        "core/cache:remember",
        # What is measured again never replaces what was remembered first.
        ("_entries(file) | {key: value}", "{key: value} | _entries(file)"),
    ),
    *mutants(
        "core/schema:_wrong",
        # A damaged file with `true` where a number belongs is taken for sound.
        ("if type(value) in kinds:", "if isinstance(value, kinds):"),
    ),
]

PROBLEM = [
    *mutants(
        "problem/data/tables/target:join_targets",
        # A row that lacks one of several targets is kept as a row with a target.
        ("pl.all_horizontal(pl.all().is_not_null())", "pl.any_horizontal(pl.all().is_not_null())"),
    ),
    *mutants(
        "problem/data/files/tables:find_columns",
        # A column that is given once by name and once by index is a target twice.
        ("if len(set(names)) < len(names):", "if len(set(parts)) < len(parts):"),
    ),
    *mutants(
        "problem/losses/metric_rules:OfRanking.__call__",
        # Rows of two classes are ranked by the second output alone, whatever the first says.
        ("columns[:, 1] - columns[:, 0])]", "columns[:, 1])]"),
    ),
    *mutants(
        "problem/data/validation_folds:_drawn",
        # Copies of a row fall into another fold, so that members validate on rows that they have seen.
        ("return fold[first]", "return fold"),
    ),
    *mutants(
        "problem/data/inputs/date_cells:_week",
        # Dates in week 53 of a long year are read as missing.
        ("if 1 <= week <= 53 else None", "if 1 <= week <= 52 else None"),
    ),
    *mutants(
        "problem/data/files/label_tables:_index",
        # A name that files of two folders share stands for the first, which gets the label of the other.
        ("index[key] = path if key not in index else None", "index.setdefault(key, path)"),
    ),
    *mutants(
        "problem/models/recurrent:GRUCell.step",
        # The inner bias is outside of the reset gate: trained weights mean something else in PyTorch.
        (
            "jax.nn.sigmoid(reset + past_reset) * (past_new + self.inner)",
            "jax.nn.sigmoid(reset + past_reset) * past_new + self.inner",
        ),
    ),
    *mutants(
        "problem/data/weights:of_rows",
        # Where examples were left out, those after them get the weights of others.
        ("checked_weights(given, labels)[kept]", "checked_weights(given, labels)[: len(kept)]"),
    ),
    *mutants(
        "problem/data/chunked/statistics:ColumnStatistics.exact",
        # A column that has two numbers in the sample, and more further on, is scaled by those two.
        ("if two_levels and not self.elsewhere:", "if two_levels:"),
    ),
    *mutants(
        "problem/targets:_in_order",
        # Classes that an order shifts round, rather than swaps, are trained under the names of others.
        ("rank = np.argsort(order).astype(np.int32)", "rank = np.array(order, np.int32)"),
    ),
]

RECIPE = [
    *mutants(
        "recipe/averaging:SWA.update",
        # One epoch between two weights of the mean is read as one run, so that the mean has one or none.
        ("clock.steps(self.every, self.every_unit)", "clock.steps(self.every, self.unit)"),
    ),
    *mutants(
        "recipe/schedules/plateau:Plateau.observe",
        # Evaluations of the cooldown count, so that the rate drops again as soon as without one.
        ("jnp.where(better | resting, 0.0,", "jnp.where(better, 0.0,"),
    ),
    *mutants(
        "recipe/schedules/warmup:Warmup.momentum",
        # After a warmup, the momentum of one-cycle runs ahead of its rate.
        (
            "self.then.momentum(_after(clock, clock.steps(self.length, self.unit)))",
            "self.then.momentum(clock)",
        ),
    ),
    *mutants(
        "recipe/groups:without_frozen",
        # Vectors that an adapter leaves as they are count in the norm by which gradients are clipped.
        (
            "label == LEFT or (label >= 0 and groups[label].frozen)",
            "label >= 0 and groups[label].frozen",
        ),
    ),
    *mutants(
        "recipe/optimizers/parameter_free:Prodigy._decay",
        # Weight decay keeps its full strength while a schedule lowers the rate.
        ("state.estim_lr * self.lr * jnp.sqrt", "state.estim_lr * jnp.sqrt"),
    ),
]

ENGINE = [
    *mutants(
        "engine/update:updates_of",
        # Moments and step count of a model change in the updates of another, whose turn it is.
        ("gradient.select(turn == position, state, optimizer[name])", "state"),
    ),
    *mutants(
        "engine/step:_or_skipped",
        # A first batch whose loss is NaN is skipped, and the run counts as diverged at the next one.
        ("limit=jnp.where(finite, after.limit, before.limit)", "limit=after.limit"),
    ),
    *mutants(
        "engine/evaluate_objective:objective_sums",
        # The few rows that are left count as a whole batch.
        ("return size * jnp.stack(means)", "return rows * jnp.stack(means)"),
    ),
    *mutants(
        "engine/layout/compaction:expand_chunk",
        # Lanes that were taken out get rows of statistics at step 0, chunk after chunk.
        ("expand(chunk.layer_steps, -1)", "expand(chunk.layer_steps, 0)"),
    ),
    *mutants(
        "engine/feeds/streamed:StreamedFeed._at",
        # A stream that is to be read from an earlier step again goes on with the batches after it.
        ("if self._prefetcher is None or self.position != step:", "if self._prefetcher is None:"),
    ),
    *mutants(
        "engine/backward:_over_microbatches",
        # Figures of a short last batch are too small where the batch is divided.
        ("sum_ / jnp.maximum(batch.weights.sum(), 1)", "sum_ / batch.weights.shape[0]"),
    ),
]

RUN = [
    *mutants(
        "run/scores:baseline",
        # A forecast of quantiles is compared with those of the training rows, not with the last value.
        ("if levels and one_column and last_values is None:", "if levels and one_column:"),
    ),
    *mutants(
        "run/session/halving:losers",
        # A setting of which a seed has the loss NaN is judged by its other seeds, and may win.
        ("float(np.mean(values))", "float(np.nanmean(values))"),
    ),
    *mutants(
        "run/session/stop_conditions:Best.observe",
        # Weights with a good metric are kept as the best though their loss is not finite.
        ("alive & np.isfinite(losses) & np.isfinite(scores)", "alive & np.isfinite(scores)"),
    ),
    *mutants(
        "run/replay:_failing",
        # A replay passes over evaluations, so that the rate of a plateau schedule does not drop as it did.
        (
            "min(step + STRIDE, group.total, *(at for at in losses if at > step))",
            "min(step + STRIDE, group.total)",
        ),
    ),
    *mutants(
        "run/folder/log:Log._append_figures",
        # Of two figures of an objective, values are logged under the name and step of others.
        ("np.stack(values, axis=1)", "np.stack(values, axis=0)"),
    ),
    *mutants(
        "run/session/unit_record:_read",
        # A unit that an earlier sweep left in the folder counts as one of this sweep.
        ("return record if record.run == run else None", "return record"),
    ),
]

INSIGHT = [
    *mutants(
        "insight/evaluation:_by_target",
        # Errors of each target in per cent are relative to values around 0, not to those of the table.
        ("targets[:, [i]], *unit)", "targets[:, [i]], unit[0], 0.0)"),
    ),
    *mutants(
        "insight/doctor/usual:_of_two",
        # The loss that a repair tries takes labels of -1 and 1 for 0 and 2.
        ("y = (targets - low) / (high - low)", "y = targets - low"),
    ),
    *mutants(
        "insight/finder/rungs:plan_rungs",
        # A search takes its whole budget again, besides what was already spent.
        ("(budget - spent) / cost", "budget / cost"),
    ),
    *mutants(
        "insight/cost/timing:parts",
        # A sum is predicted to take the time of what it gives, not of what it reads.
        (
            "between(rates.summing, size) * node.reads[0].elements",
            "between(rates.summing, size) * node.writes[0].elements",
        ),
    ),
    *mutants(
        "insight/tape/gradcheck:gradcheck",
        # Of several large inputs only the last one's unchecked entries are told.
        ("skipped += arrays[at].size - len(chosen)", "skipped = arrays[at].size - len(chosen)"),
    ),
    *mutants(
        "insight/decisions/groups:_of_classes",
        # Rates of each group are those at one half, beside an accuracy at the threshold that was chosen.
        ("ranking.at(usual if threshold is None else threshold)", "ranking.at(usual)"),
    ),
]

DOORS = [
    *mutants(
        "doors/cli/predict:predict",
        # Predictions of several targets have numbers for names in JSON, and the targets' names in files.
        ("frame_of(answers, targets).to_dicts()", "frame_of(answers).to_dicts()"),
    ),
    *mutants(
        "doors/cli/predict_parts:_Written.frames",
        # The tenth note on unreadable cells is neither printed nor counted.
        ("if self._notes <= MOST_NOTES:", "if self._notes < MOST_NOTES:"),
    ),
    *mutants(
        "doors/serve/batcher:Batcher._work",
        # Where one client has gone, those behind it in the same call wait for ever.
        ("continue", "break"),
    ),
    *mutants(
        "doors/estimators/estimator:ThalwegEstimator.partial_fit",
        # The first call of partial_fit forgets the estimator's own number of steps.
        ('for name in ("epochs", "steps", "warm_start")}', 'for name in ("epochs", "warm_start")}'),
    ),
]

MUTANTS = [*CORE, *PROBLEM, *RECIPE, *ENGINE, *RUN, *INSIGHT, *DOORS]
