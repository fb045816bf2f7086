"""Every error that Thalweg raises on purpose.

    ThalwegError
    ├── BadInput (also ValueError)      refused before any work starts; exit code 2
    │   ├── DataError                   the data cannot be read or used
    │   ├── ModelError                  the model does not fit the data, or is no model
    │   ├── RecipeError                 a number or a choice in the recipe is impossible
    │   └── RunFolderError              a run folder is missing, taken, unwritable or damaged
    └── MissingExtra (also ImportError) an optional dependency is asked for and not installed

A run that diverges is no error here: failure inside a compiled program is data, a result code per lane
(`thalweg.engine.state`).

Messages have one form: who - the rule - what came - where - then one action::

    recipe: batch_size must be at least 1; got -3 (in recipe.toml)
    hint: try 128
"""


class ThalwegError(Exception):
    """Base of all errors raised on purpose.

    Args:
        who: The part that refuses, e.g. `recipe` or `table`.
        rule: What must hold.
        got: The offending value, as it came. Left out of the message when None.
        where: File, column, layer or key. Left out when None.
        hint: One action that would help. Left out when None.
    """

    def __init__(
        self,
        who: str,
        rule: str,
        *,
        got: object = None,
        where: object = None,
        hint: str | None = None,
    ):
        self.who, self.rule, self.got, self.where, self.hint = who, rule, got, where, hint
        super().__init__(self._message())

    def _message(self) -> str:
        text = f"{self.who}: {self.rule}"
        if self.got is not None:
            text += f"; got {_shorten(self.got)}"
        if self.where is not None:
            text += f" ({self.where})"
        if self.hint is not None:
            text += f"\nhint: {self.hint}"
        return text


class BadInput(ThalwegError, ValueError):
    """What came in cannot be used. Raised before any work starts."""


class DataError(BadInput):
    """The data cannot be read, or cannot be used for training."""


class ModelError(BadInput):
    """The model does not fit the data, or is not a model."""


class RecipeError(BadInput):
    """A number or a choice in the recipe is impossible."""


class RunFolderError(BadInput):
    """A run folder is missing, already taken, unwritable or damaged."""


class MissingExtra(ThalwegError, ImportError):
    """An optional dependency is asked for and not installed."""


def _shorten(value: object, limit: int = 200) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
