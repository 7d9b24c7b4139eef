"""Open connections per user: two sources in any order, restarts, expiry, namespaces, and memory."""

import itertools
from collections.abc import Iterable, Sequence

import pytest

from tests.conversation import KICKED_CLIENT, KICKED_SERVER, Conversation, log_of, user
from wscheck.detect.changes import ClosedChange, OpenedChange, ReplacedChange
from wscheck.detect.engine import Judge
from wscheck.detect.ledger import Ledger
from wscheck.model.events import AnyEvent, Connected, ConnectionExpired, Disconnected, Replaced, ServerRestarted

# --- the order of two sources --------------------------------------------------------------------------------------


def merges(mine: Sequence[AnyEvent], theirs: Sequence[AnyEvent]) -> Iterable[list[AnyEvent]]:
    """Return every interleaving of two sources."""
    for places in itertools.combinations(range(len(mine) + len(theirs)), len(mine)):
        first, second = iter(mine), iter(theirs)
        yield [next(first) if n in places else next(second) for n in range(len(mine) + len(theirs))]


CLIENT = user("A", page="tab-1").connects("s1", at=0, by="Dashboard").connects("s2", at=1, by="Wizard")
CLIENT.disconnects("s1", at=1, reason=KICKED_CLIENT)


def log(announced: bool) -> Conversation:
    """Return a replacement that the server logs before or after the opening of the newer connection."""
    conversation = log_of("A").connects("s1", at=0)
    conversation = conversation.connects("s2", at=1) if announced else conversation
    conversation = conversation.is_replaced("s1", "s2", at=1)
    conversation = conversation if announced else conversation.connects("s2", at=1)
    return conversation.disconnects("s1", at=1, reason=KICKED_SERVER)


@pytest.mark.parametrize("announced", [True, False], ids=["connected first", "replaced first"])
def test_events_of_two_sources_have_one_result_in_any_order(announced: bool) -> None:
    for events in merges(CLIENT.events, log(announced).events):
        ledger = Ledger()
        changes = [change for event in events for change in ledger.apply(event)]
        assert ledger.open_connections("A") == ("s2",)
        assert sum(isinstance(change, ReplacedChange) for change in changes) == 1
        tally = ledger.counts_for("A")
        assert (tally.connects, tally.replacements, tally.disconnects) == (2, 1, 1)


def test_the_source_that_knows_the_page_wins_as_evidence() -> None:
    for events in merges(CLIENT.events[:1], log(True).events[:1]):
        ledger = Ledger()
        for event in events:
            ledger.apply(event)
        opened = ledger.opening_event("s1")
        assert opened is not None and opened.page == "tab-1"


def test_a_source_that_knows_the_user_adds_it() -> None:
    ledger = Ledger()
    assert ledger.apply(Connected(sid="s1")) == ()
    assert (ledger.open_count, ledger.open_connections("A")) == (1, ())
    (opened,) = ledger.apply(Connected(sid="s1", user="A"))
    assert isinstance(opened, OpenedChange)
    assert (ledger.open_count, ledger.open_connections("A"), ledger.user_for("s1")) == (1, ("s1",), "A")


# --- restarts, expiry, namespaces ----------------------------------------------------------------------------------


def test_a_restart_ends_the_connections_of_that_process_only() -> None:
    ledger = Ledger()
    for event in log_of("A").connects("s1", at=0, node="one").connects("s2", at=0, node="two").events:
        ledger.apply(event)
    (closed,) = ledger.apply(ServerRestarted(node="one"))
    assert isinstance(closed, ClosedChange)
    assert (closed.sid, closed.reason, closed.remaining) == ("s1", "expired: the server restarted", ("s2",))
    assert ledger.apply(Disconnected(sid="s1", user="A")) == ()
    (closed,) = ledger.apply(ServerRestarted())
    assert (ledger.open_count, ledger.open_connections("A")) == (0, ())


def test_an_expired_connection_is_reported_and_a_late_opening_does_not_reopen_it() -> None:
    ledger = Ledger()
    ledger.apply(Connected(sid="s1", user="A", source="client"))
    (closed,) = ledger.apply(ConnectionExpired(sid="s1"))
    assert isinstance(closed, ClosedChange)
    assert closed.reason == "expired: nothing heard of it for too long"
    assert ledger.apply(ConnectionExpired(sid="s1")) == ()
    assert ledger.apply(Connected(sid="s1", user="A", source="server-log")) == ()
    assert ledger.open_count == 0


# --- connection state recovery: the same socket id, another connection ------------------------------------------------


