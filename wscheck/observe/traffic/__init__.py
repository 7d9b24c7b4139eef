"""What a browser sent and received, turned into events: sans-I/O, shared by the live browser and by HAR files.

requests and frames ─► Traffic (which session?) ─► Session (what was said?) ─► events
"""

from wscheck.observe.traffic.addresses import UrlFormatter
from wscheck.observe.traffic.demux import TrafficDemux
from wscheck.observe.traffic.engine_session import EngineSession
from wscheck.observe.traffic.identity import IdentityRule
from wscheck.observe.traffic.initiator import ConnectionOrigin, Initiator
from wscheck.observe.traffic.redaction import TrafficRedactor

__all__ = [
    "ConnectionOrigin",
    "EngineSession",
    "IdentityRule",
    "Initiator",
    "TrafficDemux",
    "TrafficRedactor",
    "UrlFormatter",
]
