"""The state of a run of tail-logs in a file, from which the next run continues.

The file contains the positions in the logs, the open connections, the open incidents and the length of the recording.
A later run compares ids and text in this file with the logs, so secrets in them are not removed. Therefore only the
owner can read the file.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

import msgspec

from wscheck.detect.incidents import Incident
from wscheck.model.errors import BadEvidence, UsageError
from wscheck.model.events import Connected
from wscheck.observe.tailing.follower import ResumePoint

SCHEMA = "wscheck.checkpoint/1"


class OutputFileState(msgspec.Struct, frozen=True):
    """The identity of an output file, and its size in bytes."""

    device: int
    inode: int
    size: int


class Checkpoint(msgspec.Struct, kw_only=True):
    """The state of a run at one moment.

    Everything before this moment was read, evaluated and reported; nothing after it was.

    logs              dict of log name to resume point
    open_connections  the connections that were open
    incidents         the incidents that were open, without their evidence
    recording         the NDJSON output, if it is a file
    """

    schema: str = SCHEMA
    logs: dict[str, ResumePoint] = msgspec.field(default_factory=dict)
    open_connections: list[Connected] = msgspec.field(default_factory=list, name="held")
    incidents: list[Incident] = msgspec.field(default_factory=list)
    recording: OutputFileState | None = msgspec.field(default=None, name="told")


_decoder = msgspec.json.Decoder(Checkpoint)


def load_checkpoint(path: Path) -> Checkpoint | None:
    """Return the checkpoint at `path`, None if there is no file. Raises BadEvidence if the file is not valid."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadEvidence(f"The checkpoint {path} cannot be read: {error.strerror}.", "Check its path.") from error
    try:
        checkpoint = _decoder.decode(raw)
    except msgspec.DecodeError as error:
        raise BadEvidence(f"{path} is not a checkpoint: {error}.", "Name another file, or delete this one.") from error
    if checkpoint.schema != SCHEMA:
        raise BadEvidence(
            f"{path} is no checkpoint of this version: its schema is `{checkpoint.schema}` instead of `{SCHEMA}`.",
            "Delete it, or name another file: wscheck creates it.",
        )
    return checkpoint


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the file at `path` atomically: a reader sees the old or the new checkpoint.

    Raises:
        UsageError: The file cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with os.fdopen(_create_private(partial), "wb") as file:
            file.write(msgspec.json.encode(checkpoint))
        partial.replace(path)
    except OSError as error:
        raise UsageError(
            f"The checkpoint {path} cannot be written: {error.strerror}.", "Free some space, or name another file."
        ) from error


def _create_private(path: Path) -> int:
    """Return the descriptor of a new or emptied file that only its owner can read."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with suppress(OSError):  # some file systems have no modes
        os.fchmod(fd, 0o600)
    return fd


def output_state(fd: int) -> OutputFileState | None:
    """Return the state of the regular file behind `fd`, None for anything else."""
    status = os.fstat(fd)
    return OutputFileState(status.st_dev, status.st_ino, status.st_size) if stat.S_ISREG(status.st_mode) else None


def truncate_output(fd: int, recorded: OutputFileState | None) -> None:
    """Cut the output file `fd` to its `recorded` size, that at the checkpoint. The run writes the later lines again.

    Leave the output unchanged if it is not the recorded file.
    """
    current = output_state(fd)
    if current is None or recorded is None or (current.device, current.inode) != (recorded.device, recorded.inode):
        return
    if current.size > recorded.size:
        os.ftruncate(fd, recorded.size)
