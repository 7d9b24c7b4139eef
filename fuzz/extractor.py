"""Coverage-guided fuzzing of the log reader: no input causes an error, and all ways of reading give the same events.

pip install -e '.[fuzz]'
python fuzz/extractor.py -max_total_time=180 [CORPUS_DIRECTORY]
"""

import sys

import atheris

with atheris.instrument_imports(include=["wscheck.observe.logs"]):
    from wscheck.model.events import Event
    from wscheck.observe.logs.extractor import LogExtractor
    from wscheck.observe.logs.vocabulary import LogVocabulary
    from wscheck.observe.tailing.read_buffer import ReadBuffer

MOST_HELD = 1 << 20

SENTENCES = (
    *("WebSocket client connected", "WebSocket client disconnected", "Replacing existing socket for user"),
    *("WebSocket server started", "🔍 Creating unified WebSocket connection", "📊 Bot status update received: {"),
)
KEYS = ("socketId", "userId", "oldSocketId", "newSocketId", "reason", "user", "socket", "req", "data")
VALUES = ("JklrX0lA-3eoASGLAAAA", "aaaaX0lA-3eoASGLAAAB", "server namespace disconnect", "undefined", "null")
SIGNS = (": ", "='", "'", '"', '\\"', '":"', '","', "', ", " -> ", "{ ", " }", "{\n  ", "\n}", ",\n  ", "[", "]")
LINES = ("\n", "\r\n", "\\n", "\n• ", "\n- ", "\n    ", "\n      ", "\x1b[36m", "\x1b[0m", "\ufeff")
RECORDS = ('{"msg":"', '{"message":"', '"log":"', '{"MESSAGE":', '","stream":"stdout"}', '"}', '\\n"}', '{"_source":')
STAMPS = ("2026-01-15T09:30:00.123Z ", "[09:30:00.123] INFO (7): ", "Jan 15 09:30:03 host node[7]: ")
RUNTIMES = (" stdout P ", " stdout F ", "bot-1  | ", "[worker 1] ", "0|bot | ", "prod bot-7d9f8c6b5-x2x4z bot ")
EXPORTS = (
    *(
        '{"logGroup":"g","logEvents":[{"id":1,"timestamp":1,"message":"',
        '{"hits":{"hits":[{"_source":{"message":"',
        '"}]}',
        '"}}]}}',
    ),
    *(
        '[{"date":1.5,"log":"',
        '[0] app: [[1.5, {}], {"log"=>"',
        '"}]',
        '{"body":{"stringValue":"',
        '"},"timeUnixNano":"1"}',
    ),
)
TEXT = ('level=info msg="', "chat: ", "(3 total)")
PHRASES = ("user ", " came on ", "[", "] gone: ", "kicked ", " by ", " of ")
PLACEHOLDERS = LogVocabulary(
    markers=(
        ("connected", "user {user} came on {sid}"),
        ("disconnected", "[{sid}] gone: {reason}"),
        ("replaced", "{user} kicked {old} by {new} of {}"),
    )
)
"""Markers of a user, with placeholders for the ids."""

FRAGMENTS = [
    text.encode()
    for texts in (SENTENCES, KEYS, VALUES, SIGNS, LINES, RECORDS, STAMPS, RUNTIMES, EXPORTS, TEXT, PHRASES)
    for text in texts
]
"""Fragments of logs. Bytes from FIRST on stand for these, so that mutations of a few bytes produce whole records."""

FIRST = 256 - len(FRAGMENTS)
PARTS = [bytes([byte]) for byte in range(FIRST)] + FRAGMENTS


LEARNED = 5
"""Records that are repeated this often are read by learned templates."""


def check(data: bytes) -> None:
    """Read the log that `data[1:]` encodes, once or repeated, in pieces of `data[0] + 1` bytes."""
    if len(data) < 2:
        return
    size, log = data[0] + 1, b"".join(PARTS[byte] for byte in data[1:])
    log *= LEARNED if size % 2 else 1
    for wording in (LogVocabulary(), PLACEHOLDERS):
        agree(log, size, wording)


def agree(log: bytes, size: int, wording: LogVocabulary) -> None:
    """Assert that all ways of reading give the same events."""
    whole, events = read(log, len(log), wording)
    pieces, again = read(log, size, wording)
    assert events == again, "the size of pieces makes a difference"
    assert events == read_in_buffer(ReadBuffer(size, 16 * size), log, wording), (
        "reading in the buffer makes a difference"
    )
    assert events == read(log, len(log), wording, general_only=True)[1], "the fast reader makes a difference"
    assert (whole.lines, whole.offset, whole.levels) == (pieces.lines, pieces.offset, pieces.levels)
    assert whole.offset == len(log), "not all was read"
    assert len(pieces._data) <= MOST_HELD, "memory is not bounded"


def read(
    log: bytes, size: int, wording: LogVocabulary, *, general_only: bool = False
) -> tuple[LogExtractor, list[Event]]:
    """Return the reader and its events, fed `size` bytes at a time; `general_only`: without the fast reader."""
    extractor, events = LogExtractor("fuzz.log", wording=wording), list[Event]()
    if general_only:
        vars(extractor._fast_reader)["note"] = lambda *_: 0
    for begin in range(0, len(log), size):
        events += extractor.feed(log[begin : begin + size])
        assert extractor.offset <= extractor.bytes
    return extractor, events + extractor.flush(at_end=True)


def read_in_buffer(buffer: ReadBuffer, log: bytes, wording: LogVocabulary) -> list[Event]:
    """Its events, read where they stand in a read buffer."""
    extractor = LogExtractor("fuzz.log", wording=wording)
    for begin in range(0, len(log), len(buffer.payload)):
        piece = log[begin : begin + len(buffer.payload)]
        buffer.payload[: len(piece)] = piece
        extractor.scan(buffer, len(piece))
    return [*extractor.read(), *extractor.flush(at_end=True)]


def main() -> None:
    """Fuzz until interrupted; libFuzzer's options apply."""
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
