"""The contract that `wscheck init --observe` writes: what a server sends unrequested and on request."""

import tomllib
from typing import Any

import pytest

import wscheck.observe.client.preflight as observed
from wscheck.backend.demo_tokens import token_for
from wscheck.backend.log_writer import ServerLogWriter
from wscheck.backend.server import ReferenceBackend, serve_backend
from wscheck.config.event_contract import ContractEvent, contract_toml, read_contract
from wscheck.config.target import Credentials, ServerTarget
from wscheck.model.secrets import Redactor, Secret

REDACTOR = Redactor([Secret("another token"), Secret("a third token")])
ANN = Credentials("ann", Secret(token_for("ann")))


async def test_greetings_and_answers_become_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observed, "GREETING_S", 0.3)
    monkeypatch.setattr(observed, "ANSWER_S", 0.3)
    backend = ReferenceBackend(ServerLogWriter(None))
    accept = backend.sio.handlers["/"]["connect"]

    async def greet(sid: str, environ: Any, auth: Any = None) -> Any:
        accepted = await accept(sid, environ, auth)
        await backend.sio.emit("welcome", {"for": {"id": "ann"}}, to=sid)
        await backend.sio.emit("secret", {"another token": "ann"}, to=sid)
        await backend.sio.emit("a third token", {}, to=sid)
        return accepted

    backend.sio.on("connect", greet)
    async with serve_backend(backend) as url:
        events = await observed.observe_contract(ServerTarget(url=url, timeout_s=5.0), ANN, REDACTOR)
    by_name = {event.name: event for event in events}
    assert (by_name["welcome"].emit, by_name["welcome"].user) == (None, "for.id")
    assert by_name["secret"].user is None and "a third token" not in by_name
    assert (by_name["message_sync"].emit, by_name["message_sync"].user) == ("request_message_sync", "userId")


def test_the_tables_are_valid_configuration() -> None:
    events = [
        ContractEvent(name='odd "name"\\\n\x7f', user=None),
        ContractEvent(name="sync", emit="get", user="data.owner.id"),
    ]
    read = read_contract(tomllib.loads(contract_toml(events))["event"], lambda *_: "wscheck.toml:1")
    assert [event.name for event in read.events] == [event.name for event in events]
    assert (read.events[1].emit, read.events[1].user) == ("get", "data.owner.id")


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        ({"a": 1, "userId": "ann"}, "userId"),
        ({"data": {"user": {"id": "ann"}}}, "data.user.id"),
        ({"to": "anna", "rows": [{"id": "ann"}]}, None),
        ("ann", None),
        ({"a.b": "ann"}, None),
    ],
)
def test_the_path_of_the_user(payload: object, path: str | None) -> None:
    assert observed.user_path(payload, "ann") == path
