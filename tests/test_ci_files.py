"""The files for CI services: their commands run, and their reports have what the service needs."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
GITLAB = yaml.safe_load((ROOT / "templates" / "gitlab-ci.yml").read_text())[".wscheck"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    for name in ("Broken.jsx", "Fixed.jsx"):
        (tmp_path / "src" / name).write_text((ROOT / "examples" / "ci" / "src" / name).read_text())
    return tmp_path


def run(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = {"PATH": path, "HOME": str(folder), "LANG": "C.UTF-8", **variables}
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def run_action(folder: Path, command: str, arguments: str) -> subprocess.CompletedProcess[str]:
    (step,) = (step for step in ACTION["runs"]["steps"] if step.get("name") == "Run wscheck")
    variables = {"COMMAND": command, "ARGUMENTS": arguments, "REPORTS": "reports"}
    return run(step["run"], folder, **variables, GITHUB_STEP_SUMMARY=str(folder / "summary.md"))


def test_the_action_reports_a_broken_component(project: Path) -> None:
    done = run_action(project, "scan", "src\n")
    assert done.returncode == 1, done.stderr
    assert "::error file=src/Broken.jsx,line=7,title=wscheck%3A opening-not-closed::" in done.stdout
    assert (project / "summary.md").read_text().count("wscheck: failed") == 1
    sarif = json.loads((project / "reports" / "wscheck.sarif").read_text())
    assert [result["ruleId"] for result in sarif["runs"][0]["results"]] == ["opening-not-closed"]
    assert (project / "reports" / "wscheck.html").stat().st_size > 1000


def test_the_action_passes_a_fixed_component(project: Path) -> None:
    (project / "src" / "Broken.jsx").unlink()
    assert run_action(project, "scan", "src").returncode == 0


def test_a_line_of_arguments_is_one_argument(project: Path) -> None:
    done = run_action(project, "scan", "src; touch hacked $(touch hacked)\n")
    assert done.returncode == 2 and not (project / "hacked").exists(), done.stderr


def test_a_run_that_could_not_check_still_has_every_report(project: Path) -> None:
    done = run_action(project, "verify", "http://127.0.0.1:9\n--timeout\n1s")
    assert done.returncode == 3, done.stderr
    assert "::warning" in done.stdout and "inconclusive" in (project / "summary.md").read_text()


def test_the_gitlab_template_writes_the_reports_that_it_names(project: Path) -> None:
    done = run("\n".join(GITLAB["script"]), project, CHECK_COMMAND="scan src")
    assert done.returncode == 1, done.stderr
    reports: dict[str, Any] = GITLAB["artifacts"]["reports"]
    assert "<failure" in (project / reports["junit"]).read_text()
    (entry,) = json.loads((project / reports["codequality"]).read_text())
    assert entry["location"] == {"path": "src/Broken.jsx", "lines": {"begin": 7}}


def test_the_pre_commit_hook_runs_an_existing_command(project: Path) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["pass_filenames"] is False
    assert run(f"{hook['entry']} src", project).returncode == 1
    for component in (project / "src").iterdir():
        component.write_text("export const nothing = 1;\n")
    assert run(hook["entry"], project).returncode == 0


def test_the_image_starts_wscheck_without_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert 'ENTRYPOINT ["wscheck"]' in lines and "USER wscheck" in lines


def test_each_fuzz_target_runs_every_night() -> None:
    nightly = yaml.safe_load((ROOT / ".github" / "workflows" / "nightly.yml").read_text())
    tree = ast.parse((ROOT / "fuzz" / "targets.py").read_text())
    assigned = (node for node in tree.body if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict))
    (targets,) = (node.value for node in assigned if ast.unparse(node.target) == "TARGETS")
    assert isinstance(targets, ast.Dict)
    names = {ast.literal_eval(key) for key in targets.keys if key is not None}
    expected = {"extractor.py", *(f"targets.py {name}" for name in names)}
    assert set(nightly["jobs"]["fuzz"]["strategy"]["matrix"]["target"]) == expected
