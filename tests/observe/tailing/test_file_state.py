"""Fingerprints of files, gzip content, output cut to its checkpoint, and positions."""

import gzip
import os
from pathlib import Path

import pytest

from wscheck.observe.tailing.checkpoint import output_state, truncate_output
from wscheck.observe.tailing.generations import known_files
from wscheck.observe.tailing.open_file import FileReader, OpenLog
from wscheck.observe.tailing.packed_log import PackedReader
from wscheck.observe.tailing.stream import LogStream


def test_a_shorter_file_does_not_match_its_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "app.log.1"
    path.write_bytes(b"x" * 1000)
    trace = known_files([path])[path]
    for size, same in ((1000, True), (300, False)):
        os.truncate(path, size)
        reader = FileReader(path)
        assert trace.matches(reader) is same
        reader.close()


@pytest.mark.parametrize(("after", "broken"), [(b"", False), (b"\0" * 512, False), (b"junk", True)])
def test_zero_padding_after_gzip_data_is_not_damage(after: bytes, broken: bool) -> None:
    whole = gzip.compress(b"one\n") + gzip.compress(b"two\n") + after
    packed = PackedReader(lambda at: whole[at : at + 7])
    assert packed.read_at(100, 0) == b"one\ntwo\n"
    assert (packed.size(), packed.damaged) == (8, broken)


@pytest.mark.parametrize(("size", "left"), [(9, 5), (5, 5), (3, 3)])
def test_only_output_after_the_checkpoint_is_cut(tmp_path: Path, size: int, left: int) -> None:
    path = tmp_path / "recording.ndjson"
    path.write_bytes(b"12345")
    with path.open("ab") as out:
        recorded_state = output_state(out.fileno())
        os.truncate(path, size)
        truncate_output(out.fileno(), recorded_state)
    assert path.stat().st_size == left
    with (tmp_path / "another").open("wb") as other:
        other.write(b"123456789")
        other.flush()
        truncate_output(other.fileno(), recorded_state)
    assert (tmp_path / "another").stat().st_size == 9


def test_a_position_before_the_last_lines_has_its_own_line_number(tmp_path: Path) -> None:
    """An unfinished record of several lines is read again after a restart."""
    path = tmp_path / "app.log"
    path.write_bytes(b"".join(b"line %d\n" % n for n in range(10)))
    log = OpenLog(FileReader(path), 0)
    stream = LogStream(log)
    stream.length, stream.lines = log.read_into(memoryview(bytearray(1000))) or 0, 10
    stream.consumed = 7 * len(b"line n\n")
    assert (stream.position().offset, stream.position().lines) == (stream.consumed, 7)
    stream.close()
