"""How lanes are laid out on the machine: groups, shards, threads, waves.

    group    lanes of equal structure and length: one compiled program
    shard    lanes of a group that are dispatched together
    worker   a thread; each runs one shard's chunk at a time, always that of the shard with the fewest steps
    wave     shards that are in memory at the same time

Why threads: two Python threads that each run mapped lanes on the one CPU device took about half the time of
one (784-32-10, batch 32), without any setting that changes the user's process. Why mapped lanes and not
batched ones: on CPU they were as fast or faster for all but tiny networks, and each lane computes bit for bit
what it computes alone.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from thalweg.core.device import free_memory, on_cpu, usable_cores
from thalweg.core.errors import RecipeError
from thalweg.core.shown import Shown
from thalweg.engine.autotune import Timings, measure_timings, read_timings
from thalweg.engine.group import feed_of, lane_bytes, length
from thalweg.engine.layout.compaction import width_for
from thalweg.engine.program import BATCH, MAP, structure
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.settings import per_recipe
from thalweg.recipe.vary import MOST_LANES

# Lanes in a shard. More save nothing (a dispatch of 0.3 s hides its millisecond), fewer balance better.
WIDEST = {MAP: 16, BATCH: 32}


@dataclass(frozen=True)
class Rule:
    """When lanes are batched, by the number of parameters of a lane.

    Args:
        batched: The most parameters with which lanes are batched.
        unsure: Between these, long work is worth a trial of both layouts.
        reason: Why, for the user.
    """

    batched: int
    unsure: tuple[int, int]
    reason: str


# A tiny network's step is bookkeeping, and batched lanes share it.
UNPAIRED = Rule(4_000, (500, 20_000), "batch: all lanes in one product; measured faster for tiny networks")
# Lanes of one seed also share the batch, gathered once, and their first products are one.
PAIRED = Rule(
    30_000,
    (500, 200_000),
    "batch: lanes of one seed in one product; they read the same batches, and it was measured faster",
)
# Estimated seconds of work from which trials (about one second with their compilations) are worthwhile.
WORTH_MEASURING = 2.0
# Seconds of a lane-step on two threads: bookkeeping, and what a row adds for each parameter.
STEP_SECONDS, ROW_SECONDS = 5e-6, 3e-11
# Batched lanes share their batch if each seed has at least this many of them.
FEWEST_OF_A_SEED = 4
# Share of the free memory that lanes may take; the rest is for data, programs and temporaries.
MEMORY_SHARE = 0.5
# A sweep that processes share has at least so many shards in a group, and none takes more memory than this.
UNITS, UNIT_BYTES = 16, 2**31

STRICT = "map: lanes one after another inside the program, each with the bits of the lane alone (strict)"
SINGLE = "map: the group has one lane"
ACCELERATOR = "batch: all lanes in one product; an accelerator needs large products"
ON_CPU = "map: lanes one after another inside the program; on CPU faster for networks of this size"


@dataclass(frozen=True)
class Shard:
    """Lanes that are dispatched together.

    Args:
        group: Number of their group.
        lanes: Their numbers in the list of recipes.
        width: Room for lanes in the program.
        layout: `map` or `batch`.
    """

    group: int
    lanes: tuple[int, ...]
    width: int
    layout: str


@dataclass(frozen=True)
class LanePlan(Shown):
    """Where every lane runs.

    Args:
        groups: Lane numbers by group.
        shards: In the order in which they start.
        waves: Indices of shards that are in memory together, wave after wave.
        workers: Threads.
        layouts: `map` or `batch`, by group.
        bytes: Estimated memory of a lane's state, by group.
        reasons: Why, in sentences.
    """

    groups: tuple[tuple[int, ...], ...]
    shards: tuple[Shard, ...]
    waves: tuple[tuple[int, ...], ...]
    workers: int
    layouts: tuple[str, ...]
    bytes: tuple[int, ...]
    reasons: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values, for the run folder."""
        return asdict(self) | {"shards": [list(shard.lanes) for shard in self.shards]}

    def text(self) -> str:
        """Describe the plan for the user, one line for each group."""
        lanes = sum(len(group) for group in self.groups)
        lines = [
            f"{lanes} lanes in {_plural(self.groups, 'group')}, {_plural(self.shards, 'shard')}, "
            f"{self.workers} at a time, {_plural(self.waves, 'wave')}"
        ]
        for number, group in enumerate(self.groups):
            shards = [len(shard.lanes) for shard in self.shards if shard.group == number]
            lines.append(
                f"group {number}: {len(group)} lanes, {self.layouts[number]}, "
                f"shards of {min(shards)} to {max(shards)}, {self.bytes[number] / 2**20:.1f} MiB a lane"
            )
        return "\n".join([*lines, *self.reasons])


