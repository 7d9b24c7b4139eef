"""Properties of the ledger for any conversation, compared with a simple model and with itself."""

from collections.abc import Iterable
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.conversation import KICKED_CLIENT, KICKED_SERVER, START
from wscheck.detect.changes import ClosedChange, LedgerChange, OpenedChange, ReplacedChange, SurvivedChange
from wscheck.detect.engine import Judge
from wscheck.detect.ledger import Ledger
from wscheck.model.disconnect_reasons import DISCONNECT_SENT
from wscheck.model.events import AnyEvent, Connected, ConnectionExpired, Disconnected, Event, Replaced, ServerRestarted
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


def event_for(step: Step, number: int) -> Event:
    fields: dict[str, Any] = {"at": START + number * 0.4, "source": step[2] if len(step) > 2 else "server-log"}
    match step[0]:
        case "connect":
            return Connected(sid=step[1], user=step[1][0], **fields)
        case "end":
            return Disconnected(sid=step[1], user=step[1][0], reason=step[3], **fields)
        case "replace":
            return Replaced(old_sid=step[1], new_sid=step[2], user=step[1][0], **fields | {"source": "server-log"})
        case "restart":
            return ServerRestarted(**fields)
        case _:
            return ConnectionExpired(**fields, sid=step[1])


class ReferenceModel:
    """The simplest implementation: open, ended and replaced connections.

    opened_by  by open connection, the source that first reported its opening
    ended      by ended connection, the source that opened it if it may be recovered, else None
    """

    def __init__(self) -> None:
        self.opened_by: dict[str, str | None] = {}
        self.has_announcements = False
        self.ended: dict[str, str | None] = {}
        self.replaced: set[str | None] = set()

    def apply(self, step: Step) -> None:
        match step:
            case ("connect", sid, source):
                self.has_announcements = True
                if self.ended.get(sid) == source:
                    del self.ended[sid]
                self.open(sid, source)
            case ("end", sid, _, reason) if sid not in self.ended:
                self.close(sid, back=reason not in DISCONNECT_SENT)
            case ("replace", old, new) if old not in self.replaced:
                self.close(old, back=False)
                if not self.has_announcements and new not in self.opened_by.keys() | self.ended.keys():
                    for sid in [sid for sid in self.opened_by if sid[0] == new[0]]:
                        self.close(sid)
                self.open(new, None)
            case ("restart",):
                for sid in list(self.opened_by):
                    self.close(sid)
            case ("expire", sid) if sid in self.opened_by:
                self.close(sid)

    def mark_replaced(self, replaced: Iterable[str | None]) -> None:
        """Mark connections as replaced: they are not recovered."""
        for sid in replaced:
            self.replaced.add(sid)
            if sid is not None:
                self.ended[sid] = None

    def open(self, sid: str, source: str | None) -> None:
        if sid not in self.ended:
            self.opened_by[sid] = self.opened_by.get(sid) or source

    def close(self, sid: str, *, back: bool = True) -> None:
        source = self.opened_by.pop(sid, None)
        self.ended[sid] = source if back else None


def run_steps(steps: Iterable[Step]) -> tuple[Ledger, list[LedgerChange], ReferenceModel]:
    ledger, model = Ledger(), ReferenceModel()
    changes: list[LedgerChange] = []
    for number, step in enumerate(steps):
        made = apply_step(ledger, step, number)
        model.apply(step)
        model.mark_replaced(change.old_sid for change in made if isinstance(change, ReplacedChange))
        changes += made
    return ledger, changes, model


def apply_step(ledger: Ledger, step: Step, number: int) -> tuple[LedgerChange, ...]:
    event = event_for(step, number)
    return ledger.apply(event)


@given(conversations)
@settings(max_examples=200, deadline=None)
def test_open_connections_are_those_that_opened_and_did_not_end(steps: list[Step]) -> None:
    ledger, _, model = run_steps(steps)
    assert {sid for name in USERS for sid in ledger.open_connections(name)} == model.opened_by.keys()
    assert ledger.open_count == len(model.opened_by)
    for name in USERS:
        assert {ledger.user_for(sid) for sid in ledger.open_connections(name)} <= {name}
        assert len(set(ledger.open_connections(name))) == len(ledger.open_connections(name))
        assert ledger.counts_for(name).max_open >= len(ledger.open_connections(name))


@given(conversations)
@settings(max_examples=200, deadline=None)
def test_each_opening_ends_at_most_once_and_the_changes_add_up(steps: list[Step]) -> None:
    ledger, changes, _ = run_steps(steps)
    open_sids: set[str] = set()
    for change in changes:
        if isinstance(change, OpenedChange):
            assert change.sid not in open_sids
            open_sids.add(change.sid)
        elif isinstance(change, ReplacedChange):
            open_sids.discard(change.old_sid or "")
        elif isinstance(change, ClosedChange) and not change.replaced:
            assert change.sid in open_sids
            open_sids.discard(change.sid)
    assert open_sids == {sid for name in USERS for sid in ledger.open_connections(name)}
    replaced = [change.old_sid for change in changes if isinstance(change, ReplacedChange)]
    assert len(replaced) == len(set(replaced))


@given(conversations)
@settings(max_examples=200, deadline=None)
def test_each_change_lists_the_connections_that_remain_open(steps: list[Step]) -> None:
    ledger = Ledger()
    for number, step in enumerate(steps):
        made = apply_step(ledger, step, number)
        latest = {change.user: change for change in made if not isinstance(change, SurvivedChange)}
        for name, change in latest.items():
            open_sids = (*change.others, change.sid) if isinstance(change, OpenedChange) else change.remaining
            assert open_sids == ledger.open_connections(name)


@given(conversations, st.data())
@settings(max_examples=200, deadline=None)
def test_a_second_source_with_the_same_events_changes_nothing(steps: list[Step], data: st.DataObject) -> None:
    """The other source reports each connect and end again, some time later; no connection is recovered meanwhile."""
    firsts = {step[:2]: step for step in reversed(steps)}
    steps = [step for step in steps if step[0] not in ("connect", "end") or firsts[step[:2]] is step]
    twice = list(steps)
    for step in steps:
        if step[0] in ("connect", "end"):
            place = data.draw(st.integers(twice.index(step) + 1, len(twice)))
            other = "client" if step[2] == "server-log" else "server-log"
            twice.insert(place, (*step[:2], other, *step[3:]))
    once, again = run_steps(steps)[0], run_steps(twice)[0]
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
    events = [event_for(step, number) for number, step in enumerate(steps) if step[0] != "expire"]
    decoder = msgspec.json.Decoder(AnyEvent)
    again = [decoder.decode(msgspec.json.encode(event)) for event in events]
    assert found(again) == found(events) == found(events, asked_often=True)
