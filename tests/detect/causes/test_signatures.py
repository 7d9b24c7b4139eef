"""Signatures in openings, replacements and ends, each with a near miss."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.conversation import KICKED_CLIENT, Conversation, judged, log_of, ping_pong, user
from wscheck.detect.causes import _NEED_PAGE_DATA, UserHistory, causes_for_rule, probable_cause
from wscheck.detect.causes.history import Signature
from wscheck.detect.changes import ClosedChange, ReplacedChange
from wscheck.detect.engine import Judge
from wscheck.detect.rules import DOCUMENTED, REGISTRY
from wscheck.model.events import CodeLocation, Connected
from wscheck.model.findings import Cause, Confidence


def why(conversation: Conversation, rule: str = "multiple-connections") -> str | None:
    """Return the cause of the first finding of `rule`."""
    found = cause(conversation, rule)
    return found.id if found is not None else None


def cause(conversation: Conversation, rule: str = "multiple-connections") -> Cause | None:
    return next(
        f.cause
        for f in judged([*DOCUMENTED, REGISTRY["tab-displaced"], REGISTRY["event-unheard"]], conversation)
        if f.rule == rule
    )


def page(*by: str, apart: float = 1.0, **more: Iterable[object]) -> Conversation:
    """Return one page's connections, opened one after the other by different openers; all stay open."""
    conversation = user("A", page="tab-1")
    for n, opener in enumerate(by):
        conversation.connects(f"s{n}", at=n * apart, by=opener, **{key: values[n] for key, values in more.items()})  # type: ignore[index]
    return conversation.watched(until=60)


# --- what the page shows ---------------------------------------------------------------------------------------------


def test_two_openers() -> None:
    found = cause(page("src/dashboard.tsx:42", "src/wizard.tsx:7"))
    assert found is not None
    assert (found.id, found.confidence) == ("two-openers", Confidence.HIGH)
    assert found.because == "one page opened one connection in src/dashboard.tsx:42 and one in src/wizard.tsx:7"


def test_two_openers_are_not_those_of_two_pages() -> None:
    conversation = (
        user("A").connects("s1", at=0, by="Dashboard", page="tab-1").connects("s2", at=1, by="Wizard", page="tab-2")
    )
    assert why(conversation.watched(until=9)) == "several-tabs"


def test_two_openers_are_not_one_after_the_other() -> None:
    conversation = page("Dashboard", "Dashboard").disconnects("s0", at=61).disconnects("s1", at=62)
    assert why(conversation.connects("s9", at=63, by="Wizard").watched(until=70)) == "unmount-without-cleanup"


def test_an_event_that_did_not_arrive_went_to_the_connection_that_the_server_kept() -> None:
    conversation = user("A", page="tab-1").connects("s0", at=0, by="Dashboard").connects("s1", at=0.1, by="Wizard")
    conversation.expects("delivered", at=0.2, name="message_sync", within=1)
    ended = conversation.disconnects("s0", at=0.1, reason=KICKED_CLIENT).watched(until=9)
    (missing,) = judged([REGISTRY["event-missing"]], ended)
    assert missing.cause is not None and missing.cause.id == "two-openers"
    assert missing.cause.confidence is Confidence.MEDIUM and "the one that it kept" in missing.cause.because


def test_an_event_that_did_not_arrive_on_the_only_connection_has_no_such_cause() -> None:
    conversation = user("A", page="tab-1").connects("s0", at=0, by="Dashboard")
    conversation.expects("delivered", at=0.2, name="message_sync", within=1)
    assert [found.cause for found in judged([REGISTRY["event-missing"]], conversation.watched(until=9))] == [None]


def test_effect_without_cleanup() -> None:
    found = cause(page("src/a.tsx:5", "src/a.tsx:5", apart=0.005))
    assert found is not None
    assert (found.id, found.because) == ("effect-without-cleanup", "src/a.tsx:5 opened two connections 5 ms apart")


