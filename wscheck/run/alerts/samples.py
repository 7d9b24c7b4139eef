"""Log lines that trigger each rule, in the words of a configuration."""

from datetime import UTC, datetime
from itertools import count

from wscheck.detect.rules import OF_LOGS
from wscheck.observe.logs.vocabulary import DEVICE, NAMESPACE, NEW, OLD, PAGE, REASON, SID, USER, split_placeholders
from wscheck.report.formatting import one_line
from wscheck.run.alerts.words import BROKER_TAKEOVERS, CAMEL, AlertWords, EventWords

_VALUES = {
    USER: "user_123",
    REASON: "transport close",
    NAMESPACE: "/chat",
    DEVICE: "phone",
    PAGE: "tab1",
    "": "main",
}

LONGEST_STEP_S = 1.0
"""Longest time between two sample lines, in seconds."""

RULES = tuple(rule.id for rule in OF_LOGS)


def sample_lines(rule: str, words: AlertWords) -> list[str]:
    """Return lines that trigger a rule, without their time. The list is empty for a rule that no log line triggers."""
    sids = (f"{rule.partition('-')[0]}{n}" for n in count())
    match rule:
        case "multiple-connections":
            return [_line(words, words.connected, {SID: next(sids)}) for _ in range(words.allowed + 1)]
        case "connection-replaced":
            return [_line(words, words.replaced, {OLD: next(sids), NEW: next(sids)})]
        case "excessive-attempts":
            return [_line(words, words.connected, {SID: next(sids)}) for _ in range(words.max_attempts + 1)]
        case "client-id-shared":
            opened = "New client connected from 10.0.0.7:51234 as sensor-1 (p2, c1, k60)."
            return [opened, *["Client sensor-1 already connected, closing old connection.", opened] * BROKER_TAKEOVERS]
    return []


def _line(words: AlertWords, event: EventWords, ids: dict[str, str]) -> str:
    """Return a log line with the first sentence of an event. Ids replace the placeholders of the sentence.

    Ids for which the sentence has no placeholder follow it as `key=value`.
    """
    values = {**_VALUES, **ids}
    texts, roles = split_placeholders(event.sentences[0].text)
    inside = "".join(
        f"{text}{value}" for text, value in zip(texts, [*(values[role] for role in roles), ""], strict=True)
    )
    further = [USER, *ids, *([PAGE] if words.per_page and SID in ids else [])]
    behind = [f"{words.own_keys.get(role, (CAMEL[role],))[0]}={values[role]}" for role in further if role not in roles]
    return " ".join((inside, *behind))


def timed_lines(words: AlertWords, now: float) -> list[str]:
    """Return the sample lines of all rules, each with a time. The last has the time `now` (seconds since the epoch)."""
    step = min(LONGEST_STEP_S, words.window_s / (words.max_attempts + 2))
    lines = [(rule, one_line(line)) for rule in RULES for line in sample_lines(rule, words)]
    return [_timed(rule, line, now - (len(lines) - 1 - n) * step) for n, (rule, line) in enumerate(lines)]


def _timed(rule: str, line: str, at: float) -> str:
    if rule == "client-id-shared":
        return f"{int(at)}: {line}"  # Mosquitto's times
    return f"{datetime.fromtimestamp(at, UTC).isoformat(timespec='milliseconds')[:-6]}Z {line}"
