"""Figures of `wscheck scan`: the places in the source code that open connections."""

from wscheck.model.code_facts import Api, CallContext, Cleanup, OpeningCall
from wscheck.model.report import ScanReport
from wscheck.report.formatting import plural

PLACES_SHOWN = 30
PLACE_COLUMNS = ("place", "opens", "in", "closed")

_API_NAMES = {
    Api.SOCKET_IO: "Socket.IO",
    Api.WEBSOCKET: "WebSocket",
    Api.EVENT_SOURCE: "EventSource",
    Api.PUSHER: "Pusher",
    Api.ECHO: "Laravel Echo",
    Api.MQTT: "MQTT",
    Api.STOMP: "STOMP",
    Api.SIGNALR: "SignalR",
    Api.PHOENIX: "Phoenix",
    Api.GRAPHQL: "GraphQL",
    Api.ACTION_CABLE: "Action Cable",
    Api.CENTRIFUGE: "Centrifuge",
    Api.SUPABASE: "Supabase",
}
_CONTEXT_NAMES = {
    CallContext.MODULE: "module, once",
    CallContext.RENDER: "render",
    CallContext.STATE_INITIALISER: "state initialiser",
    CallContext.MEMO: "memo",
    CallContext.SETUP: "set-up of each instance",
    CallContext.EFFECT: "effect",
    CallContext.CONSTRUCTOR: "constructor",
    CallContext.EVENT_HANDLER: "event handler",
    CallContext.DISCONNECT_HANDLER: "disconnect handler",
    CallContext.FUNCTION: "function",
}
_CLEANUP_NAMES = {Cleanup.CLOSES: "by the cleanup", Cleanup.MISSING: "never", Cleanup.UNKNOWN: ""}


def opening_call_rows(report: ScanReport) -> list[tuple[str, str, str, str]]:
    """Return one row per opening call: its place, what it opens, its context, and what closes the connection."""
    return [
        (str(call.location), f"{_API_NAMES[call.api]} {call.url}".strip(), _context(call), _CLEANUP_NAMES[call.cleanup])
        for call in report.openings
    ]


def _context(call: OpeningCall) -> str:
    owner = f" of {call.owner}" if call.owner else ""
    through = f", through {', '.join(call.via)}" if call.via else ""
    guard = ", only if none is open" if call.guarded else ""
    return f"{_CONTEXT_NAMES[call.context]}{owner}{through}{guard}"


def scan_facts(report: ScanReport) -> list[str]:
    """Return sentences: the number of files that were read, then each gap that does not prevent a verdict."""
    places = len(report.openings)
    verb = "opens" if places == 1 else "open"
    read = f"read {plural(report.files, 'source file')}: {plural(places, 'place')} {verb} connections"
    return [
        read,
        *(f"{gap.reason}{f': {gap.closes_with}' if gap.closes_with else ''}" for gap in report.gaps if not gap.blocks),
    ]
