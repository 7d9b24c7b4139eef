"""Markers with placeholders for ids, such as `--marker connected='user {user} came on {sid}'`.

An id is the text between the fixed texts of the marker. If it is unclear where an id ends, the id is left out.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from wscheck.observe.logs.formats.key_values import (
    is_person_name,
    is_quoted,
    unquote,
    value_or_none,
    without_enclosing_bracket,
)
from wscheck.observe.logs.formats.line_prefix import is_level, is_separate
from wscheck.observe.logs.formats.timestamps import STAMP
from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.vocabulary import REASON, USER, needle_for, split_placeholders

MAX_ID_LENGTH, MAX_FURTHER_WORDS = 128, 3
"""Maximum length of an id, and of words after its first word: hostile input must not slow down matching."""
MAX_TRIES = 8
"""Maximum number of needle positions that are tried in one line: hostile input must not slow down matching."""

_QUOTED = rf'"(?:[^"\\]|\\.){{0,{MAX_ID_LENGTH}}}"|' + rf"'[^']{{0,{MAX_ID_LENGTH}}}'|`[^`]{{0,{MAX_ID_LENGTH}}}`"
_STOP = "[:;,.|]"
_REST = r"(\S.*?)\s*$"
_UNCLEAR_SIGNS = lazy_pattern(r"[(){}\[\],;]|^'|'$|=(?!=*$)")
"""Characters that make it unclear where an id starts or ends."""
_WORD = lazy_pattern(r"\w+")


class PlaceholderMatch(NamedTuple):
    """Ids in the text line[begin:end], which matches a marker with placeholders.

    ids      dict of role (user, sid, ...) to id
    unclear  roles of ids that were left out because their start or end is ambiguous
    """

    begin: int
    end: int
    ids: dict[str, str]
    unclear: set[str]


class PlaceholderMarker:
    """Matcher for one valid marker with placeholders (`vocabulary.marker_error` checks it)."""

    def __init__(self, kind: str, marker: str) -> None:
        self.kind, self.needle = kind, needle_for(marker)
        self._texts, self._roles = split_placeholders(marker)
        before = next(at for at, text in enumerate(self._texts) if self.needle in text)
        self._reach = len("".join(self._texts[: before + 1])) + before * (MAX_FURTHER_WORDS + 1) * MAX_ID_LENGTH
        self._shortest, self._longest = (_pattern(self._texts, self._roles, lazy) for lazy in ("?", ""))

    def needle_positions(self, line: str) -> Iterator[int]:
        """Yield the positions of the marker's needle (its longest fixed text) in a line."""
        at = line.find(self.needle)
        for _ in range(MAX_TRIES):
            if at < 0:
                return
            yield at
            at = line.find(self.needle, at + 1)

    def match(self, line: str, at: int) -> PlaceholderMatch | None:
        """Return the ids in the text around `at` that matches the marker, None if no text matches there.

        The marker's needle (its longest fixed text) is at the position `at`.
        """
        starts = (begin for begin in self._starts(line, at) if self._shortest.match(line, begin) is not None)
        begin = next(starts, None)
        if begin is None:
            return None
        found = self._read_ids(line[:begin] + without_enclosing_bracket(line[:begin], line[begin:]), begin)
        if found is None or not self._texts[0].strip() or not any(self._includes(line, each, begin) for each in starts):
            return found
        first = self._roles[0]
        ids = {role: value for role, value in found.ids.items() if role != first}
        return found._replace(ids=ids, unclear=(found.unclear | {first}) - {""})

    def _includes(self, line: str, earlier: int, begin: int) -> bool:
        """Return whether the sentence may start at `earlier`, so that its first id contains the text at `begin`."""
        match = self._shortest.match(line, earlier)
        if match is None or not match.start(1) <= begin < match.end(1) or any(map(str.isspace, match[1])):
            return False
        # A time and a level in brackets are the line's prefix, and no part of an id.
        return not all(map(is_level, _WORD.findall(STAMP.sub("", line[match.start(1) : begin]))))

    def _starts(self, line: str, at: int) -> Iterator[int]:
        """Yield the positions at which a matching text may start, the nearest to `at` first."""
        lowest, first = max(0, at - self._reach), self._texts[0].rstrip()
        if not first:
            yield from (begin for begin in range(at, lowest - 1, -1) if not line[begin - 1 : begin].strip())
            return
        begin = at + 1
        while (begin := line.rfind(first, lowest, begin - 1 + len(first))) >= 0:
            yield begin

    def _read_ids(self, line: str, begin: int) -> PlaceholderMatch | None:
        shortest, longest = self._shortest.match(line, begin), self._longest.match(line, begin)
        if shortest is None or longest is None:
            return None
        ids, unclear, end = dict[str, str](), set[str](), shortest.end()
        for group, role in enumerate(self._roles, start=1):
            value = self._value(line, group, shortest)
            if not self._texts[group] and group == len(self._roles):
                end = shortest.start(group) + len(value)
            sure = role == REASON or (shortest.span(group) == longest.span(group) and self._may_be_id(group, value))
            if not sure:
                unclear.add(role)
            elif (named := value_or_none(unquote(value) if is_quoted(value) else value)) is not None:
                ids[role] = named
        unclear_start = set() if self._starts_cleanly(line[:begin], shortest) else set(self._roles)
        unclear = (unclear | unclear_start) - {""}
        return PlaceholderMatch(begin, end, {role: ids[role] for role in ids if role and role not in unclear}, unclear)

    def _value(self, line: str, group: int, match: re.Match[str]) -> str:
        """Return the text that matched a placeholder such as `{user}`, without punctuation at the end of the line."""
        begin, end = match.span(group)
        last = end == match.end()
        if last and self._roles[group - 1] == USER and is_person_name(line[begin:].split()):
            return line[begin:].rstrip()
        stops = ":;,.|" if last else ",;"
        ends = end - begin > 1 and line[end - 1] in stops and not line[end : end + 1].strip()
        return line[begin : end - ends].rstrip()

    def _may_be_id(self, group: int, value: str) -> bool:
        """Return whether a value may be one id: a word or a name, or any characters between two fixed texts."""
        if is_quoted(value):
            return True
        if " " in value:
            return is_person_name(value.split())
        before, behind = self._texts[group - 1][-1:], self._texts[group][:1]
        return bool(before.strip() and behind.strip()) or _UNCLEAR_SIGNS.search(value) is None

    def _starts_cleanly(self, before: str, match: re.Match[str]) -> bool:
        """Return whether `before`, the text in front of the match, cannot be part of the first id."""
        first = self._texts[0]
        if not first:
            odd = is_level(match[1]) or (STAMP.fullmatch(match[1]) and not STAMP.search(before))
            return not odd and is_separate(before)
        if first[0].isalnum():
            return True
        joined = re.split(r"\s", STAMP.sub("", before))[-1]
        return all(map(is_level, _WORD.findall(joined)))


