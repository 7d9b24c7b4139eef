"""The runner of the corpus: its entries, its judgement, its count and its page. Nothing is installed or served."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from corpus.checking import as_toml
from corpus.counting import WebsocketCount
from corpus.entries import Case, Entry, cases_of, read_entries, read_entry
from corpus.evidence import _measured, page, spread, table
from corpus.installing import NotInstalled, _apply
from corpus.judging import is_place, judge
from corpus.servers.stand_in import DIALECTS
from corpus.serving import FILES, command_of, descendants, end_group, filled, run_limited
from tests.run.tail.process import wait_until
from tests.run.tail.test_command import is_running
from wscheck.config.loading import load_config

FAULT = """
name = "chat"
kind = "library"
framework = "none"
protocol = "WebSocket"
licence = "MIT"
registry = "npm"
[faulty]
install = ["chat@1.0.0"]
[healthy]
install = ["chat@1.0.1"]
[serve]
page = "vueuse"
stand_in = { root = "page" }
[expected]
fault = "two at once"
known_by = "its change log"
before = 2
after = 1
rules = ["multiple-connections"]
openers = [["src/a.js:3", "src/b.js:4"], ["src/c.js:5"]]
causes = ["two-openers"]
fix_words = ["share"]
shown_by = ["browser"]
"""


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    path = tmp_path / "chat.toml"
    path.write_text(FAULT)
    return read_entry(path)


def report(*, rule: str = "multiple-connections", cause: str = "two-openers", lines: str = "a.js:3 c.js:5") -> Any:
    opened = [{"opener": {"file": f"src/{p.split(':')[0]}", "line": int(p.split(":")[1])}} for p in lines.split()]
    told = {"id": cause, "confidence": "certain", "fix": "Share it."}
    finding = {"rule": rule, "severity": "error", "message": "2 at once", "cause": told}
    said = {"verdict": "failed", "reason": "", "findings": [finding], "connections": opened}
    return {"exit": 1, "seconds": 2.0, "report": said}


def test_repeated_runs_show_how_often_a_case_had_its_result() -> None:
    runs = [{"result": "found", "line": True, "cause": True, "seconds": 8.0 + n, "load": 1.5} for n in range(9)]
    runs.append({"result": "found", "line": True, "cause": False, "seconds": 20.0, "load": 9.0})
    assert "| chat-faulty | 10 | 9 | found | right | right | 8.0 to 20.0 | 1.5 to 9.0 |" in spread(
        {"chat-faulty": runs}
    )


def test_every_entry_of_the_corpus_can_be_read_and_served() -> None:
    entries = read_entries([])
    for case in cases_of(entries):
        serve = case.entry.serve
        assert command_of(case, Path("/cache"), {"port": 1, "port2": 2, "folder": "/c", "files": FILES, "work": "/w"})
        assert not serve.stand_in or serve.stand_in.websocket in DIALECTS
        assert not serve.page or (FILES.parent / "pages" / serve.page / "index.html").exists()
    assert sum(bool(entry.faulty) for entry in entries) >= 8
    assert sum(not entry.faulty for entry in entries) >= 8


def test_the_steps_of_every_entry_are_steps_of_wscheck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for entry in read_entries([]):
        (tmp_path / "wscheck.toml").write_text(as_toml(entry.visit.steps))
        assert len(load_config({}, directory=tmp_path, environ={}).steps) == len(entry.visit.steps)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (('kind = "library"', 'kind = "game"'), "neither application nor library"),
        (('"chat@1.0.1"', '"chat"'), "no fixed version"),
        (('fault = "two at once"', ""), "belong together"),
        (('causes = ["two-openers"]', ""), "a fault has"),
        (('shown_by = ["browser"]', 'shown_by = ["guess"]'), "unknown source"),
        (('stand_in = { root = "page" }', 'command = ["chat"]'), "a page needs a stand-in"),
        (("after = 1", "afterwards = 1"), "afterwards"),
    ],
)
def test_an_entry_that_contradicts_itself_is_refused(tmp_path: Path, change: tuple[str, str], problem: str) -> None:
    path = tmp_path / "chat.toml"
    path.write_text(FAULT.replace(*change))
    with pytest.raises(ValueError, match=problem):
        read_entry(path)


def test_a_fault_is_found_with_line_cause_and_fix(entry: Entry) -> None:
    judged = judge(Case(entry, True), "browser", report())
    assert (judged.result, judged.line, judged.cause, judged.fix) == ("found", True, True, True)


def test_a_wrong_line_and_a_wrong_cause_are_told_apart(entry: Entry) -> None:
    assert judge(Case(entry, True), "browser", report(lines="b.js:4 c.js:6")).line is False
    other = judge(Case(entry, True), "browser", report(cause="several-tabs"))
    assert (other.line, other.cause, other.fix) == (True, False, False)


def test_another_rule_does_not_find_the_fault(entry: Entry) -> None:
    assert judge(Case(entry, True), "browser", report(rule="handler-leaked")).result == "missed"


def test_a_scan_finds_the_fault_with_a_rule_of_its_own(entry: Entry) -> None:
    named = report(rule="opened-in-render", cause=entry.expected.causes[0])
    assert [judge(Case(entry, True), source, named).result for source in ("scan", "browser")] == ["found", "missed"]
    other = report(rule="opened-in-render", cause="several-tabs")
    assert judge(Case(entry, True), "scan", other).result == "missed"


def test_a_finding_on_a_healthy_version_is_a_false_alarm(entry: Entry) -> None:
    assert judge(Case(entry, False), "browser", report(rule="handler-leaked")).result == "false alarm"


def test_no_answer_is_neither_found_nor_passed(entry: Entry) -> None:
    silent = {"exit": 3, "seconds": 1.0, "report": {"verdict": "inconclusive", "reason": "nothing", "findings": []}}
    assert {judge(Case(entry, kind), "browser", silent).result for kind in (True, False)} == {"inconclusive"}
    assert judge(Case(entry, True), "browser", {"exit": 124, "seconds": 9.0, "said": "late"}).result == "error"


def test_a_har_file_without_openers_is_not_asked_for_the_line(entry: Entry) -> None:
    assert judge(Case(entry, True), "har", report(lines="")).line is None
    assert judge(Case(entry, True), "browser", report(lines="")).line is False


def test_places_are_compared_by_the_end_of_their_path() -> None:
    assert is_place("http://127.0.0.1:1/assets/a.js:3", "a.js:3")
    assert not is_place("ba.js:3", "a.js:3")
    assert not is_place("a.js:33", "a.js:3")


def test_two_websockets_to_one_address_for_long_are_a_fault() -> None:
    count = WebsocketCount()
    count.open(1, "ws://h/feed?room=1", 0.0)
    count.open(2, "ws://h/feed?room=2", 1.0)
    assert count.finish(1.2) == 2
    assert not count.is_faulty
    count.close(1, 1.4)
    assert count.is_faulty
    assert count.finish(9.0) == 1


def test_websockets_of_a_document_that_was_left_are_not_counted() -> None:
    count = WebsocketCount()
    count.open(1, "ws://h/feed", 0.0)
    count.leave(5.0)
    count.open(2, "ws://h/feed", 5.1)
    assert (count.finish(9.0), count.is_faulty) == (1, False)


def test_websockets_to_two_addresses_are_no_fault() -> None:
    count = WebsocketCount()
    count.open(1, "ws://h/kernel", 0.0)
    count.open(2, "ws://h/events", 0.0)
    assert (count.finish(9.0), count.is_faulty) == (1, False)


def test_a_patch_must_fit_exactly_once(tmp_path: Path) -> None:
    path = tmp_path / "a.js"
    path.write_text("a\r\nb\nb\n", newline="")
    _apply(path, "a\nb", "c")
    assert path.read_text() == "c\nb\n"
    with pytest.raises(NotInstalled, match="0 times"):
        _apply(path, "z", "y")


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_a_process_with_a_session_of_its_own_is_ended_with_the_server() -> None:
    inner = "import subprocess; p = subprocess.Popen(['sleep', '60'], start_new_session=True); print(p.pid, flush=True)"
    server = subprocess.Popen(
        [sys.executable, "-c", f"{inner}; p.wait()"], stdout=subprocess.PIPE, start_new_session=True
    )
    assert server.stdout is not None
    with server.stdout:
        pid = int(server.stdout.readline())
        assert descendants(server.pid) == [pid]
        end_group(server)
    assert server.returncode is not None
    wait_until(lambda: not is_running(pid))


def test_placeholders_of_a_command_are_filled_and_other_braces_stay() -> None:
    assert filled("{folder}/x {port} {}", {"folder": "/f", "port": 5}) == "/f/x 5 {}"


def test_the_table_and_the_page_tell_misses_first(entry: Entry) -> None:
    case = Case(entry, True)
    right = judge(case, "browser", report())
    missed = judge(case, "browser", report(rule="handler-leaked"))
    now = {
        "chat-faulty": {"browser": _built(missed), "count": {"result": "found", "seconds": 1.0, "details": ""}},
        "chat-healthy": {"browser": {"result": "passed", "seconds": 1.0, "details": ""}},
    }
    assert "| chat-faulty | missed |" in table([entry], now)
    text = page([entry], {**now, "chat-faulty": {"browser": _built(right)}}, now, {}, {}, tables={})
    assert text.index("chat-faulty") < text.index("## The applications")
    assert "handler-leaked" in text
    assert "0 of 1" in text
    assert "1 of 1" in text


def test_the_page_has_the_stored_tables_with_their_commands_and_the_load() -> None:
    text = _measured({"Rotation of followed logs": {"text": "\nwritten 230, lost 0\n", "load": 6.5}})
    assert "`python -m bench rotation`, load of the machine before it: 6.5" in text
    assert "```text\nwritten 230, lost 0\n```" in text
    assert _measured({}) == ""


def _built(judged: Any) -> Any:
    return json.loads(json.dumps({name: getattr(judged, name) for name in judged.__struct_fields__}))


def test_a_check_has_its_output_and_its_exit_code(tmp_path: Path) -> None:
    program = "import os, sys; print(os.environ['ANSWER']); sys.exit(3)"
    ended = run_limited([sys.executable, "-c", program], tmp_path, 30, {"ANSWER": "42"})
    assert (ended.text, ended.code) == ("42\n", 3)


def test_a_check_ends_at_its_time_limit_with_all_that_it_started(tmp_path: Path) -> None:
    program = "import subprocess; p = subprocess.Popen(['sleep', '60']); open('pid', 'w').write(str(p.pid)); p.wait()"
    ended = run_limited([sys.executable, "-c", program], tmp_path, 1, {})
    assert (ended.text, ended.code) == ("it took more than 1 s", 124)
    wait_until(lambda: not is_running(int((tmp_path / "pid").read_text())))
