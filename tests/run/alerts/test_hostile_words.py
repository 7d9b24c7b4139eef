"""Words and keys of a configuration end no text of a query, and are found in the forms that loggers write them in."""

import json
import re
from collections.abc import Callable
from functools import cache

import pytest
import yaml

from tests.run.alerts.evaluate import EVALUATORS, _Template
from wscheck.detect.rules.rule import RuleOptions
from wscheck.observe.logs.vocabulary import LogVocabulary, marker_error
from wscheck.run.alerts import ENGINES
from wscheck.run.alerts.engine import ATTEMPTS, REPLACED
from wscheck.run.alerts.words import alert_words

HOSTILE = (
    "open`) | line_format `x",
    'open" | stats count by x | search "',
    "open\\",
    '"""| DROP x',
    "open/ | limit 1",
    "a'b open",
    "open %{DATA:x} %",
    "$tok$ open $",
    "[open] (x|y) * + ? ^",
    "{{ $labels.x }} open",
    "{{resolve:ssm:secret}} open",
    "# open: &a *b !c",
    "open\n- alert: x",
    "open\r\n[stanza]",
    "open\x1b[31m\x07",
    "\u2028\u0085open",
    "Größe öffnet",
    "连接成功打开",
    "🔗 opened <b>&amp;</b>",
    "-- open ; rm",
)


def marked(word: str) -> str:
    """Return a marker for the literal word."""
    return word.replace("{", "{{").replace("}", "}}")


@cache
def render(engine: str, word: str, key: str = "member") -> str:
    vocabulary = LogVocabulary(
        markers=tuple((kind, marked(word)) for kind in ("connected", "replaced")), keys=(("user", key),)
    )
    return ENGINES[engine].render(alert_words(vocabulary, RuleOptions()), ENGINES[engine].source)


def logql(text: str) -> object:
    groups = yaml.load(text, Loader=yaml.CSafeLoader)["groups"]
    return [(rule["alert"], re.sub(r"`[^`]*`", "R", rule["expr"])) for group in groups for rule in group["rules"]]


def esql(text: str) -> object:
    bodies = [json.loads(body) for body in re.findall(r"^POST [^\n]*\n(\{.*?^\})", text, re.S | re.M)]
    queries = [re.sub(r'"""[^"]*"""', "R", body["params"]["esqlQuery"].pop("esql")) for body in bodies]
    skeletons = [re.sub(r'message LIKE "[^"\\]*"( OR message LIKE "[^"\\]*")*', "LIKE", query) for query in queries]
    return [(body, skeleton) for body, skeleton in zip(bodies, skeletons, strict=True)]


def spl(text: str) -> object:
    lines = [line for line in text.split("\n") if line and not line.startswith("#")]
    assert all(re.match(r"\[wscheck [\w-]+\]$|[\w.]+ = ", line) for line in lines)
    words = r'index=main \((?:"[\w ]+"|[()]| OR | )+\) \|'
    plain = [re.sub(words, "WORDS |", line) for line in lines]
    return [re.sub(r'"[^"]*"', "R", line) for line in plain]


def template(text: str) -> object:
    assert "{{" not in "".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    document = yaml.load(text, Loader=_Template)
    filters = [name for name, each in document["Resources"].items() if each["Type"].endswith("MetricFilter")]
    for name in filters:
        pattern = document["Resources"].pop(name)["Properties"]["FilterPattern"]
        assert re.fullmatch(r'\??"[\w ]+"( \??"[\w ]+")*', pattern)
    for each in document["Resources"].values():
        query = each["Properties"].get("QueryString", "")
        each["Properties"]["QueryString"] = [re.sub(r"/[^/]*/", "R", line) for line in query.split("\n")]
    return document


def monitors(text: str) -> object:
    document = json.loads(text)
    queries = [each.pop("query") for each in document["monitors"]]
    for query in queries:
        form = r'logs\("((?:[^"\\]|\\")*)"\)\.index\("\*"\)\.rollup\("count"\)(?:\.by\("@\w+"\))?\.last\("\d+m"\) > \d'
        match = re.fullmatch(form, query)
        assert match is not None, query
        search = match[1].replace('\\"', '"')
        assert re.fullmatch(r'service:backend \((?:"[\w ,]+"|[()]| AND | OR )+\)( -@\w+:\([\w ]+\))?', search), search
    return [*document, *(sorted(each) for each in document["monitors"])]


SKELETONS: dict[str, Callable[[str], object]] = {
    "loki": logql,
    "elastic": esql,
    "splunk": spl,
    "cloudwatch": template,
    "datadog": monitors,
}


@pytest.mark.parametrize("word", HOSTILE, ids=ascii)
@pytest.mark.parametrize("engine", SKELETONS)
def test_a_word_changes_nothing_but_its_own_text(engine: str, word: str) -> None:
    assert not marker_error("connected", marked(word), ())
    skeleton = SKELETONS[engine]
    assert skeleton(render(engine, word)) == skeleton(render(engine, "socket opened"))


@pytest.mark.parametrize("key", ["a|b", "a*(b)+", "a$b", "a\\b", "größe", "a/b", "a%b", "#a", "a:b", "<a>", "a  b"])
@pytest.mark.parametrize("engine", SKELETONS)
def test_a_key_changes_nothing_but_its_own_text(engine: str, key: str) -> None:
    text = render(engine, "socket opened", key)
    assert SKELETONS[engine](text) == SKELETONS[engine](render(engine, "socket opened"))
    rules = EVALUATORS[engine](text)
    lines = [json.dumps({"msg": "socket opened", key: "ann", "n": n}, ensure_ascii=n % 2 == 0) for n in range(6)]
    assert rules[ATTEMPTS](lines) == {"ann"}


@pytest.mark.parametrize("word", [each for each in HOSTILE if "\n" not in each], ids=ascii)
@pytest.mark.parametrize("engine", SKELETONS)
def test_a_word_is_found_as_it_is_and_in_json(engine: str, word: str) -> None:
    rules = EVALUATORS[engine](render(engine, word))
    as_json = (json.dumps({"msg": word, "member": "ann"}, ensure_ascii=ascii) for ascii in (True, False))
    for line in (f"12:00 {word} member=ann", *as_json, json.dumps({"log": json.dumps({"msg": word, "member": "ann"})})):
        assert rules["alarm" if engine == "cloudwatch" and "alarm" in rules else REPLACED]([line]), line
        if engine != "datadog":
            assert rules[REPLACED]([line]) == {"ann"}, line


def test_structured_keys_stay_within_their_quotes() -> None:
    vocabulary = LogVocabulary(keys=(("user", "user id | drop"),))
    words = alert_words(vocabulary, RuleOptions(), structured=True)
    assert "TO_STRING(`user id | drop`)" in ENGINES["elastic"].render(words, "logs-*")
    refused = json.loads(ENGINES["datadog"].render(words, "service:a"))["refused"]
    assert refused[ATTEMPTS] == "the key user id | drop cannot be the name of an attribute in a query"


def test_no_control_character_is_printed() -> None:
    for engine, word in ((engine, word) for engine in SKELETONS for word in HOSTILE):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028]", render(engine, word)), (engine, word)
