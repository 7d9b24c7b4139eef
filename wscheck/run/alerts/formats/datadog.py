"""Log monitors for Datadog, as one JSON document of schema `wscheck.alerts/1` (docs/alerts.md).

Source: Datadog documentation, "Log Search Syntax", "Log Monitor", "Parsing", and the API for monitors and pipelines.
"""

import re
from typing import Any

from wscheck.observe.logs.event_builder import NOBODY
from wscheck.observe.logs.vocabulary import USER
from wscheck.run.alerts.engine import (
    ATTEMPTS,
    DUPLICATED,
    MULTIPLE,
    NO_EVENTS,
    REPLACED,
    SHARED,
    Engine,
    any_group,
    as_json,
    header,
    phrases,
    title,
    too_short,
)
from wscheck.run.alerts.patterns import VALUE
from wscheck.run.alerts.samples import sample_lines
from wscheck.run.alerts.words import (
    BROKER_TAKEOVERS,
    BROKER_WINDOW_S,
    TAKEOVER_CLIENTS,
    TAKEOVER_PHRASES,
    AlertWords,
)

SCHEMA = "wscheck.alerts/1"

_ATTRIBUTE = re.compile(r"[A-Za-z0-9_.-]+")
_NOBODY = sorted({spelt for each in NOBODY if each.isalpha() for spelt in (each, each.capitalize())})
PARSED_USER, PARSED_CLIENT = "wscheck_user", "wscheck_client"


def render(words: AlertWords, source: str) -> str:
    """Return the JSON document."""
    user = words.field(USER) if words.structured else PARSED_USER
    client = "clientid" if words.structured else PARSED_CLIENT
    monitors, refused = list[dict[str, Any]](), {DUPLICATED: NO_EVENTS}
    refused[MULTIPLE] = (
        "a log monitor counts lines: it cannot leave out the connections whose end is logged. Use the metric "
        "wscheck.open_incidents of wscheck tail-logs --otlp"
    )
    opened, replaced = phrases(words.connected), phrases(words.replaced)
    if replaced is None:
        refused[REPLACED] = too_short(words.replaced)
    else:
        monitors.append(_monitor(REPLACED, _search(source, replaced), 5, above=0))
    if opened is None:
        refused[ATTEMPTS] = too_short(words.connected)
    elif not _ATTRIBUTE.fullmatch(user):
        refused[ATTEMPTS] = f"the key {user} cannot be the name of an attribute in a query"
    else:
        minutes = 1 + -(-words.window_s // 60)
        search = f"{_search(source, opened)} -@{user}:({' OR '.join(_NOBODY)})"
        monitors.append(_monitor(ATTEMPTS, search, minutes, above=words.max_attempts, by=user))
    minutes = 1 + BROKER_WINDOW_S // 60
    search = _search(source, [(phrase,) for phrase in TAKEOVER_PHRASES])
    monitors.append(_monitor(SHARED, search, minutes, above=BROKER_TAKEOVERS - 1, by=client))
    document = {
        "schema": SCHEMA,
        "notes": [
            *header("Datadog", words, [])[:-1],
            "Each monitor is the body of POST /api/v1/monitor; the pipeline, if there is one, of POST "
            "/api/v1/logs/config/pipelines. Create a facet for each attribute that a monitor groups by.",
            f"A monitor looks back over whole minutes and never misses more than {words.max_attempts} attempts within "
            f"{words.window_s} s; it also reports as many within its minutes.",
            "The search ignores the punctuation of a message, and finds the words of a sentence in other places too.",
        ],
        "monitors": monitors,
        "pipeline": None if words.structured else _pipeline(words, source),
        "samples": {rule: sample_lines(rule, words) for rule in (REPLACED, ATTEMPTS, SHARED) if rule not in refused},
        "refused": refused,
    }
    return as_json(document, indent=2) + "\n"


def _search(source: str, found: list[tuple[str, ...]]) -> str:
    return f"{source} {any_group(found, ' AND ')}"


def _monitor(rule: str, search: str, minutes: int, *, above: int, by: str | None = None) -> dict[str, Any]:
    """Return a monitor that alerts if more than `above` lines of the last `minutes` match `search`.

    With `by`, it counts the lines for each value of the attribute `by` separately.
    """
    group = f'.by("@{by}")' if by is not None else ""
    who = f": {{{{[@{by}].name}}}}" if by is not None else ""
    quoted = search.replace("\\", "\\\\").replace('"', '\\"')
    return {
        "name": f"wscheck {rule}{who}",
        "type": "log alert",
        "query": f'logs("{quoted}").index("*").rollup("count"){group}.last("{minutes}m") > {above}',
        "message": f"{title(rule)}{who}. wscheck explain {rule}",
        "tags": ["wscheck", f"rule:{rule}"],
        "options": {"thresholds": {"critical": above}, "enable_logs_sample": True, "notify_audit": False},
    }


def _pipeline(words: AlertWords, source: str) -> dict[str, Any]:
    """Return a log pipeline that finds the ids in the text of a message and stores them as attributes."""
    users = [(f"wscheck_user_{n}", each) for n, each in enumerate(words.connected.ids[USER], start=1)]
    clients = [(f"wscheck_client_{n}", each) for n, each in enumerate(TAKEOVER_CLIENTS, start=1)]
    return {
        "name": "wscheck",
        "is_enabled": True,
        "filter": {"query": source},
        "processors": [
            _grok("user of a connection", PARSED_USER, users, sample_lines(ATTEMPTS, words)[:1]),
            _grok("client id of a takeover", PARSED_CLIENT, clients, sample_lines(SHARED, words)[1:2]),
        ],
    }


def _grok(name: str, attribute: str, rules: list[tuple[str, str]], samples: list[str]) -> dict[str, Any]:
    lines = (f"{each} .*{_rule(pattern, attribute)}.*" for each, pattern in rules)
    return {
        "type": "grok-parser",
        "name": f"wscheck: {name}",
        "is_enabled": True,
        "source": "message",
        "samples": samples,
        "grok": {"support_rules": "", "match_rules": "\n".join(lines)},
    }


def _rule(pattern: str, attribute: str) -> str:
    """Return `pattern` as a Grok rule. Its group around the id becomes the matcher %{regex("..."):attribute}."""
    before, _, rest = pattern.partition(VALUE)
    end = _closing(rest)
    value = rest[:end].replace("\\", "\\\\")
    return f'{before}%{{regex("{value}"):{attribute}}}{rest[end + 1 :]}'


def _closing(text: str) -> int:
    """Return the position in `text` of the parenthesis that closes a group which was opened directly before `text`."""
    depth, in_class, at = 1, False, 0
    while depth:
        character = text[at]
        if character == "\\":
            at += 1
        elif character == "[" and not in_class:
            in_class = True
        elif character == "]":
            in_class = False
        elif not in_class:
            depth += (character == "(") - (character == ")")
        at += 1
    return at - 1


ENGINE = Engine(render, "service:backend", r"[\w.-]+:[\w.*/-]+( [\w.-]+:[\w.*/-]+)*", "tags such as service:backend")
