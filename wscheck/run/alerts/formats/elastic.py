"""Rules for Elasticsearch: ES|QL queries, and requests that create Kibana rules with them.

The regular expressions of GROK commands stand between triple quotes, which they never contain. A LIKE condition only
preselects lines: it may accept too many, but misses none.
Source: Elastic documentation, "ES|QL" and "Elasticsearch query rule".
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
    as_json,
    comment,
    doubled_window,
    header,
    refusal,
)
from wscheck.run.alerts.patterns import named
from wscheck.run.alerts.words import (
    BROKER_TAKEOVERS,
    BROKER_WINDOW_S,
    LOOKBACK_S,
    NOBODY_PATTERN,
    TAKEOVER_CLIENTS,
    TAKEOVER_PATTERN,
    TAKEOVER_PHRASES,
    AlertWords,
    EventWords,
)


def render(words: AlertWords, source: str) -> str:
    """Return requests for Kibana's console (Dev Tools)."""
    where = "fields of the record (--structured)" if words.structured else "the text of the field message"
    notes = [
        f"The rules search {source}; name your data with --source. The ids are read from {where}.",
        "Paste a request into Kibana, Dev Tools, or only its query into Discover.",
    ]
    return "\n".join(
        (
            comment(header("Elasticsearch (ES|QL)", words, notes)),
            _request(REPLACED, _replaced(words, source), 300, about(REPLACED, words)),
            _request(MULTIPLE, _multiple(words, source), LOOKBACK_S, about(MULTIPLE, words, [OPEN_LIMITS])),
            _request(
                ATTEMPTS,
                _attempts(words, source),
                300 + 2 * words.window_s,
                about(ATTEMPTS, words, [doubled_window(words)]),
            ),
            _request(SHARED, _shared(source), 300 + 2 * BROKER_WINDOW_S, about(SHARED, words)),
            comment([refusal(DUPLICATED, NO_EVENTS)]),
        )
    )


