"""Wrong rules of a review: slips that a reader of the code thought plausible.

Written from the code of all floors, by an author who had not read the tests.
"""

from tests.mutations.mutant import Mutant, mutants

CORE: list[Mutant] = [
    *mutants(
        "core/keys",
        # The seed's high word is lost: seeds that differ by 2^32 are one.
        ("np.array([seed % 2**64, (epoch << 8) + ORDER]", "np.array([seed % 2**32, (epoch << 8) + ORDER]"),
    ),
    *mutants(
        "core/limits",
        ("if copies * count > most:", "if count > most:"),
        (
            "int(float(match[1]) * _UNITS[match[2].lower()])",
            "int(float(match[1])) * _UNITS[match[2].lower()]",
        ),
    ),
    *mutants(
        "core/escape",
        (r"\u202a-\u202e", ""),
        ("and not _NUMBER.fullmatch(text)", "and not _NUMBER.match(text)"),
    ),
    *mutants(
        "core/documents",
        ("value = float(digits)\n    if not math.isfinite(value):", "value = float(digits)\n    if False:"),
        ("return [*value, *value.values()]", "return list(value.values())"),
    ),
    *mutants(
        "core/disk",
        ("files.check_replaceable(path)\n    temporary", "temporary"),
    ),
    *mutants("core/files", ("if whole.tell() > most:", "if len(piece) > most:")),
    *mutants("core/cache", ("_entries(file) | {key: value}", "{key: value}")),
]
PROBLEM: list[Mutant] = [
    *mutants(
        "problem/losses/whole_split",
        ("below = np.cumsum(misses[::-1])[::-1] - misses", "below = np.cumsum(misses[::-1])[::-1]"),
        ("np.clip(np.ceil(confidence * BINS)", "np.clip(np.floor(confidence * BINS)"),
        ("np.average((target - mean) ** 2, axis=0, weights=weights)", "np.var(target, axis=0)"),
        ("each = each[counted.of + counted.predicted > 0]", "each = each[counted.of > 0]"),
    ),
    *mutants(
        "problem/data/weights",
        ("weights=weights / max(float(weights.mean()), 1e-30)", "weights=weights"),
        ("return checked_weights(given, labels)[kept]", "return checked_weights(given, labels)[: len(kept)]"),
    ),
    *mutants(
        "problem/data/splitting",
        (
            "        draw.words = draw.stream.random_raw(count)  # other validation rows in each fold\n",
            "",
        ),
        ("left -= rows.size", "left -= 0"),
        (
            "left, part = draw.hold_out(left, 1 / remaining)",
            "left, part = draw.hold_out(left, 1 / options.folds)",
        ),
    ),
    *mutants(
        "problem/data/validation_folds",
        ("fold[heads[order]] = np.arange(heads.size) % folds", "fold[heads] = np.arange(heads.size) % folds"),
        ("return replace(divided, fingerprint=fingerprint(divided.splits))", "return divided"),
    ),
    *mutants("problem/heads", ("[w * loss(outputs[h], targets[h]) for", "[loss(outputs[h], targets[h]) for")),
    *mutants(
        "problem/data/inputs/array",
        ("np.where(constant, 1.0, deviation)", "deviation"),
        ("float(peaks.max()) < NEAR_ZERO * self.peak", "float(peaks.min()) < NEAR_ZERO * self.peak"),
    ),
    *mutants(
        "problem/data/inputs/series",
        ("& (self.codes[1:] == self.codes[:-1])", ""),
        ("arranged, starts + self.window - 1)", "arranged, starts + self.window)"),
    ),
    *mutants(
        "problem/data/chunked/statistics",
        ("difference**2 * self.count * values.size / total\n", "0.0\n"),
        ("self.rows.get(value, 0) + rows", "rows"),
    ),
    *mutants(
        "problem/data/chunked/feeding",
        ("epoch, offset = epoch + 1, 0", "epoch, offset = epoch, 0"),
        ("waiting, rows = [(x[whole:], y[whole:])], rows - whole", "waiting, rows = [], 0"),
        ("                offset -= count\n", ""),
    ),
]
ENGINE: list[Mutant] = [
    *mutants(
        "engine/kept",
        ("added = None if offsets is None else offsets[own.indices]", "added = None"),
        ("int(folds.starts[self._fold]) + self.indices", "self.indices"),
    ),
    *mutants(
        "engine/evaluate",
        (
            "total = examples if split.example_weights is None else split.total_weight(stride)",
            "total = examples",
        ),
        ("order[: int(count)])", "order)"),
    ),
    *mutants(
        "engine/feeds/resident",
        ("sizes[at + (steps.stop - steps.start) - 1] = short", "sizes[-1] = short"),
        (
            "rows = start + self._order(seed, epoch)[first:last]",
            "rows = self._order(seed, epoch)[first:last]",
        ),
    ),
    *mutants(
        "engine/feeds/streamed",
        ("            self._queue.put(batch)  # the next call raises it again\n", ""),
    ),
    *mutants(
        "engine/group",
        (
            "built = built._replace(params=stack(started))",
            "built = built._replace(params=stack(started[:1] * len(started)))",
        ),
    ),
]
RUN: list[Mutant] = [
    *mutants(
        "run/session/halving",
        ("sorted(before | losers(", "sorted(losers("),
        ("if np.isfinite(means[number]) else np.inf", "if np.isfinite(means[number]) else -np.inf"),
        ('repr({**recipe.to_dict(), "seed": 0})', "repr(recipe.to_dict())"),
    ),
    *mutants(
        "run/session/lane_states",
        ("np.where(alive, new, old) for new, old in", "new for new, old in"),
        ("self.stopped[lane] = self.stopped[lane] or REASONS", "self.stopped[lane] = REASONS"),
        ("return -means.metric if program.metric.higher_is_better else means.metric", "return -means.metric"),
        (
            "self.states = group.observe(self.group, self.states, means.loss)",
            "self.states = group.observe(self.group, self.states, means.metric)",
        ),
    ),
    *mutants(
        "run/session/stop_conditions",
        ("np.isfinite(losses) & np.isfinite(scores) & (scores < self.score)", "(scores <= self.score)"),
    ),
    *mutants(
        "run/session/checkpointer",
        (
            "lane_states.step // steps > self._saved_step // steps",
            "lane_states.step // steps >= self._saved_step // steps",
        ),
    ),
    *mutants(
        "run/session/finalize",
        ("return not np.mean(difference) <= error", "return not np.mean(difference) <= 0"),
        ("error = difference.std(ddof=1) / np.sqrt(len(difference))", "error = difference.std(ddof=1)"),
        ("sign * float(lane_states.best.score[index])", "float(lane_states.best.score[index])"),
        ("steps = np.where(best, lane_states.best.step, lane_states.steps)", "steps = lane_states.steps"),
    ),
    *mutants(
        "run/replay",
        ("observe(group, after, losses[end]) if end in losses else after, end", "after, end"),
        ("last = middle\n", "last = middle - 1\n"),
    ),
    *mutants(
        "run/spec:Halving.rungs",
        ("while rung < 1:", "while rung <= 1:"),
    ),
    *mutants(
        "run/trajectory",
        ("(step % self.every == 0 or ended)", "step % self.every == 0"),
        ("steps = sorted(found)", "steps = list(found)"),
    ),
    *mutants(
        "run/folder/claim",
        ("reject_taken(folder, force or (restart and not _holds_results(folder)))\n", "pass\n"),
        ("stack.enter_context(Lock(folder))\n    reject_taken", "reject_taken"),
    ),
    *mutants(
        "run/verify",
        ("gone, not_yet = (False,", "gone, not_yet = (None,"),
    ),
]
INSIGHT: list[Mutant] = [
    *mutants(
        "insight/ranking",
        ("if any(map(_diverged, lanes)):\n        return UNSTABLE\n    if best:", "if best:"),
        ("steps = -float(min(", "steps = float(min("),
        ("return 1 / (folds - 1) if folds > 1 else 0.0", "return 1 / folds if folds > 1 else 0.0"),
    ),
    *mutants(
        "insight/intervals",
        ("number = len(columns) // size\n", "number = len(columns) // size - 1\n"),
        ("math.exp(at[-1]))", "math.exp(at[0]))"),
    ),
    *mutants(
        "insight/decisions/importance",
        ('found.sort(key=lambda each: -each["rise"])', 'found.sort(key=lambda each: each["rise"])'),
        (
            "block[:, :, places] = inputs[dealt][:, :, places]",
            "block[:, :, places[:1]] = inputs[dealt][:, :, places[:1]]",
        ),
        ('if each["low"] > 0]', 'if each["rise"] > 0]'),
        ('return {"rise": rise / roots,', 'return {"rise": rise,'),
    ),
    *mutants(
        "insight/decisions/curves",
        ("above = 1 - _placed(ours, others)", "above = _placed(ours, others)"),
        ("flagged = self.score >= threshold", "flagged = self.score > threshold"),
    ),
    *mutants(
        "insight/tape/gradcheck",
        (
            "elif abs(exact - difference) > 10 * uncertainty:",
            "elif abs(exact - difference) > uncertainty * 1e6:",
        ),
        ("size = max(abs(exact), abs(difference))", "size = max(abs(exact), abs(difference), 1.0)"),
    ),
    *mutants(
        "insight/landscape/sharpness",
        ("2.0 / (top.value * recipe.rate_factor())", "2.0 / top.value"),
    ),
    *mutants(
        "insight/evaluation",
        ("np.asarray(targets).astype(np.float32)", "np.zeros(rows, np.float32)"),
        ('data.fingerprint == about.get("fingerprint")', "True"),
    ),
    *mutants(
        "insight/ensembles",
        ("and _rows(data) <= MOST_ROWS", ""),
        ("_rows(data) < FEW_ROWS", "_rows(data) > FEW_ROWS"),
    ),
]
DOORS: list[Mutant] = [
    *mutants(
        "doors/cli/outfile",
        (
            "    if any(_is_same(path, each) for each in inputs):",
            "    if any(str(path) == str(each) for each in inputs):",
        ),
        ("replace(path, content, new=not force)", "replace(path, content)"),
    ),
    *mutants(
        "doors/answers",
        ("[cell(name) for name in frame.columns]", "list(frame.columns)"),
    ),
    *mutants(
        "doors/estimators/learners",
        ("return logs[:, 1] - logs[:, 0] if", "return logs[:, 1] if"),
        ("np.searchsorted(self.classes_, targets)", "targets"),
    ),
    *mutants(
        "doors/cli/output",
        ("return EXIT_DONE if ranking.best is not None else EXIT_FAILED", "return EXIT_DONE"),
    ),
]
MUTANTS = [*CORE, *PROBLEM, *ENGINE, *RUN, *INSIGHT, *DOORS]
