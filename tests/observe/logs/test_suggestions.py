"""Tests of the options that are suggested for a log in other words."""

import pytest

from tests.observe.logs.reading import read, read_log
from wscheck.model.events import Connected, Disconnected
from wscheck.observe.logs.suggest.suggestions import MarkerProposal
from wscheck.observe.logs.vocabulary import LogVocabulary

KINDS = ("connected", "replaced", "disconnected")
A, B = "AbCdEfGhIjKlMnOp0001", "AbCdEfGhIjKlMnOp0002"

WORDED = {
    "key=value": (
        "2026-01-15T09:30:01Z INFO Socket opened socketId=A userId=u1\n2026-01-15T09:30:02Z INFO GET /x 200\n"
        "2026-01-15T09:30:02Z INFO Socket opened socketId=B userId=u1\n"
        "2026-01-15T09:30:03Z INFO Socket closed socketId=A reason=bye\n",
        [("connected", "Socket opened", (), 2), ("disconnected", "Socket closed", (), 1)],
    ),
    "JSON, with other keys": (
        f'{{"level":30,"msg":"client joined","uid":7,"conn":"{A}"}}\n{{"level":30,"msg":"client left","conn":"{A}"}}\n',
        [
            ("connected", "client joined", (("user", "uid"), ("sid", "conn")), 1),
            ("disconnected", "client left", (("sid", "conn"),), 1),
        ],
    ),
    "a socket by its 20 characters": (
        f"[09:30:00] INFO: New connection: {A}\n[09:30:01] INFO: New connection: {B}\n",
        [("connected", "New connection", (), 2)],
    ),
    "an event's name": (
        f'{{"event":"socket_connected","userId":"u","socketId":"{A}"}}\n',
        [("connected", "socket_connected", (), 1)],
    ),
    "lines below": (f"🔌 user online\n• socketId: {A}\n• userId: ada\n", [("connected", "user online", (), 1)]),
    "names behind": (
        f"Client joined as user ada socketId={A}\nClient joined as user bob socketId={B}\n",
        [("connected", "Client joined", (), 2)],
    ),
    "users in the sentence": (
        "user ada connected\nuser bob connected\n",
        [("connected", "user {user} connected", (), 2)],
    ),
    "replaced": (
        f"Session replaced userId=ada oldSocketId={A} newSocketId={B}\n",
        [("replaced", "Session replaced", (), 1)],
    ),
}


@pytest.mark.parametrize("case", WORDED)
def test_suggested_options_read_the_lines(case: str) -> None:
    log, proposed = WORDED[case]
    extractor, events = read_log(log)
    found = extractor.suggestions(KINDS)
    assert events == []
    assert [(one.kind, one.text, one.keys, one.lines) for one in found] == proposed
    wording = LogVocabulary()
    for one in found:
        assert one.example in log
        wording = one.add_to(wording)
    kinds = [str(event.__struct_config__.tag) for event in read(log, wording=wording)]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {one.kind: one.lines for one in found}


@pytest.mark.parametrize(
    "log",
    [
        "",
        "nothing to see\n",
        "Redis client connected\nDatabase connection established host=db\n",
        "chat from bob: 'client connected userId=victim'\n",
        '{"msg":"chat","text":"client connected userId=victim"}\n',
        "socketConnected=true userId=ada\n",
        "Message received { message: 'client connected', userId: 'victim' }\n",
        "WebSocket client connected count refreshed { total: 28 }\n",
    ],
)
def test_lines_without_ids_are_not_suggested(log: str) -> None:
    assert read_log(log)[0].suggestions(KINDS) == []


def test_only_requested_kinds_that_are_not_read_are_suggested() -> None:
    log = f"WebSocket client connected {{ socketId: '{A}', userId: 'u' }}\nSocket closed socketId={A}\n"
    extractor, events = read_log(log)
    assert [type(event) for event in events] == [Connected]
    assert [one.text for one in extractor.suggestions(["disconnected"])] == ["Socket closed"]
    assert extractor.suggestions(["replaced"]) == []


def test_configured_markers_and_keys_still_count() -> None:
    own = LogVocabulary(markers=(("disconnected", "bye"),), keys=(("user", "who"),))
    extractor, _ = read_log(f"Socket opened who=ada socketId={A}\nbye socketId={A}\n", wording=own)
    [found] = extractor.suggestions(["connected"])
    assert (found.text, found.keys) == ("Socket opened", ())
    assert [type(e) for e in read(f"bye socketId={A}\n", wording=found.add_to(own))] == [Disconnected]


def test_the_example_contains_no_credentials() -> None:
    extractor, _ = read_log("Socket opened token=s3cr3ts3cr3t userId=ada\n")
    [found] = extractor.suggestions(["connected"])
    assert "s3cr3t" not in found.example


def test_very_many_wordings_do_not_take_long() -> None:
    words = "".join(f"socket connected w{'x' * (n % 97)}{'y' * (n // 97)} id\n" for n in range(2000))
    many = "".join(f"{'a' * (n % 97 + 1)} {'b' * (n // 97 + 1)} socket connected\n" for n in range(1500))
    tried: list[MarkerProposal] = read_log(words + many)[0].suggestions(KINDS)
    assert tried == []
