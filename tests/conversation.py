"""A small language for conversations: what users and servers do goes in, findings come out.

    found = judged(MultipleConnections, user("A").connects("s1", at=0).connects("s2", at=1).watched(until=2))

Times are seconds after START; `at=None` is evidence without a clock. `a & b` are two users at once, in order of time.
"""

from collections.abc import Iterable
from typing import Any

from wscheck.detect.engine import Judge
from wscheck.detect.rules import Rule, RuleOptions
from wscheck.model.events import (
    ActionPerformed,
    AnyEvent,
    CodeLocation,
    Connected,
    Connecting,
    Delivered,
    Disconnected,
    Emitted,
    Event,
    Expected,
    Handled,
    HandlersRegistered,
    HeartbeatStopped,
    Mounted,
    PhaseEnded,
    Refused,
    Replaced,
    RoundCounted,
    SourceStarted,
    Subscribed,
    Unmounted,
    Unsubscribed,
)
from wscheck.model.findings import Finding

START = 1_795_000_000.0

KICKED_CLIENT, KICKED_SERVER = "io server disconnect", "server namespace disconnect"


class Conversation:
    """What one user's pages, and the server about them, were seen to do; every method returns the conversation."""

    def __init__(self, user: str | None, source: str = "client", **where: Any) -> None:
        self.user, self.source, self.where = user, source, where
        self.events: list[AnyEvent] = []

    def seen_by(self, source: str, **where: Any) -> "Conversation":
        """From here on it is `source` that sees: "client" or "server-log"; `where` holds for all that follows."""
        self.source, self.where = source, where
        return self

    def __and__(self, other: "Conversation") -> "Conversation":
        both = Conversation(None)
        both.events = sorted(self.events + other.events, key=lambda e: e.at if e.at is not None else 0.0)
        return both

    # --- connections -------------------------------------------------------------------------------------------

    def attempts(self, at: float | None, **more: Any) -> "Conversation":
        return self._saw(Connecting, at, **more)

    def connects(self, sid: str | None, at: float | None, by: str | None = None, **more: Any) -> "Conversation":
        """`by` is the component, or "file:line" of the call of io()."""
        file, _, line = (by or "").partition(":")
        opener = {"opener": CodeLocation(file, int(line))} if line else {"component": by}
        return self._saw(Connected, at, sid=sid, **{**opener, **more})

    def is_refused(self, at: float | None, message: str | None = None, **more: Any) -> "Conversation":
        return self._saw(Refused, at, reason="refused", message=message, **more)

    def is_replaced(self, old: str | None, new: str | None, at: float | None) -> "Conversation":
        """The server says so in its log."""
        return self._saw(Replaced, at, old_sid=old, new_sid=new, source="server-log")

    def disconnects(self, sid: str | None, at: float | None, reason: str | None = None, **more: Any) -> "Conversation":
        return self._saw(Disconnected, at, sid=sid, reason=reason, **more)

    def falls_silent(self, sid: str, at: float | None, within: float) -> "Conversation":
        return self._saw(HeartbeatStopped, at, sid=sid, within=within)

    # --- events and components -----------------------------------------------------------------------------------

    def receives(self, name: str, at: float | None, sid: str = "s1", **more: Any) -> "Conversation":
        return self._saw(Delivered, at, sid=sid, name=name, **{"digest": "d1", "page": "tab-1", **more})

    def emits(self, name: str, at: float | None, sid: str = "s1", **more: Any) -> "Conversation":
        return self._saw(Emitted, at, sid=sid, name=name, **{"page": "tab-1", **more})

    def subscribes(
        self, id: str, name: str, at: float | None, sid: str = "s1", same: str | None = "same", **more: Any
    ) -> "Conversation":
        return self._saw(Subscribed, at, sid=sid, subscription=id, name=name, same=same and f"{name} {same}", **more)

    def unsubscribes(self, id: str, at: float | None, sid: str = "s1", **more: Any) -> "Conversation":
        return self._saw(Unsubscribed, at, sid=sid, subscription=id, **more)

    def handles(self, name: str, at: float | None, by: str = "Dashboard", **more: Any) -> "Conversation":
        return self._saw(Handled, at, name=name, component=by, **{"digest": "d1", "page": "tab-1", **more})

    def has_handlers(
        self, name: str, at: float | None, *handlers: CodeLocation, lost: tuple[CodeLocation, ...] = (), **more: Any
    ) -> "Conversation":
        """So many handlers has `name` from now on; `lost` are those that somebody else's off(event) removed."""
        return self._saw(HandlersRegistered, at, name=name, handlers=handlers, lost=lost, **{"sid": "s1", **more})

    def expects(self, what: str, at: float | None, name: str | None = None, **more: Any) -> "Conversation":
        return self._saw(Expected, at, what=what, name=name, **{"page": "tab-1", **more})

    def mounts(self, component: str, at: float | None, page: str = "tab-1") -> "Conversation":
        return self._saw(Mounted, at, component=component, page=page)

    def unmounts(self, component: str, at: float | None, page: str = "tab-1") -> "Conversation":
        return self._saw(Unmounted, at, component=component, page=page)

    # --- loops of wscheck over the page ------------------------------------------------------------------------------

    def acts(self, at: float | None, action: str = "visit", page: str = "tab-1", **more: Any) -> "Conversation":
        return self._saw(ActionPerformed, at, action=action, page=page, **more)

    def counts(self, *counts: int, place: str = "/ramp", at: float = 0, **more: Any) -> "Conversation":
        """So many were open before the first round of `place`, and after each."""
        for number, count in enumerate(counts):
            self._saw(RoundCounted, at + number, place=place, round=number, count=count, page="tab-1", **more)
        return self

    # --- those who look ---------------------------------------------------------------------------------------------

    def log_watched(self, at: float | None = 0) -> "Conversation":
        return self._saw(SourceStarted, at, source="server-log", user=None)

    def watched(self, until: float) -> "Conversation":
        """Nothing more was seen, and somebody looked until then."""
        return self._saw(PhaseEnded, until, source="scenario", user=None)

    def _saw(self, kind: type[Event], at: float | None, **fields: Any) -> "Conversation":
        when = START + at if at is not None else None
        where = {key: value for key, value in self.where.items() if key in kind.__struct_fields__}
        seen: Any = kind(**{"at": when, "source": self.source, "user": self.user, **where, **fields})
        self.events.append(seen)
        return self


