"""Option `--format`: parsing, rejection and writing."""

import errno
import io
import json
import os
import stat
import threading
from pathlib import Path

import pytest

from tests.report import runs
from wscheck.model.errors import UsageError
from wscheck.report import REPORTERS, formats
from wscheck.report.formats import (
    ReportOutput,
    create_directories,
    parse_outputs,
    prepare_outputs,
    reject_inputs,
    write_atomically,
    write_outputs,
)


class _Stdout(io.TextIOWrapper):
    """Stdout with a buffer."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        super().__init__(self._bytes, encoding="utf-8")

    def text(self) -> str:
        self.flush()
        return self._bytes.getvalue().decode()


def test_the_default_is_the_terminal() -> None:
    assert parse_outputs([]) == [ReportOutput("terminal")]


def test_a_format_may_name_a_file_or_stdout() -> None:
    assert parse_outputs(["json", "junit=a/b=c.xml"]) == [
        ReportOutput("json"),
        ReportOutput("junit", Path("a/b=c.xml")),
    ]
    assert parse_outputs(["html=-"]) == [ReportOutput("html")]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            ["yaml"],
            "Unknown format `yaml`. Choose from: terminal, json, ndjson, junit, github, sarif, codequality, html",
        ),
        (["JSON=x"], "Unknown format `JSON`"),
        (["json="], "`report.format=json=` names no file"),
        (["json", "junit"], "`json` and `junit` would both be written to stdout"),
        (["json", "json=-"], "would both be written to stdout"),
        (["json=a", "html=./a"], "would both be written to the file a"),
        (["json=a", f"html={Path.cwd()}/a"], "would both be written to the file"),
    ],
)
def test_impossible_outputs_are_rejected(values: list[str], expected: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_outputs(values)
    assert expected in str(refused.value)


@pytest.mark.parametrize("name", REPORTERS)
def test_every_format_renders_a_run(name: str) -> None:
    for report, events in (runs.passing(), runs.failing(), runs.looping()):
        output = REPORTERS[name]()(report, events)
        if report.findings or name != "github":
            assert output


def test_stdout_carries_one_format_and_files_the_others(tmp_path: Path) -> None:
    stdout = _Stdout()
    outputs = parse_outputs(["json", f"junit={tmp_path}/deep/er/junit.xml", f"ndjson={tmp_path}/run.ndjson"])
    create_directories(outputs)
    write_outputs(outputs, *runs.failing(), stdout=stdout, environ={})
    assert json.loads(stdout.text())["schema"] == "wscheck.verify/1"
    assert (tmp_path / "deep/er/junit.xml").read_bytes().startswith(b"<?xml")
    assert (tmp_path / "run.ndjson").read_bytes().startswith(b'{"schema"')
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "run.ndjson"]


def test_a_file_is_replaced_atomically_with_ordinary_permissions(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    with path.open() as reader:
        write_atomically(path, b"new")
        assert reader.read() == "old"
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("old")
    link = tmp_path / "link.json"
    link.symlink_to("real.json")
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "real.json").read_text() == "new"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_atomically(pipe, b"through")
    reader.join(timeout=5)
    assert read == [b"through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_directory_is_refused_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a directory"):
        create_directories([ReportOutput("json", tmp_path)])


def test_a_file_that_the_run_reads_is_refused_also_through_a_link(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("read")
    (tmp_path / "link").symlink_to(log)
    (tmp_path / "twin").hardlink_to(log)
    for name in ("app.log", "link", "twin", "./app.log"):
        with pytest.raises(UsageError, match="the run reads it"):
            prepare_outputs([f"json={tmp_path}/{name}"], inputs=[log])
    with pytest.raises(UsageError, match="would both be written"):
        parse_outputs([f"json={log}", f"html={tmp_path}/link"])
    with pytest.raises(UsageError, match="the run reads it"):
        reject_inputs([tmp_path / "new"], [tmp_path / "x" / ".." / "new"])
    assert prepare_outputs([f"json={tmp_path}/other"], inputs=[log, None])
    assert log.read_text() == "read"


@pytest.mark.parametrize("name", ["loop", "a" * 300])
def test_a_path_that_cannot_exist_is_refused_before_the_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UsageError, match="cannot be written"):
        prepare_outputs([f"json={tmp_path}/{name}"])


def test_a_pipe_without_a_reader_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MAX_WAIT_FOR_READER_S", 0.0)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="nobody reads"):
        write_atomically(tmp_path / "pipe", b"lost")


def test_a_parent_that_is_a_file_is_refused_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        create_directories([ReportOutput("json", tmp_path / "file" / "report.json")])


def test_an_unwritable_file_does_not_prevent_the_others(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outputs = [ReportOutput("json", tmp_path / "file" / "report.json"), ReportOutput("junit", tmp_path / "junit.xml")]
    with pytest.raises(UsageError, match="cannot be written"):
        write_outputs(outputs, *runs.passing(), stdout=_Stdout(), environ={})
    assert (tmp_path / "junit.xml").exists()


def test_github_also_adds_to_the_step_summary(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("an earlier step\n")
    write_outputs(
        parse_outputs(["github"]), *runs.failing(), stdout=_Stdout(), environ={"GITHUB_STEP_SUMMARY": str(summary)}
    )
    assert summary.read_text().startswith("an earlier step\n## ❌ wscheck: failed")


class _FullDisk(_Stdout):
    """Stdout on a full disk: writing succeeds, flushing fails."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("name", ["terminal", "json"])
def test_a_full_disk_is_reported(name: str) -> None:
    with pytest.raises(UsageError, match="Standard output cannot be written: No space left"):
        write_outputs([ReportOutput(name)], *runs.passing(), stdout=_FullDisk())


@pytest.mark.parametrize("name", ["terminal", "html"])
def test_a_report_for_people_names_the_page_that_was_watched(name: str) -> None:
    report, events = runs.failing()
    report.options["page"] = "http://localhost:3000/dashboard"
    output = REPORTERS[name]()(report, events)
    assert isinstance(output, str) and "client and the page http://localhost:3000/dashboard" in " ".join(output.split())
