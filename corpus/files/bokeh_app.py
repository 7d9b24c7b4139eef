"""A document with one figure."""

from bokeh.plotting import curdoc, figure

plot = figure()
plot.line([1, 2], [1, 2])
curdoc().add_root(plot)
