"""Events: the observations that all sources report.

An event is immutable and contains its own time, so evaluation needs no clock. In JSON, an event is an object whose
`type` is the tag of the event; a field without a known value is omitted (schema `wscheck.events/1`, docs/recording.md).
No event contains a payload or a credential: sources replace each payload with a keyed hash.
"""

from typing import Any

import msgspec

from wscheck.model.code_facts import CodeLocation as CodeLocation  # noqa: PLC0414  # a part of every event
from wscheck.model.code_facts import OpenerCode

RECORDING_SCHEMA = "wscheck.events/1"
"""The schema of a recording, named in its first line."""

# The sources of events: the values of `Event.source`.
SOURCE_CLIENT = "client"
SOURCE_SERVER_LOG = "server-log"
EMBEDDED_BACKEND = "embedded backend"
"""Name of the embedded backend, as the target of a run and as the file of its log, which is no file."""

SOURCE_BROWSER = "browser"
SOURCE_HAR = "har"
SOURCE_SCENARIO = "scenario"
SOURCE_HEARTBEAT = "heartbeat"
SOURCE_WSCHECK = "wscheck"


class RecordingHeader(msgspec.Struct, kw_only=True):
    """First line of a recording.

    wscheck  version of wscheck that wrote the recording
    options  options of the evaluation, without credentials; a replay uses the same options
    events   number of events that follow, so that a truncated file is detected; None if unknown
    """

    schema: str
    wscheck: str
    target: str = ""
    client: str = ""
    started_at: float | None = None
    interrupted: bool = False
    events: int | None = None
    options: dict[str, Any] = msgspec.field(default_factory=dict)


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="type", tag=str.lower):
    """Base class of events.

    at          seconds since the Unix epoch, None where the source has no time (a log line without a timestamp)
    source      observer that reported the event, one of the `SOURCE_` constants
    user        the user as whom the connection authenticates, None if unknown
    node        the server process that logged the event, if the log names the process
    path, line  log file and 1-based line that contain the evidence
    resolution  seconds by which the event may have been later than `at`: 1 if the log prints whole seconds
    """

    at: float | None = None
    source: str = ""
    user: str | None = None
    node: str | None = None
    path: str | None = None
    line: int | None = None
    resolution: float = 0.0


class ConnectionEvent(Event, frozen=True, kw_only=True):
    """Base class of events about one connection.

    sid        Socket.IO socket id, one per namespace; for other protocols, the number of the connection in the run
    eio        Engine.IO session id, which all namespaces of the connection share; otherwise like `sid`
    namespace  the Socket.IO namespace, None if unknown
    transport  "websocket", "polling" or "event-stream"
    protocol   id of the protocol (docs/protocols.md), None for Socket.IO
    page       the tab, worker or client process that has the connection
    document   number of the document within the run; each load of a page, and each worker, has its own
    component  the part of the application that opened the connection or handled the event
    opener     call site of io(): the first frame of `stack` that is not in a library
    """

    sid: str | None = None
    eio: str | None = None
    namespace: str | None = None
    transport: str | None = None
    protocol: str | None = None
    page: str | None = None
    document: int | None = None
    component: str | None = None
    opener: CodeLocation | None = None
    stack: tuple[CodeLocation, ...] = ()


class Connecting(ConnectionEvent, frozen=True, kw_only=True):
    """A connection attempt started.

    credential   kind of token that the client sent: "own", "foreign" (another user's), "invalid", "absent", "empty",
                 "altered" (with a wrong signature), "unsigned" or "expired"
    fingerprint  keyed hash of the token, so that a change of the token is detected; the key changes with each run
    by_scenario  True if a step of a scenario made the attempt, False if the client decided to connect
    """

    url: str | None = None
    credential: str | None = None
    fingerprint: str | None = None
    by_scenario: bool = False


class AttemptOutcome(ConnectionEvent, frozen=True, kw_only=True):
    """Base class of the outcomes of a connection attempt. `credential` and `fingerprint` are as in Connecting.

    url     URL of the attempt, with a short hash in place of each query value
    target  kind and URL of the page or worker that connected: "page http://...", "shared_worker http://..."
    script  URL of the script that contains the opener
    client  URL of the script that contains the code of the client library
    run     number of the evaluation of `script` within its document, from 1; 0 means unknown
    code    facts from the source code of the opener
    shared_key  key in the session storage of the tab whose value the client sent, and which another tab has too
    """

    credential: str | None = None
    fingerprint: str | None = None
    url: str | None = None
    target: str | None = None
    script: str | None = None
    client: str | None = None
    run: int = 0
    code: OpenerCode | None = None
    shared_key: str | None = None


