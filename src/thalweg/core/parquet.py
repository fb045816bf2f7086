"""Parquet files as Arrow tables, within a limit of memory.

A few bytes of a Parquet file can stand for any number of equal values, so that neither its size nor the sizes
in its header bound what it takes. It is decoded in batches of rows, and their bytes are counted on the way.

Arrow's reader is used rather than Polars': on a damaged file, Polars' once ended the process (it asked for
2 EB).
"""

from __future__ import annotations

import io

import pyarrow as pa

from thalweg.core.lazy import pq
from thalweg.core.limits import as_bytes

# Rows of a batch, at most and at least.
MOST_ROWS, FEWEST_ROWS = 1 << 16, 64


class TooMuch(ValueError):
    """The table takes more memory than it may."""


def read_parquet(content: bytes, most: int) -> pa.Table:
    """Return the table in the content of a Parquet file.

    Args:
        content: The bytes of the file.
        most: The most bytes that it may take in memory.

    Raises:
        TooMuch: It takes more.
        ValueError: It is damaged, or no Parquet file.
    """
    try:
        file, left, batches = pq.ParquetFile(io.BytesIO(content)), most, []
        rows = _batch_rows(file.metadata, most)
        for batch in file.iter_batches(batch_size=rows):
            left -= batch.nbytes
            if left < 0:
                raise TooMuch(f"more than {as_bytes(most)}")
            batch.validate(full=True)
            batches.append(batch)
        return pa.Table.from_batches(batches, schema=file.schema_arrow)
    except TooMuch:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError, KeyError) as error:
        raise ValueError((str(error).splitlines() or [type(error).__name__])[0]) from error


def _batch_rows(metadata: pq.FileMetaData, most: int) -> int:
    """Return so many rows that a batch of them does not take more than it may, as far as the header tells.

    Raises:
        TooMuch: The header tells that the table takes more.
    """
    groups = [metadata.row_group(at) for at in range(metadata.num_row_groups)]
    chunks = [group.column(at) for group in groups for at in range(group.num_columns)]
    sizes = [max(0, chunk.total_uncompressed_size) for chunk in chunks]
    # A row takes at least a bit in each column.
    least = max(sum(sizes), metadata.num_rows * metadata.num_columns // 8)
    if least > most:
        raise TooMuch(as_bytes(least))
    # A text of a dictionary may stand in every row.
    longest = max(
        (size for chunk, size in zip(chunks, sizes, strict=True) if _repeats_text(chunk)), default=1
    )
    rows = min(most // (16 * max(1, metadata.num_columns)), most // max(1, longest))
    return max(FEWEST_ROWS, min(MOST_ROWS, rows))


def _repeats_text(chunk: pq.ColumnChunkMetaData) -> bool:
    is_text = chunk.physical_type in ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")
    return is_text and any("DICTIONARY" in encoding for encoding in chunk.encodings)
