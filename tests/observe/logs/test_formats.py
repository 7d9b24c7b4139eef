"""Tests of every format in every wrapper and encoding, on generated logs."""

import random
import zlib

import pytest

from tests.observe.logs.conversations import Entry, conversation
from tests.observe.logs.formats import FORMATS, PLAIN_FORMATS
from tests.observe.logs.reading import read_log, said, true
from tests.observe.logs.wrappers import ENCODINGS, WRAPPERS
from wscheck.model.events import Event

ALL = FORMATS | PLAIN_FORMATS


def written(draw: random.Random, entries: list[Entry], form: str, wrapper: str, encoding: str) -> bytes:
    lines = [(line, entry.at) for entry in entries for line in ALL[form](entry).rstrip("\n").split("\n")]
    return ENCODINGS[encoding](WRAPPERS[wrapper](draw, lines))


def truths(entries: list[Entry]) -> list[object]:
    return [true(entry.true) for entry in entries if entry.true is not None]


def check(form: str, wrapper: str, encoding: str) -> list[Event]:
    seed = zlib.crc32(f"{form} {wrapper} {encoding}".encode())
    draw = random.Random(seed)
    entries = conversation(draw, 24, spaces=form in FORMATS)
    extractor, events = read_log(written(draw, entries, form, wrapper, encoding))
    assert [said(event) for event in events] == truths(entries), f"seed {seed}"
    assert extractor.levels == {"full": len(events)}
    return events


@pytest.mark.parametrize("form", ALL)
def test_every_format_in_every_wrapper_and_encoding(form: str) -> None:
    for wrapper in WRAPPERS:
        check(form, wrapper, "utf-8")
    for encoding in list(ENCODINGS)[1:]:  # the first is that of the wrappers
        check(form, "nothing", encoding)


@pytest.mark.parametrize(
    "form", ["bullets", "console", "pino-pretty", "pino-pretty-nested", "log4js", "winston-pretty", "console-twice"]
)
def test_interleaved_processes_are_separated_by_their_prefixes(form: str) -> None:
    draw = random.Random(form)
    entries = [conversation(draw, 20, spaces=form in FORMATS) for _ in range(3)]
    queues = [
        [f"[worker {n}] {line}" for entry in own for line in ALL[form](entry).rstrip("\n").split("\n")]
        for n, own in enumerate(entries)
    ]
    lines = []
    while any(queues):
        lines.append(draw.choice([queue for queue in queues if queue]).pop(0))
    _, events = read_log("\n".join(lines))
    by_user = sorted(str(said(event)) for event in events)
    assert by_user == sorted(str(fact) for own in entries for fact in truths(own))


def test_a_mojibake_bullet_is_a_bullet() -> None:
    draw = random.Random(5)
    entries = conversation(draw, 20)
    log = "".join(FORMATS["bullets"](entry) for entry in entries)
    for broken in ("â€¢", "?", "\ufffd", "Ã¢â‚¬Â¢"):
        assert [said(event) for event in read_log(log.replace("•", broken))[1]] == truths(entries)
