"""Tests of the namespace in records of any format, with both readers."""

import json
from collections.abc import Callable

import pytest

from tests.observe.logs.reading import read
from wscheck.model.events import Connected, Unreadable
from wscheck.observe.logs.vocabulary import LogVocabulary

MANY = 40
"""So many records that those of one form are read by a template."""

STAMP = "2026-01-15T09:30:00.000Z"


def as_json(n: int, space: str, key: str = "nsp", **more: object) -> str:
    ids = {"socketId": f"s{n}", "userId": "7"}
    return json.dumps({"time": STAMP, **ids, key: space, **more, "msg": "WebSocket client connected"}) + "\n"


FORMS: dict[str, Callable[[int, str], str]] = {
    "nsp": as_json,
    "namespace": lambda n, space: as_json(n, space, "namespace"),
    "socket.nsp.name": lambda n, space: as_json(n, space, "nsp.name"),
    "nested": lambda n, space: as_json(n, "", "x", nsp=space),
    "quoted": lambda n, s: f"{STAMP} info WebSocket client connected {{ socketId: 's{n}', userId: '7', nsp: '{s}' }}\n",
    "logfmt": lambda n, s: f'time={STAMP} msg="WebSocket client connected" nsp={s} socketId=s{n} userId=7\n',
    "plain": lambda n, s: f"{STAMP} WebSocket client connected nsp={s} socketId=s{n} userId=7\n",
    "bullets": lambda n, s: f"WebSocket client connected\n• socketId: s{n}\n• nsp: {s}\n• userId: 7\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_the_namespace_is_read_at_any_position(form: str) -> None:
    spaces = [("/", "/bot", "/bot/x-1")[n % 3] for n in range(MANY)]
    log = "".join(FORMS[form](n, space) for n, space in enumerate(spaces))
    events = read(log)
    assert [(e.sid, e.user, e.namespace) for e in events if isinstance(e, Connected)] == [
        (f"s{n}", "7", space) for n, space in enumerate(spaces)
    ]


@pytest.mark.parametrize("form", FORMS)
def test_a_namespace_of_something_else_is_ignored(form: str) -> None:
    events = read("".join(FORMS[form](n, "prod") for n in range(MANY)))
    assert [(e.sid, e.user, e.namespace) for e in events if isinstance(e, Connected)] == [
        (f"s{n}", "7", None) for n in range(MANY)
    ]
    assert not any(isinstance(event, Unreadable) for event in events)


def test_a_namespace_does_not_complete_a_record() -> None:
    (event,) = read("WebSocket client connected nsp=/bot\n• socketId: s1\n• userId: 7\n")
    assert isinstance(event, Connected)
    assert (event.sid, event.user, event.namespace) == ("s1", "7", "/bot")


def test_a_configured_namespace_key() -> None:
    (event,) = read(as_json(1, "/bot", "room"), wording=LogVocabulary(keys=(("namespace", "room"),)))
    assert isinstance(event, Connected) and event.namespace == "/bot"
