"""What `--json` prints. Apart from `output`, which loads everything that is drawn."""

import dataclasses
import json
import sys
from typing import Any

from thalweg.core.escape import printable_json
from thalweg.run.folder.filesystem import plain


def print_json(value: Any) -> None:
    """Print one JSON object on one line; NaN and infinities become null."""
    value = dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value  # type: ignore[arg-type]
    sys.stdout.write(printable_json(json.dumps(plain(value), ensure_ascii=False, allow_nan=False)) + "\n")
