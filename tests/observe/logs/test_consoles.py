"""Tests of the frontend's console log: every documented line is read, and an event handled twice is found."""

import json

import pytest

from tests.observe.logs.corpus import corpus, names
from tests.observe.logs.reading import read
from wscheck.detect.engine import Judge
from wscheck.model.events import CodeLocation, Connected, Connecting, Emitted, Handled

KINDS = {
    "bot_status": "bot_status_update",
    "whatsapp": "whatsapp_connection_event",
    "message_sync": "message_sync",
    "connection_update": "connection_update",
}


@pytest.mark.parametrize("name", names("frontend"))
def test_every_line_is_read(name: str) -> None:
    log, truth = corpus()[name]
    told = [(event.line, getattr(event, "name", str(event.__struct_config__.tag))) for event in read(log)]
    words = {"creating": "connecting", "connected": "connected", **KINDS}
    assert told == [(event["line"], words[event["type"]]) for event in truth["events"]]


@pytest.mark.parametrize("name", names("frontend"))
def test_each_payload_that_was_handled_again_is_a_duplicate(name: str) -> None:
    log, truth = corpus()[name]
    judge = Judge()
    for event in read(log):
        judge.feed(event)
    found = {f.message.split()[0]: f.count for f in judge.finish() if f.rule == "event-duplicated"}
    # A line without a payload may be another event: only payloads prove that it was the same.
    again = [e["type"] for e in truth["events"] if e.get("dup") and e["type"] != "connection_update"]
    assert found == {KINDS[kind]: again.count(kind) for kind in set(again)}


def test_call_sites_and_triggers_are_read() -> None:
    log = (
        "useUnifiedWebSocket.ts:45:7 🔍 Creating unified WebSocket connection\n"
        "useUnifiedWebSocket.ts:78 ✅ Unified WebSocket connected successfully\n"
        "🚀 Triggering WhatsApp connection via unified WebSocket\n"
    )
    creating, connected, triggering = read(log)
    assert isinstance(creating, Connecting)
    assert creating.opener == CodeLocation("useUnifiedWebSocket.ts", 45, 7)
    assert isinstance(connected, Connected)
    assert isinstance(triggering, Emitted)


def test_a_server_log_with_the_same_words_is_not_a_console_log() -> None:
    line = json.dumps({"msg": "📊 Bot status update received", "userId": "x"})
    assert read(f"{line}\n📊 Bot status update received {{ userId: 'x' }}\n") == []


def test_lines_before_the_first_certain_line_are_read_too() -> None:
    handled = '📊 Bot status update received: {"a":1}\n🔄 Connection update received\n'
    first, second, third = read(handled + "🔍 Creating unified WebSocket connection\n")
    assert (first.line, second.line, third.line) == (1, 2, 3)
    assert isinstance(first, Handled)
    assert first.digest is not None
    assert isinstance(second, Handled)
    assert second.digest is None
