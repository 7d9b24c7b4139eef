"""The console transcripts of a document: commands after `$`, and what they print until the next."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

_BLOCK = re.compile(r"^```console(?P<kind>[ \w]*)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)

# What differs from run to run, and says nothing: ids, numbers, and where a line was folded because of them.
_SID = r"(?<![\w-])(?=[\w-]*[A-Z\d])[\w-]{20}(?![\w-])"
_SIDS = re.compile(rf"{_SID}(, {_SID})*( and others)?")
_OFTEN = re.compile(r"(?:once|twice|[\d,]+ times)(?: in [\d.]+ m?s)?(?: \([\d.]+/s\))?")
_STALLED = re.compile(r" \(this machine stalled for [\d.]+ s meanwhile\)")
_NUMBER = re.compile(r"\d[\d,]*(\.\d+)?")
_SPAN = re.compile(r"\bN m?s\b")


class Step(NamedTuple):
    """One command of a transcript and what it should print; of `figures` only their names."""

    command: str
    expected: str
    figures: bool = False

    def tells(self, printed: str) -> tuple[str, str]:
        """What it should print and what it did, without what differs from run to run."""
        read = names if self.figures else alike
        return read(self.expected), read(printed)


def transcripts(document: str) -> list[list[Step]]:
    """Every console block of the document at this path (from the root), as its steps."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return [_steps(block["text"], block["kind"].strip() == "figures") for block in _BLOCK.finditer(text)]


def _steps(block: str, figures: bool) -> list[Step]:
    pieces = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    parts = [[*re.split(r"(?<!\\)\n", piece, maxsplit=1), ""] for piece in pieces]
    return [Step(command, expected, figures) for command, expected, *_ in parts]


def alike(text: str) -> str:
    """`text` without what differs from run to run."""
    text = _SIDS.sub("SID", re.sub(r"\s+", " ", text))
    text = _OFTEN.sub("SO OFTEN", _STALLED.sub("", text))
    return _SPAN.sub("N s", _NUMBER.sub("N", text)).strip()


def names(text: str) -> str:
    """The first column of a table of figures, and every line that is none."""
    return "\n".join(alike(re.split(r"\s{2,}(?=\S)", line.strip())[0]) for line in text.splitlines() if line.strip())
