"""The run as one self-contained HTML file: verdict, findings, and a timeline with a lane for each connection.

lanes.py     events -> who held which connection when (pure)
timeline.py  lanes -> positions of a drawing, bounded
page.py      report -> what the templates are given
templates/   the words and the style; everything from outside is escaped there
"""

from wscheck.report.html.page import render

__all__ = ["render"]
