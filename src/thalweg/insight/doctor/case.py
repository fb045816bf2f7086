"""A diagnosis on its way: suspicions with their arms, and what is known so far."""

from dataclasses import dataclass, field

from thalweg.insight.doctor.arms import Bench, Result, effect
from thalweg.insight.doctor.finding import Finding, View
from thalweg.insight.doctor.judge import Scale
from thalweg.insight.doctor.plan import Move

# Length of a short arm: this share of a run, at least so many updates.
SHORT, FEWEST_UPDATES = 0.1, 40
# Weight of a suspicion against the effect of an arm, in ranking.
PRIOR = 0.35
# Weight of a strong suspicion.
STRONG = 0.7
Moves = tuple[Move, ...]


@dataclass
class Trial:
    """A finding's arm on its way.

    Args:
        finding: The suspicion.
        moves: The change.
        name: Of the arm.
        short, full: Results, short and in full.
        beside: The base that the short arm is compared with.
        parts: Of a pair, the trials of both changes alone.
        effect: Share of the gap that the short arm recovered.
    """

    finding: Finding
    moves: Moves
    name: str
    short: Result | None = None
    full: Result | None = None
    beside: Result | None = None
    parts: "tuple[Trial, ...]" = ()
    effect: float = 0.0

    def judge(self, result: Result | None, beside: Result | None) -> None:
        """Take the result of an arm that is not trained in full, beside a base."""
        if result is not None and beside is not None:
            self.short, self.beside, self.effect = result, beside, effect(result, beside)

    @property
    def strong(self) -> bool:
        """Whether it is suspected so strongly that it is tried in a pair whatever its own arm does."""
        return self.short is not None and self.finding.weight >= STRONG

    @property
    def rank(self) -> float:
        """What it is ranked by."""
        return min(1.0, self.effect) + PRIOR * self.finding.weight


@dataclass
class Case:
    """A diagnosis on its way: everything that is known so far.

    Args:
        view: What the checks see.
        bench: Where arms are trained.
        scale: What the data allow.
        budget: Trainings that may be spent.
        mended: Whether the repair is one of the rows that are judged, or of what they tell: see `mend`.
        accepted, settled: The changes of the repair, and those of them that only keep it finite.
    """

    view: View
    bench: Bench
    scale: Scale
    budget: float
    quick: bool = False
    findings: list[Finding] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    base: Result | None = None
    short_base: Result | None = None
    irrelevant: Result | None = None
    accepted: Moves = ()
    settled: Moves = ()
    repaired: Result | None = None
    unhealthy: bool = False
    mended: bool = False

    @property
    def left(self) -> float:
        """Trainings that may still be spent."""
        return self.budget - self.bench.trainings

    @property
    def steps(self) -> int:
        """Length of a short arm."""
        return int(min(self.view.total, max(SHORT * self.view.total, FEWEST_UPDATES)))
