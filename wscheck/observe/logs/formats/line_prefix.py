"""Line prefixes (time, level, process) in front of a message: recognition and comparison."""

import re
from enum import Enum

from wscheck.observe.logs.formats.timestamps import STAMP, STAMP_SOURCE
from wscheck.observe.logs.lazy_pattern import lazy_pattern

_BULLETS = r"(?:•|·|∙|‣|▪|●|◦|\*|-|–|—|→|->|>|\+|â€¢|â\x80¢|â¢|Ã¢â‚¬Â¢|\?{1,3}|\ufffd{1,3}|[├└│][─ ]*+)"

BULLET = lazy_pattern(rf"(?<!\s)\s*+{_BULLETS}\s*+$")
"""Bullet in front of a key, also with broken encoding."""

_BLANKS = lazy_pattern(r"\s+")
_WORD = lazy_pattern(r"[A-Za-z][A-Za-z'’]*[.,!?]?$")
_LEVEL = lazy_pattern(
    r"(?i)(?:trace|debug|verbose|info|information|log|note|notice|start|success|ready|await|pending|complete|warn|"
    r"warning|error|fatal|crit|critical|silly|http|stdout|stderr|out|err|trc|dbg|vrb|inf|wrn|ftl)[:.]?$"
)

_POD = lazy_pattern(r"[a-z0-9][\w.]*-[\w.-]+$")
_GITHUB = lazy_pattern(rf"\A[^\t]+\t[^\t]+\t(?=(?:{STAMP_SOURCE}))", re.VERBOSE)
"""The job and the step that `gh run view --log` prints before the time."""

_STERN = lazy_pattern(r"\A\s*[\w.-]+ [a-z0-9.-]+-[bcdf-hj-np-tv-xz2456789]{5} [\w.-]+(?=\s|$)")
"""Namespace, pod and container as stern prints them. Kubernetes ends the names of pods with these letters."""

_TAG = lazy_pattern(r"\s*([\w./-]+(?:\[\d+\])?:)(?=\s|$)")

_NAME = lazy_pattern(r"""(?:(?:[^\W\d]|\$)[\w$]*|"[^"]*"|'[^']*'|.*\)\])(?:(?<!msg)(?<!message)=|:)$""")
_HOST = lazy_pattern(r"[\w.-]+$")

_PROSE = 3
_IN_TEXT = ".,;!?'’\"`_"


class PrefixKind(Enum):
    """Likelihood that a logger wrote the text in front of a marker. If it did, the marker is the start of a record."""

    SURE = "sure"
    DOUBTFUL = "doubtful"
    """One or two names: of a logger, or the start of a message. The marker after them counts only if ids follow."""
    PROSE = "prose"


def classify_prefix(prefix: str) -> PrefixKind:
    """Return how likely it is that a logger wrote `prefix`.

    A logger writes timestamps, levels and names with punctuation. Plain words are the start of a message.
    """
    tokens = _prefix_tokens(prefix)
    words = [token for token in tokens if _WORD.match(token) and not _LEVEL.match(token)]
    if not words:
        return PrefixKind.SURE
    if len(words) >= _PROSE or (tokens[-1] is words[-1] and len(words) > 1):
        return PrefixKind.PROSE
    if len(words) > 1 or tokens[-1].endswith(":"):
        return PrefixKind.DOUBTFUL
    if tokens[-1] is words[-1]:
        # A pod and its container, as stern prints them: "bot-7d9f8 bot".
        return PrefixKind.SURE if len(tokens) == 2 and _POD.match(tokens[0]) else PrefixKind.DOUBTFUL
    return PrefixKind.SURE


def is_separate(before: str) -> bool:
    """Return whether a name can start directly after `before`.

    A name can start after a level ("INFO ann") or punctuation ("[7] ann"). After any other word the result is False,
    because the word may be the first word of the name ("mary ann").
    """
    tokens = _prefix_tokens(before)
    return not tokens or is_level(tokens[-1]) or not (tokens[-1][-1].isalnum() or tokens[-1][-1] in _IN_TEXT)


def introduces_payload(before: str) -> bool:
    """Return whether an object after the text `before` is payload that a user may have sent, not the logged record.

    Such an object is in a list, is indented like an object printed over several lines, or has a name ("body: {",
    "body={", "'a' => {") that is not a syslog tag (the name of a process).
    """
    before = before.replace("[Object: null prototype]", "")
    if before.rstrip().endswith(("[", "(", ",", "=>")):
        return True
    tokens = _prefix_tokens(before)
    if tokens and is_level(tokens[-1]):
        return False
    if not tokens or not _NAME.match(tokens[-1]):
        return indentation(before) > 1
    host = len(tokens) == 2 and STAMP.search(before) is not None and _HOST.match(tokens[0]) and not is_level(tokens[0])
    return not host


def _prefix_tokens(prefix: str) -> list[str]:
    """Return the words of a prefix without timestamps and without the prefix of a log viewer."""
    if not prefix:
        return []
    viewer = _GITHUB.match(prefix) if "\t" in prefix else None
    viewer = viewer or _STERN.match(prefix)
    return STAMP.sub("", prefix[viewer.end() :] if viewer is not None else prefix).split()


def indentation(before: str) -> int:
    """Return the number of blanks at the end of `before`, the text in front of a line's content."""
    return len(before) - len(before.rstrip())


def prefix_shape(prefix: str) -> str:
    """Return a prefix without timestamps and with single blanks, so that the prefixes of two lines can be compared."""
    return _BLANKS.sub(" ", STAMP.sub("", prefix)).strip() if prefix else ""


def is_continuation(before: str, of: str) -> bool:
    """Return whether a line that starts with `before` may continue a record. `of` is the record's `prefix_shape`.

    Timestamps are ignored. The rest of `before` must be empty or the start of `of`: a collector puts its prefix on
    each line (compose, PM2, kubectl, syslog), or only on the first line. Different processes have different prefixes.
    """
    own = prefix_shape(before)
    if not own or own == of:
        return True
    if not of.startswith(own):
        return False
    # In a syslog line, the host alone is not the prefix: the tag after it identifies the process.
    tag = _TAG.match(of, len(own))
    return tag is None or is_level(tag[1])


def is_level(token: str) -> bool:
    """Return whether a word is a log level."""
    return _LEVEL.match(token) is not None


def strip_bullet(before: str) -> tuple[str, bool]:
    """Return `before` without the bullet at its end, and whether there was one."""
    bullet = BULLET.search(before)
    return (before[: bullet.start()], True) if bullet is not None else (before, False)