class Connected(AttemptOutcome, frozen=True, kw_only=True):
    """The server acknowledged the CONNECT packet of the namespace: the user has the connection `sid` from now on.

    client_id  name that the client gave itself, if the server keeps one connection for each name (MQTT)
    http     HTTP version of a stream: with "http/1.1", it occupies one of the browser's few connections to its host
    allowed  number of connections that the server's log says each user may have ("slot 2 of 5")
    device   name or kind of the user's device in the server's log ("phone"); a device may have several pages
    reconnects  `sid` of the earlier connection of the same client, if the client library connected again by itself
    """

    client_id: str | None = None
    http: str | None = None
    allowed: int | None = None
    device: str | None = None
    reconnects: str | None = None


class Refused(AttemptOutcome, frozen=True, kw_only=True):
    """An attempt ended without a connection. `reason`: "refused", "timeout", "unreachable", "protocol"."""

    reason: str | None = None
    message: str | None = None


class Upgraded(ConnectionEvent, frozen=True, kw_only=True):
    """The connection was upgraded to `transport`. It is still the same connection."""


class Replaced(Event, frozen=True, kw_only=True):
    """The server reported that it closed `old_sid` in favour of `new_sid`.

    client_id  name of both clients, if the server keeps one connection for each name (MQTT)
    """

    old_sid: str | None = None
    new_sid: str | None = None
    client_id: str | None = None


class Disconnected(ConnectionEvent, frozen=True, kw_only=True):
    """A connection ended. `reason` has the wording of the observer (`wscheck.model.disconnect_reasons`)."""

    reason: str | None = None


class Delivered(ConnectionEvent, frozen=True, kw_only=True):
    """An application event arrived on a connection.

    digest    keyed hash of the payload; within one run, equal hashes mean equal payloads
    core      keyed hash of the payload without its `stamps`, None if the payload has no stamps
    stamps    path and keyed hash of each time, sequence number and event id in the payload
    about     the user whom the payload names, if the event contract defines the field
    mentions  users of the run whose id is a value anywhere in the payload
    """

    name: str = ""
    digest: str | None = None
    core: str | None = None
    stamps: tuple[tuple[str, str], ...] = ()
    about: str | None = None
    mentions: tuple[str, ...] = ()


class Handled(ConnectionEvent, frozen=True, kw_only=True):
    """A component's handler ran for an application event (`digest` as in Delivered)."""

    name: str = ""
    digest: str | None = None


class Emitted(ConnectionEvent, frozen=True, kw_only=True):
    """The client sent an application event."""

    name: str = ""


class Subscribed(ConnectionEvent, frozen=True, kw_only=True):
    """The client started a subscription on a connection: to a topic, a query, an application's channel.

    subscription  id of the subscription within its connection
    name          name of the topic, query or channel
    same          keyed hash of the subscription's name and arguments: two subscriptions with equal hashes are the same
    subscriber    call site that subscribed, None if unknown; `opener` is the call site that opened the connection
    code          facts from the source code of the subscriber
    """

    subscription: str = ""
    name: str = ""
    same: str | None = None
    subscriber: CodeLocation | None = None
    code: OpenerCode | None = None


class Unsubscribed(ConnectionEvent, frozen=True, kw_only=True):
    """A subscription ended before its connection.

    replaced  the client subscribed again to the same name without ending this subscription, and the server keeps only
              the new one
    """

    subscription: str = ""
    by_server: bool = False
    replaced: bool = False


class Mounted(ConnectionEvent, frozen=True, kw_only=True):
    """A component started to use a connection."""


class Unmounted(ConnectionEvent, frozen=True, kw_only=True):
    """A component stopped using a connection. After the last one, the connection must close."""


class HeartbeatStopped(ConnectionEvent, frozen=True, kw_only=True, tag="silenced"):
    """The client stopped answering pings; the server must close the connection within `within` seconds."""

    within: float = 0.0


class HandlersRegistered(ConnectionEvent, frozen=True, kw_only=True, tag="registered"):
    """The handlers of an event on one connection changed. `handlers` are the call sites of all present registrations.

    inside   the event in whose handler the registration happened ("connect"), if known
    lost     handlers that were removed by a call of off(event), which names no handler and so removes all handlers of
             the event
    removes  whether the code around every repeated handler removes the handler again, None if that is unknown
    """

    name: str = ""
    handlers: tuple[CodeLocation, ...] = ()
    inside: str | None = None
    lost: tuple[CodeLocation, ...] = ()
    removes: bool | None = None


