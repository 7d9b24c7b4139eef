"""Saved searches for Splunk, in SPL.

The regular expressions contain neither a double quote nor two backslashes in a row, which the text around them would
read. Source: Splunk documentation, "Search Reference" and "savedsearches.conf".
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
    any_group,
    comment,
    header,
    phrases,
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
    """Return stanzas for savedsearches.conf."""
    notes = [
        f"The searches read {source}; name your data with --source. Put this file into the local folder of an app:",
        "savedsearches.conf. To try a search, paste it without `search =`.",
    ]
    window = [f"More than {words.max_attempts} attempts within any {words.window_s} s."]
    return "\n".join(
        (
            comment(header("Splunk (savedsearches.conf)", words, notes)),
            _stanza(REPLACED, _replaced(words, source), 5, about(REPLACED, words)),
            _stanza(MULTIPLE, _multiple(words, source), LOOKBACK_S // 60, about(MULTIPLE, words, [OPEN_LIMITS])),
            _stanza(ATTEMPTS, _attempts(words, source), 5 + -(-words.window_s // 60), about(ATTEMPTS, words, window)),
            _stanza(SHARED, _shared(source), 6, about(SHARED, words), "wscheck_client"),
            comment([refusal(DUPLICATED, NO_EVENTS)]),
        )
    )


def _stanza(rule: str, search: list[str], minutes: int, told: list[str], field: str = "wscheck_user") -> str:
    lines = (
        f"[wscheck {rule}]",
        f"description = {title(rule)}",
        f"search = {' | '.join(search)}",
        f"dispatch.earliest_time = -{minutes}m@m",
        "dispatch.latest_time = @m",
        "enableSched = 1",
        "cron_schedule = */5 * * * *",
        "counttype = number of events",
        "relation = greater than",
        "quantity = 0",
        "alert.track = 1",
        "alert.severity = 4",
        "alert.suppress = 1",
        f"alert.suppress.fields = {field}",
        "alert.suppress.period = 10m",
        "alert.digest_mode = 0",
    )
    return comment(told) + "".join(f"{line}\n" for line in lines)


def _base(source: str, *events: EventWords) -> str:
    """Return the first part of a search: the source, and phrases from the events' sentences, for a fast index search.

    The phrases are left out if a sentence has none that is long enough.
    """
    found = [phrases(event) for event in events]
    if any(each is None for each in found):
        return source
    groups = dict.fromkeys(tuple(phrase.lower() for phrase in group) for each in found for group in each or ())
    return f"{source} {any_group(groups)}"


def _only(pattern: str) -> str:
    return f'regex _raw="{pattern}"'


def _id(event: EventWords, role: str, field: str) -> list[str]:
    """Return commands that set `field` to the id of the kind `role` (user, socket, ...) in a line about the event.

    A later command overwrites the value of an earlier one, so the most specific expression is the last.
    """
    return [f'rex "{named(each, field)}"' for each in reversed(event.ids[role])]


def _known(field: str) -> str:
    return f'where isnotnull({field}) AND NOT match({field}, "^{NOBODY_PATTERN}$")'


def _replaced(words: AlertWords, source: str) -> list[str]:
    event = words.replaced
    count = "stats count as replacements by wscheck_user"
    nobody = 'fillnull value="" wscheck_user'
    return [_base(source, event), _only(event.pattern), *_id(event, USER, "wscheck_user"), nobody, count]


def _multiple(words: AlertWords, source: str) -> list[str]:
    by = "wscheck_user wscheck_page" if words.per_page else "wscheck_user"
    values = ", ".join(f"latest({each}) as {each}" for each in by.split())
    page = _id(words.connected, PAGE, "wscheck_page") if words.per_page else []
    kinds = (
        f'match(_raw, "{words.replaced.pattern}"), "replaced", match(_raw, "{words.connected.pattern}"), "opened", '
        f'match(_raw, "{words.disconnected.pattern}"), "ended"'
    )
    sids = (
        'case(wscheck_kind="replaced", wscheck_old, wscheck_kind="opened", wscheck_own, '
        'wscheck_kind="ended", wscheck_other)'
    )
    return [
        _base(source, words.connected, words.disconnected, words.replaced),
        f"eval wscheck_kind=case({kinds})",
        "where isnotnull(wscheck_kind)",
        *_id(words.connected, USER, "wscheck_user"),
        *_id(words.connected, SID, "wscheck_own"),
        *_id(words.disconnected, SID, "wscheck_other"),
        *_id(words.replaced, OLD, "wscheck_old"),
        *page,
        f"eval wscheck_sid={sids}",
        "where isnotnull(wscheck_sid)",
        'stats count(eval(wscheck_kind="opened")) as opened, count(eval(wscheck_kind!="opened")) as ended, '
        f"min(_time) as since, {values} by wscheck_sid",
        "where opened>0 AND ended=0 AND since<now()-60",
        _known("wscheck_user"),
        f"stats count as connections by {by}",
        f"where connections>{words.allowed}",
    ]


def _attempts(words: AlertWords, source: str) -> list[str]:
    event = words.connected
    return [
        _base(source, event),
        _only(event.pattern),
        *_id(event, USER, "wscheck_user"),
        _known("wscheck_user"),
        *_most_in_window("wscheck_user", words.window_s),
        f"where attempts>{words.max_attempts}",
    ]


def _most_in_window(field: str, seconds: int) -> list[str]:
    return [
        "sort 0 _time",
        f"streamstats time_window={seconds}s count as attempts by {field}",
        f"stats max(attempts) as attempts by {field}",
    ]


def _shared(source: str) -> list[str]:
    return [
        source,
        _only(TAKEOVER_PATTERN),
        *(f'rex "{named(each, "wscheck_client")}"' for each in TAKEOVER_CLIENTS),
        *_most_in_window("wscheck_client", BROKER_WINDOW_S),
        f"where attempts>={BROKER_TAKEOVERS}",
    ]


ENGINE = Engine(
    render, "index=main", r"[A-Za-z_]+=[\w*.:/-]+( [A-Za-z_]+=[\w*.:/-]+)*", "fields such as index=main sourcetype=node"
)