@pytest.mark.parametrize("reason", [None, "transport close", "ping timeout", "forced close", "server shutting down"])
def test_a_recovered_connection_is_open_again_besides_others(reason: str | None) -> None:
    ledger = Ledger()
    conversation = log_of("A").connects("s1", at=0).disconnects("s1", at=1, reason=reason).connects("s1", at=2)
    for event in conversation.connects("s2", at=3).events:
        ledger.apply(event)
    assert ledger.open_connections("A") == ("s1", "s2")
    tally = ledger.counts_for("A")
    assert (tally.connects, tally.disconnects, tally.max_open) == (3, 1, 2)


@pytest.mark.parametrize(
    "reason", [KICKED_SERVER, KICKED_CLIENT, "client namespace disconnect", "io client disconnect"]
)
def test_a_connection_ended_by_a_disconnect_packet_is_not_recovered(reason: str) -> None:
    ledger = Ledger()
    for event in log_of("A").connects("s1", at=0).disconnects("s1", at=1, reason=reason).connects("s1", at=2).events:
        ledger.apply(event)
    assert ledger.open_count == 0


def test_a_replaced_connection_is_not_recovered() -> None:
    ledger = Ledger()
    conversation = log_of("A").connects("s1", at=0).connects("s2", at=1).is_replaced("s1", "s2", at=1)
    for event in conversation.disconnects("s1", at=1, reason="transport close").connects("s1", at=1.1).events:
        ledger.apply(event)
    assert ledger.open_connections("A") == ("s2",)


def test_a_recovered_connection_has_all_its_namespaces_again() -> None:
    for ends in itertools.permutations(("s1", "s2")):
        ledger = Ledger()
        for event in (
            *(Connected(sid=sid, eio="e1", user="A", source="browser") for sid in ("s1", "s2")),
            *(Disconnected(sid=sid, eio="e1", reason="transport close", source="browser") for sid in ends),
            *(Connected(sid=sid, eio="e2", user="A", source="browser") for sid in ("s1", "s2")),
        ):
            ledger.apply(event)
        assert ledger.open_connections("A") == ("s1",)
        assert ledger.apply(Disconnected(sid="s1", eio="e2", source="browser")) == ()
        assert ledger.open_count == 1


def test_a_replacement_of_a_connection_lost_a_moment_before_is_reported() -> None:
    ledger = Ledger()
    conversation = (
        log_of("A").connects("s1", at=0).connects("s2", at=1).disconnects("s1", at=1, reason="transport close")
    )
    changes = [change for event in conversation.is_replaced("s1", "s2", at=1).events for change in ledger.apply(event)]
    assert isinstance(changes[-1], ReplacedChange)
    assert ledger.counts_for("A").replacements == 1


def test_a_log_with_only_replacements_shows_no_two_connections() -> None:
    """The user disconnects and reconnects between two replacements, which this server does not log."""
    judge = Judge()
    for at, old, new in ((0, "s1", "s2"), (60, "s3", "s4"), (120, "s4", "s5")):
        judge.feed(Replaced(at=at, source="server-log", user="A", old_sid=old, new_sid=new))
    assert (judge.ledger.open_connections("A"), judge.ledger.users_over_one) == (("s5",), {})
    assert {finding.rule for finding in judge.finish(at=200)} == {"connection-replaced"}


NAMESPACES = ("s1", "s2", "s3")


@pytest.mark.parametrize("named", [True, False], ids=["ends name the session", "ends name only the socket"])
def test_namespaces_of_one_session_are_one_connection_until_the_last_ends(named: bool) -> None:
    for order in itertools.permutations(NAMESPACES):
        ledger = Ledger()
        opened = [c for sid in NAMESPACES for c in ledger.apply(Connected(sid=sid, eio="e1", user="A"))]
        assert (len(opened), ledger.open_count, len(ledger.open_connections("A"))) == (1, 1, 1)
        for sid in order[:-1]:
            assert ledger.apply(Disconnected(sid=sid, eio="e1" if named else None)) == ()
        assert ledger.open_count == 1
        (closed,) = ledger.apply(Disconnected(sid=order[-1], eio="e1" if named else None))
        assert (type(closed), ledger.open_count, ledger.open_connections("A")) == (ClosedChange, 0, ())


def test_a_session_reported_by_a_source_that_does_not_name_it() -> None:
    ledger = Ledger()
    for sid in NAMESPACES:
        ledger.apply(Connected(sid=sid, eio="e1", user="A", source="client"))
        ledger.apply(Connected(sid=sid, user="A", source="server-log"))
    assert ledger.open_connections("A") == ("s1",)


def test_a_session_that_only_the_second_source_names_is_known_from_then_on() -> None:
    ledger = Ledger()
    ledger.apply(Connected(sid="s1", user="A", source="server-log"))
    ledger.apply(Connected(sid="s1", eio="e1", user="A", source="client"))
    assert ledger.apply(Connected(sid="s2", eio="e1", user="A", source="client")) == ()
    assert ledger.open_connections("A") == ("s1",)


