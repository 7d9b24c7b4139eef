"""Redaction of secrets in text from outside."""

import base64
import html
import json
import re
import time
from unittest.mock import patch
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscheck.model import secrets
from wscheck.model.errors import Unreachable
from wscheck.model.events import Connected, Delivered, Disconnected, PhaseStarted, Refused
from wscheck.model.findings import Confidence, Finding, Severity, Verdict
from wscheck.model.report import BrowserReport, EventSummary
from wscheck.model.secrets import HIDDEN, Redactor, Secret

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyXzEyMyJ9.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"rejected {JWT}!", f"rejected {HIDDEN}!"),
        ("Authorization: Bearer abcdefgh12345", f"Authorization: Bearer {HIDDEN}"),
        ("header bearer abcdefgh12345 sent", f"header bearer {HIDDEN} sent"),
        ("/socket.io/?EIO=4&token=abc123&t=1", f"/socket.io/?EIO=4&token={HIDDEN}&t=1"),
        ('{"password": "open sesame", "user": "A"}', f'{{"password": "{HIDDEN}", "user": "A"}}'),
        (r'{"token": "a\"b c", "user": "A"}', f'{{"token": "{HIDDEN}", "user": "A"}}'),
        ('{"token": "cut off here', f'{{"token": "{HIDDEN}'),
        (r'"{\"token\":\"abc d\",\"a\":1}"', rf'"{{\"token\":\"{HIDDEN}\",\"a\":1}}"'),
        ("Basic YWRhOmh1bnRlcjI= and basic%20YWRhOmh1bnRlcjI", f"Basic {HIDDEN} and basic%20{HIDDEN}"),
        ("a?next=x%26token%3Dabcd-1", f"a?next=x%26token%3D{HIDDEN}"),
        ("postgres://ada:pw@db/x", f"postgres://{HIDDEN}@db/x"),
        (base64.b64encode(JWT.encode()).decode(), HIDDEN),
        ("user ghp_0123456789abcdefghij", f"user {HIDDEN}"),
        ("sk_live_0123456789abcdefghij!", f"{HIDDEN}!"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----.", f"{HIDDEN}."),
        ("api_key=k-1234 apiKey: k-5678", f"api_key={HIDDEN} apiKey: {HIDDEN}"),
        (JWT.replace(".", "%2E"), HIDDEN),
        (JWT.replace(".", "%252e"), HIDDEN),
        ("https%3A%2F%2Fann%3Apw1%40host%2Fx", f"https%3A%2F%2F{HIDDEN}%40host%2Fx"),
        ("Cookie: theme=dark; session=abc1", f"Cookie: {HIDDEN}"),
        ('{"set-cookie":"sid=abc1"}', f'{{"set-cookie":"{HIDDEN}"}}'),
        ("connect.sid=s%3Aabc JSESSIONID=7F", f"connect.sid={HIDDEN} JSESSIONID=7F"),
        ('{"sessionId":"9f3a77"}', f'{{"sessionId":"{HIDDEN}"}}'),
        ("?jwt=abcd&auth=efgh&session=ijkl", f"?jwt={HIDDEN}&auth={HIDDEN}&session={HIDDEN}"),
        ("ApiKey k1234567 and Token t1234567", f"ApiKey {HIDDEN} and Token {HIDDEN}"),
        ('Digest username="a", uri="/", response="9f3a77aa"', f'Digest username="a", uri="/", response="{HIDDEN}"'),
    ],
)
def test_text_that_looks_like_a_credential_is_redacted(text: str, kept: str) -> None:
    assert Redactor(distinct=False).redact(text) == kept
    assert Redactor(distinct=False).redact_id(text) == kept
    redacted = Redactor().redact(text)
    assert re.sub(r"hidden-[0-9a-f]{8}", HIDDEN, redacted) == kept
    assert Redactor().redact(redacted) == redacted


def test_each_apparent_credential_has_a_stand_in_of_its_own() -> None:
    values = [f"{JWT}{n}" for n in range(20)]
    first, second = (Redactor().redact_data(values) for _ in range(2))
    assert len({*first}) == 20 and first == second
    assert Redactor([Secret("hidden")]).redact(JWT).startswith("masked-")