def test_effect_without_cleanup_takes_no_longer_than_a_commit() -> None:
    assert why(page("src/a.tsx:5", "src/a.tsx:5", apart=0.2)) == "unmount-without-cleanup"


def test_unmount_without_cleanup() -> None:
    found = cause(page("src/a.tsx:5", "src/a.tsx:5", "src/a.tsx:5", apart=5))
    assert found is not None
    assert (found.id, found.confidence) == ("unmount-without-cleanup", Confidence.MEDIUM)


def test_unmount_without_cleanup_needs_a_known_opener() -> None:
    assert why(page("", "", apart=5)) is None


def test_token_refresh() -> None:
    assert why(page("src/a.tsx:5", "src/a.tsx:5", apart=5, fingerprint=("t1", "t2"))) == "token-refresh"


def test_token_refresh_is_not_the_same_token_again() -> None:
    assert why(page("src/a.tsx:5", "src/a.tsx:5", apart=5, fingerprint=("t1", "t1"))) == "unmount-without-cleanup"


def test_several_tabs() -> None:
    conversation = user("A").connects("s1", at=0, page="tab-1").connects("s2", at=1, page="tab-2").watched(until=9)
    assert why(conversation) == "several-tabs"
    assert why(conversation, "tab-displaced") == "several-tabs"


def test_several_tabs_are_not_one_page() -> None:
    assert why(page("Dashboard", "Wizard")) != "several-tabs"


# --- what the server shows -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "confidence"), [("forced close", Confidence.HIGH), ("transport close", Confidence.MEDIUM)]
)
def test_transport_closed(reason: str, confidence: Confidence) -> None:
    conversation = log_of("A").connects("s1", at=0).connects("s2", at=1).is_replaced("s1", "s2", at=1)
    found = cause(conversation.disconnects("s1", at=1.01, reason=reason), "connection-replaced")
    assert found is not None
    assert (found.id, found.confidence) == ("transport-closed", confidence)
    assert found.because == f'the replaced connection ended with "{reason}"'


@pytest.mark.parametrize("acknowledged", [1.05, 2.2])
@pytest.mark.parametrize("first", ["the end", "the acknowledgement"])
def test_transport_closed_whichever_the_client_knows_first(first: str, acknowledged: float) -> None:
    said = user("A").attempts(at=0).connects("s1", at=0.1, page="tab-1").attempts(at=1)
    end = acknowledged - 0.02 if first == "the end" else acknowledged + 0.02
    for at in sorted((end, acknowledged)):
        if at == end:
            said.disconnects("s1", at=at, reason="transport close")
        else:
            said.connects("s2", at=at, page="tab-2")
    assert why(said, "tab-displaced") == "transport-closed"


def test_transport_closed_is_not_a_namespace_that_was_disconnected() -> None:
    conversation = log_of("A").connects("s1", at=0).connects("s2", at=1).is_replaced("s1", "s2", at=1)
    assert (
        why(conversation.disconnects("s1", at=1.01, reason="server namespace disconnect"), "connection-replaced")
        is None
    )


def test_reconnect_on_kick() -> None:
    found = cause(ping_pong(3), "connection-replaced")
    assert found is not None
    assert (found.id, found.confidence) == ("reconnect-on-kick", Confidence.MEDIUM)
    assert found.because == "3 replacements, one every 300 ms"
    assert found.settle_by


def test_reconnect_on_kick_is_certain_after_more_replacements_and_explains_the_attempts() -> None:
    found = cause(ping_pong(30, every=1.5), "excessive-attempts")
    assert found is not None
    assert (found.id, found.confidence, found.settle_by) == ("reconnect-on-kick", Confidence.HIGH, "")
    assert found.because == "29 times the server ended a connection and its opener connected again, 1500 ms later"


