"""Small evaluators for the queries that the rules contain: which users (or clients) a rule reports for some log lines.

Each reads the text of a rule, so that a wrong expression, name or number in it changes the result. The lines are
written at `times` (seconds), by default all at once.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Protocol

import re2
import yaml

Row = dict[str, Any]
Windows = Callable[[float], Iterable[int]]


class Evaluate(Protocol):
    """Return the users or clients whom a rule reports for lines that were written at some times."""

    def __call__(self, lines: Sequence[str], times: Sequence[float] | None = None) -> set[str]: ...


Rules = dict[str, Evaluate]


def python_pattern(pattern: str) -> re.Pattern[str]:
    """Return an expression for Python, of one that names its groups (?<name>...)."""
    text = re.sub(r"\(\?<(?=\w)", "(?P<", pattern)
    return re.compile(re.sub(r"\\x\{([0-9a-f]+)\}", lambda code: re.escape(chr(int(code[1], 16))), text))


def sliding(step: float, length: float) -> Windows:
    """Return the windows of a length that end at each multiple of a step, by the number of the step."""
    return lambda at: range(math.ceil(at / step), math.ceil((at + length) / step))


def over(rows: Iterable[Row], field: str, least: int, windows: Windows | None = None) -> set[str]:
    """Return the values of a field that at least so many rows of one window have."""
    counts = Counter(
        (row.get(field) or "", window) for row in rows for window in (windows(row["at"]) if windows else (0,))
    )
    return {value for (value, _), count in counts.items() if count >= least}


def still_open(rows: Iterable[Row], most: int, *, without_end: bool) -> set[str]:
    """Return the users with more than `most` connections: rows with kind, user and sid.

    without_end  the rule leaves out the connections whose end is reported
    """
    users, ended = dict[str, str](), set[str]()
    for row in rows:
        if (sid := row.get("sid")) and row["kind"] == "opened":
            users[sid] = row.get("user") or ""
        elif sid:
            ended.add(sid)
    counts = Counter(user for sid, user in users.items() if not (without_end and sid in ended) and user)
    return {user for user, count in counts.items() if count > most}


def chosen(lines: Sequence[str], times: Sequence[float] | None, read: Callable[[str], Row | None]) -> list[Row]:
    """Return the rows that a query reads from lines, with their times."""
    rows = zip(map(read, lines), times or [0.0] * len(lines), strict=True)
    return [{**row, "at": at} for row, at in rows if row is not None]


# --- Loki ---


def loki(text: str) -> Rules:
    """Return the rules of a rule file, by the engine's own regular expressions."""
    groups = yaml.load(text, Loader=yaml.CSafeLoader)["groups"]
    return {
        rule["labels"]["rule"]: _loki_rule(rule["expr"], group["interval"])
        for group in groups
        for rule in group["rules"]
    }


def _loki_rule(query: str, interval: str) -> Evaluate:
    pipelines = re.findall(r"count_over_time\(\n(.*?) \[(\d+)s\]", query, re.S)
    groups = [group.split(", ") for group in re.findall(r"sum by \(([\w, ]+)\)", query)]
    found = re.search(r" (>=?) (\d+)$", query)
    assert found and len(groups) == len(pipelines)
    least = int(found[2]) + (found[1] == ">")
    windows = sliding(60 if interval == "1m" else int(interval.removesuffix("s")), int(pipelines[0][1]))

    def evaluate(lines: Sequence[str], times: Sequence[float] | None = None) -> set[str]:
        series = [chosen(lines, times, partial(_loki_row, pipeline)) for pipeline, _ in pipelines]
        if len(series) == 1:
            return over(series[0], groups[0][0], least, windows)
        assert re.search(r"count by \(wscheck_user(?:, wscheck_page)?\).*unless on \(wscheck_sid\)", query, re.S)
        ended = {row["wscheck_sid"] for rows in series[1:] for row in rows}
        opened = {tuple(row[name] for name in groups[0]) for row in series[0] if row["wscheck_sid"] not in ended}
        counts = Counter(each[:-1] for each in opened)
        return {str(each[0]) for each, count in counts.items() if count >= least}

    return evaluate


