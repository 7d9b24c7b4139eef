"""Replacements inferred from the end of a user's newest connection, where both acknowledgements came together."""

import pytest

from wscheck.detect.replacement_inference import ReplacementInference
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
