"""Stamps in payloads: times, sequence numbers and event ids, which differ between two copies of one event."""

import re
from collections.abc import Iterator
from typing import Any

MAX_STAMPS = 20
"""Stamps looked at per payload. Payloads with more are lists of records, whose stamps describe the records."""

MAX_DEPTH = 6

DAY_S = 86_400.0

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
_SEQUENCE_NAMES = frozenset(
    {"n", "no", "nr", "num", "number", "seq", "sequence", "serial", "counter", "ordinal", "tick", "rev", "revision"}
)
_TIME_NAMES = frozenset({"at", "ts", "t", "time", "timestamp", "stamp", "when", "now", "date", "epoch", "clock"})
_ID_NAMES = frozenset({"id", "uuid", "guid", "ulid", "nonce"})
_EVENT_NAMES = frozenset({"event", "message", "msg", "packet", "frame", "trace", "request", "correlation", "delivery"})
"""Words before "id" in the name of an event's own id. Other ids ("ticketId") name a thing that the event is about."""


def split_stamps(payload: object, at: float | None) -> tuple[object, dict[str, object]]:
    """Return `payload` without its stamps (time, sequence number, event id), and the stamps by their dotted path.

    Stamps are found by their name and value. A payload with too many of them is returned as it is. `at` is the time of
    the event in epoch seconds: a number near it is a time.
    """
    stamps = dict(_find(payload, "", at, MAX_DEPTH))
    if not stamps or len(stamps) > MAX_STAMPS:
        return payload, {}
    return _without(payload, "", stamps), stamps


def _find(value: object, path: str, at: float | None, depth: int) -> Iterator[tuple[str, object]]:
    if not depth:
        return
    if isinstance(value, dict):
        for key, each in value.items():
            place = f"{path}.{key}" if path else str(key)
            if isinstance(each, dict | list):
                yield from _find(each, place, at, depth - 1)
            elif _is_stamp(str(key), each, at):
                yield place, each
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _find(each, f"{path}.{index}" if path else str(index), at, depth - 1)


def _without(value: object, path: str, stamps: dict[str, object]) -> Any:
    if isinstance(value, dict):
        places = {key: f"{path}.{key}" if path else str(key) for key in value}
        return {key: _without(each, places[key], stamps) for key, each in value.items() if places[key] not in stamps}
    if isinstance(value, list):
        return [_without(each, f"{path}.{i}" if path else str(i), stamps) for i, each in enumerate(value)]
    return value


def _is_stamp(key: str, value: object, at: float | None) -> bool:
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        return False
    if _is_time(value, at):
        return True
    words = [word.lower() for word in _WORD.findall(key)]
    if not words:
        return False
    if words[-1] in _TIME_NAMES and len(words) > 1:
        return not isinstance(value, str) or value.isdigit()
    if words[-1] in _ID_NAMES:
        return all(word in _EVENT_NAMES for word in words[:-1])
    return all(word in _SEQUENCE_NAMES | _TIME_NAMES | _EVENT_NAMES for word in words) and (
        words[-1] in _SEQUENCE_NAMES | _TIME_NAMES
    )


def _is_time(value: str | int | float, at: float | None) -> bool:
    """Report whether `value` is a date with a time of day, or an epoch time (s, ms or us) within a day of `at`."""
    if isinstance(value, str):
        return _ISO_TIME.match(value) is not None
    return at is not None and any(abs(value / unit - at) < DAY_S for unit in (1, 1e3, 1e6))
