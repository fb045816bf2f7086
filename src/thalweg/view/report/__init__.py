"""The report: one HTML file that shows a run, whole in itself.

No outside references: no fonts, scripts or pictures from elsewhere. The plots are SVG and a little script of
our own and not Bokeh: its inline bundle alone weighs several megabytes and its canvas does not follow the
reader's light or dark setting, while a whole report here stays in the hundreds of kilobytes, needs no script
to be read (that only serves the pointer), prints, and keeps its type size on a phone.
"""

from thalweg.view.report.page import render

__all__ = ["render"]
