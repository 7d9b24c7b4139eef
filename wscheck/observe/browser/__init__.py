"""WHO SAW IT: a real browser, looked into over the DevTools protocol.

launch ─► wire ─► targets (tabs, frames, workers) ─► network ─► Traffic ─► events
                     └► scripts, source maps ─► whence (which line opened it)
                     └► handlers (how many each event has, and where)
"""

from wscheck.observe.browser.browser import Browser, Seen, attached, launched
from wscheck.observe.browser.page import Page
from wscheck.observe.browser.steps import walk
from wscheck.observe.browser.storage import StorageState, give

__all__ = ["Browser", "Page", "Seen", "StorageState", "attached", "give", "launched", "walk"]
