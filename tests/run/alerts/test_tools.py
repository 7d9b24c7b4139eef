"""The rules are valid for the tools and grammars of their engines: promtool, Grafana's LogQL, Elasticsearch's ES|QL."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from antlr4 import CommonTokenStream, InputStream, PredictionMode
from antlr4.error.ErrorListener import ErrorListener
from esql_parser.EsqlBaseLexer import EsqlBaseLexer
from esql_parser.EsqlBaseParser import EsqlBaseParser

from tests.needs import needs, refuse
from tests.run.alerts.test_engines import OTHER
from tests.run.alerts.test_hostile_words import HOSTILE, render
from wscheck.detect.rules.rule import RuleOptions
from wscheck.model.policy import PER_TAB
from wscheck.observe.logs.vocabulary import LogVocabulary
from wscheck.run.alerts import ENGINES
from wscheck.run.alerts.formats.prometheus import render_tests
from wscheck.run.alerts.words import AlertWords, alert_words

LOGQL = Path(__file__).parent / "logql"
DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"


def words(*, structured: bool = False) -> list[AlertWords]:
    per_tab = RuleOptions(connections=PER_TAB)
    return [
        alert_words(LogVocabulary(), RuleOptions(), structured=structured),
        alert_words(OTHER, per_tab, structured=structured),
    ]


def promtool(*arguments: str, cwd: Path) -> str:
    ran = subprocess.run(["promtool", *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_promtool_accepts_the_rules_and_each_fires_for_its_samples(tmp_path: Path) -> None:
    needs("promtool")
    rules = ENGINES["prometheus"].render(words()[0], "")
    (tmp_path / "rules.yaml").write_text(rules)
    (tmp_path / "tests.yaml").write_text(render_tests("rules.yaml"))
    assert "SUCCESS: 8 rules found" in promtool("check", "rules", "rules.yaml", cwd=tmp_path)
    assert "SUCCESS" in promtool("test", "rules", "tests.yaml", cwd=tmp_path)
    healthy = render_tests("rules.yaml").replace("0 0 1 1 1", "0 0 0 0 0").replace("0x30 1x10", "0x40")
    healthy = re.sub(r"exp_alerts:\n +- .*\n.*\n", "exp_alerts: []\n", healthy.replace("1x40", "0+9x40"))
    (tmp_path / "healthy.yaml").write_text(healthy)
    assert "SUCCESS" in promtool("test", "rules", "healthy.yaml", cwd=tmp_path)


def test_the_documented_rules_are_those_of_the_command() -> None:
    rules = ENGINES["prometheus"].render(words()[0], "")
    [documented] = re.findall(r"```yaml\n(groups:.*?)```", DOCUMENT.read_text(), re.S)
    assert documented == re.sub(r"^#.*\n", "", rules, flags=re.M)


def test_grafanas_grammar_reads_each_logql_query() -> None:
    needs("node")
    if not (LOGQL / "node_modules").is_dir():
        refuse("needs npm ci in tests/run/alerts/logql")
    texts = [ENGINES["loki"].render(each, '{app="backend"}') for each in words()]
    texts += [render("loki", word) for word in HOSTILE]
    groups = [group for text in texts for group in yaml.load(text, Loader=yaml.CSafeLoader)["groups"]]
    queries = [rule["expr"] for group in groups for rule in group["rules"]]
    ran = subprocess.run(
        ["node", LOGQL / "check.cjs"],
        input=json.dumps([*queries, "sum by (a) (rate({a=`b`} |~ x [5m])"]),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    errors = json.loads(ran.stdout)
    assert errors[: len(queries)] == [0] * len(queries)
    assert errors[-1] > 0, "the check finds errors"


class _Errors(ErrorListener):  # type: ignore[misc, unused-ignore]
    def __init__(self) -> None:
        self.found: list[str] = []

    def syntaxError(
        self, recognizer: object, symbol: object, line: int, column: int, message: str, error: object
    ) -> None:
        self.found.append(f"{line}:{column} {message}")


def esql_errors(query: str) -> list[str]:
    """Return the syntax errors of a query, by Elasticsearch's own grammar."""
    errors = _Errors()
    lexer = EsqlBaseLexer(InputStream(query))
    lexer.removeErrorListeners()
    lexer.addErrorListener(errors)
    parser = EsqlBaseParser(CommonTokenStream(lexer))
    parser._interp.predictionMode = PredictionMode.SLL
    parser.removeErrorListeners()
    parser.addErrorListener(errors)
    parser.singleStatement()
    return errors.found


def test_elasticsearchs_grammar_reads_each_esql_query() -> None:
    texts = [ENGINES["elastic"].render(each, "logs-*") for each in (words()[1], words(structured=True)[1])]
    texts.append(render("elastic", HOSTILE[3]))
    bodies = [json.loads(body) for text in texts for body in re.findall(r"^POST [^\n]*\n(\{.*?^\})", text, re.S | re.M)]
    queries = dict.fromkeys(body["params"]["esqlQuery"]["esql"] for body in bodies)
    assert len(queries) >= 8
    for query in queries:
        assert esql_errors(query) == [], query
    assert esql_errors(next(iter(queries)) + " | WHER x")


@pytest.mark.parametrize("name", ["package.json", "package-lock.json", "check.cjs"])
def test_the_check_of_logql_is_complete(name: str) -> None:
    assert (LOGQL / name).is_file()
