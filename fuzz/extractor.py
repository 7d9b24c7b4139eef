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


def check(data: bytes) -> None:
    """Read `data[1:]` at once and in pieces of `data[0]` bytes."""
    if len(data) < 2:
        return
    size, log = data[0] + 1, data[1:]
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
