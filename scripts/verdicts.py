"""Copy the verdicts of docs/lab/README.md into the package, for `audit`: `python scripts/verdicts.py`.

A test makes the same comparison, so the copy is never out of date.
"""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "docs" / "lab" / "README.md"
COPY = ROOT / "src" / "thalweg" / "lab" / "verdicts.json"
_ROW = re.compile(r"^\| \[(\w+)\]\(\w+\.md#\w+\) \| .* \| ((?:not )?reproduced[^|]*) \|$", re.MULTILINE)


def verdicts() -> dict[str, str]:
    """Return the verdicts of the book by experiment."""
    return dict(_ROW.findall(BOOK.read_text(encoding="utf-8")))


def main() -> None:
    """Write the copy."""
    COPY.write_text(json.dumps(verdicts(), indent=1) + "\n", encoding="utf-8")
    print(f"wrote {COPY}")


if __name__ == "__main__":
    main()