def _request(rule: str, query: str, seconds: int, told: list[str]) -> str:
    minutes = -(-seconds // 60)
    body = {
        "name": f"wscheck {rule}",
        "tags": ["wscheck"],
        "rule_type_id": ".es-query",
        "consumer": "alerts",
        "schedule": {"interval": "1m"},
        "params": {
            "searchType": "esqlQuery",
            "esqlQuery": {"esql": query},
            "timeField": "@timestamp",
            "timeWindowSize": minutes,
            "timeWindowUnit": "m",
            "threshold": [0],
            "thresholdComparator": ">",
            "size": 100,
            "groupBy": "row",
        },
        "actions": [],
    }
    shown = [*told, "Its query:", *(f"  {line}" for line in query.splitlines())]
    return f"{comment(shown)}POST kbn:/api/alerting/rule\n{as_json(body, indent=2)}\n"


def like(*events: EventWords) -> str:
    """Return a condition that holds for every line about an event, and for lines with similar words."""
    variants = (variant for event in events for sentence in event.sentences for variant in sentence.variants)
    patterns = dict.fromkeys("*" + "*".join(map(_like_text, variant)) + "*" for variant in variants)
    return " OR ".join(f"message LIKE {_quoted(pattern)}" for pattern in patterns)


def _like_text(text: str) -> str:
    """Return `text` as part of a LIKE pattern. A wildcard replaces each character that is special in JSON or LIKE."""
    return "".join(each if each.isalnum() or each in " _-.,:;=+@#" else "*" for each in text)


def _quoted(text: str) -> str:
    return as_json(text)


def _grok(pattern: str) -> str:
    return f'| GROK message """{pattern}"""'


def _matched(event: EventWords, field: str) -> str:
    """Return a GROK command that sets `field` in each line that reports the event."""
    return _grok(f"(?<{field}>{event.pattern})")


def _id(words: AlertWords, event: EventWords, role: str, field: str) -> list[str]:
    """Return commands that set `field` to the id of the kind `role` (user, socket, ...) in a line about the event."""
    if words.structured:
        return [f"| EVAL {field} = TO_STRING(`{words.field(role)}`)"]
    numbered = [f"{field}_{n}" for n in range(1, len(event.ids[role]) + 1)]
    groks = [_grok(named(each, name, "")) for each, name in zip(event.ids[role], numbered, strict=True)]
    return [*groks, f"| EVAL {field} = COALESCE({', '.join(numbered)})"]


def _known(field: str) -> str:
    """Return ES|QL commands that keep only lines whose `field` is a user id, and not a word such as "anonymous"."""
    nobody = f'| GROK {field} """(?<wscheck_nobody>^{NOBODY_PATTERN}$)"""'
    return f"{nobody}\n| WHERE {field} IS NOT NULL AND wscheck_nobody IS NULL"


def _replaced(words: AlertWords, source: str) -> str:
    return "\n".join(
        (
            f"FROM {source}",
            f"| WHERE {like(words.replaced)}",
            _matched(words.replaced, "wscheck_replaced"),
            "| WHERE wscheck_replaced IS NOT NULL",
            *_id(words, words.replaced, USER, "wscheck_user"),
            '| EVAL wscheck_user = COALESCE(wscheck_user, "")',
            "| STATS replacements = COUNT(*) BY wscheck_user",
        )
    )


def _multiple(words: AlertWords, source: str) -> str:
    by = "wscheck_user, wscheck_page" if words.per_page else "wscheck_user"
    page = _id(words, words.connected, PAGE, "wscheck_page") if words.per_page else []
    values = ", ".join(f"{each} = MAX({each})" for each in by.split(", "))
    return "\n".join(
        (
            f"FROM {source}",
            f"| WHERE {like(words.connected, words.disconnected, words.replaced)}",
            _matched(words.connected, "wscheck_opened"),
            _matched(words.disconnected, "wscheck_ended"),
            _matched(words.replaced, "wscheck_replaced"),
            *_id(words, words.connected, USER, "wscheck_user"),
            *_id(words, words.connected, SID, "wscheck_own"),
            *_id(words, words.disconnected, SID, "wscheck_other"),
            *_id(words, words.replaced, OLD, "wscheck_old"),
            "| EVAL wscheck_sid = CASE(wscheck_replaced IS NOT NULL, wscheck_old, "
            "wscheck_opened IS NOT NULL, wscheck_own, wscheck_ended IS NOT NULL, wscheck_other)",
            *page,
            "| WHERE wscheck_sid IS NOT NULL",
            "| EVAL wscheck_ends = COALESCE(wscheck_replaced, wscheck_ended)",
            "| STATS opened = COUNT(wscheck_opened), ended = COUNT(wscheck_ends), since = MIN(@timestamp), "
            f"{values} BY wscheck_sid",
            "| WHERE opened > 0 AND ended == 0 AND since < NOW() - 1 minute",
            _known("wscheck_user"),
            *(["| WHERE wscheck_page IS NOT NULL"] if words.per_page else []),
            f"| STATS connections = COUNT(*) BY {by}",
            f"| WHERE connections > {words.allowed}",
        )
    )


def _attempts(words: AlertWords, source: str) -> str:
    return "\n".join(
        (
            f"FROM {source}",
            f"| WHERE {like(words.connected)}",
            _matched(words.connected, "wscheck_opened"),
            "| WHERE wscheck_opened IS NOT NULL",
            *_id(words, words.connected, USER, "wscheck_user"),
            _known("wscheck_user"),
            *_most_in_window("wscheck_user", words.window_s),
            f"| WHERE attempts > {words.max_attempts}",
        )
    )


def _most_in_window(field: str, seconds: int) -> list[str]:
    """Return commands that compute the largest number of lines in a time window, for each id in `field`.

    The windows overlap: each is twice `seconds` long, and a new one begins every `seconds`.
    """
    return [
        f"| EVAL slot = TO_LONG(@timestamp) / {1000 * seconds}",
        "| EVAL slot = MV_APPEND(slot, slot + 1)",
        "| MV_EXPAND slot",
        f"| STATS attempts = COUNT(*) BY {field}, slot",
        f"| STATS attempts = MAX(attempts) BY {field}",
    ]


def _shared(source: str) -> str:
    phrases = " OR ".join(f"message LIKE {_quoted(f'*{phrase}*')}" for phrase in TAKEOVER_PHRASES)
    numbered = [f"wscheck_client_{n}" for n in range(1, len(TAKEOVER_CLIENTS) + 1)]
    return "\n".join(
        (
            f"FROM {source}",
            f"| WHERE {phrases}",
            _grok(f"(?<wscheck_taken>{TAKEOVER_PATTERN})"),
            "| WHERE wscheck_taken IS NOT NULL",
            *(_grok(named(each, name, "")) for each, name in zip(TAKEOVER_CLIENTS, numbered, strict=True)),
            f"| EVAL wscheck_client = COALESCE({', '.join(numbered)})",
            *_most_in_window("wscheck_client", BROKER_WINDOW_S),
            f"| WHERE attempts >= {BROKER_TAKEOVERS}",
        )
    )


ENGINE = Engine(render, "logs-*", r"[A-Za-z0-9_.*,:<>-]+", "an index pattern such as logs-*")
