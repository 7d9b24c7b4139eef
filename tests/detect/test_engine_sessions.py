"""Sockets of a log that are one connection, where the log names namespaces and no session."""

import pytest

from tests.conversation import KICKED_SERVER, Conversation, judged, log_of, one
from wscheck.detect.changes import ClosedChange
from wscheck.detect.ledger import Ledger
from wscheck.detect.rules.excessive_attempts import ExcessiveAttempts
from wscheck.detect.rules.multiple_connections import MultipleConnections
from wscheck.model.events import Connected, Disconnected
from wscheck.model.findings import Confidence

ROOT, BOT = {"namespace": "/"}, {"namespace": "/bot"}


def page(at: float, *sids: str, conversation: Conversation | None = None) -> Conversation:
    """A client joins two namespaces, one after the other; `sids` are its sockets in them."""
    conversation = conversation if conversation is not None else log_of("A")
    return conversation.connects(sids[0], at=at, **ROOT).connects(sids[1], at=at + 0.01, **BOT)


def open_sids(conversation: Conversation) -> tuple[str, ...]:
    ledger = Ledger()
    for event in conversation.events:
        ledger.apply(event)
    return ledger.open_connections("A")


def test_two_namespaces_may_be_one_connection_which_ends_with_the_last() -> None:
    ledger = Ledger()
    for event in page(0, "a1", "b1").events:
        ledger.apply(event)
    assert (ledger.open_connections("A"), ledger.open_count, ledger.counts_for("A").max_open) == (("a1",), 1, 1)
    assert ledger.apply(Disconnected(at=9, sid="a1")) == ()
    (closed,) = ledger.apply(Disconnected(at=9, sid="b1"))
    assert isinstance(closed, ClosedChange) and ledger.open_connections("A") == ()


def test_two_sockets_in_one_namespace_are_certainly_two_connections() -> None:
    conversation = page(1, "a2", "b2", conversation=page(0, "a1", "b1"))
    assert open_sids(conversation) == ("a1", "a2")
    found = one(judged(MultipleConnections, conversation.watched(until=9)))
    assert (found.message, found.confidence) == ("holds 2 connections at once", Confidence.HIGH)


def test_a_log_without_namespaces_has_medium_confidence() -> None:
    conversation = log_of("A").connects("a1", at=0).connects("b1", at=0.01)
    assert one(judged(MultipleConnections, conversation.watched(until=9))).confidence is Confidence.MEDIUM


def test_sockets_of_two_processes_are_never_one_connection() -> None:
    conversation = log_of("A").connects("a1", at=0, node="x", **ROOT).connects("b1", at=0.01, node="y", **BOT)
    assert open_sids(conversation) == ("a1", "b1")
    conversation.connects("c1", at=0.02, node="x", **BOT)
    assert open_sids(conversation) == ("a1", "b1")


def test_a_reloaded_page_is_replaced_in_each_namespace() -> None:
    conversation = page(0, "a1", "b1").connects("a2", at=1, **ROOT).is_replaced("a1", "a2", at=1)
    conversation.disconnects("a1", at=1, reason=KICKED_SERVER).connects("b2", at=1.01, **BOT).is_replaced(
        "b1", "b2", at=1.01
    )
    conversation.disconnects("b1", at=1.01, reason=KICKED_SERVER)
    assert open_sids(conversation) == ("a2",)
    assert open_sids(conversation.disconnects("a2", at=2).disconnects("b2", at=2)) == ()
    assert judged(MultipleConnections, conversation.watched(until=9)) == []


@pytest.mark.parametrize("ends", [("a1", "b1"), ("b1", "a1"), ("a2", "b2"), ("b2", "a2")])
def test_sockets_that_turn_out_not_to_be_one_connection_are_grouped_again(ends: tuple[str, str]) -> None:
    """Two connections, {a1, b1} and {a2, b2}: the second one's namespaces open between those of the first."""
    conversation = log_of("A").connects("a1", at=0, **ROOT).connects("a2", at=1, **ROOT)
    conversation.connects("b1", at=1.01, **BOT).connects("b2", at=1.02, **BOT)
    assert len(open_sids(conversation)) == 2
    for sid in ends:
        conversation.disconnects(sid, at=5, reason="transport close")
    assert len(open_sids(conversation)) == 1
    for sid in {"a1", "a2", "b1", "b2"} - set(ends):
        conversation.disconnects(sid, at=6, reason="transport close")
    assert open_sids(conversation) == ()


def test_further_namespaces_are_no_attempts() -> None:
    conversation = log_of("A")
    for n in range(8):
        conversation.connects(f"s{n}", at=n / 10, namespace=f"/{n}")
    assert judged(ExcessiveAttempts, conversation) == []


def test_ended_connections_use_no_memory() -> None:
    ledger = Ledger(memory=50)
    for n in range(500):
        for sid, namespace in ((f"a{n}", "/"), (f"b{n}", "/bot")):
            ledger.apply(Connected(sid=sid, user=f"u{n % 60}", namespace=namespace, source="server-log"))
        for sid in (f"a{n}", f"b{n}") if n % 2 else (f"b{n}", f"a{n}"):
            ledger.apply(Disconnected(sid=sid, source="server-log"))
    assert ledger.open_count == 0
    assert [name for name, kept in vars(ledger.engine_sessions).items() if hasattr(kept, "__len__") and kept] == []
