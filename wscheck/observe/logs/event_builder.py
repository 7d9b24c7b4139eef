"""Conversion of log records to events, and classification of records by the ids that they contain."""

from collections import Counter
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from wscheck.model.events import (
    SOURCE_SERVER_LOG,
    Connected,
    Disconnected,
    Event,
    Refused,
    Replaced,
    ServerRestarted,
    Unreadable,
)
from wscheck.model.secrets import Redactor
from wscheck.observe.logs.access_log import ConnectionSpan, LostSession
from wscheck.observe.logs.formats.key_values import NOTHING
from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.multiline import OpenRecord
from wscheck.observe.logs.vocabulary import (
    CONNECTED,
    DISCONNECTED,
    EVENT_ROLES,
    NEW,
    OLD,
    REFUSED,
    REPLACED,
    RESTARTED,
    SID,
    USER,
    word_set,
)
from wscheck.protocols.engine_io import SESSION_ID_UNKNOWN

FULL, USER_ONLY, SOCKET_ONLY, COUNT_ONLY, AMBIGUOUS = "full", "user", "socket", "count", "ambiguous"
ANONYMOUS = "anonymous"
"""Key in `EventBuilder.levels` for connections whose user is a word like "guest". Their completeness counts too."""

INTERLEAVED_RECORDS = (
    "the lines of several records are interleaved here without a prefix, so it is unclear which record has these ids"
)

UNCLEAR_ID = "it is unclear where an id in this line starts or ends: log the id in quotes, or write the log as JSON"

MAX_EXCERPT = 200

MAX_SOURCES = 4_096


NOBODY = NOTHING | word_set("anonymous anon anonymoususer unauthenticated guest unknown nobody n/a")
_NAME = lazy_pattern(r"[<(\[]?(?P<name>[\w/]+)[>)\]]?")


def person_or_none(user: str) -> str | None:
    """Return the user, None if the text names no particular user, such as "anonymous" or "-"."""
    name = _NAME.fullmatch(user)
    is_nobody = user in {"", "-"} or (name is not None and name["name"].lower() in NOBODY)
    return None if is_nobody else user


class PrefixMemory:
    """Memory of the kinds of records that had a line prefix (time, level), for each process that writes to the log.

    If records of a kind (such as "connected") had a prefix before, a record of this kind without a prefix may be text
    that a user sent. At most MAX_SOURCES pairs of kind and writer are stored. After that, a kind with a prefix is
    stored for all writers.
    """

    def __init__(self) -> None:
        self._met = set[tuple[str, str]]()
        self._anywhere = set[str]()

    def add(self, kind: str, source: str) -> None:
        if len(self._met) < MAX_SOURCES or (kind, source) in self._met:
            self._met.add((kind, source))
        else:
            self._anywhere.add(kind)

    def contains(self, kind: str, source: str) -> bool:
        return (kind, source) in self._met or kind in self._anywhere