def plan(
    problem: Problem,
    recipes: Sequence[Recipe],
    *,
    strict: bool = False,
    workers: int | None = None,
    memory: int | None = None,
    measure: bool = False,
    folds: Sequence[int] = (),
) -> LanePlan:
    """Plan where every lane runs.

    Args:
        problem: What is learned.
        recipes: One for each lane.
        folds: The fold of the data that each lane reads; empty where the data have none. A group has lanes
            of folds of one size.
        strict: Use only layouts in which a lane computes the same bits as alone.
        workers: Threads; None for one per core (one in all on an accelerator).
        memory: Bytes that lanes may take; None for half of what is free.
        measure: Whether layouts may be timed if the rule is not sure and the work is long. Earlier timings
            are used in any case.

    Raises:
        RecipeError: There are no recipes, or too many.
    """
    check_count(len(recipes))
    groups = _groups(problem, recipes, folds)
    cores = workers or (usable_cores() if on_cpu() else 1)
    sizes = [lane_bytes(problem, recipes[group[0]]) for group in groups]
    pairs = _pairs(recipes, folds)
    choices = [
        (MAP, STRICT)
        if strict
        else _layout(
            problem, [recipes[lane] for lane in group], [pairs[lane] for lane in group], cores, measure
        )
        for group in groups
    ]
    layouts = [layout for layout, _ in choices]
    # A single lane runs regardless of the free memory.
    room = int(MEMORY_SHARE * free_memory()) if memory is None and len(recipes) > 1 else memory or 0
    shards = [
        shard
        for number, group in enumerate(groups)
        for shard in _shards(number, group, pairs, layouts[number], cores, room // max(sizes[number], 1))
    ]
    waves = _waves(shards, sizes, room)
    reasons = list(dict.fromkeys(reason for _, reason in choices))
    if len(waves) > 1:
        reasons.append(f"waves: {room / 2**30:.1f} GiB are free for lanes, too little for all lanes at once")
    return LanePlan(
        tuple(tuple(group) for group in groups),
        tuple(shards),
        tuple(waves),
        max(1, min(cores, max(len(wave) for wave in waves))),
        tuple(layouts),
        tuple(sizes),
        tuple(reasons),
    )


def plan_units(problem: Problem, recipes: Sequence[Recipe], *, folds: Sequence[int] = ()) -> LanePlan:
    """Plan a sweep whose shards are trained by many processes, of which nothing is known.

    The shards depend on the problem and the recipes alone: neither on the number of workers, nor on this
    machine's cores or free memory. Layouts are strict, so that a lane has the bits that it has alone. Waves
    and threads are for a sweep that is resumed in one process.

    Args:
        problem, recipes, folds: As for `plan`.

    Raises:
        RecipeError: There are no recipes, or too many.
    """
    memory = UNITS * UNIT_BYTES
    planned = plan(problem, recipes, strict=True, workers=UNITS, memory=memory, folds=folds)
    waves = _waves(list(planned.shards), list(planned.bytes), int(MEMORY_SHARE * free_memory()))
    cores = usable_cores() if on_cpu() else 1
    workers = max(1, min(cores, max(len(wave) for wave in waves)))
    return replace(planned, waves=tuple(waves), workers=workers, reasons=(STRICT,))


def check_count(lanes: int) -> None:
    """Refuse no lanes, and more than a sweep holds.

    Raises:
        RecipeError: There are as many.
    """
    if lanes < 1:
        raise RecipeError(
            "lanes",
            "there must be at least one recipe",
            got="an empty list",
            hint="give one recipe, or leave it out for the default",
        )
    if lanes > MOST_LANES:
        raise RecipeError(
            "lanes",
            f"a sweep holds at most {MOST_LANES:,} lanes",
            got=f"{lanes:,}",
            hint=f"at a minute of training each, {lanes:,} lanes would take {lanes / 1440:,.0f} days on one "
            "core; sample the space instead: recipe.sample(64, {...}), or `:N` with a smaller N",
        )


def _groups(problem: Problem, recipes: Sequence[Recipe], folds: Sequence[int]) -> list[list[int]]:
    groups: dict[Any, list[int]] = {}
    structures = per_recipe(structure, recipes)
    for lane, recipe in enumerate(recipes):
        feed = feed_of(problem, [recipe], folds[lane : lane + 1])
        groups.setdefault((structures[lane], recipe.length(feed.epoch_steps), feed.count), []).append(lane)
    return list(groups.values())


def _pairs(recipes: Sequence[Recipe], folds: Sequence[int]) -> list[tuple[int, int]]:
    """Return the seed and the fold of each lane; lanes that have both in common read the same batches."""
    seeds = per_recipe(lambda recipe: recipe.seed, recipes)
    return list(zip(seeds, folds or [0] * len(seeds), strict=True))


def _layout(
    problem: Problem, recipes: list[Recipe], pairs: list[tuple[int, int]], cores: int, measure: bool
) -> tuple[str, str]:
    """Return a group's layout and the reason."""
    if len(recipes) == 1:
        return MAP, SINGLE
    if not on_cpu():
        return BATCH, ACCELERATOR
    parameters = lane_bytes(problem, recipes[0], parameters_only=True) // 4
    paired = _is_paired(pairs)
    rule = PAIRED if paired else UNPAIRED
    if rule.unsure[0] <= parameters <= rule.unsure[1]:
        alike = [recipe for recipe, pair in zip(recipes, pairs, strict=True) if pair == pairs[0]]
        timings = _timings(problem, recipes, alike if paired else recipes, parameters, cores, measure)
        if timings is not None:
            layout = BATCH if timings[BATCH] < timings[MAP] else MAP
            figures = f"{timings[BATCH]:.3g} microseconds a lane-step batched, {timings[MAP]:.3g} mapped"
            return layout, f"{layout}: measured: {figures}"
    return (BATCH, rule.reason) if parameters <= rule.batched else (MAP, ON_CPU)


def _timings(
    problem: Problem, recipes: list[Recipe], lanes: list[Recipe], parameters: int, cores: int, measure: bool
) -> Timings | None:
    """Return timings of both layouts, new ones if they are worth their time; None without.

    Args:
        recipes: Those of the whole group.
        lanes: Those of them that may be in one shard.
    """
    lanes = lanes[: -(-len(lanes) // cores)]  # as many as a shard will hold
    timings = read_timings(problem, lanes, cores)
    rows = recipes[0].batch(problem.data.train.count()) * parameters
    seconds = len(recipes) * length(problem, recipes[0]) * (STEP_SECONDS + ROW_SECONDS * rows)
    if timings is None and measure and seconds >= WORTH_MEASURING:
        return measure_timings(problem, lanes, cores)
    return timings


def _is_paired(pairs: Sequence[tuple[int, int]]) -> bool:
    """Return whether each seed (on each fold) has several lanes, so that batched lanes can share batches."""
    return len(pairs) >= FEWEST_OF_A_SEED * len(set(pairs))


def _shards(
    number: int, group: list[int], pairs: Sequence[tuple[int, int]], layout: str, cores: int, fitting: int
) -> list[Shard]:
    """Deal a group's lanes out, so that neighbours in a range (which diverge together) are spread.

    Batched lanes are divided by seed and fold where each has several: they then read one batch.
    """
    most = max(1, min(WIDEST[layout], fitting // cores))
    alike: dict[tuple[int, int], list[int]] = {}
    if layout == BATCH and _is_paired([pairs[lane] for lane in group]):
        for lane in group:
            alike.setdefault(pairs[lane], []).append(lane)
    workers = cores if len(alike) < cores else 1
    dealt = [lanes for same in alike.values() or [group] for lanes in _deal(same, most, workers)]
    width = width_for(max(len(lanes) for lanes in dealt), layout)
    return [Shard(number, lanes, width, layout) for lanes in dealt]


def _deal(lanes: list[int], most: int, cores: int) -> list[tuple[int, ...]]:
    """Divide lanes into shards of at most `most`: as many shards as cores, or a multiple, so none is idle."""
    count = -(-len(lanes) // most)
    count = min(len(lanes), -(-count // cores) * cores)
    return [tuple(lanes[start::count]) for start in range(count)]


def _waves(shards: list[Shard], sizes: list[int], room: int) -> list[tuple[int, ...]]:
    waves: list[list[int]] = [[]]
    taken = 0
    for index, shard in enumerate(shards):
        needed = shard.width * sizes[shard.group]
        if waves[-1] and taken + needed > room:
            waves.append([])
            taken = 0
        waves[-1].append(index)
        taken += needed
    return [tuple(wave) for wave in waves]


def _plural(things: Sequence[Any], noun: str) -> str:
    return f"{len(things)} {noun}{'s' if len(things) != 1 else ''}"
