"""Options of a run that make no sense are refused in a sentence before anybody connects."""

from types import SimpleNamespace
from typing import Any

import pytest

from wscheck.load.endpoint import SetupError
from wscheck.load.options import endpoint_of
from wscheck.profiles import OPTIONS


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"emit_event": "connect"}, "--emit-event connect: Socket.IO keeps that name for itself"),
        ({"ack_timeout": 0.0}, "--ack-timeout must be more than 0"),
        ({"tabs": 0}, "--tabs is at least 1"),
        ({"jitter": 1.5}, "--jitter between 0 and 1"),
        ({"headers": "X-From wscheck"}, "a header has no colon"),
        ({"user_in": "somewhere"}, "is no place for a credential"),
        ({"ca_file": "/missing.pem"}, "/missing.pem is not a readable PEM certificate"),
    ],
)
def test_what_makes_no_sense_is_named(changes: dict[str, Any], said: str) -> None:
    options = SimpleNamespace(**({option.name: option.default for option in OPTIONS} | changes))
    with pytest.raises(SetupError, match=said):
        endpoint_of("https://127.0.0.1:1", options)


def test_a_run_without_a_host_is_told_how_to_name_one() -> None:
    with pytest.raises(SetupError, match="write --host http://localhost:8000"):
        endpoint_of(None, SimpleNamespace())
