"""What led up to a finding: one user's latest openings and endings, kept only for users in trouble, and bounded."""

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from functools import partial
from operator import sub
from typing import TypeVar

from wscheck.detect.bounded_dict import BoundedDict
from wscheck.detect.changes import ClosedChange, OpenedChange, ReplacedChange
from wscheck.detect.ledger import Ledger
from wscheck.detect.rules.multiple_connections import beside
from wscheck.model.disconnect_reasons import IO_SERVER_DISCONNECT
from wscheck.model.events import AttemptOutcome, Connected, Connecting, HandlersRegistered, Refused
from wscheck.model.findings import Confidence
from wscheck.protocols.engine_io import SESSION_ID_UNKNOWN

STEPS = 128
USERS = 5_000

Step = TypeVar("Step")


class UserHistory:
    """The last `STEPS` of each kind, oldest first. `met` are pairs of connections of which the second was opened while
    the first was held. `refusals` and `registrations` (of handlers) only a page can show; `asked`, by session, when its
    first request left; `inside`, whether anything showed a page from within: which it is, its code or its token. No
    server's log does. `forgetting` is called before anything leaves that came after the last call.
    """

    __slots__ = (
        *("_forgetting", "_unnoted", "asked", "inside"),
        *("closings", "met", "openings", "refusals", "registrations", "replacements"),
    )

    def __init__(
        self, asked: Mapping[str, float] | None = None, forgetting: Callable[["UserHistory"], None] | None = None
    ) -> None:
        self.asked = asked if asked is not None else {}
        self._forgetting, self._unnoted = forgetting, 0
        self.inside = False
        self.openings: deque[Connected] = deque(maxlen=STEPS)
        self.met: deque[tuple[Connected, Connected]] = deque(maxlen=STEPS)
        self.replacements: deque[ReplacedChange] = deque(maxlen=STEPS)
        self.closings: deque[ClosedChange] = deque(maxlen=STEPS)
        self.refusals: deque[Refused] = deque(maxlen=STEPS)
        self.registrations: deque[HandlersRegistered] = deque(maxlen=STEPS)

    def began(self, opened: Connected) -> float | None:
        """When somebody called for it, as far as that was seen; else when it was acknowledged."""
        return self.asked.get(opened.eio or "", opened.at)

    def saw_begin(self, opened: Connected) -> bool:
        """Whether it was seen when somebody called for it."""
        return (opened.eio or "") in self.asked

    def pairs(self) -> list[tuple[Connected, Connected]]:
        """Who was replaced by whom, where both openings are known."""
        return [(r.old, r.new) for r in self.replacements if r.old is not None and r.new is not None]

    def opened(self, event: Connected) -> None:
        """One more opening."""
        self._step(self.openings, event, event)

    def replaced(self, change: ReplacedChange) -> None:
        """One more replacement."""
        self._step(self.replacements, change, change.old)

    def closed(self, change: ClosedChange) -> None:
        """One more ending."""
        self._step(self.closings, change, change.opening)

    def refused(self, event: Refused) -> None:
        """One more refusal."""
        self._step(self.refusals, event, None)

    def registered(self, event: HandlersRegistered) -> None:
        """One more handler."""
        self._step(self.registrations, event, None)

    def _step(self, kind: deque[Step], step: Step, opening: Connected | None) -> None:
        if not self.inside and opening is not None:
            self.inside = opening.page is not None or opening.fingerprint is not None or opening.opener is not None
        self._unnoted += 1
        if self._unnoted >= STEPS and len(kind) == STEPS and self._forgetting is not None:
            self._forgetting(self)
            self._unnoted = 1
        kind.append(step)

    def gaps(self) -> list[float]:
        """Seconds between consecutive replacements."""
        times = [r.event.at for r in self.replacements if r.event.at is not None]
        return list(map(sub, times[1:], times))


Clue = tuple[Confidence, str]
Signature = Callable[[UserHistory], Clue | None]


def _as_opened(event: Refused) -> Connected:
    """The connection that the server refused, as the page asked for it."""
    asked = {name: getattr(event, name) for name in AttemptOutcome.__struct_fields__}
    return Connected(**asked | {"sid": event.eio})


class UserHistories:
    """A trail for each user who ever held two connections or was replaced, who felt the server end the only one or was
    sent astray, and for those whose page was looked into.
    `forgetting` is called, with the user, before a trail or the oldest steps of one are forgotten."""

    def __init__(self, ledger: Ledger, forgetting: Callable[[str, UserHistory], None]) -> None:
        self._ledger, self._forgetting = ledger, forgetting
        self._trails: OrderedDict[str, UserHistory] = OrderedDict()
        self._asked = BoundedDict[str, float](USERS)

    def of(self, user: str | None) -> UserHistory:
        """The user's trail, empty when there is none."""
        return self._trails.get(user or "") or UserHistory()

    def connecting(self, event: Connecting) -> None:
        if event.stack and event.eio is not None and event.at is not None and event.eio not in self._asked:
            self._asked.put(event.eio, event.at)

    def opened(self, change: OpenedChange) -> None:
        trail = self._trails.get(change.user)
        if trail is None:
            if not change.others and not getattr(change.event, "stack", ()):
                return
            trail = self._begin(change.user)
            for held in map(self._ledger.opening_event, change.others):
                if held is not None:
                    trail.opened(held)
        if isinstance(change.event, Connected):
            trail.opened(change.event)
            if change.others and (other := self._ledger.opening_event(change.others[-1])) is not None:
                trail.met.append((other, change.event))

    def superseded(self, change: ReplacedChange) -> None:
        if change.user is not None:
            self._begin(change.user).replaced(change)

    def closed(self, change: ClosedChange) -> None:
        trail = self._trails.get(change.user or "")
        if trail is None and change.user is not None and change.reason == IO_SERVER_DISCONNECT and not change.remaining:
            trail = self._begin(change.user)
        if trail is not None:
            trail.closed(change)

    def refused(self, event: Refused) -> None:
        if event.user is None or not (event.stack or event.message == SESSION_ID_UNKNOWN):
            return
        trail = self._begin(event.user)
        trail.refused(event)
        if (held := beside(event, self._ledger)) is not None:
            trail.met.append((held, _as_opened(event)))

    def registered(self, event: HandlersRegistered) -> None:
        if event.user is not None:
            self._begin(event.user).registered(event)

    def _begin(self, user: str) -> UserHistory:
        trail = self._trails.get(user)
        if trail is None:
            trail = self._trails[user] = UserHistory(self._asked, partial(self._forgetting, user))
            if len(self._trails) > USERS:
                self._forgetting(*self._trails.popitem(last=False))
        return trail
