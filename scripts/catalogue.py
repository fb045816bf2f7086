"""Write docs/catalogue.md from the code: `python scripts/catalogue.py`; with --check, compare only.

A test makes the same comparison, so the page is never out of date.
"""

import sys
from pathlib import Path

from thalweg.doors.cli.browse import KINDS
from thalweg.recipe.catalogue import markdown, rows

PAGE = Path(__file__).parents[1] / "docs" / "catalogue.md"


def main() -> int:
    """Write the page, or check that it is up to date."""
    page = markdown([*rows(), *KINDS["losses"](), *KINDS["metrics"]()])
    if "--check" in sys.argv[1:]:
        fresh = PAGE.exists() and PAGE.read_text(encoding="utf-8") == page
        print(
            "docs/catalogue.md is", "up to date" if fresh else "out of date: run python scripts/catalogue.py"
        )
        return 0 if fresh else 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page, encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
