"""What a browser sent and received, turned into events: sans-I/O, shared by the live browser and by HAR files.

requests and frames ─► Traffic (which session?) ─► Session (what was said?) ─► events
"""

from wscheck.sources.traffic.addresses import Addresses
from wscheck.sources.traffic.exchange import Traffic
from wscheck.sources.traffic.hiding import Hiding
from wscheck.sources.traffic.identity import Identity
from wscheck.sources.traffic.origin import Origin, Whence
from wscheck.sources.traffic.session import Session

__all__ = ["Addresses", "Hiding", "Identity", "Origin", "Session", "Traffic", "Whence"]
