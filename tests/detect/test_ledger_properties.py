"""Properties of the ledger that must hold for any conversation: held to a model, and to itself."""

from collections.abc import Iterable
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.conversation import KICKED_CLIENT, KICKED_SERVER, START
from wscheck.detect.changes import LedgerChange, OpenedChange, ReplacedChange
from wscheck.detect.engine import Judge
from wscheck.detect.ledger import Ledger
from wscheck.model.disconnect_reasons import DISCONNECT_SENT
from wscheck.model.events import AnyEvent, Connected, Disconnected, Event, NotEvaluated, Replaced, ServerRestarted
from wscheck.model.findings import Finding

USERS = ("A", "B", "C")
SIDS = [f"{name}{n}" for name in USERS for n in range(4)]
REASONS = (None, "transport close", "ping timeout", KICKED_CLIENT, KICKED_SERVER, "forced close")

sids = st.sampled_from(SIDS)
sources = st.sampled_from(["client", "server-log"])
connects = st.builds(lambda sid, source: ("connect", sid, source), sids, sources)
ends = st.builds(lambda sid, source, why: ("end", sid, source, why), sids, sources, st.sampled_from(REASONS))
replaces = st.builds(
    lambda name, old, new: ("replace", f"{name}{old}", f"{name}{new}"),
    st.sampled_from(USERS),
    st.integers(0, 3),
    st.integers(0, 3),
).filter(lambda step: step[1] != step[2])
restarts = st.just(("restart",))
expiries = st.builds(lambda sid: ("expire", sid), sids)
conversations = st.lists(st.one_of(connects, connects, ends, replaces, restarts, expiries), max_size=40)

Step = tuple[Any, ...]


def event_of(step: Step, number: int) -> Event:
    seen: dict[str, Any] = {"at": START + number * 0.4, "source": step[2] if len(step) > 2 else "server-log"}
    match step[0]:
        case "connect":
            return Connected(sid=step[1], user=step[1][0], **seen)
        case "end":
            return Disconnected(sid=step[1], user=step[1][0], reason=step[3], **seen)
        case "replace":
            return Replaced(old_sid=step[1], new_sid=step[2], user=step[1][0], **seen | {"source": "server-log"})
        case "restart":
            return ServerRestarted(**seen)
        case _:
            return NotEvaluated(**seen, reason="expired")


class Model:
    """The same, as simply as it can be said: what is open, what ended, what was told as replaced.

    told   who told first of the beginning of what is open
    ended  the same of what ended and may come back, None for what ended for good
    """

    def __init__(self) -> None:
        self.told: dict[str, str | None] = {}
        self.announced = False
        self.ended: dict[str, str | None] = {}
        self.replaced: set[str | None] = set()

    def take(self, step: Step) -> None:
        match step:
            case ("connect", sid, source):
                self.announced = True
                if self.ended.get(sid) == source:
                    del self.ended[sid]
                self.begin(sid, source)
            case ("end", sid, _, reason) if sid not in self.ended:
                self.end(sid, back=reason not in DISCONNECT_SENT)
            case ("replace", old, new) if old not in self.replaced:
                self.end(old, back=False)
                if not self.announced and new not in self.told.keys() | self.ended.keys():
                    for sid in [sid for sid in self.told if sid[0] == new[0]]:
                        self.end(sid)
                self.begin(new, None)
            case ("restart",):
                for sid in list(self.told):
                    self.end(sid)
            case ("expire", sid) if sid in self.told:
                self.end(sid)

    def note(self, replaced: Iterable[str | None]) -> None:
        """What was replaced does not come back."""
        for sid in replaced:
            self.replaced.add(sid)
            if sid is not None:
                self.ended[sid] = None

    def begin(self, sid: str, source: str | None) -> None:
        if sid not in self.ended:
            self.told[sid] = self.told.get(sid) or source

    def end(self, sid: str, *, back: bool = True) -> None:
        told = self.told.pop(sid, None)
        self.ended[sid] = told if back else None


def played(steps: Iterable[Step]) -> tuple[Ledger, list[LedgerChange], Model]:
    ledger, model = Ledger(), Model()
    changes: list[LedgerChange] = []
    for number, step in enumerate(steps):
        made = told(ledger, step, number)
        model.take(step)
        model.note(change.old_sid for change in made if isinstance(change, ReplacedChange))
        changes += made
    return ledger, changes, model


