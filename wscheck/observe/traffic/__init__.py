"""Events from the requests and websocket frames of a browser, without I/O; for a live browser and for HAR files.

requests and frames -> TrafficDemux (finds the connection) -> TrafficSession -> events
                                                                 |
                                            protocols.ConnectionReader (reads the data)
"""

from wscheck.observe.traffic.demux import TrafficDemux
from wscheck.observe.traffic.identity import IdentityRule
from wscheck.observe.traffic.redaction import TrafficRedactor, UrlFormatter
from wscheck.observe.traffic.session import ConnectionOrigin, Initiator, TrafficSession

__all__ = [
    "ConnectionOrigin",
    "IdentityRule",
    "Initiator",
    "TrafficDemux",
    "TrafficRedactor",
    "TrafficSession",
    "UrlFormatter",
]
