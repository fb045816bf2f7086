"""`python -m tests.mutations [WORD ...]`: plant wrong rules one at a time, and show which the tests notice.

On demand, not in the gate. Words select mutants by a part of their file's path; `--floor` selects a floor;
`--all` adds generated mutants. `--record` saves what became of each, `--again` runs only those that were not
caught when they were last recorded, `--tally` prints what is recorded. Exit code 1 when a wrong rule went
unnoticed that `survivors.EQUIVALENT` does not explain.
"""

import argparse
import random
import sys
from collections.abc import Sequence
from functools import partial

from tests.mutations import generated, record
from tests.mutations.floors import FLOORS, REVIEWS
from tests.mutations.mutant import Mutant
from tests.mutations.runner import STILLBORN, UNNOTICED, Job, Outcome, run_all
from tests.mutations.survivors import reason

WORKERS = 2
GENERATED, SEED = 40, 0  # generated mutants of each floor


def main() -> int:
    """Run the mutants that the command line names."""
    options = _options()
    kinds = {
        record.SEMANTIC: _semantic(options) if options.generated is None or options.all else [],
        record.GENERATED: _drawn(options) if options.all or options.generated is not None else [],
    }
    known = record.words()
    if options.tally:
        kinds[record.GENERATED] = [
            mutant for floor in options.floor for mutant in generated.mutants_of(floor)
        ]
    elif options.again:
        kinds = {kind: _not_caught(mutants, known) for kind, mutants in kinds.items()}
    every = [mutant for mutants in kinds.values() for mutant in mutants]
    for mutant in every:
        mutant.text()  # all of them must fit before the first is run
    sound = options.tally or not options.control or _code_is_sound(every, options.workers)
    tell = partial(_tell, verbose=options.verbose, keep=options.record)
    outcomes = [] if options.tally else run_all(_jobs(every, options.first), options.workers, tell)
    found = known if options.tally else {str(each.mutant): each.word for each in outcomes}
    for kind, mutants in kinds.items():
        if mutants:
            print(record.summary(kind, mutants, found))
    return 0 if sound and not record.unexplained(every, found) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("words", nargs="*", help="parts of paths: adam, engine/step")
    parser.add_argument("--floor", nargs="+", choices=FLOORS, default=list(FLOORS))
    parser.add_argument(
        "--review", choices=REVIEWS, help="only those of a review: `reviewed.py`, `fresh.py`, `third.py`"
    )
    parser.add_argument("--all", action="store_true", help="semantic and generated mutants")
    parser.add_argument(
        "--generated", type=int, help=f"only so many generated of a floor; --all: {GENERATED}"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="of the generated ones that are drawn")
    parser.add_argument("--first", type=int, help="ask only so many files of tests of each mutant")
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--control", action="store_true", help="first run the tests without a mutant")
    parser.add_argument("--record", action="store_true", help="save what became of each mutant")
    parser.add_argument("--again", action="store_true", help="only those that are not recorded as caught")
    parser.add_argument("--verbose", action="store_true", help="print what becomes of every mutant")
    parser.add_argument("--tally", action="store_true", help="run nothing, and print what is recorded")
    return parser.parse_args()


def _semantic(options: argparse.Namespace) -> list[Mutant]:
    written = [mutant for floor in options.floor for mutant in FLOORS[floor]]
    if options.review:
        written = [mutant for mutant in written if mutant in REVIEWS[options.review]]
    return _chosen(written, options.words)


def _chosen(mutants: Sequence[Mutant], words: Sequence[str]) -> list[Mutant]:
    return [mutant for mutant in mutants if not words or any(word in mutant.file for word in words)]


def _drawn(options: argparse.Namespace) -> list[Mutant]:
    count = GENERATED if options.generated is None else options.generated
    drawn = []
    for floor in options.floor:
        possible = _chosen(generated.mutants_of(floor), options.words)
        drawn += random.Random(f"{floor} {options.seed}").sample(possible, min(count, len(possible)))
    return drawn


def _not_caught(mutants: Sequence[Mutant], known: dict[str, str]) -> list[Mutant]:
    return [
        mutant for mutant in mutants if known.get(str(mutant), UNNOTICED) == UNNOTICED and not reason(mutant)
    ]


def _jobs(mutants: Sequence[Mutant], first: int | None) -> list[Job]:
    return [Job(mutant, mutant.tests[:first], mutant.words) for mutant in mutants]


def _code_is_sound(mutants: Sequence[Mutant], workers: int) -> bool:
    """Run every set of tests on the code as it is: if they fail there, mutants prove nothing."""
    sets = dict.fromkeys((mutant.tests, mutant.words) for mutant in mutants)

    def tell(job: Job, outcome: Outcome) -> None:
        if outcome.word != UNNOTICED:
            print(f"THE CODE ITSELF: {outcome.word}: {' '.join(job.tests)} {job.words}", flush=True)

    outcomes = run_all([Job(None, *each) for each in sets], workers, tell)
    return all(outcome.word == UNNOTICED for outcome in outcomes)


def _tell(job: Job, outcome: Outcome, verbose: bool, keep: bool) -> None:
    mutant = job.mutant
    assert mutant is not None
    if keep:  # at once: a run of all of them takes hours, and may be ended before
        record.save([outcome])
    if verbose:
        print(f"  {outcome.word} {outcome.seconds:.0f} s: {mutant}", flush=True)
    elif outcome.noticed or (outcome.word == STILLBORN and mutant.made):
        return
    else:
        word = "equivalent" if reason(mutant) else outcome.word.upper()
        print(f"{word} ({outcome.seconds:.0f} s): {mutant}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
