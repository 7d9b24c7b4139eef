"""connection-replaced: the server closed a connection in favour of a newer one, stated or inferred."""

import pytest

from tests.conversation import KICKED_CLIENT, KICKED_SERVER, START, Conversation, judged, log_of, one, ping_pong, user
from wscheck.detect.rules.connection_replaced import ConnectionReplaced
from wscheck.model.events import CodeLocation
from wscheck.model.findings import Confidence, Severity


def test_a_logged_replacement_is_certain() -> None:
    conversation = log_of("A").connects("s1", at=0).connects("s2", at=1).is_replaced("s1", "s2", at=1)
    found = one(judged(ConnectionReplaced, conversation))
    assert (found.user, found.severity, found.confidence) == ("A", Severity.ERROR, Confidence.HIGH)
    assert found.message == "the server replaced the user's connection by a newer one"
    assert [type(event).__name__ for event in found.evidence] == ["Connected", "Connected", "Replaced"]


def test_one_replacement_that_a_log_only_implies_is_a_warning() -> None:
    """A client that lost its network comes back while the server still keeps its dead connection."""

    def severity(times: int) -> Severity:
        conversation = log_of("A").connects("s0", at=0)
        for number in range(times):
            at = 60.0 * (number + 1)
            conversation.connects(f"s{number + 1}", at=at).disconnects(f"s{number}", at=at + 0.01, reason=KICKED_SERVER)
        return one(judged(ConnectionReplaced, conversation)).severity

    assert (severity(1), severity(2)) == (Severity.WARNING, Severity.ERROR)


def test_both_components_are_named_where_they_are_known() -> None:
    conversation = (
        user("A").connects("s1", at=0, by="Dashboard").connects("s2", at=1, by="Wizard").is_replaced("s1", "s2", at=1)
    )
    assert one(judged(ConnectionReplaced, conversation)).message == (
        "the server replaced one of the connections of Dashboard and Wizard by the other"
    )


def test_the_one_component_that_is_known_is_named() -> None:
    conversation = user("A").connects("s1", at=0, by="Dashboard").connects("s2", at=1).is_replaced("s1", "s2", at=1)
    assert (
        one(judged(ConnectionReplaced, conversation)).message
        == "the server replaced a connection of Dashboard by another"
    )


def test_a_replacement_at_the_end_of_the_evidence_does_not_change_what_a_loop_is_called() -> None:
    """The client was stopped before it knew the outcome of its last attempt, which only the server's log tells."""
    conversation = ping_pong(4).connects("s9", at=9).is_replaced("s4", "s9", at=9)
    whole, cut = (one(judged(ConnectionReplaced, each)).message for each in (ping_pong(4), conversation))
    assert cut == whole and "one of the connections of" in cut


def test_two_callers_of_shared_code_are_named_by_the_frames_at_which_their_stacks_diverge() -> None:
    shared, one_caller, other = (
        CodeLocation("src/open.ts", 7, 10),
        CodeLocation("src/one.tsx", 5, 3),
        CodeLocation("src/two.tsx", 9, 3),
    )
    conversation = user("A").connects("s1", at=0, opener=shared, stack=(shared, one_caller))
    conversation.connects("s2", at=1, opener=shared, stack=(shared, other)).is_replaced("s1", "s2", at=1)
    assert one(judged(ConnectionReplaced, conversation)).message == (
        "the server replaced one of the connections of one (src/one.tsx:5:3) and two (src/two.tsx:9:3) by the other"
    )


def test_one_component_that_replaces_itself_is_named_once() -> None:
    conversation = user("A").connects("s1", at=0, by="Dashboard").connects("s2", at=1, by="Dashboard")
    assert one(judged(ConnectionReplaced, conversation.is_replaced("s1", "s2", at=1))).message == (
        "the server replaced a connection of Dashboard by another"
    )


def test_a_connection_ended_by_the_server_while_a_newer_one_is_open_was_replaced() -> None:
    conversation = user("A").connects("s1", at=0).connects("s2", at=1).disconnects("s1", at=1, reason=KICKED_CLIENT)
    assert one(judged(ConnectionReplaced, conversation)).confidence is Confidence.HIGH


def test_a_transport_closed_right_after_the_next_connection_was_probably_replaced() -> None:
    conversation = (
        user("A").connects("s1", at=0).connects("s2", at=1).disconnects("s1", at=1.1, reason="transport close")
    )
    assert one(judged(ConnectionReplaced, conversation)).confidence is Confidence.MEDIUM


