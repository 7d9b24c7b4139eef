"""Tests of the [connect] table: templates, secrets and steps."""

from pathlib import Path
from typing import Any

import pytest

from wscheck.config.connect import ConnectOptions, ConnectStep, decode_connect_options
from wscheck.config.loading import Config, load_config
from wscheck.config.target import Credentials, build_handshake_credentials, configured_target
from wscheck.model.errors import UsageError
from wscheck.model.secrets import Redactor, Secret

ADA = Credentials("ada", Secret("key-of-{user}"))
NOBODY = Credentials("ada")


def configured(folder: Path, toml: str = "", environ: dict[str, str] | None = None, **flags: Any) -> Config:
    (folder / "wscheck.toml").write_text(toml)
    given = {"target.url": "http://localhost", **{f"connect.{name}": value for name, value in flags.items()}}
    return load_config(given, directory=folder, environ=environ or {})


TOML = """
[connect]
auth = { tenant = "acme", limits = { depth = 3 } }
headers = { Origin = "https://app.example", Authorization = "Bearer {token}" }
cookies = { session = "YWZn/Q2V+c==", who = "{user}" }
query = { v = "2", key = "{env:API_KEY}" }
"""


def test_every_part_of_the_handshake_can_be_given(tmp_path: Path) -> None:
    target = configured_target(configured(tmp_path, TOML, {"API_KEY": "k 1"}))
    placed = build_handshake_credentials(target, ADA)
    assert placed.auth == {"tenant": "acme", "limits": {"depth": 3}}
    assert placed.headers == {
        "Origin": "https://app.example",
        "Authorization": "Bearer key-of-{user}",
        "Cookie": "session=YWZn/Q2V+c==; who=ada",
    }
    assert placed.query == "v=2&key=k+1"


def test_without_a_token_the_values_that_contain_it_are_left_out(tmp_path: Path) -> None:
    target = configured_target(configured(tmp_path, TOML, {"API_KEY": "k"}))
    assert build_handshake_credentials(target, NOBODY).headers == {
        "Origin": "https://app.example",
        "Cookie": "session=YWZn/Q2V+c==; who=ada",
    }
    empty = build_handshake_credentials(target, Credentials("ada", Secret("")))
    assert empty.headers["Authorization"] == "Bearer "


def test_the_token_is_also_sent_where_token_in_says_if_it_is_given(tmp_path: Path) -> None:
    toml = TOML + '[identity]\ntoken_in = "auth.key"\nuser_in = "auth.id"\n'
    target = configured_target(configured(tmp_path, toml, {"API_KEY": "k"}))
    placed = build_handshake_credentials(target, ADA)
    assert (placed.auth["key"], placed.auth["id"]) == ("key-of-{user}", "ada")


def test_flags_and_variables_give_the_same_as_the_table(tmp_path: Path) -> None:
    by_flag = configured(tmp_path, headers=["Origin: https://a.example", "X-A: b=c"], auth=["tenant=a=b"])
    assert by_flag.connect.headers == {"Origin": "https://a.example", "X-A": "b=c"}
    assert by_flag.connect.auth == {"tenant": "a=b"}
    environ = {"WSCHECK_HEADERS": "Origin: https://a.example\nX-A: b=c\n", "WSCHECK_AUTH": "tenant=a=b"}
    assert configured(tmp_path, environ=environ).connect == by_flag.connect


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ("headers = 5", "wscheck.toml:2: this is not a table"),
        ("headers = { X = 5 }", "`X` is not text"),
        ('cookies = ["a"]', "a value has no '='"),
        ("step = 1", "`step` must be a list of tables"),
        ('[[connect.step]]\nwith = "x"', "wscheck.toml:2: `with` is not a key of a step"),
        ("[[connect.step]]\nack = true", "a step needs `emit` or `wait_for`"),
        ('[[connect.step]]\nwait_for = "x"\nack = true', "`ack` needs `emit`"),
        ('[[connect.step]]\nemit = "x"\nexpect = { ok = true }', "`expect` needs `ack` or `wait_for`"),
        ('[[connect.step]]\nemit = "x"\nwithin = "soon"', "'soon' is not a duration"),
        ('[[connect.step]]\nemit = "x"\nack = "yes"', "wscheck.toml:2: Expected `bool`"),
    ],
)
def test_an_invalid_table_names_its_line(tmp_path: Path, toml: str, problem: str) -> None:
    with pytest.raises(UsageError) as raised:
        configured(tmp_path, f"[connect]\n{toml}\n")
    assert problem in raised.value.problem


def test_a_missing_variable_is_an_error_only_of_a_run_that_connects(tmp_path: Path) -> None:
    config = configured(tmp_path, TOML)
    with pytest.raises(UsageError, match="the variable API_KEY is not set"):
        configured_target(config)


def test_constants_that_are_secret_and_variables_are_redacted(tmp_path: Path) -> None:
    toml = TOML + '[[connect.step]]\nemit = "x"\npayload = { password = "open sesame", room = "lobby" }\n'
    redactor = Redactor(configured(tmp_path, toml, {"API_KEY": "k-4711"}).connect.secrets)
    told = redactor.redact_known("k-4711 YWZn/Q2V+c== open sesame lobby acme https://app.example")
    assert told == "hidden-1 hidden-2 hidden-3 lobby acme https://app.example"


def test_the_options_survive_the_way_to_another_process_without_the_variables(tmp_path: Path) -> None:
    toml = TOML + '[[connect.step]]\nemit = "x"\npayload = ["{token}"]\nack = true\nwithin = "1s"\n'
    options = configured(tmp_path, toml, {"API_KEY": "k-4711"}).connect
    assert "k-4711" not in options.encode()
    assert decode_connect_options(options.encode(), {"API_KEY": "k-4711"}) == options


def test_a_payload_of_any_form_is_filled() -> None:
    options = ConnectOptions()
    template = {"a": ["{token}", {"b": "{user}!"}, 7, None], "c": "{other}"}
    assert options.fill(template, "ada", Secret("t")) == {"a": ["t", {"b": "ada!"}, 7, None], "c": "{other}"}
    assert options.fill(template, "ada", None) == {"a": [{"b": "ada!"}, 7, None], "c": "{other}"}
    assert options.fill("{token}", "ada", None) is None


@pytest.mark.parametrize(
    "answer",
    [{"ok": False}, {"success": False}, {"error": "bad token"}, {"status": "error"}, {"status": "Unauthorized"}],
)
def test_an_answer_with_an_error_is_a_refusal(answer: object) -> None:
    assert ConnectStep(emit="login", ack=True).refusal_in(answer)


@pytest.mark.parametrize("answer", [None, "welcome", {"ok": True}, {"error": None}, {"status": "ok"}, [1], {}])
def test_any_other_answer_is_accepted(answer: object) -> None:
    assert ConnectStep(emit="login", ack=True).refusal_in(answer) is None


def test_an_expected_answer_decides_alone() -> None:
    step = ConnectStep(emit="login", ack=True, expect={"code": 0})
    assert step.refusal_in({"code": 0, "error": "none"}) is None
    assert step.refusal_in({"code": 4}) == "code is 4 and not 0"
    assert step.refusal_in("nothing")
