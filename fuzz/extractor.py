"""Coverage-guided fuzzing of the log reader: nothing may bring it down; pieces, places, shortcuts make no difference.

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
PLACES = LogVocabulary(
    markers=(
        ("connected", "user {user} came on {sid}"),
        ("disconnected", "[{sid}] gone: {reason}"),
        ("replaced", "{user} kicked {old} by {new} of {}"),
    )
)
"""A user's own sentences, with places for the ids."""

FRAGMENTS = [
    text.encode()
    for texts in (SENTENCES, KEYS, VALUES, SIGNS, LINES, RECORDS, STAMPS, RUNTIMES, EXPORTS, TEXT, PHRASES)
    for text in texts
]
"""What logs are made of. Bytes from FIRST on stand for these, so that mutations of a few bytes write whole records."""

FIRST = 256 - len(FRAGMENTS)
PARTS = [bytes([byte]) for byte in range(FIRST)] + FRAGMENTS


LEARNED = 5
"""Records that come so often are read by what was learned of them."""


def check(data: bytes) -> None:
    """Read the log that `data[1:]` spells, once or again and again, in pieces of `data[0] + 1` bytes and with care."""
    if len(data) < 2:
        return
    size, log = data[0] + 1, b"".join(PARTS[byte] for byte in data[1:])
    log *= LEARNED if size % 2 else 1
    for wording in (LogVocabulary(), PLACES):
        agree(log, size, wording)


def agree(log: bytes, size: int, wording: LogVocabulary) -> None:
    """Read it in each way there is: all must say the same."""
    whole, events = read(log, len(log), wording)
    pieces, again = read(log, size, wording)
    assert events == again, "pieces make a difference"
    assert events == read_in_buffer(ReadBuffer(size, 16 * size), log, wording), "reading in place makes a difference"
    assert events == read(log, len(log), wording, careful=True)[1], "shortcuts make a difference"
    assert (whole.lines, whole.offset, whole.levels) == (pieces.lines, pieces.offset, pieces.levels)
    assert whole.offset == len(log), "not all was read"
    assert len(pieces._data) <= MOST_HELD, "memory is not bounded"


def read(log: bytes, size: int, wording: LogVocabulary, *, careful: bool = False) -> tuple[LogExtractor, list[Event]]:
    """The reader and its events, fed `size` bytes at a time; `careful`: without shortcuts."""
    extractor, events = LogExtractor("fuzz.log", wording=wording), list[Event]()
    if careful:
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
    """Fuzz until told to stop; libFuzzer's options apply."""
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
