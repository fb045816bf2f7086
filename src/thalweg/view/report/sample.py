"""The report's sample of text: what a character model writes by itself."""

from thalweg.run.folder.record import Record
from thalweg.view.figure.html import Markup, element


def sample(record: Record) -> Markup | None:
    """Show the sample as it was written; None where there is none."""
    text = record.result.get("sample")
    if not isinstance(text, str) or not text.strip():
        return None
    about = "Written by the trained model, one character after another; the seed decides which."
    return element("div", element("p", about), element("pre", text, class_="sample"))
