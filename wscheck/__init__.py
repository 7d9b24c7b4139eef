"""Find duplicate, leaked and churning real-time connections (Socket.IO first).

    scenarios, logs, browser, HAR files -> events -> ledger -> rules -> findings -> verdict -> report

See docs/architecture.md for the packages and the direction of imports.
"""

__version__ = "0.1.0"