def test_reconnect_on_kick_is_not_a_few_tabs_that_connect_at_one_moment() -> None:
    assert why(ping_pong(4, every=0.002), "connection-replaced") is None
    assert why(ping_pong(40, every=0.002), "connection-replaced") == "reconnect-on-kick"


def test_reconnect_on_kick_needs_steady_intervals() -> None:
    conversation = log_of("A").connects("s0", at=0)
    for n, at in enumerate((1.0, 40.0, 41.0, 300.0), start=1):
        conversation.connects(f"s{n}", at=at).is_replaced(f"s{n - 1}", f"s{n}", at=at)
    assert why(conversation, "connection-replaced") is None


def test_two_openers_precede_reconnect_on_kick() -> None:
    assert why(ping_pong(30, source="client", page="tab-1"), "connection-replaced") == "two-openers"


def test_map_per_process() -> None:
    conversation = log_of("A").connects("s1", at=0, node="node-1").connects("s2", at=5, node="node-2").watched(until=9)
    found = cause(conversation)
    assert found is not None
    assert found.because == "node-1 and node-2 each have a connection and neither replaced the other"


def test_map_per_process_although_each_replaces_its_own() -> None:
    conversation = log_of("A").connects("s1", at=0, node="node-1").connects("s2", at=0.01, node="node-2")
    conversation.connects("s3", at=0.02, node="node-1").is_replaced("s1", "s3", at=0.02).watched(until=9)
    found = cause(conversation)
    assert found is not None and (found.id, found.confidence) == ("map-per-process", Confidence.HIGH)
    assert why(conversation, "connection-replaced") is None


def test_map_per_process_is_not_a_server_that_replaces_on_any_node() -> None:
    conversation = log_of("A").connects("s1", at=0, node="node-1").connects("s2", at=5, node="node-2")
    conversation.is_replaced("s1", "s2", at=5).connects("s3", at=20, node="node-1").watched(until=30)
    assert why(conversation) is None


def test_map_per_process_in_one_log_of_all_processes() -> None:
    """A server replaces one connection and keeps another that opened much later: no race."""
    conversation = log_of("A").connects("s1", at=0).connects("s2", at=5).is_replaced("s1", "s2", at=5)
    found = cause(conversation.connects("s3", at=12).watched(until=30))
    assert found is not None and (found.id, found.confidence) == ("map-per-process", Confidence.MEDIUM)
    assert (
        found.because
        == "the server replaced 1 of the user's connections and kept others, one of them 7.0 s after another"
    )
    assert found.settle_by


def test_map_per_process_is_not_one_node() -> None:
    assert why(log_of("A", node="node-1").connects("s1", at=0).connects("s2", at=5).watched(until=9)) is None


def test_map_per_process_is_not_a_user_who_reconnected_to_another_process() -> None:
    conversation = log_of("A").connects("s1", at=0, node="node-1").connects("s2", at=1, node="node-1").watched(until=9)
    conversation.disconnects("s1", at=10).disconnects("s2", at=10).connects("s3", at=20, node="node-2")
    assert why(conversation.watched(until=30)) is None


def test_lookup_race() -> None:
    found = cause(log_of("A").connects("s1", at=0).connects("s2", at=0.05).watched(until=9))
    assert found is not None
    assert (found.id, found.confidence) == ("lookup-race", Confidence.MEDIUM)
    assert found.because == "two connections opened 50 ms apart, and the server replaced neither"
    assert "await" in found.settle_by


def test_lookup_race_is_not_a_second_connection_much_later() -> None:
    assert why(log_of("A").connects("s1", at=0).connects("s2", at=5).watched(until=9)) is None


def test_lookup_race_is_not_a_server_that_replaces() -> None:
    conversation = log_of("A").connects("s1", at=0).connects("s2", at=0.05).is_replaced("s1", "s2", at=0.05)
    assert why(conversation, "connection-replaced") is None


