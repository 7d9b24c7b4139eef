"""Overlaps in a log that are no second opener: namespaces, and connections that a lost network left behind."""

import pytest

from tests.conversation import START, Conversation, log_of
from wscheck.detect.engine import Judge, RuleOptions
from wscheck.model.findings import Finding, Severity

OVERLAPS = "multiple-connections"


def evaluated(*conversations: Conversation) -> tuple[dict[str | None, Severity], str]:
    """Return user to severity of the overlaps that were found, and the reasons of the gaps."""
    judge = Judge()
    events = (event for each in conversations for event in each.events)
    for event in sorted(events, key=lambda event: event.at or 0.0):
        judge.feed(event)
    found = {each.user: each.severity for each in judge.finish() if each.rule == OVERLAPS}
    return found, "; ".join(gap.reason for gap in judge.gaps if gap.blocks)


def bundle(user: str, at: float, *, ended: float = 60.0, apart: float = 0.0005) -> Conversation:
    """Three sockets that open within a tenth of a second and end together."""
    said = log_of(user)
    for n in range(3):
        said.connects(f"{user}{n}", at=at + n / 20)
    for n in range(3):
        said.disconnects(f"{user}{n}", at=at + ended + n * apart, reason="transport close")
    return said


def test_sockets_that_open_and_end_together_may_be_namespaces() -> None:
    found, gap = evaluated(bundle("A", 0), bundle("B", 9))
    assert found == {}
    assert gap.startswith("the simultaneous sockets of 2 users opened together and ended together")


def test_sockets_that_end_one_after_the_other_are_connections() -> None:
    found, gap = evaluated(bundle("A", 0), bundle("B", 9, apart=0.5))
    assert (set(found), gap) == ({"A", "B"}, "")


@pytest.mark.parametrize("form", ["{:04x}", "st-{}", "0b3c4d5e-8f90-4a1b-9c2d-{:012x}", "01KAXV2C6C7YTY890RA6{:06}"])
def test_ids_that_are_not_of_socket_io_are_of_connections(form: str) -> None:
    bundles = [log_of(user) for user in "AB"]
    for number, said in enumerate(bundles):
        for at, sign in ((9 * number, "connects"), (9 * number + 5, "disconnects")):
            for part in range(3):
                getattr(said, sign)(form.format(40_000 + 3 * number + part), at=at + part / 1000)
        said.watched(until=60)
    found, gap = evaluated(*bundles)
    assert (set(found), gap) == ({"A", "B"}, "")


def test_one_bundle_alone_may_be_a_coincidence() -> None:
    assert set(evaluated(bundle("A", 0))[0]) == {"A"}


def lost(user: str, at: float, timeout: float = 22.0, reason: str | None = "ping timeout") -> Conversation:
    """A client that returns, and whose earlier connection ends with a ping timeout later."""
    said = log_of(user).connects(f"{user}1", at=0).connects(f"{user}2", at=at)
    return said.disconnects(f"{user}1", at=at + timeout, reason=reason)


@pytest.mark.parametrize("users", ["A", "ABCDEF"])
def test_a_connection_that_a_lost_network_left_behind_is_a_warning(users: str) -> None:
    found, _ = evaluated(*(lost(user, 100 + 3 * n) for n, user in enumerate(users)))
    assert found == dict.fromkeys(users, Severity.WARNING)


@pytest.mark.parametrize(
    ("reason", "severity"),
    [
        ("no pong within 45s", Severity.WARNING),
        ("missed 3 heartbeats", Severity.WARNING),
        ("keepalive timeout", Severity.WARNING),
        ("idle timed out", Severity.WARNING),
        ("no such room", Severity.ERROR),
        ("session timeout", Severity.ERROR),
    ],
)
def test_a_lost_network_is_recognised_in_the_words_of_any_server(reason: str, severity: Severity) -> None:
    found, _ = evaluated(lost("A", at=100, reason=reason))
    assert found == {"A": severity}


