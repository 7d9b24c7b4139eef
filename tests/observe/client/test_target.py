"""Tests of the server target and of the places of credentials."""

import pytest

from tests.observe.client.conftest import ANN
from wscheck.config.target import (
    Credentials,
    HandshakeCredentials,
    ServerTarget,
    build_handshake_credentials,
    default_url,
)
from wscheck.model.errors import UsageError
from wscheck.model.secrets import Secret


def test_the_default_address_is_the_documented_one() -> None:
    assert default_url({}) == "ws://localhost:8000"
    assert default_url({"NEXT_PUBLIC_BOT_WEBSOCKET_URL": "wss://bot.example"}) == "wss://bot.example"


@pytest.mark.parametrize(
    ("user_in", "token_in", "presented"),
    [
        ("auth.userId", "auth.token", HandshakeCredentials({"userId": "ann", "token": "token-of-ann"}, "", {})),
        ("query.user", "header.X-Token", HandshakeCredentials({}, "user=ann", {"X-Token": "token-of-ann"})),
        ("cookie.user", "cookie.session", HandshakeCredentials({}, "", {"Cookie": "session=token-of-ann; user=ann"})),
    ],
)
def test_credentials_are_where_the_target_expects_them(
    user_in: str, token_in: str, presented: HandshakeCredentials
) -> None:
    assert build_handshake_credentials(ServerTarget(user_in=user_in, token_in=token_in), ANN) == presented


def test_a_url_is_shown_without_its_credentials() -> None:
    target = ServerTarget(url="https://ann:secret@bot.example:8443/app?token=hidden")
    assert target.display_url == "https://bot.example:8443/app"


def test_a_trailing_slash_is_not_shown() -> None:
    assert ServerTarget(url="http://bot.example/?x=1").display_url == "http://bot.example"


def test_credentials_do_not_show_their_token() -> None:
    assert "token-of-ann" not in repr(ANN)


@pytest.mark.parametrize("sign", ["\n", "\r", "\0"])
def test_values_that_no_header_can_carry_are_refused_without_quoting_them(sign: str) -> None:
    target = ServerTarget(url="http://localhost", token_in="header.Authorization")
    with pytest.raises(UsageError, match="line break") as refused:
        build_handshake_credentials(target, Credentials("ann", Secret(f"half{sign}and half")))
    assert "half" not in str(refused.value)
