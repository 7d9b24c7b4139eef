"""WHO SAW IT: a real browser, looked into over the DevTools protocol.

launch ─► wire ─► targets (tabs, frames, workers) ─► network ─► Traffic ─► events
                     └► scripts, source maps ─► whence (which line opened it)
                     └► handlers (how many each event has, and where)
"""

from wscheck.observe.browser.browser import Browser, BrowserObservation, attached, launched
from wscheck.observe.browser.page import BrowserTab
from wscheck.observe.browser.steps import run_steps
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
