"""Lines of a log that name the user and not the socket."""

from typing import Any

import pytest

from tests.conversation import Conversation, log_of, user
from tests.counted_calls import counted_calls
from wscheck.detect.engine import Judge
from wscheck.detect.ledger import Ledger
from wscheck.detect.rules.multiple_connections import MultipleConnections
from wscheck.detect.socket_ids import is_logged
from wscheck.model.events import SOURCE_SERVER_LOG, Connected, Disconnected
from wscheck.model.findings import Finding


def ledger_after(conversation: Conversation) -> Ledger:
    ledger = Ledger()
    for event in conversation.events:
        ledger.apply(event)
    return ledger


def evaluated(conversation: Conversation) -> tuple[list[Finding], str]:
    """Return the findings, and the reasons of the blocking gaps."""
    judge = Judge(None, [MultipleConnections])
    for event in conversation.events:
        judge.feed(event)
    return judge.finish(), "; ".join(gap.reason for gap in judge.gaps if gap.blocks)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, True),
        ({"page": "tab-1"}, True),
        ({"eio": "e1"}, True),
        ({"page": "tab-1", "eio": "e1"}, False),
        ({"page": "tab-1", "component": "Dashboard"}, False),
    ],
)
def test_a_log_reports_neither_session_nor_component_of_a_page(known: dict[str, Any], expected: bool) -> None:
    assert is_logged(Connected(at=0.0, source=SOURCE_SERVER_LOG, user="A", sid="s1", **known)) is expected


def test_an_end_without_socket_closes_the_only_connection() -> None:
    ledger = ledger_after(log_of("A").connects("s1", at=0).disconnects(None, at=5).connects("s2", at=6))
    assert (ledger.open_connections("A"), ledger.counts_for("A").max_open) == (("s2",), 1)


def test_an_end_without_socket_of_a_user_with_several_is_a_gap() -> None:
    found, gap = evaluated(log_of("A").connects("s1", at=0).connects("s2", at=0.1).disconnects(None, at=0.2))
    assert found == []
    assert "1 line reports the end of a connection by its user, who has several" in gap


def test_an_overlap_is_counted_although_its_ends_name_no_socket() -> None:
    said = log_of("A").connects("s1", at=0).connects("s2", at=5).disconnects(None, at=50).disconnects(None, at=60)
    found, _ = evaluated(said)
    assert [each.message for each in found] == ["holds 2 connections at once"]
    assert ledger_after(said).open_connections("A") == ()


@pytest.mark.parametrize("socket_first", [True, False])
def test_two_lines_about_one_end_close_one_connection(socket_first: bool) -> None:
    said = log_of("A").connects("s1", at=0).connects("s2", at=5)
    if socket_first:
        said.disconnects("s2", at=50).disconnects(None, at=50.001)
    else:
        said.disconnects(None, at=50).disconnects("s2", at=50.001)
    ledger = ledger_after(said)
    assert (ledger.open_connections("A"), ledger.counts_for("A").disconnects) == (("s1",), 1)
    assert ledger.user_only_lines.unclear_ends == 0


def test_lines_without_sockets_count_connections_if_the_log_reports_ends_by_user() -> None:
    said = log_of("A").connects(None, at=0).connects(None, at=5).disconnects(None, at=50).disconnects(None, at=60)
    found, gap = evaluated(said)
    assert ([each.message for each in found], gap) == (["holds 2 connections at once"], "")


def test_one_connection_after_the_other_without_sockets_is_no_overlap() -> None:
    said = log_of("A").connects(None, at=0).disconnects(None, at=5).connects(None, at=6).disconnects(None, at=9)
    assert evaluated(said) == ([], "")
    assert ledger_after(said).counts_for("A").max_open == 1


def test_lines_without_sockets_and_without_ends_by_user_are_a_gap() -> None:
    found, gap = evaluated(log_of("A").connects(None, at=0).connects(None, at=5).watched(until=9))
    assert found == []
    assert gap.startswith("connections could not be counted for any user: lines report openings without a socket id")


def test_a_second_line_about_an_opening_opens_nothing() -> None:
    ledger = ledger_after(log_of("A").connects("s1", at=0).connects(None, at=0.001).connects(None, at=30))
    assert (ledger.open_connections("A"), ledger.unattributed) == (("s1",), 1)


def test_an_end_without_socket_closes_no_connection_that_a_client_reports() -> None:
    said = user("A", page="tab-1").connects("s1", at=0).seen_by("server-log").disconnects(None, at=5)
    assert ledger_after(said).open_connections("A") == ("s1",)


@pytest.mark.parametrize("line_first", [True, False])
def test_a_replacement_without_sockets_ends_the_older_connection(line_first: bool) -> None:
    said = log_of("A").connects("s1", at=0)
    if line_first:
        said.is_replaced(None, None, at=5).connects("s2", at=5.004)
    else:
        said.connects("s2", at=5).is_replaced(None, None, at=5.004)
    ledger = ledger_after(said)
    assert (ledger.open_connections("A"), ledger.counts_for("A").replacements) == (("s2",), 1)


def test_the_end_of_a_replaced_connection_without_socket_closes_no_other() -> None:
    said = log_of("A").connects(None, at=0).is_replaced(None, None, at=5).connects(None, at=5).disconnects(None, at=5)
    assert len(ledger_after(said).open_connections("A")) == 1


def test_an_end_without_a_socket_id_does_not_read_all_connections_of_the_user() -> None:
    calls = dict[int, int]()
    for many in (250, 1000):
        ledger = Ledger()
        for number in range(many):
            ledger.apply(Connected(at=float(number), user="ann", sid=f"s{number}", source=SOURCE_SERVER_LOG))
        with counted_calls() as count:
            for number in range(many // 2):
                ledger.apply(Disconnected(at=float(many + 9 * number), user="ann", source=SOURCE_SERVER_LOG))
        calls[many] = count.calls
        assert len(ledger.open_connections("ann")) == many // 2
    assert calls[1000] < 6 * calls[250]
