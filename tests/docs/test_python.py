"""The examples of docs/python.md run, in a fresh process, and pass mypy --strict."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import environment
from tests.docs.transcripts import ROOT

EXAMPLES = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "python.md").read_text(encoding="utf-8"), re.M | re.S)
OUTPUTS = {
    'wscheck.check(scenarios=["single-connection"])\nprint': "passed\n",
    "read_log(lines)": "failed ['multiple-connections']\n",
    "Judge()": "failed holds 2 connections at once",
    "rules.grace": "1.0\n",
}


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_documented_examples_run(example: str, tmp_path: Path) -> None:
    path = tmp_path / "test_example.py"
    path.write_text(example, encoding="utf-8")
    pytest_options = ["-m", "pytest", "-q", "-p", "wscheck.pytest_plugin"] if "def test_" in example else []
    ran = subprocess.run(
        [sys.executable, *pytest_options, path],
        cwd=tmp_path,
        env=environment(tmp_path, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for part, output in OUTPUTS.items():
        if part in example:
            assert ran.stdout.startswith(output), ran.stdout


def test_the_documented_examples_are_typed(tmp_path: Path) -> None:
    for number, example in enumerate(EXAMPLES):
        (tmp_path / f"example_{number}.py").write_text(example, encoding="utf-8")
    # Settings and cache of `make lint`, so that the package is type-checked once for both.
    shared = [f"--config-file={ROOT / 'pyproject.toml'}", f"--cache-dir={ROOT / '.mypy_cache'}"]
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *shared, *sorted(map(str, tmp_path.glob("example_*.py")))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