class Expected(ConnectionEvent, frozen=True, kw_only=True):
    """An expectation of a scenario, to be met within `within` seconds.

    what      kind of expectation, see below
    required  True if an unmet expectation is an error, False if it is a note
    assumed   the event comes from the documented contract because no contract is configured: the server may not know it

    Values of `what`:

    - "delivered": event `name` arrives. "handled": the handler of `component` runs for event `name`.
    - "connected", "refused", "disconnected", "upgraded": the connection gets into this state.
    - "private": event `name`, which `user` requested, must not reach another user. `required` if the contract requires
      it.
    - "unrequested": event `name` may arrive without a request.
    - "once", "answered-once": from now on, copies of event `name` on `page` mean that the server sends it twice. No
      other client of the user runs, and this client only connects ("once"), or only requests the event
      ("answered-once").
    """

    what: str = ""
    name: str | None = None
    within: float = 0.0
    required: bool = True
    assumed: bool = False


class Unreadable(Event, frozen=True, kw_only=True):
    """A line looks like an event but could not be read. Without a `line`, the event is about a log as a whole.

    text         a redacted excerpt of at most 200 characters
    closes_with  the options that would make the line readable, if known
    """

    reason: str = ""
    text: str = ""
    closes_with: str = ""


class ServerRestarted(Event, frozen=True, kw_only=True, tag="restarted"):
    """A server process started again: its earlier connections have ended, whether or not their ends were logged."""


class ConnectionExpired(ConnectionEvent, frozen=True, kw_only=True, tag="expired"):
    """The connection counts as ended, because it was open for longer than `--stale-after`."""


class SourceStarted(Event, frozen=True, kw_only=True, tag="watching"):
    """A further source, such as the server's log, started to report.

    From this time on, an event that this source would report and does not report did not happen.
    """


class ActionPerformed(Event, frozen=True, kw_only=True, tag="acted"):
    """wscheck performed an action on a page, such as a click on a link.

    The action counts as the reason for the page's next connection attempts.

    before, after  number of open connections before the action, and after it when the page was at rest; None for a
                   round of a loop, whose numbers are in `RoundCounted` events
    by_step        a step of the configuration performed the action as a user would, so the rule for excessive
                   connection attempts counts the attempts that result from it
    """

    page: str | None = None
    action: str = ""
    before: int | None = None
    after: int | None = None
    by_step: bool = False


class RoundCounted(Event, frozen=True, kw_only=True, tag="counted"):
    """Number of connections, handlers or subscriptions after a round of a loop: a visit of a view, and the return.

    place      the place that was visited: the path of a link, or the line of a step
    round      number of the round; 0 before the first one
    at_rest    the count was repeated some seconds after the last round, when delayed closes have happened
    what       "connections"; or, on the connection that has most of them, "handlers" (of the event `name`) or
               "subscriptions" (to `name`)
    opener     call site of io(), of the subscription, or the location of the handler
    component  component that contains the call site
    """

    page: str | None = None
    place: str = ""
    round: int = 0
    at_rest: bool = False
    what: str = "connections"
    name: str = ""
    opener: CodeLocation | None = None
    component: str | None = None
    count: int = 0


class ProcessStalled(Event, frozen=True, kw_only=True, tag="lagged"):
    """The process of wscheck stalled for `seconds`, which may have caused the server's actions during that time."""

    seconds: float = 0.0


class PhaseStarted(Event, frozen=True, kw_only=True, tag="began"):
    """A phase of a scenario started: "subject" (the client under test) or "control" (the documented fault)."""

    scenario: str = ""
    phase: str = "subject"


class NotEvaluated(Event, frozen=True, kw_only=True, tag="unjudged"):
    """A check could not be evaluated. `skipped` means that it was not tried."""

    reason: str = ""
    skipped: bool = False


class PhaseEnded(Event, frozen=True, kw_only=True, tag="ended"):
    """A phase of a scenario ended, or without `scenario`, the whole observation ended.

    The evidence is complete up to this time.
    """

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
    | Subscribed
    | Unsubscribed
    | Mounted
    | Unmounted
    | HeartbeatStopped
    | HandlersRegistered
    | Expected
    | Unreadable
    | ServerRestarted
    | ConnectionExpired
    | SourceStarted
    | ActionPerformed
    | RoundCounted
    | ProcessStalled
    | PhaseStarted
    | NotEvaluated
    | PhaseEnded
)
"""Union of all event types. Each line of a recording after the header decodes to one of them."""
