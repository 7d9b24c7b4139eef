"""Redaction of secrets in text from outside."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscheck.model.secrets import HIDDEN, Redactor, Secret

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyXzEyMyJ9.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"rejected {JWT}!", f"rejected {HIDDEN}!"),
        ("Authorization: Bearer abcdefgh12345", f"Authorization: {HIDDEN} {HIDDEN}"),
        ("header bearer abcdefgh12345 sent", f"header bearer {HIDDEN} sent"),
        ("/socket.io/?EIO=4&token=abc123&t=1", f"/socket.io/?EIO=4&token={HIDDEN}&t=1"),
        ('{"password": "open sesame", "user": "A"}', f'{{"password": "{HIDDEN}", "user": "A"}}'),
        (r'{"token": "a\"b c", "user": "A"}', f'{{"token": "{HIDDEN}", "user": "A"}}'),
        ('{"token": "cut off here', f'{{"token": "{HIDDEN}"'),
        ("api_key=k-1234 apiKey: k-5678", f"api_key={HIDDEN} apiKey: {HIDDEN}"),
    ],
)
def test_text_that_looks_like_a_credential_is_redacted(text: str, kept: str) -> None:
    assert Redactor().redact(text) == kept


@pytest.mark.parametrize(
    "text",
    ["Replacing existing socket for user", "userId: user_123", "socketId: Xb3k9aPq7Lw2", "token expired", "eyJ.x"],
)
def test_text_about_credentials_is_not_redacted(text: str) -> None:
    assert Redactor().redact(text) == text


def test_known_secrets_are_redacted_everywhere_and_within_one_another() -> None:
    redactor = Redactor([Secret("abc"), Secret("abcdef"), None])
    assert redactor.redact("xabcdefx abc") == f"x{HIDDEN}x {HIDDEN}"


@given(st.text(min_size=4), st.text(), st.text())
def test_a_known_secret_never_survives(secret: str, before: str, after: str) -> None:
    cleaned = Redactor([Secret(secret)]).redact(f"{before}{secret}{after}")
    assert secret not in cleaned.replace(HIDDEN, "") or secret in before + after or secret in HIDDEN


def test_a_secret_is_not_shown_by_repr() -> None:
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]}"
    assert (secret.reveal(), secret == Secret("hunter2"), secret == Secret("other")) == ("hunter2", True, False)


@pytest.mark.parametrize("text", ["token='" + "\\" * 100_000, 'token="' * 20_000, "bearer " * 20_000, "eyJ" * 50_000])
def test_no_text_makes_it_slow(text: str) -> None:
    began = time.process_time()
    Redactor().redact(text)
    assert time.process_time() - began < 5
