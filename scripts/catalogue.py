"""Write docs/catalogue.md from the code: `python scripts/catalogue.py`; with --check, only compare.

A test does the comparison too, so that the page cannot fall behind.
"""

import sys
from pathlib import Path

from thalweg.recipe.catalogue import markdown, rows

PAGE = Path(__file__).parents[1] / "docs" / "catalogue.md"


def main() -> int:
    """Write the page, or say whether it is as it should be."""
    wanted = markdown(rows())
    if "--check" in sys.argv[1:]:
        fresh = PAGE.exists() and PAGE.read_text(encoding="utf-8") == wanted
        print("docs/catalogue.md is", "as the code says" if fresh else "old: run python scripts/catalogue.py")
        return 0 if fresh else 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(wanted, encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
