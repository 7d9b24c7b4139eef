"""What the reason of a disconnect tells, in the words of any server."""

import time

import pytest

from wscheck.model.disconnect_reasons import reports_handover, reports_replacement, reports_silent_client


@pytest.mark.parametrize(
    ("reason", "replaced"),
    [
        ("remove_existing", True),
        ("closing old socket", True),
        ("dropped previous session", True),
        ("taken over", True),
        ("removed by an admin", False),
        ("closed normally", False),
        ("existing room removed", False),
        (None, False),
    ],
)
def test_an_end_in_favour_of_a_newer_connection_is_recognised(reason: str | None, *, replaced: bool) -> None:
    assert reports_replacement(reason) is replaced


@pytest.mark.parametrize(
    ("reason", "silent"),
    [
        ("Client hasn't sent a message/ping within the configured interval", True),
        ("peer did not answer three pings", True),
        ("viewer didn’t reply in time", True),
        ("client has not sent a token", False),
        ("sent a close frame within the handler", False),
    ],
)
def test_an_end_after_silence_of_the_client_is_recognised(reason: str, *, silent: bool) -> None:
    assert reports_silent_client(reason) is silent


@pytest.mark.parametrize("part", ["no ", "pong ", "idle ", "duplicate ", "replaced_", "has not sent "])
def test_no_reason_makes_the_search_slow(part: str) -> None:
    began = time.process_time()
    reports_replacement(part * 30_000)
    reports_silent_client(part * 30_000)
    reports_handover(part * 30_000)
    assert time.process_time() - began < 5