def told(ledger: Ledger, step: Step, number: int) -> tuple[LedgerChange, ...]:
    event = event_of(step, number)
    return ledger.expire(step[1], event) if step[0] == "expire" else ledger.apply(event)


@given(conversations)
@settings(max_examples=300, deadline=None)
def test_open_connections_are_those_that_opened_and_did_not_end(steps: list[Step]) -> None:
    ledger, _, model = played(steps)
    assert {sid for name in USERS for sid in ledger.open_connections(name)} == model.told.keys()
    assert ledger.open_count == len(model.told)
    for name in USERS:
        assert {ledger.user_for(sid) for sid in ledger.open_connections(name)} <= {name}
        assert len(set(ledger.open_connections(name))) == len(ledger.open_connections(name))
        assert ledger.counts_for(name).max_open >= len(ledger.open_connections(name))


@given(conversations)
@settings(max_examples=300, deadline=None)
def test_each_opening_ends_at_most_once_and_the_changes_add_up(steps: list[Step]) -> None:
    ledger, changes, _ = played(steps)
    held: set[str] = set()
    for change in changes:
        if isinstance(change, OpenedChange):
            assert change.sid not in held
            held.add(change.sid)
        elif isinstance(change, ReplacedChange):
            held.discard(change.old_sid or "")
        elif not change.replaced:
            assert change.sid in held
            held.discard(change.sid)
    assert held == {sid for name in USERS for sid in ledger.open_connections(name)}
    replaced = [change.old_sid for change in changes if isinstance(change, ReplacedChange)]
    assert len(replaced) == len(set(replaced))


@given(conversations)
@settings(max_examples=200, deadline=None)
def test_each_change_lists_the_connections_that_remain_open(steps: list[Step]) -> None:
    ledger = Ledger()
    for number, step in enumerate(steps):
        latest = {change.user: change for change in told(ledger, step, number)}
        for name, change in latest.items():
            held = (*change.others, change.sid) if isinstance(change, OpenedChange) else change.remaining
            assert held == ledger.open_connections(name)


@given(conversations, st.data())
@settings(max_examples=200, deadline=None)
def test_a_second_source_with_the_same_events_changes_nothing(steps: list[Step], data: st.DataObject) -> None:
    """Each connect and end is told once more, some time later, by the other source; nothing comes back meanwhile."""
    firsts = {step[:2]: step for step in reversed(steps)}
    steps = [step for step in steps if step[0] not in ("connect", "end") or firsts[step[:2]] is step]
    twice = list(steps)
    for step in steps:
        if step[0] in ("connect", "end"):
            place = data.draw(st.integers(twice.index(step) + 1, len(twice)))
            other = "client" if step[2] == "server-log" else "server-log"
            twice.insert(place, (*step[:2], other, *step[3:]))
    once, again = played(steps)[0], played(twice)[0]
    assert {name: set(once.open_connections(name)) for name in USERS} == {
        name: set(again.open_connections(name)) for name in USERS
    }


def found(events: Iterable[Event], *, asked_often: bool = False) -> list[Finding]:
    judge = Judge()
    for event in events:
        judge.feed(event)
        if asked_often:
            judge.findings()
    return judge.finish()


# Three replacements 400 ms apart look like a timer; the fourth comes 800 ms later, and they no longer do.
NO_TIMER = [("replace", "C0", "C1"), ("replace", "C2", "C0"), ("replace", "C3", "C0"), ("connect", "A0", "client")]
NO_TIMER += [("replace", "C1", "C0")]


@given(conversations)
@example(NO_TIMER)
@settings(max_examples=100, deadline=None)
def test_a_replay_of_the_events_has_the_same_findings(steps: list[Step]) -> None:
    events = [event_of(step, number) for number, step in enumerate(steps) if step[0] != "expire"]
    decoder = msgspec.json.Decoder(AnyEvent)
    again = [decoder.decode(msgspec.json.encode(event)) for event in events]
    assert found(again) == found(events) == found(events, asked_often=True)
