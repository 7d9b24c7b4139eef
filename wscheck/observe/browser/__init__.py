"""Events from a real browser, over the DevTools protocol.

launch -> devtools -> targets (tabs, frames, workers) -> network -> TrafficDemux -> events
                        |-> scripts, source_map -> opener (the line that opened a connection)
                        `-> handlers (the handlers of each event, and their positions)

target    DevTools term for a tab, frame or worker
session   in `DevTools session`: attachment of wscheck to one target; otherwise the Engine.IO session of a connection
opener    call site (file, line, component) that opened a connection
origin    opener of a connection, with its stack and its script
handler   function that the page registered for a Socket.IO event
rest      state of a page in which nothing has happened for a while: no request, no connection, no other document
"""

from wscheck.observe.browser.browser import Browser, BrowserObservation, attached, launched, run_steps
from wscheck.observe.browser.page import BrowserTab
from wscheck.observe.browser.storage import StorageState, apply_storage

__all__ = [
    "Browser",
    "BrowserObservation",
    "BrowserTab",
    "StorageState",
    "apply_storage",
    "attached",
    "launched",
    "run_steps",
]
