"""Why a lane stopped: one row for each reason, with everything that depends on it.

A reason is a string (`"diverged"`), so it can be written to JSON and compared with a value from JSON. To add
one, add a row here and return it where it is detected.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

# Exit codes of the command line that a stop reason leads to.
EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED = 0, 3, 130


@dataclass(frozen=True)
class Facts:
    """What depends on a stop reason.

    Args:
        label: One or two words, for a table or a tile.
        sentence: The start of a sentence, to be followed by "after N steps".
        planned: Whether it is the planned end of the run. A longer plan continues such a run.
        setting: Whether a recipe setting of the same name enables it.
        in_program: Whether the compiled program detects it, rather than the host between dispatches.
        at_rest: Whether training has settled, so that the last weights may be the ones to keep.
        cut_short: Whether something outside the lane's recipe ended it, so that its loss is not final.
        level: Its level in a report: `good`, `unclear` or `bad`.
        exit_code: The exit code of a command that ends with it.
    """

    label: str
    sentence: str
    planned: bool = False
    setting: bool = False
    in_program: bool = False
    at_rest: bool = False
    cut_short: bool = False
    level: str = "good"
    exit_code: int = EXIT_DONE


class StopReason(StrEnum):
    """Why a lane stopped. A member equals its word, and has `facts`."""

    facts: Facts

    def __new__(cls, word: str, facts: Facts) -> Self:
        """Create a member: a string with facts."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.facts = facts
        return member

    EPOCHS = "epochs", Facts("completed", "Ran to its planned end", planned=True, at_rest=True)
    STEPS = "steps", Facts("completed", "Ran to its planned end", planned=True, at_rest=True)
    PATIENCE = "patience", Facts("stopped early", "Stopped early", setting=True)
    TARGET = "target", Facts("reached its target", "Reached its target", setting=True)
    SECONDS = "seconds", Facts("out of time", "Stopped when its time was over", setting=True)
    GRADIENT_BELOW = (
        "gradient_below",
        Facts(
            "gradient vanished",
            "Stopped because the gradient had nearly vanished",
            setting=True,
            in_program=True,
            at_rest=True,
        ),
    )
    LOSS_CHANGE_BELOW = (
        "loss_change_below",
        Facts("loss settled", "Stopped because the loss no longer changed", setting=True, at_rest=True),
    )
    HALVED = "halved", Facts("frozen", "Frozen by successive halving", cut_short=True)
    REQUESTED = (
        "requested",
        Facts("stopped by request", "Stopped by request", cut_short=True, level="unclear"),
    )
    CALLER = (
        "caller",
        Facts("stopped by the caller", "Stopped by the caller", cut_short=True, level="unclear"),
    )
    DIVERGED = (
        "diverged",
        Facts("diverged", "Training diverged", in_program=True, level="bad", exit_code=EXIT_FAILED),
    )
    INTERRUPTED = (
        "interrupted",
        Facts("interrupted", "Interrupted", cut_short=True, level="unclear", exit_code=EXIT_INTERRUPTED),
    )

    @classmethod
    def facts_of(cls, word: object) -> Facts:
        """Return the facts of the reason that a record names.

        For a word from another version of Thalweg, the facts hold only its name.
        """
        known = next((reason for reason in cls if reason == word), None)
        return Facts(str(word), f"Stopped ({word})") if known is None else known.facts


# Recipe settings that end a run before its planned end.
ENDING_SETTINGS = tuple(reason.value for reason in StopReason if reason.facts.setting)
