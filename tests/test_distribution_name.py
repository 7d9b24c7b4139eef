"""The name to install: `wscheck` on the package index is a package of others."""

import re
import subprocess
import tomllib
from pathlib import Path

from wscheck.model.errors import DISTRIBUTION

ROOT = Path(__file__).parents[1]

INSTALLS = re.compile(
    r"""(?:pip3? install|pipx (?:install|run)|uv tool install|uv add|uv pip install|--from)[^\n`"]*"""
)
WRONG_NAME = re.compile(r"(?<![\w./@-])wscheck(?![\w/-])(?:\[[\w,-]+\]|@|[=<>~]=?|(?=['\s]|$))")


def wrong_names(text: str) -> list[str]:
    """The commands in `text` that would install the package of others."""
    return [
        command
        for command in INSTALLS.findall(text)
        if WRONG_NAME.search(re.sub(r"--from \S+ wscheck.*", "", command).partition(" # ")[0])
    ]


def test_the_distribution_has_this_name() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"] == DISTRIBUTION


def test_a_wrong_name_is_found() -> None:
    wrong = ["pip install 'wscheck[load]'", "pip install -U wscheck", "pipx install wscheck", "uv tool install wscheck"]
    assert [text for text in wrong if wrong_names(text)] == wrong


def test_a_right_name_is_accepted() -> None:
    right = [
        "pip install 'wscheck-cli[load]'",
        "pip install .",
        "pip install dist/wscheck_cli-0.1.0.whl",
        "uvx --from wscheck-cli wscheck verify",
    ]
    assert [text for text in right if not wrong_names(text)] == right


def test_no_text_installs_the_package_of_others() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    texts = [
        ROOT / name for name in listed.split("\0") if name.endswith((".py", ".md", ".toml", ".yml", ".yaml", ".json"))
    ]
    assert len(texts) > 100
    found = {
        str(path.relative_to(ROOT)): commands
        for path in texts
        if path.exists()
        and path != Path(__file__)
        and (commands := wrong_names(path.read_text(encoding="utf-8", errors="replace")))
    }
    assert found == {}
