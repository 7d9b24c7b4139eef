"""Where to go on after a restart: the places in the logs, who held what, and how much had been told."""

import os
import stat
from pathlib import Path

import msgspec

from wscheck.detect.incidents import Incident
from wscheck.model.errors import BadEvidence, UsageError
from wscheck.model.events import Connected
from wscheck.observe.tailing.follower import ResumePoint

SCHEMA = "wscheck.checkpoint/1"


class OutputFileState(msgspec.Struct, frozen=True):
    """An output file as it was: which file, and how long."""

    device: int
    inode: int
    size: int


class Checkpoint(msgspec.Struct, kw_only=True):
    """One moment: everything before it was read, judged and told; nothing after it was.

    logs       by name
    held       the connections that were open
    incidents  those that were open, without their evidence
    told       the NDJSON output, when it is a file
    """

    schema: str = SCHEMA
    logs: dict[str, ResumePoint] = msgspec.field(default_factory=dict)
    held: list[Connected] = msgspec.field(default_factory=list)
    incidents: list[Incident] = msgspec.field(default_factory=list)
    told: OutputFileState | None = None


_decoder = msgspec.json.Decoder(Checkpoint)


def load(path: Path) -> Checkpoint | None:
    """The checkpoint at `path`, None when there is none yet. Raises BadEvidence when it is something else."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadEvidence(f"The checkpoint {path} cannot be read: {error.strerror}.", "Check its path.") from error
    try:
        found = _decoder.decode(raw)
    except msgspec.DecodeError as error:
        raise BadEvidence(f"{path} is not a checkpoint: {error}.", "Name another file, or delete this one.") from error
    if found.schema != SCHEMA:
        raise BadEvidence(f"{path} is a `{found.schema}`, not a `{SCHEMA}`.", "Name another file.")
    return found


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write it whole or not at all: a reader, and a later run, sees the old one or the new one. Raises UsageError."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_bytes(msgspec.json.encode(checkpoint))
        partial.replace(path)
    except OSError as error:
        raise UsageError(
            f"The checkpoint {path} cannot be written: {error.strerror}.", "Make room, or name another file."
        ) from error


def told(fd: int) -> OutputFileState | None:
    """The regular file behind `fd` as it is now, None for anything else."""
    found = os.fstat(fd)
    return OutputFileState(found.st_dev, found.st_ino, found.st_size) if stat.S_ISREG(found.st_mode) else None


def truncate_output(fd: int, then: OutputFileState | None) -> None:
    """Cut the output behind `fd` to what the checkpoint covers; what follows will be told again."""
    now = told(fd)
    if now is None or then is None or (now.device, now.inode) != (then.device, then.inode):
        return
    if now.size > then.size:
        os.ftruncate(fd, then.size)
