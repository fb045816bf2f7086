"""Wrong rules of calibration, ensembles, references, races, workers, servers, exports and imports.

Written from the code, without a look at its tests.
"""

from tests.mutations.mutant import Mutant, mutants

PROBLEM: list[Mutant] = [
    *mutants(
        "problem/calibration",
        ("rank = math.ceil((len(errors) + 1) * LEVEL)", "rank = math.ceil(len(errors) * LEVEL)"),
        ("half_width=float(errors[rank - 1])", "half_width=float(errors[rank - 2])"),
        ("np.sort(np.abs(outputs.ravel() - targets.ravel()))", "np.sort(outputs.ravel() - targets.ravel())"),
        ("if len(targets) < FEWEST or", "if len(targets) <= FEWEST or"),
        ("/ self.temperature", "* self.temperature"),
        ("scaled = logits / math.exp(log_temperature)", "scaled = logits * math.exp(log_temperature)"),
        ("scaled = scaled - np.logaddexp.reduce(scaled, axis=-1, keepdims=True)", "pass"),
        ("or not np.isfinite(outputs).all()", ""),
    ),
    *mutants(
        "problem/members",
        ("jnp.arange(members) % folds", "jnp.arange(members) // folds"),
        ("-1 - fold, fold)[:, None]", "-fold, fold)[:, None]"),
        ("< 0, within, ~within)", "< 0, within, within)"),
    ),
]
CORE: list[Mutant] = [
    *mutants(
        "core/imports",
        ('"." not in words and', ""),
        ('and not words.startswith("_")', ""),
        ('if not (trusted or _blocks["open"]):', "if not (trusted or True):"),
        ('_blocks["open"] -= 1', '_blocks["open"] = 0'),
        ("value.__defaults__, value.__kwdefaults__", "value.__kwdefaults__"),
        ("value.co_names, value.co_consts]", "value.co_names]"),
        ("yield plain.tobytes()", "yield str(plain.sum())"),
        ("return sorted(value, key=repr)", "return list(value)"),
        ("[value.func, value.args, value.keywords]", "[value.func, value.args]"),
        ('if path in sys.modules and path != "__main__" and', "if path in sys.modules and"),
        ("return functools.partial(function, *arguments, **settings) if", "return function if"),
        (
            "arguments, settings = function.func, function.args, function.keywords",
            "arguments = function.func, function.args",
        ),
    ),
]
RUN: list[Mutant] = [
    *mutants(
        "run/cluster/unit",
        ("if done is None or done.state != FINISHED:", "if done is None or done.state == RUNNING:"),
        ("if run_file.ended or stop_request", "if stop_request"),
        ("if holder(place) is None:", "if holder(place) is not None:"),
        ("trainer.save()\n", "pass\n"),
        ("loss if loss - loss == 0 else None", "loss"),
        ("rung=states.rungs - 1, losses", "rung=states.rungs, losses"),
        ("record(PAUSED).write(place)", "record(FINISHED).write(place)"),
        ("RunFile(run).write_end(lane.folder.folder, True)", "pass"),
        ("before[name] != now.get(name)", "before[name] == now.get(name)"),
    ),
    *mutants(
        "run/cluster/spread",
        ("if number not in sweep.finished]", "]"),
        (
            "if all(unit.waits_at(self._rung) for unit in units):",
            "if any(unit.waits_at(self._rung) for unit in units):",
        ),
        ("self.future is None and record is not None and", "record is not None and"),
        ("unit.failures >= MOST_FAILURES", "unit.failures > 10 * MOST_FAILURES"),
        ("forget_unit(place)  # else the next worker would skip it", "pass"),
        ("if unit.record is not None and unit.record.step > unit.step:", "if unit.record is not None:"),
        ("except ThalwegError:\n            raise", "except ZeroDivisionError:\n            raise"),
        ("while sweep.halver.decided(self._rung):", "while False:"),
        ("self._rung += 1\n\n    def _heed", "pass\n\n    def _heed"),
        ("stop_request.ask(self._sweep.folder, self._stopped)", "pass"),
    ),
    *mutants(
        "run/cluster/executors",
        ("0 < int(text) <= 4096", "0 <= int(text) <= 4096"),
        ("self._pool = self._started(self._count)\n            return", "return"),
        ("pure=False", "pure=True"),
        ("options[name] = _number(value)", "options[name] = value"),
    ),
    *mutants(
        "run/cluster/jobs",
        ("if pair[0].set_running_or_notify_cancel()", ""),
        ("if self._misses[job.job_id] >= MOST_MISSES", ""),
        ("return None, RuntimeError(", "return RuntimeError("),
    ),
]
INSIGHT: list[Mutant] = [
    *mutants(
        "insight/race/verdict",
        ("grown = n / 2 *", "grown = (n - 1) / 2 *"),
        ("0.5 * np.log(spread / (n + spread)) + grown", "grown"),
        (
            "return min(1.0, 1 / float(evidence[at])), at + 1",
            "return min(1.0, 1 / float(evidence[-1])), at + 1",
        ),
        ("at + 1\n    found", "at\n    found"),
        ("min(1.0, len(FAST_LOOKS) * p), look", "p, look"),
        ("largest = max(largest, (len(p) - rank) * p[index])", "largest = (len(p) - rank) * p[index]"),
        ("(len(p) - rank) * p[index]", "p[index]"),
        (">= pairs / level", ">= 1 / level"),
        ("differences[:at].mean()", "differences[0]"),
        ("(side > 0) == higher", "(side < 0) == higher"),
        ("student(differences, level / pairs / len(FAST_LOOKS))", "student(differences, level)"),
        ("anytime(differences, 1 - level / pairs, SPREAD)", "anytime(differences, 1 - level, SPREAD)"),
        ("float(2 * special.stdtr(", "float(special.stdtr("),
    ),
    *mutants(
        "insight/race/race",
        ("tuning = min(TUNING, budget // 2)", "tuning = min(TUNING, budget)"),
        ("recipe, held.sign * curve) for", "recipe, curve) for"),
        ("own = seed + TUNING_SEED", "own = seed"),
        ("[*range(SEEDS, seeds, SEEDS), seeds]", "[*range(SEEDS, seeds + 1, SEEDS)]"),
        ("return max(means, key=lambda mean: held.sign * mean)", "return max(means)"),
        ("held.sign * curve <= held.sign * target", "curve <= target"),
        ("curve[entrant.stop]) for curve", "curve[-1]) for curve"),
        ("float(everything.min() if held.higher else everything.max())", "float(everything.max())"),
        (
            "everything.min() if held.higher else everything.max()",
            "everything.max() if held.higher else everything.min()",
        ),
    ),
    *mutants(
        "insight/race/space",
        ("2 ** (MOMENTUM * momentum)", "2 ** (-MOMENTUM * momentum)"),
        ("np.clip(moved, 0, MOST_MOMENTUM)", "moved"),
        ("return FACTOR if self.recipe.optimizer.estimates_rate else RATE", "return RATE"),
        ("centre + NEAR * (2 * rate - 1)", "NEAR * (2 * rate - 1)"),
        ("2 ** (DECAY * decay)", "2 ** decay"),
    ),
    *mutants(
        "insight/rivals",
        ("max(LEAST, SHARE * float(run", "min(LEAST, SHARE * float(run"),
        ("rows, round(seconds, 4), value - network", "rows, round(seconds, 4), network - value"),
        ("(self.prediction, prediction))\n", "(prediction, self.prediction))\n"),
        ("difference = second**2 - first**2", "difference = first**2 - second**2"),
        ("(standardised + offsets) * scale + mean", "standardised * scale + mean + offsets"),
        ("(x_test - mean) / scale", "(x_test - x_test.mean(axis=0)) / scale"),
        ("targets[rows[used]]", "targets[used]"),
        ("return most if cost(most) <= seconds else None", "return most"),
        ("permutation(rows)[:most]", "permutation(rows)[-most:][::-1]"),
        ("if case.weights is not None:", "if False:"),
    ),
    *mutants(
        "insight/standing",
        ("(interval[0] > 0) == higher", "interval[0] > 0"),
        ("interval[0] * interval[1] > 0", "interval[1] > 0"),
        ("if low * high >= 0 else (low, high))", "if True else (low, high))"),
        ('entry.get("higher_is_better") is True', "True"),
    ),
]
DOORS: list[Mutant] = [
    *mutants(
        "doors/serve/batcher",
        ("if self._queue and sum(", "if sum("),
        ("+ rows > self._most", "> self._most"),
        ("count + self._queue[0].rows <= self._rows", "True"),
        ("leaf[at], outputs)", "leaf[: at.stop - at.start], outputs)"),
        ("last = first + len(", "last = len("),
        ("examples.offsets)", "None)"),
        ("if request.answer.done():  # who asked has gone", "if False:"),
    ),
    *mutants(
        "doors/serve/app",
        ("int(length) > most", "int(length) < 0"),
        ("if size > most:", "if False:"),
        ("if count > limits.rows:", "if count > 10 * limits.rows:"),
        ('content.count(b"\\n") + 1', "1"),
    ),
    *mutants(
        "doors/serve/rows",
        ("[row.get(name) for row in rows]", "[row.get(name) for row in rows[::-1]]"),
        ("for name in row))", "for name in rows[0]))"),
        ("kinds <= {int, float}", "kinds <= {int, float, bool}"),
        ("not math.isfinite(v)", "False"),
    ),
    *mutants(
        "doors/export/export",
        ("if not found or not found[worst] <= TOLERANCE:", "if not found:"),
        ("max(found, key=lambda name: found[name]", "min(found, key=lambda name: found[name]"),
        ("new=not force", "new=False"),
        ("if DISK.is_there(path) and not force:", "if False:"),
        ("(target, *(target.with_suffix(suffix) for suffix in chosen.beside))", "(target,)"),
        ("if not target.absolute().parent.is_dir():", "if False:"),
    ),
]
MUTANTS = [*CORE, *PROBLEM, *RUN, *INSIGHT, *DOORS]
