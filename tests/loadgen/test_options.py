"""Options of a run that make no sense are refused in a sentence before anybody connects."""

from types import SimpleNamespace
from typing import Any

import pytest

from wscheck.config.load_profiles import LOAD_OPTIONS
from wscheck.loadgen.endpoint import SetupError
from wscheck.loadgen.options import endpoint_of
from wscheck.loadgen.profile_behaviour import behaviour_of


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"emit_event": "connect"}, "--emit-event connect: Socket.IO keeps that name for itself"),
        ({"ack_timeout": 0.0}, "--ack-timeout must be more than 0"),
        ({"emit_every": -1.0}, "--emit-every is a number of seconds, at least 0"),
        ({"emit_every": "often"}, "--emit-every is a number of seconds"),
        ({"tabs": 0}, "--tabs is at least 1"),
        ({"jitter": 1.5}, "--jitter between 0 and 1"),
        ({"headers": "X-From wscheck"}, "a header has no colon"),
        ({"user_in": "somewhere"}, "is not a place for a credential"),
        ({"ca_file": "/missing.pem"}, "/missing.pem is not a readable PEM certificate"),
    ],
)
def test_what_makes_no_sense_is_named(changes: dict[str, Any], said: str) -> None:
    options = SimpleNamespace(**({option.name: option.default for option in LOAD_OPTIONS} | changes))
    with pytest.raises(SetupError, match=said):
        endpoint_of("https://127.0.0.1:1", options)


@pytest.mark.parametrize(
    ("profile", "said", "often"),
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
def test_how_often_a_user_emits(profile: str, said: float | str | None, often: float) -> None:
    options = SimpleNamespace(**({option.name: option.default for option in LOAD_OPTIONS} | {"emit_every": said}))
    assert behaviour_of(profile, options).emit_every_s == often


def test_a_path_in_the_address_is_not_ignored() -> None:
    options = SimpleNamespace(**{option.name: option.default for option in LOAD_OPTIONS})
    with pytest.raises(SetupError, match="has a path, /bots: leave it out of --host; as a namespace it is --namespace"):
        endpoint_of("http://127.0.0.1:1/bots/", options)
    endpoint_of("http://127.0.0.1:1/", options)


def test_a_run_without_a_host_is_told_how_to_name_one() -> None:
    with pytest.raises(SetupError, match="write --host http://localhost:8000"):
        endpoint_of(None, SimpleNamespace())
