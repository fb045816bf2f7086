"""How many lanes are laid out on the machine: groups, shards, threads, waves. A rule, and what it rests on.

    group    lanes of equal structure and length: one compiled program
    shard    lanes of a group that are dispatched together, one after another inside the program
    worker   a thread; each runs one shard's chunk at a time, always that of the shard which is least far
    wave     shards that are in memory together

Why threads: two Python threads that each run mapped lanes on the one ordinary device were measured at about
half the time of one (784-32-10, batch 32), with no setting that changes the user's process. Why mapped lanes
and not batched ones: on CPU they were as fast or faster for all but tiny networks, and each lane computes bit
for bit what it computes alone.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import jax

from thalweg.core.errors import RecipeError
from thalweg.core.lazy import psutil
from thalweg.engine import autotune as measuring
from thalweg.engine.group import lane_bytes, length
from thalweg.engine.layout.compaction import width_for
from thalweg.engine.program import BATCH, MAP, structure
from thalweg.problem.problem import Problem
from thalweg.recipe.recipe import Recipe
from thalweg.recipe.vary import MOST_LANES

# Lanes in a shard. More save nothing (a dispatch of 0.3 s hides its millisecond), fewer balance better.
WIDEST = {MAP: 16, BATCH: 32}


@dataclass(frozen=True)
class Rule:
    """When lanes are laid out in one product, by parameters of a lane.

    Args:
        batched: So many at most.
        unsure: Between these, long work is worth a trial of both layouts.
        reason: Why, for people.
    """

    batched: int
    unsure: tuple[int, int]
    reason: str


# A tiny network's step is bookkeeping, and batching lanes shares it out.
UNPAIRED = Rule(
    4_000, (500, 20_000), "batch: lanes in one product; for so tiny networks it was measured faster"
)
# Lanes of one seed also share the batch, gathered once, and their first products are one.
PAIRED = Rule(
    30_000,
    (500, 200_000),
    "batch: lanes of one seed in one product; they read the same batches, and it was measured faster",
)
# Seconds of work, roughly, from which on trials (about one second with their compilations) are worth it.
WORTH_MEASURING = 2.0
# A lane-step on two threads: bookkeeping, and what a row and parameter add.
STEP_SECONDS, ROW_SECONDS = 5e-6, 3e-11
STRICT = "map: lanes one after another inside the program, each with the bits of the lane alone (strict)"
# Lanes in one product share their batch when each seed has at least so many of them.
FEWEST_OF_A_SEED = 4
# Share of the memory at hand that lanes may take; the rest is for data, programs and temporaries.
MEMORY_SHARE = 0.5


@dataclass(frozen=True)
class Shard:
    """Lanes that are dispatched together.

    Args:
        group: Which group they belong to.
        lanes: Their numbers in the list of recipes.
        width: Room for lanes in the program.
        layout: `map` or `batch`.
    """

    group: int
    lanes: tuple[int, ...]
    width: int
    layout: str


@dataclass(frozen=True)
class LanePlan:
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
        """Return it as plain values, for the run's records."""
        return asdict(self) | {"shards": [list(shard.lanes) for shard in self.shards]}

    def text(self) -> str:
        """Say it for people, a line each."""
        lanes = sum(len(group) for group in self.groups)
        lines = [f"{lanes} lanes in {_many(self.groups, 'group')}, {_many(self.shards, 'shard')}, "]
        lines[0] += f"{self.workers} at a time, {_many(self.waves, 'wave')}"
        for number, (group, layout, size) in enumerate(
            zip(self.groups, self.layouts, self.bytes, strict=True)
        ):
            shards = [len(shard.lanes) for shard in self.shards if shard.group == number]
            lines.append(
                f"group {number}: {len(group)} lanes, {layout}, shards of {min(shards)} to {max(shards)}, "
                f"{size / 2**20:.1f} MiB a lane"
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
) -> LanePlan:
    """Lay lanes out.

    Args:
        problem: What is learned.
        recipes: One for each lane.
        strict: Only layouts in which a lane's bits are those of the lane alone.
        workers: Threads; None for one a core (one in all on an accelerator).
        memory: Bytes that lanes may take; None for half of what is free.
        measure: Whether layouts may be tried out where the rule is not sure and the work is long. What was
            measured before is used in any case.

    Raises:
        RecipeError: No lanes, or more than can be kept.
    """
    _check_count(len(recipes))
    groups = _groups(problem, recipes)
    cores = workers or (_cores() if jax.default_backend() == "cpu" else 1)
    sizes = [lane_bytes(problem, recipes[group[0]]) for group in groups]
    chosen = [
        (MAP, STRICT) if strict else _layout(problem, [recipes[lane] for lane in group], cores, measure)
        for group in groups
    ]
    layouts = [layout for layout, _ in chosen]
    room = _free() if memory is None and len(recipes) > 1 else memory or 0  # one lane runs in any case
    shards = [
        shard
        for number, group in enumerate(groups)
        for shard in _shards(number, group, recipes, layouts[number], cores, room // max(sizes[number], 1))
    ]
    waves = _waves(shards, sizes, room)
    reasons = list(dict.fromkeys(reason for _, reason in chosen))
    if len(waves) > 1:
        reasons.append(f"waves: {room / 2**30:.1f} GiB are free for lanes, and all at once would need more")
    return LanePlan(
        tuple(tuple(group) for group in groups),
        tuple(shards),
        tuple(waves),
        max(1, min(cores, max(len(wave) for wave in waves))),
        tuple(layouts),
        tuple(sizes),
        tuple(reasons),
    )


def _check_count(lanes: int) -> None:
    if lanes < 1:
        raise RecipeError("lanes", "there must be at least one recipe", got="an empty list")
    if lanes > MOST_LANES:
        raise RecipeError(
            "lanes",
            f"a sweep holds at most {MOST_LANES:,} lanes",
            got=f"{lanes:,}",
            hint=f"at a minute of training each, {lanes:,} lanes would take {lanes / 1440:,.0f} days on one "
            "core; sample the space instead: recipe.sample(64, {...}), or `:N` with a smaller N",
        )


def _groups(problem: Problem, recipes: Sequence[Recipe]) -> list[list[int]]:
    found: dict[Any, list[int]] = {}
    for lane, recipe in enumerate(recipes):
        found.setdefault((structure(recipe), length(problem, recipe)), []).append(lane)
    return list(found.values())


def _layout(problem: Problem, recipes: list[Recipe], cores: int, measure: bool) -> tuple[str, str]:
    """Return a group's layout and why."""
    if len(recipes) == 1:
        return MAP, "map: a lane of its own"
    if jax.default_backend() != "cpu":
        return BATCH, "batch: lanes in one product; an accelerator is filled by large products"
    parameters = lane_bytes(problem, recipes[0], parameters_only=True) // 4
    paired = _paired([recipe.seed for recipe in recipes])
    kind = PAIRED if paired else UNPAIRED
    if kind.unsure[0] <= parameters <= kind.unsure[1]:
        found = _measured(problem, recipes, parameters, cores, measure)
        if found is not None:
            told = f"measured: {found[BATCH]:.3g} microseconds a lane-step batched, {found[MAP]:.3g} mapped"
            layout = BATCH if found[BATCH] < found[MAP] else MAP
            return layout, f"{layout}: {told}"
    if parameters <= kind.batched:
        return BATCH, kind.reason
    return MAP, "map: lanes one after another inside the program; on CPU the faster form for such networks"


def _measured(
    problem: Problem, recipes: list[Recipe], parameters: int, cores: int, measure: bool
) -> dict[str, float] | None:
    """Return what trials told, now or before; None where there were none, and none are worth their time."""
    together = [recipe for recipe in recipes if recipe.seed == recipes[0].seed]
    some = together if _paired([recipe.seed for recipe in recipes]) else recipes
    some = some[: -(-len(some) // cores)]  # as many as a shard will hold
    found = measuring.remembered(problem, some, cores)
    rows = recipes[0].batch(problem.data.train.count()) * parameters
    seconds = len(recipes) * length(problem, recipes[0]) * (STEP_SECONDS + ROW_SECONDS * rows)
    if found is None and measure and seconds >= WORTH_MEASURING:
        return measuring.measured(problem, some, cores)
    return found


def _paired(seeds: Sequence[int]) -> bool:
    """Tell whether lanes in one product can go by seed: each seed has several."""
    return len(seeds) >= FEWEST_OF_A_SEED * len(set(seeds))


def _shards(
    number: int, group: list[int], recipes: Sequence[Recipe], layout: str, cores: int, fitting: int
) -> list[Shard]:
    """Deal a group's lanes out, so that neighbours in a range (which diverge together) are spread.

    Lanes in one product go by seed where a seed has several: they then read one batch.
    """
    most = max(1, min(WIDEST[layout], fitting // cores))
    seeds = [recipes[lane].seed for lane in group]
    by_seed = layout == BATCH and _paired(seeds)
    kinds = (
        {seed: [lane for lane in group if recipes[lane].seed == seed] for seed in seeds} if by_seed else {}
    )
    dealt = [
        lanes
        for kind in kinds.values() or [group]
        for lanes in _dealt(kind, most, cores if len(kinds) < cores else 1)
    ]
    width = width_for(max(len(lanes) for lanes in dealt), layout)
    return [Shard(number, lanes, width, layout) for lanes in dealt]


def _dealt(lanes: list[int], most: int, cores: int) -> list[tuple[int, ...]]:
    count = -(-len(lanes) // most)
    count = min(len(lanes), -(-count // cores) * cores)  # as many as cores, or a multiple: none idles
    return [tuple(lanes[start::count]) for start in range(count)]


def _waves(shards: list[Shard], sizes: list[int], room: int) -> list[tuple[int, ...]]:
    waves: list[list[int]] = [[]]
    taken = 0
    for index, shard in enumerate(shards):
        need = shard.width * sizes[shard.group]
        if waves[-1] and taken + need > room:
            waves.append([])
            taken = 0
        waves[-1].append(index)
        taken += need
    return [tuple(wave) for wave in waves]


def _free() -> int:
    return int(MEMORY_SHARE * psutil.virtual_memory().available)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def _many(things: Sequence[Any], noun: str) -> str:
    return f"{len(things)} {noun}{'s' if len(things) != 1 else ''}"