def placeholder_markers(markers: Sequence[tuple[str, str]]) -> list[PlaceholderMarker]:
    """Return the markers with placeholders, the most specific (longest fixed text) first."""
    having = ((kind, marker) for kind, marker in markers if split_placeholders(marker)[1])
    return sorted(
        (PlaceholderMarker(kind, marker) for kind, marker in having), key=lambda form: -len("".join(form._texts))
    )


def _longest(texts: Sequence[str]) -> int:
    """Return the maximum length of an id. It is smaller for several placeholders in one word, to limit combinations."""
    most = joined = 1
    for between in texts[1:-1]:
        joined = 1 if any(map(str.isspace, between)) else joined + 1
        most = max(most, joined)
    return MAX_ID_LENGTH >> max(0, most - 2)


def _pattern(texts: Sequence[str], roles: Sequence[str], lazy: str) -> re.Pattern[str]:
    """Return a pattern with one group per placeholder; `lazy` ("?") makes each group match as little as possible."""
    first, last = texts[0], texts[-1]
    word = rf'[^\s"`]{{1,{_longest(texts)}}}{lazy}'
    pieces = [r"(?<![\w-])" if first[:1].isalnum() else "" if first else r"(?<!\S)", _text_pattern(first)]
    for at, role in enumerate(roles):
        words = MAX_FURTHER_WORDS if role == USER and (at or first) and texts[at + 1].strip() else 0
        pieces += _placeholder_pattern(role, word, words, lazy), _text_pattern(texts[at + 1])
    if not last:
        pieces[-2:] = [_REST] if roles[-1] == REASON else [pieces[-2], r"(?=\s|$)"]
    return re.compile("".join(pieces) + (r"(?![\w-])" if last[-1:].isalnum() else ""))


def _placeholder_pattern(role: str, word: str, words: int, lazy: str) -> str:
    if role == REASON:
        return rf"(\S(?:.{{0,{MAX_ID_LENGTH}}}{lazy}\S)?{lazy})"
    return rf"((?:{_QUOTED}){_STOP}?|{word}(?: {word}){{0,{words}}}{lazy})"


def _text_pattern(text: str) -> str:
    """Return the pattern of a fixed text. Any number of blanks may be around an id, because some logs align columns."""
    inner = text.strip()
    if not inner:
        return r"[ \t]+" if text else ""
    before, behind = (r"[ \t]+" if blank else "" for blank in (text[0].isspace(), text[-1].isspace()))
    return before + re.escape(inner) + behind
