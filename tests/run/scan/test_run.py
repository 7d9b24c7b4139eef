"""Runs of `wscheck scan` on folders: which files are read, verdicts, reports and exit codes."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.cli import wscheck
from wscheck.commands.scan import _fix
from wscheck.config.loading import load_config
from wscheck.detect.code.source_tree import file_facts, findings_in
from wscheck.detect.code.syntax import SUFFIXES, parse_source
from wscheck.model.allow_list import AllowEntry, AllowList
from wscheck.model.errors import UsageError
from wscheck.model.findings import Bar, Verdict
from wscheck.model.secrets import Redactor
from wscheck.run.scan import run as scan_run
from wscheck.run.scan.run import ScanPlan, plan_scan, proposed_changes, run_scan, write_change

LEAK = (
    'import { io } from "socket.io-client";\n'
    'function Chat() { useEffect(() => { const s = io("/"); s.on("x", f) }, []); return <p/> }\n'
)
SHARED = 'import { io } from "socket.io-client";\nexport const socket = io();\n'
EXAMPLE = Path(__file__).parents[3] / "examples" / "bot-dashboard" / "src"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def test_a_shared_connection_passes(tmp_path: Path) -> None:
    report = run_scan(ScanPlan(root=write(tmp_path, {"src/socket.ts": SHARED, "src/a.css": "io("})))
    assert (report.verdict, report.files, len(report.openings)) == (Verdict.PASSED, 1, 1)


def test_a_fault_fails_and_a_folder_without_connections_is_inconclusive(tmp_path: Path) -> None:
    report = run_scan(ScanPlan(root=write(tmp_path / "a", {"chat.jsx": LEAK})))
    assert (report.verdict, report.reason) == (
        Verdict.FAILED,
        f"an effect of Chat opens a connection to /, and nothing closes it ({tmp_path}/a/chat.jsx:2:47)",
    )
    empty = run_scan(ScanPlan(root=write(tmp_path / "b", {"chat.jsx": "const a = 1"})))
    assert (empty.verdict, empty.reason) == (
        Verdict.INCONCLUSIVE,
        "no call that opens a connection was found in 1 source file",
    )
    assert run_scan(ScanPlan(root=tmp_path / "b", bar=Bar(strict=True))).verdict is Verdict.FAILED
    (nothing := tmp_path / "c").mkdir()
    assert run_scan(ScanPlan(root=nothing)).reason == (
        "no call that opens a connection was found in 0 files: there is no JavaScript or TypeScript to scan here"
    )


def test_users_of_a_default_export_are_found_under_the_name_that_they_give_it(tmp_path: Path) -> None:
    link = 'import io from "socket.io-client";\nconst link = () => io(base());\nexport default link;\n'
    use = 'import open from "../net/socket-link";\nimport { useEffect } from "react";\n'
    use += (
        "export function NAME() { useEffect(() => { const s = open(); return () => s.close(); }, []); return <p/>; }\n"
    )
    files = {name: use.replace("NAME", name) for name in ("Inbox", "Badge")}
    write(tmp_path / "net", {"socket-link.js": link})
    write(tmp_path / "parts", {f"{name}.jsx": code for name, code in files.items()})
    (finding,) = run_scan(ScanPlan(root=tmp_path)).findings
    assert finding.rule == "opened-in-several-places"
    assert "Badge (" in finding.message and "Inbox (" in finding.message


def test_an_empty_folder_passes_where_that_is_allowed(tmp_path: Path) -> None:
    root = write(tmp_path, {"a.js": "const a = 1"})
    report = run_scan(ScanPlan(root=root, allow_empty=True, bar=Bar(strict=True)))
    assert report.verdict is Verdict.PASSED
    assert [gap.reason for gap in report.gaps] == ["no call that opens a connection was found in 1 source file"]
    (root / "unreadable.js").symlink_to(root / "missing")
    assert run_scan(ScanPlan(root=root, allow_empty=True)).verdict is Verdict.INCONCLUSIVE
    write(root, {"chat.jsx": LEAK})
    assert run_scan(ScanPlan(root=root, allow_empty=True)).verdict is Verdict.FAILED


def test_installed_built_ignored_and_test_files_are_left_out(tmp_path: Path) -> None:
    left_out = [
        "node_modules/x/a.js",
        "dist/a.js",
        ".next/a.js",
        "src/a.test.tsx",
        "src/__tests__/a.tsx",
        "src/a.min.js",
    ]
    root = write(
        tmp_path, {**dict.fromkeys(left_out, LEAK), "src/big.js": f"/*{'x' * 6000}*/{LEAK}", "src/ok.js": SHARED}
    )
    report = run_scan(ScanPlan(root=root))
    assert (report.verdict, report.files) == (Verdict.PASSED, 1)
    assert "not checked: 4 source files (tests, type declarations, minified or large files)" in [
        g.reason for g in report.gaps
    ]


def test_files_that_git_ignores_are_left_out(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    write(tmp_path, {".gitignore": "generated\n", "generated/a.jsx": LEAK, "src/ok.js": SHARED})
    assert run_scan(ScanPlan(root=tmp_path)).files == 1


def test_unreadable_and_broken_files_end_nothing(tmp_path: Path) -> None:
    root = write(tmp_path, {"a.js": SHARED, "b.js": "io((((", "c.vue": "<script>\nio("})
    (root / "d.js").symlink_to(root / "missing")
    (root / "e.js").write_bytes(b"\xff\xfe\x00io(\x00")
    report = run_scan(ScanPlan(root=root))
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "1 source file could not be read" in [gap.reason for gap in report.gaps]


def test_a_file_that_takes_too_long_is_missing_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wscheck.run.scan.run.MAX_FILE_SECONDS", -1.0)
    report = run_scan(ScanPlan(root=write(tmp_path, {"a.js": SHARED})))
    assert report.verdict is Verdict.INCONCLUSIVE
    assert [gap.reason for gap in report.gaps if gap.reason.endswith("a.js is too complex to be read")]


def test_files_that_take_long_share_their_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = list[float]()

    class SlowFile(scan_run._Budget):
        def __init__(self, seconds: float) -> None:
            super().__init__(seconds)
            limits.append(seconds)

        def used(self) -> float:
            return 4.0

    monkeypatch.setattr(scan_run, "_Budget", SlowFile)
    monkeypatch.setattr(scan_run, "SPARE_SECONDS", 5.0)
    run_scan(ScanPlan(root=write(tmp_path, {f"{name}.js": SHARED for name in "abcd"})))
    assert limits == [6.0, 3.0, 1.0, 1.0]


@pytest.mark.parametrize("files", [{"a.min.js": SHARED}, {"a.js": "x" * 6_000}, {"tests/a.js": SHARED}])
def test_files_that_are_left_out_are_not_said_to_be_missing(tmp_path: Path, files: dict[str, str]) -> None:
    reason = run_scan(ScanPlan(root=write(tmp_path, files))).reason
    assert reason == "no call that opens a connection was found in 0 files: 1 source file left out"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_pipe_is_no_source_file_and_utf_16_is_read(tmp_path: Path, encoding: str) -> None:
    root = write(tmp_path, {"a.js": SHARED})
    os.mkfifo(root / "pipe.js")
    (root / "wide.js").write_bytes("new WebSocket('ws://wide')\n".encode(encoding))
    report = run_scan(ScanPlan(root=root))
    assert (report.verdict, report.files) == (Verdict.PASSED, 2)
    assert [call.location.file for call in report.openings if call.location.file.endswith("wide.js")]


def test_folders_below_one_another_are_read_at_any_depth(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(os.open("x.js", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    try:
        assert run_scan(ScanPlan(root=tmp_path)).files == 1
    finally:
        subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # too deep for the cleanup of pytest


def test_a_folder_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        plan_scan(load_config({}, directory=None, environ={}), tmp_path / "missing")


def test_the_hooks_of_the_example_dashboard_are_both_named() -> None:
    report = run_scan(ScanPlan(root=EXAMPLE / "hooks"))
    (finding,) = report.findings
    assert finding.rule == "opened-in-several-places"
    assert [location.function for location in finding.locations] == ["useBotWebSocket", "useWhatsAppConnection"]


def test_the_command_writes_every_format_and_exits_with_1(tmp_path: Path) -> None:
    root = write(tmp_path, {"src/chat.jsx": LEAK})
    names = ["json", "sarif", "junit", "markdown", "html", "github"]
    ran = wscheck("scan", "src", *(part for name in names for part in ("--format", f"{name}=out.{name}")), cwd=root)
    assert ran.code == 1
    report = json.loads((root / "out.json").read_text())
    assert report["schema"] == "wscheck.scan/1"
    assert report["openings"][0]["location"] == {"file": "src/chat.jsx", "line": 2, "column": 47, "function": "Chat"}
    assert (root / "out.github").read_text().startswith("::error file=src/chat.jsx,line=2,title=")
    for name in names:
        assert "src/chat.jsx" in (root / f"out.{name}").read_text().replace("<wbr>", "")


def test_a_file_with_too_many_calls_is_no_pass(tmp_path: Path) -> None:
    calls = "".join(f"export const socket{n} = io('/{n}');\n" for n in range(60))
    report = run_scan(ScanPlan(root=write(tmp_path, {"made.js": 'import { io } from "socket.io-client";\n' + calls})))
    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.reason.endswith("made.js opens connections in too many places: 10 were not checked")


FIXED = LEAK.replace(' s.on("x", f) }', ' s.on("x", f); return () => { s.disconnect(); }; }')


def test_fix_shows_the_diff_writes_it_and_scans_again(tmp_path: Path) -> None:
    path = write(tmp_path, {"src/chat.jsx": LEAK.replace("\n", "\r\n")}) / "src" / "chat.jsx"
    path.chmod(0o750)
    ran = wscheck("scan", "--fix", "--format", "json", cwd=tmp_path)
    assert (ran.code, json.loads(ran.out)["findings"]) == (0, [])
    assert path.read_bytes() == FIXED.replace("\n", "\r\n").encode() and path.stat().st_mode & 0o777 == 0o750
    assert "+function Chat() { useEffect(" in ran.err and "added a cleanup to 1 effect in 1 file" in ran.err
    again = wscheck("scan", "--fix", cwd=tmp_path)
    assert again.err == "" and path.read_bytes() == FIXED.replace("\n", "\r\n").encode()


def test_diff_is_applied_by_git_and_writes_nothing(tmp_path: Path) -> None:
    root = write(tmp_path, {"src/chat.jsx": LEAK})
    ran = wscheck("scan", "--diff", "--format", "json=out.json", cwd=tmp_path)
    assert (ran.code, (root / "src/chat.jsx").read_text()) == (1, LEAK)
    subprocess.run(["git", "apply", "-"], input=ran.out.encode(), cwd=root, check=True)
    assert (root / "src/chat.jsx").read_text() == FIXED
    assert wscheck("scan", "--diff", "--format", "json", cwd=tmp_path).code == 2


@pytest.mark.parametrize(
    ("line", "hidden"),
    [
        ("const token = 'S3CRETVALUE';", True),
        ("const url = 'wss://ada:S3CRETVALUE@host/?room=1';", True),
        ("const url = '/chat?access_token=S3CRETVALUE';", True),
        ("const url = '/chat?room=lobby&EIO=4'; const token = readToken();", False),
    ],
)
def test_a_diff_hides_credentials(tmp_path: Path, capfd: pytest.CaptureFixture[str], line: str, hidden: bool) -> None:
    plan = ScanPlan(root=write(tmp_path, {"a.jsx": f"{LEAK}{line}\n"}))
    _fix(plan, run_scan(plan), Redactor(), write=False)
    shown = capfd.readouterr()
    assert "S3CRET" not in shown.out and "+function Chat()" in shown.out
    assert (f" {line}\n" not in shown.out) is ("cannot be applied" in shown.err) is hidden


def test_effects_of_one_file_are_patched_one_after_the_other(tmp_path: Path) -> None:
    effect = "onMounted(() => {\n  socket.on('NAME', show)\n})\n"
    code = (
        "<script setup>\nimport { onMounted } from 'vue'\nimport { socket } from './s'\n"
        + effect.replace("NAME", "a")
        + effect.replace("NAME", "b")
        + "</script>\n"
    )
    plan = ScanPlan(root=write(tmp_path, {"a.vue": code}))
    (change,) = proposed_changes(plan, run_scan(plan))
    assert change.after.count(b"{ onMounted, onUnmounted } from 'vue'") == 1
    assert (change.fixed, change.after.count(b"onUnmounted(() => {")) == (2, 2)


def test_an_allowed_finding_stays(tmp_path: Path) -> None:
    write(tmp_path, {"chat.jsx": LEAK, "news.jsx": LEAK.replace("Chat", "News")})
    entry = AllowEntry(rule="opening-not-closed", file="*chat.jsx")
    plan = ScanPlan(root=tmp_path, bar=Bar(allow=AllowList(entries=(entry,))))
    assert [Path(change.path).name for change in proposed_changes(plan, run_scan(plan))] == ["news.jsx"]


def test_a_file_that_changed_or_is_read_only_is_not_written(tmp_path: Path) -> None:
    path = write(tmp_path, {"chat.jsx": LEAK}) / "chat.jsx"
    plan = ScanPlan(root=tmp_path)
    (change,) = proposed_changes(plan, run_scan(plan))
    path.write_text(LEAK + "// more\n", encoding="utf-8")
    with pytest.raises(UsageError, match="changed since the scan"):
        write_change(plan, change)
    outside = ScanPlan(root=write(tmp_path / "other", {"a.js": SHARED}))
    path.write_text(LEAK, encoding="utf-8")
    with pytest.raises(UsageError, match="outside of"):
        write_change(outside, change)
    assert [each.name for each in sorted(tmp_path.iterdir())] == ["chat.jsx", "other"]


def test_reports_show_the_change_without_the_secrets_of_the_file(tmp_path: Path) -> None:
    secret = LEAK.replace('io("/")', 'io("https://me:hunter2@h.example/?key=abcdef", { auth: { token: "s3cr3t" } })')
    root = write(tmp_path, {"chat.jsx": secret})
    names = ["json", "sarif", "markdown", "html", "terminal"]
    ran = wscheck("scan", *(part for name in names for part in ("--format", f"{name}=out.{name}")), cwd=root)
    assert ran.code == 1
    for name in names:
        text = (root / f"out.{name}").read_text()
        assert "return () =&gt; { s.disconnect(); };" in text.replace("=>", "=&gt;")
        assert not any(each in text for each in ("hunter2", "abcdef", "s3cr3t"))


def test_the_url_of_a_connection_is_read_from_the_file_that_defines_it(tmp_path: Path) -> None:
    code = 'import { io } from "socket.io-client";\nIMPORT\nexport function NAME() { return io(URL) }\n'
    first = code.replace("IMPORT", "import { LIVE } from '../config'").replace("URL", "LIVE").replace("NAME", "chat")
    second = code.replace("IMPORT", "").replace("URL", "import.meta.env.VITE_LIVE").replace("NAME", "stock")
    config = "const LIVE = import.meta.env.VITE_LIVE as string; export { LIVE }"
    root = write(tmp_path, {"src/a/chat.ts": first, "src/stock.ts": second, "src/config/index.ts": config})
    (finding,) = run_scan(ScanPlan(root=root)).findings
    assert finding.rule == "opened-in-several-places"


def test_a_connection_that_is_closed_hides_no_listener(tmp_path: Path) -> None:
    code = (
        'import { io } from "socket.io-client";\nlet socket;\nfunction Chat() {\n'
        "  useEffect(() => {\n    socket = io('/');\n  }, []);\n"
        "  useEffect(() => {\n    socket.on('x', show);\n  });\n  return <p/>;\n}\n"
    )
    plan = ScanPlan(root=write(tmp_path, {"chat.jsx": code}))
    report = run_scan(plan)
    assert all(finding.patch is not None for finding in report.findings)
    (change,) = proposed_changes(plan, report)
    assert change.fixed == 2 and b"socket.disconnect()" in change.after and b"socket.off('x', show)" in change.after


@pytest.mark.parametrize("folder", ["examples/bot-dashboard/src", "tests/field/pages/src"])
def test_changes_of_real_pages_parse_and_leave_nothing_to_fix(folder: str) -> None:
    root = Path(__file__).parents[3] / folder
    for path in sorted(each for each in root.rglob("*") if each.suffix in SUFFIXES):
        plan = ScanPlan(root=path)
        for change in proposed_changes(plan, run_scan(plan)):
            assert not parse_source(change.path, change.after).root.has_error
            facts = file_facts(change.path, change.after)
            assert all(finding.patch is None for finding in findings_in([facts])), change.path


def test_links_out_of_the_permitted_folders_are_missing_evidence(tmp_path: Path) -> None:
    inside, outside = write(tmp_path / "in", {"src/socket.ts": SHARED}), write(tmp_path / "out", {"leak.tsx": LEAK})
    (inside / "src" / "linked.tsx").symlink_to(outside / "leak.tsx")
    (inside / "src" / "also.ts").symlink_to("socket.ts")
    free = run_scan(ScanPlan(root=inside))
    limited = run_scan(ScanPlan(root=inside, within=(inside,)))
    both = run_scan(ScanPlan(root=inside, within=(inside, outside)))
    assert [free.verdict, limited.verdict, both.verdict] == [Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.FAILED]
    assert [gap.id for gap in limited.gaps] == ["files-unread"] and "leak" not in repr(limited)


def test_progress_can_end_a_scan(tmp_path: Path) -> None:
    root, read = write(tmp_path, {f"{name}.ts": SHARED for name in "abc"}), []

    def progress(path: str, done: int, total: int) -> None:
        read.append((path, done, total))
        if done == 1:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        run_scan(ScanPlan(root=root), progress)
    assert [(Path(path).name, done, total) for path, done, total in read] == [("a.ts", 0, 3), ("b.ts", 1, 3)]


def test_a_scan_runs_no_program_of_the_repository(tmp_path: Path) -> None:
    root = write(tmp_path, {"src/socket.ts": SHARED, "watch.sh": "#!/bin/sh\ntouch ran\n"})
    (root / "watch.sh").chmod(0o755)
    for command in (["init", "-q"], ["config", "core.fsmonitor", "./watch.sh"], ["add", "src"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    (root / "ran").unlink(missing_ok=True)
    assert run_scan(ScanPlan(root=root)).verdict is Verdict.PASSED
    assert not (root / "ran").exists()