@pytest.mark.parametrize(
    "text",
    [
        *("Replacing existing socket for user", "userId: user_123", "socketId: Xb3k9aPq7Lw2", "token expired", "eyJ.x"),
        *("session={sid} account={user}", "session={}", "token: {user}, later"),
        *("basic information about it", "tokens: 4", "the token is unknown", "sk-1", "global-navigation-menu-entry"),
        *("http://host/a@b", "author: ada", "user_2NNEqL2nrIRdJ194ndJqAHwEfxC", "auth0|5f7c8ec7c33c6c004bbafe82"),
    ],
)
def test_text_about_credentials_is_not_redacted(text: str) -> None:
    assert Redactor().redact(text) == text


@pytest.mark.parametrize("name", ["token:refreshed", "auth:login", "session:list:changed", "password:reset", "jwt:ok"])
def test_the_name_of_an_event_about_credentials_is_not_redacted(name: str) -> None:
    assert Redactor().redact_id(name) == name


@pytest.mark.parametrize(
    "named",
    [
        *("https://a.b/?token={}", "access_token={}", "refresh_token={}", "password={}", "client_secret={}"),
        *("X-Auth-Token: {}", "Proxy-Authorization: Basic {}", '{{"token":"{}"}}', "token%3D{}", "connect.sid={}"),
        *("sessionid={}", "jwt={}", "auth={}", "ApiKey {}", "Token {}", "token%253D{}", "id_token: {}", "token:{}"),
    ],
)
def test_a_named_credential_that_is_an_id_is_redacted_in_data(named: str) -> None:
    value = "Bd0Kh8oOOL8dKq"
    events = [Connected(user=named.format(value), sid=named.format(value))]
    redacted = Redactor().redact_data([*events, Disconnected(user="u", reason=named.format(value))])
    assert value not in str(redacted)
    assert redacted[0].user == redacted[0].sid


def test_known_secrets_are_redacted_everywhere_and_within_one_another() -> None:
    redactor = Redactor([Secret("abcd"), Secret("abcdef"), None])
    assert redactor.redact("xabcdefx abcd") == "xhidden-2x hidden-1"


@given(st.text(min_size=4), st.text(), st.text())
def test_a_known_secret_never_survives(secret: str, before: str, after: str) -> None:
    cleaned = Redactor([Secret(secret)]).redact(f"{before}{secret}{after}")
    assert secret not in cleaned.replace(HIDDEN, "") or secret in before + after or secret in HIDDEN


def test_a_secret_is_not_shown_by_repr() -> None:
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]}"
    assert (secret.reveal(), secret == Secret("hunter2"), secret == Secret("other")) == ("hunter2", True, False)


@pytest.mark.parametrize(
    "text",
    [
        "token='" + "\\" * 100_000,
        'token="' * 20_000,
        "bearer " * 20_000,
        "eyJ" * 50_000,
        "Cookie:" * 20_000,
        "digest " * 20_000,
        "%3A%2F%2F" * 20_000,
        "%25" * 50_000,
        "token%25" * 20_000,
        "-eyJaaaaaa" * 10_000,
    ],
)
def test_no_text_makes_it_slow(text: str) -> None:
    began = time.process_time()
    Redactor().redact(text)
    assert time.process_time() - began < 5


AWKWARD = ("dk_live_5f3a", "Zm9v+bar/9qw8xK==", "quo\"te'd\\\\tok<en>&", "tökén ü", "ticket:list", "4711", "{a}[b](c)*")


