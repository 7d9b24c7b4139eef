"""The layering of the design is held by import-linter; the contracts are in pyproject.toml."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINT = Path(sys.executable).with_name("lint-imports")


def lint(package_in: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT, "--no-cache", "--config", ROOT / "pyproject.toml"],
        cwd=package_in,
        env={**os.environ, "PYTHONPATH": str(package_in)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_import_contracts_hold() -> None:
    linted = lint(ROOT)
    assert linted.returncode == 0, linted.stdout


def test_a_broken_import_contract_is_detected(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "wscheck", tmp_path / "wscheck", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "wscheck" / "detect" / "ledger.py").open("a") as ledger:
        ledger.write("\nimport asyncio\n\nfrom wscheck.report import REPORTERS\n")
    linted = lint(tmp_path)
    assert linted.returncode == 1
    assert "wscheck.detect.ledger -> wscheck.report" in linted.stdout
    assert "wscheck.detect.ledger -> asyncio" in linted.stdout


@pytest.mark.parametrize("package", ["notify", "observe/tailing", "run/tail"])
def test_the_docstring_of_a_package_lists_its_modules(package: str) -> None:
    folder = ROOT / "wscheck" / package
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    listed = set(re.findall(r"^(\w+) {2,}\S", text, re.MULTILINE))
    assert listed == {path.stem for path in folder.glob("*.py")} - {"__init__"}