@pytest.mark.parametrize(
    ("reason", "at"),
    [("transport close", 3.0), ("io client disconnect", 1.1), ("ping timeout", 1.1), (None, 1.1)],
    ids=["long after", "by the client itself", "dead", "without a reason"],
)
def test_other_ends_of_the_older_connection_are_no_replacement(reason: str | None, at: float) -> None:
    conversation = user("A").connects("s1", at=0).connects("s2", at=1).disconnects("s1", at=at, reason=reason)
    assert judged(ConnectionReplaced, conversation) == []


def test_the_servers_end_of_the_only_or_newest_connection_is_no_replacement() -> None:
    alone = user("A").connects("s1", at=0).disconnects("s1", at=1, reason=KICKED_CLIENT)
    newest = user("A").connects("s1", at=0).connects("s2", at=1).disconnects("s2", at=2, reason=KICKED_CLIENT)
    assert judged(ConnectionReplaced, alone) == judged(ConnectionReplaced, newest) == []


def test_a_log_that_does_not_state_replacements_is_read_by_disconnect_reason() -> None:
    conversation = log_of("A").connects("s1", at=0).connects("s2", at=1).disconnects("s1", at=1, reason=KICKED_SERVER)
    assert one(judged(ConnectionReplaced, conversation)).confidence is Confidence.MEDIUM


def goodbye_first(after: float, at: float = 0.5) -> Conversation:
    """Return the log of a server that records the old connection's end before the new opening."""
    conversation = log_of("A").connects("s1", at=0).disconnects("s1", at=at, reason=KICKED_SERVER)
    return conversation.connects("s2", at=at + after)


def test_a_log_that_ends_the_old_connection_right_before_the_new_one_opens_shows_a_replacement() -> None:
    found = one(judged(ConnectionReplaced, goodbye_first(0.002)))
    assert (found.confidence, found.user) == (Confidence.MEDIUM, "A")
    assert [type(event).__name__ for event in found.evidence] == ["Connected", "Connected", "Disconnected"]


@pytest.mark.parametrize(
    "conversation",
    [
        goodbye_first(0.05),
        goodbye_first(0, at=1),
        log_of("A").connects("s1", at=0).disconnects("s1", at=0.5, reason="transport close").connects("s2", at=0.5),
        user("A").connects("s1", at=0).disconnects("s1", at=0.5, reason=KICKED_CLIENT).connects("s2", at=0.5),
        log_of("A")
        .connects("s1", at=0)
        .disconnects("s1", at=0.5, reason=KICKED_SERVER)
        .seen_by("server-log", node="other")
        .connects("s2", at=0.5),
    ],
    ids=["back after a kick", "of whole seconds", "left by itself", "a client's own clock", "on another node"],
)
def test_a_user_who_reconnects_replaces_nothing(conversation: Conversation) -> None:
    assert judged(ConnectionReplaced, conversation) == []


def test_an_end_by_the_server_explains_one_opening() -> None:
    conversation = goodbye_first(0.002).disconnects("s2", at=0.503, reason="transport close").connects("s3", at=0.504)
    assert one(judged(ConnectionReplaced, conversation)).count == 1


def test_a_replacement_that_the_log_states_later_counts_once() -> None:
    found = one(judged(ConnectionReplaced, goodbye_first(0.002).is_replaced("s1", "s2", at=0.503)))
    assert found.count == 1


def test_client_and_log_report_one_replacement() -> None:
    conversation = user("A").connects("s1", at=0).connects("s2", at=1).disconnects("s1", at=1, reason=KICKED_CLIENT)
    conversation.is_replaced("s1", "s2", at=1.01)
    assert one(judged(ConnectionReplaced, conversation)).count == 1


def test_a_replacement_of_an_unknown_user_has_medium_confidence() -> None:
    found = one(judged(ConnectionReplaced, log_of(None).is_replaced("s1", "s2", at=0)))
    assert (found.user, found.confidence) == (None, Confidence.MEDIUM)


def test_500_replacements_are_one_finding_with_its_rate() -> None:
    found = one(judged(ConnectionReplaced, ping_pong(500, every=0.3)))
    assert found.count == 500
    assert found.rate == pytest.approx(1 / 0.3)
    assert (found.first_at, found.last_at) == (START + 0.3, START + 150)
    assert len(found.evidence) == 8


def test_replacements_without_times_are_counted_and_have_no_rate() -> None:
    conversation = log_of("A")
    for n in range(20):
        conversation.is_replaced(f"s{n}", f"s{n + 1}", at=None)
    found = one(judged(ConnectionReplaced, conversation))
    assert (found.count, found.rate, found.first_at) == (20, None, None)
