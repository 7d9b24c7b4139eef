"""Events from the requests and websocket frames of a browser, without I/O; for a live browser and for HAR files.

requests and frames -> TrafficDemux (finds the Engine.IO session) -> EngineSession (decodes its packets) -> events
"""

from wscheck.observe.traffic.demux import TrafficDemux
from wscheck.observe.traffic.engine_session import ConnectionOrigin, EngineSession, Initiator
from wscheck.observe.traffic.identity import IdentityRule
from wscheck.observe.traffic.redaction import TrafficRedactor, UrlFormatter

__all__ = [
    "ConnectionOrigin",
    "EngineSession",
    "IdentityRule",
    "Initiator",
    "TrafficDemux",
    "TrafficRedactor",
    "UrlFormatter",
]