def test_lookup_race_of_a_process_that_replaces_others() -> None:
    """Five connections at once: the server finds the first in time and not the next, whatever their tabs."""
    conversation = log_of("A", node="node-1", namespace="/").connects("s1", at=0).connects("s2", at=0.05)
    conversation.is_replaced("s1", "s2", at=0.05).connects("s3", at=0.06).watched(until=9)
    found = cause(conversation)
    assert found is not None and (found.id, found.confidence) == ("lookup-race", Confidence.HIGH)
    assert (
        found.because
        == "two connections opened 10 ms apart, and the server replaced neither, although it replaced others"
    )
    assert why(conversation, "connection-replaced") is None


def test_lookup_race_is_not_certain_if_several_processes_may_write_the_log() -> None:
    conversation = log_of("A").connects("s1", at=0).connects("s2", at=0.05).is_replaced("s1", "s2", at=0.05)
    found = cause(conversation.connects("s3", at=0.06).watched(until=9))
    assert found is not None and (found.id, found.confidence) == ("lookup-race", Confidence.MEDIUM)
    assert "one process" in found.settle_by


def missing(conversation: Conversation, rule: str = "connection-missing") -> Cause | None:
    (found,) = judged(REGISTRY[rule], conversation.expects("connected", at=9))
    return found.cause


def test_newcomer_ended() -> None:
    """Two connections at two processes, each of which ended the other one."""
    conversation = user("A").connects("s1", at=0).connects("s2", at=0.01)
    conversation.disconnects("s1", at=0.02, reason=KICKED_CLIENT).disconnects("s2", at=0.02, reason=KICKED_CLIENT)
    found = missing(conversation)
    assert found is not None and (found.id, found.confidence) == ("newcomer-ended", Confidence.HIGH)
    assert "except(socket.id)" in found.fix


def test_newcomer_ended_without_an_older_connection() -> None:
    found = missing(user("A").connects("s1", at=0).disconnects("s1", at=0.01, reason=KICKED_CLIENT))
    assert found is not None and (found.id, found.confidence) == ("newcomer-ended", Confidence.MEDIUM)


def test_newcomer_ended_is_not_a_lost_network_nor_a_client_that_disconnects() -> None:
    for reason in ("transport close", "io client disconnect"):
        assert missing(user("A").connects("s1", at=0).disconnects("s1", at=0.01, reason=reason)) is None


def test_no_sticky_session_keeps_a_client_from_connecting() -> None:
    found = missing(user("A").is_refused(at=0, message="Session ID unknown"))
    assert found is not None and found.id == "no-sticky-session"


def test_zombie() -> None:
    conversation = log_of("A").connects("s1", at=0).connects("s2", at=5).disconnects("s1", at=20, reason="ping timeout")
    assert why(conversation) == "zombie"


def test_zombie_is_not_a_ping_timeout_of_the_newer_one() -> None:
    conversation = log_of("A").connects("s1", at=0).connects("s2", at=5).disconnects("s2", at=20, reason="ping timeout")
    assert why(conversation) is None


def test_zombie_is_not_an_older_one_that_disconnected() -> None:
    conversation = (
        log_of("A").connects("s1", at=0).connects("s2", at=5).disconnects("s1", at=20, reason="transport close")
    )
    assert why(conversation) is None


def tabs_in_turn(*keys: str | None, reason: str = "io server disconnect", field: str = "shared_key") -> Conversation:
    """Two tabs connect in turn, and the server ends the older connection each time."""
    conversation = user("A")
    for n in range(8):
        tab = n % 2
        conversation.connects(f"s{n}", at=n, page=f"tab {tab + 1}", **{field: keys[tab]})
        if n:
            conversation.disconnects(f"s{n - 1}", at=n + 0.01, reason=reason)
    return conversation.watched(until=60)