@pytest.mark.parametrize(
    ("reason", "timeout", "severity"),
    [
        ("pong timeout after 45s", 26.0, Severity.WARNING),
        ("no heartbeat for 30 s", 55.0, Severity.WARNING),
        (None, 26.0, Severity.WARNING),
        ("pong timeout after 45s", 300.0, Severity.ERROR),
        (None, 300.0, Severity.ERROR),
        ("close 1001", 26.0, Severity.ERROR),
    ],
)
def test_users_who_return_together_before_their_dead_connections_time_out_lost_their_network(
    reason: str | None, timeout: float, severity: Severity
) -> None:
    """Their return looks like a restart, until the earlier connections end by themselves."""
    conversations = [lost(user, 100 + n / 5, timeout, reason) for n, user in enumerate("ABCDEF")]
    found, gap = evaluated(*conversations)
    assert (found, gap) == (dict.fromkeys("ABCDEF", severity), "")


@pytest.mark.parametrize(
    ("reason", "overlap", "is_found"),
    [
        ("moved to pod-3", 0.4, False),
        ("node is draining", 2.0, False),
        ("moved to pod-3", 60.0, True),
        ("removed by an admin", 0.4, True),
    ],
)
def test_a_server_that_moves_its_clients_opens_the_newer_connection_first(
    reason: str, overlap: float, *, is_found: bool
) -> None:
    found, _ = evaluated(lost("A", at=100, timeout=overlap, reason=reason))
    assert set(found) == ({"A"} if is_found else set())


def test_two_connections_that_both_time_out_later_were_two() -> None:
    found, _ = evaluated(lost("A", at=100, timeout=600))
    assert found == {"A": Severity.ERROR}


def test_a_second_connection_beside_a_lost_one_is_an_error() -> None:
    found, _ = evaluated(lost("A", at=100).connects("A3", at=200).connects("A4", at=260))
    assert found == {"A": Severity.ERROR}


def at_devices(user: str, *devices: str, rounds: int = 3) -> Conversation:
    """A shared account whose devices connect at the same time, again and again."""
    said = log_of(user)
    for turn in range(rounds):
        for n, device in enumerate(devices):
            sid, begin = f"{user}{device}{turn}", 300 * turn + 20 * n
            said.connects(sid, at=begin, page=device).disconnects(sid, at=begin + 200, reason="transport close")
    return said


def test_devices_of_a_shared_account_are_a_warning() -> None:
    found, _ = evaluated(at_devices("A", "d1", "d2", "d3"), at_devices("B", "d4", "d5"))
    assert found == {"A": Severity.WARNING, "B": Severity.WARNING}


def test_kinds_of_devices_explain_the_overlaps_of_one_user_among_many() -> None:
    said = [log_of(user).connects(user, at=n, device="phone") for n, user in enumerate("ABC")]
    said += [log_of(user).connects(user, at=n, device="desktop") for n, user in enumerate("DEF")]
    twice, _ = said[0].connects("A2", at=100, device="desktop"), said[5].connects("F2", at=400, device="phone")
    assert evaluated(*said)[0] == {"A": Severity.WARNING}
    assert announced(*said)[0] == ("A", Severity.WARNING)
    twice.connects("A3", at=200, device="phone")
    assert evaluated(*said)[0] == {"A": Severity.ERROR}


def test_two_connections_of_one_device_of_a_shared_account_are_an_error() -> None:
    twice = at_devices("A", "d1", "d2").connects("A-again", at=30, page="d2")
    found, _ = evaluated(twice, at_devices("B", "d4", "d5"))
    assert found == {"A": Severity.ERROR, "B": Severity.WARNING}


def test_names_that_are_new_with_each_connection_are_no_devices() -> None:
    found, _ = evaluated(at_devices("A", "d1", "d2", rounds=1), at_devices("B", "d4", "d5", rounds=1))
    assert found == {"A": Severity.ERROR, "B": Severity.ERROR}


def test_places_that_different_users_take_are_no_devices() -> None:
    found, _ = evaluated(at_devices("A", "d1", "d2"), at_devices("B", "d1", "d2"))
    assert found == {"A": Severity.ERROR, "B": Severity.ERROR}


