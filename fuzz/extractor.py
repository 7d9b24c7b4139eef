"""Coverage-guided fuzzing of the log reader: nothing may bring it down, and pieces may make no difference.

pip install -e '.[fuzz]'
python fuzz/extractor.py -max_total_time=180 [CORPUS_DIRECTORY]
"""

import sys

import atheris

with atheris.instrument_imports(include=["wscheck.sources.logs"]):
    from wscheck.events import Event
    from wscheck.sources.logs.extractor import Extractor

MOST_HELD = 1 << 20

FRAGMENTS = (
    b"WebSocket client connected",
    b"WebSocket client disconnected",
    b"Replacing existing socket for user",
    b"WebSocket server started",
    "🔍 Creating unified WebSocket connection".encode(),
    "📊 Bot status update received: {".encode(),
    *(b"socketId", b"userId", b"oldSocketId", b"newSocketId", b"reason", b"user", b"socket", b"req", b"data"),
    *(b"JklrX0lA-3eoASGLAAAA", b"aaaaX0lA-3eoASGLAAAB", b"server namespace disconnect", b"undefined", b"null"),
    *(
        b": ",
        b"='",
        b"'",
        b'"',
        b'\\"',
        b'":"',
        b'","',
        b"', ",
        b" -> ",
        b"{ ",
        b" }",
        b"{\n  ",
        b"\n}",
        b",\n  ",
        b"[",
        b"]",
    ),
    *(
        b"\n",
        b"\r\n",
        b"\\n",
        "\n• ".encode(),
        b"\n- ",
        b"\n    ",
        b"\n      ",
        b"\x1b[36m",
        b"\x1b[0m",
        b"\xef\xbb\xbf",
    ),
    *(
        b'{"msg":"',
        b'{"message":"',
        b'"log":"',
        b'{"MESSAGE":',
        b'","stream":"stdout"}',
        b'"}',
        b'\\n"}',
        b'{"_source":',
    ),
    *(
        b"2026-01-15T09:30:00.123Z ",
        b"[09:30:00.123] INFO (7): ",
        b"Jan 15 09:30:03 host node[7]: ",
        b" stdout P ",
        b" stdout F ",
    ),
    *(
        b"bot-1  | ",
        b"[worker 1] ",
        b"0|bot | ",
        b"prod bot-7d9f8c6b5-x2x4z bot ",
        b'level=info msg="',
        b"chat: ",
        b"(3 total)",
    ),
)
"""What logs are made of. Bytes from FIRST on stand for these, so that mutations of a few bytes write whole records."""

FIRST = 256 - len(FRAGMENTS)
PARTS = [bytes([byte]) for byte in range(FIRST)] + list(FRAGMENTS)


def check(data: bytes) -> None:
    """Read the log that `data[1:]` spells, at once and in pieces of `data[0] + 1` bytes."""
    if len(data) < 2:
        return
    size, log = data[0] + 1, b"".join(PARTS[byte] for byte in data[1:])
    whole, events = read(log, len(log))
    pieces, again = read(log, size)
    assert events == again, "pieces make a difference"
    assert (whole.lines, whole.offset, whole.levels) == (pieces.lines, pieces.offset, pieces.levels)
    assert whole.offset == len(log), "not all was read"
    assert len(pieces._held) <= MOST_HELD, "memory is not bounded"


def read(log: bytes, size: int) -> tuple[Extractor, list[Event]]:
    """The reader and its events, fed `size` bytes at a time."""
    extractor, events = Extractor("fuzz.log"), list[Event]()
    for begin in range(0, len(log), size):
        events += extractor.feed(log[begin : begin + size])
        assert extractor.offset <= extractor.bytes
    return extractor, events + extractor.flush(at_end=True)


def main() -> None:
    """Fuzz until told to stop; libFuzzer's options apply."""
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
