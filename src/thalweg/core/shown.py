"""`Shown`: an object that a notebook draws, though the drawing is made on a higher floor.

A run, a sweep, a finding or a plan says only that it can be drawn. `view.notebook` registers how, by class,
so that imports keep running downward. Where it was never loaded, a notebook shows the plain `repr`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple


class Form(NamedTuple):
    """How a class is drawn.

    Args:
        html: Returns an object's whole form in a notebook: headline, curves, table.
        plot: Returns its figure alone.
    """

    html: Callable[[Any], str]
    plot: Callable[[Any], Any]


FORMS: dict[type, Form] = {}


class Shown:
    """Base of the classes that notebooks draw."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        form = FORMS.get(type(self))
        return None if form is None else form.html(self)

    def plot(self) -> Any:
        """Return the figure alone: a notebook shows it, and `save("figure.html")` writes it.

        Raises:
            NotImplementedError: The drawings are not loaded; `thalweg.train` and its like load them.
        """
        form = FORMS.get(type(self))
        if form is None:
            raise NotImplementedError("the drawings are loaded by thalweg.train and its like")
        return form.plot(self)
