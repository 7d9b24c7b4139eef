"""Report as one self-contained HTML file: verdict, findings, and a timeline with a lane per connection.

lanes.py     events to connections with their start and end
timeline.py  connections to positions in a drawing of bounded size
charts.py    load runs and comparisons over time
page.py      report to template variables
templates/   texts, markup and style; all values are escaped there
"""