def test_events_without_socket_ids_are_counted_and_open_nothing() -> None:
    ledger = Ledger()
    for event in (Connected(user="A"), Connected(user="A"), Disconnected(user="A"), Replaced(user="A")):
        ledger.apply(event)
    tally = ledger.counts_for("A")
    assert (tally.connects, tally.disconnects, tally.replacements, ledger.open_count) == (2, 1, 1, 0)


def test_each_connection_counts_once_however_many_lines_report_it() -> None:
    ledger = Ledger()
    anonymous, known = log_of(None), log_of("A")
    for event in (
        *anonymous.connects("s1", at=0).connects("s2", at=1).events,  # the server authenticates them later, or never
        *known.connects("s1", at=2).connects("s1", at=2).connects(None, at=9).disconnects("s1", at=12).events,
        *log_of("B")
        .connects("n1", at=20, namespace="/a", eio="e1")
        .connects("n2", at=20, namespace="/b", eio="e1")
        .events,
        *log_of("C").is_replaced("s5", "s6", at=30).connects("s6", at=30).events,
    ):
        ledger.apply(event)
    counted = {"A": 2, "B": 1, "C": 1}
    assert {name: ledger.counts_for(name).connects for name in counted} == counted
    assert ledger.connection_count == sum(counted.values()) + 1


def test_the_end_of_a_connection_opened_before_the_observation_is_counted() -> None:
    ledger = Ledger()
    assert ledger.apply(Disconnected(sid="s0", user="A")) == ledger.apply(Disconnected(sid="s0", user="A")) == ()
    assert (ledger.counts_for("A").disconnects, ledger.open_count) == (1, 0)


def test_an_inferred_replacement_in_a_log_is_counted_once_the_log_states_it() -> None:
    ledger = Ledger()
    conversation = log_of("A").connects("s1", at=0).connects("s2", at=1).disconnects("s1", at=1, reason=KICKED_SERVER)
    changes = [c for event in conversation.is_replaced("s1", "s2", at=1).events for c in ledger.apply(event)]
    assert sum(isinstance(change, ReplacedChange) for change in changes) == 1
    assert ledger.counts_for("A").replacements == 1


@pytest.mark.parametrize(
    ("acknowledged", "kicked", "replaced"), [(0.1, 0.15, True), (0.5, 0.55, False), (0.1, 0.6, False)]
)
def test_a_connection_ended_right_after_its_acknowledgement_was_the_older(
    acknowledged: float, kicked: float, replaced: bool
) -> None:
    """With long-polling two answers may arrive in either order; a later disconnect does not show that."""
    ledger = Ledger()
    conversation = user("A").connects("s2", at=0).connects("s1", at=acknowledged)
    conversation = conversation.disconnects("s1", at=kicked, reason=KICKED_CLIENT)
    changes = [c for event in conversation.events for c in ledger.apply(event) if isinstance(c, ReplacedChange)]
    assert [(c.old_sid, c.new_sid) for c in changes] == ([("s1", "s2")] if replaced else [])
    assert ledger.open_connections("A") == ("s2",)


# --- what it costs ---------------------------------------------------------------------------------------------------


def test_memory_follows_the_open_connections_only() -> None:
    ledger = Ledger(memory=50)
    for n in range(2_000):
        eio, sid, chat = f"e{n}", f"s{n}", f"c{n}"
        ledger.apply(Connected(sid=sid, eio=eio, user="A", node="one"))
        ledger.apply(Connected(sid=chat, eio=eio, user="A", namespace="/chat"))
        if n % 3 == 0:
            ledger.apply(Replaced(old_sid=sid, new_sid=f"r{n}", user="A"))
            ledger.apply(Disconnected(sid=f"r{n}", user="A"))
        for each in (sid, chat):
            ledger.apply(Disconnected(sid=each, user="A"))
    kept = {**vars(ledger), **vars(ledger.engine_sessions)}
    sizes = {name: len(value) for name, value in kept.items() if hasattr(value, "__len__")}
    assert ledger.open_count == 0
    assert [sid for sid in ("s1999", "c1999", "r1998") if ledger.opening_event(sid) is not None] == []
    assert {name: size for name, size in sizes.items() if size > 50} == {}


def test_stored_events_are_bounded_and_open_connections_are_not() -> None:
    ledger = Ledger(memory=10)
    for n in range(100):
        ledger.apply(Connected(sid=f"s{n}", user=f"user_{n}"))
    assert ledger.open_count == 100
    assert ledger.opening_event("s0") is None
    assert ledger.opening_event("s99") is not None
    assert ledger.open_connections("user_0") == ("s0",)
    assert list(ledger.users()) == [f"user_{n}" for n in range(100)]
