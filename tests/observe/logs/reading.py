"""Functions that read a log at once or in pieces, and the expected events."""

from collections.abc import Iterable
from typing import Any

from wscheck.detect.engine import Judge
from wscheck.model.events import Connected, Disconnected, Event, Replaced
from wscheck.observe.logs.extractor import LogExtractor
from wscheck.observe.logs.vocabulary import LogVocabulary
from wscheck.observe.tailing.read_buffer import ReadBuffer


def read(log: bytes | str, *pieces: int, wording: LogVocabulary | None = None) -> list[Event]:
    """The events of a whole log, fed in pieces of these sizes and then the rest."""
    return read_log(log, *pieces, wording=wording)[1]


def read_log(log: bytes | str, *pieces: int, wording: LogVocabulary | None = None) -> tuple[LogExtractor, list[Event]]:
    data = memoryview(log.encode() if isinstance(log, str) else log)
    extractor, events, begin = LogExtractor("app.log", wording=wording), list[Event](), 0
    for size in (*pieces, len(data)):
        events += extractor.feed(data[begin : begin + size])
        begin += size
    return extractor, events + extractor.flush(at_end=True)


def read_in_buffer(buffer: ReadBuffer, log: bytes) -> tuple[LogExtractor, list[Event]]:
    """The same, in pieces as large as the buffer's payload, some events at a time."""
    extractor, events = LogExtractor("app.log"), list[Event]()
    for begin in range(0, len(log), len(buffer.payload)):
        piece = log[begin : begin + len(buffer.payload)]
        buffer.payload[: len(piece)] = piece
        if extractor.scan(buffer, len(piece)) > 5:
            events += extractor.read()
    events += extractor.read()
    return extractor, events + extractor.flush(at_end=True)


def said(event: Event) -> tuple[Any, ...]:
    """Kind and ids, in the order of the truth's."""
    if isinstance(event, Connected):
        return "connect", event.sid, event.user
    if isinstance(event, Replaced):
        return "replace", event.user, event.old_sid, event.new_sid
    if isinstance(event, Disconnected):
        return "disconnect", event.sid, event.reason
    return str(event.__struct_config__.tag), getattr(event, "reason", None)


def true(event: dict[str, Any]) -> tuple[Any, ...]:
    """The same of an event in a truth."""
    user = str(event["userId"]) if event.get("userId") is not None else None
    if event["type"] == "connect":
        return "connect", event["socketId"], user
    if event["type"] == "replace":
        return "replace", user, event["oldSocketId"], event["newSocketId"]
    return "disconnect", event["socketId"], event.get("reason")


def connections_by_user(events: Iterable[Event]) -> dict[str, dict[str, Any]]:
    """By user, what the ledger knows at the end, in the truth's words."""
    judge = Judge()
    for event in events:
        judge.feed(event)
    ledger = judge.ledger
    return {
        user: {
            "connects": ledger.counts_for(user).connects,
            "replacements": ledger.counts_for(user).replacements,
            "disconnects": ledger.counts_for(user).disconnects,
            "open": list(ledger.open_connections(user)),
            "maxOpen": ledger.counts_for(user).max_open,
        }
        for user in ledger.users()
    }