def _loki_row(pipeline: str, line: str) -> Row | None:
    labels: Row = {}
    for stage, pattern in re.findall(r'(\|~|\| regexp|\| \w+ !~|\| \w+ !=) (?:`([^`]*)`|"")', pipeline):
        name = stage.split(" ")[1] if " " in stage else ""
        if name == "regexp":
            match = re2.search(pattern, line)
            labels |= {key: value for key, value in (match.groupdict() if match else {}).items() if value}
            continue
        if stage == "|~":
            passes = re2.search(pattern, line) is not None
        elif stage.endswith("!~"):
            passes = re2.fullmatch(pattern, labels.get(name) or "") is None
        else:
            passes = bool(labels.get(name))
        if not passes:
            return None
    return labels


# --- languages with commands behind each other ---


def _extract(pattern: str, text: str | None, row: Row, *, keep: bool) -> None:
    """Set the named groups of an expression; with `keep`, a text that does not match changes nothing."""
    found, match = python_pattern(pattern), None
    match = found.search(text) if text is not None else None
    for name in found.groupindex:
        if match is not None or not keep:
            row[name] = match[name] if match is not None else None


def _coalesce(row: Row, names: str) -> str | None:
    values = (row.get(name.strip()) if '"' not in name else name.strip(' "') for name in names.split(","))
    return next((value for value in values if value is not None), None)


def _kind(row: Row) -> str | None:
    for name, kind in (("wscheck_replaced", "replaced"), ("wscheck_opened", "opened"), ("wscheck_ended", "ended")):
        if row.get(name) is not None:
            return kind
    return None


_SIDS = {"replaced": "wscheck_old", "opened": "wscheck_own", "ended": "wscheck_other"}


def elastic(text: str) -> Rules:
    """Return the rules of a file for Kibana's console."""
    bodies = [json.loads(body) for body in re.findall(r"^POST [^\n]*\n(\{.*?^\})", text, re.S | re.M)]
    return {body["name"].split()[1]: _elastic_rule(body["params"]["esqlQuery"]["esql"]) for body in bodies}


