"""The layering of the design is held by import-linter; the contracts are in pyproject.toml."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

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