@pytest.mark.parametrize("secret", AWKWARD)
def test_a_known_secret_is_redacted_in_every_encoding(secret: str) -> None:
    encoded = [
        *(secret, quote(secret), quote(secret, safe=""), quote_plus(secret), quote(quote(secret, safe=""), safe="")),
        *(json.dumps(secret), json.dumps(secret, ensure_ascii=False), json.dumps(json.dumps(secret))),
        *(html.escape(secret), repr(secret), secret.replace("+", " "), secret.encode().hex().upper()),
        "".join(f"%{byte:02X}" for byte in secret.encode()),
        *(
            base64.b64encode((before + secret + after).encode()).decode()
            for before in ("", "u:", "abc:")
            for after in "?"
        ),
        base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="),
    ]
    redactor = Redactor([Secret(secret), Secret("another one")])
    for text in encoded:
        redacted = redactor.redact_known(f"value={text}; rest")
        assert "hidden-1" in redacted and redacted.endswith("; rest"), text
        assert secret not in redacted


def test_the_scheme_of_a_credential_is_no_secret() -> None:
    redactor = Redactor([Secret("Bearer dk-5f3a")])
    assert redactor.redact("the Bearer of dk-5f3a") == "the Bearer of hidden-1"
    assert redactor.redact("Authorization: Bearer dk-5f3a") == "Authorization: Bearer hidden-1"


def test_each_secret_has_one_stand_in() -> None:
    redactor = Redactor([Secret("first"), None, Secret("second"), Secret("first")])
    assert redactor.redact("second first first") == "hidden-2 hidden-1 hidden-1"
    assert redactor.redact(redactor.redact("token=first")) == "token=hidden-1"


def test_a_stand_in_contains_no_secret() -> None:
    assert Redactor([Secret("hidden")]).redact("a hidden thing") == "a masked-1 thing"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("t", "hidden-1"),
        ("/?k=t&EIO=4", "/?k=hidden-1&EIO=4"),
        ('the key "t"', 'the key "hidden-1"'),
        ("user='t'", "user='hidden-1'"),
    ],
)
def test_a_short_secret_is_redacted_as_a_whole_value(text: str, redacted: str) -> None:
    assert Redactor([Secret("t")]).redact_known(text) == redacted


def test_a_short_secret_is_no_part_of_words() -> None:
    assert Redactor([Secret("t")]).redact_known("ticket:list isn't late") == "ticket:list isn't late"


def test_a_text_is_not_cut_within_a_secret() -> None:
    redactor = Redactor([Secret("sesame-open")])
    assert redactor.cut("x" * 10 + "sesame-open and more", 12) == "x" * 10 + "sesame-open"
    assert redactor.cut("x" * 30, 12) == "x" * 12


def test_data_is_redacted_and_ids_of_wscheck_stay() -> None:
    redactor = Redactor([Secret("isolation"), Secret("mira"), Secret("ticket:list")])
    events = [
        PhaseStarted(scenario="isolation"),
        Connected(user="mira", sid="s-mira"),
        Delivered(user="mira", about="mira", name="ticket:list"),
        Disconnected(user="mira", reason="transport close"),
        Refused(reason="refused", message="mira is not mira"),
    ]
    finding = Finding(
        rule="isolation",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        user="mira",
        message="received ticket:list about mira",
        evidence=[Connected(user="mira", sid="s-mira")],
    )
    report = BrowserReport(
        schema="wscheck.browser/1",
        target="http://mira.example",
        verdict=Verdict.FAILED,
        options={"mira": "mira", "fail_on": "mira"},
        findings=[finding],
        events={"ticket:list": EventSummary(received=2)},
    )
    assert redactor.redact_data(events) == [
        PhaseStarted(scenario="isolation"),
        Connected(user="hidden-2", sid="s-hidden-2"),
        Delivered(user="hidden-2", about="hidden-2", name="hidden-3"),
        Disconnected(user="hidden-2", reason="transport close"),
        Refused(reason="refused", message="hidden-2 is not hidden-2"),
    ]
    redacted = redactor.redact_data(report)
    told = redacted.findings[0]
    assert (told.rule, told.severity, told.user) == ("isolation", Severity.ERROR, "hidden-2")
    assert told.message == "received hidden-3 about hidden-2"
    assert told.evidence == [Connected(user="hidden-2", sid="s-hidden-2")]
    assert redacted.options == {"mira": "hidden-2", "fail_on": "mira"}
    assert redacted.events == {"hidden-3": EventSummary(received=2)}
    assert (redacted.target, redacted.verdict, finding.user) == ("http://hidden-2.example", Verdict.FAILED, "mira")


