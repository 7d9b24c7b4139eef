"""WHO SAW IT: a real browser, looked into over the DevTools protocol.

launch ─► wire ─► targets (tabs, frames, workers) ─► network ─► Traffic ─► events
                     └► scripts, source maps ─► whence (which line opened it)
                     └► handlers (how many each event has, and where)
"""

from wscheck.sources.browser.browser import SOURCE, Browser, Seen, attached, launched
from wscheck.sources.browser.page import Page
from wscheck.sources.browser.storage import StorageState, give
from wscheck.sources.browser.walking import walk

__all__ = ["SOURCE", "Browser", "Page", "Seen", "StorageState", "attached", "give", "launched", "walk"]
