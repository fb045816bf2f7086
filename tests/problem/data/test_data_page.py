"""docs/data.md says what the reader does."""

import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "scripts" / "data_page.py"


def test_the_page_is_what_the_code_makes():
    spec = importlib.util.spec_from_file_location("data_page", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = module.PAGE.read_text(encoding="utf-8")
    assert module.page(text) == text, "out of date: run python scripts/data_page.py"
    assert "| numbers that may be names | `3,7`<br>`4,9`<br>`5,2` | refused |" in text
