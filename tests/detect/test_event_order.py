"""Events of several observers, in causal order."""

from hypothesis import given
from hypothesis import strategies as st

from wscheck.detect.event_order import merge_causally
from wscheck.model.disconnect_reasons import IO_SERVER_DISCONNECT
from wscheck.model.events import Connected, Connecting, Disconnected, Event, Refused, Replaced
from wscheck.model.replacement import CROSSING_S

OLD = Connected(at=0.0, source="client", user="ann", sid="old")
ATTEMPT = Connecting(at=1.0, source="client", user="ann")


def kick(at: float, user: str = "ann", reason: str = IO_SERVER_DISCONNECT) -> Disconnected:
    return Disconnected(at=at, source="client", user=user, sid="old", reason=reason)


def acknowledged(at: float) -> Connected:
    return Connected(at=at, source="client", user="ann", sid="new")


def test_a_disconnect_that_overtook_its_cause_follows_it() -> None:
    early, new = kick(1.010), acknowledged(1.011)
    assert list(merge_causally([OLD, ATTEMPT, early, new])) == [OLD, ATTEMPT, new, early]


def test_a_disconnect_without_an_attempt_is_not_moved() -> None:
    early, later = kick(1.0), acknowledged(1.1)
    assert list(merge_causally([OLD, early, later])) == [OLD, early, later]


def test_a_disconnect_waits_no_longer_than_the_crossing_time() -> None:
    early = kick(1.0)
    late = acknowledged(1.0 + CROSSING_S + 0.01)
    assert list(merge_causally([OLD, ATTEMPT, early, late])) == [OLD, ATTEMPT, early, late]


def test_the_end_of_another_users_connection_and_other_reasons_do_not_wait() -> None:
    other, cut, new = kick(1.01, user="bob"), kick(1.02, reason="transport close"), acknowledged(1.03)
    assert list(merge_causally([OLD, ATTEMPT, other, cut, new])) == [OLD, ATTEMPT, other, cut, new]


def test_a_disconnect_waits_for_an_attempt_of_its_own_user() -> None:
    other = Connecting(at=1.0, source="client", user="bob")
    kicked, new = kick(1.01, user="bob"), Connected(at=1.03, source="client", user="bob", sid="bobs")
    merged = list(merge_causally([OLD, ATTEMPT, other, kicked, acknowledged(1.02), new]))
    assert merged == [OLD, ATTEMPT, other, acknowledged(1.02), new, kicked]


def refused(at: float, credential: str | None = None) -> Refused:
    return Refused(at=at, source="browser", user="ann", reason="refused", page="tab 1", credential=credential)


SECOND = Connecting(at=1.001, source="client", user="ann")


def test_a_refusal_that_overtook_its_cause_follows_it() -> None:
    early, new = refused(1.010), acknowledged(1.011)
    assert list(merge_causally([ATTEMPT, SECOND, early, new])) == [ATTEMPT, SECOND, new, early]


def test_a_refusal_does_not_wait_for_a_later_attempt() -> None:
    again = Connecting(at=1.1, source="client", user="ann")
    early, new = refused(1.010), acknowledged(1.2)
    assert list(merge_causally([ATTEMPT, early, again, new])) == [ATTEMPT, early, again, new]


def test_an_intended_refusal_of_a_scenario_is_not_moved() -> None:
    early, new = refused(1.010, credential="invalid"), acknowledged(1.011)
    assert list(merge_causally([ATTEMPT, SECOND, early, new])) == [ATTEMPT, SECOND, early, new]


def test_a_refusal_that_waited_for_another_is_yielded_too() -> None:
    first, second = refused(1.010), refused(1.011)
    assert list(merge_causally([ATTEMPT, SECOND, first, second])) == [ATTEMPT, SECOND, second, first]


def test_a_servers_log_line_does_not_end_an_attempt() -> None:
    early, new = kick(1.010), acknowledged(1.012)
    logged = Connected(at=1.011, source="server-log", user="ann", sid="new")
    assert list(merge_causally([OLD, ATTEMPT, early, logged, new])) == [OLD, ATTEMPT, logged, new, early]


def test_a_replacement_follows_the_opening_of_the_new_connection() -> None:
    logged = Replaced(at=1.010, source="server-log", user="ann", old_sid="old", new_sid="new")
    new, again = Connected(at=1.011, source="server-log", user="ann", sid="new"), acknowledged(1.012)
    assert list(merge_causally([OLD, logged, new, again])) == [OLD, new, logged, again]


def test_a_replacement_by_a_connection_without_an_opening_does_not_wait() -> None:
    logged = Replaced(at=1.0, source="server-log", user="ann", old_sid="old", new_sid="unseen")
    assert list(merge_causally([OLD, logged, acknowledged(1.1)])) == [OLD, logged, acknowledged(1.1)]


_times = st.floats(min_value=0, max_value=3)
_events = st.lists(
    st.one_of(
        st.builds(kick, _times, user=st.sampled_from(["ann", "bob"])),
        st.builds(acknowledged, _times),
        st.builds(lambda at: Connecting(at=at, source="client", user="ann"), _times),
    )
)


@given(_events)
def test_no_event_is_lost_and_only_disconnects_move(events: list[Event]) -> None:
    merged = list(merge_causally(events))
    assert sorted(map(repr, merged)) == sorted(map(repr, events))
    others = [e for e in merged if not isinstance(e, Disconnected)]
    assert others == sorted(others, key=lambda e: e.at or 0.0)
