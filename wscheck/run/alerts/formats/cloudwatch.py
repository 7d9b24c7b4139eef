"""A CloudFormation template for Amazon CloudWatch Logs: a metric filter with its alarm, and saved Insights queries.

A metric filter finds terms in quotes and counts lines, but cannot tell users apart; Insights queries read the ids. The
texts of the configuration contain no braces there, so CloudFormation finds no reference (`{{resolve:...}}`) in them.
Source: Amazon CloudWatch Logs user guide, "Filter pattern syntax" and "Logs Insights query syntax".
"""

from wscheck.observe.logs.vocabulary import OLD, PAGE, SID, USER
from wscheck.run.alerts.engine import (
    ATTEMPTS,
    DUPLICATED,
    MULTIPLE,
    NO_EVENTS,
    REPLACED,
    SHARED,
    Engine,
    about,
    alert_name,
    as_json,
    comment,
    header,
    phrases,
    refusal,
    title,
    too_short,
)
from wscheck.run.alerts.patterns import any_of, named
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

MAX_QUERY = 10_000
"""Characters of the longest query that CloudWatch stores (CloudFormation reference, AWS::Logs::QueryDefinition)."""

NO_ALARM = (
    "There is no alarm for it: a metric filter counts lines, and cannot tell users apart. Run the query by a schedule, "
    "or use wscheck tail-logs --metrics."
)


def render(words: AlertWords, source: str) -> str:
    """Return a template in YAML."""
    notes = [
        f"The log group is {source}; name yours with --source. aws cloudformation deploy --stack-name wscheck",
        "--template-file FILE --parameter-overrides Topic=ARN makes the alarm and the queries; ARN is an SNS topic.",
    ]
    attempts = [
        f"More than {words.max_attempts} attempts within {words.window_s} s. One of two adjacent windows of a fixed "
        f"grid then has at least {words.half_attempts}, so the query reports users with so many, and misses none.",
        NO_ALARM,
    ]
    limits = [
        f"It counts the connections of the time range without a line about their end: choose {LOOKBACK_S // 60} "
        "minutes.",
        NO_ALARM,
    ]
    found = phrases(words.replaced)
    alarm = (
        _alarm(found)
        if found is not None
        else comment([f"There is no alarm for it: {too_short(words.replaced)}."], "  ")
    )
    parts = [
        comment(header("Amazon CloudWatch Logs (CloudFormation)", words, notes)),
        _HEAD.format(source=as_json(source)),
        comment(about(REPLACED, words), "  "),
        alarm,
        _query(REPLACED, _replaced(words)),
        comment(about(MULTIPLE, words, limits), "  "),
        _query(MULTIPLE, _multiple(words)),
        comment(about(ATTEMPTS, words, attempts), "  "),
        _query(ATTEMPTS, _attempts(words)),
        comment(about(SHARED, words, [NO_ALARM]), "  "),
        _query(SHARED, _shared()),
        comment([refusal(DUPLICATED, NO_EVENTS)], "  "),
    ]
    return "".join(parts)


_HEAD = """\
AWSTemplateFormatVersion: "2010-09-09"
Description: "Alerts of wscheck about real-time connections"
Parameters:
  LogGroup:
    Type: String
    Default: {source}
  Topic:
    Type: String
    Description: "ARN of the SNS topic that gets the alarm; empty for none"
    Default: ""
Conditions:
  HasTopic: !Not [!Equals [!Ref Topic, ""]]
Resources:
"""


def _alarm(found: list[tuple[str, ...]]) -> str:
    """Return the alarm and its metric filters as YAML. Each group in `found` contains the terms of one kind of line.

    All groups of one term share a filter. A group of several terms needs a filter of its own.
    """
    name = alert_name(REPLACED)
    single = " ".join(f'?"{group[0]}"' for group in found if len(group) == 1)
    several = [" ".join(f'"{term}"' for term in group) for group in found if len(group) > 1]
    patterns = [*([single] if single else []), *several]
    filters = "".join(_filter(f"{name}Filter{n}", pattern) for n, pattern in enumerate(patterns, start=1))
    return f"""\
{filters}  {name}Alarm:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmName: "wscheck {REPLACED}"
      AlarmDescription: {as_json(title(REPLACED))}
      Namespace: wscheck
      MetricName: {REPLACED}
      Statistic: Sum
      Period: 300
      EvaluationPeriods: 1
      Threshold: 0
      ComparisonOperator: GreaterThanThreshold
      TreatMissingData: notBreaching
      AlarmActions: !If [HasTopic, [!Ref Topic], !Ref "AWS::NoValue"]
"""


