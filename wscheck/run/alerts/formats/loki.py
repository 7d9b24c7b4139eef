"""Rules for Grafana Loki's ruler, in LogQL.

The expressions stand in raw strings between backticks, which they never contain. LogQL's regular expressions are RE2.
Source: Grafana Loki documentation, "LogQL" and "Alerting and recording rules".
"""

from wscheck.observe.logs.vocabulary import OLD, PAGE, SID, USER
from wscheck.run.alerts.engine import (
    ATTEMPTS,
    DUPLICATED,
    MULTIPLE,
    NO_EVENTS,
    OPEN_LIMITS,
    REPLACED,
    SHARED,
    Engine,
    about,
    alert_name,
    comment,
    doubled_window,
    header,
    refusal,
    title,
)
from wscheck.run.alerts.patterns import named
from wscheck.run.alerts.words import (
    BROKER_TAKEOVERS,
    BROKER_WINDOW_S,
    LOOKBACK_S,
    NOBODY_PATTERN,
    TAKEOVER_CLIENTS,
    TAKEOVER_PATTERN,
    AlertWords,
    EventWords,
)


def render(words: AlertWords, source: str) -> str:
    """Return a rule file for Loki's ruler."""
    notes = [
        f"The rules search {source}; name your streams with --source. Try a query in Grafana: Explore, Loki.",
        "Each user makes a series: the limit max_query_series of Loki must allow them.",
    ]
    return "".join(
        (
            comment(header("Grafana Loki's ruler (LogQL)", words, notes)),
            "groups:\n  - name: wscheck\n    interval: 1m\n    rules:\n",
            comment(about(REPLACED, words), "      "),
            _rule(REPLACED, _replaced(words, source), USER),
            comment(about(MULTIPLE, words, [OPEN_LIMITS]), "      "),
            _rule(MULTIPLE, _multiple(words, source), USER, wait="1m"),
            comment(about(SHARED, words), "      "),
            _rule(SHARED, _shared(source), "client"),
            comment([refusal(DUPLICATED, NO_EVENTS)], "      "),
            f"  - name: wscheck-attempts\n    interval: {words.window_s}s\n    rules:\n",
            comment(about(ATTEMPTS, words, [doubled_window(words)]), "      "),
            _rule(ATTEMPTS, _attempts(words, source), USER),
        )
    )


def _rule(rule: str, query: str, label: str, wait: str = "") -> str:
    lines = [f"- alert: {alert_name(rule)}", "  expr: |-", *(f"    {line}" for line in query.splitlines())]
    lines += [f"  for: {wait}"] if wait else []
    value = f"{{{{ $labels.wscheck_{label} }}}}"
    lines += [
        "  labels:",
        "    severity: error",
        f"    rule: {rule}",
        "  annotations:",
        f'    summary: "{title(rule)}: {value}"',
    ]
    return "".join(f"      {line}\n" for line in lines)


def _lines(words: EventWords, source: str, *labels: tuple[str, str], required: bool = True) -> list[str]:
    """Return the query for the lines about an event.

    For each (role, label), the query stores the id of the kind `role` as the label `wscheck_<label>`. With `required`,
    it leaves out lines without such an id. A later stage overwrites the label of an earlier one, so the most specific
    expression is the last.
    """
    query = [f"{source} |~ `{words.pattern}`"]
    for role, label in labels:
        query += [f"  | regexp `{named(each, f'wscheck_{label}')}`" for each in reversed(words.ids[role])]
        query += [f'  | wscheck_{label} != ""'] if required else []
    return query


def _count(query: list[str], by: str, seconds: int) -> str:
    inner = "\n".join(f"    {line}" for line in query)
    return f"sum by ({by}) (\n  count_over_time(\n{inner} [{seconds}s]\n  )\n)"


def _replaced(words: AlertWords, source: str) -> str:
    query = _lines(words.replaced, source, (USER, "user"), required=False)
    return f"{_count(query, 'wscheck_user', 300)} > 0"


def _multiple(words: AlertWords, source: str) -> str:
    ids = [(USER, "user"), (SID, "sid"), *([(PAGE, "page")] if words.per_page else [])]
    by = ", ".join(f"wscheck_{label}" for role, label in ids if role != SID)
    opened = _lines(words.connected, source, *ids)
    opened.append(_known("user"))
    ended = _count(_lines(words.disconnected, source, (SID, "sid")), "wscheck_sid", LOOKBACK_S)
    replaced = _count(_lines(words.replaced, source, (OLD, "sid")), "wscheck_sid", LOOKBACK_S)
    parts = (_count(opened, f"{by}, wscheck_sid", LOOKBACK_S), "unless on (wscheck_sid)", f"({ended}\nor\n{replaced})")
    inner = "\n".join(f"  {line}" for line in "\n".join(parts).splitlines())
    return f"count by ({by}) (\n{inner}\n) > {words.allowed}"


def _attempts(words: AlertWords, source: str) -> str:
    query = [*_lines(words.connected, source, (USER, "user")), _known("user")]
    return f"{_count(query, 'wscheck_user', 2 * words.window_s)} > {words.max_attempts}"


def _known(label: str) -> str:
    return f"  | wscheck_{label} !~ `{NOBODY_PATTERN}`"


def _shared(source: str) -> str:
    query = [f"{source} |~ `{TAKEOVER_PATTERN}`"]
    query += [f"  | regexp `{named(each, 'wscheck_client')}`" for each in TAKEOVER_CLIENTS]
    return f"{_count(query, 'wscheck_client', BROKER_WINDOW_S)} >= {BROKER_TAKEOVERS}"


ENGINE = Engine(render, '{app="backend"}', r"\{[^{}`\n]+\}", 'a stream selector such as {app="backend"}')
