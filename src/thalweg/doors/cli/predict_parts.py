"""`thalweg predict` for tables that do not fit in memory, or with `--stream`: part by part into the file."""

import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import polars as pl

from thalweg.core.errors import BadInput
from thalweg.core.lazy import pq
from thalweg.doors.answers import csv_text, frame_of
from thalweg.doors.cli.device import Options
from thalweg.doors.cli.json_output import print_json
from thalweg.doors.cli.outfile import write_out_by_parts
from thalweg.insight.wording import plural
from thalweg.problem.data.chunked.chunks import ChunkedTable
from thalweg.run.predicting import predict_parts
from thalweg.run.restore import Trained
from thalweg.view.terminal import say

WRITERS = (".csv", ".parquet")
# Notes on cells that are printed; further ones are counted.
MOST_NOTES = 10


def predict_by_parts(
    trained: Trained, table: ChunkedTable, options: Options, note: Callable[[str], None]
) -> None:
    """Predict, and write the predictions: the file is complete, or is not there.

    Raises:
        BadInput: The file of predictions is of a format that is written at once, or `--json` has none.
        DataError: The table cannot be used.
    """
    out: Path | None = options["out"]
    if out is not None and out.suffix not in WRITERS:
        hint = f"try {out.with_suffix('.parquet').name}"
        rule = f"must end in one of {', '.join(WRITERS)} where the table is read by parts"
        raise BadInput("--out", rule, got=str(out), hint=hint)
    if out is None and options["json"]:
        rule, hint = "cannot hold the predictions of a table that is read by parts", "name a file: --out FILE"
        raise BadInput("--json", rule, hint=hint)
    written = _Written(note)
    frames = written.frames(trained, table, options)
    if out is None:
        for content in _csv(frames, options["formulas"]):
            sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    else:
        pieces = _parquet(frames) if out.suffix == ".parquet" else _csv(frames, options["formulas"])
        write_out_by_parts(out, pieces, force=options["force"])
    written.say_rest(trained.preparation.target_names or (trained.preparation.target,), table)
    if options["json"]:
        facts = {"run": str(options["run"]), "rows": table.count, "columns": written.columns, "out": str(out)}
        print_json(facts | {"weights": trained.weights, "parts": len(table.chunks)})
    elif out is not None:
        say(f"{table.count} predictions written to {out} ({trained.weights} weights)")


class _Written:
    """What was written so far.

    Attributes:
        columns: Of the predictions.
    """

    def __init__(self, note: Callable[[str], None]):
        self.columns: list[str] = []
        self._note, self._notes, self._labelled = note, 0, False

    def frames(self, trained: Trained, table: ChunkedTable, options: Options) -> Iterator[pl.DataFrame]:
        for part in predict_parts(trained, table, options["keep"] or ()):
            for text in part.notes:
                self._notes += 1
                if self._notes <= MOST_NOTES:
                    self._note(text)
            frame = part.rows.hstack(frame_of(part.answers, trained.preparation.target_names))
            self.columns = frame.columns
            yield frame

    def say_rest(self, targets: tuple[str, ...], table: ChunkedTable) -> None:
        for each in table.notes:
            self._note(each.text)
        if self._notes > MOST_NOTES:
            self._note(f"{plural(self._notes - MOST_NOTES, 'further note')} like these.")
        held = [repr(target) for target in targets if target in table.rows(0).columns]
        if held:
            self._note(f"the data hold {', '.join(held)}; a table that is read by parts is not scored.")


def _csv(frames: Iterator[pl.DataFrame], formulas: bool) -> Iterator[bytes]:
    for number, frame in enumerate(frames):
        yield csv_text(frame, formulas, header=number == 0).encode()


def _parquet(frames: Iterator[pl.DataFrame]) -> Iterator[bytes]:
    """Yield the bytes of a Parquet file, a row group for each part."""
    sink, writer = _Sink(), None
    for frame in frames:
        table = frame.to_arrow()
        if writer is None:
            writer = pq.ParquetWriter(sink, table.schema, compression="zstd")
        writer.write(table.cast(writer.schema))
        yield sink.taken()
    if writer is not None:
        writer.close()
    yield sink.taken()


class _Sink(BytesIO):
    """Memory that a writer appends to, and that is emptied on the way."""

    def __init__(self) -> None:
        super().__init__()
        self._before = 0

    def tell(self) -> int:
        """Return the position in the whole file."""
        return self._before + super().tell()

    def taken(self) -> bytes:
        """Return what was written since the last call."""
        content = self.getvalue()
        self._before += len(content)
        self.seek(0)
        self.truncate()
        return content

    def close(self) -> None:
        """Stay open: the writer closes what it wrote to before its last bytes are taken."""
