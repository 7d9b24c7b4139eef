"""WHAT WAS SEEN: the small vocabulary that every vantage point speaks.

An event is frozen and carries its own time, so that nothing downstream reads a clock. Its wire form is one JSON
object whose `type` is the class name in lower case; fields that are unknown are absent (schema `wscheck.events/1`,
docs/recording.md). No event holds a payload or a credential: payloads are reduced to a keyed digest by the source.
"""

from typing import Any

import msgspec

RECORDING_SCHEMA = "wscheck.events/1"
"""The schema of a recording, named in its first line."""

# The sources of events: the values of `Event.source`.
SOURCE_CLIENT = "client"
SOURCE_SERVER_LOG = "server-log"
SOURCE_BROWSER = "browser"
SOURCE_HAR = "har"
SOURCE_SCENARIO = "scenario"
SOURCE_HEARTBEAT = "heartbeat"
SOURCE_WSCHECK = "wscheck"


class RecordingHeader(msgspec.Struct, kw_only=True):
    """A recording's first line: what was recorded, by which wscheck, of what.

    options  how the run was asked to judge, without credentials; a replay judges by them
    events   how many events follow, so that a truncated file is noticed; None where the writer could not know
    """

    schema: str
    wscheck: str
    target: str = ""
    client: str = ""
    started_at: float | None = None
    interrupted: bool = False
    events: int | None = None
    options: dict[str, Any] = msgspec.field(default_factory=dict)


