"""60 logs by real loggers with the expected events (tests/data/log-corpus.tar.xz contains their README)."""

import json
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

ARCHIVE = Path(__file__).parents[2] / "data" / "log-corpus.tar.xz"


@cache
def corpus() -> dict[str, tuple[bytes, dict[str, Any]]]:
    """By name: what the log holds, and the truth about it."""
    with tarfile.open(ARCHIVE) as archive:
        files = {member.name: _content(archive, member) for member in archive if member.isfile()}
    logs = [name.removesuffix(".log") for name in files if name.endswith(".log")]
    return {name: (files[f"{name}.log"], json.loads(files[f"{name}.truth.json"])) for name in logs}


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None
    return file.read()


def names(kind: str, *, decidable: bool = True) -> list[str]:
    """The logs of a kind ("server", "frontend") whose ids are decidable, or those whose ids are not."""
    return [n for n, (_, t) in corpus().items() if t["kind"] == kind and t.get("idsDecidable", True) is decidable]
