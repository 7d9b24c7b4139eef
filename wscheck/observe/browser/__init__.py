"""Events from a real browser, over the DevTools protocol.

launch -> devtools -> targets (tabs, frames, workers) -> network -> TrafficDemux -> events
                        |-> scripts, source_map -> opener (the line that opened a connection)
                        `-> handlers (the handlers of each event, and their positions)
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