def user(name: str | None, source: str = "client", **where: Any) -> Conversation:
    """Somebody begins to speak."""
    return Conversation(name, source, **where)


def log_of(name: str | None, **where: Any) -> Conversation:
    """The same, as the server's log tells it."""
    return Conversation(name, "server-log", **where)


def judged(
    rules: type[Rule] | Iterable[type[Rule]], said: Conversation, options: RuleOptions | None = None
) -> list[Finding]:
    """What `rules` find in it, once all is said."""
    judge = Judge(options, [rules] if isinstance(rules, type) else rules)
    for event in said.events:
        judge.feed(event)
    return judge.finish()


def one(findings: list[Finding]) -> Finding:
    """The only finding."""
    assert len(findings) == 1, findings
    return findings[0]


def ping_pong(times: int, every: float = 0.3, *, source: str = "server-log", **where: Any) -> Conversation:
    """The documented loop: two components of user A replace each other, `times` times."""
    said = Conversation("A", source, **where).connects("s0", at=0, by="Dashboard")
    for n in range(1, times + 1):
        said.connects(f"s{n}", at=n * every, by=("Dashboard", "Wizard")[n % 2])
        said.is_replaced(f"s{n - 1}", f"s{n}", at=n * every)
        said.disconnects(f"s{n - 1}", at=n * every, reason=KICKED_SERVER if source == "server-log" else KICKED_CLIENT)
    return said
