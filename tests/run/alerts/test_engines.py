"""The rules of each engine find the lines that they name, in the documented words and in others, and no others."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import wscheck
from tests.run.alerts.evaluate import EVALUATORS, python_pattern
from wscheck.cli import app
from wscheck.detect.rules import OF_LOGS
from wscheck.detect.rules.rule import RuleOptions
from wscheck.model.policy import PER_TAB
from wscheck.observe.logs import vocabulary as tail_vocabulary
from wscheck.observe.logs.vocabulary import LogVocabulary, normalize_key
from wscheck.run.alerts import ENGINES
from wscheck.run.alerts.engine import ATTEMPTS, DUPLICATED, MULTIPLE, REPLACED, SHARED
from wscheck.run.alerts.patterns import VALUE, key_patterns
from wscheck.run.alerts.samples import sample_lines, timed_lines
from wscheck.run.alerts.words import DOCUMENTED_KEYS, DOCUMENTED_SENTENCES, AlertWords, alert_words

DOCUMENT = (Path(__file__).parents[3] / "docs" / "alerts.md").read_text()
DOCUMENTED = LogVocabulary()
OTHER = LogVocabulary(
    markers=(
        ("connected", "[{user}] socket {sid} opened"),
        ("connected", "Uplink raised"),
        ("disconnected", "socket {sid} torn down: {reason}"),
        ("replaced", "kicked {user}: {old} by {new}"),
    ),
    keys=(("user", "memberId"), ("sid", "conn")),
)
VOCABULARIES = {"documented": DOCUMENTED, "other": OTHER}
LOG_ENGINES = tuple(EVALUATORS)

HEALTHY = {
    "documented": [
        '{"level":30,"msg":"WebSocket client connected","userId":"ann","socketId":"s1"}',
        '{"level":30,"msg":"WebSocket client disconnected","socketId":"s1","reason":"transport close"}',
        '{"level":30,"msg":"WebSocket client connected","userId":"ann","socketId":"s2"}',
        "2026-11-23T12:00:00Z WebSocket client connected userId=bob socketId=s3",
        "WebSocket client connected_count 7",
        "GET /replaced?existing=socket 200",
        "Client sensor-1 disconnected.",
        *(f"WebSocket client connected userId=anonymous socketId=a{n}" for n in range(9)),
    ],
    "other": [
        "12:00:00 INFO [ann] socket s1 opened",
        "12:00:01 INFO socket s1 torn down: ping timeout",
        "12:00:02 INFO [ann] socket s2 opened",
        'level=info msg="Uplink raised" memberId="bob" conn=s3',
        "12:00:03 INFO socket opened for business",
        "12:00:03 INFO kicked off the build",
        *(f"12:00:04 INFO [guest] socket a{n} opened" for n in range(9)),
    ],
}
FAULTY = {
    "documented": {
        MULTIPLE: (
            "Ana Silva",
            [
                '{"msg":"WebSocket client connected","user_id":"Ana Silva","socketId":"f1"}',
                "Websocket client connected { userId: 'Ana Silva', socketId: 'f2' }",
            ],
        ),
        REPLACED: (
            "7",
            [
                "[info] Replacing existing socket for user ID: 7 (likely page refresh)",
                '{"msg":"replacing existing socket for user","userId":7,"oldSocketId":"a","newSocketId":"b"}',
            ],
        ),
        ATTEMPTS: (
            "kim",
            [f"WebSocket client connected user: {{ userId: 'kim', socketId: 's{n}' }}" for n in range(6)],
        ),
    },
    "other": {
        MULTIPLE: (
            "Ann Lee",
            ["[info] [Ann Lee] socket f1 opened (2 tabs)", '{"message":"[Ann Lee] socket f2 opened"}'],
        ),
        REPLACED: ("kim", ["12:00 WARN kicked kim: s1 by s2"]),
        ATTEMPTS: ("kim", [f"Uplink raised member-id=kim CONN=s{n}" for n in range(6)]),
    },
}
"""Lines for each rule, in the forms of several loggers, and the user whom it reports."""


def words(name: str, **options: object) -> AlertWords:
    return alert_words(VOCABULARIES[name], RuleOptions(**options))  # type: ignore[arg-type]


def found(engine: str, name: str, lines: Sequence[str]) -> dict[str, set[str]]:
    """Return what each rule of an engine reports for some lines."""
    rules = EVALUATORS[engine](ENGINES[engine].render(words(name), ENGINES[engine].source))
    return {rule: reported for rule, evaluate in rules.items() if (reported := evaluate(lines))}


@pytest.mark.parametrize("name", VOCABULARIES)
@pytest.mark.parametrize("engine", LOG_ENGINES)
def test_the_named_lines_trigger_each_rule_and_healthy_lines_none(engine: str, name: str) -> None:
    rules = EVALUATORS[engine](ENGINES[engine].render(words(name), ENGINES[engine].source))
    assert {REPLACED, ATTEMPTS, SHARED} <= rules.keys()
    assert (MULTIPLE in rules) is (engine != "datadog"), "a log monitor of Datadog cannot leave out ended connections"
    for rule, evaluate in rules.items():
        sample = sample_lines(REPLACED if rule == "alarm" else rule, words(name))
        assert evaluate(sample), rule
        too_few = sample[: 0 if len(sample) == 1 else 1]
        assert evaluate([*too_few, *HEALTHY[name]]) == set(), rule


@pytest.mark.parametrize("name", VOCABULARIES)
@pytest.mark.parametrize("engine", LOG_ENGINES)
def test_lines_of_other_loggers_are_found_with_their_user(engine: str, name: str) -> None:
    for rule, (user, lines) in FAULTY[name].items():
        reported = found(engine, name, [*HEALTHY[name], *lines])
        if engine == "datadog" and rule == MULTIPLE:
            continue
        assert reported[rule] == ({"alarm"} if engine == "datadog" and rule == REPLACED else {user}), rule


@pytest.mark.parametrize("engine", [each for each in LOG_ENGINES if each != "datadog"])
def test_ends_and_replacements_close_a_connection(engine: str) -> None:
    opened = [f"WebSocket client connected userId=kim socketId=s{n}" for n in range(3)]
    ended = "WebSocket client disconnected socketId=s1 reason=x"
    replaced = "Replacing existing socket for user userId=kim oldSocketId=s0 newSocketId=s2"
    assert found(engine, "documented", [*opened, ended])[MULTIPLE] == {"kim"}
    assert MULTIPLE not in found(engine, "documented", [*opened, ended, replaced])


def test_the_policy_and_the_limit_are_those_of_the_configuration() -> None:
    for engine in ("loki", "elastic", "splunk", "cloudwatch"):
        text = ENGINES[engine].render(words("documented", connections=3, max_attempts=20, attempts_window_s=60.0), "x")
        rules = EVALUATORS[engine](text)
        opened = [f"WebSocket client connected userId=kim socketId=s{n}" for n in range(4)]
        assert not rules[MULTIPLE](opened[1:]) and rules[MULTIPLE](opened) == {"kim"}
        assert not rules[ATTEMPTS](opened * 2) and rules[ATTEMPTS](opened * 6) == {"kim"}


@pytest.mark.parametrize("engine", ["loki"])
def test_per_tab_counts_the_connections_of_each_page(engine: str) -> None:
    rules = EVALUATORS[engine](ENGINES[engine].render(words("documented", connections=PER_TAB), '{a="b"}'))
    opened = [f"WebSocket client connected userId=kim socketId=s{n} tabId=t{n}" for n in range(2)]
    assert rules[MULTIPLE](opened) == set()
    assert rules[MULTIPLE]([*opened, "WebSocket client connected userId=kim socketId=s9 tabId=t0"]) == {"kim"}
    for other in ("elastic", "splunk", "cloudwatch"):
        assert "by wscheck_user, wscheck_page" in ENGINES[other].render(
            words("documented", connections=PER_TAB), "x"
        ).replace("BY", "by").replace("wscheck_user wscheck_page", "wscheck_user, wscheck_page")


@pytest.mark.parametrize("engine", LOG_ENGINES)
def test_a_burst_is_found_wherever_it_starts_and_slow_attempts_are_not(engine: str) -> None:
    attempts = EVALUATORS[engine](ENGINES[engine].render(words("documented"), ENGINES[engine].source))[ATTEMPTS]
    lines = [f"WebSocket client connected userId=kim socketId=s{n}" for n in range(6)]
    for start in range(0, 130, 3):
        assert attempts(lines, [start + 1.9 * n for n in range(6)]) == {"kim"}, start
        assert attempts(lines, [start + 30.0 * n for n in range(6)]) == set(), start


@pytest.mark.parametrize("engine", LOG_ENGINES)
def test_what_an_engine_cannot_express_is_said(engine: str) -> None:
    text = ENGINES[engine].render(words("documented"), ENGINES[engine].source)
    assert DUPLICATED in text and "a server's log does not show which events a page handled" in text
    if engine == "datadog":
        assert "cannot leave out the connections whose end is logged" in json.loads(text)["refused"][MULTIPLE]
    if engine == "cloudwatch":
        assert text.count("There is no alarm for it") == 3


def test_words_that_a_phrase_search_cannot_find_refuse_the_rule() -> None:
    odd = alert_words(LogVocabulary(markers=(("replaced", "<-> {user} ::"), ("connected", "->->"))), RuleOptions())
    refused = json.loads(ENGINES["datadog"].render(odd, "service:a"))["refused"]
    assert refused[REPLACED].startswith("the engine cannot search for <-> {user} ::")
    assert ATTEMPTS in refused
    template = ENGINES["cloudwatch"].render(odd, "/a")
    assert "There is no alarm for it: the engine cannot search for <-> {user} ::" in template.replace("\n  # ", " ")
    assert "alarm" not in EVALUATORS["cloudwatch"](template)
    assert EVALUATORS["splunk"](ENGINES["splunk"].render(odd, "index=a"))[REPLACED](["<-> kim ::"]) == {"kim"}


@pytest.mark.parametrize("engine", ["elastic", "datadog"])
def test_structured_records_have_their_ids_in_fields(engine: str) -> None:
    structured = alert_words(OTHER, RuleOptions(), structured=True)
    text = ENGINES[engine].render(structured, ENGINES[engine].source)
    if engine == "elastic":
        assert "EVAL wscheck_user = TO_STRING(`memberId`)" in text and "TO_STRING(`oldSocketId`)" in text
    else:
        assert json.loads(text)["pipeline"] is None
        assert '.by(\\"@memberId\\")' in text


def test_the_vocabulary_is_that_of_tail_logs() -> None:
    for role, names in DOCUMENTED_KEYS.items():
        assert {*map(normalize_key, names)} == {*tail_vocabulary._KEYS[role]}, role
    for kind, sentence in DOCUMENTED_SENTENCES.items():
        assert tail_vocabulary._SENTENCES[kind].startswith(sentence)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("userId: user_123", "user_123"),
        ('{"user_id":"Ana Silva"}', "Ana Silva"),
        (r'{"log":"{\"userId\":\"ann\"}"}', "ann"),
        ("USER-ID = 7,", "7"),
        ("user id: 'x y'", "x y"),
        ("superuserId: no", None),
        ("userIds: no", None),
    ],
)
def test_keys_are_read_in_all_their_spellings(line: str, value: str | None) -> None:
    matches = [python_pattern(each.replace(VALUE, "(?P<v>")).search(line) for each in key_patterns(["userId"])]
    assert next((match["v"] for match in matches if match), None) == value


@pytest.mark.parametrize("name", VOCABULARIES)
def test_tail_logs_reports_the_sample_lines(name: str, tmp_path: Path) -> None:
    lines = timed_lines(words(name), 1_795_000_000.0)
    broker = [line for line in lines if line[:4] == "1795" or line[:4] == "1794"]
    (tmp_path / "app.log").write_text("\n".join(line for line in lines if line not in broker))
    (tmp_path / "broker.log").write_text("\n".join(broker))
    markers = [f"{kind}={text}" for kind, text in VOCABULARIES[name].markers]
    keys = [f"{role}={key}" for role, key in VOCABULARIES[name].keys]
    reports = (
        wscheck.read_log(tmp_path / "app.log", markers=markers, keys=keys, guess=False),
        wscheck.read_log(tmp_path / "broker.log", guess=False),
    )
    expected = {rule.id for rule in OF_LOGS} - {DUPLICATED}
    assert {finding.rule for report in reports for finding in report.findings} == expected


RUNNER = CliRunner()


def run(*arguments: str) -> tuple[int, str, str]:
    ran = RUNNER.invoke(app, ["alerts", *arguments])
    return ran.exit_code, ran.stdout, str(ran.exception or "")


def test_the_command_reads_the_configuration_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wscheck.toml").write_text(
        '[logs.markers]\nreplaced = "kicked {user}"\n[logs.keys]\nuser = "memberId"\n[rules]\nmax_attempts = "9/1m"\n'
    )
    code, out, _ = run("--for", "loki", "--source", '{job="chat"}')
    assert code == 0
    assert "# " + "  replaced: kicked {user}" in out and '{job="chat"} |~' in out and "member[_ -]*id" in out
    assert "interval: 60s" in out and ") > 9" in out


@pytest.mark.parametrize("engine", ENGINES)
def test_each_engine_prints_rules_and_samples(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, rules, _ = run("--for", engine)
    assert code == 0 and REPLACED in rules
    code, samples, _ = run("--for", engine, "--samples")
    assert code == 0 and ("input_series" if engine == "prometheus" else "Replacing existing socket for user") in samples


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--for", "lokki"), "Did you mean `loki`?"),
        (("--for", "loki", "--source", '{a="b"} or vector(1)'), "Write a stream selector"),
        (("--for", "splunk", "--source", "index=main | delete"), "Write fields such as"),
        (("--for", "elastic", "--source", "logs | DROP x"), "Write an index pattern"),
        (("--for", "datadog", "--source", 'a") + logs("b'), "Write tags such as"),
        (("--for", "cloudwatch", "--source", "{{resolve:ssm:x}}"), "Write a log group"),
        (("--for", "prometheus", "--source", "x"), "search no logs"),
    ],
)
def test_wrong_arguments_are_refused(arguments: tuple[str, ...], message: str) -> None:
    code, out, error = run(*arguments)
    assert code != 0 and out == "" and message in error


def test_every_option_and_engine_is_documented() -> None:
    command = typer.main.get_command(app).commands["alerts"]  # type: ignore[attr-defined]
    for option in (name for parameter in command.params for name in parameter.opts if name != "--help"):
        assert f"`{option}" in DOCUMENT, option
    rows = re.findall(r"^\| `(\w+)` \|", DOCUMENT, re.M)
    assert rows[: len(ENGINES)] == [*ENGINES]


def test_the_documented_fields_are_those_of_the_document() -> None:
    document = json.loads(ENGINES["datadog"].render(words("documented"), "service:a"))
    section = DOCUMENT.split("\n## Datadog's document\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.M) == [*document]
    assert document["schema"] == "wscheck.alerts/1"


def test_a_query_that_is_too_long_for_cloudwatch_is_left_out_with_the_reason() -> None:
    markers = tuple(("connected", f"user {{user}} came on {{sid}} by way {n}") for n in range(20))
    many = alert_words(LogVocabulary(markers=markers), RuleOptions())
    template = ENGINES["cloudwatch"].render(many, "/a")
    assert MULTIPLE not in EVALUATORS["cloudwatch"](template)
    assert re.search(r"# There is no query: it would have \d{5} characters, and 10000 are allowed\.", template)