def _elastic_rule(query: str) -> Evaluate:
    commands = query.split("\n| ")[1:]
    bound = re.search(r"\| WHERE (?:attempts|connections) (>=?) (\d+)$", query)
    least = int(bound[2]) + (bound[1] == ">") if bound else 1
    slot = re.search(r"TO_LONG\(@timestamp\) / (\d+)000\n", query)
    windows: Windows | None = None
    if slot is not None:
        assert "| MV_EXPAND slot\n" in query
        both = "| EVAL slot = MV_APPEND(slot, slot + 1)\n" in query
        windows = lambda at: range(int(at // int(slot[1])), int(at // int(slot[1])) + 1 + both)  # noqa: E731

    def evaluate(lines: Sequence[str], times: Sequence[float] | None = None) -> set[str]:
        rows = chosen(lines, times, partial(_elastic_row, commands))
        if "wscheck_sid" in query:
            return still_open(rows, least - 1, without_end="| WHERE opened > 0 AND ended == 0 AND " in query)
        return over(rows, "wscheck_client" if "BY wscheck_client" in query else "wscheck_user", least, windows)

    return evaluate


def _elastic_row(commands: Sequence[str], line: str) -> Row | None:
    row: Row = {"message": line}
    for command in commands:
        name, _, rest = command.partition(" ")
        if name == "WHERE" and " LIKE " in rest:
            patterns = [json.loads(each) for each in re.findall(r'message LIKE ("(?:[^"\\]|\\.)*")', rest)]
            assert rest == " OR ".join(f"message LIKE {json.dumps(each, ensure_ascii=False)}" for each in patterns)
            if not any(_like(each, line) for each in patterns):
                return None
        elif name == "WHERE" and (required := re.findall(r"(\w+) IS (NOT )?NULL", rest)):
            if not all((row.get(field) is not None) == bool(negated) for field, negated in required):
                return None
        elif name == "GROK":
            field, pattern = re.fullmatch(r'(\w+) """(.*)"""', rest, re.S).groups()  # type: ignore[union-attr]
            _extract(pattern, row.get(field), row, keep=False)
        elif name == "EVAL" and (found := re.fullmatch(r"(\w+) = COALESCE\((.*)\)", rest)):
            row[found[1]] = _coalesce(row, found[2])
        elif name == "EVAL" and rest.startswith("wscheck_sid = CASE("):
            row["kind"] = _kind(row)
            row["wscheck_sid"] = row.get(_SIDS[row["kind"] or "ended"])
        if row.get("kind") in ("replaced", "ended") and name == "STATS":
            break  # what follows concerns the users of opened connections
    return {**row, "sid": row.get("wscheck_sid"), "user": row.get("wscheck_user")}


def _like(pattern: str, text: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.S) is not None


def splunk(text: str) -> Rules:
    """Return the saved searches of a file."""
    stanzas = re.findall(r"^\[wscheck ([\w-]+)\]\n(?:.*\n)*?search = (.*)$", text, re.M)
    return {name: _splunk_rule(search) for name, search in stanzas}


def _splunk_rule(search: str) -> Evaluate:
    base, *commands = re.split(r' \| (?=(?:[^"]*"[^"]*")*[^"]*$)', search)
    bound = re.search(r"where (?:attempts|connections)(>=?)(\d+)$", search)
    least = int(bound[2]) + (bound[1] == ">") if bound else 1
    window = re.search(r"\| sort 0 _time \| streamstats time_window=(\d+)s count", search)
    groups = _groups(base)

    def evaluate(lines: Sequence[str], times: Sequence[float] | None = None) -> set[str]:
        def read(line: str) -> Row | None:
            return _splunk_row(commands, line) if not groups or _has_group(groups, line.lower()) else None

        rows = chosen(lines, times, read)
        if "wscheck_sid" in search:
            return still_open(rows, least - 1, without_end="| where opened>0 AND ended=0 AND " in search)
        field = "wscheck_client" if "by wscheck_client" in search else "wscheck_user"
        return over(rows, field, least, sliding(0.1, int(window[1])) if window else None)

    return evaluate


def _splunk_row(commands: Sequence[str], line: str) -> Row | None:
    row: Row = {}
    for command in commands:
        if found := re.fullmatch(r'regex _raw="([^"]*)"', command):
            if not python_pattern(found[1]).search(line):
                return None
        elif found := re.fullmatch(r'rex "([^"]*)"', command):
            _extract(found[1], line, row, keep=True)
        elif command.startswith("eval wscheck_kind=case("):
            cases = re.findall(r'match\(_raw, "([^"]*)"\), "(\w+)"', command)
            row["kind"] = next((kind for pattern, kind in cases if python_pattern(pattern).search(line)), None)
        elif command.startswith("eval wscheck_sid="):
            row["sid"] = row.get(_SIDS[row["kind"] or "ended"])
        elif found := re.fullmatch(r'where isnotnull\((\w+)\)(?: AND NOT match\(\w+, "([^"]*)"\))?', command):
            value = row.get({"wscheck_kind": "kind", "wscheck_sid": "sid"}.get(found[1], found[1]))
            is_end = found[1] == "wscheck_user" and row.get("kind", "opened") != "opened"
            if not is_end and (value is None or (found[2] and python_pattern(found[2]).search(value))):
                return None
    return {**row, "user": row.get("wscheck_user")}


def _groups(search: str) -> list[list[str]]:
    """Return the groups of phrases in a search: `("a" "b") OR "c"`, also with AND within a group."""
    return [re.findall(r'"([^"]+)"', group) for group in search.split(" OR ") if '"' in group]


def _has_group(groups: Sequence[Sequence[str]], line: str) -> bool:
    return any(all(phrase in line for phrase in group) for group in groups)


def cloudwatch(text: str) -> Rules:
    """Return the saved queries of a template, and the metric filters as `alarm`."""
    resources = yaml.load(text, Loader=_Template)["Resources"].values()
    queries = [each["Properties"] for each in resources if each["Type"].endswith("QueryDefinition")]
    rules = {each["Name"].split("/")[1]: _cloudwatch_rule(each["QueryString"]) for each in queries}
    filters = [each["Properties"]["FilterPattern"] for each in resources if each["Type"].endswith("MetricFilter")]
    return rules | ({"alarm": _term_filters(filters)} if filters else {})


class _Template(yaml.CSafeLoader):
    """Loader for CloudFormation's tags."""


_Template.add_multi_constructor("!", lambda loader, suffix, node: suffix)


def _term_filters(patterns: Sequence[str]) -> Evaluate:
    """Return the lines that one of several filters finds. A filter has optional terms, or terms that all must occur."""
    filters = [re.findall(r'(\??)"([^"]*)"', pattern) for pattern in patterns]
    for pattern, terms in zip(patterns, filters, strict=True):
        assert " ".join(f'{optional}"{term}"' for optional, term in terms) == pattern
        assert len({optional for optional, _ in terms}) == 1

    def matches(terms: Sequence[tuple[str, str]], line: str) -> bool:
        return (any if terms[0][0] else all)(term in line for _, term in terms)

    def evaluate(lines: Sequence[str], times: Sequence[float] | None = None) -> set[str]:
        return {"alarm"} if any(matches(terms, line) for line in lines for terms in filters) else set()

    return evaluate


def _cloudwatch_rule(query: str) -> Evaluate:
    commands = query.split("\n| ")
    bound = re.search(r"filter (?:attempts|connections|takeovers) (>=?) (\d+)$", query)
    least = int(bound[2]) + (bound[1] == ">") if bound else 1
    grid = re.search(r"bin\((\d+)s\)\n", query)

    def evaluate(lines: Sequence[str], times: Sequence[float] | None = None) -> set[str]:
        rows = chosen(lines, times, partial(_cloudwatch_row, commands))
        if "wscheck_sid" in query:
            return still_open(rows, least - 1, without_end="\n| filter opened > 0 and lines = opened\n" in query)
        field = "wscheck_client" if "by wscheck_client" in query else "wscheck_user"
        return over(rows, field, least, (lambda at: [int(at // int(grid[1]))]) if grid else None)

    return evaluate


def _cloudwatch_row(commands: Sequence[str], line: str) -> Row | None:
    row: Row = {}
    for command in commands:
        if found := re.fullmatch(r"filter @message like /([^/]*)/", command):
            if not python_pattern(found[1]).search(line):
                return None
        elif found := re.fullmatch(r"parse @message /([^/]*)/", command):
            _extract(found[1], line, row, keep=False)
        elif found := re.fullmatch(r"fields coalesce\((.*)\) as (\w+)", command):
            row[found[2]] = _coalesce(row, found[1])
            if found[2] == "wscheck_sid":
                row["sid"], row["kind"] = row["wscheck_sid"], "opened" if row["wscheck_opened"] else "ended"
        elif found := re.fullmatch(r"filter ispresent\((\w+)\) and \w+ not like /([^/]*)/", command):
            value = row.get(found[1], row.get(f"{found[1]}_own"))
            if row.get("kind", "opened") == "opened" and (value is None or python_pattern(found[2]).search(value)):
                return None
    return {**row, "user": row.get("wscheck_user_own")}


def datadog(text: str) -> Rules:
    """Return the monitors of a document."""
    document = json.loads(text)
    parsers = [_grok(each["grok"]["match_rules"]) for each in document["pipeline"]["processors"]]
    return {each["tags"][1].removeprefix("rule:"): _monitor(each, parsers) for each in document["monitors"]}


def _grok(rules: str) -> Callable[[str], Row]:
    patterns = [
        python_pattern(
            re.sub(
                r'%\{regex\("(.*)"\):(\w+)\}',
                lambda found: f"(?P<{found[2]}>{found[1].replace(chr(92) * 2, chr(92))})",
                rule.partition(" ")[2],
            )
        )
        for rule in rules.splitlines()
    ]

    def parse(line: str) -> Row:
        match = next((match for each in patterns if (match := each.fullmatch(line))), None)
        return dict(match.groupdict()) if match else {}

    return parse


def _monitor(monitor: dict[str, Any], parsers: Sequence[Callable[[str], Row]]) -> Evaluate:
    form = re.fullmatch(
        r'logs\("(?P<search>(?:[^"\\]|\\.)*)"\)\.index\("\*"\)\.rollup\("count"\)(?:\.by\("@(?P<by>[\w.-]+)"\))?'
        r'\.last\("(?P<minutes>\d+)m"\) > (?P<above>\d+)',
        monitor["query"],
    )
    assert form is not None and monitor["options"]["thresholds"]["critical"] == int(form["above"])
    groups = _groups(form["search"].replace('\\"', '"').replace("\\\\", "\\"))

    by = form["by"]
    left_out = re.search(rf"-@{by}:\((.*)\)$", form["search"])
    nobody = left_out[1].split(" OR ") if left_out else []

    def read(line: str) -> Row | None:
        row = {key: value for parse in parsers for key, value in parse(line).items()}
        is_counted = by is None or (row.get(by) and row[by] not in nobody)
        return row if _has_group(groups, line) and is_counted else None

    def evaluate(lines: Sequence[str], times: Sequence[float] | None = None) -> set[str]:
        least, windows = int(form["above"]) + 1, sliding(60, 60 * int(form["minutes"]))
        rows = chosen(lines, times, read)
        return over(rows, by, least, windows) if by else ({"alarm"} if len(rows) >= least else set())

    return evaluate


EVALUATORS: dict[str, Callable[[str], Rules]] = {
    "loki": loki,
    "elastic": elastic,
    "splunk": splunk,
    "cloudwatch": cloudwatch,
    "datadog": datadog,
}
