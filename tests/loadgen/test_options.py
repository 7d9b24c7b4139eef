"""Options that cannot be used: each is an error with a sentence before any connection is opened."""

from types import SimpleNamespace
from typing import Any

import pytest

from wscheck.config.load_profiles import LOAD_OPTIONS
from wscheck.loadgen.endpoint import SetupError
from wscheck.loadgen.options import behaviour_from, endpoint_from


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"emit_event": "connect"}, "--emit-event connect: Socket.IO reserves that name"),
        ({"ack_timeout": 0.0}, "--ack-timeout must be more than 0"),
        ({"emit_every": -1.0}, "--emit-every is a number of seconds, at least 0"),
        ({"emit_every": "often"}, "--emit-every is a number of seconds"),
        ({"tabs": 0}, "--tabs is at least 1"),
        ({"jitter": 1.5}, "--jitter between 0 and 1"),
        ({"headers": "X-From wscheck"}, "a header has no colon"),
        ({"user_in": "somewhere"}, "is not a location of a credential"),
        ({"ca_file": "/missing.pem"}, "/missing.pem is not a readable PEM certificate"),
    ],
)
def test_an_unusable_option_is_an_error(changes: dict[str, Any], message: str) -> None:
    options = SimpleNamespace(**({option.name: option.default for option in LOAD_OPTIONS} | changes))
    with pytest.raises(SetupError, match=message):
        endpoint_from("https://127.0.0.1:1", options)


@pytest.mark.parametrize(
    ("profile", "value", "emit_every_s"),
    [
        ("soak", None, 30.0),
        ("soak", 0.0, 0.0),
        ("soak", 5.0, 5.0),
        ("unified", None, 0.0),
        ("unified", 5.0, 5.0),
        ("soak", "", 30.0),  # the field of Locust's web UI, left empty
        ("soak", "0", 0.0),
    ],
)
def test_emit_every_by_profile(profile: str, value: float | str | None, emit_every_s: float) -> None:
    options = SimpleNamespace(**({option.name: option.default for option in LOAD_OPTIONS} | {"emit_every": value}))
    assert behaviour_from(profile, options).emit_every_s == emit_every_s


def test_a_path_in_the_host_is_an_error() -> None:
    options = SimpleNamespace(**{option.name: option.default for option in LOAD_OPTIONS})
    with pytest.raises(
        SetupError, match="has a path, /bots: remove it from --host; if it is a namespace, use --namespace"
    ):
        endpoint_from("http://127.0.0.1:1/bots/", options)
    endpoint_from("http://127.0.0.1:1/", options)


def test_a_missing_host_is_an_error() -> None:
    with pytest.raises(SetupError, match="write --host http://localhost:8000"):
        endpoint_from(None, SimpleNamespace())
