"""Replacements inferred from the end of a user's newest connection, where both acknowledgements came together."""

from typing import Any

import pytest

from tests.conversation import log_of
from wscheck.detect.ledger import Ledger
from wscheck.detect.replacements import ReplacementInference
from wscheck.model.disconnect_reasons import IO_CLIENT_DISCONNECT, IO_SERVER_DISCONNECT, SERVER_NAMESPACE_DISCONNECT
from wscheck.model.events import SOURCE_CLIENT, SOURCE_SERVER_LOG, Connected, Disconnected
from wscheck.model.replacement import CROSSING_S


def replaced_by(
    end: Disconnected, opened_at: tuple[float | None, float | None], known: tuple[str, ...] = ("s1", "s2")
) -> str | None:
    """Return the sid that replaced `s2`, the newest of two open connections, None if nothing shows a replacement."""
    openings = {sid: Connected(at=at, sid=sid, user="ann") for sid, at in zip(("s1", "s2"), opened_at, strict=True)}
    known_openings = {sid: openings[sid] for sid in known}
    change = ReplacementInference().on_disconnect(end, "s2", "ann", ("s1", "s2"), known_openings)
    return change.new_sid if change is not None else None


def end(at: float | None, reason: str = IO_SERVER_DISCONNECT, source: str = SOURCE_CLIENT) -> Disconnected:
    return Disconnected(at=at, sid="s2", user="ann", reason=reason, source=source)


def test_a_connection_that_the_server_ends_at_once_was_the_older_one() -> None:
    assert replaced_by(end(1.2), (1.0, 1.1)) == "s1"
    assert replaced_by(end(1.1 + CROSSING_S), (1.1 - CROSSING_S, 1.1)) == "s1"


@pytest.mark.parametrize(
    "late",
    [(end(1.1 + CROSSING_S + 0.1), (1.0, 1.1)), (end(1.2), (1.1 - CROSSING_S - 0.1, 1.1))],
    ids=["end", "opening"],
)
def test_a_connection_that_the_server_ends_later_was_the_newer_one(
    late: tuple[Disconnected, tuple[float, float]],
) -> None:
    assert replaced_by(*late) is None


def test_a_log_states_the_order_of_the_connections() -> None:
    assert replaced_by(end(1.2, SERVER_NAMESPACE_DISCONNECT, SOURCE_SERVER_LOG), (1.0, 1.1)) is None


def test_a_connection_that_the_client_ends_is_not_replaced() -> None:
    assert replaced_by(end(1.2, IO_CLIENT_DISCONNECT), (1.0, 1.1)) is None


@pytest.mark.parametrize("known", [("s1",), ("s2",), ()])
def test_openings_that_are_not_known_show_no_order(known: tuple[str, ...]) -> None:
    assert replaced_by(end(1.2), (1.0, 1.1), known) is None


@pytest.mark.parametrize("times", [(None, 1.1, 1.2), (1.0, None, 1.2), (1.0, 1.1, None)])
def test_events_without_a_time_show_no_order(times: tuple[float | None, float | None, float | None]) -> None:
    assert replaced_by(end(times[2]), times[:2]) is None


def ended_soon_after(delay: float, *, times: int, reason: str | None = None, every: float = 10, **where: Any) -> Ledger:
    """Return the ledger after `times` connections, each followed after `delay` by the end of the one before."""
    said = log_of("A", **where).connects("s0", at=0.5)
    for n in range(1, times + 1):
        begin = every * n + 0.5
        said.connects(f"s{n}", at=begin).disconnects(f"s{n - 1}", at=begin + delay, reason=reason)
    ledger = Ledger()
    for event in said.events:
        ledger.apply(event)
    return ledger


def test_ends_within_milliseconds_of_a_newer_connection_are_replacements_whatever_the_reason() -> None:
    assert ended_soon_after(0.004, times=6).counts_for("A").replacements == 6
    assert ended_soon_after(0.004, times=6, reason="closed by policy").counts_for("A").replacements == 6


def test_two_such_ends_are_no_replacements() -> None:
    assert ended_soon_after(0.004, times=2).counts_for("A").replacements == 0


def test_pages_that_close_their_old_connections_replace_nothing() -> None:
    assert ended_soon_after(0.12, times=6).counts_for("A").replacements == 0
    assert ended_soon_after(0.004, times=6, reason="transport close").counts_for("A").replacements == 0


@pytest.mark.parametrize(
    ("delay", "times", "every", "replacements"),
    [(0.06, 10, 11, 10), (0.2, 30, 45, 30), (0.2, 9, 11, 0), (0.3, 30, 11, 0), (0.06, 30, 240, 0)],
)
def test_many_short_connections_that_end_after_a_newer_one_were_replaced(
    delay: float, times: int, every: float, replacements: int
) -> None:
    """A client that renews its connection every few minutes also opens the new one before it closes the old one."""
    assert ended_soon_after(delay, times=times, every=every).counts_for("A").replacements == replacements


def test_whole_seconds_do_not_show_that_an_end_followed_at_once() -> None:
    assert ended_soon_after(0, times=6, resolution=1.0).counts_for("A").replacements == 0


@pytest.mark.parametrize(("nodes", "new_sid"), [(("a", "a", "b"), "s2"), (("a", "b", "b"), "s3"), ((None,) * 3, "s3")])
def test_a_connection_of_the_same_process_replaced_the_older_one(nodes: tuple[str | None, ...], new_sid: str) -> None:
    """Another process may not know the older connection; if none is known to be the same, the newest replaced it."""
    sids = ("s1", "s2", "s3")
    openings = {sid: Connected(at=1.0, sid=sid, user="ann", node=node) for sid, node in zip(sids, nodes, strict=True)}
    ended = Disconnected(at=1.1, sid="s1", user="ann", reason=IO_SERVER_DISCONNECT, source=SOURCE_CLIENT)
    change = ReplacementInference().on_disconnect(ended, "s1", "ann", sids, openings)
    assert change is not None and change.new_sid == new_sid


class Unread(tuple[str, ...]):
    """Socket ids that may be selected by position, but not read one after the other."""

    def __iter__(self) -> Any:
        raise AssertionError("all connections of the user were read")


@pytest.mark.parametrize(("ended", "by"), [("s5", "s4999"), ("s4998", "s4999"), ("s4999", "s4998")])
def test_the_end_of_one_of_many_connections_does_not_read_the_others(ended: str, by: str) -> None:
    sids = [f"s{number}" for number in range(5000)]
    openings = {sid: Connected(at=1.0 + 0.01 * (sid in sids[-2:]), sid=sid, user="ann") for sid in sids}
    event = Disconnected(at=1.02, sid=ended, user="ann", reason=IO_SERVER_DISCONNECT, source=SOURCE_CLIENT)
    change = ReplacementInference().on_disconnect(event, ended, "ann", Unread(sids), openings)
    assert change is not None
    assert change.new_sid == by
    assert change.remaining == tuple(sid for sid in sids if sid != ended)
