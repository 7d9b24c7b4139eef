"""Tests of the [logs] tables of wscheck.toml and of --marker and --key."""

import json
import re
from pathlib import Path

import pytest

from tests.cli import wscheck
from wscheck.model.errors import UsageError
from wscheck.model.events import Connected
from wscheck.observe.logs.options import reader_factory


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ("[logs]\n\nmarkers = 3\n", "wscheck.toml:3: [logs.markers] must be a table."),
        ("[logs.markers]\nconected = 'x'\n", "wscheck.toml:2: `conected` is not a valid entry."),
        ("[logs.keys]\nuser = 'uid'\nsid = 7\n", "wscheck.toml:3: `sid` is not a valid entry."),
        (
            "[logs.keys]\nuser = 'uid'\nsid = ['a', 'b:']\n",
            "wscheck.toml:3: `b:` cannot be the name of a key: it contains `:`.",
        ),
    ],
)
def test_a_mistake_is_reported_with_its_line(toml: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "wscheck.toml").write_text(toml)
    (tmp_path / "server.log").write_text("")
    ran = wscheck("tail-logs", "--no-follow", "server.log", cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"wscheck: {problem}\n  next: ")


@pytest.mark.parametrize(
    ("option", "problem", "advice"),
    [
        ("--marker=online=Socket opened", "`online` is not a known KIND.", "connected='Socket opened'."),
        ("--marker=replaced", "it does not have the form KIND=TEXT.", "replaced='Socket opened'."),
        ("--marker=connected=  ", "it does not have the form KIND=TEXT.", "connected='Socket opened'."),
        ("--key=users=uid", "`users` is not a known FIELD.", "user=uid."),
        ("--key=user", "it does not have the form FIELD=NAME.", "user=uid."),
    ],
)
def test_a_mistake_on_the_command_line_is_reported(option: str, problem: str, advice: str, tmp_path: Path) -> None:
    (tmp_path / "server.log").write_text("")
    ran = wscheck("tail-logs", "--no-follow", option, "server.log", cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    first, following = ran.err.splitlines()
    assert first.endswith(problem)
    assert f" {'FIELD' if option.startswith('--key') else 'KIND'} is one of " in following
    assert following.endswith(advice)


@pytest.mark.parametrize("name", ["uid=7", "uid:", "uid,sid", '"uid"', "{", "[user]"])
def test_an_invalid_key_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"`{name}` cannot be the name of a key: it contains `")) as refused:
        reader_factory((), (f"user={name}",), {})
    assert refused.value.next_step == "Write only the name, as in the log: `logs.keys` user=uid."


def test_a_key_name_needs_a_letter_or_digit() -> None:
    with pytest.raises(UsageError, match="`---` cannot be the name of a key: it has neither a letter nor a digit"):
        reader_factory((), ("user=---",), {})


@pytest.mark.parametrize("name", ["uid", "user id", "user.id", "http://example.com/uid", "$uid", "ключ", "4", "_uid"])
def test_a_valid_key_name_is_read(name: str) -> None:
    record = {"msg": "WebSocket client connected", "socketId": "s1", name: "ada"}
    (event,) = reader_factory((), (f"user={name}",), {})("app.log").feed(json.dumps(record).encode() + b"\n")
    assert isinstance(event, Connected) and (event.sid, event.user) == ("s1", "ada")


@pytest.mark.parametrize("key", ["ключ", "用户", "identité"])
@pytest.mark.parametrize(
    "line",
    [
        "WebSocket client connected {}=ada socketId=s1",
        "WebSocket client connected {{ {}: 'ada', socketId: 's1' }}",
        "WebSocket client connected\n• {}: ada\n• socketId: s1",
        "[09:30:00] {}=ada WebSocket client connected socketId=s1 {}=ada",
        "{{\n  {}: 'ada',\n  message: 'WebSocket client connected',\n  socketId: 's1'\n}}",
    ],
)
def test_a_name_in_any_script_is_read_in_text(line: str, key: str) -> None:
    reader = reader_factory((), (f"user={key}",), {})("app.log")
    (event,) = [*reader.feed(f"{line}\n".replace("{}", key).format().encode()), *reader.flush(at_end=True)]
    assert isinstance(event, Connected) and (event.sid, event.user) == ("s1", "ada")
