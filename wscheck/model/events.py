"""Events: the observations that every source reports.

An event is frozen and has its own time, so that evaluation needs no clock. Its JSON form is one object whose `type` is
the event's tag; unknown fields are absent (schema `wscheck.events/1`, docs/recording.md). No event contains a payload
or a credential: the source reduces payloads to a keyed digest.
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
    """First line of a recording.

    wscheck  version of wscheck that wrote it
    options  the options of the evaluation, without credentials; a replay uses them
    events   number of events that follow, so that a truncated file is noticed; None if it was unknown
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
    """A location in code. `line` and `column` count from 1; 0 means unknown. `file` is as the source map names it."""

    file: str
    line: int = 0
    column: int = 0
    function: str = ""

    def __str__(self) -> str:
        return ":".join([self.file, *(str(n) for n in (self.line, self.column) if n)])


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="type", tag=str.lower):
    """Base class of events.

    at      seconds since the Unix epoch, None where the source had no clock (a log line without a timestamp)
    source  what observed it, one of the `SOURCE_` constants; events of a file also have `path` and `line`
    user    the user as whom the connection authenticates, None if unknown
    node    the server process that reported it, if several report
    path, line  where the evidence is: the log file, and the 1-based line of its marker
    """

    at: float | None = None
    source: str = ""
    user: str | None = None
    node: str | None = None
    path: str | None = None
    line: int | None = None


class ConnectionEvent(Event, frozen=True, kw_only=True):
    """Base class of events about one connection.

    sid        Socket.IO socket id, one per namespace
    eio        Engine.IO session id: the connection itself, shared by its namespaces
    namespace  the Socket.IO namespace, None if unknown
    transport  "websocket" or "polling"
    page       the tab, worker or client process that has the connection
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
    """A connection attempt started.

    credential   kind of token that the client sent: "own", "foreign" (another user's) or "invalid"
    fingerprint  keyed hash of the token (per run), so that a changed token is detectable
    """

    url: str | None = None
    credential: str | None = None
    fingerprint: str | None = None


class AttemptOutcome(ConnectionEvent, frozen=True, kw_only=True):
    """Base class of the outcomes of a connection attempt. `credential` and `fingerprint` are as in Connecting.

    url     URL of the attempt, with each query value as a short digest
    target  the page or worker, as the browser names it: "page http://...", "shared_worker http://..."
    script  URL of the script that contains the opener
    client  URL of the script that contains the client library's frames
    """

    credential: str | None = None
    fingerprint: str | None = None
    url: str | None = None
    target: str | None = None
    script: str | None = None
    client: str | None = None


class Connected(AttemptOutcome, frozen=True, kw_only=True):
    """The server acknowledged the namespace's CONNECT: the user now has the connection `sid`."""


class Refused(AttemptOutcome, frozen=True, kw_only=True):
    """An attempt ended without a connection. `reason`: "refused", "timeout", "unreachable", "protocol"."""

    reason: str | None = None
    message: str | None = None


class Upgraded(ConnectionEvent, frozen=True, kw_only=True):
    """The connection was upgraded to `transport`. It is still the same connection."""


class Replaced(Event, frozen=True, kw_only=True):
    """The server stated that it closed `old_sid` in favour of `new_sid`."""

    old_sid: str | None = None
    new_sid: str | None = None


class Disconnected(ConnectionEvent, frozen=True, kw_only=True):
    """A connection ended. `reason` is as the observing side spells it (`wscheck.model.disconnect_reasons`)."""

    reason: str | None = None


class Delivered(ConnectionEvent, frozen=True, kw_only=True):
    """An application event arrived on a connection.

    digest  keyed hash of the payload; equal digests mean equal payloads within one run
    about   the user that the payload names, if the contract names the field
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
    """A component started to use a connection."""


class Unmounted(ConnectionEvent, frozen=True, kw_only=True):
    """A component stopped using a connection. After the last one, the connection must close."""


class HeartbeatStopped(ConnectionEvent, frozen=True, kw_only=True, tag="silenced"):
    """The client stopped answering pings; the server must close the connection within `within` seconds."""

    within: float = 0.0


class HandlersRegistered(ConnectionEvent, frozen=True, kw_only=True, tag="registered"):
    """The handlers of an event on one connection changed; `handlers` are the code locations of all.

    inside  the event whose handler registers them, if known ("connect")
    lost    handlers that a call of off(event) without a handler removed
    """

    name: str = ""
    handlers: tuple[CodeLocation, ...] = ()
    inside: str | None = None
    lost: tuple[CodeLocation, ...] = ()


class Expected(ConnectionEvent, frozen=True, kw_only=True):
    """An expectation of a scenario, to be met within `within` seconds.

    what      "delivered" (event `name`), "handled" (event `name` by `component`), "connected", "refused",
              "disconnected", "upgraded"
    required  its absence is an error; False makes it a note
    assumed   the event is from the documented contract because no contract was configured: the server may not know it
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
    """The server process started again: its earlier connections have ended, whether or not it reported that."""


class SourceStarted(Event, frozen=True, kw_only=True, tag="watching"):
    """A further source started to observe. From here on, the absence of its events is evidence."""


class ProcessStalled(Event, frozen=True, kw_only=True, tag="lagged"):
    """wscheck's own process stalled for `seconds`: it may have caused what the server did meanwhile."""

    seconds: float = 0.0


class PhaseStarted(Event, frozen=True, kw_only=True, tag="began"):
    """A phase of a scenario started: "subject" (the client under test) or "control" (the documented fault)."""

    scenario: str = ""
    phase: str = "subject"


class NotEvaluated(Event, frozen=True, kw_only=True, tag="unjudged"):
    """Something could not be evaluated. `skipped` means that it was not tried."""

    reason: str = ""
    skipped: bool = False


class PhaseEnded(Event, frozen=True, kw_only=True, tag="ended"):
    """A phase of a scenario ended; without a scenario, the observation did. The evidence is complete until then."""

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
"""Every event type, as one tagged union. Each line of a recording decodes to it."""
