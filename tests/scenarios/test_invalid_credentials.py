"""Credentials that a server should refuse, made from the user's own."""

import base64
import json
import time

import pytest

from wscheck.config.event_contract import DOCUMENTED_CONTRACT
from wscheck.config.target import Credentials, ServerTarget
from wscheck.model.secrets import Secret
from wscheck.scenarios.auth_refused import invalid_credentials
from wscheck.scenarios.context import ScenarioSettings


def tokens(own: str | None, *, anonymous: bool = False, expired: str | None = None) -> dict[str, str | None]:
    settings = ScenarioSettings(
        target=ServerTarget(url="http://localhost"),
        user=Credentials("mira", Secret(own) if own is not None else None),
        second_user=None,
        contract=DOCUMENTED_CONTRACT,
        anonymous=anonymous,
        expired_token=Secret(expired) if expired else None,
    )
    made = list(invalid_credentials(settings))
    assert {each.user for each in made} == {"mira"}
    return {each.kind: each.token.reveal() if each.token is not None else None for each in made}


def segment(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


HEADER = segment(b'{"alg":"HS256"}')
JWT = f"{HEADER}.{segment(b'claims of thirty bytes or more')}.{segment(bytes(range(32)))}"


def test_an_opaque_token() -> None:
    made = tokens("opaque-1234")
    assert list(made) == ["invalid", "absent", "empty"]
    assert (made["absent"], made["empty"]) == (None, "")


@pytest.mark.parametrize("prefix", ["", "Bearer "])
def test_a_json_web_token_is_also_altered_and_unsigned(prefix: str) -> None:
    made = tokens(prefix + JWT, expired="old")
    assert list(made) == ["invalid", "absent", "empty", "altered", "unsigned", "expired"]
    altered, unsigned = str(made["altered"]), str(made["unsigned"])
    assert altered.startswith(prefix + JWT.rpartition(".")[0] + ".")
    assert len(altered) == len(prefix + JWT)
    assert altered != prefix + JWT
    header, claims, signature = unsigned.removeprefix(prefix).split(".")
    assert json.loads(base64.urlsafe_b64decode(header + "=="))["alg"] == "none"
    assert (claims, signature) == (JWT.split(".")[1], "")


def json_web_token(claims: bytes) -> str:
    return f"{HEADER}.{segment(claims)}.{segment(bytes(32))}"


@pytest.mark.parametrize("prefix", ["", "Bearer "])
def test_the_own_token_is_an_expired_one_after_its_end(prefix: str) -> None:
    own = prefix + json_web_token(b'{"sub":"mira","exp":%d}' % (time.time() - 3600))
    assert tokens(own)["expired"] == own


@pytest.mark.parametrize("seconds", [3600, -5])
def test_a_token_that_clocks_may_disagree_about_has_not_expired(seconds: int) -> None:
    assert "expired" not in tokens(json_web_token(b'{"sub":"mira","exp":%d}' % (time.time() + seconds)))


@pytest.mark.parametrize(
    "claims",
    [b'{"sub":"mira"}', b'{"exp":null}', b'{"exp":false}', b'{"exp":"then"}', b"[1]", b"[" * 100_000, b"\xff{"],
    ids=["none", "null", "boolean", "text", "list", "nested", "no-text"],
)
def test_a_token_without_a_time_is_not_known_to_have_expired(claims: bytes) -> None:
    assert "expired" not in tokens(json_web_token(claims))


def test_guests_are_allowed_if_configured() -> None:
    assert list(tokens("opaque-1234", anonymous=True)) == ["invalid"]


def test_a_user_without_a_token_is_tried_with_a_wrong_one_only() -> None:
    assert list(tokens(None)) == ["invalid"]
