"""Short logs of real npm loggers with the expected events (tests/data/README.md)."""

import json
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

ARCHIVE = Path(__file__).parents[2] / "data" / "log-samples.tar.xz"


@cache
def samples() -> dict[str, tuple[bytes, list[dict[str, Any]]]]:
    """By format: the log, and what is true of it."""
    with tarfile.open(ARCHIVE) as archive:
        files = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        content = {name: file.read() for name, file in files.items() if file is not None}
    return {
        name.removesuffix(".log"): (log, _truth(content[name.replace(".log", ".truth.ndjson")]))
        for name, log in content.items()
        if name.endswith(".log")
    }


def _truth(lines: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.splitlines()]