def test_errors_are_redacted() -> None:
    with pytest.raises(Unreachable) as raised, Redactor([Secret("mira")]).redact_errors():
        raise Unreachable("The server refused mira.", "Ask mira.")
    assert str(raised.value) == "The server refused hidden-1. Ask hidden-1."
    assert (raised.value.problem, raised.value.next_step) == ("The server refused hidden-1.", "Ask hidden-1.")


@pytest.mark.parametrize("secret", ["\\" * 60, "a" * 2_000, '\\"' * 40, "+ " * 100, "%25" * 50])
@pytest.mark.parametrize("text", ["\\" * 50_000, "a" * 50_000, '\\"' * 20_000, "%25" * 20_000, "+ " * 20_000])
def test_no_secret_makes_it_slow(secret: str, text: str) -> None:
    began = time.process_time()
    Redactor([Secret(secret)]).redact_known("x" + text)
    assert time.process_time() - began < 5


@pytest.mark.parametrize("secret", ["token-of-user_1", "Pa5s/w+rd=42", "schlüssel-😀-4711"])
@pytest.mark.parametrize("backslashes", [1, 2, 4])
def test_a_secret_is_hidden_if_every_character_is_an_escape_of_json(secret: str, backslashes: int) -> None:
    units = secret.encode("utf-16-be").hex()
    for digits in (units, units.upper()):
        escaped = "".join("\\" * backslashes + "u" + digits[at : at + 4] for at in range(0, len(digits), 4))
        assert Redactor([Secret(secret)]).redact(f"bad token {escaped}!") == "bad token hidden-1!"


ESCAPES = ("\\u00{:02x}", "\\\\u00{:02X}", "\\x{:02x}", "%{:02x}", "%25{:02X}", "&#{};", "&#x{:x};", "%5Cu00{:02x}")


def escaped(form: str, char: str) -> str:
    return form.format(ord(char))


@pytest.mark.parametrize("secret", ["token_of_user-1", "Pa5s/w+rd=42", "s%3Aab4cdef.12", "12-34-56", "dG9r+ZW4/x1y2=="])
@pytest.mark.parametrize("form", ESCAPES)
def test_a_secret_is_hidden_if_some_of_its_characters_are_escaped(secret: str, form: str) -> None:
    redactor = Redactor([Secret(secret), Secret("another one")])
    for every in (2, 3, 7):
        text = "".join(
            escaped(form, char) if char.isalnum() and not (at + every) % every else char
            for at, char in enumerate(secret)
        )
        assert redactor.redact_known(f'%41 "{text}" is \\u0041') == '%41 "hidden-1" is \\u0041', text


@given(st.text(min_size=4), st.text(), st.text(), st.sampled_from(ESCAPES), st.integers(0, 3))
def test_a_known_secret_with_one_escaped_character_never_survives(
    secret: str, before: str, after: str, form: str, place: int
) -> None:
    if secret[place].isascii() and secret[place].isalnum() and not set(before + secret) & set("\\%&"):
        text = f"{before}{secret[:place]}{escaped(form, secret[place])}{secret[place + 1 :]}{after}"
        assert Redactor([Secret(secret)]).redact_known(text) != text


@pytest.mark.parametrize(
    "secret",
    ["token-of-user-{}-of-the-shop", "{0}-{0}", "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyIjoi{}", "s%3A{}%2Bab", "\\a{}"],
)
def test_a_text_is_compared_with_few_of_many_secrets(secret: str) -> None:
    values = [secret.format(number) for number in range(100_000, 103_000)]
    redactor = Redactor(map(Secret, values))
    with patch.object(secrets, "_words", wraps=secrets._words) as compared:
        for number in (0, 1, 1_500, 2_999):
            assert redactor.redact_known(f"value={values[number]}; rest") == f"value=hidden-{number + 1}; rest"
    assert compared.call_count < 200
