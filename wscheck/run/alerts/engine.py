"""Description of a log engine (a system that searches logs), and comments that the rules of all engines use."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from textwrap import wrap
from typing import NamedTuple

from wscheck.detect.rules import RULE_DOCS
from wscheck.report.formatting import one_line
from wscheck.run.alerts.patterns import plain_pieces
from wscheck.run.alerts.samples import sample_lines
from wscheck.run.alerts.words import LOOKBACK_S, AlertWords, EventWords

MULTIPLE, REPLACED = "multiple-connections", "connection-replaced"
DUPLICATED, ATTEMPTS, SHARED = "event-duplicated", "excessive-attempts", "client-id-shared"

SHORTEST_PHRASE = 4
"""Bytes of the shortest text that an engine may search for: a shorter one is in too many lines."""

WIDTH = 110
"""Characters of a comment line."""

_FOREIGN = re.compile(r"[^\n -~]")

OPEN_LIMITS = (
    f"It counts the connections of the last {LOOKBACK_S // 60} minutes without a line about their end. After a "
    f"restart of the server without such lines, users who connect again trigger it: silence it then for "
    f"{LOOKBACK_S // 60} minutes."
)

NO_EVENTS = (
    "a server's log does not show which events a page handled: wscheck browser URL shows it, and tail-logs --metrics "
    "from a page's console"
)


class Engine(NamedTuple):
    """A log engine.

    render          function that returns the rules as text
    source          the logs that the rules search unless the user names others, in the engine's syntax; "" for no logs
    source_pattern  regular expression that the text of a valid source matches as a whole
    source_form     an example of a source, with its meaning
    """

    render: Callable[[AlertWords, str], str]
    source: str = ""
    source_pattern: str = ""
    source_form: str = ""


def title(rule: str) -> str:
    """Return the title of a rule, a phrase about the fault that the rule reports."""
    return RULE_DOCS[rule].title


def alert_name(rule: str) -> str:
    """Return the name of a rule without hyphens: `WscheckConnectionReplaced`."""
    return "Wscheck" + "".join(part.capitalize() for part in rule.split("-"))


def comment(lines: Iterable[str], indent: str = "") -> str:
    """Return lines as comments, in which control characters are escaped.

    Long lines are wrapped, except those that start with a blank.
    """
    parts = (part for line in lines for part in ([f"  {one_line(line)}"] if line[:1] == " " else wrap(line, WIDTH)))
    return "".join(f"{indent}# {part}\n" for part in parts)


def header(engine: str, words: AlertWords, notes: Sequence[str]) -> list[str]:
    """Return the comment lines at the start of each file: the sentences that the rules search for, notes and limits."""
    kinds = {"opened": words.connected, "ended": words.disconnected, "replaced": words.replaced}
    told = [f"  {kind}: {sentence.text}" for kind, event in kinds.items() for sentence in event.sentences]
    return [
        f"Rules for {engine}, made by wscheck alerts from the words and keys of this configuration:",
        *told,
        *notes,
        "A record over several lines must reach the engine as one: let the collector join its lines.",
        "Text of users in the log can look like such a sentence; wscheck tail-logs can tell most of it apart.",
    ]


def about(rule: str, words: AlertWords, notes: Sequence[str] = ()) -> list[str]:
    """Return the comment lines in front of an alert rule: title, `notes`, and log lines that trigger the alert."""
    return [
        f"{rule}: {title(rule)}.",
        *notes,
        "Lines that trigger it:",
        *(f"  {each}" for each in sample_lines(rule, words)),
    ]


def doubled_window(words: AlertWords) -> str:
    """Return a comment about the accuracy of a rule that counts attempts in overlapping time windows.

    A new window begins every `words.window_s` seconds, and each window is twice as long.
    """
    once, twice = f"{words.window_s} s", f"{2 * words.window_s} s"
    return (
        f"More than {words.max_attempts} attempts within {once}. The query counts {twice} at a time, each {once}: "
        f"so it misses no {once}, and finds as many within {twice} too."
    )


def refusal(rule: str, reason: str) -> str:
    """Return a sentence with the reason why an engine has no rule for the id `rule`."""
    return f"{rule}: no rule here, because {reason}."


def phrases(event: EventWords) -> list[tuple[str, ...]] | None:
    """Return groups of phrases. Each line about the event contains all phrases of at least one group.

    The phrases consist of letters, digits, underscores and blanks, because engines leave out other characters, or give
    them a meaning. Return None if a sentence has too few words for that.
    """
    groups = [plain_pieces(variant) for sentence in event.sentences for variant in sentence.variants]
    if not all(any(len(phrase.encode()) >= SHORTEST_PHRASE for phrase in group) for group in groups):
        return None
    return list(dict.fromkeys(groups))


def any_group(groups: Iterable[Sequence[str]], joint: str = " ") -> str:
    """Return a condition for lines that contain all phrases of at least one group.

    The phrases are quoted. `joint` stands between the phrases of a group, and OR between the groups.
    """
    conditions = []
    for group in groups:
        condition = joint.join(f'"{phrase}"' for phrase in group)
        conditions.append(f"({condition})" if len(group) > 1 else condition)
    return f"({' OR '.join(conditions)})"


def as_json(value: object, indent: int | None = None) -> str:
    """Return a value as JSON. Characters that a terminal or another parser might act on are written as codes."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return _FOREIGN.sub(lambda found: found[0] if found[0].isprintable() else f"\\u{ord(found[0]):04x}", text)


def too_short(event: EventWords) -> str:
    """Return the reason for a missing rule: a sentence about the event has no text that the engine can search for."""
    return f"the engine cannot search for {' or '.join(one_line(each.text) for each in event.sentences)}"