def _filter(name: str, pattern: str) -> str:
    return f"""\
  {name}:
    Type: AWS::Logs::MetricFilter
    Properties:
      LogGroupName: !Ref LogGroup
      FilterPattern: {as_json(pattern)}
      MetricTransformations:
        - MetricNamespace: wscheck
          MetricName: {REPLACED}
          MetricValue: "1"
          DefaultValue: 0
"""


def _query(rule: str, query: list[str]) -> str:
    size = len("\n| ".join(query))
    if size > MAX_QUERY:
        return comment([f"There is no query: it would have {size} characters, and {MAX_QUERY} are allowed."], "  ")
    lines = [
        f"  {alert_name(rule)}Query:",
        "    Type: AWS::Logs::QueryDefinition",
        "    Properties:",
        f'      Name: "wscheck/{rule}"',
        "      LogGroupNames: [!Ref LogGroup]",
        "      QueryString: |-",
        f"        {query[0]}",
        *(f"        | {line}" for line in query[1:]),
    ]
    return "".join(f"{line}\n" for line in lines)


def _lines(*events: EventWords) -> str:
    return f"filter @message like /{any_of(event.pattern for event in events)}/"


def _id(event: EventWords, role: str, field: str) -> list[str]:
    numbered = [f"{field}_{n}" for n in range(1, len(event.ids[role]) + 1)]
    parsed = [f"parse @message /{named(each, name, '')}/" for each, name in zip(event.ids[role], numbered, strict=True)]
    return [*parsed, f"fields coalesce({', '.join(numbered)}) as {field}"]


def _known(field: str) -> str:
    return f"filter ispresent({field}) and {field} not like /^{NOBODY_PATTERN}$/"


def _replaced(words: AlertWords) -> list[str]:
    event = words.replaced
    return [_lines(event), *_id(event, USER, "wscheck_user"), "stats count(*) as replacements by wscheck_user"]


def _multiple(words: AlertWords) -> list[str]:
    by = "wscheck_user, wscheck_page" if words.per_page else "wscheck_user"
    known = [_known("wscheck_user"), *(["filter ispresent(wscheck_page)"] if words.per_page else [])]
    values = ", ".join(f"max({each}_own) as {each}" for each in by.split(", "))
    return [
        _lines(words.connected, words.disconnected, words.replaced),
        f"parse @message /(?<wscheck_opened>{words.connected.pattern})/",
        *_id(words.connected, USER, "wscheck_user_own"),
        *(_id(words.connected, PAGE, "wscheck_page_own") if words.per_page else []),
        *_id(words.connected, SID, "wscheck_own"),
        *_id(words.disconnected, SID, "wscheck_other"),
        *_id(_of_the_same_line(words.replaced, OLD), OLD, "wscheck_old"),
        "fields coalesce(wscheck_old, wscheck_own, wscheck_other) as wscheck_sid",
        "filter ispresent(wscheck_sid)",
        f"stats count(wscheck_opened) as opened, count(*) as lines, {values} by wscheck_sid",
        "filter opened > 0 and lines = opened",
        *known,
        f"stats count(*) as connections by {by}",
        f"filter connections > {words.allowed}",
    ]


def _of_the_same_line(event: EventWords, role: str) -> EventWords:
    """Return `event` with only the expressions for ids of `role`, which then match only in lines about the event."""
    found = list[str]()
    for pattern in event.ids[role]:
        is_within = any(pattern == sentence.ids.get(role) for sentence in event.sentences)
        both = (rf"{event.pattern}[\s\S]*?{pattern}", rf"{pattern}[\s\S]*?{event.pattern}")
        found += [pattern] if is_within else both
    return EventWords(event.sentences, {role: tuple(found)})


def _attempts(words: AlertWords) -> list[str]:
    event = words.connected
    return [
        _lines(event),
        *_id(event, USER, "wscheck_user"),
        _known("wscheck_user"),
        f"stats count(*) as attempts by wscheck_user, bin({words.window_s}s)",
        f"filter attempts >= {words.half_attempts}",
    ]


def _shared() -> list[str]:
    numbered = [f"wscheck_client_{n}" for n in range(1, len(TAKEOVER_CLIENTS) + 1)]
    parsed = [
        f"parse @message /{named(each, name, '')}/" for each, name in zip(TAKEOVER_CLIENTS, numbered, strict=True)
    ]
    return [
        f"filter @message like /{TAKEOVER_PATTERN}/",
        *parsed,
        f"fields coalesce({', '.join(numbered)}) as wscheck_client",
        f"stats count(*) as takeovers by wscheck_client, bin({BROKER_WINDOW_S}s)",
        f"filter takeovers >= {-(-BROKER_TAKEOVERS // 2)}",
    ]


ENGINE = Engine(render, "/backend", r"[A-Za-z0-9_/.#-]{1,512}", "a log group such as /backend")
