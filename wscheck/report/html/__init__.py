"""Report as one self-contained HTML file: verdict, findings, and a timeline with a lane per connection.

lanes.py     computes the connections with their start and end from the events
timeline.py  computes the positions of the connections in a drawing of limited size
charts.py    computes the charts of load runs, comparisons and loops
page.py      computes the variables of the templates
templates/   texts, markup and style; the templates escape all values
"""
