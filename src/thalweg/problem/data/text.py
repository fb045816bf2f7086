"""Character text to `Data`: the vocabulary of the training text, and windows over the three parts.

Parts lie one after another: training, validation, test. There is no test part unless one is asked for:
90/10 into training and validation is the custom for character models.
"""

from pathlib import Path

from thalweg.core.errors import DataError
from thalweg.problem.data.data import LANGUAGE, Data
from thalweg.problem.data.files.compressed import read_bytes
from thalweg.problem.data.inputs.text import UNKNOWN, TextInputs
from thalweg.problem.data.note import Note
from thalweg.problem.data.options import LoadOptions
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.split import Windows


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, .gz or not; other line ends become \\n.

    Raises:
        DataError: The file is not UTF-8.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            "text",
            "must be UTF-8",
            got=f"byte 0x{error.object[error.start]:02x} at {error.start}",
            where=path,
            hint="convert the file to UTF-8",
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def from_text(text: str, name: str, options: LoadOptions) -> Data:
    """Cut a text into parts and windows.

    Raises:
        DataError: A part is shorter than one window, or the text has one character only.
    """
    texts = _cut(text, options)
    _check_lengths(texts, options.context, name)
    others = [piece for part, piece in texts.items() if part != "train"]
    columns = TextInputs.fit(texts["train"], options.context, others)
    if len(columns.characters) < 2:
        rule = "must have at least two different characters"
        raise DataError("text", rule, got=columns.characters, where=name, hint="give real text")
    strides = {"train": 1, "validation": options.context, "test": options.context}
    parts = {
        part: Windows(columns.inputs(piece), options.context, strides[part]) for part, piece in texts.items()
    }
    return Data(
        name=name,
        task=LANGUAGE,
        train=parts["train"],
        validation=parts.get("validation"),
        test=parts.get("test"),
        preparation=Preparation(columns, classes=tuple(columns.characters), target="next character"),
        notes=_notes(columns, texts),
    )


def _check_lengths(texts: dict[str, str], context: int, name: str) -> None:
    for part, piece in texts.items():
        if len(piece) <= context:
            raise DataError(
                "text",
                f"the {part} part must be longer than one window of {context} tokens",
                got=f"{len(piece)} characters",
                where=name,
                hint="give more text, or a smaller context",
            )


def _cut(text: str, options: LoadOptions) -> dict[str, str]:
    own = options.test if not isinstance(options.test, float) else None
    share = options.test if isinstance(options.test, float) else 0.0
    ends = [round(len(text) * (1 - share))]
    ends = [round(ends[0] * (1 - options.validation)), ends[0]]
    found = {"train": text[: ends[0]]}
    if options.validation:
        found["validation"] = text[ends[0] : ends[1]]
    if own is not None:
        found["test"] = own if isinstance(own, str) and "\n" in own else read_text(Path(own))
    elif share:
        found["test"] = text[ends[1] :]
    return found


def _notes(columns: TextInputs, texts: dict[str, str]) -> tuple[Note, ...]:
    if UNKNOWN not in columns.characters or UNKNOWN in texts["train"]:
        return ()
    strange = sorted(set("".join(texts.values())) - set(texts["train"]))
    text = f"{len(strange)} characters outside the training text became the unknown mark: {strange[:10]}."
    return (Note("unknown", text),)
