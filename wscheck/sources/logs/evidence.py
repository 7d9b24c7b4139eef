"""Records as events, and how much they said."""

from collections import Counter

from wscheck.events import Connected, Disconnected, Event, Replaced, Restarted, Unreadable
from wscheck.redaction import Redactor
from wscheck.sources.logs.records import Record
from wscheck.sources.logs.wording import CONNECTED, DISCONNECTED, NEW, OLD, REASON, REPLACED, RESTARTED, SID, USER

SOURCE = "server-log"

FULL, USER_ONLY, SOCKET_ONLY, COUNT_ONLY, AMBIGUOUS = "full", "user", "socket", "count", "ambiguous"

INTERLEAVED = "records of several writers interleave here without a prefix: whose ids these are cannot be told"

LONGEST_EXCERPT = 200


class Evidence:
    """What was read of one log: `events` not taken yet, `levels` and `unreadable` of all."""

    def __init__(self, path: str, node: str | None, redactor: Redactor | None = None) -> None:
        self._path, self._node = path, node
        self._redactor = redactor or Redactor()
        self.events: list[Event] = []
        self.levels: Counter[str] = Counter()
        self.unreadable = 0

    def take(self) -> list[Event]:
        """The events since the last call."""
        taken, self.events = self.events, []
        return taken

    def record(self, record: Record) -> None:
        """A record is complete."""
        ids = record.ids
        if record.doubt and not ids and record.kind != RESTARTED:
            return
        if record.ambiguous:
            ids = {role: value for role, value in ids.items() if role not in record.contested}
            self.unread(record.line, INTERLEAVED, record.kind)
        if record.kind != RESTARTED:
            self.levels[AMBIGUOUS if record.ambiguous else level(record.kind, ids)] += 1
        self.seen(record.kind, ids, record.at, record.line)

    def unread(self, line: int, reason: str, text: str) -> None:
        """A line looks like an event and cannot be read."""
        self.unreadable += 1
        excerpt = self._redactor.clean(text[: 10 * LONGEST_EXCERPT].strip())[:LONGEST_EXCERPT]
        self.events.append(
            Unreadable(source=SOURCE, path=self._path, line=line, node=self._node, reason=reason, text=excerpt)
        )

    def whole(self, kind: str, ids: dict[str, str], at: float | None, line: int) -> None:
        """A record that says all there is to say."""
        self.levels[FULL] += 1
        self.seen(kind, ids, at, line)

    def seen(self, kind: str, ids: dict[str, str], at: float | None, line: int) -> None:
        """An event of `kind` with these ids."""
        get, path, node = ids.get, self._path, self._node
        user = get(USER)
        event: Event
        if kind == CONNECTED:
            event = Connected(at=at, source=SOURCE, user=user, node=node, path=path, line=line, sid=get(SID))
        elif kind == DISCONNECTED:
            sid, reason = get(SID), get(REASON)
            event = Disconnected(
                at=at, source=SOURCE, user=user, node=node, path=path, line=line, sid=sid, reason=reason
            )
        elif kind == REPLACED:
            old, new = get(OLD), get(NEW)
            event = Replaced(at=at, source=SOURCE, user=user, node=node, path=path, line=line, old_sid=old, new_sid=new)
        else:
            event = Restarted(at=at, source=SOURCE, node=node, path=path, line=line)
        self.events.append(event)


def level(kind: str, ids: dict[str, str]) -> str:
    """How much a record says: all that is needed, whose it is, which socket it is, or only that it was."""
    if kind == REPLACED:
        whole, socket = {USER, OLD, NEW} <= ids.keys(), OLD in ids or NEW in ids
    else:
        whole, socket = SID in ids and (USER in ids or kind != CONNECTED), SID in ids
    if whole:
        return FULL
    if USER in ids:
        return USER_ONLY
    return SOCKET_ONLY if socket else COUNT_ONLY
