"""Restarts of the server: its connections count as ended, unless they turn out to have survived."""

from typing import Any

import pytest

from tests.conversation import START, Conversation, log_of
from wscheck.detect.changes import OpenedChange
from wscheck.detect.engine import Judge
from wscheck.detect.restarts import PresumedEnds, ReturnWave
from wscheck.detect.rules.multiple_connections import MultipleConnections
from wscheck.model.disconnect_reasons import SERVER_SHUTTING_DOWN
from wscheck.model.events import SOURCE_SERVER_LOG, Connected, Disconnected, ServerRestarted
from wscheck.model.findings import Finding

USERS = "ABCDEF"


def evaluated(*conversations: Conversation, restarted: float | None = None) -> tuple[list[Finding], str, str]:
    """Return the findings, and the reasons of the gaps: of those that block the verdict, and of the others."""
    events = [event for each in conversations for event in each.events]
    if restarted is not None:
        events.append(ServerRestarted(at=START + restarted, source="server-log", path="app.log", line=9))
    judge = Judge(None, [MultipleConnections])
    for event in sorted(events, key=lambda event: event.at or 0.0):
        judge.feed(event)
    findings = judge.finish(START + 900)
    blocking, other = ("; ".join(g.reason for g in judge.gaps if g.blocks is blocks) for blocks in (True, False))
    return findings, blocking, other


def returning(name: str, at: float) -> Conversation:
    """A user with a connection whose end is never logged, and another one from `at` on."""
    return log_of(name).connects(f"{name}1", at=0).connects(f"{name}2", at=at)


def everybody(at: float = 60.0) -> list[Conversation]:
    return [returning(name, at + n / 5) for n, name in enumerate(USERS)]


def test_after_a_logged_restart_nobody_has_two_connections() -> None:
    found, gap, note = evaluated(*everybody(), restarted=59)
    assert (found, gap) == ([], "")
    assert note == "the server restarted at 11:07:39 UTC (app.log:9): the earlier connections of 6 users count as ended"


def test_an_overlap_after_a_restart_is_found() -> None:
    found, _, _ = evaluated(*everybody(), log_of("A").connects("A3", at=90), restarted=59)
    assert [(each.user, each.message) for each in found] == [("A", "holds 2 connections at once")]


def test_a_connection_that_ends_later_survived_what_looked_like_a_restart() -> None:
    said = returning("A", at=70).disconnects("A1", at=120)
    found, gap, _ = evaluated(said, log_of("B").connects("B1", at=0), restarted=59)
    assert [(each.user, each.first_at) for each in found] == [("A", START + 70)]
    assert gap == ""


def test_an_end_just_after_the_restart_is_that_of_the_old_process() -> None:
    found, _, _ = evaluated(returning("A", at=60).disconnects("A1", at=61), restarted=59)
    assert found == []


def test_a_restart_after_which_few_users_return_is_doubtful() -> None:
    others = [log_of(name).connects(f"{name}1", at=0) for name in "BCDEF"]
    found, gap, _ = evaluated(returning("A", at=70), *others, restarted=59)
    assert found == []
    assert "app.log:9 looks like a restart of the server" in gap and "only 1 of 6 users connected again" in gap


def test_everybody_who_returns_at_once_shows_a_probable_restart() -> None:
    found, gap, _ = evaluated(*everybody())
    assert found == []
    assert (
        gap.startswith("6 of 6 users connected again at 11:07:40 UTC within seconds") and "--marker restarted=" in gap
    )


def test_users_who_return_one_after_the_other_are_no_restart() -> None:
    found, gap, _ = evaluated(*(returning(name, 60 + 20 * n) for n, name in enumerate(USERS)))
    assert ({each.user for each in found}, gap) == (set(USERS), "")


def test_a_few_of_many_users_are_no_restart() -> None:
    others = [log_of(f"other-{n}").connects(f"o{n}", at=0) for n in range(20)]
    found, gap, _ = evaluated(*everybody(), *others)
    assert ({each.user for each in found}, gap) == (set(USERS), "")


def test_an_earlier_connection_that_ends_shows_that_the_server_is_alive() -> None:
    ended = log_of("A").disconnects("A1", at=62)
    found, gap, _ = evaluated(*everybody(), ended)
    assert ({each.user for each in found}, gap) == (set(USERS), "")


def test_an_earlier_connection_that_ends_because_the_server_stops_shows_no_life() -> None:
    ended = log_of("A").disconnects("A1", at=62, reason=SERVER_SHUTTING_DOWN)
    found, gap, _ = evaluated(*everybody(), ended)
    assert found == [] and "users connected again" in gap


def test_earlier_connections_that_end_later_are_reported_although_everybody_returned_at_once() -> None:
    ends = [log_of(name).disconnects(f"{name}1", at=200) for name in USERS]
    found, _, _ = evaluated(*everybody(), *ends)
    assert {(each.user, each.first_at) for each in found} == {
        (name, START + 60 + n / 5) for n, name in enumerate(USERS)
    }


def test_pages_that_open_two_connections_each_are_no_restart() -> None:
    pages = (log_of(name).connects(f"{name}1", at=n).connects(f"{name}2", at=n + 0.1) for n, name in enumerate(USERS))
    found, gap, _ = evaluated(*pages)
    assert ({each.user for each in found}, gap) == (set(USERS), "")


def test_a_server_that_replaces_an_earlier_connection_has_not_restarted() -> None:
    replaced = log_of("G").connects("G1", at=0).connects("G2", at=60.1).is_replaced("G1", "G2", at=60.1)
    found, gap, _ = evaluated(*everybody(), replaced)
    assert ({each.user for each in found}, gap) == (set(USERS), "")


@pytest.mark.parametrize(("newer_ended_at", "until"), [(80.0, 80.0), (None, 120.0)])
def test_both_connections_of_a_survivor_were_open_until_the_first_of_them_ended(
    newer_ended_at: float | None, until: float
) -> None:
    presumed = PresumedEnds(memory=10)
    presumed.add("A1", "A", Connected(at=0.0, sid="A1", user="A"), presumed.start_restart(ServerRestarted(at=59.0)))
    presumed.user_opened(OpenedChange("A", "A2", Connected(at=70.0, sid="A2", user="A"), ()))
    if newer_ended_at is not None:
        presumed.newer_closed("A2", Disconnected(at=newer_ended_at, sid="A2"))
    survived = presumed.end("A1", Disconnected(at=120.0, sid="A1"))
    assert survived is not None and survived.until == until


def test_the_start_of_a_wave_is_found_without_a_search_of_all_its_users() -> None:
    class Unread(dict[str, float]):
        def values(self) -> Any:
            raise AssertionError("all users were read")

    wave = ReturnWave()
    wave.overlaps = Unread()
    for at in (3, 1, 2, 5, 4):
        openings = [Connected(at=at - 60.0, source=SOURCE_SERVER_LOG), Connected(at=at, source=SOURCE_SERVER_LOG)]
        assert wave.add_overlap(f"u{at}", at, openings)
        assert wave.started_at == min(dict(wave.overlaps).items(), key=lambda each: each[1])[1]
    del wave.overlaps["u1"], wave.overlaps["u2"]
    assert wave.started_at == 3
    assert set(wave.take()) == {"u3", "u4", "u5"}
