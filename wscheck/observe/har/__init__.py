"""Events from HAR files that Chrome's DevTools or Playwright wrote.

har_file (typed entries) -> events (steps in the order of time) -> TrafficDemux -> events
        `-> scripts and source maps -> the line that opened a connection
"""

from wscheck.observe.har.events import PROGRESS_EVERY, HarContents, read_har_files

__all__ = ["PROGRESS_EVERY", "HarContents", "read_har_files"]
