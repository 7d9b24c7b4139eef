"""A page with a button. The argument is the port."""

import sys

from nicegui import ui

ui.button("greet", on_click=lambda: ui.notify("hello"))
ui.run(host="127.0.0.1", port=int(sys.argv[1]), show=False, reload=False)