class CodeLocation(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A code location. `line` and `column` count from 1; 0 means unknown. `file` is as the source map names it."""

    file: str
    line: int = 0
    column: int = 0
    function: str = ""

    def __str__(self) -> str:
        return ":".join([self.file, *(str(n) for n in (self.line, self.column) if n)])


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="type", tag=str.lower):
    """What every event has.

    at      seconds since the Unix epoch, None where the source had no clock (a log line without a timestamp)
    source  what observed it, one of the `SOURCE_` constants; events of a file also have `path` and `line`
    user    whoever the connection authenticates as, None where the evidence does not say
    node    the server process that saw it, where several report
    path, line  the evidence's own place: the log file and the 1-based line of its marker
    """

    at: float | None = None
    source: str = ""
    user: str | None = None
    node: str | None = None
    path: str | None = None
    line: int | None = None


class ConnectionEvent(Event, frozen=True, kw_only=True):
    """What every event about one connection may have.

    sid        Socket.IO socket id, one per namespace
    eio        Engine.IO session id: the connection itself, shared by its namespaces
    namespace  "/" unless said otherwise
    transport  "websocket" or "polling"
    page       the tab, worker or client process that holds the connection
    component  the part of the application that opened it or handled the event
    opener     the code location that called io(): the first frame of `stack` outside libraries
    """

    sid: str | None = None
    eio: str | None = None
    namespace: str | None = None
    transport: str | None = None
    page: str | None = None
    component: str | None = None
    opener: CodeLocation | None = None
    stack: tuple[CodeLocation, ...] = ()


class Connecting(ConnectionEvent, frozen=True, kw_only=True):
    """A connection attempt began.

    credential  "own", "foreign" (another user's token) or "invalid": what the client presented
    fingerprint keyed hash of the token (per run), so that "the token changed" stays detectable
    """

    url: str | None = None
    credential: str | None = None
    fingerprint: str | None = None


class AttemptOutcome(ConnectionEvent, frozen=True, kw_only=True):
    """What the answer to an attempt may have. `credential` and `fingerprint` as in Connecting.

    url     the endpoint it was opened with, each value of its query as a short digest
    target  what holds it, as a browser names it: "page http://...", "shared_worker http://..."
    script  the script that the opener ran from; client: the one that the client library's own frames came from
    """

    credential: str | None = None
    fingerprint: str | None = None
    url: str | None = None
    target: str | None = None
    script: str | None = None
    client: str | None = None


class Connected(AttemptOutcome, frozen=True, kw_only=True):
    """The namespace's CONNECT was acknowledged: the user now holds `sid`."""


class Refused(AttemptOutcome, frozen=True, kw_only=True):
    """An attempt ended without a connection. `reason`: "refused", "timeout", "unreachable", "protocol"."""

    reason: str | None = None
    message: str | None = None


class Upgraded(ConnectionEvent, frozen=True, kw_only=True):
    """The connection moved to `transport`; it is still the same connection."""


class Replaced(Event, frozen=True, kw_only=True):
    """The server said that it closed `old_sid` in favour of `new_sid`."""

    old_sid: str | None = None
    new_sid: str | None = None


class Disconnected(ConnectionEvent, frozen=True, kw_only=True):
    """`reason` as Socket.IO spells it ("io server disconnect", "transport close", ...), from the seer's side."""

    reason: str | None = None


class Delivered(ConnectionEvent, frozen=True, kw_only=True):
    """An application event arrived on a connection.

    digest  keyed hash of the payload; equal digests mean equal payloads within one run
    about   the user the payload names, where the contract says where to look
    """

    name: str = ""
    digest: str | None = None
    about: str | None = None


class Handled(ConnectionEvent, frozen=True, kw_only=True):
    """A component's handler ran for an application event (`digest` as in Delivered)."""

    name: str = ""
    digest: str | None = None


class Emitted(ConnectionEvent, frozen=True, kw_only=True):
    """The client sent an application event."""

    name: str = ""


class Mounted(ConnectionEvent, frozen=True, kw_only=True):
    """A component began to use a connection."""


class Unmounted(ConnectionEvent, frozen=True, kw_only=True):
    """A component stopped using a connection; after the last one, none may stay open."""


class HeartbeatStopped(ConnectionEvent, frozen=True, kw_only=True, tag="silenced"):
    """The client stopped answering pings; the server must close the connection within `within` seconds."""

    within: float = 0.0


class HandlersRegistered(ConnectionEvent, frozen=True, kw_only=True, tag="registered"):
    """How many handlers `name` has on one connection, and where each is defined.

    inside  the event whose handler registers them, where that shows ("connect")
    lost    handlers that went because somebody called off(event) without saying which
    """

    name: str = ""
    handlers: tuple[CodeLocation, ...] = ()
    inside: str | None = None
    lost: tuple[CodeLocation, ...] = ()


class Expected(ConnectionEvent, frozen=True, kw_only=True):
    """What a scenario says must follow within `within` seconds.

    what      "delivered" (event `name`), "handled" (event `name` by `component`), "connected", "refused",
              "disconnected", "upgraded"
    required  False makes its absence a note rather than an error
    assumed   nobody said that this server knows the event: it stands in the documented contract, and there is no other
    """

    what: str = ""
    name: str | None = None
    within: float = 0.0
    required: bool = True
    assumed: bool = False


class Unreadable(Event, frozen=True, kw_only=True):
    """Looked like an event and could not be read. Without a `line` it is about a log as a whole.

    text         a redacted excerpt of at most 200 characters
    closes_with  the options that read it, where they are known
    """

    reason: str = ""
    text: str = ""
    closes_with: str = ""


class ServerRestarted(Event, frozen=True, kw_only=True, tag="restarted"):
    """The server process began anew: sockets it held before are gone whether or not it said so."""


class SourceStarted(Event, frozen=True, kw_only=True, tag="watching"):
    """A further source began to watch; from here on its silence is evidence."""


class ProcessStalled(Event, frozen=True, kw_only=True, tag="lagged"):
    """Our own process stalled for `seconds`: what the server did meanwhile may be our doing."""

    seconds: float = 0.0


class PhaseStarted(Event, frozen=True, kw_only=True, tag="began"):
    """A scenario's phase began. `phase`: "subject" (the client under test) or "control" (the documented fault)."""

    scenario: str = ""
    phase: str = "subject"


class NotEvaluated(Event, frozen=True, kw_only=True, tag="unjudged"):
    """Something could not be judged. `skipped` when it was not tried at all."""

    reason: str = ""
    skipped: bool = False


class PhaseEnded(Event, frozen=True, kw_only=True, tag="ended"):
    """A scenario's phase ended; without a scenario, what was watched did: until then only what was told happened."""

    scenario: str = ""
    phase: str = "subject"


AnyEvent = (
    Connecting
    | Connected
    | Refused
    | Upgraded
    | Replaced
    | Disconnected
    | Delivered
    | Handled
    | Emitted
    | Mounted
    | Unmounted
    | HeartbeatStopped
    | HandlersRegistered
    | Expected
    | Unreadable
    | ServerRestarted
    | SourceStarted
    | ProcessStalled
    | PhaseStarted
    | NotEvaluated
    | PhaseEnded
)
"""Every event type, as one tagged union: what a recording's lines decode to."""
