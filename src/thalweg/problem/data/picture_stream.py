"""Pictures that do not fit in memory, decoded during training: one scan, then batches in a drawn order.

The scan decodes every picture once and keeps of it a digest, sums and the range of its bytes. So splits,
notes and preparation are those of the same pictures in memory; only where pictures of validation and test
would take more than `HELD_OUT_BYTES`, some of them are evaluated. The batches of a step are a pure function
of its number, so that a run can resume anywhere. A picture that has changed since the scan ends the run.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import count, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from thalweg.core import device
from thalweg.core.caller import option
from thalweg.core.errors import DataError
from thalweg.core.keys import order
from thalweg.problem.data.checked_arrays import Checked, assemble, divide
from thalweg.problem.data.data import Data
from thalweg.problem.data.files.file_trees import counted
from thalweg.problem.data.files.picture_files import Facts, Form, read_pixels
from thalweg.problem.data.files.picture_sizes import fits_memory, fitted_size
from thalweg.problem.data.files.pictures import Survey, attempted, decoding, reason, unreadable
from thalweg.problem.data.files.tar_shards import Member
from thalweg.problem.data.inputs.array import Range
from thalweg.problem.data.inputs.image import ImageInputs, shift_and_scale
from thalweg.problem.data.note import Note, guess
from thalweg.problem.data.options import LoadOptions
from thalweg.problem.data.preparation import Preparation
from thalweg.problem.data.split import Rows
from thalweg.problem.data.splitting import shared_rows
from thalweg.problem.data.stream import StoredRows

# Bytes of the pictures of validation, and of test, that are kept for evaluation: 5,461 of 128 x 128 in
# colour, on which an accuracy has a standard error of 0.7 % at most. A constant: results must not depend on
# the machine.
HELD_OUT_BYTES = 1 << 28
# Examples that stand for the training pictures where some are needed, and their bytes.
EXAMPLES, EXAMPLE_BYTES = 1 << 12, 1 << 26
# Batches and pictures at least that are decoded ahead, and pictures that a thread decodes at a time.
AHEAD, AHEAD_PICTURES, PIECE = 2, 64, 16
# Pictures that must fit in memory at once, at least.
AT_ONCE = 256
_CHANGED = "every picture must be as it was when the run was started"


def streams(survey: Survey, options: LoadOptions) -> bool:
    """Return whether pictures are decoded during training: as asked, else if they do not fit in memory.

    Raises:
        DataError: It was asked for together with an option that needs all pictures at once.
    """
    hindrance = next((name for name in ("folds", "weights") if getattr(options, name) is not None), None)
    if options.separate_test is not None:
        hindrance = "test"
    if options.stream and hindrance is not None:
        rule = "needs all pictures in memory, which pictures that are streamed are not"
        hint = f"leave it out, or use {option('stream', False)}"
        raise DataError(hindrance, rule, got=str(survey.found.folder), hint=hint)
    if options.stream is not None or hindrance is not None:
        return bool(options.stream)
    return not survey.fits and fits_memory(survey.headers, survey.asked, AT_ONCE)


class Seen(NamedTuple):
    """What the scan keeps of a picture.

    Args:
        digest: 64 bits by which it is told from others.
        sums: Of the bytes of each channel, and of their squares, `2 channel`.
        low, high: The range of its bytes.
        facts: What was done to it.
    """

    digest: int
    sums: np.ndarray
    low: int
    high: int
    facts: Facts


def from_survey(survey: Survey, name: str, options: LoadOptions) -> Data:
    """Scan pictures, and return those that are held out and a stream of those for training.

    Raises:
        DataError: One cannot be read, or they cannot be used.
    """
    fitted = fitted_size(survey.headers, survey.asked, AT_ONCE)
    form = survey.form(fitted.size)
    with decoding() as threads:
        seen, broken = attempted(threads, lambda content: _look(content, form), survey.contents)
    survey.broken.update(broken)
    survey.check()
    contents = [survey.contents[path] for path in seen]
    looks = list(seen.values())
    digests = np.array([each.digest for each in looks], np.int64)
    notes = survey.notes(fitted, [each.facts for each in looks])
    numbers = {path: np.array([i]) for i, path in enumerate(seen)}
    raw = survey.found.arrays(name, numbers, notes=notes)
    checked, (rows,), split_notes = divide(raw, options, lambda inputs: digests[inputs[:, 0]])
    return _Set(contents, looks, digests, form, checked, options).data(rows, split_notes)


def _look(content: Path | Member, form: Form) -> Seen:
    pixels, facts = read_pixels(content, form)
    wide = pixels.reshape(-1, len(form.mode)).astype(np.uint64)
    sums = np.stack([wide.sum(axis=0), (wide * wide).sum(axis=0)])
    return Seen(_digest(pixels), sums, int(pixels.min()), int(pixels.max()), facts)


def _digest(pixels: np.ndarray) -> int:
    """Return 64 bits by which pictures are told apart."""
    content = np.ascontiguousarray(pixels).data
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little", signed=True)


@dataclass(frozen=True, eq=False)
class _Set:
    """A scanned set: where its pictures are, what was seen of each, and what was made of their labels."""

    contents: list[Path | Member]
    looks: list[Seen]
    digests: np.ndarray
    form: Form
    checked: Checked
    options: LoadOptions

    def data(self, rows: dict[str, np.ndarray], split_notes: tuple[Note, ...]) -> Data:
        """Return the data of a division of the rows."""
        raw, inputs, target, kept, own, hashes, notes = self.checked
        numbers = {split: inputs[chosen, 0] for split, chosen in rows.items()}
        targets = {split: target.values[chosen] for split, chosen in rows.items()}
        used = {split: kept[chosen] for split, chosen in rows.items()}
        for split, (own_numbers, own_targets) in own.items():
            numbers[split], targets[split] = own_numbers[:, 0], own_targets
            used[split] = np.arange(len(own_targets))
            notes += shared_rows(hashes[rows["train"]], self.digests[numbers[split]], split)
        notes += (*split_notes, *self._notes(len(numbers["train"])))
        for split in [each for each in numbers if each != "train"]:
            some = self._kept(len(numbers[split]))
            if len(some) < len(numbers[split]):
                share = f"{len(some):,} of {len(numbers[split]):,} {split} pictures"
                notes += (Note("stream", f"{share}, drawn at random, are evaluated."),)
            numbers[split], targets[split] = numbers[split][some], targets[split][some]
            used[split] = used[split][some]
        preparation = replace(self._preparation(numbers["train"]), classes=target.classes, target=raw.target)
        data = assemble(raw.name, target.task, numbers, targets, preparation, notes, used)
        splits = {split: self._split(split, rows) for split, rows in data.splits.items()}  # type: ignore[arg-type]
        return replace(data, **splits).with_source({"options": {"stream": True}}, "")

    def _kept(self, number: int) -> np.ndarray:
        """Return which examples of a held-out split are evaluated."""
        most = max(1, HELD_OUT_BYTES // int(np.prod(self.form.shape)))
        if number <= most:
            return np.arange(number)
        return np.sort(order(self.options.split_seed, 0, number)[:most])

    def _split(self, name: str, rows: Rows) -> StoredRows | Rows:
        """Return a split from the numbers of its pictures and its targets."""
        numbers, targets = np.asarray(rows.inputs), np.asarray(rows.targets)
        contents = [self.contents[number] for number in numbers]
        reader = PictureReader(contents, self.digests[numbers], targets, self.form, self.options.split_seed)
        if name != "train":
            return Rows(reader.pictures(np.arange(len(targets))), targets)
        most = min(EXAMPLES, max(1, EXAMPLE_BYTES // int(np.prod(self.form.shape))))
        spread = np.unique(np.linspace(0, len(targets) - 1, min(most, len(targets))).round().astype(int))
        whole = hashlib.sha256(reader.digests.tobytes() + targets.tobytes()).digest()
        facts = np.frombuffer(whole, np.uint32)
        return StoredRows.of(Rows(reader.pictures(spread), targets[spread]), reader, facts)

    def _preparation(self, train: np.ndarray) -> Preparation:
        """Return the preparation that is fitted to the training pictures, as if they were in memory."""
        looks = [self.looks[number] for number in train]
        sums = np.sum([each.sums for each in looks], axis=0)
        pixels = len(looks) * self.form.size[0] * self.form.size[1]
        shift, scale = shift_and_scale(sums, pixels, grey=len(self.form.mode) == 1)
        low, high = min(each.low for each in looks), max(each.high for each in looks)
        peaks = [each.high / high for each in looks if each.high]
        known = Range((float(low),), (float(high),), min(peaks, default=0.0))
        columns = ImageInputs(self.form.shape, byte=True, range=known, levels=self.form.levels)
        return Preparation(columns, input_shift=shift, input_scale=scale)

    def _notes(self, trained: int) -> tuple[Note, ...]:
        text = (
            f"decoded during training, and not kept: {counted(len(self.contents), 'pictures')}, {trained:,} "
            "of them for training, in an order drawn for each epoch."
        )
        if self.options.stream is None:
            text = f"The pictures do not fit in memory at once. They are {text}"
            return (guess("stream", text, stream=False),)
        return (Note("stream", f"The pictures are {text}"),)


@dataclass(frozen=True, eq=False)
class PictureReader:
    """Decodes training pictures in the order of an epoch, ahead of their use.

    Args:
        contents: Where each is.
        digests: Of each, from the scan.
        targets: Of each, encoded, `example ...`.
        form: What they become.
        seed: Selects the orders.
    """

    contents: Sequence[Path | Member]
    digests: np.ndarray
    targets: np.ndarray
    form: Form
    seed: int

    @property
    def count(self) -> int:
        """Training pictures."""
        return len(self.targets)

    def batches(self, size: int, start: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the batches of a size, from number `start` on, without end."""
        ahead = max(AHEAD, -(-AHEAD_PICTURES // size))
        waiting: deque[tuple[np.ndarray, list[Future[None]], np.ndarray]] = deque()
        threads = ThreadPoolExecutor(device.usable_cores())
        try:
            for rows in self._rows(size, start):
                waiting.append((*self._started(threads, rows), rows))
                if len(waiting) > ahead:
                    pixels, parts, chosen = waiting.popleft()
                    for part in parts:
                        part.result()
                    yield pixels, self.targets[chosen]
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    def pictures(self, rows: np.ndarray) -> np.ndarray:
        """Return pictures, uint8 `example height width [channel]`."""
        with ThreadPoolExecutor(device.usable_cores()) as threads:
            pixels, parts = self._started(threads, rows)
            for part in parts:
                part.result()
        return pixels

    def _rows(self, size: int, start: int) -> Iterator[np.ndarray]:
        """Yield the numbers of the pictures of each batch; one may reach from an epoch into the next."""
        epoch, drawn = -1, np.zeros(0, np.int32)
        for number in count(start):
            rows, at = np.empty(size, np.int64), 0
            while at < size:
                of, place = divmod(number * size + at, self.count)
                if of != epoch:
                    epoch, drawn = of, order(self.seed, of, self.count)
                taken = drawn[place : place + size - at]
                rows[at : at + len(taken)] = taken
                at += len(taken)
            yield rows

    def _started(
        self, threads: ThreadPoolExecutor, rows: np.ndarray
    ) -> tuple[np.ndarray, list[Future[None]]]:
        """Begin to decode pictures; return the array that they go into, and what has to be waited for."""
        pixels = np.empty((len(rows), *self.form.shape), np.uint8)
        borders = [*range(0, len(rows), PIECE), len(rows)]
        return pixels, [threads.submit(self._decode, pixels, rows, *pair) for pair in pairwise(borders)]

    def _decode(self, pixels: np.ndarray, rows: np.ndarray, start: int, stop: int) -> None:
        for at in range(start, stop):
            content = self.contents[rows[at]]
            try:
                pixels[at], _ = read_pixels(content, self.form)
            except Exception as error:  # decoders raise whatever their parser stumbles over
                path = content if isinstance(content, Path) else content.archive / content.name
                raise unreadable({path: reason(content, error)}, 1, skip_broken=True) from error
            if _digest(pixels[at]) != self.digests[rows[at]]:
                where = content if isinstance(content, Path) else f"{content.name} in {content.archive}"
                hint = "put the picture back, or start a new run"
                raise DataError("pictures", _CHANGED, got="another picture", where=where, hint=hint)