def test_a_policy_decides_about_the_devices_of_a_user() -> None:
    judge = Judge(RuleOptions(connections="per-user"))
    for event in sorted(at_devices("A", "d1", "d2").events, key=lambda event: event.at or 0.0):
        judge.feed(event)
    assert {each.severity for each in judge.finish() if each.rule == OVERLAPS} == {Severity.ERROR}


def announced(*conversations: Conversation) -> list[tuple[str | None, Severity]]:
    """Return the user and the severity of each overlap at the time at which it was found."""
    found = list[tuple[str | None, Severity]]()

    def announce(finding: Finding) -> None:
        if finding.rule == OVERLAPS and finding.count == 1:
            found.append((finding.user, judge.severity_so_far(finding)))

    judge = Judge(on_finding=announce)
    events = sorted((event for each in conversations for event in each.events), key=lambda event: event.at or 0.0)
    for event in events:
        judge.feed(event)
    judge.advance_to((events[-1].at or 0.0) + 1)
    return found


def test_overlaps_like_the_namespaces_before_them_are_announced_as_warnings() -> None:
    found = announced(*(bundle(user, 100 * n) for n, user in enumerate("ABCD")))
    assert [severity for _, severity in found] == [Severity.WARNING] * 4


def test_one_overlap_of_another_form_makes_the_further_ones_errors() -> None:
    other = log_of("X").connects("x1", at=210).connects("x2", at=220)
    found = dict(announced(*(bundle(user, 100 * n) for n, user in enumerate("ABCD")), other))
    assert (found["C"], found["D"]) == (Severity.WARNING, Severity.ERROR)


def test_known_devices_are_announced_as_warnings() -> None:
    late = log_of("B").connects("b1", at=910, page="d4").connects("b2", at=920, page="d5")
    assert ("B", Severity.WARNING) in announced(at_devices("A", "d1", "d2"), late)


def severity_at(at: float, said: Conversation) -> Severity:
    """Return the severity with which the overlap is announced at a time."""
    found = list[Finding]()
    judge = Judge(on_finding=found.append)
    for event in said.events:
        if (event.at or 0.0) <= START + at:
            judge.feed(event)
    judge.advance_to(START + at)
    return judge.severity_so_far(next(each for each in found if each.rule == OVERLAPS))


@pytest.mark.parametrize(
    ("said", "times"),
    [
        (lost("A", at=100, timeout=40), [101, 139, 141, 400]),
        (lost("A", at=100, timeout=3, reason="moved to pod-3"), [101, 102, 104, 400]),
        (bundle("A", 100, ended=50), [101, 149]),
    ],
    ids=["lost network", "handover", "first namespaces"],
)
def test_an_overlap_is_no_error_while_its_end_may_explain_it(said: Conversation, times: list[float]) -> None:
    assert {severity_at(at, said) for at in times} == {Severity.WARNING}


@pytest.mark.parametrize(
    ("said", "explained", "not_explained"),
    [
        (log_of("A").connects("a", at=0).connects("b", at=100), [101, 159], [161]),
        (lost("A", at=100, timeout=9, reason="transport close"), [101, 108], [110]),
        (lost("A", at=100, timeout=100), [101, 159], [161, 300]),
        (log_of("A").connects("a", at=0).connects("b", at=0.2), [1, 59], [61]),
        (log_of("A").connects("a", at=0).connects("b", at=0.6), [], [1]),
        (bundle("A", 100, ended=50, apart=2), [101, 149], [151.5]),
        (log_of("A").connects("a", at=0).connects("b", at=9).connects("c", at=18).connects("d", at=27), [19], [28]),
    ],
    ids=["lasting", "another end", "late timeout", "lasting pair", "one page", "ends apart", "many"],
)
def test_an_overlap_becomes_an_error_when_no_end_can_explain_it(
    said: Conversation, explained: list[float], not_explained: list[float]
) -> None:
    assert [severity_at(at, said) for at in explained] == [Severity.WARNING] * len(explained)
    assert [severity_at(at, said) for at in not_explained] == [Severity.ERROR] * len(not_explained)
