"""What files are known by, byte for byte: traces of what lay there, what gzip packed, what was told before a kill."""

import gzip
import os
from pathlib import Path

import pytest

from wscheck.observe.tailing.checkpoint import output_state, truncate_output
from wscheck.observe.tailing.generations import take_fingerprints
from wscheck.observe.tailing.gzip_log import GzipReader
from wscheck.observe.tailing.open_file import FileReader, OpenLog
from wscheck.observe.tailing.stream import LogStream


def test_a_file_that_became_shorter_is_not_the_one_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "app.log.1"
    path.write_bytes(b"x" * 1000)
    trace = take_fingerprints([path])[path]
    for size, same in ((1000, True), (300, False)):
        os.truncate(path, size)
        reader = FileReader(path)
        assert trace.matches(reader) is same
        reader.close()


@pytest.mark.parametrize(("after", "broken"), [(b"", False), (b"\0" * 512, False), (b"junk", True)])
def test_what_is_filled_up_with_noughts_is_whole(after: bytes, broken: bool) -> None:
    whole = gzip.compress(b"one\n") + gzip.compress(b"two\n") + after
    packed = GzipReader(lambda at: whole[at : at + 7])
    assert packed.read_at(100, 0) == b"one\ntwo\n"
    assert (packed.size(), packed.damaged) == (8, broken)


@pytest.mark.parametrize(("size", "left"), [(9, 5), (5, 5), (3, 3)])
def test_only_what_was_told_since_is_taken_back(tmp_path: Path, size: int, left: int) -> None:
    path = tmp_path / "told.ndjson"
    path.write_bytes(b"12345")
    with path.open("ab") as out:
        then = output_state(out.fileno())
        os.truncate(path, size)
        truncate_output(out.fileno(), then)
    assert path.stat().st_size == left
    with (tmp_path / "another").open("wb") as other:
        other.write(b"123456789")
        other.flush()
        truncate_output(other.fileno(), then)
    assert (tmp_path / "another").stat().st_size == 9


def test_a_place_before_lines_that_were_read_has_their_number_of_its_own(tmp_path: Path) -> None:
    """A record of several lines that may still go on is read again after a restart."""
    path = tmp_path / "app.log"
    path.write_bytes(b"".join(b"line %d\n" % n for n in range(10)))
    log = OpenLog(FileReader(path), 0)
    stream = LogStream(log)
    stream.length, stream.lines = log.read_into(memoryview(bytearray(1000))) or 0, 10
    stream.consumed = 7 * len(b"line n\n")
    assert (stream.position().offset, stream.position().lines) == (stream.consumed, 7)
    stream.close()