class EventBuilder:
    """Builder of the events of one log. It also counts unreadable lines, and records with all or only some ids.

    builders  function per kind of event. Its arguments are the line number, the time, and one value for each role in
              `EVENT_ROLES` ("" for a missing value)
    """

    def __init__(self, path: str, node: str | None, redactor: Redactor | None = None) -> None:
        self._path, self._node = path, node
        self._redactor = redactor or Redactor()
        self.events: list[Event] = []
        self.levels: Counter[str] = Counter()
        self.unreadable = 0
        self.builders: dict[str, Callable[..., None]] = {
            CONNECTED: self._connected,
            DISCONNECTED: self._disconnected,
            REPLACED: self._replaced,
            RESTARTED: self._restarted,
            REFUSED: self._refused,
        }

    @property
    def waiting(self) -> int:
        """Return the number of events that the next call of `take_events` returns."""
        return len(self.events)

    def take_events(self) -> list[Event]:
        """Return the events that were built since the last call."""
        events, self.events = self.events, []
        return events

    def add_record(self, record: OpenRecord) -> None:
        """Add the events of a record to which no further line can belong."""
        ids = record.ids
        if record.maybe_prose and not ids and record.kind != RESTARTED:
            if record.has_unclear_id:
                self.add_unreadable(record.line, UNCLEAR_ID, record.kind)
            return
        if record.ambiguous:
            ids = {role: value for role, value in ids.items() if role not in record.contested_roles}
            self.add_unreadable(record.line, INTERLEAVED_RECORDS, record.kind)
        if record.has_unclear_id:
            self.add_unreadable(record.line, UNCLEAR_ID, record.kind)
        if record.kind not in (RESTARTED, REFUSED):
            self.levels[AMBIGUOUS if record.ambiguous else completeness(record.kind, ids)] += 1
        self.add_event(record.kind, ids, record.at, record.line)
        if record.opens and NEW in ids:
            self.add_event(CONNECTED, {SID: ids[NEW], USER: ids.get(USER, "")}, record.at, record.line)

    def add_spans(self, spans: Iterable[ConnectionSpan]) -> None:
        """Add the start and the end of each WebSocket and stream of an access log. One line contains both.

        Connections are counted for each path, so the path is the namespace of the events.
        """
        earlier, self.events = self.events, []
        for span in spans:
            sid = f"request in line {span.line}"
            self._connected(span.line, span.begin, span.user, sid, span.path, "", "", "", "")
            self._disconnected(span.line, span.end, span.user, sid, "")
        self.events = [*earlier, *sorted(self.events, key=lambda event: event.at or 0.0)]

    def add_broker_events(self, events: Iterable[Event]) -> None:
        """Add the events of a reader of broker logs, after setting their path and node (name of the server process)."""
        for event in events:
            self.levels[FULL] += not isinstance(event, ServerRestarted | Refused)
            own = {} if isinstance(event, ServerRestarted) else {"user": person_or_none(event.user or "")}
            self.events.append(replace(event, path=self._path, node=self._node, **own))

    def add_lost_sessions(self, lost: Iterable[LostSession]) -> None:
        """Add a refused attempt for each session of an access log whose first request was refused.

        The server process that got this request did not know the session, because another process had opened it.
        """
        for each in lost:
            self._refused(each.line, each.at, each.client, SESSION_ID_UNKNOWN)

    def add_unreadable(self, line: int, reason: str, text: str) -> None:
        """Add an `Unreadable` event for a line that looks like a connection event and cannot be read."""
        self.unreadable += 1
        excerpt = self._redactor.redact(text[: 10 * MAX_EXCERPT].strip())[:MAX_EXCERPT]
        self.events.append(
            Unreadable(
                source=SOURCE_SERVER_LOG, path=self._path, line=line, node=self._node, reason=reason, text=excerpt
            )
        )

    def add_event(self, kind: str, ids: dict[str, str], at: float | None, line: int) -> None:
        """Add an event of `kind`. `ids` is a dict of role (user, sid, ...) to value."""
        self.builders[kind](line, at, *(ids.get(role, "") for role in EVENT_ROLES[kind]))

    def _connected(self, line: int, at: float | None, *ids: str) -> None:
        user, sid, namespace, page, device, allowed, endpoint = ids
        path, node, known, person = self._path, self._node, sid or None, person_or_none(user)
        if user and person is None:
            self.levels[ANONYMOUS] += 1
        # A Socket.IO namespace starts with a slash. A value without a slash may be a Kubernetes namespace.
        space = namespace if namespace[:1] == "/" else None
        self.events.append(
            Connected(
                at=at,
                source=SOURCE_SERVER_LOG,
                user=person,
                node=node,
                path=path,
                line=line,
                sid=known,
                namespace=space,
                page=page or None,
                device=device or None,
                allowed=int(allowed) if allowed else None,
                url=endpoint or None,
            )
        )

    def _disconnected(self, line: int, at: float | None, user: str, sid: str, reason: str) -> None:
        path, node, known = self._path, self._node, sid or None
        event = Disconnected(
            at=at,
            source=SOURCE_SERVER_LOG,
            user=person_or_none(user),
            node=node,
            path=path,
            line=line,
            sid=known,
            reason=reason or None,
        )
        self.events.append(event)

    def _replaced(self, line: int, at: float | None, user: str, old: str, new: str) -> None:
        path, node, known = self._path, self._node, person_or_none(user)
        event = Replaced(
            at=at,
            source=SOURCE_SERVER_LOG,
            user=known,
            node=node,
            path=path,
            line=line,
            old_sid=old or None,
            new_sid=new or None,
        )
        self.events.append(event)

    def _refused(self, line: int, at: float | None, user: str, message: str | None = None) -> None:
        self.events.append(
            Refused(
                at=at,
                source=SOURCE_SERVER_LOG,
                user=person_or_none(user),
                node=self._node,
                path=self._path,
                line=line,
                reason="refused",
                message=message,
            )
        )

    def _restarted(self, line: int, at: float | None) -> None:
        self.events.append(
            ServerRestarted(at=at, source=SOURCE_SERVER_LOG, node=self._node, path=self._path, line=line)
        )


def completeness(kind: str, ids: dict[str, str]) -> str:
    """Return the completeness of a record: FULL (all ids), USER_ONLY, SOCKET_ONLY, or COUNT_ONLY (no usable id)."""
    if kind == REPLACED:
        whole, socket = {USER, OLD, NEW} <= ids.keys(), OLD in ids or NEW in ids
    else:
        whole, socket = SID in ids and (USER in ids or kind != CONNECTED), SID in ids
    if whole:
        return FULL
    if USER in ids:
        return USER_ONLY
    return SOCKET_ONLY if socket else COUNT_ONLY
