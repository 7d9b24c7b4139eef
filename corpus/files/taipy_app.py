"""A page with a slider."""

import sys

from taipy.gui import Gui

count = 3
Gui(page="<|{count}|slider|>").run(host="127.0.0.1", port=int(sys.argv[1]), run_browser=False, use_reloader=False)
