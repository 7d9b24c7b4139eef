"""What a browser sent and received, turned into events: sans-I/O, shared by the live browser and by HAR files.

requests and frames ─► Traffic (which session?) ─► Session (what was said?) ─► events
"""

from wscheck.observe.traffic.addresses import Addresses
from wscheck.observe.traffic.demux import Traffic
from wscheck.observe.traffic.engine_session import Session
from wscheck.observe.traffic.identity import Identity
from wscheck.observe.traffic.initiator import Origin, Whence
from wscheck.observe.traffic.pseudonyms import Hiding

__all__ = ["Addresses", "Hiding", "Identity", "Origin", "Session", "Traffic", "Whence"]