@pytest.mark.parametrize("reason", ["io server disconnect", "transport close"])
@pytest.mark.parametrize("rule", ["connection-replaced", "excessive-attempts", "tab-displaced"])
def test_session_inherited(rule: str, reason: str) -> None:
    found = cause(tabs_in_turn("slot", "slot", reason=reason), rule)
    assert found is not None and found.id == "session-inherited"
    assert "tab 1 and tab 2" in found.because and "`slot`" in found.because
    for keys in (("slot", None), (None, None)):
        assert why(tabs_in_turn(*keys, reason=reason), rule) != "session-inherited"


def test_session_inherited_is_nothing_while_no_connection_ends() -> None:
    both = user("A").connects("s1", at=0, page="tab 1", shared_key="slot")
    both.connects("s2", at=1, page="tab 2", shared_key="slot")
    assert why(both.watched(until=60)) != "session-inherited"


@pytest.mark.parametrize("rule", ["connection-replaced", "excessive-attempts"])
def test_client_id_reused(rule: str) -> None:
    found = cause(tabs_in_turn("desk", "desk", field="client_id"), rule)
    assert found is not None and found.id == "client-id-reused" and "client id desk" in found.because
    for names in (("desk", "other"), ("desk", None), (None, None)):
        assert why(tabs_in_turn(*names, field="client_id"), rule) != "client-id-reused"


def test_every_signature_has_its_test() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    recognised = {doc.id for rule in REGISTRY for doc in causes_for_rule(rule)}
    assert {id for id in recognised if f"def test_{id.replace('-', '_')}(" not in tests} == set()


# --- histories --------------------------------------------------------------------------------------------------------


def test_a_finding_that_nothing_explains_has_no_cause() -> None:
    judge = Judge()
    assert probable_cause("event-leaked", judge._histories.history("A")) is None
    assert why(user("A").connects("s1", at=0).connects("s2", at=9).watched(until=20)) is None


@pytest.mark.parametrize("signature", sorted(_NEED_PAGE_DATA, key=lambda each: getattr(each, "__name__", "")))
def test_signatures_that_need_page_data_match_nothing_without_it(signature: Signature) -> None:
    """Skipping these signatures does not change the result: a history without page data matches none of them."""
    old, new = (
        Connected(
            at=n / 1000, sid=f"s{n}", user="A", component=f"c{n}", stack=(CodeLocation(f"{n}.ts", n),), url=f"u{n}"
        )
        for n in (1, 2)
    )
    history = UserHistory()
    history.opened(old)
    history.opened(new)
    history.met.append((old, new))
    history.replaced(ReplacedChange("A", "s1", "s2", new, True, Confidence.HIGH, ("s2",), old, new))
    for _ in range(3):
        history.closed(ClosedChange("A", "s1", old, "io client disconnect", True, (), old))
    assert not history.has_page_data
    assert signature(history) is None


def test_the_cause_may_become_clearer_as_the_finding_grows() -> None:
    causes: list[str | None] = []
    judge = Judge(on_finding=lambda f: causes.append(c.id if (c := judge.update_cause(f)) else None))
    for event in ping_pong(4).events:
        judge.feed(event)
    assert causes == [None, None, "reconnect-on-kick", "reconnect-on-kick"]


def test_histories_of_the_latest_users_only_are_stored() -> None:
    judge = Judge()
    for n in range(6_000):
        conversation = log_of(f"user_{n}").connects(f"a{n}", at=n).connects(f"b{n}", at=n + 0.5)
        for event in conversation.is_replaced(f"a{n}", f"b{n}", at=n + 0.5).events:
            judge.feed(event)
    assert len(judge._histories._histories) == 5_000
    assert judge._histories.history("user_5999").replacements
    assert not judge._histories.history("user_0").replacements


def test_a_client_shows_the_same_cause_as_a_log() -> None:
    conversation = user("A")
    conversation.connects("s0", at=0)
    for n in range(1, 9):
        conversation.connects(f"s{n}", at=n * 0.3).disconnects(f"s{n - 1}", at=n * 0.3, reason=KICKED_CLIENT)
    assert why(conversation, "connection-replaced") == "reconnect-on-kick"
