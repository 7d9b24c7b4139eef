"""A HAR file as a browser that was watched: Chrome's DevTools and Playwright write what was sent into it.

archive (the file) ─► told (in the order of time) ─► Traffic ─► events
        └► bundles (scripts and their source maps) ─► which line opened it
"""

from wscheck.observe.har.events import HarContents, read

__all__ = ["HarContents", "read"]
